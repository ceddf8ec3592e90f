"""Statistics of an account's amounts, and of the time between its payments, in each window.

Count, sum, mean, smallest, largest, median, variance, skewness and kurtosis, from exact integers
(docs/patterns/statistics.md).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.temporal_graph import (
    AMOUNT,
    BASE,
    BINS,
    IN,
    LATEST,
    NEVER,
    NONE,
    OUT,
    SEQ,
    TIME,
    Arrivals,
    Graph,
    Scratch,
    ask_ahead,
    clear,
    visible_end,
)
from greywater.kernels.wide import ZERO, add_128, float_of_128, spread_numerator, square_128
from greywater.vocab import Int64Array

__all__ = ["describe", "statistics"]

SUM, MEAN, LEAST, MOST, MEDIAN, VARIANCE, SKEWNESS, KURTOSIS = range(8)
STATISTICS = 8
#: Scratch rows: times, amounts, values in window order, values to be sorted.
TIMES, AMOUNTS, VALUES, SORTED = range(4)
MICROSECONDS = 1e6
NOTHING = -1
#: From so many values on the median looks at bins first.
MANY = 200
#: Up to so many values of less than 2^26, sums of squares fit int64.
FEW, SMALL = 1 << 10, 1 << 26
#: Up to so many values of less than 2^40 (gaps of 12 days), those of their halves of 20 bits do.
MANY_HALVED, HALVED = 1 << 20, 1 << 40
HALF, REST = 20, (1 << 20) - 1


@kernel
def statistics(
    graph: Graph, arrivals: Arrivals, begin: Int, end: Int, windows: Int64Array, cap: Int, scratch: Scratch,
    ints: Any, floats: Any,
) -> None:  # fmt: skip
    """Statistics of sender and receiver, out and in, over nested windows.

    Parameters
    ----------
    windows : int64[W]
        Microseconds, increasing.
    cap : int
        Payments looked at in a list at most, the latest.
    ints : int64[9 W, n]
        Per role, direction and window: known amounts, gaps; then W flags, 1 where the cap cut.
    floats : float64[64 W, n]
        Per role, direction and window the eight statistics of the amounts in minor units, then of the gaps in seconds.
    """
    count = windows.shape[0]
    clear(ints, 9 * count, begin, end, 0)
    clear(floats, 64 * count, begin, end, np.nan)
    for k in range(begin, end):
        ask_ahead(graph, arrivals, k, end)
        if arrivals.skip[k] == 1:
            continue
        longest = max(arrivals.time[k] - windows[count - 1], arrivals.least[k])
        for which in range(4):
            vertex = np.int64(arrivals.sender[k]) if which < 2 else np.int64(arrivals.receiver[k])
            if graph.heads[vertex, 4 * (which & 1) + LATEST] <= longest:
                itself = which == OUT or which == 2 + IN
                _write_alone(arrivals.amount[k] if itself else np.int64(NOTHING), which, count, k, ints, floats)
                continue
            held, cut = _gather(graph, arrivals, k, which, windows[count - 1], cap, scratch)
            for w in range(count):
                bound = max(arrivals.time[k] - windows[w], arrivals.least[k])
                if cut > bound:
                    ints[8 * count + w, k] = 1
                _write_window(scratch, held, bound, which, which * count + w, k, ints, floats)


@inlined
def _write_alone(amount: Int, which: Int, count: Int, k: Int, ints: Any, floats: Any) -> None:
    """A list that holds nothing but this payment, or (no amount) nothing at all."""
    for row in range(which * count, (which + 1) * count):
        floats[16 * row + SUM, k] = 0.0
        floats[16 * row + STATISTICS + SUM, k] = 0.0
        if amount >= 0:
            ints[2 * row, k] = 1
            for c in (SUM, MEAN, LEAST, MOST, MEDIAN):
                floats[16 * row + c, k] = np.float64(amount)


@kernel
def _gather(graph: Graph, arrivals: Arrivals, k: Int, which: Int, window: Int, cap: Int, scratch: Scratch) -> Any:
    """Copy time and amount of the longest window, latest first, this payment itself included.

    Returns how many, and the time of the first payment the cap left out (NEVER where none was).
    """
    time, seq = arrivals.time[k], arrivals.seq[k]
    vertex = np.int64(arrivals.sender[k]) if which < 2 else np.int64(arrivals.receiver[k])
    head = 4 * (which & 1)
    times, amounts = scratch.wide[TIMES], scratch.wide[AMOUNTS]
    held = 0
    if which == OUT or which == 2 + IN:
        times[0], amounts[0] = time, arrivals.amount[k]
        held = 1
    limit = held + cap
    bound = max(time - window, arrivals.least[k])
    base, position = graph.heads[vertex, head + BASE], visible_end(graph, head, vertex, time)
    while position > base:
        position -= 1
        earlier = graph.entries[position, TIME]
        if earlier <= bound:
            break
        if graph.links[position, SEQ] >= seq:
            continue
        if held == limit:
            return held, earlier
        times[held], amounts[held] = earlier, graph.entries[position, AMOUNT]
        held += 1
    return held, NEVER


@kernel
def _write_window(
    scratch: Scratch, held: Int, bound: Int, which: Int, row: Int, k: Int, ints: Any, floats: Any
) -> None:
    """The statistics of the gathered payments later than `bound` and of this one, oldest first."""
    times, amounts, values = scratch.wide[TIMES], scratch.wide[AMOUNTS], scratch.wide[VALUES]
    counts = scratch.bins
    inside, itself = held, 1 if which == OUT or which == 2 + IN else 0
    while inside > itself and times[inside - 1] <= bound:
        inside -= 1
    known = NONE
    for place in range(inside - 1, -1, -1):
        if amounts[place] >= 0:
            values[known] = amounts[place]
            known += 1
    ints[2 * row, k] = known
    describe(values, known, scratch.wide[SORTED], counts, 1.0, floats, 16 * row, k)
    gaps = NONE
    for place in range(inside - 2, -1, -1):
        values[gaps] = times[place] - times[place + 1]
        gaps += 1
    ints[2 * row + 1, k] = gaps
    describe(values, gaps, scratch.wide[SORTED], counts, MICROSECONDS, floats, 16 * row + STATISTICS, k)


@kernel
def describe(
    values: Int64Array, n: Int, room: Int64Array, counts: Any, unit: Any, floats: Any, row: Int, k: Int
) -> None:
    """Write the eight statistics of values[:n], none negative, to floats[row:row + 8, k], which is NaN, in `unit`s.

    `room` int64[n] and `counts` int32[BINS] are overwritten. Variance has ddof = 1; skewness and excess kurtosis are
    those of the population, from one pass around the mean in the order given (SEMANTICS: Numbers).
    """
    floats[row + SUM, k] = 0.0
    if n == 0:
        return
    if n == 1:
        for c in (SUM, MEAN, LEAST, MOST, MEDIAN):
            floats[row + c, k] = np.float64(values[0]) / unit
        return
    least, most = values[0], values[0]
    for place in range(n):
        value = values[place]
        least, most = min(least, value), max(most, value)
    known = np.float64(n)
    total, spread = _sum_and_spread(values, n, most)
    mean = total / known
    floats[row + SUM, k] = total / unit
    floats[row + MEAN, k] = mean / unit
    floats[row + LEAST, k] = np.float64(least) / unit
    floats[row + MOST, k] = np.float64(most) / unit
    floats[row + MEDIAN, k] = _median(values, n, least, most, room, counts) / unit
    floats[row + VARIANCE, k] = spread / (known * (known - 1.0)) / (unit * unit)
    if least == most:
        return
    second, third, fourth = 0.0, 0.0, 0.0
    for place in range(n):
        distance = np.float64(values[place]) - mean
        square = distance * distance
        second += square
        third += square * distance
        fourth += square * square
    second /= known
    floats[row + SKEWNESS, k] = third / known / (second * math.sqrt(second))
    floats[row + KURTOSIS, k] = fourth / known / (second * second) - 3.0


@kernel
def _sum_and_spread(values: Int64Array, n: Int, most: Int) -> Any:
    """The exact sum, and n times the sum of squares less the square of the sum, each converted once."""
    if n <= FEW and most < SMALL:
        total, squares = np.int64(0), np.int64(0)
        for place in range(n):
            total += values[place]
            squares += values[place] * values[place]
        low, square_low = np.uint64(total), np.uint64(squares)
        return np.float64(total), spread_numerator(n, low, ZERO, square_low, ZERO)
    if n <= MANY_HALVED and most < HALVED:
        return _sum_and_spread_of_halves(values, n)
    low, high, square_low, square_high = ZERO, ZERO, ZERO, ZERO
    for place in range(n):
        value = np.uint64(values[place])
        low, high = add_128(low, high, value, ZERO)
        one, two = square_128(value)
        square_low, square_high = add_128(square_low, square_high, one, two)
    return float_of_128(low, high), spread_numerator(n, low, high, square_low, square_high)


@kernel
def _sum_and_spread_of_halves(values: Int64Array, n: Int) -> Any:
    """The same of values below HALVED: with v = 2^20 a + b the squares are sums of three products that fit 64 bits."""
    total, tops, crosses, rests = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for place in range(n):
        value = values[place]
        top, rest = value >> HALF, value & REST
        total += value
        tops += top * top
        crosses += top * rest
        rests += rest * rest
    top, cross, low = np.uint64(tops), np.uint64(crosses), np.uint64(rests)
    square_low, square_high = add_128(top << np.uint64(40), top >> np.uint64(24), low, ZERO)
    square_low, square_high = add_128(square_low, square_high, cross << np.uint64(21), cross >> np.uint64(43))
    return np.float64(total), spread_numerator(n, np.uint64(total), ZERO, square_low, square_high)


@kernel
def _median(values: Int64Array, n: Int, least: Int, most: Int, room: Int64Array, counts: Any) -> Any:
    """The middle value, or the mean of the two middle ones.

    `room` int64[n] and `counts` int32[BINS] are overwritten. Many values are first counted in bins of equal width: only
    those of the middle's bin are looked at again.
    """
    if least == most:
        return np.float64(least)
    if n == 2:
        return np.float64(least + most) / 2.0
    middle, inside, first, shift = n // 2, n, np.int64(0), 0
    if n > MANY:
        while (most - least) >> shift >= BINS:
            shift += 1
        for place in range(BINS):
            counts[place] = 0
        for place in range(n):
            counts[(values[place] - least) >> shift] += 1
        chosen = 0
        while first + counts[chosen] <= middle:
            first += counts[chosen]
            chosen += 1
        inside = 0
        for place in range(n):
            room[inside] = values[place]
            inside += (values[place] - least) >> shift == chosen
    else:
        chosen = 0
        for place in range(n):
            room[place] = values[place]
    upper = _select(room, inside, middle - first)
    if n % 2 == 1:
        return np.float64(upper)
    lower = least
    if middle > first:
        for place in range(middle - first):
            lower = max(lower, room[place])
    else:
        edge = least + (chosen << shift)
        for place in range(n):
            lower = max(lower, values[place] if values[place] < edge else least)
    return np.float64(lower + upper) / 2.0


@kernel
def _select(room: Int64Array, n: Int, rank: Int) -> Int:
    """Bring the value of this rank to its place, smaller ones before it; partitions without branches."""
    low, high = 0, n
    while high - low > 1:
        a, b, c = room[low], room[(low + high) // 2], room[high - 1]
        pivot = max(min(a, b), min(max(a, b), c))
        store = low
        for place in range(low, high):
            value = room[place]
            room[place] = room[store]
            room[store] = value
            store += value < pivot
        if rank < store:
            high = store
            continue
        equal = store
        for place in range(store, high):
            value = room[place]
            room[place] = room[equal]
            room[equal] = value
            equal += value == pivot
        if rank < equal:
            return pivot
        low = equal
    return room[rank]
