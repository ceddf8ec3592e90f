"""Fan and degree: how many payments, and how many different counterparties, an account has in each window.

`fan` counts them, `fan_new` counts the counterparties of the window that the window before does not hold
(docs/patterns/fan.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.temporal_graph import (
    BASE,
    IN,
    LATEST,
    OTHER,
    OUT,
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

__all__ = ["fan", "fan_new"]

#: Windows that one pass over a list serves.
TOGETHER = 16


@kernel
def fan(
    graph: Graph, arrivals: Arrivals, begin: Int, end: Int, windows: Int64Array, cap: Int, scratch: Scratch,
    ints: Any, floats: Any,
) -> None:  # fmt: skip
    """Degree, fan and their ratio of sender and receiver, out and in, over nested windows.

    Parameters
    ----------
    windows : int64[W]
        Microseconds, increasing.
    cap : int
        Entries visited a list at most, latest first.
    ints : int64[9 W, n]
        Per role, direction and window: degree, fan; then W flags, 1 where the cap cut.
    floats : float64[4 W, n]
        fan / degree.
    """
    count = windows.shape[0]
    clear(ints, 9 * count, begin, end, 0)
    clear(floats, 4 * count, begin, end, np.nan)
    for k in range(begin, end):
        ask_ahead(graph, arrivals, k, end)
        if arrivals.skip[k] == 1:
            continue
        bound = max(arrivals.time[k] - windows[count - 1], arrivals.least[k])
        for which in range(4):
            vertex = np.int64(arrivals.sender[k]) if which < 2 else np.int64(arrivals.receiver[k])
            if graph.heads[vertex, 4 * (which & 1) + LATEST] > bound:
                _fan_of_list(graph, arrivals, k, which, windows, cap, scratch, ints)
            elif which == OUT or which == 2 + IN:
                for c in range(2 * which * count, 2 * (which + 1) * count):
                    ints[c, k] = 1
            for w in range(count):
                c = which * count + w
                if ints[2 * c, k] > 0:
                    floats[c, k] = np.float64(ints[2 * c + 1, k]) / np.float64(ints[2 * c, k])


@kernel
def _fan_of_list(
    graph: Graph, arrivals: Arrivals, k: Int, which: Int, windows: Int64Array, cap: Int, scratch: Scratch, ints: Any
) -> None:
    """One list, latest first: at the end of each window the counts so far are that window's."""
    count, seen = windows.shape[0], scratch.marks[0]
    scratch.stamp[0] += 1
    stamp = np.int32(scratch.stamp[0])
    time, least, seq = arrivals.time[k], arrivals.least[k], arrivals.seq[k]
    vertex = np.int64(arrivals.sender[k]) if which < 2 else np.int64(arrivals.receiver[k])
    other = np.int64(arrivals.receiver[k]) if which < 2 else np.int64(arrivals.sender[k])
    head = 4 * (which & 1)
    degree, distinct, w = 0, 0, 0
    if which == OUT or which == 2 + IN:
        seen[other] = stamp
        degree, distinct = 1, 1
    base, position = graph.heads[vertex, head + BASE], visible_end(graph, head, vertex, time)
    bound = max(time - windows[0], least)
    visits = 0
    while position > base:
        position -= 1
        earlier = graph.entries[position, TIME]
        while w < count and earlier <= bound:
            c = 2 * (which * count + w)
            ints[c, k], ints[c + 1, k] = degree, distinct
            w += 1
            if w < count:
                bound = max(time - windows[w], least)
        if w == count:
            return
        if graph.links[position, SEQ] >= seq:
            continue
        if visits == cap:
            for cut in range(w, count):
                ints[8 * count + cut, k] = 1
            break
        visits += 1
        degree += 1
        party = np.int64(graph.links[position, OTHER])
        # No branch: whether a party was seen is as good as chance, and a wrong guess costs more than the store.
        distinct += seen[party] != stamp
        seen[party] = stamp
    for rest in range(w, count):
        c = 2 * (which * count + rest)
        ints[c, k], ints[c + 1, k] = degree, distinct


@kernel
def fan_new(
    graph: Graph, arrivals: Arrivals, begin: Int, end: Int, windows: Int64Array, cap: Int, scratch: Scratch, ints: Any
) -> None:
    """Counterparties of each window that the window before it, (t - 2w, t - w], does not hold.

    Parameters
    ----------
    ints : int64[5 W, n]
        Per role, direction and window the number; then W flags, 1 where the cap cut.
    """
    count = windows.shape[0]
    clear(ints, 5 * count, begin, end, 0)
    for k in range(begin, end):
        ask_ahead(graph, arrivals, k, end)
        if arrivals.skip[k] == 1:
            continue
        for which in range(4):
            for first in range(0, count, TOGETHER):
                _new_of_list(
                    graph, arrivals, k, which, first, min(first + TOGETHER, count), windows, cap, scratch, ints
                )


@kernel
def _new_of_list(
    graph: Graph, arrivals: Arrivals, k: Int, which: Int, first: Int, last: Int, windows: Int64Array, cap: Int,
    scratch: Scratch, ints: Any,
) -> None:  # fmt: skip
    """One list for windows first..last: a counterparty keeps a bit for each window and each window before it is in."""
    seen, place_of, bits, count = scratch.marks[0], scratch.marks[3], scratch.wide[0], windows.shape[0]
    scratch.stamp[0] += 1
    stamp = np.int32(scratch.stamp[0])
    time, least, seq = arrivals.time[k], arrivals.least[k], arrivals.seq[k]
    vertex = np.int64(arrivals.sender[k]) if which < 2 else np.int64(arrivals.receiver[k])
    other = np.int64(arrivals.receiver[k]) if which < 2 else np.int64(arrivals.sender[k])
    head = 4 * (which & 1)
    inside, before = first, first
    parties, visits, now, turn = 0, 0, _window_bits(first, first, last), windows[first]
    if which == OUT or which == 2 + IN:
        seen[other], place_of[other], bits[0] = stamp, 0, now
        parties = 1
    base, position = graph.heads[vertex, head + BASE], visible_end(graph, head, vertex, time)
    while position > base:
        position -= 1
        age = time - graph.entries[position, TIME]
        if age >= turn:
            while inside < last and windows[inside] <= age:
                inside += 1
            while before < last and 2 * windows[before] <= age:
                before += 1
            if before == last:
                break
            now, turn = _window_bits(before, inside, last), 2 * windows[before]
            if inside < last:
                turn = min(turn, windows[inside])
        if graph.entries[position, TIME] <= least:
            break
        if graph.links[position, SEQ] >= seq:
            continue
        if visits == cap:
            for w in range(before, last):
                ints[4 * count + w, k] = 1
            break
        visits += 1
        party = np.int64(graph.links[position, OTHER])
        known = seen[party] == stamp
        place = np.int64(place_of[party]) if known else parties
        bits[place] = (bits[place] if known else 0) | now
        seen[party], place_of[party] = stamp, place
        parties += not known
    for w in range(first, last):
        new = 0
        for place in range(parties):
            new += (bits[place] >> (2 * (w - first))) & 3 == 1
        ints[which * count + w, k] = new


@inlined
def _window_bits(before: Int, inside: Int, last: Int) -> Int:
    """Bit 2w for the windows from `inside` on, bit 2w + 1 for those from `before` on whose window before it is."""
    first = last - 1 - (last - 1) % TOGETHER
    bits = np.int64(0)
    for w in range(before, last):
        bits |= np.int64(1) << (2 * (w - first) + (0 if w >= inside else 1))
    return bits
