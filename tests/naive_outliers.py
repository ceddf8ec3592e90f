"""Slow and obvious twins of the classic anomaly detectors: one row, one column, one neighbour at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist


def distance(one: Sequence[float], other: Sequence[float]) -> float:
    """Mean over the columns of the squared difference."""
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / len(one)


def kth_neighbour(row: Sequence[float], among: Sequence[Sequence[float]], k: int) -> float:
    return sorted(distance(row, other) for other in among)[k - 1]


def thinness(row: Sequence[float], among: Sequence[Sequence[float]], steepness: float) -> float:
    """Minus the logarithm of the mean kernel."""
    kernels = [math.exp(-steepness * len(row) * distance(row, other)) for other in among]
    return -math.log(sum(kernels) / len(kernels))


def tails(row: Sequence[float], among: Sequence[Sequence[float]], *, mean: bool) -> list[float]:
    """ECOD's terms, or COPOD's where `mean`, of one row beside a sample."""
    found = []
    for place, value in enumerate(row):
        column = [other[place] for other in among]
        low = -math.log((sum(each <= value for each in column) + 1) / (len(column) + 1))
        high = -math.log((sum(each >= value for each in column) + 1) / (len(column) + 1))
        middle = sum(column) / len(column)
        third = sum((each - middle) ** 3 for each in column)
        side = high if third > 0 else low if third < 0 else low + high
        found.append(max(side, (low + high) / 2 if mean else max(low, high)))
    return found


def drawn_in(value: float) -> float:
    return math.copysign(math.log1p(min(abs(value), 1.7976931348623157e308)), value)


def normal_quantile(value: float, column: Sequence[float]) -> float:
    """Of the mid-rank of a value that the column holds."""
    below, upto = sum(each < value for each in column), sum(each <= value for each in column)
    return NormalDist().inv_cdf((below + upto) / (2 * len(column)))
