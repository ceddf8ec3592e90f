"""What the exposure features are: their windows and columns, and the records that say who is a known launderer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from greywater.config import Settings
from greywater.errors import UsageError
from greywater.features.feature import Feature
from greywater.features.windows import window_label
from greywater.vocab import Int64Array

__all__ = ["HOPS", "ExposurePlan", "KnownLaunderers", "default_exposure_plan"]

MICROSECOND = 1_000_000
#: Payments of the longest way to a known launderer that is looked for.
HOPS = 3
LARGEST_CAP = 1_000_000
LONGEST_WINDOW = 36_525 * 86_400
#: The shapes whose rings a known member gives away: all of them.
SHAPES = ("fan-out", "fan-in", "gather-scatter", "scatter-gather", "cycle", "random", "bipartite", "stack")
#: The lists of a payment in kernel order: role, direction, how its money moves.
LISTS: tuple[tuple[Literal["sender", "receiver"], str, str, str], ...] = (
    ("sender", "out", "to", "goes to"),
    ("sender", "in", "from", "comes from"),
    ("receiver", "out", "to", "goes to"),
    ("receiver", "in", "from", "comes from"),
)


@dataclass(frozen=True)
class ExposurePlan:
    """Over which windows exposure is looked for, and what a search may cost.

    Parameters
    ----------
    windows : tuple of int
        Seconds, positive and increasing.
    cap : int
        Visits to visible payments that one search (of one party, direction and window) may make. Where it cuts,
        `exposure.truncated.<window>` is 1.
    hops : int
        Up to how many payments away known launderers, payments to them and flow are counted: 1, 2 or 3. The distance
        is always looked for up to 3.

    Raises
    ------
    UsageError
        If one of these is outside its bounds.

    Examples
    --------
    >>> plan = ExposurePlan((7 * 86_400,))
    >>> plan.int_features[2].name, plan.float_features[0].name, len(plan.features)
    ('sender.out.exposed_distance.7d', 'sender.out.exposed_sum.7d', 27)
    """

    windows: tuple[int, ...]
    cap: int = Settings.graph_cap
    hops: int = 1

    def __post_init__(self) -> None:
        where = f"exposure windows = {self.windows}"
        if not all(isinstance(one, int) and 0 < one <= LONGEST_WINDOW for one in self.windows):
            raise UsageError(
                "a window is not a positive whole number of seconds",
                where=where,
                mend=f"give whole seconds, at most {LONGEST_WINDOW} (a century)",
            )
        if not self.windows or any(later <= earlier for earlier, later in pairwise(self.windows)):
            raise UsageError(
                "windows must increase, and there must be one at least",
                where=where,
                mend="give the windows from the shortest to the longest, each once",
            )
        if not isinstance(self.cap, int) or not 1 <= self.cap <= LARGEST_CAP:
            raise UsageError(
                f"cap = {self.cap!r} cannot be used",
                where="exposure cap",
                mend=f"give a whole number from 1 to {LARGEST_CAP}",
            )
        if self.hops not in range(1, HOPS + 1):
            raise UsageError(
                f"hops = {self.hops!r} cannot be used", where="exposure hops", mend=f"give 1 to {HOPS} payments"
            )

    @property
    def look_back(self) -> int:
        """Seconds before a payment that its values depend on."""
        return self.windows[-1]

    @property
    def windows_us(self) -> Int64Array:
        """The windows in microseconds, int64[W]."""
        return np.array(self.windows, np.int64) * MICROSECOND

    @cached_property
    def int_features(self) -> tuple[Feature, ...]:
        """The int64 features in the kernel's row order."""
        known = tuple(_known(role) for role in ("sender", "receiver"))
        lists = tuple(
            feature for which in range(len(LISTS)) for window in self.windows for feature in _counts(which, window)
        )
        reached = tuple(
            feature for which, window, hops in self._reached for feature in _reached_counts(which, window, hops)
        )
        return known + lists + tuple(_truncated(window) for window in self.windows) + reached

    @cached_property
    def float_features(self) -> tuple[Feature, ...]:
        """The float64 features in the kernel's row order."""
        lists = tuple(
            feature for which in range(len(LISTS)) for window in self.windows for feature in _measures(which, window)
        )
        since = tuple(_since_last(which, self.windows[-1]) for which in range(len(LISTS)))
        return lists + since + tuple(_flow(which, window, hops) for which, window, hops in self._reached)

    @property
    def features(self) -> tuple[Feature, ...]:
        """All features: the int64 ones, then the float64 ones."""
        return self.int_features + self.float_features

    @property
    def _reached(self) -> list[tuple[int, int, int]]:
        """List, window and payments of the ways, of all that lies farther than one payment."""
        far = range(2, self.hops + 1)
        return [(which, window, hops) for which in range(len(LISTS)) for window in self.windows for hops in far]

    def to_fields(self) -> dict[str, Any]:
        """Its fields for JSON; what came later is named only where it says something."""
        fields: dict[str, Any] = {"windows": self.windows, "cap": self.cap}
        return fields if self.hops == 1 else fields | {"hops": self.hops}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> ExposurePlan:
        """The plan that `to_fields` named, also after a way through JSON."""
        return cls(tuple(fields["windows"]), fields["cap"], fields.get("hops", 1))


@dataclass(frozen=True)
class KnownLaunderers:
    """Who is a launderer, who was cleared again, and from which payment on each was known (SEMANTICS: Other records).

    Payment i sees row r iff after_seq[r] < seq_i and known_since_us[r] <= t_i. Of the rows of one account and one
    source that it sees, the one with the latest known_since counts (of equals the last one here). An account is a known
    launderer to i where the rows of any source say so.

    Parameters
    ----------
    account : pa.Array
        string[n].
    source : int64[n]
        What said so: rows of another source are not cleared by it.
    known_since_us, after_seq : int64[n]
        Microseconds since 1970; last payment recorded before the row was.
    launderer : bool[n]
        False: cleared.

    Raises
    ------
    UsageError
        The columns differ in length.

    Examples
    --------
    >>> known = KnownLaunderers.of([("A", 0, 50, 3, True)])
    >>> len(known), len(KnownLaunderers.nobody())
    (1, 0)
    >>> KnownLaunderers.from_table(known.to_table()).after_seq.tolist()
    [3]
    """

    account: pa.Array
    source: Int64Array
    known_since_us: Int64Array
    after_seq: Int64Array
    launderer: np.ndarray

    def __post_init__(self) -> None:
        lengths = {len(column) for column in vars(self).values()}
        if len(lengths) > 1:
            raise UsageError(
                f"columns of {sorted(lengths)} rows", where="KnownLaunderers", mend="give columns of one length"
            )

    def __len__(self) -> int:
        return len(self.account)

    @classmethod
    def of(cls, rows: Sequence[tuple[str, int, int, int, bool]]) -> KnownLaunderers:
        """From rows of account, source, known since, after seq, launderer."""
        account, source, since, after, launderer = zip(*rows, strict=True) if rows else ((), (), (), (), ())
        return cls(
            pa.array(account, pa.string()),
            np.array(source, np.int64),
            np.array(since, np.int64),
            np.array(after, np.int64),
            np.array(launderer, np.bool_),
        )

    def to_table(self) -> pa.Table:
        """The rows as a table, for a way through a file."""
        return pa.table(vars(self))

    @classmethod
    def from_table(cls, table: pa.Table) -> KnownLaunderers:
        """The rows that `to_table` gave."""
        numbers = (table[name].to_numpy() for name in ("source", "known_since_us", "after_seq", "launderer"))
        return cls(table["account"].combine_chunks(), *numbers)

    @classmethod
    def nobody(cls) -> KnownLaunderers:
        """No account is known."""
        return cls.of([])


def default_exposure_plan(settings: Settings, resolution_us: int) -> ExposurePlan:
    """The exposure features that the settings ask for. Windows shorter than the data's time resolution are left out.

    Parameters
    ----------
    settings : Settings
        `exposure_windows`, `exposure_hops` and `graph_cap`.
    resolution_us : int
        Time resolution of the source in microseconds.

    Raises
    ------
    UsageError
        No window is left, or a setting is outside its bounds.

    Examples
    --------
    >>> default_exposure_plan(Settings(), resolution_us=1).windows
    (604800, 2592000)
    """
    windows = tuple(window for window in settings.exposure_windows if window * MICROSECOND >= resolution_us)
    if not windows:
        raise UsageError(
            "every window of the exposure features is shorter than the time resolution of the data",
            where=f"exposure_windows = {settings.exposure_windows}, resolution = {resolution_us / MICROSECOND:g} s",
            mend="set a longer window, or features = payments-v2",
        )
    return ExposurePlan(windows, settings.graph_cap, settings.exposure_hops)


def _feature(name: str, which: int, window: int, unit: str, description: str, statistic: str) -> Feature:
    role, direction, _, _ = LISTS[which]
    label = window_label(window)
    return Feature(
        name=name,
        entity=role,
        dtype="float64" if statistic.startswith(("sum", "share", "flow")) else "int64",
        unit=unit,
        description=f"{role}: {description} in the last {label}",
        family="exposure",
        typologies=SHAPES,
        parameters={
            "role": role, "direction": direction, "statistic": f"exposed_{statistic}", "window": window,
            "label": label,
        },
    )  # fmt: skip


def _known(role: Literal["sender", "receiver"]) -> Feature:
    return Feature(
        name=f"{role}.known_launderer",
        entity=role,
        dtype="int64",
        unit="flag",
        description=f"{role}: 1 where it is a known launderer or belongs to a customer that is one",
        family="exposure",
        typologies=SHAPES,
        parameters={"role": role, "statistic": "known_launderer"},
    )


def _counts(which: int, window: int) -> tuple[Feature, ...]:
    role, direction, side, moves = LISTS[which]
    stem, label = f"{role}.{direction}.exposed", window_label(window)
    words = {
        "distance": (
            "hops",
            f"payments to the nearest known launderer that its money {moves}, 0 = it is one, {HOPS + 1} = none within "
            f"{HOPS},",
        ),
        "accounts": ("accounts", f"known launderers among those it has payments {side}"),
        "count": ("payments", f"payments {side} known launderers"),
    }
    return tuple(
        _feature(f"{stem}_{statistic}.{label}", which, window, unit, text, statistic)
        for statistic, (unit, text) in words.items()
    )


def _measures(which: int, window: int) -> tuple[Feature, ...]:
    role, direction, side, _ = LISTS[which]
    stem, label = f"{role}.{direction}.exposed", window_label(window)
    words = {
        "sum": ("minor units", f"total of payments {side} known launderers"),
        "share": ("ratio", f"share of the money that was {side} known launderers"),
    }
    return tuple(
        _feature(f"{stem}_{statistic}.{label}", which, window, unit, text, statistic)
        for statistic, (unit, text) in words.items()
    )


def _reached_counts(which: int, window: int, hops: int) -> tuple[Feature, ...]:
    role, direction, side, moves = LISTS[which]
    stem, label = f"{role}.{direction}.exposed", window_label(window)
    words = {
        "accounts": ("accounts", f"known launderers {hops} payments away that its money {moves}"),
        "count": ("payments", f"payments {side} known launderers of accounts {hops - 1} away that its money {moves}"),
    }
    return tuple(
        _feature(f"{stem}_{statistic}_{hops}.{label}", which, window, unit, text, f"{statistic}_{hops}")
        for statistic, (unit, text) in words.items()
    )


def _flow(which: int, window: int, hops: int) -> Feature:
    role, direction, side, _ = LISTS[which]
    name = f"{role}.{direction}.exposed_flow_{hops}.{window_label(window)}"
    text = f"money that can have moved {side} known launderers over {hops} payments"
    return _feature(name, which, window, "minor units", text, f"flow_{hops}")


def _since_last(which: int, window: int) -> Feature:
    role, direction, side, _ = LISTS[which]
    return Feature(
        name=f"{role}.{direction}.exposed_since_last",
        entity=role,
        dtype="float64",
        unit="seconds",
        description=f"{role}: time since the last payment {side} a known launderer, of the last {window_label(window)}",
        family="exposure",
        typologies=SHAPES,
        parameters={"role": role, "direction": direction, "statistic": "exposed_since_last", "window": window},
    )


def _truncated(window: int) -> Feature:
    label = window_label(window)
    return Feature(
        name=f"exposure.truncated.{label}",
        entity="payment",
        dtype="int64",
        unit="flag",
        description=f"1 where the cap cut a search for known launderers in the last {label}; the values are what was "
        "found so far",
        family="exposure",
        typologies=SHAPES,
        parameters={"statistic": "truncated", "window": window, "label": label},
    )
