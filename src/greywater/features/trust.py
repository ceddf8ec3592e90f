"""Anti-TrustRank as an estimator: guilt by association from a few confirmed launderers, kept up to date, explained."""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np
import pyarrow as pa

from greywater.errors import RefusedValueError, UsageError
from greywater.features.trust_graph import checked_weights
from greywater.features.trust_nodes import NodeNames, edge_columns, seed_column
from greywater.features.trust_paths import TrustPath, strongest_paths
from greywater.features.trust_scores import trust_vectors
from greywater.features.trust_vector import TrustVector, checked_tolerance
from greywater.kernels.trust_push import take_top
from greywater.vocab import Float64Array

__all__ = ["AntiTrustRank"]

#: Links that a preview walks at most: what bounds its time, whatever it is asked.
_PREVIEW_LINKS: Final = 200_000

#: Links added since the order of the nodes was made; beyond this part of all, it is made again.
_STALE: Final = 0.05


class AntiTrustRank:
    """Scores nodes of a graph by how much suspicion reaches them from seeds.

    Parameters
    ----------
    beta : float
        Part of a score that is passed on, in [0, 1).
    direction : {"out", "in", "both"}
        Along the edges, against them (Krishnan & Raj), or the two added.
    weight : str, optional
        Column of the edges' weights; the column `weight` where left out and there is one, else all weigh alike.
    tol : float
        L1 distance of the scores to the exact ones, at most.
    preview_tol : float
        The same for previews, as a part of the weight of the seeds, as far as the links that a preview may walk lead.

    Attributes
    ----------
    nodes_ : int64[n] or object[n]
        Ids, in order of first appearance.
    scores_ : float64[n]
        What is shown (TELE): sums to 1.
    additive_ : float64[n]
        What is kept (LEAK): one vector per seed adds up.

    Notes
    -----
    p = beta M p + (1 - beta) e, M the weights divided by their sum over what leaves a node (Krishnan & Raj 2006; with
    trusted seeds it is the TrustRank of Gyongyi, Garcia-Molina & Pedersen 2004, without any it is PageRank). Suspicion
    goes round in loops: a node on one may outrank the launderer that leads there.

    Examples
    --------
    >>> rank = AntiTrustRank(beta=0.8).fit((["ann", "ann", "bob"], ["bob", "cleo", "dan"]), seeds=["ann"])
    >>> rank.ranking().to_pylist()[0]["node"], rank.additive_.round(4).tolist()
    ('bob', [0.2, 0.08, 0.08, 0.064])
    >>> rank.paths("dan")[0].nodes
    ('ann', 'bob', 'dan')
    """

    def __init__(
        self,
        beta: float = 0.85,
        direction: str = "out",
        weight: str | None = None,
        tol: float = 1e-8,
        preview_tol: float = 5e-5,
    ) -> None:
        self.beta = beta
        self.direction = direction
        self.weight = weight
        self.tol = tol
        self.preview_tol = preview_tol
        self._names = NodeNames()
        self._vectors: list[TrustVector] = []
        self._seeds: dict[int, float] = {}
        self._uniform = False
        self._added = 0

    def fit(self, edges: Any, seeds: Any = None) -> Self:
        """Build the graph and solve for the scores.

        Parameters
        ----------
        edges : pyarrow table, pandas frame, NumPy array [m, 2], or arrays (source, target[, weight])
            Ids are text or whole numbers; parallel edges add up.
        seeds : ids, or mapping of id to weight, optional
            Confirmed launderers; a seed without edges is a node all the same. None: every node (PageRank).

        Returns
        -------
        AntiTrustRank

        Raises
        ------
        RefusedTypeError, RefusedValueError
            The edges, the seeds or a parameter cannot be used; the message says which.
        """
        checked_tolerance(self.tol, "tol")
        checked_tolerance(self.preview_tol, "preview_tol")
        columns = edge_columns(edges, self.weight)
        names, weight = NodeNames(), columns.weight
        source, target = names.encode(columns.source), names.encode(columns.target)
        del columns
        chosen: dict[int, float] = {}
        if seeds is not None:
            ids, weights = _checked_seeds(seeds)
            chosen = dict(zip(names.encode(ids).tolist() if len(ids) else [], weights.tolist(), strict=True))
        vectors = trust_vectors(source, target, weight, len(names), beta=self.beta, direction=self.direction)
        self._names, self._vectors, self._seeds, self._uniform, self._added = names, vectors, chosen, seeds is None, 0
        share = np.zeros(len(names))
        share[list(chosen)] = list(chosen.values())
        if seeds is None:
            share[:] = 1.0
        for vector in vectors:
            vector.inflow[:] = (1.0 - self.beta) * vector.graph.internal(share)
        self._settle()
        return self

    @property
    def nodes_(self) -> Any:
        """Ids by place in `scores_`."""
        return self._names.ids

    @property
    def seeds_(self) -> dict[Any, float]:
        """Weight of each seed; empty for PageRank."""
        return {self._names.name(node): weight for node, weight in self._seeds.items()}

    @property
    def additive_(self) -> Float64Array:
        """LEAK, float64[n]: divided by the weight of the seeds, and linear in them."""
        return _additive(self._fitted())

    @property
    def scores_(self) -> Float64Array:
        """TELE, float64[n]: sums to 1; the order is that of `additive_`."""
        return _shown(self._fitted())

    def ranking(self, top: int | None = None) -> pa.Table:
        """Suspects: nodes that a seed reaches and that are none, most suspicious first.

        Parameters
        ----------
        top : int, optional
            How many; all where left out.

        Returns
        -------
        pyarrow.Table
            `rank` int64 from 1, `node`, `score` float64 as in `scores_`.
        """
        vectors = self._fitted()
        if top is not None:
            table = self._table(vectors, set(self._seeds), top)
            if table.num_rows == top:
                return table
        return self._table(vectors, set(self._seeds), len(self._names) if top is None else top, reached=True)

    def attribution(self, node: Any) -> dict[Any, float]:
        """How much of a node's score comes of each seed.

        Parameters
        ----------
        node : id
            Of the graph.

        Returns
        -------
        dict
            Seed -> part of the score, largest first, summing to 1; empty where no seed reaches the node.
        """
        vectors, number = self._fitted(), self._number(node)
        total, shares = 0.0, np.zeros(len(self._names))
        for vector in vectors:
            place = int(vector.graph.position[number])
            total += float(vector.score[place])
            shares += vector.graph.external(vector.shares(place))
        if total <= 0.0:
            return {}
        found = np.flatnonzero(shares > 0.0)
        order = found[np.argsort(-shares[found], kind="stable")]
        whole = float(shares.sum())
        return {self._names.name(int(place)): float(shares[place]) / whole for place in order}

    def paths(self, node: Any, most: int = 3) -> list[TrustPath]:
        """The strongest paths from seeds to a node.

        Parameters
        ----------
        node : id
            Of the graph.
        most : int
            Paths wanted.

        Returns
        -------
        list of TrustPath
            Strongest first; empty where no seed reaches the node.
        """
        vectors, number = self._fitted(), self._number(node)
        total = sum(float(vector.score[vector.graph.position[number]]) for vector in vectors)
        found = []
        for place, vector in enumerate(vectors):
            reverse = self.direction == "in" or place == 1
            for brought, path in strongest_paths(vector, int(vector.graph.position[number]), most):
                ids = tuple(self._names.name(int(vector.graph.node[each])) for each in path)
                found.append(TrustPath(ids, brought / total, reverse))
        return sorted(found, key=lambda path: -path.share)[:most]

    def preview(self, add: Any = (), remove: Any = (), top: int = 200) -> pa.Table:
        """The ranking as it would be with other seeds, within milliseconds; nothing of the estimator changes.

        Parameters
        ----------
        add : ids, or mapping of id to weight
            Seeds to add, or to weigh anew.
        remove : ids
            Seeds to take away.
        top : int
            Suspects wanted.

        Returns
        -------
        pyarrow.Table
            As of `ranking`.
        """
        changes = self._changes(add, remove)
        vectors = [vector.copy() for vector in self._fitted()]
        self._change(vectors, changes)
        seeds = {node for node, weight in {**self._seeds, **changes}.items() if weight > 0.0}
        return self._table(vectors, seeds, top)

    def add_seeds(self, seeds: Any) -> Self:
        """Add seeds, or weigh them anew: pushed first, then solved to `tol` from there."""
        return self._reseed(self._changes(seeds, ()))

    def remove_seeds(self, seeds: Any) -> Self:
        """Take seeds away: pushed first, then solved to `tol` from there."""
        return self._reseed(self._changes((), seeds))

    def add_edges(self, edges: Any, *, exact: bool = True) -> Self:
        """Add edges, between known nodes or new ones.

        Parameters
        ----------
        edges : as in `fit`
            What comes to the graph.
        exact : bool
            Solve to `tol`. False: within `preview_tol` only, by pushing what changed; the next exact call mends it.

        Returns
        -------
        AntiTrustRank

        Notes
        -----
        Where the edges that leave u change, the residual changes by beta (M' - M) p restricted to column u: exact, and
        pushed with its sign.
        """
        vectors, columns = self._fitted(), edge_columns(edges, self.weight)
        before, half = len(self._names), len(columns.source)
        weight = checked_weights(np.ones(half) if columns.weight is None else columns.weight)
        both = self._names.encode(pa.concat_arrays([columns.source, columns.target]))
        kept = weight > 0.0
        source, target, weight = both[:half][kept], both[half:][kept], weight[kept]
        for place, vector in enumerate(vectors):
            if len(self._names) > before:
                vector.grow(len(self._names) - before)
            ends = (source, target) if self.direction != "in" and place == 0 else (target, source)
            one, two = (vector.graph.position[end] for end in ends)
            vector.add_links(one, two, weight)
            if self._uniform and len(self._names) > before:
                vector.set_weight(np.arange(before, len(self._names)), np.ones(len(self._names) - before))
            vector.push(self.preview_tol, _PREVIEW_LINKS)
        self._added += len(source)
        if exact:
            self._settle()
        return self

    def remove_edges(self, edges: Any, *, exact: bool = True) -> Self:
        """Take edges away; their nodes stay.

        Parameters
        ----------
        edges : as in `fit`
            Pairs of nodes: whatever leads from the one to the other goes, of parallel edges all. Weights say nothing.
        exact : bool
            As of `add_edges`.

        Returns
        -------
        AntiTrustRank

        Raises
        ------
        RefusedValueError
            There is no such edge; then nothing changes.

        Examples
        --------
        >>> rank = AntiTrustRank(beta=0.8).fit((["ann", "ann"], ["bob", "cleo"]), seeds=["ann"])
        >>> rank.remove_edges((["ann"], ["bob"])).ranking()["node"].to_pylist(), rank.additive_.round(2).tolist()
        (['cleo'], [0.2, 0.0, 0.16])
        """
        vectors, columns = self._fitted(), edge_columns(edges, None)
        source, target = self._names.numbers(columns.source), self._names.numbers(columns.target)
        missing = vectors[0].graph.missing(*((source, target) if self.direction != "in" else (target, source)))
        if missing is not None:
            named = f"{columns.source[missing].as_py()!r} -> {columns.target[missing].as_py()!r}"
            raise RefusedValueError(f"there is no edge {named}", where="edges", mend="name edges that are there")
        for place, vector in enumerate(vectors):
            ends = (source, target) if self.direction != "in" and place == 0 else (target, source)
            one, two = (vector.graph.position[end] for end in ends)
            vector.remove_links(one, two)
            vector.push(self.preview_tol, _PREVIEW_LINKS)
        if exact:
            self._settle()
        return self

    def _reseed(self, changes: dict[int, float]) -> Self:
        self._change(self._fitted(), changes)
        for node, weight in changes.items():
            self._seeds[node] = weight
            if weight == 0.0:
                del self._seeds[node]
        self._settle()
        return self

    def _changes(self, add: Any, remove: Any) -> dict[int, float]:
        """New weight of every seed that changes, by node; 0 = taken away."""
        if self._uniform:
            raise UsageError(
                "every node is a seed", where="seeds of AntiTrustRank", mend="fit with seeds to add or remove some"
            )
        changes: dict[int, float] = {}
        ids, weights = _checked_seeds(remove)
        for node, name in zip(self._names.numbers(ids).tolist(), ids.to_pylist(), strict=True):
            if node not in self._seeds:
                raise RefusedValueError(f"{name!r} is no seed", where="remove", mend="see seeds_ for those there are")
            changes[node] = 0.0
        ids, weights = _checked_seeds(add)
        for node, name, weight in zip(self._names.numbers(ids).tolist(), ids.to_pylist(), weights, strict=True):
            if node < 0:
                raise RefusedValueError(f"{name!r} is no node", where="seeds", mend="add edges that name it, or fit")
            changes[node] = float(weight)
        return changes

    def _change(self, vectors: list[TrustVector], changes: dict[int, float]) -> None:
        """Push what the changes of seeds bring."""
        nodes, weights = np.array(list(changes), np.int64), np.array(list(changes.values()))
        for vector in vectors:
            vector.set_weight(vector.graph.position[nodes], weights)
            vector.push(self.preview_tol, _PREVIEW_LINKS)

    def _settle(self) -> None:
        if self._added > _STALE * max(self._vectors[0].graph.links, 1):
            self._vectors = [vector.reordered() for vector in self._vectors]
            self._added = 0
        for vector in self._vectors:
            vector.solve(self.tol)

    def _table(self, vectors: list[TrustVector], seeds: set[int], top: int, *, reached: bool = False) -> pa.Table:
        """The most suspicious nodes; with `reached` also those whose score is zero at the tolerance."""
        if len(vectors) == 1:  # one graph: in its own numbers, so that only the few that are shown are looked up
            graph, score = vectors[0].graph, vectors[0].score
            place, total = graph.position, float(score.sum())
        else:
            score = np.sum([vector.graph.external(vector.score) for vector in vectors], axis=0)
            place, total = np.arange(len(score)), float(score.sum())
        barred = (score <= 0.0).astype(np.uint8)
        if reached:
            barred[:] = 1
            for vector in vectors:
                found = vector.reached()
                barred[found if len(vectors) == 1 else vector.graph.external(found)] = 0
        barred[place[list(seeds)]] = 1
        heap = np.empty(max(min(top, len(score)), 0), np.int64)
        if len(heap) * 8 < len(score):
            chosen = heap[: take_top(score, barred, len(heap), heap)]
        else:
            chosen = np.flatnonzero(barred == 0)
        nodes = chosen if len(vectors) > 1 else graph.node[chosen]
        order = np.lexsort((nodes, -score[chosen]))[: len(heap)]
        nodes, shown = nodes[order], score[chosen[order]] / (total if total > 0.0 else 1.0)
        return pa.table({"rank": np.arange(1, len(nodes) + 1), "node": self._names.of(nodes), "score": shown})

    def _number(self, node: Any) -> int:
        number = int(self._names.numbers([node])[0])
        if number < 0:
            raise RefusedValueError(
                f"{node!r} is no node", where="AntiTrustRank", mend="see nodes_ for those there are"
            )
        return number

    def _fitted(self) -> list[TrustVector]:
        if not self._vectors:
            raise UsageError("there are no scores yet", where="AntiTrustRank", mend="call fit(edges, seeds) first")
        return self._vectors


def _checked_seeds(seeds: Any) -> tuple[pa.Array, Float64Array]:
    ids, weights = seed_column(seeds)
    if len(ids) != len(ids.unique()):
        raise RefusedValueError("a seed is given twice", where="seeds", mend="give each seed once, with one weight")
    if not np.isfinite(weights).all() or (len(weights) and float(weights.min()) < 0.0):
        raise RefusedValueError("weights of seeds cannot be used", where="seeds", mend="give finite weights from 0 up")
    return ids, weights


def _additive(vectors: list[TrustVector]) -> Float64Array:
    total: Float64Array = np.sum([vector.graph.external(vector.score) for vector in vectors], axis=0)
    weight = vectors[0].seed_weight
    return total / weight if weight > 0.0 else total


def _shown(vectors: list[TrustVector]) -> Float64Array:
    additive = _additive(vectors)
    total = float(additive.sum())
    return additive / total if total > 0.0 else additive
