"""What each piece of a detector is worth: without it, fitted again over several seeds, on the same later payments."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Final, Literal

import numpy as np

from greywater.detectors.bootstrap import Interval, PartyBootstrap
from greywater.detectors.column_choice import ColumnChoice
from greywater.detectors.detector import Detector, Validation
from greywater.detectors.metrics import average_precision
from greywater.detectors.search_space import Value
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array, Progress, TrainingTable

__all__ = ["LAYERS", "AblationPoint", "AblationSlices", "Variant", "ablate", "paired_interval"]

LEVEL: Final = 0.95

_OF_THE_PAIR: Final[Mapping[str, Mapping[str, Value]]] = {
    "discriminator": {"adversarial": 0.0, "matching": 0.0},
    "equal features": {"matching": 0.0},
    "noise on the input": {"masked": 0.0, "noise": 0.0},
    "pushing known launderers away": {"labels": "good"},
    "leaving known launderers out": {"labels": "none"},
    "trimming the largest errors": {"trim": 0.0},
}

#: What can be switched off inside a kind of detector by its parameters, and by which.
LAYERS: Final[Mapping[str, Mapping[str, Mapping[str, Value]]]] = {
    "adversarial": {**_OF_THE_PAIR, "leaving columns out that are alike": {"alike": 1.0}},
    "adversarial_sequence": _OF_THE_PAIR,
    "boosted": {
        "a few columns a tree": {"feature_fraction": 1.0},
        "shrinking leaves": {"lambda_l2": 0.0},
        "large leaves": {"min_data_in_leaf": 1},
        "sampling honest payments": {"max_negatives": 0},
    },
}


@dataclass(frozen=True)
class AblationSlices:
    """What is learned from, and the later slice that is judged on.

    `y` and `time_us` int64[rows of X]; `parties` are arrays int64[rows of the validation slice] of the codes of the
    parties of each payment, from 0, that the intervals draw again.
    """

    X: TrainingTable
    y: Int64Array
    time_us: Int64Array
    validation: Validation
    parties: Sequence[Int64Array]


@dataclass(frozen=True)
class Variant:
    """The detector without one piece; the whole one lacks nothing.

    Parameters
    ----------
    kind : {"whole", "family", "layer", "part"}
        What kind of piece it lacks.
    without : str
        Which.
    make : callable
        Makes it, not fitted, from a seed and the columns that are left.
    columns : tuple of str, optional
        What is left of the columns; None: all.
    """

    kind: Literal["whole", "family", "layer", "part"]
    without: str
    make: Callable[[int, tuple[str, ...]], Detector]
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True)
class AblationPoint:
    """What came of one variant.

    Parameters
    ----------
    kind, without : str
        As in Variant.
    columns : int
        It was fitted on.
    scores : tuple of float
        Average precision on the validation slice, one a seed.
    score, loss : float or None
        Mean of them, and of what the whole detector reached beyond, seed by seed: above 0 = the piece is worth
        something. None where it could not be fitted: `why` says so.
    by_seeds : Interval
        Of the loss: Student's, over the seeds; undefined for fewer than two. Other draws of the same payments.
    by_parties : Interval
        Of the loss: percentiles where parties are drawn again, the same for both (a paired bootstrap). Other payments.
    why : str
    """

    kind: str
    without: str
    columns: int
    scores: tuple[float, ...]
    score: float | None
    loss: float | None
    by_seeds: Interval
    by_parties: Interval
    why: str = ""


def ablate(
    whole: Variant,
    variants: Sequence[Variant],
    slices: AblationSlices,
    *,
    seeds: Sequence[int],
    resamples: int = 200,
    progress: Progress | None = None,
) -> tuple[AblationPoint, ...]:
    """Fit the whole detector and each variant with every seed, and say what each piece is worth.

    Parameters
    ----------
    whole : Variant
        Lacks nothing.
    variants : sequence of Variant
    slices : AblationSlices
    seeds : sequence of int
        At least one; from two on there is an interval over them.
    resamples : int
        Of the bootstrap.
    progress : Progress, optional
        Advanced by fits.

    Returns
    -------
    tuple of AblationPoint
        The whole detector first, then the variants, the greatest loss first.

    Raises
    ------
    DetectorError
        The whole detector cannot be fitted, or there is no seed.
    """
    if not seeds:
        raise DetectorError("there is no seed to fit with", where="ablation", mend="give at least one")
    if progress is not None:
        progress.step("fitting without one piece after another", (len(variants) + 1) * len(seeds))
    base = _Whole.of(slices, [_score(whole, slices, seed, progress) for seed in seeds], resamples)
    nothing = Interval(None, None, LEVEL)
    reached = tuple(base.reached)
    first = AblationPoint("whole", "", len(slices.X.names), reached, mean(reached), 0.0, nothing, nothing)
    found = []
    for variant in variants:
        left = len(variant.columns if variant.columns is not None else slices.X.names)
        try:
            scores = [_score(variant, slices, seed, progress) for seed in seeds]
        except DetectorError as error:
            found.append(
                AblationPoint(variant.kind, variant.without, left, (), None, None, nothing, nothing, error.found)
            )
        else:
            found.append(base.beside(variant, left, scores))
    return (first, *sorted(found, key=lambda each: math.inf if each.loss is None else -each.loss))


def paired_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Student's interval of the mean of differences; undefined for fewer than two.

    Examples
    --------
    >>> found = paired_interval([0.1, 0.2, 0.3])
    >>> round(found.low, 4), round(found.high, 4)
    (-0.0484, 0.4484)
    """
    if len(values) < 2:
        return Interval(None, None, level)
    from scipy.stats import t as student

    half = float(student.ppf(0.5 + level / 2, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return Interval(mean(values) - half, mean(values) + half, level)


def _score(variant: Variant, slices: AblationSlices, seed: int, progress: Progress | None) -> Float64Array:
    """Scores of the validation slice."""
    table, later = slices.X, slices.validation
    if variant.columns is not None:
        table = ColumnChoice(table, variant.columns)
        later = Validation(ColumnChoice(later.X, variant.columns), later.y)
    detector = variant.make(seed, table.names)
    detector.fit(table, slices.y, slices.time_us, validation=later)
    score = detector.score(later.X)
    if progress is not None:
        progress.advance(1)
    return score


@dataclass(frozen=True)
class _Whole:
    """What the whole detector reached with each seed, on the slice and in each resample of it."""

    slices: AblationSlices
    reached: list[float]
    drawn: list[Float64Array]

    @classmethod
    def of(cls, slices: AblationSlices, scores: list[Float64Array], resamples: int) -> _Whole:
        truth = slices.validation.y
        drawn = [
            PartyBootstrap(truth, each, slices.parties, resamples=resamples).average_precisions() for each in scores
        ]
        return cls(slices, [average_precision(truth, each) or 0.0 for each in scores], drawn)

    def beside(self, variant: Variant, left: int, scores: list[Float64Array]) -> AblationPoint:
        """A variant that was fitted with the same seeds; the same parties are drawn again for it."""
        other = _Whole.of(self.slices, scores, len(self.drawn[0]))
        losses = [whole - without for whole, without in zip(self.reached, other.reached, strict=True)]
        apart = np.mean([whole - without for whole, without in zip(self.drawn, other.drawn, strict=True)], axis=0)
        apart = apart[np.isfinite(apart)]
        by_parties = Interval(None, None, LEVEL)
        if len(apart) > len(self.drawn[0]) / 2:
            low, high = np.quantile(apart, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
            by_parties = Interval(float(low), float(high), LEVEL)
        return AblationPoint(
            variant.kind, variant.without, left, tuple(other.reached), mean(other.reached), mean(losses),
            paired_interval(losses), by_parties,
        )  # fmt: skip
