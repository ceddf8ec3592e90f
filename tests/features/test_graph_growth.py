"""The arena of the graph: it grows where it lies, is packed, and serves rooms again, and no value tells."""

from __future__ import annotations

import numpy as np
import pytest

from greywater.features import graph_state
from greywater.features.entry_ages import EVERY, EntryAges
from greywater.features.graph_state import GraphState
from greywater.kernels import arena
from tests.features.graph_payments import as_arrays, plan_of, random_graph, run, same_bits

HOUR_US = 3_600_000_000


def test_an_arena_that_grows_where_it_lies_changes_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    payments, plan = random_graph(3, 400, 9), plan_of("fan", "temporal_cycle", "scatter_gather")
    expected = run(plan, payments)
    for name, value in (("SPARE_ENTRIES", 1), ("SPARE_SHARE", 0.0), ("BLOCK", 4), ("GROW_FROM", 0.0)):
        monkeypatch.setattr(graph_state, name, value)
    monkeypatch.setattr(arena, "LARGE", 0)
    make = graph_state.empty_graph
    monkeypatch.setattr(graph_state, "empty_graph", lambda entries, vertices: make(min(entries, 16), vertices))
    grown = []
    take_more = GraphState._grow

    def watched(state: GraphState, bound: int, entries: int) -> bool:
        grown.append(take_more(state, bound, entries))
        return grown[-1]

    monkeypatch.setattr(GraphState, "_grow", watched)
    assert same_bits(expected, run(plan, payments, [1] * 400)) == []
    assert any(grown)


@pytest.mark.parametrize("cuts", [[], [1] * 400], ids=["in blocks", "one by one"])
def test_numbers_that_are_lowered_in_the_middle_of_a_block_change_no_value(
    monkeypatch: pytest.MonkeyPatch, cuts: list[int]
) -> None:
    payments, plan = random_graph(5, 400, 9), plan_of("fan", "temporal_cycle", "scatter_gather", windows=(60, 600))
    expected = run(plan, payments)
    for name, value in (("SPARE_ENTRIES", 1), ("SPARE_SHARE", 0.0), ("BLOCK", 16), ("GROW_FROM", 2.0)):
        monkeypatch.setattr(graph_state, name, value)
    monkeypatch.setattr(graph_state, "RENUMBER_FROM", 0)
    make = graph_state.empty_graph
    monkeypatch.setattr(graph_state, "empty_graph", lambda entries, vertices: make(min(entries, 16), vertices))
    lowered = []
    pack = GraphState._pack

    def watched(state: GraphState, bound: int, entries: int, *, slack: bool = True) -> None:
        before = state._base
        pack(state, bound, entries, slack=slack)
        lowered.append(state._base - before)

    monkeypatch.setattr(GraphState, "_pack", watched)
    assert same_bits(expected, run(plan, payments, cuts)) == []
    assert sum(lowered) > 0


def test_accounts_come_and_go_and_their_rooms_serve_others() -> None:
    """Ten thousand accounts a day, each seen for a day: the arena and the table stay as large as a day needs."""
    plan = plan_of("fan", windows=(3_600,), lateness=0)
    state = GraphState(plan, threads=1)
    sizes = []
    for hour in range(60):
        ids = np.arange(4_000, dtype=np.int64) + 4_000 * hour
        time = np.full(4_000, hour * HOUR_US) + np.arange(4_000)
        ints, _ = state.process(ids, np.roll(ids, 1), time, np.full(4_000, 5))
        assert (ints[0] == 1).all()
        sizes.append(state.footprint)
    assert max(size.vertices for size in sizes) < 60_000
    assert sizes[-1].entry_bytes == sizes[20].entry_bytes
    assert sizes[-1].vertex_bytes <= 2 * sizes[10].vertex_bytes


def test_a_restored_graph_does_not_know_its_ages_before_it_has_seen_a_window() -> None:
    plan = plan_of("fan", windows=(60,), lateness=0)
    state = GraphState(plan, threads=1)
    arrays = as_arrays(random_graph(1, 50, 5))
    state.process(*arrays)
    again = GraphState(plan, threads=1)
    again.restore(state.snapshot())
    assert again._ages.later_than(again.horizon - plan.hold_us) is None


def test_ages_count_what_came_after_a_moment() -> None:
    ages = EntryAges(since_start=True)
    for horizon in range(10):
        ages.note(horizon, EVERY // 2, 3)
    assert ages.later_than(-1) == 30
    assert ages.later_than(4) == 30 - 12
    assert ages.later_than(100) == 0


def test_memory_set_aside_is_zero_and_can_be_written() -> None:
    rows = arena.set_aside(5, 1_000_000, 3)
    assert rows.shape == (1_000_000, 3)
    assert not rows[::100_000].any()
    rows[-1] = 7
    assert rows[-1].tolist() == [7, 7, 7]
    assert arena.set_aside(5, 50, 3).shape == (5, 3)
