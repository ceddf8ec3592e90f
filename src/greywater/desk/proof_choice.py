"""Which patterns of the payment that raised an alert are shown with their payments: few, and those that tell most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from greywater.desk.reasons import Reason
from greywater.features.feature import Feature
from greywater.features.graph import GraphPlan, PatternPlan
from greywater.features.graph_evidence import part_of
from greywater.vocab import Float64Array

__all__ = ["MOST_PROOFS", "PatternChoice", "Wanted"]

#: Patterns that one alert shows.
MOST_PROOFS: Final = 3
#: What is shown with its payments, the most telling first. Fans are told by the evidence of the whole window.
_SHOWN: Final = ("temporal_cycle", "scatter_gather", "simple_cycle", "bipartite", "chain", "gather_scatter")
#: Shown although no reason names them.
_UNASKED: Final = ("temporal_cycle", "scatter_gather", "simple_cycle", "chain")
#: A chain tells something without a reason from so many payments on.
_LONG_CHAIN: Final = 4


class Wanted(NamedTuple):
    """A pattern over a window, and the reasons that rest on it (places in the alert's reasons)."""

    part: PatternPlan
    reasons: tuple[int, ...]


class _Count(NamedTuple):
    """A column that counts instances of a pattern: there is one where it is above `least`."""

    place: int
    pattern: str
    window: int
    least: int
    length: int


class PatternChoice:
    """Chooses the patterns whose payments an alert shows.

    A pattern that a reason rests on comes first, over the window of the reason's strongest column of it. Then, as long
    as there is room, cycles, scatter-gathers and long chains that no reason names, over the shortest window that has
    one; a cycle in any order only where there is none in time order. A pattern of which the columns say that there is
    none is not searched for, and cycles only up to the length of the shortest that there is.

    Parameters
    ----------
    features : sequence of Feature
        The columns, in the order of a payment's values.
    plan : GraphPlan
        The patterns that are looked for.
    """

    def __init__(self, features: Sequence[Feature], plan: GraphPlan) -> None:
        self._plan = plan
        self._pattern_of = {
            feature.name: (str(feature.parameters["pattern"]), int(feature.parameters["window"]))
            for feature in features
            if feature.family == "graph" and feature.parameters["pattern"] in _SHOWN
        }
        self._counts = [
            _Count(
                place,
                *self._pattern_of[feature.name],
                least=1 if feature.parameters["statistic"] == "hops" else 0,
                length=int(feature.parameters.get("length", 0)),
            )
            for place, feature in enumerate(features)
            if feature.name in self._pattern_of
            and feature.dtype == "int64"
            and feature.parameters["statistic"] != "truncated"
        ]

        self._places = np.array([count.place for count in self._counts], np.int64)
        self._least = np.array([count.least for count in self._counts], np.float64)

    @property
    def look_back(self) -> int:
        """Seconds that the patterns shown look back at most."""
        return max((part.look_back for part in self._plan.patterns if part.pattern in _SHOWN), default=0)

    def choose(self, values: Sequence[float] | Float64Array, reasons: Sequence[Reason]) -> list[Wanted]:
        """The patterns of one payment, at most MOST_PROOFS.

        Parameters
        ----------
        values : float[features]
            The payment's feature row.
        reasons : sequence of Reason
            Of the alert.
        """
        there = self._windows(values)
        chosen: dict[str, int] = {}
        asked: dict[str, list[int]] = {}
        for place, reason in enumerate(reasons):
            for name in reason.features:
                pattern, window = self._pattern_of.get(name, ("", 0))
                if pattern not in there:
                    continue
                chosen.setdefault(pattern, window if window in there[pattern] else min(there[pattern]))
                if place not in asked.setdefault(pattern, []):
                    asked[pattern].append(place)
        for pattern in _UNASKED:
            doubled = pattern == "simple_cycle" and "temporal_cycle" in there
            if pattern in there and not doubled:
                window = min(there[pattern])
                if pattern != "chain" or there[pattern][window] >= _LONG_CHAIN:
                    chosen.setdefault(pattern, window)
        return [
            Wanted(self._part(pattern, window, values), tuple(asked.get(pattern, ())))
            for pattern, window in list(chosen.items())[:MOST_PROOFS]
        ]

    def _windows(self, values: Sequence[float] | Float64Array) -> Mapping[str, Mapping[int, float]]:
        """By pattern, the windows in which the columns say that there is one, with the greatest count."""
        found: dict[str, dict[int, float]] = {}
        counted = np.asarray(values, np.float64)[self._places]
        for at in np.flatnonzero(counted > self._least).tolist():
            count = self._counts[at]
            windows = found.setdefault(count.pattern, {})
            windows[count.window] = max(float(counted[at]), windows.get(count.window, 0.0))
        return found

    def _part(self, pattern: str, window: int, values: Sequence[float] | Float64Array) -> PatternPlan:
        """What is searched for."""
        lengths = [
            count.length
            for count in self._counts
            if count.length and (count.pattern, count.window) == (pattern, window) and values[count.place] > 0
        ]
        part = part_of(self._plan, pattern, window)
        return replace(part, max_length=min(lengths)) if lengths else part
