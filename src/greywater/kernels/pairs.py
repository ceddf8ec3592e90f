"""Ordered pairs of accounts and their lifetime records: how often and when one paid the other, for ever.

An open-addressing table from (sender, receiver) to a dense pair number, and one record a pair and an account.
Runs once over each block before the two sides do, because both need the pair numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from greywater.kernels.compile import Int, kernel
from greywater.kernels.lists import HIGH, LOW, NEVER, ORIGIN, PAIR_NEW, TIME, Lists, position_after
from greywater.vocab import Float64Array, Int64Array

__all__ = ["PairTable", "empty_pairs", "meet", "recount_late", "rehash"]

EMPTY = np.int64(-1)
MIX = np.int64(-7046029254386353131)
FORWARD, REVERSE = 0, 1


class PairTable(NamedTuple):
    """slots int64[2^k] pair keys, -1 = empty; numbers int32[2^k]; counts int64[P]; latest int64[P] greatest event
    time; first int64[A] least event time of any payment of the account; size int64[1] pairs known."""

    slots: Any
    numbers: Any
    counts: Any
    latest: Any
    first: Any
    size: Any


def empty_pairs(slots: int, pairs: int, accounts: int) -> PairTable:
    """A table that knows no pair; `slots` is a power of two."""
    return PairTable(
        np.full(slots, EMPTY, np.int64),
        np.zeros(slots, np.int32),
        np.zeros(pairs, np.int64),
        np.full(pairs, NEVER, np.int64),
        np.full(accounts, -NEVER, np.int64),
        np.zeros(1, np.int64),
    )


@kernel
def _slot_of(slots: Int64Array, key: Int) -> Int:
    """Slot that holds `key`, or the empty one where it belongs."""
    mask = np.int64(slots.shape[0] - 1)
    mixed = key * MIX
    slot = (mixed ^ (mixed >> np.int64(29))) & mask
    while slots[slot] != EMPTY and slots[slot] != key:
        slot = (slot + np.int64(1)) & mask
    return slot


@kernel
def rehash(slots: Int64Array, numbers: Any, new_slots: Int64Array, new_numbers: Any) -> None:
    """Move every pair into a larger table."""
    for slot in range(slots.shape[0]):
        if slots[slot] != EMPTY:
            place = _slot_of(new_slots, slots[slot])
            new_slots[place] = slots[slot]
            new_numbers[place] = numbers[slot]


@kernel
def meet(
    table: PairTable, sender: Any, receiver: Any, key_sender: Any, key_receiver: Any,
    time: Int64Array, pair: Any, reverse: Any, new: Any, counts: Int64Array, floats: Float64Array,
    late: Any,
) -> None:  # fmt: skip
    """Number the pairs of a block and write what their records say of each payment.

    Parameters
    ----------
    sender, receiver : int32[n]
        Account codes, -1 = outside the bank.
    key_sender, key_receiver : int32[n]
        Codes that also tell parties outside the bank apart.
    pair, reverse, new : int32[n], int32[n], uint8[n]
        Out: pair number (-1 = self-payment), number of the opposite pair (-1 = never met), first ever of its pair.
    counts : int64[2, n]
        Out: times the sender paid the receiver before; times the receiver paid the sender before.
    floats : float64[4, n]
        Out: seconds since each of the two; seconds since the sender's and the receiver's first payment.
    late : uint8[2, n]
        Out: 1 where the pair was seen at a later event time already, so that `recount_late` must look.
    """
    slots, numbers, met, latest = table.slots, table.numbers, table.counts, table.latest
    first, size = table.first, table.size
    for k in range(time.shape[0]):
        u, v = np.int64(key_sender[k]), np.int64(key_receiver[k])
        moment = time[k]
        for side in range(2):
            code = sender[k] if side == 0 else receiver[k]
            floats[2 + side, k] = np.nan
            if code >= 0 and first[code] <= moment:
                floats[2 + side, k] = np.float64(moment - first[code]) / 1e6
        for side in range(2):
            code = sender[k] if side == 0 else receiver[k]
            if code >= 0 and moment < first[code]:
                first[code] = moment
        for direction in range(2):
            counts[direction, k] = 0
            floats[direction, k] = np.nan
            late[direction, k] = 0
        pair[k], reverse[k], new[k] = -1, -1, 0
        if u == v:
            continue
        key = (v << np.int64(32)) | u
        slot = _slot_of(slots, key)
        if slots[slot] == key:
            number = np.int64(numbers[slot])
            reverse[k] = number
            _recall(met, latest, number, moment, REVERSE, k, counts, floats, late)
        key = (u << np.int64(32)) | v
        slot = _slot_of(slots, key)
        if slots[slot] == key:
            number = np.int64(numbers[slot])
            _recall(met, latest, number, moment, FORWARD, k, counts, floats, late)
        else:
            number = size[0]
            size[0] = number + 1
            slots[slot] = key
            numbers[slot] = number
            new[k] = 1
        pair[k] = number
        met[number] += 1
        latest[number] = max(latest[number], moment)


@kernel
def _recall(
    met: Int64Array,
    latest: Int64Array,
    number: Int,
    moment: Int,
    direction: Int,
    k: Int,
    counts: Int64Array,
    floats: Float64Array,
    late: Any,
) -> None:
    counts[direction, k] = met[number]
    if latest[number] <= moment:
        floats[direction, k] = np.float64(moment - latest[number]) / 1e6
    else:
        late[direction, k] = 1


@kernel
def recount_late(
    lists: Lists,
    account: Int,
    pair: Int,
    time: Int,
    bound: Int,
    direction: Int,
    k: Int,
    counts: Int64Array,
    floats: Float64Array,
) -> None:
    """Correct one late payment's pair record by what `account` sent at or before its time.

    Everything later than `bound` = max(time, H - hold) is still held, so the lifetime count less those is exact.
    """
    origin = lists.heads[account, ORIGIN]
    end = position_after(lists, account, bound)
    later = 0
    for position in range(end, lists.heads[account, HIGH]):
        if lists.links[origin + position, PAIR_NEW] >> 1 == pair:
            later += 1
    counts[direction, k] -= later
    last = lists.pair_freed[pair]
    for position in range(lists.heads[account, LOW], end):
        if lists.links[origin + position, PAIR_NEW] >> 1 == pair:
            last = max(last, lists.entries[origin + position, TIME])
    if last == NEVER or last > time:
        floats[direction, k] = np.nan
    else:
        floats[direction, k] = np.float64(time - last) / 1e6
