"""One by one = in blocks = on one thread or two = restarted from a snapshot, to the last bit."""

from __future__ import annotations

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
from greywater.features import sides
from greywater.features.catalog import payments_v1
from greywater.features.engine import Engine, EngineState
from greywater.vocab import FeatureBlock
from tests.features.payments import as_table, joined, random_payments, run_in_blocks, same_bits

SHORT = Settings(windows=(3_600, 86_400, 3 * 86_400), day_windows=(5, 9), allowed_lateness=2 * 86_400)
SET = payments_v1(SHORT, 1)


def table_of(seed: int, n: int = 900) -> pa.Table:
    return as_table(random_payments(seed, n, accounts=12, span_days=60, late_share=0.3))


def whole(table: pa.Table) -> pa.Table:
    return joined([Engine(SET, threads=1).process(table)])


@pytest.mark.parametrize("seed", range(4))
def test_one_by_one_equals_one_block(seed: int) -> None:
    table = table_of(seed, 400)
    ones = run_in_blocks(Engine(SET, threads=1), table, [1] * 400)
    assert len(ones) == 400
    assert same_bits(whole(table), joined(ones)) == []


@pytest.mark.parametrize("seed", range(6))
def test_blocks_of_any_size_equal_one_block(seed: int) -> None:
    table = table_of(seed)
    draw = random.Random(seed)
    sizes = [draw.choice((1, 2, 17, 63, 64, 65, 300)) for _ in range(12)]
    assert same_bits(whole(table), joined(run_in_blocks(Engine(SET, threads=1), table, sizes))) == []


@pytest.mark.parametrize("seed", range(3))
def test_two_threads_equal_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "PARALLEL_FROM", 1)
    table = table_of(seed)
    assert same_bits(whole(table), joined(run_in_blocks(Engine(SET, threads=2), table, [100, 250]))) == []


@pytest.mark.parametrize("seed", range(4))
def test_packing_at_any_moment_changes_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(seed)
    expected = whole(table)
    monkeypatch.setattr(sides, "SPARE_ENTRIES", 12)
    engine = Engine(SET, threads=1)
    blocks: list[FeatureBlock] = []
    for begin in range(0, table.num_rows, 90):
        blocks.append(engine.process(table.slice(begin, 90)))
        if begin % 180 == 0:
            engine.pack()
    assert same_bits(expected, joined(blocks)) == []


@pytest.mark.parametrize("seed", range(4))
def test_restarting_from_a_snapshot_changes_nothing(seed: int) -> None:
    table = table_of(seed)
    expected = whole(table)
    draw = random.Random(seed)
    engine, blocks = Engine(SET, threads=1), []
    begin = 0
    while begin < table.num_rows:
        size = draw.randrange(1, 250)
        blocks.append(engine.process(table.slice(begin, size)))
        begin += size
        state = engine.snapshot()
        fresh = Engine(SET, threads=1)
        fresh.restore(EngineState(dict(state.meta), {k: v.copy() for k, v in state.arrays.items()}))
        assert fresh.next_seq == engine.next_seq
        engine = fresh
    assert same_bits(expected, joined(blocks)) == []


def test_a_snapshot_of_other_features_is_refused() -> None:
    state = Engine(SET, threads=1).snapshot()
    other = Engine(payments_v1(Settings(windows=(60,), day_windows=()), 1), threads=1)
    with pytest.raises(SnapshotError, match="replay the ledger"):
        other.restore(state)


def test_codes_of_accounts_do_not_matter() -> None:
    """The same payments under other account ids and after other accounts have the same values."""
    payments = random_payments(5, 300, accounts=5)
    plain = whole(as_table(payments))
    renamed = {f"a{k}": f"zz{9 - k}" for k in range(5)} | {"external:sink": "external:drain"}
    other = [type(p)(**{**p.__dict__, "sender": renamed[p.sender], "receiver": renamed[p.receiver]}) for p in payments]
    assert same_bits(plain, whole(as_table(other))) == []


def test_a_later_payment_changes_nothing_before_it() -> None:
    payments = random_payments(6, 300, accounts=5)
    head = whole(as_table(payments[:200]))
    full = Engine(SET, threads=1).process(as_table(payments))
    start = joined([FeatureBlock(full.seq[:200], full.columns.slice(0, 200), full.scored[:200])])
    assert same_bits(head, start) == []


def test_payments_must_follow_on() -> None:
    table = table_of(1, 50)
    engine = Engine(SET, threads=1)
    engine.process(table.slice(0, 20))
    with pytest.raises(EngineError, match="do not follow on"):
        engine.process(table.slice(10, 20))
    with pytest.raises(EngineError, match="columns amount"):
        engine.process(table.slice(20, 5).drop_columns(["amount"]))


def test_an_empty_block_is_an_empty_block() -> None:
    block = Engine(SET, threads=1).process(table_of(1, 10).slice(0, 0))
    assert block.columns.num_rows == 0
    assert tuple(block.columns.schema.names) == SET.names


def test_dtypes_are_those_declared_and_no_column_is_a_label() -> None:
    block = Engine(SET, threads=1).process(table_of(2, 50))
    declared = {f.name: f.dtype for f in SET.features}
    assert {field.name: str(field.type).replace("double", "float64") for field in block.columns.schema} == declared
    answers = ("label", "is_sar", "issar", "alert", "sar_count", "pattern", "modeltype", "laundering", "typology")
    assert not [name for name in SET.names if any(answer in name.lower() for answer in answers)]


def test_parties_outside_the_bank_are_not_scored_but_count() -> None:
    payments = random_payments(3, 300, accounts=3)
    block = Engine(SET, threads=1).process(as_table(payments))
    outside = np.array([p.sender.startswith("external:") or p.receiver.startswith("external:") for p in payments])
    assert outside.any()
    assert np.array_equal(block.scored, ~outside)


def test_footprint_frees_what_no_window_can_see() -> None:
    quiet = as_table(random_payments(4, 2_000, accounts=20, span_days=400, late_share=0.0))
    engine = Engine(SET, threads=1)
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
from tests.kernels.test_wide import check_moments
check_moments(1, 40)
print("the same")
"""


def test_without_compilation_the_values_are_the_same() -> None:
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", JIT_OFF], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "the same", done.stderr[-2000:]
