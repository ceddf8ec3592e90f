"""The one engine: payments in ledger order in, what was known of each at its moment out."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import EngineError, SnapshotError
from greywater.features.calendar import check_calendar, compute_calendar
from greywater.features.catalog import FeatureSet
from greywater.features.dictionary import AccountDictionary
from greywater.features.engine_graph import GraphColumns
from greywater.features.ledger_order import int64, times_in_order
from greywater.features.payment import compute_payment, pass_through
from greywater.features.rooms import Rooms
from greywater.features.sides import Side
from greywater.kernels import pairs as pair_kernels
from greywater.kernels.windows import PairColumns, Payments, process, process_self
from greywater.vocab import FeatureBlock, Float64Array, Int64Array

__all__ = ["INPUT_COLUMNS", "Engine", "EngineState", "Footprint"]

#: Columns of the transaction table that the engine reads. None of them is a label.
INPUT_COLUMNS = (
    "seq", "event_time", "sender", "receiver", "sender_bank", "receiver_bank", "amount", "currency",
    "received_amount", "received_currency", "base_amount", "channel",
)  # fmt: skip

PARALLEL_FROM = 1_000
#: The kernels keep twice a pair's number, and on the side of self-payments an account's, in an int32.
MAX_NUMBERS = 2**30
MICROSECOND = 1_000_000
START_OF_TIME = -(2**62)


@dataclass(frozen=True)
class EngineState:
    """Everything an engine carries from payment to payment, as plain arrays and JSON values."""

    meta: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Footprint:
    """What the engine holds: payments inside the longest window, and records kept for ever.

    `held` payments take `window_bytes`, of which the graph's (its own longest look-back holds `graph_held` of them)
    are `graph_bytes`.
    """

    held: int
    window_bytes: int
    lifetime_bytes: int
    accounts: int
    pairs: int
    graph_held: int = 0
    graph_bytes: int = 0

    @property
    def bytes_per_held_payment(self) -> float:
        """Bytes of both sides and of the graph per held payment (0 where nothing is held)."""
        return self.window_bytes / self.held if self.held else 0.0


@dataclass(frozen=True)
class _Block:
    """A block of payments as the kernels want it."""

    rows: pa.Table
    time: Int64Array
    horizon: Int64Array
    late: np.ndarray
    amount: Int64Array
    sender: np.ndarray
    receiver: np.ndarray
    scored: np.ndarray


class Engine:
    """Works out a FeatureSet for payments in ledger order.

    One payment at a time, in blocks of any size, or restored from a snapshot half way: the same bits.

    Parameters
    ----------
    features : FeatureSet
        What to compute.
    threads : int
        Two or more: the sides "out" and "in" of a block run beside each other, then so many look for patterns.
    """

    def __init__(self, features: FeatureSet, *, threads: int = 2) -> None:
        check_calendar(features.timezone, features.country)
        self.features = features
        self._names = features.names
        self._look = features.plan.look_back()
        windows = len(features.plan.labels)
        # Both sides have the same layout; it is worked out once, not once a block.
        counts, floats = features.plan.counts("in"), features.plan.floats("in")
        self._count_rows, self._float_rows = len(counts), len(floats)
        rows = [feature.name for feature in counts + floats]
        self._received_row = rows.index("sender.in.sum.1d") if features.has_pass_through else -1
        self._out, self._in, self._self = Side(windows), Side(windows), Side(windows)
        self._pairs = pair_kernels.empty_pairs(1 << 12, 1024, 1024)
        self._accounts = AccountDictionary()
        self._graph: GraphColumns | None = None
        if features.graph is not None:
            self._graph = GraphColumns(features.graph, features.graph_features, threads=threads)
        self._rooms = {"out": Rooms(), "in": Rooms()}
        self._next_seq = 0
        self._horizon = START_OF_TIME
        self._pool = ThreadPoolExecutor(1, "greywater-in") if threads > 1 else None

    @property
    def next_seq(self) -> int:
        """The sequence number of the next payment to process."""
        return self._next_seq

    @property
    def accounts(self) -> AccountDictionary:
        """The parties met so far and their codes."""
        return self._accounts

    def process(self, transactions: pa.RecordBatch | pa.Table) -> FeatureBlock:
        """Take the next payments in.

        Parameters
        ----------
        transactions : RecordBatch or Table
            INPUT_COLUMNS at least; `seq` must follow on from the last payment processed.

        Returns
        -------
        FeatureBlock
            One row a payment. Rows with a party outside the bank are not scored.

        Raises
        ------
        EngineError
            If a payment is missing, repeated or out of order.
        """
        block = self._read(transactions)
        n = len(block.time)
        outgoing, incoming, pairs = self._payments(block, block.scored.astype(np.uint8))
        out_columns, in_columns = self._run_sides(outgoing, incoming, pairs)
        self_columns = self._run_self(outgoing)
        if n:
            self._horizon = int(block.horizon[-1])
        self._next_seq += n
        columns = self._shared_columns(block, pairs) + self._through(block, in_columns)
        columns += out_columns + in_columns + self_columns + self._run_graph(block)
        batch = pa.RecordBatch.from_arrays([pa.array(column) for column in columns], names=list(self._names))
        seq = np.arange(self._next_seq - n, self._next_seq, dtype=np.int64)
        return FeatureBlock(seq, batch, block.scored)

    def absorb(self, transactions: pa.RecordBatch | pa.Table) -> None:
        """Take the next payments in without working out their features, for what later payments see of them.

        Parameters and errors as for `process`; several times as fast.
        """
        block = self._read(transactions)
        n = len(block.time)
        outgoing, incoming, pairs = self._payments(block, np.zeros(n, np.uint8))
        idle = pairs._replace(late=np.zeros((2, n), np.uint8))
        self._absorb_side(self._out, outgoing, idle)
        self._absorb_side(self._in, incoming, idle)
        self._run_self(outgoing)
        if n:
            self._horizon = int(block.horizon[-1])
        self._next_seq += n
        if self._graph is not None:
            own = ~self._external(block.sender), ~self._external(block.receiver)
            self._graph.absorb(block.sender, block.receiver, block.time, block.amount, *own)

    def _payments(self, block: _Block, scored: np.ndarray) -> tuple[Payments, Payments, PairColumns]:
        """A block as the two sides take it, and what the records of its pairs say."""
        pair, new, pairs = self._meet(block)
        out_own = np.where(self._external(block.sender), -1, block.sender).astype(np.int32)
        in_own = np.where(self._external(block.receiver), -1, block.receiver).astype(np.int32)
        outgoing = Payments(out_own, in_own, pair, new, block.time, block.horizon, block.amount, scored)
        incoming = Payments(in_own, out_own, pair, new, block.time, block.horizon, block.amount, scored)
        return outgoing, incoming, pairs

    def _read(self, transactions: pa.RecordBatch | pa.Table) -> _Block:
        rows = pa.table(transactions) if isinstance(transactions, pa.RecordBatch) else transactions
        time, horizon = times_in_order(rows, INPUT_COLUMNS, self._next_seq, self._horizon)
        late = time <= horizon - self.features.plan.allowed_lateness * MICROSECOND
        base = rows.column("base_amount")
        amount = int64(pc.fill_null(base, -1))
        sender = self._accounts.encode(rows.column("sender"))
        receiver = self._accounts.encode(rows.column("receiver"))
        scored = ~(self._external(sender) | self._external(receiver))
        return _Block(rows, time, horizon, late, amount, sender, receiver, scored)

    def _external(self, codes: np.ndarray) -> np.ndarray:
        external: np.ndarray = self._accounts.external[codes]
        return external

    def _meet(self, block: _Block) -> tuple[np.ndarray, np.ndarray, PairColumns]:
        """Number the block's pairs and read their records."""
        n = len(block.time)
        self._reserve(n)
        pair, reverse = np.empty(n, np.int32), np.empty(n, np.int32)
        new, late = np.empty(n, np.uint8), np.empty((2, n), np.uint8)
        counts, floats = np.empty((2, n), np.int64), np.empty((4, n), np.float64)
        sender = np.where(self._external(block.sender), -1, block.sender).astype(np.int32)
        receiver = np.where(self._external(block.receiver), -1, block.receiver).astype(np.int32)
        pair_kernels.meet(
            self._pairs,
            sender,
            receiver,
            block.sender,
            block.receiver,
            block.time,
            pair,
            reverse,
            new,
            counts,
            floats,
            late,
        )
        pairs = int(self._pairs.size[0])
        self._out.reserve(len(self._accounts), pairs)
        self._in.reserve(len(self._accounts), pairs)
        self._self.reserve(len(self._accounts), len(self._accounts))
        return pair, new, PairColumns(late, reverse, counts, floats)

    def _reserve(self, payments: int) -> None:
        """Room in the pair table for every payment of a block to be a new pair."""
        table = self._pairs
        wanted = int(table.size[0]) + payments
        if max(wanted, len(self._accounts)) > MAX_NUMBERS:
            raise EngineError(
                f"{len(self._accounts):,} accounts and up to {wanted:,} pairs of accounts; at most {MAX_NUMBERS:,} fit",
                mend="keep the payments of different institutions in ledgers of their own",
            )
        if wanted * 2 > len(table.slots):
            size = 1 << int(wanted * 2).bit_length()
            slots, numbers = np.full(size, -1, np.int64), np.zeros(size, np.int32)
            pair_kernels.rehash(table.slots, table.numbers, slots, numbers)
            table = table._replace(slots=slots, numbers=numbers)
        if wanted > len(table.counts):
            more = max(wanted, len(table.counts) * 3 // 2) - len(table.counts)
            fresh = pair_kernels.empty_pairs(1, more, 0)
            table = table._replace(
                counts=np.concatenate([table.counts, fresh.counts]), latest=np.concatenate([table.latest, fresh.latest])
            )
        accounts = len(self._accounts)
        if accounts > len(table.first):
            fresh = pair_kernels.empty_pairs(1, 0, max(accounts, len(table.first) * 3 // 2) - len(table.first))
            table = table._replace(first=np.concatenate([table.first, fresh.first]))
        self._pairs = table

    def _run_sides(
        self, outgoing: Payments, incoming: Payments, pairs: PairColumns
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The columns of both sides; they share nothing, so two threads need no lock."""
        n = len(outgoing.time)
        idle = pairs._replace(late=np.zeros((2, n), np.uint8))
        waiting = None
        if self._pool is not None and n >= PARALLEL_FROM:
            waiting = self._pool.submit(self._run_side, self._in, incoming, idle, "in")
        out_columns = self._run_side(self._out, outgoing, pairs, "out")
        if waiting is not None:
            return out_columns, waiting.result()
        return out_columns, self._run_side(self._in, incoming, idle, "in")

    def _run_side(self, side: Side, payments: Payments, pairs: PairColumns, direction: str) -> list[np.ndarray]:
        plan = self.features.plan
        n = len(payments.time)
        ints = self._rooms[direction].columns(self._count_rows, n, np.int64)
        floats = self._rooms[direction].columns(self._float_rows, n, np.float64)
        windows = len(plan.labels)
        line = (
            np.empty(len(ints), np.int64),
            np.empty(len(floats), np.float64),
            np.empty(windows, np.float64),
            np.empty(windows, np.int64),
        )
        side.run(
            lambda lists, begin: process(lists, self._look, payments, pairs, begin, ints, floats, *line),
            payments.horizon,
            plan.hold_us,
        )
        return [*ints, *floats]

    def _absorb_side(self, side: Side, payments: Payments, pairs: PairColumns) -> None:
        """Append to the lists of a side. Two rows of each kind keep the arrays of the kind the kernel knows."""
        n = len(payments.time)
        ints = self._rooms["out"].columns(2, n, np.int64)
        floats = self._rooms["out"].columns(2, n, np.float64)
        line = np.empty(2, np.int64), np.empty(2, np.float64), np.empty(2, np.float64), np.empty(2, np.int64)
        side.run(
            lambda lists, begin: process(lists, self._look, payments, pairs, begin, ints, floats, *line),
            payments.horizon,
            self.features.plan.hold_us,
        )

    def _run_self(self, payments: Payments) -> list[np.ndarray]:
        windows, n = len(self.features.plan.labels), len(payments.time)
        counts, sums = np.empty((windows, n), np.int64), np.empty((windows, n), np.float64)
        self._self.run(
            lambda lists, begin: process_self(lists, self._look, payments, begin, counts, sums),
            payments.horizon,
            self.features.plan.hold_us,
        )
        return [*counts, *sums]

    def _run_graph(self, block: _Block) -> list[np.ndarray]:
        if self._graph is None:
            return []
        own = ~self._external(block.sender), ~self._external(block.receiver)
        return self._graph.run(block.sender, block.receiver, block.time, block.amount, *own)

    def _shared_columns(self, block: _Block, pairs: PairColumns) -> list[np.ndarray]:
        columns: list[np.ndarray] = list(compute_payment(block.rows, block.late))
        features = self.features
        columns += compute_calendar(block.time, features.timezone, features.country, features.resolution_us)
        columns += list(pairs.counts)
        columns += [(pairs.counts[0] == 0).astype(np.int64), (pairs.counts[1] > 0).astype(np.int64)]
        return columns + list(pairs.floats)

    def _through(self, block: _Block, in_columns: list[np.ndarray]) -> list[Float64Array]:
        if not self.features.has_pass_through:
            return []
        received = in_columns[self._received_row]
        amount = np.where(block.amount >= 0, block.amount.astype(np.float64), np.nan)
        return [pass_through(amount, received)]

    @property
    def footprint(self) -> Footprint:
        """What the engine holds at this moment."""
        table = self._pairs
        sides = (self._out, self._in, self._self)
        lifetime = sum(side.lifetime_bytes for side in sides) + sum(part.nbytes for part in table)
        held, graph_held, graph_bytes = self._out.held + self._self.held, 0, 0
        if self._graph is not None:
            graph = self._graph.footprint
            graph_held, graph_bytes = graph.held, graph.entry_bytes + graph.vertex_bytes
        return Footprint(
            held=max(held, graph_held),
            window_bytes=sum(side.window_bytes for side in sides) + graph_bytes,
            lifetime_bytes=int(lifetime),
            accounts=len(self._accounts),
            pairs=int(table.size[0]),
            graph_held=graph_held,
            graph_bytes=graph_bytes,
        )

    def pack(self) -> None:
        """Give back the memory of everything that no window can see any more. Changes no value."""
        self._pack_sides()
        if self._graph is not None:
            self._graph.pack()

    def _pack_sides(self) -> None:
        for side in (self._out, self._in, self._self):
            side.pack(self._horizon - self.features.plan.hold_us, spare=True)

    def snapshot(self) -> EngineState:
        """The state after the last payment; `restore` in an engine of the same features goes on from there."""
        self._pack_sides()
        accounts, pairs = len(self._accounts), int(self._pairs.size[0])
        arrays: dict[str, np.ndarray] = {}
        for name, side, records in (("out", self._out, pairs), ("in", self._in, pairs), ("self", self._self, accounts)):
            arrays |= {f"{name}.{key}": value for key, value in side.arrays(accounts, records).items()}
        used = np.flatnonzero(self._pairs.slots >= 0)
        arrays["pairs.keys"] = self._pairs.slots[used]
        arrays["pairs.numbers"] = self._pairs.numbers[used]
        arrays["pairs.counts"] = self._pairs.counts[:pairs]
        arrays["pairs.latest"] = self._pairs.latest[:pairs]
        arrays["pairs.first"] = self._pairs.first[:accounts]
        encoded = [name.encode() for name in self._accounts.names]
        arrays["accounts.bytes"] = np.frombuffer(b"".join(encoded), np.uint8)
        arrays["accounts.ends"] = np.cumsum([len(part) for part in encoded], dtype=np.int64)
        meta: dict[str, Any] = {
            "next_seq": self._next_seq, "horizon": self._horizon, "features": self.features.fingerprint,
        }  # fmt: skip
        if self._graph is not None:
            meta["graph"], graph = self._graph.snapshot()
            arrays |= graph
        return EngineState(meta, {name: array.copy() for name, array in arrays.items()})

    def restore(self, state: EngineState) -> None:
        """Go on from a snapshot.

        Raises
        ------
        SnapshotError
            If the snapshot is of another feature set.
        """
        if state.meta["features"] != self.features.fingerprint:
            raise SnapshotError(
                f"the snapshot is of the features {state.meta['features']}, "
                f"the engine computes {self.features.fingerprint}",
                mend="replay the ledger from its beginning",
            )
        arrays = state.arrays
        if self._graph is not None:
            self._graph.restore(state.meta, arrays)
        for name, side in (("out", self._out), ("in", self._in), ("self", self._self)):
            prefix = f"{name}."
            side.load({key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)})
        data, begin, names = arrays["accounts.bytes"].tobytes(), 0, []
        for end in arrays["accounts.ends"].tolist():
            names.append(data[begin:end].decode())
            begin = end
        self._accounts = AccountDictionary.from_names(names)
        keys = arrays["pairs.keys"]
        size = 1 << max(12, int(len(keys) * 2).bit_length())
        slots, numbers = np.full(size, -1, np.int64), np.zeros(size, np.int32)
        pair_kernels.rehash(np.ascontiguousarray(keys), np.ascontiguousarray(arrays["pairs.numbers"]), slots, numbers)
        self._pairs = pair_kernels.PairTable(
            slots,
            numbers,
            arrays["pairs.counts"].copy(),
            arrays["pairs.latest"].copy(),
            arrays["pairs.first"].copy(),
            np.array([len(keys)], np.int64),
        )
        self._next_seq, self._horizon = int(state.meta["next_seq"]), int(state.meta["horizon"])
