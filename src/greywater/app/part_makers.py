"""The parts that the main job's hybrid is made of: the one list to which a new part is added."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from greywater.app.rule_place import project_rules
from greywater.config import Settings
from greywater.detectors.adversarial import Adversarial, AdversarialParameters
from greywater.detectors.adversarial_sequence import AdversarialSequence
from greywater.detectors.association import Association
from greywater.detectors.boosted import Boosted, BoostedParameters
from greywater.detectors.detector import Detector
from greywater.detectors.hybrid import Hybrid, HybridParameters
from greywater.detectors.isolation import Isolation, IsolationParameters
from greywater.detectors.outlier import OutlierDetector
from greywater.detectors.outlier_kinds import OUTLIER_KINDS
from greywater.detectors.rule_part import RulePart
from greywater.detectors.search_space import Value
from greywater.detectors.tunable import refuse_unknown
from greywater.features.suspicion import SUSPICION_FEATURES

__all__ = [
    "PART_MAKERS", "PartContext", "PartMaker", "adversarial_of", "boosted_of", "detector_of", "hybrid_of",
    "isolation_of", "make_parts", "outlier_of",
]  # fmt: skip

#: Parameters that were tuned, by name; the others keep their defaults.
Tuned = Mapping[str, Value]


@dataclass(frozen=True)
class PartContext:
    """What a maker may look at: the settings, the columns that there are, and what codes of texts in them mean."""

    settings: Settings
    names: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


#: Makes parts that are not fitted yet, by name; none where the columns that a part needs are not there.
PartMaker = Callable[[PartContext], Mapping[str, Detector]]


def boosted_of(settings: Settings, tuned: Tuned | None = None) -> Boosted:
    """Boosted trees as the settings have them."""
    chosen = {"monotone": settings.monotone, **(tuned or {})}
    refuse_unknown("boosted", BoostedParameters, chosen)
    return Boosted(
        BoostedParameters(**chosen),  # type: ignore[arg-type]
        seed=settings.seed,
        threads=settings.worker_threads,
        threshold_by="cost" if settings.threshold_by == "cost" else "f1",
        cost_missed=settings.cost_missed,
        cost_wasted=settings.cost_wasted,
    )


def isolation_of(settings: Settings, tuned: Tuned | None = None) -> Isolation:
    """An isolation forest as the settings have it."""
    refuse_unknown("isolation", IsolationParameters, tuned or {})
    chosen: Any = tuned or {}
    return Isolation(IsolationParameters(**chosen), seed=settings.seed, threads=settings.worker_threads)


def adversarial_of(settings: Settings, tuned: Tuned | None = None) -> Adversarial:
    """The adversarial detector as the settings have it, over sequences where they name that one."""
    refuse_unknown("adversarial", AdversarialParameters, tuned or {})
    made = AdversarialSequence if settings.detector == AdversarialSequence.kind else Adversarial
    chosen: Any = tuned or {}
    return made(replace(made.parameters, **chosen), seed=settings.seed, threads=settings.worker_threads)


def outlier_of(kind: str, settings: Settings, tuned: Tuned | None = None) -> OutlierDetector[Any]:
    """The classic anomaly detector of that name, as the settings have it."""
    made = OUTLIER_KINDS[kind]
    refuse_unknown(kind, made.parameters_type, tuned or {})
    chosen: Any = tuned or {}
    return made(made.parameters_type(**chosen), seed=settings.seed, threads=settings.worker_threads)


def hybrid_of(
    context: PartContext,
    tuned: Tuned | None = None,
    *,
    without: Collection[str] = (),
    each: Callable[[str, Detector], Detector] = lambda _, part: part,
) -> Hybrid:
    """The hybrid of the parts that the settings and the columns allow.

    Of what was `tuned`, `boosted.NAME` is a parameter of that part. Parts named in `without` are left out; `each` is
    given the name of every other part and the part, and gives back what to take.
    """
    settings = context.settings
    own: dict[str, Any] = {}
    of_trees: dict[str, Value] = {}
    for name, value in (tuned or {}).items():
        part, _, rest = name.rpartition(".")
        (of_trees if part == "boosted" else own)[rest if part == "boosted" else name] = value
    refuse_unknown("hybrid", HybridParameters, own)
    parts = {name: part for name, part in make_parts(context).items() if name not in without}
    if of_trees and "boosted" in parts:
        parts["boosted"] = boosted_of(settings, of_trees)
    return Hybrid(
        {name: each(name, part) for name, part in parts.items()},
        HybridParameters(**own),
        threshold_by="cost" if settings.threshold_by == "cost" else "f1",
        cost_missed=settings.cost_missed,
        cost_wasted=settings.cost_wasted,
    )


def detector_of(context: PartContext, tuned: Tuned | None = None) -> Detector:
    """The detector that the setting `detector` names, not fitted, with these parameters.

    Raises
    ------
    DetectorError
        A parameter is none of that kind's, or its value cannot be used.
    """
    kind, settings = context.settings.detector, context.settings
    if kind == "hybrid":
        return hybrid_of(context, tuned)
    if kind in OUTLIER_KINDS:
        return outlier_of(kind, settings, tuned)
    makers: Mapping[str, Callable[[Settings, Tuned | None], Detector]] = {
        "boosted": boosted_of, "isolation": isolation_of,
        Adversarial.kind: adversarial_of, AdversarialSequence.kind: adversarial_of,
    }  # fmt: skip
    return makers[kind](settings, tuned)


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
