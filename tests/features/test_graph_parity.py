"""The graph features against their slow twin, and cut into blocks, on two threads, restarted: the same bits."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.errors import SnapshotError
from greywater.features import graph_state
from greywater.features.graph import GraphPlan
from greywater.features.graph_state import GraphState
from tests.conftest import FULL
from tests.features.graph_payments import (
    AMOUNTS,
    HOUR_US,
    LARGE_CAP,
    LATENESS,
    MINUTE_US,
    PATTERNS,
    as_arrays,
    plan_of,
    random_graph,
    run,
    same_bits,
    twin_differences,
)
from tests.naive_graph import Payment

#: Graphs a hundred payments of which a twin can search: few accounts and many parallel payments, or the reverse.
GRAPHS: dict[str, dict[str, Any]] = {
    "dense": {"accounts": 6, "pause_us": MINUTE_US // 3},
    "five that never stop": {"accounts": 5, "pause_us": MINUTE_US, "late_share": 0.05},
    "mostly late": {"accounts": 7, "late_share": 0.6, "amounts": "wild"},
    "huge amounts": {"accounts": 4, "amounts": "huge"},
    "sparse": {"accounts": 25, "follow": 0.85},
    "with outsiders": {"accounts": 8, "outside": 0.2, "follow": 0.4},
}
SEEDS = 40 if FULL else 3
TINY_CAPS = (1, 3, 10)


def graph_of(kind: str, seed: int, n: int) -> list[Payment]:
    return random_graph(seed, n, **GRAPHS[kind])


@pytest.mark.parametrize("kind", sorted(GRAPHS))
@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_pattern_equals_its_twin(kind: str, seed: int) -> None:
    payments, plan = graph_of(kind, seed, 80), plan_of()
    assert twin_differences(plan, payments, run(plan, payments)) == []


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_pattern_of_its_own_equals_its_twin(pattern: str, seed: int) -> None:
    """Alone it holds no longer than it looks back itself."""
    kind = sorted(GRAPHS)[seed % len(GRAPHS)]
    payments, plan = graph_of(kind, 100 + seed, 80), plan_of(pattern, windows=(60, 600), lateness=300 * (seed % 3))
    assert twin_differences(plan, payments, run(plan, payments)) == []


@pytest.mark.parametrize("seed", range(SEEDS))
def test_long_rings_and_chains_equal_their_twin(seed: int) -> None:
    payments = random_graph(seed, 80, 16, follow=0.9, pause_us=MINUTE_US // 12, late_share=0.05)
    plan = plan_of("temporal_cycle", "simple_cycle", "chain", windows=(600,), max_length=10, tolerance_per_mille=500)
    found = run(plan, payments)
    assert twin_differences(plan, payments, found) == []
    assert found["chain.hops.10m"].max() >= 4
    assert max(found[f"simple_cycle.length_{k}.10m"].max() for k in (6, 7, 8, 9, 10)) > 0


@pytest.mark.parametrize("max_length", [2, 3, 4, 7])
@pytest.mark.parametrize("tolerance", [0, 1_000])
def test_other_lengths_and_tolerances_equal_their_twin(max_length: int, tolerance: int) -> None:
    payments = graph_of("dense", max_length, 60)
    plan = plan_of(
        "temporal_cycle", "simple_cycle", "chain", windows=(300,), max_length=max_length, tolerance_per_mille=tolerance
    )
    assert twin_differences(plan, payments, run(plan, payments)) == []


def test_the_random_graphs_have_every_pattern() -> None:
    """Else the tests above compare nothing with nothing."""
    found = [run(plan_of(), graph_of(kind, seed, 80)) for kind in GRAPHS for seed in range(2)]
    rare = (".1m", "size_4", "size_5_6", "size_7_10", "size_11", "truncated")
    for name in found[0]:
        if not any(word in name for word in rare):
            assert any(np.nan_to_num(columns[name]).any() for columns in found), name


def test_the_columns_are_those_of_the_plan_and_in_its_types() -> None:
    plan = plan_of()
    found = run(plan, graph_of("dense", 1, 20))
    assert tuple(found) == plan.names
    assert {name: column.dtype.name for name, column in found.items()} == {f.name: f.dtype for f in plan.features}


# ---- with a cap


@pytest.mark.parametrize("cap", [*TINY_CAPS, 30])
@pytest.mark.parametrize("kind", sorted(GRAPHS))
def test_what_a_cap_does_not_cut_equals_the_twin(kind: str, cap: int) -> None:
    """Where the flag is 0 every value of its pattern and window is whole; where it is 1 nothing is counted twice."""
    payments = graph_of(kind, 7, 70)
    whole, cut = run(plan_of(), payments), run(plan_of(cap=cap), payments)
    flags = {name: cut[name].astype(bool) for name in cut if ".truncated." in name}
    assert cap > 10 or any(flag.any() for flag in flags.values())
    assert not any(whole[name].any() for name in flags)
    for feature in plan_of().features:
        name = feature.name
        pattern, label = feature.parameters["pattern"], feature.parameters["label"]
        flag = flags[f"{pattern}.truncated.{label}"]
        assert np.array_equal(cut[name][~flag], whole[name][~flag], equal_nan=feature.dtype == "float64"), name
        counted = name.split(".")[-2].startswith(("degree", "length", "blocks", "amount_count", "gap_count"))
        if counted or name.split(".")[-2] == "fan":
            assert (cut[name] <= whole[name]).all(), name


# ---- one by one = in blocks = on two threads = restarted


def cuts_of(seed: int, n: int) -> list[int]:
    draw = random.Random(seed)
    return [draw.choice((1, 1, 2, 5, 17, 64, 100)) for _ in range(n)]


def assert_all_ways_agree(plan: GraphPlan, payments: Sequence[Payment], monkeypatch: pytest.MonkeyPatch) -> None:
    """One block, one by one, random blocks, two threads, restarted between blocks, in a tiny arena, other ids."""
    n = len(payments)
    expected = run(plan, payments)
    assert same_bits(expected, run(plan, payments, [1] * n)) == []
    assert same_bits(expected, run(plan, payments, cuts_of(1, 12))) == []
    assert same_bits(expected, run(plan, payments, cuts_of(2, 12), restart=True)) == []
    assert same_bits(expected, run(plan, payments, seed=99)) == []
    with monkeypatch.context() as patch:
        patch.setattr(graph_state, "PARALLEL_FROM", 1)
        patch.setattr(graph_state, "PIECE", 7)
        assert same_bits(expected, run(plan, payments, threads=2)) == []
        assert same_bits(expected, run(plan, payments, cuts_of(3, 8), threads=2, restart=True)) == []
    with monkeypatch.context() as patch:
        patch.setattr(graph_state, "SPARE_ENTRIES", 2)
        patch.setattr(graph_state, "SPARE_SHARE", 0.0)
        patch.setattr(graph_state, "BLOCK", 9)
        assert same_bits(expected, run(plan, payments)) == []


@pytest.mark.parametrize("kind", sorted(GRAPHS))
@pytest.mark.parametrize("cap", [LARGE_CAP, *TINY_CAPS])
def test_every_way_to_cut_the_list_has_the_same_bits(kind: str, cap: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_all_ways_agree(plan_of(cap=cap), graph_of(kind, 11, 250), monkeypatch)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("cap", [LARGE_CAP, 3])
def test_every_way_to_cut_the_list_has_the_same_bits_for_a_pattern_of_its_own(
    pattern: str, cap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pattern leaves nothing in the scratch rooms that another one cleans up."""
    plan = plan_of(pattern, windows=(60, 900), cap=cap)
    payments = graph_of("dense", 5, 200)
    assert_all_ways_agree(plan, payments, monkeypatch)
    if pattern != "fan_new":
        beside = plan_of("chain", windows=(60, 900)) if pattern != "chain" else plan_of("fan", windows=(60, 900))
        both = run(GraphPlan(plan.patterns + beside.patterns, LATENESS), payments)
        assert same_bits(run(plan, payments), {name: both[name] for name in plan.names}) == []


def test_what_a_thread_remembers_of_other_payments_changes_nothing() -> None:
    """Marks of one pattern must not look like those of another, whatever number the next mark has."""
    payments, plan = graph_of("five that never stop", 11, 120), plan_of(windows=(3_600,), cap=2_000)
    arrays, expected = as_arrays(payments), None
    for stamp in range(0, 3_000 if FULL else 160):
        state = GraphState(plan, threads=1)
        state._piece = 7
        state._wiped(0).stamp[0] = stamp
        ints, floats = state.process(*arrays)
        if expected is None:
            expected = ints, floats
        differing = [plan.names[row] for row in np.flatnonzero((ints != expected[0]).any(axis=1))]
        assert (stamp, differing) == (stamp, [])
        assert np.array_equal(floats, expected[1], equal_nan=True)


def test_a_later_payment_changes_nothing_before_it() -> None:
    payments = graph_of("dense", 21, 160)
    head, full = run(plan_of(), payments[:100]), run(plan_of(), payments)
    assert same_bits(head, {name: column[:100] for name, column in full.items()}) == []


@pytest.mark.parametrize("kind", sorted(GRAPHS))
def test_what_was_only_appended_is_seen(kind: str) -> None:
    payments = graph_of(kind, 31, 150)
    expected = run(plan_of(), payments)
    arrays = as_arrays(payments)
    state = GraphState(plan_of(), threads=1)
    state.append(*(column[:90] for column in arrays[:5]))
    assert state.next_number == 90
    ints, floats = state.process(*(column[90:] for column in arrays))
    rows = [column[90:] for column in expected.values()]
    assert np.array_equal(np.stack(rows[: len(ints)]), ints)
    assert np.array_equal(np.stack(rows[len(ints) :]), floats, equal_nan=True)
    assert state.next_number == 150


def test_one_snapshot_restores_two_graphs() -> None:
    """Going on from a snapshot must not change it, and taking one must not change the graph."""
    payments = graph_of("dense", 41, 160)
    arrays = as_arrays(payments)
    first = GraphState(plan_of(), threads=1)
    first.process(*(column[:80] for column in arrays))
    held = first.snapshot()
    answers = [first.process(*(column[80:] for column in arrays))]
    for _ in range(2):
        state = GraphState(plan_of(), threads=1)
        state.restore(held)
        answers.append(state.process(*(column[80:] for column in arrays)))
    for ints, floats in answers[1:]:
        assert np.array_equal(answers[0][0], ints)
        assert np.array_equal(answers[0][1], floats, equal_nan=True)


def test_a_snapshot_of_another_plan_is_refused() -> None:
    held = GraphState(plan_of(), threads=1).snapshot()
    with pytest.raises(SnapshotError, match="replay"):
        GraphState(plan_of(cap=9), threads=1).restore(held)


def test_what_nothing_can_see_is_freed() -> None:
    payments = random_graph(3, 3_000, 4_000, late_share=0.0, pause_us=10 * MINUTE_US)
    plan = plan_of("fan", windows=(3_600,), lateness=0)
    arrays = as_arrays(payments)
    state = GraphState(plan, threads=1)
    for begin in range(0, 3_000, 100):
        state.process(*(column[begin : begin + 100] for column in arrays))
    horizon = max(payment.time for payment in payments)
    visible = sum(p.time > horizon - HOUR_US and p.sender != p.receiver for p in payments)
    state.snapshot()
    assert state.footprint.held == visible < 100


# ---- worst cases, made up

STEPS = (
    0,
    0,
    0,
    1,
    1_000_000,
    MINUTE_US - 1,
    MINUTE_US,
    MINUTE_US + 1,
    HOUR_US // 2,
    HOUR_US - 1,
    HOUR_US,
    3 * HOUR_US,
)
BACK = (
    1, MINUTE_US - 1, MINUTE_US, HOUR_US // 2, LATENESS * 10**6, LATENESS * 10**6 + 1, HOUR_US, HOUR_US + MINUTE_US,
    2 * HOUR_US, (2 * 3_600 + LATENESS) * 10**6, (2 * 3_600 + LATENESS) * 10**6 - 1, 300 * HOUR_US,
)  # fmt: skip
NAMES = ("a", "b", "c", "d", "e", "external:x")
PLANS = (
    plan_of(),
    plan_of(windows=(60,), lateness=0),
    plan_of("temporal_cycle", "chain", "statistics", windows=(60, 3_600), lateness=0, max_length=4),
    plan_of("fan_new", windows=(60, 1_800)),
    plan_of("scatter_gather", "gather_scatter", "bipartite", windows=(1, 3_600), lateness=30),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Payment]:
    """Up to 50 payments in arrival order, times on the edges of windows."""
    now = draw(st.sampled_from((0, -1, 19_000 * 24 * HOUR_US, -(2**55))))
    late = draw(st.sampled_from((0, 1, 4)))
    amounts = AMOUNTS[draw(st.sampled_from(sorted(AMOUNTS)))]
    names = NAMES[: draw(st.integers(3, len(NAMES)))]
    name = st.sampled_from(names)
    row = st.tuples(
        st.sampled_from(STEPS), st.integers(0, late), st.sampled_from(BACK), name, name, st.sampled_from(amounts)
    )
    payments = []
    for step, lot, back, sender, receiver, amount in draw(st.lists(row, min_size=1, max_size=50)):
        now += step
        payments.append(Payment(now - (back if late and lot == late else 0), sender, receiver, amount))
    return payments


@given(histories(), st.sampled_from(PLANS), st.lists(st.sampled_from((1, 2, 3, 7, 20)), max_size=8), st.booleans())
@settings(max_examples=1_000 if FULL else 80)
def test_any_history_cut_anywhere_equals_the_twin(
    payments: list[Payment], plan: GraphPlan, sizes: list[int], restart: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph_state, "SPARE_ENTRIES", 3)
        assert twin_differences(plan, payments, run(plan, payments, sizes, restart=restart)) == []


@given(histories(), st.sampled_from(TINY_CAPS), st.lists(st.sampled_from((1, 2, 3, 7, 20)), max_size=8), st.booleans())
@settings(max_examples=1_000 if FULL else 60)
def test_any_history_cut_anywhere_is_the_same_under_a_tiny_cap(
    payments: list[Payment], cap: int, sizes: list[int], restart: bool
) -> None:
    plan = plan_of(cap=cap)
    expected = run(plan, payments, [1] * len(payments))
    assert same_bits(expected, run(plan, payments, sizes, restart=restart, seed=5)) == []


JIT_OFF = """
import warnings
warnings.simplefilter("ignore", RuntimeWarning)
import numba
assert numba.config.DISABLE_JIT
from tests.features.graph_payments import plan_of, run, twin_differences
from tests.features.test_graph_parity import GRAPHS, graph_of
for seed, kind in enumerate(sorted(GRAPHS)):
    payments = graph_of(kind, 50 + seed, 30)
    assert twin_differences(plan_of(), payments, run(plan_of(), payments, [10])) == []
print("the same")
"""


def test_without_compilation_the_values_are_the_same() -> None:
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", JIT_OFF], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "the same", done.stderr[-2000:]
