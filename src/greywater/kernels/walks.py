"""Second-order random walks over sorted lists (node2vec), and skip-gram with negative sampling over them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.fastrp import GOLDEN, UNIT, mixed
from greywater.kernels.prefetch import prefetch
from greywater.vocab import Float64Array, Int64Array

__all__ = ["LANES", "NOBODY", "alias_tables", "mark_links", "second_order_walks", "train_skip_gram"]

#: Stands behind the end of a walk.
NOBODY = -1
#: Draws of one step; after so many that were refused, the last is taken.
DRAWS = 256
#: Walks that go side by side.
LANES = 16
HALF = np.uint64(32)
LOWER = np.uint64(0xFFFFFFFF)
HALF_UNIT = 1.0 / 4294967296.0


@kernel
def alias_tables(
    start: Int64Array, stop: Int64Array, weight: Float64Array, value: Any, chance: Any, other: Any, left: Int64Array
) -> None:
    """For each list, tables by which one of its values is drawn by weight at the cost of one number (Walker, Vose).

    Parameters
    ----------
    start, stop : int64[n]
        The lists.
    weight : float64[M]
        Of each entry, above 0.
    value : uint32[M]
        What an entry stands for.
    chance : float32[M]
        Written: the part of its draws in which an entry gives its own value.
    other : uint32[M]
        Written: the value that it gives in the rest of them.
    left : int64[k]
        Scratch; k at least the length of the longest list.
    """
    for node in range(start.shape[0]):
        begin, end = start[node], stop[node]
        length = end - begin
        whole = 0.0
        for at in range(begin, end):
            whole += weight[at]
        # Entries below the mean from the left of the scratch on, others from the right.
        small, large = 0, length
        for at in range(begin, end):
            chance[at] = np.float32(weight[at] / whole * length)
            other[at] = value[at]
            if chance[at] < np.float32(1.0):
                left[small] = at
                small += 1
            else:
                large -= 1
                left[large] = at
        while small > 0 and large < length:
            small -= 1
            low, high = left[small], left[large]
            other[low] = value[high]
            rest = chance[high] - (np.float32(1.0) - chance[low])
            chance[high] = rest
            if rest < np.float32(1.0):
                large += 1
                left[small] = high
                small += 1
        for place in range(small):
            chance[left[place]] = np.float32(1.0)
        for place in range(large, length):
            chance[left[place]] = np.float32(1.0)


@inlined
def _place(word: Any, begin: Int, length: Int) -> Int:
    """An entry of the list of some length from `begin` on, by the upper half of a word uint64."""
    return np.int64(begin) + np.int64(((word >> HALF) * np.uint64(length)) >> HALF)


@inlined
def _value(word: Any, at: Int, value: Any, chance: Any, other: Any) -> Int:
    """What an entry gives, by the lower half of a word uint64."""
    if np.float64(word & LOWER) * HALF_UNIT < np.float64(chance[at]):
        return np.int64(value[at])
    return np.int64(other[at])


@inlined
def _bit(node: Int, other: Int, bits: Int) -> Int:
    """The bit that a link marks among a power of two of them."""
    word = mixed((np.uint64(node) << HALF) | np.uint64(other))
    return np.int64(word >> HALF) & (bits - 1)


@kernel
def mark_links(bounds: Int64Array, entries: Any, marks: Any) -> None:
    """Mark every link by a bit of `marks` uint8[2^k]: who has no mark is no link, and is told at one look."""
    for node in range(bounds.shape[0]):
        for at in range(bounds[node, 0], bounds[node, 1]):
            bit = _bit(node, np.int64(entries[at, 0]), marks.shape[0] * 8)
            marks[bit >> 3] |= np.uint8(1 << (bit & 7))


@inlined
def _linked(bounds: Int64Array, entries: Any, marks: Any, node: Int, sought: Int) -> Any:
    """Whether a node's list, which is sorted, holds another node."""
    bit = _bit(node, sought, marks.shape[0] * 8)
    found = np.int64(marks[bit >> 3]) >> (bit & 7) & 1
    if found:
        low, high = bounds[node, 0], bounds[node, 1]
        end = high
        while low < high:
            middle = (low + high) >> 1
            if np.int64(entries[middle, 0]) < sought:
                low = middle + 1
            else:
                high = middle
        found = np.int64(low < end and np.int64(entries[low, 0]) == sought)
    return found == 1


@kernel
def second_order_walks(
    bounds: Int64Array,
    entries: Any,
    chance: Any,
    marks: Any,
    back: Any,
    away: Any,
    seed: Any,
    first: Int,
    walks: Any,
    lanes: Int64Array,
    words: Any,
) -> Int:
    """Walk on from the first node of each row; returns the steps made.

    A step is drawn by weight and kept by `back` where it leads to the node before, 1 where that is linked to it, `away`
    elsewhere, each over the largest of the three; else it is drawn again. Some walks go side by side, so that what one
    waits for is fetched while another steps; each draws from numbers of its own.

    Parameters
    ----------
    bounds : int64[n, 2]
        Where each list begins and ends; lists are sorted and without repeats.
    entries : uint32[M, 4]
        A neighbour, its chance, the neighbour of the rest of its draws, and nothing: one line of the cache an entry.
    chance : float32[M]
        The chances among the entries.
    marks : uint8[2^k]
        As `mark_links` makes them.
    back, away : float
        1 / p and 1 / q of node2vec, above 0.
    seed : uint64
        A walk's numbers are a hash of it and of the walk's number.
    first : int
        Number of the first walk.
    walks : int32[w, k]
        The first column is given, the others are written; NOBODY behind the last node.
    lanes, words : int64[6, LANES], uint64[LANES]
        Scratch.
    """
    most, least = max(back, 1.0, away), min(back, 1.0, away)
    node, before, place, after, step, draws = lanes[0], lanes[1], lanes[2], lanes[3], lanes[4], lanes[5]
    value, other = entries[:, 0], entries[:, 2]
    length, bits = walks.shape[1], marks.shape[0] * 8
    steps = 0
    for group in range(0, walks.shape[0] if length > 1 else 0, LANES):
        width = min(LANES, walks.shape[0] - group)
        going = width
        for lane in range(width):
            node[lane], before[lane], step[lane], draws[lane] = walks[group + lane, 0], NOBODY, 1, 0
            words[lane] = mixed(seed + np.uint64(first + group + lane + 1) * GOLDEN)
            prefetch(bounds, node[lane], 0)
        while going > 0:
            for lane in range(width):
                if node[lane] == NOBODY:
                    continue
                begin, end = bounds[node[lane], 0], bounds[node[lane], 1]
                if begin == end:
                    for at in range(step[lane], length):
                        walks[group + lane, at] = NOBODY
                    node[lane] = NOBODY
                    going -= 1
                    continue
                words[lane] += GOLDEN
                place[lane] = _place(mixed(words[lane]), begin, end - begin)
                prefetch(entries, place[lane], 0)
            for lane in range(width):
                if node[lane] != NOBODY:
                    after[lane] = _value(mixed(words[lane]), place[lane], value, chance, other)
                    prefetch(bounds, after[lane], 0)
                    if before[lane] != NOBODY:
                        prefetch(marks, _bit(before[lane], after[lane], bits) >> 3, 0)
            for lane in range(width):
                if node[lane] == NOBODY:
                    continue
                draws[lane] += 1
                kept, drawn = most, 0.0
                if before[lane] != NOBODY and draws[lane] < DRAWS and least != most:
                    words[lane] += GOLDEN
                    drawn = np.float64(mixed(words[lane]) >> np.uint64(11)) * UNIT * most
                    if drawn < least:
                        kept = most
                    elif after[lane] == before[lane]:
                        kept = back
                    elif _linked(bounds, entries, marks, before[lane], after[lane]):
                        kept = 1.0
                    else:
                        kept = away
                if drawn < kept:
                    walks[group + lane, step[lane]] = after[lane]
                    before[lane], node[lane] = node[lane], after[lane]
                    steps += 1
                    step[lane] += 1
                    draws[lane] = 0
                    if step[lane] == length:
                        node[lane] = NOBODY
                        going -= 1
    return steps


@inlined
def _product(left: Any, one: Int, right: Any, two: Int) -> Any:
    """The inner product of two rows, float32, in four sums."""
    length = left.shape[1]
    whole = length // 4 * 4
    a, b, c, d = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for place in range(0, whole, 4):
        a += left[one, place] * right[two, place]
        b += left[one, place + 1] * right[two, place + 1]
        c += left[one, place + 2] * right[two, place + 2]
        d += left[one, place + 3] * right[two, place + 3]
    for place in range(whole, length):
        a += left[one, place] * right[two, place]
    return (a + b) + (c + d)


@kernel
def train_skip_gram(
    walks: Any,
    window: Int,
    negatives: Int,
    value: Any,
    chance: Any,
    other: Any,
    rate: Any,
    seed: Any,
    vectors: Any,
    contexts: Any,
    moved: Any,
) -> None:
    """One pass of stochastic gradient descent over walks: nodes that stand near each other, against some drawn ones.

    Parameters
    ----------
    walks : int32[w, k]
        Nodes, NOBODY behind the last.
    window : int
        Steps to either side at most; how many is drawn for each node.
    negatives : int
        Nodes drawn against each pair.
    value, chance, other : uint32[n], float32[n], uint32[n]
        Alias tables of what is drawn.
    rate : float
        Of learning.
    seed : uint64
        Of what is drawn.
    vectors, contexts : float32[n, d]
        Updated.
    moved : float32[d]
        Scratch.
    """
    word = seed
    dimensions, nodes = vectors.shape[1], vectors.shape[0]
    for walk in range(walks.shape[0]):
        for at in range(walks.shape[1]):
            node = np.int64(walks[walk, at])
            if node == NOBODY:
                break
            word += GOLDEN
            reach = 1 + np.int64((mixed(word) >> HALF) % np.uint64(window))
            begin, end = max(np.int64(0), at - reach), min(walks.shape[1], at + reach + 1)
            for near in range(begin, end):
                context = np.int64(walks[walk, near])
                if near == at or context == NOBODY:
                    continue
                for place in range(dimensions):
                    moved[place] = np.float32(0.0)
                for draw in range(negatives + 1):
                    aim, label = context, 1.0
                    if draw > 0:
                        word += GOLDEN
                        drawn = mixed(word)
                        aim, label = _value(drawn, _place(drawn, 0, nodes), value, chance, other), 0.0
                        if aim == context:
                            continue
                    guess = 1.0 / (1.0 + math.exp(-np.float64(_product(vectors, node, contexts, aim))))
                    step = np.float32((label - guess) * rate)
                    for place in range(dimensions):
                        moved[place] += step * contexts[aim, place]
                        contexts[aim, place] += step * vectors[node, place]
                for place in range(dimensions):
                    vectors[node, place] += moved[place]
