"""How far two samples are apart: by counts in bins, and by values in order."""

from __future__ import annotations

import math

import numpy as np

from greywater.vocab import Float64Array, Int64Array

__all__ = [
    "chi_square", "jensen_shannon", "kolmogorov_smirnov", "moved", "pooled_bins", "population_stability_index",
    "wasserstein",
]  # fmt: skip

#: What stands for nothing in a bin that only one of two windows fills: half a row.
_half_a_row = 0.5
_fewest_expected = 5.0


def population_stability_index(reference: Int64Array, live: Int64Array) -> float:
    """Sum over bins of (p - q) ln(p / q), p and q the shares of the live and the reference window.

    A bin that one window leaves empty counts there as half a row. 0 = alike; bins empty in both say nothing.

    Parameters
    ----------
    reference, live : int64[bins]
        Counts, each with a sum above 0.

    Examples
    --------
    >>> round(population_stability_index(np.array([50, 50]), np.array([60, 40])), 4)
    0.0405
    """
    there = (reference > 0) | (live > 0)
    q = np.maximum(reference[there], _half_a_row) / reference.sum()
    p = np.maximum(live[there], _half_a_row) / live.sum()
    return float(np.sum((p - q) * np.log(p / q)))


def jensen_shannon(reference: Int64Array, live: Int64Array) -> float:
    """The Jensen-Shannon distance: the root of the divergence in bits. 0 = alike, 1 = nothing in common.

    J. Lin, "Divergence measures based on the Shannon entropy", IEEE Transactions on Information Theory 37, 1991.

    Parameters
    ----------
    reference, live : int64[bins]
        Counts, each with a sum above 0.

    Examples
    --------
    >>> jensen_shannon(np.array([1, 0]), np.array([0, 1]))
    1.0
    """
    p, q = reference / reference.sum(), live / live.sum()
    middle = (p + q) / 2
    divergence = sum(float(np.sum(one[one > 0] * np.log2(one[one > 0] / middle[one > 0]))) for one in (p, q))
    return math.sqrt(min(max(divergence / 2, 0.0), 1.0))


def kolmogorov_smirnov(reference: Float64Array, live: Float64Array) -> float:
    """The greatest distance between the two distribution functions; ties count as they should.

    Parameters
    ----------
    reference, live : float64[n], float64[m]
        Sorted, no NaN; at least one value each.

    Examples
    --------
    >>> kolmogorov_smirnov(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.5
    """
    both, upto = _pooled(reference, live)
    last = np.flatnonzero(both[1:] != both[:-1])
    apart = upto[last] / len(reference) - (last + 1 - upto[last]) / len(live)
    return float(np.abs(apart).max(initial=0.0))


def wasserstein(reference: Float64Array, live: Float64Array) -> float:
    """How far the mass of one sample must be moved to make the other: the area between the distribution functions.

    Parameters
    ----------
    reference, live : float64[n], float64[m]
        Sorted, finite; at least one value each.

    Examples
    --------
    >>> wasserstein(np.array([0.0, 1.0]), np.array([2.0, 3.0]))
    2.0
    """
    return moved(reference, live)[0]


def moved(reference: Float64Array, live: Float64Array) -> tuple[float, float]:
    """The Wasserstein distance, and what it is on average for two samples of these sizes where nothing has changed.

    At each value the two distribution functions differ, without drift, by a normal variable of variance
    F (1 - F) (1/n + 1/m), F that of both together; its mean absolute value is integrated.

    Parameters
    ----------
    reference, live : float64[n], float64[m]
        Sorted, finite; at least one value each.
    """
    n, m = len(reference), len(live)
    both, upto = _pooled(reference, live)
    width = np.diff(both)
    together = np.arange(1, n + m, dtype=np.float64)
    apart = np.abs(upto / n - (together - upto) / m)
    together /= n + m
    by_chance = (
        math.sqrt(2 / math.pi) * math.sqrt(1 / n + 1 / m) * float(np.dot(np.sqrt(together * (1 - together)), width))
    )
    return float(np.dot(apart, width)), by_chance


def _pooled(reference: Float64Array, live: Float64Array) -> tuple[Float64Array, Int64Array]:
    """All values in order, and how many of the reference are up to each but the last."""
    both = np.sort(np.concatenate([reference, live]), kind="stable")
    return both, np.searchsorted(reference, both[:-1], side="right")


def chi_square(reference: Int64Array, live: Int64Array) -> tuple[float, int]:
    """Pearson's statistic of the 2 x bins table and its degrees of freedom; bins empty in both are left out.

    Parameters
    ----------
    reference, live : int64[bins]
        Counts, each with a sum above 0.

    Examples
    --------
    >>> chi_square(np.array([10, 20]), np.array([20, 10]))
    (6.666666666666667, 1)
    """
    table = np.stack([reference, live]).astype(np.float64)
    table = table[:, table.sum(axis=0) > 0]
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return float(np.sum((table - expected) ** 2 / expected)), table.shape[1] - 1


def pooled_bins(reference: Int64Array, live: Int64Array) -> tuple[Int64Array, Int64Array]:
    """The counts with all bins in one of which fewer than five rows are expected poured together into one.

    Pearson's statistic follows its distribution only where five are expected (Cochran, 1954).
    """
    both = reference + live
    least = both * (min(reference.sum(), live.sum()) / max(both.sum(), 1))
    thin = least < _fewest_expected
    if np.count_nonzero(thin) < 2:
        return reference, live
    return (
        np.append(reference[~thin], reference[thin].sum()),
        np.append(live[~thin], live[thin].sum()),
    )
