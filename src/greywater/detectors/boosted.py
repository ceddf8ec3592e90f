"""The supervised detector: gradient-boosted trees (LightGBM) on labelled payments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np

from greywater.detectors.calibration import Platt, from_json
from greywater.detectors.detector import Validation
from greywater.detectors.metrics import calibration, measure_payments
from greywater.detectors.rows import RowReader, matrices, sample_negatives
from greywater.detectors.saved import (
    MEND,
    plain,
    read_folder,
    refuse_other_columns,
    refuse_unusable_labels,
    write_folder,
)
from greywater.detectors.threshold import Threshold
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array, Progress, TrainingTable

__all__ = ["Boosted", "BoostedParameters"]

MODEL: Final = "model.txt"
LIMITS: Final = (
    "Finds what resembles the laundering it was shown; a new scheme needs the anomaly detector or a rule.",
    "Probabilities hold for the share of laundering in the validation slice; when that drifts, fit again.",
)


@dataclass(frozen=True)
class BoostedParameters:
    """How the trees are grown. The defaults were chosen on time-split, imbalanced payments (docs/detectors.md).

    Parameters
    ----------
    rounds : int
        Most trees.
    patience : int
        Rounds without a better average precision on the validation slice after which growing stops.
    evaluate_every : int
        Rounds between two looks at the validation slice.
    rounds_without_validation : int
        Trees grown where there is no validation slice with a positive.
    learning_rate, num_leaves, min_data_in_leaf, lambda_l2, feature_fraction, max_bin
        LightGBM's own.
    positive_weight : float
        Class weight of a laundering payment; large weights (the full imbalance) hurt the ranking at the top.
    max_negatives : int
        Honest payments learned from, drawn evenly along the slice by the seed; each then counts for the ones it
        stands for, so the margins keep to the true odds. Positives are all kept. 0 = all honest payments.
    max_validation_negatives : int
        Honest payments of the validation slice that early stopping looks at. Calibration, threshold and measures
        always use the whole slice.
    bin_rows : int
        Rows from which the histogram edges are taken.
    """

    rounds: int = 300
    patience: int = 60
    evaluate_every: int = 10
    rounds_without_validation: int = 150
    learning_rate: float = 0.1
    num_leaves: int = 31
    min_data_in_leaf: int = 20
    lambda_l2: float = 30.0
    feature_fraction: float = 0.5
    max_bin: int = 127
    positive_weight: float = 1.0
    max_negatives: int = 150_000
    max_validation_negatives: int = 100_000
    bin_rows: int = 50_000

    def __post_init__(self) -> None:
        whole = ("rounds", "patience", "evaluate_every", "rounds_without_validation", "min_data_in_leaf", "bin_rows")
        bad = [name for name in whole if getattr(self, name) < 1]
        bad += [name for name in ("learning_rate", "positive_weight") if not 0 < getattr(self, name) < float("inf")]
        bad += [] if self.num_leaves >= 2 else ["num_leaves"]
        bad += [] if 0 < self.feature_fraction <= 1 else ["feature_fraction"]
        bad += [] if 3 <= self.max_bin <= 65_535 else ["max_bin"]
        bad += [name for name in ("max_negatives", "max_validation_negatives", "lambda_l2") if getattr(self, name) < 0]
        if bad:
            raise DetectorError(
                f"{bad[0]} = {getattr(self, bad[0])} cannot be used",
                where="BoostedParameters",
                mend="see its docstring",
            )


class Boosted:
    """LightGBM behind the Detector contract.

    The score is the raw margin (log-odds before calibration), the probability Platt's sigmoid of it fitted on the
    validation slice, the contributions LightGBM's exact SHAP values: they and the base value in the last column sum to
    the score. The same rows, labels and seed give the same model, whatever the number of threads.

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

    def __init__(
        self,
        parameters: BoostedParameters | None = None,
        *,
        seed: int = 7,
        threads: int = 0,
        threshold_by: Literal["f1", "cost"] = "f1",
        cost_missed: float | None = None,
        cost_wasted: float | None = None,
    ) -> None:
        if threshold_by == "cost" and (cost_missed is None or cost_wasted is None):
            raise DetectorError(
                "a threshold by cost needs two costs", mend="state the cost of a missed case and of a wasted alert"
            )
        self._parameters = parameters or BoostedParameters()
        self._seed = seed
        self._threads = threads
        self._threshold_by: Literal["f1", "cost"] = threshold_by
        self._costs = (cost_missed, cost_wasted)
        self._fitted: _Fitted | None = None

    @property
    def card(self) -> dict[str, Any]:
        """What it was fitted on, with what, how it did on the validation slice, its limits and notes; JSON types."""
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
        if validation is not None:
            refuse_other_columns(X.names, validation.X.names, "validation")
            refuse_unusable_labels(validation.X, np.asarray(validation.y), "validation")
        judged = validation if validation is not None and 0 < int(np.sum(validation.y)) < len(validation.y) else None
        if judged is None:
            notes.append(
                "No validation slice with laundering and honest payments: a fixed number of trees, the probability is "
                "the sigmoid of the bare margin, and the threshold was chosen on the training slice."
            )
        booster, best = self._grow(X, labels, weight, judged, progress)
        fitted = _Fitted(X.names, booster, Platt(1.0, 0.0, fitted=False), Threshold(float("inf"), "f1"))
        self._fitted = fitted
        held = judged or Validation(X, labels)
        score, truth = self.score(held.X), np.asarray(held.y)
        if judged is not None:
            fitted.platt = Platt.fit(truth, score)
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
                "calibration": asdict(calibration(truth, fitted.platt(score))),
                "most_used": _most_used(booster, X.names),
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
            scores[start : start + len(rows)] = fitted.booster.predict(
                rows, raw_score=True, num_threads=self._threads, validate_features=False
            )
        return scores

    def probability(self, X: TrainingTable) -> Float64Array:
        """Chance of laundering float64[n] in [0, 1], in the order of the score."""
        return self.calibrate(self.score(X))

    def calibrate(self, score: Float64Array) -> Float64Array:
        """Probabilities of scores already at hand, float64[n]."""
        return self._known().platt(score)

    def explain(self, X: TrainingTable) -> Float64Array:
        """Exact SHAP contributions float64[n, features + 1]; each row sums to its score."""
        fitted = self._known()
        refuse_other_columns(fitted.names, X.names, "explain")
        parts = [np.empty((0, len(fitted.names) + 1))]
        for _, rows in matrices(X):
            parts.append(
                fitted.booster.predict(rows, pred_contrib=True, num_threads=self._threads, validate_features=False)
            )
        return np.concatenate(parts)

    def save(self, folder: Path) -> None:
        """Write model.txt (LightGBM's own text) and detector.json, which holds its SHA-256."""
        fitted = self._known()
        description = {
            "names": list(fitted.names),
            "platt": fitted.platt.to_json(),
            "threshold": fitted.threshold.to_json(),
            "parameters": asdict(self._parameters),
            "seed": self._seed,
            "costs": list(self._costs),
            "card": fitted.card,
        }
        write_folder(folder, self.kind, description, {MODEL: fitted.booster.model_to_string().encode()})

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
            missed, wasted = document["costs"]
            detector = cls(BoostedParameters(**document["parameters"]), seed=int(document["seed"]))
            detector._costs = (missed, wasted)
            booster = _booster_from_text(files[MODEL].decode())
            card = dict(document["card"])
        except (KeyError, TypeError, ValueError) as error:
            raise DetectorError(f"the description is damaged: {error}", where=str(folder), mend=MEND) from error
        if not isinstance(platt, Platt) or booster.num_feature() != len(names):
            raise DetectorError("the model and its description do not fit", where=str(folder), mend=MEND)
        detector._threshold_by = "cost" if threshold.by == "cost" else "f1"
        detector._fitted = _Fitted(names, booster, platt, threshold, card)
        return detector

    def _known(self) -> _Fitted:
        if self._fitted is None:
            raise DetectorError("the detector is not fitted", mend="call fit, or load a saved one")
        return self._fitted

    def _grow(
        self,
        X: TrainingTable,
        y: Int64Array,
        weight: Float64Array | None,
        validation: Validation | None,
        progress: Progress | None,
    ) -> tuple[Any, int]:
        """The booster cut to its best round, read back from its own text so that a saved one is the same one."""
        import lightgbm

        chosen = self._parameters
        settings = _settings(chosen, self._seed, self._threads)
        rows, stands_for = sample_negatives(y, chosen.max_negatives or len(y), self._seed)
        mass = np.where(y[rows] == 1, 1.0, stands_for) * _weights(weight, y)[rows]
        training = _dataset(X, rows, y[rows], mass, settings, None)
        held = None
        if validation is not None:
            truth = np.asarray(validation.y)
            rows, stands_for = sample_negatives(truth, chosen.max_validation_negatives or len(truth), self._seed + 1)
            truth = truth[rows]
            held = _dataset(validation.X, rows, truth, None, settings, training)
        booster = lightgbm.Booster(settings, training)
        if held is not None:
            booster.add_valid(held, "validation")
        rounds = chosen.rounds if held is not None else chosen.rounds_without_validation
        if progress is not None:
            progress.step("grow trees", rounds)
        best, best_round = -1.0, rounds

        def judge(margin: Float64Array, _: Any) -> tuple[str, float, bool]:
            return "average_precision", _sampled_average_precision(truth, margin, stands_for), True

        for number in range(1, rounds + 1):
            stuck = booster.update()
            if progress is not None:
                progress.advance(1)
            if held is not None and (number % chosen.evaluate_every == 0 or number == rounds or stuck):
                reached = booster.eval_valid(judge)[0][2]
                if reached > best:
                    best, best_round = reached, number
                if number - best_round >= chosen.patience:
                    break
            if stuck:
                best_round = min(best_round, number)
                break
        text = booster.model_to_string(num_iteration=best_round)
        return _booster_from_text(text), best_round


@dataclass
class _Fitted:
    """What fitting left behind."""

    names: tuple[str, ...]
    booster: Any
    platt: Platt
    threshold: Threshold
    card: dict[str, Any] = field(default_factory=dict)


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


def _settings(chosen: BoostedParameters, seed: int, threads: int) -> dict[str, Any]:
    return {
        "objective": "binary",
        "metric": "None",
        "verbosity": -1,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "seed": seed,
        "learning_rate": chosen.learning_rate,
        "num_leaves": chosen.num_leaves,
        "min_data_in_leaf": chosen.min_data_in_leaf,
        "lambda_l2": chosen.lambda_l2,
        "feature_fraction": chosen.feature_fraction,
        "max_bin": chosen.max_bin,
        "scale_pos_weight": chosen.positive_weight,
        "bin_construct_sample_cnt": chosen.bin_rows,
        "feature_pre_filter": False,
    }


@cache
def _sequence_type() -> type[Any]:
    """LightGBM's Sequence over a RowReader; made when LightGBM is first needed."""
    import lightgbm

    class Rows(lightgbm.Sequence):
        """Chosen rows, handed over piece by piece."""

        batch_size = 8_192

        def __init__(self, reader: RowReader) -> None:
            self._reader = reader

        def __len__(self) -> int:
            return len(self._reader)

        def __getitem__(self, place: int | slice | list[int]) -> Float64Array:
            if isinstance(place, slice):
                return self._reader.read(place.start, place.stop)
            if isinstance(place, list):
                return np.concatenate([self._reader.read(one, one + 1) for one in place])
            row: Float64Array = self._reader.read(place, place + 1)[0]
            return row

    return Rows


def _weights(weight: Float64Array | None, y: Int64Array) -> Float64Array:
    if weight is None:
        return np.ones(len(y))
    given = np.asarray(weight, np.float64)
    if given.shape != y.shape or not bool((np.isfinite(given) & (given >= 0)).all()):
        raise DetectorError("weights must be one finite number >= 0 a row", where="weight", mend="mend or leave it out")
    return given


def _dataset(
    X: TrainingTable,
    rows: Int64Array,
    label: Int64Array,
    weight: Float64Array | None,
    settings: dict[str, Any],
    reference: Any,
) -> Any:
    """The chosen rows, binned: one byte a value."""
    import lightgbm

    clean = all(re.fullmatch(r"[\w.+-]+", name) for name in X.names)
    names: Any = list(X.names) if clean else "auto"
    dataset = lightgbm.Dataset(
        _sequence_type()(RowReader(X, rows)),
        label=label.astype(np.float64),
        weight=weight,
        feature_name=names,
        params=settings,
        reference=reference,
        free_raw_data=True,
    )
    return dataset.construct()


def _sampled_average_precision(truth: Int64Array, margin: Float64Array, stands_for: float) -> float:
    """Average precision on the validation sample, each negative counting for the ones it stands for."""
    positives, negatives = np.sort(margin[truth == 1]), np.sort(margin[truth != 1])
    caught = len(positives) - np.searchsorted(positives, positives, side="left")
    false = stands_for * (len(negatives) - np.searchsorted(negatives, positives, side="left"))
    return float(np.mean(caught / (caught + false)))


def _booster_from_text(text: str) -> Any:
    import lightgbm

    try:
        return lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise DetectorError(f"LightGBM cannot read the model: {error}", where=MODEL, mend=MEND) from error


def _most_used(booster: Any, names: tuple[str, ...], most: int = 20) -> list[dict[str, Any]]:
    gain = np.asarray(booster.feature_importance("gain"), np.float64)
    total = float(gain.sum()) or 1.0
    order = [int(place) for place in np.argsort(-gain, kind="stable")[:most] if gain[place] > 0]
    return [{"feature": names[place], "share_of_gain": float(gain[place]) / total} for place in order]
