"""Values read off the curves of their columns: straight lines between points, for many rows at a time."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from greywater.kernels.compile import Int, kernel
from greywater.vocab import Float64Array

__all__ = ["POINTS", "read_off"]

#: Points that a curve has room for: a power of two, and one more than it may have.
POINTS = 256


@kernel
def read_off(
    columns: Float64Array, knots: Float64Array, slopes: Float64Array, values: Float64Array, lengths: NDArray[Any],
    segments: NDArray[Any], out: NDArray[Any],
) -> None:  # fmt: skip
    """Fill `out` with slope * (x - knot) + value at the last knot <= x; 0 where x is NaN, the ends beyond the ends.

    The search halves without a branch, so that several rows are looked up by one instruction.

    Parameters
    ----------
    columns : float64[k, n]
        What is looked up, by column.
    knots, slopes, values : float64[k, POINTS]
        Knots increase; +inf after the last. The slope at the last is 0.
    lengths : int64[k]
        Knots of each curve, at least 1.
    segments : int32[>= n]
        Scratch.
    out : float[n, k]
    """
    rows: Int = columns.shape[1]
    for place in range(columns.shape[0]):
        column, curve, slope, value = columns[place], knots[place], slopes[place], values[place]
        lowest, highest = curve[0], curve[lengths[place] - 1]
        for row in range(rows):
            x = column[row]
            at = 128 * (curve[128] <= x)
            at += 64 * (curve[at + 64] <= x)
            at += 32 * (curve[at + 32] <= x)
            at += 16 * (curve[at + 16] <= x)
            at += 8 * (curve[at + 8] <= x)
            at += 4 * (curve[at + 4] <= x)
            at += 2 * (curve[at + 2] <= x)
            at += 1 * (curve[at + 1] <= x)
            segments[row] = at
        for row in range(rows):
            x, at = column[row], segments[row]
            x = lowest if x < lowest else x
            x = highest if x > highest else x
            found = slope[at] * (x - curve[at]) + value[at]
            out[row, place] = found if found == found else 0.0
