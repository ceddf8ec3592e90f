"""Online records in this process's memory: what the other adapters are measured against, and for trials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from threading import Lock

from greywater.stores.online_rules import bad_key, closed, key_checked, space_bytes

__all__ = ["MemoryOnline"]

WHERE = "memory:"


class MemoryOnline:
    """The port Online over dictionaries; everything is gone when the process ends.

    Examples
    --------
    >>> store = MemoryOnline()
    >>> store.put_many("risk", [(b"a", b"1"), (b"b", b"2")], mark=b"so far")
    2
    >>> store.get_many("risk", [b"b", b"c"]), store.mark("risk")
    ([b'2', None], b'so far')
    """

    durability = "nothing outlives the process"

    def __init__(self) -> None:
        self._spaces: dict[str, dict[bytes, bytes]] = {}
        self._marks: dict[str, bytes] = {}
        self._lock = Lock()
        self._closed = False

    def get(self, space: str, key: bytes) -> bytes | None:
        """One record, or None."""
        records = self._records(space)
        if not key:
            raise bad_key()
        return records.get(key)

    def get_many(self, space: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Several, in the order asked for, as they stood between two commits."""
        if b"" in keys:
            raise bad_key()
        with self._lock:
            records = self._records(space)
            return [records.get(key) for key in keys]

    def put_many(self, space: str, items: Iterable[tuple[bytes, bytes]], *, mark: bytes | None = None) -> int:
        """Write records and the mark: all of them, or none where one cannot be written."""
        space_bytes(space)
        listed = [(key_checked(bytes(key)), bytes(value)) for key, value in items]
        with self._lock:
            self._records(space)
            self._spaces.setdefault(space, {}).update(listed)
            if mark is not None:
                self._marks[space] = bytes(mark)
        return len(listed)

    def delete_many(self, space: str, keys: Iterable[bytes]) -> int:
        """Remove records; returns how many were there."""
        listed = [key_checked(bytes(key)) for key in keys]
        with self._lock:
            records = self._records(space)
            return sum(records.pop(key, None) is not None for key in listed)

    def scan(self, space: str) -> Iterator[tuple[bytes, bytes]]:
        """All records of a space, as they stood when the scan began, by key."""
        with self._lock:
            listed = sorted(self._records(space).items())
        yield from listed

    def mark(self, space: str) -> bytes | None:
        """The mark of the last commit that gave one."""
        self._records(space)
        return self._marks.get(space)

    def drop(self, space: str) -> None:
        """Remove a space with all in it, its mark too."""
        with self._lock:
            self._records(space)
            self._spaces.pop(space, None)
            self._marks.pop(space, None)

    def close(self) -> None:
        """Let go of everything."""
        self._closed = True
        self._spaces, self._marks = {}, {}

    def _records(self, space: str) -> dict[bytes, bytes]:
        if self._closed:
            raise closed(WHERE)
        found = self._spaces.get(space)
        if found is None:
            space_bytes(space)
            return {}
        return found
