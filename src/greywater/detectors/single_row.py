"""Boosted trees as plain arrays: exported from a library's text, and scored in kernels, one row as many rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from greywater.detectors.saved import MEND
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array

__all__ = ["TreeArrays"]

FLOAT64: Final = np.dtype(np.float64)
#: Rows a thread takes at a time.
SHARE: Final = 4_096
#: LightGBM's decision_type: bit 0 = categories, bit 1 = not defined goes left, bits 2 and 3 = how NaN is met.
_CATEGORIES, _NAN_LEFT, _NAN_IS_MISSING, _ZERO_IS_MISSING = 1, 2, 8, 4


@dataclass(frozen=True)
class _Tree:
    """One tree as its library numbers it: children int64[nodes] (-1 in a leaf), splits, and what a leaf adds."""

    left: Int64Array
    right: Int64Array
    feature: Int64Array
    limit: Float64Array
    nan_left: NDArray[np.bool_]
    value: Float64Array


@dataclass(frozen=True)
class TreeArrays:
    """Trees over raw columns; node arrays have one entry a node, a right child lies next to the left one.

    A row's margin is `start` plus one leaf a tree, added in the order of the trees and in the library's own width
    (float64 for LightGBM, float32 for XGBoost). For LightGBM the bits are those of its own batch prediction; one row
    has the bits of the batch in any case.

    Parameters
    ----------
    features : int
        Columns of a row.
    roots, steps : int64[trees]
        First node of each tree, and the steps to its deepest leaf.
    feature : int32[nodes]
        Feature of the split; 0 in a leaf.
    limit : float64[nodes]
        Values up to this go left; +inf in a leaf.
    child : int32[nodes]
        Twice the left child (a leaf names itself), plus 1 where NaN goes left.
    leaf : float64[nodes] or float32[nodes]
        What a leaf adds.
    start : float
        What the sum starts with.
    """

    features: int
    roots: Int64Array
    steps: Int64Array
    feature: NDArray[np.int32]
    limit: Float64Array
    child: NDArray[np.int32]
    leaf: NDArray[np.floating[Any]]
    start: float = 0.0

    @classmethod
    def from_lightgbm(cls, text: str) -> Self:
        """Export the text that LightGBM's `model_to_string` writes.

        Raises
        ------
        DetectorError
            The text is not that of numerical, piecewise constant trees.
        """
        try:
            features = 1 + int(_line(text, "max_feature_idx"))
            trees = [_lightgbm_tree(part) for part in text.split("\nTree=")[1:]]
        except (KeyError, ValueError, IndexError) as error:
            raise DetectorError(f"the text holds no LightGBM trees: {error}", mend=MEND) from error
        return cls._joined(features, trees, np.dtype(np.float64), 0.0)

    @classmethod
    def from_xgboost(cls, text: str, start: float) -> Self:
        """Export the JSON that XGBoost's `save_raw("json")` gives; `start` is the margin every row begins with.

        A split `float32(x) < t` becomes `x <= r` with r the greatest float64 for which it holds.

        Raises
        ------
        DetectorError
            The text is not that of numerical trees.
        """
        try:
            learner = json.loads(text)["learner"]
            features = int(learner["learner_model_param"]["num_feature"])
            trees = [_xgboost_tree(tree) for tree in learner["gradient_booster"]["model"]["trees"]]
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise DetectorError(f"the text holds no XGBoost trees: {error}", mend=MEND) from error
        return cls._joined(features, trees, np.dtype(np.float32), start)

    @classmethod
    def _joined(cls, features: int, trees: Sequence[_Tree], width: np.dtype[Any], start: float) -> Self:
        roots, steps = np.zeros(len(trees), np.int64), np.zeros(len(trees), np.int64)
        feature: list[Int64Array] = []
        limit: list[Float64Array] = []
        child: list[Int64Array] = []
        leaf: list[Float64Array] = []
        nodes = 0
        for number, tree in enumerate(trees):
            order, first, steps[number] = _level_by_level(tree)
            roots[number] = nodes
            inner = tree.left[order] >= 0
            used = np.where(inner, tree.feature[order], 0)
            if bool((used < 0).any() or (used >= features).any() or np.isnan(tree.limit[order][inner]).any()):
                raise DetectorError("a split names no column or no threshold", mend=MEND)
            feature.append(used)
            limit.append(np.where(inner, tree.limit[order], np.inf))
            child.append(2 * (first + nodes) + (~inner | tree.nan_left[order]))
            leaf.append(np.where(inner, 0.0, tree.value[order]))
            nodes += len(order)
        if nodes >= 2**30:
            raise DetectorError(f"{nodes} nodes are more than can be walked", mend="grow fewer trees")
        joined = [np.concatenate([np.zeros(0), *parts]) for parts in (feature, limit, child, leaf)]
        if not np.isfinite(joined[3]).all():
            raise DetectorError("a leaf is not finite", mend=MEND)
        return cls(
            features,
            roots,
            steps,
            joined[0].astype(np.int32),
            joined[1],
            joined[2].astype(np.int32),
            joined[3].astype(width),
            start,
        )

    def margins(self, rows: Float64Array, threads: int = 1) -> Float64Array:
        """Raw scores float64[n] of rows float64[n, features], NaN = not defined."""
        from greywater.kernels.boosted_trees import TILE, tree_margins

        rows = np.ascontiguousarray(rows, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.features:
            raise _other_width(self.features, rows.shape)
        total = np.full(len(rows), self.start, self.leaf.dtype)
        trees = (self.roots, self.steps, self.feature, self.limit, self.child, self.leaf)

        def walk(low: int, high: int) -> None:
            tree_margins(rows[low:high], *trees, np.empty(TILE, np.int64), total[low:high])

        cuts = [(low, min(low + SHARE, len(rows))) for low in range(0, len(rows), SHARE)]
        if threads == 1 or len(cuts) < 2:
            for low, high in cuts:
                walk(low, high)
        else:
            with ThreadPoolExecutor(threads) as pool:
                for done in [pool.submit(walk, low, high) for low, high in cuts]:
                    done.result()
        return total.astype(np.float64)

    def margin(self, row: Float64Array) -> float:
        """Raw score of one row float64[features], with the bits of `margins`; any number of threads may ask.

        Examples
        --------
        >>> text = "max_feature_idx=0\\n\\nTree=0\\nnum_leaves=2\\nnum_cat=0\\nsplit_feature=0\\nthreshold=1.5\\n"
        >>> text += "decision_type=2\\nleft_child=-1\\nright_child=-2\\nleaf_value=-0.25 0.5\\nis_linear=0\\n"
        >>> TreeArrays.from_lightgbm(text).margin(np.array([2.0]))
        0.5
        """
        if row.shape != self._shape or row.dtype != FLOAT64:
            raise _other_width(self.features, row.shape)
        walk, arrays = self._walker
        return float(walk(row, *arrays))

    @cached_property
    def _shape(self) -> tuple[int]:
        """Of one row."""
        return (self.features,)

    @cached_property
    def _walker(self) -> tuple[Callable[..., float], tuple[Any, ...]]:
        """The kernel for one row, and what it takes beside it; looked up once, for that takes long beside its work."""
        from greywater.kernels.boosted_trees import row_margin

        start = self.leaf.dtype.type(self.start)
        return row_margin, (self.roots, self.feature, self.limit, self.child, self.leaf, start)


def _other_width(features: int, shape: tuple[int, ...]) -> DetectorError:
    return DetectorError(
        f"rows of shape {shape} do not fit {features} features", where="rows", mend="give float64 rows of the features"
    )


def _line(text: str, key: str) -> str:
    """What follows `key=` on its line."""
    begin = 0 if text.startswith(f"{key}=") else text.index(f"\n{key}=") + 1
    return text[begin:].split("\n", 1)[0].partition("=")[2]


def _lightgbm_tree(text: str) -> _Tree:
    held = dict(line.split("=", 1) for line in text.split("\n") if "=" in line)
    leaves = int(held["num_leaves"])
    if int(held["num_cat"]) or held.get("is_linear", "0") not in ("0", ""):
        raise ValueError("a tree with categories or linear leaves")
    inner = leaves - 1

    def numbers(key: str, count: int) -> Float64Array:
        found = np.array(held[key].split(), np.float64) if count else np.zeros(0)
        if len(found) != count:
            raise ValueError(f"{len(found)} values of {key} for {count}")
        return found

    kind = numbers("decision_type", inner).astype(np.int64)
    if bool((kind & (_CATEGORIES | _ZERO_IS_MISSING)).any()):
        raise ValueError("a split by categories, or one that takes zeros for missing values")
    limit = numbers("threshold", inner)
    # Where a column had no NaN in training, LightGBM reads one as 0.
    nan_left = np.where(kind & _NAN_IS_MISSING, (kind & _NAN_LEFT) != 0, limit >= 0)
    sides = [numbers(key, inner).astype(np.int64) for key in ("left_child", "right_child")]
    left, right = (np.where(side >= 0, side, inner + ~side) for side in sides)  # ~k names leaf k
    none = np.full(leaves, -1, np.int64)
    return _Tree(
        np.concatenate([left, none]),
        np.concatenate([right, none]),
        np.concatenate([numbers("split_feature", inner).astype(np.int64), none]),
        np.concatenate([limit, np.full(leaves, np.inf)]),
        np.concatenate([nan_left, np.ones(leaves, np.bool_)]),
        np.concatenate([np.zeros(inner), numbers("leaf_value", leaves)]),
    )


def _xgboost_tree(tree: dict[str, Any]) -> _Tree:
    left = np.array(tree["left_children"], np.int64)
    if any(int(kind) for kind in tree.get("split_type", ())):
        raise ValueError("a split by categories")
    inner = left >= 0
    condition = np.array(tree["split_conditions"], np.float64).astype(np.float32)
    arrays = [np.array(tree[key], np.int64) for key in ("right_children", "split_indices", "default_left")]
    if any(array.size != left.size for array in arrays) or condition.size != left.size:
        raise ValueError("arrays of a tree differ in length")
    return _Tree(
        left,
        arrays[0],
        arrays[1],
        np.where(inner, _below(condition), np.inf),
        arrays[2] != 0,
        np.where(inner, 0.0, condition.astype(np.float64)),
    )


def _below(limit: NDArray[np.float32]) -> Float64Array:
    """Greatest float64 x with float32(x) < limit: just under, or at, the middle of limit and the float32 before it.

    Rounding to the nearest sends the middle itself to the neighbour whose last bit is even.
    """
    before = np.nextafter(limit, np.float32(-np.inf))
    middle = (before.astype(np.float64) + limit.astype(np.float64)) / 2
    falls = middle.astype(np.float32) < limit
    result: Float64Array = np.where(falls, middle, np.nextafter(middle, -np.inf))
    return result


def _level_by_level(tree: _Tree) -> tuple[Int64Array, Int64Array, int]:
    """Nodes level by level, so that siblings are neighbours: old numbers, each left child's new number, the depth.

    Raises
    ------
    DetectorError
        A node is reached twice, or a child is none of the nodes: a forged or damaged text.
    """
    nodes = len(tree.left)
    order = [0] if nodes else []
    depth = [0]
    first = np.zeros(nodes, np.int64)
    for new, old in enumerate(order):  # the list grows as it is walked
        left, right = int(tree.left[old]), int(tree.right[old])
        first[new] = len(order) if left >= 0 else new
        if left >= 0:
            if not (0 < left < nodes and 0 < right < nodes) or len(order) + 2 > nodes:
                raise DetectorError("the nodes of a tree are no tree", mend=MEND)
            order += [left, right]
            depth += [depth[new] + 1] * 2
    if not order or len(set(order)) != len(order):
        raise DetectorError("the nodes of a tree are no tree", mend=MEND)
    return np.array(order, np.int64), first[: len(order)], max(depth)
