"""The contract every detector keeps: fit on columns, score for rank, probability for people, explain, save."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from greywater.vocab import Float64Array, Int64Array, Progress, TrainingTable

__all__ = ["Detector", "Validation"]


@dataclass(frozen=True)
class Validation:
    """A slice later in time than the training slice, for early stopping, calibration and the threshold."""

    X: TrainingTable
    y: Int64Array


class Detector(Protocol):
    """A thing that says how suspicious a payment is."""

    #: Short name, also the name of the saved folder's kind.
    kind: ClassVar[str]
    #: True where `fit` needs y.
    needs_labels: ClassVar[bool]

    @property
    def card(self) -> dict[str, Any]:
        """Data version, feature fingerprint, metrics, limits, in JSON types."""
        ...

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
        """Learn. `y` int64[n] in {0, 1}; `time` int64[n] microseconds since 1970; `weight` float64[n]."""
        ...

    def score(self, X: TrainingTable) -> Float64Array:
        """Raw score float64[n], higher = more suspicious: for ranking."""
        ...

    def probability(self, X: TrainingTable) -> Float64Array:
        """Calibrated probability float64[n] in [0, 1], in the same order as the score."""
        ...

    def explain(self, X: TrainingTable) -> Float64Array:
        """Contribution of each feature to the score, float64[n, features + 1]; the last column is the base value."""
        ...

    def save(self, folder: Path) -> None:
        """Write text and JSON files, nothing that executes on reading."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        ...
