"""Local pushes of trust: a change spreads from where it happened, and what it cannot reach is never touched."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.vocab import Float64Array, Int64Array

__all__ = ["Front", "change_columns", "contribute", "empty_front", "push", "reach", "seed", "take_top"]

TOUCHED, HEAD, LENGTH, WORK = range(4)


class Front(NamedTuple):
    """residual float64[n]; touched int32[n] a list of nodes whose residual was ever changed, mark uint8[n] 1 = in that
    list, 2 = in the queue too; queue int32[n] a ring; counts int64[4]: nodes touched, head and length of the queue,
    links walked."""

    residual: Any
    touched: Any
    mark: Any
    queue: Any
    counts: Any


def empty_front(nodes: int) -> Front:
    """A front that has touched nothing."""
    return Front(
        np.zeros(nodes),
        np.empty(nodes, np.int32),
        np.zeros(nodes, np.uint8),
        np.empty(nodes, np.int32),
        np.zeros(4, np.int64),
    )


@inlined
def _add(front: Front, node: Int, amount: Any, least: Any) -> None:
    """Add to the residual of a node; queue it where that is more than `least`."""
    front.residual[node] += amount
    if front.mark[node] == 0:
        front.mark[node] = 1
        front.touched[front.counts[TOUCHED]] = node
        front.counts[TOUCHED] += 1
    if front.mark[node] == 1 and abs(front.residual[node]) > least:
        front.mark[node] = 2
        end = front.counts[HEAD] + front.counts[LENGTH]
        if end >= front.queue.shape[0]:
            end -= front.queue.shape[0]
        front.queue[end] = node
        front.counts[LENGTH] += 1


@kernel
def seed(front: Front, nodes: Any, amounts: Float64Array) -> None:
    """Add to the residuals of some nodes int32[k] amounts float64[k], and queue none of them."""
    for place in range(nodes.shape[0]):
        _add(front, np.int64(nodes[place]), amounts[place], np.inf)


@kernel
def push(
    start: Int64Array, stop: Int64Array, target: Any, weight: Float64Array, scale: Float64Array,
    score: Float64Array, front: Front, least: Any, most: Int,
) -> Any:  # fmt: skip
    """Move residuals of more than `least` into the scores and on along the links, oldest first.

    Parameters
    ----------
    start, stop : int64[n]
        List of the links that leave each node.
    target, weight : uint32[M], float64[M] or float64[0]
        Where they lead, and their weight; empty where every link weighs 1.
    scale : float64[n]
        beta / total weight that leaves a node; 0 where nothing does.
    score : float64[n]
        Updated; score + (I - beta M)^-1 residual stays the same.
    front : Front
        Updated.
    least : float
        Smaller residuals stay.
    most : int
        Links to be walked at most, all calls together.

    Returns
    -------
    float
        Sum of |residual| that is left.
    """
    weighted = weight.shape[0] > 0
    counts, residual = front.counts, front.residual
    for place in range(counts[TOUCHED]):
        _add(front, np.int64(front.touched[place]), 0.0, least)
    while counts[LENGTH] > 0 and counts[WORK] < most:
        node = np.int64(front.queue[counts[HEAD]])
        counts[HEAD] += 1
        if counts[HEAD] == front.queue.shape[0]:
            counts[HEAD] = 0
        counts[LENGTH] -= 1
        front.mark[node] = 1
        held = residual[node]
        residual[node] = 0.0
        score[node] += held
        passed = held * scale[node]
        for at in range(start[node], stop[node]):
            amount = passed * weight[at] if weighted else passed
            after = np.int64(target[at])
            if scale[after] == 0.0:
                score[after] += amount
            else:
                _add(front, after, amount, least)
        counts[WORK] += stop[node] - start[node] + 1
    while counts[LENGTH] > 0:
        front.mark[front.queue[counts[HEAD]]] = 1
        counts[HEAD] += 1
        if counts[HEAD] == front.queue.shape[0]:
            counts[HEAD] = 0
        counts[LENGTH] -= 1
    left = 0.0
    for place in range(counts[TOUCHED]):
        left += abs(residual[front.touched[place]])
    return left


@kernel
def contribute(
    start: Int64Array, stop: Int64Array, source: Any, weight: Float64Array, scale: Float64Array,
    score: Float64Array, share: Float64Array, front: Front, least: Any, most: Int,
) -> None:  # fmt: skip
    """Find, backward from a node, how much of its score comes of each node's inflow.

    The residual of a node is weighed by its own score: score[v] = sum_u share[u] inflow[u] + sum_u residual[u] score[u]
    holds at every step, and a node without score is never walked back from.

    Parameters
    ----------
    start, stop, source, weight : int64[n], int64[n], uint32[M], float64[M] or float64[0]
        List of the links that reach each node.
    scale, score : float64[n]
        As in `push`; the scores are solved.
    share : float64[n]
        Written: score of the node per unit of inflow at each node.
    front : Front
        The residual is 1 at the node; updated. It holds residual * score in `queue` decisions only.
    least : float
        Residuals worth less than this stay.
    most : int
        Links to be walked at most.
    """
    weighted = weight.shape[0] > 0
    counts, residual, queue, mark = front.counts, front.residual, front.queue, front.mark
    size = queue.shape[0]
    for place in range(counts[TOUCHED]):
        node = np.int64(front.touched[place])
        if mark[node] == 1 and residual[node] * score[node] > least:
            mark[node] = 2
            queue[(counts[HEAD] + counts[LENGTH]) % size] = node
            counts[LENGTH] += 1
    while counts[LENGTH] > 0 and counts[WORK] < most:
        node = np.int64(queue[counts[HEAD]])
        counts[HEAD] = (counts[HEAD] + 1) % size
        counts[LENGTH] -= 1
        mark[node] = 1
        held = residual[node]
        residual[node] = 0.0
        share[node] += held
        for at in range(start[node], stop[node]):
            before = np.int64(source[at])
            if score[before] == 0.0:
                continue
            passed = scale[before] * weight[at] if weighted else scale[before]
            residual[before] += held * passed
            if mark[before] == 0:
                mark[before] = 1
                front.touched[counts[TOUCHED]] = before
                counts[TOUCHED] += 1
            if mark[before] == 1 and residual[before] * score[before] > least:
                mark[before] = 2
                queue[(counts[HEAD] + counts[LENGTH]) % size] = before
                counts[LENGTH] += 1
        counts[WORK] += stop[node] - start[node] + 1


@kernel
def change_columns(
    nodes: Any, start: Int64Array, stop: Int64Array, target: Any, weight: Float64Array,
    scale: Float64Array, score: Float64Array, sign: Any, front: Front,
) -> None:  # fmt: skip
    """Add sign times what some nodes int32[k] pass on to the residuals of those they link to.

    Called with -1 before their links change and with +1 after: together the exact residual beta (M' - M) score.
    """
    weighted = weight.shape[0] > 0
    for place in range(nodes.shape[0]):
        node = nodes[place]
        passed = sign * score[node] * scale[node]
        for at in range(start[node], stop[node]):
            _add(front, np.int64(target[at]), passed * weight[at] if weighted else passed, np.inf)


@kernel
def reach(start: Int64Array, stop: Int64Array, target: Any, begin: Any, found: Any, queue: Any) -> Int:
    """Mark in `found` uint8[n] every node that can be reached from `begin` int32[k], these too; returns how many."""
    count, done = 0, 0
    for place in range(begin.shape[0]):
        node = begin[place]
        if found[node] == 0:
            found[node] = 1
            queue[count] = node
            count += 1
    while done < count:
        node = queue[done]
        done += 1
        for at in range(start[node], stop[node]):
            after = target[at]
            if found[after] == 0:
                found[after] = 1
                queue[count] = after
                count += 1
    return count


@kernel
def take_top(score: Float64Array, barred: Any, wanted: Int, heap: Int64Array) -> Int:
    """The nodes of largest score that are not `barred` uint8[n], in no order; returns how many are in `heap` int64[k].

    Of equal scores the smaller number is kept.
    """
    count = 0
    for node in range(score.shape[0]):
        if barred[node] != 0:
            continue
        if count < wanted:
            at = count
            heap[at] = node
            count += 1
            while at > 0:
                parent = (at - 1) // 2
                if not _less(score, heap[at], heap[parent]):
                    break
                heap[at], heap[parent] = heap[parent], heap[at]
                at = parent
        elif wanted > 0 and _less(score, heap[0], node):
            heap[0] = node
            at = 0
            while True:
                child = 2 * at + 1
                if child >= count:
                    break
                if child + 1 < count and _less(score, heap[child + 1], heap[child]):
                    child += 1
                if not _less(score, heap[child], heap[at]):
                    break
                heap[at], heap[child] = heap[child], heap[at]
                at = child
    return count


@inlined
def _less(score: Float64Array, one: Int, two: Int) -> Any:
    """Whether `one` ranks behind `two`."""
    return score[one] < score[two] or (score[one] == score[two] and one > two)
