"""What each measure is, in plain words: the names of `metrics` in `--json`, for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["MEASURES", "Measure", "measure_rows"]


@dataclass(frozen=True)
class Measure:
    """A measure's key in `metrics`, its name, and what it says."""

    key: str
    name: str
    words: str


#: In the order in which they are shown.
MEASURES: Final = (
    Measure(
        "average_precision",
        "Average precision",
        "Area under the precision-recall curve: how clean the queue stays as one works down it. A random order gets "
        "the share of laundering payments.",
    ),
    Measure("precision_at_budget", "Precision at the budget", "Share of the alerts that were right."),
    Measure("recall_at_budget", "Recall at the budget", "Share of the laundering parties that got an alert."),
    Measure("precision", "Precision", "Of the payments above the threshold, the share that was laundering."),
    Measure("recall", "Recall", "Of the laundering payments, the share above the threshold."),
    Measure("f1", "F1", "Precision and recall in one figure (their harmonic mean), at the threshold."),
    Measure("f2", "F2", "The same, with a missed payment weighing more than a wasted one."),
    Measure(
        "roc_auc",
        "ROC AUC",
        "Chance that a laundering payment scores above a normal one. Flatters where laundering is rare: "
        "read average precision first.",
    ),
    Measure("threshold", "Threshold", "Score from which a payment counts as flagged, chosen on the validation slice."),
    Measure("expected_cost", "Expected cost", "Missed and wasted payments at the stated costs, at the threshold."),
)
_KNOWN: Final = {measure.key: measure for measure in MEASURES}


def measure_rows(
    metrics: Mapping[str, Any], baseline: Mapping[str, Any] | None = None
) -> list[tuple[Measure, float | None, float | None]]:
    """Pair each single-figure measure with the baseline's; known ones first, others under their own name.

    Examples
    --------
    >>> [(measure.name, value, base) for measure, value, base in measure_rows({"f1": 0.5, "x_y": 1}, {"f1": 0.25})]
    [('F1', 0.5, 0.25), ('x y', 1.0, None)]
    """
    keys = [measure.key for measure in MEASURES if measure.key in metrics]
    keys += [key for key in metrics if key not in _KNOWN]
    rows = []
    for key in keys:
        value = metrics[key]
        if value is not None and not _is_figure(value):
            continue
        other = (baseline or {}).get(key)
        measure = _KNOWN.get(key) or Measure(key, key.replace("_", " "), "")
        rows.append((measure, _figure(value), _figure(other) if other is None or _is_figure(other) else None))
    return rows


def _is_figure(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _figure(value: Any) -> float | None:
    return None if value is None or value != value else float(value)
