"""Scatter-gather: one source pays many middlemen who pay one sink (smurfing), seen at its last or its first leg.

For a payment u -> v as a last leg: per source s with s -> u, how many middlemen x have s -> x -> v. As a first leg
that arrives late: per sink with v -> sink, how many x have u -> x -> sink (docs/patterns/scatter_gather.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from greywater.kernels.compile import Int, kernel
from greywater.kernels.temporal_graph import (
    BASE,
    LATEST,
    OTHER,
    SEQ,
    TIME,
    Arrivals,
    Graph,
    Scratch,
    ask_ahead,
    clear,
    visible_end,
)
from greywater.vocab import Int64Array

__all__ = ["scatter_gather"]

ANY, ORDERED, FIRST_LEG = range(3)
PAIRS, LARGEST, SIZES = 0, 1, 2
COLUMNS = 8
#: Marks: ends, middlemen seen. Values of an end: the middleman that counted last for it, also ordered; its place.
ENDS, MIDDLE, COUNTED, COUNTED_ORDERED, PLACE = 0, 1, 3, 4, 5
#: Scratch rows: vertex of each end, its middlemen in any order, its middlemen ordered.
VERTEX, SIZE, SIZE_ORDERED = range(3)
NOBODY = -1


@kernel
def scatter_gather(
    graph: Graph, arrivals: Arrivals, begin: Int, end: Int, windows: Int64Array, cap: Int, scratch: Scratch, ints: Any
) -> None:
    """Pairs of source and sink that a payment takes part in, and their middlemen, over each window.

    Parameters
    ----------
    windows : int64[W]
        Microseconds.
    cap : int
        Payments visited a window at most.
    ints : int64[25 W, n]
        Per window and variant (any order, ordered, first leg): pairs, most middlemen, pairs by middlemen 2, 3, 4, 5-6,
        7-10, 11 and more; then W flags, 1 where the cap cut.
    """
    count = windows.shape[0]
    clear(ints, 25 * count, begin, end, 0)
    for k in range(begin, end):
        ask_ahead(graph, arrivals, k, end)
        if arrivals.skip[k] == 1:
            continue
        for w in range(count):
            bound = max(arrivals.time[k] - windows[w], arrivals.least[k])
            row = w * 3 * COLUMNS
            visits = 0
            if graph.heads[arrivals.sender[k], 4 + LATEST] > bound:
                visits = _search(graph, arrivals, k, 4, bound, cap, 0, scratch, ints, row)
            if visits <= cap and graph.heads[arrivals.receiver[k], LATEST] > bound:
                visits = _search(graph, arrivals, k, 0, bound, cap, visits, scratch, ints, row + FIRST_LEG * COLUMNS)
            if visits > cap:
                ints[24 * count + w, k] = 1


@kernel
def _search(
    graph: Graph, arrivals: Arrivals, k: Int, head: Int, bound: Int, cap: Int, visits: Int, scratch: Scratch,
    ints: Any, row: Int,
) -> Int:  # fmt: skip
    """One leg: `head` 4 looks against the payments (last leg), 0 along them (first leg); returns visits, > cap = cut.

    `near` is the party whose neighbours are the ends, `far` the one whose neighbours are the other middlemen.
    """
    heads, entries, links = graph.heads, graph.entries, graph.links
    time, seq = arrivals.time[k], np.int64(arrivals.seq[k])
    near = np.int64(arrivals.sender[k]) if head == 4 else np.int64(arrivals.receiver[k])
    far = np.int64(arrivals.receiver[k]) if head == 4 else np.int64(arrivals.sender[k])
    place_of, counted, counted_ordered = scratch.marks[PLACE], scratch.marks[COUNTED], scratch.marks[COUNTED_ORDERED]
    ends_mark, middle_mark = scratch.marks[ENDS], scratch.marks[MIDDLE]
    scratch.stamp[0] += 1
    stamp = np.int32(scratch.stamp[0])
    ends = 0
    base, position = heads[near, head + BASE], visible_end(graph, head, near, time)
    while position > base:
        position -= 1
        if entries[position, TIME] <= bound:
            break
        if links[position, SEQ] >= seq:
            continue
        visits += 1
        if visits > cap:
            break
        party = np.int64(links[position, OTHER])
        if party != far and ends_mark[party] != stamp:
            ends_mark[party] = stamp
            place_of[party] = ends
            counted[party] = NOBODY
            counted_ordered[party] = NOBODY
            scratch.narrow[VERTEX, ends] = party
            scratch.narrow[SIZE, ends] = 1
            scratch.narrow[SIZE_ORDERED, ends] = 1
            ends += 1
    if ends == 0 or visits > cap:
        return visits
    middle_mark[near] = stamp
    outer_base, outer = heads[far, head + BASE], visible_end(graph, head, far, time)
    while outer > outer_base and visits <= cap:
        outer -= 1
        leg_time, leg_seq = entries[outer, TIME], np.int64(links[outer, SEQ])
        if leg_time <= bound:
            break
        if leg_seq >= seq:
            continue
        visits += 1
        if visits > cap:
            break
        middle = np.int64(links[outer, OTHER])
        if middle_mark[middle] == stamp:
            continue
        middle_mark[middle] = stamp
        if heads[middle, head + LATEST] <= bound:
            continue
        base, position = heads[middle, head + BASE], visible_end(graph, head, middle, time)
        while position > base:
            position -= 1
            earlier = entries[position, TIME]
            if earlier <= bound:
                break
            number = np.int64(links[position, SEQ])
            if number >= seq:
                continue
            visits += 1
            if visits > cap:
                break
            party = np.int64(links[position, OTHER])
            if ends_mark[party] != stamp:
                continue
            place = place_of[party]
            tag = np.int32(outer)
            if counted[party] != tag:
                counted[party] = tag
                scratch.narrow[SIZE, place] += 1
            if counted_ordered[party] != tag and (earlier < leg_time or (earlier == leg_time and number < leg_seq)):
                counted_ordered[party] = tag
                scratch.narrow[SIZE_ORDERED, place] += 1
    _write_sizes(scratch.narrow[SIZE], ends, ints, row, k)
    if head == 4:
        _write_sizes(scratch.narrow[SIZE_ORDERED], ends, ints, row + ORDERED * COLUMNS, k)
    return visits


@kernel
def _write_sizes(sizes: Any, ends: Int, ints: Any, row: Int, k: Int) -> None:
    """Pairs from two middlemen on, the largest, and pairs by size."""
    for place in range(ends):
        size = sizes[place]
        if size < 2:
            continue
        ints[row + PAIRS, k] += 1
        ints[row + LARGEST, k] = max(ints[row + LARGEST, k], size)
        if size <= 4:
            column = size - 2
        elif size <= 6:
            column = 3
        elif size <= 10:
            column = 4
        else:
            column = 5
        ints[row + SIZES + column, k] += 1
