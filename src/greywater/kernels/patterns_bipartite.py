"""Bipartite: complete 2x2 blocks, two payers who each pay the same two payees, completed by a payment.

A stack of laundering is made of such layers. One search over the longest window serves all: a block lies in every
window that holds the latest payment of each of its sides (docs/patterns/bipartite.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from greywater.kernels.compile import Int, kernel
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
    clear,
    visible_end,
)
from greywater.vocab import Int64Array

__all__ = ["bipartite"]

#: Marks: other payees of the sender, other payers of the receiver. Values: the place among them, of each.
PAYEES, PAYERS, PLACE = 0, 1, 3
#: Scratch rows: payees, payers, who counted them last; the times of the latest payments to the one and from the other.
PAYEE, PAYER, COUNTED = range(3)
PAYEE_TIME, PAYER_TIME = range(2)
MOST = 2**31 - 1
NOBODY = -1


@kernel
def bipartite(
    graph: Graph, arrivals: Arrivals, begin: Int, end: Int, windows: Int64Array, cap: Int, scratch: Scratch, ints: Any
) -> None:
    """Pairs (s, d), four different accounts, with s -> v, s -> d and u -> d, for the payment u -> v.

    Parameters
    ----------
    windows : int64[W]
        Microseconds, increasing.
    cap : int
        Payments visited a window at most.
    ints : int64[2 W, n]
        Blocks a window; then W flags, 1 where the cap cut.
    """
    count = windows.shape[0]
    clear(ints, 2 * count, begin, end, 0)
    for k in range(begin, end):
        if arrivals.skip[k] == 1:
            continue
        # Where the longest window is cut, the shorter ones are searched by themselves.
        for last in range(count - 1, -1, -1):
            for w in range(last + 1):
                ints[w, k] = 0
            if not _count_blocks(graph, arrivals, k, windows, last, cap, scratch, ints):
                break
            ints[count + last, k] = 1


@kernel
def _count_blocks(
    graph: Graph, arrivals: Arrivals, k: Int, windows: Int64Array, last: Int, cap: Int, scratch: Scratch, ints: Any
) -> bool:
    """Count the blocks of the windows up to `last`; True where the cap cut.

    Goes through the lists of the sender's other payees or of the receiver's other payers, whichever are fewer.
    """
    links, heads = graph.links, graph.heads
    time, seq = arrivals.time[k], np.int64(arrivals.seq[k])
    bound = max(time - windows[last], arrivals.least[k])
    sender, receiver = np.int64(arrivals.sender[k]), np.int64(arrivals.receiver[k])
    scratch.stamp[0] += 1
    stamp = np.int32(scratch.stamp[0])
    payees, visits = _others(graph, OUT_HEAD, sender, receiver, time, seq, bound, cap, NONE, scratch, stamp)
    if payees == 0 or visits > cap:
        return bool(visits > cap)
    payers, visits = _others(graph, IN_HEAD, receiver, sender, time, seq, bound, cap, visits, scratch, stamp)
    if payers == 0 or visits > cap:
        return bool(visits > cap)
    by_payee = payees <= payers
    through, through_time = scratch.narrow[PAYEE], scratch.wide[PAYEE_TIME]
    mark, side_time, head, few = scratch.marks[PAYERS], scratch.wide[PAYER_TIME], IN_HEAD, payees
    if not by_payee:
        through, through_time = scratch.narrow[PAYER], scratch.wide[PAYER_TIME]
        mark, side_time, head, few = scratch.marks[PAYEES], scratch.wide[PAYEE_TIME], OUT_HEAD, payers
    place_of, counted = scratch.marks[PLACE + (1 if by_payee else 0)], scratch.narrow[COUNTED]
    for other in range(payers if by_payee else payees):
        counted[other] = NOBODY
    for one in range(few):
        account = np.int64(through[one])
        if heads[account, head + LATEST] <= bound:
            continue
        base, position = heads[account, head + BASE], visible_end(graph, head, account, time)
        while position > base:
            position -= 1
            moment = graph.entries[position, TIME]
            if moment <= bound:
                break
            if links[position, SEQ] >= seq:
                continue
            visits += 1
            if visits > cap:
                return True
            party = np.int64(links[position, OTHER])
            if mark[party] != stamp or party == account:
                continue
            place = np.int64(place_of[party])
            if counted[place] == one:
                continue
            counted[place] = one
            oldest = min(moment, min(through_time[one], side_time[place]))
            for w in range(last, -1, -1):
                if oldest <= max(time - windows[w], arrivals.least[k]):
                    break
                ints[w, k] = min(ints[w, k] + 1, MOST)
    return False


@kernel
def _others(
    graph: Graph, head: Int, account: Int, party_left_out: Int, time: Int, seq: Int, bound: Int, cap: Int,
    visits: Int, scratch: Scratch, stamp: Any,
) -> Any:  # fmt: skip
    """The account's other counterparties, each with the time of its latest payment; (how many, visits)."""
    side = 0 if head == OUT_HEAD else 1
    mark, place_of = scratch.marks[side], scratch.marks[PLACE + side]
    found, found_time = scratch.narrow[side], scratch.wide[side]
    count = 0
    base, position = graph.heads[account, head + BASE], visible_end(graph, head, account, time)
    while position > base:
        position -= 1
        moment = graph.entries[position, TIME]
        if moment <= bound:
            break
        if graph.links[position, SEQ] >= seq:
            continue
        visits += 1
        if visits > cap:
            break
        party = np.int64(graph.links[position, OTHER])
        if party != party_left_out and mark[party] != stamp:
            # An account outside the bank has no lists of its own and is in no block.
            if graph.heads[party, IN_HEAD - head + LATEST] <= bound:
                continue
            mark[party] = stamp
            place_of[party] = count
            found[count], found_time[count] = party, moment
            count += 1
    return count, visits
