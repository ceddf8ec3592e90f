"""From the parameters of a GraphFeatures to its plan: words for windows, defaults, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from greywater import GraphFeatures
from greywater.config import Settings
from greywater.errors import UsageError
from greywater.features.graph import DEFAULT_CAP, PATTERNS, GraphPlan, PatternPlan, default_graph_plan
from greywater.features.graph_parameters import WINDOW_PARAMETERS, plan_from_parameters, seconds

DAY = 86_400


def plan(**parameters: Any) -> GraphPlan:
    return plan_from_parameters(GraphFeatures(**parameters).get_params())


def test_without_parameters_it_is_the_default_plan() -> None:
    assert plan() == default_graph_plan(Settings(), 1)
    assert plan(time_unit="D") == default_graph_plan(Settings(), DAY * 10**6)


def test_every_pattern_has_a_parameter_for_its_windows() -> None:
    assert set(WINDOW_PARAMETERS) == set(PATTERNS)
    assert set(WINDOW_PARAMETERS.values()) <= set(GraphFeatures().get_params())
    for pattern, name in WINDOW_PARAMETERS.items():
        assert plan(patterns=[pattern], **{name: ["2h", DAY]}).patterns[0].windows == (7_200, DAY)


def test_a_plan_of_ones_own() -> None:
    asked = plan(
        patterns=["chain", "fan", "temporal_cycle"],
        fan_windows=np.array([60, 3_600]),
        chain_windows="90s",
        temporal_cycle_windows=("1d",),
        max_length=np.int64(5),
        tolerance=0.125,
        cap=77,
        allowed_lateness="2h",
    )
    assert asked == GraphPlan(
        (
            PatternPlan("fan", (60, 3_600), 77, 5, 125),
            PatternPlan("temporal_cycle", (DAY,), 77, 5, 125),
            PatternPlan("chain", (90,), 77, 5, 125),
        ),
        7_200,
    )
    assert plan(patterns="fan").patterns == (PatternPlan("fan", (3_600, DAY, 7 * DAY, 30 * DAY), DEFAULT_CAP),)


@pytest.mark.parametrize("longest", [4, 6, 9])
def test_cycles_of_days_stop_early_and_others_do_not(longest: int) -> None:
    by_day = plan(patterns=["simple_cycle"], time_unit="D", max_length=longest).patterns
    assert [(part.windows[-1] // DAY, part.max_length) for part in by_day] == [(14, longest), (30, min(longest, 6))]
    own = plan(patterns=["simple_cycle"], time_unit="D", max_length=longest, simple_cycle_windows=["30d"]).patterns
    assert [part.max_length for part in own] == [longest]


@pytest.mark.parametrize(("given", "found"), [("5m", 300), (" 12 h ", 43_200), (np.int32(7), 7), ("0s", 0)])
def test_lengths_of_time(given: Any, found: int) -> None:
    assert seconds(given, "x") == found


@pytest.mark.parametrize("given", ["", "h", "1.5h", "-3d", "3 weeks", 1.5, None, True, b"3d", [3]])
def test_what_is_no_length_of_time(given: Any) -> None:
    with pytest.raises(UsageError, match="no length of time") as caught:
        seconds(given, "chain_windows")
    assert caught.value.where == "chain_windows"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"patterns": ["star"]}, "'star' is no graph pattern"),
        ({"patterns": 3}, "3 is no graph pattern"),
        ({"patterns": []}, "no graph pattern is left"),
        ({"fan_windows": []}, "windows must increase"),
        ({"fan_windows": ["1d", "1h"]}, "windows must increase"),
        ({"fan_windows": 0}, "not a positive whole number"),
        ({"fan_windows": 1.5}, "no length of time"),
        ({"cap": 0}, "cap = 0"),
        ({"cap": "many"}, "cap = 'many'"),
        ({"max_length": 17}, "max_length = 17"),
        ({"max_length": None}, "max_length = None"),
        ({"tolerance": 1.5}, r"tolerance = 1\.5"),
        ({"tolerance": -0.1}, r"tolerance = -0\.1"),
        ({"tolerance": 0.0005}, r"tolerance = 0\.0005"),
        ({"tolerance": float("nan")}, "tolerance = nan"),
        ({"tolerance": "0.2"}, r"tolerance = '0\.2'"),
        ({"allowed_lateness": -1}, "allowed_lateness = -1"),
        ({"time_unit": "h"}, "time_unit = 'h'"),
        ({"time_unit": None}, "time_unit = None"),
        ({"amount_decimals": 9}, "amount_decimals = 9"),
        ({"amount_decimals": 0.5}, r"amount_decimals = 0\.5"),
        ({"unknown_amounts": "drop"}, "unknown_amounts = 'drop'"),
        ({"n_threads": 0}, "n_threads = 0"),
        ({"n_threads": 1.0}, r"n_threads = 1\.0"),
        ({"time_column": None}, "time_column = None"),
        ({"sender_column": None}, "sender_column = None"),
        ({"receiver_column": -1}, "-1 is no column"),
        ({"id_column": True}, "True is no column"),
        ({"amount_column": "amount"}, "names a column"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_refused_by_fit(parameters: dict[str, Any], words: str) -> None:
    estimator = GraphFeatures(**parameters)
    with pytest.raises(UsageError, match=words) as caught:
        estimator.fit(np.array([[0, 1, 2, 3.0]]))
    assert caught.value.mend
