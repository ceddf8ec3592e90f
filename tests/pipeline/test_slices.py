"""Sliced = whole, to the last bit, for every column of every set, wherever the ledger is cut."""

from __future__ import annotations

import os
import random
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from greywater.config import Settings
from greywater.errors import UsageError
from greywater.features.catalog import FeatureSet, payments_v1, payments_v2
from greywater.features.engine import Engine
from greywater.features.lifetime import Lifetime, lifetime_of, merge_lifetimes
from greywater.pipeline.slices import (
    engine_at,
    even_cuts,
    look_backs,
    plan_slices,
    range_of_times,
    run_slice,
    stretch_lifetime,
)
from greywater.vocab import FeatureBlock
from tests.features.payments import joined, same_bits
from tests.naive import DAY_US
from tests.pipeline.ledgers import MadeLedger, made_ledger

FULL = os.environ.get("GREYWATER_FULL") == "1"
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
SETS = {
    "payments-v1": payments_v1(SHORT, 1),
    "payments-v2": payments_v2(SHORT, 1),
    "cut": payments_v2(SHORT.with_(graph_cap=3), 1),
}


@pytest.fixture(params=sorted(SETS))
def set_(request: pytest.FixtureRequest) -> FeatureSet:
    return SETS[request.param]


def whole(ledger: MadeLedger, features: FeatureSet, start: int = 0) -> pa.Table:
    """What one engine that took all payments in says of those from `start` on."""
    block = Engine(features, threads=1).process(ledger.table)
    return joined([FeatureBlock(block.seq[start:], block.columns.slice(start), block.scored[start:])])


def sliced(ledger: Any, features: FeatureSet, cuts: list[int], grain_rows: int, block_rows: int = 32_768) -> pa.Table:
    """All slices, each from nothing but the ledger, its halo and the merged parts."""
    plan = plan_slices(ledger, features, cuts, grain_rows=grain_rows)
    parts = [stretch_lifetime(ledger, *stretch) for stretch in plan.stretches]
    blocks: list[FeatureBlock] = []
    for one in reversed(plan.slices):
        here: list[FeatureBlock] = []
        run_slice(
            ledger,
            features,
            one,
            merge_lifetimes(parts[: plan.before(one)]),
            lambda _, block, here=here: here.append(block),  # type: ignore[misc]
            block_rows=block_rows,
        )
        blocks = here + blocks
    return joined(blocks)


@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 160),
    span=st.sampled_from((3.0, 15.0, 60.0)),
    late=st.sampled_from((0.0, 0.3)),
    inner=st.sets(st.integers(1, 159), max_size=4),
    grain=st.sampled_from((1, 3, 32)),
)
@hypothesis_settings(max_examples=200 if FULL else 25)
def test_sliced_equals_whole(seed: int, n: int, span: float, late: float, inner: set[int], grain: int) -> None:
    ledger = made_ledger(seed, n, accounts=5, span_days=span, late_share=late)
    cuts = [0, *sorted(cut for cut in inner if cut < n), n]
    for features in SETS.values():
        assert same_bits(whole(ledger, features), sliced(ledger, features, cuts, grain, block_rows=50)) == []


@pytest.mark.parametrize("seed", range(2))
def test_slices_of_a_longer_ledger_leave_most_of_it_unread(set_: FeatureSet, seed: int) -> None:
    """Sixty days, windows of five and two of lateness: the halo is a small part, and the lifetime is needed."""
    ledger = made_ledger(seed, 1_200, accounts=12, span_days=120, late_share=0.05)
    draw = random.Random(seed)
    cuts = [0, *sorted(draw.sample(range(1, 1_200), 5)), 1_200]
    plan = plan_slices(ledger, set_, cuts, grain_rows=16)
    assert plan.slices[-1].halo > 600
    assert same_bits(whole(ledger, set_), sliced(ledger, set_, cuts, 16, block_rows=100)) == []


def test_an_engine_in_the_middle_goes_on_as_if_it_had_seen_all(set_: FeatureSet) -> None:
    ledger = made_ledger(7, 700, accounts=8, span_days=90, late_share=0.1)
    expected = whole(ledger, set_, 500)
    engine = engine_at(ledger, set_, 500, 700)
    assert engine.next_seq == 500
    blocks = [engine.process(ledger.table.slice(begin, 50)) for begin in range(500, 700, 50)]
    assert same_bits(expected, joined(blocks)) == []
    assert engine.snapshot().meta["next_seq"] == 700


def test_payments_taken_in_without_features_are_seen_by_later_ones(set_: FeatureSet) -> None:
    ledger = made_ledger(3, 600, accounts=8, span_days=30, late_share=0.2)
    engine = Engine(set_, threads=1)
    for begin in range(0, 400, 100):
        engine.absorb(ledger.table.slice(begin, 100))
    found = joined([engine.process(ledger.table.slice(400))])
    assert same_bits(whole(ledger, set_, 400), found) == []


def test_halos_begin_no_later_than_the_rule_says(set_: FeatureSet) -> None:
    """Against the rule read word by word: what lies before a halo is in no window of the slice."""
    ledger = made_ledger(11, 500, accounts=6, span_days=60, late_share=0.3)
    times = ledger.table["event_time"].cast(pa.int64()).to_pylist()
    plan = plan_slices(ledger, set_, [0, 200, 350, 500], grain_rows=1)
    for one in plan.slices:
        horizon = max(times[: one.start], default=-(2**62))
        seen_from = 2**62
        for time in times[one.start : one.stop]:
            horizon = max(horizon, time)
            for back in look_backs(set_):
                seen_from = min(seen_from, max(time - back.window_us, horizon - back.hold_us))
        visible = [seq for seq in range(one.start) if times[seq] > seen_from]
        assert one.halo == min([*visible, one.start])
        assert one.halo_horizon == (max(times[: one.halo]) if one.halo else None)
        assert (one.payments, one.taken_in) == (one.stop - one.start, one.start - one.halo)


@given(seed=st.integers(0, 10**6), cuts=st.sets(st.integers(0, 80), max_size=5))
def test_lifetimes_merge_to_the_same_however_they_are_cut(seed: int, cuts: set[int]) -> None:
    ledger = made_ledger(seed, 80, accounts=4)
    ends = [0, *sorted(cuts), 80]
    parts = [stretch_lifetime(ledger, low, high) for low, high in pairwise(ends)]
    merged = merge_lifetimes(parts).pairs.sort_by([("sender", "ascending"), ("receiver", "ascending")])
    expected: dict[tuple[str, str], list[int]] = {}
    table = ledger.table
    for sender, receiver, time in zip(
        table["sender"].to_pylist(), table["receiver"].to_pylist(), table["event_time"].cast("int64").to_pylist(),
        strict=True,
    ):  # fmt: skip
        record = expected.setdefault((sender, receiver), [0, time, time])
        record[:] = [record[0] + 1, min(record[1], time), max(record[2], time)]
    assert [tuple(row.values()) for row in merged.to_pylist()] == [
        (*pair, *record) for pair, record in sorted(expected.items())
    ]


def test_a_lifetime_of_many_batches_is_that_of_one() -> None:
    table = made_ledger(1, 300, accounts=5).table
    order = [("sender", "ascending"), ("receiver", "ascending")]
    one = lifetime_of(table.combine_chunks().to_batches())
    many = lifetime_of(batch for k in range(0, 300, 7) for batch in table.slice(k, 7).to_batches())
    assert many.pairs.sort_by(order).equals(one.pairs.sort_by(order))
    assert isinstance(one, Lifetime)
    assert one.nbytes > 0


def test_a_range_of_times_spans_all_payments_of_those_times() -> None:
    ledger = made_ledger(2, 200, late_share=0.4)
    times = ledger.table["event_time"].cast(pa.int64()).to_pylist()
    low, high = sorted(times)[50], sorted(times)[120]
    inside = [seq for seq, time in enumerate(times) if low <= time < high]
    assert range_of_times(ledger, low, high) == (inside[0], inside[-1] + 1)
    assert range_of_times(ledger, None, None) == (0, 200)
    assert range_of_times(ledger, max(times) + 1, None) == (0, 0)
    assert range_of_times(ledger, None, min(times)) == (0, 0)
    assert range_of_times(ledger, min(times) - 40 * DAY_US, None) == (0, 200)


@pytest.mark.parametrize("cuts", [[0], [5, 5], [0, 9, 3], [0, 999], [-1, 5]])
def test_cuts_that_do_not_rise_inside_the_ledger_are_refused(cuts: list[int]) -> None:
    with pytest.raises(UsageError, match="slices cannot be cut"):
        plan_slices(made_ledger(0, 20), SETS["payments-v1"], cuts)


def test_even_cuts_cover_all() -> None:
    assert even_cuts(3, 3 + 7, 100) == list(range(3, 11))
    assert even_cuts(0, 100, 7)[-1] == 100
