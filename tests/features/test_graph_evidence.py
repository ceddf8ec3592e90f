"""Evidence says what the columns say, names the payments that say so, and does not change with what comes later."""

from __future__ import annotations

import json
import math
import os
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.errors import EngineError, UsageError
from greywater.features.evidence import MOST_PAYMENTS, Evidence
from greywater.features.graph import GraphPlan, PatternPlan
from greywater.features.graph_evidence import PATTERNS_WITH_EVIDENCE, find_evidence, part_of
from greywater.features.graph_state import GraphState
from greywater.features.graph_view import GraphView
from tests.features.evidence_views import (
    SECOND,
    evidence_of_all,
    evidence_of_last,
    index_of,
    index_view,
    live_evidence,
    unlike_columns,
)
from tests.features.graph_payments import (
    AMOUNTS,
    LARGE_CAP,
    LATENESS,
    SHORT_WINDOWS,
    as_arrays,
    plan_of,
    random_graph,
    run,
)
from tests.naive_graph import Payment

FULL = os.environ.get("GREYWATER_FULL") == "1"
GRAPHS = 12 if FULL else 4
BOUNDS = {"limit": 1_000, "visits": LARGE_CAP}


def graphs(count: int = GRAPHS) -> list[list[Payment]]:
    """Sparse and dense, following the money or not, some of it outside the bank."""
    shapes = [(90, 6, 0.0), (90, 5, 0.6), (120, 25, 0.7), (70, 4, 0.3)]
    return [
        random_graph(
            seed, shapes[seed % 4][0], shapes[seed % 4][1], follow=shapes[seed % 4][2],
            amounts=list(AMOUNTS)[seed % 3], outside=0.15 if seed % 2 else 0.0,
        )
        for seed in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS_WITH_EVIDENCE)
def test_the_evidence_agrees_with_the_columns(pattern: str) -> None:
    plan = plan_of(pattern)
    found = 0
    for payments in graphs():
        columns = run(plan, payments)
        for window in SHORT_WINDOWS:
            for evidence in evidence_of_all(payments, plan, pattern, window, **BOUNDS):
                assert unlike_columns(evidence, columns) == []
                assert len(evidence.instances) == evidence.found
                assert not evidence.truncated
                found += evidence.found
    assert found > 50


@pytest.mark.parametrize("pattern", PATTERNS_WITH_EVIDENCE)
def test_all_columns_but_the_flag_are_told(pattern: str) -> None:
    plan = plan_of(pattern)
    told = evidence_of_all(graphs(1)[0], plan, pattern, SHORT_WINDOWS[1], **BOUNDS)
    wanted = {name for name in plan.names if name.endswith(".1h") and ".truncated." not in name}
    assert all(set(evidence.columns) == wanted for evidence in told)


@pytest.mark.parametrize("pattern", PATTERNS_WITH_EVIDENCE)
def test_a_live_graph_says_the_same(pattern: str) -> None:
    plan = plan_of(pattern)
    told = 0
    for payments in graphs(2):
        for window, ask_after in ((SHORT_WINDOWS[0], 20), (SHORT_WINDOWS[1], 0), (SHORT_WINDOWS[1], 9)):
            whole = evidence_of_all(payments, plan, pattern, window, **BOUNDS)
            for i, evidence in live_evidence(payments, plan, pattern, window, ask_after, **BOUNDS).items():
                assert _comparable(evidence) == _comparable(whole[i])
                told += 1
    assert told > 200


def _comparable(evidence: Evidence) -> str:
    """Everything it says, NaN and all."""
    return repr(evidence)


@pytest.mark.parametrize("pattern", PATTERNS_WITH_EVIDENCE)
def test_what_comes_later_changes_nothing(pattern: str) -> None:
    plan = plan_of(pattern)
    payments = graphs(3)[2]
    whole = evidence_of_all(payments, plan, pattern, SHORT_WINDOWS[1])
    for i in range(0, len(payments), 17):
        alone = evidence_of_all(payments[: i + 1], plan, pattern, SHORT_WINDOWS[1])[i]
        assert _comparable(alone) == _comparable(whole[i])


@pytest.mark.parametrize("pattern", PATTERNS_WITH_EVIDENCE)
def test_every_payment_listed_was_seen_and_payment_i_is_among_them(pattern: str) -> None:
    plan = plan_of(pattern)
    for payments in graphs(2):
        for window in SHORT_WINDOWS:
            for evidence in evidence_of_all(payments, plan, pattern, window):
                i = evidence.number
                back = part_of(plan, pattern, window).windows[0] * SECOND
                for instance in evidence.instances:
                    numbers = [each.number for each in instance.payments]
                    for each in instance.payments:
                        recorded = payments[each.number]
                        assert (each.time_us, each.sender, each.receiver, each.amount) == tuple(
                            getattr(recorded, name) for name in ("time", "sender", "receiver", "amount")
                        )
                        assert each.number <= i
                        assert payments[i].time - back < each.time_us <= payments[i].time
                        assert each.tx_id == f"t{each.number}"
                    named = {role.account for role in instance.accounts}
                    assert named == {party for each in instance.payments for party in (each.sender, each.receiver)}
                    assert len(named) == len(instance.accounts)
                    if pattern not in ("fan", "fan_new"):
                        assert numbers.count(i) >= 1
                    if pattern != "scatter_gather":
                        assert len(set(numbers)) == len(numbers)


def test_cycles_lead_round_and_the_ordered_ones_in_time() -> None:
    for pattern in ("temporal_cycle", "simple_cycle"):
        plan = plan_of(pattern)
        for payments in graphs(3):
            for evidence in evidence_of_all(payments, plan, pattern, SHORT_WINDOWS[1], limit=5):
                lengths = [instance.measures["length"] for instance in evidence.instances]
                assert lengths == sorted(lengths)
                for instance in evidence.instances:
                    ring = instance.payments
                    assert all(a.receiver == b.sender for a, b in pairwise([*ring, ring[0]]))
                    assert len({each.sender for each in ring}) == len(ring) == instance.measures["length"]
                    assert [each.role for each in ring[:-1]] == [f"hop {k}" for k in range(1, len(ring))]
                    assert (ring[-1].role, ring[-1].number) == ("closing payment", evidence.number)
                    if pattern == "temporal_cycle":
                        assert all(a.time_us <= b.time_us and a.number < b.number for a, b in pairwise(ring))


def test_chains_stay_within_the_tolerance() -> None:
    plan = plan_of("chain")
    for payments in graphs():
        for evidence in evidence_of_all(payments, plan, "chain", SHORT_WINDOWS[1], limit=4):
            hops = [instance.measures["hops"] for instance in evidence.instances]
            assert hops == sorted(hops, reverse=True)
            for instance in evidence.instances:
                for earlier, later in pairwise(instance.payments):
                    assert earlier.receiver == later.sender
                    assert earlier.amount is not None
                    assert later.amount is not None
                    assert abs(later.amount - earlier.amount) * 5 <= earlier.amount


def ring(*amounts: int | None) -> list[Payment]:
    """a pays b pays c ... pays a, a second apart."""
    names = "abcdefgh"[: len(amounts)]
    return [Payment(k * SECOND, names[k], names[(k + 1) % len(names)], amount) for k, amount in enumerate(amounts)]


def test_the_best_ring_comes_first_with_its_measures() -> None:
    payments = [*ring(1_000, 900, 800), Payment(4 * SECOND, "x", "a", 5)]
    payments = [*payments[:2], Payment(1_500_000, "b", "z", 500), Payment(1_600_000, "z", "c", 500), payments[2]]
    evidence = evidence_of_last(payments, plan_of("temporal_cycle"), "temporal_cycle", 60)
    assert evidence.found == 2
    assert [[each.tx_id for each in instance.payments] for instance in evidence.instances] == [
        ["t0", "t1", "t4"],
        ["t0", "t2", "t3", "t4"],
    ]
    best = evidence.instances[0]
    assert best.measures == {"length": 3, "share": 0.8, "duration": 2.0}
    assert [(role.account, role.role) for role in best.accounts] == [
        ("a", "source"),
        ("b", "middleman"),
        ("c", "middleman"),
    ]
    assert evidence.numbers == (0, 1, 4, 2, 3)
    assert evidence.columns["temporal_cycle.length_4.1m"] == 1


def test_parallel_payments_are_one_ring_and_the_latest_possible_is_shown() -> None:
    payments = [
        Payment(0, "a", "b", 100), Payment(1, "a", "b", 90), Payment(2, "b", "c", 80), Payment(5, "a", "b", 70),
        Payment(6, "b", "c", 75), Payment(4, "b", "c", 60), Payment(7, "c", "a", 50),
    ]  # fmt: skip
    evidence = evidence_of_last(payments, plan_of("temporal_cycle"), "temporal_cycle", 60)
    assert evidence.found == 1
    assert [each.number for each in evidence.instances[0].payments] == [3, 4, 6]


def scatter_gather(middlemen: int) -> list[Payment]:
    """One source pays so many middlemen, each of whom pays one sink an hour later."""
    names = [f"m{k:03d}" for k in range(middlemen)]
    scatter = [Payment(k * SECOND, "source", name, 1_000 + k) for k, name in enumerate(names)]
    return scatter + [Payment((k + 600) * SECOND, name, "sink", 950 + k) for k, name in enumerate(names)]


def test_scatter_gather_names_source_middlemen_and_sink() -> None:
    payments = scatter_gather(4)
    evidence = evidence_of_last(payments, plan_of("scatter_gather"), "scatter_gather", 3_600)
    (found,) = evidence.instances
    assert (found.kind, found.measures) == ("last leg", {"middlemen": 4, "ordered": 4, "duration": 603.0})
    assert {role.role: role.account for role in found.accounts if role.role != "middleman"} == {
        "source": "source",
        "sink": "sink",
    }
    assert [(each.role, each.number) for each in found.payments[:4]] == [
        ("scatter leg", 3), ("closing payment", 7), ("scatter leg", 2), ("gather leg", 6),
    ]  # fmt: skip


def test_a_first_leg_that_comes_late_shows_the_scatter_it_completes() -> None:
    payments = scatter_gather(3)
    late = payments.pop(1)
    evidence = evidence_of_last(
        [*payments, Payment(700 * SECOND, late.sender, late.receiver, 7)], plan_of("scatter_gather"),
        "scatter_gather", 3_600,
    )  # fmt: skip
    (found,) = evidence.instances
    assert (found.kind, found.measures["middlemen"], found.measures["ordered"]) == ("first leg", 3, 2)
    assert evidence.columns["scatter_gather.first_leg.largest.1h"] == 3
    assert [(each.role, each.sender, each.receiver) for each in found.payments[:2]] == [
        ("closing payment", "source", "m001"),
        ("gather leg", "m001", "sink"),
    ]


def test_a_block_names_its_four_payments() -> None:
    payments = [
        Payment(0, "s", "v", 1), Payment(1, "s", "d", 2), Payment(2, "u", "d", 4), Payment(3, "u", "v", 8),
    ]  # fmt: skip
    evidence = evidence_of_last(payments, plan_of("bipartite"), "bipartite", 60)
    (found,) = evidence.instances
    assert [(each.role, each.number) for each in found.payments] == [
        ("payer's other payment", 2),
        ("other payer's payment", 0),
        ("other payer's other payment", 1),
        ("closing payment", 3),
    ]
    assert found.measures == {"amount": 15.0, "duration": 3e-6}
    assert {role.account: role.role for role in found.accounts} == {
        "u": "payer", "s": "payer", "v": "payee", "d": "payee",
    }  # fmt: skip


def test_a_limit_of_instances_is_said() -> None:
    payments = [Payment(k, "s", f"x{k}", 1) for k in range(30)] + [Payment(100 + k, f"x{k}", "v", 1) for k in range(30)]
    payments += [Payment(200 + k, f"t{k}", "x0", 1) for k in range(30)]
    payments += [Payment(300 + k, f"t{k}", "x1", 1) for k in range(30)] + [Payment(400, "x0", "v", 1)]
    plan = plan_of("scatter_gather")
    evidence = evidence_of_last(payments, plan, "scatter_gather", 60, limit=3)
    assert (evidence.found, len(evidence.instances)) == (31, 3)
    assert evidence.truncated
    assert not evidence.capped
    assert [instance.measures["middlemen"] for instance in evidence.instances] == [30, 2, 2]
    assert evidence.columns["scatter_gather.any.pairs.1m"] == 31


def test_an_instance_of_many_payments_is_bounded() -> None:
    payments = scatter_gather(MOST_PAYMENTS)
    evidence = evidence_of_last(payments, plan_of("scatter_gather"), "scatter_gather", 3_600)
    (found,) = evidence.instances
    assert (len(found.payments), found.left_out, evidence.found) == (MOST_PAYMENTS, MOST_PAYMENTS, 1)
    assert found.measures["middlemen"] == MOST_PAYMENTS
    assert evidence.truncated


@pytest.mark.parametrize("pattern", PATTERNS_WITH_EVIDENCE)
def test_a_cap_that_cuts_is_said_and_finds_no_more_than_there_is(pattern: str) -> None:
    plan = plan_of(pattern)
    cut = 0
    for payments in graphs(2):
        whole = evidence_of_all(payments, plan, pattern, SHORT_WINDOWS[1], **BOUNDS)
        for visits in (1, 5, 30):
            for evidence in evidence_of_all(payments, plan, pattern, SHORT_WINDOWS[1], limit=1_000, visits=visits):
                other = whole[evidence.number]
                if evidence.capped:
                    cut += 1
                    assert evidence.truncated
                    if pattern not in ("fan_new", "chain"):
                        assert evidence.found <= other.found
                else:
                    assert _comparable(evidence) == _comparable(other)
    assert cut > 20


def test_hubs_are_bounded_by_the_cap() -> None:
    payments = [Payment(k, f"p{k}", "u", 100) for k in range(3_000)] + [Payment(5_000, "u", "v", 100)]
    for pattern in PATTERNS_WITH_EVIDENCE:
        plan = plan_of(pattern)
        index, _ = index_of(payments)
        part = part_of(plan, pattern, 3_600)
        view = index_view(index, payments, len(payments) - 1, plan, part.look_back)
        evidence = find_evidence(view, part, visits=100)
        assert sum(len(instance.payments) for instance in evidence.instances) <= 100 + 2
        assert evidence.capped is (pattern not in ("bipartite",))


def test_a_payment_in_no_pattern_has_the_columns_of_one() -> None:
    payments = [Payment(0, "b", "a", 5), Payment(1, "a", "a", 5), Payment(2, "a", "external:x", 5)]
    for pattern in PATTERNS_WITH_EVIDENCE:
        plan = plan_of(pattern)
        columns = run(plan, payments)
        for evidence in evidence_of_all(payments, plan, pattern, 60)[1:]:
            assert (evidence.found, evidence.instances, evidence.truncated) == (0, (), False)
            assert len(evidence.columns) == len(plan.names) // 2 - 1
            assert unlike_columns(evidence, columns) == []


def test_nothing_is_reached_through_an_outsider() -> None:
    payments = [Payment(0, "v", "external:x", 5), Payment(1, "external:x", "u", 5), Payment(2, "u", "v", 5)]
    assert evidence_of_last(payments, plan_of("simple_cycle"), "simple_cycle", 60).found == 0
    (chain,) = evidence_of_last(payments, plan_of("chain"), "chain", 60).instances
    assert [role.account for role in chain.accounts] == ["external:x", "u", "v"]
    payments = [Payment(0, "s", "v", 1), Payment(1, "s", "external:x", 2), Payment(2, "u", "external:x", 4)]
    payments += [Payment(3, "external:y", "v", 1), Payment(4, "external:y", "d", 1), Payment(5, "u", "d", 1)]
    assert evidence_of_last([*payments, Payment(6, "u", "v", 8)], plan_of("bipartite"), "bipartite", 60).found == 0


def test_statistics_and_what_is_not_planned_are_refused() -> None:
    plan = plan_of("chain", "statistics")
    with pytest.raises(UsageError, match="no pattern that payments form"):
        part_of(plan, "statistics")
    with pytest.raises(UsageError, match=r"'rings' is no pattern.*give one of chain\."):
        part_of(plan, "rings")
    with pytest.raises(UsageError, match="give one of 1m, 1h"):
        part_of(plan, "chain", 7)
    assert part_of(plan, "chain").windows == (3_600,)
    index, _ = index_of(ring(1, 1))
    with pytest.raises(UsageError, match="limit = 0"):
        find_evidence(index.view(1, -1), part_of(plan, "chain"), limit=0)
    with pytest.raises(UsageError, match="has no evidence"):
        find_evidence(index.view(1, -1), PatternPlan("statistics", (60,)))


def test_simple_cycles_planned_in_two_parts_keep_their_lengths() -> None:
    plan = GraphPlan((PatternPlan("simple_cycle", (60,)), PatternPlan("simple_cycle", (3_600,), max_length=3)), 0)
    assert (part_of(plan, "simple_cycle", 60).max_length, part_of(plan, "simple_cycle").max_length) == (10, 3)


def test_json_has_no_nan() -> None:
    payments = [*ring(None, 5, 5)]
    evidence = evidence_of_last(payments, plan_of("temporal_cycle"), "temporal_cycle", 60)
    assert math.isnan(evidence.instances[0].measures["share"])
    said = json.loads(json.dumps(evidence.to_json(), allow_nan=False))
    assert said["instances"][0]["measures"] == {"length": 3, "share": None, "duration": 2.0}
    assert said["instances"][0]["payments"][0] == {
        "seq": 0, "tx_id": "t0", "role": "hop 1", "time_us": 0, "sender": "a", "receiver": "b", "amount": None,
    }  # fmt: skip
    assert (said["tx_id"], said["seq"], said["window"], said["found"]) == ("t2", 2, "1m", 1)
    assert said["columns"]["temporal_cycle.share.1m"] is None


def live(payments: list[Payment], plan: GraphPlan) -> GraphState:
    state = GraphState(plan, threads=1)
    state.append(*as_arrays(payments)[:5])
    return state


def test_a_live_graph_refuses_what_it_may_have_dropped() -> None:
    hour = 3_600 * SECOND
    plan = plan_of("temporal_cycle", windows=(3_600,))
    early = [Payment(k * 60 * SECOND, f"a{k}", f"a{k + 1}", 5) for k in range(5)]
    state = live([*early, Payment(hour + LATENESS * SECOND, "x", "y", 1)], plan)
    # Its window began an hour before it; what is that old may be gone.
    with pytest.raises(EngineError, match="may have been dropped since"):
        GraphView(state, 3, 3_600)
    with pytest.raises(EngineError, match="payment 0 is not held"):
        GraphView(state, 0, 3_600)
    for never in (6, -1, 2**40):
        with pytest.raises(EngineError, match="is not held"):
            GraphView(state, never, 3_600)
    assert GraphView(state, 3, 60).this.time_us == 180 * SECOND
    assert GraphView(state, 5, 3_600).this.number == 5


def test_a_late_payment_that_moved_nothing_sees_what_is_held() -> None:
    plan = plan_of("chain", windows=(3_600,))
    payments = [
        Payment(0, "a", "b", 10), Payment(4_000 * SECOND, "x", "y", 1), Payment(100 * SECOND, "b", "c", 10),
        Payment(90 * SECOND, "c", "c", 10),
    ]  # fmt: skip
    state = live(payments, plan)
    view = GraphView(state, 2, 3_600)
    evidence = find_evidence(view, part_of(plan, "chain"))
    assert evidence.found == 1
    with pytest.raises(EngineError, match="is not held"):
        GraphView(state, 3, 3_600)


def test_evidence_outlives_packing_and_a_restart() -> None:
    plan = plan_of("temporal_cycle")
    payments = [*ring(9, 8, 7), *[Payment((4 + k) * SECOND, f"q{k}", f"r{k}", 1) for k in range(3_000)]]
    state = live(payments, plan)
    before = find_evidence(GraphView(state, 2, 60), part_of(plan, "temporal_cycle", 60))
    again = GraphState(plan, threads=1)
    again.restore(state.snapshot())
    after = find_evidence(GraphView(again, 2, 60), part_of(plan, "temporal_cycle", 60))
    assert before.found == after.found == 1
    assert _comparable(before) == _comparable(after)


@settings(max_examples=150 if FULL else 25)
@given(
    st.lists(
        st.tuples(st.integers(0, 120), st.integers(0, 5), st.integers(0, 5), st.sampled_from([None, 0, 90, 100, 110])),
        max_size=24,
    ),
    st.sampled_from(PATTERNS_WITH_EVIDENCE),
)
def test_any_payments_evidence_is_what_the_columns_count(
    rows: list[tuple[int, int, int, int | None]], pattern: str
) -> None:
    payments = [Payment(time * SECOND, f"a{s}", f"a{r}", amount) for time, s, r, amount in rows]
    plan = plan_of(pattern, lateness=30)
    if payments:
        columns = run(plan, payments)
        for window in SHORT_WINDOWS:
            for evidence in evidence_of_all(payments, plan, pattern, window, **BOUNDS):
                assert unlike_columns(evidence, columns) == []
