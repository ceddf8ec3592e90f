"""Slow, obvious twins of the alert book's arithmetic: one value at a time, plain Python."""

from __future__ import annotations

import math
from statistics import NormalDist

NORMAL = NormalDist()


def normal_scores(values: list[float]) -> list[float]:
    """Score of the middle rank of each value among all that are there."""
    there = [value for value in values if not math.isnan(value)]
    scores = []
    for value in values:
        if math.isnan(value):
            scores.append(math.nan)
            continue
        below = sum(other < value for other in there)
        equal = sum(other == value for other in there)
        scores.append(NORMAL.inv_cdf((below + equal / 2) / len(there)))
    return scores


def correlation(one: list[float], other: list[float]) -> float:
    """Pearson's, over the rows that have both, pulled towards zero by 30 rows; 0 below 30."""
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if not math.isnan(a) and not math.isnan(b)]
    if len(pairs) < 30:
        return 0.0
    mean = [sum(pair[place] for pair in pairs) / len(pairs) for place in (0, 1)]
    product = sum((a - mean[0]) * (b - mean[1]) for a, b in pairs)
    spread = math.prod(math.sqrt(sum((pair[place] - mean[place]) ** 2 for pair in pairs)) for place in (0, 1))
    return product / spread * len(pairs) / (len(pairs) + 30) if spread > 0 else 0.0


def look_up(grid: list[float], table: list[float], score: float) -> float:
    """Linear between the two points around the score; the ends beyond them."""
    if score <= grid[0]:
        return table[0]
    for left in range(len(grid) - 1):
        if score <= grid[left + 1]:
            part = (score - grid[left]) / (grid[left + 1] - grid[left])
            return table[left] + part * (table[left + 1] - table[left])
    return table[-1]


def moments(sizes: list[float]) -> tuple[int, float, float]:
    """Count, mean and standard deviation (ddof 1)."""
    if not sizes:
        return 0, math.nan, math.nan
    mean = math.fsum(sizes) / len(sizes)
    if len(sizes) < 2:
        return 1, mean, math.nan
    return len(sizes), mean, math.sqrt(math.fsum((size - mean) ** 2 for size in sizes) / (len(sizes) - 1))


def brackets(codes: list[int], categories: int) -> list[tuple[int, float, float]]:
    """(code, begin, end) of each category that occurs, commonest first, of equals the smaller code."""
    shares = sorted((-codes.count(code), code) for code in range(categories) if code in codes)
    found, begin = [], 0.0
    for count, code in shares:
        end = begin - count / len(codes)
        found.append((code, begin, end))
        begin = end
    return found


def decode_by_bracket(value: float, held: list[tuple[int, float, float]]) -> int:
    """The bracket that holds the value; the first or last one beyond them."""
    for code, _, end in held[:-1]:
        if value < end:
            return code
    return held[-1][0]


def decode_by_mean(value: float, held: list[tuple[int, float, float]]) -> int:
    """The category whose middle is nearest to the value modulo 1; of two as near the later one."""
    value = value % 1.0
    best = held[0]
    for one in held:
        if abs(value - (one[1] + one[2]) / 2) <= abs(value - (best[1] + best[2]) / 2):
            best = one
    return best[0]


def corrected(sizes: list[float], mean: float, spread: float) -> list[float]:
    """First the variance, then the mean."""
    own = math.fsum(sizes) / len(sizes)
    width = math.sqrt(math.fsum((size - own) ** 2 for size in sizes) / len(sizes))
    scaled = [size * spread / width for size in sizes]
    return [size - own * spread / width + mean for size in scaled]
