"""Puts alerts below a stated recall floor to sleep, samples the sleepers, and says what was really kept."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from greywater.errors import UsageError
from greywater.vocab import Float64Array, Int64Array

__all__ = [
    "HibernationCut",
    "HibernationPolicy",
    "RecallEstimate",
    "Sleep",
    "estimate_recall",
    "hibernate",
    "hibernation_cut",
]

State = Literal["work", "sampled", "hibernated"]
Chosen = Literal["rank", "mandatory", "random", "uncertainty", ""]
_SPAN: Final = 2.0**64


@dataclass(frozen=True)
class HibernationPolicy:
    """How much may be lost, and how that is kept honest.

    Parameters
    ----------
    floor : float
        Share of the reportable alerts that stays awake, in (0, 1].
    sample : float
        Share of the sleeping alerts that is looked at all the same, in [0, 1].
    uncertainty : float
        Part of the sample chosen by uncertainty (those just below the cut) and not at random, in [0, 1). They teach
        the model most, and they say nothing about the others: the estimate of recall leaves them out.
    confidence : float
        Of the intervals, in (0, 1).
    seed : int
        Of the random part.

    Raises
    ------
    UsageError
        A share outside its range.
    """

    floor: float = 0.99
    sample: float = 0.05
    uncertainty: float = 0.2
    confidence: float = 0.95
    seed: int = 7

    def __post_init__(self) -> None:
        sound = {
            "recall_floor": 0 < self.floor <= 1,
            "quality_sample": 0 <= self.sample <= 1,
            "uncertainty_share": 0 <= self.uncertainty < 1,
            "confidence": 0 < self.confidence < 1,
        }
        for name, good in sound.items():
            if not good:
                given = (self.floor, self.sample, self.uncertainty, self.confidence)[list(sound).index(name)]
                raise UsageError(f"{name} = {given} cannot be used", where=name, mend="give a share between 0 and 1")

    @property
    def random_rate(self) -> float:
        """Chance of each sleeping alert to be in the random sample."""
        return self.sample * (1 - self.uncertainty)

    def words(self) -> str:
        """The policy as a sentence."""
        return (
            f"alerts sleep below the score that keeps {self.floor:.1%} of the reported ones; {self.sample:.1%} of the "
            f"sleepers are looked at: {self.random_rate:.1%} drawn at random (seed {self.seed}), from which recall is "
            f"estimated, and {self.sample - self.random_rate:.1%} just below the cut, which the estimate leaves out"
        )


@dataclass(frozen=True)
class HibernationCut:
    """The score below which alerts sleep, and what it kept of the reported alerts it was chosen on.

    Parameters
    ----------
    threshold : float
        Alerts with a lower score sleep; -inf = none does.
    floor : float
        What was asked for.
    reported, kept : int
        Reported alerts, and those of them at or above the threshold.
    low, high : float
        Clopper-Pearson interval of the share kept; [0, 1] without a reported alert.
    saved : float
        Share of all alerts below the threshold.
    """

    threshold: float
    floor: float
    reported: int
    kept: int
    low: float
    high: float
    saved: float

    @property
    def recall(self) -> float | None:
        """Share kept; None without a reported alert."""
        return self.kept / self.reported if self.reported else None

    def to_json(self) -> dict[str, Any]:
        """The cut in JSON types."""
        threshold = self.threshold if math.isfinite(self.threshold) else None
        return {**vars(self), "threshold": threshold, "recall": self.recall}


def hibernation_cut(
    y: Int64Array, score: Float64Array, floor: float = 0.99, *, confidence: float = 0.95
) -> HibernationCut:
    """The highest score from which on the floor of the reported alerts is kept.

    Parameters
    ----------
    y : int64[n] in {0, 1}
        1 = reported. These alerts must be later than those the scores were learned from.
    score : float64[n]
        Higher = more suspicious.
    floor : float
        Share to be kept.
    confidence : float
        Of the interval.

    Examples
    --------
    >>> cut = hibernation_cut(np.array([0, 0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.9]))
    >>> cut.threshold, cut.kept, cut.saved
    (0.3, 2, 0.4)
    """
    HibernationPolicy(floor=floor, confidence=confidence)
    reported = np.sort(np.asarray(score, np.float64)[np.asarray(y) == 1])
    if not len(reported):
        return HibernationCut(-math.inf, floor, 0, 0, 0.0, 1.0, 0.0)
    least = min(len(reported), max(1, math.ceil(floor * len(reported) - 1e-9)))
    threshold = float(reported[len(reported) - least])
    kept = int(np.count_nonzero(reported >= threshold))
    low, high = proportion_interval(kept, len(reported), confidence)
    return HibernationCut(
        threshold, floor, len(reported), kept, low, high, float(np.mean(np.asarray(score) < threshold))
    )


@dataclass(frozen=True)
class Sleep:
    """What hibernation says of one alert.

    Parameters
    ----------
    state : {"work", "sampled", "hibernated"}
        Awake; asleep but looked at for the sample; asleep.
    chosen_by : {"rank", "mandatory", "random", "uncertainty", ""}
        Why it is looked at.
    chance : float
        Of a sleeping alert to be in the random sample, before it was drawn; 1 for those awake, 0 for those that
        uncertainty chose: their weight in the estimate of recall.
    """

    state: State
    chosen_by: Chosen
    chance: float


def hibernate(
    ids: Sequence[str],
    score: Float64Array,
    threshold: float,
    policy: HibernationPolicy | None = None,
    *,
    mandatory: NDArray[np.bool_] | None = None,
) -> tuple[Sleep, ...]:
    """Say of each alert whether it sleeps, and draw the sample of those that do.

    Whether an alert is drawn at random follows from the seed and its id alone: the same in whatever company it comes,
    and it cannot be steered by a score. Of those not drawn, the ones with the highest scores are added by uncertainty.

    Parameters
    ----------
    ids : sequence of str
        Of the alerts, each once.
    score : float64[n]
        NaN never sleeps: nothing is known of it.
    threshold : float
        From `hibernation_cut`.
    policy : HibernationPolicy, optional
    mandatory : bool[n], optional
        True = never sleeps, whatever its score.

    Returns
    -------
    tuple of Sleep
        One an alert.

    Examples
    --------
    >>> found = hibernate(["a", "b"], np.array([0.9, 0.1]), 0.5, HibernationPolicy(sample=0.0))
    >>> [sleep.state for sleep in found]
    ['work', 'hibernated']
    """
    policy = policy or HibernationPolicy()
    given = np.asarray(score, np.float64)
    asleep = given < threshold
    forced = np.zeros(len(given), np.bool_) if mandatory is None else np.asarray(mandatory, np.bool_)
    found = [
        Sleep("work", "rank" if not low else "mandatory", 1.0) if not low or must else None
        for low, must in zip(asleep.tolist(), forced.tolist(), strict=True)
    ]
    sleepers = [place for place, sleep in enumerate(found) if sleep is None]
    rate = policy.random_rate
    drawn = {place for place in sleepers if _draw(policy.seed, ids[place]) < rate}
    rest = sorted((place for place in sleepers if place not in drawn), key=lambda place: (-given[place], ids[place]))
    uncertain = set(rest[: round(policy.sample * policy.uncertainty * len(sleepers))])
    for place in sleepers:
        if place in drawn:
            found[place] = Sleep("sampled", "random", rate)
        elif place in uncertain:
            found[place] = Sleep("sampled", "uncertainty", 0.0)
        else:
            found[place] = Sleep("hibernated", "", rate)
    return tuple(sleep for sleep in found if sleep is not None)


def _draw(seed: int, name: str) -> float:
    """A number in [0, 1) that follows from the seed and a name."""
    text = f"{seed}\x1f{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") / _SPAN


@dataclass(frozen=True)
class RecallEstimate:
    """What the random sample says about the reported alerts that were put to sleep.

    Parameters
    ----------
    found : int
        Reported among those awake.
    sampled, reviewed, hits : int
        Random sample: alerts, those with an outcome, those of them reported.
    missed : float or None
        Reportable alerts asleep: Horvitz-Thompson, each hit stands for 1 / chance; None where no drawn alert was
        reviewed.
    missed_low, missed_high : float
        An interval for that.
    recall, recall_low, recall_high : float or None
        found / (found + missed); None where nothing is known.
    left_out : int
        Alerts chosen by uncertainty, with no weight here.
    confidence : float
        Of the interval.
    """

    found: int
    sampled: int
    reviewed: int
    hits: int
    missed: float | None
    missed_low: float
    missed_high: float
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    left_out: int
    confidence: float


def estimate_recall(sleeps: Sequence[Sleep], y: Int64Array, *, confidence: float = 0.95) -> RecallEstimate:
    """Estimate the recall of hibernation from the outcomes of the alerts that were looked at.

    Each sleeping alert was drawn with the same chance p, independently, so that the hits among the drawn are
    Binomial(missed, p). The estimate is hits / p (Horvitz and Thompson 1952); the interval holds the numbers of missed
    alerts under which so few or so many hits are not too unlikely (exact inversion of the binomial), so it says
    something even where there is no hit. Drawn alerts without an outcome yet are taken as missing at random: they lower
    p. What was chosen by uncertainty has no weight.

    Parameters
    ----------
    sleeps : sequence of Sleep
        From `hibernate`.
    y : int64[n]
        1 = reported, 0 = dismissed, -1 = no outcome yet (always so for alerts asleep).
    confidence : float
        Of the interval.

    Raises
    ------
    UsageError
        One outcome an alert is needed, or the alerts were drawn with different chances.

    Examples
    --------
    >>> sleeps = [Sleep("work", "rank", 1.0)] * 90 + [Sleep("sampled", "random", 0.1)] * 10
    >>> sleeps += [Sleep("hibernated", "", 0.1)] * 90
    >>> seen = estimate_recall(sleeps, np.array([1] * 90 + [1] + [0] * 9 + [-1] * 90))
    >>> seen.missed, seen.recall
    (10.0, 0.9)
    """
    outcome = np.asarray(y)
    if len(outcome) != len(sleeps):
        raise UsageError(f"{len(outcome)} outcomes do not fit {len(sleeps)} alerts", where="y", mend="give one each")
    awake = np.array([sleep.state == "work" for sleep in sleeps], np.bool_)
    drawn = np.array([sleep.chosen_by == "random" for sleep in sleeps], np.bool_)
    chances = {sleep.chance for sleep in sleeps if sleep.state != "work" and sleep.chosen_by != "uncertainty"}
    if len(chances) > 1:
        raise UsageError(
            f"the sleeping alerts were drawn with {len(chances)} different chances",
            where="sleeps",
            mend="estimate recall for each policy alone",
        )
    found = int(np.count_nonzero(outcome[awake] == 1))
    sampled, asleep = int(drawn.sum()), int(len(sleeps) - awake.sum())
    reviewed = int(np.count_nonzero(outcome[drawn] >= 0))
    hits = int(np.count_nonzero(outcome[drawn] == 1))
    chance = (next(iter(chances)) if chances else 1.0) * (reviewed / sampled if sampled else 0.0)
    most = asleep - (reviewed - hits)
    missed = 0.0 if not asleep else hits / chance if chance else None
    low, high = _missed_interval(hits, chance, most, confidence) if asleep else (0, 0)
    return RecallEstimate(
        found=found,
        sampled=sampled,
        reviewed=reviewed,
        hits=hits,
        missed=missed,
        missed_low=float(low),
        missed_high=float(high),
        recall=found / (found + missed) if missed is not None and found + missed else None,
        recall_low=found / (found + high) if found + high else None,
        recall_high=found / (found + low) if found + low else None,
        left_out=sum(sleep.chosen_by == "uncertainty" for sleep in sleeps),
        confidence=confidence,
    )


def _missed_interval(hits: int, chance: float, most: int, confidence: float) -> tuple[int, int]:
    """Least and greatest M in [hits, most] under which neither tail of Binomial(M, chance) at `hits` is too small."""
    tail = (1 - confidence) / 2
    if chance <= 0:
        return hits, most
    # P(K >= hits) rises with M, P(K <= hits) falls.
    low, high = hits, most
    while low < high:
        middle = (low + high) // 2
        if 1 - _at_most(hits - 1, middle, chance) > tail:
            high = middle
        else:
            low = middle + 1
    least = low
    low, high = least, most
    while low < high:
        middle = (low + high + 1) // 2
        if _at_most(hits, middle, chance) > tail:
            low = middle
        else:
            high = middle - 1
    return least, low


def _at_most(hits: int, trials: int, chance: float) -> float:
    """P(K <= hits) for K ~ Binomial(trials, chance)."""
    if hits < 0:
        return 0.0
    if hits >= trials or chance <= 0:
        return 1.0
    if chance >= 1:
        return 0.0
    k = np.arange(hits + 1, dtype=np.float64)
    ways = np.array([math.lgamma(trials + 1) - math.lgamma(i + 1) - math.lgamma(trials - i + 1) for i in k.tolist()])
    return float(min(1.0, np.exp(ways + k * math.log(chance) + (trials - k) * math.log1p(-chance)).sum()))


def proportion_interval(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a share (Clopper and Pearson 1934), by bisection; (0, 1) without a trial.

    Examples
    --------
    >>> low, high = proportion_interval(99, 100)
    >>> round(low, 4), round(high, 4)
    (0.9455, 0.9997)
    """
    if not trials:
        return 0.0, 1.0
    tail = (1 - confidence) / 2

    def solve(below: int, wanted: float) -> float:
        # P(K <= below) falls as the chance rises.
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if _at_most(below, trials, middle) > wanted else (low, middle)
        return (low + high) / 2

    least = solve(hits - 1, 1 - tail) if hits else 0.0
    most = solve(hits, tail) if hits < trials else 1.0
    return least, most
