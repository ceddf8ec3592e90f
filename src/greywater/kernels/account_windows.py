"""Windows of an account at any moment: as of each payment in a stream, and from the payments held in one record.

A record holds payments as int64: how many were sent, how many received, then (time, amount, mark) of each, sent ones
first, each list in (time, arrival) order. The mark is 4 times a number of the counterparty, plus 2 where no later
payment of the list has the same counterparty, plus 1 where it was the first ever of its pair. So the distinct
counterparties of all that is not before a place are the marks with a 2 from there on, and all windows that end at one
moment are worked out in one pass from the newest payment to the oldest.
"""

from __future__ import annotations

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.lists import (
    AMOUNT,
    CAP_END,
    FAR,
    HIGH,
    LATEST,
    NEVER,
    NEXT,
    NONE,
    ORIGIN,
    PAIR_NEW,
    QUERY,
    TIME,
    ZERO,
    Lists,
    advance,
    append_payment,
    make_room,
    position_after,
)
from greywater.kernels.wide import add_128, moments, square_128
from greywater.kernels.windows import DAY_US, LookBack, Payments, _write_searched, _write_slid, window_bound
from greywater.vocab import Float64Array, Int64Array

__all__ = ["HEAD", "HELD", "copy_held", "count_held", "take", "windows_at"]

#: int64 before the payments of a record, and of each payment.
HEAD, HELD = 2, 3


@inlined
def _after(tail: Int64Array, first: Int, count: Int, time: Int) -> Int:
    """Place, among `count` payments from `first` on, of the first later than `time`."""
    low, high = np.int64(0), np.int64(count)
    while low < high:
        middle = (low + high) // 2
        if tail[first + HELD * middle] <= time:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def _leaves(look: LookBack, w: Int, time: Int) -> Int:
    """The moment at which a payment of `time` is in window w no more."""
    if look.days[w] == 1:
        return (time // DAY_US + look.lengths[w]) * DAY_US
    return time + look.lengths[w]


@kernel
def windows_at(
    look: LookBack, tail: Int64Array, time: Int, horizon: Int, included: Int64Array,
    ints: Int64Array, floats: Float64Array, starts: Int64Array,
) -> Int:  # fmt: skip
    """Write what an account sent and received in each window that ends at `time`; returns the next change.

    That is the next moment at which a value changes if no payment comes, FAR = never.

    Parameters
    ----------
    tail : int64[HEAD + HELD n]
        The payments; those later than `time` must not be among them.
    horizon : int
        H; payments at or before `horizon` - hold are hidden.
    included : int64[2]
        1 where the last payment sent (received) is in its windows however late it is.
    ints : int64[2 * 3 W]
        Sent, then received: each of COUNTS over all windows.
    floats : float64[2 * 5 W]
        Sent, then received: each of FLOATS over all windows.
    starts : int64[2 W]
        Scratch.
    """
    windows = look.lengths.shape[0]
    change = FAR
    for side in range(2):
        first = np.int64(HEAD) + (HELD * tail[0] if side == 1 else np.int64(0))
        count = tail[side]
        for w in range(windows):
            start = min(_after(tail, first, count, window_bound(look, w, time, horizon)), count - included[side])
            # Insertion into the windows passed so far, latest start first: they are finished in that order.
            place = w
            while place > 0 and starts[starts[windows + place - 1]] < start:
                starts[windows + place] = starts[windows + place - 1]
                place -= 1
            starts[w] = start
            starts[windows + place] = w
            if start < count:
                change = min(change, max(_leaves(look, w, tail[first + HELD * start]), time + 1))
        position = count
        distinct, news, known = np.int64(0), np.int64(0), np.int64(0)
        low, high = np.int64(-1), np.int64(-1)
        sum_low, sum_high, square_low, square_high = ZERO, ZERO, ZERO, ZERO
        for order in range(windows):
            w = starts[windows + order]
            while position > starts[w]:
                position -= 1
                entry = first + HELD * position
                mark, amount = tail[entry + 2], tail[entry + 1]
                distinct += (mark >> np.int64(1)) & np.int64(1)
                news += mark & np.int64(1)
                if amount >= 0:
                    known += 1
                    high = max(high, amount)
                    low = amount if low < 0 else min(low, amount)
                    value = np.uint64(amount)
                    part_low, part_high = square_128(value)
                    sum_low, sum_high = add_128(sum_low, sum_high, value, ZERO)
                    square_low, square_high = add_128(square_low, square_high, part_low, part_high)
            total, mean, deviation = moments(known, sum_low, sum_high, square_low, square_high)
            i, f = 3 * windows * side + w, 5 * windows * side + w
            ints[i] = count - starts[w]
            ints[i + windows] = distinct
            ints[i + 2 * windows] = news
            floats[f] = total
            floats[f + windows] = mean
            floats[f + 2 * windows] = deviation
            floats[f + 3 * windows] = np.float64(low) if low >= 0 else np.nan
            floats[f + 4 * windows] = np.float64(high) if high >= 0 else np.nan
    return change


@inlined
def _first_wanted(lists: Lists, look: LookBack, account: Int, time: Int, horizon: Int) -> Int:
    """Position of the first entry that a window at `time` or later may want."""
    bound = FAR
    for w in range(look.lengths.shape[0]):
        bound = min(bound, window_bound(look, w, time, horizon))
    return position_after(lists, account, bound)


@kernel
def count_held(
    sent: Lists, received: Lists, look: LookBack, accounts: Int64Array, horizon: Int,
    events: Int64Array, counts: Int64Array,
) -> None:  # fmt: skip
    """Of each account the last event time int64[n], NEVER = none yet, and int64[2, n] payments a record holds."""
    for k in range(accounts.shape[0]):
        account = accounts[k]
        time = max(sent.heads[account, LATEST], received.heads[account, LATEST])
        events[k] = time
        counts[0, k], counts[1, k] = 0, 0
        if time != NEVER:
            counts[0, k] = sent.heads[account, HIGH] - _first_wanted(sent, look, account, time, horizon)
            counts[1, k] = received.heads[account, HIGH] - _first_wanted(received, look, account, time, horizon)


@kernel
def _copy_side(lists: Lists, account: Int, count: Int, tail: Int64Array, at: Int) -> Int:
    origin, high = lists.heads[account, ORIGIN], lists.heads[account, HIGH]
    for position in range(high - count, high):
        entry = origin + position
        number = np.int64(lists.links[entry, PAIR_NEW] >> 1)
        new = np.int64(lists.links[entry, PAIR_NEW] & 1)
        last = np.int64(2) if lists.links[entry, NEXT] == NONE else np.int64(0)
        tail[at] = lists.entries[entry, TIME]
        tail[at + 1] = lists.entries[entry, AMOUNT]
        tail[at + 2] = number * np.int64(4) + last + new
        at += HELD
    return at


@kernel
def copy_held(
    sent: Lists, received: Lists, look: LookBack, accounts: Int64Array, horizon: Int, events: Int64Array,
    counts: Int64Array, begins: Int64Array, tails: Int64Array, included: Int64Array, ints: Int64Array,
    floats: Float64Array, starts: Int64Array, changes: Int64Array,
) -> None:  # fmt: skip
    """Lay out the payments of each account from its place in `tails` on, and its windows as of its last event.

    Parameters
    ----------
    events, counts
        As `count_held` wrote them.
    begins : int64[n]
        Where in `tails` each account begins.
    tails : int64[...]
        Out.
    included : int64[2]
        Zeros.
    ints, floats : int64[n, 6 W], float64[n, 10 W]
        Out, as of `windows_at`.
    starts : int64[2 W]
        Scratch.
    changes : int64[n]
        Out: the next change of each.
    """
    for k in range(accounts.shape[0]):
        begin = begins[k]
        tails[begin], tails[begin + 1] = counts[0, k], counts[1, k]
        at = _copy_side(sent, accounts[k], counts[0, k], tails, begin + HEAD)
        at = _copy_side(received, accounts[k], counts[1, k], tails, at)
        changes[k] = windows_at(look, tails[begin:at], events[k], horizon, included, ints[k], floats[k], starts)


@kernel
def take(
    lists: Lists, look: LookBack, payments: Payments, begin: Int, ints: Int64Array, floats: Float64Array,
    known: Float64Array, bounds: Int64Array,
) -> Int:  # fmt: skip
    """Take payments from `begin` on through one side, with the windows of both parties; returns how far it came.

    As `windows.process`, of which it is a part, but for parties outside the bank as well: those have 0 and NaN
    themselves, and the other party its values.

    Parameters
    ----------
    ints : int64[n, 2 * 3 W]
        Own, then the other party's: each of COUNTS over all windows.
    floats : float64[n, 2 * 5 W]
        Own, then the other party's: each of FLOATS over all windows.
    known, bounds : float64[W], int64[W]
        Scratch.
    """
    windows = look.lengths.shape[0]
    for k in range(begin, payments.time.shape[0]):
        time, horizon, amount = payments.time[k], payments.horizon[k], payments.amount[k]
        own, pair = np.int64(payments.own[k]), np.int64(payments.pair[k])
        listed = own >= 0 and pair >= 0
        if listed and lists.heads[own, HIGH] == lists.heads[own, CAP_END]:
            expired = payments.horizon[k - 1] - look.hold[0] if k > 0 else NEVER
            if not make_room(lists, own, expired):
                return k
        for w in range(windows):
            bounds[w] = window_bound(look, w, time, horizon)
        for view in range(2):
            account = own if view == 0 else np.int64(payments.other[k])
            i, f = 3 * windows * view, 5 * windows * view
            if account < 0:
                ints[k, i : i + 3 * windows] = 0
                floats[k, f : f + 5 * windows] = np.nan
                continue
            in_order = time >= lists.heads[account, QUERY]
            if in_order:
                for w in range(windows):
                    advance(lists, account, w, bounds[w])
                lists.heads[account, QUERY] = time
            if view == 0 and listed:
                append_payment(lists, own, time, amount, pair, np.int64(payments.new[k]))
            if in_order:
                _write_slid(lists, account, known, ints[k], floats[k], i, f)
            else:
                itself = 1 if view == 0 and listed else 0
                _write_searched(lists, look, account, time, horizon, itself, ints[k], floats[k], i, f)
    return payments.time.shape[0]
