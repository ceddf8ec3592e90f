"""Gaussian copula over columns with any marginals: normal scores, tables of quantiles, correlations, draws."""

from __future__ import annotations

from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from greywater.vocab import Float64Array

__all__ = [
    "GRID",
    "PROBABILITIES",
    "exponential_tails",
    "look_up",
    "normal_scores",
    "pairwise_correlation",
    "quantile_table",
    "repaired",
]

#: A table of quantiles holds one value for each of these normal scores.
GRID: Final[Float64Array] = np.linspace(-4.5, 4.5, 289)
PROBABILITIES: Final[Float64Array] = np.array([NormalDist().cdf(float(score)) for score in GRID])

_STEPS_A_SCORE: Final = 32.0
#: Least eigenvalue of a repaired correlation.
_LEAST: Final = 1e-4
#: Two columns that were seen together less often than this count as uncorrelated.
_PAIRS: Final = 30


def normal_scores(values: Float64Array) -> Float64Array:
    """Normal scores of ranks; equal values share the score of their middle rank, NaN stays NaN.

    Parameters
    ----------
    values : float64[n]
        NaN where there is none.

    Returns
    -------
    float64[n]

    Examples
    --------
    >>> normal_scores(np.array([5.0, 9.0, np.nan, 7.0])).round(3).tolist()
    [-0.967, 0.967, nan, 0.0]
    """
    scores = np.full(len(values), np.nan)
    seen = np.flatnonzero(~np.isnan(values))
    if not len(seen):
        return scores
    _, inverse, count = np.unique(values[seen], return_inverse=True, return_counts=True)
    before = np.cumsum(count) - count
    middle = (before + 0.5 * count) / len(seen)
    inverse_cdf = NormalDist().inv_cdf
    scores[seen] = np.array([inverse_cdf(share) for share in middle.tolist()])[inverse]
    return scores


def quantile_table(values: Float64Array, grid: Float64Array = PROBABILITIES) -> Float64Array:
    """Quantiles at the probabilities of a grid; beyond the last few hundredths the tails are exponential.

    So no extreme of the data is copied, and none is the last that can be drawn.

    Parameters
    ----------
    values : float64[n]
        At least one, none of them NaN.
    grid : float64[p]
        Probabilities, increasing.

    Returns
    -------
    float64[p]
        Never decreasing.

    Examples
    --------
    >>> table = quantile_table(np.arange(1_001.0))
    >>> float(table[144].round(6)), bool((np.diff(table) > 0).all())
    (500.0, True)
    """
    ordered = np.sort(values)
    middle = np.interp(grid * len(ordered) - 0.5, np.arange(len(ordered)), ordered)
    return exponential_tails(middle, grid, ordered, np.ones(len(ordered)))


def exponential_tails(
    table: Float64Array, grid: Float64Array, ordered: Float64Array, weight: Float64Array
) -> Float64Array:
    """Replace both ends of a table of quantiles by exponential tails of the same mean excess.

    Parameters
    ----------
    table, grid : float64[p]
        Quantiles and their probabilities.
    ordered, weight : float64[n]
        What they are quantiles of, in order, and how much each counts.
    """
    cut = float(np.clip(25 / len(ordered), 0.002, 0.05))
    upto = np.cumsum(weight) / weight.sum()
    found = table.copy()
    for tail, sign in ((grid > 1 - cut, 1.0), (grid < cut, -1.0)):
        edge = float(np.interp(1 - cut if sign > 0 else cut, grid, table))
        beyond = upto > 1 - cut if sign > 0 else upto < cut
        if beyond.any() and tail.any():
            excess = float(np.average(sign * (ordered[beyond] - edge), weights=weight[beyond]))
            depth = (1 - grid[tail] if sign > 0 else grid[tail]) / cut
            found[tail] = edge - sign * max(excess, 0.0) * np.log(depth)
    return np.maximum.accumulate(found)


def look_up(table: Float64Array, score: Float64Array) -> Float64Array:
    """Values of a table of quantiles at normal scores, linear in between.

    Examples
    --------
    >>> look_up(GRID, np.array([-9.0, 0.25, 0.26])).round(6).tolist()
    [-4.5, 0.25, 0.26]
    """
    place: Float64Array = (score - GRID[0]) * _STEPS_A_SCORE
    np.clip(place, 0.0, len(GRID) - 1.000001, out=place)
    low = place.astype(np.int32)
    place -= low
    low_value = table[low]
    place *= table[low + 1] - low_value
    place += low_value
    return place


def pairwise_correlation(scores: Float64Array) -> Float64Array:
    """Correlations of columns, each pair over the rows that have both; few rows pull it towards zero.

    Parameters
    ----------
    scores : float64[n, d]
        NaN where a row has no value.

    Returns
    -------
    float64[d, d]
        Symmetric with a unit diagonal; not always positive definite.
    """
    seen = ~np.isnan(scores)
    filled, ones = np.where(seen, scores, 0.0), seen.astype(np.float64)
    pairs = ones.T @ ones
    total, squares, products = filled.T @ ones, (filled**2).T @ ones, filled.T @ filled
    safe = np.maximum(pairs, 1.0)
    covariance = products / safe - (total / safe) * (total.T / safe)
    spread = np.sqrt(np.maximum(squares / safe - (total / safe) ** 2, 0.0))
    product = spread * spread.T
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(product > 1e-12, covariance / product, 0.0)
    found *= np.where(pairs >= _PAIRS, pairs / (pairs + _PAIRS), 0.0)
    np.fill_diagonal(found, 1.0)
    clipped: Float64Array = np.clip(found, -1.0, 1.0)
    return clipped


def repaired(matrix: NDArray[np.float64]) -> Float64Array:
    """The correlation matrix with its eigenvalues lifted above zero and its diagonal back at one.

    Examples
    --------
    >>> broken = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    >>> bool(np.linalg.eigvalsh(broken).min() < 0 < np.linalg.eigvalsh(repaired(broken)).min())
    True
    """
    values, vectors = np.linalg.eigh((matrix + np.swapaxes(matrix, -1, -2)) / 2)
    lifted = (vectors * np.maximum(values, _LEAST)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    scale = 1 / np.sqrt(np.einsum("...ii->...i", lifted))
    found: Float64Array = lifted * scale[..., :, None] * scale[..., None, :]
    return found
