"""Scatter-gather: one source pays many middlemen who pay one sink (smurfing), seen at its last or its first leg.

For a payment u -> v as a last leg: per source s with s -> u, how many middlemen x have s -> x -> v. As a first leg
that arrives late: per sink with v -> sink, how many x have u -> x -> sink (docs/patterns/scatter_gather.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.temporal_graph import (
    BASE,
    IN_HEAD,
    LATEST,
    NONE,
    OTHER,
    OUT_HEAD,
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
#: Windows that one search serves.
TOGETHER = 4
#: Scratch rows: middlemen of each end by the shortest window that holds them, in any order and ordered; the time of
#: its latest payment to or from the party.
SIZE, SIZE_ORDERED = 0, TOGETHER
MOMENT = 0
NOBODY = -1


@kernel
def scatter_gather(
    graph: Graph, arrivals: Arrivals, begin: Int, end: Int, windows: Int64Array, cap: Int, scratch: Scratch, ints: Any
) -> None:
    """Pairs of source and sink that a payment takes part in, and their middlemen, over each window.

    Parameters
    ----------
    windows : int64[W]
        Microseconds, increasing.
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
        bound = max(arrivals.time[k] - windows[count - 1], arrivals.least[k])
        last_leg = graph.heads[arrivals.sender[k], 4 + LATEST] > bound
        first_leg = graph.heads[arrivals.receiver[k], LATEST] > bound
        if not last_leg and not first_leg:
            continue
        for last in range(count - 1, -1, -1):
            # One search serves TOGETHER windows; where it is cut, the shorter ones are searched by themselves.
            if last % TOGETHER != TOGETHER - 1 and last != count - 1 and ints[24 * count + last + 1, k] == 0:
                continue
            visits = NONE
            if last_leg:
                visits = _search(graph, arrivals, k, IN_HEAD, windows, last, cap, visits, scratch, ints)
            if first_leg and visits <= cap:
                visits = _search(graph, arrivals, k, OUT_HEAD, windows, last, cap, visits, scratch, ints)
            if visits > cap:
                ints[24 * count + last, k] = 1


@kernel
def _search(
    graph: Graph, arrivals: Arrivals, k: Int, head: Int, windows: Int64Array, last: Int, cap: Int, visits: Int,
    scratch: Scratch, ints: Any,
) -> Int:  # fmt: skip
    """One leg, the last against the payments (IN_HEAD) or the first along them (OUT_HEAD); returns visits, > cap = cut.

    `near` is the party whose neighbours are the ends, `far` the one whose neighbours are the other middlemen. A
    middleman counts for an end in every window that holds the latest payments of both its legs.
    """
    heads, entries, links = graph.heads, graph.entries, graph.links
    time, seq = arrivals.time[k], np.int64(arrivals.seq[k])
    bound = max(time - windows[last], arrivals.least[k])
    near = np.int64(arrivals.sender[k]) if head == IN_HEAD else np.int64(arrivals.receiver[k])
    far = np.int64(arrivals.receiver[k]) if head == IN_HEAD else np.int64(arrivals.sender[k])
    place_of, counted, counted_ordered = scratch.marks[PLACE], scratch.marks[COUNTED], scratch.marks[COUNTED_ORDERED]
    ends_mark, middle_mark = scratch.marks[ENDS], scratch.marks[MIDDLE]
    scratch.stamp[0] += 1
    stamp = np.int32(scratch.stamp[0])
    ends, visits = _ends(graph, head, near, far, time, seq, bound, cap, visits, scratch, stamp)
    outer_base, outer = heads[far, head + BASE], visible_end(graph, head, far, time)
    middle_mark[near] = stamp
    while outer > outer_base and ends > 0 and visits <= cap:
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
            tag, place = np.int32(outer), place_of[party]
            if counted[party] != tag:
                counted[party] = tag
                _count(scratch.narrow, SIZE, place, min(earlier, leg_time), time, windows, last)
            precedes = earlier < leg_time or (earlier == leg_time and number < leg_seq)
            if precedes and counted_ordered[party] != tag:
                counted_ordered[party] = tag
                _count(scratch.narrow, SIZE_ORDERED, place, earlier, time, windows, last)
    _write_windows(scratch, ends, time, windows, last, head, ints, k)
    return visits


@inlined
def _count(narrow: Any, row: Int, place: Int, moment: Int, time: Int, windows: Int64Array, last: Int) -> None:
    """One middleman more for an end, noted at the shortest window that holds `moment`."""
    w = last // TOGETHER * TOGETHER
    while w < last and moment <= time - windows[w]:
        w += 1
    narrow[row + w % TOGETHER, place] += 1


@kernel
def _write_windows(
    scratch: Scratch, ends: Int, time: Int, windows: Int64Array, last: Int, head: Int, ints: Any, k: Int
) -> None:
    """Sizes of the windows that were searched together: the party itself, and what its and shorter windows noted."""
    first = last // TOGETHER * TOGETHER
    for w in range(first, last + 1):
        row = (3 * w + (ANY if head == IN_HEAD else FIRST_LEG)) * COLUMNS
        _write_sizes(scratch, SIZE, ends, w - first, time - windows[w], ints, row, k)
        if head == IN_HEAD:
            _write_sizes(scratch, SIZE_ORDERED, ends, w - first, time - windows[w], ints, row + ORDERED * COLUMNS, k)


@kernel
def _ends(
    graph: Graph, head: Int, near: Int, far: Int, time: Int, seq: Int, bound: Int, cap: Int, visits: Int,
    scratch: Scratch, stamp: Any,
) -> Any:  # fmt: skip
    """Mark the neighbours of `near`, each with the time of its latest payment; (how many, visits)."""
    links, mark = graph.links, scratch.marks[ENDS]
    ends = 0
    base, position = graph.heads[near, head + BASE], visible_end(graph, head, near, time)
    while position > base:
        position -= 1
        moment = graph.entries[position, TIME]
        if moment <= bound:
            break
        if links[position, SEQ] >= seq:
            continue
        visits += 1
        if visits > cap:
            break
        party = np.int64(links[position, OTHER])
        if party != far and mark[party] != stamp:
            mark[party] = stamp
            scratch.marks[PLACE, party] = ends
            scratch.marks[COUNTED, party] = NOBODY
            scratch.marks[COUNTED_ORDERED, party] = NOBODY
            scratch.wide[MOMENT, ends] = moment
            for row in range(SIZE, SIZE_ORDERED + TOGETHER):
                scratch.narrow[row, ends] = 0
            ends += 1
    return ends, visits


@kernel
def _write_sizes(
    scratch: Scratch, size_row: Int, ends: Int, until: Int, bound: Int, ints: Any, row: Int, k: Int
) -> None:
    """Pairs from two middlemen on, the largest, and pairs by size."""
    for c in range(COLUMNS):
        ints[row + c, k] = 0
    for place in range(ends):
        if scratch.wide[MOMENT, place] <= bound:
            continue
        size: Any = 1
        for shorter in range(until + 1):
            size += np.int64(scratch.narrow[size_row + shorter, place])
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
