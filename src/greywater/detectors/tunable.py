"""The search space that each kind of detector declares, and how a detector is made from drawn values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

from greywater.detectors.adversarial import Adversarial, AdversarialParameters
from greywater.detectors.adversarial_sequence import AdversarialSequence
from greywater.detectors.boosted import Boosted, BoostedParameters
from greywater.detectors.detector import Detector
from greywater.detectors.hybrid import HybridParameters
from greywater.detectors.isolation import Isolation, IsolationParameters
from greywater.detectors.outlier_kinds import OUTLIER_KINDS
from greywater.detectors.search_space import Choice, Dimension, Number, SearchSpace, Value, Whole
from greywater.detectors.xgboosted import XGBoosted
from greywater.errors import DetectorError

__all__ = ["SEARCH_SPACES", "default_parameters", "make_detector", "refuse_unknown", "search_space_of"]

TREES: Final[Mapping[str, Dimension]] = {
    "learning_rate": Number(0.02, 0.3, log=True),
    "num_leaves": Whole(7, 127, log=True),
    "min_data_in_leaf": Whole(10, 500, log=True),
    "lambda_l2": Number(0.1, 100.0, log=True),
    "feature_fraction": Number(0.05, 1.0, log=True),
    "positive_weight": Number(0.5, 10.0, log=True),
}
SAMPLE: Final[Mapping[str, Dimension]] = {
    "sample_rows": Whole(4_096, 65_536, log=True),
    "scaling": Choice(("standard", "quantile")),
}
NETWORK: Final[Mapping[str, Dimension]] = {
    "scaling": Choice(("standard", "quantile")),
    "epochs": Whole(3, 40, log=True),
    "batch_rows": Choice((64, 128, 256, 512)),
    "learning_rate": Number(1e-4, 1e-2, log=True),
    "layer": Choice((32, 64, 128)),
    "code": Choice((4, 8, 16, 32)),
}

#: By short name of the kind. What decides how much is learned at most (rounds, epochs) stays what it is where a trial
#: can be ended early: it is the budget that trials compete for.
SEARCH_SPACES: Final[Mapping[str, SearchSpace]] = {
    each.detector: each
    for each in (
        SearchSpace("boosted", TREES, first_rung=20),
        SearchSpace("xgboosted", TREES, first_rung=20),
        SearchSpace(
            "isolation",
            {
                "trees": Whole(50, 400, log=True),
                "tree_rows": Whole(64, 4_096, log=True),
                "sample_rows": Whole(8_192, 131_072, log=True),
            },
        ),
        SearchSpace(
            "adversarial",
            {
                "hidden": Choice((64, 128, 256)),
                "code": Choice((4, 8, 16, 32)),
                "scaling": Choice(("quantile", "standard")),
                "far": Choice((0.0, 0.1, 0.3, 1.0)),
                "batch": Choice((256, 512, 1_024)),
                "rate": Number(2e-4, 5e-3, log=True),
                "discriminator_rate": Number(2e-4, 5e-3, log=True),
                "masked": Number(0.05, 0.6),
                "noise": Number(0.0, 0.6),
                "adversarial": Number(0.0, 0.5),
                "matching": Number(0.0, 0.5),
                "push": Number(0.05, 2.0, log=True),
                "trim": Number(0.0, 0.25),
                "alike": Number(0.8, 1.0),
            },
        ),
        SearchSpace(
            "adversarial_sequence",
            {
                "hidden": Choice((16, 32, 64)),
                "code": Choice((4, 8, 16, 32)),
                "batch": Choice((128, 256, 512)),
                "rate": Number(2e-4, 5e-3, log=True),
                "discriminator_rate": Number(2e-4, 5e-3, log=True),
                "masked": Number(0.05, 0.6),
                "noise": Number(0.0, 0.6),
                "adversarial": Number(0.0, 0.5),
                "matching": Number(0.0, 0.5),
                "push": Number(0.05, 2.0, log=True),
                "trim": Number(0.0, 0.25),
            },
        ),
        SearchSpace("pca", {**SAMPLE, "share": Number(0.5, 0.99), "trimmed": Number(0.0, 0.3)}),
        SearchSpace("kmeans", {**SAMPLE, "clusters": Whole(4, 128, log=True), "least_share": Number(0.0, 0.05)}),
        SearchSpace(
            "ocsvm",
            {
                **SAMPLE,
                "landmarks": Choice((128, 256, 512)),
                "width": Number(0.2, 5.0, log=True),
                "outside": Number(0.005, 0.3, log=True),
            },
        ),
        SearchSpace("kde", {**SAMPLE, "among": Whole(1_024, 8_192, log=True), "bandwidth": Number(0.2, 5.0, log=True)}),
        SearchSpace("knn", {**SAMPLE, "among": Whole(1_024, 8_192, log=True), "neighbour": Whole(1, 200, log=True)}),
        SearchSpace("ecod", {"scaling": SAMPLE["scaling"], "among": Whole(2_048, 32_768, log=True)}),
        SearchSpace("copod", {"scaling": SAMPLE["scaling"], "among": Whole(2_048, 32_768, log=True)}),
        *(SearchSpace(kind, NETWORK) for kind in ("autoencoder", "deepsvdd", "alad", "so_gaal", "anogan")),
        SearchSpace(
            "hybrid",
            {
                **{f"boosted.{name}": each for name, each in TREES.items()},
                "strength": Number(0.05, 20.0, log=True),
                "stop_share": Number(0.3, 0.7),
            },
        ),
    )
}

_MAKERS: Final[Mapping[str, tuple[type[Any], type[Any]]]] = {
    "boosted": (Boosted, BoostedParameters),
    "xgboosted": (XGBoosted, BoostedParameters),
    "isolation": (Isolation, IsolationParameters),
    "adversarial": (Adversarial, AdversarialParameters),
    "adversarial_sequence": (AdversarialSequence, AdversarialParameters),
    **{kind: (made, made.parameters_type) for kind, made in OUTLIER_KINDS.items()},
}


def search_space_of(kind: str) -> SearchSpace:
    """The space that a kind of detector declares.

    Raises
    ------
    DetectorError
        The kind declares none.

    Examples
    --------
    >>> sorted(search_space_of("ecod").dimensions)
    ['among', 'scaling']
    """
    if kind not in SEARCH_SPACES:
        raise DetectorError(
            f"{kind!r} declares no search space", where="tuning", mend=f"tune one of {', '.join(SEARCH_SPACES)}"
        )
    return SEARCH_SPACES[kind]


def make_detector(
    kind: str, parameters: Mapping[str, Value], *, seed: int, threads: int = 0, **options: Any
) -> Detector:
    """A detector, not fitted, with these parameters and the defaults of all others. Not for a hybrid, which has parts.

    Parameters
    ----------
    kind : str
        Short name.
    parameters : mapping of str to value
        By name, as its parameters' class has them.
    seed, threads : int
        As the detector takes them.
    **options
        Of the detector's own, such as `threshold_by`.

    Raises
    ------
    DetectorError
        A parameter is not one of that kind, or its value cannot be used.

    Examples
    --------
    >>> make_detector("isolation", {"trees": 50}, seed=7).kind
    'isolation'
    """
    search_space_of(kind)
    made, parameters_type = _MAKERS[kind]
    refuse_unknown(kind, parameters_type, parameters)
    detector: Detector = made(replace(_defaults_of(kind), **parameters), seed=seed, threads=threads, **options)
    return detector


def default_parameters(kind: str) -> dict[str, Value]:
    """The defaults of a kind's parameters that are single values; of a hybrid those of its trees as `boosted.NAME`.

    Examples
    --------
    >>> default_parameters("knn")["neighbour"]
    20
    """
    if kind == "hybrid":
        trees = {f"boosted.{name}": value for name, value in default_parameters("boosted").items()}
        return {**_single(HybridParameters()), **trees}
    search_space_of(kind)
    return _single(_defaults_of(kind))


def _defaults_of(kind: str) -> Any:
    """The parameters that a kind has where none are given: its own, or those of their class."""
    made, parameters_type = _MAKERS[kind]
    own = getattr(made, "parameters", None)
    return own if isinstance(own, parameters_type) else parameters_type()


def _single(parameters: Any) -> dict[str, Value]:
    values = {one.name: getattr(parameters, one.name) for one in fields(parameters)}
    return {name: value for name, value in values.items() if isinstance(value, bool | int | float | str)}


def refuse_unknown(kind: str, parameters_type: type[Any], parameters: Mapping[str, Value]) -> None:
    """Raise a DetectorError where a parameter is none of the class's."""
    known = [one.name for one in fields(parameters_type)]
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise DetectorError(
            f"{kind} has no parameter {unknown[0]!r}", where="search space", mend=f"there are {', '.join(known)}"
        )
