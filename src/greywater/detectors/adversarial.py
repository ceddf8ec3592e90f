"""The adversarial anomaly detector: good behaviour as a refiner and a discriminator at odds learn it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from threading import Event, Lock
from typing import Any, ClassVar, Final, Self

import numpy as np

from greywater.detectors.adversarial_networks import DenseNetworks, Networks
from greywater.detectors.adversarial_parameters import AdversarialParameters
from greywater.detectors.adversarial_training import Trained, side_by_side, train_pair
from greywater.detectors.calibration import Platt, Rank, from_json
from greywater.detectors.detector import Validation
from greywater.detectors.fitted import CalibratedFace, ThresholdBy
from greywater.detectors.metrics import average_precision
from greywater.detectors.redundancy import distinct_columns
from greywater.detectors.refiner import Pair, ScoreBy
from greywater.detectors.row_shares import SHARE, by_shares
from greywater.detectors.rows import RowReader, matrices
from greywater.detectors.saved import (
    MEND,
    plain,
    read_folder,
    refuse_other_columns,
    refuse_unusable_labels,
    refuse_unusable_validation,
    write_folder,
)
from greywater.detectors.scaling import Scaling
from greywater.detectors.sequence_input import SequenceInput
from greywater.detectors.steps import StepTold, TellsSteps
from greywater.detectors.threshold import Threshold
from greywater.detectors.unlearned_scores import scale_scores
from greywater.errors import DetectorError, TrainingCollapsedError
from greywater.vocab import Float64Array, Int64Array, Progress, TrainingTable

__all__ = ["Adversarial", "AdversarialParameters"]

Float32Array = np.ndarray[Any, np.dtype[np.float32]]
#: What brings raw rows to what a pair takes.
Input = Scaling | SequenceInput
ARRAYS: Final = "pair.safetensors"
#: Laundering payments from which the validation slice's average precision stops the training.
STOPPING_POSITIVES: Final = 20
LIMITS: Final = (
    "Finds what does not look like what it learned, which is not the same as laundering.",
    "Without labels the probability is a rank: the share of reference payments that were less surprising.",
    "Its discriminator alone is no detector: it tells originals from reconstructions, not good from bad.",
    "Without labels it was not the best on every set measured, and which settings are best changes from set to set.",
)


@dataclass
class _Fitted:
    """What fitting left behind. `columns` are those of the scaled rows that the pairs are given."""

    names: tuple[str, ...]
    scaling: Input
    columns: Int64Array
    pairs: tuple[Pair, ...]
    calibrated: Platt | Rank
    threshold: Threshold
    card: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def taken(self) -> Input:
        """The scaling of the pairs' columns alone."""
        return self.scaling.picked(self.columns)

    def whole(self, rows: Float64Array) -> Float32Array:
        """All scaled columns of rows, float32[n, width]."""
        made = np.empty((len(rows), len(self.scaling.sources)), np.float32)
        self.scaling.fill(rows, made)
        return made

    def scaled(self, rows: Float64Array) -> Float32Array:
        """Rows float32[n, columns] as the pairs take them."""
        made = np.empty((len(rows), len(self.columns)), np.float32)
        self.taken.fill(rows, made)
        return made


class Adversarial(TellsSteps, CalibratedFace[_Fitted]):
    """A one-class adversarial pair behind the Detector contract (extra `[deep]` to fit it; not to load and score).

    A refiner learns to give noised rows of good behaviour back as they were, against a discriminator that learns to
    tell what it gives back from originals (Sabokrou et al. 2018; denoising: Vincent et al. 2008). The score is how far
    a row is from what the refiner makes of it: the mean over the columns of error^2. Columns are brought to
    normal scores by their ranks, and one is kept of those that say the same.

    Parameters
    ----------
    parameters : AdversarialParameters, optional
    seed : int
        Seed of everything random.
    threads : int
        0 = as many as the machine has, for scoring. Does not change the result.
    device : {"auto", "cpu", "cuda"}
        Where it is trained. Scoring is done on the CPU.
    threshold_by, cost_missed, cost_wasted
        What the threshold is chosen by where the validation slice has labels, and the two costs.
    """

    kind: ClassVar[str] = "adversarial"
    #: Where none are given.
    parameters: ClassVar[AdversarialParameters] = AdversarialParameters()
    needs_labels: ClassVar[bool] = False
    #: Rows a thread scores at a time.
    _share: ClassVar[int] = SHARE
    #: Whether how far out a row lies can be a part of the score.
    _goes_far: ClassVar[bool] = True

    def __init__(
        self,
        parameters: AdversarialParameters | None = None,
        *,
        seed: int = 7,
        threads: int = 0,
        device: str = "auto",
        threshold_by: ThresholdBy = "f1",
        cost_missed: float | None = None,
        cost_wasted: float | None = None,
    ) -> None:
        self._parameters = parameters or self.parameters
        self._seed = seed
        self._threads = threads or os.cpu_count() or 1
        self._device = device
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
        """Learn what is good, or mostly good. `weight` > 0 or = 0 says which payments may be drawn at all.

        Training stops by the error of rows that are not learned from: of the validation slice, or of every twentieth
        row drawn where there is none. Where the slice has 20 laundering payments, its average precision stops it.

        Raises
        ------
        DetectorError
            There is no row or no column, labels are not one 0 or 1 a row, the validation slice has other columns, or no
            payment is left to learn from.
        TrainingCollapsedError
            It collapsed, and did again when it was begun anew.
        ExtraMissingError
            There is no torch.
        """
        if not X.rows or not X.names:
            raise DetectorError(
                f"the table has {X.rows} rows and {len(X.names)} columns", where="X", mend="give at least one of each"
            )
        refuse_unusable_validation(X, validation)
        good, bad = self._draw(X, y, weight)
        sample = RowReader(X, good).read(0, len(good))
        fitted = self._scaled(X.names, sample)
        self._fitted = fitted
        trained = self._train(fitted, sample, RowReader(X, bad).read(0, len(bad)), validation, progress)
        fitted.pairs = tuple(each.pair for each in trained)
        scaled = scale_scores(
            self.score, validation, lambda: self._score(sample), by=self._threshold_by, costs=self._costs
        )
        fitted.calibrated, fitted.threshold = scaled.calibrated, scaled.threshold
        fitted.card = plain(
            {
                "kind": self.kind,
                "rows": X.rows,
                "sampled_rows": len(good),
                "pushed_away": len(bad),
                "features": len(X.names),
                "columns": len(fitted.columns),
                "fingerprint": getattr(X, "fingerprint", None),
                "time": None if time is None or not len(time) else [int(time[0]), int(time[-1])],
                "parameters": asdict(self._parameters),
                "seed": self._seed,
                "training": [{"epochs": one.epochs, "best": one.best, **one.history} for one in trained],
                "limits": list(LIMITS),
                "notes": [scaled.note],
                **scaled.card,
            }
        )
        return self

    def score(self, X: TrainingTable) -> Float64Array:
        """Raw score float64[n], higher = farther from what was learned."""
        refuse_other_columns(self._known().names, X.names, "score")
        scores = np.empty(X.rows)
        for start, rows in matrices(X):
            scores[start : start + len(rows)] = self._score(rows)
        return scores

    def score_row(self, row: Float64Array) -> float:
        """Raw score of one row float64[features] in the order of `names`, with the bits of `score`."""
        return float(self._score(row[None, :])[0])

    def scored_by(self, score_by: ScoreBy) -> Self:
        """The same pairs scored by something else, to be compared; threshold and probabilities stay as they are."""
        other = copy(self)
        other._parameters = replace(self._parameters, score_by=score_by)
        return other

    def explain(self, X: TrainingTable) -> Float64Array:
        """Integrated gradients float64[n, features + 1] of the features and the base; each row sums to its score.

        Raises
        ------
        DetectorError
            The score is not that of the reconstruction.
        """
        fitted = self._known()
        refuse_other_columns(fitted.names, X.names, "explain")
        if self._parameters.score_by != "reconstruction":
            raise DetectorError(
                f"a score by {self._parameters.score_by} is not taken apart",
                where="explain",
                mend='score by "reconstruction", or explain with Kernel SHAP',
            )
        sources = fitted.scaling.sources[fitted.columns]
        parts = [np.empty((0, len(fitted.names) + 1))]
        quiet = self._score_scaled(np.zeros((1, len(fitted.columns)), np.float32))[0]
        for _, rows in matrices(X):
            scaled = fitted.scaled(rows)
            columns = np.mean([pair.contributions(scaled) for pair in fitted.pairs], axis=0)
            weight = self._weigh(fitted.scaling, scaled)
            columns = columns if weight is None else columns * weight[:, None]
            found = np.zeros((len(rows), len(fitted.names) + 1))
            for place, source in enumerate(sources):
                found[:, source] += columns[:, place]
            if self._far:
                squares = self._far * fitted.whole(rows).astype(np.float64) ** 2 / fitted.scaling.width
                for place, source in enumerate(fitted.scaling.sources):
                    found[:, source] += squares[:, place]
            found[:, -1] = self._score_scaled(scaled) - columns.sum(axis=1) if weight is not None else quiet
            parts.append(found)
        return np.concatenate(parts)

    def save(self, folder: Path) -> None:
        """Write pair.safetensors (scaling and layers) and detector.json, which holds its SHA-256."""
        from safetensors.numpy import save

        fitted = self._known()
        arrays = {**fitted.scaling.arrays(), "columns": fitted.columns}
        for place, pair in enumerate(fitted.pairs):
            arrays |= pair.refiner.arrays(f"{place}.refiner") | pair.discriminator.arrays(f"{place}.discriminator")
        description = {
            "names": list(fitted.names),
            "scaling": fitted.scaling.method,
            "pairs": len(fitted.pairs),
            "calibration": fitted.calibrated.to_json(),
            "threshold": fitted.threshold.to_json(),
            "parameters": asdict(self._parameters),
            "seed": self._seed,
            "costs": list(self._costs),
            "card": fitted.card,
        }
        content = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        write_folder(folder, self.kind, description, {ARRAYS: save(content)})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        DetectorError
            A file is missing, damaged or of another kind.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        document, files = read_folder(folder, cls.kind)
        try:
            names = tuple(map(str, document["names"]))
            threshold = Threshold.from_json(document["threshold"])
            detector = cls(AdversarialParameters(**document["parameters"]), seed=int(document["seed"]))
            detector._chosen_as(threshold, document["costs"])
            arrays = load(files[ARRAYS])
            scaling = detector._read_input(arrays, document["scaling"], len(names))
            columns = np.asarray(arrays["columns"], np.int64)
            networks = detector._networks(scaling, len(columns))
            pairs = tuple(networks.from_arrays(place, arrays) for place in range(int(document["pairs"])))
            calibrated, card = from_json(document["calibration"]), dict(document["card"])
        except (KeyError, TypeError, ValueError, SafetensorError) as error:
            raise DetectorError(f"the description is damaged: {error}", where=str(folder), mend=MEND) from error
        detector._fitted = _Fitted(names, scaling, columns, pairs, calibrated, threshold, card)
        return detector

    @property
    def _far(self) -> float:
        return self._parameters.far if self._goes_far and self._parameters.score_by != "discriminator" else 0.0

    def _draw(
        self, X: TrainingTable, y: Int64Array | None, weight: Float64Array | None
    ) -> tuple[Int64Array, Int64Array]:
        """Positions of the payments learned from, and of those pushed away; both increase."""
        chosen = self._parameters
        usable = np.ones(X.rows, np.bool_) if weight is None else np.asarray(weight) > 0
        guilty = np.zeros(X.rows, np.bool_)
        if y is not None and chosen.labels != "none":
            refuse_unusable_labels(X, np.asarray(y), "y")
            guilty = np.asarray(y) == 1
        good = np.flatnonzero(usable & ~guilty)
        if not len(good):
            raise DetectorError(
                "no payment is left to learn from", where="X", mend="give good behaviour, of weight > 0"
            )
        if len(good) > chosen.sample_rows:
            edges = np.linspace(0, len(good), chosen.sample_rows + 1).astype(np.int64)
            drawn = np.random.default_rng(self._seed).random(chosen.sample_rows) * np.diff(edges)
            good = good[edges[:-1] + drawn.astype(np.int64)]
        return good, np.flatnonzero(usable & guilty) if chosen.labels == "push" else np.zeros(0, np.int64)

    def _scaled(self, names: tuple[str, ...], sample: Float64Array) -> _Fitted:
        """The scaling, and the columns that are not alike."""
        scaling, columns = self._learn_input(names, sample)
        return _Fitted(names, scaling, columns, (), Rank.fit(np.zeros(0)), Threshold(float("inf"), "share"))

    def _learn_input(self, names: tuple[str, ...], sample: Float64Array) -> tuple[Input, Int64Array]:
        """How rows are scaled, and the columns that are not alike."""
        scaling = Scaling.learn(sample, self._parameters.scaling)
        looked = np.linspace(0, len(sample) - 1, min(len(sample), 20_000)).astype(np.int64)
        return scaling, distinct_columns(scaling(sample[looked]), self._parameters.alike)

    def _read_input(self, arrays: dict[str, np.ndarray[Any, Any]], method: Any, features: int) -> Input:
        """What was saved of the scaling."""
        return Scaling.from_arrays(arrays, method, features)

    def _networks(self, scaling: Input, columns: int) -> Networks:
        """How the pair's networks are built over so many scaled columns."""
        return DenseNetworks(columns, self._parameters.hidden, self._parameters.code)

    def _weigh(self, scaling: Input, scaled: Float32Array) -> Float64Array | None:
        """What each row's score is multiplied by; None = nothing."""
        return None

    def _train(
        self, fitted: _Fitted, sample: Float64Array, bad: Float64Array, validation: Validation | None,
        progress: Progress | None,
    ) -> list[Trained]:  # fmt: skip
        """The pairs; where no column tells anything, pairs that give everything back."""
        rows, away = fitted.scaled(sample), fitted.scaled(bad)
        if not rows.shape[1]:
            return [Trained(DenseNetworks(0, self._parameters.hidden, self._parameters.code).nothing(), 0, 0)]
        if validation is not None and validation.X.rows:
            parts = [fitted.scaled(part) for _, part in matrices(validation.X)]
            watched, truth = np.concatenate(parts), np.asarray(validation.y)
        else:
            held = np.arange(len(rows)) % 20 == 19
            watched, truth = (rows[held] if held.any() else rows), np.zeros(0, np.int64)
            rows = rows[~held]

        def look(pair: Pair) -> float:
            return -(average_precision(truth, pair.score(watched, self._parameters.score_by, self._threads)) or 0.0)

        by_labels = STOPPING_POSITIVES <= int(truth.sum()) < len(truth) and self._parameters.labels != "none"
        return self._members(rows, away, watched, look if by_labels else None, progress)

    def _members(
        self, rows: Float32Array, away: Float32Array, watched: Float32Array, look: Any, progress: Progress | None
    ) -> list[Trained]:
        """The pairs, trained beside each other; one after the other where somebody is told of steps."""
        members, epochs = self._parameters.members, self._parameters.plan(blind=look is None).epochs
        busy, ended = Lock(), Event()
        if progress is not None:
            progress.step("train the adversarial pairs", members * epochs)

        def advance(steps: int) -> None:
            if progress is not None:
                with busy:
                    progress.advance(steps)

        def told(step: int, measures: Mapping[str, float]) -> bool:
            advance(1)
            if not self.tell(step, measures):
                ended.set()
            return not ended.is_set()

        def job(number: int) -> Trained | None:
            if ended.is_set():
                return None
            made = self._one(number, rows, away, watched, look, told)
            advance(max(epochs - made.epochs, 0))
            return made

        at_once = self._threads if self._told is None else 1
        trained = side_by_side([partial(job, number) for number in range(members)], at_once)
        return [each for each in trained if each is not None]

    def _one(
        self, number: int, rows: Float32Array, away: Float32Array, watched: Float32Array, look: Any, told: StepTold
    ) -> Trained:
        """One pair; begun again with another seed and more slowly where it collapsed."""
        networks = self._networks(self._known().scaling, rows.shape[1])
        for slower in range(self._parameters.restarts + 1):
            seed = self._seed * 1_000 + 100 * number + slower
            plan = self._parameters.plan(slower, blind=look is None)

            def told_of(step: int, measures: Mapping[str, float], before: int = number * plan.epochs) -> bool:
                return told(before + step, measures)

            try:
                return train_pair(
                    rows, away, watched, plan, networks, seed=seed, device=self._device, look=look, told=told_of
                )
            except TrainingCollapsedError:
                if slower == self._parameters.restarts:
                    raise
        raise AssertionError

    def _score(self, rows: Float64Array) -> Float64Array:
        return by_shares(lambda low, high: self._score_part(rows[low:high]), len(rows), self._threads, self._share)

    def _score_part(self, rows: Float64Array) -> Float64Array:
        from greywater.kernels.dense import far

        fitted, weight = self._known(), self._far
        if not weight:
            return self._score_scaled(fitted.scaled(rows))
        whole, distance = fitted.whole(rows), np.empty(len(rows))
        far(whole, distance)
        return self._score_scaled(np.ascontiguousarray(whole[:, fitted.columns])) + weight * distance

    def _score_scaled(self, rows: Float32Array) -> Float64Array:
        pairs = self._known().pairs
        found = [pair.score(rows, self._parameters.score_by, 1) for pair in pairs]
        score = sum(found[1:], found[0]) / len(found)
        weight = self._weigh(self._known().scaling, rows)
        return score if weight is None else score * weight
