"""Fast random projection of a directed graph: random rows, their weighted averages over neighbours, and cosines.

Rows are float32. Every sum is taken in the order of the lists, and a row is written by one call: the bits do not depend
on how many threads share the rows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.prefetch import prefetch
from greywater.vocab import Float64Array, Int64Array

__all__ = [
    "GOLDEN",
    "UNIT",
    "absorb_links",
    "add_units",
    "average_rows",
    "cosine_distances",
    "decayed_weights",
    "finish_rows",
    "list_shares",
    "mixed",
    "nearest_distances",
    "random_rows",
    "total_weights",
    "unit_rows",
]

#: Links ahead of those that are added, whose neighbours' rows are asked for.
AHEAD = 8
#: Bytes of a line of the cache.
LINE = 64
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST_MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9)
SECOND_MULTIPLIER = np.uint64(0x94D049BB133111EB)
#: Turns the upper 53 bits of a word into a number in [0, 1).
UNIT = 1.0 / 9007199254740992.0


@inlined
def mixed(word: Any) -> Any:
    """A word uint64 of which every bit depends on every bit of the one given (splitmix64)."""
    first = (word ^ (word >> np.uint64(30))) * FIRST_MULTIPLIER
    second = (first ^ (first >> np.uint64(27))) * SECOND_MULTIPLIER
    return second ^ (second >> np.uint64(31))


@kernel
def random_rows(seed: Any, sparsity: Any, first: Int, rows: Any) -> None:
    """Write the rows [first, n) from a hash of the seed and their node: +1 or -1 by 1 / (2 sparsity) each, else 0.

    Parameters
    ----------
    seed : uint64
        Of the projection.
    sparsity : float
        One number in so many is not 0.
    first : int
        Rows before it stay as they are.
    rows : int8[n, d]
        Written.
    """
    share = 0.5 / sparsity
    for node in range(first, rows.shape[0]):
        word = mixed(seed + np.uint64(node + 1) * GOLDEN)
        for place in range(rows.shape[1]):
            word += GOLDEN
            drawn = np.float64(mixed(word) >> np.uint64(11)) * UNIT
            rows[node, place] = np.int8(drawn < 2.0 * share) - np.int8(2) * np.int8(drawn < share)


@kernel
def decayed_weights(
    link: Any, day: Any, amount: Int64Array, decay: Float64Array, now: Int, weight: Float64Array
) -> None:
    """Add up what each link carried, less of it the older it is.

    Parameters
    ----------
    link, day : int32[e]
        Number of a link, and a day on which it carried something, before `now`.
    amount : int64[e]
        How much; nothing where it is below 0.
    decay : float64[k]
        What is left after so many days; of what is older, nothing.
    now : int
        The day as of which it is.
    weight : float64[L]
        Added to.
    """
    for entry in range(link.shape[0]):
        age = now - np.int64(day[entry])
        if age < decay.shape[0] and amount[entry] > 0:
            weight[link[entry]] += np.float64(amount[entry]) * decay[age]


@kernel
def total_weights(owner: Any, weight: Float64Array, counts: Int64Array, totals: Float64Array) -> None:
    """Add up the links of each node: `counts` int64[n] how many there are, `totals` float64[n] what they weigh.

    Parameters
    ----------
    owner : int32[m]
        Whose each link is.
    weight : float64[m]
        Above 0.
    counts, totals
        Added to.
    """
    for link in range(owner.shape[0]):
        counts[owner[link]] += 1
        totals[owner[link]] += weight[link]


@kernel
def list_shares(
    owner: Any, neighbour: Any, weight: Float64Array, totals: Float64Array, place: Int64Array, listed: Any, share: Any
) -> None:
    """Sort links by their owner, those of one in the order given, and write what part of its total each weighs.

    Parameters
    ----------
    owner, neighbour : int32[m]
        Whose list a link goes into, and what is written there.
    weight : float64[m]
        Of each link.
    totals : float64[n]
        Of each list.
    place : int64[n]
        Where each list begins; left at where it ends.
    listed : uint32[m]
        Written.
    share : float32[m]
        Written.
    """
    for link in range(owner.shape[0]):
        node = owner[link]
        at = place[node]
        listed[at] = neighbour[link]
        share[at] = np.float32(weight[link] / totals[node])
        place[node] = at + 1


@inlined
def _squares(rows: Any, node: Int) -> Any:
    """The sum of the squares of a row, float64, in four sums."""
    length = rows.shape[1]
    whole = length // 4 * 4
    one, two, three, four = 0.0, 0.0, 0.0, 0.0
    for place in range(0, whole, 4):
        one += np.float64(rows[node, place]) * np.float64(rows[node, place])
        two += np.float64(rows[node, place + 1]) * np.float64(rows[node, place + 1])
        three += np.float64(rows[node, place + 2]) * np.float64(rows[node, place + 2])
        four += np.float64(rows[node, place + 3]) * np.float64(rows[node, place + 3])
    for place in range(whole, length):
        one += np.float64(rows[node, place]) * np.float64(rows[node, place])
    return (one + two) + (three + four)


@inlined
def _add_unit(rows: Any, node: Int, scale: Any, total: Any, into: Int) -> None:
    """Add a row, brought to the length `scale`, to another; nothing where it is all zero."""
    squares = _squares(rows, node)
    if squares > 0.0:
        size = np.float32(scale / math.sqrt(squares))
        for place in range(rows.shape[1]):
            total[into, place] += size * rows[node, place]


@inlined
def _bring_to_unit(rows: Any, node: Int) -> None:
    """Bring a row to length 1; a zero row stays zero."""
    squares = _squares(rows, node)
    if squares > 0.0:
        size = np.float32(1.0 / math.sqrt(squares))
        for place in range(rows.shape[1]):
            rows[node, place] *= size


@inlined
def _average(
    start: Int64Array, stop: Int64Array, listed: Any, share: Any, rows: Any, node: Int, averages: Any, into: Int
) -> None:
    """Write the average of the rows of a node's neighbours, added in the order of its list."""
    dimensions = rows.shape[1]
    width = dimensions * rows.itemsize
    at, end = start[node], stop[node]
    for place in range(dimensions):
        averages[into, place] = np.float32(0.0)
    while at + 4 <= end:
        for ahead in range(at + AHEAD, min(at + AHEAD + 4, listed.shape[0])):
            for line in range(0, width, LINE):
                prefetch(rows, np.int64(listed[ahead]), line)
        a, b, c, d = listed[at], listed[at + 1], listed[at + 2], listed[at + 3]
        of_a, of_b, of_c, of_d = share[at], share[at + 1], share[at + 2], share[at + 3]
        for place in range(dimensions):
            averages[into, place] = (
                ((averages[into, place] + of_a * np.float32(rows[a, place])) + of_b * np.float32(rows[b, place]))
                + of_c * np.float32(rows[c, place])
            ) + of_d * np.float32(rows[d, place])
        at += 4
    while at < end:
        if at + AHEAD < listed.shape[0]:
            for line in range(0, width, LINE):
                prefetch(rows, np.int64(listed[at + AHEAD]), line)
        a, of_a = listed[at], share[at]
        for place in range(dimensions):
            averages[into, place] += of_a * np.float32(rows[a, place])
        at += 1


@kernel
def average_rows(
    start: Int64Array, stop: Int64Array, listed: Any, share: Any, rows: Any, first: Int, last: Int, averages: Any
) -> None:
    """Average the rows of each node's neighbours, for the nodes [first, last).

    Parameters
    ----------
    start, stop : int64[n]
        List of each node.
    listed : uint32[M]
        Neighbours.
    share : float32[M]
        Their parts of a list.
    rows : int8[n, d] or float32[n, d]
        What is averaged.
    first, last : int
        The nodes.
    averages : float32[n, d]
        Written; rows outside [first, last) stay as they are.
    """
    for node in range(first, last):
        _average(start, stop, listed, share, rows, node, averages, node)


@kernel
def finish_rows(
    start: Int64Array,
    stop: Int64Array,
    listed: Any,
    share: Any,
    rows: Any,
    first: Int,
    last: Int,
    kept: Any,
    scales: Float64Array,
    own: Any,
    total: Any,
) -> None:
    """As `average_rows` for the last time: each node's averages, brought to some lengths, add up to a row of length 1.

    Parameters
    ----------
    start, stop, listed, share, rows, first, last
        As of `average_rows`.
    kept : float32[k, n, d]
        The averages before.
    scales : float64[k + 1]
        Lengths, that of the last average behind the others.
    own : float32[1, d]
        Scratch.
    total : float32[n, d]
        Written; rows outside [first, last) stay as they are.
    """
    for node in range(first, last):
        _average(start, stop, listed, share, rows, node, own, 0)
        for place in range(total.shape[1]):
            total[node, place] = np.float32(0.0)
        for order in range(kept.shape[0]):
            _add_unit(kept[order], node, scales[order], total, node)
        _add_unit(own, 0, scales[kept.shape[0]], total, node)
        _bring_to_unit(total, node)


@kernel
def add_units(rows: Any, scale: Any, total: Any) -> None:
    """Add every row float32[n, d], brought to the length `scale`, to that of `total`; zero rows add nothing."""
    for node in range(rows.shape[0]):
        _add_unit(rows, node, scale, total, node)


@kernel
def unit_rows(rows: Any) -> None:
    """Bring every row float32[n, d] to length 1; zero rows stay zero."""
    for node in range(rows.shape[0]):
        _bring_to_unit(rows, node)


@kernel
def absorb_links(owner: Any, neighbour: Any, weight: Float64Array, rows: Any, sums: Any, totals: Float64Array) -> None:
    """Add links to the sums of their owners, one after the other.

    Each sum of order k gets the weight times what the neighbour's rows of order k - 1 are at that moment: its random
    row, or the average that its own sums make.

    Parameters
    ----------
    owner, neighbour : int32[k]
        Nodes.
    weight : float64[k]
        Of each link, above 0.
    rows : int8[n, d]
        Random rows.
    sums : float32[K, n, d]
        Weighted sums of neighbours' rows, by order; updated.
    totals : float64[n]
        Weight of each node's links; updated.
    """
    for link in range(owner.shape[0]):
        node, other = owner[link], neighbour[link]
        size = np.float32(weight[link])
        for place in range(rows.shape[1]):
            sums[0, node, place] += size * np.float32(rows[other, place])
        if totals[other] > 0.0:
            part = np.float32(weight[link] / totals[other])
            for order in range(1, sums.shape[0]):
                for place in range(rows.shape[1]):
                    sums[order, node, place] += part * sums[order - 1, other, place]
        totals[node] += weight[link]


@kernel
def cosine_distances(left: Any, right: Any, one: Any, two: Any, out: Float64Array) -> None:
    """1 - cosine of the rows left[one] and right[two], in [0, 2]; NaN where a row is zero or not there.

    Parameters
    ----------
    left, right : float32[n, d]
        Rows.
    one, two : int64[m]
        Which of them; n or more = none.
    out : float64[m]
        Written.
    """
    for pair in range(one.shape[0]):
        a, b = one[pair], two[pair]
        out[pair] = np.nan
        if a >= left.shape[0] or b >= right.shape[0]:
            continue
        product, squares, others = 0.0, 0.0, 0.0
        for place in range(left.shape[1]):
            x, y = np.float64(left[a, place]), np.float64(right[b, place])
            product += x * y
            squares += x * x
            others += y * y
        if squares > 0.0 and others > 0.0:
            out[pair] = min(max(1.0 - product / math.sqrt(squares * others), 0.0), 2.0)


@kernel
def nearest_distances(rows: Any, known: Any, products: Any, out: Float64Array) -> None:
    """1 - the greatest product of a row with any known one, in [0, 2].

    Parameters
    ----------
    rows : float32[m, d]
        Rows of length 1.
    known : float32[d, L]
        Known rows of length 1, one a column; L of 1 or more.
    products : float32[L]
        Scratch.
    out : float64[m]
        Written; NaN where the row is zero.
    """
    dimensions, count = known.shape
    whole = dimensions // 4 * 4
    for row in range(rows.shape[0]):
        for other in range(count):
            products[other] = np.float32(0.0)
        for place in range(0, whole, 4):
            a, b, c, d = rows[row, place], rows[row, place + 1], rows[row, place + 2], rows[row, place + 3]
            for other in range(count):
                products[other] = (
                    ((products[other] + a * known[place, other]) + b * known[place + 1, other])
                    + c * known[place + 2, other]
                ) + d * known[place + 3, other]
        for place in range(whole, dimensions):
            a = rows[row, place]
            for other in range(count):
                products[other] += a * known[place, other]
        best = products[0]
        for other in range(1, count):
            best = max(best, products[other])
        out[row] = min(max(1.0 - np.float64(best), 0.0), 2.0) if _squares(rows, row) > 0.0 else np.nan
