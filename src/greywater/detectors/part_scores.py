"""What the parts of a hybrid say of each payment, and the scale on which their scores can be compared: ranks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, Protocol, Self, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.errors import DetectorError
from greywater.vocab import Float64Array, TrainingTable

__all__ = ["Mandatory", "ManyScores", "PartScores", "RankScale"]

#: Constant of reciprocal rank fusion (Cormack, Clarke & Buettcher 2009).
RECIPROCAL: Final = 60.0
KNOTS: Final = 513
_Kind = Literal["log", "reciprocal"]


@dataclass(frozen=True)
class PartScores:
    """Scores of several parts for the same payments.

    Parameters
    ----------
    names : tuple of str
        Of the scores, each once.
    values : float64[n, scores]
        Higher = more suspicious; NaN = the part says nothing of this payment.

    Examples
    --------
    >>> scores = PartScores(("boosted", "isolation"), np.array([[2.0, 0.4], [np.nan, 0.5]]))
    >>> scores.of("isolation").tolist(), scores.rows
    ([0.4, 0.5], 2)
    """

    names: tuple[str, ...]
    values: Float64Array

    def __post_init__(self) -> None:
        fits = self.values.ndim == 2 and self.values.shape[1] == len(self.names) == len(set(self.names))
        if not fits:
            raise DetectorError(
                f"{self.values.shape} values do not fit the scores {', '.join(self.names)}",
                where="PartScores",
                mend="give one column a name, each name once",
            )

    @property
    def rows(self) -> int:
        """Number of payments."""
        return len(self.values)

    def of(self, name: str) -> Float64Array:
        """The scores of one name, float64[n]."""
        found: Float64Array = self.values[:, self.names.index(name)]
        return found

    @classmethod
    def beside(cls, several: Sequence[PartScores]) -> Self:
        """The scores of several parts, one beside the other."""
        names = tuple(name for each in several for name in each.names)
        return cls(names, np.hstack([each.values for each in several]))


@runtime_checkable
class ManyScores(Protocol):
    """A part that has several scores, such as rules: the severity of the hits and their number."""

    def part_scores(self, X: TrainingTable) -> PartScores:
        """The scores; their names are prefixed by the part's."""
        ...

    def base_scores(self) -> tuple[float, ...]:
        """The scores of a payment whose explanation is the base value alone."""
        ...

    def row_scores(self, row: Float64Array, schema: pa.Schema) -> tuple[float, ...]:
        """The scores of one row float64[features] of columns with this schema, with the bits of `part_scores`."""
        ...


@runtime_checkable
class Mandatory(Protocol):
    """A part that can demand an alert, whatever the rank."""

    def mandatory(self, X: TrainingTable) -> NDArray[np.bool_]:
        """bool[n], True where an alert must be raised."""
        ...


@dataclass(frozen=True)
class RankScale:
    """A score as its rank among reference payments, so that parts in different units can be added.

    With t the share of the reference payments that score at least as high (ties half), the level is -log t ("log": one
    more for every factor e nearer to the top; 1 on average), or 61 / (60 + place) with place = t x rows ("reciprocal").
    Linear between knots of the reference scores, of which half lie in the top percent; strictly increasing, also beyond
    the reference's least and greatest. The mean level of the reference is subtracted, so that 0 is an average payment;
    NaN, a part that says nothing, counts as one. Scalar and array give the same bits.

    Parameters
    ----------
    scores, levels : tuple of float
        Knots, strictly increasing.
    mean : float
        Mean level of the reference payments.

    Examples
    --------
    >>> scale = RankScale.fit(np.arange(100.0))
    >>> scale(np.array([np.nan, 0.0, 99.0])).round(2).tolist()
    [0.0, -0.99, 4.3]
    """

    scores: tuple[float, ...]
    levels: tuple[float, ...]
    mean: float

    @classmethod
    def fit(cls, score: Float64Array, kind: _Kind = "log") -> Self:
        """Learn from the scores float64[n] of reference payments; those that are not finite are left out."""
        value = np.sort(np.asarray(score, np.float64)[np.isfinite(score)])
        rows = len(value)
        if not rows:
            return cls((0.0,), (0.0,), 0.0)
        half = KNOTS // 2
        share = np.concatenate([np.linspace(0, 1, half), 1 - np.geomspace(0.01, 1 / rows, half)])
        places = np.unique(np.clip(np.round(share * (rows - 1)).astype(np.int64), 0, rows - 1))
        knots = np.unique(value[places])
        less, not_more = np.searchsorted(value, knots, side="left"), np.searchsorted(value, knots, side="right")
        tail = (2 * rows - less - not_more) / (2 * rows)
        levels = -np.log(tail) if kind == "log" else (RECIPROCAL + 1) / (RECIPROCAL + tail * rows)
        bare = cls(tuple(map(float, knots)), tuple(map(float, levels)), 0.0)
        return cls(bare.scores, bare.levels, float(bare(value).mean()))

    def __call__(self, score: Float64Array) -> Float64Array:
        """Levels float64[n] of scores float64[n]."""
        value = np.asarray(score, np.float64)
        knots, levels, rises, runs = self._arrays
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            place = np.clip(np.searchsorted(knots, value, side="right") - 1, 0, len(knots) - 1)
            inside = levels[place] + (value - knots[place]) / runs[place] * rises[place]
            inside = np.minimum(inside, levels[np.minimum(place + 1, len(knots) - 1)])
            under, over = (knots[0] - value) / self._width, (value - knots[-1]) / self._width
            low = levels[0] - under / (1.0 + under)
            high = levels[-1] + over / (1.0 + over)
            found = np.where(value < knots[0], low, np.where(value > knots[-1], high, inside))
        found = np.where(value == np.inf, levels[-1] + 1.0, np.where(value == -np.inf, levels[0] - 1.0, found))
        result: Float64Array = np.where(np.isnan(value), 0.0, found - self.mean)
        return result

    def level(self, score: float) -> float:
        """The level of one score, with the bits of the array."""
        if score != score:
            return 0.0
        first, last = self.scores[0], self.scores[-1]
        if score in (float("inf"), float("-inf")):
            return (self.levels[-1] + 1.0 if score > 0 else self.levels[0] - 1.0) - self.mean
        if score < first:
            under = (first - score) / self._width
            return self.levels[0] - under / (1.0 + under) - self.mean
        if score > last:
            over = (score - last) / self._width
            return self.levels[-1] + over / (1.0 + over) - self.mean
        place = bisect_right(self.scores, score) - 1
        rises, runs = self._steps
        found = self.levels[place] + (score - self.scores[place]) / runs[place] * rises[place]
        return min(found, self.levels[min(place + 1, len(self.levels) - 1)]) - self.mean

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for a JSON file."""
        return {"scores": list(self.scores), "levels": list(self.levels), "mean": self.mean}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild what `to_json` wrote.

        Raises
        ------
        DetectorError
            The numbers are missing, not finite or not increasing.
        """
        mend = "fit the detector again"
        try:
            scale = cls(tuple(map(float, data["scores"])), tuple(map(float, data["levels"])), float(data["mean"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DetectorError(f"a scale of ranks cannot be read: {error}", mend=mend) from error
        rising = len(scale.scores) == len(scale.levels) >= 1 and bool(
            np.isfinite([*scale.scores, *scale.levels, scale.mean]).all()
            and (np.diff(scale.scores) > 0).all()
            and (np.diff(scale.levels) > 0).all()
        )
        if not rising:
            raise DetectorError("a scale of ranks does not rise", mend=mend)
        return scale

    @cached_property
    def _width(self) -> float:
        return (self.scores[-1] - self.scores[0]) or 1.0

    @cached_property
    def _steps(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """How far each knot is from the next, in levels and in scores."""
        return (*map(float, np.diff(self.levels)), 0.0), (*map(float, np.diff(self.scores)), 1.0)

    @cached_property
    def _arrays(self) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
        rises, runs = self._steps
        return np.array(self.scores), np.array(self.levels), np.array(rises), np.array(runs)
