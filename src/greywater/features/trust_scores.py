"""Trust scores of a graph given as arrays: what a run uses, without names of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from greywater.errors import RefusedValueError
from greywater.features.trust_graph import trust_graph
from greywater.features.trust_vector import TrustVector, checked_beta
from greywater.vocab import Float64Array, Int64Array

__all__ = ["DIRECTIONS", "TrustScores", "seed_weights", "trust_scores", "trust_vectors"]

#: Along the links, against them, or both added.
DIRECTIONS: Final = ("out", "in", "both")


@dataclass(frozen=True)
class TrustScores:
    """Scores of every node.

    Parameters
    ----------
    additive : float64[n]
        LEAK: p = beta M p + (1 - beta) e. Exactly linear in the seeds.
    reached : bool[n]
        Nodes that can be reached from a seed: whoever else has a score of exactly zero, whatever the tolerance.
    seeds : bool[n]
        The seeds themselves.
    passes : int
        Passes over the core of the graph.
    error : float
        What the L1 distance of `additive` to the exact scores is at most.
    """

    additive: Float64Array
    reached: Any
    seeds: Any
    passes: int
    error: float

    @property
    def shown(self) -> Float64Array:
        """TELE: what dangling nodes lose goes back to the seeds; the same order, and the sum is 1."""
        total = float(self.additive.sum())
        return self.additive / total if total > 0.0 else self.additive.copy()

    def suspects(self, most: int | None = None) -> Int64Array:
        """Nodes that a seed reaches and that are none, most suspicious first; of equal scores the lower number."""
        found = np.flatnonzero(self.reached & ~self.seeds)
        order = found[np.argsort(-self.additive[found], kind="stable")]
        return order[:most].astype(np.int64)


def seed_weights(seeds: Any, weight: Sequence[float] | Float64Array | None, nodes: int) -> Float64Array:
    """Weight of each node as a seed, float64[nodes], summing to 1.

    Parameters
    ----------
    seeds : int[k] or None
        Nodes; None = every node alike, which makes PageRank of it.
    weight : float[k], optional
        Not negative, not all zero; alike where left out.
    nodes : int
        How many nodes there are.

    Raises
    ------
    RefusedValueError
        A seed is no node, is given twice, or the weights cannot be used.
    """
    if seeds is None:
        return np.full(nodes, 1.0 / max(nodes, 1))
    chosen = np.asarray(seeds, np.int64).ravel()
    if len(chosen) and (int(chosen.min()) < 0 or int(chosen.max()) >= nodes):
        raise RefusedValueError("a seed is not a node", where="seeds", mend=f"use numbers 0 to {nodes - 1}")
    if len(np.unique(chosen)) != len(chosen):
        raise RefusedValueError("a seed is given twice", where="seeds", mend="give each seed once, with one weight")
    sizes = np.ones(len(chosen)) if weight is None else np.asarray(weight, np.float64)
    if len(sizes) != len(chosen) or not np.isfinite(sizes).all() or (len(sizes) and float(sizes.min()) < 0.0):
        raise RefusedValueError(
            "weights of seeds cannot be used", where="seed weights", mend="give one finite weight from 0 up for each"
        )
    weights = np.zeros(nodes)
    total = float(sizes.sum())
    if total > 0.0:
        weights[chosen] = sizes / total
    return weights


def trust_vectors(
    source: Any, target: Any, weight: Float64Array | None, nodes: int, *, beta: float, direction: str,
    kept: Float64Array | None = None,
) -> list[TrustVector]:  # fmt: skip
    """The graphs of a direction, without seeds: one, or two for `both`."""
    if direction not in DIRECTIONS:
        raise RefusedValueError(
            f"there is no direction {direction!r}", where="direction", mend=f"use one of {', '.join(DIRECTIONS)}"
        )
    checked_beta(beta)
    made = []
    if direction in ("out", "both"):
        made.append(TrustVector(trust_graph(source, target, weight, nodes, kept=kept), beta))
    if direction in ("in", "both"):
        made.append(TrustVector(trust_graph(target, source, weight, nodes), beta))
    return made


def trust_scores(
    source: Any,
    target: Any,
    weight: Float64Array | None,
    nodes: int,
    seeds: Any,
    seed_weight: Sequence[float] | Float64Array | None = None,
    *,
    beta: float = 0.85,
    direction: str = "out",
    tol: float = 1e-8,
    kept: Float64Array | None = None,
) -> TrustScores:
    """Score every node by how much of the seeds' weight reaches it along the links.

    Parameters
    ----------
    source, target : int32[m]
        Links between nodes 0 to nodes - 1; parallel ones add up.
    weight : float64[m], optional
        Finite, not negative; only their proportion among the links of one node counts. 1 where left out.
    nodes : int
        How many nodes there are.
    seeds : int[k] or None
        Confirmed launderers (Anti-TrustRank), trusted ones (TrustRank), or None: every node (PageRank).
    seed_weight : float[k], optional
        Weight of each seed; alike where left out.
    beta : float
        Part of a score that is passed on, in [0, 1).
    direction : {"out", "in", "both"}
        Along the links, against them, or the two added.
    tol : float
        L1 distance to the exact scores, at most.
    kept : float64[nodes], optional
        Weight beside that of a node's links that goes nowhere (direction "out").

    Returns
    -------
    TrustScores

    Raises
    ------
    RefusedValueError
        Links, seeds or parameters cannot be used; the message says which.
    EngineError
        The tolerance cannot be reached.

    Notes
    -----
    p = beta M p + (1 - beta) e with M[v, u] = w(u, v) / sum_x w(u, x), the column of a node without links zero
    (Krishnan & Raj 2006, Web Spam Detection with Anti-Trust Rank; Gyongyi, Garcia-Molina & Pedersen 2004).

    Examples
    --------
    >>> scores = trust_scores([0, 1, 2], [1, 2, 3], None, 5, [0], beta=0.8)
    >>> scores.additive.round(4).tolist(), scores.suspects().tolist()
    ([0.2, 0.16, 0.128, 0.1024, 0.0], [1, 2, 3])
    """
    weights = seed_weights(seeds, seed_weight, nodes)
    additive, reached = np.zeros(nodes), np.zeros(nodes, np.bool_)
    passes, error = 0, 0.0
    for vector in trust_vectors(source, target, weight, nodes, beta=beta, direction=direction, kept=kept):
        vector.inflow[:] = (1.0 - beta) * vector.graph.internal(weights)
        solution = vector.solve(tol)
        additive += vector.graph.external(vector.score)
        reached |= vector.graph.external(vector.reached())
        passes, error = passes + solution.passes, error + solution.error
    marked = np.zeros(nodes, np.bool_) if seeds is None else weights > 0.0
    return TrustScores(additive, reached, marked, passes, error)
