"""Answers to class imbalance: weights, under-sampling, over-sampling and SMOTE, and rows thinned to a rarer rate."""

from __future__ import annotations

from typing import Final

import numpy as np

from greywater.detectors.alert_models import AlertRows
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array

__all__ = ["REMEDIES", "rebalanced", "smote", "thinned_to_rate"]

#: Name -> what it does.
REMEDIES: Final = {
    "none": "nothing",
    "weights": "each outcome weighs half",
    "under": "dismissed alerts are left out until there are as many as reported ones",
    "over": "reported alerts are drawn again until there are as many as dismissed ones",
    "smote": "reported alerts are made up between neighbours until there are as many as dismissed ones",
}
NEIGHBOURS: Final = 5
#: Rows whose distances are held at a time.
PIECE: Final = 1_024


def thinned_to_rate(y: Int64Array, rate: float, seed: int) -> Int64Array:
    """Places of rows of which a share `rate` is reported: the outcome that is too many is thinned, at random.

    Parameters
    ----------
    y : int64[n] in {0, 1}
    rate : float
        In (0, 1).
    seed : int

    Returns
    -------
    int64[k]
        Increasing; at least one of each outcome stays where there was one.

    Examples
    --------
    >>> y = np.repeat([0, 1], [90, 10])
    >>> kept = thinned_to_rate(y, 0.05, seed=1)
    >>> len(kept), int(y[kept].sum())
    (95, 5)
    """
    if not 0 < rate < 1:
        raise DetectorError(f"a rate of {rate} cannot be had", mend="give a share above 0 and below 1")
    reported, dismissed = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    draw = np.random.default_rng(seed)
    if len(reported) > rate * len(y):
        kept = max(1, round(len(dismissed) * rate / (1 - rate)))
        reported = draw.permutation(reported)[:kept]
    else:
        kept = max(1, round(len(reported) * (1 - rate) / rate))
        dismissed = draw.permutation(dismissed)[:kept]
    return np.sort(np.concatenate([reported, dismissed])).astype(np.int64)


def rebalanced(remedy: str, rows: AlertRows, seed: int) -> tuple[AlertRows, Float64Array | None]:
    """Rows to learn from after a remedy, in random order, and their weights where it gives any.

    Parameters
    ----------
    remedy : str
        Of REMEDIES.
    rows : AlertRows
        Scaled: SMOTE measures distances. Both outcomes present, reported the fewer.
    seed : int

    Returns
    -------
    AlertRows, float64[k] or None

    Examples
    --------
    >>> rows = AlertRows(np.arange(10.0)[:, None], np.repeat([0, 1], [8, 2]))
    >>> [int(rebalanced(name, rows, 1)[0].y.sum()) for name in REMEDIES]
    [2, 2, 2, 8, 8]
    """
    draw = np.random.default_rng(seed)
    reported, dismissed = np.flatnonzero(rows.y == 1), np.flatnonzero(rows.y == 0)
    if remedy not in REMEDIES:
        raise DetectorError(f"there is no remedy {remedy!r}", mend=f"use one of {', '.join(REMEDIES)}")
    if not len(reported) or not len(dismissed):
        raise DetectorError("one outcome only cannot be balanced", mend="give reported and dismissed alerts")
    missing = max(0, len(dismissed) - len(reported))
    if remedy == "under":
        rows = rows.take(np.concatenate([reported, draw.permutation(dismissed)[: len(reported)]]))
    elif remedy == "over":
        rows = rows.take(np.concatenate([reported, dismissed, draw.choice(reported, missing)]))
    elif remedy == "smote":
        made = smote(rows.X[reported], missing, seed)
        rows = AlertRows(np.concatenate([rows.X, made]), np.concatenate([rows.y, np.ones(missing, np.int64)]))
    rows = rows.take(draw.permutation(len(rows.y)))
    if remedy != "weights":
        return rows, None
    return rows, np.where(rows.y == 1, len(rows.y) / (2 * len(reported)), len(rows.y) / (2 * len(dismissed)))


def smote(X: Float64Array, count: int, seed: int, neighbours: int = NEIGHBOURS) -> Float64Array:
    """Rows made up between neighbours (Chawla et al., JAIR 2002).

    Each lies on the line from a row drawn at random to one of its nearest neighbours, at a share drawn from [0, 1).
    Of equally near neighbours the earlier row counts as nearer. A single row is repeated.

    Parameters
    ----------
    X : float64[n, columns]
        Rows of one outcome, scaled; n >= 1.
    count : int
        How many to make.
    seed : int
    neighbours : int
        Of each row; n - 1 where there are fewer.

    Returns
    -------
    float64[count, columns]

    Examples
    --------
    >>> made = smote(np.array([[0.0, 0.0], [1.0, 2.0]]), 3, seed=1)
    >>> bool(np.allclose(made[:, 1], 2 * made[:, 0])), bool((made >= 0).all() and (made[:, 0] < 1).all())
    (True, True)
    """
    if not len(X):
        raise DetectorError("there is no row to make others from", mend="give at least one reported alert")
    draw = np.random.default_rng(seed)
    near = _neighbours(X, min(neighbours, len(X) - 1))
    begin = draw.integers(len(X), size=count)
    if not near.shape[1]:
        return X[begin]
    end = near[begin, draw.integers(near.shape[1], size=count)]
    share = draw.random(count)[:, None]
    made: Float64Array = X[begin] + share * (X[end] - X[begin])
    return made


def _neighbours(X: Float64Array, count: int) -> Int64Array:
    """Places int64[n, count] of each row's nearest other rows."""
    found = np.empty((len(X), count), np.int64)
    square = np.einsum("ij,ij->i", X, X)
    for begin in range(0, len(X), PIECE):
        piece = np.arange(begin, min(begin + PIECE, len(X)))
        distance = square[piece, None] + square[None, :] - 2.0 * (X[piece] @ X.T)
        distance[np.arange(len(piece)), piece] = np.inf
        found[piece] = np.argsort(distance, axis=1, kind="stable")[:, :count]
    return found
