"""Puts alerts in an order where no outcome is known: the mean of their ranks by several signs."""

from __future__ import annotations

import numpy as np

from greywater.vocab import Float64Array

__all__ = ["fuse_ranks", "rank_shares"]


def rank_shares(values: Float64Array) -> Float64Array:
    """Share of the alerts that have less of each sign, ties counting half, float64[n, signs]; NaN stays NaN.

    Examples
    --------
    >>> rank_shares(np.array([[1.0], [5.0], [5.0], [np.nan]])).ravel().round(3).tolist()
    [0.167, 0.667, 0.667, nan]
    """
    given = np.asarray(values, np.float64)
    shares = np.full(given.shape, np.nan)
    for column in range(given.shape[1]):
        known = ~np.isnan(given[:, column])
        mine = given[known, column]
        ordered = np.sort(mine)
        below = np.searchsorted(ordered, mine, side="left")
        not_above = np.searchsorted(ordered, mine, side="right")
        shares[known, column] = (below + not_above) / (2 * max(len(ordered), 1))
    return shares


def fuse_ranks(values: Float64Array) -> Float64Array:
    """Mean share over the signs that say something (Borda's count by shares), float64[n] in [0, 1]; else 0.5.

    Every sign weighs the same, more of it is worse, and only the order within each counts: nothing is learned, so
    nothing can be called a probability.

    Parameters
    ----------
    values : float64[n, signs]
        NaN = the sign says nothing of the alert.

    Examples
    --------
    >>> fuse_ranks(np.array([[1.0, 9.0], [2.0, np.nan], [3.0, 7.0]])).round(3).tolist()
    [0.458, 0.5, 0.542]
    """
    shares = rank_shares(values)
    known = ~np.isnan(shares)
    says = known.sum(axis=1)
    total = np.where(known, shares, 0.0).sum(axis=1)
    result: Float64Array = np.divide(total, says, out=np.full(len(total), 0.5), where=says > 0)
    return result
