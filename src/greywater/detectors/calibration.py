"""From a raw score to a probability: a sigmoid or an empirical rank, which keep the order, or isotonic steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array

__all__ = ["Isotonic", "Platt", "Rank"]

#: Smallest slope: with less, the order of the scores would drown in rounding.
MIN_SLOPE: Final = 1e-6


@dataclass(frozen=True)
class Platt:
    """probability = sigmoid(slope * score + intercept), slope > 0 (Platt 1999; fitted as Lin, Lin & Weng 2007).

    Strictly increasing, save where float64 rounds a probability to exactly 1 (above about 36).

    Examples
    --------
    >>> Platt(1.0, 0.0)(np.array([0.0])).tolist()
    [0.5]
    """

    slope: float
    intercept: float
    #: False where the slices could not carry a fit, and the sigmoid of the bare score is used.
    fitted: bool = True

    def __call__(self, score: Float64Array) -> Float64Array:
        """Probabilities float64[n] of raw scores float64[n]."""
        return _sigmoid(self.slope * np.asarray(score, np.float64) + self.intercept)

    @classmethod
    def fit(cls, y: Int64Array, score: Float64Array, weight: Float64Array | None = None) -> Self:
        """Fit on a slice that the detector did not learn from.

        The targets are Platt's (N+ + 1) / (N+ + 2) and 1 / (N- + 2), so a slice that the score separates perfectly
        still gives finite odds. Where only one class is present, or the score ranks backwards on the slice, the
        slope is kept at 1 and only the intercept is fitted, so that the order is never turned round.

        Parameters
        ----------
        y : int64[n] in {0, 1}
        score : float64[n]
        weight : float64[n], optional

        Examples
        --------
        >>> Platt.fit(np.array([0, 0, 1, 1]), np.array([0.0, 1.0, 1.0, 2.0])).slope > 0
        True
        """
        if len(y) == 0:
            return cls(1.0, 0.0, fitted=False)
        value = np.asarray(score, np.float64)
        if not np.isfinite(value).all():
            raise DetectorError("a score is not finite", mend="look for infinite values in the features")
        mass = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64)
        positives = float(mass[y == 1].sum())
        negatives = float(mass.sum()) - positives
        target = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
        slope, intercept = _newton(value, target, mass, free_slope=bool(positives and negatives))
        if slope < MIN_SLOPE:
            slope, intercept = _newton(value, target, mass, free_slope=False)
        return cls(slope, intercept)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for a JSON file."""
        return {"kind": "platt", "slope": self.slope, "intercept": self.intercept, "fitted": self.fitted}


@dataclass(frozen=True)
class Rank:
    """probability = share of reference payments that are less unusual, between knots of the reference scores.

    No chance of laundering: a rank in [0, 1] for where no label exists. Strictly increasing: linear between knots,
    1 / (1 + distance)-shaped tails outside them, which reach 0 or 1 only where float64 rounds there.

    Examples
    --------
    >>> rank = Rank.fit(np.arange(101.0))
    >>> np.round(rank(np.array([-1e9, 50.0, 1e9])), 2).tolist()
    [0.0, 0.5, 1.0]
    """

    scores: tuple[float, ...]
    shares: tuple[float, ...]

    def __call__(self, score: Float64Array) -> Float64Array:
        """Shares float64[n] in (0, 1) of raw scores float64[n]."""
        value = np.asarray(score, np.float64)
        knots, shares = np.array(self.scores), np.array(self.shares)
        width = max(float(knots[-1] - knots[0]), 1e-9)
        # Interpolation may overshoot a knot by a rounding error; the order must not suffer.
        segment = np.clip(np.searchsorted(knots, value, side="right") - 1, 0, max(len(knots) - 2, 0))
        above_knot = np.minimum(segment + 1, len(knots) - 1)
        inside = np.clip(np.interp(value, knots, shares), shares[segment], shares[above_knot])
        below = shares[0] / (1 + np.maximum(knots[0] - value, 0) / width)
        above = 1 - (1 - shares[-1]) / (1 + np.maximum(value - knots[-1], 0) / width)
        result: Float64Array = np.where(value < knots[0], below, np.where(value > knots[-1], above, inside))
        return result

    @classmethod
    def fit(cls, score: Float64Array, knots: int = 1001) -> Self:
        """Learn the ranks of reference scores float64[n], n >= 1; knots lie closer together in the upper tail."""
        value = np.sort(np.asarray(score, np.float64))
        if not len(value):
            return cls((0.0, 1.0), (0.25, 0.75))
        rows = len(value)
        # Half the knots over the whole, half over the top percent, where alerts are raised.
        share = np.unique(np.concatenate([np.linspace(0, 1, knots // 2), 1 - np.geomspace(0.01, 1 / rows, knots // 2)]))
        places = np.unique(np.clip(np.round(share * (rows - 1)).astype(np.int64), 0, rows - 1))
        distinct = np.unique(value[places])
        less = np.searchsorted(value, distinct, side="left")
        not_more = np.searchsorted(value, distinct, side="right")
        shares = (less + not_more) / (2 * rows)
        return cls(tuple(map(float, distinct)), tuple(map(float, shares)))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for a JSON file."""
        return {"kind": "rank", "scores": list(self.scores), "shares": list(self.shares)}


@dataclass(frozen=True)
class Isotonic:
    """probability = a rising step function of the score (Zadrozny & Elkan 2002; pool adjacent violators).

    Follows a reliability curve of any rising shape, but payments of one step become equal: to be shown, never to
    rank by.

    Parameters
    ----------
    scores, chances : tuple of float
        From each score on, the chance holds; below the first it holds too. Scores rise strictly, chances never fall.

    Examples
    --------
    >>> steps = Isotonic.fit(np.array([0, 1, 0, 1]), np.array([1.0, 2.0, 3.0, 4.0]))
    >>> steps(np.array([0.0, 2.5, 9.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    scores: tuple[float, ...]
    chances: tuple[float, ...]

    def __call__(self, score: Float64Array) -> Float64Array:
        """Chances float64[n] of raw scores float64[n]."""
        place = np.searchsorted(np.array(self.scores), np.asarray(score, np.float64), side="right") - 1
        found: Float64Array = np.array(self.chances)[np.maximum(place, 0)]
        return found

    @classmethod
    def fit(cls, y: Int64Array, score: Float64Array) -> Self:
        """Fit on a slice that the detector did not learn from; equal scores share a step.

        Parameters
        ----------
        y : int64[n] in {0, 1}, n >= 1
        score : float64[n]
        """
        if not len(y) or not np.isfinite(score).all():
            raise DetectorError("steps need at least one score, all of them finite", mend="give a labelled slice")
        values, place = np.unique(np.asarray(score, np.float64), return_inverse=True)
        rows = np.bincount(place).astype(np.float64)
        guilty = np.bincount(place, weights=np.asarray(y, np.float64))
        blocks: list[tuple[float, float, float]] = []  # first score, guilty, rows
        for value, bad, count in zip(values.tolist(), guilty.tolist(), rows.tolist(), strict=True):
            blocks.append((value, bad, count))
            while len(blocks) > 1 and blocks[-2][1] * blocks[-1][2] >= blocks[-1][1] * blocks[-2][2]:
                (_, late, many), (first, early, some) = blocks.pop(), blocks.pop()
                blocks.append((first, early + late, some + many))
        return cls(tuple(block[0] for block in blocks), tuple(block[1] / block[2] for block in blocks))


def from_json(data: dict[str, Any]) -> Platt | Rank:
    """Rebuild what `to_json` wrote.

    Raises
    ------
    DetectorError
        The numbers are missing, not finite or not increasing.
    """
    try:
        if data["kind"] == "platt":
            platt = Platt(float(data["slope"]), float(data["intercept"]), bool(data["fitted"]))
            if platt.slope >= MIN_SLOPE and np.isfinite([platt.slope, platt.intercept]).all():
                return platt
        elif data["kind"] == "rank":
            rank = Rank(tuple(map(float, data["scores"])), tuple(map(float, data["shares"])))
            rising = len(rank.scores) == len(rank.shares) >= 1 and np.isfinite([rank.scores, rank.shares]).all()
            if rising and (np.diff(rank.scores) > 0).all() and (np.diff(rank.shares) > 0).all():
                return rank
    except (KeyError, TypeError, ValueError) as error:
        raise DetectorError(f"the calibration cannot be read: {error}", mend="fit the detector again") from error
    raise DetectorError("the calibration is not one that was written", mend="fit the detector again")


def _newton(
    score: Float64Array, target: Float64Array, mass: Float64Array, *, free_slope: bool, steps: int = 100
) -> tuple[float, float]:
    """Weighted logistic regression of the target on the score: Newton's method with step halving."""
    centre, spread = float(np.average(score, weights=mass)), float(np.std(score)) or 1.0
    x = (score - centre) / spread
    base = float(np.average(target, weights=mass))
    slope, intercept = (0.0 if free_slope else spread), float(np.log(base / (1 - base)))

    def loss(a: float, b: float) -> float:
        z = a * x + b
        return float(np.dot(mass, np.logaddexp(0, z) - target * z))

    now = loss(slope, intercept)
    for _ in range(steps):
        p = _sigmoid(slope * x + intercept)
        residual, curve = mass * (p - target), mass * p * (1 - p) + 1e-12 * mass
        gradient = np.array([np.dot(residual, x), residual.sum()])
        hessian = np.array([[np.dot(curve, x * x), np.dot(curve, x)], [np.dot(curve, x), curve.sum()]])
        if not free_slope:
            gradient[0], hessian[0], hessian[:, 0] = 0.0, [1.0, 0.0], [1.0, 0.0]
        hessian[0, 0] += 1e-9
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-12 and loss(slope - size * step[0], intercept - size * step[1]) > now:
            size /= 2
        after = loss(slope - size * step[0], intercept - size * step[1])
        if not after <= now:
            break
        slope, intercept = slope - size * float(step[0]), intercept - size * float(step[1])
        gained, now = now - after, after
        if gained <= 1e-13 * max(abs(now), 1.0):
            break
    return slope / spread, intercept - slope * centre / spread


def _sigmoid(z: Float64Array) -> Float64Array:
    small = np.exp(-np.abs(z))
    result: Float64Array = np.where(z >= 0, 1 / (1 + small), small / (1 + small))
    return result
