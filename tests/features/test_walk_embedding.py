"""Second-order walks go where their chances say, by themselves or side by side; skip-gram tells groups apart."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from greywater.errors import RefusedValueError
from greywater.features.walk_embedding import WalkPlan, walk_graph, walk_vectors
from tests.naive_embedding import Link, step_chances

LINKS: list[Link] = [
    (0, 1, 1.0), (1, 2, 2.0), (2, 0, 0.5), (2, 3, 1.0), (3, 4, 3.0), (4, 2, 1.0), (1, 2, 0.5), (5, 3, 0.2), (4, 4, 9.0),
]  # fmt: skip


def columns(links: list[Link]) -> tuple[list[int], list[int], np.ndarray]:
    return [one for one, _, _ in links], [two for _, two, _ in links], np.array([weight for *_, weight in links])


@pytest.mark.parametrize(("p", "q"), [(1.0, 1.0), (0.25, 4.0), (4.0, 0.5)])
def test_steps_come_as_often_as_their_chances_say(p: float, q: float) -> None:
    graph = walk_graph(*columns(LINKS), 6)
    walks = graph.walk(np.tile(np.arange(6, dtype=np.int32), 700), 20, p=p, q=q)
    triples = np.stack([walks[:, :-2], walks[:, 1:-1], walks[:, 2:]], axis=-1).reshape(-1, 3).tolist()
    counts = Counter(map(tuple, triples))
    for before, node in {(one, two) for one, two, _ in counts}:
        chances = step_chances(LINKS, before, node, p, q)
        total = sum(counts[before, node, after] for after in range(6))
        for after in range(6):
            chance = chances.get(after, 0.0)
            spread = np.sqrt(total * chance * (1.0 - chance))
            assert abs(counts[before, node, after] - total * chance) <= 5.0 * spread + 1e-9


def test_parts_of_the_walks_made_apart_are_the_same() -> None:
    graph = walk_graph(*columns(LINKS), 6)
    begin = np.tile(np.arange(6, dtype=np.int32), 9)
    whole = graph.walk(begin, 12, p=0.5, q=2.0)
    parts = [graph.walk(begin[at : at + 5], 12, p=0.5, q=2.0, first=at) for at in range(0, len(begin), 5)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert not np.array_equal(graph.walk(begin, 12, p=0.5, q=2.0, seed=8), whole)


def test_a_walk_along_payments_ends_where_nothing_is_paid_on() -> None:
    graph = walk_graph([0, 1, 3], [1, 2, 0], None, 5, both_ways=False)
    walks = graph.walk(np.array([3, 0, 2, 4], np.int32), 6)
    assert walks.tolist() == [
        [3, 0, 1, 2, -1, -1], [0, 1, 2, -1, -1, -1], [2, -1, -1, -1, -1, -1], [4, -1, -1, -1, -1, -1],
    ]  # fmt: skip
    assert graph.walk(np.array([3], np.int32), 1).tolist() == [[3]]


def test_two_groups_are_told_apart_the_same_way_each_time() -> None:
    generator = np.random.default_rng(2)
    group = generator.integers(0, 2, 300)
    source, target = generator.integers(0, 10, 300) + 10 * group, generator.integers(0, 10, 300) + 10 * group
    plan = WalkPlan(dimensions=16, walks=5, length=15, rate=0.1)
    vectors = walk_vectors(source, target, None, 21, plan)
    like = vectors[:20] @ vectors[:20].T
    assert like[:10, :10].mean() > like[:10, 10:].mean() + 0.5
    assert not vectors[20].any()
    assert walk_vectors(source, target, None, 21, plan).tobytes() == vectors.tobytes()


def test_without_links_there_is_no_vector() -> None:
    assert not walk_vectors([], [], None, 4).any()


@pytest.mark.parametrize("wrong", [{"dimensions": 0}, {"p": 0.0}, {"q": float("nan")}, {"rate": -1.0}, {"seed": -1}])
def test_plans_that_cannot_be_used_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RefusedValueError, match=next(iter(wrong))):
        WalkPlan(**wrong)
