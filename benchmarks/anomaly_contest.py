"""Who contends in the benchmark of anomaly detectors, with which settings: the one list that a new one is added to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from greywater.detectors.adversarial import Adversarial, AdversarialParameters
from greywater.detectors.adversarial_peers import NetworkDetector
from greywater.detectors.detector import Detector
from greywater.detectors.isolation import Isolation
from greywater.detectors.outlier_kinds import OUTLIER_KINDS

__all__ = ["CONTESTANTS", "PAIRS", "Contestant"]


@dataclass(frozen=True)
class Contestant:
    """One detector: what it is called, and makers (seed -> detector, not fitted) by the name of their setting.

    Where there are several settings, the one with the best average precision on the validation slice contends.
    `trials`: cheaper makers for choosing; `beside`: other ways to score what was fitted, which are reported too.
    """

    name: str
    settings: Mapping[str, Callable[[int], Detector]]
    trials: Mapping[str, Callable[[int], Detector]] = field(default_factory=dict)
    beside: Mapping[str, Callable[[Any], Detector]] = field(default_factory=dict)


#: Payments of the pool that each classic detector learns from, threads, and rounds of those that make rounds.
SAMPLE, THREADS, EPOCHS = 8_192, 2, {"autoencoder": 30, "deepsvdd": 30}


#: Pairs of the adversarial detector whose scores are averaged; `--pairs` changes it.
PAIRS = [3]
#: Settings of the adversarial detector that the validation slice chooses from.
ADVERSARIAL: Mapping[str, dict[str, Any]] = {
    "as it comes": {},
    "code 32, 12 passes": {"code": 32, "passes": 12},
    "code 4, 10 epochs": {"code": 4, "blind_epochs": 10},
    "half masked, far 1": {"masked": 0.5, "blind_epochs": 3, "far": 1.0},
    "standard scale, code 32, trim 20 %": {"scaling": "standard", "code": 32, "trim": 0.2},
    "standard scale, code 32, trim 20 %, far 1": {"scaling": "standard", "code": 32, "trim": 0.2, "far": 1.0},
}


def _adversarial(**given: Any) -> Callable[[int], Detector]:
    return lambda seed: Adversarial(
        AdversarialParameters(**({"labels": "none", "members": PAIRS[0]} | given)), seed=seed, threads=THREADS
    )


def _discriminator(fitted: Adversarial) -> Adversarial:
    return fitted.scored_by("discriminator")


def _classic(kind: str) -> Contestant:
    """A classic detector, all else at its defaults: with either scale, but the networks and the tails with one."""
    made = OUTLIER_KINDS[kind]
    given = {"sample_rows": min(SAMPLE, made.parameters_type().sample_rows)}
    if kind in EPOCHS:
        given["epochs"] = EPOCHS[kind]

    def maker(scaling: str) -> Callable[[int], Detector]:
        return lambda seed: made(made.parameters_type(scaling=scaling, **given), seed=seed, threads=1)

    one = issubclass(made, NetworkDetector) or kind in ("ecod", "copod")
    scalings = ("standard",) if one else ("quantile", "standard")
    return Contestant(made.called, {scaling: maker(scaling) for scaling in scalings})


#: Everybody, in the order of the table.
CONTESTANTS: tuple[Contestant, ...] = (
    Contestant(
        "adversarial",
        {name: _adversarial(**given) for name, given in ADVERSARIAL.items()},
        trials={name: _adversarial(members=1, **given) for name, given in ADVERSARIAL.items()},
        beside={"discriminator alone": _discriminator},
    ),
    Contestant("isolation forest (scikit-learn)", {"": lambda seed: Isolation(seed=seed, threads=1)}),
    _classic("pca"),
    _classic("kmeans"),
    _classic("ocsvm"),
    _classic("kde"),
    _classic("knn"),
    _classic("ecod"),
    _classic("copod"),
    _classic("autoencoder"),
    _classic("deepsvdd"),
    _classic("alad"),
    _classic("so_gaal"),
    _classic("anogan"),
)
