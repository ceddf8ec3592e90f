"""Guilt by association as a detector: the suspicion that reached a payment's parties from known launderers."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np

from greywater.detectors.calibration import Platt, Rank, from_json
from greywater.detectors.detector import Validation
from greywater.detectors.fitted import CalibratedFace, ThresholdBy
from greywater.detectors.rows import matrices
from greywater.detectors.saved import (
    MEND,
    plain,
    read_folder,
    refuse_other_columns,
    refuse_unusable_validation,
    write_folder,
)
from greywater.detectors.threshold import Threshold
from greywater.detectors.unlearned_scores import scale_scores
from greywater.errors import DetectorError
from greywater.features.suspicion import SUSPICION_FEATURES
from greywater.vocab import Float64Array, Int64Array, Progress, TrainingTable

__all__ = ["Association"]

COLUMNS: Final = tuple(feature.name for feature in SUSPICION_FEATURES)
#: What an infinite suspicion counts as.
LARGEST: Final = sys.float_info.max
LIMITS: Final = (
    "Says who is near a known launderer, not who launders: without seeds it says nothing, and a ring that nobody of "
    "is known stays unseen.",
    "Suspicion is as of the beginning of a day, the payment's or one up to a week before it.",
)


@dataclass
class _Fitted:
    """What fitting left behind."""

    names: tuple[str, ...]
    calibrated: Platt | Rank
    threshold: Threshold
    card: dict[str, Any] = field(default_factory=dict)


class Association(CalibratedFace[_Fitted]):
    """Anti-TrustRank behind the Detector contract.

    The score of a payment is the greater suspicion of its two parties (features/suspicion.py), 0 where neither is known
    because the payment came too late. It learns from no label; those of the validation slice calibrate it. The whole
    score is the contribution of the column that it is.

    Parameters
    ----------
    threshold_by, cost_missed, cost_wasted
        What the threshold is chosen by where the validation slice has labels, and the two costs.
    """

    kind: ClassVar[str] = "trust"
    needs_labels: ClassVar[bool] = False

    def __init__(
        self,
        *,
        threshold_by: ThresholdBy = "f1",
        cost_missed: float | None = None,
        cost_wasted: float | None = None,
    ) -> None:
        self._choose_by(threshold_by, cost_missed, cost_wasted)
        self._fitted: _Fitted | None = None
        self._pair = (0, 0)

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
        """Find the columns; the validation slice calibrates. `y` and `weight` are not used.

        Raises
        ------
        DetectorError
            There is no row, a column of suspicion is missing, or the validation slice has other columns.
        """
        missing = [name for name in COLUMNS if name not in X.names]
        if not X.rows or missing:
            raise DetectorError(
                f"the table has {X.rows} rows and lacks the columns {', '.join(missing) or 'of nothing'}",
                where="X",
                mend="record seeds or labels, so that launderers are known: greywater seeds import",
            )
        refuse_unusable_validation(X, validation)
        self._set(_Fitted(X.names, Rank.fit(np.zeros(0)), Threshold(float("inf"), "share")))
        scaled = scale_scores(self.score, validation, lambda: self.score(X), by=self._threshold_by, costs=self._costs)
        fitted = self._known()
        fitted.calibrated, fitted.threshold = scaled.calibrated, scaled.threshold
        facts = {
            "kind": self.kind,
            "rows": X.rows,
            "features": len(X.names),
            "fingerprint": getattr(X, "fingerprint", None),
            "time": None if time is None or not len(time) else [int(time[0]), int(time[-1])],
            "limits": list(LIMITS),
            "notes": [scaled.note],
        }
        fitted.card = plain({**facts, **scaled.card})
        return self

    def _set(self, fitted: _Fitted) -> None:
        self._fitted = fitted
        self._pair = (fitted.names.index(COLUMNS[0]), fitted.names.index(COLUMNS[1]))

    def score(self, X: TrainingTable) -> Float64Array:
        """The greater suspicion of the two parties float64[n]."""
        refuse_other_columns(self._known().names, X.names, "score")
        scores = np.empty(X.rows)
        position = 0
        for batch in X.batches():
            sender, receiver = (batch.column(name).to_numpy(zero_copy_only=False) for name in COLUMNS)
            scores[position : position + batch.num_rows] = np.nan_to_num(np.fmax(sender, receiver))
            position += batch.num_rows
        return scores

    def score_row(self, row: Float64Array) -> float:
        """The score of one row float64[features] in the order of `names`, with the bits of `score`."""
        first, second = self._pair
        one, other = float(row[first]), float(row[second])
        if one != one or other > one:
            one = other
        return 0.0 if one != one else min(max(one, -LARGEST), LARGEST)

    def explain(self, X: TrainingTable) -> Float64Array:
        """Contributions float64[n, features + 1]: the score, in the column that it is; base 0."""
        fitted = self._known()
        refuse_other_columns(fitted.names, X.names, "explain")
        parts = [np.empty((0, len(fitted.names) + 1))]
        for _, rows in matrices(X):
            sides = rows[:, self._pair]
            found = np.zeros((len(rows), len(fitted.names) + 1))
            larger = np.where(np.isnan(sides), -np.inf, sides).argmax(axis=1)
            found[np.arange(len(rows)), np.take(self._pair, larger)] = np.nan_to_num(np.fmax(sides[:, 0], sides[:, 1]))
            parts.append(found)
        return np.concatenate(parts)

    def save(self, folder: Path) -> None:
        """Write detector.json."""
        fitted = self._known()
        description = {
            "names": list(fitted.names),
            "calibration": fitted.calibrated.to_json(),
            "threshold": fitted.threshold.to_json(),
            "costs": list(self._costs),
            "card": fitted.card,
        }
        write_folder(folder, self.kind, description, {})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        DetectorError
            The file is missing, damaged or of another kind.
        """
        document, _ = read_folder(folder, cls.kind)
        try:
            threshold = Threshold.from_json(document["threshold"])
            detector = cls()
            detector._chosen_as(threshold, document["costs"])
            names = tuple(map(str, document["names"]))
            detector._set(_Fitted(names, from_json(document["calibration"]), threshold, dict(document["card"])))
        except (KeyError, TypeError, ValueError) as error:
            raise DetectorError(f"the description is damaged: {error}", where=str(folder), mend=MEND) from error
        return detector
