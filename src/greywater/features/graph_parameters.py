"""The plan that the parameters of a GraphFeatures ask for: names of patterns, windows as words or seconds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from greywater.config import Settings
from greywater.errors import UsageError
from greywater.features.graph import (
    DAY_CYCLE_LENGTH,
    DAY_CYCLE_WINDOW,
    PATTERNS,
    GraphPlan,
    PatternPlan,
    default_graph_plan,
)

__all__ = ["WINDOW_PARAMETERS", "plan_from_parameters", "seconds"]

#: The parameter that holds the windows of each pattern.
WINDOW_PARAMETERS = {name: f"{'fan' if name == 'fan_new' else name}_windows" for name in PATTERNS}
DURATION = re.compile(r"([0-9]+)\s*([smhd])")
LENGTHS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
DAY_US = 86_400 * 10**6


def seconds(duration: Any, parameter: str) -> int:
    """A length of time in seconds.

    Parameters
    ----------
    duration : int or str
        Whole seconds, or a whole number followed by s, m, h or d.
    parameter : str
        Named in the error.

    Raises
    ------
    UsageError
        If it is neither.

    Examples
    --------
    >>> seconds("6h", "chain_windows"), seconds(90, "chain_windows")
    (21600, 90)
    """
    if isinstance(duration, str):
        found = DURATION.fullmatch(duration.strip())
        if found:
            return int(found[1]) * LENGTHS[found[2]]
    elif _is_whole(duration):
        return int(duration)
    raise UsageError(
        f"{duration!r} is no length of time", where=parameter, mend='give whole seconds, or a text such as "6h" or "3d"'
    )


def plan_from_parameters(parameters: Mapping[str, Any]) -> GraphPlan:
    """The plan of a GraphFeatures.

    Parameters
    ----------
    parameters : mapping
        As `GraphFeatures.get_params()` gives them.

    Returns
    -------
    GraphPlan
        Patterns in the order of PATTERNS, whatever the order they were named in.

    Raises
    ------
    UsageError
        If a parameter cannot be used; the message names it.
    """
    chosen = _patterns(parameters["patterns"])
    cap = _whole(parameters["cap"], "cap")
    longest = _whole(parameters["max_length"], "max_length")
    tolerance = _per_mille(parameters["tolerance"])
    lateness = seconds(parameters["allowed_lateness"], "allowed_lateness")
    parts: list[PatternPlan] = []
    for pattern in chosen:
        for windows, length in _windows(pattern, parameters, longest):
            parts.append(PatternPlan(pattern, windows, cap, length, tolerance))
    return GraphPlan(tuple(parts), lateness)


def _patterns(named: Any) -> tuple[str, ...]:
    if named is None:
        return PATTERNS
    names = (named,) if isinstance(named, str) else tuple(named) if isinstance(named, Iterable) else (named,)
    for name in names:
        if name not in PATTERNS:
            raise UsageError(
                f"{name!r} is no graph pattern", where="patterns", mend=f"give some of {', '.join(PATTERNS)}"
            )
    return tuple(pattern for pattern in PATTERNS if pattern in names)


def _windows(pattern: str, parameters: Mapping[str, Any], longest: int) -> list[tuple[tuple[int, ...], int]]:
    """Windows of a pattern and the length at which its cycles stop, several of these where lengths differ."""
    name = WINDOW_PARAMETERS[pattern]
    given = parameters[name]
    if given is not None:
        several = [given] if isinstance(given, str) or not isinstance(given, Iterable) else given
        return [(tuple(seconds(window, name) for window in several), longest)]
    plan = default_graph_plan(Settings(), DAY_US if parameters["time_unit"] == "D" else 1)
    return [
        (part.windows, min(longest, DAY_CYCLE_LENGTH) if _stops_early(part) else longest)
        for part in plan.patterns
        if part.pattern == pattern
    ]


def _stops_early(part: PatternPlan) -> bool:
    return part.pattern == "simple_cycle" and part.windows[-1] >= DAY_CYCLE_WINDOW


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _whole(value: Any, name: str) -> int:
    if _is_whole(value):
        return int(value)
    raise UsageError(f"{name} = {value!r} cannot be used", where=name, mend="give a whole number")


def _per_mille(tolerance: Any) -> int:
    """A tolerance in thousandths."""
    if (_is_whole(tolerance) or isinstance(tolerance, float | np.floating)) and 0 <= tolerance <= 1:
        thousandths = round(float(tolerance) * 1_000)
        if abs(thousandths - float(tolerance) * 1_000) < 1e-6:
            return thousandths
    raise UsageError(
        f"tolerance = {tolerance!r} cannot be used",
        where="tolerance",
        mend="give a share from 0 to 1 in whole thousandths, such as 0.2 or 0.125",
    )
