"""From a URL to an adapter: `delta:./data`, `lmdb:./online`, `valkey://...`, `postgresql://...` and `memory:`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from greywater.errors import UsageError
from greywater.stores.feature_ports import Offline, Online
from greywater.stores.memory import MemoryLedger, MemoryTables
from greywater.stores.ports import Ledger, Tables

if TYPE_CHECKING:
    from greywater.stores.records import Records

__all__ = ["open_ledger", "open_offline", "open_online", "open_records", "open_tables"]

#: Bytes of the longest name that PostgreSQL tells from others.
_LONGEST_NAME: Final = 63

#: How a URL of a server begins.
SERVERS = ("valkey://", "valkeys://", "redis://", "rediss://", "unix://")


def open_ledger(
    url: str, *, max_ahead_us: int, max_jump_us: int | None, read_only: bool = False, wait_seconds: float = 0.0
) -> Ledger:
    """Open the ledger that a URL names.

    Parameters
    ----------
    url : str
        `delta:<project folder>` or `memory:`.
    max_ahead_us, max_jump_us, read_only, wait_seconds
        As for `DeltaLedger`.

    Raises
    ------
    UsageError
        The URL names no known kind of store.

    Examples
    --------
    >>> open_ledger("memory:", max_ahead_us=0, max_jump_us=None).next_seq
    0
    """
    kind, path = _split(url, "ledger")
    if kind == "memory":
        return MemoryLedger(max_ahead_us=max_ahead_us, max_jump_us=max_jump_us)
    from greywater.stores.delta import DeltaLedger

    options: dict[str, Any] = {"read_only": read_only, "wait_seconds": wait_seconds}
    return DeltaLedger(path, max_ahead_us=max_ahead_us, max_jump_us=max_jump_us, **options)


def open_tables(url: str, *, read_only: bool = False) -> Tables:
    """Open the tables that a URL names: `delta:<project folder>` or `memory:`.

    Examples
    --------
    >>> open_tables("memory:").read("labels") is None
    True
    """
    kind, path = _split(url, "tables")
    if kind == "memory":
        return MemoryTables()
    from greywater.stores.delta_tables import DeltaTables

    return DeltaTables(path, read_only=read_only)


def open_offline(url: str, *, read_only: bool = False, wait_seconds: float = 120.0) -> Offline:
    """Open the offline groups of features that a URL names: `delta:<project folder>` or `memory:`.

    Parameters
    ----------
    url : str
    read_only, wait_seconds
        As for `DeltaOffline`.

    Raises
    ------
    UsageError
        The URL names no known kind of store.

    Examples
    --------
    >>> open_offline("memory:").versions()
    []
    """
    kind, path = _split(url, "offline store")
    if kind == "memory":
        from greywater.stores.offline_memory import MemoryOffline

        return MemoryOffline()
    from greywater.stores.offline_delta import DeltaOffline

    return DeltaOffline(path, read_only=read_only, wait_seconds=wait_seconds)


def open_online(url: str) -> Online:
    """Open the online store that a URL names.

    Parameters
    ----------
    url : str
        `lmdb:<folder>`, `valkey://host:port/db`, `redis://host:port/db` (with s: TLS), `unix://path?db=0` or `memory:`.

    Raises
    ------
    UsageError
        The URL names no known kind of store.

    Examples
    --------
    >>> open_online("memory:").get("risk", b"customer") is None
    True
    """
    kind, _, rest = url.partition(":")
    if url.startswith(SERVERS):
        from greywater.stores.online_valkey import ValkeyOnline

        return ValkeyOnline(url)
    if kind == "lmdb" and rest:
        from greywater.stores.online_lmdb import LmdbOnline

        return LmdbOnline(Path(rest))
    if url == "memory:":
        from greywater.stores.online_memory import MemoryOnline

        return MemoryOnline()
    raise UsageError(
        f"{kind + ':...'!r} names no online store",
        where="store URL",
        mend="give lmdb:<folder>, valkey://host:port/db, redis://host:port/db or memory:",
    )


def open_records(url: str, *, folder: Path, project: str) -> Records:
    """Open the records of a project.

    Parameters
    ----------
    url : str
        Empty: `<folder>/records.sqlite`. Else `postgresql://USER@HOST:PORT/DATABASE` (extra `[postgres]`), where the
        project has a schema of its own, `greywater_<project>`, made where it is missing.
    folder : Path
        Of the project.
    project : str
        Its name.

    Raises
    ------
    UsageError
        The URL names no PostgreSQL: a file of records belongs to one project and lies in its folder.
    StoreError
        The records cannot be opened.

    Examples
    --------
    >>> open_records("mysql://a/b", folder=Path(), project="default")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    greywater.errors.UsageError: records can be kept in no such database (setting records). To mend: ...
    """
    from greywater.stores.records import Records

    if not url:
        return Records.open(folder / "records.sqlite")
    if url.partition(":")[0].partition("+")[0] not in ("postgresql", "postgres"):
        raise UsageError(
            "records can be kept in no such database",
            where="setting records",
            mend="leave it empty (SQLite in the project's folder) or give postgresql://USER@HOST:PORT/DATABASE",
        )
    schema = f"greywater_{project}"
    if len(schema.encode()) > _LONGEST_NAME:
        schema = f"{schema[: _LONGEST_NAME - 13]}_{hashlib.sha256(project.encode()).hexdigest()[:12]}"
    return Records.open(url, schema=schema)


def _split(url: str, what: str) -> tuple[str, Path]:
    kind, colon, rest = url.partition(":")
    if (kind == "memory" and not rest and colon) or (kind == "delta" and rest):
        return kind, Path(rest)
    raise UsageError(f"{url!r} names no {what}", where="store URL", mend="give delta:<folder> or memory:")
