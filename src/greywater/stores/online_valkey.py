"""Online records in a Valkey or Redis server: one hash a space, each commit one MULTI/EXEC."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

from greywater.errors import ExtraMissingError, StoreAccessError, StoreError, StoreFullError, UsageError
from greywater.stores.online_rules import bad_key, closed, key_checked, space_bytes

__all__ = ["ValkeyOnline"]

#: Fields one HSET or HSCAN names.
FIELDS_A_COMMAND: Final = 1_000
SCHEMES: Final = ("valkey", "valkeys", "redis", "rediss", "unix")

Answer = TypeVar("Answer")


class ValkeyOnline:
    """The port Online over a Valkey or Redis server.

    A space is one hash, so that reading many records is one command, and dropping a space one step. Its mark lies
    beside it, in the same slot of a cluster. What `put_many` gives is applied whole or not at all; whether it also
    outlives a crash of the server is the server's setting, which `durability` tells. Where the server forgets the
    last moments, it forgets records and mark together, and the writer goes on from the mark.

    Parameters
    ----------
    url : str
        `valkey://[user:password@]host:port/db`, `valkeys://` (TLS), `redis://`, `rediss://` or `unix://path?db=0`.
    timeout_seconds : float
        For connecting and for each answer.

    Raises
    ------
    ExtraMissingError
        The package valkey is not installed.
    StoreAccessError
        The server wants another password.
    StoreError
        The server does not answer.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 30.0) -> None:
        try:
            import valkey
        except ImportError:
            raise ExtraMissingError(
                "a Valkey or Redis server needs the package valkey",
                where=without_password(url),
                mend='pip install "greywater[valkey]"',
            ) from None
        self.url = without_password(url)
        if urlsplit(url).scheme not in SCHEMES:
            raise UsageError(f"{self.url!r} names no server", mend="give valkey://host:port/db or redis://host:port/db")
        self._errors: Any = valkey.exceptions
        try:
            self._client: Any = valkey.Valkey.from_url(
                url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds
            )
        except ValueError as error:
            raise UsageError(f"{self.url!r} cannot be used: {error}", where="store URL") from error
        self._idle: list[Any] = []
        self._names: dict[str, tuple[bytes, bytes]] = {}
        self._is_closed = False
        self._answer(self._client.ping, "reach the server")

    @property
    def durability(self) -> str:
        """What the server does before it answers, in words."""
        try:
            asked = self._client.config_get("append*")
        except self._errors.ValkeyError:
            return "the server does not tell"
        told = {_text(name): _text(value) for name, value in asked.items()}
        if told.get("appendonly") != "yes":
            return "in the server's memory; what came since its last snapshot is lost when it ends"
        synced = {
            "always": "on the server's disk before put_many returns",
            "everysec": "in the server's log; a second of it may be lost when its machine fails",
        }
        return synced.get(told.get("appendfsync", ""), "in the server's log; its system decides when that is synced")

    def get(self, space: str, key: bytes) -> bytes | None:
        """One record, or None."""
        if not key:
            raise bad_key()
        records, _ = self._names.get(space) or self._named(space)
        found: bytes | None = self._ask(b"*3\r\n$4\r\nHGET\r\n%s$%d\r\n%s\r\n" % (_bulk(records), len(key), key))
        return found

    def get_many(self, space: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Several, in the order asked for, in one command."""
        if not keys:
            return []
        if b"" in keys:
            raise bad_key()
        records, _ = self._names.get(space) or self._named(space)
        head = b"*%d\r\n$5\r\nHMGET\r\n%s" % (len(keys) + 2, _bulk(records))
        found: list[bytes | None] = self._ask(head + b"".join([b"$%d\r\n%s\r\n" % (len(key), key) for key in keys]))
        return found

    def put_many(self, space: str, items: Iterable[tuple[bytes, bytes]], *, mark: bytes | None = None) -> int:
        """Write records and the mark in one MULTI/EXEC: all of them or none, seen by no reader half done."""
        records, marked = self._named(space)
        written = 0
        pipe = self._client.pipeline(transaction=True)
        entries = iter(items)
        while some := list(islice(entries, FIELDS_A_COMMAND)):
            written += len(some)
            pipe.execute_command("HSET", records, *[part for key, value in some for part in (key_checked(key), value)])
        if mark is not None:
            pipe.execute_command("SET", marked, mark)
        if written or mark is not None:
            self._answer(pipe.execute, "write records")
        return written

    def delete_many(self, space: str, keys: Iterable[bytes]) -> int:
        """Remove records in one MULTI/EXEC; returns how many were there."""
        records, _ = self._named(space)
        pipe = self._client.pipeline(transaction=True)
        entries = iter([key_checked(key) for key in keys])
        asked = False
        while some := list(islice(entries, FIELDS_A_COMMAND)):
            asked = True
            pipe.execute_command("HDEL", records, *some)
        return sum(self._answer(pipe.execute, "remove records")) if asked else 0

    def scan(self, space: str) -> Iterator[tuple[bytes, bytes]]:
        """All records of a space, in no order; of one written meanwhile the old or the new, or both."""
        records, _ = self._named(space)
        cursor = 0
        while True:
            ask = partial(self._client.hscan, records, cursor, count=FIELDS_A_COMMAND)
            cursor, found = self._answer(ask, "read all records")
            yield from found.items()
            if not cursor:
                return

    def mark(self, space: str) -> bytes | None:
        """The mark of the last commit that gave one."""
        _, marked = self._named(space)
        found: bytes | None = self._answer(lambda: self._client.get(marked), "read a mark")
        return found

    def drop(self, space: str) -> None:
        """Remove a space with all in it, its mark too, in one step."""
        names = self._named(space)
        self._answer(lambda: self._client.unlink(*names), "drop a space")

    def close(self) -> None:
        """Let go of the connections; done again it does nothing."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().disconnect()
        self._client.close()

    def _named(self, space: str) -> tuple[bytes, bytes]:
        """Keys of the records and of the mark of a space."""
        if self._is_closed:
            raise closed(self.url)
        names = self._names.get(space)
        if names is None:
            tag = b"greywater:{%s}:" % space_bytes(space)
            names = self._names[space] = (tag + b"records", tag + b"mark")
        return names

    def _ask(self, command: bytes) -> Any:
        """The answer to a packed read, on a connection of our own: the client's general path costs more than it.

        A connection that turns out to be dead (the server was restarted) is opened again once.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connection()
        errors = self._errors
        for attempt in range(2):
            try:
                connection.send_packed_command((command,), check_health=False)
                answer = connection.read_response(disable_decoding=True)
                break
            except (errors.ConnectionError, errors.TimeoutError) as error:
                connection.disconnect()
                if attempt or isinstance(error, errors.TimeoutError):
                    raise self._told(error, "read records") from error
            except errors.ValkeyError as error:
                self._idle.append(connection)
                raise self._told(error, "read records") from error
        self._idle.append(connection)
        return answer

    def _connection(self) -> Any:
        if self._is_closed:
            raise closed(self.url)
        pool = self._client.connection_pool
        return pool.connection_class(**pool.connection_kwargs)

    def _answer(self, ask: Callable[[], Answer], doing: str) -> Answer:
        if self._is_closed:
            raise closed(self.url)
        try:
            return ask()
        except self._errors.ValkeyError as error:
            raise self._told(error, doing) from error

    def _told(self, error: Exception, doing: str) -> StoreError:
        errors = self._errors
        refused = (errors.AuthenticationError, errors.NoPermissionError, errors.AuthorizationError)
        if isinstance(error, refused) or str(error).startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
            return StoreAccessError(
                f"the server refuses to {doing}: {error}", where=self.url, mend="give a user and password in the URL"
            )
        if isinstance(error, errors.OutOfMemoryError) or str(error).startswith(("OOM", "MISCONF")):
            return StoreFullError(
                f"the server has no room to {doing}: {error}",
                where=self.url,
                mend="give the server more memory (maxmemory) or disk, then give the same command again",
            )
        return StoreError(
            f"could not {doing}: {error}", where=self.url, mend="see that the server runs and can be reached, try again"
        )


def _bulk(part: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(part), part)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def without_password(url: str) -> str:
    """A URL as it may be shown.

    Examples
    --------
    >>> without_password("valkey://desk:secret@host:6379/2?password=x")
    'valkey://host:6379/2'
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
