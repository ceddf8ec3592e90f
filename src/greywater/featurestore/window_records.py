"""Online records of window values: the payments that windows still want lie beside the values, and time can go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, Final

import numpy as np

from greywater.errors import StoreError, UsageError
from greywater.features.account_windows import AccountWindows, Taken, WindowReader
from greywater.features.windows import WindowPlan
from greywater.featurestore.definitions import FeatureField, FeatureGroup, Value
from greywater.featurestore.packing import COMPLETE, FLAGS, MOVING, OVERFULL
from greywater.featurestore.sections import Section
from greywater.featurestore.vectors import Moving, OnlineView
from greywater.kernels.lists import NEVER

__all__ = ["MOST_HELD", "WindowWriter", "window_group", "window_reader"]

#: Payments a record holds at most.
MOST_HELD: Final = 4_096
#: Records and bytes written in one commit, about.
BATCH: Final = 10_000
BATCH_BYTES: Final = 32 << 20


def window_group(plan: WindowPlan, *, name: str = "account_windows", version: int = 1) -> FeatureGroup:
    """The group of an account's window values, as `AccountWindows` works them out.

    Examples
    --------
    >>> group = window_group(WindowPlan((3600,), (90,), 0))
    >>> [feature.name for feature in group.features][:3], len(group.features)
    (['out.count.1h', 'out.count.90d', 'out.counterparties.1h'], 32)
    """
    fields = tuple(
        FeatureField(
            feature.name,
            feature.dtype,
            feature.unit,
            feature.description,
            default=0 if feature.dtype == "int64" else 0.0 if feature.parameters["statistic"] == "sum" else None,
        )
        for feature in WindowReader(plan).features
    )
    words = f"Windows of an account over {', '.join(plan.labels)}."
    return FeatureGroup(name, version, ("account",), ("string",), fields, description=words)


def window_reader(plan: WindowPlan, engine: AccountWindows | None = None) -> Moving:
    """What works out the values of a record at a moment when those stored are no longer true.

    Give it to `OnlineView` for the group of the windows.

    Parameters
    ----------
    plan : WindowPlan
        The windows of that group.
    engine : AccountWindows, optional
        Holds every payment: answers for accounts of which a record does not. Without it such an account is refused.
    """
    reader = WindowReader(plan)
    places = {name: place for place, name in enumerate(reader.names)}
    pickers: dict[int, Any] = {}

    def read(fields: tuple[Any, ...], record: bytes, moment: int, section: Section) -> Sequence[Value]:
        found = None
        if fields[FLAGS] & OVERFULL and engine is not None:
            account = record[section.layout.structure.size :].decode()
            found = engine.values_at(account, moment)
        if fields[FLAGS] & OVERFULL and found is None:
            raise StoreError(
                f"the account has more than {MOST_HELD:,} payments that its windows may want, and a value has changed",
                where=section.space,
                mend="ask the engine process, which holds them all (AccountWindows, or the stream of the service)",
            )
        pick = pickers.get(section.layout.card)
        if pick is None:
            wanted = [places[one.field.name] for one in section.layout.stored]
            pick = pickers[section.layout.card] = itemgetter(*wanted) if len(wanted) > 1 else _only(wanted[0])
        if found is None:
            tail = np.frombuffer(record, np.int64, offset=section.layout.structure.size)
            found = reader.values_at(tail, moment)
        values: Sequence[Value] = pick(found[0])
        return values

    return read


class WindowWriter:
    """Writes the records of a view's windows as payments are taken in.

    Parameters
    ----------
    online : OnlineView
        A view with a group of windows.
    plan : WindowPlan
        Its windows.
    most_held : int
        Payments a record holds at most; of an account with more it holds the name, and once a value has changed the
        engine answers (`window_reader`).

    Raises
    ------
    UsageError
        The view has no group of these windows.
    """

    def __init__(self, online: OnlineView, plan: WindowPlan, *, most_held: int = MOST_HELD) -> None:
        self.online = online.online
        self.most_held = most_held
        self._sections = [section for section in online.sections if section.moving]
        self._places = {name: place for place, name in enumerate(WindowReader(plan).names)}
        names = [one.field.name for section in self._sections for one in section.layout.stored]
        if not names or not set(names) <= set(self._places):
            unknown = ", ".join(name for name in names if name not in self._places) or "none at all"
            raise UsageError(
                f"the view's windows ({unknown}) are not those of the plan ({', '.join(plan.labels)})",
                where=f"view {online.view.name}",
                mend="name the group of windows when the view is opened, with the windows it has",
            )

    @property
    def next_seq(self) -> int:
        """The first payment whose records may not be written yet; 0 = begin at the ledger's beginning."""
        marks = [self.online.mark(section.space) for section in self._sections]
        return min(int.from_bytes(mark, "big") if mark else 0 for mark in marks)

    def write(self, taken: Taken) -> int:
        """Write the records of all accounts of a block; the mark, with the last of them, is the block's end.

        Killed half way, some accounts have the block's values already and the mark is that of the block before:
        taken again, the block writes the same records.

        Returns
        -------
        int
            Records written.
        """
        kept = np.flatnonzero(taken.event_us != NEVER)
        written = 0
        for section in self._sections:
            keys = section.keys.of_many([taken.accounts[k] for k in kept])
            batch: list[tuple[bytes, bytes]] = []
            size = 0
            for key, record in zip(keys, self._records(section, taken, kept), strict=True):
                if len(batch) == BATCH or size > BATCH_BYTES:
                    written += self.online.put_many(section.space, batch)
                    batch, size = [], 0
                if key is not None:
                    batch.append((key, record))
                    size += len(record)
            written += self.online.put_many(section.space, batch, mark=taken.next_seq.to_bytes(8, "big"))
        return written

    def _records(self, section: Section, taken: Taken, kept: np.ndarray) -> Iterator[bytes]:
        layout = section.layout
        fixed = np.zeros(len(kept), layout.rows)
        overfull = taken.held[kept] > self.most_held
        ends, starts = taken.begins[1:][kept], taken.begins[:-1][kept]
        fixed["card"], fixed["event"], fixed["change"] = layout.card, taken.event_us[kept], taken.change_us[kept]
        fixed["events"] = taken.event_us[kept][:, None]
        fixed["flags"] = COMPLETE | MOVING | np.where(overfull, OVERFULL, 0)
        names = [taken.accounts[k].encode() if full else b"" for k, full in zip(kept, overfull, strict=True)]
        fixed["tail"] = np.where(overfull, [len(name) for name in names], 8 * (ends - starts))
        counts = taken.counts.shape[1]
        for place, one in enumerate(layout.stored):
            column = self._places[one.field.name]
            values = taken.counts[:, column] if column < counts else taken.floats[:, column - counts]
            fixed[f"v{place}"] = values[kept]
        heads, tails, size = fixed.tobytes(), taken.tails.view(np.uint8), layout.structure.size
        for row, (start, end, name) in enumerate(zip(starts.tolist(), ends.tolist(), names, strict=True)):
            tail = name or tails[8 * start : 8 * end].tobytes()
            yield heads[row * size : (row + 1) * size] + tail


def _only(place: int) -> Any:
    return lambda values: (values[place],)
