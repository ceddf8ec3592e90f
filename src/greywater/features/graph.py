"""The plan of the graph features: which patterns are looked for, over which windows, and where each column lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from greywater.config import Settings
from greywater.errors import UsageError
from greywater.features.feature import Feature
from greywater.features.graph_columns import PATTERN_NAMES, pattern_columns
from greywater.features.windows import window_label
from greywater.vocab import Int64Array

__all__ = [
    "DAY_WINDOWS", "DEFAULT_CAP", "LONGEST_LENGTH", "PATTERNS", "SHORTEST_LENGTH", "GraphPlan", "PatternPlan",
    "default_graph_plan", "follows_the_day", "graph_windows",
]  # fmt: skip

#: Names of the patterns; the position of one is its number in the kernels.
PATTERNS = PATTERN_NAMES
#: Visits to visible payments that the search for one pattern in one window may make for one payment.
DEFAULT_CAP = Settings.graph_cap

DAY = 86_400
MICROSECOND = 1_000_000
#: A century: twice of it, in microseconds, is far inside an int64.
LONGEST_WINDOW = 36_525 * DAY
#: A search takes 72 bytes of room per visit and thread, and stamps what it met with an int32.
LARGEST_CAP = 1_000_000
SHORTEST_LENGTH, LONGEST_LENGTH = 2, 16
#: In thousandths; above this the kernels' product of a tolerance and an amount could leave an int64.
LARGEST_TOLERANCE = 1_000

#: Windows of data stamped to the day, and the length at which its simple cycles of 30 days stop.
DAY_WINDOWS = (7 * DAY, 14 * DAY, 30 * DAY)
DAY_CYCLE_WINDOW, DAY_CYCLE_LENGTH = 30 * DAY, 6


@dataclass(frozen=True)
class PatternPlan:
    """One pattern and the windows it is looked for in.

    Parameters
    ----------
    pattern : str
        One of PATTERNS.
    windows : tuple of int
        Seconds, positive and increasing.
    cap : int
        Visits to visible payments that the search may make per payment and window (fan and statistics: per list).
        When it cuts, `<pattern>.truncated.<window>` is 1.
    max_length : int
        Payments of the longest cycle looked for, 2 to 16. Only the two kinds of cycle use it.
    tolerance_per_mille : int
        How far a hop of a chain may differ from the one before, in thousandths, 0 to 1,000. Only chains use it.

    Raises
    ------
    UsageError
        If one of these is outside its bounds.

    Examples
    --------
    >>> PatternPlan("chain", (3 * 86_400,)).look_back
    259200
    >>> PatternPlan("fan_new", (86_400,)).look_back
    172800
    """

    pattern: str
    windows: tuple[int, ...]
    cap: int = DEFAULT_CAP
    max_length: int = 10
    tolerance_per_mille: int = 200

    def __post_init__(self) -> None:
        if self.pattern not in PATTERNS:
            raise UsageError(
                f"{self.pattern!r} is no graph pattern", where="pattern", mend=f"give one of {', '.join(PATTERNS)}"
            )
        where = f"{self.pattern} windows = {self.windows}"
        if not all(_is_whole(window) and 0 < window <= LONGEST_WINDOW for window in self.windows):
            raise UsageError(
                "a window is not a positive whole number of seconds",
                where=where,
                mend=f"give whole seconds, at most {LONGEST_WINDOW} (a century)",
            )
        if not self.windows or any(later <= earlier for earlier, later in pairwise(self.windows)):
            raise UsageError(
                "windows must increase, and there must be one at least",
                where=where,
                mend="give the windows from the shortest to the longest, each once; leave the pattern out to drop it",
            )
        self._check("cap", self.cap, 1, LARGEST_CAP)
        self._check("max_length", self.max_length, SHORTEST_LENGTH, LONGEST_LENGTH)
        self._check("tolerance_per_mille", self.tolerance_per_mille, 0, LARGEST_TOLERANCE)

    def _check(self, name: str, value: int, least: int, most: int) -> None:
        if not _is_whole(value) or not least <= value <= most:
            raise UsageError(
                f"{name} = {value!r} cannot be used",
                where=f"{self.pattern} {name}",
                mend=f"give a whole number from {least} to {most}",
            )

    @property
    def look_back(self) -> int:
        """Seconds before a payment that its values depend on: the longest window, for new counterparties twice."""
        return self.windows[-1] * (2 if self.pattern == "fan_new" else 1)

    @property
    def parameter(self) -> int:
        """The kernel's parameter: thousandths of tolerance for chains, the greatest length for all else."""
        return self.tolerance_per_mille if self.pattern == "chain" else self.max_length

    @property
    def columns(self) -> tuple[tuple[Feature, ...], tuple[Feature, ...]]:
        """The int64 and the float64 columns, each in the kernel's row order."""
        return pattern_columns(self.pattern, self.windows, self.max_length)


@dataclass(frozen=True)
class GraphPlan:
    """All graph patterns that are looked for, and where each column lies in the kernels' output.

    Parameters
    ----------
    patterns : tuple of PatternPlan
        In the order of their columns. A pattern may come twice, with other windows.
    allowed_lateness : int
        Seconds that a payment may be behind the latest event time and still see all of its windows.
    least_look_back : int
        Seconds that something else than the patterns looks back over in the same graph.

    Raises
    ------
    UsageError
        If nothing is looked for, or two columns have the same name.

    Examples
    --------
    >>> plan = GraphPlan((PatternPlan("bipartite", (21_600, 86_400)),), allowed_lateness=0)
    >>> [feature.name for feature in plan.features]
    ['bipartite.blocks.6h', 'bipartite.blocks.1d', 'bipartite.truncated.6h', 'bipartite.truncated.1d']
    >>> plan.hold_us
    86400000000
    >>> from dataclasses import asdict
    >>> GraphPlan.from_fields(asdict(plan)) == plan
    True
    """

    patterns: tuple[PatternPlan, ...]
    allowed_lateness: int
    least_look_back: int = 0

    def __post_init__(self) -> None:
        if not self.patterns:
            raise UsageError("no graph pattern is left to look for", where="patterns", mend="name a pattern")
        if not _is_whole(self.allowed_lateness) or not 0 <= self.allowed_lateness <= LONGEST_WINDOW:
            raise UsageError(
                f"allowed_lateness = {self.allowed_lateness!r} cannot be used",
                where="allowed_lateness",
                mend=f"give whole seconds from 0 to {LONGEST_WINDOW}",
            )
        seen: set[tuple[str, int]] = set()
        for part in self.patterns:
            for window in part.windows:
                if (part.pattern, window) in seen:
                    raise UsageError(
                        f"{part.pattern} is planned twice over {window_label(window)}",
                        where="patterns",
                        mend="leave one of the two out",
                    )
                seen.add((part.pattern, window))

    @cached_property
    def int_features(self) -> tuple[Feature, ...]:
        """The int64 features in the kernels' row order."""
        return tuple(feature for part in self.patterns for feature in part.columns[0])

    @cached_property
    def float_features(self) -> tuple[Feature, ...]:
        """The float64 features in the kernels' row order."""
        return tuple(feature for part in self.patterns for feature in part.columns[1])

    @property
    def features(self) -> tuple[Feature, ...]:
        """All features: the int64 ones, then the float64 ones."""
        return self.int_features + self.float_features

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def look_back(self) -> int:
        """The longest look-back of any pattern, in seconds, `least_look_back` at least."""
        return max(self.least_look_back, *(part.look_back for part in self.patterns))

    @property
    def hold_us(self) -> int:
        """Microseconds behind the latest event time that are held: the longest look-back and the allowed lateness."""
        return (self.look_back + self.allowed_lateness) * MICROSECOND

    def kernel_plan(self) -> tuple[Int64Array, Int64Array]:
        """The kernels' form of this plan.

        Returns
        -------
        plan : int64[P, 8]
            A row a pattern: kind, first window's index, number of windows, cap, first int row, first float row,
            parameter (greatest length; for chains thousandths of tolerance), 0.
        windows : int64[W]
            Microseconds.
        """
        rows, windows = [], list[int]()
        int_row = float_row = 0
        for part in self.patterns:
            ints, floats = part.columns
            kind = PATTERNS.index(part.pattern)
            rows.append([kind, len(windows), len(part.windows), part.cap, int_row, float_row, part.parameter, 0])
            windows += [window * MICROSECOND for window in part.windows]
            int_row, float_row = int_row + len(ints), float_row + len(floats)
        return np.array(rows, np.int64).reshape(-1, 8), np.array(windows, np.int64)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> GraphPlan:
        """The plan whose fields `dataclasses.asdict` gave, also after a way through JSON."""
        parts = [{**part, "windows": tuple(part["windows"])} for part in fields["patterns"]]
        plans = tuple(PatternPlan(**part) for part in parts)
        return cls(plans, fields["allowed_lateness"], fields.get("least_look_back", 0))


def default_graph_plan(settings: Settings, resolution_us: int) -> GraphPlan:
    """The graph features that the settings ask for. Windows shorter than the data's time resolution are left out.

    On data stamped to the day (or more coarsely) each pattern whose windows were left at their defaults has windows of
    7, 14 and 30 days, and simple cycles over 30 days stop at 6 payments. A pattern without windows is not looked for.

    Parameters
    ----------
    settings : Settings
        `graph_<pattern>_windows`, `graph_cap`, `graph_max_length`, `graph_tolerance` and the allowed lateness.
    resolution_us : int
        Time resolution of the source in microseconds.

    Raises
    ------
    UsageError
        If no window is left, or a setting is outside its bounds.

    Examples
    --------
    >>> plan = default_graph_plan(Settings(), resolution_us=1)
    >>> [part.pattern for part in plan.patterns if 6 * 3_600 in part.windows]
    ['scatter_gather', 'gather_scatter', 'bipartite']
    >>> plan = default_graph_plan(Settings(graph_chain_windows=()), resolution_us=1)
    >>> "chain" in [part.pattern for part in plan.patterns]
    False
    """
    parts: list[PatternPlan] = []
    tolerance = _per_mille(settings.graph_tolerance)
    for pattern in PATTERNS:
        for windows, length in _windows_and_lengths(pattern, settings, resolution_us):
            kept = tuple(window for window in windows if window * MICROSECOND >= resolution_us)
            if kept:
                parts.append(PatternPlan(pattern, kept, settings.graph_cap, length, tolerance))
    if not parts:
        raise UsageError(
            "every window of the graph patterns is shorter than the time resolution of the data",
            where=f"resolution = {resolution_us / MICROSECOND:g} s",
            mend="set a longer window of a graph pattern, or features = payments-v1",
        )
    return GraphPlan(tuple(parts), settings.allowed_lateness)


def graph_windows(pattern: str, settings: Settings) -> tuple[int, ...]:
    """The windows that the settings name for a pattern, in seconds.

    Examples
    --------
    >>> graph_windows("chain", Settings())
    (259200,)
    """
    windows: tuple[int, ...] = getattr(settings, _setting(pattern))
    return windows


def follows_the_day(pattern: str, settings: Settings, resolution_us: int) -> bool:
    """True where a pattern has the windows of data stamped to the day: the stamps are, and no others were set.

    Examples
    --------
    >>> follows_the_day("chain", Settings(), 86_400_000_000), follows_the_day("chain", Settings(), 1)
    (True, False)
    """
    by_day = resolution_us >= DAY * MICROSECOND
    return by_day and graph_windows(pattern, settings) == getattr(Settings, _setting(pattern))


def _setting(pattern: str) -> str:
    return f"graph_{'fan' if pattern == 'fan_new' else pattern}_windows"


def _windows_and_lengths(pattern: str, settings: Settings, resolution_us: int) -> list[tuple[tuple[int, ...], int]]:
    """Windows of a pattern with the greatest length of its cycles, twice where the lengths differ."""
    longest = settings.graph_max_length
    if not follows_the_day(pattern, settings, resolution_us):
        return [(graph_windows(pattern, settings), longest)]
    if pattern != "simple_cycle":
        return [(DAY_WINDOWS, longest)]
    shorter = tuple(window for window in DAY_WINDOWS if window < DAY_CYCLE_WINDOW)
    return [(shorter, longest), (DAY_WINDOWS[len(shorter) :], min(longest, DAY_CYCLE_LENGTH))]


def _per_mille(tolerance: float) -> int:
    thousandths = round(tolerance * 1_000) if abs(tolerance) <= 1 else -1
    if abs(thousandths - tolerance * 1_000) > 1e-6:
        raise UsageError(
            f"graph_tolerance = {tolerance!r} cannot be used",
            where="graph_tolerance",
            mend="give a share from 0 to 1 in whole thousandths, such as 0.2 or 0.125",
        )
    return thousandths


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
