"""What every fit writes down at its end: what it is, its files, how it did, and the curves that are drawn of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from greywater.app.experiment_log import FitLog
from greywater.app.fitting import Fitted
from greywater.app.replaying import FeatureRows
from greywater.app.split import Split
from greywater.desk.experiment_pictures import precision_recall_svg, score_svg
from greywater.detectors.curves import precision_recall_curve
from greywater.detectors.saved import plain
from greywater.vocab import Float64Array, Int64Array

__all__ = ["CURVES", "note_fitted", "note_judged", "score_histogram"]

#: Artefact with the points of what is drawn.
CURVES: Final = "curves.json"
BINS: Final = 40


def note_fitted(log: FitLog, fitted: Fitted, made: FeatureRows, split: Split, folder: Path) -> None:
    """Note what was fitted on what, and the files of the saved model.

    Parameters
    ----------
    log : FitLog
    fitted : Fitted
    made : FeatureRows
        What it learned from.
    split : Split
    folder : Path
        Where it was saved, inside the project's.
    """
    card = fitted.detector.card
    features = made.features
    log.note(
        detector=fitted.kind,
        detector_parameters=card.get("parameters") or {},
        features={"name": features.name, "fingerprint": features.fingerprint, "columns": len(features.names)},
        split=asdict(split),
    )
    log.metrics({"validation": card.get("measures") or {}})
    log.keep(folder)


def note_judged(log: FitLog, score: Float64Array, y: Int64Array | None, measures: Mapping[str, Any] | None) -> None:
    """Note how a fit did on payments that it has not seen, and draw it.

    Parameters
    ----------
    log : FitLog
    score : float64[n]
        Of the unseen payments; nothing is drawn where there are none.
    y : int64[n], optional
        Their labels.
    measures : mapping, optional
    """
    if measures:
        log.metrics(measures)
    if not len(score):
        return
    curve = () if y is None else precision_recall_curve(y, score)
    scores = score_histogram(score, y)
    log.artefact(CURVES, json.dumps(plain({"precision_recall": curve, "scores": scores}), allow_nan=False) + "\n")
    log.artefact("scores.svg", score_svg(scores))
    if curve:
        log.artefact("precision_recall.svg", precision_recall_svg(curve))


def score_histogram(score: Float64Array, y: Int64Array | None) -> dict[str, Any]:
    """How the scores of laundering and of other payments are spread: shares of each in equal bins.

    Parameters
    ----------
    score : float64[n]
    y : int64[n] in {0, 1}, optional

    Returns
    -------
    dict
        `edges` (bins + 1), `others` and `laundering`: shares that sum to 1; `laundering` empty without any. The ends
        take in what lies beyond the outermost thousandth.

    Examples
    --------
    >>> found = score_histogram(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 0, 0, 1]))
    >>> [round(share, 2) for share in found["others"] if share], found["laundering"][-1], len(found["edges"])
    ([0.67, 0.33], 1.0, 41)
    """
    low, high = np.quantile(score, (0.001, 0.999)) if len(score) > 1000 else (score.min(), score.max())
    high = high if high > low else low + 1.0
    held = np.clip(score, low, high)
    truth = np.zeros(len(score), np.bool_) if y is None else np.asarray(y) == 1

    def shares(chosen: Any) -> list[float]:
        counts = np.histogram(held[chosen], BINS, (float(low), float(high)))[0]
        return (counts / counts.sum()).tolist() if counts.sum() else []

    edges = np.linspace(float(low), float(high), BINS + 1)
    return {"edges": edges.tolist(), "others": shares(~truth), "laundering": shares(truth)}
