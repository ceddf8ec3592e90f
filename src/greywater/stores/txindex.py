"""Where each transaction id is recorded: an index in LMDB from 128-bit fingerprints of ids to seq and content."""

from __future__ import annotations

import errno
import itertools
import json
import mmap
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import lmdb
import numpy as np

from greywater.errors import StoreDamagedError, StoreError
from greywater.stores.durable import error_number, make_folder, store_error, store_errors, sync_folder
from greywater.stores.fingerprints import UInt64Array
from greywater.stores.index_runs import SEGMENT_ROWS, find, merge, pack, sort_entries, sound, unpack
from greywater.vocab import Int64Array

__all__ = ["Staged", "TransactionIndex"]

FORMAT: Final = b"2"
ROOM_PER_ENTRY: Final = 48
LEAST_ROOM: Final = 64 << 20
LARGEST_RUN: Final = 1 << 24
SEGMENTS_PER_STEP: Final = 8
NO_ROOM: Final = 1 << 20
FIRST_MAP: Final = 256 << 20


@dataclass(frozen=True)
class _Run:
    """A sorted run: its number, how many entries, and the first key half of each of its segments."""

    number: int
    rows: int
    firsts: UInt64Array


class TransactionIndex:
    """The index of one ledger, on disk: id fingerprint (128 bits) -> seq and content fingerprint (128 bits).

    Each chunk adds a run of entries sorted by key; runs of like size are merged, so that there are few and each
    entry is rewritten a logarithmic number of times. A run is kept as segments of 65,536 entries, each one value of
    an LMDB database with a CRC-32. A look-up searches each run's segments as arrays, straight from LMDB's memory map.

    Beside them stand the secret key of the fingerprints, the id of the ledger, and the seq up to which the index is
    complete. The index is derived: it can always be made again from the ledger. LMDB's own locking is off (its lock
    file is a memory map, and a full disk would end the process there); the ledger's writer lock keeps other
    processes out.

    Parameters
    ----------
    folder : Path
        Where LMDB keeps its two files; made where missing.
    ledger_id : str
        Identity of the ledger the index belongs to.
    map_bytes : int
        First size of LMDB's memory map; it grows by itself.

    Raises
    ------
    StoreDamagedError
        The files are not an index of this ledger; remove the folder and make it again.
    StoreError
        The operating system refuses.
    """

    def __init__(self, folder: Path, *, ledger_id: str, map_bytes: int = FIRST_MAP) -> None:
        self.folder = folder
        self.map_bytes = map_bytes
        self.damaged = False
        self._complete = 0
        self._runs: list[_Run] = []
        make_folder(folder)
        self._refuse_short_file()
        try:
            self._env: Any = lmdb.open(
                str(folder), map_size=map_bytes, metasync=False, readahead=False, max_dbs=2, lock=False
            )
            self._refuse_short_file(self._env)
            self.map_bytes = int(self._env.info()["map_size"])
            self._segments: Any = self._env.open_db(b"segments")
            self._meta: Any = self._env.open_db(b"meta")
            sync_folder(folder)
            self._read_card(ledger_id)
        except lmdb.Error as error:
            self.close()
            raise self._trouble(error, "open the index of transaction ids") from error
        except BaseException:
            self.close()
            raise

    @property
    def complete(self) -> int:
        """Every payment with seq below this is in the index."""
        return self._complete

    @property
    def entries(self) -> int:
        """Number of ids held."""
        return sum(run.rows for run in self._runs)

    @property
    def key(self) -> bytes:
        """The 16 secret bytes of the fingerprints."""
        return self._key

    def lookup(self, keys: UInt64Array) -> tuple[Int64Array, UInt64Array]:
        """Find recorded payments.

        Parameters
        ----------
        keys : uint64[n, 2]
            Fingerprints of ids, in any order.

        Returns
        -------
        (int64[n], uint64[n, 2])
            The seq (-1 where unknown) and the content fingerprint (0 where unknown).
        """
        seqs = np.full(len(keys), -1, np.int64)
        contents = np.zeros((len(keys), 2), np.uint64)
        if len(keys) == 0 or self._complete == 0:
            return seqs, contents
        order = np.argsort(keys[:, 0])
        high, low = keys[order, 0], keys[order, 1]
        try:
            with self._env.begin(db=self._segments, buffers=True) as transaction:
                for run in self._runs:
                    for segment, some in _segments_of(run, high):
                        entries = unpack(transaction.get(_segment_key(run.number, segment)) or b"")
                        places = find(entries, high[some], low[some])
                        hit = np.flatnonzero(places >= 0)
                        rows, places = order[some][hit], places[hit]
                        seqs[rows] = entries[2][places].astype(np.int64)
                        contents[rows] = entries[3:, places].T
        except (lmdb.Error, ValueError, IndexError) as error:
            raise self._trouble(error, "look up transaction ids") from error
        return seqs, contents

    def stage(self, keys: UInt64Array, contents: UInt64Array, first_seq: int) -> Staged:
        """Put consecutive payments into a transaction that is neither visible nor durable before its `commit`.

        Parameters
        ----------
        keys, contents : uint64[n, 2]
            Fingerprints, in seq order; the ids must not be in the index.
        first_seq : int
            Must be where the index is complete up to.
        """
        if first_seq != self._complete:
            raise StoreError(f"the index is complete to {self._complete}, not to {first_seq}", where=str(self.folder))
        entries = sort_entries(keys, contents, first_seq)
        pieces = [entries[:, at : at + SEGMENT_ROWS] for at in range(0, len(keys), SEGMENT_ROWS)]
        run = _Run(self._next_run, len(keys), np.array([piece[0, 0] for piece in pieces], np.uint64))
        runs = [*self._runs, run] if len(keys) else self._runs
        self._make_room(len(keys))
        transaction = self._begin()
        try:
            for at, piece in enumerate(pieces):
                transaction.put(_segment_key(run.number, at), pack(piece), db=self._segments)
            self._write_card(transaction, runs, first_seq + len(keys))
            return Staged(self, transaction, runs, first_seq + len(keys))
        except lmdb.Error as error:
            transaction.abort()
            raise self._trouble(error, "write the index of transaction ids") from error
        except BaseException:
            transaction.abort()
            raise

    def check(self) -> str:
        """What is wrong with the entries, or "": every segment is read and its CRC-32 compared."""
        with self._env.begin(db=self._segments, buffers=True) as transaction:
            for run in self._runs:
                rows = 0
                for at in range(len(run.firsts)):
                    segment = transaction.get(_segment_key(run.number, at))
                    if segment is None or not sound(segment):
                        return f"segment {at} of run {run.number} of the index is not what was written"
                    rows += unpack(segment).shape[1]
                if rows != run.rows:
                    return f"run {run.number} of the index holds {rows} entries, not {run.rows}"
        return ""

    def close(self) -> None:
        """Close the files; the object cannot be used any more."""
        environment = getattr(self, "_env", None)
        if environment is not None:
            with suppress(lmdb.Error):
                environment.sync(True)
            environment.close()

    @staticmethod
    def remove(folder: Path) -> None:
        """Delete a damaged index, so that it is made again from the ledger."""
        with store_errors(folder, "remove a damaged index"):
            if folder.exists():
                shutil.rmtree(folder)

    def _read_card(self, ledger_id: str) -> None:
        with self._env.begin(db=self._meta) as transaction:
            card = {bytes(key): bytes(value) for key, value in transaction.cursor()}
        if not card:
            card = {
                b"format": FORMAT,
                b"key": secrets.token_bytes(16),
                b"ledger": ledger_id.encode(),
                b"state": b"[0, []]",
            }
            with self._begin() as transaction:
                for key, value in card.items():
                    transaction.put(key, value, db=self._meta)
        if card.get(b"format") != FORMAT or len(card.get(b"key", b"")) != 16:
            raise self._damage("the index has another format")
        if card.get(b"ledger") != ledger_id.encode():
            raise self._damage("the index belongs to another ledger")
        self._key = card[b"key"]
        try:
            self._complete, listed = json.loads(card.get(b"state", b""))
            self._runs = [self._read_run(number, rows) for number, rows in listed]
        except (ValueError, TypeError) as error:
            raise self._damage(f"the index does not say what it holds: {error}") from error
        self._drop_strays()

    def _read_run(self, number: int, rows: int) -> _Run:
        firsts = []
        with self._env.begin(db=self._segments, buffers=True) as transaction:
            for at in range(-(-rows // SEGMENT_ROWS)):
                segment = transaction.get(_segment_key(number, at))
                if segment is None:
                    raise ValueError(f"segment {at} of run {number} is missing")
                firsts.append(unpack(segment)[0, 0])
        return _Run(number, rows, np.array(firsts, np.uint64))

    def _drop_strays(self) -> None:
        """Remove segments of a merge that was never finished."""
        known = {run.number for run in self._runs}
        with self._env.begin(db=self._segments) as transaction, transaction.cursor() as cursor:
            strays = [key for key in cursor.iternext(keys=True, values=False) if _run_number(key) not in known]
        if strays:
            with self._begin() as transaction:
                for key in strays:
                    transaction.delete(key, db=self._segments)

    def _write_card(self, transaction: Any, runs: list[_Run], complete: int) -> None:
        state = [complete, [[run.number, run.rows] for run in runs]]
        transaction.put(b"state", json.dumps(state).encode(), db=self._meta)

    @property
    def _next_run(self) -> int:
        return max((run.number for run in self._runs), default=0) + 1

    def _begin(self) -> Any:
        return self._env.begin(write=True)

    def _merge_last(self) -> None:
        """Merge the last two runs for as long as they are of like size, in steps of bounded memory."""
        while len(self._runs) > 1:
            left, right = self._runs[-2:]
            if left.rows >= 2 * right.rows or left.rows + right.rows > LARGEST_RUN:
                return
            number, rows = self._next_run, 0
            firsts: list[np.uint64] = []
            self._make_room(left.rows + right.rows)
            merged = merge(self._stream(left), self._stream(right))
            while pieces := list(itertools.islice(merged, SEGMENTS_PER_STEP)):
                with self._begin() as transaction:
                    for piece in pieces:
                        transaction.put(_segment_key(number, len(firsts)), pack(piece), db=self._segments)
                        firsts.append(piece[0, 0])
                        rows += piece.shape[1]
            runs = [*self._runs[:-2], _Run(number, rows, np.array(firsts, np.uint64))]
            with self._begin() as transaction:
                for run in (left, right):
                    for at in range(len(run.firsts)):
                        transaction.delete(_segment_key(run.number, at), db=self._segments)
                self._write_card(transaction, runs, self._complete)
            self._runs = runs

    def _stream(self, run: _Run) -> Iterator[UInt64Array]:
        for at in range(len(run.firsts)):
            with self._env.begin(db=self._segments) as transaction:
                segment = transaction.get(_segment_key(run.number, at))
            if segment is None or not sound(segment):
                raise self._damage(f"segment {at} of run {run.number} of the index is not what was written")
            yield unpack(segment)

    def _refuse_short_file(self, environment: Any = None) -> None:
        """LMDB maps the file: reading past its end would end the process, so a cut-off file is refused first."""
        path = self.folder / "data.mdb"
        if not path.exists():
            return
        size = path.stat().st_size
        least = 2 * mmap.PAGESIZE
        if environment is not None:
            least = int(environment.stat()["psize"]) * (int(environment.info()["last_pgno"]) + 1)
        if 0 < size < least:
            raise self._damage(f"the index is cut off ({size} of {least} bytes)")

    def _make_room(self, count: int) -> None:
        # Pages freed by the last commit are not yet free for this one: the worst case is all anew beside the old.
        used = int(self._env.stat()["psize"]) * (int(self._env.info()["last_pgno"]) + 1)
        needed = used + count * ROOM_PER_ENTRY + LEAST_ROOM
        if needed > self.map_bytes:
            self._grow(max(needed, self.map_bytes * 2))

    def _grow(self, size: int) -> None:
        self.map_bytes = (size + 0xFFFFF) & ~0xFFFFF
        self._env.set_mapsize(self.map_bytes)

    def _damage(self, found: str) -> StoreDamagedError:
        self.damaged = True
        return StoreDamagedError(
            found, where=str(self.folder), mend="remove that folder; it is made again from the ledger on the next start"
        )

    def _trouble(self, error: Exception, doing: str) -> StoreError:
        damaged = (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.VersionMismatchError)
        if isinstance(error, (*damaged, ValueError, IndexError)):
            return self._damage(f"the index of transaction ids is damaged: {error}")
        if error_number(error) == errno.EIO or "Input/output" in str(error):
            # LMDB calls a write that was cut short by a full disk an input/output error.
            room = os.statvfs(self.folder)
            if room.f_bavail * room.f_frsize < NO_ROOM:
                return store_error(OSError(errno.ENOSPC, str(error)), self.folder, doing)
        return store_error(error, self.folder, doing)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Staged:
    """Entries that wait for the ledger's commit."""

    def __init__(self, index: TransactionIndex, transaction: Any, runs: list[_Run], complete: int) -> None:
        self._index = index
        self._transaction = transaction
        self._runs = runs
        self._complete = complete

    def commit(self) -> None:
        """Make the entries part of the index, and merge runs of like size.

        Raises
        ------
        StoreError
            The disk refuses; the index is completed when the ledger is opened again.
        """
        index = self._index
        try:
            self._transaction.commit()
            index._runs, index._complete = self._runs, self._complete
            index._merge_last()
        except (lmdb.Error, OSError) as error:
            raise index._trouble(error, "write the index of transaction ids") from error

    def abort(self) -> None:
        """Forget the entries."""
        self._transaction.abort()


def _segments_of(run: _Run, high: UInt64Array) -> Iterator[tuple[int, slice]]:
    """For each segment the slice of the sorted keys that may be in it; a key at a border is sought on both sides."""
    begins = np.searchsorted(high, run.firsts, side="left")
    ends = np.append(np.searchsorted(high, run.firsts[1:], side="right"), len(high))
    for segment, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        if end > begin:
            yield segment, slice(begin, end)


def _segment_key(run: int, segment: int) -> bytes:
    return run.to_bytes(8, "big") + segment.to_bytes(4, "big")


def _run_number(key: bytes) -> int:
    return int.from_bytes(key[:8], "big")
