"""The six models of the SynthAML benchmark at their libraries' defaults, fitted on a matrix of alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from greywater.detectors.metrics import roc_auc
from greywater.detectors.outlier import one_thread
from greywater.detectors.trees import load_lightgbm
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array, Progress

__all__ = [
    "ALERT_MODELS", "MOST_SVM_ROWS", "QUICK_MODELS", "AlertRows", "Scorer", "Spread", "contest", "fit_alert_model",
    "one_thread_of_algebra", "scaled_on",
]  # fmt: skip

#: Name -> as it is written.
ALERT_MODELS: Final = {
    "decision_tree": "decision tree",
    "svm": "SVM",
    "mlp": "MLP",
    "random_forest": "random forest",
    "lightgbm": "LightGBM",
    "logistic_regression": "logistic regression",
}
#: Those that are fitted within seconds on ten thousand alerts.
QUICK_MODELS: Final = ("decision_tree", "random_forest", "lightgbm", "logistic_regression")
#: The time of a support vector machine grows with the square of its rows: of more, so many are drawn.
MOST_SVM_ROWS: Final = 20_000
MOST_ITERATIONS: Final = 1_000_000

#: float64[k, columns] -> float64[k], higher = likelier to be reported.
Scorer = Callable[[Float64Array], Float64Array]


@dataclass(frozen=True)
class AlertRows:
    """Alerts as a matrix: X float64[n, columns], y int64[n] in {0, 1} with 1 = reported."""

    X: Float64Array
    y: Int64Array

    def __post_init__(self) -> None:
        if self.X.ndim != 2 or len(self.X) != len(self.y):
            raise DetectorError(f"{len(self.y)} outcomes for rows of shape {self.X.shape}", mend="give one a row")

    def take(self, places: Int64Array) -> AlertRows:
        """The rows at some places, in that order."""
        return AlertRows(self.X[places], self.y[places])


@dataclass(frozen=True)
class Spread:
    """A figure over seeds; those that are not defined are left out, and all of them missing is None.

    Examples
    --------
    >>> Spread((0.5, 0.7, None)).mean, round(Spread((0.5, 0.7)).sd, 3), Spread((None,)).mean
    (0.6, 0.141, None)
    """

    values: tuple[float | None, ...]

    @property
    def known(self) -> list[float]:
        """The figures that are defined."""
        return [value for value in self.values if value is not None]

    @property
    def mean(self) -> float | None:
        """Mean over the seeds."""
        return float(np.mean(self.known)) if self.known else None

    @property
    def sd(self) -> float | None:
        """Standard deviation over the seeds (n - 1); None of a single one."""
        return float(np.std(self.known, ddof=1)) if len(self.known) > 1 else None

    def to_json(self) -> dict[str, Any]:
        """Mean, standard deviation and every figure."""
        return {"mean": self.mean, "sd": self.sd, "values": list(self.values)}


@contextmanager
def one_thread_of_algebra() -> Iterator[None]:
    """Matrices are multiplied by one thread inside: at 56 columns several only wait for each other."""
    import sklearn.linear_model
    import sklearn.neural_network  # noqa: F401  # loads the libraries that are to be held back

    with one_thread(again=True):
        yield


def scaled_on(train: Float64Array, *others: Float64Array) -> tuple[Float64Array, ...]:
    """Each matrix less the training mean, over the training standard deviation; a constant column becomes 0 there.

    Examples
    --------
    >>> [part.tolist() for part in scaled_on(np.array([[1.0], [3.0]]), np.array([[4.0]]))]
    [[[-1.0], [1.0]], [[2.0]]]
    """
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    return tuple((part - mean) / spread for part in (train, *others))


def fit_alert_model(
    name: str, rows: AlertRows, *, seed: int, weight: Float64Array | None = None, threads: int = 1
) -> Scorer:
    """Fit one of ALERT_MODELS: the library's defaults, but for 10^6 iterations of the regression and the network.

    Parameters
    ----------
    name : str
        Of ALERT_MODELS.
    rows : AlertRows
        Both outcomes present; scaled beforehand.
    seed : int
        Of the library's draws.
    weight : float64[n], optional
        Of each row.
    threads : int
        For the two that can use several; no figure depends on it.

    Returns
    -------
    callable
        float64[k, columns] -> float64[k]: a probability, and for the SVM its decision function.

    Raises
    ------
    DetectorError
        An unknown name, one outcome only, or weights for a library whose network takes none.

    Examples
    --------
    >>> rows = AlertRows(np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1]))
    >>> fit_alert_model("decision_tree", rows, seed=1)(np.array([[0.2], [2.9]])).tolist()
    [0.0, 1.0]
    """
    if name not in ALERT_MODELS:
        raise DetectorError(f"there is no model {name!r}", mend=f"use one of {', '.join(ALERT_MODELS)}")
    if not 0 < rows.y.sum() < len(rows.y):
        raise DetectorError("alerts of one outcome teach nothing", mend="give reported and dismissed alerts")
    if name == "svm" and len(rows.y) > MOST_SVM_ROWS:
        kept = np.sort(np.random.default_rng(seed).permutation(len(rows.y))[:MOST_SVM_ROWS])
        rows, weight = rows.take(kept), None if weight is None else weight[kept]
    model = _unfitted(name, seed, threads)
    if weight is None:
        model.fit(rows.X, rows.y)
    else:
        from sklearn.utils.validation import has_fit_parameter

        if not has_fit_parameter(model, "sample_weight"):
            raise DetectorError(f"{ALERT_MODELS[name]} takes no weights here", mend="use scikit-learn 1.7 or newer")
        model.fit(rows.X, rows.y, sample_weight=weight)

    def score(X: Float64Array) -> Float64Array:
        found = model.decision_function(X) if name == "svm" else model.predict_proba(X)[:, 1]
        return np.asarray(found, np.float64)

    return score


def _unfitted(name: str, seed: int, threads: int) -> Any:
    if name == "decision_tree":
        from sklearn.tree import DecisionTreeClassifier

        return DecisionTreeClassifier(random_state=seed)
    if name == "random_forest":
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(random_state=seed, n_jobs=threads)
    if name == "logistic_regression":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=MOST_ITERATIONS)
    if name == "mlp":
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier(hidden_layer_sizes=(32, 32), max_iter=MOST_ITERATIONS, random_state=seed)
    if name == "svm":
        from sklearn.svm import SVC

        return SVC(random_state=seed)
    lightgbm = load_lightgbm()
    return lightgbm.LGBMClassifier(random_state=seed, n_jobs=threads, deterministic=True, verbose=-1)


def contest(
    train: AlertRows,
    test: AlertRows,
    *,
    models: Sequence[str] = tuple(ALERT_MODELS),
    seeds: int = 10,
    first_seed: int = 7,
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, Spread]:
    """ROC AUC on the test rows of models fitted on the training rows, over seeds.

    Columns are standardised on the training rows, and the training rows permuted anew for each seed.

    Parameters
    ----------
    train, test : AlertRows
        Not scaled.
    models : sequence of str
        Of ALERT_MODELS.
    seeds : int
    first_seed : int
        The seeds are this one and those after it.
    threads : int
    progress : Progress, optional
        Advanced by fits.

    Returns
    -------
    dict
        Model -> Spread of the ROC AUC, 0 to 1.
    """
    scaled_train, scaled_test = scaled_on(train.X, test.X)
    rows = AlertRows(scaled_train, train.y)
    found: dict[str, Spread] = {}
    for name in models:
        if progress is not None:
            progress.step(f"fitting: {ALERT_MODELS.get(name, name)}", seeds)
        values = []
        for seed in range(first_seed, first_seed + seeds):
            order = np.random.default_rng(seed).permutation(len(rows.y))
            score = fit_alert_model(name, rows.take(order), seed=seed, threads=threads)
            values.append(roc_auc(test.y, score(scaled_test)))
            if progress is not None:
                progress.advance(1)
        found[name] = Spread(tuple(values))
    return found
