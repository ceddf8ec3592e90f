"""Chosen rows of a table of features as a table of its own, read in pieces without copying the rest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from greywater.errors import DetectorError
from greywater.vocab import Int64Array, TrainingTable

__all__ = ["RowChoice"]


class RowChoice:
    """Some rows of a TrainingTable, itself a TrainingTable.

    Parameters
    ----------
    table : TrainingTable
    rows : int64[k]
        Strictly increasing positions.

    Examples
    --------
    >>> from greywater.stores.blocks import TableRows
    >>> chosen = RowChoice(TableRows(pa.table({"a": [1.0, 2.0, 3.0]})), np.array([0, 2]))
    >>> chosen.rows, [batch["a"].to_pylist() for batch in chosen.batches()]
    (2, [[1.0, 3.0]])
    """

    def __init__(self, table: TrainingTable, rows: Int64Array) -> None:
        self._table = table
        self._chosen = np.asarray(rows, np.int64)
        inside = not len(self._chosen) or (self._chosen[0] >= 0 and self._chosen[-1] < table.rows)
        if not inside or bool(np.any(np.diff(self._chosen) <= 0)):
            raise DetectorError(
                f"the rows chosen are not increasing positions within [0, {table.rows})", mend="sort and drop repeats"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names, in order."""
        return self._table.names

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self._chosen)

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[pa.RecordBatch]:
        """Rows [start, stop) of the chosen ones in order, in the pieces of the table beneath."""
        wanted = self._chosen[start : self.rows if stop is None else stop]
        if not len(wanted):
            return
        position = begin = int(wanted[0])
        for batch in self._table.batches(begin, int(wanted[-1]) + 1):
            low, high = np.searchsorted(wanted, [position, position + batch.num_rows])
            if high > low:
                mine = wanted[low:high] - position
                yield batch if len(mine) == batch.num_rows else batch.take(pa.array(mine))
            position += batch.num_rows

    def take(self, rows: Int64Array) -> pa.Table:
        """The named rows (strictly increasing positions among the chosen) as one table."""
        return self._table.take(self._chosen[np.asarray(rows, np.int64)])
