"""Slow and obvious: SMOTE, and ROC AUC lost by a shuffled column, one row at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

Row = Sequence[float]


def smote(rows: list[Row], count: int, seed: int, neighbours: int) -> list[list[float]]:
    """The same draws in the same order: all beginnings, all ends, all shares."""
    draw = np.random.default_rng(seed)
    near = min(neighbours, len(rows) - 1)
    nearest = []
    for at, row in enumerate(rows):
        others = sorted((math.dist(row, other), place) for place, other in enumerate(rows) if place != at)
        nearest.append([place for _, place in others[:near]])
    begins = draw.integers(len(rows), size=count).tolist()
    if not near:
        return [list(rows[begin]) for begin in begins]
    ends = draw.integers(near, size=count).tolist()
    shares = draw.random(count).tolist()
    made = []
    for begin, end, share in zip(begins, ends, shares, strict=True):
        one, other = rows[begin], rows[nearest[begin][end]]
        made.append([a + share * (b - a) for a, b in zip(one, other, strict=True)])
    return made


def area(y: Sequence[int], score: Sequence[float]) -> float:
    """Share of pairs in order, ties one half."""
    pairs = [(a > b) + (a == b) / 2 for a, i in zip(score, y, strict=True) if i for b, j in zip(score, y, strict=True)
             if not j]  # fmt: skip
    return sum(pairs) / len(pairs)


def permutation_importance(
    score: Callable[[Row], float], rows: list[list[float]], y: list[int], repeats: int, seed: int
) -> list[float]:
    """Column by column, one permutation at a time."""
    draw = np.random.default_rng(seed)
    whole = area(y, [score(row) for row in rows])
    lost = []
    for column in range(len(rows[0])):
        total = 0.0
        for _ in range(repeats):
            order = draw.permutation(len(rows)).tolist()
            moved = [[rows[order[at]][column] if place == column else value for place, value in enumerate(row)]
                     for at, row in enumerate(rows)]  # fmt: skip
            total += whole - area(y, [score(row) for row in moved])
        lost.append(total / repeats)
    return lost
