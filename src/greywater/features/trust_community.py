"""Trusted communities: whether the receiver of a payment lies among those that the sender deals with, near or far."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from greywater.errors import RefusedValueError
from greywater.features.trust_graph import checked_links, trust_graph
from greywater.features.trust_vector import checked_beta
from greywater.kernels import trust_push as kernels
from greywater.vocab import Float64Array

__all__ = ["TrustedCommunity", "trusted_community"]

#: Links walked for one sender at most, which bounds the time of a sender that deals with hubs.
_MOST_LINKS: Final = 20_000


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
    least: float = 1e-3,
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
    checked_beta(beta)
    if not least > 0.0:
        raise RefusedValueError("the least trust is not positive", where="least", mend="give something like 0.001")
    source, target, weight = checked_links(source, target, weight, nodes)
    both = np.concatenate([weight, weight]) if len(weight) else None
    graph = trust_graph(np.concatenate([source, target]), np.concatenate([target, source]), both, nodes)
    payer, payee, _ = checked_links(sender, receiver, None, nodes)
    trust = np.zeros(len(payer))
    order = np.argsort(payer, kind="stable")
    bounds = np.append(np.flatnonzero(np.diff(payer[order], prepend=-1)), len(order)).tolist()
    front, score = kernels.empty_front(nodes), np.zeros(nodes)
    lists, scale = graph.leaving, graph.scale(beta)
    for begin, end in pairwise(bounds):
        asked = order[begin:end]
        kernels.seed(front, graph.position[payer[asked[:1]]], np.array([1.0 - beta]))
        kernels.push(
            lists.start, lists.stop, lists.listed, lists.weight, scale, score, front, 0.25 * least, _MOST_LINKS
        )
        touched = front.touched[: front.counts[kernels.TOUCHED]]
        trust[asked] = score[graph.position[payee[asked]]]
        trust[asked[payer[asked] == payee[asked]]] = max(float(score[graph.position[payer[asked[0]]]]), least)
        score[touched] = 0.0
        front.residual[touched] = 0.0
        front.mark[touched] = 0
        front.counts[:] = 0
    return TrustedCommunity(trust, trust < least)
