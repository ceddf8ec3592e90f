"""The detector without labels: an isolation forest, scored from plain arrays."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np

from greywater.detectors.calibration import Platt, Rank, from_json
from greywater.detectors.detector import Validation
from greywater.detectors.fitted import CalibratedFace, ThresholdBy
from greywater.detectors.forest import Forest, Preparation
from greywater.detectors.rows import RowReader, drawn_evenly, matrices
from greywater.detectors.saved import (
    MEND,
    pack_arrays,
    plain,
    read_folder,
    refuse_other_columns,
    refuse_unusable_validation,
    unpack_arrays,
    write_folder,
)
from greywater.detectors.threshold import Threshold
from greywater.detectors.unlearned_scores import scale_scores
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array, Progress, TrainingTable

__all__ = ["Isolation", "IsolationParameters"]

FOREST: Final = "forest.npz"
LIMITS: Final = (
    "Finds what is unusual, which is not the same as laundering; it was shown no laundering.",
    "Without labels the probability is a rank: the share of reference payments that were less unusual.",
)


@dataclass(frozen=True)
class IsolationParameters:
    """How the forest is grown.

    Parameters
    ----------
    trees : int
        Number of trees.
    tree_rows : int
        Payments each tree is grown on (256 in the paper).
    sample_rows : int
        Payments the trees draw from, taken evenly along the slice by the seed.
    alert_share : float
        Share of payments flagged where no labels choose the threshold.
    least_positives : int
        Laundering payments in the validation slice from which its labels calibrate and set the threshold.
    """

    trees: int = 100
    tree_rows: int = 256
    sample_rows: int = 65_536
    alert_share: float = 0.001
    least_positives: int = 10

    def __post_init__(self) -> None:
        bad = [name for name in ("trees", "sample_rows", "least_positives") if getattr(self, name) < 1]
        bad += [] if self.tree_rows >= 2 else ["tree_rows"]
        bad += [] if 0 < self.alert_share < 1 else ["alert_share"]
        if bad:
            raise DetectorError(
                f"{bad[0]} = {getattr(self, bad[0])} cannot be used",
                where="IsolationParameters",
                mend="see its docstring",
            )


@dataclass
class _Fitted:
    """What fitting left behind."""

    names: tuple[str, ...]
    forest: Forest
    calibrated: Platt | Rank
    threshold: Threshold
    card: dict[str, Any] = field(default_factory=dict)


class Isolation(CalibratedFace[_Fitted]):
    """scikit-learn's IsolationForest behind the Detector contract (Liu, Ting & Zhou 2008).

    The score is `-score_samples`, in (0, 1), higher = more unusual. The probability is the rank among the payments of
    the validation slice (of the training sample where there is none): the share that is less unusual; where the
    validation slice has labels, Platt's sigmoid. The contributions credit each split with the change it makes to the
    expected path length, scaled so that with the base in the last column they sum to the score.

    Parameters
    ----------
    parameters : IsolationParameters, optional
    seed : int
        Seed of everything random.
    threads : int
        0 = as many as the machine has. Does not change the result.
    threshold_by, cost_missed, cost_wasted
        What the threshold is chosen by where the validation slice has labels, and the two costs.
    """

    kind: ClassVar[str] = "isolation"
    needs_labels: ClassVar[bool] = False

    def __init__(
        self,
        parameters: IsolationParameters | None = None,
        *,
        seed: int = 7,
        threads: int = 0,
        threshold_by: ThresholdBy = "f1",
        cost_missed: float | None = None,
        cost_wasted: float | None = None,
    ) -> None:
        self._parameters = parameters or IsolationParameters()
        self._seed = seed
        self._threads = threads or os.cpu_count() or 1
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
        """Learn what is usual. `y` is not used; `weight` > 0 or = 0 says which payments may be drawn at all.

        Raises
        ------
        DetectorError
            There is no row or no column, or the validation slice has other columns.
        """
        if not X.rows or not X.names:
            raise DetectorError(
                f"the table has {X.rows} rows and {len(X.names)} columns", where="X", mend="give at least one of each"
            )
        refuse_unusable_validation(X, validation)
        rows = self._draw(X.rows, weight)
        if progress is not None:
            progress.step("grow isolation trees", self._parameters.trees)
        sample = RowReader(X, rows).read(0, len(rows))
        forest = self._grow(sample)
        if progress is not None:
            progress.advance(self._parameters.trees)
        self._fitted = _Fitted(X.names, forest, Rank.fit(np.zeros(0)), Threshold(float("inf"), "share"))
        notes = self._calibrate(sample, validation)
        self._fitted.card.update(
            plain(
                {
                    "kind": self.kind,
                    "rows": X.rows,
                    "sampled_rows": len(rows),
                    "features": len(X.names),
                    "fingerprint": getattr(X, "fingerprint", None),
                    "time": None if time is None or not len(time) else [int(time[0]), int(time[-1])],
                    "parameters": asdict(self._parameters),
                    "seed": self._seed,
                    "limits": list(LIMITS),
                    "notes": notes,
                }
            )
        )
        return self

    def score(self, X: TrainingTable) -> Float64Array:
        """Anomaly score float64[n] in (0, 1), higher = more unusual."""
        fitted = self._known()
        refuse_other_columns(fitted.names, X.names, "score")
        scores = np.empty(X.rows)
        for start, rows in matrices(X):
            scores[start : start + len(rows)] = fitted.forest.score(rows, self._threads)
        return scores

    def score_row(self, row: Float64Array) -> float:
        """Anomaly score of one row float64[features] in the order of `names`, with the bits of `score`."""
        return float(self._known().forest.score(row[None, :])[0])

    def explain(self, X: TrainingTable) -> Float64Array:
        """Contributions float64[n, features + 1] of the features and the base; each row sums to its score."""
        fitted = self._known()
        refuse_other_columns(fitted.names, X.names, "explain")
        parts = [np.empty((0, len(fitted.names) + 1))]
        parts.extend(fitted.forest.explain(rows, self._threads) for _, rows in matrices(X))
        return np.concatenate(parts)

    def save(self, folder: Path) -> None:
        """Write forest.npz (plain arrays) and detector.json, which holds its SHA-256."""
        fitted = self._known()
        description = {
            "names": list(fitted.names),
            "calibration": fitted.calibrated.to_json(),
            "threshold": fitted.threshold.to_json(),
            "parameters": asdict(self._parameters),
            "seed": self._seed,
            "costs": list(self._costs),
            "card": fitted.card,
        }
        write_folder(folder, self.kind, description, {FOREST: pack_arrays(fitted.forest.arrays())})

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
            threshold = Threshold.from_json(document["threshold"])
            detector = cls(IsolationParameters(**document["parameters"]), seed=int(document["seed"]))
            detector._chosen_as(threshold, document["costs"])
            forest = Forest.from_arrays(unpack_arrays(files[FOREST]), len(names))
            calibrated = from_json(document["calibration"])
            card = dict(document["card"])
        except (KeyError, TypeError, ValueError) as error:
            raise DetectorError(f"the description is damaged: {error}", where=str(folder), mend=MEND) from error
        detector._fitted = _Fitted(names, forest, calibrated, threshold, card)
        return detector

    def _draw(self, count: int, weight: Float64Array | None) -> Int64Array:
        """Positions of the sample: one at random from each equal stretch of the slice."""
        return drawn_evenly(count, self._parameters.sample_rows, self._seed, weight)

    def _grow(self, sample: Float64Array) -> Forest:
        from sklearn.ensemble import IsolationForest

        preparation = Preparation.learn(sample)
        model = IsolationForest(
            n_estimators=self._parameters.trees,
            max_samples=min(self._parameters.tree_rows, len(sample)),
            random_state=self._seed,
            n_jobs=1,
        )
        return Forest.from_sklearn(model.fit(preparation(sample)), preparation)

    def _calibrate(self, sample: Float64Array, validation: Validation | None) -> list[str]:
        """Set calibration and threshold; return what to say about how."""
        fitted = self._known()
        scaled = scale_scores(
            self.score,
            validation,
            lambda: fitted.forest.score(sample, self._threads),
            by=self._threshold_by,
            costs=self._costs,
            least_positives=self._parameters.least_positives,
            alert_share=self._parameters.alert_share,
        )
        fitted.calibrated, fitted.threshold = scaled.calibrated, scaled.threshold
        fitted.card.update(scaled.card)
        return [scaled.note]
