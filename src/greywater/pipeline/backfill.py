"""Fills a feature group with what was known of every payment at its moment, from the ledger, chunk by chunk.

Each chunk is a range of payments and one commit of the group under a key made of that range and of the features'
fingerprint. What the commits cover is never worked out again: killed at any moment and started anew, a backfill goes on
behind what is there, and no payment has two rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa

from greywater.errors import StoreError, UsageError
from greywater.features.catalog import FeatureSet
from greywater.features.engine import Engine
from greywater.features.exposure import KnownLaunderers
from greywater.featurestore.commit_quality import described
from greywater.featurestore.definitions import FeatureField, FeatureGroup
from greywater.pipeline.slices import engine_at
from greywater.stores.feature_ports import EVENT_TIME, KNOWN_TIME, GroupCommit, Offline
from greywater.stores.ports import Ledger
from greywater.vocab import FeatureBlock, Progress

__all__ = [
    "ROW_COLUMNS", "Backfilled", "KnownTime", "backfill", "chunk_key", "chunk_rows_of", "chunks_of", "covered",
    "group_rows", "missing_from", "payment_group", "settle_group",
]  # fmt: skip

Range = tuple[int, int]
#: From when on a payment's row counts as known: its event time (history loaded in bulk) or when it was recorded (live).
KnownTime = Literal["event_time", "recorded_time"]

KEY: Final = "tx_id"
#: Columns of the transaction table that a group's rows need besides what the engine reads.
ROW_COLUMNS: Final = (KEY, "recorded_time")
#: Payments a block, and bytes of feature columns a commit: about.
BLOCK_ROWS: Final = 32_768
COMMIT_BYTES: Final = 1 << 28


@dataclass(frozen=True)
class Backfilled:
    """What a backfill did.

    Parameters
    ----------
    payments : int
        Payments worked out now.
    rows : int
        Rows written; payments with a party outside the bank have none.
    commits : int
        Commits made.
    present : int
        Payments of the range that earlier commits covered.
    """

    payments: int = 0
    rows: int = 0
    commits: int = 0
    present: int = 0

    def __add__(self, other: Backfilled) -> Backfilled:
        return Backfilled(
            self.payments + other.payments,
            self.rows + other.rows,
            self.commits + other.commits,
            self.present + other.present,
        )


def payment_group(features: FeatureSet, version: int = 1) -> FeatureGroup:
    """The group of a feature set: one row a payment, keyed by its id. That of chosen features has a name of its own.

    Examples
    --------
    >>> from greywater.config import Settings
    >>> from greywater.features.catalog import payments_v1
    >>> group = payment_group(payments_v1(Settings(), 1))
    >>> group.name, group.keys, group.by_name["sender.out.sum.7d"].unit
    ('payments_v1', ('tx_id',), 'minor units')
    """
    fields = tuple(
        FeatureField(one.name, one.dtype, one.unit, one.description, tags=(one.family, *one.typologies))
        for one in features.features
    )
    name = features.name.replace("-", "_")
    return FeatureGroup(
        name if features.chosen is None else f"{name}_chosen",
        version,
        (KEY,),
        ("string",),
        fields,
        description=f"what was known of a payment at its moment: the features {features.name}",
        tags=("payments", features.fingerprint),
    )


def settle_group(offline: Offline, features: FeatureSet) -> FeatureGroup:
    """The version of the set's group that holds, or can hold, rows of exactly these features; made where there is none.

    Other windows, another time zone or another cap are other features under the same name: they get the next version.
    """
    name = payment_group(features).name
    versions = [version for group, version in offline.versions() if group == name]
    for version in sorted(versions, reverse=True):
        prints = {commit.meta.get("features") for commit in offline.commits(name, version)}
        group = payment_group(features, version)
        known = offline.layout(name, version)
        same = known is not None and known.features.equals(group.layout.features)
        if same and prints <= {features.fingerprint}:
            return group
    group = payment_group(features, max(versions, default=0) + 1)
    offline.create(group.layout)
    return group


def covered(commits: Sequence[GroupCommit], fingerprint: str) -> list[Range]:
    """The payments whose rows are there: rising ranges [start, stop) that do not touch.

    Raises
    ------
    StoreError
        A payment was written twice, or the group holds rows of other features.
    """
    ranges: list[Range] = []
    for commit in commits:
        meta = commit.meta
        if "start" not in meta or "stop" not in meta:
            continue
        if meta.get("features") != fingerprint:
            raise StoreError(
                f"the group holds rows of the features {meta.get('features')}, not of {fingerprint}",
                mend="backfill into another version of the group",
            )
        spans = meta.get("ranges") or [[meta["start"], meta["stop"]]]
        ranges += [(int(start), int(stop)) for start, stop in spans]
    joined: list[Range] = []
    for start, stop in sorted(ranges):
        if joined and start < joined[-1][1]:
            raise StoreError(
                f"payments {start} to {min(stop, joined[-1][1])} have two rows",
                mend="backfill into a new version of the group",
            )
        if joined and start == joined[-1][1]:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def missing_from(ranges: Sequence[Range], start: int, stop: int) -> list[Range]:
    """What of [start, stop) the rising ranges leave out.

    Examples
    --------
    >>> missing_from([(0, 3), (5, 9)], 2, 12)
    [(3, 5), (9, 12)]
    """
    gaps = []
    at = start
    for low, high in ranges:
        if low > at and at < stop:
            gaps.append((at, min(low, stop)))
        at = max(at, high)
    if at < stop:
        gaps.append((at, stop))
    return gaps


def chunk_rows_of(features: FeatureSet) -> int:
    """Payments a commit: whole blocks that take about COMMIT_BYTES."""
    return max(1, COMMIT_BYTES // (8 * len(features.names) * BLOCK_ROWS)) * BLOCK_ROWS


def chunks_of(span: Range, chunk_rows: int) -> Iterator[Range]:
    """Ranges that end at multiples of `chunk_rows`, whatever they begin at.

    Examples
    --------
    >>> list(chunks_of((7, 25), 10))
    [(7, 10), (10, 20), (20, 25)]
    """
    start, stop = span
    while start < stop:
        end = min((start // chunk_rows + 1) * chunk_rows, stop)
        yield start, end
        start = end


def chunk_key(fingerprint: str, span: Range) -> str:
    """The application transaction of a chunk."""
    return f"backfill-{fingerprint}-{span[0]:016d}-{span[1]:016d}"


def group_rows(payments: pa.RecordBatch, block: FeatureBlock, known_time: KnownTime) -> pa.RecordBatch:
    """The rows of a group: key, event time, known time, features of the scored payments.

    Parameters
    ----------
    payments : RecordBatch
        With ROW_COLUMNS and event_time.
    block : FeatureBlock
        Of the same payments.
    known_time : str
        The column that says from when on a row counts as known.
    """
    own = [payments.column(KEY), payments.column("event_time"), payments.column(known_time)]
    names = [KEY, EVENT_TIME, KNOWN_TIME, *block.columns.schema.names]
    rows = pa.RecordBatch.from_arrays([*own, *block.columns.columns], names=names)
    return rows if block.scored.all() else rows.filter(pa.array(block.scored))


def backfill(
    ledger: Ledger,
    features: FeatureSet,
    offline: Offline,
    group: FeatureGroup,
    *,
    start: int = 0,
    stop: int | None = None,
    known_time: KnownTime = "event_time",
    threads: int = 1,
    chunk_rows: int | None = None,
    meta: Mapping[str, Any] | None = None,
    known: KnownLaunderers | None = None,
    statistics: bool = False,
    progress: Progress | None = None,
) -> Backfilled:
    """Write the rows of the payments [start, stop) that are not there yet.

    One process at a time may fill a group; see that by a lock.

    Parameters
    ----------
    ledger : Ledger
        The payments.
    features : FeatureSet
        What to work out.
    offline : Offline
        Where to.
    group : FeatureGroup
        From `settle_group`.
    start, stop : int
        Range of payments; None = the ledger's end.
    known_time : {"event_time", "recorded_time"}
        From when on a row counts as known (SEMANTICS: Other records).
    threads : int
        Of the engine; writing has one more. Change no value.
    chunk_rows : int, optional
        Payments a commit. Changes no row.
    meta : mapping, optional
        What the commits tell besides their range and features, as JSON values.
    known : KnownLaunderers, optional
        Needed where the features hold exposure.
    statistics : bool
        Keep with each commit what its values are like (`commit_quality`); for 350 columns it costs more than all else.
    progress : Progress, optional
        Advanced by payments.

    Returns
    -------
    Backfilled

    Raises
    ------
    UsageError
        The ledger does not hold such a range.
    StoreError
        The group is of other features, or cannot be written.
    """
    end = ledger.next_seq if stop is None else stop
    if not 0 <= start <= end <= ledger.next_seq:
        raise UsageError(f"there are no payments {start} to {end}", mend=f"ask for some of 0 to {ledger.next_seq}")
    there = covered(offline.commits(group.name, group.version), features.fingerprint)
    gaps = missing_from(there, start, end)
    wanted = sum(high - low for low, high in gaps)
    if progress is not None:
        progress.step("working out features", wanted)
    told = {**(meta or {}), "features": features.fingerprint, "known_time": known_time}
    writer = _Writer(offline, group, told, statistics, progress)
    rows = chunk_rows or chunk_rows_of(features)
    with ThreadPoolExecutor(1, "greywater-backfill") as pool:
        for gap in gaps:
            engine = engine_at(ledger, features, *gap, threads=threads, known=known)
            _fill(ledger, engine, writer, pool, gap, rows, known_time)
        writer.settle()
    return writer.done + Backfilled(present=end - start - wanted)


def _fill(
    ledger: Ledger,
    engine: Engine,
    writer: _Writer,
    pool: ThreadPoolExecutor,
    gap: Range,
    chunk_rows: int,
    known_time: KnownTime,
) -> None:
    columns = list(dict.fromkeys([*engine.input_columns, *ROW_COLUMNS]))
    for chunk in chunks_of(gap, chunk_rows):
        parts = []
        for batch in ledger.scan(columns, start=chunk[0], stop=chunk[1], batch_rows=BLOCK_ROWS):
            parts.append(group_rows(batch, engine.process(batch), known_time))
        writer.hand_over(pool, chunk, pa.Table.from_batches(parts))


class _Writer:
    """Appends chunks on another thread, one at a time, while the next is worked out."""

    def __init__(
        self,
        offline: Offline,
        group: FeatureGroup,
        meta: Mapping[str, Any],
        statistics: bool,
        progress: Progress | None,
    ) -> None:
        self.done = Backfilled()
        self._offline = offline
        self._group = group
        self._meta = meta
        self._statistics = statistics
        self._progress = progress
        self._pending: Future[Backfilled] | None = None

    def hand_over(self, pool: ThreadPoolExecutor, chunk: Range, rows: pa.Table) -> None:
        """Wait for the chunk before, then begin with this one."""
        self.settle()
        self._pending = pool.submit(self._append, chunk, rows)

    def settle(self) -> None:
        """Wait until everything handed over is durable."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self.done += pending.result()

    def _append(self, chunk: Range, rows: pa.Table) -> Backfilled:
        key = chunk_key(str(self._meta["features"]), chunk)
        meta = {**self._meta, "start": chunk[0], "stop": chunk[1]}
        if self._statistics and rows.num_rows:
            meta |= described(rows, self._group)
        made = self._offline.append(self._group.name, self._group.version, rows, transaction=key, meta=meta)
        if self._progress is not None:
            self._progress.advance(chunk[1] - chunk[0])
        return Backfilled(chunk[1] - chunk[0], rows.num_rows if made is not None else 0, int(made is not None))
