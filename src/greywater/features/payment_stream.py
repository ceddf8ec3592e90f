"""Payments taken in one after the other by GraphFeatures: their graph, the names of accounts, the ids seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.errors import EngineError, RefusedTypeError, SnapshotError
from greywater.features.account_names import AccountNames
from greywater.features.evidence import Evidence
from greywater.features.first_values import FirstValues
from greywater.features.graph import GraphPlan
from greywater.features.graph_state import GraphFootprint, GraphSnapshot, GraphState
from greywater.features.payment_values import digests
from greywater.features.stream_evidence import StreamParts
from greywater.vocab import Float64Array, Int64Array

__all__ = ["PaymentStream", "Payments", "StreamFootprint"]

START_OF_TIME = -(2**62)
TEXT, NUMBERS = "text", "whole numbers"


@dataclass(frozen=True)
class Payments:
    """Checked payments in the order in which they arrived.

    Parameters
    ----------
    time : int64[n]
        Microseconds.
    sender, receiver : int64[n] or pyarrow.Array of text
        Accounts, both of one kind.
    amount : int64[n]
        Minor units, -1 = not known.
    ids : int64[n] or pyarrow.Array of text, optional
        What each payment is called; None = every row is a new payment.
    """

    time: Int64Array
    sender: Int64Array | pa.Array
    receiver: Int64Array | pa.Array
    amount: Int64Array
    ids: Int64Array | pa.Array | None = None


@dataclass(frozen=True)
class StreamFootprint:
    """What is held at a moment.

    Parameters
    ----------
    graph : GraphFootprint
        Payments and accounts inside the longest look-back, and their bytes.
    names, name_bytes : int
        Accounts named by text, and bytes besides the text itself.
    ids, id_bytes : int
        Ids ever seen, kept for ever.
    value_bytes : int
        Times and first values of held payments that have an id.
    """

    graph: GraphFootprint
    names: int
    name_bytes: int
    ids: int
    id_bytes: int
    value_bytes: int


class PaymentStream:
    """Takes payments in and works out their graph features.

    Parameters
    ----------
    plan : GraphPlan
        What to work out.
    threads : int
        Threads for blocks of a thousand payments and more.
    with_ids : bool
        True: every payment has an id; one that comes again is answered with its first values.
    """

    def __init__(self, plan: GraphPlan, *, threads: int, with_ids: bool) -> None:
        self.plan = plan
        self.with_ids = with_ids
        self._threads = threads
        self._graph = GraphState(plan, threads=threads)
        self._names = AccountNames()
        self._first = FirstValues(len(plan.int_features), len(plan.float_features))
        self._kinds: dict[str, str] = {}
        self._whole = True
        self._cells = np.zeros((2, 1), np.int64)

    @property
    def horizon(self) -> int:
        """Greatest event time so far, microseconds."""
        return self._graph.horizon

    @property
    def payments(self) -> int:
        """Payments taken in so far."""
        return self._graph.next_number

    def take(self, payments: Payments, *, compute: bool) -> tuple[Int64Array, Float64Array]:
        """Take the next payments in.

        Parameters
        ----------
        payments : Payments
            Nothing is taken in where one of them is refused.
        compute : bool
            False: only take in; the columns are empty then.

        Returns
        -------
        ints : int64[Ci, n]
        floats : float64[Cf, n]

        Raises
        ------
        EngineError
            If an id belongs to a payment that is no longer held, or whose values were never worked out.
        RefusedTypeError
            If accounts or ids are named by text here and by numbers before.
        """
        self._check_whole()
        self._check_kinds(payments)
        if not self.with_ids or payments.ids is None:
            return self._run(payments, compute)
        self._whole = False
        places, new = self._first.note(*_words(payments.ids))
        if not new.all():
            try:
                self._check_repeats(payments, places, new, compute)
            except EngineError:
                self._first.forget_new()
                self._whole = True
                raise
        return self._take_new(payments, places, new, compute)

    def _take_new(
        self, payments: Payments, places: Int64Array, new: NDArray[np.bool_], compute: bool
    ) -> tuple[Int64Array, Float64Array]:
        """Take in what is new and answer all, the rest with its first values."""
        every, first = bool(new.all()), self._first.count
        ints, floats = self._run(payments if every else _some(payments, new), compute)
        time = payments.time if every else payments.time[new]
        self._first.write(time, (ints, floats) if compute else None)
        if compute and not every:
            here = places >= first
            answered = np.empty((len(ints), len(new)), np.int64), np.empty((len(floats), len(new)), np.float64)
            answered[0][:, here], answered[1][:, here] = ints[:, places[here] - first], floats[:, places[here] - first]
            answered[0][:, ~here], answered[1][:, ~here] = self._first.read(places[~here])
            ints, floats = answered
        self._first.release(self.horizon - self.plan.hold_us)
        return ints, floats

    def _run(self, payments: Payments, compute: bool) -> tuple[Int64Array, Float64Array]:
        self._whole = False
        self._names.release(self.horizon - self.plan.hold_us)
        sender, receiver = payments.sender, payments.receiver
        if isinstance(sender, pa.Array):
            sender, receiver = self._names.encode(sender, receiver, payments.time)
        if compute:
            columns = self._graph.process(sender, receiver, payments.time, payments.amount)
        else:
            self._graph.append(sender, receiver, payments.time, payments.amount)
            columns = np.empty((0, 0), np.int64), np.empty((0, 0), np.float64)
        self._whole = True
        return columns

    def _check_repeats(self, payments: Payments, places: Int64Array, new: NDArray[np.bool_], compute: bool) -> None:
        """Refuse rows whose payment is no longer held, or has no values to be answered with."""
        own = payments.time[new]
        horizon = np.maximum(np.maximum.accumulate(np.where(new, payments.time, START_OF_TIME)), self.horizon)
        again = np.flatnonzero(~new)
        first, count = places[again], self._first.count
        times = self._first.times(np.minimum(first, count - 1)) if count else np.empty(len(again), np.int64)
        inside = first >= count
        times[inside] = own[first[inside] - count]
        gone = times <= horizon[again] - self.plan.hold_us
        if gone.any():
            raise _no_longer_held(_shown(payments.ids, int(again[np.argmax(gone)])))
        if not compute:
            return
        empty = ~inside & ~self._first.computed(np.where(inside, 0, first))
        if empty.any():
            raise _never_computed(_shown(payments.ids, int(again[np.argmax(empty)])))

    def take_one(self, time: int, sender: int | str, receiver: int | str, amount: int, identity: Any) -> Float64Array:
        """Take one payment in; its columns as float64[Ci + Cf]. The values are checked already.

        Parameters and errors as for `take`.
        """
        self._check_whole()
        kind = TEXT if type(sender) is str else NUMBERS
        before = self._kinds.get("accounts", kind)
        if before != kind or (type(receiver) is str) != (kind == TEXT):
            raise _other_kind("accounts", before)
        self._kinds["accounts"] = kind
        known = self._place(identity) if self.with_ids else None
        if known is not None:
            return known
        self._whole = False
        if type(sender) is str:
            self._names.release(self.horizon - self.plan.hold_us)
            payer, payee = self._names.number(sender, time), self._names.number(str(receiver), time)
        else:
            payer, payee = int(sender), int(receiver)
        ints, floats = self._graph.process_one(payer, payee, time, amount)
        if self.with_ids:
            self._first.write(np.array([time]), (ints, floats))
            self._first.release(self.horizon - self.plan.hold_us)
        self._whole = True
        return _joined(ints, floats)

    def _place(self, identity: int | str) -> Float64Array | None:
        """The first values of an id; None where it is new, noted then."""
        kind = TEXT if isinstance(identity, str) else NUMBERS
        if self._kinds.setdefault("ids", kind) != kind:
            raise _other_kind("ids", self._kinds["ids"])
        if isinstance(identity, str):
            high, low = digests([identity])
        else:
            high, low = self._cells[0], self._cells[1]
            high[0] = identity
        places, new = self._first.note(high, low)
        if new[0]:
            return None
        if self._first.times(places)[0] <= self.horizon - self.plan.hold_us:
            raise _no_longer_held(repr(identity))
        if not self._first.computed(places)[0]:
            raise _never_computed(repr(identity))
        return _joined(*self._first.read(places))

    def evidence(self, tx_id: Any, pattern: str, window: int | None, *, limit: int) -> Evidence:
        """The payments that form a pattern of a held payment; see `StreamParts.evidence`."""
        self._check_whole()
        names = self._names if self._kinds.get("accounts") == TEXT else None
        first = self._first if self.with_ids else None
        return StreamParts(self._graph, names, first, self._kinds.get("ids") == TEXT).evidence(
            tx_id, pattern, window, limit=limit
        )

    def _check_whole(self) -> None:
        if not self._whole:
            raise EngineError(
                "an earlier block was interrupted half-way, so the graph holds a part of it",
                mend="fit again, or restore a snapshot",
            )

    def _check_kinds(self, payments: Payments) -> None:
        """Refuse text where there were numbers and the other way round; the first block decides."""
        given = {"accounts": _kind(payments.sender)}
        if payments.ids is not None:
            given["ids"] = _kind(payments.ids)
        if _kind(payments.receiver) != self._kinds.get("accounts", given["accounts"]):
            raise _other_kind("accounts", self._kinds.get("accounts", given["accounts"]))
        for what, kind in given.items():
            if self._kinds.get(what, kind) != kind:
                raise _other_kind(what, self._kinds[what])
        if len(payments.time):
            self._kinds |= given

    @property
    def footprint(self) -> StreamFootprint:
        """What is held at this moment."""
        first, names = self._first, self._names
        return StreamFootprint(
            self._graph.footprint, len(names), names.bytes, first.count, first.id_bytes, first.value_bytes
        )

    def snapshot(self) -> GraphSnapshot:
        """The state after the last payment; `restore` in a stream of the same plan goes on from there."""
        self._check_whole()
        graph = self._graph.snapshot()
        arrays = {f"graph.{name}": array for name, array in graph.arrays.items()}
        arrays |= {f"names.{name}": array for name, array in self._names.arrays().items()}
        arrays |= {f"first.{name}": array for name, array in self._first.arrays().items()}
        meta = {"graph": dict(graph.meta), "kinds": dict(self._kinds), "with_ids": self.with_ids}
        return GraphSnapshot(meta | {"ids": self._first.count}, arrays)

    def restore(self, state: GraphSnapshot) -> None:
        """Go on from a snapshot.

        Raises
        ------
        SnapshotError
            If the snapshot is of another plan, or ids are held in one and not in the other.
        """
        if state.meta.get("with_ids") is not self.with_ids:
            raise SnapshotError(
                "ids are known in one of the snapshot and the estimator, not in both", mend="set id_column alike"
            )
        graph = GraphState(self.plan, threads=self._threads)
        graph.restore(GraphSnapshot(state.meta["graph"], _below(state.arrays, "graph.")))
        first = FirstValues(len(self.plan.int_features), len(self.plan.float_features))
        first.load(_below(state.arrays, "first."), int(state.meta["ids"]))
        names = AccountNames.from_arrays(_below(state.arrays, "names."))
        self._graph, self._first, self._names = graph, first, names
        self._kinds, self._whole = dict(state.meta["kinds"]), True

    def __getstate__(self) -> dict[str, Any]:
        state = self.snapshot()
        return {"plan": self.plan, "threads": self._threads, "meta": dict(state.meta), "arrays": dict(state.arrays)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        meta = state["meta"]
        PaymentStream.__init__(self, state["plan"], threads=state["threads"], with_ids=meta["with_ids"])
        self.restore(GraphSnapshot(meta, state["arrays"]))


def _joined(ints: Int64Array, floats: Float64Array) -> Float64Array:
    """The columns of one payment in a row, counts first."""
    row = np.empty(len(ints) + len(floats), np.float64)
    row[: len(ints)], row[len(ints) :] = ints[:, 0], floats[:, 0]
    return row


def _words(ids: Int64Array | pa.Array) -> tuple[Int64Array, Int64Array]:
    if isinstance(ids, np.ndarray):
        return ids, np.zeros(len(ids), np.int64)
    return digests(ids.to_pylist())


def _kind(values: Int64Array | pa.Array) -> str:
    return NUMBERS if isinstance(values, np.ndarray) else TEXT


def _some(payments: Payments, chosen: NDArray[np.bool_]) -> Payments:
    """The chosen payments."""

    def part(values: Any) -> Any:
        return values[chosen] if isinstance(values, np.ndarray) else values.filter(pa.array(chosen))

    return Payments(part(payments.time), part(payments.sender), part(payments.receiver), part(payments.amount))


def _below(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _shown(ids: Any, row: int) -> str:
    value = ids[row]
    return f"{value.as_py()!r} in row {row}" if isinstance(value, pa.Scalar) else f"{value} in row {row}"


def _no_longer_held(shown: str) -> EngineError:
    return EngineError(
        f"the payment of id {shown} is no longer held",
        where="id_column",
        mend="keep the values of a payment when they are given, or set a longer allowed_lateness",
    )


def _never_computed(shown: str) -> EngineError:
    return EngineError(
        f"the payment of id {shown} was taken in by fit or partial_fit, without its values",
        where="id_column",
        mend="take it in by fit_transform, transform or push where its values are wanted",
    )


def _other_kind(what: str, before: str) -> RefusedTypeError:
    return RefusedTypeError(
        f"{what} are given as text and as whole numbers; the first were {before}",
        mend=f"give all {what} in one form",
    )
