"""Puts more rows in order than memory holds, on disk, with a stated bound."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import GreywaterError, StoreAccessError, StoreError, StoreFullError

__all__ = ["exact_batches", "sorted_batches"]

#: Fewest megabytes the sort is given; below this the engine cannot hold one block per column.
LEAST_MEMORY_MB = 64


def sorted_batches(
    rows: pa.RecordBatchReader,
    keys: Sequence[str],
    *,
    folder: Path,
    memory_mb: int,
    threads: int = 1,
    batch_rows: int = 131_072,
) -> Iterator[pa.RecordBatch]:
    """Rows in ascending order of the keys, by a sort that spills to disk.

    Parameters
    ----------
    rows : pyarrow.RecordBatchReader
        Read once, a batch at a time.
    keys : sequence of str
        Columns to order by, the most significant first. Together they must name a row, otherwise the
        order among equal keys is not defined. Nulls come first.
    folder : Path
        Where the sort may spill; made where missing, and emptied at the end.
    memory_mb : int
        Memory the sort may use for its own blocks; half of it, because rows in transit take as much again.
    threads : int
        Threads of the sort; the result does not depend on it.
    batch_rows : int
        Rows per yielded batch; the last may be shorter.

    Yields
    ------
    pyarrow.RecordBatch
        With the schema of `rows`.

    Raises
    ------
    StoreFullError
        The disk has no room for the spill.
    StoreError
        The sort could not be done in the memory given.

    Examples
    --------
    >>> import tempfile
    >>> table = pa.table({"day": [2, 1, 1], "row": [0, 2, 1]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     batches = list(sorted_batches(table.to_reader(), ["day", "row"], folder=Path(folder) / "s", memory_mb=64))
    >>> pa.Table.from_batches(batches).to_pydict()
    {'day': [1, 1, 2], 'row': [1, 2, 0]}
    """
    schema = rows.schema
    plain = pa.schema([pa.field(field.name, _plain(field.type)) for field in schema])
    _make(folder)
    connection = duckdb.connect(
        config={
            "memory_limit": f"{max(LEAST_MEMORY_MB, memory_mb // 2)}MB",
            "temp_directory": str(folder),
            "threads": max(1, threads),
            "preserve_insertion_order": True,
        }
    )
    try:
        # After two seconds the engine would draw a bar on standard output, where only answers belong.
        connection.execute("SET enable_progress_bar = false")
        incoming = pa.RecordBatchReader.from_batches(plain, (_recast(batch, plain) for batch in rows))
        connection.register("incoming", incoming)
        order = ", ".join(f'"{name}" ASC NULLS FIRST' for name in keys)
        outgoing = connection.sql(f"SELECT * FROM incoming ORDER BY {order}").to_arrow_reader(batch_rows)
        try:
            for batch in exact_batches(outgoing, plain, batch_rows):
                yield _recast(batch, schema)
        finally:
            outgoing.close()
    except duckdb.Error as error:
        raise _explained(error, folder) from error
    finally:
        connection.close()
        shutil.rmtree(folder, ignore_errors=True)


def _plain(kind: pa.DataType) -> pa.DataType:
    """Times travel as integers, so that no engine's time zone touches them."""
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def _recast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        column if column.type == field.type else pc.cast(column, field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def exact_batches(batches: Iterable[pa.RecordBatch], schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in the same order, in batches of exactly `batch_rows` but the last.

    Examples
    --------
    >>> table = pa.table({"row": range(5)})
    >>> [batch.num_rows for batch in exact_batches(table.to_batches(max_chunksize=3), table.schema, 2)]
    [2, 2, 1]
    """
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        rest = batch
        while rest.num_rows:
            part = rest.slice(0, batch_rows - rows)
            rest = rest.slice(part.num_rows)
            held.append(part)
            rows += part.num_rows
            if rows == batch_rows:
                yield _joined(held, schema)
                held, rows = [], 0
    if held:
        yield _joined(held, schema)


def _joined(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    table = pa.Table.from_batches(batches).combine_chunks()
    return pa.RecordBatch.from_arrays([column.chunk(0) for column in table.columns], schema=schema)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = f"a folder for sorting cannot be made: {error.strerror}"
        kind = StoreFullError if error.errno in (errno.ENOSPC, errno.EDQUOT) else StoreAccessError
        raise kind(found, where=str(folder), mend="give a store you may write, with room in it") from error


def _explained(error: duckdb.Error, folder: Path) -> GreywaterError:
    text = str(error).strip().splitlines()[0]
    lowered = text.lower()
    room = "free some space (or raise the file size limit) and run again"
    if any(words in lowered for words in ("no space left", "file too large", "max_temp_directory_size")):
        return StoreFullError("the disk has no room left for sorting", where=str(folder), mend=room)
    if "out of memory" in lowered or isinstance(error, duckdb.OutOfMemoryException):
        found = "the sort on disk needs more memory than it was given"
        return StoreError(found, where="sort_memory_mb", mend="raise GREYWATER_SORT_MEMORY_MB")
    return StoreError(f"the rows cannot be sorted: {text}", where=str(folder), mend="check the disk, then run again")
