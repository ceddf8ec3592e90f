"""Reading a run of Parquet data files that follow each other row by row: ranges, single rows, rows of accounts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from greywater.errors import StoreDamagedError, StoreError
from greywater.stores import durable
from greywater.vocab import Int64Array

__all__ = ["Part", "batches_of", "file_sha256", "pick_columns", "read_part", "rows_naming", "scan_parts", "take_rows"]

HASH_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class Part:
    """One data file: its name, the number of its first row in the table, how many rows, how many bytes."""

    name: str
    first: int
    rows: int
    size: int

    @property
    def stop(self) -> int:
        """The number of the row after its last."""
        return self.first + self.rows

    @property
    def sha256(self) -> str:
        """The SHA-256 that the name states, in hexadecimal."""
        return self.name[22:86]


def pick_columns(schema: pa.Schema, columns: Sequence[str] | None, where: Path | str) -> pa.Schema:
    """The schema of the named columns in the order asked for; StoreError for a name that is not there."""
    if columns is None:
        return schema
    missing = [name for name in columns if name not in schema.names]
    if missing or not columns:
        raise StoreError(
            f"there is no column {missing[0]!r}" if missing else "no column was asked for",
            where=str(where),
            mend=f"ask for some of {', '.join(schema.names)}",
        )
    return pa.schema([schema.field(name) for name in columns])


def damaged(path: Path, error: BaseException) -> StoreError:
    """What to raise where a data file cannot be read."""
    if isinstance(error, FileNotFoundError):
        return StoreDamagedError(
            "a data file is missing",
            where=str(path),
            mend="put the file back from a backup; its name holds its SHA-256",
        )
    if isinstance(error, OSError) and durable.error_number(error) is not None:
        return durable.store_error(error, path, "read a data file")
    return StoreDamagedError(
        f"a data file cannot be read: {error}", where=str(path), mend="put the file back from a backup"
    )


def read_part(
    folder: Path, part: Part, schema: pa.Schema, *, start: int = 0, stop: int | None = None, at_least: int = 131_072
) -> Iterator[pa.Table]:
    """Rows start <= row < stop (numbered in the table) of one data file, some row groups at a time."""
    path = folder / part.name
    stop = part.stop if stop is None else min(stop, part.stop)
    try:
        with pq.ParquetFile(path) as file:
            groups = file.metadata.num_row_groups
            at, group = part.first, 0
            while group < groups and at < stop:
                rows = file.metadata.row_group(group).num_rows
                if at + rows <= start:
                    at, group = at + rows, group + 1
                    continue
                begin, chosen = at, []
                while group < groups and at < stop and at - begin < at_least:
                    at += file.metadata.row_group(group).num_rows
                    chosen.append(group)
                    group += 1
                table = file.read_row_groups(chosen, columns=schema.names, use_threads=True)
                low, high = max(start - begin, 0), min(stop, at) - begin
                yield _as_schema(table.slice(low, high - low), schema)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise damaged(path, error) from error


def scan_parts(
    folder: Path, parts: Sequence[Part], schema: pa.Schema, start: int, stop: int, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Rows start <= row < stop of all files in order, in batches of exactly `batch_rows` but the last."""

    def pieces() -> Iterator[pa.Table]:
        for part in parts:
            if part.rows and part.stop > start and part.first < stop:
                yield from read_part(folder, part, schema, start=start, stop=stop, at_least=batch_rows)

    return batches_of(pieces(), schema, batch_rows)


def batches_of(pieces: Iterator[pa.Table], schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Cut and join tables into batches of exactly `batch_rows` but the last.

    Examples
    --------
    >>> tables = iter([pa.table({"a": [1, 2, 3]}), pa.table({"a": [4]})])
    >>> [batch["a"].to_pylist() for batch in batches_of(tables, pa.schema([("a", pa.int64())]), 2)]
    [[1, 2], [3, 4]]
    """
    if batch_rows < 1:
        raise StoreError(f"batch_rows = {batch_rows}", mend="give at least 1")
    waiting: list[pa.Table] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += piece.num_rows
        if count < batch_rows:
            continue
        joined = pa.concat_tables(waiting)
        at = 0
        while count - at >= batch_rows:
            yield _one_batch(joined.slice(at, batch_rows), schema)
            at += batch_rows
        waiting = [joined.slice(at)] if at < count else []
        count -= at
    if count:
        yield _one_batch(pa.concat_tables(waiting), schema)


def take_rows(folder: Path, parts: Sequence[Part], schema: pa.Schema, rows: Int64Array) -> pa.Table:
    """The rows with these numbers, in the order asked for, reading only the row groups that hold them.

    Raises
    ------
    StoreError
        A number is not in the table.
    """
    wanted, back = np.unique(np.asarray(rows, np.int64), return_inverse=True)
    total = parts[-1].stop if parts else 0
    if len(wanted) and (wanted[0] < 0 or wanted[-1] >= total):
        outside = int(wanted[0] if wanted[0] < 0 else wanted[-1])
        raise StoreError(f"there is no row {outside}", where=str(folder), mend=f"ask for rows 0 to {total - 1}")
    found: list[pa.Table] = []
    for part in parts:
        low, high = np.searchsorted(wanted, [part.first, part.stop])
        if high > low:
            found.extend(_take_from(folder, part, schema, wanted[low:high] - part.first))
    table = pa.concat_tables(found) if found else schema.empty_table()
    if len(back) != len(wanted) or (back[1:] < back[:-1]).any():
        table = table.take(pa.array(back))
    return table


def rows_naming(folder: Path, parts: Sequence[Part], columns: Sequence[str], values: Sequence[str]) -> Int64Array:
    """Numbers of the rows in which one of the text columns holds one of the values, ascending int64[n]."""
    wanted = pa.array(sorted(set(values)), pa.string())
    hits = []
    for part in parts:
        path = folder / part.name
        try:
            with pq.ParquetFile(path, read_dictionary=list(columns)) as file:
                at = part.first
                for group in range(file.metadata.num_row_groups):
                    table = file.read_row_group(group, columns=list(columns))
                    mask = np.zeros(table.num_rows, np.bool_)
                    for name in columns:
                        mask |= _names_one(table[name], wanted)
                    hits.append(np.flatnonzero(mask) + at)
                    at += table.num_rows
        except (OSError, pa.ArrowException, KeyError) as error:
            raise damaged(path, error) from error
    return np.concatenate(hits) if hits else np.empty(0, np.int64)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal, read a megabyte at a time."""
    digest = hashlib.sha256()
    with durable.store_errors(path, "read a data file"), path.open("rb") as file:
        while block := file.read(HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _names_one(column: pa.ChunkedArray, wanted: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    masks = []
    for chunk in column.chunks:
        coded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        inside = np.append(np.asarray(pc.is_in(coded.dictionary, value_set=wanted)), False)
        codes = np.asarray(coded.indices.fill_null(len(inside) - 1))
        masks.append(inside[codes])
    return np.concatenate(masks) if masks else np.zeros(0, np.bool_)


def _take_from(folder: Path, part: Part, schema: pa.Schema, rows: Int64Array) -> Iterator[pa.Table]:
    path = folder / part.name
    try:
        with pq.ParquetFile(path) as file:
            at = 0
            for group in range(file.metadata.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                low, high = np.searchsorted(rows, [at, at + count])
                if high > low:
                    table = file.read_row_group(group, columns=schema.names)
                    yield _as_schema(table.take(pa.array(rows[low:high] - at)), schema)
                at += count
    except (OSError, pa.ArrowException, KeyError) as error:
        raise damaged(path, error) from error


def _as_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The columns asked for; null in files written before there was such a column."""
    columns = []
    for field in schema:
        if field.name not in table.column_names and field.nullable:
            columns.append(pa.chunked_array([pa.nulls(table.num_rows, field.type)]))
        else:
            columns.append(table[field.name].cast(field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _one_batch(table: pa.Table, schema: pa.Schema) -> pa.RecordBatch:
    arrays = []
    for column in table.columns:
        arrays.append(column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
