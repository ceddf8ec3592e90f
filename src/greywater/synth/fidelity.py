"""How near made-up alerts are to real ones: distributions overall and within categories, correlations, cardinality."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from greywater.synth.alertbook_tables import CELLS, DAY, ENTRIES, KINDS, AlertTables, cell_names
from greywater.vocab import Float64Array, Int64Array

__all__ = [
    "NEAR", "Cell", "Measure", "cells", "correlation_gap", "distributions", "kolmogorov_smirnov", "noise_of_columns",
    "noise_of_shares", "noise_of_steps", "outcome_gap", "quarters_of_days", "rank_correlations", "seconds_before",
    "size_curves", "total_variation", "worst",
]  # fmt: skip

#: The line for distances between distributions, where chance alone would not pass it.
NEAR: Final = 0.03
#: Chance alone passes the line of a distance in one of a thousand.
_CHANCE: Final = 1.95
#: Points of a curve that is drawn.
POINTS: Final = 101
_OF_ALERTS: Final = ("outcome", "quarter")


@dataclass(frozen=True)
class Measure:
    """One figure, what it would be at best, and the line that it keeps (`fine`) or not; None = no line or no figure."""

    name: str
    value: float | None
    ideal: float
    line: float | None
    fine: bool | None
    words: str

    @classmethod
    def at_most(cls, name: str, value: float | None, line: float, words: str, ideal: float = 0.0) -> Measure:
        """A figure that should be small."""
        return cls(name, value, ideal, line, None if value is None else bool(value <= line), words)

    @classmethod
    def at_least(cls, name: str, value: float | None, line: float, words: str, ideal: float = 1.0) -> Measure:
        """A figure that should be large."""
        return cls(name, value, ideal, line, None if value is None else bool(value >= line), words)

    def to_json(self) -> dict[str, Any]:
        """In JSON types."""
        return dict(vars(self))


@dataclass(frozen=True)
class Cell:
    """Transactions of one type, entry and outcome: how many, and how far sizes and times before the alert are apart."""

    kind: str
    entry: str
    outcome: str
    real: int
    made: int
    real_share: float
    made_share: float
    size: float | None
    time: float | None
    line: float | None

    @property
    def fine(self) -> bool | None:
        """Whether both distances keep the line; None where a side is empty."""
        if self.size is None or self.time is None or self.line is None:
            return None
        return max(self.size, self.time) <= self.line

    def to_json(self) -> dict[str, Any]:
        """In JSON types."""
        return {**vars(self), "fine": self.fine}


def kolmogorov_smirnov(left: NDArray[Any], right: NDArray[Any]) -> float | None:
    """Largest distance between two empirical distribution functions; None where a side is empty.

    Examples
    --------
    >>> kolmogorov_smirnov(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.5
    """
    if not len(left) or not len(right):
        return None
    left, right = np.sort(left), np.sort(right)
    found = 0.0
    for at in (left, right):
        below = np.searchsorted(left, at, side="right") / len(left)
        found = max(found, float(np.abs(below - np.searchsorted(right, at, side="right") / len(right)).max()))
    return found


def total_variation(left: Int64Array, right: Int64Array) -> float | None:
    """Half the summed distance between the shares of two rows of counts; None where a side is empty.

    Examples
    --------
    >>> total_variation(np.array([3, 1]), np.array([1, 1]))
    0.25
    """
    if not left.sum() or not right.sum():
        return None
    return float(np.abs(left / left.sum() - right / right.sum()).sum() / 2)


def noise_of_steps(left: int, right: int) -> float:
    """The distance that two samples of one distribution pass in about one of a thousand, and NEAR at the least.

    Examples
    --------
    >>> round(noise_of_steps(100, 100), 3), noise_of_steps(10**6, 10**6)
    (0.276, 0.03)
    """
    if not left or not right:
        return 1.0
    return max(NEAR, _CHANCE * math.sqrt((left + right) / (left * right)))


def noise_of_shares(counts: Int64Array, left: int, right: int) -> float:
    """As `noise_of_steps` for total variation: four times what chance alone would bring on average."""
    if not left or not right or not counts.sum():
        return 1.0
    share = counts / counts.sum()
    spread = np.sqrt(share * (1 - share) * (1 / left + 1 / right))
    return max(NEAR, float(4 * math.sqrt(2 / math.pi) * spread.sum() / 2))


def noise_of_columns(real: Int64Array, made: Int64Array) -> tuple[float, float]:
    """Half as much again as chance alone brings on average: to correlations, and to a column's ROC AUC for the outcome.

    Parameters
    ----------
    real, made : int64[n] in {0, 1}
        Outcomes; how many there are is what matters.

    Examples
    --------
    >>> y = np.repeat([0, 1], [8_300, 1_700])
    >>> [round(line, 3) for line in noise_of_columns(y, y)]
    [0.017, 0.013]
    """
    sizes = [max(len(side), 1) for side in (real, made)]
    outcomes = [max(int((side == told).sum()), 1) for side in (real, made) for told in (0, 1)]
    usual = 1.5 * math.sqrt(2 / math.pi)
    by_size = math.sqrt(sum(1 / size for size in sizes))
    return usual * by_size, usual * math.sqrt(sum(1 / size for size in outcomes) / 12)


def distributions(real: AlertTables, made: AlertTables) -> tuple[Measure, ...]:
    """Overall: sizes, times before the alert, transactions an alert, and the shares of every category."""
    alerts = (len(real.day), len(made.day))
    line = noise_of_steps(*alerts)
    counts = [np.bincount(side.alert, minlength=len(side.day)) for side in (real, made)]
    found = [
        Measure.at_most("size", kolmogorov_smirnov(real.size, made.size), line, "KS of the sizes"),
        Measure.at_most(
            "time before the alert",
            kolmogorov_smirnov(seconds_before(real), seconds_before(made)),
            line,
            "KS of the seconds",
        ),
        Measure.at_most("transactions an alert", kolmogorov_smirnov(*counts), line, "KS of the cardinality"),
    ]
    shares = [
        {
            "type": np.bincount(side.cell % len(KINDS), minlength=len(KINDS)),
            "entry": np.bincount(side.cell // len(KINDS), minlength=len(ENTRIES)),
            "type and entry": np.bincount(side.cell, minlength=CELLS),
            "outcome": np.bincount(side.reported, minlength=2),
            "quarter": quarter,
        }
        for side, quarter in zip((real, made), _by_quarter(real, made), strict=True)
    ]
    for name, left in shares[0].items():
        right = shares[1][name]
        share_line = noise_of_shares(left + right, *alerts)
        words = f"total variation of the shares of the {'alerts' if name in _OF_ALERTS else 'transactions'}"
        found.append(Measure.at_most(name, total_variation(left, right), share_line, words))
    return tuple(found)


def cells(real: AlertTables, made: AlertTables) -> tuple[Cell, ...]:
    """Within each type, entry and outcome: distances of sizes and times.

    A column that is shuffled among the transactions is as it was overall, and not within.
    """
    parts = [(side, side.reported[side.alert], seconds_before(side)) for side in (real, made)]
    found = []
    for number in range(CELLS):
        for reported in (True, False):
            places = [np.flatnonzero((side.cell == number) & (told == reported)) for side, told, _ in parts]
            # Transactions of one alert are alike: alerts, not transactions, say how much is chance.
            alerts = [len(np.unique(side.alert[at])) for (side, _, _), at in zip(parts, places, strict=True)]
            whole = [max(1, int(np.count_nonzero(told == reported))) for _, told, _ in parts]
            left, right = places
            found.append(
                Cell(
                    kind=KINDS[number % len(KINDS)].lower(),
                    entry=ENTRIES[number // len(KINDS)].lower(),
                    outcome="reported" if reported else "dismissed",
                    real=len(left),
                    made=len(right),
                    real_share=len(left) / whole[0],
                    made_share=len(right) / whole[1],
                    size=kolmogorov_smirnov(real.size[left], made.size[right]),
                    time=kolmogorov_smirnov(parts[0][2][left], parts[1][2][right]),
                    line=noise_of_steps(*alerts) if len(left) and len(right) else None,
                )
            )
    return tuple(found)


def rank_correlations(X: Float64Array) -> Float64Array:
    """Spearman's correlations float64[columns, columns], ties at their mean rank; 0 beside a constant column.

    Examples
    --------
    >>> rank_correlations(np.array([[1.0, 9.0, 5.0], [2.0, 4.0, 5.0], [3.0, 1.0, 5.0]])).tolist()
    [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    ranks = np.column_stack([_mean_ranks(column) for column in X.T]) if X.shape[1] else X
    centred = ranks - ranks.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=0))
    unit = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    found: Float64Array = np.clip(np.round(unit.T @ unit, 12), -1.0, 1.0)
    return found


def correlation_gap(real: Float64Array, made: Float64Array) -> Float64Array:
    """Spearman's correlations of the made rows less those of the real ones, float64[columns, columns]."""
    gap: Float64Array = rank_correlations(made) - rank_correlations(real)
    return gap


def outcome_gap(real: tuple[Float64Array, Int64Array], made: tuple[Float64Array, Int64Array]) -> Float64Array:
    """By column: the ROC AUC with which it tells reported alerts, made less real, float64[columns]; NaN without both.

    Parameters
    ----------
    real, made : (float64[n, columns], int64[n])
        Rows and outcomes.
    """
    found: list[Float64Array] = []
    for X, y in (real, made):
        reported = int(y.sum())
        if not 0 < reported < len(y):
            return np.full(X.shape[1], np.nan)
        ranks = np.column_stack([_mean_ranks(column) for column in X.T])
        total = ranks[y == 1].sum(axis=0) - reported * (reported + 1) / 2
        found.append(total / (reported * (len(y) - reported)))
    gap: Float64Array = found[1] - found[0]
    return gap


def size_curves(real: AlertTables, made: AlertTables) -> list[dict[str, Any]]:
    """Quantiles of the sizes of each type and entry on both sides, to be drawn; those of one side only are left out."""
    shares = np.linspace(0, 1, POINTS)
    found = []
    for number, name in enumerate(cell_names()):
        sides = [side.size[side.cell == number] for side in (real, made)]
        if all(len(side) for side in sides):
            left, right = (np.quantile(side, shares).tolist() for side in sides)
            found.append({"name": name, "real": left, "made": right})
    return found


def seconds_before(side: AlertTables) -> Int64Array:
    """Seconds int64[n] from each transaction to the end of its alert's day."""
    return np.asarray((side.day[side.alert] + 1) * DAY - side.seconds, np.int64)


def quarters_of_days(day: Int64Array) -> Int64Array:
    """Quarters since 1970 of days since 1970.

    Examples
    --------
    >>> quarters_of_days(np.array([0, 89, 90])).tolist()
    [0, 0, 1]
    """
    months = day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return np.asarray(months // 3, np.int64)


def worst(found: Iterable[Cell]) -> Cell | None:
    """The cell that is farthest beyond its line, or nearest to it."""
    known = [cell for cell in found if cell.fine is not None]
    return max(known, key=lambda cell: max(cell.size or 0.0, cell.time or 0.0) - (cell.line or 0.0), default=None)


def _by_quarter(real: AlertTables, made: AlertTables) -> tuple[Int64Array, Int64Array]:
    quarters = [quarters_of_days(side.day) for side in (real, made)]
    names = np.unique(np.concatenate(quarters))
    left, right = (np.bincount(np.searchsorted(names, side), minlength=len(names)) for side in quarters)
    return left, right


def _mean_ranks(values: Float64Array) -> Float64Array:
    """Ranks from 1, ties at their mean."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks: Float64Array = (last - (count - 1) / 2)[place]
    return ranks
