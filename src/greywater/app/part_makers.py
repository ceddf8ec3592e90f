"""The parts that the main job's hybrid is made of: the one list to which a new part is added."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from greywater.app.rule_place import project_rules
from greywater.config import Settings
from greywater.detectors.adversarial import Adversarial
from greywater.detectors.association import Association
from greywater.detectors.boosted import Boosted, BoostedParameters
from greywater.detectors.detector import Detector
from greywater.detectors.isolation import Isolation
from greywater.detectors.outlier import OutlierDetector
from greywater.detectors.outlier_kinds import OUTLIER_KINDS
from greywater.detectors.rule_part import RulePart
from greywater.features.suspicion import SUSPICION_FEATURES

__all__ = [
    "PART_MAKERS",
    "PartContext",
    "PartMaker",
    "adversarial_of",
    "boosted_of",
    "isolation_of",
    "make_parts",
    "outlier_of",
]


@dataclass(frozen=True)
class PartContext:
    """What a maker may look at: the settings, the columns that there are, and what codes of texts in them mean."""

    settings: Settings
    names: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


#: Makes parts that are not fitted yet, by name; none where the columns that a part needs are not there.
PartMaker = Callable[[PartContext], Mapping[str, Detector]]


def boosted_of(settings: Settings) -> Boosted:
    """Boosted trees as the settings have them."""
    return Boosted(
        BoostedParameters(monotone=settings.monotone),
        seed=settings.seed,
        threads=settings.worker_threads,
        threshold_by="cost" if settings.threshold_by == "cost" else "f1",
        cost_missed=settings.cost_missed,
        cost_wasted=settings.cost_wasted,
    )


def isolation_of(settings: Settings) -> Isolation:
    """An isolation forest as the settings have it."""
    return Isolation(seed=settings.seed, threads=settings.worker_threads)


def outlier_of(kind: str, settings: Settings) -> OutlierDetector[Any]:
    """The classic anomaly detector of that name, as the settings have it."""
    return OUTLIER_KINDS[kind](seed=settings.seed, threads=settings.worker_threads)


def adversarial_of(settings: Settings) -> Adversarial:
    """The adversarial detector as the settings have it."""
    return Adversarial(seed=settings.seed, threads=settings.worker_threads)


def _boosted(context: PartContext) -> Mapping[str, Detector]:
    return {"boosted": boosted_of(context.settings)}


def _rules(context: PartContext) -> Mapping[str, Detector]:
    return {"rules": RulePart(project_rules(context.settings), words=context.words or None)}


def _isolation(context: PartContext) -> Mapping[str, Detector]:
    return {"isolation": isolation_of(context.settings)}


def _trust(context: PartContext) -> Mapping[str, Detector]:
    known = all(feature.name in context.names for feature in SUSPICION_FEATURES)
    return {"trust": Association()} if known else {}


def _adversarial(context: PartContext) -> Mapping[str, Detector]:
    return {"adversarial": adversarial_of(context.settings)} if context.settings.deep else {}


#: Every part of the hybrid, in order. A part keeps the Detector contract; it may also have several scores, or demand
#: alerts (greywater.detectors.part_scores: ManyScores, Mandatory). Its kind must be in PART_KINDS to be loaded again.
PART_MAKERS: Final[tuple[PartMaker, ...]] = (_boosted, _isolation, _adversarial, _rules, _trust)


def make_parts(context: PartContext, makers: tuple[PartMaker, ...] = PART_MAKERS) -> dict[str, Detector]:
    """The parts of all makers by name."""
    return {name: part for maker in makers for name, part in maker(context).items()}
