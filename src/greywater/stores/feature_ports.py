"""What the feature store asks of a store: offline groups with their whole past, and online records by key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from greywater.stores.ports import Finding
from greywater.vocab import Int64Array

__all__ = ["EVENT_TIME", "KNOWN_TIME", "GroupCommit", "GroupLayout", "Offline", "Online", "SortedRun", "microseconds"]

#: Columns of every group beside its keys and features: when it happened, and from when on it was known.
EVENT_TIME, KNOWN_TIME = "event_time", "known_time"


@dataclass(frozen=True)
class GroupLayout:
    """How the rows of one version of a group are laid out.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and underscores, beginning with a letter.
    version : int
        From 1. A new version never overwrites an old one.
    keys : tuple of str
        Columns that name the entity, string or int64, never null.
    features : pa.Schema
        The feature columns in order; bool, int8..int64, float32, float64, string, timestamp[us, UTC].
    key_dtypes : tuple of str
        "string" or "int64", one a key; empty = all string.
    """

    name: str
    version: int
    keys: tuple[str, ...]
    features: pa.Schema
    key_dtypes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.key_dtypes:
            object.__setattr__(self, "key_dtypes", ("string",) * len(self.keys))


@dataclass(frozen=True)
class GroupCommit:
    """One append to a group: `number` counts from 0 and is the commit order that breaks ties of event time."""

    number: int
    rows: int
    written_us: int
    transaction: str | None
    sha256: str
    meta: Mapping[str, Any] = field(default_factory=dict)


class SortedRun(Protocol):
    """Rows of a group sorted by (key, event time, commit order): a data file, or a part of one.

    The arrays are read when first asked for. `key` int64[n, 2] is the 128-bit hash of the entity.
    """

    @property
    def rows(self) -> int:
        """How many."""
        ...

    @property
    def least_event_us(self) -> int:
        """Least event time, microseconds since 1970."""
        ...

    @property
    def greatest_event_us(self) -> int:
        """Greatest event time."""
        ...

    @property
    def key(self) -> Int64Array:
        """int64[n, 2], sorted."""
        ...

    @property
    def key_high(self) -> Int64Array:
        """int64[n], the first half of `key`."""
        ...

    @property
    def key_low(self) -> Int64Array:
        """int64[n], the second half."""
        ...

    @property
    def event_us(self) -> Int64Array:
        """int64[n], ascending within a key."""
        ...

    @property
    def known_us(self) -> Int64Array:
        """int64[n]."""
        ...

    @property
    def commit(self) -> Int64Array | int:
        """Commit order of each row, or the one of all."""
        ...

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Feature or key columns of all rows, in the order of the run."""
        ...


class Offline(Protocol):
    """Groups of features with their whole past, append-only."""

    def create(self, layout: GroupLayout) -> None:
        """Make a version of a group; nothing where it exists with this layout, StoreError where with another."""
        ...

    def layout(self, name: str, version: int) -> GroupLayout | None:
        """Its layout, or None where it does not exist."""
        ...

    def versions(self) -> list[tuple[str, int]]:
        """All groups and versions, sorted."""
        ...

    def append(
        self,
        name: str,
        version: int,
        rows: pa.Table,
        *,
        transaction: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> GroupCommit | None:
        """Add rows (keys, event_time, known_time, features) in one durable commit.

        With `transaction`, a second append under the same key does nothing and returns None. Safe from many
        processes at once.
        """
        ...

    def adopt(
        self,
        name: str,
        version: int,
        files: Sequence[Path],
        *,
        transaction: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> GroupCommit | None:
        """Add the rows of Parquet files with the columns that `append` takes, all in one durable commit.

        A file is in memory at a time. Else as `append`.
        """
        ...

    def commits(self, name: str, version: int) -> list[GroupCommit]:
        """What was appended, oldest first."""
        ...

    def runs(
        self, name: str, version: int, *, start_us: int | None = None, stop_us: int | None = None,
        as_of_commit: int | None = None,
    ) -> list[SortedRun]:  # fmt: skip
        """The runs that may hold event times in [start, stop), greatest event time first."""
        ...

    def scan(
        self, name: str, version: int, columns: Sequence[str] | None = None, *, start_us: int | None = None,
        stop_us: int | None = None, as_of_commit: int | None = None,
    ) -> Iterator[pa.RecordBatch]:  # fmt: skip
        """Rows with event times in [start, stop), day by day, sorted by (key hash, event time, commit) within a day.

        Columns are the keys, event_time, known_time, `commit` (int64) and the features.
        """
        ...

    def check(self) -> list[Finding]:
        """Verify hashes, counts and order; an empty list means all is well."""
        ...


class Online(Protocol):
    """Packed records by key, in named spaces, each commit durable or nothing."""

    def get(self, space: str, key: bytes) -> bytes | None:
        """One record, or None."""
        ...

    def get_many(self, space: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Several, in the order asked for, in one read."""
        ...

    def put_many(self, space: str, items: Iterable[tuple[bytes, bytes]], *, mark: bytes | None = None) -> int:
        """Write records, and how far the writer has come, in one commit; returns how many were written."""
        ...

    def delete_many(self, space: str, keys: Iterable[bytes]) -> int:
        """Remove records; returns how many were there."""
        ...

    def scan(self, space: str) -> Iterator[tuple[bytes, bytes]]:
        """All records of a space."""
        ...

    def mark(self, space: str) -> bytes | None:
        """The mark of the last commit that gave one."""
        ...

    def drop(self, space: str) -> None:
        """Remove a space with all in it."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


def microseconds(column: pa.ChunkedArray | pa.Array) -> Int64Array:
    """A timestamp column as int64 microseconds since 1970.

    Examples
    --------
    >>> microseconds(pa.array([5], pa.timestamp("us", tz="UTC"))).tolist()
    [5]
    """
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    since_1970 = whole.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return np.asarray(since_1970.to_numpy(zero_copy_only=False), np.int64)
