"""The plan of the graph features: the rows of the kernels, default windows, what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.config import Settings
from greywater.errors import UsageError
from greywater.features.catalog import payments_v1
from greywater.features.feature import Feature
from greywater.features.graph import DEFAULT_CAP, PATTERNS, GraphPlan, PatternPlan, default_graph_plan

HOUR, DAY = 3_600, 86_400
DAY_US = DAY * 10**6
SHAPES = {"fan-out", "fan-in", "gather-scatter", "scatter-gather", "cycle", "random", "bipartite", "stack"}
LISTS = ("sender.out", "sender.in", "receiver.out", "receiver.in")
MOMENTS = ("sum", "mean", "min", "max", "median", "variance", "skewness", "kurtosis")
SIZES = ("pairs", "largest", "size_2", "size_3", "size_4", "size_5_6", "size_7_10", "size_11")


def placed(rows: dict[int, str]) -> list[str]:
    """Names by row number; every row from 0 on must be there."""
    assert sorted(rows) == list(range(len(rows)))
    return [rows[k] for k in sorted(rows)]


def layout(pattern: str, labels: list[str], longest: int) -> tuple[list[str], list[str]]:
    """The rows of a pattern as the kernels fill them, written as the formulas they use."""
    W, L = len(labels), longest
    ints: dict[int, str] = {}
    floats: dict[int, str] = {}
    for w, label in enumerate(labels):
        for rd, name in enumerate(LISTS):
            if pattern == "fan":
                for k, what in enumerate(("degree", "fan")):
                    ints[(rd * W + w) * 2 + k] = f"{name}.{what}.{label}"
                floats[rd * W + w] = f"{name}.fan_ratio.{label}"
            if pattern == "fan_new":
                ints[rd * W + w] = f"{name}.fan_new.{label}"
            if pattern == "statistics":
                for k, value in enumerate(("amount", "gap")):
                    ints[(rd * W + w) * 2 + k] = f"{name}.{value}_count.{label}"
                    for m, moment in enumerate(MOMENTS):
                        floats[((rd * W + w) * 2 + k) * 8 + m] = f"{name}.{value}_{moment}.{label}"
        if pattern == "scatter_gather":
            for k, variant in enumerate(("any", "ordered", "first_leg")):
                for m, size in enumerate(SIZES):
                    ints[(w * 3 + k) * 8 + m] = f"scatter_gather.{variant}.{size}.{label}"
        if pattern == "gather_scatter":
            for k, role in enumerate(("sender", "receiver")):
                for m, what in enumerate(("senders", "receivers")):
                    ints[(w * 2 + k) * 2 + m] = f"gather_scatter.{role}.{what}.{label}"
                floats[w * 2 + k] = f"gather_scatter.{role}.kept.{label}"
        if pattern == "temporal_cycle":
            for length in range(2, L + 1):
                ints[w * L + length - 2] = f"temporal_cycle.length_{length}.{label}"
            ints[w * L + L - 1] = f"temporal_cycle.shortest.{label}"
            for k, what in enumerate(("share", "duration")):
                floats[w * 2 + k] = f"temporal_cycle.{what}.{label}"
        if pattern == "simple_cycle":
            for length in range(2, L + 1):
                ints[w * (L - 1) + length - 2] = f"simple_cycle.length_{length}.{label}"
        if pattern == "chain":
            ints[w] = f"chain.hops.{label}"
            for k, what in enumerate(("duration", "leak", "lag")):
                floats[w * 3 + k] = f"chain.{what}.{label}"
        if pattern == "bipartite":
            ints[w] = f"bipartite.blocks.{label}"
    first_flag = {
        "fan": 8 * W, "fan_new": 4 * W, "statistics": 8 * W, "scatter_gather": 24 * W, "gather_scatter": 4 * W,
        "temporal_cycle": W * L, "simple_cycle": W * (L - 1), "chain": W, "bipartite": W,
    }[pattern]  # fmt: skip
    for w, label in enumerate(labels):
        ints[first_flag + w] = f"{pattern}.truncated.{label}"
    return placed(ints), placed(floats)


def names(features: tuple[Feature, ...]) -> list[str]:
    return [feature.name for feature in features]


@pytest.mark.parametrize("windows", [(DAY,), (HOUR, DAY, 30 * DAY)])
@pytest.mark.parametrize("longest", [2, 3, 10, 16])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_rows_are_those_of_the_kernels(pattern: str, longest: int, windows: tuple[int, ...]) -> None:
    labels = ["1d"] if len(windows) == 1 else ["1h", "1d", "30d"]
    ints, floats = PatternPlan(pattern, windows, max_length=longest).columns
    assert (names(ints), names(floats)) == layout(pattern, labels, longest)
    assert {feature.dtype for feature in ints} == {"int64"}
    assert {feature.dtype for feature in floats} <= {"float64"}


def test_the_number_of_a_pattern_in_the_kernels_is_its_position() -> None:
    assert PATTERNS == (
        "fan", "fan_new", "statistics", "scatter_gather", "gather_scatter", "temporal_cycle", "simple_cycle", "chain",
        "bipartite",
    )  # fmt: skip


def test_kernel_plan_of_several_patterns() -> None:
    plan = GraphPlan(
        (
            PatternPlan("chain", (DAY, 2 * DAY), cap=5, tolerance_per_mille=50),
            PatternPlan("simple_cycle", (DAY,), max_length=4),
            PatternPlan("statistics", (HOUR,), cap=7),
        ),
        allowed_lateness=3,
    )
    rows, windows = plan.kernel_plan()
    assert rows.dtype == windows.dtype == np.int64
    assert rows.tolist() == [
        [7, 0, 2, 5, 0, 0, 50, 0],
        [6, 2, 1, DEFAULT_CAP, 4, 6, 4, 0],
        [2, 3, 1, 7, 8, 6, 10, 0],
    ]
    assert windows.tolist() == [DAY_US, 2 * DAY_US, DAY_US, HOUR * 10**6]
    assert plan.features == plan.int_features + plan.float_features
    assert plan.names[4:8] == ("simple_cycle.length_2.1d", "simple_cycle.length_3.1d", "simple_cycle.length_4.1d",
                               "simple_cycle.truncated.1d")  # fmt: skip
    assert plan.hold_us == (2 * DAY + 3) * 10**6


def test_hold_of_new_counterparties_is_twice_their_window() -> None:
    assert GraphPlan((PatternPlan("fan_new", (HOUR, DAY)),), 10).hold_us == (2 * DAY + 10) * 10**6


def windows_by_pattern(plan: GraphPlan) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for part in plan.patterns:
        found[part.pattern] = found.get(part.pattern, ()) + part.windows
    return found


def test_default_windows() -> None:
    plan = default_graph_plan(Settings(), 1_000_000)
    far, near = (HOUR, DAY, 7 * DAY, 30 * DAY), (6 * HOUR, 3 * DAY)
    assert windows_by_pattern(plan) == {
        "fan": far, "fan_new": far, "statistics": far, "scatter_gather": near, "gather_scatter": near,
        "temporal_cycle": (DAY, 7 * DAY), "simple_cycle": (DAY, 7 * DAY), "chain": (3 * DAY,), "bipartite": near,
    }  # fmt: skip
    assert plan.allowed_lateness == Settings().allowed_lateness
    assert {part.max_length for part in plan.patterns} == {10}


def test_windows_shorter_than_the_resolution_are_left_out() -> None:
    plan = default_graph_plan(Settings(), 6 * HOUR * 10**6 + 1)
    assert windows_by_pattern(plan)["fan"] == (DAY, 7 * DAY, 30 * DAY)
    assert windows_by_pattern(plan)["bipartite"] == (3 * DAY,)
    assert windows_by_pattern(default_graph_plan(Settings(), 6 * HOUR * 10**6))["bipartite"] == (6 * HOUR, 3 * DAY)


def test_data_stamped_to_the_day() -> None:
    plan = default_graph_plan(Settings(), DAY_US)
    assert windows_by_pattern(plan) == dict.fromkeys(PATTERNS, (7 * DAY, 14 * DAY, 30 * DAY))
    longest = {(part.pattern, window): part.max_length for part in plan.patterns for window in part.windows}
    assert longest.pop(("simple_cycle", 30 * DAY)) == 6
    assert set(longest.values()) == {10}
    assert "simple_cycle.length_6.30d" in plan.names
    assert "simple_cycle.length_7.30d" not in plan.names
    assert "temporal_cycle.length_10.30d" in plan.names


def test_data_stamped_more_coarsely() -> None:
    assert windows_by_pattern(default_graph_plan(Settings(), 10 * DAY_US))["chain"] == (14 * DAY, 30 * DAY)
    assert default_graph_plan(Settings(), 20 * DAY_US).patterns[6].max_length == 6
    with pytest.raises(UsageError, match=r"resolution = 2\.6784e\+06 s"):
        default_graph_plan(Settings(), 31 * DAY_US)


@pytest.mark.parametrize("resolution_us", [1, DAY_US])
def test_every_column_says_what_it_is(resolution_us: int) -> None:
    plan = default_graph_plan(Settings(), resolution_us)
    assert len(set(plan.names)) == len(plan.names)
    assert len({feature.description for feature in plan.features}) == len(plan.names)
    for feature in plan.features:
        assert feature.family == "graph"
        assert feature.typologies, feature.name
        assert set(feature.typologies) <= SHAPES
        assert {"pattern", "window", "label", "statistic"} <= set(feature.parameters)
        assert feature.name.endswith(f".{feature.parameters['label']}")
        assert f" {feature.parameters['label']}" in feature.description
        assert not re.search(r"[{}]|,,| ,|\.$", feature.description), feature.description
        json.dumps(feature.parameters)
    assert {shape for feature in plan.features for shape in feature.typologies} == SHAPES


def test_no_name_is_one_of_the_windows() -> None:
    windows = payments_v1(Settings(), 1).names
    graph = [default_graph_plan(Settings(), resolution).names for resolution in (1, DAY_US)]
    assert not set(chain(*graph)) & set(windows)


@given(st.data())
def test_a_plan_survives_json(data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(PATTERNS), min_size=1, unique=True))
    parts = tuple(
        PatternPlan(
            pattern,
            tuple(sorted(data.draw(st.sets(st.integers(1, 400 * DAY), min_size=1, max_size=4)))),
            cap=data.draw(st.integers(1, 10**6)),
            max_length=data.draw(st.integers(2, 16)),
            tolerance_per_mille=data.draw(st.integers(0, 1_000)),
        )
        for pattern in chosen
    )
    plan = GraphPlan(parts, data.draw(st.integers(0, 30 * DAY)))
    again = GraphPlan.from_fields(json.loads(json.dumps(asdict(plan))))
    assert again == plan
    assert hash(again) == hash(plan)
    rows, windows = again.kernel_plan()
    assert rows[:, 2].sum() == len(windows)
    assert rows[-1, 4] + len(parts[-1].columns[0]) == len(plan.int_features)
    assert rows[-1, 5] + len(parts[-1].columns[1]) == len(plan.float_features)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"pattern": "star"}, "no graph pattern"),
        ({"windows": ()}, "windows must increase"),
        ({"windows": (0,)}, "not a positive whole number"),
        ({"windows": (-5, 3)}, "not a positive whole number"),
        ({"windows": (1.5,)}, "not a positive whole number"),
        ({"windows": (True,)}, "not a positive whole number"),
        ({"windows": (2**62,)}, "not a positive whole number"),
        ({"windows": (DAY, DAY)}, "windows must increase"),
        ({"windows": (DAY, HOUR)}, "windows must increase"),
        ({"cap": 0}, "cap = 0"),
        ({"cap": 10**6 + 1}, "cap = 1000001"),
        ({"max_length": 1}, "max_length = 1"),
        ({"max_length": 17}, "max_length = 17"),
        ({"tolerance_per_mille": -1}, "tolerance_per_mille = -1"),
        ({"tolerance_per_mille": 1_001}, "tolerance_per_mille = 1001"),
    ],
)
def test_what_a_pattern_refuses(fields: dict[str, object], words: str) -> None:
    given = {"pattern": "chain", "windows": (DAY,), **fields}
    with pytest.raises(UsageError, match=words) as caught:
        PatternPlan(**given)  # type: ignore[arg-type]
    assert caught.value.where
    assert caught.value.mend


def test_what_a_plan_refuses() -> None:
    part = PatternPlan("fan", (HOUR, DAY))
    with pytest.raises(UsageError, match="planned twice over 1d"):
        GraphPlan((part, PatternPlan("fan", (DAY, 7 * DAY))), 0)
    with pytest.raises(UsageError, match="no graph pattern is left"):
        GraphPlan((), 0)
    with pytest.raises(UsageError, match="allowed_lateness = -1"):
        GraphPlan((part,), -1)
    assert GraphPlan((part, PatternPlan("fan", (7 * DAY,))), 0).look_back == 7 * DAY
