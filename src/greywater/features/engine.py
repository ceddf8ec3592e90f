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
from greywater.features.exposure import KnownLaunderers
from greywater.features.exposure_columns import ExposureColumns
from greywater.features.filtered_windows import FilteredWindows
from greywater.features.ledger_order import int64, times_in_order
from greywater.features.payment import compute_payment, pass_through
from greywater.features.rooms import Rooms
from greywater.features.selection import RECEIVED, Selection, selection_of
from greywater.features.side_columns import run_side
from greywater.features.sides import Side
from greywater.kernels import pairs as pair_kernels
from greywater.kernels.windows import PairColumns, Payments, process_self
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
#: What the windows of self-payments keep: their lists are searched.
NOTHING = np.zeros(3, np.int64)


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
    """A block of payments as the kernels want it. In sender_own and receiver_own -1 is a party outside the bank."""

    rows: pa.Table
    time: Int64Array
    horizon: Int64Array
    late: np.ndarray
    amount: Int64Array
    sender: np.ndarray
    receiver: np.ndarray
    sender_own: np.ndarray
    receiver_own: np.ndarray
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
        # What is worked out and where it lies is settled here, once, and not once a block.
        self._chosen: Selection = selection_of(features)
        out, into = self._chosen.out, self._chosen.into
        self._out, self._in, self._self = Side(out.windows, out.kept), Side(into.windows, into.kept), Side(0, NOTHING)
        self._pairs = pair_kernels.empty_pairs(1 << 12, 1024, 1024)
        self._accounts = AccountDictionary()
        self._filtered: FilteredWindows | None = None
        if self._chosen.requests:
            self._filtered = FilteredWindows(
                self._chosen.requests,
                allowed_lateness=features.plan.allowed_lateness,
                base_exponent=features.base_exponent,
                timezone=features.timezone,
                resolution_us=features.resolution_us,
            )
        self._graph: GraphColumns | None = None
        exposed = features.exposure_features
        # Exposure is looked for in the graph, whether or not somebody named a pattern.
        plan = self._chosen.graph or (features.graph if exposed else None)
        if features.graph is not None and plan is not None:
            hold_us = features.graph.hold_us
            self._graph = GraphColumns(plan, self._chosen.graph_features, threads=threads, hold_us=hold_us)
        self._exposure: ExposureColumns | None = None
        if features.exposure is not None and exposed and self._graph is not None:
            self._exposure = ExposureColumns(features.exposure, exposed)
            self._graph.follow(self._exposure.take)
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

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Those of INPUT_COLUMNS that these features need."""
        return self._chosen.inputs

    @property
    def sides(self) -> dict[str, Side]:
        """All sides, by the name that their arrays have in a snapshot; that of self-payments knows no pairs."""
        filtered = {} if self._filtered is None else self._filtered.sides
        return {"out": self._out, "in": self._in, "self": self._self, **filtered}

    def know(self, known: KnownLaunderers) -> None:
        """Say who is a known launderer, and from which payment on; a set of features with exposure must be told.

        It may hold what is recorded only after later payments: none sees it too early. Said again it takes the place of
        what was said before, so that more can be added as it is recorded.

        Parameters
        ----------
        known : KnownLaunderers
            All there is to know.

        Raises
        ------
        EngineError
            The features hold no exposure, or payments already taken in have seen other facts.
        """
        if self.features.exposure is None:
            raise EngineError(
                f"{self.features.name} holds no exposure to known launderers", mend="set features = payments-v3"
            )
        if self._exposure is not None:
            self._exposure.know(self._accounts.encode(known.account), known, self._next_seq)

    def process(self, transactions: pa.RecordBatch | pa.Table) -> FeatureBlock:
        """Take the next payments in.

        Parameters
        ----------
        transactions : RecordBatch or Table
            `input_columns` at least; `seq` must follow on from the last payment processed.

        Returns
        -------
        FeatureBlock
            One row a payment. Rows with a party outside the bank are not scored.

        Raises
        ------
        EngineError
            If a payment is missing, repeated or out of order, or `know` was to be called first.
        """
        block = self._read(transactions)
        self._begin_exposure(block, columns=True)
        n = len(block.time)
        outgoing, incoming, pairs = self._payments(block, block.scored.astype(np.uint8))
        out_columns, in_columns = self._run_sides(outgoing, incoming, pairs)
        self_columns = self._run_self(outgoing)
        requested = self._run_filtered(block, outgoing, incoming, pairs)
        if n:
            self._horizon = int(block.horizon[-1])
        self._next_seq += n
        columns = self._shared_columns(block, pairs) + self._through(block, in_columns)
        columns += self._chosen.out.handed_out(out_columns) + self._chosen.into.handed_out(in_columns)
        columns += self_columns + self._run_graph(block) + requested
        batch = pa.RecordBatch.from_arrays([pa.array(column) for column in columns], names=list(self._names))
        seq = np.arange(self._next_seq - n, self._next_seq, dtype=np.int64)
        return FeatureBlock(seq, batch, block.scored)

    def absorb(self, transactions: pa.RecordBatch | pa.Table) -> None:
        """Take the next payments in without working out their features, for what later payments see of them.

        Parameters and errors as for `process`; several times as fast.
        """
        block = self._read(transactions)
        self._begin_exposure(block, columns=False)
        n = len(block.time)
        outgoing, incoming, pairs = self._payments(block, np.zeros(n, np.uint8))
        idle = pairs._replace(late=np.zeros((2, n), np.uint8))
        run_side(self._out, self._rooms["out"], self._chosen.out.unwritten, outgoing, idle)
        run_side(self._in, self._rooms["in"], self._chosen.into.unwritten, incoming, idle)
        self._run_self(outgoing)
        self._run_filtered(block, outgoing, incoming, idle, written=False)
        if n:
            self._horizon = int(block.horizon[-1])
        self._next_seq += n
        if self._graph is not None:
            own = block.sender_own >= 0, block.receiver_own >= 0
            self._graph.absorb(block.sender, block.receiver, block.time, block.amount, *own)

    def _payments(self, block: _Block, scored: np.ndarray) -> tuple[Payments, Payments, PairColumns]:
        """A block as the two sides take it, and what the records of its pairs say."""
        pair, new, pairs = self._meet(block)
        out_own, in_own = block.sender_own, block.receiver_own
        outgoing = Payments(out_own, in_own, pair, new, block.time, block.horizon, block.amount, scored)
        incoming = Payments(in_own, out_own, pair, new, block.time, block.horizon, block.amount, scored)
        return outgoing, incoming, pairs

    def _read(self, transactions: pa.RecordBatch | pa.Table) -> _Block:
        rows = pa.table(transactions) if isinstance(transactions, pa.RecordBatch) else transactions
        time, horizon = times_in_order(rows, self._chosen.inputs, self._next_seq, self._horizon)
        late = time <= horizon - self.features.plan.allowed_lateness * MICROSECOND
        base = rows.column("base_amount")
        amount = int64(pc.fill_null(base, -1))
        sender = self._accounts.encode(rows.column("sender"))
        receiver = self._accounts.encode(rows.column("receiver"))
        outside = self._accounts.external
        sender_own, receiver_own = (np.where(outside[each], -1, each).astype(np.int32) for each in (sender, receiver))
        scored = (sender_own >= 0) & (receiver_own >= 0)
        return _Block(rows, time, horizon, late, amount, sender, receiver, sender_own, receiver_own, scored)

    def _begin_exposure(self, block: _Block, *, columns: bool) -> None:
        if self._exposure is not None:
            self._exposure.begin(self._next_seq, block.scored, self._accounts.external, columns=columns)

    def _meet(self, block: _Block) -> tuple[np.ndarray, np.ndarray, PairColumns]:
        """Number the block's pairs and read their records."""
        n = len(block.time)
        if not self._chosen.meets:
            alone = np.where(block.sender == block.receiver, -1, 0).astype(np.int32)
            nothing = np.zeros((2, n), np.uint8)
            return alone, nothing[0], PairColumns(nothing, alone, np.zeros((2, 0), np.int64), np.zeros((4, 0)))
        self._reserve(n)
        pair, reverse = np.empty(n, np.int32), np.empty(n, np.int32)
        new, late = np.empty(n, np.uint8), np.empty((2, n), np.uint8)
        counts, floats = np.empty((2, n), np.int64), np.empty((4, n), np.float64)
        pair_kernels.meet(
            self._pairs,
            block.sender_own,
            block.receiver_own,
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
        for side, chosen in ((self._out, self._chosen.out), (self._in, self._chosen.into)):
            if chosen.needed:
                side.reserve(len(self._accounts), pairs)
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
            waiting = self._pool.submit(run_side, self._in, self._rooms["in"], self._chosen.into, incoming, idle)
        out_columns = run_side(self._out, self._rooms["out"], self._chosen.out, outgoing, pairs)
        if waiting is not None:
            return out_columns, waiting.result()
        return out_columns, run_side(self._in, self._rooms["in"], self._chosen.into, incoming, idle)

    def _run_self(self, payments: Payments) -> list[np.ndarray]:
        chosen = self._chosen
        if not chosen.pays_itself:
            return []
        look = chosen.self_look
        self._self.reserve(len(self._accounts), len(self._accounts))
        windows, n = len(look.lengths), len(payments.time)
        counts, sums = np.empty((windows, n), np.int64), np.empty((windows, n), np.float64)
        self._self.run(
            lambda lists, begin: process_self(lists, look, payments, begin, counts, sums),
            payments.horizon,
            self.features.plan.hold_us,
        )
        return [counts[w] for w in chosen.self_counts] + [sums[w] for w in chosen.self_sums]

    def _run_filtered(
        self, block: _Block, outgoing: Payments, incoming: Payments, pairs: PairColumns, *, written: bool = True
    ) -> list[np.ndarray]:
        if self._filtered is None:
            return []
        idle = pairs._replace(late=np.zeros((2, len(block.time)), np.uint8))
        sizes = len(self._accounts), int(self._pairs.size[0])
        return self._filtered.run(block.rows, {"out": outgoing, "in": incoming}, idle, sizes, written=written)

    def _run_graph(self, block: _Block) -> list[np.ndarray]:
        if self._graph is None:
            return []
        who = block.sender, block.receiver, block.time, block.amount, block.sender_own >= 0, block.receiver_own >= 0
        columns: list[np.ndarray] = []
        if self._chosen.graph_features:
            columns = self._graph.run(*who)
        else:
            self._graph.absorb(*who)
        return columns if self._exposure is None else columns + self._exposure.columns()

    def _shared_columns(self, block: _Block, pairs: PairColumns) -> list[np.ndarray]:
        features, chosen = self.features, self._chosen
        columns: list[np.ndarray] = list(compute_payment(block.rows, block.late, chosen.payment))
        if any(chosen.calendar):
            days = compute_calendar(block.time, features.timezone, features.country, features.resolution_us)
            columns += [column for column, named in zip(days, chosen.calendar, strict=True) if named]
        if any(chosen.pair):
            counts = pairs.counts
            flags = (counts[0] == 0).astype(np.int64), (counts[1] > 0).astype(np.int64)
            of_pair = [*counts, *flags, *pairs.floats]
            columns += [column for column, named in zip(of_pair, chosen.pair, strict=True) if named]
        return columns

    def _through(self, block: _Block, in_columns: list[np.ndarray]) -> list[Float64Array]:
        if not self._chosen.through:
            return []
        received = in_columns[self._chosen.into.names.index(RECEIVED)]
        amount = np.where(block.amount >= 0, block.amount.astype(np.float64), np.nan)
        return [pass_through(amount, received)]

    @property
    def footprint(self) -> Footprint:
        """What the engine holds at this moment."""
        table = self._pairs
        sides = tuple(self.sides.values())
        lifetime = sum(side.lifetime_bytes for side in sides) + sum(part.nbytes for part in table)
        others = (
            [self._out] if self._chosen.out.needed else [side for name, side in self.sides.items() if name != "self"]
        )
        lifetime += 0 if self._exposure is None else self._exposure.lifetime_bytes
        held, graph_held, graph_bytes = max(side.held for side in others) + self._self.held, 0, 0
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
        if self._filtered is not None:
            self._filtered.pack(self._horizon)
        for side in (self._out, self._in, self._self):
            side.pack(self._horizon - self.features.plan.hold_us, spare=True)

    def snapshot(self) -> EngineState:
        """The state after the last payment; `restore` in an engine of the same features goes on from there."""
        self._pack_sides()
        accounts, pairs = len(self._accounts), int(self._pairs.size[0])
        arrays: dict[str, np.ndarray] = {}
        for name, side in self.sides.items():
            records = accounts if name == "self" else pairs
            arrays |= {f"{name}.{key}": value for key, value in side.arrays(accounts, records).items()}
        used = np.flatnonzero(self._pairs.slots >= 0)
        arrays["pairs.keys"] = self._pairs.slots[used]
        arrays["pairs.numbers"] = self._pairs.numbers[used]
        arrays["pairs.counts"] = self._pairs.counts[:pairs]
        arrays["pairs.latest"] = self._pairs.latest[:pairs]
        arrays["pairs.first"] = self._pairs.first[:accounts]
        arrays |= {f"accounts.{key}": value for key, value in self._accounts.arrays().items()}
        meta: dict[str, Any] = {
            "next_seq": self._next_seq, "horizon": self._horizon, "features": self.features.fingerprint,
        }  # fmt: skip
        if self._graph is not None:
            meta["graph"], graph = self._graph.snapshot()
            arrays |= graph
        if self._exposure is not None:
            meta["exposure"], exposure = self._exposure.snapshot(accounts)
            arrays |= exposure
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
        if self._exposure is not None:
            self._exposure.restore(state.meta, arrays)
        for name, side in self.sides.items():
            prefix = f"{name}."
            side.load({key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)})
        self._accounts = AccountDictionary.from_arrays(
            {"bytes": arrays["accounts.bytes"], "ends": arrays["accounts.ends"]}
        )
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
