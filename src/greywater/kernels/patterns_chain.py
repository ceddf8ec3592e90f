"""Chain: money passed on, hop by hop, each amount close to the one that came in, ending with a payment.

The longest such chain; of several the one that leaks least, then the latest (docs/patterns/chain.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from greywater.kernels.compile import Int, kernel
from greywater.kernels.temporal_graph import (
    AMOUNT,
    BASE,
    IN_HEAD,
    LATEST,
    OTHER,
    SEQ,
    TIME,
    Arrivals,
    Graph,
    Scratch,
    clear,
    visible_end,
)
from greywater.vocab import Int64Array

__all__ = ["chain"]

MOST_HOPS = 10
#: Steps of the search, a payment each: its place in the arena, its payer, the step it leads to, hops so far.
PLACE, PAYER, NEXT, HOPS = range(4)
MICROSECONDS = 1e6


@kernel
def chain(
    graph: Graph, arrivals: Arrivals, begin: Int, end: Int, windows: Int64Array, cap: Int, tolerance: Int,
    scratch: Scratch, ints: Any, floats: Any,
) -> None:  # fmt: skip
    """Hops, duration, leak and lag of the best chain that ends in a payment, over each window.

    Parameters
    ----------
    windows : int64[W]
        Microseconds.
    cap : int
        Payments visited a window at most.
    tolerance : int
        How much a hop may differ from what came in, per mille of what came in.
    ints : int64[2 W, n]
        Hops, this payment included; then W flags, 1 where the cap cut.
    floats : float64[3 W, n]
        Per window seconds from the first payment to this, share of the first amount that leaked, seconds from the
        payment before this.
    """
    count = windows.shape[0]
    clear(ints, 2 * count, begin, end, 0)
    clear(floats, 3 * count, begin, end, np.nan)
    for k in range(begin, end):
        for w in range(count):
            if arrivals.skip[k] == 0 and arrivals.amount[k] > 0:
                bound = max(arrivals.time[k] - windows[w], arrivals.least[k])
                _longest(graph, arrivals, k, bound, cap, tolerance, scratch, ints, floats, w, count + w)


@kernel
def _longest(
    graph: Graph, arrivals: Arrivals, k: Int, bound: Int, cap: Int, tolerance: Int, scratch: Scratch, ints: Any,
    floats: Any, w: Int, flag: Int,
) -> None:  # fmt: skip
    """Go back from the payment, all chains of one length after the other, the latest first among them."""
    heads, entries, links = graph.heads, graph.entries, graph.links
    place, payer, following, hops = (
        scratch.narrow[PLACE],
        scratch.narrow[PAYER],
        scratch.narrow[NEXT],
        scratch.narrow[HOPS],
    )
    time, seq, amount = arrivals.time[k], np.int64(arrivals.seq[k]), arrivals.amount[k]
    receiver = np.int64(arrivals.receiver[k])
    place[0], payer[0], following[0], hops[0] = -1, arrivals.sender[k], -1, 1
    steps, step, visits = 1, 0, 0
    while step < steps and visits <= cap:
        middle = np.int64(payer[step])
        if step > 0:
            time, seq = entries[place[step], TIME], np.int64(links[place[step], SEQ])
            amount = entries[place[step], AMOUNT]
        if hops[step] == MOST_HOPS or heads[middle, IN_HEAD + LATEST] <= bound:
            step += 1
            continue
        base, position = heads[middle, IN_HEAD + BASE], visible_end(graph, IN_HEAD, middle, time)
        while position > base:
            position -= 1
            if entries[position, TIME] <= bound:
                break
            if links[position, SEQ] >= arrivals.seq[k]:
                continue
            visits += 1
            if visits > cap:
                break
            came = entries[position, AMOUNT]
            if links[position, SEQ] >= seq or came <= 0 or abs(amount - came) * 1000 > tolerance * came:
                continue
            party = np.int64(links[position, OTHER])
            if party == receiver or _on_way(payer, following, step, party):
                continue
            place[steps], payer[steps], following[steps], hops[steps] = position, party, step, hops[step] + 1
            steps += 1
        step += 1
    if visits > cap:
        ints[flag, k] = 1
    _write_best(graph, arrivals, k, scratch, steps, ints, floats, w)


@kernel
def _on_way(payer: Any, following: Any, step: Int, party: Int) -> bool:
    """Is `party` a payer of the chain from `step` on?"""
    while step >= 0:
        if payer[step] == party:
            return True
        step = np.int64(following[step])
    return False


@kernel
def _write_best(
    graph: Graph, arrivals: Arrivals, k: Int, scratch: Scratch, steps: Int, ints: Any, floats: Any, w: Int
) -> None:
    """Of the longest chains: the least leak, then the latest first payment, then the one found first."""
    place, hops = scratch.narrow[PLACE], scratch.narrow[HOPS]
    longest = hops[steps - 1]
    ints[w, k] = longest
    if longest < 2:
        return
    best, step = steps - 1, steps - 2
    while step > 0 and hops[step] == longest:
        first, kept = graph.entries[place[step]], graph.entries[place[best]]
        if first[AMOUNT] < kept[AMOUNT] or (first[AMOUNT] == kept[AMOUNT] and first[TIME] > kept[TIME]):
            best = step
        elif first[AMOUNT] == kept[AMOUNT] and first[TIME] == kept[TIME]:
            best = step if graph.links[place[step], SEQ] >= graph.links[place[best], SEQ] else best
        step -= 1
    first_amount = graph.entries[place[best], AMOUNT]
    floats[3 * w, k] = np.float64(arrivals.time[k] - graph.entries[place[best], TIME]) / MICROSECONDS
    floats[3 * w + 1, k] = np.float64(first_amount - arrivals.amount[k]) / np.float64(first_amount)
    step = best
    while scratch.narrow[NEXT, step] > 0:
        step = np.int64(scratch.narrow[NEXT, step])
    floats[3 * w + 2, k] = np.float64(arrivals.time[k] - graph.entries[place[step], TIME]) / MICROSECONDS
