"""Vectors of accounts by random walks and skip-gram (node2vec), beside which the projections are measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from greywater.errors import RefusedValueError
from greywater.features.trust_graph import checked_links
from greywater.kernels import walks as kernels
from greywater.vocab import Float64Array, Int64Array

__all__ = ["WalkGraph", "WalkPlan", "walk_graph", "walk_vectors"]

#: Walks between two changes of the rate of learning.
_BLOCK: Final = 1024
#: Bits a link, at least.
_BITS: Final = 8
_LEAST_RATE: Final = 1e-4
#: As often counts as met who was not: it is drawn against others next to never.
_NEVER: Final = 1e-9


@dataclass(frozen=True)
class WalkPlan:
    """How walks are made and learned from; names and defaults are those of node2vec and word2vec.

    Parameters
    ----------
    dimensions : int
        Numbers of a vector.
    walks, length : int
        Walks from each account, and accounts of a walk.
    p, q : float
        The greater p, the seldomer a walk turns back; the greater q, the nearer it stays.
    window, negatives : int
        Steps to either side that count as near, and accounts drawn against each pair.
    rate : float
        Of learning; it falls to nothing.
    seed : int
        Of everything that is drawn.
    """

    dimensions: int = 64
    walks: int = 10
    length: int = 40
    p: float = 1.0
    q: float = 1.0
    window: int = 5
    negatives: int = 5
    rate: float = 0.025
    seed: int = 7

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("dimensions", "walks", "length", "window", "negatives")}
        wrong = [name for name, value in counts.items() if value < 1]
        wrong += [
            name for name in ("p", "q", "rate") if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0.0)
        ]
        wrong += [] if 0 <= self.seed < 2**63 else ["seed"]
        if wrong:
            raise RefusedValueError(
                f"{wrong[0]} = {getattr(self, wrong[0])!r} cannot be used", where=wrong[0],
                mend="give whole numbers from 1 up, and p, q and rate above 0",
            )  # fmt: skip


@dataclass(frozen=True)
class WalkGraph:
    """Lists of neighbours, sorted and without repeats, and tables that draw one by weight.

    Parameters
    ----------
    bounds : int64[n, 2]
        Where each list begins and ends.
    entries : uint32[M, 4]
        Neighbour, its chance as the bits of a float32, the neighbour of the rest of its draws, nothing.
    marks : uint8[2^k]
        A bit for each link, by which most pairs that are none are told.
    """

    bounds: Int64Array
    entries: Any
    marks: Any

    def walk(self, begin: Any, length: int, *, p: float = 1.0, q: float = 1.0, seed: int = 7, first: int = 0) -> Any:
        """Walks from accounts int32[w], int32[w, length]; -1 behind the end of one that could go no farther.

        Walk number `first` + k depends on the seed and its number alone, so parts of many walks can be made apart.
        """
        walks = np.empty((len(begin), length), np.int32)
        walks[:, 0] = begin
        lists = self.bounds, self.entries, self.entries.view(np.float32)[:, 1], self.marks
        scratch = np.empty((6, kernels.LANES), np.int64), np.empty(kernels.LANES, np.uint64)
        kernels.second_order_walks(*lists, 1.0 / p, 1.0 / q, np.uint64(seed), first, walks, *scratch)
        return walks


def walk_graph(
    source: Any, target: Any, weight: Float64Array | None, nodes: int, *, both_ways: bool = True
) -> WalkGraph:
    """Lists that walks run over.

    Parameters
    ----------
    source, target, weight, nodes
        As of `project_accounts`; parallel links are added up.
    both_ways : bool
        Walk along payments and against them.

    Returns
    -------
    WalkGraph
    """
    source, target, weight = checked_links(source, target, weight, nodes)
    weight = weight if len(weight) else np.ones(len(source))
    others = source != target
    source, target, weight = source[others], target[others], weight[others]
    if both_ways:
        source, target = np.concatenate([source, target]), np.concatenate([target, source])
        weight = np.concatenate([weight, weight])
    keys, places = np.unique(source.astype(np.int64) << 32 | target, return_inverse=True)
    sizes = np.asarray(np.bincount(places, weight, minlength=len(keys)), np.float64)
    counts = np.bincount(keys >> 32, minlength=nodes)
    stop = np.cumsum(counts)
    bounds = np.stack([stop - counts, stop], axis=1).astype(np.int64)
    entries = np.zeros((len(keys), 4), np.uint32)
    entries[:, 0] = keys & 0xFFFF_FFFF
    _write_tables(bounds, sizes, entries)
    marks = np.zeros(1 << (len(keys) * _BITS // 8).bit_length(), np.uint8)
    kernels.mark_links(bounds, entries, marks)
    return WalkGraph(bounds, entries, marks)


def walk_vectors(
    source: Any, target: Any, weight: Float64Array | None, nodes: int, plan: WalkPlan | None = None
) -> Any:
    """Vectors of accounts, float32[nodes, d], of length 1; zero where an account has no link.

    Parameters
    ----------
    source, target, weight, nodes
        As of `project_accounts`. Walks run both ways.
    plan : WalkPlan, optional
        The default where left out.

    Notes
    -----
    Grover & Leskovec 2016, node2vec; Mikolov et al. 2013 for skip-gram with negative sampling, accounts drawn by
    (times met) ** 0.75. One thread, one pass over the walks in an order that the seed fixes: the same bits each time.
    Neither are vectors of one graph comparable with those of another, nor has an account one that came afterwards, so
    these serve comparisons and no feature.

    Examples
    --------
    >>> two_rings = [0, 1, 2, 3, 4, 5], [1, 2, 0, 4, 5, 3]
    >>> vectors = walk_vectors(*two_rings, None, 6, WalkPlan(dimensions=8, rate=0.2))
    >>> bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[3])
    True
    """
    plan = plan or WalkPlan()
    graph = walk_graph(source, target, weight, nodes)
    alone = graph.bounds[:, 0] == graph.bounds[:, 1]
    linked = np.flatnonzero(~alone).astype(np.int32)
    generator = np.random.default_rng(plan.seed)
    vectors = ((generator.random((nodes, plan.dimensions)) - 0.5) / plan.dimensions).astype(np.float32)
    begin = np.concatenate([generator.permutation(linked) for _ in range(plan.walks)])
    walks = graph.walk(begin, plan.length, p=plan.p, q=plan.q, seed=plan.seed)
    if len(walks):
        _learn(walks, plan, vectors)
    size = np.sqrt((vectors * vectors).sum(axis=1))
    vectors /= np.maximum(size, np.finfo(np.float32).tiny)[:, None]
    vectors[alone] = 0.0
    return vectors


def _learn(walks: Any, plan: WalkPlan, vectors: Any) -> None:
    """Update vectors by one pass over the walks."""
    nodes = len(vectors)
    met = np.bincount(walks[walks >= 0], minlength=nodes).astype(np.float64)
    drawn = np.zeros((nodes, 4), np.uint32)
    drawn[:, 0] = np.arange(nodes)
    _write_tables(np.array([[0, nodes]]), np.maximum(met, _NEVER) ** 0.75, drawn)
    tables = drawn[:, 0], drawn.view(np.float32)[:, 1], drawn[:, 2]
    contexts, moved = np.zeros_like(vectors), np.empty(vectors.shape[1], np.float32)
    for block, begin in enumerate(range(0, len(walks), _BLOCK)):
        rate = plan.rate * max(1.0 - begin / len(walks), _LEAST_RATE)
        seed = np.uint64(plan.seed + 1 + block)
        part = walks[begin : begin + _BLOCK]
        kernels.train_skip_gram(part, plan.window, plan.negatives, *tables, rate, seed, vectors, contexts, moved)


def _write_tables(bounds: Int64Array, weight: Float64Array, entries: Any) -> None:
    """Write chances and the neighbours of the rest into entries uint32[M, 4] whose neighbours are there."""
    start, stop = (np.ascontiguousarray(each) for each in bounds.T)
    scratch = np.empty(int((stop - start).max(initial=0)), np.int64)
    tables = entries[:, 0], entries.view(np.float32)[:, 1], entries[:, 2]
    kernels.alias_tables(start, stop, weight, *tables, scratch)
