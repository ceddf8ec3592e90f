"""The use case that runs the SynthAML benchmark: six models and our own ranking, split by year, and three studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from greywater.access.policy import require
from greywater.app.alert_model import DecidedAlerts, feature_rows, fit_best, quarter_starts
from greywater.app.alert_set import AlertSet, quarter_cut, quarters_of, read_alert_set
from greywater.app.audit import audited
from greywater.app.ingest import Silent
from greywater.config import Settings
from greywater.detectors.alert_drift import DriftPoint, QuarterCell, drift_study, quarter_matrix
from greywater.detectors.alert_imbalance import RATES, ImbalanceCell, imbalance_study
from greywater.detectors.alert_models import (
    ALERT_MODELS,
    MOST_SVM_ROWS,
    QUICK_MODELS,
    Spread,
    contest,
    one_thread_of_algebra,
)
from greywater.detectors.column_worth import ColumnWorth, column_worth
from greywater.detectors.metrics import roc_auc
from greywater.errors import UsageError
from greywater.vocab import Actor, Progress

__all__ = ["OURS", "PARTS", "PUBLISHED", "AlertBenchmark", "BenchmarkRequest", "bench_synthaml", "our_ranking"]

#: ROC AUC in percent as published, trained and tested on the synthetic files (Jensen et al., Scientific Data 2023).
PUBLISHED: Final = {
    "decision_tree": 52.00,
    "svm": 56.30,
    "mlp": 57.27,
    "random_forest": 62.62,
    "lightgbm": 63.69,
    "logistic_regression": 64.10,
}
#: What can be asked for, and what each answers.
PARTS: Final = {
    "models": "the six models of the benchmark, and the ranking of greywater prioritise, on the same split",
    "imbalance": "fewer and fewer reports, with each remedy",
    "drift": "trained on one quarter and tested on later ones, and three ways of upkeep",
    "interpretability": "what each column is worth to each model",
}
OURS: Final = "greywater prioritise"
#: Fewest alerts that stop and choose our own models.
LEAST_HELD: Final = 50


@dataclass(frozen=True)
class BenchmarkRequest:
    """What is to be measured.

    Parameters
    ----------
    alerts, transactions : Path
        Files of SynthAML's form.
    test_from : str
        First day of the test slice, the first of a quarter.
    parts : sequence of str
        Of PARTS.
    models : sequence of str, optional
        Of ALERT_MODELS; None = all six for `models`, QUICK_MODELS for the studies.
    seeds : int
        Of every figure.
    labels : int
        Outcomes a quarter that the upkeep of the drift study may ask for.
    rates : sequence of float
        Shares of reported alerts of the imbalance study.
    """

    alerts: Path
    transactions: Path
    test_from: str = "2021-01-01"
    parts: Sequence[str] = ("models",)
    models: Sequence[str] | None = None
    seeds: int = 10
    labels: int = 200
    rates: Sequence[float] = RATES

    def __post_init__(self) -> None:
        for words, known, where in ((self.parts, PARTS, "--parts"), (self.models or (), ALERT_MODELS, "--models")):
            strange = [word for word in words if word not in known]
            if strange:
                raise UsageError(f"there is no {strange[0]!r}", where=where, mend=f"give some of {', '.join(known)}")
        if self.models is not None and not self.models:
            raise UsageError("no model is asked for", where="--models", mend=f"give some of {', '.join(ALERT_MODELS)}")
        if not self.parts:
            raise UsageError("no part is asked for", where="--parts", mend=f"give some of {', '.join(PARTS)}")
        if not 1 <= self.seeds <= 1_000:
            raise UsageError(f"{self.seeds} seeds cannot be run", where="--seeds", mend="give 1 to 1,000")
        if self.labels < 1:
            raise UsageError(f"{self.labels} outcomes teach nothing", where="--labels", mend="give 1 or more")


@dataclass(frozen=True)
class AlertBenchmark:
    """What was measured; a part that was not asked for is empty.

    Parameters
    ----------
    train, train_reported, test, test_reported : int
        Alerts on either side of the split.
    models : dict
        Title -> ROC AUC over seeds, ours last.
    """

    request: BenchmarkRequest
    train: int
    train_reported: int
    test: int
    test_reported: int
    columns: tuple[str, ...]
    notes: tuple[str, ...]
    models: dict[str, Spread] = field(default_factory=dict)
    imbalance: tuple[ImbalanceCell, ...] = ()
    quarters: tuple[QuarterCell, ...] = ()
    upkeep: tuple[DriftPoint, ...] = ()
    worth: tuple[ColumnWorth, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything in JSON types; ROC AUC from 0 to 1, published figures in percent as printed."""
        published = {title: PUBLISHED[name] for name, title in ALERT_MODELS.items()}
        return {
            "alerts": self.request.alerts.name,
            "transactions": self.request.transactions.name,
            "test_from": self.request.test_from,
            "seeds": self.request.seeds,
            "train": {"alerts": self.train, "reported": self.train_reported},
            "test": {"alerts": self.test, "reported": self.test_reported},
            "models": [
                {"model": name, "roc_auc": found.to_json(), "published_percent": published.get(name)}
                for name, found in self.models.items()
            ],
            "imbalance": [cell.to_json() for cell in self.imbalance],
            "drift": {
                "labels_per_quarter": self.request.labels,
                "quarters": [cell.to_json() for cell in self.quarters],
                "upkeep": [point.to_json() for point in self.upkeep],
            },
            "interpretability": [each.to_json(self.columns) for each in self.worth],
            "notes": list(self.notes),
        }


def bench_synthaml(
    actor: Actor, settings: Settings, request: BenchmarkRequest, progress: Progress | None = None
) -> AlertBenchmark:
    """Run the benchmark on two files.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `train`.
    settings : Settings
        Seed and threads.
    request : BenchmarkRequest
    progress : Progress, optional

    Raises
    ------
    AccessDeniedError
        The actor may not.
    InputError
        A file cannot be used.
    UsageError
        The split is not where a quarter begins, or one side of it is empty or of one outcome.
    """
    told = progress or Silent()
    with audited(settings, actor, "train", "the SynthAML benchmark") as detail:
        require(actor, "train")
        found = read_alert_set(request.alerts, request.transactions, told)
        cut = quarter_cut(found.moment_us, request.test_from)
        sides = {f"before {request.test_from}": found.y[:cut], f"from {request.test_from} on": found.y[cut:]}
        for side, y in sides.items():
            if not 0 < int(y.sum()) < len(y):
                raise UsageError(
                    f"the alerts {side} are all of one outcome",
                    where="--test-from",
                    mend="give a day with reported and dismissed alerts on both sides",
                )
        quarter, _, end = quarters_of(found.moment_us)[0]
        if "drift" in request.parts and not 0 < int(found.y[:end].sum()) < end:
            raise UsageError(
                f"the alerts of {quarter}, with which drift begins, are all of one outcome",
                where="--parts",
                mend="leave drift out, or give alerts that begin in a quarter with both outcomes",
            )
        detail.update(alerts=len(found.y), parts=list(request.parts))
        with one_thread_of_algebra():
            return _measured(settings, request, found, cut, told)


def _measured(
    settings: Settings, request: BenchmarkRequest, found: AlertSet, cut: int, told: Progress
) -> AlertBenchmark:
    train, test = found.rows(0, cut), found.rows(cut)
    common: dict[str, Any] = {"first_seed": settings.seed, "threads": settings.worker_threads, "progress": told}
    quick = tuple(request.models or QUICK_MODELS)
    parts: dict[str, Any] = {}
    if "models" in request.parts:
        asked = request.models or tuple(ALERT_MODELS)
        spreads = contest(train, test, models=asked, seeds=request.seeds, **common)
        models = {ALERT_MODELS[name]: spreads[name] for name in asked}
        parts["models"] = {**models, OURS: our_ranking(settings, found, cut, request.seeds, told)}
    if "imbalance" in request.parts:
        parts["imbalance"] = imbalance_study(
            train, test, models=quick, rates=request.rates, seeds=request.seeds, **common
        )
    if "drift" in request.parts:
        quarters = [(name, found.rows(begin, end)) for name, begin, end in quarters_of(found.moment_us)]
        parts["quarters"] = quarter_matrix(quarters, models=quick, seeds=request.seeds, **common)
        parts["upkeep"] = drift_study(quarters, models=quick, labels=request.labels, seeds=request.seeds, **common)
    if "interpretability" in request.parts:
        parts["worth"] = column_worth(
            train, test, models=quick, seed=settings.seed, threads=settings.worker_threads, progress=told
        )
    return AlertBenchmark(
        request=request,
        train=cut,
        train_reported=int(train.y.sum()),
        test=len(test.y),
        test_reported=int(test.y.sum()),
        columns=tuple(feature.name for feature in found.features),
        notes=(*found.notes, *_told(request, cut)),
        **parts,
    )


def our_ranking(settings: Settings, found: AlertSet, cut: int, seeds: int, told: Progress) -> Spread:
    """ROC AUC of what `greywater prioritise` ranks with: fitted before the last training quarter, chosen on it."""
    starts = [start for start in quarter_starts(found.moment_us[:cut]) if 0 < start < cut]
    stop = next((start for start in reversed(starts) if cut - start >= LEAST_HELD), int(cut * 0.75))
    if not 0 < int(found.y[:stop].sum()) < stop:
        return Spread((None,) * seeds)
    rows = feature_rows(found.features, found.values)
    decided = DecidedAlerts(found.features, found.values, found.y, found.moment_us, np.arange(len(found.y)))
    told.step(f"fitting: {OURS}", seeds)
    values = []
    for seed in range(settings.seed, settings.seed + seeds):
        model = fit_best(rows, decided, stop, cut, settings.with_(seed=seed), None)
        values.append(roc_auc(found.y[cut:], model.score(rows.slice(cut))))
        told.advance(1)
    return Spread(tuple(values))


def _told(request: BenchmarkRequest, rows: int) -> list[str]:
    notes = []
    if "svm" in (request.models or ALERT_MODELS) and rows > MOST_SVM_ROWS:
        notes.append(f"the SVM learned from {MOST_SVM_ROWS:,} of {rows:,} training alerts, drawn for each seed")
    if set(request.parts) - {"models"} and request.models is None:
        left = [title for name, title in ALERT_MODELS.items() if name not in QUICK_MODELS]
        notes.append(f"the studies left out {' and '.join(left)}, which take minutes a fit: name them to have them")
    return notes
