"""The kernels of trust scores: lists that grow, peeling, pushes that keep their invariant, the same uncompiled."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.features.trust_graph import trust_graph
from greywater.features.trust_scores import trust_scores
from greywater.features.trust_vector import TrustVector
from greywater.kernels import trust_push, trust_sweeps
from tests import naive_trust

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int, nodes: int = 24, links: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    source = (nodes * generator.random(links) ** 2).astype(np.int32)
    target = generator.integers(0, nodes, links, dtype=np.int32)
    return source, target, generator.integers(1, 5, links).astype(np.float64)


@given(SEEDS)
def test_lists_hold_every_link_both_ways_also_when_they_grow(seed: int) -> None:
    source, target, weight = drawn(seed)
    graph = trust_graph(source[:20], target[:20], weight[:20], 24)
    for first in range(20, 60, 8):
        part = slice(first, first + 8)
        graph.insert(graph.position[source[part]], graph.position[target[part]], weight[part])
    for lists, owner, neighbour in ((graph.leaving, source, target), (graph.entering, target, source)):
        for node in range(24):
            found = lists.of(int(graph.position[node]))
            mine = owner == node
            expected = sorted(zip(graph.position[neighbour[mine]].tolist(), weight[mine].tolist(), strict=True))
            assert sorted(zip(found[0].tolist(), found[1].tolist(), strict=True)) == expected
    assert graph.links == 60
    assert graph.total == pytest.approx(graph.internal(np.bincount(source, weight, 24)))


def test_lists_move_to_the_end_and_the_array_grows() -> None:
    graph = trust_graph([0], [1], None, 3)
    many = np.zeros(5_000, np.int32)
    graph.insert(many + graph.position[0], many + graph.position[2], np.full(5_000, 2.0))
    assert graph.links == 5_001
    neighbours, weights = graph.leaving.of(int(graph.position[0]))
    assert (len(neighbours), weights.sum()) == (5_001, 10_001.0)


@given(SEEDS)
def test_head_and_tail_stand_in_order_and_the_core_is_what_is_left(seed: int) -> None:
    source, target, _ = drawn(seed, links=30)
    graph = trust_graph(source, target, None, 24)
    first, last = graph.core
    assert sorted(graph.node.tolist()) == list(range(24))
    assert graph.position[graph.node].tolist() == list(range(24))
    for one, two in zip(graph.position[source].tolist(), graph.position[target].tolist(), strict=True):
        assert one < two or first <= two <= one < last
    lengths = (graph.entering.stop - graph.entering.start)[first:last]
    assert (np.diff(lengths) <= 0).all()


@given(SEEDS, st.sampled_from([1e-1, 1e-3, 1e-9]))
def test_a_push_keeps_score_and_residual_together(seed: int, least: float) -> None:
    source, target, weight = drawn(seed)
    links = list(zip(source.tolist(), target.tolist(), weight.tolist(), strict=True))
    graph = trust_graph(source, target, weight, 24)
    vector = TrustVector(graph, 0.85)
    front = trust_push.empty_front(24)
    trust_push.seed(front, graph.position[np.array([2, 5], np.int32)], np.array([0.15, -0.05]))
    lists = graph.leaving
    left = trust_push.push(
        lists.start, lists.stop, lists.listed, lists.weight, graph.scale(0.85), vector.score, front, least, 10**6
    )
    residual = graph.external(front.residual)
    assert left == pytest.approx(np.abs(residual).sum())
    leaves = np.bincount(source, minlength=24) > 0
    assert (np.abs(residual[leaves]) <= least).all()
    rest = np.linalg.solve(np.eye(24) - 0.85 * naive_trust.matrix(links, 24), residual)
    exact = naive_trust.leak(links, 24, {2: 1.0}, 0.85) - naive_trust.leak(links, 24, {5: 1.0}, 0.85) / 3.0
    assert graph.external(vector.score) + rest == pytest.approx(exact, abs=1e-12)


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3]), max_size=30), st.integers(0, 12), SEEDS)
def test_the_top_is_that_of_a_sort(values: list[float], wanted: int, seed: int) -> None:
    score = np.array(values)
    barred = np.random.default_rng(seed).integers(0, 2, len(values)).astype(np.uint8)
    heap = np.empty(wanted, np.int64)
    found = heap[: trust_push.take_top(score, barred, wanted, heap)]
    allowed = [node for node in range(len(values)) if not barred[node]]
    assert sorted(found.tolist()) == sorted(sorted(allowed, key=lambda node: (-values[node], node))[:wanted])


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_vector_arithmetic_is_that_of_numpy(kind: type[np.floating]) -> None:
    generator = np.random.default_rng(1)
    length = 2 * trust_sweeps.BLOCK + 7
    basis, vector = generator.random((3, length)).astype(kind), generator.random(length).astype(kind)
    products, norms = np.zeros(4), np.zeros(2)
    trust_sweeps.project(basis, 3, vector, products)
    assert products[:3] == pytest.approx(basis.astype(float) @ vector, rel=1e-5)
    expected = vector - np.array([0.5, -1.0], kind) @ basis[:2]
    trust_sweeps.subtract(basis, 2, np.array([0.5, -1.0]), vector, norms)
    assert vector == pytest.approx(expected, abs=1e-6)
    assert norms == pytest.approx([float(np.square(vector, dtype=float).sum()), float(np.abs(vector).sum())], rel=1e-5)
    score = np.zeros(length + 2)
    trust_sweeps.add_combination(basis, 2, np.array([2.0, 1.0]), 1, score)
    assert score[1:-1] == pytest.approx(2.0 * basis[0] + basis[1], rel=1e-6)
    assert score[[0, -1]].tolist() == [0.0, 0.0]


UNCOMPILED = """
import sys
import numba
assert numba.config.DISABLE_JIT
from tests.kernels.test_trust_kernels import example
sys.stdout.write(example().tobytes().hex())
"""


def example() -> np.ndarray:
    """Scores of a small graph, a ranking, and what pushes and attribution make of one."""
    source, target, weight = drawn(3, 40, 160)
    found = trust_scores(source, target, weight, 40, [1, 4], tol=1e-10)
    vector = TrustVector(trust_graph(source, target, None, 40), 0.85)
    vector.set_weight(np.array([3]), np.ones(1))
    vector.push(1e-6, 10**6)
    vector.add_links(np.array([3], np.int32), np.array([9], np.int32), np.array([2.0]))
    vector.push(1e-6, 10**6)
    shares = vector.shares(9)
    return np.concatenate([found.additive, found.suspects(), vector.score, shares])


def test_the_same_scores_come_uncompiled() -> None:
    environment = os.environ | {
        "NUMBA_DISABLE_JIT": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    done = subprocess.run(
        [sys.executable, "-c", UNCOMPILED], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert np.frombuffer(bytes.fromhex(done.stdout)) == pytest.approx(example(), rel=1e-9, abs=1e-12)
