"""Marginals of named families as tables of quantiles, and the choice of the best by the Kolmogorov-Smirnov distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from greywater.synth.alertbook_copula import GRID, PROBABILITIES
from greywater.vocab import Float64Array

__all__ = ["FAMILIES", "best_family", "family_table"]

_EULER: Final = 0.5772156649015329


def _gaussian(values: Float64Array, _: Float64Array) -> Float64Array:
    table: Float64Array = values.mean() + values.std() * GRID
    return table


def _uniform(values: Float64Array, share: Float64Array) -> Float64Array:
    table: Float64Array = values.min() + (values.max() - values.min()) * share
    return table


def _laplace(values: Float64Array, share: Float64Array) -> Float64Array:
    middle = float(np.median(values))
    scale = float(np.abs(values - middle).mean())
    table: Float64Array = middle - scale * np.sign(share - 0.5) * np.log1p(-2 * np.abs(share - 0.5))
    return table


def _logistic(values: Float64Array, share: Float64Array) -> Float64Array:
    table: Float64Array = values.mean() + values.std() * np.sqrt(3) / np.pi * np.log(share / (1 - share))
    return table


def _gumbel(values: Float64Array, share: Float64Array) -> Float64Array:
    scale = values.std() * np.sqrt(6) / np.pi
    table: Float64Array = values.mean() - _EULER * scale - scale * np.log(-np.log(share))
    return table


def _exponential(values: Float64Array, share: Float64Array) -> Float64Array:
    least = values.min()
    table: Float64Array = least - (values.mean() - least) * np.log1p(-share)
    return table


def _log_normal(values: Float64Array, _: Float64Array) -> Float64Array:
    least = values.min() - 0.01 * max(float(values.std()), 1e-12)
    logs = np.log(values - least)
    table: Float64Array = least + np.exp(logs.mean() + logs.std() * GRID)
    return table


#: By name; each takes values and the probabilities of a table.
FAMILIES: Final[dict[str, Callable[[Float64Array, Float64Array], Float64Array]]] = {
    "gaussian": _gaussian, "uniform": _uniform, "laplace": _laplace, "logistic": _logistic, "gumbel": _gumbel,
    "exponential": _exponential, "log-normal": _log_normal,
}  # fmt: skip


def family_table(values: Float64Array, family: str) -> Float64Array:
    """Quantiles of a family fitted to values, at the normal scores of a table.

    Examples
    --------
    >>> family_table(np.array([-1.0, 1.0]), "gaussian")[[0, 144, 288]].tolist()
    [-4.5, 0.0, 4.5]
    """
    return FAMILIES[family](values, PROBABILITIES)


def best_family(values: Float64Array) -> str:
    """The family whose distribution is nearest to that of the values (Kolmogorov-Smirnov); of equals the first.

    Examples
    --------
    >>> random = np.random.default_rng(1)
    >>> best_family(random.uniform(3, 5, 4_000)), best_family(random.exponential(2.0, 4_000))
    ('uniform', 'exponential')
    """
    if values.std() == 0:
        return "gaussian"
    ordered = np.sort(values)
    upto = np.arange(1, len(ordered) + 1) / len(ordered)
    distance = {}
    for name in FAMILIES:
        share = np.interp(ordered, family_table(values, name), PROBABILITIES)
        distance[name] = float(np.maximum(np.abs(upto - share), np.abs(share - upto + 1 / len(ordered))).max())
    return min(distance, key=lambda name: distance[name])
