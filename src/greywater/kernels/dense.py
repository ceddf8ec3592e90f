"""One layer of a small network for many rows; a row has the same bits whatever rows are beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from greywater.kernels.compile import kernel

__all__ = ["Float32Array", "dense", "surprise"]

Float32Array = NDArray[np.float32]
#: Columns whose product one logarithm is taken of.
LOGGED = 8


@kernel
def dense(rows: Float32Array, weight: Float32Array, bias: Float32Array, slope: Any, out: Float32Array) -> None:
    """Fill `out` with act(rows @ weight + bias), act(x) = x where x > 0, else slope * x.

    Inputs are added in their order to all outputs, four inputs at a time and four rows beside each other, so that what
    was added up is read and written a quarter as often: every output of every row is the same chain of additions,
    however many rows there are.

    Parameters
    ----------
    rows : float32[n, a]
    weight : float32[a, b]
    bias : float32[b]
    slope : float32
        1 = no activation.
    out : float32[n, b]
    """
    count, inputs, width = rows.shape[0], rows.shape[1], bias.shape[0]
    fours = inputs - inputs % 4
    first = 0
    while first + 4 <= count:
        one, two, three, four = out[first], out[first + 1], out[first + 2], out[first + 3]
        a, b, c, d = rows[first], rows[first + 1], rows[first + 2], rows[first + 3]
        for j in range(width):
            one[j] = two[j] = three[j] = four[j] = bias[j]
        for i in range(0, fours, 4):
            for j in range(width):
                w, x, y, z = weight[i, j], weight[i + 1, j], weight[i + 2, j], weight[i + 3, j]
                one[j] = (((one[j] + a[i] * w) + a[i + 1] * x) + a[i + 2] * y) + a[i + 3] * z
                two[j] = (((two[j] + b[i] * w) + b[i + 1] * x) + b[i + 2] * y) + b[i + 3] * z
                three[j] = (((three[j] + c[i] * w) + c[i + 1] * x) + c[i + 2] * y) + c[i + 3] * z
                four[j] = (((four[j] + d[i] * w) + d[i + 1] * x) + d[i + 2] * y) + d[i + 3] * z
        for i in range(fours, inputs):
            for j in range(width):
                w = weight[i, j]
                one[j] += a[i] * w
                two[j] += b[i] * w
                three[j] += c[i] * w
                four[j] += d[i] * w
        first += 4
    while first < count:
        one, a = out[first], rows[first]
        for j in range(width):
            one[j] = bias[j]
        for i in range(0, fours, 4):
            for j in range(width):
                w, x, y, z = weight[i, j], weight[i + 1, j], weight[i + 2, j], weight[i + 3, j]
                one[j] = (((one[j] + a[i] * w) + a[i + 1] * x) + a[i + 2] * y) + a[i + 3] * z
        for i in range(fours, inputs):
            for j in range(width):
                one[j] += a[i] * weight[i, j]
        first += 1
    for row in range(count):
        for j in range(width):
            value = out[row, j]
            out[row, j] = value if value > 0 else value * slope


@kernel
def surprise(rows: Float32Array, refined: Float32Array, out: Any) -> None:
    """Fill `out` float64[n] with the mean over the columns of log(1 + error^2), error = rows - refined.

    One logarithm is taken of the product of eight columns, which stays finite for errors up to 1e19.
    """
    columns = rows.shape[1]
    for row in range(rows.shape[0]):
        total, product = 0.0, 1.0
        for j in range(columns):
            error = np.float64(rows[row, j]) - np.float64(refined[row, j])
            product *= 1.0 + error * error
            if j % LOGGED == LOGGED - 1:
                total += np.log(product)
                product = 1.0
        total += np.log(product)
        out[row] = total / columns if columns > 0 else 0.0
