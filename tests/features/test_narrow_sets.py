"""A set of chosen features: the same bits as in the whole set, and nothing worked out that none of them needs."""

from __future__ import annotations

import json
import math
import random
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.config import Settings
from greywater.errors import EngineError, SnapshotError, UsageError
from greywater.features import engine as engine_module
from greywater.features import graph_state, sides
from greywater.features.catalog import FeatureSet, payments_v1, payments_v2
from greywater.features.engine import INPUT_COLUMNS, Engine, EngineState
from greywater.features.selection import selection_of
from greywater.kernels.lists import HIGH
from greywater.kernels.windows import process
from greywater.pipeline.slices import even_cuts, plan_slices, run_slice, stretch_lifetime
from greywater.vocab import FeatureBlock
from tests.features.payments import as_table, joined, random_payments, same_bits
from tests.features.test_engine_properties import CUTS, SETS, engine_rows, histories
from tests.naive import Paid, naive_features
from tests.pipeline.ledgers import made_ledger

SHORT = Settings(
    windows=(3_600, 86_400, 3 * 86_400),
    day_windows=(5,),
    allowed_lateness=2 * 86_400,
    graph_fan_windows=(3_600, 2 * 86_400),
    graph_statistics_windows=(86_400,),
    graph_scatter_gather_windows=(86_400,),
    graph_gather_scatter_windows=(86_400,),
    graph_chain_windows=(86_400, 4 * 86_400),
    graph_temporal_cycle_windows=(2 * 86_400,),
    graph_simple_cycle_windows=(86_400,),
    graph_bipartite_windows=(86_400,),
)
V1, V2 = payments_v1(SHORT, 1), payments_v2(SHORT, 1)
CUT = payments_v2(SHORT.with_(graph_cap=3), 1)


@st.composite
def choices(draw: st.DrawFn) -> FeatureSet:
    """A set with a few of its features, or with all of some kind."""
    whole = draw(st.sampled_from(SETS))
    word = draw(st.sampled_from(("", "", "sender.out", "receiver.in", ".sum.", ".max", "pair.", "self", "calendar")))
    like = [name for name in whole.names if word in name]
    return whole.only(draw(st.lists(st.sampled_from(like or whole.names), min_size=1, max_size=12)))


def unlike(found: list[dict[str, Any] | None], expected: list[dict[str, Any]]) -> list[str]:
    """What of the rows found is not what is expected."""
    wrong = []
    for i, (row, twin) in enumerate(zip(found, expected, strict=True)):
        for name, value in (row or {}).items():
            if value != twin[name] and not (math.isnan(value) and math.isnan(twin[name])):
                wrong.append(f"payment {i}: {name} is {value}, the twin says {twin[name]}")
    return wrong


@given(histories(), choices(), CUTS, st.integers(4, 12))
@settings(max_examples=120)
def test_any_choice_of_features_cut_anywhere_equals_the_twin(
    payments: list[Paid], set_: FeatureSet, cuts: list[tuple[str, int]], spare: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sides, "SPARE_ENTRIES", spare)
        rows = engine_rows(payments, set_, cuts)
    assert unlike(rows, naive_features(payments, set_)) == []
    assert all(tuple(row) == set_.names for row in rows if row is not None)


def some_of(whole: FeatureSet, draw: random.Random) -> FeatureSet:
    """Up to 15 features, of a few families."""
    families = draw.sample(sorted({name.rsplit(".", 1)[0] for name in whole.names}), 6)
    like = [name for name in whole.names if name.rsplit(".", 1)[0] in families]
    return whole.only(draw.sample(like, min(len(like), 15)))


def table_of(seed: int, n: int = 700) -> pa.Table:
    return as_table(random_payments(seed, n, accounts=12, span_days=60, late_share=0.3))


@pytest.fixture(scope="module")
def wholes() -> dict[tuple[int, int], pa.Table]:
    """What the whole sets say of payments, by number of the table and of the set."""
    return {
        (seed, place): joined([Engine(set_, threads=1).process(table_of(seed))])
        for seed in range(2)
        for place, set_ in enumerate((V2, CUT))
    }


@pytest.mark.parametrize("seed", range(8))
def test_chosen_columns_of_windows_and_graph_are_those_of_the_whole_set(
    wholes: dict[tuple[int, int], pa.Table], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "PARALLEL_FROM", 1)
    monkeypatch.setattr(graph_state, "PARALLEL_FROM", 1)
    monkeypatch.setattr(graph_state, "PIECE", 7)
    draw = random.Random(seed)
    whole, table = wholes[seed % 2, seed // 2 % 2], table_of(seed % 2)
    chosen = some_of((V2, CUT)[seed // 2 % 2], draw)
    engine, blocks = Engine(chosen, threads=1 + seed % 2), []
    while engine.next_seq < table.num_rows:
        blocks.append(engine.process(table.slice(engine.next_seq, draw.randrange(1, 300))))
        state = engine.snapshot()
        engine = Engine(chosen, threads=1 + seed % 2)
        engine.restore(EngineState(json.loads(json.dumps(state.meta)), dict(state.arrays)))
    assert same_bits(whole.select(chosen.names), joined(blocks)) == []


def keep(blocks: list[FeatureBlock], _: pa.RecordBatch, block: FeatureBlock) -> None:
    blocks.append(block)


@pytest.mark.parametrize("seed", range(4))
def test_chosen_columns_in_slices_are_those_of_the_whole_set(seed: int) -> None:
    ledger, draw = made_ledger(seed, 400, accounts=9, span_days=40, late_share=0.2), random.Random(seed)
    whole = joined([Engine(V2, threads=1).process(ledger.table)])
    for chosen in (some_of(V2, draw), V2.only(draw.sample(V1.names, 8))):
        plan = plan_slices(ledger, chosen, even_cuts(0, 400, 4), grain_rows=16)
        blocks: list[FeatureBlock] = []
        for one in plan.slices:
            lifetime = stretch_lifetime(ledger, 0, one.halo)
            run_slice(ledger, chosen, one, lifetime, partial(keep, blocks), block_rows=64)
        assert same_bits(whole.select(chosen.names), joined(blocks)) == []


def test_every_single_feature_is_that_of_the_whole_set() -> None:
    table = table_of(5, 150)
    whole = joined([Engine(V1, threads=1).process(table)])
    for name in V1.names:
        alone = joined([Engine(V1.only([name]), threads=1).process(table)])
        assert same_bits(whole.select([name]), alone) == []


def test_the_choice_has_the_order_of_the_set_and_travels_as_json() -> None:
    chosen = V2.only(["sender.out.sum.1d", "chain.hops.1d", "payment.amount", "sender.out.sum.1d"])
    assert chosen.names == ("payment.amount", "sender.out.sum.1d", "chain.hops.1d")
    assert [feature.name for feature in chosen.graph_features] == ["chain.hops.1d"]
    again = FeatureSet.from_json(chosen.to_json())
    assert again == chosen
    assert again.fingerprint == chosen.fingerprint
    assert chosen.only(["payment.amount"]) == V2.only(["payment.amount"])
    prints = {V2.fingerprint, chosen.fingerprint, V2.only(["payment.amount"]).fingerprint}
    assert len(prints) == 3
    assert '"chosen"' not in V2.to_json()


@pytest.mark.parametrize("names", [[], ["sender.out.sum.7y"], ["payment.amount", "no", "such"]])
def test_a_choice_of_nothing_or_of_the_unknown_is_refused(names: list[str]) -> None:
    with pytest.raises(UsageError, match=r"no feature is named|is not one of the features payments-v1"):
        V1.only(names)


def test_what_was_left_out_cannot_be_chosen_again() -> None:
    with pytest.raises(UsageError, match="is not one of the features"):
        V1.only(["payment.amount"]).only(["payment.channel"])


def test_a_snapshot_of_the_whole_set_is_refused() -> None:
    with pytest.raises(SnapshotError, match="replay the ledger"):
        Engine(V1.only(["payment.amount"]), threads=1).restore(Engine(V1, threads=1).snapshot())


def test_nothing_is_kept_that_no_chosen_feature_needs() -> None:
    table = table_of(3, 400)
    days = Engine(V2.only(["calendar.weekday", "payment.late"]), threads=1)
    days.process(table.select(days.input_columns))
    assert (days.footprint.held, days.footprint.pairs, days.footprint.graph_held) == (0, 0, 0)
    sent = Engine(V2.only(["sender.out.count.1d"]), threads=1)
    sent.process(table.select(sent.input_columns))
    state = sent.snapshot().arrays
    assert [int(state[f"{side}.heads"][:, HIGH].sum()) > 0 for side in ("out", "in", "self")] == [True, False, False]
    assert state["out.places"].shape[1] * 4 == Engine(V1, threads=1).snapshot().arrays["out.places"].shape[1]
    received = selection_of(V2.only(["receiver.in.mean.1d"]))
    assert not received.out.needed
    assert received.into.kept.tolist() == [1, 0, 0]
    assert received.into.asked.views.tolist() == [1, 0]
    assert received.graph is None
    assert not received.pays_itself


def test_only_the_columns_that_the_features_need_are_read() -> None:
    assert set(Engine(V1, threads=1).input_columns) == set(INPUT_COLUMNS)
    chosen = Engine(V1.only(["sender.out.sum.1d", "payment.currency_change"]), threads=1)
    assert chosen.input_columns[5:] == ("currency", "received_currency")
    with pytest.raises(EngineError, match="columns received_currency"):
        chosen.process(table_of(1, 5).drop_columns(["received_currency", "channel"]))


def test_graph_patterns_and_windows_that_no_chosen_feature_needs_are_not_looked_for() -> None:
    chosen = selection_of(V2.only(["chain.lag.4d", "sender.in.fan_ratio.1h", "payment.amount"]))
    assert chosen.graph is not None
    assert [(part.pattern, part.windows) for part in chosen.graph.patterns] == [
        ("fan", (3_600,)),
        ("chain", (4 * 86_400,)),
    ]


def test_an_absorbed_past_leaves_the_same_to_see() -> None:
    table = table_of(7, 600)
    chosen = V1.only(["sender.out.std.3d", "receiver.in.max.5d", "pair.times_before", "sender.self.sum.1d"])
    engine = Engine(chosen, threads=1)
    engine.absorb(table.slice(0, 311).select(engine.input_columns))
    rest = joined([engine.process(table.slice(311))])
    whole = joined([Engine(V1, threads=1).process(table)]).select(chosen.names)
    assert same_bits(whole.slice(whole.num_rows - rest.num_rows), rest) == []


def test_one_form_of_the_kernel_serves_every_choice() -> None:
    """A choice never waits for a kernel to be compiled: the arrays' types are the same."""
    table = table_of(2, 100)
    Engine(V1, threads=1).process(table)
    compiled = len(getattr(process, "signatures", ()))
    for names in (["calendar.hour"], ["pair.times_before"], ["sender.out.lifetime_count"], ["receiver.out.sum.1d"]):
        engine = Engine(V1.only(names), threads=1)
        engine.process(table)
        engine.absorb(as_table(random_payments(9, 10), first_seq=100))
    assert len(getattr(process, "signatures", ())) == compiled
