"""Offers payments to the ledger in their order and keeps account of each: recorded, known, refused, labelled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.app.known import Horizons, expected_ids
from greywater.app.settling import Settled
from greywater.app.spill import RowSpill
from greywater.app.wiring import Project
from greywater.stores.ports import Tables, Unsequenced
from greywater.vocab import LABEL_SCHEMA, REJECTED_SCHEMA, TRANSACTION_SCHEMA, Counts, Int64Array, Progress

__all__ = ["Recorder", "Rejection", "write_labels", "write_rejected"]

_DAY_US: Final = 86_400_000_000
_MOMENT: Final = pa.timestamp("us", tz="UTC")
_SEPARATOR: Final = "\x1f"

#: A label on its way; `seen` where its payment had been recorded before.
_LABEL_ROWS: Final = pa.schema(
    [
        pa.field("tx_id", pa.string(), nullable=False),
        pa.field("label", pa.int8(), nullable=False),
        pa.field("typology", pa.string()),
        pa.field("known_since", pa.int64(), nullable=False),
        pa.field("place", pa.int64(), nullable=False),
        pa.field("seen", pa.bool_(), nullable=False),
    ]
)


@dataclass
class _Tally:
    """Counts per file: int64[files] each."""

    recorded: Int64Array
    duplicate: Int64Array
    rejected: Int64Array
    without_rate: Int64Array
    resumed: Int64Array


class Recorder:
    """Records batches of spilled payments, one commit each.

    Parameters
    ----------
    project : Project
        Open for writing.
    names : sequence of str
        Base name of each file, by position.
    settled : Settled
        What they are counted in.
    folder : Path
        Where rejected rows and labels are kept until they are written.
    spans : tuple of (int, int)
        Ranges of seq that interrupted attempts of the same ingest recorded.
    """

    def __init__(
        self, project: Project, names: Sequence[str], settled: Settled, folder: Path, spans: tuple[tuple[int, int], ...]
    ) -> None:
        self._project = project
        self._names = pa.array(names, pa.string())
        self._settled = settled
        self._tally = _Tally(*(np.zeros(len(names), dtype=np.int64) for _ in range(5)))
        self._earlier = _Earlier(expected_ids(project.ledger, spans)) if spans else None
        self._offered = 0
        self._start, self._horizon = project.ledger.next_seq, project.ledger.horizon
        self._label_floor: int | None = None
        self.labels_in_order = True
        self.rejected = RowSpill(folder / "refused.arrow", REJECTED_SCHEMA)
        self.labels = RowSpill(folder / "labels.arrow", _LABEL_ROWS)

    @property
    def resumed(self) -> int:
        """Payments that an interrupted attempt had recorded."""
        return int(self._tally.resumed.sum())

    def record(self, batch: pa.RecordBatch) -> None:
        """Offer a batch; when this returns, its payments survive a kill and a power cut."""
        offered = self._offer(batch)
        appended = self._project.ledger.append(Unsequenced(offered))
        kept = appended.kept.to_numpy(zero_copy_only=False)
        known = appended.known.to_numpy(zero_copy_only=False)
        mine = self._earlier.among(batch["tx_id"], known) if self._earlier else np.zeros(len(kept), dtype=np.bool_)
        self._count(batch, offered, kept, known, mine)
        self.rejected.append(appended.rejected)
        self._keep_labels(batch, kept, known)
        self._offered += batch.num_rows

    def counts(self, place: int, parsed: Counts) -> Counts:
        """What became of the rows of a file; `parsed` holds what its reader counted."""
        tally = self._tally
        return parsed + Counts(
            recorded=int(tally.recorded[place]),
            duplicate=int(tally.duplicate[place]),
            rejected=int(tally.rejected[place]),
            without_rate=int(tally.without_rate[place]),
        )

    def horizons(self, earliest: int) -> Horizons:
        """For moments from `earliest` on; what lies before this recording is read only where they reach back."""
        if self._horizon is not None and earliest >= self._horizon:
            return Horizons(self._project.ledger, start=self._start, horizon=self._horizon)
        return Horizons(self._project.ledger)

    def refused(self, place: int) -> int:
        """Rows of a file that the ledger refused."""
        return int(self._tally.rejected[place])

    def _offer(self, batch: pa.RecordBatch) -> pa.Table:
        now = pa.scalar(datetime.now(UTC), _MOMENT)
        columns = {
            "recorded_time": pa.repeat(now, batch.num_rows),
            "base_amount": self._settled.base_amounts(batch),
            "file": pa.DictionaryArray.from_arrays(batch["file"], self._names),
        }
        names = [name for name in TRANSACTION_SCHEMA.names if name != "seq"] + ["file", "row"]
        return pa.table({name: columns[name] if name in columns else batch[name] for name in names})

    def _count(
        self,
        batch: pa.RecordBatch,
        offered: pa.Table,
        kept: NDArray[np.bool_],
        known: NDArray[np.bool_],
        mine: NDArray[np.bool_],
    ) -> None:
        files = batch["file"].to_numpy()
        worthless = offered["base_amount"].is_null().to_numpy()
        tally, ours = self._tally, kept | mine
        for total, rows in (
            (tally.recorded, ours),
            (tally.duplicate, known & ~mine),
            (tally.rejected, ~(kept | known)),
            (tally.without_rate, ours & worthless),
            (tally.resumed, mine),
        ):
            total += np.bincount(files[rows], minlength=len(total))

    def _keep_labels(self, batch: pa.RecordBatch, kept: NDArray[np.bool_], known: NDArray[np.bool_]) -> None:
        labels = batch["label"]
        if labels.null_count == len(labels):
            return
        rows = np.flatnonzero((kept | known) & labels.is_valid().to_numpy(zero_copy_only=False))
        if not len(rows):
            return
        chosen = pa.array(rows)
        delay = self._project.settings.label_delay_days * _DAY_US
        known_since = batch["event_time"].cast(pa.int64()).to_numpy()[rows] + delay
        if self.labels_in_order:
            first = known_since[0] if self._label_floor is None else max(self._label_floor, known_since[0])
            self.labels_in_order = bool(first == known_since[0] and (np.diff(known_since) >= 0).all())
            self._label_floor = int(known_since[-1])
        columns = [
            batch["tx_id"].take(chosen),
            labels.take(chosen),
            batch["typology"].take(chosen),
            pa.array(known_since),
            pa.array(rows + self._offered),
            pa.array(known[rows]),
        ]
        self.labels.append(pa.Table.from_arrays(columns, schema=_LABEL_ROWS))


class _Earlier:
    """Tells which of the known payments an interrupted attempt of the same ingest recorded.

    That attempt offered the same payments in the same order, so the ids it recorded are met in their order.
    """

    def __init__(self, expected: Iterator[pa.Array]) -> None:
        self._expected = expected
        self._held: pa.Array = pa.array([], pa.string())

    def among(self, tx_ids: pa.Array, known: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Bool[n]: True at the first offer of each id that the attempt recorded."""
        mine = np.zeros(len(known), dtype=np.bool_)
        places = np.flatnonzero(known)
        while len(self._held) < len(places):
            batch = next(self._expected, None)
            if batch is None:
                break
            self._held = pa.concat_arrays([self._held, batch])
        if not len(places) or not len(self._held):
            return mine
        pool = self._held.slice(0, len(places))
        found = pc.index_in(pool, value_set=tx_ids.take(pa.array(places)))
        first = found.drop_null().to_numpy(zero_copy_only=False)
        mine[places[first]] = True
        self._held = self._held.slice(len(first))
        return mine


@dataclass(frozen=True)
class Rejection:
    """Rows set aside for one reason, with the first of them.

    Parameters
    ----------
    reason : str
        Short code.
    count : int
        Rows set aside for it.
    file, row, column, value, message
        Of the first of them, as in the table `rejected`.
    """

    reason: str
    count: int
    file: str
    row: int
    column: str
    value: str | None
    message: str


def write_rejected(
    tables: Tables, spill: RowSpill, *, ingest: str, kind: str, piece_rows: int, again: bool = False
) -> list[Rejection]:
    """Write rows set aside, a piece a commit; a second call under the same ingest and kind adds nothing.

    Parameters
    ----------
    tables : Tables
        Of the project.
    spill : RowSpill
        REJECTED_SCHEMA.
    ingest, kind : str
        Digest of the ingest, and which of its rejected rows these are.
    piece_rows : int
        Rows per commit.
    again : bool
        The files were recorded before: leave out rows that the table holds for the same reason.

    Returns
    -------
    list of Rejection
        One a reason, in the order in which they were met.
    """
    found: dict[str, Rejection] = {}
    for number, batch in enumerate(spill.batches(piece_rows)):
        for group in batch["reason"].value_counts():
            reason, count = group["values"].as_py(), group["counts"].as_py()
            if reason in found:
                found[reason] = replace(found[reason], count=found[reason].count + count)
            else:
                first = batch.slice(batch["reason"].index(reason).as_py(), 1).to_pylist()[0]
                found[reason] = Rejection(count=count, **first)
        rows = pa.Table.from_batches([batch])
        if again:
            columns = ("file", "row", "reason")
            rows = rows.filter(pa.array(~_held(tables, "rejected", columns, _joined(rows, columns))))
        if rows.num_rows:
            tables.append("rejected", rows, transaction=f"{ingest}/{kind}/{number}")
    return list(found.values())


def write_labels(project: Project, recorder: Recorder, *, ingest: str, piece_rows: int, progress: Progress) -> int:
    """Write the labels that came with the payments, a piece a commit; a second call adds nothing.

    Parameters
    ----------
    project : Project
        Open for writing, the payments recorded.
    recorder : Recorder
        That recorded them.
    ingest : str
        Digest of the ingest.
    piece_rows : int
        Rows per commit.
    progress : Progress
        Told of every row.

    Returns
    -------
    int
        Labels that were new.
    """
    spill, settings = recorder.labels, project.settings
    batches = spill.batches(piece_rows)
    if not recorder.labels_in_order:
        batches = spill.ordered(
            ["known_since", "place"],
            folder=spill.path.parent / "labels",
            memory_mb=settings.sort_memory_mb,
            threads=settings.worker_threads,
            batch_rows=piece_rows,
        )
    horizons: Horizons | None = None
    written = 0
    for number, batch in enumerate(batches):
        known_since = batch["known_since"].to_numpy()
        if horizons is None:
            horizons = recorder.horizons(int(known_since[0]))
        columns = {
            "tx_id": batch["tx_id"],
            "account": pa.nulls(batch.num_rows, pa.string()),
            "label": batch["label"],
            "typology": batch["typology"],
            "known_since": batch["known_since"].cast(_MOMENT),
            "after_seq": pa.array(horizons.after_seq(known_since)),
        }
        rows = pa.Table.from_arrays([columns[name] for name in LABEL_SCHEMA.names], schema=LABEL_SCHEMA)
        rows = rows.filter(pa.array(~_repeated(project.tables, rows, batch["seen"])))
        if rows.num_rows and project.tables.append("labels", rows, transaction=f"{ingest}/labels/{number}"):
            written += rows.num_rows
        progress.advance(batch.num_rows)
    return written


def _repeated(tables: Tables, rows: pa.Table, seen: pa.Array) -> NDArray[np.bool_]:
    """Bool[n]: labels of payments known before that repeat a recorded label, or an earlier one of these rows."""
    suspect = np.array(seen.to_numpy(zero_copy_only=False), dtype=np.bool_)
    if not suspect.any():
        return suspect
    columns = ("tx_id", "label", "typology")
    joined = _joined(rows, columns)
    _, first = np.unique(joined.dictionary_encode().indices.to_numpy(), return_index=True)
    repeated = np.ones(len(suspect), dtype=np.bool_)
    repeated[first] = False
    places = np.flatnonzero(suspect)
    repeated[places] |= _held(tables, "labels", columns, joined.take(pa.array(places)))
    return repeated & suspect


def _held(tables: Tables, name: str, columns: Sequence[str], joined: pa.Array) -> NDArray[np.bool_]:
    """Bool[n]: rows that a table holds already, told by some of its columns."""
    held = np.zeros(len(joined), dtype=np.bool_)
    for batch in tables.scan(name, list(columns)):
        others = _joined(pa.Table.from_batches([batch]), columns)
        held |= pc.is_in(joined, value_set=others).to_numpy(zero_copy_only=False)
    return held


def _joined(rows: pa.Table, columns: Sequence[str]) -> pa.Array:
    """Some columns as one text a row."""
    texts = [pc.fill_null(rows[name].cast(pa.string()), "") for name in columns]
    return pc.binary_join_element_wise(*texts, _SEPARATOR).combine_chunks()
