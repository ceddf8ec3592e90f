"""How sure a measure is: percentile intervals by drawing whole parties again, and Wilson's for plain shares."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array

__all__ = ["Interval", "PartyBootstrap", "paired_gain", "ratio_interval", "wilson"]

#: Resamples drawn where nothing else is said.
RESAMPLES: Final = 200
LEVEL: Final = 0.95
#: An interval is given only where at least this share of the resamples defines the measure.
LEAST_DEFINED: Final = 0.5
#: False-positive rates up to here count in the partial area under the ROC curve, as in `measure_payments`.
PARTIAL: Final = 0.01


@dataclass(frozen=True)
class Interval:
    """Where a measure lies with a stated confidence; None where it is not defined."""

    low: float | None
    high: float | None
    level: float = LEVEL


def wilson(hits: float, trials: float, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a share (Wilson 1927); not defined without trials.

    Examples
    --------
    >>> interval = wilson(1, 10)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.0179, 0.4042)
    """
    _check_level(level)
    if trials <= 0:
        return Interval(None, None, level)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = hits / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    whole = 1 + z * z / trials
    low = 0.0 if hits <= 0 else max((centre - spread) / whole, 0.0)
    high = 1.0 if hits >= trials else min((centre + spread) / whole, 1.0)
    return Interval(low, high, level)


def ratio_interval(
    part: Float64Array | Int64Array,
    whole: Float64Array | Int64Array,
    *,
    resamples: int = RESAMPLES,
    seed: int = 7,
    level: float = LEVEL,
) -> Interval:
    """Interval of sum(part) / sum(whole) when blocks (parties) are drawn again.

    Parameters
    ----------
    part, whole : float64[k]
        Of each block: for precision at a budget, its right alerts and its alerts.

    Examples
    --------
    >>> interval = ratio_interval(np.array([1, 0, 1, 0]), np.ones(4))
    >>> 0 <= interval.low <= 0.5 <= interval.high <= 1
    True
    """
    _check_level(level)
    above, below = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    if above.shape != below.shape or above.ndim != 1:
        raise DetectorError(f"parts of shape {above.shape} do not fit wholes of shape {below.shape}", where="bootstrap")
    if not len(below) or not below.sum():
        return Interval(None, None, level)
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        drawn = generator.integers(0, len(below), len(below))
        total = float(below[drawn].sum())
        if total:
            found.append(float(above[drawn].sum()) / total)
    return _percentiles(found, resamples, level)


class PartyBootstrap:
    """Intervals of the measures of scored rows, by drawing whole parties again.

    The payments of one party are no independent trials: a ring's legs are caught together or not at all. So parties
    are drawn with replacement, and a row comes into a resample as often as all its parties were drawn (the product of
    their counts: the bootstrap over the nodes of a graph; Snijders & Borgatti 1999), which errs on the wide side. With
    one party a row it is the usual bootstrap of blocks. Intervals are percentiles of the resamples. The same seed gives
    the same intervals.

    Parameters
    ----------
    y : int64[n] in {0, 1}
    score : float64[n], higher = more suspicious
    parties : sequence of int64[n]
        One or two arrays of codes of the row's parties, from 0; where both name the same party it counts once.
    resamples : int
        Resamples drawn.
    seed : int
        Seed of the draws.
    level : float
        Confidence, in (0, 1).

    Examples
    --------
    >>> y, score = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.8, 0.7])
    >>> intervals = PartyBootstrap(y, score, [np.arange(4)], resamples=50).payments(0.75)
    >>> intervals["recall"].low <= 0.5 <= intervals["recall"].high
    True
    """

    def __init__(
        self,
        y: Int64Array,
        score: Float64Array,
        parties: Sequence[Int64Array],
        *,
        resamples: int = RESAMPLES,
        seed: int = 7,
        level: float = LEVEL,
    ) -> None:
        _check_level(level)
        truth, value = np.asarray(y, np.int64), np.asarray(score, np.float64)
        codes = [np.asarray(each, np.int64) for each in parties]
        if truth.shape != value.shape or any(each.shape != truth.shape for each in codes) or not codes:
            raise DetectorError(
                "labels, scores and parties differ in length", where="bootstrap", mend="give one of each a row"
            )
        if len(truth) and (np.isnan(value).any() or min(int(each.min()) for each in codes) < 0):
            raise DetectorError("a score is NaN or a party has no code", where="bootstrap", mend="leave such rows out")
        if resamples < 1:
            raise DetectorError(f"{resamples} resamples give no interval", where="bootstrap", mend="give at least 1")
        order = np.argsort(-value, kind="stable")
        self._y, self._score = truth[order], value[order]
        self._codes = [each[order] for each in codes]
        self._parties = 1 + max((int(each.max()) for each in codes if len(each)), default=-1)
        self._resamples, self._seed, self._level = resamples, seed, level
        self._ranked = _Ranked.of(self._y, self._score)

    def payments(
        self, threshold: float, *, cost_missed: float | None = None, cost_wasted: float | None = None
    ) -> dict[str, Interval]:
        """Intervals of the measures of `measure_payments`, by name.

        Parameters
        ----------
        threshold : float
            Flags are `score >= threshold`.
        cost_missed, cost_wasted : float, optional
            With both, `expected_cost` is among the measures.
        """
        flagged = int(np.searchsorted(-self._score, -threshold, side="right"))
        costs = None if cost_missed is None or cost_wasted is None else (cost_missed, cost_wasted)
        return self._intervals([self._measures(weight, flagged, costs) for weight in self._draws()])

    def saved(self, floors: Sequence[float]) -> list[Interval]:
        """Intervals of the shares of rows that need not be looked at, for each recall of `alerts_saved`."""
        rows = []
        for weight in self._draws():
            total, caught, flagged = float(weight.sum()), self._ranked.caught(weight), self._ranked.flagged(weight)
            entry: dict[str, float | None] = {}
            for place, floor in enumerate(floors):
                wanted = floor * caught[-1] - 1e-9 if len(caught) else math.inf
                at = int(np.searchsorted(caught, wanted)) if len(caught) and caught[-1] > 0 else len(caught)
                entry[str(place)] = 1 - float(flagged[at]) / total if at < len(caught) and total else None
            rows.append(entry)
        found = self._intervals(rows)
        return [found[str(place)] for place in range(len(floors))]

    def average_precisions(self) -> Float64Array:
        """Average precision in each resample, float64[resamples], NaN without a positive.

        The same parties are drawn for any scores of the same rows, so differences are paired.
        """
        found = []
        for weight in self._draws():
            positive = float(weight[self._y == 1].sum())
            reached = self._ranked.areas(weight, positive, 0.0)["average_precision"]
            found.append(math.nan if reached is None else reached)
        return np.array(found)

    def _draws(self) -> Iterator[Float64Array]:
        """Weights float64[n] of the rows, best score first, in each resample."""
        generator = np.random.default_rng(self._seed)
        first, *others = self._codes
        for _ in range(self._resamples):
            drawn = generator.integers(0, max(self._parties, 1), self._parties)
            count = np.bincount(drawn, minlength=self._parties).astype(np.float64)
            weight: Float64Array = count[first]
            for other in others:
                weight = np.where(other == first, weight, weight * count[other])
            yield weight

    def _measures(
        self, weight: Float64Array, flagged: int, costs: tuple[float, float] | None
    ) -> dict[str, float | None]:
        positive = float(weight[self._y == 1].sum())
        total = float(weight.sum())
        negative = total - positive
        hit = float(weight[:flagged][self._y[:flagged] == 1].sum())
        wasted = float(weight[:flagged].sum()) - hit
        found: dict[str, float | None] = {
            "precision": _share(hit, hit + wasted),
            "recall": _share(hit, positive),
            "f1": _f_beta(hit, wasted, positive - hit, 1.0) if positive else None,
            "f2": _f_beta(hit, wasted, positive - hit, 2.0) if positive else None,
            "false_positive_rate": _share(wasted, negative),
        }
        if costs is not None:
            found["expected_cost"] = _share(costs[0] * (positive - hit) + costs[1] * wasted, total)
        return self._ranked.areas(weight, positive, negative) | found

    def _intervals(self, rows: Sequence[Mapping[str, float | None]]) -> dict[str, Interval]:
        names = rows[0].keys()
        return {
            name: _percentiles([value for row in rows if (value := row[name]) is not None], len(rows), self._level)
            for name in names
        }


@dataclass(frozen=True)
class _Ranked:
    """Rows in order of falling score: which are positive, and where the ties of each positive begin and end.

    `rows` int64[p] the positives; `first`, `last` int64[p] the rows before and up to the end of each one's ties;
    `before`, `upto` int64[p] the positives before and up to the end of them.
    """

    rows: Int64Array
    first: Int64Array
    last: Int64Array
    before: Int64Array
    upto: Int64Array

    @classmethod
    def of(cls, y: Int64Array, falling: Float64Array) -> _Ranked:
        rows = np.flatnonzero(y == 1)
        first = np.searchsorted(-falling, -falling[rows], side="left")
        last = np.searchsorted(-falling, -falling[rows], side="right")
        return cls(rows, first, last, np.searchsorted(rows, first), np.searchsorted(rows, last))

    def caught(self, weight: Float64Array) -> Float64Array:
        """Weight of the positives down to each positive, ties included, float64[p]."""
        return _from_zero(weight[self.rows])[self.upto]

    def flagged(self, weight: Float64Array) -> Float64Array:
        """Weight of all rows down to each positive, ties included, float64[p]."""
        return _from_zero(weight)[self.last]

    def areas(self, weight: Float64Array, positive: float, negative: float) -> dict[str, float | None]:
        """Average precision, the area under the ROC curve and its standardised part up to 1 % false positives."""
        if not positive:
            return {"average_precision": None, "roc_auc": None, "partial_roc_auc": None}
        all_rows, positives, own = _from_zero(weight), _from_zero(weight[self.rows]), weight[self.rows]
        flagged = all_rows[self.last]
        precision = np.divide(positives[self.upto], flagged, out=np.zeros(len(own)), where=flagged > 0)
        found: dict[str, float | None] = {"average_precision": float(own @ precision) / positive}
        if not negative:
            return found | {"roc_auc": None, "partial_roc_auc": None}
        above = all_rows[self.first] - positives[self.before]
        tied = (flagged - positives[self.upto]) - above
        low, high = above / negative, (above + tied) / negative
        part = np.where(high > low, np.maximum(PARTIAL - low, 0) ** 2 / np.maximum(2 * (high - low), 1e-300), 0.0)
        part = np.where(high <= PARTIAL, PARTIAL - (low + high) / 2, part)
        chance = 0.5 * PARTIAL**2
        area = float(own @ part) / positive
        return found | {
            "roc_auc": float(own @ (negative - above - tied / 2)) / (positive * negative),
            "partial_roc_auc": 0.5 * (1 + (area - chance) / (PARTIAL - chance)),
        }


def _from_zero(weight: Float64Array) -> Float64Array:
    """Running totals that begin with 0, float64[n + 1]."""
    return np.concatenate([[0.0], np.cumsum(weight)])


def _percentiles(found: Sequence[float], drawn: int, level: float) -> Interval:
    if len(found) < max(LEAST_DEFINED * drawn, 1):
        return Interval(None, None, level)
    low, high = np.quantile(np.array(found), [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(low), float(high), level)


def _f_beta(hit: float, wasted: float, missed: float, beta: float) -> float | None:
    below = (1 + beta**2) * hit + beta**2 * missed + wasted
    return (1 + beta**2) * hit / below if below else None


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise DetectorError(f"the confidence {level} is not between 0 and 1", mend="give a share such as 0.95")


def paired_gain(
    y: Int64Array,
    before: Float64Array,
    after: Float64Array,
    parties: Sequence[Int64Array],
    *,
    measure: str = "average_precision",
    resamples: int = RESAMPLES,
    seed: int = 7,
    level: float = LEVEL,
) -> Interval:
    """Interval of how much better `after` is than `before`: both are measured in every resample of the parties.

    Parameters
    ----------
    y : int64[n] in {0, 1}
    before, after : float64[n]
        Two scores of the same rows, higher = more suspicious.
    parties : sequence of int64[n]
        As for `PartyBootstrap`.
    measure : str
        "average_precision", "roc_auc" or "partial_roc_auc".
    resamples, seed, level
        As for `PartyBootstrap`.

    Examples
    --------
    >>> y, score = np.array([0, 1] * 20), np.arange(40.0)
    >>> gain = paired_gain(y, score, score + 100 * y, [np.arange(40)])
    >>> gain.low > 0, paired_gain(y, score, score, [np.arange(40)])
    (True, Interval(low=0.0, high=0.0, level=0.95))
    """
    sides = [
        PartyBootstrap(y, score, parties, resamples=resamples, seed=seed, level=level) for score in (before, after)
    ]
    found = []
    for drawn in zip(*(side._draws() for side in sides), strict=True):
        values = []
        for side, weight in zip(sides, drawn, strict=True):
            positive = float(weight[side._y == 1].sum())
            values.append(side._ranked.areas(weight, positive, float(weight.sum()) - positive)[measure])
        if values[0] is not None and values[1] is not None:
            found.append(values[1] - values[0])
    return _percentiles(found, resamples, level)
