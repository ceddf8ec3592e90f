"""The columns that a model was fitted on, chosen from a table that has more of them."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from greywater.detectors.saved import refuse_other_columns
from greywater.vocab import Int64Array, TrainingTable

__all__ = ["ColumnChoice", "columns_for"]


class ColumnChoice:
    """Some columns of a TrainingTable in a stated order, itself a TrainingTable.

    Parameters
    ----------
    table : TrainingTable
    names : tuple of str
        Of the table.

    Examples
    --------
    >>> from greywater.stores.blocks import TableRows
    >>> chosen = ColumnChoice(TableRows(pa.table({"a": [1.0], "b": [2.0], "c": [3.0]})), ("c", "a"))
    >>> chosen.names, [batch.to_pydict() for batch in chosen.batches()]
    (('c', 'a'), [{'c': [3.0], 'a': [1.0]}])
    """

    def __init__(self, table: TrainingTable, names: tuple[str, ...]) -> None:
        missing = [name for name in names if name not in set(table.names)]
        if missing:
            refuse_other_columns(names, tuple(name for name in names if name not in set(missing)), "columns")
        self._table = table
        self.names = names

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self._table.rows

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[pa.RecordBatch]:
        """Rows [start, stop) in order, in the pieces of the table beneath."""
        for batch in self._table.batches(start, stop):
            yield batch.select(list(self.names))

    def take(self, rows: Int64Array) -> pa.Table:
        """The named rows (strictly increasing positions) as one table."""
        return self._table.take(rows).select(list(self.names))


def columns_for(table: TrainingTable, names: tuple[str, ...]) -> TrainingTable:
    """The table itself where it has just these columns, else the choice of them.

    Raises
    ------
    DetectorError
        The table lacks some.
    """
    return table if table.names == names else ColumnChoice(table, names)
