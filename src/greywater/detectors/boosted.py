"""The supervised detector: gradient-boosted trees on labelled payments, LightGBM's where nothing else is said."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np

from greywater.detectors.calibration import Platt, from_json
from greywater.detectors.detector import Validation
from greywater.detectors.fitted import FittedFace, ThresholdBy
from greywater.detectors.metrics import calibration, measure_payments
from greywater.detectors.rows import matrices
from greywater.detectors.saved import (
    MEND,
    plain,
    read_folder,
    refuse_other_columns,
    refuse_unusable_labels,
    refuse_unusable_validation,
    write_folder,
)
from greywater.detectors.single_row import TreeArrays
from greywater.detectors.steps import TellsSteps
from greywater.detectors.threshold import Threshold
from greywater.detectors.trees import BoostedParameters, LightGBM, TreeLibrary
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array, Progress, TrainingTable

__all__ = ["Boosted", "BoostedParameters"]

LIMITS: Final = (
    "Finds what resembles the laundering it was shown; a new scheme needs the anomaly detector or a rule.",
    "Probabilities hold for the share of laundering in the validation slice; when that drifts, fit again.",
)


@dataclass
class _Fitted:
    """What fitting left behind."""

    names: tuple[str, ...]
    booster: Any
    arrays: TreeArrays
    platt: Platt
    threshold: Threshold
    #: Share of the laundering that is labelled; 1 where payments without a label count as honest.
    labelled_share: float = 1.0
    card: dict[str, Any] = field(default_factory=dict)


class Boosted(TellsSteps, FittedFace[_Fitted]):
    """LightGBM behind the Detector contract; `XGBoosted` is the same on XGBoost.

    The score is the raw margin (log-odds before calibration), the probability Platt's sigmoid of it fitted on the
    validation slice, the contributions the library's SHAP values: they and the base value in the last column sum to
    the score. Trees are exported to plain arrays and scored in a kernel, so that one row costs microseconds
    (`score_row`) and has the bits of the batch. The same rows, labels and seed give the same model, whatever the
    number of threads.

    Parameters
    ----------
    parameters : BoostedParameters, optional
    seed : int
        Seed of everything random.
    threads : int
        0 = as many as the machine has. Does not change the result.
    threshold_by : {"f1", "cost"}
        What the threshold is chosen by, on the validation slice.
    cost_missed, cost_wasted : float, optional
        The two stated costs; needed for "cost", and shown as expected cost on the card where given.
    """

    kind: ClassVar[str] = "boosted"
    needs_labels: ClassVar[bool] = True
    #: What grows the trees.
    library: ClassVar[TreeLibrary] = LightGBM()

    def __init__(
        self,
        parameters: BoostedParameters | None = None,
        *,
        seed: int = 7,
        threads: int = 0,
        threshold_by: ThresholdBy = "f1",
        cost_missed: float | None = None,
        cost_wasted: float | None = None,
    ) -> None:
        self._parameters = parameters or BoostedParameters()
        self._seed = seed
        self._threads = threads
        self._choose_by(threshold_by, cost_missed, cost_wasted)
        self._fitted: _Fitted | None = None

    def fit(
        self,
        X: TrainingTable,
        y: Int64Array | None = None,
        time: Int64Array | None = None,
        weight: Float64Array | None = None,
        *,
        validation: Validation | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from labelled payments; stop, calibrate and set the threshold on the later validation slice.

        Without a validation slice that holds both classes, a fixed number of trees is grown, the probability is the
        sigmoid of the bare margin and the threshold is chosen on the training slice; `card["notes"]` says so.

        Raises
        ------
        DetectorError
            No labels, no laundering or no honest payment among them, or columns or lengths that do not fit.
        """
        labels = _labels(X, y)
        notes: list[str] = []
        refuse_unusable_validation(X, validation)
        judged = validation if validation is not None and 0 < int(np.sum(validation.y)) < len(validation.y) else None
        if judged is None:
            notes.append(
                "No validation slice with laundering and honest payments: a fixed number of trees, the probability is "
                "the sigmoid of the bare margin, and the threshold was chosen on the training slice."
            )
        booster, best = self.library.grow(
            X,
            labels,
            weight,
            judged,
            self._parameters,
            seed=self._seed,
            threads=self._threads,
            progress=progress,
            told=self.tell,
        )
        platt, threshold = Platt(1.0, 0.0, fitted=False), Threshold(float("inf"), "f1")
        fitted = _Fitted(X.names, booster, self.library.arrays(booster), platt, threshold)
        self._fitted = fitted
        held = judged or Validation(X, labels)
        score, truth = self.score(held.X), np.asarray(held.y)
        if judged is not None:
            fitted.platt = Platt.fit(truth, score)
        if self._parameters.positives_unlabelled:
            fitted.labelled_share = float(np.mean(fitted.platt(score[truth == 1])))
            notes.append(
                f"Payments without a label count as unknown: about {fitted.labelled_share:.0%} of the laundering is "
                "taken to be labelled, and probabilities are divided by that share."
            )
        missed, wasted = self._costs
        fitted.threshold = Threshold.choose(truth, score, by=self._threshold_by, cost_missed=missed, cost_wasted=wasted)
        measures = measure_payments(truth, score, fitted.threshold.value, cost_missed=missed, cost_wasted=wasted)
        fitted.card = plain(
            {
                "kind": self.kind,
                "rows": X.rows,
                "positives": int(labels.sum()),
                "features": len(X.names),
                "fingerprint": getattr(X, "fingerprint", None),
                "time": None if time is None or not len(time) else [int(time[0]), int(time[-1])],
                "parameters": asdict(self._parameters),
                "seed": self._seed,
                "trees": best,
                "measured_on": "training" if judged is None else "validation",
                "measures": asdict(measures),
                "calibration": asdict(calibration(truth, self.calibrate(score))),
                "labelled_share": fitted.labelled_share,
                "most_used": _most_used(self.library.gain(booster), X.names),
                "limits": list(LIMITS),
                "notes": notes,
            }
        )
        return self

    def score(self, X: TrainingTable) -> Float64Array:
        """Raw margin float64[n], higher = more suspicious."""
        fitted = self._known()
        refuse_other_columns(fitted.names, X.names, "score")
        scores = np.empty(X.rows)
        for start, rows in matrices(X):
            scores[start : start + len(rows)] = fitted.arrays.margins(rows, self._threads or os.cpu_count() or 1)
        return scores

    def score_row(self, row: Float64Array) -> float:
        """Raw margin of one row float64[features] in the order of `names`, with the bits of `score`."""
        return self._known().arrays.margin(row)

    def probability(self, X: TrainingTable) -> Float64Array:
        """Chance of laundering float64[n] in [0, 1], in the order of the score."""
        return self.calibrate(self.score(X))

    def calibrate(self, score: Float64Array) -> Float64Array:
        """Probabilities of scores already at hand, float64[n]."""
        fitted = self._known()
        chance: Float64Array = fitted.platt(score)
        return chance if fitted.labelled_share == 1.0 else np.minimum(chance / fitted.labelled_share, 1.0)

    def explain(self, X: TrainingTable) -> Float64Array:
        """SHAP contributions float64[n, features + 1]; each row sums to its score."""
        fitted = self._known()
        refuse_other_columns(fitted.names, X.names, "explain")
        parts = [np.empty((0, len(fitted.names) + 1))]
        for _, rows in matrices(X):
            parts.append(self.library.contributions(fitted.booster, rows, self._threads))
        return np.concatenate(parts)

    def save(self, folder: Path) -> None:
        """Write the library's own text and detector.json, which holds its SHA-256."""
        fitted = self._known()
        description = {
            "names": list(fitted.names),
            "platt": fitted.platt.to_json(),
            "threshold": fitted.threshold.to_json(),
            "parameters": asdict(self._parameters),
            "seed": self._seed,
            "costs": list(self._costs),
            "labelled_share": fitted.labelled_share,
            "card": fitted.card,
        }
        write_folder(folder, self.kind, description, {self.library.file: self.library.write(fitted.booster).encode()})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        DetectorError
            A file is missing, damaged or of another kind.
        """
        document, files = read_folder(folder, cls.kind)
        try:
            names = tuple(map(str, document["names"]))
            platt = from_json(document["platt"])
            threshold = Threshold.from_json(document["threshold"])
            detector = cls(BoostedParameters(**document["parameters"]), seed=int(document["seed"]))
            detector._chosen_as(threshold, document["costs"])
            booster = cls.library.read(files[cls.library.file].decode())
            arrays = cls.library.arrays(booster)
            labelled = float(document.get("labelled_share", 1.0))
            card = dict(document["card"])
        except (KeyError, TypeError, ValueError) as error:
            raise DetectorError(f"the description is damaged: {error}", where=str(folder), mend=MEND) from error
        if not isinstance(platt, Platt) or arrays.features != len(names) or not 0 < labelled <= 1:
            raise DetectorError("the model and its description do not fit", where=str(folder), mend=MEND)
        detector._fitted = _Fitted(names, booster, arrays, platt, threshold, labelled, card)
        return detector


def _labels(X: TrainingTable, y: Int64Array | None) -> Int64Array:
    if y is None:
        raise DetectorError("there are no labels", where="y", mend="use the isolation detector, which needs none")
    labels = np.asarray(y)
    refuse_unusable_labels(X, labels, "y")
    if not X.names:
        raise DetectorError("the table has no feature columns", where="X", mend="give at least one feature")
    positives = int(labels.sum())
    if not 0 < positives < len(labels):
        held = "laundering" if positives == 0 else "honest"
        raise DetectorError(
            f"the training slice of {len(labels)} payments holds no {held} payment",
            where="y",
            mend="use the isolation detector, or a longer training slice",
        )
    return labels.astype(np.int64, copy=False)


def _most_used(gain: Float64Array, names: tuple[str, ...], most: int = 20) -> list[dict[str, Any]]:
    total = float(gain.sum()) or 1.0
    order = [int(place) for place in np.argsort(-gain, kind="stable")[:most] if gain[place] > 0]
    return [{"feature": names[place], "share_of_gain": float(gain[place]) / total} for place in order]
