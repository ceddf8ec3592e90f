"""The temporal graph in memory: payments in ledger order in, the columns of a GraphPlan out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from greywater.errors import EngineError, SnapshotError
from greywater.features.entry_ages import EntryAges
from greywater.features.graph import GraphPlan
from greywater.kernels import vertices as vertex_kernels
from greywater.kernels.arena import set_aside
from greywater.kernels.patterns import compute
from greywater.kernels.temporal_graph import (
    KEEP_IN,
    KEEP_OUT,
    Arrivals,
    Graph,
    Scratch,
    append,
    empty_graph,
    empty_heads,
    empty_scratch,
    first_number,
    graph_in,
    live_entries,
    pack,
)
from greywater.vocab import Float64Array, Int64Array

__all__ = ["Follower", "GraphFootprint", "GraphSnapshot", "GraphState"]

#: Called with each part of a block that was taken in: the graph, its accounts, the payments, first and end.
Follower = Callable[[Graph, vertex_kernels.VertexTable, Arrivals, int, int], None]

#: Payments appended before the first of them is looked at, and how many times as many where threads must meet after
#: each block. Change no value.
BLOCK, SIDE_BY_SIDE = 2_048, 4
#: Payments a thread takes at a time, and the fewest that are worth a second thread.
PIECE, PARALLEL_FROM = 256, 512
#: Stamps a thread may use up before its marks are wiped, well inside int32.
STAMPS = 2**30
#: Room for new entries that a packed arena gets: a share of what is held, and so many at least.
SPARE_ENTRIES, SPARE_SHARE = 1 << 19, 0.3
#: Places in the arena and numbers of held payments are int32.
MOST_ENTRIES = MOST_NUMBERS = 2**31 - 1
#: From here on packing lowers the numbers of held payments.
RENUMBER_FROM = 2**30
#: An arena of which so much will be in sight when it has grown by such a share grows where it lies; else it is packed.
GROW_FROM, GROWTH = 0.48, 0.125
#: Address space that an arena gets, in times of its size.
RESERVE = 8
START_OF_TIME = -(2**62)
BOTH_LISTS = KEEP_OUT + KEEP_IN


@dataclass(frozen=True)
class GraphFootprint:
    """What the graph holds, in payments, accounts and bytes."""

    held: int
    vertices: int
    entry_bytes: int
    vertex_bytes: int

    @property
    def bytes_per_held_payment(self) -> float:
        """Bytes of adjacency and dictionary a held payment (0 where nothing is held)."""
        return (self.entry_bytes + self.vertex_bytes) / self.held if self.held else 0.0


@dataclass(frozen=True)
class GraphSnapshot:
    """The state of a graph between two payments, as plain arrays and JSON values."""

    meta: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


class GraphState:
    """Holds the payments of the longest look-back and works out a plan's columns for new ones.

    One payment at a time, in blocks of any size, on any number of threads, or restored from a snapshot: the same bits.

    Parameters
    ----------
    plan : GraphPlan
        What to compute.
    threads : int
        Threads that look for patterns side by side.
    hold_us : int, optional
        Microseconds behind the latest event time that are held, where `plan` is a part of one that holds more.

    Examples
    --------
    >>> from greywater.features.graph import PatternPlan
    >>> state = GraphState(GraphPlan((PatternPlan("fan", (3_600,)),), allowed_lateness=0), threads=1)
    >>> ids = np.array([7, 7]), np.array([8, 9])
    >>> ints, floats = state.process(*ids, np.array([0, 1_000_000]), np.array([100, 200]))
    >>> ints[0].tolist()
    [1, 2]
    """

    def __init__(self, plan: GraphPlan, *, threads: int = 2, hold_us: int | None = None) -> None:
        self.plan = plan
        self._rows, self._windows = plan.kernel_plan()
        self._ints, self._floats = len(plan.int_features), len(plan.float_features)
        self._steps = int(self._rows[:, 3].max()) + 64
        frames = int((self._rows[:, 2] * (self._rows[:, 3] + 16) * 4).sum())
        self._piece = max(1, min(BLOCK, STAMPS // frames))
        self._graph = empty_graph(1 << 13, 1_024)
        self._arena = self._graph.entries
        self._table = vertex_kernels.empty_vertices(2_048, 1_024)
        self._scratch: list[Scratch | None] = [None] * max(1, threads)
        self._pool = ThreadPoolExecutor(threads - 1, "greywater-graph") if threads > 1 else None
        self._next = 0
        self._base = 0
        self._released = 0
        self._horizon = START_OF_TIME
        self._hold = plan.hold_us if hold_us is None else hold_us
        self._ages = EntryAges(since_start=True)
        self._one = _one_payment(self._ints, self._floats)
        self._follower: Follower | None = None

    @property
    def next_number(self) -> int:
        """Payments taken in so far."""
        return self._next

    @property
    def horizon(self) -> int:
        """Greatest event time so far, microseconds."""
        return self._horizon

    @property
    def adjacency(self) -> tuple[Graph, vertex_kernels.VertexTable, int]:
        """The accounts' lists, the accounts' numbers, and which payment the lists count as 0; to be read, not kept."""
        return self._graph, self._table, self._base

    def follow(self, follower: Follower) -> None:
        """Have `follower` called whenever `append` or `process` took a part of their payments in, before the next."""
        self._follower = follower

    @property
    def _block(self) -> int:
        return BLOCK if self._pool is None else BLOCK * SIDE_BY_SIDE

    def append(
        self,
        senders: Int64Array,
        receivers: Int64Array,
        time: Int64Array,
        amount: Int64Array,
        keep: np.ndarray | None = None,
    ) -> None:
        """Take payments in without computing their columns. Parameters as for `process`."""
        senders, receivers, time, amount = (_own(column) for column in (senders, receivers, time, amount))
        arrivals = self._arrivals(senders, receivers, time, amount, keep, None)
        block = self._block
        for begin in range(0, len(time), block):
            self._take(arrivals, senders, receivers, begin, min(begin + block, len(time)))

    def process(
        self,
        senders: Int64Array,
        receivers: Int64Array,
        time: Int64Array,
        amount: Int64Array,
        keep: np.ndarray | None = None,
        skip: np.ndarray | None = None,
        *,
        into: tuple[Int64Array, Float64Array] | None = None,
    ) -> tuple[Int64Array, Float64Array]:
        """Take the next payments in and work out their columns.

        Parameters
        ----------
        senders, receivers : int64[n]
            Ids of the accounts. Any 64-bit number.
        time : int64[n]
            Event times in microseconds.
        amount : int64[n]
            Minor units, below 2^53; -1 = not known.
        keep : uint8[n], optional
            Lists each payment joins: 1 = of the sender, 2 = of the receiver, 3 = both (the default).
        skip : uint8[n], optional
            1 = has no columns (counts 0, measures NaN) but is seen by later payments.
        into : (int64[Ci, m], float64[Cf, m]), optional
            Room for the columns of m >= n payments; what is returned are views of it.

        Returns
        -------
        ints : int64[Ci, n]
            The plan's `int_features`.
        floats : float64[Cf, n]
            The plan's `float_features`.
        """
        n = len(time)
        senders, receivers, time, amount = (_own(column) for column in (senders, receivers, time, amount))
        arrivals = self._arrivals(senders, receivers, time, amount, keep, skip)
        ints, floats = into or (_columns(self._ints, n, np.int64), _columns(self._floats, n, np.float64))
        block = self._block
        for begin in range(0, n, block):
            end = min(begin + block, n)
            self._take(arrivals, senders, receivers, begin, end)
            self._compute(arrivals, begin, end, ints, floats)
        return ints[:, :n], floats[:, :n]

    def process_one(self, sender: int, receiver: int, time: int, amount: int) -> tuple[Int64Array, Float64Array]:
        """Take one payment in without making an array; the same values as `process`.

        Returns
        -------
        ints : int64[Ci, 1]
        floats : float64[Cf, 1]
            Overwritten by the next call: copy what is to be kept.
        """
        senders, receivers, arrivals, ints, floats = self._one
        self._horizon = max(self._horizon, time)
        bound = self._horizon - self._hold
        if self._next - self._base >= MOST_NUMBERS:
            self._pack(bound, 1)
        self._reserve(1, bound)
        senders[0], receivers[0], arrivals.time[0], arrivals.least[0] = sender, receiver, time, bound
        arrivals.seq[0], arrivals.amount[0], arrivals.skip[0] = self._next - self._base, amount, sender == receiver
        vertex_kernels.number(self._table, senders, receivers, arrivals.sender, arrivals.receiver)
        while append(self._graph, arrivals, 0, 1, bound) == 0:
            self._pack(bound, 1)
            arrivals.seq[0] = self._next - self._base
        self._next += 1
        self._ages.note(self._horizon, 1, 2 if sender != receiver else 0)
        scratch = self._wiped(0)
        compute(self._graph, arrivals, 0, 1, self._rows, self._windows, scratch, ints, floats)
        return ints, floats

    def _arrivals(
        self,
        senders: Int64Array,
        receivers: Int64Array,
        time: Int64Array,
        amount: Int64Array,
        keep: np.ndarray | None,
        skip: np.ndarray | None,
    ) -> Arrivals:
        """The payments as the kernels want them; their parties are numbered block by block."""
        n = len(time)
        itself = (senders == receivers).astype(np.uint8)
        return Arrivals(
            np.empty(n, np.int32),
            np.empty(n, np.int32),
            time,
            np.maximum(np.maximum.accumulate(time), self._horizon) - self._hold,
            np.empty(n, np.int32),
            amount,
            itself if skip is None else skip | itself,
            np.full(n, BOTH_LISTS, np.uint8) if keep is None else _own(keep),
        )

    def _take(self, arrivals: Arrivals, senders: Int64Array, receivers: Int64Array, begin: int, end: int) -> None:
        """Number the accounts of a block and append it."""
        part, n = slice(begin, end), end - begin
        bound = int(arrivals.least[begin])
        if self._next - self._base + n > MOST_NUMBERS:
            self._pack(bound, n)
        self._reserve(n, bound)
        vertex_kernels.number(
            self._table, senders[part], receivers[part], arrivals.sender[part], arrivals.receiver[part]
        )
        first = self._next - self._base
        arrivals.seq[part] = np.arange(first, first + n, dtype=np.int32)
        reached = append(self._graph, arrivals, begin, end, bound)
        while reached < end:
            base = self._base
            self._pack(bound, end - reached)
            arrivals.seq[part] -= self._base - base
            reached = append(self._graph, arrivals, reached, end, bound)
        self._next += n
        self._horizon = int(arrivals.least[end - 1]) + self._hold
        joined = arrivals.keep[part][senders[part] != receivers[part]]
        self._ages.note(self._horizon, n, int(np.count_nonzero(joined & KEEP_OUT) + np.count_nonzero(joined & KEEP_IN)))
        if self._follower is not None:
            self._follower(self._graph, self._table, arrivals, begin, end)

    def _reserve(self, payments: int, bound: int) -> None:
        """Numbers and slots for a block whose accounts are all new."""
        table = self._table
        free = len(table.names) - int(table.counts[0]) + int(table.counts[1])
        wanted = 2 * payments
        if free < wanted and self._next - self._released > len(table.names) // 2:
            self._release(bound)
            table = self._table
            free = len(table.names) - int(table.counts[0]) + int(table.counts[1])
            # With a third of them free it pays to come here again only after many payments.
            wanted = max(wanted, len(table.names) // 3)
        if free < wanted:
            more = max(2 * payments, len(table.names) // 2)
            fresh = vertex_kernels.empty_vertices(1, more)
            grown = {name: np.concatenate([getattr(table, name), getattr(fresh, name)]) for name in ("names", "used")}
            table = table._replace(spare=np.concatenate([table.spare, fresh.spare]), **grown)
            heads = empty_heads(len(self._graph.heads) + more)
            heads[: len(self._graph.heads)] = self._graph.heads
            self._graph = self._graph._replace(heads=heads)
        in_use = int(table.counts[0]) - int(table.counts[1])
        if 2 * (in_use + 2 * payments) > len(table.slots):
            table = self._rehashed(table, 1 << (2 * (in_use + 2 * payments)).bit_length())
        self._table = table

    def _release(self, bound: int) -> None:
        """Take back the numbers of accounts of which nothing later than `bound` is held."""
        vertex_kernels.release(self._table, self._graph, bound)
        self._table = self._rehashed(self._table, len(self._table.slots))
        self._released = self._next

    def _rehashed(self, table: vertex_kernels.VertexTable, slots: int) -> vertex_kernels.VertexTable:
        table = table._replace(slots=vertex_kernels.empty_slots(slots))
        vertex_kernels.rebuild(table)
        return table

    def pack(self) -> None:
        """Give back the memory of everything that no window can see any more. Changes no value."""
        self._pack(self._horizon - self._hold, 0)

    def _pack(self, bound: int, payments: int, *, slack: bool = True) -> None:
        """Drop what is at or before `bound` and lay the lists out anew, with room for so many payments more."""
        used = int(self._table.counts[0])
        if payments and slack and self._grow(bound, payments):
            return
        needed = int(live_entries(self._graph, used, bound, slack))
        spare = max(int(needed * SPARE_SHARE), SPARE_ENTRIES) + 8 * payments
        size = needed + spare if slack else needed
        if size > MOST_ENTRIES:
            raise EngineError(
                f"the graph would hold {size:,} entries; at most {MOST_ENTRIES:,} fit",
                mend="set shorter windows or a shorter allowed_lateness",
            )
        arena = set_aside(size, min(size * RESERVE, MOST_ENTRIES), 3) if slack else np.zeros((size, 3), np.int64)
        fresh = graph_in(arena[:size], self._graph.heads)
        shift = max(0, int(first_number(self._graph, used, bound)) if self._lowers_numbers else 0)
        top = pack(self._graph, used, bound, shift, slack, fresh.entries, fresh.links)
        self._base += shift
        self._arena, self._graph = arena, fresh._replace(top=np.array([top], np.int64))

    @property
    def _lowers_numbers(self) -> bool:
        """Whether it is time to count the held payments from a later one."""
        return self._next - self._base > RENUMBER_FROM

    def _grow(self, bound: int, payments: int) -> bool:
        """Make the arena longer where most of it is in sight still; False where packing is worth its while."""
        held, live = len(self._graph.entries), self._ages.later_than(bound)
        size = held + int(held * GROWTH) + 8 * (self._block + payments)
        if live is None or live < GROW_FROM * size or size > len(self._arena) or self._lowers_numbers:
            return False
        rows = self._arena[:size]
        self._graph = self._graph._replace(entries=rows, links=rows.view(np.int32))
        return True

    def _compute(self, arrivals: Arrivals, begin: int, end: int, ints: Int64Array, floats: Float64Array) -> None:
        side_by_side = self._pool is not None and end - begin >= PARALLEL_FROM
        step = min(self._piece, PIECE) if side_by_side else self._piece
        begins = deque(range(begin, end, step))
        waiting = []
        if self._pool is not None and side_by_side:
            waiting = [
                self._pool.submit(self._work, thread, arrivals, begins, step, end, ints, floats)
                for thread in range(1, len(self._scratch))
            ]
        self._work(0, arrivals, begins, step, end, ints, floats)
        for future in waiting:
            future.result()

    def _work(
        self,
        thread: int,
        arrivals: Arrivals,
        begins: deque[int],
        step: int,
        last: int,
        ints: Int64Array,
        floats: Float64Array,
    ) -> None:
        """Take pieces of the block until none is left. Taking one is atomic."""
        while True:
            try:
                begin = begins.popleft()
            except IndexError:
                return
            end = min(begin + step, last)
            scratch = self._wiped(thread)
            compute(self._graph, arrivals, begin, end, self._rows, self._windows, scratch, ints, floats)

    def _wiped(self, thread: int) -> Scratch:
        """The thread's scratch, with marks for all vertices and stamps left."""
        scratch = self._scratch[thread]
        vertices = len(self._graph.heads)
        if scratch is None or scratch.marks.shape[1] < vertices:
            scratch = empty_scratch(vertices + vertices // 4, self._steps)
            self._scratch[thread] = scratch
        elif scratch.stamp[0] > STAMPS:
            scratch.marks.fill(0)
            scratch.stamp[0] = 0
        return scratch

    @property
    def footprint(self) -> GraphFootprint:
        """What the graph holds at this moment."""
        used = int(self._table.counts[0])
        bound = self._horizon - self._hold
        table = self._table
        return GraphFootprint(
            held=int(live_entries(self._graph, used, bound, False)) // 2,
            vertices=used - int(table.counts[1]),
            entry_bytes=int(self._graph.entries.nbytes),
            vertex_bytes=int(self._graph.heads.nbytes) + sum(int(part.nbytes) for part in table),
        )

    def snapshot(self) -> GraphSnapshot:
        """The state after the last payment; `restore` in a graph of the same plan goes on from there."""
        self._pack(self._horizon - self._hold, 0, slack=False)
        used, spare = int(self._table.counts[0]), int(self._table.counts[1])
        arrays = {
            "entries": self._graph.entries,
            "heads": self._graph.heads[:used],
            "names": self._table.names[:used],
            "used": self._table.used[:used],
            "spare": self._table.spare[:spare],
        }
        meta = {"next": self._next, "base": self._base, "horizon": self._horizon, "plan": asdict(self.plan)}
        return GraphSnapshot(meta, {name: array.copy() for name, array in arrays.items()})

    def restore(self, state: GraphSnapshot) -> None:
        """Go on from a snapshot.

        Raises
        ------
        SnapshotError
            If the snapshot is of another plan.
        """
        if GraphPlan.from_fields(state.meta["plan"]) != self.plan:
            raise SnapshotError(
                "the snapshot is of other graph features than these", mend="replay the ledger from its beginning"
            )
        arrays = state.arrays
        used, spare = len(arrays["names"]), len(arrays["spare"])
        graph = empty_graph(len(arrays["entries"]), used)
        graph.entries[:] = arrays["entries"]
        graph.heads[:] = arrays["heads"]
        graph.top[0] = len(arrays["entries"])
        table = vertex_kernels.empty_vertices(1 << max(11, (4 * used).bit_length()), used)
        table.names[:], table.used[:] = arrays["names"], arrays["used"]
        table.spare[:spare] = arrays["spare"]
        table.counts[:] = used, spare
        vertex_kernels.rebuild(table)
        self._graph, self._table, self._arena = graph, table, graph.entries
        self._scratch = [None] * len(self._scratch)
        self._released = int(state.meta["next"])
        self._ages = EntryAges(since_start=False)
        self._next, self._base = int(state.meta["next"]), int(state.meta["base"])
        self._horizon = int(state.meta["horizon"])


def _own(column: np.ndarray) -> np.ndarray:
    """The array, or a copy of one that may not be written: to the kernels those are types of their own."""
    return column if column.flags.writeable and column.flags.c_contiguous else column.copy()


def _columns(count: int, rows: int, dtype: type[np.int64] | type[np.float64]) -> np.ndarray:
    """Room for columns that do not begin at a power of two from each other: they would share a set of the cache."""
    return np.empty((count, rows + 8 if rows % 64 == 0 else rows), dtype)


def _one_payment(counts: int, measures: int) -> tuple[Int64Array, Int64Array, Arrivals, Int64Array, Float64Array]:
    """Arrays for a payment at a time: ids of sender and receiver, the rest of it, and its columns."""
    whole, short, small = np.zeros((5, 1), np.int64), np.zeros((3, 1), np.int32), np.zeros(1, np.uint8)
    keep = np.full(1, BOTH_LISTS, np.uint8)
    arrivals = Arrivals(short[0], short[1], whole[0], whole[1], short[2], whole[2], small, keep)
    return whole[3], whole[4], arrivals, _columns(counts, 1, np.int64), _columns(measures, 1, np.float64)
