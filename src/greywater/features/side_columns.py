"""Takes a block of payments through one side and gives the columns that a selection asks for."""

from __future__ import annotations

import numpy as np

from greywater.features.rooms import Rooms
from greywater.features.sides import Side
from greywater.features.window_selection import SideSelection
from greywater.kernels.windows import PairColumns, Payments, process

__all__ = ["run_side"]


def run_side(
    side: Side, rooms: Rooms, chosen: SideSelection, payments: Payments, pairs: PairColumns
) -> list[np.ndarray]:
    """Append the payments to the side and work out the columns `chosen.names` of each.

    Parameters
    ----------
    side : Side
        With room for all accounts and pairs.
    rooms : Rooms
        Where the columns lie.
    chosen : SideSelection
        What is asked for.
    payments, pairs
        As `kernels.windows.process` takes them.

    Returns
    -------
    list of int64[n] and float64[n]
        The int64 columns, then the float64 ones; none where nothing needs the side.
    """
    if not chosen.needed:
        return []
    n, windows, asked = len(payments.time), chosen.windows, chosen.asked
    counts, measures = len(asked.int_rows), len(asked.float_rows)
    # Two rows at least of each kind keep the arrays of the kind that the kernel is compiled for.
    ints = rooms.columns(max(counts, 2), n, np.int64)
    floats = rooms.columns(max(measures, 2), n, np.float64)
    line = np.empty(chosen.line[0], np.int64), np.empty(chosen.line[1], np.float64)
    scratch = np.empty(windows, np.float64), np.empty(windows, np.int64)
    side.run(
        lambda lists, begin: process(lists, chosen.look, asked, payments, pairs, begin, ints, floats, *line, *scratch),
        payments.horizon,
        int(chosen.look.hold[0]),
    )
    return [*ints[:counts], *floats[:measures]]
