"""Parity in production: what was served online, written down as it was, against what the ledger says it had to be.

A served vector is of a payment (its features at its moment) or of an account at any moment (its windows then). Both are
worked out again from nothing but the recorded payments, and every bit is compared; one NaN is as good as another.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa

from greywater.errors import RefusedValueError, StoreDamagedError
from greywater.features.account_windows import ACCOUNT_COLUMNS, AccountWindows, held_payments
from greywater.features.catalog import FeatureSet
from greywater.features.engine import INPUT_COLUMNS
from greywater.features.exposure import KnownLaunderers
from greywater.pipeline.slices import engine_at
from greywater.stores.ports import Ledger, Tables
from greywater.vocab import Int64Array, Progress

__all__ = ["SERVED", "Difference", "ParityResult", "ServedLog", "ServedView", "check_parity"]

#: Tables of a project: what was served, and the views it was served by.
SERVED: Final = "served"
SERVED_VIEWS: Final = "served_views"
MOMENT: Final = pa.timestamp("us", tz="UTC")
SERVED_SCHEMA: Final = pa.schema(
    [
        pa.field("view", pa.string(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("entity", pa.string()),
        pa.field("moment", MOMENT),
        pa.field("values", pa.binary(), nullable=False),
    ]
)
VIEW_SCHEMA: Final = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in ("view", "fingerprint", "columns")]
)
BLOCK_ROWS: Final = 32_768
Kind = Literal["int64", "float64"]
Number = int | float


@dataclass(frozen=True)
class ServedView:
    """What a served vector holds.

    Parameters
    ----------
    name : str
        Of the view.
    fingerprint : str
        Of the feature set whose engine or windows served it.
    columns : tuple of (str, str)
        Feature names and dtypes (int64 or float64) in the order of the vector.

    Examples
    --------
    >>> view = ServedView("risk", "f00d", (("a", "int64"), ("b", "float64")))
    >>> view.unpack(view.pack([3, None]))
    (3, nan)
    """

    name: str
    fingerprint: str
    columns: tuple[tuple[str, Kind], ...]

    def pack(self, values: Sequence[Number | None]) -> bytes:
        """Eight bytes a value; None is NaN.

        Raises
        ------
        RefusedValueError
            There are more or fewer values than columns, or one does not fit its dtype.
        """
        plain = [float("nan") if value is None else value for value in values]
        try:
            return struct.pack(self._format, *plain)
        except struct.error as error:
            raise RefusedValueError(
                f"the vector does not fit the view: {error}", where=f"view {self.name}", mend="log what was served"
            ) from error

    def unpack(self, content: bytes) -> tuple[Number, ...]:
        """The values that `pack` packed."""
        try:
            return struct.unpack(self._format, content)
        except struct.error as error:
            raise StoreDamagedError(
                f"{len(content)} bytes are no vector of {len(self.columns)} values", where=f"table {SERVED}"
            ) from error

    @property
    def _format(self) -> str:
        return "<" + "".join("q" if kind == "int64" else "d" for _, kind in self.columns)


class ServedLog:
    """Writes down what is served, a batch in one commit.

    Parameters
    ----------
    tables : Tables
        Of the project.
    batch_rows : int
        Vectors kept back until they are written together; what a stopped process kept back is not in the log.

    Examples
    --------
    >>> from greywater.stores.open import open_tables
    >>> tables = open_tables("memory:")
    >>> view = ServedView("risk", "f00d", (("a", "int64"),))
    >>> with ServedLog(tables) as log:
    ...     log.payment(view, 7, [3])
    >>> tables.read("served")["seq"].to_pylist()
    [7]
    """

    def __init__(self, tables: Tables, *, batch_rows: int = 10_000) -> None:
        self._tables = tables
        self._batch_rows = batch_rows
        self._rows: list[tuple[str, str, int, str | None, int | None, bytes]] = []
        self._known: set[ServedView] = set()

    def payment(self, view: ServedView, seq: int, values: Sequence[Number | None]) -> None:
        """A vector of the features of payment `seq`."""
        self._add(view, (seq, None, None), values)

    def moment(
        self, view: ServedView, entity: str, moment_us: int, next_seq: int, values: Sequence[Number | None]
    ) -> None:
        """A vector of an account's windows at a moment, served when the payments before `next_seq` were recorded."""
        self._add(view, (next_seq, entity, moment_us), values)

    def flush(self) -> None:
        """Write what was kept back, durably."""
        if self._rows:
            columns = list(zip(*self._rows, strict=True))
            arrays = [pa.array(column, one.type) for column, one in zip(columns, SERVED_SCHEMA, strict=True)]
            self._tables.append(SERVED, pa.Table.from_arrays(arrays, schema=SERVED_SCHEMA))
            self._rows.clear()

    def _add(self, view: ServedView, key: tuple[int, str | None, int | None], values: Sequence[Number | None]) -> None:
        packed = view.pack(values)
        if view not in self._known:
            row = [view.name, view.fingerprint, json.dumps(view.columns)]
            table = pa.Table.from_arrays([pa.array([text]) for text in row], schema=VIEW_SCHEMA)
            self._tables.append(SERVED_VIEWS, table, transaction=f"{view.name}-{view.fingerprint}-{hash_of(view)}")
            self._known.add(view)
        self._rows.append((view.name, view.fingerprint, *key, packed))
        if len(self._rows) >= self._batch_rows:
            self.flush()

    def __enter__(self) -> ServedLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()


@dataclass(frozen=True)
class Difference:
    """A value that was served otherwise than the ledger says.

    `seq` and `tx_id` name the payment; of an account's windows `seq` is the payment after the last one recorded then,
    and `entity` and `moment_us` say whose and when. `expected` is None where there is no such payment.
    """

    view: str
    seq: int
    tx_id: str | None
    entity: str | None
    moment_us: int | None
    feature: str
    served: Number
    expected: Number | None


@dataclass(frozen=True)
class ParityResult:
    """What a comparison found.

    Parameters
    ----------
    served : int
        Vectors in the log.
    vectors, values : int
        Compared now.
    other_features : int
        Vectors drawn that other features served; they cannot be compared with these.
    differences : tuple of Difference
        Empty where online and offline agree.
    """

    served: int = 0
    vectors: int = 0
    values: int = 0
    other_features: int = 0
    differences: tuple[Difference, ...] = field(default=())


@dataclass(frozen=True)
class _Drawn:
    view: ServedView
    seq: int
    entity: str | None
    moment_us: int | None
    values: tuple[Number, ...]

    def compare(self, expected: dict[str, Number]) -> list[tuple[str, Number, Number | None]]:
        """Feature, served and expected value of all that differ."""
        found: list[tuple[str, Number, Number | None]] = []
        for (name, kind), value in zip(self.view.columns, self.values, strict=True):
            wanted = expected.get(name)
            if wanted is None or not _same(value, wanted, kind):
                found.append((name, value, wanted))
        return found


def check_parity(
    ledger: Ledger,
    tables: Tables,
    features: FeatureSet,
    *,
    sample: int | None = 1_000,
    seed: int = 7,
    known: KnownLaunderers | None = None,
    progress: Progress | None = None,
) -> ParityResult:
    """Draw served vectors and work each out again from the ledger.

    Parameters
    ----------
    ledger : Ledger
        The payments.
    tables : Tables
        Where a ServedLog wrote.
    features : FeatureSet
        What serves now; vectors of other features are counted, not compared.
    sample : int or None
        Vectors to draw; None = all.
    seed : int
        Of the draw.
    known : KnownLaunderers, optional
        Needed where the features hold exposure.
    progress : Progress, optional
        Advanced by payments gone through.

    Returns
    -------
    ParityResult
    """
    drawn, served = _draw(tables, sample, seed)
    same = [one for one in drawn if one.view.fingerprint == features.fingerprint]
    payments = sorted((one for one in same if one.entity is None), key=lambda one: one.seq)
    moments = sorted((one for one in same if one.entity is not None), key=lambda one: one.seq)
    told: list[tuple[_Drawn, list[tuple[str, Number, Number | None]]]] = []
    unknown = [one for one in payments if not 0 <= one.seq < ledger.next_seq]
    unknown += [one for one in moments if not 0 <= one.seq <= ledger.next_seq]
    told += [(one, one.compare({})) for one in unknown]
    there = [one for one in payments if 0 <= one.seq < ledger.next_seq]
    told += list(_payments_again(ledger, features, there, known, progress))
    there = [one for one in moments if 0 <= one.seq <= ledger.next_seq]
    told += list(_moments_again(ledger, features, there, progress))
    return ParityResult(
        served=served,
        vectors=len(told),
        values=sum(len(one.values) for one, _ in told),
        other_features=len(drawn) - len(same),
        differences=_named(ledger, told),
    )


def _draw(tables: Tables, sample: int | None, seed: int) -> tuple[list[_Drawn], int]:
    """Rows of the log, without repetition, and how many there are."""
    views = _views(tables)
    served = sum(batch.num_rows for batch in tables.scan(SERVED, ["seq"]))
    chosen = np.arange(served)
    if sample is not None and sample < served:
        chosen = np.sort(np.random.default_rng(seed).choice(served, sample, replace=False))
    drawn: list[_Drawn] = []
    begin = 0
    for batch in tables.scan(SERVED):
        here = chosen[(chosen >= begin) & (chosen < begin + batch.num_rows)] - begin
        begin += batch.num_rows
        for row in batch.take(pa.array(here)).cast(_plain(batch.schema)).to_pylist():
            view = views.get((row["view"], row["fingerprint"], len(row["values"])))
            if view is None:
                raise StoreDamagedError(
                    f"nothing says what a vector of view {row['view']!r} holds",
                    where=f"table {SERVED_VIEWS}",
                    mend="restore the tables served and served_views from the same backup",
                )
            drawn.append(_Drawn(view, row["seq"], row["entity"], row["moment"], view.unpack(row["values"])))
    return drawn, served


def _views(tables: Tables) -> dict[tuple[str, str, int], ServedView]:
    """Views by name, fingerprint and bytes of a vector."""
    table = tables.read(SERVED_VIEWS)
    views: dict[tuple[str, str, int], ServedView] = {}
    for row in table.to_pylist() if table is not None else []:
        columns = tuple(
            (str(name), "int64" if kind == "int64" else "float64") for name, kind in json.loads(row["columns"])
        )
        views[row["view"], row["fingerprint"], 8 * len(columns)] = ServedView(row["view"], row["fingerprint"], columns)  # type: ignore[arg-type]
    return views


def _plain(schema: pa.Schema) -> pa.Schema:
    """Moments as whole microseconds."""
    return pa.schema([pa.field(one.name, pa.int64() if one.type == MOMENT else one.type) for one in schema])


def _payments_again(
    ledger: Ledger,
    features: FeatureSet,
    drawn: Sequence[_Drawn],
    known: KnownLaunderers | None,
    progress: Progress | None,
) -> Iterator[tuple[_Drawn, list[tuple[str, Number, Number | None]]]]:
    """Each payment's features: the engine takes the payments between the drawn ones in and works those out alone."""
    if not drawn:
        return
    first, stop = drawn[0].seq, drawn[-1].seq + 1
    if progress is not None:
        progress.step("working out served payments again", stop - first)
    engine = engine_at(ledger, features, first, stop, known=known)
    wanted = {seq: list(rows) for seq, rows in groupby(drawn, key=lambda one: one.seq)}
    seqs = np.array(sorted(wanted), np.int64)
    for batch in ledger.scan(list(INPUT_COLUMNS), start=first, stop=stop, batch_rows=BLOCK_ROWS):
        begin = engine.next_seq
        for place in (seqs[(seqs >= begin) & (seqs < begin + batch.num_rows)] - begin).tolist():
            engine.absorb(batch.slice(engine.next_seq - begin, place - (engine.next_seq - begin)))
            values = engine.process(batch.slice(place, 1)).columns.to_pylist()[0]
            yield from ((one, one.compare(values)) for one in wanted[begin + place])
        engine.absorb(batch.slice(engine.next_seq - begin))
        if progress is not None:
            progress.advance(batch.num_rows)


def _moments_again(
    ledger: Ledger, features: FeatureSet, drawn: Sequence[_Drawn], progress: Progress | None
) -> Iterator[tuple[_Drawn, list[tuple[str, Number, Number | None]]]]:
    """Each account's windows at its moment, from the payments that were recorded then."""
    if not drawn:
        return
    windows = AccountWindows(features.plan)
    tails: dict[str, Int64Array] = {}
    wanted = {str(one.entity) for one in drawn}
    nothing = held_payments([], [])
    if progress is not None:
        progress.step("working out served windows again", drawn[-1].seq)
    for seq, group in groupby(drawn, key=lambda one: one.seq):
        for batch in ledger.scan(list(ACCOUNT_COLUMNS), start=windows.next_seq, stop=seq, batch_rows=BLOCK_ROWS):
            taken = windows.take(batch)
            for place, account in enumerate(taken.accounts):
                if account in wanted:
                    tails[account] = taken.tails[taken.begins[place] : taken.begins[place + 1]].copy()
            if progress is not None:
                progress.advance(batch.num_rows)
        for one in group:
            tail = tails.get(str(one.entity), nothing)
            values, _ = windows.reader.values_at(tail, int(one.moment_us or 0))
            yield one, one.compare(dict(zip(windows.reader.names, values, strict=True)))


def _named(
    ledger: Ledger, told: Sequence[tuple[_Drawn, list[tuple[str, Number, Number | None]]]]
) -> tuple[Difference, ...]:
    """The differences, in ledger order, with the ids of their payments."""
    found = sorted(((one, parts) for one, parts in told if parts), key=lambda pair: pair[0].seq)
    seqs = sorted({one.seq for one, _ in found if one.entity is None and 0 <= one.seq < ledger.next_seq})
    ids: dict[int, Any] = {}
    if seqs:
        ids = dict(zip(seqs, ledger.take(np.array(seqs, np.int64), ["tx_id"])["tx_id"].to_pylist(), strict=True))
    return tuple(
        Difference(one.view.name, one.seq, None if one.entity else ids.get(one.seq), one.entity, one.moment_us, *part)
        for one, parts in found
        for part in parts
    )


def _same(served: Number, expected: Number, kind: Kind) -> bool:
    if kind == "int64":
        return served == expected
    return struct.pack("<d", served) == struct.pack("<d", expected) or (served != served and expected != expected)


def hash_of(view: ServedView) -> str:
    """A short name of a view's columns."""
    from hashlib import sha256

    return sha256(json.dumps(view.columns).encode()).hexdigest()[:16]
