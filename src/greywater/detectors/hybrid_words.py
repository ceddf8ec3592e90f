"""What the card of a hybrid says: the parts, their weights, how each and all did on later labels, and the limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from greywater.detectors.combination import Combination
from greywater.detectors.metrics import average_precision, calibration, measure_payments
from greywater.detectors.part_scores import PartScores
from greywater.vocab import Float64Array, Int64Array

__all__ = ["Flags", "describe"]

LIMITS: Final = (
    "Weights and probabilities hold for the share of laundering in the validation slice; when that drifts, fit again.",
    "A part that says nothing of a payment counts as an average one.",
)
_HOW: Final = {
    "fitted": "The weights were learned from labels that are later than those the parts learned from.",
    "one part": "On payments it had not seen the weighted sum ranked worse than the best part, which is used alone.",
    "fused": "No laundering is labelled: the parts are fused by reciprocal rank, and the probability is a rank.",
}


@dataclass(frozen=True)
class Flags:
    """Scores and probabilities of the slice that the second level learned from, float64[n], and where they flag."""

    score: Float64Array
    probability: Float64Array
    threshold: float
    costs: tuple[float | None, float | None]


def describe(
    combination: Combination,
    scores: PartScores,
    truth: Int64Array,
    flags: Flags,
    cards: Mapping[str, Mapping[str, Any]],
    notes: Sequence[str],
) -> dict[str, Any]:
    """The facts of the second level, and the cards of the parts."""
    both = 0 < int(truth.sum()) < len(truth)
    missed, wasted = flags.costs
    said = [
        {
            "name": name,
            "weight": weight,
            "average_precision": average_precision(truth, np.nan_to_num(scores.of(name), nan=-np.inf, neginf=-1e300))
            if both and not np.isnan(scores.of(name)).all()
            else None,
        }
        for name, weight in zip(combination.names, combination.weights, strict=True)
    ]
    found: dict[str, Any] = {"how": combination.how, "scores": said, "parts": dict(cards), "limits": list(LIMITS)}
    if both:
        measures = measure_payments(truth, flags.score, flags.threshold, cost_missed=missed, cost_wasted=wasted)
        found["measures"] = asdict(measures)
        found["calibration"] = asdict(calibration(truth, flags.probability))
    return found | {"notes": [*notes, _HOW[combination.how]]}
