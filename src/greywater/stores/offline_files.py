"""Data files of a feature group: named by what they hold, read as sorted runs, verified before the first row is."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from greywater.errors import StoreDamagedError
from greywater.stores.feature_ports import EVENT_TIME, KNOWN_TIME
from greywater.stores.offline_pages import plain_dtype, plain_values
from greywater.stores.offline_rows import COMMIT, KEY_HIGH, KEY_LOW
from greywater.stores.part_reader import damaged, file_sha256
from greywater.vocab import Int64Array

__all__ = ["ROW_GROUP_ROWS", "FileRun", "GroupFile", "HashBook", "file_of_path", "read_file", "runs_of"]

#: Rows that lie together; a data file with more is several runs.
ROW_GROUP_ROWS: Final = 1 << 20
#: What the footer of a data file says whose rows were all known when they happened.
KNOWN_AT_ONCE: Final = {b"greywater.known_time": b"event_time"}

file_pattern: Final = re.compile(r"day=(-?\d{4,}-\d\d-\d\d)/part-(\d{10})-(\d{10})-([0-9a-f]{64})\.parquet")


@dataclass(frozen=True)
class GroupFile:
    """A data file: its path in the table, day, rows, bytes, commits it holds rows of, event times, SHA-256."""

    path: str
    day: int
    rows: int
    size: int
    first_commit: int
    last_commit: int
    least_event_us: int
    greatest_event_us: int
    sha256: str


def file_of_path(path: str) -> tuple[int, int, int, str] | None:
    """Day, first and last commit and SHA-256 that a data file's path states, or None where it is none of ours.

    Examples
    --------
    >>> file_of_path("day=1970-01-03/part-0000000004-0000000007-" + "ab" * 32 + ".parquet")[:3]
    (2, 4, 7)
    >>> file_of_path("part-00001.parquet") is None
    True
    """
    match = file_pattern.fullmatch(path)
    if match is None:
        return None
    try:
        day = int(np.datetime64(match.group(1), "D").astype(np.int64))
    except ValueError:
        return None
    return day, int(match.group(2)), int(match.group(3)), match.group(4)


class HashBook:
    """Which files were found to be what was written, by inode, size and time of last change."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._guard = threading.Lock()

    def verify(self, folder: Path, file: GroupFile) -> None:
        """Raise StoreDamagedError unless the file has the SHA-256 that its name states.

        A file is read once; after that, one with the same inode, size and time of change counts as verified.
        """
        path = folder / file.path
        try:
            now = path.stat()
        except OSError as error:
            raise damaged(path, error) from error
        card = (now.st_ino, now.st_size, now.st_mtime_ns)
        with self._guard:
            if self._seen.get(str(path)) == card:
                return
        if file_sha256(path) != file.sha256:
            raise StoreDamagedError(
                "the data file is not what was written (its SHA-256 differs)",
                where=str(path),
                mend="put the file back from a backup; its name holds its SHA-256",
            )
        with self._guard:
            self._seen[str(path)] = card


def runs_of(
    folder: Path, file: GroupFile, schema: pa.Schema, book: HashBook, as_of_commit: int | None
) -> list[FileRun]:
    """The sorted runs of a data file: one for each of its row groups."""
    upto = as_of_commit if as_of_commit is not None and as_of_commit < file.last_commit else None
    return [FileRun(folder, file, group, schema, book, upto) for group in range(-(-file.rows // ROW_GROUP_ROWS))]


class FileRun:
    """One row group of a data file as a `SortedRun`; `upto` hides the rows of later commits.

    Arrays are read when first asked for and kept as long as the run is.
    """

    def __init__(
        self, folder: Path, file: GroupFile, group: int, schema: pa.Schema, book: HashBook, upto: int | None
    ) -> None:
        self.file = file
        self._path = folder / file.path
        self._folder = folder
        self._group = group
        self._schema = schema
        self._book = book
        self._upto = upto
        self._held = min(ROW_GROUP_ROWS, file.rows - group * ROW_GROUP_ROWS)

    @property
    def rows(self) -> int:
        """How many."""
        return self._held if self._kept is None else len(self._kept)

    @property
    def least_event_us(self) -> int:
        """No row is earlier than this, microseconds since 1970."""
        return self.file.least_event_us

    @property
    def greatest_event_us(self) -> int:
        """No row is later than this."""
        return self.file.greatest_event_us

    @property
    def key(self) -> Int64Array:
        """int64[n, 2], sorted."""
        return np.column_stack([self.key_high, self.key_low])

    @cached_property
    def key_high(self) -> Int64Array:
        """int64[n], the first half of the key's hash."""
        return self._whole_numbers(KEY_HIGH)

    @cached_property
    def key_low(self) -> Int64Array:
        """int64[n], the second half."""
        return self._whole_numbers(KEY_LOW)

    @cached_property
    def event_us(self) -> Int64Array:
        """int64[n], ascending within a key."""
        return self._whole_numbers(EVENT_TIME)

    @cached_property
    def known_us(self) -> Int64Array:
        """int64[n]; where all rows were known when they happened, the event times, read once."""
        at_once = KNOWN_AT_ONCE.items() <= (self._footer.metadata or {}).items()
        return self.event_us if at_once else self._whole_numbers(KNOWN_TIME)

    @cached_property
    def commit(self) -> Int64Array | int:
        """Commit order of each row, or the one of all."""
        if self.file.first_commit == self.file.last_commit:
            return self.file.first_commit
        return self._whole_numbers(COMMIT)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Feature or key columns of all rows, in the order of the run."""
        schema = pa.schema([self._schema.field(name) for name in names])
        table = self._read(schema)
        return table if self._kept is None else table.take(pa.array(self._kept))

    @cached_property
    def _kept(self) -> Int64Array | None:
        """Places of the rows that are not hidden; None = all."""
        if self._upto is None:
            return None
        commit = self._read(pa.schema([self._schema.field(COMMIT)]))[COMMIT].to_numpy()
        return np.flatnonzero(commit <= self._upto)

    def _whole_numbers(self, name: str) -> Int64Array:
        column = self._read(pa.schema([self._schema.field(name)]))[name].chunk(0)
        values = np.frombuffer(column.buffers()[1], np.int64, len(column), 8 * column.offset)
        return values if self._kept is None else values[self._kept]

    @cached_property
    def _footer(self) -> Any:
        self._book.verify(self._folder, self.file)
        try:
            footer = pq.read_metadata(self._path)
        except (OSError, pa.ArrowException) as error:
            raise damaged(self._path, error) from error
        if footer.num_rows != self.file.rows or footer.row_group(self._group).num_rows != self._held:
            raise damaged(self._path, ValueError("it holds other rows than the commit says"))
        return footer

    def _read(self, schema: pa.Schema) -> pa.Table:
        """Columns of the whole row group: plain numbers as they lie, all else through Arrow."""
        footer = self._footer
        where = {footer.schema.column(at).path: at for at in range(footer.num_columns)}
        found: dict[str, pa.Array | pa.ChunkedArray] = {}
        handle = -1
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            for field in schema:
                dtype = plain_dtype(field.type)
                if dtype is None:
                    continue
                at = where[field.name]
                optional = footer.schema.column(at).max_definition_level == 1
                chunk = footer.row_group(self._group).column(at)
                values = plain_values(handle, chunk, optional, self._held, dtype)
                if values is not None:
                    found[field.name] = pa.Array.from_buffers(field.type, self._held, [None, pa.py_buffer(values)])
            rest = [name for name in schema.names if name not in found]
            if rest:
                with pq.ParquetFile(self._path, metadata=footer) as parquet:
                    table = parquet.read_row_group(self._group, columns=rest, use_threads=False)
                found |= {name: table[name].cast(schema.field(name).type) for name in rest}
        except (OSError, pa.ArrowException, KeyError) as error:
            raise damaged(self._path, error) from error
        finally:
            if handle >= 0:
                with suppress(OSError):
                    os.close(handle)
        return pa.Table.from_arrays([found[name] for name in schema.names], schema=schema)


def read_file(folder: Path, file: GroupFile, schema: pa.Schema, book: HashBook) -> pa.Table:
    """Columns of all rows of a data file, which is verified first.

    Raises
    ------
    StoreDamagedError
        It is missing, or not what was written.
    """
    book.verify(folder, file)
    path = folder / file.path
    try:
        with pq.ParquetFile(path) as parquet:
            table = parquet.read(columns=schema.names, use_threads=False)
        if table.num_rows != file.rows:
            raise ValueError("it holds other rows than the commit says")
        return pa.Table.from_arrays([table[name].cast(schema.field(name).type) for name in schema.names], schema=schema)
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise damaged(path, error) from error
