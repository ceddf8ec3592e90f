"""Quantiles that can be merged, with a bound on how far their ranks can be off."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from greywater.vocab import Float64Array, Int64Array

__all__ = ["MOST_POINTS", "PROBABILITIES", "QuantileSummary"]

#: The quantiles that are reported.
PROBABILITIES: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
#: Up to so many different values all are kept, and the quantiles are exact, merged ones too.
MOST_POINTS: Final = 128
#: Where points are kept beyond that: every 64th, finer in the tails.
_kept: Final = np.array(
    sorted({*(j / 64 for j in range(65)), *(p for t in (1e-3, 2e-3, 5e-3, 1e-2, 2e-2) for p in (t, 1 - t))})
)
#: Merging looks at no more than so many points of all parts.
_most_candidates: Final = 1024


@dataclass(frozen=True)
class QuantileSummary:
    """Some of the values of a column with their ranks.

    Of n values the summary keeps points (value v, how many values are below v, how many are up to v). A part keeps at
    least the values at ranks 0, n/64, 2n/64, ... n and at the quantiles it reports, so its own quantiles are exact.
    In a merged summary the ranks of each point are the sums of its ranks in the parts; where a part does not have the
    value, its rank lies between those of its neighbours there and is interpolated. `slack` bounds by how many ranks
    that can be off.

    Parameters
    ----------
    values : float64 tuple
        Ascending; whole numbers beyond 2^53 are rounded.
    below, through : int tuple
        How many of all values are smaller than the point, and how many are up to it.
    slack : int
        Bound on the error of `below` and `through`.

    Examples
    --------
    >>> first = QuantileSummary.of_sorted(np.array([1.0, 2.0]), np.array([1, 3]))
    >>> second = QuantileSummary.of_sorted(np.array([4.0]), np.array([1]))
    >>> both = QuantileSummary.merged([first, second])
    >>> both.quantile(0.5), both.rank_error
    (2.0, 0.0)
    """

    values: tuple[float, ...]
    below: tuple[int, ...]
    through: tuple[int, ...]
    slack: int = 0

    @classmethod
    def of_sorted(cls, values: NDArray[Any], through: Int64Array) -> QuantileSummary:
        """Of distinct sorted values (int64 or finite float64, at least one), `through` counting those up to each."""
        return cls._of_points(values, np.concatenate([[0], through[:-1]]), through, 0)

    @classmethod
    def _of_points(cls, values: NDArray[Any], below: Int64Array, through: Int64Array, slack: int) -> QuantileSummary:
        if len(values) > MOST_POINTS:
            chosen = _points_kept(through, int(through[-1]))
            values, below, through = values[chosen], below[chosen], through[chosen]
        values = values.astype(np.float64)
        first = np.flatnonzero(np.concatenate([[True], values[1:] > values[:-1]]))
        last = np.append(first[1:], len(values)) - 1
        return cls(
            tuple(values[first].tolist()), tuple(below[first].tolist()), tuple(through[last].tolist()), int(slack)
        )

    @property
    def count(self) -> int:
        """How many values there are."""
        return self.through[-1]

    @property
    def rank_error(self) -> float:
        """By which share of the values the rank of a quantile can be off at most; 0 = exact."""
        gaps = np.array(self.below[1:]) - np.array(self.through[:-1])
        return (self.slack + int(gaps.max(initial=0))) / self.count

    def quantile(self, probability: float) -> float:
        """The quantile by linear interpolation between the two values at its rank."""
        rank = probability * (self.count - 1)
        low = math.floor(rank)
        a, b = self._at_rank(low), self._at_rank(min(low + 1, self.count - 1))
        return a if a == b else (1 - (rank - low)) * a + (rank - low) * b

    def _at_rank(self, rank: int) -> float:
        """The value of a rank from 0."""
        j = int(np.searchsorted(self.through, rank, side="right"))
        if rank >= self.below[j]:
            return self.values[j]
        left = self.through[j - 1] if j else 0
        share = (rank - left + 1) / (self.below[j] - left + 1)
        before = self.values[j - 1] if j else self.values[0]
        return min(max((1 - share) * before + share * self.values[j], before), self.values[j])

    @classmethod
    def merged(cls, parts: Sequence[QuantileSummary]) -> QuantileSummary:
        """The summary of all values together; its order does not matter."""
        if len(parts) == 1:
            return parts[0]
        points = _candidates(parts)
        below, through = np.zeros(len(points)), np.zeros(len(points))
        slack = np.zeros(len(points))
        for part in parts:
            for total, one in zip((below, through, slack), _ranks(part, points), strict=True):
                total += one
        upto = np.maximum.accumulate(np.rint(through)).astype(np.int64)
        upto[-1] = sum(part.count for part in parts)
        under = np.maximum.accumulate(np.rint(below)).astype(np.int64)
        under = np.minimum(np.maximum(under, np.concatenate([[0], upto[:-1]])), upto)
        return cls._of_points(points, under, upto, math.ceil(slack.max()) + 1 if slack.any() else 0)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: list(getattr(self, name)) for name in ("values", "below", "through")} | {"slack": self.slack}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> QuantileSummary:
        """What `as_dict` gave."""
        values, below, through = (tuple(found[name]) for name in ("values", "below", "through"))
        return cls(tuple(map(float, values)), below, through, found["slack"])


def _points_kept(through: Int64Array, count: int) -> Int64Array:
    """Positions of the points that a long summary keeps: at the ranks of _kept, and around PROBABILITIES."""
    ranks = np.concatenate([np.rint(_kept * (count - 1)), _around(np.array(PROBABILITIES) * (count - 1), count)])
    found = np.searchsorted(through, np.unique(ranks.astype(np.int64)), side="right")
    return np.unique(found).astype(np.int64)


def _around(ranks: Float64Array, count: int) -> Float64Array:
    low = np.floor(ranks)
    return np.concatenate([low, np.minimum(low + 1, count - 1)])


def _candidates(parts: Iterable[QuantileSummary]) -> Float64Array:
    """The values of all parts; of very many those that share the mass evenly."""
    values = np.concatenate([part.values for part in parts])
    order = np.argsort(values, kind="stable")
    points = np.unique(values)
    if len(points) <= _most_candidates:
        return points
    mass = np.cumsum(np.concatenate([np.diff(part.through, prepend=0) for part in parts])[order])
    shares = np.concatenate([np.linspace(0, 1, _most_candidates // 2), _kept])
    ranks = np.concatenate([shares * (mass[-1] - 1), _around(np.array(PROBABILITIES) * (mass[-1] - 1), mass[-1])])
    chosen = np.searchsorted(mass, np.unique(ranks.astype(np.int64)), side="right")
    return np.unique(np.concatenate([values[order[chosen]], points[[0, -1]]]))


def _ranks(part: QuantileSummary, points: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
    """How many of a part's values are below and up to each point, and by how much that can be off."""
    values = np.array(part.values)
    below, through = np.array(part.below, np.float64), np.array(part.through, np.float64)
    after = np.searchsorted(values, points, side="left")
    here = values[np.minimum(after, len(values) - 1)] == points
    least = np.concatenate([[0.0], through])[after]
    most = np.append(below, part.count)[after]
    left, right = np.concatenate([values[:1], values])[after], np.append(values, values[-1])[after]
    with np.errstate(all="ignore"):
        share = np.where(right > left, (points / 2 - left / 2) / (right / 2 - left / 2), 0.5)
    between = least + np.nan_to_num(share, nan=0.5) * (most - least)
    off = np.where(here, 0.0, np.maximum(between - least, most - between)) + part.slack
    here_or_last = np.minimum(after, len(values) - 1)
    return (
        np.where(here, below[here_or_last], between),
        np.where(here, through[here_or_last], between),
        off,
    )
