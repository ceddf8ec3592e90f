"""Exposure to known launderers: who of an account's neighbours is one, how much money passed, how near the nearest is.

Two parts in one pass over payments in ledger order. *Upkeep*: for every account and direction, how late the latest
payment is that leads to an account known at any time, over one, two or three payments (of a way the earliest of its
payments counts). It is never too early, so an account at which it lies behind the window has none within reach and
costs nothing more. *Search*: for those that may, back over the visible payments, latest first, with known launderers as
the payment asked for knows them. The upkeep is worked out payment by payment and reads nothing that comes later, so the
visits of a search, and with them what its cap cuts, do not depend on how payments were cut into blocks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.exposure_reach import Room, reach
from greywater.kernels.known import ACCOUNT, AFTER, FOREVER, NEVER, Known, is_known
from greywater.kernels.prefetch import prefetch
from greywater.kernels.temporal_graph import (
    AMOUNT,
    BASE,
    END,
    KEEP_IN,
    KEEP_OUT,
    LATEST,
    OTHER,
    SEQ,
    TIME,
    Arrivals,
    Graph,
    clear,
    visible_end,
)
from greywater.kernels.vertices import VertexTable, find
from greywater.kernels.wide import add_128, float_of_128
from greywater.vocab import Int64Array

__all__ = ["FAR", "PER_LIST", "Search", "empty_search", "exposure"]

#: Payments of the longest way looked for, and the distance that says there is none.
HOPS, FAR = 3, 4
#: Columns of a list and window among the counts, and among the measures.
PER_LIST = 3
DISTANCE, ACCOUNTS, COUNT = range(PER_LIST)
MEASURES = 2
AHEAD = 8
#: Payments whose columns are cleared and filled together.
ROWS = 64
MICROSECONDS = 1e6
ZERO = np.uint64(0)
#: Columns of the steps of a walk.
VERTEX, LEVEL, FLOOR, PLACE = range(4)


class Search(NamedTuple):
    """Room for a search: marks int32[2, A] that are set where they equal a stamp, stamp int64[1], visits int64[1] of
    the search under way, steps int64[4, 4] of a walk."""

    marks: Any
    stamp: Any
    visits: Any
    steps: Any


def empty_search(accounts: int) -> Search:
    """Room for searches among so many accounts."""
    return Search(
        np.zeros((2, accounts), np.int32), np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros((4, 4), np.int64)
    )


@kernel
def exposure(
    graph: Graph, table: VertexTable, arrivals: Arrivals, begin: Int, end: Int, first_seq: Int, known: Known,
    windows: Int64Array, cap: Int, hops: Int, wanted: Any, row: Int, search: Search, room: Room, ints: Any, floats: Any,
) -> None:  # fmt: skip
    """Take payments begin..end, which the graph holds already, into the upkeep and fill the columns of those wanted.

    Parameters
    ----------
    first_seq : int
        Place in the ledger of payment `begin`.
    windows : int64[W]
        Microseconds, increasing.
    cap : int
        Visits to payments a search at most.
    hops : int
        Up to how many payments away accounts, payments and flow are counted.
    wanted : uint8[n]
        1 = has columns of its own; the others have those of accounts without anyone in reach.
    row : int
        Where payment `begin` lies in `wanted` and in the columns.
    ints : int64[2 + 12 W + W + 8 W (hops - 1), n]
        Sender known, receiver known; per list (sender out, in, receiver out, in) and window distance, known accounts,
        payments; then W flags, 1 where the cap cut; then what `reach` fills.
    floats : float64[8 W + 4 + 4 W (hops - 1), n]
        Per list and window sum and share; then per list the seconds since the last; then what `reach` fills.
    """
    near = known.near
    for k in range(begin, end):
        if k + AHEAD < end:
            prefetch(near, table.names[np.int64(arrivals.sender[k + AHEAD])], 0)
            prefetch(near, table.names[np.int64(arrivals.receiver[k + AHEAD])], 0)
        seq, at = first_seq + (k - begin), row + (k - begin)
        if (k - begin) % ROWS == 0 and ints.shape[1] > 0:
            _clear(ints, floats, at, min(at + ROWS, row + (end - begin)), windows.shape[0], hops)
        _apply(graph, table, known, search, seq, arrivals.least[k], np.int64(arrivals.seq[k]))
        _join(graph, table, arrivals, k, known, search)
        if wanted[at] == 0:
            continue
        for which in range(4):
            _list(graph, table, arrivals, k, seq, which, windows, cap, known, search, ints, floats, at)
        if hops > 1:
            for which in range(4):
                reach(graph, table, arrivals, k, seq, which, windows, cap, hops, known, room, ints, floats, at)


@kernel
def _clear(ints: Any, floats: Any, begin: Int, end: Int, count: Int, hops: Int) -> None:
    """The columns of payments that find nothing."""
    clear(ints, 2 + 4 * PER_LIST * count + count + 8 * count * (hops - 1), begin, end, 0)
    for place in range(4 * count):
        for at in range(begin, end):
            ints[2 + PER_LIST * place + DISTANCE, at] = FAR
    clear(floats, 4 * MEASURES * count, begin, end, 0.0)
    clear(floats[4 * MEASURES * count :], 4, begin, end, np.nan)
    clear(floats[4 * MEASURES * count + 4 :], 4 * count * (hops - 1), begin, end, 0.0)


@kernel
def _apply(graph: Graph, table: VertexTable, known: Known, search: Search, seq: Int, least: Int, until: Int) -> None:
    """Mark the accounts that facts recorded before payment `seq` call launderers, and tell their neighbours."""
    near, facts = known.near, known.facts
    while known.applied[0] < known.order.shape[0] and facts[known.order[known.applied[0]], AFTER] < seq:
        account = facts[known.order[known.applied[0]], ACCOUNT]
        known.applied[0] += 1
        if near[account, 0] == FOREVER:
            continue
        near[account, 0] = FOREVER
        near[account, 4] = FOREVER
        vertex = find(table, account)
        if vertex < 0:
            continue
        if known.outside[account] == 1:
            _tell_all(graph, table, near, search.steps, vertex, least, until)
        else:
            for direction in range(2):
                _spread(graph, table, near, search.steps, 4 * np.int64(direction), vertex, 0, least, least, until)


@kernel
def _tell_all(graph: Graph, table: VertexTable, near: Any, steps: Any, known: Int, least: Int, until: Int) -> None:
    """As `_spread` from an account outside the bank: it has no lists, so all others are looked through."""
    for vertex in range(table.counts[0]):
        for direction in range(2):
            head = 4 * np.int64(direction)
            if graph.heads[vertex, head + LATEST] <= least:
                continue
            account, position = table.names[vertex], graph.heads[vertex, head + END]
            before = near[account, head + 1]
            while position > graph.heads[vertex, head + BASE]:
                position -= 1
                time = graph.entries[position, TIME]
                if time <= max(before, least):
                    break
                if graph.links[position, OTHER] == known and graph.links[position, SEQ] < until:
                    near[account, head + 1] = time
                    _spread(graph, table, near, steps, head, np.int64(vertex), 1, max(before, least), least, until)
                    break


@kernel
def _spread(
    graph: Graph, table: VertexTable, near: Any, steps: Any, ahead: Int, vertex: Int, level: Int, floor: Int,
    least: Int, until: Int,
) -> None:  # fmt: skip
    """`near` of an account rose: raise that of the accounts one payment farther away, and so on.

    `ahead` is the direction of the way (4 * direction), so the accounts farther away are in the other list. Only
    payments later than `floor`, where `near` stood before, can raise anything; from number `until` on they are to come.
    """
    back = 4 - ahead
    depth = 0
    steps[0, VERTEX], steps[0, LEVEL], steps[0, FLOOR] = vertex, level, floor
    steps[0, PLACE] = graph.heads[vertex, back + END]
    while depth >= 0:
        here, hops, low = steps[depth, VERTEX], steps[depth, LEVEL], steps[depth, FLOOR]
        base, position = graph.heads[here, back + BASE], steps[depth, PLACE]
        value = near[table.names[here], ahead + hops]
        deeper = False
        while position > base:
            position -= 1
            time = graph.entries[position, TIME]
            if time <= low:
                break
            if graph.links[position, SEQ] >= until:
                continue
            other = np.int64(graph.links[position, OTHER])
            account = table.names[other]
            reached, before = min(time, value), near[account, ahead + hops + 1]
            if reached <= before:
                continue
            near[account, ahead + hops + 1] = reached
            if hops + 1 < HOPS and graph.heads[other, back + LATEST] > max(before, least):
                steps[depth, PLACE] = position
                depth += 1
                steps[depth, VERTEX], steps[depth, LEVEL] = other, hops + 1
                steps[depth, FLOOR], steps[depth, PLACE] = max(before, least), graph.heads[other, back + END]
                deeper = True
                break
        if not deeper:
            depth -= 1


@kernel
def _join(graph: Graph, table: VertexTable, arrivals: Arrivals, k: Int, known: Known, search: Search) -> None:
    """A payment joins the lists: what its far party has within reach, its near party has too, one payment farther."""
    sender, receiver = np.int64(arrivals.sender[k]), np.int64(arrivals.receiver[k])
    if sender == receiver:
        return
    near, time, least = known.near, arrivals.time[k], arrivals.least[k]
    until = np.int64(arrivals.seq[k]) + 1
    for direction in range(2):
        head = 4 * np.int64(direction)
        if arrivals.keep[k] & (KEEP_OUT if direction == 0 else KEEP_IN) == 0:
            continue
        vertex, other = (sender, receiver) if direction == 0 else (receiver, sender)
        account, party = table.names[vertex], table.names[other]
        for hops in range(HOPS):
            reached, before = min(time, near[party, head + hops]), near[account, head + hops + 1]
            if reached > before:
                near[account, head + hops + 1] = reached
                if hops + 1 < HOPS:
                    floor = max(before, least)
                    _spread(graph, table, near, search.steps, head, vertex, np.int64(hops + 1), floor, least, until)


@kernel
def _list(
    graph: Graph, table: VertexTable, arrivals: Arrivals, k: Int, seq: Int, which: Int, windows: Int64Array, cap: Int,
    known: Known, search: Search, ints: Any, floats: Any, at: Int,
) -> None:  # fmt: skip
    """All columns of one party and direction for one payment."""
    count, head = windows.shape[0], 4 * np.int64(which & 1)
    vertex = np.int64(arrivals.sender[k]) if which < 2 else np.int64(arrivals.receiver[k])
    party = np.int64(arrivals.receiver[k]) if which < 2 else np.int64(arrivals.sender[k])
    account, other = table.names[vertex], table.names[party]
    # The payment itself is in the sender's list OUT and the receiver's list IN; one to oneself is in none.
    itself = (which == 0 or which == 3) and vertex != party
    time, least = arrivals.time[k], arrivals.least[k]
    guilty = known.near[account, 0] == FOREVER and is_known(known, account, seq, time)
    if guilty and which & 1 == 0:
        ints[which >> 1, at] = 1
    paid = itself and known.near[other, 0] == FOREVER and is_known(known, other, seq, time)
    if paid or known.near[account, head + 1] > max(time - windows[count - 1], least):
        _links(graph, table, arrivals, k, seq, which, windows, cap, known, search, paid, ints, floats, at)
    distance = FAR
    for w in range(count):
        place = 2 + PER_LIST * (which * count + w)
        if guilty:
            distance = 0
        elif ints[place + ACCOUNTS, at] > 0:
            distance = 1
        elif distance > 2:
            far = party if itself else np.int64(-1)
            bound = max(time - windows[w], least)
            distance = _farther(graph, table, arrivals, k, seq, vertex, far, head, bound, cap, known, search, distance)
            if search.visits[0] > cap:
                ints[2 + 4 * PER_LIST * count + w, at] = 1
        if distance < FAR:
            ints[place + DISTANCE, at] = distance


@kernel
def _links(
    graph: Graph, table: VertexTable, arrivals: Arrivals, k: Int, seq: Int, which: Int, windows: Int64Array, cap: Int,
    known: Known, search: Search, paid: bool, ints: Any, floats: Any, at: Int,
) -> None:  # fmt: skip
    """Payments from or to known launderers in one list, latest first: at a window's end what was met is its own."""
    count, head, seen = windows.shape[0], 4 * np.int64(which & 1), search.marks[0]
    search.stamp[0] += 1
    stamp = np.int32(search.stamp[0])
    vertex = np.int64(arrivals.sender[k]) if which < 2 else np.int64(arrivals.receiver[k])
    party = np.int64(arrivals.receiver[k]) if which < 2 else np.int64(arrivals.sender[k])
    time, least, number, amount = arrivals.time[k], arrivals.least[k], arrivals.seq[k], arrivals.amount[k]
    accounts, payments, visits, w, last = 0, 0, 0, 0, NEVER
    low, high, all_low, all_high = ZERO, ZERO, ZERO, ZERO
    if (which == 0 or which == 3) and vertex != party:
        if amount > 0:
            all_low = np.uint64(amount)
        if paid:
            accounts, payments, last = 1, 1, time
            seen[table.names[party]] = stamp
            low = all_low
    base, position = graph.heads[vertex, head + BASE], visible_end(graph, head, vertex, time)
    bound = max(time - windows[0], least)
    while position > base and visits <= cap:
        position -= 1
        earlier = graph.entries[position, TIME]
        while w < count and earlier <= bound:
            _write(ints, floats, at, which * count + w, accounts, payments, low, high, all_low, all_high)
            w += 1
            if w < count:
                bound = max(time - windows[w], least)
        if w == count:
            break
        if graph.links[position, SEQ] >= number:
            continue
        visits += 1
        if visits > cap:
            for cut in range(w, count):
                ints[2 + 4 * PER_LIST * count + cut, at] = 1
            break
        amount = graph.entries[position, AMOUNT]
        if amount > 0:
            all_low, all_high = add_128(all_low, all_high, np.uint64(amount), ZERO)
        other = table.names[np.int64(graph.links[position, OTHER])]
        if known.near[other, 0] == FOREVER and is_known(known, other, seq, time):
            payments += 1
            accounts += seen[other] != stamp
            seen[other] = stamp
            last = max(last, earlier)
            if amount > 0:
                low, high = add_128(low, high, np.uint64(amount), ZERO)
    for rest in range(w, count):
        _write(ints, floats, at, which * count + rest, accounts, payments, low, high, all_low, all_high)
    if last != NEVER:
        floats[4 * MEASURES * count + which, at] = np.float64(time - last) / MICROSECONDS


@inlined
def _write(
    ints: Any, floats: Any, at: Int, place: Int, accounts: Int, payments: Int, low: Any, high: Any, all_low: Any,
    all_high: Any,
) -> None:  # fmt: skip
    """The columns of a list and window, but for the distance."""
    ints[2 + PER_LIST * place + ACCOUNTS, at] = accounts
    ints[2 + PER_LIST * place + COUNT, at] = payments
    if payments > 0:
        total, whole = float_of_128(low, high), float_of_128(all_low, all_high)
        floats[MEASURES * place, at] = total
        floats[MEASURES * place + 1, at] = total / whole if whole > 0.0 else np.nan


@kernel
def _farther(
    graph: Graph, table: VertexTable, arrivals: Arrivals, k: Int, seq: Int, vertex: Int, party: Int, head: Int,
    bound: Int, cap: Int, known: Known, search: Search, found: Int,
) -> Int:  # fmt: skip
    """Distance to the nearest known launderer behind the next account: 2, 3, or FAR; no more than `found`.

    `party` is who the payment itself leads to, -1 where it is not in the list. Each account is looked at once.
    """
    near, account = known.near, table.names[vertex]
    search.stamp[0] += 1
    stamp = np.int32(search.stamp[0])
    search.visits[0] = 0
    search.marks[1, account] = stamp
    for hops in range(2, min(HOPS, found - 1) + 1):
        reach = near[account, head + hops] > bound
        if party >= 0:
            reach = reach or near[table.names[party], head + hops - 1] > bound
        if not reach:
            continue
        if party >= 0 and _within(
            graph, table, arrivals, k, seq, party, head, bound, cap, known, search, stamp, hops - 1
        ):
            return hops
        base, position = graph.heads[vertex, head + BASE], visible_end(graph, head, vertex, arrivals.time[k])
        while position > base:
            position -= 1
            if graph.entries[position, TIME] <= bound:
                break
            if graph.links[position, SEQ] >= arrivals.seq[k]:
                continue
            search.visits[0] += 1
            if search.visits[0] > cap:
                return found
            other = np.int64(graph.links[position, OTHER])
            if _within(graph, table, arrivals, k, seq, other, head, bound, cap, known, search, stamp, hops - 1):
                return hops
            if search.visits[0] > cap:
                return found
    return found


@kernel
def _within(
    graph: Graph, table: VertexTable, arrivals: Arrivals, k: Int, seq: Int, vertex: Int, head: Int, bound: Int,
    cap: Int, known: Known, search: Search, stamp: Int, hops: Int,
) -> bool:  # fmt: skip
    """Has an account a known launderer one (`hops` = 1) or two payments away? False too where the cap cut."""
    account = table.names[vertex]
    row = 1 if hops == 1 else 0
    if known.near[account, head + hops] <= bound or search.marks[row, account] == stamp:
        return False
    search.marks[row, account] = stamp
    if hops == 1:
        return _touches(graph, table, arrivals, k, seq, vertex, head, bound, cap, known, search)
    base, position = graph.heads[vertex, head + BASE], visible_end(graph, head, vertex, arrivals.time[k])
    while position > base:
        position -= 1
        if graph.entries[position, TIME] <= bound:
            return False
        if graph.links[position, SEQ] >= arrivals.seq[k]:
            continue
        search.visits[0] += 1
        if search.visits[0] > cap:
            return False
        other = np.int64(graph.links[position, OTHER])
        between = table.names[other]
        if known.near[between, head + 1] <= bound or search.marks[1, between] == stamp:
            continue
        search.marks[1, between] = stamp
        if _touches(graph, table, arrivals, k, seq, other, head, bound, cap, known, search):
            return True
        if search.visits[0] > cap:
            return False
    return False


@kernel
def _touches(
    graph: Graph, table: VertexTable, arrivals: Arrivals, k: Int, seq: Int, vertex: Int, head: Int, bound: Int,
    cap: Int, known: Known, search: Search,
) -> bool:  # fmt: skip
    """Is one of an account's neighbours a known launderer? What is later than `near` says need not be looked at."""
    time = arrivals.time[k]
    start = min(time, known.near[table.names[vertex], head + 1])
    base, position = graph.heads[vertex, head + BASE], visible_end(graph, head, vertex, start)
    while position > base:
        position -= 1
        if graph.entries[position, TIME] <= bound:
            return False
        if graph.links[position, SEQ] >= arrivals.seq[k]:
            continue
        search.visits[0] += 1
        if search.visits[0] > cap:
            return False
        other = table.names[np.int64(graph.links[position, OTHER])]
        if known.near[other, 0] == FOREVER and is_known(known, other, seq, time):
            return True
    return False
