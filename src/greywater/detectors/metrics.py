"""The measures that count here: precision-recall, budgets, typologies, cost, calibration. Never accuracy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array

__all__ = [
    "AtThreshold",
    "BudgetMeasures",
    "Calibration",
    "Confusion",
    "PaymentMeasures",
    "RecallFloor",
    "ReliabilityBin",
    "TimeToAlert",
    "TypologyRecall",
    "alerts_saved",
    "at_threshold",
    "average_precision",
    "best_cost_threshold",
    "best_f1_threshold",
    "budget_measures",
    "calibration",
    "expected_cost",
    "f_beta",
    "measure_payments",
    "partial_roc_auc",
    "recall_by_typology",
    "roc_auc",
    "time_to_alert",
]

#: Edges of the reliability bins: fine where a probability of laundering usually lies.
RELIABILITY_EDGES = (0.0, 0.0001, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True)
class Confusion:
    """What became of laundering and honest payments at a threshold."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


@dataclass(frozen=True)
class AtThreshold:
    """Measures of the flags `score >= threshold`; None where a measure is not defined."""

    threshold: float
    confusion: Confusion
    precision: float | None
    recall: float | None
    f1: float | None
    f2: float | None
    false_positive_rate: float | None


@dataclass(frozen=True)
class PaymentMeasures:
    """Measures per payment. `partial_roc_auc` is standardised over false-positive rates up to 1 %."""

    rows: int
    positives: int
    average_precision: float | None
    roc_auc: float | None
    partial_roc_auc: float | None
    at_threshold: AtThreshold
    expected_cost: float | None


@dataclass(frozen=True)
class BudgetMeasures:
    """What an alert budget bought. Precision counts alerts, recall counts distinct launderers."""

    alerts: int
    hits: int
    launderers: int
    found: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class TypologyRecall:
    """How many of the accounts that took part in a typology were alerted."""

    accounts: int
    alerted: int
    recall: float | None


@dataclass(frozen=True)
class RecallFloor:
    """How few of the highest scores must be looked at to keep a stated recall."""

    floor: float
    threshold: float
    alerts: int
    saved: float


@dataclass(frozen=True)
class ReliabilityBin:
    """Payments whose probability lies in [low, high): what was said, and what came."""

    low: float
    high: float
    rows: int
    mean_probability: float | None
    share_positive: float | None


@dataclass(frozen=True)
class Calibration:
    """Brier score, the score of always saying the base rate, and the reliability bins."""

    brier: float | None
    brier_of_base_rate: float | None
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class TimeToAlert:
    """Seconds from an account's first dirty payment to its first alert at or after it."""

    accounts: int
    alerted: int
    median_seconds: float | None
    mean_seconds: float | None
    p90_seconds: float | None


def average_precision(y: Int64Array, score: Float64Array) -> float | None:
    """Area under the precision-recall curve, as a sum of steps at distinct scores (ties count together).

    Parameters
    ----------
    y : int64[n] in {0, 1}
    score : float64[n], higher = more suspicious

    Returns
    -------
    float or None
        In [0, 1]; None without a positive. Equal to scikit-learn's `average_precision_score`.

    Examples
    --------
    >>> average_precision(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.8, 0.7]))
    0.8333333333333333
    """
    y, score = _checked(y, score)
    positives = np.sort(score[y == 1])
    if not len(positives):
        return None
    negatives = np.sort(score[y == 0])
    true_positive = len(positives) - np.searchsorted(positives, positives, side="left")
    false_positive = len(negatives) - np.searchsorted(negatives, positives, side="left")
    return float(np.mean(true_positive / (true_positive + false_positive)))


def roc_auc(y: Int64Array, score: Float64Array) -> float | None:
    """Chance that a positive scores above a negative, ties counting half; None without both classes.

    Examples
    --------
    >>> roc_auc(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.8, 0.8]))
    0.875
    """
    y, score = _checked(y, score)
    positives, negatives = score[y == 1], np.sort(score[y == 0])
    if not len(positives) or not len(negatives):
        return None
    below = np.searchsorted(negatives, positives, side="left").sum(dtype=np.int64)
    not_above = np.searchsorted(negatives, positives, side="right").sum(dtype=np.int64)
    return float((int(below) + int(not_above)) / (2 * len(positives) * len(negatives)))


def partial_roc_auc(y: Int64Array, score: Float64Array, max_false_positive_rate: float = 0.01) -> float | None:
    """Area under the ROC curve up to a false-positive rate, standardised so that chance is 0.5 (McClish 1989).

    Equal to scikit-learn's `roc_auc_score(max_fpr=...)`; None without both classes.
    """
    y, score = _checked(y, score)
    if not 0 < max_false_positive_rate <= 1:
        raise DetectorError(
            f"the false-positive rate {max_false_positive_rate} is not in (0, 1]", mend="give a share such as 0.01"
        )
    true_positive, false_positive, _ = _curve(y, score)
    if not len(true_positive) or not true_positive[-1] or not false_positive[-1]:
        return None
    rate = np.concatenate([[0.0], false_positive / false_positive[-1]])
    hit = np.concatenate([[0.0], true_positive / true_positive[-1]])
    stop = int(np.searchsorted(rate, max_false_positive_rate, side="right"))
    edge = float(np.interp(max_false_positive_rate, rate[stop - 1 : stop + 1], hit[stop - 1 : stop + 1]))
    area = float(np.trapezoid(np.append(hit[:stop], edge), np.append(rate[:stop], max_false_positive_rate)))
    chance = 0.5 * max_false_positive_rate**2
    return 0.5 * (1 + (area - chance) / (max_false_positive_rate - chance))


def at_threshold(y: Int64Array, score: Float64Array, threshold: float) -> AtThreshold:
    """Precision, recall, F1, F2 and the confusion matrix of the flags `score >= threshold`.

    Examples
    --------
    >>> at_threshold(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.8, 0.7]), 0.75).precision
    0.5
    """
    y, score = _checked(y, score)
    flagged = score >= threshold
    true_positive = int(np.count_nonzero(flagged & (y == 1)))
    positives = int(np.count_nonzero(y == 1))
    false_positive = int(np.count_nonzero(flagged)) - true_positive
    negatives = len(y) - positives
    confusion = Confusion(true_positive, false_positive, positives - true_positive, negatives - false_positive)
    return AtThreshold(
        threshold=float(threshold),
        confusion=confusion,
        precision=_share(true_positive, true_positive + false_positive),
        recall=_share(true_positive, positives),
        f1=f_beta(confusion, 1.0),
        f2=f_beta(confusion, 2.0),
        false_positive_rate=_share(false_positive, negatives),
    )


def f_beta(confusion: Confusion, beta: float) -> float | None:
    """F-beta of the laundering class; None where there is neither a positive nor a flag.

    Examples
    --------
    >>> f_beta(Confusion(2, 2, 0, 6), 1.0)
    0.6666666666666666
    """
    weighted = (1 + beta**2) * confusion.true_positive
    below = weighted + beta**2 * confusion.false_negative + confusion.false_positive
    return weighted / below if below else None


def best_f1_threshold(y: Int64Array, score: Float64Array) -> float:
    """The score from which flagging gives the best F1; among equals the highest; +inf without a positive.

    Examples
    --------
    >>> best_f1_threshold(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.8, 0.7]))
    0.7
    """
    y, score = _checked(y, score)
    true_positive, false_positive, values = _curve(y, score)
    if not len(values) or not true_positive[-1]:
        return float("inf")
    return float(values[int(np.argmax(2 * true_positive / (true_positive + false_positive + true_positive[-1])))])


def best_cost_threshold(y: Int64Array, score: Float64Array, *, cost_missed: float, cost_wasted: float) -> float:
    """The score from which flagging costs least; +inf where flagging nothing costs least.

    Parameters
    ----------
    cost_missed : float
        Cost of a laundering payment without a flag.
    cost_wasted : float
        Cost of a flag on an honest payment, in the same unit.

    Examples
    --------
    >>> y, score = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.8, 0.7])
    >>> best_cost_threshold(y, score, cost_missed=1, cost_wasted=10)
    0.9
    """
    y, score = _checked(y, score)
    _check_costs(cost_missed, cost_wasted)
    true_positive, false_positive, values = _curve(y, score)
    if not len(values):
        return float("inf")
    cost = cost_wasted * false_positive - cost_missed * true_positive
    best = int(np.argmin(cost))
    return float(values[best]) if cost[best] < 0 else float("inf")


def expected_cost(confusion: Confusion, *, cost_missed: float, cost_wasted: float) -> float | None:
    """Mean cost a payment, from two stated costs; None without payments.

    Examples
    --------
    >>> expected_cost(Confusion(1, 5, 1, 3), cost_missed=100, cost_wasted=1)
    10.5
    """
    _check_costs(cost_missed, cost_wasted)
    rows = confusion.true_positive + confusion.false_positive + confusion.false_negative + confusion.true_negative
    total = cost_missed * confusion.false_negative + cost_wasted * confusion.false_positive
    return total / rows if rows else None


def measure_payments(
    y: Int64Array,
    score: Float64Array,
    threshold: float,
    *,
    cost_missed: float | None = None,
    cost_wasted: float | None = None,
) -> PaymentMeasures:
    """All measures per payment at once; the expected cost only where both costs are stated."""
    y, score = _checked(y, score)
    at = at_threshold(y, score, threshold)
    cost = None
    if cost_missed is not None and cost_wasted is not None:
        cost = expected_cost(at.confusion, cost_missed=cost_missed, cost_wasted=cost_wasted)
    return PaymentMeasures(
        rows=len(y),
        positives=int(np.count_nonzero(y)),
        average_precision=average_precision(y, score),
        roc_auc=roc_auc(y, score),
        partial_roc_auc=partial_roc_auc(y, score),
        at_threshold=at,
        expected_cost=cost,
    )


def budget_measures(alerted: Sequence[str], launderers: Collection[str]) -> BudgetMeasures:
    """Precision and recall of the alerts that a budget allowed, per alerted account.

    Parameters
    ----------
    alerted : sequence of str
        The account of each alert raised within the budget; an account may be alerted on several days.
    launderers : collection of str
        The accounts that laundered in the measured slice.

    Examples
    --------
    >>> measures = budget_measures(["a", "b", "c", "a"], {"a", "z"})
    >>> measures.precision, measures.recall
    (0.5, 0.5)
    """
    guilty = set(launderers)
    hits = sum(account in guilty for account in alerted)
    found = len(guilty.intersection(alerted))
    return BudgetMeasures(
        alerts=len(alerted),
        hits=hits,
        launderers=len(guilty),
        found=found,
        precision=_share(hits, len(alerted)),
        recall=_share(found, len(guilty)),
    )


def recall_by_typology(
    alerted: Collection[str], typologies: Mapping[str, Collection[str]] | None
) -> dict[str, TypologyRecall] | None:
    """For each typology, the share of its accounts that were alerted; None where no typologies are known.

    Examples
    --------
    >>> recall_by_typology({"a"}, {"fan_in": ["a", "b"]})["fan_in"].recall
    0.5
    """
    if not typologies:
        return None
    seen = set(alerted)
    measured = {}
    for name in sorted(typologies):
        accounts = set(typologies[name])
        hit = len(accounts & seen)
        measured[name] = TypologyRecall(len(accounts), hit, _share(hit, len(accounts)))
    return measured


def alerts_saved(
    y: Int64Array, score: Float64Array, floors: Sequence[float] = (0.99, 0.95, 0.90)
) -> tuple[RecallFloor, ...]:
    """How many of the rows (payments, accounts or a rule system's alerts) need not be looked at for a stated recall.

    `saved` is the share of rows below the highest threshold that keeps the floor; empty without a positive.

    Examples
    --------
    >>> alerts_saved(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.2, 0.7]), [0.9])[0].saved
    0.5
    """
    y, score = _checked(y, score)
    for floor in floors:
        if not 0 <= floor <= 1:
            raise DetectorError(f"the recall floor {floor} is not in [0, 1]", mend="give a share such as 0.95")
    true_positive, false_positive, values = _curve(y, score)
    if not len(values) or not true_positive[-1]:
        return ()
    kept = []
    for floor in floors:
        wanted = int(np.ceil(floor * true_positive[-1] - 1e-9))
        place = int(np.searchsorted(true_positive, max(wanted, 1), side="left"))
        alerts = int(true_positive[place] + false_positive[place])
        kept.append(RecallFloor(float(floor), float(values[place]), alerts, 1 - alerts / len(y)))
    return tuple(kept)


def calibration(y: Int64Array, probability: Float64Array, edges: Sequence[float] = RELIABILITY_EDGES) -> Calibration:
    """Brier score and reliability bins [low, high), the last one closed.

    Examples
    --------
    >>> calibration(np.array([0, 1]), np.array([0.25, 0.75])).brier
    0.0625
    """
    y, probability = _checked(y, probability)
    if len(y) and (probability.min() < 0 or probability.max() > 1):
        raise DetectorError("a probability lies outside [0, 1]", mend="give probabilities, not scores")
    base = float(np.mean(y)) if len(y) else 0.0
    place = np.clip(np.searchsorted(np.asarray(edges), probability, side="right") - 1, 0, len(edges) - 2)
    rows = np.bincount(place, minlength=len(edges) - 1)
    said = np.bincount(place, weights=probability, minlength=len(edges) - 1)
    came = np.bincount(place, weights=y, minlength=len(edges) - 1)
    bins = tuple(
        ReliabilityBin(
            float(edges[i]), float(edges[i + 1]), int(rows[i]), _share(said[i], rows[i]), _share(came[i], rows[i])
        )
        for i in range(len(edges) - 1)
    )
    return Calibration(
        brier=float(np.mean((probability - y) ** 2)) if len(y) else None,
        brier_of_base_rate=base * (1 - base) if len(y) else None,
        bins=bins,
    )


def time_to_alert(first_dirty: Mapping[str, int], alerts: Sequence[tuple[str, int]]) -> TimeToAlert:
    """How long it took from an account's first dirty payment to its first alert at or after it.

    Parameters
    ----------
    first_dirty : mapping of account to time
        Microseconds since 1970 of each launderer's first dirty payment.
    alerts : sequence of (account, time)
        Alerts raised, microseconds since 1970. An earlier alert is not counted as having found it.

    Examples
    --------
    >>> time_to_alert({"a": 0, "b": 0}, [("a", 3_000_000), ("a", 9_000_000)]).median_seconds
    3.0
    """
    waits: dict[str, int] = {}
    for account, time in alerts:
        begun = first_dirty.get(account)
        if begun is not None and time >= begun:
            waits[account] = min(time - begun, waits.get(account, time - begun))
    seconds = np.array(sorted(waits.values()), np.float64) / 1e6
    if not len(seconds):
        return TimeToAlert(len(first_dirty), 0, None, None, None)
    return TimeToAlert(
        accounts=len(first_dirty),
        alerted=len(seconds),
        median_seconds=float(np.median(seconds)),
        mean_seconds=float(np.mean(seconds)),
        p90_seconds=float(np.quantile(seconds, 0.9)),
    )


def _curve(y: Int64Array, score: Float64Array) -> tuple[Int64Array, Int64Array, Float64Array]:
    """True and false positives flagged at each distinct score, from the highest down."""
    order = np.argsort(-score, kind="stable")
    values = score[order]
    last = np.flatnonzero(np.append(np.diff(values) != 0, np.ones(min(len(values), 1), bool)))
    true_positive = np.cumsum(y[order], dtype=np.int64)[last]
    return true_positive, last + 1 - true_positive, values[last]


def _checked(y: Int64Array, score: Float64Array) -> tuple[Int64Array, Float64Array]:
    truth, value = np.asarray(y), np.asarray(score, np.float64)
    if truth.shape != value.shape or truth.ndim != 1:
        raise DetectorError(
            f"labels of shape {truth.shape} do not fit scores of shape {value.shape}", mend="give one label a score"
        )
    if len(truth) and not bool(np.all((truth == 0) | (truth == 1))):
        raise DetectorError("labels must be 0 or 1", mend="leave rows without a label out before measuring")
    if np.isnan(value).any():
        raise DetectorError(
            "a score is NaN", where=f"row {int(np.argmax(np.isnan(value)))}", mend="score every row before measuring"
        )
    return truth.astype(np.int64, copy=False), value


def _check_costs(cost_missed: float, cost_wasted: float) -> None:
    if not (np.isfinite([cost_missed, cost_wasted]).all() and cost_missed >= 0 and cost_wasted >= 0):
        raise DetectorError(
            f"the costs {cost_missed} and {cost_wasted} cannot be used", mend="state two finite costs of at least 0"
        )


def _share(part: Any, whole: Any) -> float | None:
    return float(part) / float(whole) if whole else None
