"""What of one side of the windows is worked out: windows, rows of the kernel's line, and the state that they need."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from greywater.features.feature import Feature
from greywater.features.windows import Direction
from greywater.kernels.windows import COUNTS, FLOATS, OWN_RATIOS, Asked, LookBack
from greywater.vocab import Int64Array

__all__ = ["SideSelection", "select_side"]

#: Statistics that need sums, squares and extremes kept, in the order of `Lists.kept`.
NEEDS: Final = (
    frozenset({"sum", "mean", "std", *OWN_RATIOS}),
    frozenset({"std", *OWN_RATIOS}),
    frozenset({"min", "max", *OWN_RATIOS}),
)


@dataclass(frozen=True)
class SideSelection:
    """What of one side is worked out.

    Parameters
    ----------
    look : LookBack
        The windows that a column needs, with the whole plan's hold.
    asked : Asked
        The rows of the kernel's line that are written.
    kept : int64[3]
        `Lists.kept`.
    line : (int, int)
        int64 and float64 values of the kernel's line.
    names : tuple of str
        What is written, the int64 rows first, then the float64 rows.
    given : tuple of bool
        Which of them are handed out; the rest serve other features.
    needed : bool
        Whether payments join the lists of this side at all.
    """

    look: LookBack
    asked: Asked
    kept: Int64Array
    line: tuple[int, int]
    names: tuple[str, ...]
    given: tuple[bool, ...]
    needed: bool

    @property
    def windows(self) -> int:
        """Windows whose state is kept."""
        return len(self.look.lengths)

    @property
    def unwritten(self) -> SideSelection:
        """The same of a block whose columns nobody wants."""
        none = np.zeros(0, np.int64)
        return replace(self, asked=self.asked._replace(int_rows=none, float_rows=none))

    def handed_out(self, columns: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The columns that are a feature somebody named."""
        return [column for column, given in zip(columns, self.given, strict=True) if given]


def select_side(
    wanted: Sequence[Feature],
    direction: Direction,
    labels: Sequence[str],
    look: LookBack,
    names: Collection[str],
    *,
    needed: bool,
) -> SideSelection:
    """The selection that works some features of a side out.

    Parameters
    ----------
    wanted : sequence of Feature
        Features of windows, in the order in which they are written.
    direction : {"out", "in"}
        The side.
    labels : sequence of str
        Of the windows of `look`.
    look : LookBack
        The windows.
    names : collection of str
        Those of `wanted` that are handed out.
    needed : bool
        Whether the side is needed even where nothing is wanted.
    """
    own = "sender" if direction == "out" else "receiver"
    ratios = [labels[w] for w in look.ratios.tolist()]
    ints = [one for one in wanted if one.dtype == "int64"]
    floats = [one for one in wanted if one.dtype != "int64"]
    statistics = {one.parameters["statistic"] for one in wanted}
    views = [int(any((one.parameters["role"] == own) == (view == 0) for one in wanted)) for view in (0, 1)]
    size = len(labels)
    return SideSelection(
        look=look,
        asked=Asked(
            np.array(views, np.int64),
            np.array([_line_row(one, own, COUNTS, labels, ratios) for one in ints], np.int64),
            np.array([_line_row(one, own, FLOATS, labels, ratios) for one in floats], np.int64),
        ),
        kept=np.array([int(bool(statistics & kind)) for kind in NEEDS], np.int64),
        line=(2 * (len(COUNTS) * size + 1), 2 * (len(FLOATS) * size + 1) + len(OWN_RATIOS) * len(ratios)),
        names=tuple(one.name for one in ints + floats),
        given=tuple(one.name in names for one in ints + floats),
        needed=needed or bool(wanted),
    )


def _line_row(
    feature: Feature, own: str, statistics: Sequence[str], labels: Sequence[str], ratios: Sequence[str]
) -> int:
    """Row of a feature in the kernel's line (`kernels.windows.process`)."""
    facts = feature.parameters
    view = len(statistics) * len(labels) + 1
    statistic = facts["statistic"]
    if statistic in OWN_RATIOS:
        return 2 * view + len(OWN_RATIOS) * ratios.index(facts["label"]) + OWN_RATIOS.index(statistic)
    begin = 0 if facts["role"] == own else view
    if statistic not in statistics:
        return begin + view - 1
    return begin + statistics.index(statistic) * len(labels) + labels.index(facts["label"])
