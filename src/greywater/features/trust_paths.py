"""The strongest paths from seeds to a suspect: which links brought its score."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from greywater.features.trust_vector import TrustVector

__all__ = ["TrustPath", "strongest_paths"]

#: Partial paths looked at before the search is given up, and neighbours tried at each.
_MOST_STEPS: Final = 20_000
_MOST_NEIGHBOURS: Final = 512


@dataclass(frozen=True)
class TrustPath:
    """A path from a seed.

    Parameters
    ----------
    nodes : tuple
        From the seed to the suspect.
    share : float
        Part of the suspect's score that came exactly this way.
    reverse : bool
        True where the path runs against the links (direction "in" and "both").
    """

    nodes: tuple[Any, ...]
    share: float
    reverse: bool = False


def strongest_paths(vector: TrustVector, node: int, most: int) -> list[tuple[float, tuple[int, ...]]]:
    """Paths without a repeated node, strongest first, as (additive score brought, new numbers from seed to node).

    Parameters
    ----------
    vector : TrustVector
        Solved.
    node : int
        New number of the suspect.
    most : int
        Paths wanted.

    Notes
    -----
    Best first, backward: a partial path u ... node of strength s brings at most s times the score of u, whatever it
    began with; and s times the inflow of u exactly where it begins at u. The order is exact unless the search is given
    up after a set number of steps, when the paths found so far are returned.
    """
    score, inflow = vector.score, vector.inflow
    found: list[tuple[float, tuple[int, ...]]] = []
    if score[node] <= 0.0:
        return found
    scale, lists = vector.graph.scale(vector.beta), vector.graph.entering
    heap: list[tuple[float, tuple[int, ...], float]] = [(-float(score[node]), (node,), 1.0)]
    steps = 0
    while heap and len(found) < most and steps < _MOST_STEPS:
        steps += 1
        bound, path, strength = heapq.heappop(heap)
        if strength < 0.0:
            found.append((-bound, path))
            continue
        first = path[0]
        if inflow[first] > 0.0:
            heapq.heappush(heap, (-strength * float(inflow[first]), path, -1.0))
        before, weight = lists.of(first)
        before, weight = _together(before, weight)
        step = strength * scale[before] * weight
        bounds = step * score[before]
        kept = np.flatnonzero(bounds > 0.0)
        if len(kept) > _MOST_NEIGHBOURS:
            kept = kept[np.argsort(-bounds[kept], kind="stable")[:_MOST_NEIGHBOURS]]
        for place in kept.tolist():
            neighbour = int(before[place])
            if neighbour not in path:
                heapq.heappush(heap, (-float(bounds[place]), (neighbour, *path), float(step[place])))
    return found


def _together(nodes: Any, weight: Any) -> tuple[Any, Any]:
    """Parallel links as one."""
    different, place = np.unique(nodes, return_inverse=True)
    return different.astype(np.int64), np.bincount(place, weights=weight, minlength=len(different))
