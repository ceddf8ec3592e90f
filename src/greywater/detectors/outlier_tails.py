"""Anomaly detectors by the tails of each column: ECOD and COPOD, from counts in a sorted sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from greywater.detectors.outlier import (
    Arrays,
    OutlierDetector,
    OutlierModel,
    OutlierParameters,
    arrays_of_shapes,
    spread_out,
)
from greywater.vocab import Float64Array, Progress

__all__ = ["Copod", "Ecod", "TailParameters"]


@dataclass(frozen=True)
class TailParameters(OutlierParameters):
    """What ECOD and COPOD are told: OutlierParameters, and how many values are counted among.

    The tails themselves do not change with the scale, but the side that counts, a column's skewness, does: scaled by
    quantiles, columns have none to speak of.

    Parameters
    ----------
    among : int
        Payments of the sample that values are counted among.
    """

    among: int = 16_384

    def checks(self) -> dict[str, bool]:
        """Whether each parameter can be used."""
        return {**super().checks(), "among": self.among >= 1}


@dataclass(frozen=True)
class _Tails:
    """`columns` float64[width, n], each sorted; `skewed` float64[width], the sign of their skewness."""

    columns: Float64Array
    skewed: Float64Array
    #: COPOD where True: the two tails' mean may count instead of the larger one.
    mean: bool
    #: Each value is looked up by itself.
    looked_up: ClassVar[bool] = True

    def score(self, rows: Float64Array) -> Float64Array:
        """Sum over the columns of the surprise."""
        return np.asarray(self.parts(rows).sum(axis=1))

    def parts(self, rows: Float64Array) -> Float64Array:
        """Minus the logarithm of the share of payments as far out, the payment itself among them."""
        count = self.columns.shape[1]
        surprise = -np.log(np.arange(1, count + 2) / (count + 1))
        found = np.empty(rows.shape)
        for place, column in enumerate(self.columns):
            value = np.ascontiguousarray(rows[:, place])
            low = surprise[np.searchsorted(column, value, "right")]
            high = surprise[count - np.searchsorted(column, value, "left")]
            sign = self.skewed[place]
            side = low if sign < 0 else high if sign > 0 else low + high
            found[:, place] = np.maximum(side, (low + high) / 2 if self.mean else np.maximum(low, high))
        return found

    def arrays(self) -> Arrays:
        """The arrays to save."""
        return {"columns": self.columns, "skewed": self.skewed}


class Ecod(OutlierDetector[TailParameters]):
    """How far out a payment lies in each column, taken together (Li et al. 2022, ECOD).

    The score is the sum over the columns of -log of the smaller tail's share, as pyod works it out for one payment
    beside the sample; each column's contribution is its term. pyod itself scores a call's payments by one another.
    """

    kind: ClassVar[str] = "ecod"
    called: ClassVar[str] = "ECOD"
    parameters_type: ClassVar[type[OutlierParameters]] = TailParameters
    by_mean: ClassVar[bool] = False

    def _learn(self, rows: Float64Array, progress: Progress | None) -> OutlierModel:
        among = spread_out(rows, self._parameters.among)
        around = among - among.mean(axis=0)
        skewed = np.sign(np.where(np.ptp(among, axis=0) > 0, (around**3).mean(axis=0), 0.0))
        return _Tails(np.sort(np.ascontiguousarray(among.T), axis=1), skewed, self.by_mean)

    @classmethod
    def _read(cls, arrays: Arrays, width: int) -> OutlierModel:
        held = arrays_of_shapes(arrays, columns=(width, None), skewed=(width,))
        if bool((np.diff(held["columns"], axis=1) < 0).any()):
            raise ValueError("the columns are not sorted")
        return _Tails(**held, mean=cls.by_mean)


class Copod(Ecod):
    """How far out a payment lies in each column, by the empirical copula (Li et al. 2020, COPOD).

    As ECOD, but a column's term is the skewed side's tail, or the mean of both tails where that is larger.
    """

    kind: ClassVar[str] = "copod"
    called: ClassVar[str] = "COPOD"
    by_mean: ClassVar[bool] = True
