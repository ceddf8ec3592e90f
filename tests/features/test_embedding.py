"""Projections of accounts: what dense matrices give, the same bits on any threads, and updates as payments arrive."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.errors import RefusedValueError
from greywater.features.embedding import Projection, RunningVectors, project_accounts
from greywater.features.walk_embedding import WalkPlan, walk_graph, walk_vectors
from greywater.kernels import fastrp
from tests.naive_embedding import Link, naive_vectors, random_row

links_strategy = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.floats(0.01, 100.0)), max_size=30)
SMALL = Projection(dimensions=32, steps=(1.0, 0.5, 2.0))


def columns(links: list[Link]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    source, target, weight = zip(*links, strict=True) if links else ((), (), ())
    return np.array(source, np.int32), np.array(target, np.int32), np.array(weight, np.float64)


def drawn(nodes: int, links: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    source, target = (generator.integers(0, nodes, links).astype(np.int32) for _ in range(2))
    return source, target, generator.random(links) + 0.01


def test_random_rows_are_a_hash_of_seed_and_number() -> None:
    rows = np.full((5, 40), 9, np.int8)
    fastrp.random_rows(np.uint64(2**63 - 1), 3.0, 1, rows)
    assert rows[0].tolist() == [9] * 40
    for node in range(1, 5):
        assert rows[node].tolist() == random_row(2**63 - 1, node, 40, 3.0).tolist()


def test_random_rows_are_as_sparse_as_asked() -> None:
    rows = np.empty((2_000, 64), np.int8)
    fastrp.random_rows(np.uint64(7), 4.0, 0, rows)
    assert (rows != 0).mean() == pytest.approx(0.25, abs=0.01)
    assert rows.mean() == pytest.approx(0.0, abs=0.01)


@settings(max_examples=50, deadline=None)
@given(links_strategy)
def test_vectors_are_what_dense_matrices_give(links: list[Link]) -> None:
    found = project_accounts(*columns(links), 9, SMALL)
    expected = naive_vectors(links, 9, SMALL.dimensions, SMALL.steps)
    for got, wanted in zip((found.out, found.into), expected, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, atol=2e-5)


@pytest.mark.parametrize("dimensions", [1, 7, 64])
def test_the_bits_are_the_same_on_any_threads(dimensions: int) -> None:
    links = drawn(200, 1_500)
    one = project_accounts(*links, 200, Projection(dimensions=dimensions))
    for threads in (2, 3, 64):
        other = project_accounts(*links, 200, Projection(dimensions=dimensions), threads=threads)
        assert other.out.tobytes() == one.out.tobytes()
        assert other.into.tobytes() == one.into.tobytes()


def test_accounts_that_pay_the_same_are_near_and_others_are_not() -> None:
    # 0 and 1 pay 4 to 9; 2 pays 10 to 15; 3 is paid by 4 to 9.
    source = [0] * 6 + [1] * 6 + [2] * 6 + list(range(4, 10))
    target = [*range(4, 10), *range(4, 10), *range(10, 16)] + [3] * 6
    found = project_accounts(source, target, None, 16, Projection(dimensions=256, steps=(1.0,)))
    assert found.out[0] @ found.out[1] == pytest.approx(1.0, abs=1e-6)
    assert abs(float(found.out[0] @ found.out[2])) < 0.3
    # The scatter-gather from 0 to 3: money leaves the one for those from whom it reaches the other.
    assert found.out[0] @ found.into[3] == pytest.approx(1.0, abs=1e-6)
    assert abs(float(found.out[2] @ found.into[3])) < 0.3


def test_heavier_links_count_more() -> None:
    found = project_accounts([0, 0, 1, 2], [3, 4, 3, 4], np.array([9.0, 1.0, 1.0, 1.0]), 5, Projection(256, (1.0,)))
    assert found.out[0] @ found.out[1] > 0.9 > 0.4 > abs(found.out[0] @ found.out[2])


def test_an_account_without_links_has_no_vector_and_one_to_itself_is_none() -> None:
    found = project_accounts([0, 1], [1, 1], None, 3, SMALL)
    assert found.out.any(axis=1).tolist() == [True, False, False]
    assert found.into.any(axis=1).tolist() == [False, True, False]
    both = found.both(np.array([0, 2, 99]))
    assert np.square(both).sum(axis=1).tolist() == pytest.approx([1.0, 0.0, 0.0])


def test_no_account_at_all() -> None:
    found = project_accounts([], [], None, 0)
    assert found.out.shape == (0, 64)
    assert found.both(np.array([3])).any() == False  # noqa: E712


@pytest.mark.parametrize("steps", [(1.0,), (1.0, 1.0)])
def test_payments_update_the_first_step_exactly(steps: tuple[float, ...]) -> None:
    source, target, weight = drawn(50, 400)
    projection = Projection(dimensions=32, steps=steps)
    known = int(max(source[:300].max(), target[:300].max())) + 1
    running = RunningVectors(source[:300], target[:300], weight[:300], known, projection)
    for begin in range(300, 400, 7):
        part = slice(begin, min(begin + 7, 400))
        running.absorb(source[part], target[part], weight[part])
    whole, near = project_accounts(source, target, weight, len(running), projection), running.vectors()
    for found, exact in ((near.out, whole.out), (near.into, whole.into)):
        cosine = (found * exact).sum(axis=1)[exact.any(axis=1)]
        assert cosine.min() > (0.9999 if len(steps) == 1 else 0.6)


def test_later_steps_take_the_neighbours_as_they_were() -> None:
    # 0 pays 1, 1 pays 2; then a newcomer pays 0, and what it gets is what a full solution finds: nobody else changed.
    running = RunningVectors([0, 1], [1, 2], None, 3, SMALL)
    before = running.vectors()
    running.absorb([3], [0])
    after, whole = running.vectors(), project_accounts([0, 1, 3], [1, 2, 0], None, 4, SMALL)
    np.testing.assert_allclose(after.out[3], whole.out[3], atol=1e-6)
    np.testing.assert_array_equal(after.into[1], before.into[1])
    # 1 is reached from the newcomer over 0, which only the next full solution knows.
    assert np.abs(whole.into[1] - after.into[1]).max() > 0.01


def test_updates_one_by_one_and_at_once_are_the_same_bits() -> None:
    source, target, weight = drawn(30, 200)
    one, all_ = (RunningVectors(source[:100], target[:100], weight[:100], 30, SMALL) for _ in range(2))
    all_.absorb(source[100:], target[100:], weight[100:])
    for k in range(100, 200):
        one.absorb(source[k : k + 1], target[k : k + 1], weight[k : k + 1])
    assert one.vectors().out.tobytes() == all_.vectors().out.tobytes()


@pytest.mark.parametrize(
    "wrong",
    [{"dimensions": 0}, {"steps": ()}, {"steps": (0.0,)}, {"steps": (1.0, -1.0)}, {"sparsity": 0.5}, {"seed": -1},
     {"sparsity": float("nan")}, {"steps": (float("inf"),)}],
)  # fmt: skip
def test_parameters_that_cannot_be_used_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RefusedValueError, match=next(iter(wrong))[:4]):
        Projection(**wrong)


def test_links_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(RefusedValueError, match="not a node"):
        project_accounts([0], [3], None, 2)
    with pytest.raises(RefusedValueError, match="differ in length"):
        RunningVectors([0], [1], None, 2).absorb([0, 1], [1])


UNCOMPILED = """
import sys
import warnings
import numba
warnings.simplefilter("ignore")
assert numba.config.DISABLE_JIT
from tests.features.test_embedding import example
sys.stdout.write(example().tobytes().hex())
"""


def example() -> np.ndarray:
    """Vectors of a small graph, updates, distances, walks and what is learned from them."""
    source, target, weight = drawn(12, 40)
    projection = Projection(dimensions=10, steps=(1.0, 1.0))
    running = RunningVectors(source[:30], target[:30], weight[:30], 12, projection)
    running.absorb(source[30:], target[30:], weight[30:])
    found, near = project_accounts(source, target, weight, 12, projection), running.vectors()
    known = np.ascontiguousarray(found.both(np.arange(3)).T)
    nearest, pairs = np.empty(12), np.empty(11)
    fastrp.nearest_distances(found.both(np.arange(12)), known, np.empty(3, np.float32), nearest)
    fastrp.cosine_distances(found.out, found.into, np.arange(11), np.arange(1, 12), pairs)
    walks = walk_graph(source, target, weight, 12).walk(np.arange(12, dtype=np.int32), 8, p=0.5, q=2.0)
    learned = walk_vectors(source, target, weight, 12, WalkPlan(dimensions=6, walks=1, length=5, window=2, negatives=2))
    parts = (found.out, found.into, near.out, near.into, nearest, pairs, walks, learned)
    return np.concatenate([np.asarray(part, np.float64).ravel() for part in parts])


def test_the_same_comes_uncompiled() -> None:
    environment = os.environ | {
        "NUMBA_DISABLE_JIT": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    done = subprocess.run(
        [sys.executable, "-c", UNCOMPILED], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.frombuffer(bytes.fromhex(done.stdout)), example(), rtol=1e-4, atol=1e-5)
