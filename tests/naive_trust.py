"""The slow, obvious twin of the trust scores: a dense linear system, and lists of paths counted one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Link = tuple[int, int, float]


def matrix(links: Sequence[Link], nodes: int) -> np.ndarray:
    """M[v, u] = w(u, v) / sum_x w(u, x); the column of a node without links is zero."""
    weights = np.zeros((nodes, nodes))
    for source, target, weight in links:
        weights[target, source] += weight
    totals = weights.sum(axis=0)
    return np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0.0)


def leak(links: Sequence[Link], nodes: int, seeds: dict[int, float], beta: float) -> np.ndarray:
    """p = beta M p + (1 - beta) e_S, solved as it stands."""
    jump = np.zeros(nodes)
    for seed, weight in seeds.items():
        jump[seed] = weight / sum(seeds.values())
    return np.linalg.solve(np.eye(nodes) - beta * matrix(links, nodes), (1.0 - beta) * jump)


def tele(links: Sequence[Link], nodes: int, seeds: dict[int, float], beta: float) -> np.ndarray:
    """The same, with the mass of dangling nodes given back to the seeds, column by column."""
    moves = matrix(links, nodes)
    jump = np.zeros(nodes)
    for seed, weight in seeds.items():
        jump[seed] = weight / sum(seeds.values())
    for node in range(nodes):
        if moves[:, node].sum() == 0.0:
            moves[:, node] = jump
    return np.linalg.solve(np.eye(nodes) - beta * moves, (1.0 - beta) * jump)


def reached(links: Sequence[Link], seeds: Sequence[int]) -> set[int]:
    """Every node at the end of some path from a seed, seeds too."""
    found = set(seeds)
    while more := {target for source, target, weight in links if source in found and weight > 0.0} - found:
        found |= more
    return found


def strongest_paths(
    links: Sequence[Link], nodes: int, seeds: dict[int, float], beta: float, node: int
) -> list[tuple[float, tuple[int, ...]]]:
    """Every path without a repeated node from a seed to a node, with the score it brings, strongest first."""
    moves, total = matrix(links, nodes), sum(seeds.values())
    found = []

    def walk(path: tuple[int, ...], strength: float) -> None:
        if path[0] in seeds:
            found.append(((1.0 - beta) * seeds[path[0]] / total * strength, path))
        for before in range(nodes):
            if moves[path[0], before] > 0.0 and before not in path:
                walk((before, *path), strength * beta * moves[path[0], before])

    walk((node,), 1.0)
    return sorted(found, key=lambda each: (-each[0], each[1]))


def rare_pairs(rows: Sequence[tuple[str, str, int]], now: int, half_life: float) -> dict[tuple[str, str], float]:
    """Weight of each pair that paid, of (payer, payee, moment): half for every half-life since the latest payment,
    divided by the square of how many there were."""
    found: dict[tuple[str, str], float] = {}
    for payer, payee, _ in rows:
        moments = [moment for one, two, moment in rows if (one, two) == (payer, payee)]
        if payer != payee:
            found[payer, payee] = 0.5 ** (max(now - max(moments), 0) / half_life) / len(moments) ** 2
    return found
