"""Lists of a directed graph for trust scores: sorted, peeled, renumbered, and open to new links.

Every node owns two lists, of the links that leave it and of those that reach it; a list is a range
``[start, stop)`` of one array with room up to ``limit``, so that a new link is written in place or its list moves
to the end. Weights are an array beside the neighbours, or empty where every link weighs 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.vocab import Float64Array, Int64Array

__all__ = ["count_links", "insert_links", "list_links", "move_lists", "peel_sinks", "peel_sources"]

#: Beyond its length, a list that moves gets its length again and this many places.
SPARE = 4


@kernel
def count_links(nodes: Any, counts: Int64Array) -> None:
    """Add to `counts` int64[n] how often each number in `nodes` int32[m] occurs."""
    for link in range(nodes.shape[0]):
        counts[nodes[link]] += 1


@kernel
def list_links(
    key: Any, neighbour: Any, weight: Float64Array, place: Int64Array, listed: Any, listed_weight: Float64Array
) -> None:
    """Sort links by `key`, those of one key in the order given.

    Parameters
    ----------
    key, neighbour : int32[m]
        Whose list a link goes into, and what is written there.
    weight : float64[m] or float64[0]
        Empty where every link weighs 1.
    place : int64[n]
        Where each list begins; left at where it ends.
    listed : uint32[m]
        Written.
    listed_weight : float64[m] or float64[0]
        Written.
    """
    weighted = weight.shape[0] > 0
    for link in range(key.shape[0]):
        owner = key[link]
        at = place[owner]
        listed[at] = neighbour[link]
        if weighted:
            listed_weight[at] = weight[link]
        place[owner] = at + 1


@kernel
def peel_sinks(start: Int64Array, stop: Int64Array, source: Any, leaving: Int64Array, order: Any) -> Int:
    """Nodes from which no cycle can be reached, each before all that link to it; returns how many.

    Parameters
    ----------
    start, stop : int64[n]
        List of the links that reach each node.
    source : uint32[m]
        Where they come from.
    leaving : int64[n]
        How many links leave each node; counted down.
    order : int32[n]
        Its head is written.
    """
    found = 0
    for node in range(leaving.shape[0]):
        if leaving[node] == 0:
            order[found] = node
            found += 1
    done = 0
    while done < found:
        node = order[done]
        done += 1
        for at in range(start[node], stop[node]):
            before = source[at]
            leaving[before] -= 1
            if leaving[before] == 0:
                order[found] = before
                found += 1
    return found


@kernel
def peel_sources(start: Int64Array, stop: Int64Array, target: Any, reaching: Int64Array, taken: Any, order: Any) -> Int:
    """Nodes that no cycle reaches, without the `taken` uint8[n] ones, each before all it links to; returns how many.

    `start`, `stop` int64[n] and `target` uint32[m] list the links that leave each node; `reaching` int64[n] counts the
    links that reach it and is counted down; the head of `order` int32[n] is written.
    """
    found = 0
    for node in range(reaching.shape[0]):
        if reaching[node] == 0 and taken[node] == 0:
            order[found] = node
            found += 1
    done = 0
    while done < found:
        node = order[done]
        done += 1
        for at in range(start[node], stop[node]):
            after = target[at]
            reaching[after] -= 1
            if reaching[after] == 0 and taken[after] == 0:
                order[found] = after
                found += 1
    return found


@kernel
def move_lists(
    order: Any,
    position: Any,
    start: Int64Array,
    stop: Int64Array,
    listed: Any,
    weight: Float64Array,
    new_start: Int64Array,
    new_stop: Int64Array,
    new_listed: Any,
    new_weight: Float64Array,
) -> None:
    """Write the lists again in the order of new numbers, with new numbers in them.

    Parameters
    ----------
    order : int32[n]
        Old number of each new one.
    position : int32[n]
        New number of each old one.
    start, stop, listed, weight
        The lists as they are.
    new_start : int64[n]
        Where each list is to begin.
    new_stop, new_listed, new_weight
        Written.
    """
    weighted = weight.shape[0] > 0
    for node in range(order.shape[0]):
        old = order[node]
        at = new_start[node]
        for entry in range(start[old], stop[old]):
            new_listed[at] = position[listed[entry]]
            if weighted:
                new_weight[at] = weight[entry]
            at += 1
        new_stop[node] = at


@inlined
def _insert(
    start: Int64Array, stop: Int64Array, limit: Int64Array, listed: Any, weights: Float64Array,
    used: Int, owner: Int, neighbour: Int, weight: Any,
) -> Int:  # fmt: skip
    """Write one link at the end of a list; the list moves where it is full. Returns the places used, -1 = no room."""
    if stop[owner] == limit[owner]:
        length = stop[owner] - start[owner]
        room = 2 * length + SPARE
        if used + room > listed.shape[0]:
            return -1
        for step in range(length):
            listed[used + step] = listed[start[owner] + step]
            if weights.shape[0] > 0:
                weights[used + step] = weights[start[owner] + step]
        start[owner] = used
        stop[owner] = used + length
        limit[owner] = used + room
        used += room
    listed[stop[owner]] = neighbour
    if weights.shape[0] > 0:
        weights[stop[owner]] = weight
    stop[owner] += 1
    return used


@kernel
def insert_links(
    owners: Any,
    neighbours: Any,
    weight: Float64Array,
    first: Int,
    used: Int64Array,
    start: Int64Array,
    stop: Int64Array,
    limit: Int64Array,
    listed: Any,
    weights: Float64Array,
) -> Int:
    """Append links to lists, from the `first` on; returns how many are in when there is no more room.

    Parameters
    ----------
    owners, neighbours : int32[k]
        Whose list, and what is written there.
    weight : float64[k]
        Of each link.
    used : int64[1]
        Places of `listed` that are given out; updated.
    start, stop, limit : int64[n]
        The lists; updated.
    listed, weights : uint32[M], float64[M] or float64[0]
        Updated.
    """
    taken = used[0]
    for link in range(first, owners.shape[0]):
        grown = _insert(
            start, stop, limit, listed, weights, taken, np.int64(owners[link]), neighbours[link], weight[link]
        )
        if grown < 0:
            used[0] = taken
            return link
        taken = grown
    used[0] = taken
    return owners.shape[0]
