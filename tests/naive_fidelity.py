"""Slow and obvious measures of fidelity and privacy: one value, one row, one pair at a time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from tests.naive_alerts import area

Row = Sequence[float]


def kolmogorov_smirnov(left: Sequence[float], right: Sequence[float]) -> float:
    """At every value that occurs: the share at or below it, on both sides."""

    def below(values: Sequence[float], at: float) -> float:
        return sum(value <= at for value in values) / len(values)

    return max(abs(below(left, at) - below(right, at)) for at in [*left, *right])


def total_variation(left: Sequence[object], right: Sequence[object]) -> float:
    """Of the categories themselves, not of counts."""
    one, other = Counter(left), Counter(right)
    return sum(abs(one[name] / len(left) - other[name] / len(right)) for name in {*one, *other}) / 2


def spearman(left: Sequence[float], right: Sequence[float]) -> float:
    """Pearson's correlation of mean ranks, 0 where a side is constant."""

    def ranks(values: Sequence[float]) -> list[float]:
        return [sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
                for value in values]  # fmt: skip

    a, b = ranks(left), ranks(right)
    middle_a, middle_b = sum(a) / len(a), sum(b) / len(b)
    both = sum((x - middle_a) * (y - middle_b) for x, y in zip(a, b, strict=True))
    size = math.sqrt(sum((x - middle_a) ** 2 for x in a) * sum((y - middle_b) ** 2 for y in b))
    return both / size if size else 0.0


def outcome_area(column: Sequence[float], y: Sequence[int]) -> float:
    """ROC AUC of one column, pair by pair."""
    return area(y, column)


def closest(rows: Sequence[Row], others: Sequence[Row]) -> list[float]:
    """Every pair."""
    return [min(math.dist(row, other) for other in others) for row in rows]


def share_closer(to_train: Sequence[float], to_holdout: Sequence[float]) -> float:
    """Row by row."""
    points = [1.0 if a < b else 0.5 if a == b else 0.0 for a, b in zip(to_train, to_holdout, strict=True)]
    return sum(points) / len(points)


def copied_rows(real: Sequence[tuple[int, float, int]], made: Sequence[tuple[int, float, int]]) -> float:
    """(group, size, seconds) as they are."""
    return sum(row in set(real) for row in made) / len(made)


def copied_extremes(
    real: Sequence[tuple[int, float, int]], made: Sequence[tuple[int, float, int]], count: int
) -> tuple[int, int]:
    """Group by group, value by value."""
    seen = looked = 0
    for group in range(8):
        sizes = [size for place, size, _ in real if place == group]
        once = sorted(size for size in sizes if sizes.count(size) == 1)
        chosen = sorted({*once[:count], *once[max(0, len(once) - count) :]})
        others = [size for place, size, _ in made if place == group]
        looked += len(chosen)
        seen += sum(any(abs(size - other) <= 1e-9 for other in others) for size in chosen)
    return seen, looked
