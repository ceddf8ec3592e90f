"""Samplers that propose what to try, and pruners that end hopeless trials, by name: all of them Optuna's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from greywater.detectors.search_space import Choice, Dimension, Number, SearchSpace
from greywater.errors import ExtraMissingError, UsageError

__all__ = ["PRUNERS", "SAMPLERS", "load_optuna", "make_pruner", "make_sampler", "quiet"]

#: Of the trials that reach a rung, one of so many goes on to the next, which lies so many times as far.
REDUCTION: Final = 2
#: Points a number or a whole number has on a grid.
GRID_POINTS: Final = 4

_Maker = Callable[[Any, SearchSpace, int], Any]


def load_optuna() -> Any:
    """Optuna, imported when it is first needed, and told to leave speaking to us."""
    try:
        import optuna
    except ImportError as error:
        raise ExtraMissingError(
            "Optuna is not installed", where="tuning", mend="pip install 'greywater[tune]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    return optuna


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of Optuna that something of it is experimental, or that a step was told twice."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=load_optuna().exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="The reported value is ignored")
        yield


def _grid(optuna: Any, space: SearchSpace, seed: int) -> Any:
    points = {name: _points(dimension) for name, dimension in space.dimensions.items()}
    return optuna.samplers.GridSampler(points, seed=seed)


def _points(dimension: Dimension) -> list[Any]:
    if isinstance(dimension, Choice):
        return list(dimension.values)
    spread = np.geomspace if dimension.log else np.linspace
    found = spread(dimension.low, dimension.high, GRID_POINTS).clip(dimension.low, dimension.high)
    return [float(each) for each in found] if isinstance(dimension, Number) else sorted({round(each) for each in found})


def _brute(optuna: Any, space: SearchSpace, seed: int) -> Any:
    if any(isinstance(each, Number) for each in space.dimensions.values()):
        raise UsageError(
            "not every value of a number can be tried", where="--sampler bruteforce", mend="give grid, or tpe"
        )
    return optuna.samplers.BruteForceSampler(seed=seed)


#: By name; each is given Optuna, the space and a seed.
SAMPLERS: Final[Mapping[str, _Maker]] = {
    "tpe": lambda optuna, _, seed: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
    "random": lambda optuna, _, seed: optuna.samplers.RandomSampler(seed=seed),
    "cmaes": lambda optuna, _, seed: optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False),
    "gp": lambda optuna, _, seed: optuna.samplers.GPSampler(seed=seed),
    "qmc": lambda optuna, _, seed: optuna.samplers.QMCSampler(seed=seed, warn_independent_sampling=False),
    "nsgaii": lambda optuna, _, seed: optuna.samplers.NSGAIISampler(seed=seed),
    "nsgaiii": lambda optuna, _, seed: optuna.samplers.NSGAIIISampler(seed=seed),
    "grid": _grid,
    "bruteforce": _brute,
}

#: By name; each is given Optuna and the first rung in steps.
PRUNERS: Final[Mapping[str, Callable[[Any, int], Any]]] = {
    "asha": lambda optuna, first: optuna.pruners.SuccessiveHalvingPruner(
        min_resource=first, reduction_factor=REDUCTION
    ),
    "hyperband": lambda optuna, first: optuna.pruners.HyperbandPruner(min_resource=first, reduction_factor=REDUCTION),
    "median": lambda optuna, first: optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=first),
    "percentile": lambda optuna, first: optuna.pruners.PercentilePruner(25.0, n_startup_trials=5, n_warmup_steps=first),
    "patient": lambda optuna, first: optuna.pruners.PatientPruner(
        optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=first), patience=2 * first
    ),
    "wilcoxon": lambda optuna, first: optuna.pruners.WilcoxonPruner(n_startup_steps=2),
    "none": lambda optuna, first: optuna.pruners.NopPruner(),
}


def make_sampler(name: str, space: SearchSpace, seed: int) -> Any:
    """What proposes the parameters of the next trial.

    Raises
    ------
    UsageError
        There is none of that name, or it cannot search this space.
    ExtraMissingError
        A library that it needs is not installed.
    """
    optuna = load_optuna()
    if name not in SAMPLERS:
        raise UsageError(f"no sampler is named {name!r}", where="--sampler", mend=f"give one of {', '.join(SAMPLERS)}")
    try:
        with quiet():
            return SAMPLERS[name](optuna, space, seed)
    except ImportError as error:
        raise ExtraMissingError(
            f"the sampler {name} needs a library that is not installed: {error.name or error}",
            where="--sampler",
            mend="pip install 'greywater[tune,deep]'",
        ) from error


def make_pruner(name: str, first_rung: int) -> Any:
    """What ends a trial that does worse than others did after as many steps; "none" lets all go on.

    Parameters
    ----------
    name : str
        One of PRUNERS. "asha" is asynchronous successive halving (Li et al., MLSys 2020): of the trials that reached a
        rung the better half goes on to the next, twice as far, and none waits for another.
    first_rung : int
        Steps before a trial is first compared.

    Raises
    ------
    UsageError
        There is none of that name.
    """
    if name not in PRUNERS:
        raise UsageError(f"no pruner is named {name!r}", where="--pruner", mend=f"give one of {', '.join(PRUNERS)}")
    with quiet():
        return PRUNERS[name](load_optuna(), first_rung)
