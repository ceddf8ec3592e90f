"""What any one column alone would do: the baseline that is always shown beside a model, since data sets leak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from greywater.detectors.detector import Validation
from greywater.detectors.saved import refuse_other_columns, refuse_unusable_labels
from greywater.vocab import Float64Array, Int64Array, TrainingTable

__all__ = ["ColumnMeasure", "SingleColumnBaseline", "single_column_baseline"]

Direction = Literal["high", "low"]


@dataclass(frozen=True)
class ColumnMeasure:
    """One column taken as the score: which way it was read, and what it measured.

    `direction` is "high" where high values were taken as suspicious.
    """

    column: str
    direction: Direction
    average_precision: float
    roc_auc: float


@dataclass(frozen=True)
class SingleColumnBaseline:
    """The column with the best average precision and the one with the best ROC AUC; None without both classes."""

    by_average_precision: ColumnMeasure | None
    by_roc_auc: ColumnMeasure | None


def single_column_baseline(
    X: TrainingTable, y: Int64Array, *, directions_from: Validation | None = None
) -> SingleColumnBaseline:
    """Rank the rows by each column alone, and report the best columns.

    The direction of each column is the one that did better on `directions_from` (the training or validation slice;
    without it, on X itself), for average precision and for ROC AUC each. The measures are taken on X and the best
    column is picked there, which flatters the baseline and never the model beside it. NaN is ranked last in both
    directions. Ties count as in `average_precision` and `roc_auc`: the figures equal theirs.

    Exact and streamed: two passes over the table; memory is one batch and, for each column, the positives' values and
    two counts (24 bytes x columns x positives).

    Parameters
    ----------
    X : TrainingTable
        The test slice.
    y : int64[n] in {0, 1}
    directions_from : Validation, optional
        An earlier labelled slice with the same columns.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from greywater.stores.blocks import TableRows
    >>> table = TableRows(pa.table({"noise": [1.0, 1.0, 2.0, 2.0], "leak": [9.0, 1.0, 8.0, 0.0]}))
    >>> single_column_baseline(table, np.array([0, 1, 0, 1])).by_roc_auc.column
    'leak'
    """
    y = np.asarray(y)
    measured = _measure_columns(X, y)
    if measured is None:
        return SingleColumnBaseline(None, None)
    chosen = measured
    if directions_from is not None:
        refuse_other_columns(X.names, directions_from.X.names, "single_column_baseline")
        chosen = _measure_columns(directions_from.X, np.asarray(directions_from.y)) or measured

    def best(which: int) -> ColumnMeasure | None:
        if not X.names:
            return None
        way = np.argmax(chosen[which], axis=0)
        column = int(np.argmax(np.take_along_axis(measured[which], way[None, :], axis=0)[0]))
        read: Direction = "high" if way[column] == 0 else "low"
        precision, auc = (float(figures[way[column], column]) for figures in measured)
        return ColumnMeasure(X.names[column], read, precision, auc)

    return SingleColumnBaseline(by_average_precision=best(0), by_roc_auc=best(1))


def _measure_columns(X: TrainingTable, y: Int64Array) -> tuple[Float64Array, Float64Array] | None:
    """Average precision and ROC AUC float64[2, columns]; row 0 reads a column upward, row 1 downward."""
    refuse_unusable_labels(X, y, "single_column_baseline")
    rows = np.flatnonzero(y == 1)
    columns, positives, total = len(X.names), len(rows), X.rows
    if not positives or positives == total:
        return None
    taken = X.take(rows)
    values = np.empty((columns, positives))
    for index in range(columns):
        values[index] = taken.column(index).to_numpy()
    del taken
    values.sort(axis=1)  # NaN last
    below, not_above, missing = _count_against(X, values)
    defined = np.count_nonzero(~np.isnan(values), axis=1)
    precision, auc = np.empty((2, columns)), np.empty((2, columns))
    for index in range(columns):
        for way, name in enumerate(("high", "low")):
            precision[way, index], auc[way, index] = _figures(
                values[index], int(defined[index]), below[index], not_above[index], int(missing[index]), total, name
            )
    return precision, auc


def _count_against(X: TrainingTable, values: Float64Array) -> tuple[Int64Array, Int64Array, Int64Array]:
    """For each positive's value, how many rows lie below it and how many not above; and how many rows are NaN."""
    below, not_above = np.zeros(values.shape, np.int64), np.zeros(values.shape, np.int64)
    missing = np.zeros(len(values), np.int64)
    for batch in X.batches():
        for index, wanted in enumerate(values):
            column = np.sort(np.asarray(batch.column(index).to_numpy(zero_copy_only=False), np.float64))
            known = int(np.searchsorted(column, np.nan))
            missing[index] += len(column) - known
            below[index] += np.searchsorted(column[:known], wanted, side="left")
            not_above[index] += np.searchsorted(column[:known], wanted, side="right")
    return below, not_above, missing


def _figures(
    values: Float64Array,
    defined: int,
    below: Int64Array,
    not_above: Int64Array,
    missing: int,
    total: int,
    direction: str,
) -> tuple[float, float]:
    """Average precision and ROC AUC of one column read one way, from counts over all rows (both classes)."""
    positives, known = len(values), total - missing
    own = values[:defined]
    if direction == "high":
        flagged = known - below[:defined]
        caught = defined - np.searchsorted(own, own, side="left")
        beaten, tied = below[:defined] + missing, not_above[:defined] - below[:defined]
    else:
        flagged = not_above[:defined]
        caught = np.searchsorted(own, own, side="right")
        beaten, tied = total - not_above[:defined], not_above[:defined] - below[:defined]
    undefined = positives - defined
    # Rows that are not defined come last, all tied: reaching them flags every row.
    precision = (float(np.sum(caught / flagged)) + undefined * positives / total) / positives
    wins = int(beaten.sum())
    ties = int(tied.sum()) + undefined * missing
    # The counts are over both classes; among the positives themselves, wins and half ties come to half the pairs.
    among = positives * positives / 2
    return precision, (wins + ties / 2 - among) / (positives * (total - positives))
