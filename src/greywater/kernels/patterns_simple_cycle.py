"""Simple cycles: rings of payments in any order, closed by a payment, counted by length.

The search meets in the middle: all simple paths of up to half the length that end at the payer are kept by the vertex
they start from, and joined with the simple paths that start at the payee (docs/patterns/simple_cycle.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.temporal_graph import (
    BASE,
    IN_HEAD,
    LATEST,
    OTHER,
    OUT_HEAD,
    SEQ,
    TIME,
    Arrivals,
    Graph,
    Scratch,
    ask_ahead,
    clear,
    sees,
    visible_end,
)
from greywater.vocab import Int64Array

__all__ = ["simple_cycle"]

#: Marks: vertices met by the frame, vertices where a backward path starts; value: the last such path.
MET, LISTED, LAST = 0, 1, 3
#: Steps: vertex, the step it came from, payments so far, the next backward path of the same vertex.
VERTEX, FROM, DEPTH, SAME = range(4)
#: wide row: one bit a vertex of the path, to tell most disjoint paths apart at once.
BITS = 0
MOST = 2**31 - 1


@kernel
def simple_cycle(
    graph: Graph, arrivals: Arrivals, begin: Int, end: Int, windows: Int64Array, cap: Int, longest: Int,
    scratch: Scratch, ints: Any,
) -> None:  # fmt: skip
    """Cycles by length that a payment closes, over each window.

    Parameters
    ----------
    windows : int64[W]
        Microseconds.
    cap : int
        Payments and joins of half paths visited a window at most.
    longest : int
        Payments of the longest cycle counted, the closing one included.
    ints : int64[W longest, n]
        Per window the cycles of 2, 3, ... `longest` payments; then W flags, 1 where the cap cut.
    """
    count = windows.shape[0]
    clear(ints, count * longest, begin, end, 0)
    for k in range(begin, end):
        ask_ahead(graph, arrivals, k, end)
        if arrivals.skip[k] == 1:
            continue
        sender, receiver = np.int64(arrivals.sender[k]), np.int64(arrivals.receiver[k])
        for w in range(count):
            time, seq = arrivals.time[k], np.int64(arrivals.seq[k])
            bound = max(arrivals.time[k] - windows[w], arrivals.least[k])
            if not sees(graph, OUT_HEAD, receiver, time, seq, bound):
                continue
            if not sees(graph, IN_HEAD, sender, time, seq, bound):
                continue
            row = w * (longest - 1)
            if _count_cycles(graph, arrivals, k, bound, cap, longest, scratch, ints, row):
                ints[count * (longest - 1) + w, k] = 1


@kernel
def _count_cycles(
    graph: Graph, arrivals: Arrivals, k: Int, bound: Int, cap: Int, longest: Int, scratch: Scratch, ints: Any, row: Int
) -> bool:
    """Count the cycles of one window; True where the cap cut.

    A cycle of n payments has n - 1 before this one: the last (n - 1) // 2 of them are a backward path, the others a
    forward path.
    """
    steps, visits = _paths_to_sender(graph, arrivals, k, bound, cap, (longest - 1) // 2, scratch)
    if visits > cap:
        return True
    if steps == 0:
        return False
    heads, entries, links = graph.heads, graph.entries, graph.links
    time, seq = arrivals.time[k], arrivals.seq[k]
    sender, receiver = np.int64(arrivals.sender[k]), np.int64(arrivals.receiver[k])
    vertex, origin, depth, bits = (
        scratch.narrow[VERTEX],
        scratch.narrow[FROM],
        scratch.narrow[DEPTH],
        scratch.wide[BITS],
    )
    met, last, listed = scratch.marks[MET], scratch.marks[LAST], scratch.marks[LISTED]
    here, most = listed[sender], longest // 2
    vertex[steps], origin[steps], depth[steps], bits[steps] = receiver, -1, 0, _bit(receiver)
    step, steps = steps, steps + 1
    while step < steps:
        payer, edges = np.int64(vertex[step]), np.int64(depth[step]) + 1
        base, position = heads[payer, OUT_HEAD + BASE], visible_end(graph, OUT_HEAD, payer, time)
        scratch.stamp[0] += 1
        stamp = np.int32(scratch.stamp[0])
        while position > base:
            position -= 1
            if entries[position, TIME] <= bound:
                break
            if links[position, SEQ] >= seq:
                continue
            visits += 1
            if visits > cap:
                return True
            party = np.int64(links[position, OTHER])
            if edges == most and listed[party] != here:
                continue
            if met[party] == stamp or (edges > 1 and _on_path(vertex, origin, bits, step, party)):
                continue
            met[party] = stamp
            if party == receiver:
                continue
            # An account outside the bank has no lists of its own: money cannot be followed through it.
            if listed[party] == here and heads[party, IN_HEAD + LATEST] > bound:
                half = np.int64(last[party])
                while half >= 0 and depth[half] >= edges - 1:
                    if depth[half] <= edges:
                        visits += 1
                        if _disjoint(vertex, origin, bits, step, half):
                            column = row + edges + np.int64(depth[half]) - 1
                            ints[column, k] = min(ints[column, k] + 1, MOST)
                    half = np.int64(scratch.narrow[SAME, half])
                if visits > cap:
                    return True
            if edges < most and party != sender and heads[party, OUT_HEAD + LATEST] > bound:
                vertex[steps], origin[steps], depth[steps] = party, step, edges
                bits[steps] = bits[step] | _bit(party)
                steps += 1
        step += 1
    return False


@kernel
def _paths_to_sender(
    graph: Graph, arrivals: Arrivals, k: Int, bound: Int, cap: Int, most: Int, scratch: Scratch
) -> Any:
    """Keep all simple paths of up to `most` payments to the sender that avoid the receiver; (steps, visits)."""
    heads, entries, links = graph.heads, graph.entries, graph.links
    time, seq = arrivals.time[k], arrivals.seq[k]
    sender, receiver = np.int64(arrivals.sender[k]), np.int64(arrivals.receiver[k])
    vertex, origin, depth, bits = (
        scratch.narrow[VERTEX],
        scratch.narrow[FROM],
        scratch.narrow[DEPTH],
        scratch.wide[BITS],
    )
    met, last, listed = scratch.marks[MET], scratch.marks[LAST], scratch.marks[LISTED]
    scratch.stamp[0] += 1
    here = np.int32(scratch.stamp[0])
    vertex[0], origin[0], depth[0], bits[0], scratch.narrow[SAME, 0] = sender, -1, 0, _bit(sender), -1
    listed[sender], last[sender] = here, 0
    steps, step, visits = 1, 0, 0
    while step < steps and depth[step] < most:
        payee = np.int64(vertex[step])
        base, position = heads[payee, IN_HEAD + BASE], visible_end(graph, IN_HEAD, payee, time)
        scratch.stamp[0] += 1
        stamp = np.int32(scratch.stamp[0])
        while position > base:
            position -= 1
            if entries[position, TIME] <= bound:
                break
            if links[position, SEQ] >= seq:
                continue
            visits += 1
            if visits > cap:
                return steps, visits
            party = np.int64(links[position, OTHER])
            if party == receiver or met[party] == stamp or _on_path(vertex, origin, bits, step, party):
                continue
            met[party] = stamp
            vertex[steps], origin[steps], depth[steps] = party, step, depth[step] + 1
            bits[steps] = bits[step] | _bit(party)
            if listed[party] == here:
                scratch.narrow[SAME, steps] = last[party]
            else:
                listed[party] = here
                scratch.narrow[SAME, steps] = -1
            last[party] = steps
            steps += 1
        step += 1
    return steps, visits


@inlined
def _bit(vertex: Int) -> Int:
    """One of 63 bits that stands for a vertex."""
    return np.int64(1) << (vertex % 63)


@kernel
def _on_path(vertex: Any, origin: Any, bits: Any, step: Int, party: Int) -> bool:
    """Is `party` on the path of `step`?"""
    if bits[step] & _bit(party) == 0:
        return False
    while step >= 0:
        if vertex[step] == party:
            return True
        step = np.int64(origin[step])
    return False


@kernel
def _disjoint(vertex: Any, origin: Any, bits: Any, step: Int, half: Int) -> bool:
    """Do the forward path of `step` and the backward path of `half` share no vertex?"""
    if bits[step] & bits[half] == 0:
        return True
    while half >= 0:
        if _on_path(vertex, origin, bits, step, np.int64(vertex[half])):
            return False
        half = np.int64(origin[half])
    return True
