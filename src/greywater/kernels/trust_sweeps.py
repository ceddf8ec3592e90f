"""Passes over a graph that bring trust scores nearer to their fixed point, and the vector arithmetic between them."""

from __future__ import annotations

from typing import Any

import numpy as np

from greywater.kernels.compile import Int, kernel
from greywater.vocab import Float64Array, Int64Array

__all__ = ["BLOCK", "add_combination", "krylov_sweep", "project", "scaled", "subtract", "sweep", "sweep_weighted"]

#: Entries of vectors that are worked on together, so that they stay in the first cache.
BLOCK = 2048


@kernel
def scaled(score: Any, scale: Float64Array, first: Int, last: Int, out: Any) -> None:
    """What each node in [first, last) passes on by a link of weight 1: out = score * scale."""
    for node in range(first, last):
        out[node] = score[node] * scale[node]


@kernel
def sweep(
    start: Int64Array,
    stop: Int64Array,
    source: Any,
    scale: Float64Array,
    inflow: Float64Array,
    first: Int,
    last: Int,
    score: Float64Array,
    passed: Float64Array,
    change: Float64Array,
) -> Any:
    """One Gauss-Seidel pass over the nodes [first, last), links of weight 1; returns the sum of |change|.

    Each score becomes its inflow plus what the nodes that link to it pass on, new values used as soon as they are
    there. Before a column-substochastic matrix the residual left behind is at most beta times the returned sum.

    Parameters
    ----------
    start, stop : int64[n]
        List of the links that reach each node.
    source : uint32[M]
        Where they come from.
    scale : float64[n]
        beta / total weight that leaves a node; 0 where nothing does.
    inflow : float64[n]
        (1 - beta) times the weight of a seed.
    score, passed : float64[n]
        Scores and scores * scale; updated.
    change : float64[last - first]
        Written: what each score changed by; float64[0] where nobody asks.
    """
    total = 0.0
    wanted = change.shape[0] > 0
    for node in range(first, last):
        reached = 0.0
        for at in range(start[node], stop[node]):
            reached += passed[source[at]]
        value = inflow[node] + reached
        moved = value - score[node]
        total += abs(moved)
        if wanted:
            change[node - first] = moved
        score[node] = value
        passed[node] = value * scale[node]
    return total


@kernel
def sweep_weighted(
    start: Int64Array,
    stop: Int64Array,
    source: Any,
    weight: Float64Array,
    scale: Float64Array,
    inflow: Float64Array,
    first: Int,
    last: Int,
    score: Float64Array,
    passed: Float64Array,
    change: Float64Array,
) -> Any:
    """As `sweep`, over links with a weight float64[M] each."""
    total = 0.0
    wanted = change.shape[0] > 0
    for node in range(first, last):
        reached = 0.0
        for at in range(start[node], stop[node]):
            reached += weight[at] * passed[source[at]]
        value = inflow[node] + reached
        moved = value - score[node]
        total += abs(moved)
        if wanted:
            change[node - first] = moved
        score[node] = value
        passed[node] = value * scale[node]
    return total


@kernel
def krylov_sweep(
    start: Int64Array,
    stop: Int64Array,
    source: Any,
    weight: Float64Array,
    scale: Float64Array,
    first: Int,
    last: Int,
    direction: Any,
    passed: Any,
    out: Any,
) -> None:
    """A direction less what one Gauss-Seidel pass without inflow makes of it: the matrix of the Krylov space.

    Parameters
    ----------
    start, stop, source, weight, scale
        As in `sweep_weighted`; `weight` is empty where every link weighs 1.
    first, last : int
        The nodes of the core.
    direction : float[last - first]
        What is multiplied.
    passed : float[n]
        Scratch, zero outside the core.
    out : float[last - first]
        Written.
    """
    number = passed.dtype.type
    for node in range(first, last):
        passed[node] = direction[node - first] * number(scale[node])
    if weight.shape[0] > 0:
        for node in range(first, last):
            reached = number(0.0)
            for at in range(start[node], stop[node]):
                reached += number(weight[at]) * passed[source[at]]
            out[node - first] = direction[node - first] - reached
            passed[node] = reached * number(scale[node])
    else:
        for node in range(first, last):
            reached = number(0.0)
            for at in range(start[node], stop[node]):
                reached += passed[source[at]]
            out[node - first] = direction[node - first] - reached
            passed[node] = reached * number(scale[node])


@kernel
def project(basis: Any, count: Int, vector: Any, products: Float64Array) -> None:
    """Inner products float64[count] of a vector with the first rows of `basis` float[k, n], in a fixed order."""
    length = vector.shape[0]
    for row in range(count):
        products[row] = 0.0
    for begin in range(0, length, BLOCK):
        end = min(begin + BLOCK, length)
        whole = begin + (end - begin) // 4 * 4
        for row in range(count):
            one, two, three, four = 0.0, 0.0, 0.0, 0.0
            for at in range(begin, whole, 4):
                one += basis[row, at] * vector[at]
                two += basis[row, at + 1] * vector[at + 1]
                three += basis[row, at + 2] * vector[at + 2]
                four += basis[row, at + 3] * vector[at + 3]
            for at in range(whole, end):
                one += basis[row, at] * vector[at]
            products[row] += (one + two) + (three + four)


@kernel
def subtract(basis: Any, count: Int, products: Float64Array, vector: Any, norms: Float64Array) -> None:
    """Take the first rows of `basis`, times their `products`, off a vector; norms float64[2]: its squares, its |.|."""
    length = vector.shape[0]
    squares, sizes = 0.0, 0.0
    for begin in range(0, length, BLOCK):
        end = min(begin + BLOCK, length)
        for row in range(count):
            product = vector.dtype.type(products[row])
            for at in range(begin, end):
                vector[at] -= product * basis[row, at]
        for at in range(begin, end):
            value = np.float64(vector[at])
            squares += value * value
            sizes += abs(value)
    norms[0] = squares
    norms[1] = sizes


@kernel
def add_combination(basis: Any, count: Int, factors: Float64Array, first: Int, score: Float64Array) -> None:
    """Add the first rows of `basis`, times their `factors`, to the scores of the core."""
    for begin in range(0, basis.shape[1], BLOCK):
        end = min(begin + BLOCK, basis.shape[1])
        for row in range(count):
            for at in range(begin, end):
                score[first + at] += factors[row] * basis[row, at]
