"""How good the alerts were, where labels say so: measures per payment, per alerted party, per typology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from greywater.app.parties import Parties
from greywater.app.truth import Scored, Truth
from greywater.desk.rollup import Candidate
from greywater.detectors.baseline import ColumnMeasure, single_column_baseline
from greywater.detectors.curves import alerts_saved_curve, precision_recall_curve, waiting_curve
from greywater.detectors.detector import Validation
from greywater.detectors.metrics import (
    PaymentMeasures,
    alerts_saved,
    budget_measures,
    calibration,
    f_beta,
    measure_payments,
    recall_by_typology,
    time_to_alert,
)
from greywater.detectors.saved import plain
from greywater.stores.blocks import FeatureBlocks
from greywater.vocab import EXTERNAL_PREFIX, Float64Array

__all__ = ["Judged", "Parting", "Verdict", "judge", "measure_alerts", "part_guilty", "party_scores"]


@dataclass(frozen=True)
class Judged:
    """What is judged: the alerted slice [begin, n) of the scored payments, its scores, the alerts raised on it."""

    replayed: Scored
    begin: int
    score: Float64Array
    probability: Float64Array
    threshold: float
    candidates: Sequence[Candidate]
    parties: Parties
    costs: tuple[float, float]


@dataclass(frozen=True)
class Verdict:
    """The measures in JSON types, the curves, and which alerted entities laundered.

    `curve` is precision against recall, `saved` the parties that need no look against recall, `waiting` the launderers
    alerted against days since their first dirty payment.
    """

    metrics: dict[str, Any]
    curve: tuple[tuple[float, float], ...]
    guilty: frozenset[str]
    saved: tuple[tuple[float, float], ...] = ()
    waiting: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Parting:
    """Who laundered in the slice: when each first did (microseconds), and who took part in which typology."""

    first_dirty: dict[str, int]
    typologies: dict[str, set[str]]


def judge(judged: Judged, truth: Truth, blocks: FeatureBlocks, before: Validation | None) -> Verdict:
    """Measure the alerts against the labels of the slice they were raised on.

    Parameters
    ----------
    judged : Judged
        Scores and alerts.
    truth : Truth
        Labels of all scored payments.
    blocks : FeatureBlocks
        Features of all scored payments, for the single-column baseline.
    before : Validation, optional
        The earlier slice on which the baseline chooses its direction.

    Returns
    -------
    Verdict
        `metrics` has every key of `--json`; a measure that is not defined is None.
    """
    verdict = measure_alerts(judged, truth)
    baseline = single_column_baseline(blocks.slice(judged.begin), truth.y[judged.begin :], directions_from=before)
    columns = {
        "by_average_precision": _column(baseline.by_average_precision),
        "by_roc_auc": _column(baseline.by_roc_auc),
    }
    return replace(verdict, metrics=verdict.metrics | {"single_column_baseline": plain(columns)})


def measure_alerts(judged: Judged, truth: Truth) -> Verdict:
    """Measure the alerts against labels, without the baseline that needs the features.

    Parameters
    ----------
    judged : Judged
        Scores and alerts.
    truth : Truth
        Labels of the scored payments.
    """
    y = truth.y[judged.begin :]
    missed, wasted = judged.costs
    measures = measure_payments(y, judged.score, judged.threshold, cost_missed=missed, cost_wasted=wasted)
    parting = part_guilty(judged, truth)
    guilty = set(parting.first_dirty)
    alerted = [candidate.entity for candidate in judged.candidates]
    raised = [(candidate.entity, candidate.time_us) for candidate in judged.candidates]
    budget = budget_measures(alerted, guilty)
    recall = recall_by_typology(alerted, parting.typologies)
    names, best = party_scores(judged)
    laundered = np.array([name in guilty for name in names], np.int64)
    metrics = payment_metrics(measures) | {
        "precision_at_budget": budget.precision,
        "recall_at_budget": budget.recall,
        "alerts": budget.alerts,
        "laundering_parties": budget.launderers,
        "recall_by_typology": None if recall is None else {name: part.recall for name, part in recall.items()},
        "alerts_saved": [asdict(floor) for floor in alerts_saved(laundered, best)] if len(names) else [],
        "time_to_alert": asdict(time_to_alert(parting.first_dirty, raised)),
        "calibration": asdict(calibration(y, judged.probability)),
    }
    return Verdict(
        plain(metrics),
        precision_recall_curve(y, judged.score),
        frozenset(guilty),
        saved=alerts_saved_curve(laundered, best),
        waiting=waiting_curve(parting.first_dirty, raised),
    )


def payment_metrics(measures: PaymentMeasures) -> dict[str, Any]:
    """Measures per payment, by the names of `greywater run --json`."""
    at = measures.at_threshold
    return {
        "average_precision": measures.average_precision,
        "precision": at.precision,
        "recall": at.recall,
        "f1": f_beta(at.confusion, 1.0) if measures.positives else None,
        "f2": f_beta(at.confusion, 2.0) if measures.positives else None,
        "confusion": asdict(at.confusion),
        "threshold": at.threshold,
        "roc_auc": measures.roc_auc,
        "partial_roc_auc": measures.partial_roc_auc,
        "expected_cost": measures.expected_cost,
        "payments": measures.rows,
        "laundering_payments": measures.positives,
    }


def part_guilty(judged: Judged, truth: Truth) -> Parting:
    """Parties inside the bank that laundered in the slice, the same by typology, and when each first did."""
    replayed, parties = judged.replayed, judged.parties
    guilty: dict[str, int] = {}
    typologies: dict[str, set[str]] = {}
    for at in (np.flatnonzero(truth.y[judged.begin :]) + judged.begin).tolist():
        for code in (replayed.sender[at], replayed.receiver[at]):
            account = replayed.accounts[code]
            if account.startswith(EXTERNAL_PREFIX):
                continue
            entity = parties.entity(account)
            time = int(replayed.time_us[at])
            guilty[entity] = min(time, guilty.get(entity, time))
            if at in truth.typology:
                typologies.setdefault(truth.typology[at], set()).add(entity)
    return Parting(guilty, typologies)


def party_scores(judged: Judged) -> tuple[list[str], Float64Array]:
    """Parties that take part in the slice, and the score float64[k] of the best payment of each."""
    replayed = judged.replayed
    best = np.full(len(replayed.accounts), -np.inf)
    for codes in (replayed.sender[judged.begin :], replayed.receiver[judged.begin :]):
        np.maximum.at(best, codes, judged.score)
    entities: dict[str, float] = {}
    for code in np.flatnonzero(best > -np.inf).tolist():
        entity = judged.parties.entity(replayed.accounts[code])
        entities[entity] = max(float(best[code]), entities.get(entity, -np.inf))
    return list(entities), np.array(list(entities.values()), np.float64)


def _column(measure: ColumnMeasure | None) -> dict[str, Any] | None:
    return None if measure is None else asdict(measure)
