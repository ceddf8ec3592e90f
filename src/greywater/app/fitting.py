"""Chooses the detector that the labels allow, fits it on the past, and says why it was chosen."""

from __future__ import annotations

from dataclasses import dataclass

from greywater.app.split import Split
from greywater.app.truth import Truth
from greywater.config import Settings
from greywater.detectors.boosted import Boosted
from greywater.detectors.detector import Validation
from greywater.detectors.isolation import Isolation
from greywater.pipeline.replay import Replayed
from greywater.stores.blocks import FeatureBlocks
from greywater.vocab import Float64Array, Progress

__all__ = ["Fitted", "fit_detector"]


@dataclass(frozen=True)
class Fitted:
    """A fitted detector, what it is called, and why it was used."""

    detector: Boosted | Isolation
    name: str
    why: str

    @property
    def kind(self) -> str:
        """Short name of the detector."""
        return self.detector.kind

    @property
    def threshold(self) -> float:
        """Score from which a payment counts as flagged."""
        return float(self.detector.threshold.value)

    def calibrate(self, score: Float64Array) -> Float64Array:
        """Probabilities of scores already at hand."""
        return self.detector.calibrate(score)


def fit_detector(
    blocks: FeatureBlocks,
    replayed: Replayed,
    truth: Truth | None,
    split: Split,
    settings: Settings,
    progress: Progress | None = None,
) -> Fitted:
    """Boosted trees where the training slice holds laundering; an isolation forest where it does not.

    Trees are fitted on rows [0, train), stopped, calibrated and given their threshold on [train, validation).
    """
    train = blocks.slice(0, split.train)
    time = replayed.time_us[: split.train]
    y = truth.y[: split.train] if truth is not None else None
    later = None
    if truth is not None and split.validation > split.train:
        later = Validation(blocks.slice(split.train, split.validation), truth.y[split.train : split.validation])
    if y is not None and 0 < int(y.sum()) < len(y):
        boosted = Boosted(
            seed=settings.seed,
            threads=settings.worker_threads,
            threshold_by="cost" if settings.threshold_by == "cost" else "f1",
            cost_missed=settings.cost_missed,
            cost_wasted=settings.cost_wasted,
        )
        boosted.fit(train, y, time, validation=later, progress=progress)
        laundering = "account" if truth is not None and truth.by_account else "payment"
        found = f"{int(y.sum()):,} of the {split.train:,} payments it learned from"
        why = f"{found} are labelled laundering (by {laundering})"
        return Fitted(boosted, "boosted trees (LightGBM)", why)
    isolation = Isolation(seed=settings.seed, threads=settings.worker_threads)
    isolation.fit(train, None, time, validation=later, progress=progress)
    if truth is None:
        why = (
            "no labels were given, so it looks for payments unlike the others; give --labels to learn from known cases"
        )
    elif y is not None and len(y) and y.all():
        why = "the labels call every one of the first 60 % of the payments laundering, so there is nothing to compare"
    else:
        why = "the labels hold no laundering in the first 60 % of the payments, so there is nothing to learn from"
    return Fitted(isolation, "isolation forest (scikit-learn)", why)
