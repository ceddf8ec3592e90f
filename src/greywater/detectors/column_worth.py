"""What each column is worth to a model: permutation importance, Shapley values, and a local linear surrogate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from greywater.detectors.alert_models import ALERT_MODELS, AlertRows, Scorer, fit_alert_model, scaled_on
from greywater.detectors.kernel_shap import kernel_shap
from greywater.detectors.metrics import roc_auc
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array, Progress

__all__ = ["ColumnWorth", "WorthPlan", "column_worth", "local_surrogate", "permutation_importance", "rank_agreement"]

#: Explained rows are held near the row by a kernel of this width, times the root of the number of columns.
WIDTH: Final = 0.75
RIDGE: Final = 1.0


@dataclass(frozen=True)
class WorthPlan:
    """How much is asked of each model.

    Parameters
    ----------
    test_rows : int
        Test alerts that the importance rests on, drawn at random.
    repeats : int
        Permutations of each column.
    explained : int
        Alerts that are explained, half of them those with the highest scores.
    background : int
        Training alerts that Shapley values compare with.
    coalitions : int
        Drawn for each explained alert.
    draws : int
        Points around each explained alert that the local surrogate is fitted on.
    """

    test_rows: int = 2_000
    repeats: int = 3
    explained: int = 20
    background: int = 10
    coalitions: int = 512
    draws: int = 2_000


@dataclass(frozen=True)
class ColumnWorth:
    """What each column is worth to one model, three ways; float64[columns] each.

    `permutation` is the mean loss of ROC AUC, `shapley` and `surrogate` the mean size of the contributions of the
    explained alerts. `auc` is that of the model on the same test alerts.
    """

    model: str
    auc: float | None
    permutation: Float64Array
    shapley: Float64Array
    surrogate: Float64Array

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """One object a column, the worthiest by permutation first."""
        order = np.argsort(-self.permutation, kind="stable").tolist()
        ways = {"permutation": self.permutation, "shapley": self.shapley, "surrogate": self.surrogate}
        columns = [{"column": names[at], **{way: float(value[at]) for way, value in ways.items()}} for at in order]
        return {
            "model": self.model,
            "roc_auc": self.auc,
            "columns": columns,
            "agreement": {
                "permutation_shapley": rank_agreement(self.permutation, self.shapley),
                "permutation_surrogate": rank_agreement(self.permutation, self.surrogate),
                "shapley_surrogate": rank_agreement(self.shapley, self.surrogate),
            },
        }


def column_worth(
    train: AlertRows,
    test: AlertRows,
    *,
    models: Sequence[str],
    seed: int = 7,
    plan: WorthPlan | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> tuple[ColumnWorth, ...]:
    """Fit each model once and ask what every column is worth to it.

    Parameters
    ----------
    train, test : AlertRows
        Not scaled.
    models : sequence of str
        Of ALERT_MODELS.
    seed : int
    plan : WorthPlan, optional
    threads : int
    progress : Progress, optional
        Advanced by models.
    """
    chosen = plan or WorthPlan()
    draw = np.random.default_rng(seed)
    learned, asked = scaled_on(train.X, test.X)
    kept = np.sort(draw.permutation(len(test.y))[: chosen.test_rows])
    background = learned[draw.permutation(len(learned))[: chosen.background]]
    if progress is not None:
        progress.step("asking what each column is worth", len(models))
    found = []
    for name in models:
        score = fit_alert_model(name, AlertRows(learned, train.y), seed=seed, threads=threads)
        rows = asked[kept]
        own = score(rows)
        explained = rows[_to_explain(own, chosen.explained, np.random.default_rng(seed))]
        shares = kernel_shap(score, explained, background, coalitions=chosen.coalitions, seed=seed)[:, :-1]
        slopes = [local_surrogate(score, row, draws=chosen.draws, seed=seed) for row in explained]
        found.append(
            ColumnWorth(
                model=ALERT_MODELS[name],
                auc=roc_auc(test.y[kept], own),
                permutation=permutation_importance(score, rows, test.y[kept], repeats=chosen.repeats, seed=seed),
                shapley=np.abs(shares).mean(axis=0),
                surrogate=np.abs(np.array(slopes)).mean(axis=0),
            )
        )
        if progress is not None:
            progress.advance(1)
    return tuple(found)


def permutation_importance(
    score: Scorer, X: Float64Array, y: Int64Array, *, repeats: int = 3, seed: int = 7
) -> Float64Array:
    """How much ROC AUC is lost where one column's values are shuffled among the rows, mean of `repeats` (Breiman 2001).

    Returns
    -------
    float64[columns]
        A column that the model does not use gets 0; chance can make it negative.

    Examples
    --------
    >>> X = np.array([[0.0, 5.0], [1.0, 3.0], [2.0, 4.0], [3.0, 1.0]])
    >>> permutation_importance(lambda rows: rows[:, 0], X, np.array([0, 0, 1, 1]))[1].item()
    0.0
    """
    whole = roc_auc(y, score(X))
    if whole is None:
        raise DetectorError("alerts of one outcome have no ROC AUC", mend="give reported and dismissed alerts")
    draw = np.random.default_rng(seed)
    found = np.zeros(X.shape[1])
    for column in range(X.shape[1]):
        for _ in range(repeats):
            shuffled = X.copy()
            shuffled[:, column] = X[draw.permutation(len(X)), column]
            found[column] += (whole - (roc_auc(y, score(shuffled)) or 0.0)) / repeats
    return found


def local_surrogate(score: Scorer, row: Float64Array, *, draws: int = 2_000, seed: int = 7) -> Float64Array:
    """Slopes of the linear model that is nearest to the score around one row, as LIME has it (Ribeiro et al. 2016).

    Points are drawn around the row with the spread 1 of scaled columns, weighed by exp(-d^2 / width^2), and a ridge
    regression of the score is fitted to them.

    Parameters
    ----------
    score : callable
    row : float64[columns]
        Scaled.
    draws : int
    seed : int

    Returns
    -------
    float64[columns]

    Examples
    --------
    >>> slopes = local_surrogate(lambda X: 3 * X[:, 0] - X[:, 1], np.array([1.0, 2.0]), draws=5_000)
    >>> slopes.round(1).tolist()
    [3.0, -1.0]
    """
    around = np.random.default_rng(seed).normal(size=(draws, len(row)))
    weight = np.exp(-np.einsum("ij,ij->i", around, around) / (WIDTH**2 * len(row)))
    value = score(row + around)
    share = weight / weight.sum()
    middle = share @ around
    left, target = around - middle, value - share @ value
    square = left.T @ (left * weight[:, None]) + RIDGE * np.eye(len(row))
    return np.asarray(np.linalg.solve(square, left.T @ (weight * target)), np.float64)


def rank_agreement(left: Float64Array, right: Float64Array) -> float | None:
    """Spearman's correlation, ties at their mean rank; None where one side does not vary.

    Examples
    --------
    >>> rank_agreement(np.array([1.0, 2.0, 9.0]), np.array([5.0, 6.0, 7.0]))
    1.0
    """
    from scipy.stats import rankdata

    ranks = [rankdata(values) for values in (left, right)]
    if len(left) < 2 or any(float(np.ptp(rank)) == 0.0 for rank in ranks):
        return None
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _to_explain(score: Float64Array, count: int, draw: np.random.Generator) -> Int64Array:
    """The highest scores, and as many others at random."""
    order = np.argsort(-score, kind="stable")
    top = order[: (count + 1) // 2]
    others = draw.permutation(order[len(top) :])[: count - len(top)]
    return np.concatenate([top, others]).astype(np.int64)
