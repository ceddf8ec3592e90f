"""The point-in-time join over sorted runs: labels in order of their keys against rows in order of theirs."""

from __future__ import annotations

from typing import Any, NamedTuple

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.prefetch import prefetch

__all__ = [
    "BLOCK", "Best", "Rows", "Waiting", "deal", "enter", "floors", "gather", "gather_eight", "gather_present",
    "look", "merge", "order_by_key", "settle", "split_columns",
]  # fmt: skip

#: Rows whose least knowledge time is kept as one, to pass over them at once.
BLOCK = 64
#: Largest bucket that is sorted by insertion.
SMALL = 24
NONE = -1
#: How many labels ahead their lines of memory are asked for.
AHEAD = 16


class Waiting(NamedTuple):
    """Labels in want of an answer, all int64[capacity]: hash of the key, moment asked for, moment of knowledge, row."""

    high: Any
    low: Any
    moment: Any
    known: Any
    row: Any


class Rows(NamedTuple):
    """A sorted run, all int64: high, low, event and known [n]; commit [n], or [1] where all rows have one;
    floor [ceil(n / BLOCK)], the least knowledge time of each block."""

    high: Any
    low: Any
    event: Any
    known: Any
    commit: Any
    floor: Any


class Best(NamedTuple):
    """The best answer so far of each waiting label, all int64[capacity]: event time, commit, run (-1 = none), place."""

    event: Any
    commit: Any
    run: Any
    place: Any


@kernel
def enter(moment: Any, live: Any, least: Any, entry: Any, counts: Any) -> None:
    """Find the first span of runs that may answer each label, the spans running from the newest to the oldest.

    Parameters
    ----------
    moment : int64[n]
    live : uint8[n]
        0 where a label has no key or no moment.
    least : int64[c]
        Least event time of each span, descending.
    entry : int32[n]
        Filled with the first span whose least event time is not after the label; c where there is none.
    counts : int64[c + 2]
        Filled: labels with entry e are dealt to places counts[e] .. counts[e + 1].
    """
    spans = least.shape[0]
    for e in range(spans + 2):
        counts[e] = 0
    for i in range(moment.shape[0]):
        begin, stop = 0, spans
        if live[i] == 0:
            begin = spans
        while begin < stop:
            middle = (begin + stop) >> 1
            if least[middle] <= moment[i]:
                stop = middle
            else:
                begin = middle + 1
        entry[i] = begin
        counts[begin + 1] += 1
    for e in range(spans + 1):
        counts[e + 1] += counts[e]


@kernel
def deal(entry: Any, counts: Any, spans: Int, high: Any, low: Any, moment: Any, known: Any, dealt: Waiting) -> None:
    """Put the labels of each span together, in the order given; `counts` int64 is used up."""
    for i in range(entry.shape[0]):
        e = entry[i]
        if e < spans:
            at = counts[e]
            counts[e] = at + 1
            dealt.high[at] = high[i]
            dealt.low[at] = low[i]
            dealt.moment[at] = moment[i]
            dealt.known[at] = known[i]
            dealt.row[at] = i


@inlined
def _before(high: Any, low: Any, moment: Any, a: Int, b: Int) -> Any:
    """Whether row a comes before row b by (high, low, moment)."""
    return high[a] < high[b] or (
        high[a] == high[b] and (low[a] < low[b] or (low[a] == low[b] and moment[a] < moment[b]))
    )


@kernel
def _insert(high: Any, low: Any, moment: Any, order: Any, begin: Int, stop: Int) -> None:
    """Sort order[begin:stop], stable, by insertion."""
    for at in range(begin + 1, stop):
        row = order[at]
        place = at
        while place > begin and _before(high, low, moment, row, order[place - 1]):
            order[place] = order[place - 1]
            place -= 1
        order[place] = row


@kernel
def _merge_sort(high: Any, low: Any, moment: Any, order: Any, scratch: Any, begin: Int, stop: Int) -> None:
    """Sort order[begin:stop], stable, by merging longer and longer pieces."""
    for at in range(begin, stop, SMALL):
        _insert(high, low, moment, order, at, min(at + SMALL, stop))
    width = SMALL
    while width < stop - begin:
        for left in range(begin, stop, 2 * width):
            middle, end = min(left + width, stop), min(left + 2 * width, stop)
            for at in range(left, end):
                scratch[at] = order[at]
            first, second = left, middle
            for at in range(left, end):
                if first < middle and (
                    second >= end or not _before(high, low, moment, scratch[second], scratch[first])
                ):
                    order[at] = scratch[first]
                    first += 1
                else:
                    order[at] = scratch[second]
                    second += 1
        width *= 2


@kernel
def order_by_key(high: Any, low: Any, moment: Any, bits: Int, counts: Any, order: Any, scratch: Any) -> None:
    """Rows in order of (high, low, moment), rows equal in all three as they were given.

    Parameters
    ----------
    high, low, moment : int64[n]
        `high` is a hash: rows are dealt to buckets by its first bits, and each bucket is sorted for itself.
    bits : int
        2**bits buckets, from 1.
    counts : int64[2**bits + 1]
    order : int64[n]
        Filled.
    scratch : int64[n]
    """
    rows, buckets = high.shape[0], counts.shape[0] - 1
    shift, middle = 64 - bits, buckets >> 1
    for b in range(buckets + 1):
        counts[b] = 0
    for i in range(rows):
        counts[(high[i] >> shift) + middle + 1] += 1
    for b in range(buckets):
        counts[b + 1] += counts[b]
    for i in range(rows):
        b = (high[i] >> shift) + middle
        order[counts[b]] = i
        counts[b] += 1
    begin = 0
    for b in range(buckets):
        stop = counts[b]
        if stop - begin > SMALL:
            _merge_sort(high, low, moment, order, scratch, begin, stop)
        elif stop - begin > 1:
            _insert(high, low, moment, order, begin, stop)
        begin = stop


@inlined
def _copy(source: Waiting, at: Int, target: Waiting, to: Int) -> None:
    target.high[to] = source.high[at]
    target.low[to] = source.low[at]
    target.moment[to] = source.moment[at]
    target.known[to] = source.known[at]
    target.row[to] = source.row[at]


@kernel
def merge(left: Waiting, held: Int, fresh: Waiting, begin: Int, order: Any, into: Waiting) -> Int:
    """Join labels still waiting with those that enter now, in order of their keys.

    Parameters
    ----------
    left : Waiting
        Its first `held` are in order.
    fresh : Waiting
        Those from `begin` on enter; order int64[m] sorts them.
    into : Waiting
        Filled; another one than `left`.

    Returns
    -------
    int
        How many wait now.
    """
    first, second, entering = 0, 0, order.shape[0]
    for to in range(held + entering):
        take_left = second >= entering
        if not take_left and first < held:
            at = begin + order[second]
            take_left = left.high[first] < fresh.high[at] or (
                left.high[first] == fresh.high[at] and left.low[first] <= fresh.low[at]
            )
        if take_left:
            _copy(left, first, into, to)
            first += 1
        else:
            _copy(fresh, begin + order[second], into, to)
            second += 1
    return held + entering


@kernel
def floors(known: Any, floor: Any) -> None:
    """Write the least knowledge time of each block of rows to floor int64[ceil(n / BLOCK)]."""
    for b in range(floor.shape[0]):
        least = known[b * BLOCK]
        for row in range(b * BLOCK + 1, min((b + 1) * BLOCK, known.shape[0])):
            least = min(least, known[row])
        floor[b] = least


@kernel
def _not_below(run_high: Any, run_low: Any, begin: Int, high: Int, low: Int) -> Int:
    """The first row from `begin` on whose key is not below (high, low): step by step, then in leaps."""
    rows = run_high.shape[0]
    near = min(begin + 8, rows)
    at = begin
    while at < near and (run_high[at] < high or (run_high[at] == high and run_low[at] < low)):
        at += 1
    if at < near or at >= rows:
        return at
    below, leap = at - 1, 8
    while at < rows and (run_high[at] < high or (run_high[at] == high and run_low[at] < low)):
        below = at
        at += leap
        leap *= 2
    stop = min(at, rows)
    begin = below + 1
    while begin < stop:
        middle = (begin + stop) >> 1
        if run_high[middle] < high or (run_high[middle] == high and run_low[middle] < low):
            begin = middle + 1
        else:
            stop = middle
    return begin


@kernel
def look(waiting: Waiting, count: Int, rows: Rows, run: Int, best: Best) -> None:
    """Let one run answer the waiting labels: the greatest (event time, commit) not after the label and known by then.

    Parameters
    ----------
    waiting : Waiting
        Its first `count`, in order of their keys.
    rows : Rows
        The run.
    run : int
        Its number, noted in `best` where it has the better answer.
    best : Best
        Changed.
    """
    step = 1 if rows.commit.shape[0] > 1 else 0
    begin, end = 0, 0
    for i in range(count):
        high, low = waiting.high[i], waiting.low[i]
        if i == 0 or high != waiting.high[i - 1] or low != waiting.low[i - 1]:
            begin = _not_below(rows.high, rows.low, end, high, low)
            end = begin
            while end < rows.high.shape[0] and rows.high[end] == high and rows.low[end] == low:
                end += 1
        if begin == end:
            continue
        moment, known = waiting.moment[i], waiting.known[i]
        first, stop = begin, end
        while first < stop:  # the first row after the moment
            middle = (first + stop) >> 1
            if rows.event[middle] <= moment:
                first = middle + 1
            else:
                stop = middle
        place = first - 1
        while place >= begin and rows.known[place] > known:
            if place % BLOCK == BLOCK - 1 and rows.floor[place // BLOCK] > known:
                place -= BLOCK
            else:
                place -= 1
        if place < begin:
            continue
        event, commit = rows.event[place], rows.commit[place * step]
        if best.run[i] == NONE or event > best.event[i] or (event == best.event[i] and commit > best.commit[i]):
            best.event[i] = event
            best.commit[i] = commit
            best.run[i] = run
            best.place[i] = place


@kernel
def settle(waiting: Waiting, count: Int, best: Best, starts: Any, rows: Any, places: Any) -> Int:
    """Sort the answered labels by the run that answered; the others stay, packed to the front in their order.

    Parameters
    ----------
    waiting : Waiting
        Its first `count`; changed.
    best : Best
        Set back to no answer.
    starts : int64[runs + 1]
        Filled: run r answered rows[starts[r]:starts[r + 1]] from its places[starts[r]:starts[r + 1]].
    rows, places : int64[capacity]
        Filled.

    Returns
    -------
    int
        How many labels still wait.
    """
    runs = starts.shape[0] - 1
    for r in range(runs + 1):
        starts[r] = 0
    for i in range(count):
        if best.run[i] != NONE:
            starts[best.run[i] + 1] += 1
    for r in range(runs):
        starts[r + 1] += starts[r]
    left = 0
    for i in range(count):
        r = best.run[i]
        if r == NONE:
            _copy(waiting, i, waiting, left)
            left += 1
        else:
            at = starts[r]
            starts[r] = at + 1
            rows[at] = waiting.row[i]
            places[at] = best.place[i]
            best.run[i] = NONE
    for r in range(runs, 0, -1):
        starts[r] = starts[r - 1]
    starts[0] = 0
    return left


@kernel
def gather(values: Any, places: Any, rows: Any, out: Any) -> None:
    """out[rows[i]] = values[places[i]]: the values found, at the places of their labels."""
    for i in range(places.shape[0]):
        out[rows[i]] = values[places[i]]


@kernel
def gather_eight(
    v0: Any, v1: Any, v2: Any, v3: Any, v4: Any, v5: Any, v6: Any, v7: Any, used: Int, places: Any, rows: Any, out: Any
) -> None:
    """out[rows[i], j] = vj[places[i]] for j < used: one line of memory a label instead of one a value.

    Parameters
    ----------
    v0 ... v7 : int64[n]
        Columns of a run as bits; those from `used` on are not read.
    used : int
        From 1 to 8.
    places, rows : int64[m]
    out : int64[labels, used]
    """
    count = places.shape[0]
    for i in range(count):
        if i + AHEAD < count:
            prefetch(out, rows[i + AHEAD], 0)
        at, to = places[i], rows[i]
        out[to, 0] = v0[at]
        if used > 1:
            out[to, 1] = v1[at]
        if used > 2:
            out[to, 2] = v2[at]
        if used > 3:
            out[to, 3] = v3[at]
        if used > 4:
            out[to, 4] = v4[at]
        if used > 5:
            out[to, 5] = v5[at]
        if used > 6:
            out[to, 6] = v6[at]
        if used > 7:
            out[to, 7] = v7[at]


@kernel
def split_columns(block: Any, columns: Any) -> None:
    """columns[j, i] = block[i, j]: from rows of values to columns; int64[n, k] to int64[k, n], some rows at a time."""
    rows, width = block.shape[0], block.shape[1]
    for begin in range(0, rows, 256):
        stop = min(begin + 256, rows)
        for j in range(width):
            for i in range(begin, stop):
                columns[j, i] = block[i, j]


@kernel
def gather_present(bitmap: Any, skip: Int, places: Any, rows: Any, present: Any) -> None:
    """present[rows[i]] = 0 where bit skip + places[i] of an Arrow bitmap uint8[...] says null."""
    for i in range(places.shape[0]):
        bit = skip + places[i]
        if (bitmap[bit >> 3] >> (bit & 7)) & 1 == 0:
            present[rows[i]] = 0
