"""Features of alerts whose transactions name no counterparty: seven measures for each type and entry."""

from __future__ import annotations

from typing import Final

import numpy as np

from greywater.features.feature import Feature
from greywater.vocab import Float64Array, Int64Array

__all__ = ["BAG_FEATURES", "MISSING", "bag_features"]

ENTRIES: Final = ("credit", "debit")
KINDS: Final = ("card", "cash", "international", "wire")
MEASURES: Final = ("min", "mean", "median", "max", "std", "count", "sum")
#: What stands for a measure of no transactions, but for the count: below any standardised size seen.
MISSING: Final = -3.0

_WORDS: Final = {
    "min": "smallest size", "mean": "mean size", "median": "median size", "max": "largest size",
    "std": "standard deviation of the sizes", "count": "number", "sum": "sum of the sizes",
}  # fmt: skip

#: The columns of `bag_features`: entry by entry, type by type, measure by measure.
BAG_FEATURES: Final = tuple(
    Feature(
        name=f"{entry}.{kind}.{measure}",
        entity="sender",
        dtype="float64",
        unit="payments" if measure == "count" else "standardised size",
        description=f"{_WORDS[measure]} of {kind} payments {'sent' if entry == 'credit' else 'received'}",
        family="alerts",
        parameters={"entry": entry, "kind": kind, "measure": measure},
    )
    for entry in ENTRIES
    for kind in KINDS
    for measure in MEASURES
)


def bag_features(alerts: int, alert: Int64Array, group: Int64Array, size: Float64Array) -> Float64Array:
    """Minimum, mean, median, maximum, standard deviation, count and sum of the sizes of each alert, type and entry.

    The 56 features of the SynthAML benchmark (Jensen et al., Scientific Data 2023): a measure of no transactions is
    MISSING, its count 0. The standard deviation divides by n - 1 and is MISSING for a single transaction.

    Parameters
    ----------
    alerts : int
        How many alerts there are.
    alert : int64[n]
        Which alert a transaction belongs to, 0 ... alerts - 1.
    group : int64[n]
        4 x entry + type, 0 ... 7 (credit = money leaving first; card, cash, international, wire).
    size : float64[n]
        Standardised logarithm of the amount.

    Returns
    -------
    float64[alerts, 56]

    Examples
    --------
    >>> rows = bag_features(1, np.array([0, 0, 0]), np.array([0, 0, 7]), np.array([1.0, 3.0, 5.0]))
    >>> rows[0, :7].round(3).tolist()
    [1.0, 2.0, 2.0, 3.0, 1.414, 2.0, 4.0]
    """
    cells = len(ENTRIES) * len(KINDS)
    found = np.full((alerts * cells, len(MEASURES)), MISSING)
    found[:, MEASURES.index("count")] = 0.0
    if len(alert):
        cell = np.asarray(alert, np.int64) * cells + np.asarray(group, np.int64)
        order = np.lexsort((size, cell))
        cell, value = cell[order], np.asarray(size, np.float64)[order]
        starts = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1]]))
        count = np.diff(np.append(starts, len(cell)))
        ends = starts + count - 1
        total = np.add.reduceat(value, starts)
        mean = total / count
        around = np.add.reduceat((value - np.repeat(mean, count)) ** 2, starts)
        std = np.sqrt(np.divide(around, count - 1, out=np.zeros(len(count)), where=count > 1))
        middle = (value[starts + (count - 1) // 2] + value[starts + count // 2]) / 2
        measured = (value[starts], mean, middle, value[ends], np.where(count > 1, std, MISSING), count, total)
        found[cell[starts]] = np.column_stack(measured)
    return found.reshape(alerts, cells * len(MEASURES))
