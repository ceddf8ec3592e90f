"""Temporal cycles: rings of payments in time order, closed by a payment, counted by length, and the best one measured.

The search meets in the middle: paths that start at the payee and paths that end at the payer grow by a payment at a
time, always on the side that has fewer, and are joined length after length. A sequence of accounts counts once however
many parallel payments carry it; where payments arrived late, time and order of arrival may disagree, and a path then
keeps every payment that no other surpasses in both (docs/patterns/temporal_cycle.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.prefetch import prefetch
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
#: Marks: vertices met by the frame, vertices that paths of the other side reach; values: the last such step and path.
MET, LISTED, STEP, LAST = 0, 1, 3, 4
#: Steps: vertex (-1 = one more payment of a step, or a way that ends there), the step it goes on from, place and number
#: of its payment, the step's next payment, the next path that reaches the same vertex.
VERTEX, FROM, PLACE, NUMBER, MORE, SAME = range(6)
#: wide rows: time of a step's payment; of the best cycle so far its first payment's time and number; one bit a vertex
#: of the path, to tell most disjoint paths apart at once.
TIMES, BEST, BITS = range(3)
NOBODY = -1
#: Beyond all times and numbers.
FAR = 2**62
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
        Payments and joins of half paths visited a window at most.
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
            if first <= bound or graph.heads[sender, IN_HEAD + LATEST] < first:
                continue
            last = _last_payment(graph, sender, arrivals.time[k], arrivals.seq[k], first)
            if last >= first and _search(graph, arrivals, k, first, last, cap, longest, scratch, ints, floats, w):
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
def _last_payment(graph: Graph, payee: Int, time: Int, seq: Int, first: Int) -> Int:
    """Time of the last visible payment to `payee` not before `first`; `first - 1` where there is none."""
    base, position = graph.heads[payee, IN_HEAD + BASE], visible_end(graph, IN_HEAD, payee, time)
    while position > base:
        position -= 1
        moment = graph.entries[position, TIME]
        if moment < first:
            break
        if graph.links[position, SEQ] < seq:
            return moment
    return first - 1


@kernel
def _search(
    graph: Graph, arrivals: Arrivals, k: Int, first: Int, last: Int, cap: Int, longest: Int, scratch: Scratch,
    ints: Any, floats: Any, w: Int,
) -> bool:  # fmt: skip
    """Count one window's cycles, the payments of which lie between `first` and `last`; True where the cap cut.

    One side's paths are made longer by a payment at a time, always the side that has fewer, and joined with the other
    side's. What is smaller for the paths from the receiver (`sign` 1) is larger for those to the sender (`sign` -1).
    """
    heads, entries, links, narrow = graph.heads, graph.entries, graph.links, scratch.narrow
    vertex, origin, numbers = narrow[VERTEX], narrow[FROM], narrow[NUMBER]
    times, bits = scratch.wide[TIMES], scratch.wide[BITS]
    met, step_of = scratch.marks[MET], scratch.marks[STEP]
    listed = scratch.marks[LISTED]
    now: Int = np.int64(arrivals.seq[k])
    none: Int = np.int64(0)
    _root(scratch, 0, np.int64(arrivals.receiver[k]), first, -1)
    _root(scratch, 1, np.int64(arrivals.sender[k]), last, now)
    # The side that grows, beginning with the sender's, and the far side: its newest paths, the earliest (latest) time
    # and number of theirs, their vertices' bits.
    sign, head, far_root, here = none - 1, none + IN_HEAD, none, none
    begin, end, edge, edge_number, reach = none + 1, none + 2, none + last, now, bits[1]
    far_begin, far_end, far_edge, far_number, far_reach = none, none + 1, none + first, none - 1, bits[0]
    steps, visits, length = none + 2, none, none + 1
    while length < longest and begin < end:
        length += 1
        if far_end - far_begin < end - begin:
            sign, head, far_root, here = -sign, IN_HEAD - head, 1 - far_root, none
            begin, far_begin, end, far_end = far_begin, begin, far_end, end
            edge, far_edge, edge_number, far_number = far_edge, edge, far_number, edge_number
            reach, far_reach = far_reach, reach
        goal = np.int64(arrivals.sender[k]) if far_root == 1 else np.int64(arrivals.receiver[k])
        avoided = goal if far_begin > 1 else NOBODY
        limit, limit_number = sign * far_edge, sign * far_number
        edge, edge_number, reach, made = none + FAR, none + FAR, none, steps
        for step in range(begin, end):
            party = np.int64(vertex[step])
            start, since = times[step], sign * np.int64(numbers[step])
            if party == NOBODY or sign * start > limit or heads[party, head + LATEST] < min(start, far_edge):
                continue
            scratch.stamp[0] += 1
            stamp = np.int32(scratch.stamp[0])
            frame, hit = steps, False
            low, high = heads[party, head + BASE], heads[party, head + END]
            position = visible_end(graph, head, party, start - (1 + sign) // 2) - (1 - sign) // 2
            while low <= position < high:
                place = position
                position += sign
                moment = entries[place, TIME]
                if sign * moment > limit:
                    break
                number = np.int64(links[place, SEQ])
                if number >= now:
                    continue
                visits += 1
                if visits > cap:
                    return True
                if sign * number >= limit_number:
                    continue
                if sign * number <= since and not _follows(narrow, times, sign, step, moment, number):
                    continue
                party = np.int64(links[place, OTHER])
                bit = _bit(party)
                joins = far_reach & bit != 0 and party != avoided
                if joins:
                    if here == 0:
                        here = _list(scratch, far_begin, far_end)
                    joins = listed[party] == here
                if party == avoided or (length == longest and not joins):
                    continue
                if met[party] != stamp:
                    met[party] = stamp
                    if bits[step] & bit != 0 and _on_path(vertex, origin, step, party):
                        step_of[party] = NOBODY
                        continue
                    vertex[steps], origin[steps] = party, step
                    bits[steps] = bits[step] | bit
                    hit = hit or joins
                    reach |= bit
                    prefetch(heads, party, 0)
                else:
                    before = np.int64(step_of[party])
                    if before == NOBODY or sign * number >= sign * np.int64(numbers[before]):
                        continue
                    narrow[MORE, before] = steps
                    vertex[steps] = NOBODY
                step_of[party] = steps
                narrow[PLACE, steps], numbers[steps], narrow[MORE, steps], times[steps] = place, number, NOBODY, moment
                edge, edge_number = min(edge, sign * moment), min(edge_number, sign * number)
                steps += 1
            if hit:
                visits = _join(
                    graph, arrivals, k, first, sign, frame, steps, here, visits, cap, length, longest, scratch, ints,
                    floats, w,
                )  # fmt: skip
                if visits > cap:
                    return True
        begin, end, edge, edge_number = made, steps, sign * edge, sign * edge_number
    return False


@inlined
def _root(scratch: Scratch, step: Int, party: Int, moment: Int, number: Int) -> None:
    """The path of no payments."""
    scratch.narrow[VERTEX, step], scratch.narrow[FROM, step], scratch.narrow[NUMBER, step] = party, NOBODY, number
    scratch.narrow[MORE, step], scratch.wide[TIMES, step], scratch.wide[BITS, step] = NOBODY, moment, _bit(party)


@kernel
def _list(scratch: Scratch, begin: Int, end: Int) -> Int:
    """List paths by the vertex they reach; returns the mark of the vertices that have any."""
    vertex, same = scratch.narrow[VERTEX], scratch.narrow[SAME]
    listed, latest = scratch.marks[LISTED], scratch.marks[LAST]
    scratch.stamp[0] += 1
    mark = np.int32(scratch.stamp[0])
    for path in range(begin, end):
        reached = np.int64(vertex[path])
        if reached != NOBODY:
            same[path] = latest[reached] if listed[reached] == mark else NOBODY
            listed[reached], latest[reached] = mark, path
    return np.int64(mark)


@kernel
def _join(
    graph: Graph, arrivals: Arrivals, k: Int, first: Int, sign: Int, begin: Int, steps: Int, here: Int, visits: Int,
    cap: Int, length: Int, longest: Int, scratch: Scratch, ints: Any, floats: Any, w: Int,
) -> Int:  # fmt: skip
    """Join new paths with those of the other side that reach the same vertex; returns the visits."""
    narrow, times, bits = scratch.narrow, scratch.wide[TIMES], scratch.wide[BITS]
    vertex, origin = narrow[VERTEX], narrow[FROM]
    column, shortest = w * longest + length - 2, w * longest + longest - 1
    receipts = IN_HEAD if sign == 1 else OUT_HEAD
    for step in range(begin, steps):
        party = np.int64(vertex[step])
        # An account outside the bank has no lists of its own: money cannot be followed through it.
        if party == NOBODY or scratch.marks[LISTED, party] != here or graph.heads[party, receipts + LATEST] < first:
            continue
        half, rest = np.int64(scratch.marks[LAST, party]), np.int64(origin[step])
        while half != NOBODY:
            point, joined = half, False
            while point != NOBODY and not joined:
                visits += 1
                joined = _follows(narrow, times, sign, step, times[point], np.int64(narrow[NUMBER, point]))
                point = np.int64(narrow[MORE, point])
            if visits > cap:
                return visits
            if joined and (bits[rest] & bits[half] == 0 or _disjoint(vertex, origin, rest, half)):
                if ints[shortest, k] == 0 or ints[shortest, k] == length:
                    there, back = (step, half) if sign == 1 else (half, step)
                    visits = _measure(
                        graph, arrivals, k, first, there, back, steps, visits, cap, scratch, floats, 2 * w
                    )
                    if visits > cap:
                        return visits
                    ints[shortest, k] = length
                ints[column, k] = min(ints[column, k] + 1, MOST)
            half = np.int64(narrow[SAME, half])
        if party == arrivals.sender[k] or party == arrivals.receiver[k]:
            vertex[step] = NOBODY
    return visits


@kernel
def _follows(narrow: Any, times: Int64Array, sign: Int, step: Int, moment: Int, number: Int) -> bool:
    """Does a payment follow (`sign` 1) or precede (-1) one of the payments of a step?"""
    while step != NOBODY:
        if sign * times[step] <= sign * moment and sign * np.int64(narrow[NUMBER, step]) < sign * number:
            return True
        step = np.int64(narrow[MORE, step])
    return False


@inlined
def _bit(vertex: Int) -> Int:
    """One of 64 bits that stands for a vertex."""
    return np.int64(1) << (vertex & 63)


@kernel
def _on_path(vertex: Any, origin: Any, step: Int, party: Int) -> bool:
    while step != NOBODY:
        if vertex[step] == party:
            return True
        step = np.int64(origin[step])
    return False


@kernel
def _disjoint(vertex: Any, origin: Any, step: Int, half: Int) -> bool:
    """Do two paths share no vertex?"""
    while half != NOBODY:
        if _on_path(vertex, origin, step, np.int64(vertex[half])):
            return False
        half = np.int64(origin[half])
    return True


@kernel
def _measure(
    graph: Graph, arrivals: Arrivals, k: Int, first: Int, there: Int, back: Int, steps: Int, visits: Int, cap: Int,
    scratch: Scratch, floats: Any, f: Int,
) -> Int:  # fmt: skip
    """Share and duration of a cycle, kept where it is better than the best so far of its length; returns the visits.

    Going back from the closing payment always the latest payment is taken that the rest can precede. On the way to the
    sender that is the one of each step, unless a step holds several.
    """
    entries, links, narrow, best = graph.entries, graph.links, scratch.narrow, scratch.wide[BEST]
    times, now = scratch.wide[TIMES], np.int64(arrivals.seq[k])
    time, number, least, at, simple = arrivals.time[k], now, arrivals.amount[k], back, True
    amount = np.int64(-1)
    while narrow[FROM, at] != NOBODY:
        simple = simple and narrow[MORE, at] == NOBODY
        least = min(least, entries[narrow[PLACE, at], AMOUNT])
        at = np.int64(narrow[FROM, at])
    if simple and back != at:
        time, number = times[back], np.int64(narrow[NUMBER, back])
        amount = entries[narrow[PLACE, back], AMOUNT]
    if not simple:
        least = arrivals.amount[k]
        there, visits = _extend(graph, arrivals, k, there, back, steps, visits, cap, scratch)
    while visits <= cap and narrow[FROM, there] != NOBODY:
        payee, before = np.int64(narrow[VERTEX, there]), np.int64(narrow[FROM, there])
        payer, position = np.int64(narrow[VERTEX, before]), visible_end(graph, IN_HEAD, payee, time)
        while visits <= cap and position > graph.heads[payee, IN_HEAD + BASE]:
            position -= 1
            seq = np.int64(links[position, SEQ])
            if seq >= now:
                continue
            visits += 1
            moment = entries[position, TIME]
            if links[position, OTHER] == payer and seq < number and _follows(narrow, times, 1, before, moment, seq):
                time, number, amount, there = moment, seq, entries[position, AMOUNT], before
                least = min(least, amount)
                break
    if visits > cap:
        return visits
    share = np.nan
    if amount > 0 and least >= 0:
        share = np.float64(least) / np.float64(amount)
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
    return visits


@kernel
def _extend(
    graph: Graph, arrivals: Arrivals, k: Int, there: Int, back: Int, steps: Int, visits: Int, cap: Int, scratch: Scratch
) -> Any:
    """Go the way of `back` on from `there`, keeping each step's earliest payments; (step at the sender, visits)."""
    links, narrow, times = graph.links, scratch.narrow, scratch.wide[TIMES]
    now = np.int64(arrivals.seq[k])
    while narrow[FROM, back] != NOBODY:
        payer, back = np.int64(narrow[VERTEX, back]), np.int64(narrow[FROM, back])
        payee, made, point = np.int64(narrow[VERTEX, back]), steps, steps
        position = visible_end(graph, OUT_HEAD, payer, times[there] - 1)
        while position < graph.heads[payer, OUT_HEAD + END] and graph.entries[position, TIME] <= arrivals.time[k]:
            place = position
            moment, number = graph.entries[place, TIME], np.int64(links[place, SEQ])
            position += 1
            if number >= now:
                continue
            visits += 1
            if visits > cap:
                return there, visits
            if links[place, OTHER] != payee or not _follows(narrow, times, 1, there, moment, number):
                continue
            if steps > made:
                if number >= narrow[NUMBER, point]:
                    continue
                narrow[MORE, point] = steps
            narrow[VERTEX, steps], narrow[FROM, steps], narrow[NUMBER, steps] = payee, there, number
            narrow[MORE, steps], times[steps] = NOBODY, moment
            point, steps = steps, steps + 1
        there = made
    return there, visits
