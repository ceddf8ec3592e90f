"""The use case that holds made-up alerts against real ones: how near they are, and whether they give anyone away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np

from greywater.access.policy import require
from greywater.app.audit import audited
from greywater.app.ingest import Silent
from greywater.config import Settings
from greywater.detectors.alert_models import ALERT_MODELS, AlertRows, Spread, contest, one_thread_of_algebra
from greywater.detectors.column_worth import rank_agreement
from greywater.detectors.told_apart import told_apart
from greywater.errors import UsageError
from greywater.features.alert_bags import BAG_FEATURES, bag_features
from greywater.synth.alertbook_tables import CELLS, AlertTables, read_tables
from greywater.synth.fidelity import (
    Cell,
    Measure,
    cells,
    correlation_gap,
    distributions,
    noise_of_columns,
    outcome_gap,
    seconds_before,
    size_curves,
    worst,
)
from greywater.synth.fidelity_privacy import ClosestRecord, closest_record, copied_extremes, copied_rows
from greywater.vocab import Actor, Float64Array, Progress

__all__ = ["Fidelity", "FidelityRequest", "measure_fidelity"]

#: Least share of train-real ROC AUC that train-synthetic must reach on real alerts.
WORTH: Final = 0.97
#: How far from one half the share of alerts that lie closer to train may be.
PRIVATE: Final = 0.03
#: Mean distance of correlations, and of what each column says of the outcome, that still counts as near.
CORRELATIONS: Final = 0.05
OUTCOMES: Final = 0.03
#: ROC AUC up to which a classifier does not tell made alerts from real ones with any ease.
TOLD: Final = 0.75
#: Shares of copied transactions and extremes that chance may bring.
COPIED: Final = 0.001
COPIED_EXTREMES: Final = 0.05
#: Of a holdout at most this share of the transactions may be the real ones.
_SHARED: Final = 0.5
#: Transactions drawn from each side for the classifier that looks at them one by one.
MOST_TRANSACTIONS: Final = 50_000
#: Points of a drawn curve of distances.
POINTS: Final = 101

Pair = tuple[Path, Path]


@dataclass(frozen=True)
class FidelityRequest:
    """What is held against what.

    Parameters
    ----------
    real, made : (Path, Path)
        Alerts and transactions of SynthAML's form: those that the generator was fitted on, and what it made.
    holdout : (Path, Path), optional
        Real alerts that it never saw. Without them privacy cannot be measured by distance, and usefulness is measured
        by time on alerts that the generator has seen.
    models : sequence of str
        Of ALERT_MODELS, for usefulness.
    seeds : int
        Behind each of their figures.
    test_from : str
        Without a holdout: first day of the real alerts that are tested on.
    """

    real: Pair
    made: Pair
    holdout: Pair | None = None
    models: Sequence[str] = tuple(ALERT_MODELS)
    seeds: int = 3
    test_from: str = "2021-01-01"

    def __post_init__(self) -> None:
        strange = [name for name in self.models if name not in ALERT_MODELS]
        if strange or not self.models:
            found = f"there is no {strange[0]!r}" if strange else "no model is named"
            raise UsageError(found, where="--models", mend=f"give some of {', '.join(ALERT_MODELS)}")
        if not 1 <= self.seeds <= 1_000:
            raise UsageError(f"{self.seeds} seeds cannot be run", where="--seeds", mend="give 1 to 1,000")
        try:
            date.fromisoformat(self.test_from)
        except ValueError:
            mend = "give a day such as 2021-01-01"
            raise UsageError(f"{self.test_from!r} is no day", where="--test-from", mend=mend) from None


@dataclass(frozen=True)
class Fidelity:
    """What was found.

    Parameters
    ----------
    counts : dict
        Alerts, reported alerts and transactions of each side.
    measures : tuple of Measure
        Every figure with its line, by section.
    models : dict
        Title -> ROC AUC on real alerts of models trained on real and on made ones.
    """

    request: FidelityRequest
    counts: dict[str, dict[str, int]]
    measures: dict[str, tuple[Measure, ...]]
    cells: tuple[Cell, ...]
    correlations: Float64Array
    closest: ClosestRecord
    curves: list[dict[str, Any]]
    models: dict[str, tuple[Spread, Spread]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def fine(self) -> bool:
        """Whether every figure that has a line keeps it."""
        return all(each.fine is not False for part in self.measures.values() for each in part)

    def to_json(self) -> dict[str, Any]:
        """Everything in JSON types."""
        names = [feature.name for feature in BAG_FEATURES]
        shares = np.linspace(0, 1, POINTS)
        distances = {
            name: np.quantile(values, shares).tolist() if len(values) else []
            for name, values in vars(self.closest).items()
        }
        return {
            "real": [path.name for path in self.request.real],
            "made": [path.name for path in self.request.made],
            "holdout": None if self.request.holdout is None else [path.name for path in self.request.holdout],
            "counts": self.counts,
            "fine": self.fine,
            "measures": {name: [each.to_json() for each in part] for name, part in self.measures.items()},
            "cells": [cell.to_json() for cell in self.cells],
            "correlation_gap": {"columns": names, "values": np.round(self.correlations, 3).tolist()},
            "models": [
                {"model": name, "train_real": real.to_json(), "train_made": made.to_json()}
                for name, (real, made) in self.models.items()
            ],
            "distances": distances,
            "size_curves": self.curves,
            "notes": list(self.notes),
        }


def measure_fidelity(
    actor: Actor, settings: Settings, request: FidelityRequest, progress: Progress | None = None
) -> Fidelity:
    """Hold made-up alerts against real ones.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `train`.
    settings : Settings
        Seed and threads.
    request : FidelityRequest
    progress : Progress, optional

    Raises
    ------
    AccessDeniedError
        The actor may not.
    InputError
        A file cannot be used.
    """
    told = progress or Silent()
    with audited(settings, actor, "train", "fidelity of made-up alerts") as detail:
        require(actor, "train")
        sides = {}
        for name, pair in (("real", request.real), ("made", request.made), ("holdout", request.holdout)):
            if pair is not None:
                told.step(f"reading the {name} alerts")
                sides[name] = read_tables(*pair)
        detail.update({name: len(side.day) for name, side in sides.items()})
        with one_thread_of_algebra():
            return _Measuring(settings, request, sides, told).done()


class _Measuring:
    """One report on its way."""

    def __init__(
        self, settings: Settings, request: FidelityRequest, sides: dict[str, AlertTables], told: Progress
    ) -> None:
        self._settings, self._request, self._sides, self._told = settings, request, sides, told
        self._rows = {name: _features(side) for name, side in sides.items()}
        self._notes = [
            f"{side.set_aside:,} transactions of the {name} alerts were set aside: unreadable, of no alert, or later"
            for name, side in sides.items()
            if side.set_aside
        ]

    def done(self) -> Fidelity:
        """Every section."""
        real, made = self._sides["real"], self._sides["made"]
        self._told.step("comparing distributions")
        within = cells(real, made)
        gaps = correlation_gap(self._rows["real"].X, self._rows["made"].X)
        closest, privacy = self._privacy()
        useful, models = self._usefulness()
        measures = {
            "overall": distributions(real, made),
            "within": self._within(within),
            "correlations": self._correlations(gaps),
            "usefulness": useful,
            "told apart": self._told_apart(),
            "privacy": privacy,
        }
        counts = {
            name: {
                "alerts": len(side.day), "reported": int(side.reported.sum()), "transactions": len(side.size),
            }
            for name, side in self._sides.items()
        }  # fmt: skip
        return Fidelity(
            self._request, counts, measures, within, gaps, closest, size_curves(real, made), models, tuple(self._notes)
        )

    def _within(self, found: Sequence[Cell]) -> tuple[Measure, ...]:
        missing = [cell for cell in found if bool(cell.real) != bool(cell.made)]
        known = [cell for cell in found if cell.fine is not None]
        beyond = [cell for cell in known if not cell.fine]
        far = worst(found)
        words = "type, entry and outcome whose sizes or times are farther apart than chance and 0.03 allow"
        if far is not None:
            words += f"; the worst is {far.kind} {far.entry} of {far.outcome} alerts"
        return (
            Measure.at_most("largest distance", _largest(known), max((c.line or 0.0 for c in known), default=0.0),
                            "KS of size or time in any type, entry and outcome; the line of the smallest of them"),
            Measure.at_most("cells beyond their line", float(len(beyond)), 0.0, words),
            Measure.at_most("cells on one side only", float(len(missing)), 0.0, "made up, or lost altogether"),
        )  # fmt: skip

    def _correlations(self, gaps: Float64Array) -> tuple[Measure, ...]:
        pairs = np.abs(gaps[np.triu_indices(len(gaps), 1)])
        real, made = self._rows["real"], self._rows["made"]
        outcome = np.abs(outcome_gap((real.X, real.y), (made.X, made.y)))
        told = None if np.isnan(outcome).all() else float(np.nanmean(outcome))
        line, outcome_line = noise_of_columns(real.y, made.y)
        return (
            Measure.at_most("correlations", float(pairs.mean()), max(CORRELATIONS, line),
                            "mean distance over pairs of columns"),
            Measure("largest correlation gap", float(pairs.max()), 0.0, None, None, "of any pair of columns"),
            Measure.at_most("outcome", told, max(OUTCOMES, outcome_line),
                            "mean distance of each column's own ROC AUC for the outcome"),
        )  # fmt: skip

    def _usefulness(self) -> tuple[tuple[Measure, ...], dict[str, tuple[Spread, Spread]]]:
        train, made, test = self._slices()
        if not all(0 < int(part.y.sum()) < len(part.y) for part in (train, made, test)):
            self._notes.append("usefulness was not measured: a slice holds one outcome only")
            return (), {}
        draw = np.random.default_rng(self._settings.seed)
        made = made.take(draw.permutation(len(made.y))[: len(train.y)])  # more rows teach more, whatever their worth
        found = [
            contest(part, test, models=self._request.models, seeds=self._request.seeds,
                    first_seed=self._settings.seed, threads=self._settings.worker_threads, progress=self._told)
            for part in (train, made)
        ]  # fmt: skip
        means = [[each[name].mean or 0.0 for name in self._request.models] for each in found]
        ratio = float(np.mean(means[1]) / np.mean(means[0])) if np.mean(means[0]) else None
        measures = [
            Measure.at_least("train-synthetic, test-real", ratio, WORTH, "mean ROC AUC over that of train-real"),
        ]
        if len(self._request.models) > 2:
            order = rank_agreement(np.array(means[0]), np.array(means[1]))
            words = "Spearman of the models' ROC AUC, trained on made against trained on real alerts"
            measures.append(Measure("order of the models", order, 1.0, None, None, words))
        titles = {ALERT_MODELS[name]: (found[0][name], found[1][name]) for name in self._request.models}
        return tuple(measures), titles

    def _slices(self) -> tuple[AlertRows, AlertRows, AlertRows]:
        real, made = self._rows["real"], self._rows["made"]
        if "holdout" in self._rows:
            return real, made, self._rows["holdout"]
        day = (date.fromisoformat(self._request.test_from) - date(1970, 1, 1)).days
        before, after = (np.flatnonzero((self._sides["real"].day < day) == side) for side in (True, False))
        self._notes.append(
            f"without a holdout, usefulness is measured on the real alerts from {self._request.test_from} on, which "
            "the generator may have seen"
        )
        return real.take(before), made.take(np.flatnonzero(self._sides["made"].day < day)), real.take(after)

    def _told_apart(self) -> tuple[Measure, ...]:
        self._told.step("telling made alerts from real ones")
        real, made = self._sides["real"], self._sides["made"]
        count = min(len(real.day), len(made.day))
        draw = np.random.default_rng(self._settings.seed)
        rows = [self._rows[name].X for name in ("real", "made")]
        rows = [part[np.sort(draw.permutation(len(part))[:count])] for part in rows]
        common: dict[str, Any] = {"seed": self._settings.seed, "threads": self._settings.worker_threads}
        alerts = told_apart(rows[0], rows[1], **common)
        kept = [np.sort(draw.permutation(len(side.size))[:MOST_TRANSACTIONS]) for side in (real, made)]
        single = [_single(side, at) for side, at in zip((real, made), kept, strict=True)]
        owners = (real.alert[kept[0]].astype(np.int64), made.alert[kept[1]].astype(np.int64))
        by_row = told_apart(single[0], single[1], groups=owners, **common)
        words = "ROC AUC of LightGBM between made and real, three folds"
        return (
            Measure.at_most("alerts", alerts, TOLD, f"{words}, by the 56 columns of an alert", 0.5),
            Measure.at_most("transactions", by_row, TOLD, f"{words}, by type, entry, size, time and outcome", 0.5),
        )

    def _privacy(self) -> tuple[ClosestRecord, tuple[Measure, ...]]:
        self._told.step("looking for the closest record")
        rows = self._rows
        holdout = rows["holdout"].X if "holdout" in rows else None
        found = closest_record(rows["real"].X, rows["made"].X, holdout, self._settings.seed)
        real, made = self._sides["real"], self._sides["made"]
        seen, looked = copied_extremes(real, made)
        by_row = copied_rows(real, made)
        allowed = [COPIED, COPIED_EXTREMES]
        if "holdout" in self._sides:
            other, of = copied_extremes(real, self._sides["holdout"])
            shared = copied_rows(real, self._sides["holdout"]) or 0.0
            allowed = [min(1.0, max(COPIED, 2 * shared)), min(1.0, max(COPIED_EXTREMES, 2 * other / max(of, 1)))]
            if shared > _SHARED:
                self._notes.append(
                    f"{100 * shared:.0f} % of the holdout's transactions are in the real ones: it is no holdout, "
                    "and nothing is known of privacy"
                )
        else:
            self._notes.append(
                "without a holdout, whether made alerts lie closer to train is not known: give --holdout"
            )
        share = found.share_closer
        count = min(len(found.to_train), len(found.holdout_to_train))
        room = max(PRIVATE, 2 / max(count, 1) ** 0.5)
        fine = None if share is None else bool(abs(share - 0.5) <= room)
        words = "share of made alerts closer to a train alert than to a holdout alert"
        return found, (
            Measure("closer to train", share, 0.5, 0.5 + room, fine, words),
            Measure.at_most("copied alerts", found.share_copied, COPIED, "share equal to a train alert in all columns"),
            Measure.at_most("copied transactions", by_row, allowed[0], "share equal in type, entry, size and second"),
            Measure.at_most("copied extremes", seen / looked if looked else None, allowed[1],
                            f"of {looked} extreme sizes that occur once in the real transactions"),
        )  # fmt: skip


def _features(side: AlertTables) -> AlertRows:
    X = bag_features(len(side.day), side.alert.astype(np.int64), side.cell.astype(np.int64), side.size)
    return AlertRows(X, side.reported.astype(np.int64))


def _single(side: AlertTables, at: np.ndarray) -> Float64Array:
    """Transactions as rows: type and entry as flags, size, hours before the alert, hour of the day, outcome."""
    flags = (side.cell[at][:, None] == np.arange(CELLS)[None, :]).astype(np.float64)
    hour = (side.seconds[at] % 86_400) / 3_600
    told = side.reported[side.alert[at]].astype(np.float64)
    return np.column_stack([flags, side.size[at], seconds_before(side)[at] / 3_600, hour, told])


def _largest(found: Sequence[Cell]) -> float | None:
    return max((max(cell.size or 0.0, cell.time or 0.0) for cell in found), default=None)
