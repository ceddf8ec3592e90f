"""Calibration and threshold of scores that learned from no label: by labels where there are enough, by rank else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np

from greywater.detectors.calibration import Platt, Rank
from greywater.detectors.detector import Validation
from greywater.detectors.metrics import calibration, measure_payments
from greywater.detectors.saved import plain
from greywater.detectors.threshold import Threshold
from greywater.vocab import Float64Array, TrainingTable

__all__ = ["Scaled", "scale_scores"]

#: Laundering payments in the validation slice from which its labels calibrate and set the threshold.
LEAST_POSITIVES: Final = 10
#: Share of payments flagged where no labels choose the threshold.
ALERT_SHARE: Final = 0.001


@dataclass(frozen=True)
class Scaled:
    """How scores become probabilities and flags, what the card says of it, and a note on how it was found."""

    calibrated: Platt | Rank
    threshold: Threshold
    card: dict[str, Any]
    note: str


def scale_scores(
    score_of: Callable[[TrainingTable], Float64Array],
    X: TrainingTable,
    validation: Validation | None,
    *,
    by: Literal["f1", "cost"] = "f1",
    costs: tuple[float | None, float | None] = (None, None),
) -> Scaled:
    """Calibrate on the validation slice, or take ranks.

    Parameters
    ----------
    score_of : callable
        Scores float64[n] of a table.
    X : TrainingTable
        Ranks are taken on it where there is no validation slice.
    validation : Validation, optional
    by, costs
        What the threshold is chosen by, and the two costs.
    """
    slice_, note = X, "No validation slice: ranks and threshold were taken on the training slice."
    if validation is not None and validation.X.rows:
        slice_ = validation.X
        note = "No labels to calibrate with: the probability is a rank, the threshold flags a stated share."
    score = score_of(slice_)
    truth = np.asarray(validation.y) if validation is not None and slice_ is validation.X else np.zeros(0, np.int64)
    if not LEAST_POSITIVES <= int(truth.sum()) < len(truth):
        return Scaled(Rank.fit(score), Threshold.highest(score, ALERT_SHARE), {}, note)
    missed, wasted = costs
    calibrated = Platt.fit(truth, score)
    threshold = Threshold.choose(truth, score, by=by, cost_missed=missed, cost_wasted=wasted)
    measures = measure_payments(truth, score, threshold.value, cost_missed=missed, cost_wasted=wasted)
    card = {
        "measured_on": "validation",
        "measures": plain(asdict(measures)),
        "calibration": plain(asdict(calibration(truth, calibrated(score)))),
    }
    return Scaled(calibrated, threshold, card, "The labels of the validation slice calibrated the score.")
