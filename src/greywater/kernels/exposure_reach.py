"""Known launderers two and three payments away: how many, over how many payments, how much money can have gone there.

A search of one party, direction and window goes level by level. An account has been given what the accounts one
payment nearer gave it, each at most the total of the payments between the two and at most what it was given itself;
the party gives without bound. An account passes on to known launderers at most what it was given. Each account is asked
once, at its least distance, and nothing goes through the party again or through a known launderer. Sums and the
lesser of two sums do not depend on the order of payments, so what is found does not either, unless the cap cuts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from greywater.kernels.compile import Int, kernel
from greywater.kernels.known import FOREVER, Known, is_known
from greywater.kernels.temporal_graph import AMOUNT, BASE, OTHER, SEQ, TIME, Arrivals, Graph, visible_end
from greywater.kernels.vertices import VertexTable
from greywater.kernels.wide import add_128, float_of_128
from greywater.vocab import Int64Array

__all__ = ["Room", "empty_room", "reach"]

#: Columns that exposure.py fills: an account's own and per list and window among the counts, the latter among measures.
PARTIES, COUNTS, MEASURES, LISTS = 2, 3, 2, 4
ZERO = np.uint64(0)
#: Rows of `Room.marks`: asked or about to be at this level, waits for the next, known launderer met, in this list.
TAKEN, NEXT, MET, PAIR = range(4)
#: Rows of `Room.sums`: of the list under way, and given so far.
PAIR_LOW, PAIR_HIGH, GIVEN_LOW, GIVEN_HIGH = range(4)
#: Row of `Room.queues` with the accounts of the list under way; the two before are the levels, in turn.
TOUCHED = 2
#: Places of `Room.numbers`.
STAMP, VISITS, WAITING, ACCOUNTS, PAYMENTS = range(5)


class Room(NamedTuple):
    """Room for searches among A accounts, by code.

    marks int64[4, A] that are set where they equal a stamp. sums uint64[4, A]: lower and upper halves. queues
    int64[3, A] of vertices. numbers int64[5]: the last stamp, visits so far, how many wait for the next level, known
    launderers met at this level and payments to them. flow uint64[2]: money to them, lower and upper half.
    """

    marks: Any
    sums: Any
    queues: Any
    numbers: Any
    flow: Any


def empty_room(accounts: int) -> Room:
    """Room for searches among so many accounts."""
    return Room(
        np.zeros((4, accounts), np.int64), np.zeros((4, accounts), np.uint64), np.zeros((3, accounts), np.int64),
        np.zeros(5, np.int64), np.zeros(2, np.uint64),
    )  # fmt: skip


@kernel
def reach(
    graph: Graph, table: VertexTable, arrivals: Arrivals, k: Int, seq: Int, which: Int, windows: Int64Array, cap: Int,
    hops: Int, known: Known, room: Room, ints: Any, floats: Any, at: Int,
) -> None:  # fmt: skip
    """The columns of one party and direction for one payment, which are zero before.

    Per list, window and number of payments from 2 to `hops`: among the counts known accounts met and payments to
    them, behind the flags of the cap; among the measures the flow, behind the seconds since the last.
    """
    count, head = windows.shape[0], 4 * np.int64(which & 1)
    vertex = np.int64(arrivals.sender[k]) if which < 2 else np.int64(arrivals.receiver[k])
    party = np.int64(arrivals.receiver[k]) if which < 2 else np.int64(arrivals.sender[k])
    # The payment itself is in the sender's list OUT and the receiver's list IN; one to oneself is in none.
    itself = (which == 0 or which == 3) and vertex != party
    flags = PARTIES + LISTS * COUNTS * count
    for w in range(count):
        bound = max(arrivals.time[k] - windows[w], arrivals.least[k])
        ahead = _leads(known.near, table.names[vertex], head, bound, 2, hops)
        if itself and not ahead:
            ahead = _leads(known.near, table.names[party], head, bound, 1, hops - 1)
        if not ahead:
            continue
        row = (which * count + w) * (hops - 1)
        numbers, measures = ints[flags + count + 2 * row :], floats[LISTS * (MEASURES * count + 1) + row :]
        far = party if itself else np.int64(-1)
        _search(graph, table, arrivals, k, seq, vertex, far, head, bound, cap, hops, known, room, numbers, measures, at)
        if room.numbers[VISITS] > cap:
            ints[flags + w, at] = 1


@kernel
def _leads(near: Any, account: Int, head: Int, bound: Int, least: Int, most: Int) -> bool:
    """May a way of so many payments, all later than `bound`, lead from the account to a known launderer?"""
    hops = least
    while hops <= most and near[account, head + hops] <= bound:
        hops += 1
    found: bool = hops <= most
    return found


@kernel
def _search(
    graph: Graph, table: VertexTable, arrivals: Arrivals, k: Int, seq: Int, vertex: Int, party: Int, head: Int,
    bound: Int, cap: Int, hops: Int, known: Known, room: Room, numbers: Any, measures: Any, at: Int,
) -> None:  # fmt: skip
    """Level by level from the party; `party` is who the payment itself leads to, -1 where it is not in the list."""
    state = room.numbers
    state[STAMP] += 1
    stamp = state[STAMP]
    state[VISITS] = 0
    state[WAITING] = 0
    root = table.names[vertex]
    room.marks[TAKEN, root] = stamp
    _walk(graph, table, arrivals, k, seq, vertex, party, root, head, bound, cap, 0, hops, known, room, stamp)
    for level in range(1, hops):
        waiting, row = state[WAITING], (level - 1) & 1
        for place in range(waiting):
            room.marks[TAKEN, table.names[room.queues[row, place]]] = stamp
        state[WAITING] = 0
        state[ACCOUNTS] = 0
        state[PAYMENTS] = 0
        room.flow[0] = ZERO
        room.flow[1] = ZERO
        for place in range(waiting):
            if state[VISITS] > cap:
                break
            asked = room.queues[row, place]
            _walk(graph, table, arrivals, k, seq, asked, -1, root, head, bound, cap, level, hops, known, room, stamp)
        numbers[2 * (level - 1), at] = state[ACCOUNTS]
        numbers[2 * (level - 1) + 1, at] = state[PAYMENTS]
        measures[level - 1, at] = float_of_128(room.flow[0], room.flow[1])
        if state[VISITS] > cap:
            break


@kernel
def _walk(
    graph: Graph, table: VertexTable, arrivals: Arrivals, k: Int, seq: Int, vertex: Int, party: Int, root: Int,
    head: Int, bound: Int, cap: Int, level: Int, hops: Int, known: Known, room: Room, stamp: Int,
) -> None:  # fmt: skip
    """One account, latest payment first: the known launderers it pays, and what it gives those of the next level."""
    state, account, left = room.numbers, table.names[vertex], hops - 1 - level
    state[STAMP] += 1
    pair = state[STAMP]
    time, touched, low, high = arrivals.time[k], 0, ZERO, ZERO
    start = time if left > 0 else min(time, known.near[account, head + 1])
    base, position = graph.heads[vertex, head + BASE], visible_end(graph, head, vertex, start)
    # The payment itself comes before the first of the list.
    itself = party >= 0
    while itself or position > base:
        if itself:
            itself = False
            other, amount = party, arrivals.amount[k]
        else:
            position -= 1
            if graph.entries[position, TIME] <= bound:
                break
            if graph.links[position, SEQ] >= arrivals.seq[k]:
                continue
            state[VISITS] += 1
            if state[VISITS] > cap:
                break
            other, amount = np.int64(graph.links[position, OTHER]), graph.entries[position, AMOUNT]
        name = table.names[other]
        if name == root:
            continue
        paid = np.uint64(max(amount, 0))
        if known.near[name, 0] == FOREVER and is_known(known, name, seq, time):
            low, high = add_128(low, high, paid, ZERO)
            state[PAYMENTS] += 1
            state[ACCOUNTS] += room.marks[MET, name] != stamp
            room.marks[MET, name] = stamp
        elif left > 0 and room.marks[TAKEN, name] != stamp and _leads(known.near, name, head, bound, 1, left):
            if room.marks[PAIR, name] != pair:
                room.marks[PAIR, name] = pair
                room.sums[PAIR_LOW, name] = ZERO
                room.sums[PAIR_HIGH, name] = ZERO
                room.queues[TOUCHED, touched] = other
                touched += 1
            room.sums[PAIR_LOW, name], room.sums[PAIR_HIGH, name] = add_128(
                room.sums[PAIR_LOW, name], room.sums[PAIR_HIGH, name], paid, ZERO
            )
    if level > 0:
        low, high = _least(low, high, room.sums[GIVEN_LOW, account], room.sums[GIVEN_HIGH, account])
        room.flow[0], room.flow[1] = add_128(room.flow[0], room.flow[1], low, high)
    for place in range(touched):
        _give(table, room, room.queues[TOUCHED, place], account, level, stamp)


@kernel
def _give(table: VertexTable, room: Room, vertex: Int, giver: Int, level: Int, stamp: Int) -> None:
    """Let an account of the next level have what the one under way gives it."""
    name, sums = table.names[vertex], room.sums
    if room.marks[NEXT, name] != stamp:
        room.marks[NEXT, name] = stamp
        sums[GIVEN_LOW, name] = ZERO
        sums[GIVEN_HIGH, name] = ZERO
        room.queues[level & 1, room.numbers[WAITING]] = vertex
        room.numbers[WAITING] += 1
    low, high = sums[PAIR_LOW, name], sums[PAIR_HIGH, name]
    if level > 0:
        low, high = _least(low, high, sums[GIVEN_LOW, giver], sums[GIVEN_HIGH, giver])
    sums[GIVEN_LOW, name], sums[GIVEN_HIGH, name] = add_128(sums[GIVEN_LOW, name], sums[GIVEN_HIGH, name], low, high)


@kernel
def _least(a_low: Any, a_high: Any, b_low: Any, b_high: Any) -> Any:
    """The lesser of two 128-bit integers as (low, high)."""
    if a_high < b_high or (a_high == b_high and a_low < b_low):
        return a_low, a_high
    return b_low, b_high
