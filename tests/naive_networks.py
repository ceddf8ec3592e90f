"""A layer, a curve and an error the slow obvious way."""

from __future__ import annotations

import math

import numpy as np


def layer(rows: np.ndarray, weight: np.ndarray, bias: np.ndarray, slope: float) -> list[list[float]]:
    """act(rows @ weight + bias), one number after another in float64."""
    found = []
    for row in rows.tolist():
        sums = [b + sum(x * w for x, w in zip(row, column, strict=True))
                for b, column in zip(bias.tolist(), weight.T.tolist(), strict=True)]  # fmt: skip
        found.append([each if each > 0 else slope * each for each in sums])
    return found


def on_curve(x: float, knots: list[float], values: list[float]) -> float:
    """The straight line between the two knots beside x; the ends beyond the ends, 0 where x is undefined."""
    if math.isnan(x):
        return 0.0
    if x <= knots[0]:
        return values[0]
    if x >= knots[-1]:
        return values[-1]
    place = max(at for at, knot in enumerate(knots) if knot <= x)
    rise = (values[place + 1] - values[place]) / (knots[place + 1] - knots[place])
    return rise * (x - knots[place]) + values[place]


def apart(row: np.ndarray, refined: np.ndarray) -> float:
    """The mean of error^2."""
    return sum((a - b) ** 2 for a, b in zip(row.tolist(), refined.tolist(), strict=True)) / len(row)
