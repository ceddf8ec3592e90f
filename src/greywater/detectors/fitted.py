"""What every detector tells once it is fitted: its card, its columns, its threshold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

from greywater.detectors.calibration import Platt, Rank
from greywater.detectors.saved import plain
from greywater.detectors.threshold import Threshold, require_costs
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, TrainingTable

__all__ = ["CalibratedFace", "Costs", "FittedFace", "ThresholdBy", "WhatWasCalibrated", "WhatWasLearned"]

ThresholdBy = Literal["f1", "cost"]
#: Of a launderer missed and of an alert wasted; None where not stated.
Costs = tuple[float | None, float | None]


class WhatWasLearned(Protocol):
    """What fitting leaves behind at least."""

    names: tuple[str, ...]
    threshold: Threshold
    card: dict[str, Any]


class WhatWasCalibrated(WhatWasLearned, Protocol):
    """And what makes probabilities of its scores."""

    calibrated: Platt | Rank


Learned = TypeVar("Learned", bound=WhatWasLearned)
Calibrated = TypeVar("Calibrated", bound=WhatWasCalibrated)


class FittedFace(Generic[Learned]):
    """What every detector does alike: tell what fitting left in `_fitted`, and hold what its threshold is chosen by."""

    _fitted: Learned | None = None
    _threshold_by: ThresholdBy = "f1"
    _costs: Costs = (None, None)

    def _choose_by(self, by: ThresholdBy, cost_missed: float | None, cost_wasted: float | None) -> None:
        """Take what the threshold is to be chosen by; both costs are needed for "cost"."""
        if by == "cost":
            require_costs(cost_missed, cost_wasted)
        self._threshold_by, self._costs = by, (cost_missed, cost_wasted)

    def _chosen_as(self, threshold: Threshold, costs: Sequence[float | None]) -> None:
        """Take what a saved threshold was chosen by, and the costs beside it."""
        missed, wasted = costs
        self._costs = (missed, wasted)
        self._threshold_by = "cost" if threshold.by == "cost" else "f1"

    @property
    def card(self) -> dict[str, Any]:
        """What it was fitted on, with what, how it did, its limits and notes; JSON types."""
        return dict(self._known().card)

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names it was fitted on, in order."""
        return self._known().names

    @property
    def threshold(self) -> Threshold:
        """Where a score becomes a flag."""
        return self._known().threshold

    def annotate(self, facts: Mapping[str, Any]) -> Self:
        """Add facts of the run (data version, test measures...) to the card; JSON types."""
        self._known().card.update(plain(facts))
        return self

    def _known(self) -> Learned:
        if self._fitted is None:
            raise DetectorError("the detector is not fitted", mend="call fit, or load a saved one")
        return self._fitted


class CalibratedFace(FittedFace[Calibrated], ABC):
    """Beside that, what detectors do alike whose probability is their score through what calibrated it."""

    @abstractmethod
    def score(self, X: TrainingTable) -> Float64Array:
        """Raw score float64[n], higher = more suspicious."""

    def probability(self, X: TrainingTable) -> Float64Array:
        """Calibrated score float64[n] in [0, 1], in the order of the score: a rank, or a chance where labels were."""
        return self.calibrate(self.score(X))

    def calibrate(self, score: Float64Array) -> Float64Array:
        """Probabilities of scores already at hand, float64[n]."""
        return self._known().calibrated(score)
