"""Histograms whose edges do not depend on who counts: multiples of a power of two, and powers of two."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from greywater.vocab import Int64Array

__all__ = ["MOST_BINS", "Histogram", "Magnitudes"]

#: A histogram has at most so many bins.
MOST_BINS: Final = 64
#: No bin of a float is narrower than two to this power, and no octave is below it.
_narrowest: Final = -64
_largest_exponent: Final = 1023


@dataclass(frozen=True)
class Histogram:
    """Counts in bins of one width.

    Bin j holds `(first + j) * 2^exponent <= value < (first + j + 1) * 2^exponent`. The exponent is the least one with
    which all values lie in MOST_BINS bins (not below 0 for whole numbers; not below 2^-64 and the spacing of floats
    at the largest value). Coarser bins are whole unions of finer ones, so merged histograms are exactly the histogram
    of all values together.

    Examples
    --------
    >>> Histogram.of_sorted(np.array([1, 2, 100]), np.array([1, 2, 3])).edges[:3]
    (0, 2, 4)
    """

    exponent: int
    first: int
    counts: tuple[int, ...]

    @classmethod
    def of_sorted(cls, values: NDArray[Any], through: Int64Array) -> Histogram:
        """Of distinct sorted values (int64 or finite float64, at least one), `through` counting those up to each."""
        least, greatest = values[0].item(), values[-1].item()
        exponent = _least_exponent(least, greatest)
        first, last = (_bin_of(value, exponent) for value in (least, greatest))
        exponent, first, last = _fitting(exponent, first, last)
        inner = [_edge(first + j, exponent, isinstance(least, int)) for j in range(1, last - first + 1)]
        below = np.searchsorted(values, np.array(inner, values.dtype), side="left")
        total = np.concatenate([[0], through])[np.concatenate([[0], below, [len(values)]])]
        return cls(exponent, first, tuple(np.diff(total).tolist()))

    @property
    def edges(self) -> tuple[float, ...]:
        """One more than there are bins; whole numbers as int where the exponent is not negative."""
        return tuple(
            _edge(self.first + j, self.exponent, self.exponent >= 0 and self.exponent < 64)
            for j in range(len(self.counts) + 1)
        )

    @classmethod
    def merged(cls, parts: Sequence[Histogram]) -> Histogram:
        """The histogram of all values together, exactly."""
        exponent = max(part.exponent for part in parts)
        first = min(part.first >> (exponent - part.exponent) for part in parts)
        last = max((part.first + len(part.counts) - 1) >> (exponent - part.exponent) for part in parts)
        exponent, first, last = _fitting(exponent, first, last)
        counts = [0] * (last - first + 1)
        for part in parts:
            for j, count in enumerate(part.counts):
                counts[((part.first + j) >> (exponent - part.exponent)) - first] += count
        return cls(exponent, first, tuple(counts))

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `first` as text, since it may have more than 53 bits."""
        return {"exponent": self.exponent, "first": str(self.first), "counts": list(self.counts)}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Histogram:
        """What `as_dict` gave."""
        return cls(found["exponent"], int(found["first"]), tuple(found["counts"]))


def _least_exponent(least: float, greatest: float) -> int:
    """The least exponent that bins of these values may have."""
    if isinstance(least, int):
        return 0
    return max(math.frexp(max(abs(least), abs(greatest)))[1] - 53, _narrowest)


def _bin_of(value: float, exponent: int) -> int:
    """floor(value / 2^exponent), exactly."""
    numerator, denominator = value.as_integer_ratio()
    return numerator // (denominator << exponent) if exponent >= 0 else (numerator << -exponent) // denominator


def _fitting(exponent: int, first: int, last: int) -> tuple[int, int, int]:
    """The least exponent from here on with which the bins are not too many."""
    while last - first >= MOST_BINS:
        exponent, first, last = exponent + 1, first >> 1, last >> 1
    return exponent, first, last


def _edge(index: int, exponent: int, whole: bool) -> float:
    if whole:
        return index << exponent
    try:
        return math.ldexp(index, exponent)
    except OverflowError:
        return math.copysign(math.inf, index)


@dataclass(frozen=True)
class Magnitudes:
    """How many values lie in each octave [2^k, 2^(k+1)) above zero, below zero, and at zero: money spans many.

    `positive` and `negative` are (k, count) by ascending k; values nearer to zero than 2^-64 count in octave -64.
    Merging adds, exactly.
    """

    zeros: int
    positive: tuple[tuple[int, int], ...]
    negative: tuple[tuple[int, int], ...]

    @classmethod
    def of_sorted(cls, values: NDArray[Any], through: Int64Array) -> Magnitudes:
        """Of distinct sorted values (int64 or finite float64), `through` counting those up to each."""
        upto = np.concatenate([[0], through])
        up, down = _octave_edges(values.dtype == np.int64)
        above = upto[np.searchsorted(values, up, side="left")]
        above[0] = upto[np.searchsorted(values, 0, side="right")]
        below = upto[np.searchsorted(values, down, side="right")]
        below[0] = upto[np.searchsorted(values, 0, side="left")]
        positive, negative = np.diff(np.append(above, upto[-1])), -np.diff(np.append(below, 0))
        lowest = 0 if values.dtype == np.int64 else _narrowest
        return cls(int(above[0] - below[0]), _pairs(lowest, positive), _pairs(lowest, negative))

    @classmethod
    def merged(cls, parts: Sequence[Magnitudes]) -> Magnitudes:
        """The counts of all values together."""
        return cls(
            sum(part.zeros for part in parts),
            _added([part.positive for part in parts]),
            _added([part.negative for part in parts]),
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        sides = {"positive": self.positive, "negative": self.negative}
        return {"zeros": self.zeros, **{name: [list(pair) for pair in side] for name, side in sides.items()}}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Magnitudes:
        """What `as_dict` gave."""
        positive, negative = (tuple((k, count) for k, count in found[name]) for name in ("positive", "negative"))
        return cls(found["zeros"], positive, negative)


def _octave_edges(whole: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """The powers of two above zero, and below it; int64 has one more below."""
    if whole:
        return np.array([2**k for k in range(63)], np.int64), np.array([-(2**k) for k in range(64)], np.int64)
    powers = np.ldexp(1.0, np.arange(_narrowest, _largest_exponent + 1))
    return powers, -powers


def _pairs(lowest: int, counts: NDArray[Any]) -> tuple[tuple[int, int], ...]:
    there = np.flatnonzero(counts)
    return tuple(zip((there + lowest).tolist(), counts[there].tolist(), strict=True))


def _added(sides: Sequence[tuple[tuple[int, int], ...]]) -> tuple[tuple[int, int], ...]:
    counts: dict[int, int] = {}
    for side in sides:
        for octave, count in side:
            counts[octave] = counts.get(octave, 0) + count
    return tuple(sorted(counts.items()))
