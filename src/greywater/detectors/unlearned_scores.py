"""Calibration and threshold of scores that learned from no label: by labels where there are enough, by rank else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from greywater.detectors.calibration import Platt, Rank
from greywater.detectors.detector import Validation
from greywater.detectors.fitted import Costs, ThresholdBy
from greywater.detectors.metrics import calibration, measure_payments
from greywater.detectors.saved import plain
from greywater.detectors.threshold import Threshold
from greywater.vocab import Float64Array, TrainingTable

__all__ = ["Scaled", "scale_scores"]

#: Laundering payments in the validation slice from which its labels calibrate and set the threshold.
LEAST_POSITIVES: Final = 10
#: Share of payments flagged where no labels choose the threshold.
ALERT_SHARE: Final = 0.001
NO_SLICE: Final = "No validation slice: ranks and threshold were taken on what was learned from."
NO_LABELS: Final = "No labels to calibrate with: the probability is a rank, the threshold flags a stated share."
CALIBRATED: Final = "The labels of the validation slice calibrated the score; what was learned saw none."


@dataclass(frozen=True)
class Scaled:
    """How scores become probabilities and flags, what the card says of it, and a note on how it was found."""

    calibrated: Platt | Rank
    threshold: Threshold
    card: dict[str, Any]
    note: str


def scale_scores(
    score_of: Callable[[TrainingTable], Float64Array],
    validation: Validation | None,
    without: Callable[[], Float64Array],
    *,
    by: ThresholdBy = "f1",
    costs: Costs = (None, None),
    least_positives: int = LEAST_POSITIVES,
    alert_share: float = ALERT_SHARE,
) -> Scaled:
    """Calibrate on the validation slice, or take ranks.

    Parameters
    ----------
    score_of : callable
        Scores float64[n] of a table.
    validation : Validation, optional
    without : callable
        Scores of what was learned from, whose ranks count where there is no validation slice.
    by, costs
        What the threshold is chosen by, and the two costs.
    least_positives : int
        Laundering payments in the slice from which its labels calibrate.
    alert_share : float
        Share of payments flagged where no labels choose the threshold.
    """
    if validation is None or not validation.X.rows:
        score = without()
        return Scaled(Rank.fit(score), Threshold.highest(score, alert_share), {}, NO_SLICE)
    score, truth = score_of(validation.X), np.asarray(validation.y)
    if not least_positives <= int(truth.sum()) < len(truth):
        return Scaled(Rank.fit(score), Threshold.highest(score, alert_share), {}, NO_LABELS)
    missed, wasted = costs
    calibrated = Platt.fit(truth, score)
    threshold = Threshold.choose(truth, score, by=by, cost_missed=missed, cost_wasted=wasted)
    measures = measure_payments(truth, score, threshold.value, cost_missed=missed, cost_wasted=wasted)
    card = {
        "measured_on": "validation",
        "measures": plain(asdict(measures)),
        "calibration": plain(asdict(calibration(truth, calibrated(score)))),
    }
    return Scaled(calibrated, threshold, card, CALIBRATED)
