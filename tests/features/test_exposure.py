"""The engine's exposure: the set payments-v3, who it is told of, and the same bits whatever the way."""

from __future__ import annotations

import json
import random

import numpy as np
import pyarrow as pa
import pytest

from greywater.config import Settings
from greywater.errors import EngineError, SnapshotError, UsageError
from greywater.features import engine as engine_module
from greywater.features import graph_state
from greywater.features.catalog import FeatureSet, payment_features, payments_v2, payments_v3
from greywater.features.engine import Engine, EngineState
from greywater.features.exposure import ExposurePlan, KnownLaunderers, default_exposure_plan
from greywater.features.lifetime import begin_engine, merge_lifetimes
from tests.features.payments import as_table, joined, random_payments, run_in_blocks, same_bits
from tests.naive import DAY_US, Paid
from tests.naive_exposure import Fact, naive_exposure
from tests.naive_graph import Payment

DAY = 86_400
SHORT = Settings(
    windows=(DAY, 3 * DAY),
    day_windows=(),
    allowed_lateness=2 * DAY,
    exposure_windows=(DAY, 6 * DAY),
    graph_fan_windows=(3_600,),
    graph_statistics_windows=(),
    graph_scatter_gather_windows=(),
    graph_gather_scatter_windows=(),
    graph_temporal_cycle_windows=(),
    graph_simple_cycle_windows=(),
    graph_chain_windows=(DAY,),
    graph_bipartite_windows=(),
    exposure_hops=3,
    features="payments-v3",
)
SET = payments_v3(SHORT, 1)
#: A cap so small that it cuts: what is left out must be the same whatever the way.
SETS = {"payments-v3": SET, "cut": payments_v3(SHORT.with_(graph_cap=2), 1)}


@pytest.fixture(params=sorted(SETS))
def set_(request: pytest.FixtureRequest) -> FeatureSet:
    return SETS[request.param]


def stream(seed: int, n: int = 500) -> tuple[list[Paid], list[Fact]]:
    """Payments, and facts of a few accounts that come to be known on the way."""
    payments = random_payments(seed, n, accounts=14, span_days=60, late_share=0.3)
    draw = random.Random(seed)
    facts: list[Fact] = []
    for after in sorted(draw.randrange(-1, n) for _ in range(8)):
        since = payments[max(after, 0)].time + draw.choice((-3 * DAY_US, 0, 1, DAY_US))
        account = draw.choice(["a1", "a2", "a3", "external:sink", "never met"])
        facts.append((account, draw.randrange(2), since, after, draw.random() < 0.8))
    return payments, facts


def told(set_: FeatureSet, facts: list[Fact], threads: int = 1) -> Engine:
    engine = Engine(set_, threads=threads)
    engine.know(KnownLaunderers.of(facts))
    return engine


def whole(set_: FeatureSet, payments: list[Paid], facts: list[Fact]) -> pa.Table:
    return joined([told(set_, facts).process(as_table(payments))])


# ---- the same bits


@pytest.mark.parametrize("seed", range(3))
def test_the_twin_says_the_same(seed: int) -> None:
    payments, facts = stream(seed, 150)
    plain = [Payment(paid.time, paid.sender, paid.receiver, paid.base) for paid in payments]
    plan, graph = SET.exposure, SET.graph
    assert plan is not None
    assert graph is not None
    assert graph.look_back == 6 * DAY
    expected = [row for row in naive_exposure(plain, facts, plan, graph.hold_us) if row]
    found = whole(SET, payments, facts)
    for name in (feature.name for feature in plan.features):
        wanted = np.array([row[name] for row in expected])
        assert np.array_equal(found[name].to_numpy(), wanted, equal_nan=wanted.dtype.kind == "f"), name


def test_one_by_one_equals_one_block(set_: FeatureSet) -> None:
    payments, facts = stream(1, 300)
    ones = run_in_blocks(told(set_, facts), as_table(payments), [1] * 300)
    assert same_bits(whole(set_, payments, facts), joined(ones)) == []


@pytest.mark.parametrize("seed", range(3))
def test_blocks_and_threads_change_nothing(set_: FeatureSet, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    payments, facts = stream(seed)
    expected = whole(set_, payments, facts)
    monkeypatch.setattr(engine_module, "PARALLEL_FROM", 1)
    monkeypatch.setattr(graph_state, "PARALLEL_FROM", 1)
    monkeypatch.setattr(graph_state, "BLOCK", 64)
    monkeypatch.setattr(graph_state, "PIECE", 7)
    blocks = run_in_blocks(told(set_, facts, threads=2), as_table(payments), [100, 17, 250])
    assert same_bits(expected, joined(blocks)) == []


@pytest.mark.parametrize("seed", range(3))
def test_restarting_from_a_snapshot_and_packing_change_nothing(set_: FeatureSet, seed: int) -> None:
    payments, facts = stream(seed)
    table, engine, blocks = as_table(payments), told(set_, facts), []
    for begin in range(0, 500, 90):
        blocks.append(engine.process(table.slice(begin, 90)))
        engine.pack()
        state = engine.snapshot()
        engine = Engine(set_, threads=1)
        meta = json.loads(json.dumps(dict(state.meta)))
        engine.restore(EngineState(meta, state.arrays))
    assert same_bits(whole(set_, payments, facts), joined(blocks)) == []


def test_payments_taken_in_without_columns_are_seen(set_: FeatureSet) -> None:
    payments, facts = stream(2)
    table, engine = as_table(payments), told(set_, facts)
    engine.absorb(table.slice(0, 200))
    rest = engine.process(table.slice(200))
    every = told(set_, facts).process(table)
    expected = pa.table(every.columns).slice(200).filter(pa.array(every.scored[200:]))
    assert same_bits(expected, joined([rest])) == []


def test_facts_said_as_they_are_recorded_do_what_facts_said_at_once_do(set_: FeatureSet) -> None:
    payments, facts = stream(3)
    table, blocks = as_table(payments), []
    engine = told(set_, [])
    for begin in range(0, 500, 50):
        engine.know(KnownLaunderers.of([fact for fact in facts if fact[3] < begin + 49]))
        blocks.append(engine.process(table.slice(begin, 50)))
    assert same_bits(whole(set_, payments, facts), joined(blocks)) == []


def test_the_rest_of_the_set_is_payments_v2() -> None:
    payments, facts = stream(4, 200)
    plain = Engine(payments_v2(SHORT.with_(graph_fan_windows=(3 * DAY,)), 1), threads=1)
    same_look_back = payments_v3(SHORT.with_(graph_fan_windows=(3 * DAY,)), 1)
    without = joined([plain.process(as_table(payments))])
    found = whole(same_look_back, payments, facts)
    assert same_bits(without, found.select(without.column_names)) == []


@pytest.mark.parametrize("beside", [(), ("chain.hops.1d", "sender.out.sum.1d")])
def test_only_what_is_named_has_the_same_bits(set_: FeatureSet, beside: tuple[str, ...]) -> None:
    payments, facts = stream(5, 300)
    names = {"receiver.known_launderer", "sender.out.exposed_distance.6d", "sender.in.exposed_share.1d", *beside}
    names |= {"receiver.out.exposed_flow_3.6d", "receiver.in.exposed_accounts_2.1d"}
    few = set_.only(names)
    found = joined(run_in_blocks(told(few, facts), as_table(payments), [100, 50]))
    assert set(found.column_names) == names
    assert same_bits(whole(set_, payments, facts).select(found.column_names), found) == []


def test_an_engine_that_needs_no_exposure_may_be_told_and_need_not() -> None:
    few, payments = SET.only(["sender.out.sum.1d"]), as_table(random_payments(1, 30))
    assert (
        same_bits(joined([told(few, []).process(payments)]), joined([Engine(few, threads=1).process(payments)])) == []
    )


# ---- what the engine is told


def test_an_engine_that_was_told_nothing_says_so() -> None:
    payments = as_table(random_payments(1, 10))
    with pytest.raises(EngineError, match="nothing was said about known launderers"):
        Engine(SET, threads=1).process(payments)
    with pytest.raises(EngineError, match="nothing was said about known launderers"):
        Engine(SET, threads=1).absorb(payments)
    with pytest.raises(EngineError, match="payments-v2 holds no exposure"):
        Engine(payments_v2(SHORT, 1), threads=1).know(KnownLaunderers.nobody())


def test_what_payments_have_seen_cannot_be_said_otherwise() -> None:
    engine = told(SET, [("a1", 0, 0, 3, True)])
    engine.process(as_table(random_payments(1, 10)))
    with pytest.raises(EngineError, match="other launderers are known than the payments before saw"):
        engine.know(KnownLaunderers.nobody())
    with pytest.raises(EngineError, match="other launderers"):
        engine.know(KnownLaunderers.of([("a1", 0, 0, 3, True), ("a2", 0, 0, 5, True)]))
    engine.know(KnownLaunderers.of([("a1", 0, 0, 3, True), ("a2", 0, 0, 9, True)]))
    assert engine.next_seq == 10


def test_a_snapshot_without_exposure_is_refused() -> None:
    engine = told(SET, [])
    engine.process(as_table(random_payments(1, 30)))
    state = engine.snapshot()
    meta = {name: value for name, value in state.meta.items() if name != "exposure"}
    with pytest.raises(SnapshotError, match="holds no exposure"):
        Engine(SET, threads=1).restore(EngineState(meta, state.arrays))


def test_an_engine_that_begins_late_is_told_afterwards() -> None:
    engine = told(SET, [("a1", 0, 0, 3, True)])
    with pytest.raises(EngineError, match="other codes"):
        begin_engine(engine, merge_lifetimes([]), next_seq=5, horizon=0)


def test_columns_of_different_lengths_are_refused() -> None:
    one = np.zeros(1, np.int64)
    with pytest.raises(UsageError, match="columns of"):
        KnownLaunderers(pa.array(["a", "b"]), one, one, one, np.ones(1, np.bool_))


# ---- the set


def test_the_set_is_named_by_the_settings_and_comes_back_from_json() -> None:
    assert payment_features(SHORT, 1) == SET
    again = FeatureSet.from_json(SET.to_json())
    assert again == SET
    assert again.fingerprint == SET.fingerprint != payments_v2(SHORT, 1).fingerprint
    assert "exposure" not in payments_v2(SHORT, 1).to_json()
    assert "least_look_back" not in payments_v2(SHORT, 1).to_json()


def test_every_column_has_one_name_and_its_place() -> None:
    features = payments_v3(Settings(), 1)
    plan = features.exposure
    assert plan is not None
    assert len(set(features.names)) == len(features.names)
    assert features.names[-len(plan.features) :] == tuple(feature.name for feature in plan.features)
    assert {feature.dtype for feature in plan.int_features} == {"int64"}
    assert {feature.dtype for feature in plan.float_features} == {"float64"}
    assert len(plan.int_features) == 2 + 13 * 2
    assert len(plan.float_features) == 8 * 2 + 4


def test_the_graph_looks_back_as_far_as_exposure_does() -> None:
    far = payments_v3(SHORT.with_(exposure_windows=(40 * DAY,)), 1).graph
    near = payments_v3(Settings(), 1).graph
    assert far is not None
    assert near is not None
    assert (far.look_back, far.least_look_back) == (40 * DAY, 40 * DAY)
    assert near.least_look_back == 0


def test_windows_shorter_than_the_data_s_resolution_are_left_out() -> None:
    settings = Settings(exposure_windows=(3_600, 7 * DAY), features="payments-v3")
    features = payments_v3(settings, DAY_US)
    assert features.exposure == ExposurePlan((7 * DAY,))
    said = features.left_out_words(settings)
    assert "the data is stamped to 1d, so exposure windows of 1h are left out" in said
    with pytest.raises(UsageError, match="every window of the exposure features is shorter"):
        default_exposure_plan(Settings(exposure_windows=(3_600,)), DAY_US)


@pytest.mark.parametrize(
    ("windows", "cap", "hops", "words"),
    [
        ((), 10, 1, "windows must increase"),
        ((60, 60), 10, 1, "windows must increase"),
        ((0,), 10, 1, "not a positive whole number"),
        ((60,), 0, 1, "cap = 0"),
        ((60,), 10, 0, "hops = 0"),
        ((60,), 10, 4, "hops = 4"),
    ],
)
def test_what_a_plan_refuses(windows: tuple[int, ...], cap: int, hops: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ExposurePlan(windows, cap, hops)


def test_ways_of_one_payment_alone_leave_the_definition_as_it_was() -> None:
    one = payments_v3(SHORT.with_(exposure_hops=1), 1)
    assert "hops" not in one.to_json()
    assert FeatureSet.from_json(one.to_json()) == one
    assert set(SET.names) - set(one.names) == {
        f"{role}.{direction}.exposed_{statistic}_{hops}.{window}"
        for role in ("sender", "receiver") for direction in ("out", "in")
        for statistic in ("accounts", "count", "flow") for hops in (2, 3) for window in ("1d", "6d")
    }  # fmt: skip


def test_settings_refuse_windows_that_do_not_increase() -> None:
    with pytest.raises(UsageError, match="exposure_windows must be positive, increasing"):
        Settings(exposure_windows=(60, 30))
