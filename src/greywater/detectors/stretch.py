"""A contiguous part of a table of feature rows, as a table of its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from greywater.vocab import Int64Array, TrainingTable

__all__ = ["Stretch"]


class Stretch:
    """Rows [start, stop) of a TrainingTable, without copying.

    Examples
    --------
    >>> from greywater.stores.blocks import TableRows
    >>> part = Stretch(TableRows(pa.table({"a": [1.0, 2.0, 3.0]})), 1, 3)
    >>> part.rows, part.take(np.array([1])).to_pydict()
    (2, {'a': [3.0]})
    """

    def __init__(self, table: TrainingTable, start: int, stop: int) -> None:
        self._table = table
        self._start = max(start, 0)
        self._stop = max(min(stop, table.rows), self._start)

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names, in order."""
        return self._table.names

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self._stop - self._start

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[pa.RecordBatch]:
        """Rows [start, stop) in order."""
        last = self.rows if stop is None else min(stop, self.rows)
        return self._table.batches(self._start + start, self._start + last)

    def take(self, rows: Int64Array) -> pa.Table:
        """The named rows (strictly increasing positions) as one table."""
        return self._table.take(np.asarray(rows, np.int64) + self._start)
