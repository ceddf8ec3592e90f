"""Walks rows of features down boosted trees: the summed leaves of many rows, or of one, in the order of the trees."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from greywater.kernels.compile import Int, inlined, kernel
from greywater.vocab import Float64Array, Int64Array

__all__ = ["TILE", "row_margin", "tree_margins"]

Int32Array = NDArray[np.int32]
#: float64 for LightGBM, float32 for XGBoost: sums are taken in the library's own width.
Leaves = NDArray[np.floating[Any]]

#: Rows that walk a tree side by side, so that its nodes stay in the cache and the steps overlap.
TILE = 64


@kernel
def tree_margins(
    rows: Float64Array,
    roots: Int64Array,
    steps: Int64Array,
    feature: Int32Array,
    limit: Float64Array,
    child: Int32Array,
    leaf: Leaves,
    place: Int64Array,
    out: Leaves,
) -> None:
    """Sum of the leaves of each row over all trees, added in the order of the trees.

    A step has no branch: the right child lies next to the left one, and a leaf sends every row to itself.

    Parameters
    ----------
    rows : float64[n, features]
        NaN = not defined.
    roots, steps : int64[trees]
        The first node of each tree, and the steps to its deepest leaf.
    feature : int32[nodes]
        Feature of the split; 0 in a leaf.
    limit : float64[nodes]
        Rows with value <= limit go left; +inf in a leaf.
    child : int32[nodes]
        Twice the left child (in a leaf: the leaf itself), plus 1 where NaN goes left.
    leaf : floating[nodes]
        What a leaf adds; 0 in a split.
    place : int64[TILE]
        Scratch.
    out : floating[n]
        Holds what the sum starts with; added to. Of the type of `leaf`.
    """
    count = rows.shape[0]
    for first in range(0, count, TILE):
        width = min(TILE, count - first)
        for tree in range(roots.shape[0]):
            for row in range(width):
                place[row] = roots[tree]
            for _ in range(steps[tree]):
                moved = np.int64(0)
                for row in range(width):
                    node = place[row]
                    value = rows[first + row, feature[node]]
                    packed = np.int64(child[node])
                    left = np.int64(value <= limit[node]) | (np.int64(value != value) & (packed & 1))
                    after = (packed >> 1) + (1 - left)
                    moved |= after - node
                    place[row] = after
                if moved == 0:
                    break
            for row in range(width):
                out[first + row] += leaf[place[row]]


@inlined
def _step(node: Int, row: Float64Array, feature: Int32Array, limit: Float64Array, child: Int32Array) -> Int:
    """The node after `node`; the masks tell the compiler that no index is negative."""
    packed = np.int64(child[node]) & 0x7FFFFFFF
    value = row[np.int64(feature[node]) & 0x3FFFFFFF]
    left = np.int64(value <= limit[node]) | (np.int64(value != value) & (packed & 1))
    return ((packed >> 1) + 1 - left) & 0x3FFFFFFF


@kernel
def row_margin(
    row: Float64Array,
    roots: Int64Array,
    feature: Int32Array,
    limit: Float64Array,
    child: Int32Array,
    leaf: Leaves,
    start: Any,
) -> Any:
    """As `tree_margins` for one row float64[features], with the same bits: four trees are walked side by side.

    `start`, of the type of `leaf`, is what the sum starts with. The sum is returned: to make an array for it takes as
    long as to walk a good part of the trees.
    """
    total = start
    trees = roots.shape[0]
    tree = 0
    while tree + 4 <= trees:
        a = roots[tree] & 0x3FFFFFFF
        b = roots[tree + 1] & 0x3FFFFFFF
        c = roots[tree + 2] & 0x3FFFFFFF
        d = roots[tree + 3] & 0x3FFFFFFF
        while True:
            a = _step(a, row, feature, limit, child)
            b = _step(b, row, feature, limit, child)
            c = _step(c, row, feature, limit, child)
            d = _step(d, row, feature, limit, child)
            next_a = _step(a, row, feature, limit, child)
            next_b = _step(b, row, feature, limit, child)
            next_c = _step(c, row, feature, limit, child)
            next_d = _step(d, row, feature, limit, child)
            moved = (a ^ next_a) | (b ^ next_b) | (c ^ next_c) | (d ^ next_d)
            a, b, c, d = next_a, next_b, next_c, next_d
            if moved == 0:
                break
        total += leaf[a]
        total += leaf[b]
        total += leaf[c]
        total += leaf[d]
        tree += 4
    while tree < trees:
        a = roots[tree] & 0x3FFFFFFF
        while True:
            next_a = _step(a, row, feature, limit, child)
            if next_a == a:
                break
            a = next_a
        total += leaf[a]
        tree += 1
    return total
