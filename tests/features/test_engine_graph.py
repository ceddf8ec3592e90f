"""The graph in the engine: its columns against the slow twins, which it leaves out, outsiders, snapshots, bytes."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from greywater.config import Settings
from greywater.errors import SnapshotError, UsageError
from greywater.features.catalog import FeatureSet, payment_features, payments_v1, payments_v2
from greywater.features.engine import Engine, EngineState
from greywater.features.graph import default_graph_plan
from tests.conftest import FULL
from tests.features.payments import as_table, random_payments
from tests.naive import DAY_US, Paid, naive_features, naive_graph_features
from tests.naive_graph import Payment

HOUR, DAY = 3_600, 86_400
#: Windows so short that a hundred payments leave and enter them, and rings so short that a twin can try all.
SHORT = Settings(
    windows=(HOUR, DAY, 3 * DAY),
    day_windows=(5,),
    allowed_lateness=2 * DAY,
    graph_fan_windows=(HOUR, 2 * DAY),
    graph_statistics_windows=(DAY, 4 * DAY),
    graph_scatter_gather_windows=(DAY, 3 * DAY),
    graph_gather_scatter_windows=(DAY,),
    graph_temporal_cycle_windows=(DAY, 3 * DAY),
    graph_simple_cycle_windows=(2 * DAY,),
    graph_chain_windows=(3 * DAY,),
    graph_bipartite_windows=(DAY, 4 * DAY),
    graph_max_length=5,
)
SEEDS = 12 if FULL else 3


def twin_rows(payments: list[Paid], set_: FeatureSet) -> list[dict[str, Any]]:
    """What the slow twins of the windows and of the graph say of every payment."""
    bare = [Payment(paid.time, paid.sender, paid.receiver, paid.base) for paid in payments]
    graph = naive_graph_features(bare, set_.graph) if set_.graph is not None else [{}] * len(bare)
    wanted = {feature.name for feature in set_.graph_features}
    return [
        row | {name: value for name, value in other.items() if name in wanted}
        for row, other in zip(naive_features(payments, set_), graph, strict=True)
    ]


def differences(payments: list[Paid], set_: FeatureSet) -> list[str]:
    block = Engine(set_, threads=1).process(as_table(payments))
    found, wrong = block.columns.to_pylist(), []
    for i, expected in enumerate(twin_rows(payments, set_)):
        assert set(expected) == set(found[i])
        for name, value in expected.items():
            got = found[i][name]
            same = got == value or (isinstance(value, float) and math.isnan(value) and math.isnan(got))
            if not same and block.scored[i]:
                wrong.append(f"payment {i}: {name} is {got}, the twin says {value}")
    return wrong


def graph_differences(seed: int, n: int, set_: FeatureSet | None = None, **how: float) -> list[str]:
    payments = random_payments(seed, n, **how)  # type: ignore[arg-type]
    return differences(payments, payments_v2(SHORT, 1) if set_ is None else set_)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("accounts", [4, 12])
def test_engine_equals_its_twins_on_random_payments(seed: int, accounts: int) -> None:
    assert graph_differences(seed, 150, accounts=accounts, span_days=30) == []


@pytest.mark.parametrize("seed", range(SEEDS))
def test_engine_equals_its_twins_when_everything_arrives_shuffled(seed: int) -> None:
    assert graph_differences(100 + seed, 140, accounts=4, span_days=25, late_share=0.9) == []


@pytest.mark.parametrize("seed", range(SEEDS))
def test_engine_equals_its_twins_on_day_stamps(seed: int) -> None:
    """Windows shorter than a day are left out; those left at their defaults are 7, 14 and 30 days."""
    settings = replace(SHORT, graph_bipartite_windows=Settings.graph_bipartite_windows, graph_max_length=4)
    set_ = payments_v2(settings, DAY_US)
    assert "sender.out.fan_new.1h" not in set_.names
    assert {"bipartite.blocks.7d", "bipartite.blocks.30d", "sender.out.fan_new.2d"} <= set(set_.names)
    assert graph_differences(200 + seed, 120, set_, accounts=9, span_days=60, grain_us=DAY_US) == []


def test_engine_equals_its_twins_with_the_default_windows() -> None:
    assert graph_differences(7, 60, payments_v2(Settings(), 1), accounts=5, span_days=200, late_share=0.3) == []


def test_the_random_payments_have_every_pattern() -> None:
    """Else the tests above compare nothing with nothing."""
    set_ = payments_v2(SHORT, 1)
    tables = [
        pa.table(
            Engine(set_, threads=1).process(as_table(random_payments(seed, 150, accounts=6, span_days=12))).columns
        )
        for seed in range(3)
    ]
    table = pa.concat_tables(tables)
    found: dict[str, bool] = {}
    for feature in set_.graph_features:
        stem = feature.name.rpartition(".")[0]
        found[stem] = found.get(stem, False) or bool(np.nan_to_num(table[feature.name].to_numpy()).any())
    rare = re.compile(r"truncated|size_(4|5_6|7_10|11)|length_5")
    assert [stem for stem, met in found.items() if not met and not rare.search(stem)] == []


# ---- an outsider


def paid(time: int, sender: str, receiver: str) -> Paid:
    return Paid(time, sender, receiver, 100, 100, received_amount=100)


def test_nothing_is_reached_through_an_account_outside_the_bank() -> None:
    """a -> x -> b -> a is a ring only where x is the bank's own; as a payee x counts either way."""
    for x, rings in (("c", 1), ("external:c", 0)):
        ring = [paid(0, "a", x), paid(1, x, "b"), paid(2, "b", "a"), paid(3, "a", "d")]
        block = Engine(payments_v2(SHORT, 1), threads=1).process(as_table(ring))
        assert block.columns["temporal_cycle.length_3.1d"].to_pylist()[2] == rings
        assert block.columns["sender.out.fan_ratio.1h"].to_pylist()[3] == 1.0
        assert block.columns["sender.out.fan_new.1h"].to_pylist()[3] == 2
        assert block.scored.tolist() == [rings == 1, rings == 1, True, True]


def test_a_payment_with_an_outsider_has_no_graph_columns() -> None:
    block = Engine(payments_v2(SHORT, 1), threads=1).process(as_table([paid(0, "a", "external:x"), paid(1, "a", "b")]))
    for feature in payments_v2(SHORT, 1).graph_features:
        value = block.columns[feature.name].to_pylist()[0]
        assert value == 0 if feature.dtype == "int64" else math.isnan(value), feature.name


# ---- the set


@pytest.mark.parametrize("resolution_us", [1, 1_000_000, DAY_US])
def test_columns_that_the_windows_have_are_left_out(resolution_us: int) -> None:
    """Each column left out is, or follows from, one that stays; no other is missing."""
    set_ = payments_v2(Settings(), resolution_us)
    assert (
        set_.names[: len(payments_v1(Settings(), resolution_us).names)] == payments_v1(Settings(), resolution_us).names
    )
    everything = default_graph_plan(Settings(), resolution_us).features
    kept = set(set_.names)
    for feature in everything:
        statistic = feature.name.rpartition(".")[0].rpartition(".")[2]
        double = re.fullmatch(
            r"degree|fan|(amount|gap)_(count|sum|mean|min|max|variance|skewness|kurtosis)", statistic
        ) and statistic not in ("amount_skewness", "amount_kurtosis", "gap_mean", "gap_variance")
        assert (feature.name in kept) != bool(double), feature.name
    assert set_.graph_features == tuple(feature for feature in everything if feature.name in kept)


def test_what_is_left_out_has_the_values_of_what_stays() -> None:
    """The graph's degree, fan, count, sum, mean, least, greatest and variance are the windows' under other names."""
    settings = replace(SHORT, graph_fan_windows=(HOUR, 3 * DAY), graph_statistics_windows=(HOUR, 3 * DAY))
    set_ = payments_v2(settings, 1)
    assert set_.graph is not None
    payments = random_payments(5, 400, accounts=6, span_days=30, late_share=0.0)
    windows = Engine(payments_v1(settings, 1), threads=1).process(as_table(payments))
    bare = [Payment(p.time, p.sender, p.receiver, p.base) for p in payments]
    doubles = {"degree": "count", "fan": "counterparties", "amount_sum": "sum", "amount_mean": "mean",
               "amount_min": "min", "amount_max": "max"}  # fmt: skip
    rows = naive_graph_features(bare, set_.graph)
    checked = 0
    for name in rows[0]:
        stem, _, label = name.rpartition(".")
        stem, _, statistic = stem.rpartition(".")
        if statistic not in doubles and statistic != "amount_variance":
            continue
        other = windows.columns[f"{stem}.{doubles.get(statistic, 'std')}.{label}"].to_numpy()
        here = np.array([row[name] for row in rows], np.float64)
        here = np.sqrt(here) if statistic == "amount_variance" else here
        # What a payment with itself or an outsider has is not compared: the graph has no columns there.
        own = windows.scored & np.array([p.sender != p.receiver for p in payments])
        assert np.allclose(here[own], other[own], rtol=1e-12, equal_nan=True), name
        checked += 1
    assert checked == 7 * 4 * 2


def test_a_set_with_a_graph_survives_json() -> None:
    for resolution_us in (1, DAY_US):
        set_ = payments_v2(SHORT, resolution_us)
        again = FeatureSet.from_json(set_.to_json())
        assert again == set_
        assert again.fingerprint == set_.fingerprint
        assert again.names == set_.names
    assert payments_v2(SHORT.with_(graph_cap=9), 1).fingerprint != payments_v2(SHORT, 1).fingerprint


def test_the_set_without_a_graph_says_nothing_of_one() -> None:
    """Models and snapshots carry its fingerprint: it stays what it was."""
    set_ = payments_v1(Settings(), 1)
    assert "graph" not in json.loads(set_.to_json())
    assert set_.graph_features == ()
    assert set_.fingerprint == "6ea6eb91b765db9f"


def test_a_setting_chooses_the_set() -> None:
    assert payment_features(Settings(), 1).name == "payments-v2"
    chosen = Settings.from_environment({"GREYWATER_FEATURES": "payments-v1"})
    assert payment_features(chosen, 1) == payments_v1(Settings(), 1)
    with pytest.raises(UsageError, match="payments-v9"):
        Settings(features="payments-v9")


def test_what_the_data_cannot_carry_is_said() -> None:
    hour_us = HOUR * 1_000_000
    assert payments_v2(Settings(), 1).left_out_words(Settings()) == []
    said = payments_v2(Settings(), 2 * hour_us).left_out_words(Settings())
    assert said[1] == "the data is stamped to 2h, so graph windows of 1h are left out"
    said = payments_v2(Settings(), DAY_US).left_out_words(Settings())
    assert said[-1] == "the data is stamped to 1d, so graph patterns are looked for in windows of 7d, 14d, 30d"
    assert not any("graph" in words for words in payments_v1(Settings(), DAY_US).left_out_words(Settings()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"graph_fan_windows": (60, 30)}, "graph_fan_windows must be positive, increasing"),
        ({"graph_chain_windows": (0,)}, "graph_chain_windows must be positive"),
        ({"graph_cap": 0}, "cap = 0"),
        ({"graph_max_length": 40}, "max_length = 40"),
        ({"graph_tolerance": 0.1234}, "graph_tolerance = 0.1234"),
        ({"graph_tolerance": float("nan")}, "tolerance_per_mille"),
        ({"graph_tolerance": -0.2}, "tolerance_per_mille = -200"),
    ],
)
def test_what_the_graph_s_settings_refuse(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        payments_v2(Settings(**changes), 1)


# ---- what it carries


def test_a_snapshot_without_its_graph_is_refused() -> None:
    engine = Engine(payments_v2(SHORT, 1), threads=1)
    engine.process(as_table(random_payments(1, 50)))
    state = engine.snapshot()
    assert any(name.startswith("graph.") for name in state.arrays)
    meta = {name: value for name, value in state.meta.items() if name != "graph"}
    fresh = Engine(payments_v2(SHORT, 1), threads=1)
    with pytest.raises(SnapshotError, match="holds no graph"):
        fresh.restore(EngineState(meta, state.arrays))
    assert fresh.next_seq == 0


def test_the_footprint_counts_the_graph() -> None:
    payments = as_table(random_payments(4, 2_000, accounts=20, span_days=400, late_share=0.0))
    found = {}
    for set_ in (payments_v1(SHORT, 1), payments_v2(SHORT, 1)):
        engine = Engine(set_, threads=1)
        engine.process(payments)
        engine.pack()
        found[set_.name] = engine.footprint
    plain, graph = found["payments-v1"], found["payments-v2"]
    assert plain.graph_held == plain.graph_bytes == 0
    assert 0 < graph.graph_held < 100
    assert graph.window_bytes == plain.window_bytes + graph.graph_bytes
    assert graph.bytes_per_held_payment > plain.bytes_per_held_payment
