"""The ledger as a Delta table: payments recorded once, in order, each chunk in one durable commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import pyarrow as pa

from greywater.errors import StoreDamagedError, StoreError
from greywater.stores.admission import Admission, Limits, admit
from greywater.stores.delta_parts import Encoded, PartTable
from greywater.stores.durable import make_folder
from greywater.stores.fingerprints import CONTENT_COLUMNS, content_fingerprints, id_fingerprints
from greywater.stores.ledger_check import check_payments
from greywater.stores.lock import WriterLock
from greywater.stores.part_reader import pick_columns, rows_naming, scan_parts, take_rows
from greywater.stores.ports import Appended, Finding, Unsequenced
from greywater.stores.txindex import Staged, TransactionIndex
from greywater.vocab import TRANSACTION_SCHEMA, Int64Array

__all__ = ["DeltaLedger"]

APPLICATION: Final = "greywater.ledger"
LEDGER_FOLDER: Final = "ledger"
INDEX_FOLDER: Final = "tx_index"
MENDED_FOLDER: Final = "mended"
LOCK_NAME: Final = "ledger.lock"
INDEX_ROWS: Final = 131_072
CHECK_SAMPLE: Final = 4_096


class DeltaLedger:
    """Payments in a Delta table under `<folder>/ledger`, with an index of their ids under `<folder>/tx_index`.

    Parameters
    ----------
    folder : Path
        The project's folder; made where missing.
    max_ahead_us : int
        A payment dated more than this many microseconds after its recorded time is refused (`future_time`).
    max_jump_us : int or None
        A payment dated more than this beyond H is refused (`time_jump`); None allows any jump.
    read_only : bool
        Change nothing; the ledger is the one that stood there at opening.
    wait_seconds : float
        How long to wait for another writer to end.

    Attributes
    ----------
    mended : tuple of str
        What opening found broken and put right, in sentences.

    Raises
    ------
    StoreLockedError
        Another process writes to this ledger.
    StoreDamagedError
        Files are missing or changed in a way that cannot be mended without losing recorded payments.

    Notes
    -----
    SEMANTICS.md: Order at recording, Identity. Opening for writing finishes what a killed writer began: see
    docs/reliability.md.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_ahead_us: int,
        max_jump_us: int | None,
        read_only: bool = False,
        wait_seconds: float = 0.0,
    ) -> None:
        self.folder = folder
        self.read_only = read_only
        self.mended: tuple[str, ...] = ()
        self._limits = Limits(max_ahead_us, max_jump_us)
        self._lock = WriterLock(folder, wait_seconds=wait_seconds, name=LOCK_NAME)
        self._index: TransactionIndex | None = None
        self._stale = False
        self._horizon: int | None = None
        if not read_only:
            make_folder(folder)
            self._lock.acquire()
        try:
            self._parts = self._open()
        except BaseException:
            self.close()
            raise

    @property
    def next_seq(self) -> int:
        """The sequence number the next recorded payment gets; dense from 0."""
        return self._parts.rows

    @property
    def horizon(self) -> int | None:
        """H: the greatest event time recorded so far, microseconds since 1970; None when empty."""
        return self._horizon

    def append(self, chunk: Unsequenced) -> Appended:
        """Record a chunk in one commit. When this returns, the rows survive a kill and a power cut.

        Parameters
        ----------
        chunk : Unsequenced
            TRANSACTION_SCHEMA without seq, plus `file` and `row`.

        Returns
        -------
        Appended
            The rows with their seq; which offered rows were kept or known; the refused ones with their reasons.

        Raises
        ------
        StoreFullError, StoreAccessError, StoreError
            Nothing was acknowledged. The same call may be made again: what had been recorded after all is then
            known, and nothing is recorded twice.
        """
        if self.read_only:
            raise StoreError(
                "the ledger was opened for reading only", where=str(self.folder), mend="open it without read_only"
            )
        if self._stale:
            self._reopen()
        try:
            return self._append(chunk)
        except StoreDamagedError:
            if self._index is None or not self._index.damaged:
                raise
            TransactionIndex.remove(self._close_index())
            self._reopen()
            return self._append(chunk)

    def scan(
        self,
        columns: Sequence[str] | None = None,
        *,
        start: int = 0,
        stop: int | None = None,
        batch_rows: int = 131_072,
    ) -> Iterator[pa.RecordBatch]:
        """Recorded payments with start <= seq < stop, in seq order, in batches of exactly `batch_rows` but the last.

        Memory holds about one batch, whatever the length of the ledger.
        """
        schema = pick_columns(TRANSACTION_SCHEMA, columns, self._parts.folder)
        end = self.next_seq if stop is None else min(stop, self.next_seq)
        return scan_parts(self._parts.folder, tuple(self._parts.parts), schema, max(start, 0), end, batch_rows)

    def take(self, seqs: Int64Array, columns: Sequence[str] | None = None) -> pa.Table:
        """The payments with these seq, in the order asked for; only the row groups that hold them are read."""
        schema = pick_columns(TRANSACTION_SCHEMA, columns, self._parts.folder)
        return take_rows(self._parts.folder, self._parts.parts, schema, seqs)

    def payments_of(self, accounts: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
        """The payments that any of these accounts sent or received, in seq order.

        The whole ledger's two party columns are read, a row group at a time: ask for many accounts at once.
        """
        seqs = rows_naming(self._parts.folder, self._parts.parts, ("sender", "receiver"), accounts)
        return self.take(seqs, columns)

    def file_uris(self) -> list[str]:
        """The Parquet files in seq order, for DuckDB, Polars or Spark."""
        return self._parts.file_uris()

    def check(self) -> list[Finding]:
        """Verify commits, SHA-256 of every data file, seq, amounts, times and the index; empty = all is well.

        Opened for reading only, the index is left out: it belongs to the writer.
        """
        if self._stale:
            self._reopen()
        findings = self._parts.check()
        spoilt = {finding.where for finding in findings}
        sound = [part for part in self._parts.parts if str(self._parts.folder / part.name) not in spoilt]
        findings += check_payments(self._parts, sound)
        if self._index is not None and not findings:
            findings += self._check_index(self._index)
        return findings

    def close(self) -> None:
        """Close the files and let the next writer in."""
        self._close_index()
        self._lock.release()

    def _append(self, chunk: Unsequenced) -> Appended:
        index = self._index
        if index is None:
            raise StoreError("the ledger is closed", where=str(self.folder), mend="open it again")
        admission = admit(
            chunk.payments,
            next_seq=self.next_seq,
            horizon=self._horizon,
            limits=self._limits,
            lookup=index.lookup,
            key=index.key,
        )
        if admission.appended.recorded.num_rows:
            try:
                self._commit(admission, index)
            except BaseException:
                self._stale = True
                raise
            self._horizon = admission.horizon
            self._parts.checkpoint()
        return admission.appended

    def _commit(self, admission: Admission, index: TransactionIndex) -> None:
        """Data file, commit, index: in this order, each on the disk before the next."""
        recorded = admission.appended.recorded
        staged: Staged | None = None
        with ThreadPoolExecutor(1) as beside:
            writing = beside.submit(self._write, recorded, admission.horizon)
            try:
                staged = index.stage(admission.keys, admission.contents, self.next_seq)
                encoded = writing.result()
            except BaseException:
                if staged is not None:
                    staged.abort()
                if writing.exception() is None:
                    self._parts.discard(writing.result())
                raise
        try:
            self._parts.register(encoded)
        except BaseException:
            staged.abort()
            raise
        try:
            staged.commit()
        except StoreError:
            # The chunk is recorded; the index is completed before anything else is.
            self._stale = True

    def _write(self, recorded: pa.Table, horizon: int | None) -> Encoded:
        encoded = self._parts.encode(recorded, {"horizon": horizon})
        self._parts.store(encoded)
        return encoded

    def _reopen(self) -> None:
        self._close_index()
        self._parts = self._open()
        self._stale = False

    def _close_index(self) -> Path:
        if self._index is not None:
            self._index.close()
        self._index = None
        return self.folder / INDEX_FOLDER

    def _open(self) -> PartTable:
        parts = PartTable(
            self.folder / LEDGER_FOLDER,
            TRANSACTION_SCHEMA,
            application=APPLICATION,
            aside=self.folder / MENDED_FOLDER,
            read_only=self.read_only,
        )
        if not self.read_only:
            self._index = self._open_index(parts)
            if self._index.complete > parts.rows:
                self._adopt_lost(parts, self._index)
            parts.set_orphans_aside()
            self._catch_up(parts, self._index)
        self._horizon = parts.footer(parts.parts[-1])["horizon"] if parts.parts else None
        self.mended += tuple(parts.mended)
        parts.mended.clear()
        return parts

    def _open_index(self, parts: PartTable) -> TransactionIndex:
        folder = self.folder / INDEX_FOLDER
        try:
            index = TransactionIndex(folder, ledger_id=parts.identity)
            if index.entries == index.complete:
                return index
            index.close()
            why = "the index of transaction ids lacked entries"
        except StoreDamagedError as error:
            why = error.found
        TransactionIndex.remove(folder)
        parts.mended.append(f"{why}; it was made again from the ledger")
        return TransactionIndex(folder, ledger_id=parts.identity)

    def _adopt_lost(self, parts: PartTable, index: TransactionIndex) -> None:
        """The index is only ever written after a commit: where it knows more than the ledger, commits were lost."""
        had = parts.rows
        while index.complete > parts.rows and (name := parts.adopt_next()):
            parts.mended.append(f"a commit was missing; its data file {name} is registered again")
        if index.complete > parts.rows:
            raise StoreDamagedError(
                f"payments {had} to {index.complete - 1} were recorded, but their commits are gone",
                where=str(parts.folder),
                mend=f"put the ledger back from a backup, or accept the loss by removing {index.folder}",
            )

    def _catch_up(self, parts: PartTable, index: TransactionIndex) -> None:
        schema = pick_columns(TRANSACTION_SCHEMA, ("tx_id", *CONTENT_COLUMNS), parts.folder)
        for batch in scan_parts(parts.folder, parts.parts, schema, index.complete, parts.rows, INDEX_ROWS):
            rows = pa.Table.from_batches([batch])
            keys = id_fingerprints(rows["tx_id"], index.key)
            index.stage(keys, content_fingerprints(rows, index.key), index.complete).commit()

    def _check_index(self, index: TransactionIndex) -> list[Finding]:
        mend = "remove that folder; the index is made again from the ledger on the next start"
        if index.entries != self.next_seq:
            found = f"the index holds {index.entries} transaction ids for {self.next_seq} payments"
            return [Finding(str(index.folder), found, mend)]
        if found := index.check():
            return [Finding(str(index.folder), found, mend)]
        seqs = np.unique(np.linspace(0, max(self.next_seq - 1, 0), min(CHECK_SAMPLE, self.next_seq)).astype(np.int64))
        rows = self.take(seqs, ("tx_id", *CONTENT_COLUMNS))
        found_seqs, contents = index.lookup(id_fingerprints(rows["tx_id"], index.key))
        wrong = (found_seqs != seqs) | (contents != content_fingerprints(rows, index.key)).any(axis=1)
        if wrong.any():
            found = f"the index disagrees with the ledger about payment {int(seqs[np.flatnonzero(wrong)[0]])}"
            return [Finding(str(index.folder), found, mend)]
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
