"""Models of alerts where reports are rarer and rarer, with each remedy for the imbalance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from greywater.detectors.alert_models import ALERT_MODELS, AlertRows, Spread, fit_alert_model, scaled_on
from greywater.detectors.metrics import roc_auc
from greywater.detectors.resampling import REMEDIES, rebalanced, thinned_to_rate
from greywater.errors import DetectorError
from greywater.vocab import Progress

__all__ = ["RATES", "ImbalanceCell", "imbalance_study"]

#: Shares of the training alerts that are reported.
RATES: Final = (0.17, 0.05, 0.01, 0.001)


@dataclass(frozen=True)
class ImbalanceCell:
    """One rate, remedy and model: ROC AUC over seeds, and how many alerts were learned from before the remedy."""

    rate: float
    remedy: str
    model: str
    auc: Spread
    alerts: int
    reported: int
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """In JSON types."""
        return {**vars(self), "auc": self.auc.to_json()}


def imbalance_study(
    train: AlertRows,
    test: AlertRows,
    *,
    models: Sequence[str],
    rates: Sequence[float] = RATES,
    seeds: int = 10,
    first_seed: int = 7,
    threads: int = 1,
    progress: Progress | None = None,
) -> tuple[ImbalanceCell, ...]:
    """Thin the training alerts to each rate, apply each remedy, and measure ROC AUC on test alerts left as they are.

    ROC AUC does not depend on the test rate, and a thinned test slice would only add noise. Each seed draws its own
    training alerts; remedies and models of one seed and rate share them.

    Parameters
    ----------
    train, test : AlertRows
        Not scaled.
    models : sequence of str
        Of ALERT_MODELS.
    rates : sequence of float
    seeds, first_seed : int
    threads : int
    progress : Progress, optional
        Advanced by fits.
    """
    if progress is not None:
        progress.step("fitting with fewer reports", len(rates) * len(REMEDIES) * len(models) * seeds)
    cells = []
    for rate in rates:
        slices = [train.take(thinned_to_rate(train.y, rate, seed)) for seed in range(first_seed, first_seed + seeds)]
        scaled = [scaled_on(part.X, test.X) for part in slices]
        for remedy in REMEDIES:
            for model in models:
                values: list[float | None] = []
                why = ""
                for at, (part, (own, other)) in enumerate(zip(slices, scaled, strict=True)):
                    seed = first_seed + at
                    rows, weight = rebalanced(remedy, AlertRows(own, part.y), seed)
                    try:
                        score = fit_alert_model(model, rows, seed=seed, weight=weight, threads=threads)
                        values.append(roc_auc(test.y, score(other)))
                    except DetectorError as error:
                        values.append(None)
                        why = error.found
                    if progress is not None:
                        progress.advance(1)
                first = slices[0]
                name = ALERT_MODELS[model]
                reported = int(np.sum(first.y))
                cells.append(ImbalanceCell(rate, remedy, name, Spread(tuple(values)), len(first.y), reported, why))
    return tuple(cells)
