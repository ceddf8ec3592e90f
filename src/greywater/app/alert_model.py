"""Learns from decided alerts which of another system's alerts get reported, and measures that on later ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa

from greywater.app.split import cut_at
from greywater.config import Settings
from greywater.desk.hibernation import HibernationCut, hibernation_cut
from greywater.desk.savings import Removal, false_alerts_removed
from greywater.detectors.baseline import single_column_baseline
from greywater.detectors.boosted import Boosted, BoostedParameters
from greywater.detectors.calibration import Platt
from greywater.detectors.detector import Validation
from greywater.detectors.metrics import average_precision, roc_auc
from greywater.detectors.rank_logistic import RankLogistic
from greywater.features.feature import Feature
from greywater.stores.blocks import TableRows
from greywater.vocab import Float64Array, Int64Array, Progress

__all__ = [
    "AlertModel", "DecidedAlerts", "Learned", "Measured", "feature_rows", "fit_best", "learn", "quarter_starts",
]  # fmt: skip

#: Fewest reported and fewest dismissed alerts of a training slice.
LEAST_OF_EACH: Final = 10

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class DecidedAlerts:
    """Alerts with outcomes, in order of time.

    Parameters
    ----------
    features : sequence of Feature
        The columns.
    values : float64[n, features]
        Each as of its alert's moment.
    y : int64[n] in {0, 1}
        1 = reported.
    moment_us : int64[n]
        When each was raised, not falling.
    party : int64[n]
        Number of the customer.
    by_quarter : bool
        Cut the slices at the starts of quarters, as SynthAML's form asks.
    """

    features: tuple[Feature, ...]
    values: Float64Array
    y: Int64Array
    moment_us: Int64Array
    party: Int64Array
    by_quarter: bool = False


@dataclass(frozen=True)
class AlertModel:
    """Boosted trees, the plain model, or the mean of both: what did best on the slice after the one they learned from.

    Parameters
    ----------
    parts : tuple of (Boosted or RankLogistic)
        Whose log-odds are averaged.
    platt : Platt
        From the mean to a probability.
    """

    parts: tuple[Boosted | RankLogistic, ...]
    platt: Platt

    @property
    def name(self) -> str:
        """What it is called."""
        trees, plain = "boosted trees (LightGBM)", "a logistic regression on ranks"
        return " and ".join(trees if isinstance(part, Boosted) else plain for part in self.parts)

    def score(self, rows: TableRows) -> Float64Array:
        """Log-odds float64[n], higher = likelier to be reported."""
        return self._mean([part.score(rows) for part in self.parts])

    def calibrate(self, score: Float64Array) -> Float64Array:
        """Probabilities float64[n] of such scores."""
        return self.platt(score)

    def explain(self, rows: TableRows) -> Float64Array:
        """What each column adds to the score, float64[n, columns + 1]; the last is the base value."""
        return self._mean([part.explain(rows) for part in self.parts])

    def _mean(self, values: Sequence[Float64Array]) -> Float64Array:
        total = values[0]
        for more in values[1:]:
            total = total + more
        return total / len(values)


@dataclass(frozen=True)
class Measured:
    """How well later outcomes were told from earlier ones, on alerts the model had not seen.

    `baseline` is the best single column (name, its average precision and its ROC AUC), `base_rate` the average
    precision of a random order.
    """

    alerts: int
    reported: int
    base_rate: float
    average_precision: float | None
    roc_auc: float | None
    baseline: dict[str, Any] | None
    removed: tuple[Removal, ...]
    learned_until: str
    measured_from: str

    def to_json(self) -> dict[str, Any]:
        """The measures in JSON types."""
        return {**asdict(self), "removed": [each.to_json() for each in self.removed]}


@dataclass(frozen=True)
class Learned:
    """What the decided alerts taught.

    Parameters
    ----------
    ranker : AlertModel or None
        Ranks alerts that have no outcome; None = too few outcomes to learn from.
    cut : HibernationCut or None
        The line below which its alerts sleep, drawn on the last slice.
    measured : Measured or None
    test : int
        Decided alerts [test, n) are the last slice.
    judge : AlertModel or None
        The model that saw nothing of the last slice: what was measured.
    judge_cut : HibernationCut or None
        The line for its scores, drawn on the slice before the last.
    notes : tuple of str
        Sentences.
    """

    ranker: AlertModel | None
    cut: HibernationCut | None
    measured: Measured | None
    test: int
    judge: AlertModel | None
    judge_cut: HibernationCut | None
    notes: tuple[str, ...]


def feature_rows(features: tuple[Feature, ...], values: Float64Array) -> TableRows:
    """Rows of features as a detector reads them."""
    names = [feature.name for feature in features]
    return TableRows(pa.table([pa.array(np.ascontiguousarray(column)) for column in values.T], names=names))


def learn(decided: DecidedAlerts, settings: Settings, progress: Progress | None = None) -> Learned:
    """Fit on decided alerts and measure by time.

    Two models are fitted: boosted trees, and a logistic regression on ranks, which does better where outcomes are few
    or the data mostly noise. Of them and the mean of their log-odds the one is used that removes most false alerts at
    the recalls that are reported, on the slice after.

    Measured: fitted on the first 60 %, stopped and calibrated on the next 20 %, judged on the last 20 %. Then fitted
    again on the first 80 % and calibrated on the last 20 %, to rank with. Where the training slice holds fewer than
    LEAST_OF_EACH reported or dismissed alerts, nothing is fitted.

    Parameters
    ----------
    decided : DecidedAlerts
    settings : Settings
        Seed, threads, recall floor.
    progress : Progress, optional

    Returns
    -------
    Learned
    """
    n = len(decided.y)
    train, test, notes = _cuts(decided)
    rows = feature_rows(decided.features, decided.values)
    judge = judge_cut = measured = None
    if _enough(decided.y[:train]):
        judge = fit_best(rows, decided, train, test, settings, progress)
        judge_cut = _cut(judge, rows, decided, train, test, settings)
        measured = _measure(judge, rows, decided, train, test, settings)
        if measured is None:
            notes.append("the last fifth of the decided alerts holds only one kind of outcome: nothing was measured")
    ranker = cut = None
    if _enough(decided.y[:test]):
        ranker = fit_best(rows, decided, test, n, settings, progress)
        cut = _cut(ranker, rows, decided, test, n, settings)
    elif n:
        notes.append(
            f"{int(decided.y.sum()):,} reported and {int(n - decided.y.sum()):,} dismissed alerts are too few to learn "
            f"from: {LEAST_OF_EACH} of each are needed among the earlier ones"
        )
    return Learned(ranker, cut, measured, test, judge, judge_cut, tuple(notes))


def _enough(y: Int64Array) -> bool:
    reported = int(y.sum())
    return min(reported, len(y) - reported) >= LEAST_OF_EACH


def _cuts(decided: DecidedAlerts) -> tuple[int, int, list[str]]:
    moments = decided.moment_us
    cuts = [cut_at(moments, share) for share in (0.6, 0.8)]
    if not decided.by_quarter or not len(moments):
        return cuts[0], cuts[1], []
    starts = quarter_starts(moments)
    near = [min(starts, key=lambda start: (abs(start - cut), start), default=0) for cut in cuts]
    if 0 < near[0] < near[1] < len(moments):
        return near[0], near[1], []
    return cuts[0], cuts[1], ["the alerts span too few quarters to be cut between them: they were cut by count"]


def quarter_starts(moments: Int64Array) -> list[int]:
    """Positions at which a new quarter begins, the first one left out."""
    months = moments.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    return [int(place) + 1 for place in np.flatnonzero(np.diff(months // 3))]


def fit_best(
    rows: TableRows, decided: DecidedAlerts, train: int, stop: int, settings: Settings, progress: Progress | None
) -> AlertModel:
    """Fit both models on [0, train); of them and their mean, what removes most on [train, stop), trees among equals."""
    parameters = BoostedParameters(
        rounds=400,
        patience=80,
        rounds_without_validation=100,
        learning_rate=0.05,
        num_leaves=15,
        min_data_in_leaf=int(np.clip(train // 50, 5, 50)),
        feature_fraction=0.4,
    )
    y, later = decided.y[:train], decided.y[train:stop]
    held = rows.slice(train, stop)
    boosted = Boosted(parameters, seed=settings.seed, threads=settings.worker_threads)
    boosted.fit(
        rows.slice(0, train), y, decided.moment_us[:train],
        validation=Validation(held, later) if stop > train else None, progress=progress,
    )  # fmt: skip
    if not 0 < int(later.sum()) < len(later):
        return AlertModel((boosted,), Platt(1.0, 0.0, fitted=False))
    plain = RankLogistic.fit(rows.slice(0, train), y)
    choices: list[tuple[Boosted | RankLogistic, ...]] = [(boosted,), (boosted, plain), (plain,)]
    models = [AlertModel(parts, Platt(1.0, 0.0, fitted=False)) for parts in choices]
    scores = [model.score(held) for model in models]
    best = int(np.argmax([_removed(later, score) for score in scores]))
    return replace(models[best], platt=Platt.fit(later, scores[best]))


def _removed(y: Int64Array, score: Float64Array) -> float:
    """Mean share of false alerts removed over the recalls that are reported."""
    return float(np.mean([each.removed for each in false_alerts_removed(y, score, draws=0)]))


def _cut(
    model: AlertModel, rows: TableRows, decided: DecidedAlerts, begin: int, end: int, settings: Settings
) -> HibernationCut | None:
    """The line drawn on alerts [begin, end), which the model used to stop and to calibrate but not to grow trees."""
    y = decided.y[begin:end]
    return hibernation_cut(y, model.score(rows.slice(begin, end)), settings.recall_floor) if int(y.sum()) else None


def _measure(
    judge: AlertModel, rows: TableRows, decided: DecidedAlerts, train: int, test: int, settings: Settings
) -> Measured | None:
    y = decided.y[test:]
    if not 0 < int(y.sum()) < len(y):
        return None
    score, earlier = judge.score(rows.slice(test)), decided.y[train:test]
    before = (earlier, judge.score(rows.slice(train, test))) if len(earlier) else None
    directions = Validation(rows.slice(0, test), decided.y[:test])
    best = single_column_baseline(rows.slice(test), y, directions_from=directions).by_average_precision
    return Measured(
        alerts=len(y),
        reported=int(y.sum()),
        base_rate=float(y.mean()),
        average_precision=average_precision(y, score),
        roc_auc=roc_auc(y, score),
        baseline=None if best is None else asdict(best),
        removed=false_alerts_removed(y, score, decided.party[test:], before=before, seed=settings.seed),
        learned_until=_day(int(decided.moment_us[test - 1])),
        measured_from=_day(int(decided.moment_us[test])),
    )


def _day(moment_us: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=moment_us):%Y-%m-%d}"
