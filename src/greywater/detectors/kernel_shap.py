"""Contributions of any detector by score calls alone: Kernel SHAP, exact where there are few features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import comb
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.detectors.detector import Detector
from greywater.detectors.rows import matrix
from greywater.errors import DetectorError
from greywater.stores.blocks import TableRows
from greywater.vocab import Float64Array, Int64Array, TrainingTable

__all__ = ["EXACT_UP_TO", "explain_by_calls", "kernel_shap"]

#: With at most so many players every coalition is asked, and the contributions are exact Shapley values.
EXACT_UP_TO: Final = 11
#: Coalitions drawn beyond that.
COALITIONS: Final = 2_048
#: Rows scored in one call.
CALL_ROWS: Final = 16_384

#: Spreads beyond which a value is no farther: an infinite one leaves its neighbours a share.
_FARTHEST: Final = 1e12

Score = Callable[[Float64Array], Float64Array]
BoolArray = NDArray[np.bool_]


def kernel_shap(
    score: Score,
    rows: Float64Array,
    background: Float64Array,
    *,
    groups: Int64Array | None = None,
    coalitions: int = COALITIONS,
    seed: int = 7,
) -> Float64Array:
    """Shapley values of a score, from calls alone (Lundberg & Lee 2017).

    A coalition's worth is the mean score of the row with the values of the features outside the coalition taken from
    each background row. Up to EXACT_UP_TO players all coalitions are asked and the values are exact. With more,
    coalitions are drawn by the kernel's weight, each with its complement, and the weighted least squares problem is
    solved under the constraint that the contributions sum to score minus base. Features that are as in all background
    rows are no players and get 0. The same seed gives the same values.

    Parameters
    ----------
    score : callable
        float64[k, features] -> float64[k]; each row's score must not depend on the others.
    rows : float64[n, features]
        What is explained.
    background : float64[b, features]
        Typical rows, a few dozen; b >= 1.
    groups : int64[features], optional
        Features with the same number are one player: they are swapped together, and their common contribution is
        shared among those that differ from the background by how far they do, in the background's spreads.
    coalitions : int
        Coalitions drawn a row where there are many players.
    seed : int
        Of the draws.

    Returns
    -------
    float64[n, features + 1]
        Contributions, and the base value (the mean score of the background) in the last column; each row sums to its
        score.

    Raises
    ------
    DetectorError
        Shapes that do not fit, no background, or a score that is not finite.

    Examples
    --------
    >>> weights = np.array([1.0, 2.0, 0.0])
    >>> found = kernel_shap(lambda X: X @ weights, np.array([[1.0, 1.0, 1.0]]), np.zeros((1, 3)))
    >>> np.round(found, 12).tolist()
    [[1.0, 2.0, 0.0, 0.0]]
    """
    given, typical = np.asarray(rows, np.float64), np.asarray(background, np.float64)
    if given.ndim != 2 or typical.ndim != 2 or given.shape[1] != typical.shape[1] or not len(typical):
        raise DetectorError(
            f"rows of shape {given.shape} do not fit a background of shape {typical.shape}",
            where="kernel_shap",
            mend="give the same columns, and at least one background row",
        )
    columns = given.shape[1]
    numbers = np.arange(columns) if groups is None else np.asarray(groups, np.int64)
    if numbers.shape != (columns,):
        raise DetectorError(f"{len(numbers)} groups for {columns} features", where="kernel_shap", mend="one a feature")
    base = float(np.mean(_called(score, typical)))
    found = np.zeros((len(given), columns + 1))
    found[:, columns] = base
    for place, row in enumerate(given):
        differs: BoolArray = np.logical_not(np.all(_same(typical, row[None, :]), axis=0))
        players = np.unique(numbers[differs])
        if not len(players):
            continue
        member = (numbers[None, :] == players[:, None]) & differs[None, :]
        values = _shapley(score, row, typical, member, base, coalitions, seed)
        found[place, :columns] = values @ _shares(member, row, typical)
    return found


def explain_by_calls(
    detector: Detector,
    X: TrainingTable,
    background: TrainingTable,
    *,
    groups: Int64Array | None = None,
    coalitions: int = COALITIONS,
    seed: int = 7,
) -> Float64Array:
    """Contributions of any Detector, for those that have none of their own; as `kernel_shap`.

    Parameters
    ----------
    detector : Detector
        Only `score` is called.
    X, background : TrainingTable
        What is explained (n rows), and typical rows; both with the detector's columns.

    Returns
    -------
    float64[n, features + 1]
    """
    names = X.names
    table = pa.Table.from_batches(list(X.batches()))
    typical = matrix(pa.Table.from_batches(list(background.batches())))
    types = [field.type for field in table.schema]

    def score(rows: Float64Array) -> Float64Array:
        return detector.score(TableRows(as_table(rows, names, types)))

    return kernel_shap(score, matrix(table), typical, groups=groups, coalitions=coalitions, seed=seed)


def as_table(rows: Float64Array, names: Sequence[str], types: Sequence[pa.DataType]) -> pa.Table:
    """Rows float64[n, columns] as an Arrow table with the columns' own types; int64 columns are rounded.

    Examples
    --------
    >>> as_table(np.array([[1.6, 0.5]]), ["a", "b"], [pa.int64(), pa.float64()]).to_pylist()
    [{'a': 2, 'b': 0.5}]
    """
    arrays = [
        pa.array(np.rint(rows[:, place]).astype(np.int64) if kind == pa.int64() else rows[:, place])
        for place, kind in enumerate(types)
    ]
    return pa.Table.from_arrays(arrays, names=list(names))


def _shapley(
    score: Score,
    row: Float64Array,
    background: Float64Array,
    member: BoolArray,
    base: float,
    coalitions: int,
    seed: int,
) -> Float64Array:
    """Shapley values float64[players] of one row."""
    players = len(member)
    whole = float(_called(score, row[None, :])[0])
    if players == 1:
        return np.array([whole - base])
    if players <= EXACT_UP_TO:
        every = (np.arange(2**players)[:, None] >> np.arange(players)[None, :] & 1).astype(np.bool_)
        worth = np.empty(len(every))
        worth[0], worth[-1] = base, whole
        worth[1:-1] = _worth(score, row, background, member, every[1:-1])
        return _exact(every, worth)
    drawn, weight = _drawn(players, coalitions, seed)
    return _least_squares(drawn, weight, _worth(score, row, background, member, drawn) - base, whole - base)


def _exact(every: BoolArray, worth: Float64Array) -> Float64Array:
    """Shapley's formula over all coalitions; row number of a coalition = its members as bits."""
    players = every.shape[1]
    size = every.sum(axis=1)
    share = np.array([1 / (players * comb(players - 1, k)) for k in range(players)])
    found = np.empty(players)
    for player in range(players):
        without = np.flatnonzero(~every[:, player])
        found[player] = float(np.sum(share[size[without]] * (worth[without + (1 << player)] - worth[without])))
    return found


def _drawn(players: int, coalitions: int, seed: int) -> tuple[BoolArray, Float64Array]:
    """Distinct coalitions bool[k, players] with weights float64[k].

    Sizes whose coalitions all fit are taken whole, from the outside in; the rest is drawn in pairs with the complement.
    """
    generator = np.random.default_rng(seed)
    mass = {k: (players - 1) / (k * (players - k)) for k in range(1, players)}
    left, kept, weights = max(coalitions, 2 * players), [], []
    sizes = list(range(1, players // 2 + 1))
    while sizes:
        size = sizes[0]
        both = 1 if 2 * size == players else 2
        count = comb(players, size) * both
        if count > left:
            break
        for chosen in _subsets(players, size):
            kept += [chosen] if both == 1 else [chosen, ~chosen]
            weights += [mass[size] / comb(players, size)] * both
        left -= count
        sizes.pop(0)
    if sizes and left >= 2:
        chance = np.array([mass[size] * (1 if 2 * size == players else 2) for size in sizes])
        total = float(chance.sum())
        seen: dict[bytes, int] = {}
        rows: list[BoolArray] = []
        times: list[int] = []
        for size in generator.choice(sizes, size=left // 2, p=chance / total).tolist():
            chosen = np.zeros(players, np.bool_)
            chosen[generator.choice(players, size=size, replace=False)] = True
            for each in (chosen, ~chosen):
                at = seen.setdefault(each.tobytes(), len(rows))
                if at == len(rows):
                    rows.append(each)
                    times.append(0)
                times[at] += 1
        kept += rows
        weights += [total * number / sum(times) for number in times]
    return np.array(kept, np.bool_), np.array(weights)


def _subsets(players: int, size: int) -> Iterator[BoolArray]:
    from itertools import combinations

    for members in combinations(range(players), size):
        chosen = np.zeros(players, np.bool_)
        chosen[list(members)] = True
        yield chosen


def _least_squares(coalition: BoolArray, weight: Float64Array, worth: Float64Array, total: float) -> Float64Array:
    """Weighted least squares with contributions that sum to `total`: the last one is what the others leave."""
    x = coalition.astype(np.float64)
    design = x[:, :-1] - x[:, -1:]
    target = worth - x[:, -1] * total
    root = np.sqrt(weight)
    found, *_ = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)
    return np.append(found, total - float(found.sum()))


def _worth(
    score: Score, row: Float64Array, background: Float64Array, member: BoolArray, coalitions: BoolArray
) -> Float64Array:
    """Mean score float64[k] of the row with the features outside each coalition from each background row."""
    # A feature outside every player is as in all background rows: it does not matter whose value it has.
    own = (coalitions.astype(np.int64) @ member.astype(np.int64)) > 0
    found = np.empty(len(own))
    step = max(1, CALL_ROWS // len(background))
    for begin in range(0, len(own), step):
        part = own[begin : begin + step]
        asked = np.where(part[:, None, :], row[None, None, :], background[None, :, :])
        scores = _called(score, asked.reshape(-1, len(row)))
        found[begin : begin + step] = scores.reshape(len(part), len(background)).mean(axis=1)
    return found


def _shares(member: BoolArray, row: Float64Array, background: Float64Array) -> Float64Array:
    """How each player's contribution is shared among its features, float64[players, features]; rows sum to 1."""
    if member.sum() == len(member):
        return member.astype(np.float64)
    spread = np.nan_to_num(np.nanstd(np.where(np.isnan(background), 0.0, background), axis=0))
    middle = np.median(np.where(np.isnan(background), 0.0, background), axis=0)
    far = np.minimum(np.abs(np.nan_to_num(row) - middle) / np.where(spread > 0, spread, 1.0), _FARTHEST) + 1e-9
    mass = np.where(member, far[None, :], 0.0)
    shares: Float64Array = mass / mass.sum(axis=1, keepdims=True)
    return shares


def _same(left: Float64Array, right: Float64Array) -> BoolArray:
    same: BoolArray = (left == right) | (np.isnan(left) & np.isnan(right))
    return same


def _called(score: Score, rows: Float64Array) -> Float64Array:
    found = np.asarray(score(rows), np.float64)
    if found.shape != (len(rows),) or not np.isfinite(found).all():
        raise DetectorError(
            "the score is not one finite number a row", where="kernel_shap", mend="look at what the detector returns"
        )
    return found
