"""Models of alerts over time: trained on one quarter and tested on each later one, and kept fresh in three ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from greywater.detectors.alert_models import ALERT_MODELS, AlertRows, Spread, fit_alert_model, scaled_on
from greywater.detectors.metrics import roc_auc
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array, Progress

__all__ = ["UPKEEP", "DriftPoint", "QuarterCell", "drift_study", "quarter_matrix"]

#: Name -> what becomes of a model between quarters.
UPKEEP: Final = {
    "none": "fitted once, on the first quarter",
    "retrained": "fitted again each quarter, on outcomes of alerts drawn at random from the quarter before",
    "active": "fitted again each quarter, on outcomes of the alerts it was least sure of in the quarter before",
    "all outcomes": "fitted again each quarter on every outcome so far: what more labels would bring",
}
#: Where a model's score says neither; a probability's one half where it is not named.
BOUNDARY: Final = {"svm": 0.0}


@dataclass(frozen=True)
class QuarterCell:
    """A model fitted on one quarter and measured on a later one."""

    model: str
    learned: str
    measured: str
    auc: Spread

    def to_json(self) -> dict[str, Any]:
        """In JSON types."""
        return {**vars(self), "auc": self.auc.to_json()}


@dataclass(frozen=True)
class DriftPoint:
    """A way of upkeep measured on one quarter; `labels` = outcomes that the model had been given by then."""

    model: str
    upkeep: str
    measured: str
    labels: int
    auc: Spread

    def to_json(self) -> dict[str, Any]:
        """In JSON types."""
        return {**vars(self), "auc": self.auc.to_json()}


def quarter_matrix(
    quarters: Sequence[tuple[str, AlertRows]],
    *,
    models: Sequence[str],
    seeds: int = 10,
    first_seed: int = 7,
    threads: int = 1,
    progress: Progress | None = None,
) -> tuple[QuarterCell, ...]:
    """Fit on each quarter alone and measure ROC AUC on every later one.

    Parameters
    ----------
    quarters : sequence of (name, AlertRows)
        In order of time; not scaled. A quarter of one outcome teaches nothing and is passed over.
    models : sequence of str
    seeds, first_seed, threads : int
    progress : Progress, optional
        Advanced by fits.
    """
    usable = [(at, name, rows) for at, (name, rows) in enumerate(quarters[:-1]) if _has_both(rows)]
    if progress is not None:
        progress.step("fitting on each quarter", len(usable) * len(models) * seeds)
    cells = []
    for model in models:
        for at, name, rows in usable:
            later = [(when, part) for when, part in quarters[at + 1 :] if len(part.y)]
            values: list[list[float | None]] = [[] for _ in later]
            for seed in range(first_seed, first_seed + seeds):
                scores = _scores(model, rows, [part for _, part in later], seed, threads)
                for place, (_, part) in enumerate(later):
                    values[place].append(roc_auc(part.y, scores[place]))
                if progress is not None:
                    progress.advance(1)
            for place, (when, _) in enumerate(later):
                cells.append(QuarterCell(ALERT_MODELS[model], name, when, Spread(tuple(values[place]))))
    return tuple(cells)


def drift_study(
    quarters: Sequence[tuple[str, AlertRows]],
    *,
    models: Sequence[str],
    labels: int = 200,
    seeds: int = 10,
    first_seed: int = 7,
    threads: int = 1,
    progress: Progress | None = None,
) -> tuple[DriftPoint, ...]:
    """Measure each way of upkeep on every quarter after the first, before any outcome of that quarter is asked for.

    All of them begin with the outcomes of the whole first quarter. After each later quarter `retrained` and `active`
    are given the same number of its outcomes, `retrained` of alerts drawn at random, `active` of the alerts whose
    score lay nearest to the line between the outcomes (uncertainty sampling, Lewis & Gale 1994).

    Parameters
    ----------
    quarters : sequence of (name, AlertRows)
        In order of time; not scaled. The first holds both outcomes.
    models : sequence of str
    labels : int
        Outcomes a quarter.
    seeds, first_seed, threads : int
    progress : Progress, optional
        Advanced by fits.
    """
    if not quarters or not _has_both(quarters[0][1]):
        raise DetectorError("the first quarter does not hold both outcomes", mend="begin with a later quarter")
    if labels < 1:
        raise DetectorError(f"{labels} outcomes a quarter teach nothing", mend="give 1 or more")
    if progress is not None:
        progress.step("keeping models fresh", len(models) * len(UPKEEP) * (len(quarters) - 1) * seeds)
    points = []
    for model in models:
        for upkeep in UPKEEP:
            found: dict[str, list[float | None]] = {name: [] for name, _ in quarters[1:]}
            given: dict[str, int] = {}
            for seed in range(first_seed, first_seed + seeds):
                _one_life(quarters, model, upkeep, labels, seed, threads, found, given)
                if progress is not None:
                    progress.advance(len(quarters) - 1)
            for name, _ in quarters[1:]:
                points.append(DriftPoint(ALERT_MODELS[model], upkeep, name, given[name], Spread(tuple(found[name]))))
    return tuple(points)


def _one_life(
    quarters: Sequence[tuple[str, AlertRows]], model: str, upkeep: str, labels: int, seed: int, threads: int,
    found: dict[str, list[float | None]], given: dict[str, int],
) -> None:  # fmt: skip
    """One model from the first quarter to the last, under one seed."""
    draw = np.random.default_rng(seed)
    known = quarters[0][1]
    for name, rows in quarters[1:]:
        score = _scores(model, known, [rows], seed, threads)[0] if len(rows.y) else np.empty(0)
        found[name].append(roc_auc(rows.y, score) if len(rows.y) else None)
        given[name] = len(known.y)
        asked = _asked(model, upkeep, score, labels, draw)
        more = rows.take(asked)
        known = AlertRows(np.concatenate([known.X, more.X]), np.concatenate([known.y, more.y]))


def _asked(model: str, upkeep: str, score: Float64Array, labels: int, draw: np.random.Generator) -> Int64Array:
    """Which alerts of a quarter are looked into; among equally unsure ones chance decides."""
    if upkeep == "none":
        return np.empty(0, np.int64)
    if upkeep == "all outcomes":
        return np.arange(len(score))
    order = draw.permutation(len(score))
    if upkeep == "active":
        sure = np.abs(score[order] - BOUNDARY.get(model, 0.5))
        order = order[np.argsort(sure, kind="stable")]
    return np.sort(order[:labels]).astype(np.int64)


def _scores(
    model: str, rows: AlertRows, others: Sequence[AlertRows], seed: int, threads: int
) -> tuple[Float64Array, ...]:
    own, *scaled = scaled_on(rows.X, *(part.X for part in others))
    order = np.random.default_rng(seed).permutation(len(rows.y))
    score = fit_alert_model(model, AlertRows(own, rows.y).take(order), seed=seed, threads=threads)
    return tuple(score(part) for part in scaled)


def _has_both(rows: AlertRows) -> bool:
    return 0 < int(rows.y.sum()) < len(rows.y)
