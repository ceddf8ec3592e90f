"""Numbers for the ids of the graph's accounts, given out when they appear, taken back when nothing of theirs is held.

An open-addressing table from 64-bit ids to dense vertex numbers. No value of a feature depends on a number.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.prefetch import prefetch
from greywater.kernels.temporal_graph import END, LATEST, OTHER, Graph, first_later, leave
from greywater.vocab import Int64Array

__all__ = ["VertexTable", "empty_slots", "empty_vertices", "find", "number", "rebuild", "release"]

EMPTY = -1
NUMBER, FREE = range(2)
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
AHEAD = 16
#: In `used` while numbers are taken back: a list names the vertex.
NAMED = 2


class VertexTable(NamedTuple):
    """slots int64[M, 2]: id and number (-1 = empty), M a power of two; names int64[A] id of each number; used uint8[A];
    spare int32[A] a stack of numbers to give out again; counts int64[2]: numbers ever in use at once, numbers on the
    stack."""

    slots: Any
    names: Any
    used: Any
    spare: Any
    counts: Any


def empty_slots(slots: int) -> Int64Array:
    """Slots of nobody; how many is a power of two."""
    rows = np.zeros((slots, 2), np.int64)
    rows[:, 1] = EMPTY
    return rows


def empty_vertices(slots: int, vertices: int) -> VertexTable:
    """A table of nobody; `slots` is a power of two."""
    return VertexTable(
        empty_slots(slots),
        np.zeros(vertices, np.int64),
        np.zeros(vertices, np.uint8),
        np.zeros(vertices, np.int32),
        np.zeros(2, np.int64),
    )


@inlined
def _slot(identity: Int, slots: Int) -> Int:
    """Where the search for an id starts."""
    mixed = np.uint64(identity) * MULTIPLIER
    return np.int64((mixed ^ (mixed >> np.uint64(29))) & np.uint64(slots - 1))


@inlined
def _number_of(table: VertexTable, identity: Int) -> Int:
    slots = table.slots
    mask = slots.shape[0] - 1
    slot = _slot(identity, slots.shape[0])
    while slots[slot, 1] != EMPTY and slots[slot, 0] != identity:
        slot = (slot + 1) & mask
    number = slots[slot, 1]
    if number == EMPTY:
        if table.counts[FREE] > 0:
            table.counts[FREE] -= 1
            number = np.int64(table.spare[table.counts[FREE]])
        else:
            number = table.counts[NUMBER]
            table.counts[NUMBER] += 1
        slots[slot, 0] = identity
        slots[slot, 1] = number
        table.names[number] = identity
        table.used[number] = 1
    return number


@kernel
def number(table: VertexTable, senders: Int64Array, receivers: Int64Array, sender: Any, receiver: Any) -> None:
    """Numbers int32[n] of the ids of both parties; unknown ids get one. There must be slots and numbers for all."""
    n, slots = senders.shape[0], table.slots.shape[0]
    for k in range(n):
        if k + AHEAD < n:
            prefetch(table.slots, _slot(senders[k + AHEAD], slots), 0)
            prefetch(table.slots, _slot(receivers[k + AHEAD], slots), 0)
        sender[k] = _number_of(table, senders[k])
        receiver[k] = _number_of(table, receivers[k])


@kernel
def find(table: VertexTable, identity: Int) -> Int:
    """The number of an id, -1 where nothing of it is held."""
    slots = table.slots
    mask = slots.shape[0] - 1
    slot = _slot(identity, slots.shape[0])
    while slots[slot, 1] != EMPTY and slots[slot, 0] != identity:
        slot = (slot + 1) & mask
    return slots[slot, 1]


@kernel
def release(table: VertexTable, graph: Graph, bound: Int) -> Int:
    """Take back the numbers of vertices that no entry later than `bound` names; returns how many stay.

    Their lists are emptied, and the rooms of these serve other lists. An account outside the bank has no lists of its
    own, but the lists of others may name it. `rebuild` of empty slots must follow.
    """
    heads, links, used = graph.heads, graph.links, table.used
    for vertex in range(table.counts[NUMBER]):
        for head in range(0, 8, 4):
            if heads[vertex, head + LATEST] > bound:
                for position in range(first_later(graph, head, vertex, bound), heads[vertex, head + END]):
                    used[np.int64(links[position, OTHER])] = NAMED
    stay = 0
    for vertex in range(table.counts[NUMBER]):
        if used[vertex] == 0:
            continue
        if used[vertex] != NAMED and heads[vertex, LATEST] <= bound and heads[vertex, 4 + LATEST] <= bound:
            used[vertex] = 0
            leave(graph, vertex)
            table.spare[table.counts[FREE]] = vertex
            table.counts[FREE] += 1
        else:
            used[vertex] = 1
            stay += 1
    return stay


@kernel
def rebuild(table: VertexTable) -> None:
    """Fill empty slots with the ids in use."""
    slots = table.slots
    mask = slots.shape[0] - 1
    for vertex in range(table.counts[NUMBER]):
        if table.used[vertex] == 1:
            identity = table.names[vertex]
            slot = _slot(identity, slots.shape[0])
            while slots[slot, 1] != EMPTY:
                slot = (slot + 1) & mask
            slots[slot, 0] = identity
            slots[slot, 1] = vertex
