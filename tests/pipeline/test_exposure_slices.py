"""Exposure in slices, backfills and parity: what a worker is told of known launderers gives the bits of the whole."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from greywater.config import Settings
from greywater.errors import EngineError
from greywater.features.catalog import FeatureSet, payments_v3
from greywater.features.engine import Engine
from greywater.features.exposure import KnownLaunderers
from greywater.features.lifetime import merge_lifetimes
from greywater.pipeline.parity import ServedLog, ServedView, check_parity
from greywater.pipeline.slices import engine_at, plan_slices, run_slice, stretch_lifetime
from greywater.stores.open import open_tables
from greywater.vocab import FeatureBlock
from tests.features.payments import joined, same_bits
from tests.naive import DAY_US
from tests.pipeline.ledgers import MadeLedger, made_ledger

DAY = 86_400
SHORT = Settings(
    windows=(DAY,),
    day_windows=(),
    allowed_lateness=DAY,
    exposure_windows=(DAY, 4 * DAY),
    graph_fan_windows=(3_600,),
    graph_statistics_windows=(),
    graph_scatter_gather_windows=(),
    graph_gather_scatter_windows=(),
    graph_temporal_cycle_windows=(),
    graph_simple_cycle_windows=(),
    graph_chain_windows=(),
    graph_bipartite_windows=(),
)
SETS = {"payments-v3": payments_v3(SHORT, 1), "cut": payments_v3(SHORT.with_(graph_cap=2), 1)}


@pytest.fixture(params=sorted(SETS))
def set_(request: pytest.FixtureRequest) -> FeatureSet:
    return SETS[request.param]


def facts_of(ledger: MadeLedger, seed: int) -> KnownLaunderers:
    """Some accounts that come to be known on the way, in no order."""
    draw = random.Random(seed)
    times = ledger.table["event_time"].cast(pa.int64()).to_pylist()
    rows = []
    for source, name in enumerate(("a1", "a2", "a3", "external:sink", "a1")):
        after = draw.randrange(-1, len(times))
        rows.append((name, source, times[max(after, 0)] + draw.choice((-DAY_US, 0, 1)), after, True))
    return KnownLaunderers.of([*rows, ("a2", 1, times[-1] - 5 * DAY_US, len(times) // 2, False)])


def whole(ledger: Any, features: FeatureSet, known: KnownLaunderers) -> FeatureBlock:
    engine = Engine(features, threads=1)
    engine.know(known)
    return engine.process(ledger.table)


@pytest.mark.parametrize("seed", range(4))
def test_sliced_equals_whole(set_: FeatureSet, seed: int) -> None:
    ledger = made_ledger(seed, 400, accounts=10, span_days=60, late_share=0.2)
    known = facts_of(ledger, seed)
    cuts = [0, *sorted(random.Random(seed).sample(range(1, 400), 4)), 400]
    plan = plan_slices(ledger, set_, cuts, grain_rows=8)
    assert plan.slices[-1].halo > 0
    parts = [stretch_lifetime(ledger, *stretch) for stretch in plan.stretches]
    blocks: list[FeatureBlock] = []
    for one in plan.slices:
        lifetime = merge_lifetimes(parts[: plan.before(one)])
        run_slice(ledger, set_, one, lifetime, lambda _, block: blocks.append(block), known=known, block_rows=64)
    assert same_bits(joined([whole(ledger, set_, known)]), joined(blocks)) == []


def test_a_slice_that_is_told_nothing_is_not_worked_out() -> None:
    ledger = made_ledger(1, 60, accounts=5)
    with pytest.raises(EngineError, match="nothing was said about known launderers"):
        engine_at(ledger, SETS["cut"], 0, 60).process(ledger.table)


def test_parity_works_exposure_out_again(set_: FeatureSet) -> None:
    ledger = made_ledger(5, 300, accounts=8, span_days=40, late_share=0.2)
    known, tables = facts_of(ledger, 5), open_tables("memory:")
    block = whole(ledger, set_, known)
    names = [name for name in set_.names if "exposed" in name or "known_launderer" in name]
    columns = tuple((name, set_.by_name[name].dtype) for name in names)
    view = ServedView("exposure", set_.fingerprint, columns)
    rows = pa.table(block.columns).select(names).to_pylist()
    with ServedLog(tables) as log:
        for seq in np.flatnonzero(block.scored)[::7].tolist():
            log.payment(view, seq, list(rows[seq].values()))
    result = check_parity(ledger, tables, set_, sample=None, known=known)
    assert (result.differences, result.other_features) == ((), 0)
    assert result.vectors > 20
