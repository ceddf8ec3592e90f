"""One layer of a small network for many rows; a row has the same bits whatever rows are beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from greywater.kernels.compile import kernel

__all__ = ["Float32Array", "dense", "surprise"]

Float32Array = NDArray[np.float32]


@kernel
def dense(rows: Float32Array, weight: Float32Array, bias: Float32Array, slope: Any, out: Float32Array) -> None:
    """Fill `out` with act(rows @ weight + bias), act(x) = x where x > 0, else slope * x.

    Inputs are added in their order, each to all outputs at once, four rows beside each other: every output of every row
    is the same chain of additions, however many rows there are.

    Parameters
    ----------
    rows : float32[n, a]
    weight : float32[a, b]
    bias : float32[b]
    slope : float32
        1 = no activation.
    out : float32[n, b]
    """
    count, width = rows.shape[0], bias.shape[0]
    first = 0
    while first + 4 <= count:
        for j in range(width):
            out[first, j] = bias[j]
            out[first + 1, j] = bias[j]
            out[first + 2, j] = bias[j]
            out[first + 3, j] = bias[j]
        for i in range(rows.shape[1]):
            one, two = rows[first, i], rows[first + 1, i]
            three, four = rows[first + 2, i], rows[first + 3, i]
            for j in range(width):
                times = weight[i, j]
                out[first, j] += one * times
                out[first + 1, j] += two * times
                out[first + 2, j] += three * times
                out[first + 3, j] += four * times
        first += 4
    while first < count:
        for j in range(width):
            out[first, j] = bias[j]
        for i in range(rows.shape[1]):
            one = rows[first, i]
            for j in range(width):
                out[first, j] += one * weight[i, j]
        first += 1
    for row in range(count):
        for j in range(width):
            value = out[row, j]
            out[row, j] = value if value > 0 else value * slope


@kernel
def surprise(rows: Float32Array, refined: Float32Array, out: Any) -> None:
    """Fill `out` float64[n] with the mean over the columns of log(1 + error^2), error = rows - refined."""
    columns = rows.shape[1]
    for row in range(rows.shape[0]):
        total = 0.0
        for j in range(columns):
            error = np.float64(rows[row, j]) - np.float64(refined[row, j])
            total += np.log1p(error * error)
        out[row] = total / columns if columns > 0 else 0.0
