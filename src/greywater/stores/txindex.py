"""Where each transaction id is recorded: an LMDB index from 128-bit id fingerprints to seq and content fingerprint."""

from __future__ import annotations

import errno
import mmap
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import lmdb
import numpy as np

from greywater.errors import StoreDamagedError, StoreError
from greywater.stores.durable import error_number, make_folder, store_error, store_errors, sync_folder
from greywater.stores.fingerprints import UInt64Array
from greywater.vocab import Int64Array

__all__ = ["Staged", "TransactionIndex"]

FORMAT: Final = b"1"
ENTRY_BYTES: Final = 24
ROOM_PER_ENTRY: Final = 512
LEAST_ROOM: Final = 16 << 20
NO_ROOM: Final = 1 << 20
FIRST_MAP: Final = 256 << 20


class TransactionIndex:
    """The index of one ledger, on disk, with memory bounded by the operating system's page cache.

    Entries: key = fingerprint of tx_id (16 bytes, big-endian), value = seq (int64) and the content fingerprint
    (2 x uint64), little-endian. Beside them stand the secret key of the fingerprints, the id of the ledger, and the
    seq up to which the index is complete. The index is derived: it can always be made again from the ledger.
    LMDB's own locking is off (its lock file is a memory map, and a full disk would end the process there); the
    ledger's writer lock keeps other processes out.

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
        make_folder(folder)
        self._refuse_short_file()
        try:
            self._env: Any = lmdb.open(
                str(folder), map_size=map_bytes, metasync=False, readahead=False, max_dbs=2, lock=False
            )
            self._refuse_short_file(self._env)
            self.map_bytes = int(self._env.info()["map_size"])
            self._ids: Any = self._env.open_db(b"ids")
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
        with self._env.begin() as transaction:
            return int(transaction.stat(self._ids)["entries"])

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
        order = np.argsort(keys[:, 0], kind="stable")
        wanted = _key_list(keys[order])
        try:
            with self._env.begin(db=self._ids) as transaction, transaction.cursor() as cursor:
                found: list[tuple[bytes, bytes]] = cursor.getmulti(wanted)
        except lmdb.Error as error:
            raise self._trouble(error, "look up transaction ids") from error
        if not found:
            return seqs, contents
        if len(found) == len(wanted):
            places, values = order, [value for _, value in found]
        else:
            held = dict(found)
            hits = [at for at, key in enumerate(wanted) if key in held]
            places, values = order[hits], [held[wanted[at]] for at in hits]
        packed = np.frombuffer(b"".join(values), "<u8").reshape(-1, 3)
        seqs[places] = packed[:, 0].astype(np.int64)
        contents[places] = packed[:, 1:]
        return seqs, contents

    def stage(self, keys: UInt64Array, contents: UInt64Array, first_seq: int, *, strict: bool = True) -> Staged:
        """Put consecutive payments into a transaction that is neither visible nor durable before its `commit`.

        Parameters
        ----------
        keys, contents : uint64[n, 2]
            Fingerprints, in seq order.
        first_seq : int
            Must be where the index is complete up to.
        strict : bool
            Refuse an id that is there already; a rebuild lets it pass, `check` counts it.
        """
        if first_seq != self._complete:
            raise StoreError(f"the index is complete to {self._complete}, not to {first_seq}", where=str(self.folder))
        order = _order(keys)
        values = np.empty((len(keys), 3), "<u8")
        values[:, 0] = (np.arange(first_seq, first_seq + len(keys)))[order]
        values[:, 1:] = contents[order]
        key_list, value_list = _key_list(keys[order]), values.view(f"V{ENTRY_BYTES}").ravel().tolist()
        stop = first_seq + len(keys)
        self._make_room(len(keys))
        while True:
            transaction = self._env.begin(write=True)
            try:
                with transaction.cursor(self._ids) as cursor:
                    _, added = cursor.putmulti(zip(key_list, value_list, strict=True), dupdata=False, overwrite=False)
                if strict and added != len(keys):
                    raise self._damage(f"{len(keys) - added} ids are in the index that were not found in it")
                transaction.put(b"complete", str(stop).encode(), db=self._meta)
                return Staged(self, transaction, stop)
            except lmdb.MapFullError:
                transaction.abort()
                self._grow(self.map_bytes * 2)
            except lmdb.Error as error:
                transaction.abort()
                raise self._trouble(error, "write the index of transaction ids") from error
            except BaseException:
                transaction.abort()
                raise

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
                b"complete": b"0",
            }
            with self._env.begin(db=self._meta, write=True) as transaction:
                for key, value in card.items():
                    transaction.put(key, value)
        if card.get(b"format") != FORMAT or len(card.get(b"key", b"")) != 16:
            raise self._damage("the index has another format")
        if card.get(b"ledger") != ledger_id.encode():
            raise self._damage("the index belongs to another ledger")
        complete = card.get(b"complete", b"")
        if not complete.isdigit():
            raise self._damage("the index does not say how far it goes")
        self._key = card[b"key"]
        self._complete = int(complete)

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
        # Random keys touch any page: in the worst case a commit writes every page anew before old ones are free.
        used = int(self._env.stat()["psize"]) * (int(self._env.info()["last_pgno"]) + 1)
        needed = 2 * used + count * ROOM_PER_ENTRY + LEAST_ROOM
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

    def _trouble(self, error: lmdb.Error, doing: str) -> StoreError:
        damaged = (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.VersionMismatchError)
        if isinstance(error, damaged):
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

    def __init__(self, index: TransactionIndex, transaction: Any, stop: int) -> None:
        self._index = index
        self._transaction = transaction
        self._stop = stop

    def commit(self) -> None:
        """Make the entries part of the index.

        Raises
        ------
        StoreError
            The disk refuses; the index then stays as it was, and is completed when the ledger is opened again.
        """
        try:
            self._transaction.commit()
        except lmdb.Error as error:
            raise self._index._trouble(error, "write the index of transaction ids") from error
        self._index._complete = self._stop

    def abort(self) -> None:
        """Forget the entries."""
        self._transaction.abort()


def _order(keys: UInt64Array) -> Int64Array:
    """The order of the keys as 128-bit numbers; equal first halves are rare, so the second is seldom looked at."""
    order = np.argsort(keys[:, 0], kind="stable")
    high = keys[order, 0]
    if (high[1:] == high[:-1]).any():
        order = np.lexsort((keys[:, 1], keys[:, 0]))
    return order


def _key_list(keys: UInt64Array) -> list[bytes]:
    """Keys as big-endian bytes, so that LMDB's order is that of the numbers."""
    listed: list[bytes] = np.ascontiguousarray(keys).astype(">u8").view("V16").ravel().tolist()
    return listed
