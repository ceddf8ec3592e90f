"""Fits the detector that the settings and the labels allow on the past, and says why it was chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from greywater.app.part_makers import (
    PartContext,
    adversarial_of,
    boosted_of,
    hybrid_of,
    isolation_of,
    outlier_of,
)
from greywater.app.split import Split
from greywater.app.truth import Truth
from greywater.config import Settings
from greywater.detectors.adversarial import Adversarial
from greywater.detectors.adversarial_sequence import AdversarialSequence
from greywater.detectors.boosted import Boosted
from greywater.detectors.detector import Validation
from greywater.detectors.hybrid import Hybrid
from greywater.detectors.isolation import Isolation
from greywater.detectors.outlier import OutlierDetector
from greywater.detectors.outlier_kinds import OUTLIER_KINDS
from greywater.detectors.rule_part import RulePart
from greywater.detectors.rules.survey import RuleSurvey, survey
from greywater.detectors.search_space import Value
from greywater.detectors.steps import StepTold, Stepwise
from greywater.pipeline.replay import Replayed
from greywater.stores.blocks import FeatureBlocks
from greywater.vocab import Float64Array, Progress

__all__ = ["CALLED", "Fitted", "fit_detector"]

#: What the parts are called where people read it.
CALLED = {
    "boosted": "boosted trees (LightGBM)",
    "isolation": "isolation forest (scikit-learn)",
    "rules": "rules",
    "trust": "Anti-TrustRank",
    "adversarial": "adversarial anomaly detector (PyTorch)",
    "adversarial_sequence": "adversarial anomaly detector over sequences (PyTorch)",
    **{kind: made.called for kind, made in OUTLIER_KINDS.items()},
}


@dataclass(frozen=True)
class Fitted:
    """A fitted detector, what it is called, and why it was used."""

    detector: Boosted | Isolation | Hybrid | Adversarial | OutlierDetector[Any]
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

    def later_scores(self, rows: FeatureBlocks) -> Float64Array:
        """Scores of the later half of the slice that it was tuned on, float64[n]; of a hybrid they are at hand."""
        known = self.detector.later_scores if isinstance(self.detector, Hybrid) else None
        return known if known is not None and len(known) == rows.rows else self.detector.score(rows)

    def survey(self, rows: FeatureBlocks) -> RuleSurvey:
        """What the rules among the parts did on payments, and which must raise an alert whatever their rank."""
        parts = self.detector.parts.values() if isinstance(self.detector, Hybrid) else ()
        rules = next((part for part in parts if isinstance(part, RulePart)), None)
        return RuleSurvey(np.zeros(rows.rows, np.bool_)) if rules is None else survey(rules.hits(rows), rows.rows)


def fit_detector(
    blocks: FeatureBlocks,
    replayed: Replayed,
    truth: Truth | None,
    split: Split,
    settings: Settings,
    progress: Progress | None = None,
    words: Mapping[str, tuple[str, ...]] | None = None,
    steps: Callable[[str], StepTold] | None = None,
    tuned: Mapping[str, Value] | None = None,
) -> Fitted:
    """The detector that `settings.detector` names, fitted on rows [0, train), tuned on [train, validation).

    "hybrid": the parts of PART_MAKERS under a second level that learns from the later part of [train, validation).
    "boosted": boosted trees where the training slice holds laundering, an isolation forest where it does not.
    "isolation": an isolation forest, whatever the labels.
    "adversarial": a refiner and a discriminator, which known launderers are pushed away from where there are labels.
    "adversarial_sequence": the same over the last payments of both parties.
    One of OUTLIER_KINDS: that classic anomaly detector, whatever the labels.

    `words` say what the codes of text attributes mean, by column. `steps` gives, for a kind of detector or the name of
    a part, whom its steps are told to. `tuned` are parameters of the detector named; the others keep their defaults.
    """

    def told(name: str, detector: Any) -> Any:
        return detector.on_step(steps(name)) if steps is not None and isinstance(detector, Stepwise) else detector

    train = blocks.slice(0, split.train)
    time = replayed.time_us[: split.train]
    y = truth.y[: split.train] if truth is not None else None
    later = None
    if truth is not None and split.validation > split.train:
        later = Validation(blocks.slice(split.train, split.validation), truth.y[split.train : split.validation])
    labelled = y is not None and 0 < int(y.sum()) < len(y)
    why = _why(truth, split)
    if settings.detector == "hybrid":
        hybrid = hybrid_of(PartContext(settings, blocks.names, words or {}), tuned, each=told)
        hybrid.fit(train, y, time, validation=later, progress=progress)
        return Fitted(hybrid, _called(hybrid), f"{why}{_weights(hybrid)}")
    if labelled and settings.detector == "boosted":
        boosted = told("boosted", boosted_of(settings, tuned))
        boosted.fit(train, y, time, validation=later, progress=progress)
        return Fitted(boosted, CALLED["boosted"], why)
    if settings.detector in (Adversarial.kind, AdversarialSequence.kind):
        adversarial = told(settings.detector, adversarial_of(settings, tuned))
        adversarial.fit(train, y, time, validation=later, progress=progress)
        return Fitted(adversarial, CALLED[adversarial.kind], "the setting `detector` asks for it")
    named = settings.detector in OUTLIER_KINDS
    # Where trees were asked for and there is nothing to learn from, what was tuned is of no use to the forest.
    own = tuned if settings.detector == "isolation" else None
    unlearned = outlier_of(settings.detector, settings, tuned) if named else isolation_of(settings, own)
    unlearned.fit(train, None, time, validation=later, progress=progress)
    asked = "the setting `detector` asks for it" if labelled or named else why
    return Fitted(unlearned, CALLED[unlearned.kind], asked)


def _why(truth: Truth | None, split: Split) -> str:
    """What the labels allow, in words."""
    if truth is None:
        return (
            "no labels were given, so it looks for payments unlike the others; give --labels to learn from known cases"
        )
    y = truth.y[: split.train]
    if len(y) and y.all():
        return "the labels call every one of the first 60 % of the payments laundering, so there is nothing to compare"
    if not y.any():
        return "the labels hold no laundering in the first 60 % of the payments, so there is nothing to learn from"
    laundering = "account" if truth.by_account else "payment"
    found = f"{int(y.sum()):,} of the {split.train:,} payments it learned from"
    return f"{found} are labelled laundering (by {laundering})"


def _called(hybrid: Hybrid) -> str:
    called = [CALLED.get(name, name) for name in hybrid.parts]
    return called[0] if len(called) == 1 else f"hybrid of {', '.join(called[:-1])} and {called[-1]}"


def _weights(hybrid: Hybrid) -> str:
    """What the second level makes of several scores, in words."""
    scores = hybrid.card["scores"]
    if len(scores) < 2:
        return ""
    if hybrid.card["how"] == "fused":
        return "; the parts are fused by rank"
    return "; weights " + ", ".join(f"{each['name']} {each['weight']:.2f}" for each in scores)
