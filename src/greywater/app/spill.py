"""Rows on their way, on disk: written once in the order they come, read back in the order they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import pyarrow as pa

from greywater.stores.durable import make_folder, store_error
from greywater.stores.sorting import exact_batches, sorted_batches
from greywater.vocab import PARSED_SCHEMA

__all__ = ["SPILL_SCHEMA", "PaymentSpill", "RowSpill"]

#: A parsed payment and the position of its file among the arguments.
SPILL_SCHEMA: Final = PARSED_SCHEMA.append(pa.field("file", pa.int32(), nullable=False))


class RowSpill:
    """Rows of one schema in a compressed file, appended and then read.

    Parameters
    ----------
    path : Path
        The file; its folder is made where missing.
    schema : pa.Schema
        Of every appended table.

    Raises
    ------
    StoreFullError, StoreAccessError
        From every method, where the disk has no room or refuses.

    Examples
    --------
    >>> import tempfile
    >>> table = pa.table({"row": [1, 2, 3]})
    >>> with RowSpill(Path(tempfile.mkdtemp()) / "rows.arrow", table.schema) as spill:
    ...     spill.append(table)
    ...     [batch.num_rows for batch in spill.batches(2)]
    [2, 1]
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.schema = schema
        self.rows = 0
        self._sink: pa.NativeFile | None = None
        self._writer: pa.RecordBatchWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sink is not None:
            self._sink.close()

    def append(self, rows: pa.Table) -> None:
        """Add rows at the end."""
        if not rows.num_rows:
            return
        try:
            if self._writer is None:
                make_folder(self.path.parent)
                self._sink = pa.OSFile(str(self.path), "wb")
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                self._writer = pa.ipc.new_stream(self._sink, self.schema, options=options)
            self._writer.write_table(rows)
        except (OSError, pa.ArrowException) as error:
            raise store_error(error, self.path, "keep the rows that were read") from error
        self.rows += rows.num_rows

    def batches(self, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """All rows in the order they came, in batches of exactly `batch_rows` but the last."""
        return exact_batches(self.stored(), self.schema, batch_rows)

    def stored(self) -> Iterator[pa.RecordBatch]:
        """All rows in the order they came, in batches as they were written."""
        if self._writer is None or self._sink is None:
            return
        try:
            self._writer.close()
            self._sink.close()
            with pa.OSFile(str(self.path), "rb") as source, pa.ipc.open_stream(source) as reader:
                yield from reader
        except (OSError, pa.ArrowException) as error:
            raise store_error(error, self.path, "read the rows back") from error

    def ordered(
        self, keys: Sequence[str], *, folder: Path, memory_mb: int, threads: int, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """All rows in ascending order of the keys, by a sort on disk."""
        reader = pa.RecordBatchReader.from_batches(self.schema, self.stored())
        return sorted_batches(reader, keys, folder=folder, memory_mb=memory_mb, threads=threads, batch_rows=batch_rows)


class PaymentSpill(RowSpill):
    """Parsed payments of all files, which remembers whether they came in order of time and in which currencies.

    Attributes
    ----------
    in_order : bool
        True while every payment is dated no earlier than the one before.
    currencies : set of str
        Currencies of the amounts paid.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, SPILL_SCHEMA)
        self.in_order = True
        self.currencies: set[str] = set()
        self._latest: int | None = None

    def take(self, payments: pa.Table, file: int) -> None:
        """Add a parsed chunk of the file at position `file` among the arguments."""
        rows = payments.num_rows
        if not rows:
            return
        if self.in_order:
            times = payments["event_time"].cast(pa.int64()).to_numpy()
            first, last = int(times[0]), int(times[-1])
            sorted_within = bool((np.diff(times) >= 0).all())
            self.in_order = sorted_within and (self._latest is None or first >= self._latest)
            self._latest = last
        self.currencies.update(payments["currency"].unique().to_pylist())
        position = pa.array(np.full(rows, file, dtype=np.int32))
        columns = [*(payments[name] for name in PARSED_SCHEMA.names), position]
        self.append(pa.Table.from_arrays(columns, schema=SPILL_SCHEMA))
