"""How columns of features become numbers of one kind: drawn in, brought to one scale, none of them undefined."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Literal, Self, get_args

import numpy as np

from greywater.detectors.forest import signed_log
from greywater.detectors.saved import MEND
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array

__all__ = ["Method", "Scaling"]

Method = Literal["quantile", "standard"]

#: Rows that are scaled at a time.
BLOCK: Final = 512
#: Points of a column's curve; they lie evenly on the normal scale, so closer together in the tails.
KNOTS: Final = 129
#: Standard deviations from the mean beyond which a value is no farther.
FARTHEST: Final = 10.0


@dataclass(frozen=True)
class Scaling:
    """Raw columns to columns around 0 with a spread of about 1, for learners that measure distances.

    Every value is first drawn in by sign(x) * log(1 + |x|), which keeps the order and tames heavy tails and infinities.
    Then "quantile" gives it the normal quantile of its mid-rank in the sample, straight between the points of the
    column's curve and never beyond its ends; "standard" takes the sample's mean away and divides by its standard
    deviation, and cuts at 10 of them. What is undefined (NaN) becomes 0, the middle of the column; of columns that are
    undefined in some rows but not all, each distinct pattern of missing rows becomes a column of its own. Columns
    without two different values in the sample are dropped: whatever they hold later is not seen.

    Parameters
    ----------
    method : {"quantile", "standard"}
    features : int
        Raw columns that it takes.
    kept, flagged : int64[kept], int64[flagged]
        Raw columns that are scaled, and raw columns whose being undefined is a column.
    knots, values : float64[curve points]
        The curves of all scaled columns one after another: values drawn in, increasing within a curve, and what they
        become.
    starts : int64[width + 1]
        Where each curve begins.

    Examples
    --------
    >>> scaling = Scaling.learn(np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]]), "standard")
    >>> scaling(np.array([[2.0, 9.0], [np.nan, 5.0]])).round(1).tolist()
    [[0.1], [0.0]]
    """

    method: Method
    features: int
    kept: Int64Array
    flagged: Int64Array
    knots: Float64Array
    values: Float64Array
    starts: Int64Array

    @property
    def width(self) -> int:
        """Columns that come out."""
        return len(self.starts) - 1

    @property
    def sources(self) -> Int64Array:
        """The raw column that each column stems from, int64[width]."""
        return np.concatenate([self.kept, self.flagged])

    @classmethod
    def learn(cls, sample: Float64Array, method: Method = "quantile") -> Self:
        """Take the curves from sample rows float64[n, features].

        Raises
        ------
        DetectorError
            There is no such method.
        """
        if method not in get_args(Method):
            raise DetectorError(
                f"columns cannot be scaled by {method!r}", where="scaling", mend=f"give one of {get_args(Method)}"
            )
        curve = _by_quantiles if method == "quantile" else _by_moments
        kept: list[int] = []
        curves: list[tuple[Float64Array, Float64Array]] = []
        patterns: dict[bytes, int] = {}
        for place in range(sample.shape[1]):
            column = signed_log(sample[:, place])
            missing = np.isnan(column)
            known = np.sort(column[~missing])
            if len(known) and known[0] < known[-1]:
                kept.append(place)
                curves.append(curve(known))
            if 0 < len(known) < len(column):
                patterns.setdefault(np.packbits(missing).tobytes(), place)
        flagged = sorted(patterns.values())
        curves += [curve(np.sort(np.isnan(sample[:, place]).astype(np.float64))) for place in flagged]
        return cls(
            method=method,
            features=sample.shape[1],
            kept=np.array(kept, np.int64),
            flagged=np.array(flagged, np.int64),
            knots=np.concatenate([np.empty(0), *(each[0] for each in curves)]),
            values=np.concatenate([np.empty(0), *(each[1] for each in curves)]),
            starts=np.cumsum([0, *(len(each[0]) for each in curves)]).astype(np.int64),
        )

    def __call__(self, rows: Float64Array) -> Float64Array:
        """Scaled rows float64[n, width] of raw rows float64[n, features]; no value depends on another row."""
        scaled = np.empty((len(rows), self.width))
        self.fill(rows, scaled)
        return scaled

    def fill(self, rows: Float64Array, scaled: np.ndarray[Any, Any]) -> None:
        """Write the scaled rows into `scaled` float32 or float64[n, width]."""
        from greywater.kernels.curves import read_off

        knots, slopes, values, lengths = self._curves
        segments, both = np.empty(BLOCK, np.int32), len(self.flagged) > 0
        for start in range(0, len(rows), BLOCK):
            part = slice(start, start + BLOCK)
            given = signed_log(np.ascontiguousarray(rows[part].T[self.kept]))
            if both:
                given = np.concatenate([given, np.isnan(rows[part].T[self.flagged])])
            read_off(given, knots, slopes, values, lengths, segments, scaled[part])

    def picked(self, columns: Int64Array) -> Self:
        """The scaling that gives these columns only, int64, increasing."""
        kept = columns[columns < len(self.kept)]
        lengths = np.diff(self.starts)
        points = np.repeat(np.isin(np.arange(self.width), columns), lengths)
        return replace(
            self,
            kept=self.kept[kept],
            flagged=self.flagged[columns[len(kept) :] - len(self.kept)],
            knots=self.knots[points],
            values=self.values[points],
            starts=np.cumsum([0, *lengths[columns]]).astype(np.int64),
        )

    @cached_property
    def _curves(self) -> tuple[Float64Array, Float64Array, Float64Array, Int64Array]:
        """Knots, slopes and values float64[width, POINTS], as the kernel takes them, and the lengths."""
        from greywater.kernels.curves import POINTS

        lengths = np.diff(self.starts)
        knots, slopes, values = np.full((self.width, POINTS), np.inf), *np.zeros((2, self.width, POINTS))
        filled = np.arange(POINTS) < lengths[:, None]
        knots[filled], values[filled] = self.knots, self.values
        inner = np.arange(POINTS - 1) < lengths[:, None] - 1
        rise, run = np.diff(values, axis=1)[inner], np.diff(np.where(filled, knots, 0.0), axis=1)[inner]
        slopes[:, :-1][inner] = np.nan_to_num(rise / run, posinf=0.0, neginf=0.0)
        return knots, slopes, values, lengths

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """The arrays to save."""
        return {f"scaling.{name}": getattr(self, name) for name in ARRAYS}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray[Any, Any]], method: Method, features: int) -> Self:
        """Rebuild from `arrays()`.

        Raises
        ------
        DetectorError
            An array is missing, or they are no curves over `features` columns.
        """
        try:
            held: dict[str, Any] = {
                name: np.ascontiguousarray(arrays[f"scaling.{name}"], np.float64 if name in FLOATS else np.int64)
                for name in ARRAYS
            }
        except (KeyError, ValueError) as error:
            raise DetectorError(f"an array of the scaling is missing or odd: {error}", mend=MEND) from error
        made = cls(method=method, features=features, **held)
        lengths = np.diff(made.starts)
        sound = (
            all(array.ndim == 1 for array in held.values())
            and len(made.knots) == len(made.values)
            and len(made.starts) == len(made.sources) + 1
            and bool(made.starts[0] == 0 and made.starts[-1] == len(made.knots))
            and bool(((lengths > 0) & (lengths < CURVE_POINTS)).all())
            and bool(((made.sources >= 0) & (made.sources < features)).all())
            and bool(np.isfinite(made.knots).all() and np.isfinite(made.values).all())
            and method in get_args(Method)
        )
        if not sound:
            raise DetectorError("the curves of the scaling fit no columns", mend=MEND)
        return made


#: A curve has fewer points: what its kernel has room for.
CURVE_POINTS: Final = 256
FLOATS: Final = ("knots", "values")
ARRAYS: Final = ("kept", "flagged", *FLOATS, "starts")


def _by_quantiles(known: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Points of a sorted column with two different values, and the normal quantiles of their mid-ranks."""
    from scipy.special import ndtr, ndtri

    rows = len(known)
    end = float(ndtri(1 - 0.5 / rows))
    places = np.clip((ndtr(np.linspace(-end, end, KNOTS)) * rows).astype(np.int64), 0, rows - 1)
    knots = np.unique(known[np.r_[0, places, rows - 1]])
    ranks = (np.searchsorted(known, knots, "left") + np.searchsorted(known, knots, "right")) / (2 * rows)
    return knots, np.asarray(ndtri(ranks), np.float64)


def _by_moments(known: Float64Array) -> tuple[Float64Array, Float64Array]:
    """The two ends of a straight line through the mean, cut at FARTHEST standard deviations."""
    mean, spread = float(np.mean(known)), float(np.std(known))
    # So near to constant that rounding is all there is: a line that steep would say nothing.
    spread = max(spread, 1e-9 * max(abs(mean), 1.0))
    return mean + FARTHEST * spread * np.array([-1.0, 1.0]), np.array([-FARTHEST, FARTHEST])
