"""The graph that trust scores run over: lists both ways, nodes ordered so that only what lies on cycles is iterated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from greywater.errors import RefusedValueError
from greywater.kernels import trust_graph as kernels
from greywater.vocab import Float64Array, Int64Array

__all__ = ["Lists", "TrustGraph", "checked_links", "checked_weights", "trust_graph"]

#: An array that stands for "every link weighs 1".
NO_WEIGHTS: Final = np.empty(0, np.float64)

#: Links per place kept free for links that come later: at the end, and behind every list of `_LONG` and more, which
#: would cost most to move.
_SLACK: Final = 16
_LONG: Final = 256

#: Weights above 0 lie between these, so that neither their sum nor a part of it leaves float64.
_LEAST_WEIGHT: Final = 1e-290
_MOST_WEIGHT: Final = 1e290

#: What is left of a node's weight when all its links are gone, as a part of what it was, is what sums were rounded by.
_ROUNDED: Final = 1e-9


@dataclass
class Lists:
    """One list of neighbours a node, open at its end.

    Parameters
    ----------
    start, stop, limit : int64[n]
        Where each list begins and ends in `listed`, and how far it may grow.
    listed : uint32[M]
        The neighbours.
    weight : float64[M] or float64[0]
        Weight of each link; empty where all are 1.
    used : int64[1]
        Places of `listed` that are given out.
    """

    start: Int64Array
    stop: Int64Array
    limit: Int64Array
    listed: Any
    weight: Float64Array
    used: Int64Array

    def of(self, node: int) -> tuple[Any, Float64Array]:
        """Neighbours uint32[k] and weights float64[k] of one node."""
        span = slice(int(self.start[node]), int(self.stop[node]))
        neighbours = self.listed[span]
        return neighbours, self.weight[span] if len(self.weight) else np.ones(len(neighbours))

    def with_weights(self) -> None:
        """Hold a weight for every link, also where all were 1."""
        if not len(self.weight):
            self.weight = np.ones(len(self.listed))

    def insert(self, owners: Any, neighbours: Any, weight: Float64Array) -> None:
        """Append links int32[k] -> int32[k] of weight float64[k]."""
        done = 0
        while True:
            done = kernels.insert_links(
                owners, neighbours, weight, done, self.used,
                self.start, self.stop, self.limit, self.listed, self.weight,
            )  # fmt: skip
            if done == len(owners):
                return
            longest = int((self.stop - self.start).max())
            more = max(len(self.listed) // _SLACK, 2 * longest + kernels.SPARE)
            self.listed = np.concatenate([self.listed, np.zeros(more, np.uint32)])
            if len(self.weight):
                self.weight = np.concatenate([self.weight, np.zeros(more)])

    def remove(self, owner: int, neighbours: Any) -> None:
        """Take every link from one node to any of int[k] neighbours out of its list."""
        begin, end = int(self.start[owner]), int(self.stop[owner])
        kept = np.flatnonzero(~np.isin(self.listed[begin:end], neighbours)) + begin
        self.stop[owner] = begin + len(kept)
        self.listed[begin : begin + len(kept)] = self.listed[kept]
        if len(self.weight):
            self.weight[begin : begin + len(kept)] = self.weight[kept]

    def grow(self, nodes: int) -> None:
        """Give `nodes` more nodes an empty list."""
        for name in ("start", "stop", "limit"):
            setattr(self, name, np.concatenate([getattr(self, name), np.zeros(nodes, np.int64)]))


@dataclass
class TrustGraph:
    """A directed graph whose nodes have new numbers: first what no cycle reaches, then the core, then the rest.

    In the head every node stands after all that link to it, in the tail too, so that one pass over either is exact;
    only the core between them, what lies on or between cycles, is passed over again and again. The core is ordered by
    how many links reach a node.

    Parameters
    ----------
    position : int32[n]
        New number of each node.
    node : int32[n]
        Node of each new number.
    core : (int, int)
        First new number of the core and first beyond it.
    entering, leaving : Lists
        Links that reach and that leave each node, all in new numbers.
    total : float64[n]
        Weight of the links that leave each node, and what it keeps.
    ordered : bool
        False once links came that the order of the nodes does not know.
    """

    position: Any
    node: Any
    core: tuple[int, int]
    entering: Lists
    leaving: Lists
    total: Float64Array
    ordered: bool = True
    _scale: dict[float, Float64Array] = field(default_factory=dict, repr=False)

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return len(self.node)

    @property
    def links(self) -> int:
        """How many links there are, parallel ones counted."""
        return int((self.leaving.stop - self.leaving.start).sum())

    def scale(self, beta: float) -> Float64Array:
        """Float64[n]: beta / total weight of what leaves a node, 0 where nothing does."""
        if beta not in self._scale:
            scale = np.zeros(self.nodes)
            leaves = self.leaving.stop > self.leaving.start
            scale[leaves] = beta / self.total[leaves]
            self._scale = {beta: scale}
        return self._scale[beta]

    def internal(self, values: Any) -> Any:
        """Values by node, in the order of the new numbers."""
        return np.ascontiguousarray(values[self.node])

    def external(self, values: Any) -> Any:
        """Values by new number, in the order of the nodes."""
        return np.ascontiguousarray(values[self.position])

    def grow(self, nodes: int) -> None:
        """Add nodes that no link touches yet; their new numbers follow all others."""
        more = np.arange(self.nodes, self.nodes + nodes, dtype=np.int32)
        self.position = np.concatenate([self.position, more])
        self.node = np.concatenate([self.node, more])
        self.total = np.concatenate([self.total, np.zeros(nodes)])
        self.entering.grow(nodes)
        self.leaving.grow(nodes)
        self._scale = {}

    def missing(self, source: Any, target: Any) -> int | None:
        """The first place of int32[k] -> int32[k], nodes by their own numbers, that is no link; None = all are."""
        for place, (one, two) in enumerate(zip(source.tolist(), target.tolist(), strict=True)):
            if min(one, two) < 0 or self.position[two] not in self.leaving.of(int(self.position[one]))[0]:
                return place
        return None

    def insert(self, source: Any, target: Any, weight: Float64Array) -> None:
        """Add links between new numbers int32[k] -> int32[k] of weight float64[k]."""
        if not len(self.leaving.weight) and (weight != 1.0).any():
            self.leaving.with_weights()
            self.entering.with_weights()
        self.leaving.insert(source, target, weight)
        self.entering.insert(target, source, weight)
        np.add.at(self.total, source, weight)
        for beta, scale in self._scale.items():
            scale[source] = beta / self.total[source]
        self.ordered = False

    def remove(self, source: Any, target: Any) -> None:
        """Take away all links between pairs of new numbers int32[k] -> int32[k]; the order of the nodes stays right."""
        for lists, owners, neighbours in ((self.leaving, source, target), (self.entering, target, source)):
            order = np.argsort(owners, kind="stable")
            each, begin = np.unique(owners[order], return_index=True)
            for owner, gone in zip(each.tolist(), np.split(neighbours[order], begin[1:]), strict=True):
                before = float(lists.of(owner)[1].sum())
                lists.remove(owner, gone)
                if lists is self.leaving:
                    held = self.total[owner] - before
                    held = held if held > _ROUNDED * self.total[owner] else 0.0
                    self.total[owner] = held + float(lists.of(owner)[1].sum())
        self._scale = {}


def checked_links(source: Any, target: Any, weight: Float64Array | None, nodes: int) -> tuple[Any, Any, Float64Array]:
    """Links as contiguous arrays, without those of weight 0; weights are left out where all are alike.

    Parameters
    ----------
    source, target : int32[m]
        Nodes below `nodes`.
    weight : float64[m], optional
        Finite, not negative.
    nodes : int
        How many there are.

    Returns
    -------
    int32[k], int32[k], float64[k] or float64[0]

    Raises
    ------
    RefusedValueError
        A node is not below `nodes`, a weight is negative or not finite, or the lengths differ.
    """
    source, target = np.ascontiguousarray(source, np.int32), np.ascontiguousarray(target, np.int32)
    if len(source) != len(target) or (weight is not None and len(weight) != len(source)):
        raise RefusedValueError(
            "source, target and weight differ in length", where="trust graph", mend="give one of each for every link"
        )
    for name, ends in (("source", source), ("target", target)):
        if len(ends) and (int(ends.min()) < 0 or int(ends.max()) >= nodes):
            raise RefusedValueError(
                f"a link's {name} is not a node", where=f"{name} of a trust graph", mend=f"use numbers 0 to {nodes - 1}"
            )
    if weight is None or not len(weight):
        return source, target, NO_WEIGHTS
    weight = checked_weights(np.ascontiguousarray(weight, np.float64))
    if float(weight.min()) == 0.0:
        kept = weight > 0.0
        source, target, weight = source[kept], target[kept], weight[kept]
    return source, target, weight


def checked_weights(weight: Float64Array) -> Float64Array:
    """The weights of links float64[m] themselves where they can be used."""
    if not len(weight):
        return weight
    if not np.isfinite(weight).all() or float(weight.min()) < 0.0:
        raise RefusedValueError(
            "a weight is negative or not finite", where="weight of a trust graph", mend="use finite weights from 0 up"
        )
    if float(weight.max()) > _MOST_WEIGHT or float(weight.min(where=weight > 0.0, initial=1.0)) < _LEAST_WEIGHT:
        raise RefusedValueError(
            "a weight is too large or too small to be added up",
            where="weight of a trust graph",
            mend=f"use weights of {_LEAST_WEIGHT:g} to {_MOST_WEIGHT:g}: only their proportion counts",
        )
    return weight


def trust_graph(
    source: Any, target: Any, weight: Float64Array | None, nodes: int, *, kept: Float64Array | None = None
) -> TrustGraph:
    """Order the nodes and list the links both ways.

    Parameters
    ----------
    source, target : int32[m]
        Links; parallel ones add up, a link from a node to itself counts.
    weight : float64[m], optional
        Finite, not negative; 1 where left out. A link of weight 0 is none.
    nodes : int
        How many nodes there are.
    kept : float64[nodes], optional
        Weight that leaves no node and stays with it: that part of its score goes nowhere.

    Returns
    -------
    TrustGraph

    Raises
    ------
    RefusedValueError
        See `checked_links`.

    Examples
    --------
    >>> graph = trust_graph([0, 1, 2, 1], [1, 2, 1, 3], None, 4)
    >>> graph.node.tolist(), graph.core
    ([0, 1, 2, 3], (1, 3))
    """
    source, target, weight = checked_links(source, target, weight, nodes)
    uniform = not len(weight) or (kept is None and bool((weight == 1.0).all()))
    listed_weight = NO_WEIGHTS if uniform else weight
    total = np.bincount(source, weights=weight if len(weight) else None, minlength=nodes).astype(np.float64)
    if kept is not None:
        total += kept
    entering = _listed(target, source, listed_weight, nodes)
    leaving = _listed(source, target, listed_weight, nodes)
    node, core = _order(entering, leaving, nodes)
    position = np.empty(nodes, np.int32)
    position[node] = np.arange(nodes, dtype=np.int32)
    entering = _moved(entering, node, position)
    leaving = _moved(leaving, node, position)
    return TrustGraph(position, node, core, entering, leaving, total[node])


def _listed(owner: Any, neighbour: Any, weight: Float64Array, nodes: int) -> Lists:
    """Lists in the order of the nodes, without any room to spare."""
    counts = np.zeros(nodes, np.int64)
    kernels.count_links(owner, counts)
    stop = np.cumsum(counts)
    start = stop - counts
    listed = np.empty(len(owner), np.uint32)
    listed_weight = np.empty(len(weight))
    kernels.list_links(owner, neighbour, weight, start.copy(), listed, listed_weight)
    return Lists(start, stop, stop.copy(), listed, listed_weight, np.array([len(owner)]))


def _order(entering: Lists, leaving: Lists, nodes: int) -> tuple[Any, tuple[int, int]]:
    """Node of each new number, and where the core begins and ends."""
    reaching = entering.stop - entering.start
    found = np.empty(nodes, np.int32)
    sinks = kernels.peel_sinks(entering.start, entering.stop, entering.listed, leaving.stop - leaving.start, found)
    tail = found[:sinks][::-1].copy()
    taken = np.zeros(nodes, np.uint8)
    taken[tail] = 1
    sources = kernels.peel_sources(leaving.start, leaving.stop, leaving.listed, reaching.copy(), taken, found)
    head = found[:sources].copy()
    taken[head] = 1
    core = np.flatnonzero(taken == 0)
    core = core[np.argsort(-reaching[core], kind="stable")].astype(np.int32)
    return np.concatenate([head, core, tail]), (sources, sources + len(core))


def _moved(lists: Lists, node: Any, position: Any) -> Lists:
    """The lists in the order of the new numbers, with room for links to come."""
    length = (lists.stop - lists.start)[node]
    room = np.where(length >= _LONG, length // _SLACK, 0)
    limit = np.cumsum(length + room)
    start, stop = limit - (length + room), np.empty(len(node), np.int64)
    count = int(limit[-1]) if len(limit) else 0
    listed = np.zeros(count + len(lists.listed) // _SLACK + 1024, np.uint32)
    weight = np.zeros(len(listed)) if len(lists.weight) else NO_WEIGHTS
    kernels.move_lists(node, position, lists.start, lists.stop, lists.listed, lists.weight, start, stop, listed, weight)
    return Lists(start, stop, limit, listed, weight, np.array([count]))
