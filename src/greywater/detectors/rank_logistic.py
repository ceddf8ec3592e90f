"""A ridge logistic regression over the ranks of features: a plain model where outcomes are few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from greywater.detectors.rows import matrices
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array, TrainingTable

__all__ = ["RankLogistic"]

#: Places between which a rank is told by interpolation.
KNOTS: Final = 201
MOST_STEPS: Final = 50


@dataclass(frozen=True)
class RankLogistic:
    """log-odds = intercept + sum of slope x (rank - 1/2), the rank being the share of the learned rows with less.

    Ranks keep a few huge sums from leading, and make one penalty fit all columns. A value that is not defined has the
    rank 1/2: it says nothing.

    Parameters
    ----------
    names : tuple of str
        Feature names, in order.
    knots : float64[columns, KNOTS]
        Quantiles of each column, NaN throughout where it was never defined.
    slope : float64[columns]
    intercept : float

    Examples
    --------
    >>> import pyarrow as pa
    >>> from greywater.stores.blocks import TableRows
    >>> rows = TableRows(pa.table({"a": np.arange(100.0)}))
    >>> model = RankLogistic.fit(rows, (np.arange(100) >= 50).astype(np.int64))
    >>> (np.diff(model.score(rows)) >= 0).all()
    np.True_
    """

    names: tuple[str, ...]
    knots: Float64Array
    slope: Float64Array
    intercept: float

    @classmethod
    def fit(cls, X: TrainingTable, y: Int64Array, *, ridge: float = 3.0) -> Self:
        """Learn; the sum of the losses plus ridge / 2 times the squared slopes is least.

        Parameters
        ----------
        X : TrainingTable
        y : int64[n] in {0, 1}
            Both present.
        ridge : float
            Above 0; the intercept is not drawn to 0.

        Raises
        ------
        DetectorError
            Only one outcome, or lengths that do not fit.
        """
        truth = np.asarray(y, np.float64)
        if len(truth) != X.rows or not 0 < truth.sum() < len(truth):
            raise DetectorError(
                f"{int(truth.sum())} of {len(truth)} outcomes for {X.rows} rows cannot be learned from",
                where="y",
                mend="give one outcome a row, and rows of both kinds",
            )
        values = np.concatenate([np.empty((0, len(X.names))), *(piece for _, piece in matrices(X))])
        knots = np.array([_quantiles(column) for column in values.T]).reshape(len(X.names), KNOTS)
        slope, intercept = _least(_ranks(values, knots), truth, ridge)
        return cls(tuple(X.names), knots, slope, intercept)

    def score(self, X: TrainingTable) -> Float64Array:
        """Log-odds float64[n]."""
        parts = [np.empty(0)]
        for _, piece in matrices(X):
            parts.append(_ranks(piece, self.knots) @ self.slope + self.intercept)
        return np.concatenate(parts)

    def explain(self, X: TrainingTable) -> Float64Array:
        """What each column adds, float64[n, columns + 1]; the last column is the intercept; rows sum to the score."""
        parts = [np.empty((0, len(self.names) + 1))]
        for _, piece in matrices(X):
            added = _ranks(piece, self.knots) * self.slope
            parts.append(np.column_stack([added, np.full(len(added), self.intercept)]))
        return np.concatenate(parts)


def _quantiles(column: Float64Array) -> Float64Array:
    known = column[~np.isnan(column)]
    if not len(known):
        return np.full(KNOTS, np.nan)
    finite = np.clip(known, np.finfo(np.float64).min / 4, np.finfo(np.float64).max / 4)
    result: Float64Array = np.quantile(finite, np.linspace(0, 1, KNOTS))
    return result


def _ranks(values: Float64Array, knots: Float64Array) -> Float64Array:
    """Ranks less 1/2, float64[n, columns]; equal knots count half, as ties do; 0 where nothing is known."""
    places = np.linspace(0, 1, KNOTS)
    found = np.zeros(values.shape)
    for column, steps in enumerate(knots):
        value = values[:, column]
        known = ~np.isnan(value)
        if np.isnan(steps[0]):
            continue
        rising = np.interp(value[known], steps, places)
        # np.interp takes the last of equal knots from above; from below it is the first. Their middle is the rank.
        falling = 1 - np.interp(-value[known], -steps[::-1], places)
        found[known, column] = (rising + falling) / 2 - 0.5
    return found


def _least(x: Float64Array, y: Float64Array, ridge: float) -> tuple[Float64Array, float]:
    """Newton's method with step halving."""
    design = np.column_stack([x, np.ones(len(x))])
    penalty = np.full(design.shape[1], ridge)
    penalty[-1] = 0.0
    weights = np.zeros(design.shape[1])
    base = float(y.mean())
    weights[-1] = np.log(base / (1 - base))

    def loss(w: Float64Array) -> float:
        z = design @ w
        return float((np.logaddexp(0, z) - y * z).sum() + (penalty * w * w).sum() / 2)

    now = loss(weights)
    for _ in range(MOST_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -500, 500)))
        gradient = design.T @ (p - y) + penalty * weights
        curve = (design * (p * (1 - p))[:, None]).T @ design + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curve, gradient)
        size = 1.0
        while size > 1e-10 and loss(weights - size * step) > now:
            size /= 2
        after = loss(weights - size * step)
        if not after < now:
            break
        weights = weights - size * step
        gained, now = now - after, after
        if gained <= 1e-9 * max(1.0, abs(now)):
            break
    return weights[:-1], float(weights[-1])
