"""Temporal cycles: rings of payments in time order, closed by a payment, counted by length, and the best one measured.

The search goes back in time from the payer, one length after the other, and never before the payee's first payment in
the window. A sequence of accounts counts once however many parallel payments carry it; where payments arrived late,
time and order of arrival may disagree, and a step then keeps every payment that no other surpasses in both
(docs/patterns/temporal_cycle.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from greywater.kernels.compile import Int, kernel
from greywater.kernels.temporal_graph import (
    AMOUNT,
    BASE,
    END,
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

__all__ = ["temporal_cycle"]

OUT_HEAD, IN_HEAD = 4 * OUT, 4 * IN
#: Mark: vertices met by the frame; value: the last step made for one.
MET, STEP = 0, 3
#: Steps: vertex (-1 = one more payment of a step), the step it leads to, payments so far, place and number of its
#: payment, the step's next payment, can it be completed, the payments of the cycle that is measured.
VERTEX, FROM, DEPTH, PLACE, NUMBER, MORE, COMPLETE, PATH = range(8)
#: wide rows: time of a step's payment; of the best cycle so far its first payment's time and number.
TIMES, BEST = range(2)
NOBODY = -1
MOST = 2**31 - 1
MICROSECONDS = 1e6


@kernel
def temporal_cycle(
    graph: Graph, arrivals: Arrivals, begin: Int, end: Int, windows: Int64Array, cap: Int, longest: Int,
    scratch: Scratch, ints: Any, floats: Any,
) -> None:  # fmt: skip
    """Cycles in time order by length, and share and duration of the best, over each window.

    Parameters
    ----------
    windows : int64[W]
        Microseconds.
    cap : int
        Payments visited a window at most.
    longest : int
        Payments of the longest cycle counted, the closing one included.
    ints : int64[W (longest + 1), n]
        Per window the cycles of 2, 3, ... `longest` payments and the shortest length (0 = none); then W flags, 1 where
        the cap cut.
    floats : float64[2 W, n]
        Per window the smallest amount of the best cycle as a share of its first, and its seconds.
    """
    count = windows.shape[0]
    clear(ints, count * (longest + 1), begin, end, 0)
    clear(floats, 2 * count, begin, end, np.nan)
    for k in range(begin, end):
        ask_ahead(graph, arrivals, k, end)
        if arrivals.skip[k] == 1:
            continue
        sender, receiver = np.int64(arrivals.sender[k]), np.int64(arrivals.receiver[k])
        for w in range(count):
            bound = max(arrivals.time[k] - windows[w], arrivals.least[k])
            if graph.heads[sender, IN_HEAD + LATEST] <= bound or graph.heads[receiver, OUT_HEAD + LATEST] <= bound:
                continue
            first = _first_payment(graph, receiver, arrivals.time[k], arrivals.seq[k], bound)
            if first > bound and _search(graph, arrivals, k, first - 1, cap, longest, scratch, ints, floats, w):
                ints[count * longest + w, k] = 1


@kernel
def _first_payment(graph: Graph, payer: Int, time: Int, seq: Int, bound: Int) -> Int:
    """Time of the first visible payment of `payer` later than `bound`; `bound` where there is none."""
    base, end = graph.heads[payer, OUT_HEAD + BASE], graph.heads[payer, OUT_HEAD + END]
    position = visible_end(graph, OUT_HEAD, payer, bound)
    while position < end and position >= base:
        moment = graph.entries[position, TIME]
        if moment > time:
            break
        if graph.links[position, SEQ] < seq:
            return moment
        position += 1
    return bound


@kernel
def _search(
    graph: Graph, arrivals: Arrivals, k: Int, bound: Int, cap: Int, longest: Int, scratch: Scratch, ints: Any,
    floats: Any, w: Int,
) -> bool:  # fmt: skip
    """Count one window's cycles; True where the cap cut."""
    heads, entries, links, narrow = graph.heads, graph.entries, graph.links, scratch.narrow
    now = arrivals.seq[k]
    receiver = np.int64(arrivals.receiver[k])
    vertex, origin, depth, times = narrow[VERTEX], narrow[FROM], narrow[DEPTH], scratch.wide[TIMES]
    met, step_of = scratch.marks[MET], scratch.marks[STEP]
    row, shortest = w * longest, w * longest + longest - 1
    vertex[0], origin[0], depth[0], narrow[PLACE, 0], narrow[NUMBER, 0] = arrivals.sender[k], -1, 1, -1, now
    narrow[MORE, 0], times[0] = -1, arrivals.time[k]
    steps, step, visits = 1, 0, 0
    while step < steps:
        payee, length = np.int64(vertex[step]), np.int64(depth[step]) + 1
        if payee == NOBODY or heads[payee, IN_HEAD + LATEST] <= bound:
            step += 1
            continue
        scratch.stamp[0] += 1
        stamp = np.int32(scratch.stamp[0])
        closed = False
        base, position = heads[payee, IN_HEAD + BASE], visible_end(graph, IN_HEAD, payee, times[step])
        while position > base:
            position -= 1
            moment = entries[position, TIME]
            if moment <= bound:
                break
            number = links[position, SEQ]
            if number >= now:
                continue
            visits += 1
            if visits > cap:
                return True
            if number >= narrow[NUMBER, step] and not _fits(narrow, times, step, moment, number):
                continue
            party = np.int64(links[position, OTHER])
            if party == receiver:
                if not closed:
                    closed = True
                    ints[row + length - 2, k] = min(ints[row + length - 2, k] + 1, MOST)
                    if ints[shortest, k] == 0:
                        ints[shortest, k] = length
                    if ints[shortest, k] == length:
                        _measure(graph, arrivals, k, bound, step, position, scratch, floats, 2 * w)
                continue
            if length == longest:
                continue
            if met[party] != stamp:
                met[party] = stamp
                if _on_path(vertex, origin, step, party):
                    step_of[party] = NOBODY
                    continue
                vertex[steps], origin[steps], depth[steps] = party, step, length
            else:
                before = np.int64(step_of[party])
                if before == NOBODY or number <= narrow[NUMBER, before]:
                    continue
                narrow[MORE, before] = steps
                vertex[steps] = NOBODY
            step_of[party] = steps
            narrow[PLACE, steps], narrow[NUMBER, steps], narrow[MORE, steps] = position, number, -1
            times[steps] = moment
            steps += 1
        step += 1
    return False


@kernel
def _fits(narrow: Any, times: Int64Array, step: Int, moment: Int, number: Int) -> bool:
    """Does a payment precede one of the payments of a step?"""
    while step != NOBODY:
        if moment <= times[step] and number < narrow[NUMBER, step]:
            return True
        step = np.int64(narrow[MORE, step])
    return False


@kernel
def _on_path(vertex: Any, origin: Any, step: Int, party: Int) -> bool:
    while step >= 0:
        if vertex[step] == party:
            return True
        step = np.int64(origin[step])
    return False


@kernel
def _measure(
    graph: Graph, arrivals: Arrivals, k: Int, bound: Int, step: Int, closing: Int, scratch: Scratch, floats: Any, f: Int
) -> None:
    """Share and duration of a cycle, kept where it is better than the best so far of its length."""
    entries, narrow, best = graph.entries, scratch.narrow, scratch.wide[BEST]
    path = narrow[PATH]
    simple, count, at = True, 0, step
    while at > 0:
        path[count] = narrow[PLACE, at]
        simple = simple and narrow[MORE, at] == NOBODY
        count += 1
        at = np.int64(narrow[FROM, at])
    if not simple:
        closing = _latest_assignment(graph, arrivals, k, bound, step, scratch)
    first, least = entries[closing, AMOUNT], min(entries[closing, AMOUNT], arrivals.amount[k])
    for place in range(count):
        least = min(least, entries[path[place], AMOUNT])
    share = np.nan
    if first > 0 and least >= 0:
        share = np.float64(least) / np.float64(first)
    time, number = entries[closing, TIME], np.int64(graph.links[closing, SEQ])
    better = np.isnan(floats[f + 1, k])
    if not better:
        kept = floats[f, k]
        same = share == kept or (np.isnan(share) and np.isnan(kept))
        later = time > best[0] or (time == best[0] and number > best[1])
        better = share > kept or (np.isnan(kept) and not np.isnan(share)) or (same and later)
    if better:
        best[0], best[1] = time, number
        floats[f, k] = share
        floats[f + 1, k] = np.float64(arrivals.time[k] - time) / MICROSECONDS


@kernel
def _latest_assignment(graph: Graph, arrivals: Arrivals, k: Int, bound: Int, step: Int, scratch: Scratch) -> Int:
    """Where steps hold several payments: going back from the closing payment, always the latest that can be completed.

    Writes the places of the payments to PATH, the first one last but the cycle's own first; returns that one's place.
    """
    narrow, times = scratch.narrow, scratch.wide[TIMES]
    path = narrow[PATH]
    at, before = step, NOBODY
    while at > 0:
        point = at
        while point != NOBODY:
            moment, number = times[point], narrow[NUMBER, point]
            if before == NOBODY:
                narrow[COMPLETE, point] = _closing(
                    graph, arrivals, k, bound, np.int64(narrow[VERTEX, step]), moment, number
                )
            else:
                narrow[COMPLETE, point] = _completable(narrow, times, before, moment, number)
            point = np.int64(narrow[MORE, point])
        path[_height(narrow, at)] = at
        before, at = at, np.int64(narrow[FROM, at])
    moment, number = arrivals.time[k], np.int64(arrivals.seq[k])
    height, top = 1, _height(narrow, step)
    while height <= top:
        point = np.int64(path[height])
        while narrow[COMPLETE, point] == NOBODY or times[point] > moment or narrow[NUMBER, point] >= number:
            point = np.int64(narrow[MORE, point])
        moment, number = times[point], np.int64(narrow[NUMBER, point])
        path[height - 1] = narrow[PLACE, point]
        height += 1
    return _closing(graph, arrivals, k, bound, np.int64(narrow[VERTEX, step]), moment, number)


@kernel
def _height(narrow: Any, step: Int) -> Int:
    """Steps from the closing payment to `step`."""
    return np.int64(narrow[DEPTH, step]) - 1


@kernel
def _completable(narrow: Any, times: Int64Array, before: Int, moment: Int, number: Int) -> Int:
    """The latest completable payment of step `before` that precedes this moment and number, or NOBODY."""
    while before != NOBODY:
        if narrow[COMPLETE, before] != NOBODY and times[before] <= moment and narrow[NUMBER, before] < number:
            return before
        before = np.int64(narrow[MORE, before])
    return NOBODY


@kernel
def _closing(graph: Graph, arrivals: Arrivals, k: Int, bound: Int, payee: Int, moment: Int, number: Int) -> Int:
    """The latest payment of the receiver to `payee` that precedes this moment and number, or NOBODY."""
    receiver = np.int64(arrivals.receiver[k])
    base, position = graph.heads[payee, IN_HEAD + BASE], visible_end(graph, IN_HEAD, payee, moment)
    while position > base:
        position -= 1
        if graph.entries[position, TIME] <= bound:
            break
        if graph.links[position, OTHER] == receiver and graph.links[position, SEQ] < number:
            return position
    return NOBODY
