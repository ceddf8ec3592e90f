"""Sliding windows of one side: what an account sent (or received) in (t - w, t], exact, as of each payment.

`process` takes consecutive payments through one side. For each it appends the payment to the list of the account
that sent (received) it and writes two views: that account's own ("own": the payment itself included) and the other
party's behaviour in the same direction ("other"). The two sides share nothing and run on two threads without locks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.lists import (
    AMOUNT,
    CAP_END,
    DISTINCT,
    FREED,
    HIGH,
    LOW,
    MAX,
    MIN,
    NEVER,
    NEWS,
    NEXT,
    NONE,
    ORIGIN,
    PAIR_NEW,
    PLACES,
    QUERY,
    SQUARE_HIGH,
    SQUARE_LOW,
    START,
    SUM_HIGH,
    SUMS,
    TIME,
    TOTAL,
    VALIDS,
    VALUES,
    ZERO,
    Lists,
    advance,
    append_payment,
    make_room,
    position_after,
)
from greywater.kernels.pairs import FORWARD, REVERSE, recount_late
from greywater.kernels.wide import add_128, moments, square_128
from greywater.vocab import Float64Array, Int64Array

__all__ = ["COUNTS", "FLOATS", "OWN_RATIOS", "TILE", "LookBack", "PairColumns", "Payments", "process", "process_self"]

DAY_US = np.int64(86_400_000_000)
TILE = 64
#: int64 columns a window has, in this order.
COUNTS = ("count", "counterparties", "new_counterparties")
#: float64 columns a window has, in this order.
FLOATS = ("sum", "mean", "std", "min", "max")
#: float64 columns of the own view that leave the payment itself out.
OWN_RATIOS = ("amount_to_mean", "amount_to_max", "amount_zscore")


class LookBack(NamedTuple):
    """Windows, in increasing order. lengths int64[W]: microseconds, or whole days where days[W] is 1;
    ratios int64[R]: indices of the windows that also yield OWN_RATIOS; hold int64[1]: microseconds behind H that
    are held (the longest look-back and the allowed lateness)."""

    lengths: Any
    days: Any
    ratios: Any
    hold: Any


class Payments(NamedTuple):
    """Consecutive payments of one side. own, other int32[n] account codes, -1 = outside the bank; pair int32[n],
    -1 = self-payment; new uint8[n] first ever of its pair; time, horizon (H) int64[n] microseconds; amount int64[n]
    minor units, -1 = unknown; scored uint8[n]."""

    own: Any
    other: Any
    pair: Any
    new: Any
    time: Any
    horizon: Any
    amount: Any
    scored: Any


class PairColumns(NamedTuple):
    """What `pairs.meet` wrote of each payment. late uint8[2, n] (all 0 on the "in" side, which leaves the pairs
    alone); reverse int32[n]; counts int64[2, n] and floats float64[4, n], corrected here where late is 1."""

    late: Any
    reverse: Any
    counts: Any
    floats: Any


@inlined
def window_bound(look: LookBack, w: Int, time: Int, horizon: Int) -> Int:
    """Payments later than this and not later than `time` are in window w (SEMANTICS: What payment i sees)."""
    if look.days[w] == 1:
        bound = (time // DAY_US - look.lengths[w] + 1) * DAY_US - 1
    else:
        bound = time - look.lengths[w]
    return max(bound, horizon - look.hold[0])


@kernel
def _scan(lists: Lists, account: Int, start: Int, end: Int) -> Any:
    """(distinct, new, known, sum, mean, std, least, greatest) of positions [start, end), entry by entry."""
    origin = lists.heads[account, ORIGIN]
    distinct, new, known = 0, np.int64(0), 0
    low, high = np.int64(-1), np.int64(-1)
    sum_low, sum_high, square_low, square_high = ZERO, ZERO, ZERO, ZERO
    for position in range(start, end):
        following = lists.links[origin + position, NEXT]
        if following == NONE or following >= end:
            distinct += 1
        new += np.int64(lists.links[origin + position, PAIR_NEW] & 1)
        amount = lists.entries[origin + position, AMOUNT]
        if amount >= 0:
            known += 1
            high = max(high, amount)
            low = amount if low < 0 else min(low, amount)
            value = np.uint64(amount)
            part_low, part_high = square_128(value)
            sum_low, sum_high = add_128(sum_low, sum_high, value, ZERO)
            square_low, square_high = add_128(square_low, square_high, part_low, part_high)
    total, mean, deviation = moments(known, sum_low, sum_high, square_low, square_high)
    return distinct, new, known, total, mean, deviation, low, high


@inlined
def _write_slid(lists: Lists, account: Int, w: Int, ints: Int64Array, floats: Float64Array, i: Int, f: Int) -> None:
    """Write window w as it stands after `advance`: ints[i:i+3] and floats[f:f+5]."""
    p, v, s = w * PLACES, w * VALUES, w * SUMS
    ints[i] = lists.heads[account, HIGH] - lists.places[account, p + START]
    ints[i + 1] = lists.places[account, p + DISTINCT]
    ints[i + 2] = lists.places[account, p + NEWS]
    total, mean, deviation = moments(
        np.int64(lists.places[account, p + VALIDS]),
        lists.sums[account, s],
        lists.sums[account, s + SUM_HIGH],
        lists.sums[account, s + SQUARE_LOW],
        lists.sums[account, s + SQUARE_HIGH],
    )
    floats[f] = total
    floats[f + 1] = mean
    floats[f + 2] = deviation
    low, high = lists.values[account, v + MIN], lists.values[account, v + MAX]
    floats[f + 3] = np.float64(low) if low >= 0 else np.nan
    floats[f + 4] = np.float64(high) if high >= 0 else np.nan


@kernel
def _write_searched(
    lists: Lists, look: LookBack, account: Int, time: Int, horizon: Int, itself: Int,
    ints: Int64Array, floats: Float64Array, i: Int, f: Int,
) -> None:  # fmt: skip
    """Write the windows of an account asked about a moment before its last query: search and scan.

    `itself` is 1 where the payment stands at `end` - 1: it is in its windows however late it is.
    """
    end = position_after(lists, account, time)
    for w in range(look.lengths.shape[0]):
        start = min(position_after(lists, account, window_bound(look, w, time, horizon)), end - itself)
        distinct, new, _, total, mean, deviation, low, high = _scan(lists, account, start, end)
        ints[i + 3 * w] = end - start
        ints[i + 3 * w + 1] = distinct
        ints[i + 3 * w + 2] = new
        floats[f + 5 * w] = total
        floats[f + 5 * w + 1] = mean
        floats[f + 5 * w + 2] = deviation
        floats[f + 5 * w + 3] = np.float64(low) if low >= 0 else np.nan
        floats[f + 5 * w + 4] = np.float64(high) if high >= 0 else np.nan


@inlined
def _write_lifetime(
    lists: Lists, account: Int, time: Int, bound: Int, ints: Int64Array, floats: Float64Array, i: Int, f: Int
) -> None:
    """Payments ever and seconds since the last one, this payment left out: call it before appending."""
    end = lists.heads[account, HIGH]
    ints[i] = lists.heads[account, TOTAL]
    if time < lists.heads[account, QUERY]:
        end = position_after(lists, account, bound)
        ints[i] -= lists.heads[account, HIGH] - end
    last = lists.heads[account, FREED]
    if end > lists.heads[account, LOW]:
        last = max(last, lists.entries[lists.heads[account, ORIGIN] + end - 1, TIME])
    if last == NEVER or last > time:
        floats[f] = np.nan
    else:
        floats[f] = np.float64(time - last) / 1e6


@inlined
def _write_ratios(
    lists: Lists, look: LookBack, account: Int, time: Int, horizon: Int, amount: Int, floats: Float64Array, f: Int
) -> None:
    """The amount against the account's own past in the ratio windows: after `advance`, before appending."""
    for r in range(look.ratios.shape[0]):
        w, place = look.ratios[r], f + 3 * r
        for c in range(3):
            floats[place + c] = np.nan
        if amount < 0:
            continue
        if time >= lists.heads[account, QUERY]:
            known = np.int64(lists.places[account, w * PLACES + VALIDS])
            s = w * SUMS
            _, mean, deviation = moments(
                known,
                lists.sums[account, s],
                lists.sums[account, s + SUM_HIGH],
                lists.sums[account, s + SQUARE_LOW],
                lists.sums[account, s + SQUARE_HIGH],
            )
            greatest = lists.values[account, w * VALUES + MAX]
        else:
            end = position_after(lists, account, time)
            start = min(position_after(lists, account, window_bound(look, w, time, horizon)), end)
            _, _, known, _, mean, deviation, _, greatest = _scan(lists, account, start, end)
        if known > 0 and greatest > 0:
            floats[place] = amount / mean
            floats[place + 1] = amount / np.float64(greatest)
        if known > 1 and deviation > 0:
            floats[place + 2] = (amount - mean) / deviation


@inlined
def _flush(
    tile_ints: Int64Array, tile_floats: Float64Array, rows: Int, begin: Int, ints: Int64Array, floats: Float64Array
) -> None:
    """Transpose a tile of rows into the columns."""
    for c in range(tile_ints.shape[1]):
        for r in range(rows):
            ints[c, begin + r] = tile_ints[r, c]
    for c in range(tile_floats.shape[1]):
        for r in range(rows):
            floats[c, begin + r] = tile_floats[r, c]


@kernel
def process(
    lists: Lists, look: LookBack, payments: Payments, pairs: PairColumns, begin: Int, ints: Int64Array,
    floats: Float64Array, tile_ints: Int64Array, tile_floats: Float64Array,
) -> Int:  # fmt: skip
    """Take payments from `begin` on through one side; returns how far it came.

    Less than n means that the arena is full: pack it and call again from there.

    Parameters
    ----------
    ints : int64[2 (3 W + 1), n]
        Own view then other view: COUNTS of each window, then payments ever before.
    floats : float64[2 (5 W + 1) + 3 R, n]
        Own view then other view: FLOATS of each window, then seconds since the last; then OWN_RATIOS.
    tile_ints, tile_floats : int64[TILE, ...], float64[TILE, ...]
        Scratch: rows are written here and transposed TILE at a time.
    """
    windows = look.lengths.shape[0]
    written, row = begin, 0
    for k in range(begin, payments.time.shape[0]):
        time, horizon, amount = payments.time[k], payments.horizon[k], payments.amount[k]
        own, pair = np.int64(payments.own[k]), np.int64(payments.pair[k])
        listed = own >= 0 and pair >= 0
        if listed and lists.heads[own, HIGH] == lists.heads[own, CAP_END]:
            expired = payments.horizon[k - 1] - look.hold[0] if k > 0 else NEVER
            if not make_room(lists, own, expired):
                _flush(tile_ints, tile_floats, row, written, ints, floats)
                return k
        line_ints, line_floats = tile_ints[row], tile_floats[row]
        if payments.scored[k] == 1:
            bound = max(time, horizon - look.hold[0])
            if pairs.late[FORWARD, k] == 1:
                recount_late(lists, own, pair, time, bound, FORWARD, k, pairs.counts, pairs.floats)
            if pairs.late[REVERSE, k] == 1:
                other, back = np.int64(payments.other[k]), np.int64(pairs.reverse[k])
                recount_late(lists, other, back, time, bound, REVERSE, k, pairs.counts, pairs.floats)
            for view in range(2):
                account = own if view == 0 else np.int64(payments.other[k])
                i, f = view * (3 * windows + 1), view * (5 * windows + 1)
                in_order = time >= lists.heads[account, QUERY]
                _write_lifetime(lists, account, time, bound, line_ints, line_floats, i + 3 * windows, f + 5 * windows)
                if in_order:
                    for w in range(windows):
                        advance(lists, account, w, window_bound(look, w, time, horizon))
                    lists.heads[account, QUERY] = time
                if view == 0:
                    paid = amount if listed else -1
                    _write_ratios(lists, look, own, time, horizon, paid, line_floats, 2 * (5 * windows + 1))
                    if listed:
                        append_payment(lists, own, time, amount, pair, np.int64(payments.new[k]))
                if in_order:
                    for w in range(windows):
                        _write_slid(lists, account, w, line_ints, line_floats, i + 3 * w, f + 5 * w)
                else:
                    itself = 1 if view == 0 and listed else 0
                    _write_searched(lists, look, account, time, horizon, itself, line_ints, line_floats, i, f)
        else:
            line_ints[:] = 0
            line_floats[:] = np.nan
            if listed:
                append_payment(lists, own, time, amount, pair, np.int64(payments.new[k]))
        row += 1
        if row == TILE:
            _flush(tile_ints, tile_floats, row, written, ints, floats)
            written += row
            row = 0
    _flush(tile_ints, tile_floats, row, written, ints, floats)
    return payments.time.shape[0]


@kernel
def process_self(
    lists: Lists, look: LookBack, payments: Payments, begin: Int, counts: Int64Array, sums: Float64Array
) -> Int:
    """Self-payments of the sender: int64[W, n] counts and float64[W, n] sums; returns how far it came.

    Self-payments count nowhere else. A list's pair number is its account's code.
    """
    windows = look.lengths.shape[0]
    for k in range(begin, payments.time.shape[0]):
        own, time, horizon = np.int64(payments.own[k]), payments.time[k], payments.horizon[k]
        itself = 1 if payments.pair[k] < 0 and own >= 0 else 0
        if itself == 1:
            if lists.heads[own, HIGH] == lists.heads[own, CAP_END]:
                expired = payments.horizon[k - 1] - look.hold[0] if k > 0 else NEVER
                if not make_room(lists, own, expired):
                    return k
            append_payment(lists, own, time, payments.amount[k], own, 0)
        for w in range(windows):
            counts[w, k] = 0
            sums[w, k] = 0.0
        if own < 0 or payments.scored[k] == 0 or lists.heads[own, HIGH] == lists.heads[own, LOW]:
            continue
        end = position_after(lists, own, time)
        for w in range(windows):
            start = min(position_after(lists, own, window_bound(look, w, time, horizon)), end - itself)
            if start < end:
                counts[w, k] = end - start
                sums[w, k] = _scan(lists, own, start, end)[3]
    return payments.time.shape[0]
