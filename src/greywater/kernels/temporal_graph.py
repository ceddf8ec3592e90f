"""The temporal graph: who paid whom, per account and direction in (event time, arrival) order, expired from the back.

A directed multigraph whose edges are payments. Every vertex has two lists, what it paid (`OUT`) and what it was paid
(`IN`), each lying contiguously in one arena; an entry is 24 bytes: time, amount, the other vertex, and the payment's
number counted from the graph's first held one. A list grows by moving to the top of the arena; what no window can see
any more is dropped when a list is full or the arena is packed.

A whole block of payments is appended before any of them is looked at. A payment then sees only entries of smaller
numbers and times within its window, so any number of threads may read the graph at once, without locks, and the
answer does not depend on how the payments were cut into blocks.

Room comes in sizes 2, 3, 4, 6, 8, 12, 16, ...; what a list leaves when it moves serves the next list of that size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.prefetch import prefetch
from greywater.vocab import Int64Array

__all__ = [
    "AMOUNT",
    "IN",
    "IN_HEAD",
    "NONE",
    "OTHER",
    "OUT",
    "OUT_HEAD",
    "SEQ",
    "TIME",
    "Arrivals",
    "Graph",
    "Scratch",
    "append",
    "ask_ahead",
    "clear",
    "empty_graph",
    "empty_heads",
    "empty_scratch",
    "first_later",
    "first_number",
    "graph_in",
    "leave",
    "live_entries",
    "pack",
    "sees",
    "visible_end",
]

#: Directions of a list, and where each has its columns in `heads`. Typed, so that kernels compile once for both.
OUT: Any = np.int64(0)
IN: Any = np.int64(1)
OUT_HEAD: Any = np.int64(0)
IN_HEAD: Any = np.int64(4)
NONE: Any = np.int64(0)
#: Columns of `entries` (int64).
TIME, AMOUNT = range(2)
#: Columns of `links`, the same memory as int32.
OTHER, SEQ = 4, 5
#: Columns of `heads`, four a direction: first entry, end of the entries, end of the room, time of the last entry.
BASE, END, LIMIT, LATEST = range(4)
NEVER = np.int64(-(2**62))
NOWHERE = -1
#: Bits of `Arrivals.keep`.
KEEP_OUT, KEEP_IN = 1, 2
#: Bins that values are counted in.
BINS = 512
#: How many payments ahead `append` asks for memory.
AHEAD, NEAR = 24, 8


class Graph(NamedTuple):
    """Adjacency of A vertices with room for N entries.

    entries int64[N, 3] and links int32[N, 6] are one memory. heads int64[A, 8]: BASE, END, LIMIT, LATEST of the list
    OUT, then of IN. top int64[1]: first free entry of the arena. left int64[64]: by size, the last room that a list
    left (-1 = none); its first number is the place of the one before.
    """

    entries: Any
    links: Any
    heads: Any
    top: Any
    left: Any

    @property
    def entries_held(self) -> int:
        """Entries in all lists, expired ones that were not dropped yet included; a payment has two."""
        return int((self.heads[:, END] - self.heads[:, BASE]).sum() + (self.heads[:, 4 + END] - self.heads[:, 4]).sum())


class Arrivals(NamedTuple):
    """A block of n payments in ledger order.

    sender, receiver int32[n] vertices; time int64[n] microseconds; least int64[n]: only payments later than this are
    visible (H(i) less the longest look-back and the allowed lateness); seq int32[n] numbers; amount int64[n] minor
    units, -1 = unknown; skip uint8[n]: 1 = has no features; keep uint8[n]: KEEP_OUT + KEEP_IN lists it joins.
    """

    sender: Any
    receiver: Any
    time: Any
    least: Any
    seq: Any
    amount: Any
    skip: Any
    keep: Any


class Scratch(NamedTuple):
    """What one thread needs to search: marks a vertex can carry, and room for the steps of a search.

    marks int32[6, A]: in rows 0 to 2 a mark is set where it equals the current stamp, rows 3 to 5 hold values of marked
    vertices; stamp int64[1]; wide int64[4, R] and narrow
    int32[10, R] rows of a search; bins int32[BINS] counts.
    """

    marks: Any
    stamp: Any
    wide: Any
    narrow: Any
    bins: Any


def empty_graph(entries: int, vertices: int) -> Graph:
    """A graph of no payments with room for so many entries and vertices."""
    return graph_in(np.zeros((entries, 3), np.int64), empty_heads(vertices))


def graph_in(rows: Int64Array, heads: Int64Array) -> Graph:
    """A graph of no payments in the memory given, int64[N, 3]."""
    left = np.full(64, NOWHERE, np.int64)
    return Graph(rows, rows.view(np.int32), heads, np.zeros(1, np.int64), left)


def empty_heads(vertices: int) -> Int64Array:
    """Heads of empty lists, each vertex on a cache line of its own."""
    raw = np.zeros(8 * vertices + 8, np.int64)
    skip = -(raw.ctypes.data // 8) % 8
    heads = raw[skip : skip + 8 * vertices].reshape(vertices, 8)
    heads[:, LATEST] = NEVER
    heads[:, 4 + LATEST] = NEVER
    return heads


def empty_scratch(vertices: int, steps: int) -> Scratch:
    """Room for searches over so many vertices and steps."""
    return Scratch(
        np.zeros((6, vertices), np.int32),
        np.zeros(1, np.int64),
        np.zeros((4, steps), np.int64),
        np.zeros((10, steps), np.int32),
        np.zeros(BINS, np.int32),
    )


@kernel
def clear(columns: Any, rows: Int, begin: Int, end: Int, value: Any) -> None:
    """Set columns[:rows, begin:end] to `value`."""
    for row in range(rows):
        for k in range(begin, end):
            columns[row, k] = value


@inlined
def visible_end(graph: Graph, head: Int, vertex: Int, time: Int) -> Int:
    """Position behind the last entry not later than `time` in the list at `head` (4 * direction)."""
    end = graph.heads[vertex, head + END]
    if graph.heads[vertex, head + LATEST] > time:
        end = _last_until(graph.entries, graph.heads[vertex, head + BASE], end, time)
    return end


@kernel
def sees(graph: Graph, head: Int, vertex: Int, time: Int, seq: Int, bound: Int) -> bool:
    """Is there a payment visible in the list at `head`, later than `bound`, until `time` and before number `seq`?"""
    if graph.heads[vertex, head + LATEST] <= bound:
        return False
    base, position = graph.heads[vertex, head + BASE], visible_end(graph, head, vertex, time)
    while position > base:
        position -= 1
        if graph.entries[position, TIME] <= bound:
            return False
        if graph.links[position, SEQ] < seq:
            return True
    return False


@inlined
def ask_ahead(graph: Graph, arrivals: Arrivals, k: Int, end: Int) -> None:
    """Ask for the memory at which a search for what closes a later payment's pattern will start."""
    if k + NEAR < end:
        prefetch(graph.heads, np.int64(arrivals.sender[k + NEAR]), 0)
        prefetch(graph.heads, np.int64(arrivals.receiver[k + NEAR]), 0)
        sender, receiver = np.int64(arrivals.sender[k + NEAR // 2]), np.int64(arrivals.receiver[k + NEAR // 2])
        prefetch(graph.entries, graph.heads[sender, 4 + END] - 1, 0)
        prefetch(graph.entries, graph.heads[receiver, END] - 1, 0)
        prefetch(graph.entries, graph.heads[sender, END] - 1, 0)
        prefetch(graph.entries, graph.heads[receiver, 4 + END] - 1, 0)


@kernel
def _last_until(entries: Int64Array, base: Int, end: Int, time: Int) -> Int:
    """Position behind the last entry not later than `time`, looking from the end in growing steps."""
    step, high = 1, end
    low = end - 1
    while low >= base and entries[low, TIME] > time:
        high = low
        low = low - step
        step = 2 * step
    low = max(low, base - 1)
    while low + 1 < high:
        middle = (low + high) // 2
        if entries[middle, TIME] <= time:
            low = middle
        else:
            high = middle
    return high


@kernel
def _size(entries: Int) -> Any:
    """The least size of room for so many entries, and its number."""
    size, number = 4, 0
    while size < entries:
        size = size // 3 * 4 if number % 2 == 1 else size // 2 * 3
        number += 1
    return size, number


@kernel
def _make_room(graph: Graph, vertex: Int, head: Int, bound: Int) -> bool:
    """See that a full list can take one entry more; False where the arena must be packed or grown first."""
    heads, entries = graph.heads, graph.entries
    base, end, limit = heads[vertex, head + BASE], heads[vertex, head + END], heads[vertex, head + LIMIT]
    first = _last_until(entries, base, end, bound)
    live = end - first
    target = base
    if (first - base) * 4 < end - base or first == base:
        room, number = _size(live + live // 2 + 1)
        target = graph.left[number]
        if target != NOWHERE:
            graph.left[number] = entries[target, 0]
            if graph.left[number] != NOWHERE:
                prefetch(entries, graph.left[number], 0)
        else:
            target = graph.top[0]
            if target + room > entries.shape[0]:
                return False
            graph.top[0] = target + room
        heads[vertex, head + BASE] = target
        heads[vertex, head + LIMIT] = target + room
    for k in range(live):
        for c in range(3):
            entries[target + k, c] = entries[first + k, c]
    heads[vertex, head + END] = target + live
    if target != base:
        _give_room(graph, base, limit)
    return True


@kernel
def _give_room(graph: Graph, base: Int, limit: Int) -> None:
    """Let a room serve the next list of its size; a room of an odd size is lost until the arena is packed."""
    if limit > base:
        size, number = _size(limit - base)
        if size == limit - base:
            graph.entries[base, 0] = graph.left[number]
            graph.left[number] = base


@kernel
def leave(graph: Graph, vertex: Int) -> None:
    """Empty both lists of a vertex and give their rooms away."""
    heads = graph.heads
    for head in range(0, 8, 4):
        _give_room(graph, heads[vertex, head + BASE], heads[vertex, head + LIMIT])
        for column in (BASE, END, LIMIT):
            heads[vertex, head + column] = 0
        heads[vertex, head + LATEST] = NEVER


@kernel
def first_later(graph: Graph, head: Int, vertex: Int, bound: Int) -> Int:
    """Position of the first entry later than `bound` in the list at `head`, its end where there is none."""
    return _last_until(graph.entries, graph.heads[vertex, head + BASE], graph.heads[vertex, head + END], bound)


@inlined
def _insert(graph: Graph, vertex: Int, head: Int, time: Int, amount: Int, other: Int, seq: Int) -> None:
    """Put an entry behind all entries of its time or earlier. There must be room."""
    heads, entries, links = graph.heads, graph.entries, graph.links
    base, place = heads[vertex, head + BASE], heads[vertex, head + END]
    heads[vertex, head + END] = place + 1
    if place > base and heads[vertex, head + LATEST] > time:
        while place > base and entries[place - 1, TIME] > time:
            for c in range(3):
                entries[place, c] = entries[place - 1, c]
            place -= 1
    else:
        heads[vertex, head + LATEST] = time
    entries[place, TIME] = time
    entries[place, AMOUNT] = amount
    links[place, OTHER] = other
    links[place, SEQ] = seq


@inlined
def _ask_for_list(graph: Graph, vertex: Int, head: Int) -> None:
    """Ask for the memory that an entry more will be written to, or for a full list, which will move."""
    heads, entries = graph.heads, graph.entries
    place = heads[vertex, head + END]
    if place == heads[vertex, head + LIMIT]:
        prefetch(entries, heads[vertex, head + BASE], 0)
        place -= 1
    prefetch(entries, place, 0)


@kernel
def append(graph: Graph, arrivals: Arrivals, begin: Int, end: Int, bound: Int) -> Int:
    """Take in the payments begin..end; returns how far it came.

    Less than `end` means that the arena is full: pack it and call again from there. Entries at or before `bound` may be
    dropped. A payment to oneself joins no list.
    """
    heads = graph.heads
    for k in range(begin, end):
        if k + AHEAD < end:
            prefetch(heads, np.int64(arrivals.sender[k + AHEAD]), 0)
            prefetch(heads, np.int64(arrivals.receiver[k + AHEAD]), 0)
            _ask_for_list(graph, np.int64(arrivals.sender[k + NEAR]), OUT_HEAD)
            _ask_for_list(graph, np.int64(arrivals.receiver[k + NEAR]), IN_HEAD)
        sender, receiver = np.int64(arrivals.sender[k]), np.int64(arrivals.receiver[k])
        keep = arrivals.keep[k]
        if sender == receiver:
            continue
        out_wanted, in_wanted = keep & KEEP_OUT > 0, keep & KEEP_IN > 0
        if out_wanted and heads[sender, END] == heads[sender, LIMIT] and not _make_room(graph, sender, OUT_HEAD, bound):
            return k
        in_full = in_wanted and heads[receiver, 4 + END] == heads[receiver, 4 + LIMIT]
        if in_full and not _make_room(graph, receiver, IN_HEAD, bound):
            return k
        time, amount, seq = arrivals.time[k], arrivals.amount[k], arrivals.seq[k]
        if out_wanted:
            _insert(graph, sender, 0, time, amount, receiver, seq)
        if in_wanted:
            _insert(graph, receiver, 4, time, amount, sender, seq)
    return end


@kernel
def live_entries(graph: Graph, vertices: Int, bound: Int, slack: bool) -> Int:
    """Entries the arena needs for what is later than `bound`."""
    total = 0
    for vertex in range(vertices):
        for head in range(0, 8, 4):
            base, end = graph.heads[vertex, head + BASE], graph.heads[vertex, head + END]
            live = end - _last_until(graph.entries, base, end, bound)
            if live > 0:
                total += _packed_room(live) if slack else live
    return total


@kernel
def first_number(graph: Graph, vertices: Int, bound: Int) -> Int:
    """The least number of a payment later than `bound`, 0 where there is none."""
    least: Any = 2**31 - 1
    for vertex in range(vertices):
        for head in range(0, 8, 4):
            base, end = graph.heads[vertex, head + BASE], graph.heads[vertex, head + END]
            for position in range(_last_until(graph.entries, base, end, bound), end):
                least = min(least, np.int64(graph.links[position, SEQ]))
    return least if least < 2**31 - 1 else 0


@kernel
def _packed_room(live: Int) -> Int:
    """Entries a list gets when the arena is packed: a little to grow."""
    return _size(live + live // 8 + 1)[0]


@kernel
def pack(old: Graph, vertices: Int, bound: Int, shift: Int, slack: bool, entries: Int64Array, links: Any) -> Int:
    """Copy what is later than `bound` into a fresh arena; returns the entries used.

    Numbers are lowered by `shift`. `slack` leaves lists room to grow; without it they lie end to end (snapshots).
    """
    heads, top = old.heads, 0
    for vertex in range(vertices):
        for head in range(0, 8, 4):
            base, end = heads[vertex, head + BASE], heads[vertex, head + END]
            first = _last_until(old.entries, base, end, bound)
            live = end - first
            for k in range(live):
                for c in range(3):
                    entries[top + k, c] = old.entries[first + k, c]
                links[top + k, SEQ] -= shift
            heads[vertex, head + BASE] = top
            heads[vertex, head + END] = top + live
            if live > 0 and slack:
                top += _packed_room(live)
            else:
                top += live
            heads[vertex, head + LIMIT] = top
            if live == 0:
                heads[vertex, head + LATEST] = NEVER
    return top
