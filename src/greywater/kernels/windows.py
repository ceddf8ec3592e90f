"""Sliding windows of one side: what an account sent (or received) in (t - w, t], exact, as of each payment.

`process` takes consecutive payments through one side. For each it appends the payment to the list of the account
that sent (received) it and writes two views: that account's own ("own": the payment itself included) and the other
party's behaviour in the same direction ("other"). The two sides share nothing and run on two threads without locks.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.lists import (
    AMOUNT,
    CAP_END,
    DISTINCT,
    HIGH,
    KEEPS_EXTREMES,
    KEEPS_SQUARES,
    KEEPS_SUMS,
    LATEST,
    LEAVES,
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
from greywater.kernels.prefetch import prefetch
from greywater.kernels.wide import add_128, float_of_128, moments, spread_numerator, square_128
from greywater.vocab import Float64Array, Int64Array

__all__ = [
    "COUNTS", "FLOATS", "OWN_RATIOS", "Asked", "LookBack", "PairColumns", "Payments", "process", "process_self",
]  # fmt: skip

DAY_US = np.int64(86_400_000_000)
#: Payments before its own that an account's state and the end of its list are asked for, and bytes of a cache line.
AHEAD, NEAR, LINE = 12, 6, 64
#: int64 columns a window has, in this order.
COUNTS = ("count", "counterparties", "new_counterparties")
#: float64 columns a window has, in this order.
FLOATS = ("sum", "mean", "std", "min", "max")
#: float64 columns of the own view that leave the payment itself out.
OWN_RATIOS = ("amount_to_mean", "amount_to_max", "amount_zscore")


class LookBack(NamedTuple):
    """Windows, in increasing order. lengths int64[W]: microseconds, or whole days where days[W] is 1;
    ratios int64[R]: indices of the windows that also yield OWN_RATIOS; hold int64[1]: microseconds behind H that
    are held (the longest look-back and the allowed lateness); holds int64[W]: those that each window sees."""

    lengths: Any
    days: Any
    ratios: Any
    hold: Any
    holds: Any


class Asked(NamedTuple):
    """Which columns of a side are written: views int64[2], 1 where any column of the own and of the other view is;
    int_rows int64[I] and float_rows int64[F] the rows of one payment's line (see `process`) that they come from."""

    views: Any
    int_rows: Any
    float_rows: Any


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
    return max(bound, horizon - look.holds[w])


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
def _write_slid(
    lists: Lists, account: Int, known: Float64Array, ints: Int64Array, floats: Float64Array, i: Int, f: Int
) -> None:
    """Write an account's windows as they stand after `advance`; `known` float64[W] is scratch.

    What divides comes last, over all windows at once: those are vector instructions.
    """
    places, values, sums, heads = (
        lists.places[account],
        lists.values[account],
        lists.sums[account],
        lists.heads[account],
    )
    windows = known.shape[0]
    adding, squaring = lists.kept[KEEPS_SUMS] == 1, lists.kept[KEEPS_SQUARES] == 1
    comparing = lists.kept[KEEPS_EXTREMES] == 1
    for w in range(windows):
        p, v, s = w * PLACES, w * VALUES, w * SUMS
        ints[i + w] = heads[HIGH] - places[p + START]
        ints[i + windows + w] = places[p + DISTINCT]
        ints[i + 2 * windows + w] = places[p + NEWS]
        valids = np.int64(places[p + VALIDS])
        known[w] = np.float64(valids)
        if adding:
            floats[f + w] = float_of_128(sums[s], sums[s + SUM_HIGH])
        if squaring:
            floats[f + 2 * windows + w] = spread_numerator(
                valids,
                sums[s],
                sums[s + SUM_HIGH],
                sums[s + SQUARE_LOW],
                sums[s + SQUARE_HIGH],
            )
        if comparing:
            low, high = values[v + MIN], values[v + MAX]
            floats[f + 3 * windows + w] = np.float64(low) if low >= 0 else np.nan
            floats[f + 4 * windows + w] = np.float64(high) if high >= 0 else np.nan
    if not adding:
        return
    for w in range(windows):
        floats[f + windows + w] = floats[f + w] / known[w]
    if not squaring:
        return
    for w in range(windows):
        floats[f + 2 * windows + w] = math.sqrt(floats[f + 2 * windows + w] / (known[w] * (known[w] - 1.0)))


@kernel
def _write_searched(
    lists: Lists, look: LookBack, account: Int, time: Int, horizon: Int, itself: Int,
    ints: Int64Array, floats: Float64Array, i: Int, f: Int,
) -> None:  # fmt: skip
    """Write the windows of an account asked about a moment before its last query: search and scan.

    `itself` is 1 where the payment stands at `end` - 1: it is in its windows however late it is.
    """
    windows = look.lengths.shape[0]
    end = position_after(lists, account, time)
    for w in range(windows):
        start = min(position_after(lists, account, window_bound(look, w, time, horizon)), end - itself)
        distinct, new, _, total, mean, deviation, low, high = _scan(lists, account, start, end)
        ints[i + w] = end - start
        ints[i + windows + w] = distinct
        ints[i + 2 * windows + w] = new
        floats[f + w] = total
        floats[f + windows + w] = mean
        floats[f + 2 * windows + w] = deviation
        floats[f + 3 * windows + w] = np.float64(low) if low >= 0 else np.nan
        floats[f + 4 * windows + w] = np.float64(high) if high >= 0 else np.nan


@inlined
def _write_lifetime(
    lists: Lists, account: Int, time: Int, bound: Int, ints: Int64Array, floats: Float64Array, i: Int, f: Int
) -> None:
    """Payments ever and seconds since the last one, this payment left out: call it before appending."""
    ints[i] = lists.heads[account, TOTAL]
    last = lists.heads[account, LATEST]
    if time < lists.heads[account, QUERY]:
        end = position_after(lists, account, bound)
        ints[i] -= lists.heads[account, HIGH] - end
        last = lists.freed[account]
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
def _fetch_leaving(lists: Lists, account: Int, bounds: Int64Array) -> None:
    """Ask for the entries that `advance` will let go, all at once: their loads wait for memory side by side."""
    places, values, heads = lists.places[account], lists.values[account], lists.heads[account]
    for w in range(bounds.shape[0]):
        if values[w * VALUES + LEAVES] <= bounds[w]:
            entry = heads[ORIGIN] + places[w * PLACES + START]
            prefetch(lists.entries, entry, 0)


@inlined
def _fetch_state(lists: Lists, account: Int) -> None:
    """Ask for the state of an account that comes in a few payments: heads, places, values, sums."""
    if account < 0:
        return
    prefetch(lists.heads, account, 0)
    for byte in range(0, 4 * lists.places.shape[1], LINE):
        prefetch(lists.places, account, byte)
    for byte in range(0, 8 * lists.values.shape[1], LINE):
        prefetch(lists.values, account, byte)
    if lists.kept[KEEPS_SUMS] == 1:
        for byte in range(0, 8 * lists.sums.shape[1], LINE):
            prefetch(lists.sums, account, byte)


@inlined
def _fetch_tail(lists: Lists, account: Int) -> None:
    """Ask for the place behind the newest entry of an account whose heads are near."""
    if account >= 0:
        prefetch(lists.entries, lists.heads[account, ORIGIN] + lists.heads[account, HIGH], 0)


@kernel
def process(
    lists: Lists, look: LookBack, asked: Asked, payments: Payments, pairs: PairColumns, begin: Int, ints: Int64Array,
    floats: Float64Array, line_ints: Int64Array, line_floats: Float64Array, known: Float64Array, bounds: Int64Array,
) -> Int:  # fmt: skip
    """Take payments from `begin` on through one side; returns how far it came.

    Less than n means that the arena is full: pack it and call again from there.

    Parameters
    ----------
    ints, floats : int64[I or more, n], float64[F or more, n]
        Out: the rows of the line that are asked for.
    line_ints : int64[2 (3 W + 1)]
        Scratch, a payment's line. Own view then other view: each of COUNTS over all windows, then payments ever before.
    line_floats : float64[2 (5 W + 1) + 3 R]
        Own view then other view: each of FLOATS over all windows, then seconds since the last; then OWN_RATIOS.
    known, bounds : float64[W], int64[W]
        Scratch: the amounts known in each window, where each window begins.
    """
    windows, n = look.lengths.shape[0], payments.time.shape[0]
    for k in range(begin, n):
        if k + AHEAD < n:
            _fetch_state(lists, np.int64(payments.own[k + AHEAD]))
            if payments.pair[k + AHEAD] >= 0:
                prefetch(lists.pair_last, np.int64(payments.pair[k + AHEAD]), 0)
            if asked.views[1] == 1:
                _fetch_state(lists, np.int64(payments.other[k + AHEAD]))
            _fetch_tail(lists, np.int64(payments.own[k + NEAR]))
        time, horizon, amount = payments.time[k], payments.horizon[k], payments.amount[k]
        own, pair = np.int64(payments.own[k]), np.int64(payments.pair[k])
        listed = own >= 0 and pair >= 0
        if listed and lists.heads[own, HIGH] == lists.heads[own, CAP_END]:
            expired = payments.horizon[k - 1] - look.hold[0] if k > 0 else NEVER
            if not make_room(lists, own, expired):
                return k
        if payments.scored[k] == 1:
            bound = max(time, horizon - look.hold[0])
            for w in range(windows):
                bounds[w] = window_bound(look, w, time, horizon)
            if asked.views[0] == 1:
                _fetch_leaving(lists, own, bounds)
            if asked.views[1] == 1:
                _fetch_leaving(lists, np.int64(payments.other[k]), bounds)
            if pairs.late[FORWARD, k] == 1:
                recount_late(lists, own, pair, time, bound, FORWARD, k, pairs.counts, pairs.floats)
            if pairs.late[REVERSE, k] == 1:
                other, back = np.int64(payments.other[k]), np.int64(pairs.reverse[k])
                recount_late(lists, other, back, time, bound, REVERSE, k, pairs.counts, pairs.floats)
            for view in range(2):
                wanted = asked.views[view] == 1
                account = own if view == 0 else np.int64(payments.other[k])
                i, f = view * (3 * windows + 1), view * (5 * windows + 1)
                in_order = time >= lists.heads[account, QUERY]
                if wanted:
                    _write_lifetime(
                        lists, account, time, bound, line_ints, line_floats, i + 3 * windows, f + 5 * windows
                    )
                if wanted and in_order:
                    for w in range(windows):
                        advance(lists, account, w, bounds[w])
                    lists.heads[account, QUERY] = time
                if view == 0:
                    paid = amount if listed else -1
                    _write_ratios(lists, look, own, time, horizon, paid, line_floats, 2 * (5 * windows + 1))
                    if listed:
                        append_payment(lists, own, time, amount, pair, np.int64(payments.new[k]))
                if wanted and in_order:
                    _write_slid(lists, account, known, line_ints, line_floats, i, f)
                elif wanted:
                    itself = 1 if view == 0 and listed else 0
                    _write_searched(lists, look, account, time, horizon, itself, line_ints, line_floats, i, f)
        else:
            line_ints[:] = 0
            line_floats[:] = np.nan
            if listed:
                append_payment(lists, own, time, amount, pair, np.int64(payments.new[k]))
        for c in range(asked.int_rows.shape[0]):
            ints[c, k] = line_ints[asked.int_rows[c]]
        for c in range(asked.float_rows.shape[0]):
            floats[c, k] = line_floats[asked.float_rows[c]]
    return n


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
