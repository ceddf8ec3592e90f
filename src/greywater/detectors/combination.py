"""The second level of a hybrid: a sum of the parts' ranks, its weights learned from later labels, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import numpy as np

from greywater.detectors.metrics import average_precision
from greywater.detectors.part_scores import PartScores, RankScale
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array

__all__ = ["Combination", "CombinationParameters", "anomaly_share", "fit_weights"]

_How = Literal["fitted", "one part", "fused"]


@dataclass(frozen=True)
class CombinationParameters:
    """How the second level is fitted.

    Parameters
    ----------
    prior : mapping of str to float
        Weight of a score before any label is seen, by its name or the part's; 0.5 where not named. A fit is drawn
        towards these, so few labels change little.
    strength : float
        Of that pull: the weight of 1 / strength labelled payments. 0 = none.
    anomaly : tuple of str
        Scores that fade as labels come.
    fade_labels : int
        Laundering labels from which they say nothing any more (`anomaly_share`).
    least_positives : int
        Laundering payments in each half of the slice from which the halves are compared.
    """

    prior: Mapping[str, float]
    strength: float = 1.0
    anomaly: tuple[str, ...] = ("isolation",)
    fade_labels: int = 20
    least_positives: int = 10

    def __post_init__(self) -> None:
        bad = [name for name, weight in self.prior.items() if not 0 <= weight < np.inf]
        bad += ["strength"] if not 0 <= self.strength < np.inf else []
        bad += [name for name in ("fade_labels", "least_positives") if getattr(self, name) < 1]
        if bad:
            raise DetectorError(f"{bad[0]} cannot be used", where="CombinationParameters", mend="see its docstring")

    def weight(self, name: str) -> float:
        """Prior weight of a score: by its own name, else by its part's."""
        return float(self.prior.get(name, self.prior.get(name.partition(".")[0], 0.5)))

    def fades(self, name: str) -> bool:
        """Whether the score is an anomaly score."""
        return name in self.anomaly or name.partition(".")[0] in self.anomaly


def anomaly_share(positives: int, fade_labels: int = 20) -> float:
    """How much of its weight an anomaly score keeps where `positives` laundering payments are labelled.

    Falls in a line from 1 without a label to 0 at `fade_labels`: blending anomaly scores in beyond about 20 labels was
    measured to hurt.

    Examples
    --------
    >>> [anomaly_share(count) for count in (0, 5, 20, 4_000)]
    [1.0, 0.75, 0.0, 0.0]
    """
    return max(0.0, 1.0 - positives / fade_labels)


@dataclass(frozen=True)
class Combination:
    """score = bias + sum of weight x rank level over the scores of the parts; no weight is below 0.

    Parameters
    ----------
    names : tuple of str
        Of the scores.
    scales : tuple of RankScale
        One a score.
    weights : tuple of float
        One a score, >= 0.
    bias : float
        Score of a payment that is average in every part.
    how : {"fitted", "one part", "fused"}
        By labels; by labels, which say that one part is best alone; or without labels.
    """

    names: tuple[str, ...]
    scales: tuple[RankScale, ...]
    weights: tuple[float, ...]
    bias: float
    how: _How

    @classmethod
    def fused(cls, scores: PartScores, parameters: CombinationParameters) -> Self:
        """Without labels: reciprocal rank fusion over the reference payments, weighted by the priors.

        A part's prior is shared by its scores, so that one with several does not count for several.

        Ranks are those that a payment would take among the reference payments, so that a payment's score does not
        depend on the ones beside it. Equal scores are ranked by seq, the earlier first, wherever alerts are raised.
        """
        scales = tuple(RankScale.fit(scores.of(name), "reciprocal") for name in scores.names)
        of_part = Counter(name.partition(".")[0] for name in scores.names)
        weights = tuple(parameters.weight(name) / of_part[name.partition(".")[0]] for name in scores.names)
        return cls(scores.names, scales, weights, 0.0, "fused")

    @classmethod
    def fit(
        cls,
        scores: PartScores,
        y: Int64Array,
        parameters: CombinationParameters,
        *,
        positives: int,
        known_since: Int64Array | None = None,
        as_of: int | None = None,
        learned: Collection[str] | None = None,
    ) -> Self:
        """Learn the weights from payments that are later than those the parts learned from.

        Logistic regression on rank levels, weights between 0 and their cap, drawn towards the priors. Then the slice
        is halved by time: weights learned on the first half must rank the second at least as well as any part does
        alone; where they do not, the part that is best on the whole slice is used alone. Where the slice has too few
        laundering labels to weigh anything, because they come late, but parts have learned from enough of them, those
        parts are used alone: what learned from no label would dilute them at its prior.

        Parameters
        ----------
        scores : PartScores
            In ledger order.
        y : int64[n] in {0, 1}
        parameters : CombinationParameters
        positives : int
            Laundering labels seen in all, by the parts too; fades the anomaly scores.
        known_since : int64[n], optional
            When each label became known, microseconds since 1970.
        as_of : int, optional
            The moment of fitting: a label that was not known by then counts as none.
        learned : collection of str, optional
            Scores of parts that learned from labels. Where none of them says anything, anomaly scores do not fade:
            nothing else knows what the labels would have taught. Left out: they fade.
        """
        truth = np.asarray(y, np.int64)
        if known_since is not None and as_of is not None:
            truth = np.where(np.asarray(known_since) <= as_of, truth, 0)
        scales = tuple(RankScale.fit(scores.of(name)) for name in scores.names)
        levels = np.column_stack([scale(scores.of(name)) for name, scale in zip(scores.names, scales, strict=True)])
        taught = np.array([name in (learned or ()) for name in scores.names])
        speaks = learned is None or bool((levels[:, taught] != levels[:1, taught]).any())
        share = anomaly_share(positives if speaks else 0, parameters.fade_labels)
        prior = np.array([parameters.weight(name) for name in scores.names])
        cap = np.full(len(prior), np.inf)
        for place, name in enumerate(scores.names):
            if parameters.fades(name):
                prior[place] *= share
                cap[place] = prior[place]
        if taught.any() and int(truth.sum()) < parameters.least_positives <= parameters.fade_labels <= positives:
            only = np.where(taught, prior, 0.0)
            _, bias = fit_weights(levels, truth, only, only, np.inf)
            how: _How = "one part" if int(taught.sum()) == 1 else "fitted"
            return cls(scores.names, scales, tuple(map(float, only)), bias, how)
        weights, bias = fit_weights(levels, truth, prior, cap, parameters.strength)
        alone = _better_alone(levels, truth, prior, cap, parameters)
        if alone is None:
            return cls(scores.names, scales, tuple(map(float, weights)), bias, "fitted")
        single = np.zeros(len(prior))
        single[alone] = 1.0
        _, bias = fit_weights(levels, truth, single, single, np.inf)
        return cls(scores.names, scales, tuple(map(float, single)), bias, "one part")

    def score(self, scores: PartScores) -> Float64Array:
        """Raw score float64[n] of payments."""
        if scores.names != self.names:
            raise DetectorError(
                f"the scores are {', '.join(scores.names)}, not {', '.join(self.names)}",
                where="Combination.score",
                mend="give the scores it was fitted on",
            )
        total = np.full(scores.rows, self.bias)
        for place, (scale, weight) in enumerate(zip(self.scales, self.weights, strict=True)):
            total += weight * scale(scores.values[:, place])
        return total

    def score_one(self, values: tuple[float, ...]) -> float:
        """Raw score of one payment from its scores in order, with the bits of `score`."""
        total = self.bias
        for scale, weight, value in zip(self.scales, self.weights, values, strict=True):
            if weight:  # what adds 0 changes no bit
                total += weight * scale.level(value)
        return total

    def contributions(self, scores: PartScores) -> Float64Array:
        """What each score adds to the average payment's, float64[n, scores + 1]; the last column is the bias."""
        parts = [weight * scale(scores.values[:, k]) for k, (scale, weight) in enumerate(self._pairs())]
        return np.column_stack([*parts, np.full(scores.rows, self.bias)])

    def _pairs(self) -> list[tuple[RankScale, float]]:
        return list(zip(self.scales, self.weights, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for a JSON file."""
        return {
            "names": list(self.names),
            "scales": [scale.to_json() for scale in self.scales],
            "weights": list(self.weights),
            "bias": self.bias,
            "how": self.how,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild what `to_json` wrote; a DetectorError where that is not possible."""
        mend = "fit the detector again"
        try:
            names = tuple(map(str, data["names"]))
            weights = tuple(map(float, data["weights"]))
            scales = tuple(RankScale.from_json(scale) for scale in data["scales"])
            bias, how = float(data["bias"]), data["how"]
        except (KeyError, TypeError, ValueError) as error:
            raise DetectorError(f"the second level cannot be read: {error}", mend=mend) from error
        sound = len(names) == len(weights) == len(scales) and how in ("fitted", "one part", "fused")
        if not sound or not np.isfinite([*weights, bias]).all() or min(weights, default=0.0) < 0:
            raise DetectorError("the second level is not one that was written", mend=mend)
        return cls(names, scales, weights, bias, how)


#: Rounding of a logistic loss that counts as no gain.
_LITTLE: Final = 1e-12


def fit_weights(
    levels: Float64Array, y: Int64Array, prior: Float64Array, cap: Float64Array, strength: float
) -> tuple[Float64Array, float]:
    """Logistic regression with weights in [0, cap], drawn to `prior` by strength / 2 x squared distance.

    Newton's method on the weights that are not held at a bound, steps halved until the loss falls. With an infinite
    `strength` the weights are the prior's, and only the bias is fitted.

    Parameters
    ----------
    levels : float64[n, k]
    y : int64[n] in {0, 1}
    prior, cap : float64[k]
    strength : float

    Returns
    -------
    (float64[k], float)
        Weights and bias.

    Examples
    --------
    >>> draw = np.random.default_rng(1)
    >>> x = draw.normal(size=(5_000, 2))
    >>> y = (draw.random(5_000) < 1 / (1 + np.exp(2 - x[:, 0] + 0.5 * x[:, 1]))).astype(np.int64)
    >>> weights, bias = fit_weights(x, y, np.zeros(2), np.full(2, np.inf), 1.0)
    >>> weights.round(1).tolist(), round(bias)
    ([1.0, 0.0], -2)
    """
    held = not np.isfinite(strength)
    pull = 0.0 if held else strength
    wide = np.hstack([levels, np.ones((len(y), 1))])
    low = np.append(np.minimum(prior, cap) if held else np.zeros(len(prior)), -np.inf)
    high = np.append(np.minimum(prior, cap) if held else cap, np.inf)
    centre, drawn = np.append(prior, 0.0), np.append(np.full(len(prior), pull), 0.0)
    share = (float(y.sum()) + 0.5) / (len(y) + 1)
    start = np.minimum(prior, cap)
    place = np.append(start, np.log(share / (1 - share)) - ((levels @ start).mean() if len(y) else 0.0))
    problem = _Problem(wide, y, centre, drawn, low, high)
    now = problem.loss(place)
    for _ in range(200):
        before = now
        place, now = problem.newton(place, now)
        if now >= before - _LITTLE * max(abs(before), 1.0):
            # At a bound a Newton step may point nowhere: one weight after the other cannot.
            for column in range(len(place)):
                place, now = problem.newton(place, now, only=column)
            if now >= before - _LITTLE * max(abs(before), 1.0):
                break
    return place[:-1], float(place[-1])


@dataclass(frozen=True)
class _Problem:
    """A logistic loss of columns float64[n, k] (the last is the bias), drawn to a centre, within bounds."""

    columns: Float64Array
    y: Int64Array
    centre: Float64Array
    drawn: Float64Array
    low: Float64Array
    high: Float64Array

    def loss(self, place: Float64Array) -> float:
        """The loss at a place float64[k]."""
        z = self.columns @ place
        return float((np.logaddexp(0, z) - self.y * z).sum() + (self.drawn / 2 * (place - self.centre) ** 2).sum())

    def newton(self, place: Float64Array, now: float, only: int | None = None) -> tuple[Float64Array, float]:
        """A step within the bounds that lowers the loss, and the loss there; the same place where none does."""
        p = 1 / (1 + np.exp(-np.clip(self.columns @ place, -500, 500)))
        gradient = self.columns.T @ (p - self.y) + self.drawn * (place - self.centre)
        free = ~((place <= self.low) & (gradient > 0)) & ~((place >= self.high) & (gradient < 0))
        if only is not None:
            free &= np.arange(len(place)) == only
        if not free.any():
            return place, now
        part = self.columns[:, free]
        hessian = part.T @ (part * (p * (1 - p) + 1e-12)[:, None])
        hessian[np.diag_indices_from(hessian)] += self.drawn[free] + 1e-9
        step = np.zeros(len(place))
        step[free] = np.linalg.solve(hessian, gradient[free])
        size = 1.0
        while size > 1e-8:
            moved = np.clip(place - size * step, self.low, self.high)
            after = self.loss(moved)
            if after < now:
                return moved, after
            size /= 2
        return place, now


def _better_alone(
    levels: Float64Array, y: Int64Array, prior: Float64Array, cap: Float64Array, parameters: CombinationParameters
) -> int | None:
    """The score that should be used alone, None where the weighted sum is as good on payments it has not seen."""
    half = len(y) // 2
    first, second = int(y[:half].sum()), int(y[half:].sum())
    if levels.shape[1] < 2 or min(first, second) < parameters.least_positives:
        return None
    weights, _ = fit_weights(levels[:half], y[:half], prior, cap, parameters.strength)
    allowed = np.flatnonzero(cap > 0)

    def reached(rows: slice) -> dict[int, float]:
        return {int(place): average_precision(y[rows], levels[rows, place]) or 0.0 for place in allowed}

    blended = average_precision(y[half:], levels[half:] @ weights) or 0.0
    if blended >= max(reached(slice(half, len(y))).values(), default=0.0):
        return None
    whole = reached(slice(0, len(y)))
    return max(whole, key=lambda place: whole[place])
