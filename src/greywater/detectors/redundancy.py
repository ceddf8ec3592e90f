"""Which columns say the same as another: of those a distance counts one."""

from __future__ import annotations

import numpy as np

from greywater.vocab import Float64Array, Int64Array

__all__ = ["distinct_columns"]


def distinct_columns(rows: Float64Array, limit: float) -> Int64Array:
    """Columns whose correlation with every column kept before is below the limit in size, increasing int64[kept].

    Twenty windows of one thing would else weigh twenty times in a distance or an error of reconstruction.

    Parameters
    ----------
    rows : float64[n, columns]
        Scaled, none of them NaN. A column without spread is correlated with none.
    limit : float
        In (0, 1]; 1 keeps all.

    Examples
    --------
    >>> distinct_columns(np.array([[1.0, 2.0, 1.0], [2.0, 4.1, 0.0], [3.0, 6.0, 1.0]]), 0.9).tolist()
    [0, 2]
    """
    if limit >= 1 or not rows.size:
        return np.arange(rows.shape[1])
    centred = rows - rows.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    unit = centred / np.where(length > 0, length, 1.0)
    alike = np.abs(unit.T @ unit)
    kept: list[int] = []
    for column in range(rows.shape[1]):
        if not kept or alike[column, kept].max() < limit:
            kept.append(column)
    return np.array(kept, np.int64)
