"""What an engine keeps for ever of a stretch of payments, as a table that merges, and an engine that begins from one.

Everything that the engine remembers of payments that no window sees any more follows from one record an ordered pair
of parties: how many payments, the first and the last event time. Counts add up, times are least and greatest, so parts
of different stretches merge in any grouping to the same table (SEMANTICS: Slices).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import EngineError
from greywater.features.engine import START_OF_TIME, Engine, EngineState
from greywater.kernels.lists import LATEST, NEVER, QUERY, TOTAL, empty_lists
from greywater.vocab import EXTERNAL_PREFIX, Int64Array

__all__ = ["LIFETIME_COLUMNS", "LIFETIME_SCHEMA", "Lifetime", "begin_engine", "lifetime_of", "merge_lifetimes"]

#: Columns of the transaction table that a lifetime is made from.
LIFETIME_COLUMNS: Final = ("sender", "receiver", "event_time")
LIFETIME_SCHEMA: Final = pa.schema(
    [
        pa.field("sender", pa.string(), nullable=False),
        pa.field("receiver", pa.string(), nullable=False),
        pa.field("payments", pa.int64(), nullable=False),
        pa.field("first_us", pa.int64(), nullable=False),
        pa.field("last_us", pa.int64(), nullable=False),
    ]
)
FAR: Final = 2**62


@dataclass(frozen=True)
class Lifetime:
    """The records of the ordered pairs of a stretch of payments, payments to oneself included.

    Parameters
    ----------
    pairs : pa.Table
        LIFETIME_SCHEMA, one row an ordered pair (sender, receiver), in no particular order: how many payments, and the
        least and the greatest event time, microseconds since 1970.
    """

    pairs: pa.Table

    @property
    def nbytes(self) -> int:
        """Bytes it takes in memory."""
        return int(self.pairs.nbytes)


def lifetime_of(batches: Iterable[pa.RecordBatch]) -> Lifetime:
    """The lifetime of payments.

    Parameters
    ----------
    batches : iterable of RecordBatch
        With LIFETIME_COLUMNS. Memory is bounded by the pairs and one batch.

    Examples
    --------
    >>> times = pa.array([5, 3, 9], pa.timestamp("us", tz="UTC"))
    >>> batch = pa.record_batch([pa.array(list("aab")), pa.array(list("bbc")), times], names=list(LIFETIME_COLUMNS))
    >>> lifetime_of([batch]).pairs.sort_by("sender").to_pylist()[0]
    {'sender': 'a', 'receiver': 'b', 'payments': 2, 'first_us': 3, 'last_us': 5}
    """
    parts: list[pa.Table] = []
    waiting = 0
    for batch in batches:
        time = batch.column("event_time").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
        ones = pa.array(np.ones(batch.num_rows, np.int64))
        sender, receiver = (batch.column(name).cast(pa.string()) for name in ("sender", "receiver"))
        parts.append(_grouped(pa.table([sender, receiver, ones, time, time], schema=LIFETIME_SCHEMA)))
        waiting += parts[-1].num_rows
        if len(parts) > 1 and waiting > 2 * parts[0].num_rows:
            parts = [_grouped(pa.concat_tables(parts))]
            waiting = parts[0].num_rows
    return merge_lifetimes([Lifetime(part) for part in parts])


def merge_lifetimes(parts: Sequence[Lifetime]) -> Lifetime:
    """The lifetime of several stretches together.

    Examples
    --------
    >>> merge_lifetimes([]).pairs.num_rows
    0
    """
    if not parts:
        return Lifetime(LIFETIME_SCHEMA.empty_table())
    if len(parts) == 1:
        return parts[0]
    return Lifetime(_grouped(pa.concat_tables([part.pairs for part in parts])))


def _grouped(pairs: pa.Table) -> pa.Table:
    kinds = [("payments", "sum"), ("first_us", "min"), ("last_us", "max")]
    grouped = pairs.group_by(["sender", "receiver"], use_threads=False).aggregate(kinds)
    columns = [grouped.column(name) for name in ("sender", "receiver", "payments_sum", "first_us_min", "last_us_max")]
    return pa.table(columns, schema=LIFETIME_SCHEMA).combine_chunks()


def begin_engine(engine: Engine, lifetime: Lifetime, *, next_seq: int, horizon: int | None) -> None:
    """Bring a fresh engine to where it would be after `next_seq` payments of which no window sees one any more.

    From there on its values are those of an engine that took all of them in, for every payment that sees none of them.

    Parameters
    ----------
    engine : Engine
        Fresh.
    lifetime : Lifetime
        Of the payments before `next_seq`.
    next_seq : int
        The payment to go on with.
    horizon : int or None
        Greatest event time before it, microseconds since 1970; None where `next_seq` is 0.

    Raises
    ------
    EngineError
        It was told already who is a known launderer.
    """
    state = engine.snapshot()
    if len(state.arrays.get("exposure.facts", ())):
        raise EngineError("the engine knows launderers by other codes", mend="call begin_engine first, then know")
    pairs = lifetime.pairs
    names = pc.unique(pa.chunked_array([*pairs["sender"].chunks, *pairs["receiver"].chunks], pa.string()))
    sender, receiver = (_codes(pairs[name], names) for name in ("sender", "receiver"))
    count, first, last = (np.asarray(pairs[name].to_numpy(), np.int64) for name in LIFETIME_SCHEMA.names[2:])
    accounts = len(names)
    arrays = dict(state.arrays)
    least = np.full(accounts, FAR, np.int64)
    np.minimum.at(least, sender, first)
    np.minimum.at(least, receiver, first)
    least[pc.starts_with(names, EXTERNAL_PREFIX).to_numpy(zero_copy_only=False)] = FAR
    arrays["pairs.first"] = least
    to_another = sender != receiver
    sender, receiver, count, last = sender[to_another], receiver[to_another], count[to_another], last[to_another]
    arrays["pairs.keys"] = (sender << 32) | receiver
    arrays["pairs.numbers"] = np.arange(len(sender), dtype=np.int32)
    arrays["pairs.counts"], arrays["pairs.latest"] = count, last
    for side, party in (("out", sender), ("in", receiver)):
        arrays |= _side(side, party, count, last, (accounts, engine.sides[side].windows, len(sender)))
    for side, kept in engine.sides.items():
        if side not in ("out", "in"):
            records = accounts if side == "self" else len(sender)
            arrays |= _side(side, sender[:0], count[:0], last[:0], (accounts, kept.windows, records))
    arrays |= _names(names)
    meta: dict[str, Any] = {**state.meta, "next_seq": next_seq}
    meta["horizon"] = START_OF_TIME if horizon is None else horizon
    if "graph" in meta:
        meta["graph"] = {**meta["graph"], "next": next_seq, "base": next_seq, "horizon": meta["horizon"]}
    engine.restore(EngineState(meta, arrays))


def _side(
    side: str, party: Int64Array, count: Int64Array, last: Int64Array, sizes: tuple[int, int, int]
) -> dict[str, np.ndarray]:
    """A side whose lists hold nothing any more: all payments of the party are freed; `last` of each pair."""
    accounts, windows, records = sizes
    lists = empty_lists(0, accounts, windows, records)
    np.add.at(lists.heads[:, TOTAL], party, count)
    latest = np.full(accounts, NEVER, np.int64)
    np.maximum.at(latest, party, last)
    lists.heads[:, LATEST] = latest
    lists.heads[:, QUERY] = latest
    lists.freed[:] = latest
    if len(last):
        lists.pair_freed[:] = last
    return {
        f"{side}.{name}": value for name, value in lists._asdict().items() if name not in ("links", "arena", "kept")
    }


def _codes(column: pa.ChunkedArray, names: pa.Array) -> Int64Array:
    return np.asarray(pc.index_in(column, value_set=names).to_numpy(), np.int64)


def _names(names: pa.Array) -> dict[str, np.ndarray]:
    lengths = np.asarray(pc.binary_length(names).to_numpy(zero_copy_only=False), np.int64)
    joined = b"".join(name.encode() for name in names.to_pylist())
    return {"accounts.bytes": np.frombuffer(joined, np.uint8), "accounts.ends": np.cumsum(lengths, dtype=np.int64)}
