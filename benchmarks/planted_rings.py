"""Rings planted in a random graph of payments, one member of each known: who finds the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import lightgbm
import numpy as np

from greywater.detectors.metrics import average_precision
from greywater.features.embedding import Projection, project_accounts
from greywater.features.trust_scores import trust_scores
from greywater.features.walk_embedding import WalkPlan, walk_vectors
from greywater.kernels.fastrp import nearest_distances, unit_rows

__all__ = ["EMBEDDINGS", "LARGER", "TRUST", "PlantedRings", "contest", "planted"]

DIMENSIONS = 64
#: How many times as much as others the payments of a ring carry.
LARGER = 10.0
PARAMETERS = {
    "objective": "binary", "learning_rate": 0.05, "num_leaves": 7, "min_data_in_leaf": 20, "num_threads": 1,
    "deterministic": True, "verbose": -1,
}  # fmt: skip


@dataclass(frozen=True)
class PlantedRings:
    """Links source, target int32[m] of weight float64[m] among `nodes` accounts; member bool[nodes], seeds int64[k]."""

    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    nodes: int
    member: np.ndarray
    seeds: np.ndarray


def planted(
    seed: int, *, nodes: int = 20_000, links: int = 120_000, rings: int = 100, larger: float = LARGER
) -> PlantedRings:
    """Everybody pays as everybody does; besides, members of rings of 4 to 8 pay the next one, some times as much."""
    generator = np.random.default_rng(seed)
    order = [generator.permutation(nodes) for _ in range(2)]
    source = order[0][(nodes * generator.random(links) ** 1.5).astype(np.int64)]
    target = order[1][(nodes * generator.random(links) ** 1.5).astype(np.int64)]
    sizes = generator.integers(4, 9, rings)
    members = generator.choice(nodes, int(sizes.sum()), replace=False)
    groups = np.split(members, np.cumsum(sizes)[:-1])
    source = np.concatenate([source, members])
    target = np.concatenate([target, *(np.roll(group, -1) for group in groups)])
    weight = np.exp(generator.normal(5.0, 1.0, len(source)))
    weight[links:] *= larger
    member = np.zeros(nodes, np.bool_)
    member[members] = True
    seeds = np.array([group[0] for group in groups])
    return PlantedRings(source.astype(np.int32), target.astype(np.int32), weight, nodes, member, seeds)


def trust(made: PlantedRings, direction: str) -> np.ndarray:
    """Anti-TrustRank from the seeds along the payments, against them, or over links both ways, float64[nodes]."""
    ends = made.source, made.target, made.weight
    if direction == "undirected":
        both = np.concatenate([ends[0], ends[1]]), np.concatenate([ends[1], ends[0]]), np.tile(ends[2], 2)
        return trust_scores(*both, made.nodes, made.seeds).additive
    return trust_scores(*ends, made.nodes, made.seeds, direction=direction).additive


def distances(made: PlantedRings, vectors: np.ndarray) -> np.ndarray:
    """To the nearest seed, and to the mean of the seeds, float64[nodes, 2]; 1 where there is no vector."""
    rows = np.ascontiguousarray(vectors, np.float32).copy()
    unit_rows(rows)
    known = np.ascontiguousarray(rows[made.seeds].T)
    found = np.empty((2, made.nodes))
    nearest_distances(rows, known, np.empty(known.shape[1], np.float32), found[0])
    mean = np.ascontiguousarray(known.sum(axis=1, keepdims=True).T)
    unit_rows(mean)
    nearest_distances(rows, np.ascontiguousarray(mean.T), np.empty(1, np.float32), found[1])
    return np.nan_to_num(found, nan=1.0).T


def projected(made: PlantedRings, steps: tuple[float, ...]) -> np.ndarray:
    """Both sides of FastRP, float32[nodes, 2 d]."""
    projection = Projection(dimensions=DIMENSIONS, steps=steps)
    vectors = project_accounts(made.source, made.target, made.weight, made.nodes, projection)
    return vectors.both(np.arange(made.nodes))  # type: ignore[no-any-return]


def undirected(made: PlantedRings) -> np.ndarray:
    """FastRP over links both ways, as in its paper, float32[nodes, d]."""
    source, target = np.concatenate([made.source, made.target]), np.concatenate([made.target, made.source])
    projection = Projection(dimensions=DIMENSIONS, steps=(1.0, 1.0, 1.0))
    return project_accounts(source, target, np.tile(made.weight, 2), made.nodes, projection).out  # type: ignore[no-any-return]


def walked(made: PlantedRings, p: float, q: float) -> np.ndarray:
    """node2vec, float32[nodes, d]."""
    plan = WalkPlan(dimensions=DIMENSIONS, walks=4, length=20, p=p, q=q)
    return walk_vectors(made.source, made.target, made.weight, made.nodes, plan)  # type: ignore[no-any-return]


TRUST = ("out", "in", "undirected")
EMBEDDINGS: dict[str, Callable[[PlantedRings], np.ndarray]] = {
    "FastRP, 1 step": lambda made: projected(made, (1.0,)),
    "FastRP, 2 steps (default)": lambda made: projected(made, (1.0, 1.0)),
    "FastRP, 3 steps": lambda made: projected(made, (1.0, 1.0, 1.0)),
    "FastRP, both ways, 3 steps": undirected,
    "node2vec, p = q = 1": lambda made: walked(made, 1.0, 1.0),
    "node2vec, p = 4, q = 0.5": lambda made: walked(made, 4.0, 0.5),
}


def learned(made: PlantedRings, columns: np.ndarray, seed: int) -> float:
    """Average precision on one half of the accounts of trees that learned on the other, mean of both; without seeds."""
    rest = np.setdiff1d(np.arange(made.nodes), made.seeds)
    half = np.random.default_rng(seed).permutation(rest)
    found = []
    for fit, judge in ((half[::2], half[1::2]), (half[1::2], half[::2])):
        told = lightgbm.Dataset(columns[fit], made.member[fit].astype(int))
        trees = lightgbm.train(PARAMETERS | {"seed": seed}, told, 100)
        found.append(average_precision(made.member[judge].astype(np.int64), trees.predict(columns[judge])) or 0.0)
    return float(np.mean(found))


def contest(seed: int) -> dict[str, float]:
    """Average precision of every column by itself, and of trees over families of columns, on one graph."""
    made = planted(seed)
    rest = np.setdiff1d(np.arange(made.nodes), made.seeds)
    truth = made.member[rest].astype(np.int64)
    found = {"chance": float(truth.mean())}
    ranks = np.stack([trust(made, direction) for direction in TRUST], axis=1)
    for direction, column in zip(TRUST, ranks.T, strict=True):
        found[f"alone: Anti-TrustRank, {direction}"] = average_precision(truth, column[rest]) or 0.0
    found["trees: the three of Anti-TrustRank"] = learned(made, ranks, seed)
    for name, make in EMBEDDINGS.items():
        vectors = make(made)
        near = distances(made, vectors)
        found[f"alone: {name}, nearest seed"] = average_precision(truth, -near[rest, 0]) or 0.0
        found[f"alone: {name}, mean of seeds"] = average_precision(truth, -near[rest, 1]) or 0.0
        found[f"trees: {name}, vector and distances"] = learned(made, np.hstack([vectors, near]), seed)
        both = np.hstack([ranks, near])
        found[f"trees: the three of Anti-TrustRank, and {name}, distances"] = learned(made, both, seed)
    return found
