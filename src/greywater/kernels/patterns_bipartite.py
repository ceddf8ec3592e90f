"""Bipartite: complete 2x2 blocks, two payers who each pay the same two payees, completed by a payment.

A stack of laundering is made of such layers (docs/patterns/bipartite.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from greywater.kernels.compile import Int, kernel
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
    clear,
    visible_end,
)
from greywater.vocab import Int64Array

__all__ = ["bipartite"]

#: Heads of the two lists; marks: payees of the sender, payers seen; value: the payer that counted a payee last.
OUT_HEAD, IN_HEAD = 4 * OUT, 4 * IN
PAYEES, PAYERS, COUNTED = 0, 1, 3
MOST = 2**31 - 1


@kernel
def bipartite(
    graph: Graph, arrivals: Arrivals, begin: Int, end: Int, windows: Int64Array, cap: Int, scratch: Scratch, ints: Any
) -> None:
    """Pairs (s, d), four different accounts, with s -> v, s -> d and u -> d, for the payment u -> v.

    Parameters
    ----------
    windows : int64[W]
        Microseconds.
    cap : int
        Payments visited a window at most.
    ints : int64[2 W, n]
        Blocks a window; then W flags, 1 where the cap cut.
    """
    count = windows.shape[0]
    clear(ints, 2 * count, begin, end, 0)
    for k in range(begin, end):
        for w in range(count):
            if arrivals.skip[k] == 0:
                bound = max(arrivals.time[k] - windows[w], arrivals.least[k])
                _count_blocks(graph, arrivals, k, bound, cap, scratch, ints, w, count + w)


@kernel
def _count_blocks(
    graph: Graph, arrivals: Arrivals, k: Int, bound: Int, cap: Int, scratch: Scratch, ints: Any, row: Int, flag: Int
) -> None:
    """Mark whom u paid, then go through what each payer of v paid."""
    heads, entries, links = graph.heads, graph.entries, graph.links
    time, seq = arrivals.time[k], np.int64(arrivals.seq[k])
    sender, receiver = np.int64(arrivals.sender[k]), np.int64(arrivals.receiver[k])
    payees, payers, counted = scratch.marks[PAYEES], scratch.marks[PAYERS], scratch.marks[COUNTED]
    scratch.stamp[0] += 1
    stamp = np.int32(scratch.stamp[0])
    visits, found = 0, 0
    base, position = heads[sender, OUT_HEAD + BASE], visible_end(graph, OUT_HEAD, sender, time)
    while position > base and visits <= cap:
        position -= 1
        if entries[position, TIME] <= bound:
            break
        if links[position, SEQ] >= seq:
            continue
        visits += 1
        party = np.int64(links[position, OTHER])
        if party != receiver and payees[party] != stamp:
            payees[party] = stamp
            counted[party] = -1
            found += 1
    blocks = 0
    outer_base, outer = heads[receiver, IN_HEAD + BASE], visible_end(graph, IN_HEAD, receiver, time)
    while outer > outer_base and found > 0 and visits <= cap:
        outer -= 1
        if entries[outer, TIME] <= bound:
            break
        if links[outer, SEQ] >= seq:
            continue
        visits += 1
        payer = np.int64(links[outer, OTHER])
        if payer == sender or payers[payer] == stamp or visits > cap:
            continue
        payers[payer] = stamp
        if heads[payer, OUT_HEAD + LATEST] <= bound:
            continue
        base, position = heads[payer, OUT_HEAD + BASE], visible_end(graph, OUT_HEAD, payer, time)
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
            if payees[party] == stamp and counted[party] != outer:
                counted[party] = outer
                blocks += 1
    ints[row, k] = min(blocks, MOST)
    if visits > cap:
        ints[flag, k] = 1
