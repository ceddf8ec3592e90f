"""Online records in LMDB: embedded, read from a memory map, every commit synced to the disk."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

import lmdb

from greywater.errors import GreywaterError, StoreDamagedError, StoreFullError
from greywater.stores.durable import error_number, make_folder, store_error, store_errors, sync_folder
from greywater.stores.online_rules import LONGEST_KEY, bad_key, closed, space_bytes

__all__ = ["LmdbOnline"]

#: Address space asked for. The file is only as large as what is in it.
MAP_BYTES: Final = 1 << 40
LEAST_MAP: Final = 1 << 28
MOST_SPACES: Final = 4_096
#: Bytes of the lock file: room for about a thousand readers. It is a memory map, so its room is taken at once: a full
#: disk would else end the process at its first write.
LOCK_BYTES: Final = 1 << 16
READERS: Final = 1_000
#: Read transactions kept for the next readers.
SPARE: Final = 32
NO_ROOM: Final = 1 << 20
MARKS: Final = b"marks"
SPACE: Final = b"space:"


@dataclass
class _Opened:
    """An environment of this process: LMDB allows one for each folder, so those who open it again share it."""

    environment: Any
    users: int


_opened: dict[str, _Opened] = {}
_opening = Lock()


class LmdbOnline:
    """The port Online over one LMDB folder, for many threads and processes at once.

    A read costs no system call: LMDB's read transactions are kept and renewed. One writer at a time; others wait. A
    process that is killed leaves the last commit, whole. Not for network file systems.

    Parameters
    ----------
    folder : Path
        Made where missing.
    map_bytes : int
        Most bytes the store can hold; halved until the operating system grants the address space.

    Raises
    ------
    StoreDamagedError
        The files are no LMDB or are cut off.
    StoreError
        The operating system refuses.
    """

    durability = "on the disk before put_many returns"

    def __init__(self, folder: Path, *, map_bytes: int = MAP_BYTES) -> None:
        self.folder = folder
        self._spaces: dict[str, Any] = {}
        self._guard = Lock()
        self._environment: Any = None
        make_folder(folder)
        self._real = str(folder.resolve())
        with _opening:
            shared = _opened.get(self._real)
            if shared is None:
                shared = _opened[self._real] = _Opened(self._open(map_bytes), 0)
            shared.users += 1
        self._environment = shared.environment
        try:
            self._marks: Any = self._environment.open_db(MARKS)
            self._environment.reader_check()
            sync_folder(folder)
        except BaseException as error:
            self.close()
            raise self._told(error, "open the online store") from error

    def get(self, space: str, key: bytes) -> bytes | None:
        """One record, or None."""
        database = self._spaces.get(space) or self._known(space)
        if database is None:
            return None
        try:
            # LMDB keeps the transaction for the next reader: this is no allocation and no system call.
            transaction = self._environment.begin()
            try:
                found: bytes | None = transaction.get(key, None, database)
            finally:
                transaction.abort()
        except lmdb.Error as error:
            raise self._told(error, "read a record") from error
        return found

    def get_many(self, space: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Several, in the order asked for, all as of one commit."""
        database = self._spaces.get(space) or self._known(space)
        if database is None:
            return [None] * len(keys)
        try:
            transaction = self._environment.begin(database)
            try:
                found: list[bytes | None] = list(map(transaction.get, keys))
            finally:
                transaction.abort()
        except lmdb.Error as error:
            raise self._told(error, "read records") from error
        return found

    def put_many(self, space: str, items: Iterable[tuple[bytes, bytes]], *, mark: bytes | None = None) -> int:
        """Write records and the mark in one commit, on the disk when this returns.

        Raises
        ------
        StoreFullError, StoreAccessError, StoreError
            Nothing of it is written then.
        """
        written = 0
        try:
            self._live().reader_check()
            database = self._made(space)
            with self._environment.begin(write=True) as transaction:
                with transaction.cursor(database) as cursor:
                    written, _ = cursor.putmulti(items)
                if mark is not None:
                    transaction.put(space_bytes(space), mark, db=self._marks)
        except (lmdb.Error, OSError) as error:
            raise self._told(error, "write records") from error
        return int(written)

    def delete_many(self, space: str, keys: Iterable[bytes]) -> int:
        """Remove records in one commit; returns how many were there."""
        database = self._known(space)
        listed = list(keys)
        if any(not 0 < len(key) <= LONGEST_KEY for key in listed):
            raise bad_key()
        if database is None:
            return 0
        try:
            with self._environment.begin(write=True) as transaction:
                return sum(transaction.delete(key, db=database) for key in listed)
        except (lmdb.Error, OSError) as error:
            raise self._told(error, "remove records") from error

    def scan(self, space: str) -> Iterator[tuple[bytes, bytes]]:
        """All records of a space as of one commit, by key. Pages written meanwhile are kept until it ends."""
        database = self._known(space)
        if database is None:
            return
        try:
            with self._environment.begin() as transaction, transaction.cursor(database) as cursor:
                yield from cursor
        except lmdb.Error as error:
            raise self._told(error, "read all records") from error

    def mark(self, space: str) -> bytes | None:
        """The mark of the last commit that gave one."""
        name = space_bytes(space)
        with self._live().begin(db=self._marks) as transaction:
            found: bytes | None = transaction.get(name)
        return found

    def drop(self, space: str) -> None:
        """Empty a space, its mark too, in one commit."""
        database = self._known(space)
        try:
            with self._environment.begin(write=True) as transaction:
                transaction.delete(space_bytes(space), db=self._marks)
                if database is not None:
                    # Its name stays, so that handles which other processes hold go on to mean it.
                    transaction.drop(database, delete=False)
        except (lmdb.Error, OSError) as error:
            raise self._told(error, "drop a space") from error

    def close(self) -> None:
        """Let go of the files; done again it does nothing."""
        with _opening:
            environment, self._environment = self._environment, None
            if environment is None:
                return
            self._spaces = {}
            shared = _opened[self._real]
            shared.users -= 1
            if not shared.users:
                del _opened[self._real]
                environment.close()

    def _live(self) -> Any:
        if self._environment is None:
            raise closed(f"lmdb:{self.folder}")
        return self._environment

    def _known(self, space: str) -> Any:
        """The database of a space, or None where nobody made it yet."""
        database = self._spaces.get(space)
        if database is not None:
            return database
        name = SPACE + space_bytes(space)
        environment = self._live()
        with self._guard:
            try:
                # Only a write transaction can open a database for all that follow, and it waits for the writer: so
                # one look without waiting first, for what is not there at all.
                with environment.begin() as transaction:
                    if transaction.get(name) is None:
                        return None
                database = environment.open_db(name, create=False)
            except lmdb.NotFoundError:
                return None
            except lmdb.Error as error:
                raise self._told(error, "open a space") from error
            self._spaces[space] = database
        return database

    def _made(self, space: str) -> Any:
        """The database of a space, made where missing."""
        database = self._known(space)
        if database is None:
            with self._guard:
                database = self._spaces[space] = self._environment.open_db(SPACE + space_bytes(space))
        return database

    def _open(self, map_bytes: int) -> Any:
        self._take_lock_room()
        self._refuse_short_file()
        options: dict[str, Any] = {
            "max_dbs": MOST_SPACES + 1,
            "max_readers": READERS,
            "max_spare_txns": SPARE,
            "readahead": False,
        }
        while True:
            try:
                environment = lmdb.open(self._real, map_size=map_bytes, **options)
                break
            except lmdb.Error as error:
                if error_number(error) != errno.ENOMEM and "Cannot allocate" not in str(error):
                    raise self._told(error, "open the online store") from error
                map_bytes //= 2
                if map_bytes < LEAST_MAP:
                    raise self._told(error, "open the online store") from error
        try:
            self._refuse_short_file(environment)
        except StoreDamagedError:
            environment.close()
            raise
        return environment

    def _take_lock_room(self) -> None:
        path = Path(self._real) / "lock.mdb"
        with store_errors(path, "make the lock file of the online store"):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                if os.fstat(handle).st_size < LOCK_BYTES:
                    os.posix_fallocate(handle, 0, LOCK_BYTES)
            finally:
                os.close(handle)

    def _refuse_short_file(self, environment: Any = None) -> None:
        """LMDB maps the file: reading past its end would end the process, so a cut-off file is refused first."""
        path = Path(self._real) / "data.mdb"
        size = path.stat().st_size if path.exists() else 0
        least = 2 * mmap.PAGESIZE
        if environment is not None:
            least = int(environment.stat()["psize"]) * (int(environment.info()["last_pgno"]) + 1)
        if 0 < size < least:
            raise self._damage(f"the online store is cut off ({size} of {least} bytes)")

    def _damage(self, found: str) -> StoreDamagedError:
        return StoreDamagedError(
            found,
            where=f"lmdb:{self.folder}",
            mend="move that folder away and materialize again; nothing is only in the online store",
        )

    def _told(self, error: BaseException, doing: str) -> BaseException:
        """The error of the tree that says the same; one that is in the tree already stays."""
        if isinstance(error, GreywaterError) or not isinstance(error, lmdb.Error | OSError):
            return error
        if isinstance(error, lmdb.BadValsizeError):
            return bad_key()
        if isinstance(error, lmdb.MapFullError):
            return StoreFullError(
                "the online store has reached the size it was opened with",
                where=f"lmdb:{self.folder}",
                mend="lift the limit of address space (ulimit -v), or drop spaces that no view reads",
            )
        damaged = (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.VersionMismatchError)
        if isinstance(error, damaged):
            return self._damage(f"the online store is damaged: {error}")
        if error_number(error) == errno.EIO or "Input/output" in str(error):
            # LMDB calls a write that was cut short by a full disk an input/output error.
            with suppress(OSError):
                room = os.statvfs(self._real)
                if room.f_bavail * room.f_frsize < NO_ROOM:
                    return store_error(OSError(errno.ENOSPC, str(error)), self.folder, doing)
        return store_error(error, self.folder, doing)
