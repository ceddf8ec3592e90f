"""One layer of a small network for many rows; a row has the same bits whatever rows are beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from greywater.kernels.compile import fused_kernel, kernel

__all__ = ["Float32Array", "apart", "dense", "far"]

Float32Array = NDArray[np.float32]


@fused_kernel
def dense(rows: Float32Array, weight: Float32Array, bias: Float32Array, slope: Any, out: Float32Array) -> None:
    """Fill `out` with act(rows @ weight + bias), act(x) = x where x > 0, else slope * x.

    Inputs are added in their order to all outputs, four inputs at a time and four rows beside each other, so that what
    was added up is read and written a quarter as often: every output of every row is the same chain of additions,
    however many rows there are. Quickest where b is a multiple of 32.

    Parameters
    ----------
    rows : float32[n, >= a]
        Columns beyond a are not looked at.
    weight : float32[a, b]
    bias : float32[b]
    slope : float32
        1 = no activation.
    out : float32[n, b]
    """
    count, inputs, width = rows.shape[0], weight.shape[0], bias.shape[0]
    fours = inputs - inputs % 4
    first = 0
    while first + 4 <= count:
        one, two, three, four = out[first], out[first + 1], out[first + 2], out[first + 3]
        a, b, c, d = rows[first], rows[first + 1], rows[first + 2], rows[first + 3]
        for j in range(width):
            one[j] = two[j] = three[j] = four[j] = bias[j]
        for i in range(0, fours, 4):
            # Read before the loop over the outputs, which the compiler cannot know not to overwrite them.
            a0, a1, a2, a3 = a[i], a[i + 1], a[i + 2], a[i + 3]
            b0, b1, b2, b3 = b[i], b[i + 1], b[i + 2], b[i + 3]
            c0, c1, c2, c3 = c[i], c[i + 1], c[i + 2], c[i + 3]
            d0, d1, d2, d3 = d[i], d[i + 1], d[i + 2], d[i + 3]
            for j in range(width):
                w, x, y, z = weight[i, j], weight[i + 1, j], weight[i + 2, j], weight[i + 3, j]
                one[j] = (((one[j] + a0 * w) + a1 * x) + a2 * y) + a3 * z
                two[j] = (((two[j] + b0 * w) + b1 * x) + b2 * y) + b3 * z
                three[j] = (((three[j] + c0 * w) + c1 * x) + c2 * y) + c3 * z
                four[j] = (((four[j] + d0 * w) + d1 * x) + d2 * y) + d3 * z
        for i in range(fours, inputs):
            a0, b0, c0, d0 = a[i], b[i], c[i], d[i]
            for j in range(width):
                w = weight[i, j]
                one[j] += a0 * w
                two[j] += b0 * w
                three[j] += c0 * w
                four[j] += d0 * w
        first += 4
    while first < count:
        one, a = out[first], rows[first]
        for j in range(width):
            one[j] = bias[j]
        for i in range(0, fours, 4):
            a0, a1, a2, a3 = a[i], a[i + 1], a[i + 2], a[i + 3]
            for j in range(width):
                w, x, y, z = weight[i, j], weight[i + 1, j], weight[i + 2, j], weight[i + 3, j]
                one[j] = (((one[j] + a0 * w) + a1 * x) + a2 * y) + a3 * z
        for i in range(fours, inputs):
            a0 = a[i]
            for j in range(width):
                one[j] += a0 * weight[i, j]
        first += 1
    for row in range(count):
        for j in range(width):
            value = out[row, j]
            out[row, j] = value if value > 0 else value * slope


@kernel
def apart(rows: Float32Array, refined: Float32Array, out: Any) -> None:
    """Fill `out` float64[n] with the mean over the columns of (rows - refined)^2.

    `refined` may have more columns than `rows`, which are not looked at.
    """
    columns = rows.shape[1]
    for row in range(rows.shape[0]):
        total = 0.0
        for j in range(columns):
            error = np.float64(rows[row, j]) - np.float64(refined[row, j])
            total += error * error
        out[row] = total / columns if columns > 0 else 0.0


@kernel
def far(rows: Float32Array, out: Any) -> None:
    """Fill `out` float64[n] with the mean over the columns of rows^2."""
    columns = rows.shape[1]
    for row in range(rows.shape[0]):
        total = 0.0
        for j in range(columns):
            value = np.float64(rows[row, j])
            total += value * value
        out[row] = total / columns if columns > 0 else 0.0
