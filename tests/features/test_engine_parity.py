"""One by one = in blocks = on one thread or two = restarted from a snapshot, to the last bit."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from greywater.config import Settings
from greywater.errors import EngineError, SnapshotError
from greywater.features import engine as engine_module
from greywater.features import engine_graph, graph_state, sides
from greywater.features.catalog import FeatureSet, payments_v1, payments_v2
from greywater.features.engine import Engine, EngineState
from greywater.vocab import FeatureBlock
from tests.features.payments import as_table, joined, random_payments, run_in_blocks, same_bits

SHORT = Settings(
    windows=(3_600, 86_400, 3 * 86_400),
    day_windows=(5, 9),
    allowed_lateness=2 * 86_400,
    graph_fan_windows=(3_600, 3 * 86_400),
    graph_statistics_windows=(86_400, 3 * 86_400),
    graph_chain_windows=(86_400, 4 * 86_400),
    graph_temporal_cycle_windows=(86_400, 2 * 86_400),
    graph_simple_cycle_windows=(86_400,),
)
#: A cap so small that it cuts: what is left out must be the same whatever the way.
SETS = {
    "payments-v1": payments_v1(SHORT, 1),
    "payments-v2": payments_v2(SHORT, 1),
    "cut": payments_v2(SHORT.with_(graph_cap=3), 1),
}


@pytest.fixture(params=sorted(SETS))
def set_(request: pytest.FixtureRequest) -> FeatureSet:
    return SETS[request.param]


def table_of(seed: int, n: int = 900) -> pa.Table:
    return as_table(random_payments(seed, n, accounts=12, span_days=60, late_share=0.3))


def whole(table: pa.Table, set_: FeatureSet) -> pa.Table:
    return joined([Engine(set_, threads=1).process(table)])


@pytest.mark.parametrize("seed", range(2))
def test_one_by_one_equals_one_block(set_: FeatureSet, seed: int) -> None:
    table = table_of(seed, 300)
    ones = run_in_blocks(Engine(set_, threads=1), table, [1] * 300)
    assert len(ones) == 300
    assert same_bits(whole(table, set_), joined(ones)) == []


@pytest.mark.parametrize("seed", range(6))
def test_blocks_of_any_size_equal_one_block(set_: FeatureSet, seed: int) -> None:
    table = table_of(seed)
    draw = random.Random(seed)
    sizes = [draw.choice((1, 2, 17, 63, 64, 65, 300)) for _ in range(12)]
    assert same_bits(whole(table, set_), joined(run_in_blocks(Engine(set_, threads=1), table, sizes))) == []


@pytest.mark.parametrize("chunk", [1, 100, 899])
def test_rows_worked_out_at_a_time_change_nothing(
    set_: FeatureSet, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(chunk)
    expected = whole(table, set_)
    monkeypatch.setattr(engine_graph, "CHUNK", chunk)
    monkeypatch.setattr(engine_graph, "SMALL", 0)
    assert same_bits(expected, joined(run_in_blocks(Engine(set_, threads=1), table, [450]))) == []


@pytest.mark.parametrize("seed", range(3))
def test_two_threads_equal_one(set_: FeatureSet, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "PARALLEL_FROM", 1)
    monkeypatch.setattr(graph_state, "PARALLEL_FROM", 1)
    monkeypatch.setattr(graph_state, "PIECE", 7)
    table = table_of(seed)
    assert same_bits(whole(table, set_), joined(run_in_blocks(Engine(set_, threads=2), table, [100, 250]))) == []


@pytest.mark.parametrize("seed", range(4))
def test_packing_at_any_moment_changes_nothing(set_: FeatureSet, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(seed)
    expected = whole(table, set_)
    monkeypatch.setattr(sides, "SPARE_ENTRIES", 12)
    monkeypatch.setattr(graph_state, "SPARE_ENTRIES", 2)
    monkeypatch.setattr(graph_state, "SPARE_SHARE", 0.0)
    engine = Engine(set_, threads=1)
    blocks: list[FeatureBlock] = []
    for begin in range(0, table.num_rows, 90):
        blocks.append(engine.process(table.slice(begin, 90)))
        if begin % 180 == 0:
            engine.pack()
    assert same_bits(expected, joined(blocks)) == []


@pytest.mark.parametrize("seed", range(4))
def test_restarting_from_a_snapshot_changes_nothing(set_: FeatureSet, seed: int) -> None:
    table = table_of(seed)
    expected = whole(table, set_)
    draw = random.Random(seed)
    engine, blocks = Engine(set_, threads=1), []
    begin = 0
    while begin < table.num_rows:
        size = draw.randrange(1, 250)
        blocks.append(engine.process(table.slice(begin, size)))
        begin += size
        state = engine.snapshot()
        fresh = Engine(set_, threads=1)
        meta = json.loads(json.dumps(state.meta))
        fresh.restore(EngineState(meta, {k: v.copy() for k, v in state.arrays.items()}))
        assert fresh.next_seq == engine.next_seq
        engine = fresh
    assert same_bits(expected, joined(blocks)) == []


def test_a_snapshot_of_other_features_is_refused(set_: FeatureSet) -> None:
    state = Engine(set_, threads=1).snapshot()
    other = Engine(payments_v1(Settings(windows=(60,), day_windows=()), 1), threads=1)
    with pytest.raises(SnapshotError, match="replay the ledger"):
        other.restore(state)


def test_codes_of_accounts_do_not_matter(set_: FeatureSet) -> None:
    """The same payments under other account ids and after other accounts have the same values."""
    payments = random_payments(5, 300, accounts=5)
    plain = whole(as_table(payments), set_)
    renamed = {f"a{k}": f"zz{9 - k}" for k in range(5)} | {"external:sink": "external:drain"}
    other = [type(p)(**{**p.__dict__, "sender": renamed[p.sender], "receiver": renamed[p.receiver]}) for p in payments]
    assert same_bits(plain, whole(as_table(other), set_)) == []


def test_a_later_payment_changes_nothing_before_it(set_: FeatureSet) -> None:
    payments = random_payments(6, 300, accounts=5)
    head = whole(as_table(payments[:200]), set_)
    full = Engine(set_, threads=1).process(as_table(payments))
    start = joined([FeatureBlock(full.seq[:200], full.columns.slice(0, 200), full.scored[:200])])
    assert same_bits(head, start) == []


def test_payments_must_follow_on(set_: FeatureSet) -> None:
    table = table_of(1, 50)
    engine = Engine(set_, threads=1)
    engine.process(table.slice(0, 20))
    with pytest.raises(EngineError, match="do not follow on"):
        engine.process(table.slice(10, 20))
    with pytest.raises(EngineError, match="columns amount"):
        engine.process(table.slice(20, 5).drop_columns(["amount"]))


def test_an_empty_block_is_an_empty_block(set_: FeatureSet) -> None:
    block = Engine(set_, threads=1).process(table_of(1, 10).slice(0, 0))
    assert block.columns.num_rows == 0
    assert tuple(block.columns.schema.names) == set_.names


def test_dtypes_are_those_declared_and_no_column_is_a_label(set_: FeatureSet) -> None:
    block = Engine(set_, threads=1).process(table_of(2, 50))
    declared = {f.name: f.dtype for f in set_.features}
    assert {field.name: str(field.type).replace("double", "float64") for field in block.columns.schema} == declared
    answers = ("label", "is_sar", "issar", "alert", "sar_count", "pattern", "modeltype", "laundering", "typology")
    assert not [name for name in set_.names if any(answer in name.lower() for answer in answers)]


def test_parties_outside_the_bank_are_not_scored_but_count(set_: FeatureSet) -> None:
    payments = random_payments(3, 300, accounts=3)
    block = Engine(set_, threads=1).process(as_table(payments))
    outside = np.array([p.sender.startswith("external:") or p.receiver.startswith("external:") for p in payments])
    assert outside.any()
    assert np.array_equal(block.scored, ~outside)


def test_footprint_frees_what_no_window_can_see(set_: FeatureSet) -> None:
    quiet = as_table(random_payments(4, 2_000, accounts=20, span_days=400, late_share=0.0))
    engine = Engine(set_, threads=1)
    engine.process(quiet)
    engine.pack()
    held = engine.footprint.held
    assert 0 < held < 300
    assert engine.footprint.bytes_per_held_payment > 0


JIT_OFF = """
import warnings
warnings.simplefilter("ignore", RuntimeWarning)
import numba
assert numba.config.DISABLE_JIT
from tests.features.test_engine_twin import SHORT, differences
from greywater.features.catalog import payments_v1
assert differences(3, payments_v1(SHORT, 1), 120, accounts=4, span_days=30) == []
from tests.features.test_engine_graph import graph_differences
assert graph_differences(3, 120, accounts=4, span_days=30) == []
from tests.kernels.test_wide import check_moments
check_moments(1, 40)
print("the same")
"""


def test_without_compilation_the_values_are_the_same() -> None:
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", JIT_OFF], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "the same", done.stderr[-2000:]
