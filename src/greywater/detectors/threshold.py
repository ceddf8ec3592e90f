"""Where a score becomes a flag: the threshold, and what it was chosen by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from greywater.detectors.metrics import best_cost_threshold, best_f1_threshold
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array

__all__ = ["Threshold", "require_costs"]

By = Literal["f1", "cost", "share"]


@dataclass(frozen=True)
class Threshold:
    """A payment is flagged where `score >= value`.

    Parameters
    ----------
    value : float
        In units of the raw score; +inf flags nothing.
    by : {"f1", "cost", "share"}
        Chosen by the best F1, by the least expected cost, or (without labels) as the share of payments flagged.
    cost_missed, cost_wasted : float, optional
        The stated costs, where they were used.
    share : float, optional
        The stated share, where it was used.

    Examples
    --------
    >>> threshold = Threshold.choose(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.8, 0.7]))
    >>> threshold.value, threshold.flags(np.array([0.7, 0.2])).tolist()
    (0.7, [True, False])
    """

    value: float
    by: By
    cost_missed: float | None = None
    cost_wasted: float | None = None
    share: float | None = None

    def flags(self, score: Float64Array) -> NDArray[np.bool_]:
        """Which of the scores float64[n] are flagged, bool[n]."""
        result: NDArray[np.bool_] = np.asarray(score, np.float64) >= self.value
        return result

    @classmethod
    def choose(
        cls,
        y: Int64Array,
        score: Float64Array,
        *,
        by: Literal["f1", "cost"] = "f1",
        cost_missed: float | None = None,
        cost_wasted: float | None = None,
    ) -> Self:
        """Choose on a labelled slice that the detector did not learn from."""
        if by == "f1":
            return cls(best_f1_threshold(y, score), "f1")
        missed, wasted = require_costs(cost_missed, cost_wasted)
        value = best_cost_threshold(y, score, cost_missed=missed, cost_wasted=wasted)
        return cls(value, "cost", cost_missed=missed, cost_wasted=wasted)

    @classmethod
    def highest(cls, score: Float64Array, share: float) -> Self:
        """Flag the stated share of payments, counted on reference scores.

        Examples
        --------
        >>> Threshold.highest(np.arange(100.0), 0.05).value
        95.0
        """
        if not 0 < share < 1:
            raise DetectorError(f"the share {share} is not between 0 and 1", mend="give for example 0.001")
        if not len(score):
            return cls(float("inf"), "share", share=share)
        place = min(int(np.floor(len(score) * (1 - share))), len(score) - 1)
        return cls(float(np.partition(score, place)[place]), "share", share=share)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for a JSON file; a threshold that flags nothing is null."""
        return {
            "value": self.value if np.isfinite(self.value) else None,
            "by": self.by,
            "cost_missed": self.cost_missed,
            "cost_wasted": self.cost_wasted,
            "share": self.share,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild what `to_json` wrote."""
        try:
            if data["by"] not in ("f1", "cost", "share"):
                raise ValueError(f"chosen by {data['by']!r}")
            value = float("inf") if data["value"] is None else float(data["value"])
            rest = {
                name: None if data[name] is None else float(data[name])
                for name in ("cost_missed", "cost_wasted", "share")
            }
            if np.isnan(value):
                raise ValueError("not a number")
        except (KeyError, TypeError, ValueError) as error:
            raise DetectorError(f"the threshold cannot be read: {error}", mend="fit the detector again") from error
        return cls(value, data["by"], **rest)


def require_costs(missed: float | None, wasted: float | None) -> tuple[float, float]:
    """The two costs a threshold by cost needs.

    Raises
    ------
    DetectorError
        One of them is not stated.
    """
    if missed is None or wasted is None:
        raise DetectorError(
            "a threshold by cost needs two costs", mend="state the cost of a missed case and of a wasted alert"
        )
    return missed, wasted
