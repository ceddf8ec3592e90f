"""One vector of trust scores over one graph, kept up to date as seeds and links change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from greywater.errors import RefusedValueError
from greywater.features.trust_graph import TrustGraph, trust_graph
from greywater.features.trust_solver import Solution, solve
from greywater.kernels import trust_push as kernels
from greywater.kernels.trust_push import Front
from greywater.vocab import Float64Array

__all__ = ["TrustVector", "checked_beta", "checked_tolerance"]

#: Each round of pushes moves residuals down to this part of the round before.
_FINER: Final = 0.1


def checked_beta(beta: float) -> float:
    """Beta itself where it lies in [0, 1)."""
    if not 0.0 <= beta < 1.0:
        raise RefusedValueError(
            f"beta {beta!r} does not lie in [0, 1)",
            where="beta",
            mend="use 0.85: the part of a score that is passed on",
        )
    return float(beta)


def checked_tolerance(tol: float, name: str) -> float:
    """A tolerance itself where it is above 0."""
    if not tol > 0.0:
        raise RefusedValueError(
            f"{name} {tol!r} is not above 0", where=name, mend="use 1e-8: the error that the scores may have"
        )
    return float(tol)


class TrustVector:
    """Additive scores of the nodes of a graph: the sum over seeds of weight times the vector of that seed.

    Everything is by new number (see `TrustGraph`), and not divided by the weight of the seeds, so that seeds that come
    and go change nothing of the others.

    Parameters
    ----------
    graph : TrustGraph
        n nodes.
    beta : float
        Part of a score that is passed on.
    """

    def __init__(self, graph: TrustGraph, beta: float) -> None:
        self.graph = graph
        self.beta = checked_beta(beta)
        self.score: Float64Array = np.zeros(graph.nodes)
        self.inflow: Float64Array = np.zeros(graph.nodes)
        self._front: Front | None = None

    @property
    def seed_weight(self) -> float:
        """Weight of all seeds together."""
        return float(self.inflow.sum()) / (1.0 - self.beta)

    def solve(self, tol: float) -> Solution:
        """Bring the scores within `tol` of the exact ones, from where they are."""
        return solve(self.graph, self.inflow, self.score, beta=self.beta, tol=checked_tolerance(tol, "tol"))

    def set_weight(self, nodes: Any, weight: Float64Array) -> None:
        """Weigh seeds int[k] anew, float64[k]; the scores follow by `push` or `solve`."""
        wanted = (1.0 - self.beta) * np.asarray(weight, np.float64)
        amounts = wanted - self.inflow[nodes]
        self.inflow[nodes] = wanted
        kernels.seed(self._open_front(), np.ascontiguousarray(nodes, np.int32), amounts)

    def add_links(self, source: Any, target: Any, weight: Float64Array) -> None:
        """Add links int32[k] -> int32[k]; the scores follow by `push` or `solve`."""
        self._change(source, lambda: self.graph.insert(source, target, weight))

    def remove_links(self, source: Any, target: Any) -> None:
        """Take away all links between pairs int32[k] -> int32[k]; the scores follow by `push` or `solve`."""
        self._change(source, lambda: self.graph.remove(source, target))

    def _change(self, source: Any, change: Callable[[], None]) -> None:
        """Change links that leave some nodes, and note the exact residual."""
        front, lists = self._open_front(), self.graph.leaving
        changed = np.unique(source)
        for sign in (-1.0, 1.0):
            kernels.change_columns(
                changed, lists.start, lists.stop, lists.listed, lists.weight,
                self.graph.scale(self.beta), self.score, sign, front,
            )  # fmt: skip
            if sign < 0.0:
                change()

    def grow(self, nodes: int) -> None:
        """Add nodes that nothing touches yet."""
        self.graph.grow(nodes)
        self.score = np.concatenate([self.score, np.zeros(nodes)])
        self.inflow = np.concatenate([self.inflow, np.zeros(nodes)])
        self._front = None

    def push(self, tol: float, most: int) -> float:
        """Spread what changed until the scores are within `tol` of where it leads.

        Parameters
        ----------
        tol : float
            L1 error as a part of the weight of the seeds.
        most : int
            Links to be walked at most.

        Returns
        -------
        float
            What the error is at most, as a part of the weight of the seeds.
        """
        front, lists = self._open_front(), self.graph.leaving
        weight = max(self.seed_weight, 1e-300)
        allowed = tol * weight * (1.0 - self.beta)
        touched = front.touched[: front.counts[kernels.TOUCHED]]
        sizes = np.abs(front.residual[touched])
        left, least = float(sizes.sum()), float(sizes.max()) if len(sizes) else 0.0
        while left > allowed and front.counts[kernels.WORK] < most:
            least *= _FINER
            left = float(
                kernels.push(
                    lists.start, lists.stop, lists.listed, lists.weight, self.graph.scale(self.beta),
                    self.score, front, least, most,
                )
            )  # fmt: skip
        _clear(front)
        return left / (1.0 - self.beta) / weight

    def copy(self) -> TrustVector:
        """A vector over the same graph that changes without this one."""
        other = TrustVector(self.graph, self.beta)
        other.score, other.inflow = self.score.copy(), self.inflow.copy()
        return other

    def reordered(self) -> TrustVector:
        """The same scores over the same links, the nodes ordered anew."""
        lists, graph = self.graph.leaving, self.graph
        lengths = lists.stop - lists.start
        source = np.repeat(graph.node, lengths)
        at = np.arange(len(source)) + np.repeat(lists.start - (np.cumsum(lengths) - lengths), lengths)
        weight = lists.weight[at] if len(lists.weight) else None
        sums = np.bincount(source, weights=weight, minlength=graph.nodes)
        kept = np.maximum(graph.external(graph.total) - sums, 0.0)
        fresh = trust_graph(
            source, graph.node[lists.listed[at]], weight, graph.nodes, kept=kept if kept.any() else None
        )
        other = TrustVector(fresh, self.beta)
        other.score = fresh.internal(graph.external(self.score))
        other.inflow = fresh.internal(graph.external(self.inflow))
        return other

    def reached(self) -> Any:
        """Bool[n]: the nodes that can be reached from a seed of weight, seeds too."""
        lists = self.graph.leaving
        found = np.zeros(self.graph.nodes, np.uint8)
        begin = np.flatnonzero(self.inflow > 0.0).astype(np.int32)
        queue = np.empty(self.graph.nodes, np.int32)
        kernels.reach(lists.start, lists.stop, lists.listed, begin, found, queue)
        return found.astype(np.bool_)

    def shares(self, node: int, *, missing: float = 1e-9, most: int = 200_000_000) -> Float64Array:
        """How much of a node's score comes of each seed, float64[n], in the units of the score.

        Parameters
        ----------
        node : int
            New number.
        missing : float
            Part of the score that may stay unexplained.
        most : int
            Links to be walked at most.
        """
        share = np.zeros(self.graph.nodes)
        score = float(self.score[node])
        if score <= 0.0:
            return share
        lists = self.graph.entering
        front = kernels.empty_front(self.graph.nodes)
        kernels.seed(front, np.array([node], np.int32), np.ones(1))
        least = score
        while front.counts[kernels.WORK] < most:
            least *= _FINER
            kernels.contribute(
                lists.start, lists.stop, lists.listed, lists.weight, self.graph.scale(self.beta),
                self.score, share, front, least, most,
            )  # fmt: skip
            touched = front.touched[: front.counts[kernels.TOUCHED]]
            if float((front.residual[touched] * self.score[touched]).sum()) <= missing * score:
                break
        return share * self.inflow

    def _open_front(self) -> Front:
        if self._front is None:
            self._front = kernels.empty_front(self.graph.nodes)
        return self._front


def _clear(front: Front) -> None:
    """Leave nothing touched, at the cost of what was touched."""
    touched = front.touched[: front.counts[kernels.TOUCHED]]
    front.residual[touched] = 0.0
    front.mark[touched] = 0
    front.counts[:] = 0
