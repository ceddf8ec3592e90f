"""Numbers for the ids of the graph's accounts, given out when they appear, taken back when nothing of theirs is held.

An open-addressing table from 64-bit ids to dense vertex numbers. No value of a feature depends on a number.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.prefetch import prefetch
from greywater.kernels.temporal_graph import BASE, END, OTHER, Graph
from greywater.vocab import Int64Array

__all__ = ["VertexTable", "empty_vertices", "find", "number", "rebuild", "release"]

EMPTY = -1
NUMBER, FREE = range(2)
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
AHEAD = 16
#: In `used` while numbers are taken back: a list names the vertex.
NAMED = 2


class VertexTable(NamedTuple):
    """ids int64[M] and numbers int32[M] (-1 = empty) by slot, M a power of two; names int64[A] id of each number;
    used uint8[A]; spare int32[A] a stack of numbers to give out again; counts int64[2]: numbers ever in use at once,
    numbers on the stack."""

    ids: Any
    numbers: Any
    names: Any
    used: Any
    spare: Any
    counts: Any


def empty_vertices(slots: int, vertices: int) -> VertexTable:
    """A table of nobody; `slots` is a power of two."""
    return VertexTable(
        np.zeros(slots, np.int64),
        np.full(slots, EMPTY, np.int32),
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
    mask = table.ids.shape[0] - 1
    slot = _slot(identity, table.ids.shape[0])
    while table.numbers[slot] != EMPTY and table.ids[slot] != identity:
        slot = (slot + 1) & mask
    number = np.int64(table.numbers[slot])
    if number == EMPTY:
        if table.counts[FREE] > 0:
            table.counts[FREE] -= 1
            number = np.int64(table.spare[table.counts[FREE]])
        else:
            number = table.counts[NUMBER]
            table.counts[NUMBER] += 1
        table.ids[slot] = identity
        table.numbers[slot] = number
        table.names[number] = identity
        table.used[number] = 1
    return number


@kernel
def number(table: VertexTable, senders: Int64Array, receivers: Int64Array, sender: Any, receiver: Any) -> None:
    """Numbers int32[n] of the ids of both parties; unknown ids get one. There must be slots and numbers for all."""
    n, slots = senders.shape[0], table.ids.shape[0]
    for k in range(n):
        if k + AHEAD < n:
            for identity in (senders[k + AHEAD], receivers[k + AHEAD]):
                slot = _slot(identity, slots)
                prefetch(table.ids, slot, 0)
                prefetch(table.numbers, slot, 0)
        sender[k] = _number_of(table, senders[k])
        receiver[k] = _number_of(table, receivers[k])


@kernel
def find(table: VertexTable, identity: Int) -> Int:
    """The number of an id, -1 where nothing of it is held."""
    mask = table.ids.shape[0] - 1
    slot = _slot(identity, table.ids.shape[0])
    while table.numbers[slot] != EMPTY and table.ids[slot] != identity:
        slot = (slot + 1) & mask
    return np.int64(table.numbers[slot])


@kernel
def release(table: VertexTable, graph: Graph) -> Int:
    """Take back the numbers of vertices that no entry names; returns how many stay. `rebuild` must follow.

    An account outside the bank has no lists of its own, but the lists of others may name it.
    """
    for vertex in range(table.counts[NUMBER]):
        for head in range(0, 8, 4):
            for position in range(graph.heads[vertex, head + BASE], graph.heads[vertex, head + END]):
                table.used[np.int64(graph.links[position, OTHER])] = NAMED
    stay = 0
    for vertex in range(table.counts[NUMBER]):
        if table.used[vertex] == 0:
            continue
        empty = graph.heads[vertex, BASE] == graph.heads[vertex, END]
        empty = empty and graph.heads[vertex, 4 + BASE] == graph.heads[vertex, 4 + END]
        if empty and table.used[vertex] != NAMED:
            table.used[vertex] = 0
            table.spare[table.counts[FREE]] = vertex
            table.counts[FREE] += 1
        else:
            table.used[vertex] = 1
            stay += 1
    return stay


@kernel
def rebuild(table: VertexTable) -> None:
    """Fill empty slots with the ids in use."""
    mask = table.ids.shape[0] - 1
    for vertex in range(table.counts[NUMBER]):
        if table.used[vertex] == 1:
            identity = table.names[vertex]
            slot = _slot(identity, table.ids.shape[0])
            while table.numbers[slot] != EMPTY:
                slot = (slot + 1) & mask
            table.ids[slot] = identity
            table.numbers[slot] = vertex
