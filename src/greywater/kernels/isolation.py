"""Walks rows of features down isolation trees: summed path lengths, and what each split added to them."""

from __future__ import annotations

from greywater.kernels.compile import kernel
from greywater.vocab import Float64Array, Int64Array

__all__ = ["path_contributions", "path_lengths"]


@kernel
def path_lengths(
    rows: Float64Array,
    roots: Int64Array,
    feature: Int64Array,
    threshold: Float64Array,
    missing_left: Int64Array,
    left: Int64Array,
    right: Int64Array,
    length: Float64Array,
    out: Float64Array,
) -> None:
    """Sum over the trees of the path length of each row.

    Parameters
    ----------
    rows : float64[n, features]
        NaN = not defined; goes left where `missing_left` is 1.
    roots : int64[trees]
        The first node of each tree.
    feature, missing_left, left, right : int64[nodes]
        Feature of the split (-1 in a leaf), side of NaN, and the two children.
    threshold : float64[nodes]
        Rows with value <= threshold go left.
    length : float64[nodes]
        Path length of a leaf, with what the rows left in it would still add (Liu, Ting & Zhou 2008).
    out : float64[n]
        Written.
    """
    for row in range(rows.shape[0]):
        total = 0.0
        for tree in range(roots.shape[0]):
            node = roots[tree]
            while feature[node] >= 0:
                value = rows[row, feature[node]]
                goes_left = value <= threshold[node] or (value != value and missing_left[node] == 1)
                node = left[node] if goes_left else right[node]
            total += length[node]
        out[row] = total


@kernel
def path_contributions(
    rows: Float64Array,
    roots: Int64Array,
    feature: Int64Array,
    threshold: Float64Array,
    missing_left: Int64Array,
    left: Int64Array,
    right: Int64Array,
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
            while feature[node] >= 0:
                value = rows[row, feature[node]]
                goes_left = value <= threshold[node] or (value != value and missing_left[node] == 1)
                child = left[node] if goes_left else right[node]
                out[row, feature[node]] += expected[child] - expected[node]
                node = child
