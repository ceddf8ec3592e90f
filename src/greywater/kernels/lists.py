"""Per account and direction, the held payments in (event time, arrival) order, and what each window holds of them.

One `Lists` is one side: the payments that accounts sent ("out") or received ("in"). The entries of an account lie
contiguously in one arena. An entry knows the position of the next payment of the same ordered pair, so that the
distinct counterparties of [start, high) are the entries whose next lies outside it; and the previous greater and
smaller amount, so that the extreme of [start, high) is the last step of a chain that starts at the tail.

Window w of an account keeps the exact integer state of the positions [start, high): it takes in what is appended
and lets go what `advance` passes, and start never lies behind its true place as of the account's last query. So a
query in time order touches only the entries that leave; any other moment is answered by a scan of the list.

Positions are absolute: they grow with every payment and are rebased when the arena is packed.

A side whose columns need no sums, squares or extremes does not keep them (`kept`); what it does not keep is undefined.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.wide import add_128, square_128, subtract_128
from greywater.vocab import Int64Array

__all__ = [
    "Lists",
    "advance",
    "append_payment",
    "empty_entries",
    "empty_lists",
    "make_room",
    "pack",
    "packed_size",
    "position_after",
]

TIME, AMOUNT = range(2)
PAIR_NEW, NEXT, GREATER, SMALLER = range(4, 8)
ORIGIN, LOW, HIGH, CAP_END, CAPACITY, QUERY, LATEST, TOTAL = range(8)
START, DISTINCT, NEWS, VALIDS, MAX_AT, MIN_AT = range(6)
MAX, MIN, LEAVES = range(3)
SUM_LOW, SUM_HIGH, SQUARE_LOW, SQUARE_HIGH = range(4)
#: Places of `kept`: amounts known and their sums; sums of squares; largest and smallest amounts.
KEEPS_SUMS, KEEPS_SQUARES, KEEPS_EXTREMES = range(3)
PLACES, VALUES, SUMS = 6, 3, 4
NONE = -1
NULL_AMOUNT = -1
NEVER = np.int64(-(2**62))
FAR = np.int64(2**62)
ZERO = np.uint64(0)


class Lists(NamedTuple):
    """One side's state. N arena entries, A accounts, W windows, P ordered pairs.

    entries int64[N, 4] and links int32[N, 8] are one memory, a row of 32 bytes an entry: time in microseconds and
    amount in minor units (-1 = no base amount) as int64; then as int32 twice the pair number plus 1 where the payment
    is the first ever of its pair, position of the pair's next payment, of the previous greater and of the previous
    smaller amount (-1 = none).
    heads int64[A, 8]; freed int64[A] greatest event time among the freed entries; places int32[A, 6 W] positions and
    counts of each window; values int64[A, 3 W] largest and smallest amount and the time of the entry that leaves
    next; sums uint64[A, 4 W] sum and sum of squares (low, high); pair_last int32[P] position of a pair's last entry,
    -1 = none; pair_freed int64[P] greatest event time among the pair's freed entries; arena int64[1] first free slot;
    kept int64[3] 1 for each kind of state that the windows keep, KEEPS_SQUARES only with KEEPS_SUMS.
    """

    entries: Any
    links: Any
    heads: Any
    freed: Any
    places: Any
    values: Any
    sums: Any
    pair_last: Any
    pair_freed: Any
    arena: Any
    kept: Any

    @property
    def held(self) -> int:
        """Number of payments held, expired ones that were not freed yet included."""
        return int((self.heads[:, HIGH] - self.heads[:, LOW]).sum())


def empty_entries(entries: int) -> tuple[Any, Any]:
    """The arena's two views, at the start of a cache line so that no row lies across two."""
    raw = np.zeros(4 * entries + 8, np.int64)
    skip = -(raw.ctypes.data // 8) % 8
    rows = raw[skip : skip + 4 * entries].reshape(entries, 4)
    return rows, rows.view(np.int32)


def empty_lists(entries: int, accounts: int, windows: int, pairs: int) -> Lists:
    """A side that holds nothing, with room for so many entries, accounts and pairs."""
    heads = np.zeros((accounts, 8), np.int64)
    heads[:, QUERY] = NEVER
    heads[:, LATEST] = NEVER
    values = np.full((accounts, VALUES * windows), NULL_AMOUNT, np.int64)
    values[:, LEAVES::VALUES] = FAR
    rows, links = empty_entries(entries)
    return Lists(
        rows,
        links,
        heads,
        np.full(accounts, NEVER, np.int64),
        np.zeros((accounts, PLACES * windows), np.int32),
        values,
        np.zeros((accounts, SUMS * windows), np.uint64),
        np.full(pairs, NONE, np.int32),
        np.full(pairs, NEVER, np.int64),
        np.zeros(1, np.int64),
        np.ones(3, np.int64),
    )


@kernel
def position_after(lists: Lists, account: Int, time: Int) -> Int:
    """Position of the first entry of `account` later than `time` (its high end where there is none)."""
    origin = lists.heads[account, ORIGIN]
    low, high = lists.heads[account, LOW], lists.heads[account, HIGH]
    while low < high:
        middle = (low + high) // 2
        if lists.entries[origin + middle, TIME] <= time:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def advance(lists: Lists, account: Int, w: Int, bound: Int) -> None:
    """Let go of the entries of window w at or before `bound`."""
    places, values, sums, heads = (
        lists.places[account],
        lists.values[account],
        lists.sums[account],
        lists.heads[account],
    )
    p, v, s = w * PLACES, w * VALUES, w * SUMS
    if values[v + LEAVES] > bound:
        return
    origin, high = heads[ORIGIN], heads[HIGH]
    start = np.int64(places[p + START])
    distinct, news, valids = np.int64(0), np.int64(0), np.int64(0)
    leaves = values[v + LEAVES]
    sum_low, sum_high = sums[s], sums[s + SUM_HIGH]
    square_low, square_high = sums[s + SQUARE_LOW], sums[s + SQUARE_HIGH]
    adding, squaring = lists.kept[KEEPS_SUMS] == 1, lists.kept[KEEPS_SQUARES] == 1
    while leaves <= bound:
        entry = origin + start
        if lists.links[entry, NEXT] == NONE:
            distinct += 1
        news += lists.links[entry, PAIR_NEW] & 1
        amount = lists.entries[entry, AMOUNT]
        if adding and amount >= 0:
            valids += 1
            value = np.uint64(amount)
            sum_low, sum_high = subtract_128(sum_low, sum_high, value, ZERO)
            if squaring:
                low, top = square_128(value)
                square_low, square_high = subtract_128(square_low, square_high, low, top)
        start += 1
        leaves = lists.entries[origin + start, TIME] if start < high else FAR
    places[p + START] = start
    places[p + DISTINCT] -= distinct
    places[p + NEWS] -= news
    values[v + LEAVES] = leaves
    if adding:
        places[p + VALIDS] -= valids
        sums[s] = sum_low
        sums[s + SUM_HIGH] = sum_high
        sums[s + SQUARE_LOW] = square_low
        sums[s + SQUARE_HIGH] = square_high
    if lists.kept[KEEPS_EXTREMES] == 0:
        return
    if start == high:
        values[v + MAX] = NULL_AMOUNT
        values[v + MIN] = NULL_AMOUNT
        return
    if places[p + MAX_AT] < start:
        _follow_chain(lists, account, w, start, GREATER, MAX_AT, MAX)
    if places[p + MIN_AT] < start:
        _follow_chain(lists, account, w, start, SMALLER, MIN_AT, MIN)


@kernel
def _follow_chain(lists: Lists, account: Int, w: Int, start: Int, link: Int, at: Int, value: Int) -> None:
    """Find the extreme of [start, high) anew: the last step at or behind `start` of the chain from the tail."""
    origin = lists.heads[account, ORIGIN]
    position = lists.heads[account, HIGH] - 1
    while lists.links[origin + position, link] >= start:
        position = np.int64(lists.links[origin + position, link])
    lists.places[account, w * PLACES + at] = position
    lists.values[account, w * VALUES + value] = lists.entries[origin + position, AMOUNT]


@kernel
def _free_expired(lists: Lists, account: Int, bound: Int) -> None:
    """Free the entries no rule can make visible again: those at or before `bound`."""
    windows = lists.places.shape[1] // PLACES
    for w in range(windows):
        advance(lists, account, w, bound)
    origin = lists.heads[account, ORIGIN]
    position, high = lists.heads[account, LOW], lists.heads[account, HIGH]
    freed = lists.freed[account]
    while position < high and lists.entries[origin + position, TIME] <= bound:
        entry = origin + position
        pair = lists.links[entry, PAIR_NEW] >> 1
        time = lists.entries[entry, TIME]
        if lists.links[entry, NEXT] == NONE:
            lists.pair_last[pair] = NONE
        lists.pair_freed[pair] = max(lists.pair_freed[pair], time)
        freed = max(freed, time)
        position += 1
    lists.freed[account] = freed
    lists.heads[account, LOW] = position


@kernel
def _copy_entries(lists: Lists, source: Int, target: Int, count: Int) -> None:
    """Move `count` entries inside the arena; ranges may overlap when moving down."""
    for k in range(count):
        for c in range(4):
            lists.entries[target + k, c] = lists.entries[source + k, c]


@kernel
def _roomy(live: Int) -> Int:
    """Entries a list of `live` payments gets: half as many again, and a few."""
    return live + live // 2 + 4


@kernel
def make_room(lists: Lists, account: Int, bound: Int) -> bool:
    """See that `account` can take one more entry; False where the arena must be packed or grown first."""
    _free_expired(lists, account, bound)
    heads = lists.heads
    origin, low = heads[account, ORIGIN], heads[account, LOW]
    live, capacity = heads[account, HIGH] - low, heads[account, CAPACITY]
    start = origin + heads[account, CAP_END] - capacity
    if live * 4 > capacity * 3 or capacity == 0:
        start = lists.arena[0]
        capacity = _roomy(live)
        if start + capacity > lists.entries.shape[0]:
            return False
        lists.arena[0] = start + capacity
    _copy_entries(lists, origin + low, start, live)
    heads[account, ORIGIN] = start - low
    heads[account, CAP_END] = low + capacity
    heads[account, CAPACITY] = capacity
    return True


@inlined
def _link_extremes(lists: Lists, account: Int, position: Int) -> None:
    """Set the links from `position` to the previous greater and the previous smaller amount, where they are kept."""
    if lists.kept[KEEPS_EXTREMES] == 0:
        lists.links[lists.heads[account, ORIGIN] + position, GREATER] = NONE
        lists.links[lists.heads[account, ORIGIN] + position, SMALLER] = NONE
        return
    origin, low = lists.heads[account, ORIGIN], lists.heads[account, LOW]
    amount = lists.entries[origin + position, AMOUNT]
    previous = position - 1
    while previous >= low and lists.entries[origin + previous, AMOUNT] <= amount:
        previous = np.int64(lists.links[origin + previous, GREATER])
    lists.links[origin + position, GREATER] = previous if previous >= low else NONE
    ceiling = amount if amount >= 0 else FAR
    previous = position - 1
    while previous >= low:
        candidate = lists.entries[origin + previous, AMOUNT]
        if candidate >= 0 and candidate < ceiling:
            break
        previous = np.int64(lists.links[origin + previous, SMALLER])
    lists.links[origin + position, SMALLER] = previous if previous >= low else NONE


@inlined
def _take_in(lists: Lists, account: Int, w: Int, amount: Int, place: Int, distinct: Int, new: Int) -> None:
    """Add an entry at `place` to the state of window w."""
    places, values, sums = lists.places[account], lists.values[account], lists.sums[account]
    p, v, s = w * PLACES, w * VALUES, w * SUMS
    places[p + DISTINCT] += distinct
    places[p + NEWS] += new
    if amount < 0:
        return
    if lists.kept[KEEPS_SUMS] == 1:
        places[p + VALIDS] += 1
        value = np.uint64(amount)
        low, high = add_128(sums[s], sums[s + SUM_HIGH], value, ZERO)
        sums[s] = low
        sums[s + SUM_HIGH] = high
        if lists.kept[KEEPS_SQUARES] == 1:
            square_low, square_high = square_128(value)
            low, high = add_128(sums[s + SQUARE_LOW], sums[s + SQUARE_HIGH], square_low, square_high)
            sums[s + SQUARE_LOW] = low
            sums[s + SQUARE_HIGH] = high
    if lists.kept[KEEPS_EXTREMES] == 0:
        return
    if amount >= values[v + MAX]:
        values[v + MAX] = amount
        places[p + MAX_AT] = place
    if values[v + MIN] < 0 or amount <= values[v + MIN]:
        values[v + MIN] = amount
        places[p + MIN_AT] = place


@inlined
def append_payment(lists: Lists, account: Int, time: Int, amount: Int, pair: Int, new: Int) -> None:
    """Put a payment into the list of `account`, behind all entries of its time or earlier. There must be room."""
    heads = lists.heads
    origin, high = heads[account, ORIGIN], heads[account, HIGH]
    if heads[account, LATEST] <= time or high == heads[account, LOW]:
        entry = origin + high
        previous = lists.pair_last[pair]
        lists.entries[entry, TIME] = time
        lists.entries[entry, AMOUNT] = amount
        lists.links[entry, PAIR_NEW] = 2 * pair + new
        lists.links[entry, NEXT] = NONE
        if previous != NONE:
            lists.links[origin + previous, NEXT] = high
        lists.pair_last[pair] = high
        heads[account, HIGH] = high + 1
        _link_extremes(lists, account, high)
        for w in range(lists.places.shape[1] // PLACES):
            start = lists.places[account, w * PLACES + START]
            if start == high:
                lists.values[account, w * VALUES + LEAVES] = time
            _take_in(lists, account, w, amount, high, 1 if previous < start else 0, new)
    else:
        _insert_payment(lists, account, time, amount, pair, new)
    heads[account, QUERY] = max(heads[account, QUERY], time)
    heads[account, LATEST] = max(heads[account, LATEST], time)
    heads[account, TOTAL] += 1


@kernel
def _insert_payment(lists: Lists, account: Int, time: Int, amount: Int, pair: Int, new: Int) -> None:
    """Insert a payment that is earlier than the tail: shift, renumber the links, adjust the windows."""
    heads, links, places = lists.heads, lists.links, lists.places
    origin, low, high = heads[account, ORIGIN], heads[account, LOW], heads[account, HIGH]
    place = position_after(lists, account, time)
    for position in range(high, place, -1):
        _copy_entries(lists, origin + position - 1, origin + position, 1)
    heads[account, HIGH] = high + 1
    previous, following = np.int64(NONE), np.int64(NONE)
    for position in range(low, high + 1):
        if position == place:
            continue
        entry = origin + position
        if links[entry, NEXT] >= place:
            links[entry, NEXT] += 1
        if position > place and links[entry, NEXT] == NONE:
            lists.pair_last[links[entry, PAIR_NEW] >> 1] = position
        if links[entry, PAIR_NEW] >> 1 == pair:
            if position < place:
                previous = np.int64(position)
            elif following == NONE:
                following = np.int64(position)
    entry = origin + place
    lists.entries[entry, TIME] = time
    lists.entries[entry, AMOUNT] = amount
    links[entry, PAIR_NEW] = 2 * pair + new
    links[entry, NEXT] = following
    if previous != NONE:
        links[origin + previous, NEXT] = place
    if following == NONE:
        lists.pair_last[pair] = place
    for position in range(place, high + 1):
        _link_extremes(lists, account, position)
    for w in range(places.shape[1] // PLACES):
        p = w * PLACES
        for field in (MAX_AT, MIN_AT):
            if places[account, p + field] >= place:
                places[account, p + field] += 1
        if places[account, p + START] > place:
            places[account, p + START] += 1
            continue
        start = places[account, p + START]
        if start == place:
            lists.values[account, w * VALUES + LEAVES] = time
        _take_in(lists, account, w, amount, place, 1 if following == NONE and previous < start else 0, new)


@kernel
def packed_size(lists: Lists, bound: Int) -> Int:
    """Free what has expired in every list and return the entries the arena needs for what is left."""
    size = 0
    for account in range(lists.heads.shape[0]):
        if lists.heads[account, HIGH] > lists.heads[account, LOW]:
            _free_expired(lists, account, bound)
        live = lists.heads[account, HIGH] - lists.heads[account, LOW]
        if live > 0:
            size += _roomy(live)
    return size


@kernel
def pack(old: Lists, entries: Int64Array, links: Any, slack: bool) -> Int:
    """Copy every live list into fresh arena arrays, positions rebased to 0; returns the entries used.

    `slack` leaves each list room to grow; without it the lists lie end to end (snapshots).
    """
    heads, places = old.heads, old.places
    top = 0
    for account in range(heads.shape[0]):
        low, high = heads[account, LOW], heads[account, HIGH]
        source = heads[account, ORIGIN] + low
        live = high - low
        for k in range(live):
            for c in range(4):
                entries[top + k, c] = old.entries[source + k, c]
            for c in (NEXT, GREATER, SMALLER):
                position = links[top + k, c]
                links[top + k, c] = position - low if position >= low else NONE
            if links[top + k, NEXT] == NONE:
                old.pair_last[links[top + k, PAIR_NEW] >> 1] = k
        for w in range(places.shape[1] // PLACES):
            for field in (START, MAX_AT, MIN_AT):
                places[account, w * PLACES + field] = max(places[account, w * PLACES + field] - low, 0)
        capacity = _roomy(live) if slack and live > 0 else live
        heads[account, ORIGIN] = top
        heads[account, LOW] = 0
        heads[account, HIGH] = live
        heads[account, CAP_END] = capacity
        heads[account, CAPACITY] = capacity
        top += capacity
    return top
