"""Memory for the columns of blocks, used again as soon as nobody holds the block that it served.

A fresh page costs the operating system several times what writing it costs us, and a block of 32,768 payments
is 64 MB of pages.
"""

from __future__ import annotations

import sys

import numpy as np

__all__ = ["Rooms"]

#: References to a room that nobody uses: the list, the loop's name, and the argument of getrefcount.
IDLE = 3
#: Rooms kept; a caller who keeps more blocks than this gets fresh memory for the rest.
KEPT = 8


class Rooms:
    """Hands out column-major arrays.

    Every array, every view of one and every Arrow column made from one refers to its room; a room that only this
    object refers to is free.

    Examples
    --------
    >>> rooms = Rooms()
    >>> columns = rooms.columns(3, 10, np.int64)
    >>> columns.shape, columns[1].flags["C_CONTIGUOUS"]
    ((3, 10), True)
    """

    def __init__(self) -> None:
        self._rooms: list[np.ndarray] = []

    def columns(self, count: int, rows: int, dtype: type[np.int64] | type[np.float64]) -> np.ndarray:
        """Room for `count` columns of `rows` values, each contiguous, not initialised.

        Columns do not begin at a power of two from each other: they would share a set of the processor's cache.
        """
        stride = (rows + 7) // 8 * 8 + 8
        columns: np.ndarray = self._free(count * stride)[: count * stride].view(dtype).reshape(count, stride)[:, :rows]
        return columns

    def _free(self, values: int) -> np.ndarray:
        for room in self._rooms:
            if values <= len(room) <= 4 * values and sys.getrefcount(room) <= IDLE:
                return room
        self._rooms = [room for room in self._rooms if sys.getrefcount(room) > IDLE][-KEPT + 1 :]
        fresh = np.empty(values, np.float64)
        self._rooms.append(fresh)
        return fresh
