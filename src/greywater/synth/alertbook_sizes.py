"""Sizes as the data have them: round amounts that many alerts share, smooth tails, and the map that leads there."""

from __future__ import annotations

from statistics import NormalDist
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from greywater.synth.alertbook_copula import exponential_tails, quantile_table
from greywater.vocab import Float64Array, Int64Array

__all__ = ["SizeMap", "round_sizes", "size_map", "thinned"]

#: Probabilities at which a map has knots.
_KNOTS: Final[Float64Array] = np.array([NormalDist().cdf(float(score)) for score in np.linspace(-5, 5, 1_281)])
#: A size that so many alerts share, in so large a share of the rows, is a round amount.
_ALERTS: Final = 10
_SHARE: Final = 5e-4
_MOST: Final = 512

_T = TypeVar("_T", bound=np.generic)

SizeMap = tuple[Float64Array, Float64Array]


def thinned(values: NDArray[_T], most: int = 1_000_000) -> NDArray[_T]:
    """At most so many of the values, evenly taken."""
    return values[:: max(-(-len(values) // most), 1)]


def round_sizes(size: Float64Array, alert: Int64Array) -> tuple[Float64Array, Float64Array]:
    """Sizes that come up again and again, in many alerts, and the share of rows that have each.

    Parameters
    ----------
    size : float64[n]
        Sizes of one cell.
    alert : int64[n]
        Their alerts.

    Returns
    -------
    sizes, shares : float64[k]
        In order of size; at most 512.

    Examples
    --------
    >>> size = np.concatenate([np.full(50, 2.0), np.linspace(0, 1, 950)])
    >>> sizes, shares = round_sizes(size, np.arange(1_000) % 100)
    >>> sizes.tolist(), shares.tolist()
    ([2.0], [0.05])
    """
    values, count = np.unique(size, return_counts=True)
    often = count >= max(2 * _ALERTS, _SHARE * len(size))
    values, count = values[often], count[often]
    if len(values) > _MOST:
        kept = np.sort(np.argsort(-count, kind="stable")[:_MOST])
        values, count = values[kept], count[kept]
    if not len(values):
        return values, np.empty(0)
    place = np.minimum(np.searchsorted(values, size), len(values) - 1)
    of_them = values[place] == size
    pairs = np.unique(place[of_them].astype(np.int64) << 32 | alert[of_them])
    shared = np.bincount(pairs >> 32, minlength=len(values)) >= _ALERTS
    return values[shared], count[shared] / len(size)


def size_map(size: Float64Array, alert: Int64Array, drawn: Float64Array, weight: Float64Array) -> SizeMap:
    """Knots of the map from what the model draws to the sizes of the data, rank for rank.

    Where the data have a round amount, a stretch of drawn values goes to that one amount.

    Parameters
    ----------
    size, alert : float64[n], int64[n]
        Sizes of the data and their alerts.
    drawn, weight : float64[m]
        Sizes that the model draws, and how much each counts.

    Returns
    -------
    drawn, size : float64[k]
        Neither ever decreases.
    """
    values, shares = round_sizes(size, alert)
    rest = np.sort(size[~np.isin(size, values)]) if len(values) else np.sort(size)
    ranks, sizes = [np.empty(0)], [np.empty(0)]
    left = 1 - float(shares.sum())
    if len(rest):
        smooth = quantile_table(rest, _KNOTS)
        below = np.concatenate([[0.0], np.cumsum(shares)])[np.searchsorted(values, smooth)]
        ranks.append(left * _KNOTS + below)
        sizes.append(smooth)
    if len(values):
        under = np.searchsorted(rest, values) / max(len(rest), 1)
        first = left * under + np.cumsum(shares) - shares
        ranks += [first, first + shares]
        sizes += [values, values]
    rank, target = np.concatenate(ranks), np.concatenate(sizes)
    order = np.lexsort((rank, target))
    rank, target = np.maximum.accumulate(rank[order]), target[order]
    return _weighted_quantiles(drawn, weight, rank), target


def _weighted_quantiles(values: Float64Array, weight: Float64Array, rank: Float64Array) -> Float64Array:
    order = np.argsort(values, kind="stable")
    ordered, heavy = values[order], weight[order]
    upto = np.cumsum(heavy)
    middle = np.interp(rank, (upto - heavy / 2) / upto[-1], ordered)
    inside = np.clip(rank, 1e-9, 1 - 1e-9)
    return exponential_tails(middle, inside, ordered, heavy)
