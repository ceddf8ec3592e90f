"""An isolation forest as plain arrays: exported from scikit-learn, checked, scored and explained in kernels."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from greywater.detectors.saved import MEND
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array

__all__ = ["Forest", "Preparation"]

#: Rows a thread takes at a time.
SHARE: Final = 4_096
#: Columns whose medians are taken at a time.
COLUMNS: Final = 16


@dataclass(frozen=True)
class Preparation:
    """How raw columns become what the trees were grown on: signed logarithm, median for NaN, flags for NaN.

    An isolation tree splits uniformly between a column's least and greatest value, so heavy tails are drawn in by
    sign(x) * log(1 + |x|); shifting and scaling a column (standardising) changes nothing in such a tree and is left
    out. A NaN takes the column's training median; columns that are undefined in some rows but not all get a flag
    column, one for each distinct pattern of missing rows.

    Parameters
    ----------
    medians : float64[features]
        Training medians of the prepared columns; 0 where a column is always undefined.
    flagged : int64[flags]
        Features whose being undefined is a column of its own.
    """

    medians: Float64Array
    flagged: Int64Array

    @classmethod
    def learn(cls, rows: Float64Array) -> Self:
        """Take medians and flags from sample rows float64[n, features]."""
        patterns: dict[bytes, int] = {}
        medians = np.zeros(rows.shape[1])
        for start in range(0, rows.shape[1], COLUMNS):
            for place, column in enumerate(np.ascontiguousarray(rows[:, start : start + COLUMNS].T), start):
                missing = np.isnan(column)
                known = column[~missing] if missing.any() else column
                if len(known):
                    medians[place] = _median_of_logs(known)
                    if len(known) < len(column):
                        patterns.setdefault(np.packbits(missing).tobytes(), place)
        return cls(medians, np.array(sorted(patterns.values()), np.int64))

    def __call__(self, rows: Float64Array) -> NDArray[np.float32]:
        """The prepared rows float32[n, features + flags], as trees take them."""
        features = len(self.medians)
        prepared = np.empty((len(rows), features + len(self.flagged)), np.float32)
        for start in range(0, len(rows), SHARE):
            part = slice(start, start + SHARE)
            missing = np.isnan(rows[part])
            prepared[part, :features] = np.where(missing, self.medians, signed_log(rows[part]))
            prepared[part, features:] = missing[:, self.flagged]
        return prepared


def signed_log(rows: Float64Array) -> Float64Array:
    """sign(x) * log(1 + |x|), with infinities drawn in to the greatest float64; NaN stays.

    Examples
    --------
    >>> signed_log(np.array([-np.e + 1, 0.0])).round(12).tolist()
    [-1.0, 0.0]
    """
    size = np.minimum(np.abs(rows), np.finfo(np.float64).max)
    result: Float64Array = np.copysign(np.log1p(size), rows)
    return result


def _median_of_logs(column: Float64Array) -> float:
    """The median of the signed logarithms: they keep the order, so only those of the middle values are taken."""
    middle = np.unique([(len(column) - 1) // 2, len(column) // 2])
    return float(signed_log(np.partition(column, middle)[middle]).mean())


@dataclass(frozen=True)
class Forest:
    """Trees over raw columns; node arrays have one entry a node, a right child lies next to the left one.

    `roots` and `depth` int64[trees]; `feature` int64 (0 in a leaf), `threshold` float64 on the raw value (+inf in a
    leaf), `missing_left` int64 (1: NaN goes left), `child` int64 (the left child; a leaf names itself), `length`
    float64 (path length in a leaf), `expected` float64 (mean path length of the training rows below a node);
    `scale` float64[1]: summed path length at which the score is 0.5.
    """

    features: int
    roots: Int64Array
    depth: Int64Array
    feature: Int64Array
    threshold: Float64Array
    missing_left: Int64Array
    child: Int64Array
    length: Float64Array
    expected: Float64Array
    scale: Float64Array

    @classmethod
    def from_sklearn(cls, model: Any, preparation: Preparation) -> Self:
        """Export a fitted `IsolationForest` that was grown on prepared rows.

        A split `float32(prepared(x)) <= t` becomes `x <= r` with r the greatest float64 for which it holds, found by
        bisection, so that raw rows are scored without preparing them and with the same outcome.
        """
        features = len(preparation.medians)
        trees: list[dict[str, Any]] = []
        roots = [0]
        for estimator, used in zip(model.estimators_, model.estimators_features_, strict=True):
            tree = estimator.tree_
            inner = tree.children_left >= 0
            column = np.where(inner, used[np.maximum(tree.feature, 0)], 0).astype(np.int64)
            flag = column >= features
            split = inner & ~flag
            limit = np.full(len(column), np.inf)  # a flag is 0 or 1: NaN goes right, all else left
            limit[split] = _raw_threshold(tree.threshold[split])
            median = preparation.medians[np.where(split, column, 0)].astype(np.float32)
            column[flag] = preparation.flagged[column[flag] - features]
            length = _path_lengths(tree)
            order, child = _side_by_side(tree)
            nodes = {
                "feature": column,
                "threshold": limit,
                "missing_left": (~inner | (split & (median <= tree.threshold))).astype(np.int64),
                "length": np.where(inner, 0.0, length),
                "expected": _expected(tree, length),
            }
            trees.append({name: array[order] for name, array in nodes.items()} | {"child": child + roots[-1]})
            roots.append(roots[-1] + len(column))
        joined: dict[str, Any] = {name: np.concatenate([tree[name] for tree in trees]) for name in NODES}
        return cls(
            features=features,
            roots=np.array(roots[:-1], np.int64),
            depth=np.array([estimator.tree_.max_depth for estimator in model.estimators_], np.int64),
            scale=np.array([len(trees) * _average_path_length(np.array([model.max_samples_]))[0] or 1.0]),
            **joined,
        )

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray[Any, Any]], features: int) -> Self:
        """Rebuild from `arrays()`; every index is checked, so that a forged file cannot lead a kernel astray.

        Raises
        ------
        DetectorError
            An array is missing, or the nodes are no trees over `features` columns.
        """
        floats = ("threshold", "length", "expected", "scale")
        try:
            held: dict[str, Any] = {
                name: np.ascontiguousarray(arrays[name], np.float64 if name in floats else np.int64) for name in ARRAYS
            }
        except (KeyError, ValueError) as error:
            raise DetectorError(f"an array of the forest is missing or odd: {error}", mend=MEND) from error
        nodes = len(held["feature"])
        number = np.arange(nodes)
        leaf = held["child"] == number
        sound = (
            all(array.ndim == 1 for array in held.values())
            and all(len(held[name]) == nodes for name in NODES)
            and len(held["depth"]) == len(held["roots"])
            and len(held["scale"]) == 1
            and held["scale"][0] > 0
            and bool(((held["roots"] >= 0) & (held["roots"] < nodes)).all())
            and bool(((held["depth"] >= 0) & (held["depth"] <= nodes)).all())
            and bool(((held["feature"] >= 0) & (held["feature"] < features)).all())
            and bool(np.isin(held["missing_left"], (0, 1)).all())
            and bool((leaf | ((held["child"] > number) & (held["child"] < nodes - 1))).all())
            and bool((held["threshold"][leaf] == np.inf).all() and (held["missing_left"][leaf] == 1).all())
            and bool(np.isfinite(held["length"]).all() and np.isfinite(held["expected"]).all())
        )
        if not sound:
            raise DetectorError("the nodes of the forest are no trees", mend=MEND)
        return cls(features=features, **held)

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """The arrays to save."""
        return {name: getattr(self, name) for name in ARRAYS}

    def score(self, rows: Float64Array, threads: int = 1) -> Float64Array:
        """Anomaly score float64[n] in (0, 1) of raw rows: 2^(-mean path length / its expectation)."""
        from greywater.kernels.isolation import TILE, path_lengths

        total = np.zeros(len(rows))
        nodes = (self.feature, self.threshold, self.missing_left, self.child, self.length)

        def walk(low: int, high: int) -> None:
            path_lengths(rows[low:high], self.roots, self.depth, *nodes, np.empty(TILE, np.int64), total[low:high])

        _in_threads(walk, len(rows), threads)
        result: Float64Array = 2.0 ** (-total / self.scale[0])
        return result

    def explain(self, rows: Float64Array, threads: int = 1) -> Float64Array:
        """Additive contributions float64[n, features + 1] to the score; the last column is the base value.

        Each split is credited with the change it makes to the expected path length. Those changes sum exactly to
        the path length; they are scaled by one factor a row so that, with the base (the score of the expected path
        length), they sum to the score.
        """
        from greywater.kernels.isolation import path_contributions

        changes = np.zeros((len(rows), self.features))
        nodes = (self.roots, self.feature, self.threshold, self.missing_left, self.child, self.expected)
        _in_threads(lambda low, high: path_contributions(rows[low:high], *nodes, changes[low:high]), len(rows), threads)
        score = self.score(rows, threads)
        start = float(self.expected[self.roots].sum())
        base = float(2.0 ** (-start / self.scale[0]))
        moved = changes.sum(axis=1)
        still = np.abs(moved) < 1e-9
        slope = np.where(still, -np.log(2) * base / self.scale[0], (score - base) / np.where(still, 1.0, moved))
        return np.hstack([changes * slope[:, None], np.full((len(rows), 1), base)])


#: Arrays with one entry a node, and all arrays of a forest.
NODES: Final = ("feature", "threshold", "missing_left", "child", "length", "expected")
ARRAYS: Final = ("roots", "depth", *NODES, "scale")


def _in_threads(work: Callable[[int, int], Any], rows: int, threads: int) -> None:
    """Run work(low, high) over shares of the rows; the kernels hold no interpreter lock and start no threads."""
    cuts = [(low, min(low + SHARE, rows)) for low in range(0, rows, SHARE)]
    if threads == 1 or len(cuts) < 2:
        for low, high in cuts:
            work(low, high)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, low, high) for low, high in cuts]:
            done.result()


def _average_path_length(rows: np.ndarray[Any, Any]) -> Float64Array:
    """Mean path length of an unsuccessful search in a binary tree of that many rows (Liu, Ting & Zhou 2008)."""
    count = np.asarray(rows, np.float64)
    safe = np.maximum(count, 3)
    long = 2.0 * (np.log(safe - 1.0) + np.euler_gamma) - 2.0 * (safe - 1.0) / safe
    result: Float64Array = np.where(count <= 1, 0.0, np.where(count == 2, 1.0, long))
    return result


def _path_lengths(tree: Any) -> Float64Array:
    """The path length a row has that ends in a node: its depth and what the training rows there would add."""
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):
        if tree.children_left[node] >= 0:
            depth[tree.children_left[node]] = depth[tree.children_right[node]] = depth[node] + 1
    return depth + _average_path_length(tree.n_node_samples)


def _side_by_side(tree: Any) -> tuple[Int64Array, Int64Array]:
    """Nodes level by level, so that siblings are neighbours: old number of each, and the left child's new number."""
    order = [0]
    child = np.zeros(tree.node_count, np.int64)
    for new, old in enumerate(order):  # the list grows as it is walked
        left, right = int(tree.children_left[old]), int(tree.children_right[old])
        child[new] = len(order) if left >= 0 else new
        if left >= 0:
            order += [left, right]
    return np.array(order, np.int64), child


def _expected(tree: Any, length: Float64Array) -> Float64Array:
    """Mean path length of the training rows below each node."""
    expected = length.copy()
    rows = tree.n_node_samples.astype(np.float64)
    for node in range(tree.node_count - 1, -1, -1):
        left, right = tree.children_left[node], tree.children_right[node]
        if left >= 0:
            expected[node] = (rows[left] * expected[left] + rows[right] * expected[right]) / rows[node]
    return expected


def _raw_threshold(prepared: Float64Array) -> Float64Array:
    """Greatest float64 x with float32(signed_log(x)) <= threshold, by bisection over the ordered floats."""
    sign = np.int64(-(2**63))

    def value(order: Int64Array) -> Float64Array:
        bits = np.where(order < 0, np.bitwise_xor(~order, sign), order)
        return bits.view(np.float64)

    top = np.array(np.finfo(np.float64).max).view(np.int64)
    low = np.full(len(prepared), -top - 1, np.int64)  # the least finite number: always goes left, or no number does
    high = np.full(len(prepared), top, np.int64)
    while bool((low < high).any()):
        middle = (low | high) - ((low ^ high) >> 1)  # the upper mean, without overflow
        goes_left = signed_log(value(middle)).astype(np.float32) <= prepared
        low = np.where(goes_left, middle, low)
        high = np.where(goes_left, high, middle - 1)
    return value(low)
