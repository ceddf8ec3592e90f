"""Trusted communities: whether the receiver of a payment lies among those that the sender deals with, near or far."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from greywater.errors import RefusedValueError
from greywater.features.trust_graph import TrustGraph, checked_links, trust_graph
from greywater.features.trust_vector import checked_beta
from greywater.kernels import trust_push as kernels
from greywater.vocab import Float64Array

__all__ = ["LEAST_TRUST", "Communities", "TrustedCommunity", "trusted_community"]

#: Links walked for one sender at most, which bounds the time of a sender that deals with hubs.
_MOST_LINKS: Final = 20_000

#: A community is all nodes with at least this trust, of 1 in all.
LEAST_TRUST: Final = 1e-3


@dataclass(frozen=True)
class TrustedCommunity:
    """How near the receivers of payments are to their senders.

    Parameters
    ----------
    trust : float64[k]
        TrustRank of the receiver with the sender as the only trusted one; 0 = out of reach.
    outside : bool[k]
        The receiver lies outside the sender's own community: its trust is below the least.
    """

    trust: Float64Array
    outside: Any


def trusted_community(
    source: Any,
    target: Any,
    weight: Float64Array | None,
    nodes: int,
    sender: Any,
    receiver: Any,
    *,
    beta: float = 0.85,
    least: float = LEAST_TRUST,
) -> TrustedCommunity:
    """Say for payments whether the receiver lies outside the community of the sender.

    Parameters
    ----------
    source, target : int32[m]
        Past dealings: links between nodes 0 to nodes - 1, taken both ways. What the payments may know of is for the
        caller to choose: a snapshot that no payment asked about is part of.
    weight : float64[m], optional
        Of each dealing.
    nodes : int
        How many nodes there are.
    sender, receiver : int32[k]
        Of the payments asked about.
    beta : float
        Part of trust that is passed on.
    least : float
        A community is all nodes with at least this trust, of 1 in all.

    Returns
    -------
    TrustedCommunity

    Raises
    ------
    RefusedValueError
        Links, parties or parameters cannot be used.

    Notes
    -----
    TrustRank (Gyongyi, Garcia-Molina & Pedersen 2004) with one trusted node, by local pushes (Andersen, Chung & Lang
    2006) until no residual is above a quarter of `least`, at most a set number of links. A sender or receiver without
    any past dealing is outside everything but itself.

    Examples
    --------
    >>> found = trusted_community([0, 1, 3], [1, 2, 4], None, 5, [0, 0, 0], [2, 4, 0])
    >>> found.outside.tolist(), found.trust.round(3).tolist()
    ([False, True, False], [0.194, 0.0, 0.344])
    """
    communities = Communities.of(source, target, weight, nodes, beta=beta, least=least)
    payer, payee, _ = checked_links(sender, receiver, None, nodes)
    trust = communities.trust(payer, payee)
    return TrustedCommunity(trust, trust < least)


class Communities:
    """The communities of any senders over one graph of past dealings; as `trusted_community`, asked again and again."""

    def __init__(self, graph: TrustGraph, beta: float, least: float) -> None:
        self._graph, self._beta, self._least = graph, beta, least
        self._front, self._score = kernels.empty_front(graph.nodes), np.zeros(graph.nodes)

    @classmethod
    def of(
        cls, source: Any, target: Any, weight: Float64Array | None, nodes: int, *, beta: float, least: float
    ) -> Communities:
        """Of links between nodes 0 to nodes - 1, taken both ways."""
        checked_beta(beta)
        if not least > 0.0:
            raise RefusedValueError("the least trust is not positive", where="least", mend="give something like 0.001")
        source, target, weight = checked_links(source, target, weight, nodes)
        both = np.concatenate([weight, weight]) if len(weight) else None
        graph = trust_graph(np.concatenate([source, target]), np.concatenate([target, source]), both, nodes)
        return cls(graph, beta, least)

    def trust(self, sender: Any, receiver: Any) -> Float64Array:
        """TrustRank float64[k] of each receiver with its sender as the only trusted one; nodes of the graph both."""
        trust = np.zeros(len(sender))
        order = np.argsort(sender, kind="stable")
        bounds = np.append(np.flatnonzero(np.diff(sender[order], prepend=-1)), len(order)).tolist()
        for begin, end in pairwise(bounds):
            asked = order[begin:end]
            mine = self._around(int(sender[asked[0]]))
            trust[asked] = mine[self._graph.position[receiver[asked]]]
            own = asked[sender[asked] == receiver[asked]]
            trust[own] = np.maximum(trust[own], self._least)
            self._clear()
        return trust

    def _around(self, sender: int) -> Float64Array:
        """Trust by new number, until it is cleared."""
        front, lists = self._front, self._graph.leaving
        kernels.seed(front, self._graph.position[[sender]], np.array([1.0 - self._beta]))
        kernels.push(
            lists.start, lists.stop, lists.listed, lists.weight, self._graph.scale(self._beta), self._score, front,
            0.25 * self._least, _MOST_LINKS,
        )  # fmt: skip
        return self._score

    def _clear(self) -> None:
        """Leave nothing behind for the next sender, at the cost of what was touched."""
        front = self._front
        touched = front.touched[: front.counts[kernels.TOUCHED]]
        self._score[touched] = 0.0
        front.residual[touched] = 0.0
        front.mark[touched] = 0
        front.counts[:] = 0
