"""Gather-scatter: many pay one hub, which then pays many; how wide on both sides, and how much of it stays.

Seen at a scatter leg (the hub is the sender) and at a gather leg (the hub is the receiver)
(docs/patterns/gather_scatter.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from greywater.kernels.compile import Int, kernel
from greywater.kernels.temporal_graph import (
    AMOUNT,
    BASE,
    IN_HEAD,
    NONE,
    OTHER,
    OUT_HEAD,
    SEQ,
    TIME,
    Arrivals,
    Graph,
    Scratch,
    clear,
    sees,
    visible_end,
)
from greywater.kernels.wide import ZERO, add_128, float_of_128, subtract_128
from greywater.vocab import Int64Array

__all__ = ["gather_scatter"]

SENDERS, RECEIVERS = range(2)
NEVER = np.int64(-(2**62))
TOP_BIT = np.uint64(1 << 63)


@kernel
def gather_scatter(
    graph: Graph, arrivals: Arrivals, begin: Int, end: Int, windows: Int64Array, cap: Int, scratch: Scratch,
    ints: Any, floats: Any,
) -> None:  # fmt: skip
    """Senders, receivers and the share kept of both parties as hubs, over each window.

    Parameters
    ----------
    windows : int64[W]
        Microseconds.
    cap : int
        Payments visited a window at most; the hub `sender` first.
    ints : int64[5 W, n]
        Per window and hub (sender, receiver) the different senders and receivers, 0 unless there are two of each;
        then W flags, 1 where the cap cut.
    floats : float64[2 W, n]
        Per window and hub (money in - money out) / money in.
    """
    count = windows.shape[0]
    clear(ints, 5 * count, begin, end, 0)
    clear(floats, 2 * count, begin, end, np.nan)
    for k in range(begin, end):
        if arrivals.skip[k] == 1:
            continue
        for w in range(count):
            bound = max(arrivals.time[k] - windows[w], arrivals.least[k])
            visits = NONE
            for role in range(2):
                row = 2 * w + role
                if visits <= cap:
                    visits = _hub(graph, arrivals, k, role, bound, cap, visits, scratch, ints, floats, row)
            if visits > cap:
                ints[4 * count + w, k] = 1


@kernel
def _hub(
    graph: Graph, arrivals: Arrivals, k: Int, role: Int, bound: Int, cap: Int, visits: Int, scratch: Scratch,
    ints: Any, floats: Any, row: Int,
) -> Int:  # fmt: skip
    """One hub; returns visits, > cap = cut. A sender's scatter begins with the first payment it gathered."""
    heads, entries, links = graph.heads, graph.entries, graph.links
    time, seq, amount = arrivals.time[k], np.int64(arrivals.seq[k]), arrivals.amount[k]
    hub = np.int64(arrivals.sender[k]) if role == 0 else np.int64(arrivals.receiver[k])
    other = np.int64(arrivals.receiver[k]) if role == 0 else np.int64(arrivals.sender[k])
    if not sees(graph, IN_HEAD if role == 0 else OUT_HEAD, hub, time, seq, bound):
        return visits
    gathered, seen = scratch.marks[0], scratch.marks[1]
    scratch.stamp[0] += 2
    senders_stamp, receivers_stamp = np.int32(scratch.stamp[0] - 1), np.int32(scratch.stamp[0])
    senders, receivers = 0, 0
    in_low, in_high, out_low, out_high = ZERO, ZERO, ZERO, ZERO
    known = np.uint64(max(amount, 0))
    if role == 0:
        seen[other] = receivers_stamp
        receivers, out_low = 1, known
    else:
        gathered[other] = senders_stamp
        senders, in_low = 1, known
    first_time, first_seq = np.int64(0), np.int64(0)
    base, position = heads[hub, IN_HEAD + BASE], visible_end(graph, IN_HEAD, hub, time)
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
        first_time, first_seq = earlier, number
        party = np.int64(links[position, OTHER])
        if gathered[party] != senders_stamp:
            gathered[party] = senders_stamp
            senders += 1
        paid = np.uint64(max(entries[position, AMOUNT], 0))
        in_low, in_high = add_128(in_low, in_high, paid, ZERO)
    if senders < 2 or visits > cap:
        return visits
    base, position = heads[hub, OUT_HEAD + BASE], visible_end(graph, OUT_HEAD, hub, time)
    while position > base:
        position -= 1
        earlier = entries[position, TIME]
        if earlier <= bound or (role == 0 and earlier < first_time):
            break
        number = np.int64(links[position, SEQ])
        if number >= seq:
            continue
        if role == 0 and earlier == first_time and number < first_seq:
            break
        visits += 1
        if visits > cap:
            break
        party = np.int64(links[position, OTHER])
        if seen[party] != receivers_stamp:
            seen[party] = receivers_stamp
            receivers += 1
        paid = np.uint64(max(entries[position, AMOUNT], 0))
        out_low, out_high = add_128(out_low, out_high, paid, ZERO)
    if receivers >= 2:
        ints[2 * row + SENDERS, k] = senders
        ints[2 * row + RECEIVERS, k] = receivers
        floats[row, k] = _kept(in_low, in_high, out_low, out_high)
    return visits


@kernel
def _kept(in_low: Any, in_high: Any, out_low: Any, out_high: Any) -> Any:
    """(in - out) / in, the difference exact; NaN where nothing came in."""
    received = float_of_128(in_low, in_high)
    if received == 0.0:
        return np.nan
    low, high = subtract_128(in_low, in_high, out_low, out_high)
    if high >= TOP_BIT:
        low, high = subtract_128(ZERO, ZERO, low, high)
        return -float_of_128(low, high) / received
    return float_of_128(low, high) / received
