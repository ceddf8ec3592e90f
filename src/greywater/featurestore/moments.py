"""Count, mean and standard deviation that can be merged: exact for whole numbers, to rounding for floats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from greywater.vocab import Float64Array, Int64Array

__all__ = ["Moments"]

_chunk: Final = 2**18
_limb: Final = 22


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation (ddof = 1) of some numbers.

    Parameters
    ----------
    count : int
    mean, deviation : float or None
        None below one and below two numbers. The deviation is inf where it is larger than any float.
    total, squares : int or None
        Of whole numbers their sum and sum of squares, exact; then the mean and the deviation are too, rounded once.

    Examples
    --------
    >>> Moments.of_whole(np.array([1, 2, 3, 4])).mean
    2.5
    >>> parts = Moments.of_whole(np.array([1, 2])), Moments.of_whole(np.array([3, 4]))
    >>> Moments.merged(parts) == Moments.of_whole(np.array([1, 2, 3, 4]))
    True
    """

    count: int
    mean: float | None = None
    deviation: float | None = None
    total: int | None = None
    squares: int | None = None

    @classmethod
    def of_sums(cls, count: int, total: int, squares: int) -> Moments:
        """From exact sums: each figure is rounded once."""
        if not count:
            return cls(0, None, None, 0, 0)
        deviation = None
        if count > 1:
            numerator, denominator = count * squares - total * total, count * (count - 1)
            deviation = math.sqrt(numerator / denominator)
        return cls(count, total / count, deviation, total, squares)

    @classmethod
    def of_whole(cls, values: Int64Array, counts: Int64Array | None = None) -> Moments:
        """Of int64[n], each as often as `counts` int64[n] says (once without)."""
        if not len(values):
            return cls.of_sums(0, 0, 0)
        count = len(values) if counts is None else int(counts.sum())
        largest = max(abs(int(values.min())), abs(int(values.max())), 1)
        if count * largest * largest < 2**63:
            weighted = values if counts is None else values * counts
            return cls.of_sums(count, int(weighted.sum()), int(np.dot(values, weighted)))
        if counts is not None and int(counts.max()) > 1:
            values = np.repeat(values, counts)
        total = squares = 0
        for begin in range(0, len(values), _chunk):
            part = values[begin : begin + _chunk]
            high, middle, low = part >> (2 * _limb), (part >> _limb) & (2**_limb - 1), part & (2**_limb - 1)
            total += (int(high.sum()) << (2 * _limb)) + (int(middle.sum()) << _limb) + int(low.sum())
            squares += int(np.dot(low, low)) + (int(np.dot(high, high)) << (4 * _limb))
            squares += (int(np.dot(middle, low)) << (_limb + 1)) + (int(np.dot(middle, middle)) << (2 * _limb))
            squares += (int(np.dot(high, low)) << (2 * _limb + 1)) + (int(np.dot(high, middle)) << (3 * _limb + 1))
        return cls.of_sums(count, total, squares)

    @classmethod
    def of_numbers(cls, values: Float64Array) -> Moments:
        """Of finite float64[n]: two passes; scaled where squares would leave the range of floats."""
        if not len(values):
            return cls(0)
        least, greatest = float(values.min()), float(values.max())
        largest = max(abs(least), abs(greatest))
        scale = 1.0 if largest == 0 or 1e-100 < largest < 1e100 else math.ldexp(1.0, math.frexp(largest)[1] - 1)
        scaled = values if scale == 1.0 else values / scale
        centre = min(max(float(scaled.mean()), least / scale), greatest / scale)
        deviation = None
        if len(values) > 1:
            apart = scaled - centre
            deviation = math.sqrt(float(np.dot(apart, apart)) / (len(values) - 1)) * scale
        return cls(len(values), centre * scale, deviation)

    @classmethod
    def merged(cls, parts: Sequence[Moments]) -> Moments:
        """The moments of all numbers together, whatever the order of the parts."""
        parts = [part for part in parts if part.count] or list(parts[:1])
        if len(parts) == 1:
            return parts[0]
        count = sum(part.count for part in parts)
        sums = [(part.total, part.squares) for part in parts if part.total is not None and part.squares is not None]
        if len(sums) == len(parts):
            return cls.of_sums(count, sum(total for total, _ in sums), sum(squares for _, squares in sums))
        means = [part.mean or 0.0 for part in parts]
        deviations = [part.deviation or 0.0 for part in parts]
        largest = max(map(abs, means + deviations)) or 1.0
        if math.isinf(largest):
            return cls(
                count, math.fsum(part.count / count * mean for part, mean in zip(parts, means, strict=True)), largest
            )
        mean = math.fsum(part.count * (one / largest) for part, one in zip(parts, means, strict=True)) / count
        squares = math.fsum(
            (part.count - 1) * (deviation / largest) ** 2 + part.count * (one / largest - mean) ** 2
            for part, one, deviation in zip(parts, means, deviations, strict=True)
        )
        return cls(count, mean * largest, math.sqrt(squares / (count - 1)) * largest)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; sums as text, since they have more than 53 bits."""
        found: dict[str, Any] = {"count": self.count, "mean": self.mean, "deviation": self.deviation}
        if self.deviation is not None and math.isinf(self.deviation):
            found["deviation"] = "inf"
        if self.total is not None:
            found |= {"total": str(self.total), "squares": str(self.squares)}
        return found

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Moments:
        """What `as_dict` gave."""
        deviation = math.inf if found["deviation"] == "inf" else found["deviation"]
        total, squares = (int(found[name]) if name in found else None for name in ("total", "squares"))
        return cls(found["count"], found["mean"], deviation, total, squares)
