"""Walks rows of features down isolation trees: summed path lengths, and what each split added to them."""

from __future__ import annotations

import numpy as np

from greywater.kernels.compile import kernel
from greywater.vocab import Float64Array, Int64Array

__all__ = ["TILE", "path_contributions", "path_lengths"]


#: Rows that walk a tree side by side, so that its nodes stay in the cache and the steps overlap.
TILE = 64


@kernel
def path_lengths(
    rows: Float64Array,
    roots: Int64Array,
    depth: Int64Array,
    feature: Int64Array,
    threshold: Float64Array,
    missing_left: Int64Array,
    child: Int64Array,
    length: Float64Array,
    place: Int64Array,
    out: Float64Array,
) -> None:
    """Sum over the trees of the path length of each row.

    A step has no branch: the right child lies next to the left one, and a leaf sends every row to itself.

    Parameters
    ----------
    rows : float64[n, features]
        NaN = not defined.
    roots, depth : int64[trees]
        The first node of each tree, and the steps to its deepest leaf.
    feature, missing_left, child : int64[nodes]
        Feature of the split, 1 where NaN goes left, and the left child. In a leaf: 0, 1 and the leaf itself.
    threshold : float64[nodes]
        Rows with value <= threshold go left; +inf in a leaf.
    length : float64[nodes]
        Path length of a leaf, with what the rows left in it would still add (Liu, Ting & Zhou 2008).
    place : int64[TILE]
        Scratch.
    out : float64[n]
        Written.
    """
    count = rows.shape[0]
    for first in range(0, count, TILE):
        width = min(TILE, count - first)
        for row in range(width):
            out[first + row] = 0.0
        for tree in range(roots.shape[0]):
            for row in range(width):
                place[row] = roots[tree]
            for _ in range(depth[tree]):
                for row in range(width):
                    node = place[row]
                    value = rows[first + row, feature[node]]
                    left = np.int64(value <= threshold[node]) | (np.int64(value != value) & missing_left[node])
                    place[row] = child[node] + (1 - left)
            for row in range(width):
                out[first + row] += length[place[row]]


@kernel
def path_contributions(
    rows: Float64Array,
    roots: Int64Array,
    feature: Int64Array,
    threshold: Float64Array,
    missing_left: Int64Array,
    child: Int64Array,
    expected: Float64Array,
    out: Float64Array,
) -> None:
    """Add to out[row, f] by how much each split on feature f changed the expected path length, over all trees.

    `expected` float64[nodes] is the mean path length of the training rows that reach a node (in a leaf, its length),
    so a row of `out` sums to the row's summed path length less that expected at the roots. `out` float64[n, features]
    is added to; the other arrays are as in `path_lengths`.
    """
    for row in range(rows.shape[0]):
        for tree in range(roots.shape[0]):
            node = roots[tree]
            while child[node] != node:
                value = rows[row, feature[node]]
                left = np.int64(value <= threshold[node]) | (np.int64(value != value) & missing_left[node])
                after = child[node] + (1 - left)
                out[row, feature[node]] += expected[after] - expected[node]
                node = after
