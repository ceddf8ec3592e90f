"""Which payment an id belongs to: an open-addressing table from ids of 128 bits to places in order of arrival.

Ids are never forgotten, so that one sent again long after its payment left the graph is still known as old.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel

__all__ = ["Identities", "copy_below", "empty_identities", "note", "place_of"]

EMPTY = -1
FIRST_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
SECOND_MULTIPLIER = np.uint64(0xC2B2AE3D27D4EB4F)


class Identities(NamedTuple):
    """words int64[M, 2] the id in each slot and places int64[M] (-1 = empty); M is a power of two."""

    words: Any
    places: Any


def empty_identities(slots: int) -> Identities:
    """A table of no ids; `slots` is a power of two."""
    return Identities(np.zeros((slots, 2), np.int64), np.full(slots, EMPTY, np.int64))


@inlined
def _slot_of(table: Identities, high: Int, low: Int) -> Int:
    """The slot of an id, or the empty one where it would go. One slot at least is empty."""
    slots = table.places.shape[0]
    mixed = np.uint64(high) * FIRST_MULTIPLIER
    mixed = (mixed ^ (mixed >> np.uint64(32)) ^ np.uint64(low)) * SECOND_MULTIPLIER
    slot = np.int64((mixed ^ (mixed >> np.uint64(29))) & np.uint64(slots - 1))
    while table.places[slot] != EMPTY and (table.words[slot, 0] != high or table.words[slot, 1] != low):
        slot = (slot + 1) & (slots - 1)
    return slot


@kernel
def note(table: Identities, high: Any, low: Any, first: Int, places: Any, new: Any) -> Int:
    """Look ids up and take unknown ones in.

    Parameters
    ----------
    high, low : int64[n]
        The ids.
    first : int
        Place of the first new one; the next new one comes behind it.
    places : int64[n]
        Filled with the place of each id.
    new : uint8[n]
        Filled with 1 where the id was not known before.

    Returns
    -------
    int
        How many were new. There must be room for them and one empty slot more.
    """
    found = 0
    for k in range(high.shape[0]):
        slot = _slot_of(table, high[k], low[k])
        if table.places[slot] == EMPTY:
            table.words[slot, 0] = high[k]
            table.words[slot, 1] = low[k]
            table.places[slot] = first + found
            found += 1
            new[k] = 1
        else:
            new[k] = 0
        places[k] = table.places[slot]
    return found


@kernel
def place_of(table: Identities, high: Int, low: Int) -> Int:
    """The place of an id, -1 where it is unknown."""
    return table.places[_slot_of(table, high, low)]


@kernel
def copy_below(old: Identities, table: Identities, below: Int) -> None:
    """Take over the ids with places below a bound into an empty table that has room for them."""
    for k in range(old.places.shape[0]):
        if old.places[k] != EMPTY and old.places[k] < below:
            slot = _slot_of(table, old.words[k, 0], old.words[k, 1])
            table.words[slot, 0] = old.words[k, 0]
            table.words[slot, 1] = old.words[k, 1]
            table.places[slot] = old.places[k]
