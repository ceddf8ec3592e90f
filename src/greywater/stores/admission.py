"""Which offered payments are recorded, which are known, which are refused: the rules every ledger adapter applies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.errors import StoreError
from greywater.stores.fingerprints import UInt64Array, content_fingerprints, id_fingerprints
from greywater.stores.ports import Appended
from greywater.vocab import BALANCES, MAX_AMOUNT, REJECTED_SCHEMA, TRANSACTION_SCHEMA, Int64Array

__all__ = ["Admission", "Limits", "Lookup", "admit"]

#: Finds recorded payments: fingerprints of ids uint64[n, 2] -> (seq int64[n], -1 where unknown; contents uint64[n, 2]).
Lookup = Callable[[UInt64Array], tuple[Int64Array, UInt64Array]]

KEPT, KNOWN, CONFLICT, FUTURE, JUMP, AMOUNT = range(6)
#: Reason code and column of each verdict that refuses a row.
REASONS: Final = {
    CONFLICT: ("conflict", "tx_id"),
    FUTURE: ("future_time", "event_time"),
    JUMP: ("time_jump", "event_time"),
    AMOUNT: ("amount_range", "amount"),
}
DAY_US: Final = 86_400_000_000


@dataclass(frozen=True)
class Limits:
    """How far a payment may be dated ahead, in microseconds.

    `max_ahead_us` after its recorded time; `max_jump_us` beyond H, None = any jump is allowed.
    """

    max_ahead_us: int = DAY_US
    max_jump_us: int | None = 366 * DAY_US


@dataclass(frozen=True)
class Admission:
    """What is to be recorded, and what was decided about every offered row.

    `appended` as the ledger returns it; `keys`, `contents` uint64[m, 2] fingerprints of the m recorded rows, in seq
    order; `horizon` H after them.
    """

    appended: Appended
    keys: UInt64Array
    contents: UInt64Array
    horizon: int | None


@dataclass(frozen=True)
class _Offer:
    """The offered rows as arrays."""

    times: Int64Array
    latest: Int64Array
    amount_ok: NDArray[np.bool_]
    contents: UInt64Array
    known_seq: Int64Array
    known_contents: UInt64Array
    group: Int64Array


@dataclass(frozen=True)
class _Verdicts:
    """`code` int8[n]; `rival` int64[n]: the earlier row of the chunk with the same id, or -1; `horizon` int64[n]: H
    before the row, filled where a jump was refused."""

    code: NDArray[np.int8]
    rival: Int64Array
    horizon: Int64Array


def admit(
    payments: pa.Table, *, next_seq: int, horizon: int | None, limits: Limits, lookup: Lookup, key: bytes
) -> Admission:
    """Decide about each offered payment as if it came alone, in the order given.

    Parameters
    ----------
    payments : pa.Table
        As in `Unsequenced`.
    next_seq : int
        The seq of the first row that is recorded.
    horizon : int or None
        H before the chunk, microseconds since 1970; None for an empty ledger.
    limits : Limits
        What may be dated how far ahead.
    lookup : callable
        Finds the payments recorded before the chunk.
    key : bytes
        Key of the fingerprints, 16 bytes.

    Returns
    -------
    Admission

    Raises
    ------
    StoreError
        The table has not the agreed columns, or a required column holds a null.

    Notes
    -----
    SEMANTICS.md: Identity, and "What payment i sees" for `future_time` and `time_jump`. A row whose id is recorded is
    known or a conflict before anything else is asked of it. An amount outside 0 .. 2^53 - 1 is refused too
    (`amount_range`), and so is a balance beyond 2^53 - 1: readers refuse it earlier, this is the last door.
    """
    rows = _conform(payments)
    offer, keys = _prepare(rows, limits, lookup, key)
    verdicts = _decide(offer, horizon, limits)
    kept = verdicts.code == KEPT
    places = np.flatnonzero(kept)
    whole = len(places) == rows.num_rows
    accepted = rows if whole else rows.take(pa.array(places))
    seqs = np.arange(next_seq, next_seq + len(places), dtype=np.int64)
    accepted = accepted.append_column("seq", pa.array(seqs))
    recorded = pa.Table.from_arrays([accepted[name] for name in TRANSACTION_SCHEMA.names], schema=TRANSACTION_SCHEMA)
    rejected = _explain(payments, rows, verdicts, offer.known_seq, next_seq, limits)
    if len(places):
        latest = int(offer.times[places].max())
        horizon = latest if horizon is None else max(horizon, latest)
    appended = Appended(
        recorded=recorded, kept=pa.array(kept), known=pa.array(verdicts.code == KNOWN), rejected=rejected
    )
    return Admission(
        appended, keys if whole else keys[places], offer.contents if whole else offer.contents[places], horizon
    )


def _conform(payments: pa.Table) -> pa.Table:
    """The offered rows with the agreed types, in the order of the schema, without seq, each column in one piece."""
    columns, fields = [], []
    for field in TRANSACTION_SCHEMA:
        if field.name == "seq":
            continue
        if field.name not in payments.column_names:
            if field.name in BALANCES:
                columns.append(pa.nulls(payments.num_rows, field.type))
                fields.append(field)
                continue
            raise StoreError(
                f"the payments to record have no column {field.name!r}",
                where="Ledger.append",
                mend="offer TRANSACTION_SCHEMA without seq, plus file and row",
            )
        column = payments[field.name]
        if column.type != field.type:
            try:
                column = column.cast(field.type)
            except pa.ArrowException as error:
                raise StoreError(
                    f"column {field.name!r} is {column.type}, not {field.type}: {error}", where="Ledger.append"
                ) from None
        if not field.nullable and column.null_count:
            raise StoreError(
                f"column {field.name!r} has {column.null_count} missing values",
                where="Ledger.append",
                mend="set such rows aside in the reader; they cannot be recorded",
            )
        columns.append(column)
        fields.append(field)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields)).combine_chunks()


def _prepare(rows: pa.Table, limits: Limits, lookup: Lookup, key: bytes) -> tuple[_Offer, UInt64Array]:
    keys = id_fingerprints(rows["tx_id"], key)
    contents = content_fingerprints(rows, key)
    known_seq, known_contents = lookup(keys)
    amounts_ok = np.ones(rows.num_rows, np.bool_)
    for name in ("amount", "received_amount"):
        amounts = _numbers(rows, name)
        amounts_ok &= (amounts >= 0) & (amounts <= MAX_AMOUNT)
    for name in BALANCES:
        if rows[name].null_count < rows.num_rows:
            held = _numbers(rows, name)
            amounts_ok &= (held >= -MAX_AMOUNT) & (held <= MAX_AMOUNT)
    offer = _Offer(
        times=_numbers(rows, "event_time"),
        latest=_numbers(rows, "recorded_time") + limits.max_ahead_us,
        amount_ok=amounts_ok,
        contents=contents,
        known_seq=known_seq,
        known_contents=known_contents,
        group=_groups(keys),
    )
    return offer, keys


def _numbers(rows: pa.Table, name: str) -> Int64Array:
    """A column as int64[n]; 0 where it is null."""
    column = rows[name].cast(pa.int64()).fill_null(0)
    return np.asarray(column) if column.num_chunks else np.empty(0, np.int64)


def _groups(keys: UInt64Array) -> Int64Array:
    """For each row the first row of the chunk that has the same id: int64[n]."""
    count = len(keys)
    first = np.arange(count, dtype=np.int64)
    high = np.sort(keys[:, 0])
    if not (high[1:] == high[:-1]).any():
        return first
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    begins = np.ones(count, np.bool_)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    heads = order[np.flatnonzero(begins)]
    first[order] = heads[np.cumsum(begins) - 1]
    return first


def _decide(offer: _Offer, horizon: int | None, limits: Limits) -> _Verdicts:
    """All rows at once, as long as no payment jumps; else one by one."""
    count = len(offer.times)
    code = np.full(count, KEPT, np.int8)
    code[offer.times > offer.latest] = FUTURE
    code[~offer.amount_ok] = AMOUNT
    rival = np.full(count, -1, np.int64)
    recorded = offer.known_seq >= 0
    code[recorded] = CONFLICT
    rows = np.arange(count, dtype=np.int64)
    if (offer.group != rows).any():
        # The first row of each id that nothing speaks against is recorded; later ones meet it.
        holder = np.full(count, count, np.int64)
        free = np.flatnonzero(code == KEPT)
        np.minimum.at(holder, offer.group[free], free)
        mine = holder[offer.group]
        later = (rows > mine) & ~recorded
        rival[later] = mine[later]
        code[later] = CONFLICT
    same = np.zeros(count, np.bool_)
    places = np.flatnonzero(recorded)
    same[places] = (offer.contents[places] == offer.known_contents[places]).all(axis=1)
    places = np.flatnonzero(rival >= 0)
    same[places] = (offer.contents[places] == offer.contents[rival[places]]).all(axis=1)
    code[same] = KNOWN
    if limits.max_jump_us is not None:
        times = offer.times[code == KEPT]
        if len(times):
            before = np.maximum.accumulate(np.concatenate(([times[0] if horizon is None else horizon], times[:-1])))
            if (times - before > limits.max_jump_us).any():
                return _decide_one_by_one(offer, horizon, limits.max_jump_us)
    return _Verdicts(code, rival, np.zeros(0, np.int64))


def _decide_one_by_one(offer: _Offer, horizon: int | None, max_jump: int) -> _Verdicts:
    count = len(offer.times)
    code = np.full(count, KEPT, np.int8)
    rival = np.full(count, -1, np.int64)
    horizons = np.zeros(count, np.int64)
    holder: dict[int, int] = {}
    known = offer.known_seq.tolist()
    groups = offer.group.tolist()
    times, latest, amount_ok = offer.times.tolist(), offer.latest.tolist(), offer.amount_ok.tolist()
    for row in range(count):
        first = holder.get(groups[row], -1)
        if known[row] >= 0:
            same = bool((offer.contents[row] == offer.known_contents[row]).all())
            code[row] = KNOWN if same else CONFLICT
        elif first >= 0:
            same = bool((offer.contents[row] == offer.contents[first]).all())
            code[row] = KNOWN if same else CONFLICT
            rival[row] = first
        elif not amount_ok[row]:
            code[row] = AMOUNT
        elif times[row] > latest[row]:
            code[row] = FUTURE
        elif horizon is not None and times[row] - horizon > max_jump:
            code[row] = JUMP
            horizons[row] = horizon
        else:
            holder[groups[row]] = row
            horizon = times[row] if horizon is None else max(horizon, times[row])
    return _Verdicts(code, rival, horizons)


def _explain(
    payments: pa.Table, rows: pa.Table, verdicts: _Verdicts, known_seq: Int64Array, next_seq: int, limits: Limits
) -> pa.Table:
    """The refused rows with file, row, value, reason and a sentence that says the mend."""
    refused = np.flatnonzero(verdicts.code >= CONFLICT)
    if len(refused) == 0:
        return REJECTED_SCHEMA.empty_table()
    given = np.cumsum(verdicts.code == KEPT) - 1 + next_seq
    few = rows.take(pa.array(refused))
    names = payments.column_names
    files = payments["file"].take(pa.array(refused)).cast(pa.string()).to_pylist() if "file" in names else None
    places = payments["row"].take(pa.array(refused)).to_pylist() if "row" in names else None
    columns: dict[str, list[object]] = {name: [] for name in REJECTED_SCHEMA.names}
    ids = few["tx_id"].to_pylist()
    times, recorded = _numbers(few, "event_time").tolist(), _numbers(few, "recorded_time").tolist()
    for at, row in enumerate(refused.tolist()):
        code = int(verdicts.code[row])
        reason, column = REASONS[code]
        if code == CONFLICT:
            rival = int(verdicts.rival[row])
            seq = int(known_seq[row]) if rival < 0 else int(given[rival])
            value, message = ids[at], _conflict(ids[at], seq)
        elif code == FUTURE:
            value, message = _moment(times[at]), _future(times[at], recorded[at], limits.max_ahead_us)
        elif code == JUMP:
            value, message = _moment(times[at]), _jump(times[at], int(verdicts.horizon[row]), limits.max_jump_us or 0)
        else:
            column, value = _out_of_range(few.slice(at, 1))
            message = _amount(column.replace("_", " "), value)
        columns["file"].append((files[at] if files else None) or "")
        columns["row"].append(places[at] if places and places[at] is not None else row + 1)
        for name, item in (("column", column), ("value", value), ("reason", reason), ("message", message)):
            columns[name].append(item)
    return pa.table(columns, schema=REJECTED_SCHEMA)


def _moment(microseconds: int) -> str:
    """ISO 8601, for every int64 (Python's datetime ends with the year 9999).

    Examples
    --------
    >>> _moment(0)
    '1970-01-01T00:00:00+00:00'
    """
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        return f"{microseconds} microseconds since 1970"


def _conflict(tx_id: str, seq: int) -> str:
    return (
        f"payment {tx_id!r} is recorded already as number {seq} with other content. To mend: give this payment an id "
        "of its own; a correction is a record of its own and never replaces the first."
    )


def _future(time: int, recorded: int, ahead: int) -> str:
    return (
        f"the payment is dated {_moment(time)}, more than {ahead / DAY_US:g} d after it was recorded "
        f"({_moment(recorded)}). To mend: correct the date, or raise the setting max_ahead."
    )


def _jump(time: int, horizon: int, jump: int) -> str:
    return (
        f"the payment is dated {_moment(time)}, more than {jump / DAY_US:g} d beyond the latest one before it "
        f"({_moment(horizon)}). To mend: correct the date, or give --allow-jump where the gap is real."
    )


def _out_of_range(row: pa.Table) -> tuple[str, str]:
    """The first amount or balance of a refused payment that cannot be: its column and its value."""
    least = {"amount": 0, "received_amount": 0, **dict.fromkeys(BALANCES, -MAX_AMOUNT)}
    values = ((name, row[name][0].as_py()) for name in least)
    return next(
        (name, str(value)) for name, value in values if value is not None and not least[name] <= value <= MAX_AMOUNT
    )


def _amount(what: str, value: str) -> str:
    if what.endswith("balance"):
        return f"the {what} {value} is beyond {MAX_AMOUNT} minor units. To mend: correct it, or leave it out."
    if value.startswith("-"):
        return (
            f"the amount {value} is negative. To mend: swap sender and receiver, or record the reversal as a payment "
            "of its own."
        )
    return f"the amount {value} is above {MAX_AMOUNT} minor units. To mend: correct the amount or its currency."
