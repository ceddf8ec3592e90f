"""Declared search spaces: data that comes back as it was, and points that every detector takes."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greywater.app.part_makers import PartContext, detector_of
from greywater.config import DETECTORS, Settings
from greywater.detectors.adversarial_sequence import AdversarialSequence
from greywater.detectors.search_space import Choice, Dimension, Number, SearchSpace, Value, Whole
from greywater.detectors.tunable import SEARCH_SPACES, default_parameters, make_detector, search_space_of
from greywater.errors import DetectorError


def values(dimension: Dimension) -> st.SearchStrategy[Any]:
    if isinstance(dimension, Choice):
        return st.sampled_from(dimension.values)
    if isinstance(dimension, Whole):
        return st.integers(dimension.low, dimension.high)
    return st.floats(dimension.low, dimension.high)


def points(space: SearchSpace) -> st.SearchStrategy[dict[str, Value]]:
    return st.fixed_dictionaries({name: values(each) for name, each in space.dimensions.items()})


def test_a_kind_keeps_the_defaults_of_its_own() -> None:
    own = asdict(AdversarialSequence.parameters)
    held = default_parameters("adversarial_sequence")
    assert held == {name: own[name] for name in held}
    assert held["hidden"] != default_parameters("adversarial")["hidden"]
    made = make_detector("adversarial_sequence", {"code": 4}, seed=7)
    assert made._parameters == replace(AdversarialSequence.parameters, code=4)


def test_every_detector_of_the_main_job_declares_a_space() -> None:
    assert set(DETECTORS) <= set(SEARCH_SPACES)


@pytest.mark.parametrize("kind", SEARCH_SPACES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_point_makes_a_detector(kind: str, data: st.DataObject) -> None:
    space = SEARCH_SPACES[kind]
    point = data.draw(points(space))
    space.refuse_others(point)
    if kind == "xgboosted":
        detector = make_detector(kind, point, seed=7)
    else:
        detector = detector_of(PartContext(Settings(detector=kind), ("a", "b")), point)
        if kind != "hybrid":
            assert make_detector(kind, point, seed=7).kind == kind
    assert detector.kind == kind


@pytest.mark.parametrize("kind", SEARCH_SPACES)
def test_the_defaults_lie_in_the_space(kind: str) -> None:
    space, known = SEARCH_SPACES[kind], default_parameters(kind)
    assert all(space.holds(name, known[name]) for name in space.dimensions)


@pytest.mark.parametrize("kind", SEARCH_SPACES)
def test_a_space_comes_back_from_json_as_it_was(kind: str) -> None:
    space = SEARCH_SPACES[kind]
    assert SearchSpace.from_json(json.loads(json.dumps(space.to_json()))) == space


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"detector": "pca", "dimensions": {}},
        {"detector": "pca", "dimensions": {"share": {"kind": "number", "low": 0.9, "high": 0.5}}},
        {"detector": "pca", "dimensions": {"share": {"kind": "number", "low": 0.0, "high": 0.5, "log": True}}},
        {"detector": "pca", "dimensions": {"share": {"kind": "number", "low": "a", "high": 0.5}}},
        {"detector": "pca", "dimensions": {"share": {"kind": "number", "low": 0.1, "high": float("inf")}}},
        {"detector": "pca", "dimensions": {"sample_rows": {"kind": "whole", "low": 1.5, "high": 9}}},
        {"detector": "pca", "dimensions": {"scaling": {"kind": "choice", "values": []}}},
        {"detector": "pca", "dimensions": {"scaling": {"kind": "choice", "values": [[1]]}}},
        {"detector": "pca", "dimensions": {"share": {"kind": "curve"}}},
        {"detector": "pca", "dimensions": {"share": {"low": 1, "high": 2}}},
        {"detector": "pca", "dimensions": ["share"]},
        {"detector": "pca", "dimensions": {"share": {"kind": "number", "low": 0.1, "high": 0.5}}, "first_rung": 0},
        [],
    ],
)
def test_what_describes_no_space_is_refused(document: Any) -> None:
    with pytest.raises(DetectorError, match="search space"):
        SearchSpace.from_json(document)


@pytest.mark.parametrize(
    "point",
    [
        {"share": 0.7},
        {"share": 0.7, "scaling": "standard", "more": 1},
        {"share": 1.7, "scaling": "standard"},
        {"share": True, "scaling": "standard"},
        {"share": 0.7, "scaling": "round"},
    ],
)
def test_values_of_another_space_are_refused(point: dict[str, Value]) -> None:
    space = SearchSpace("pca", {"share": Number(0.5, 0.99), "scaling": Choice(("standard", "quantile"))})
    space.refuse_others({"share": 0.7, "scaling": "quantile"})
    with pytest.raises(DetectorError, match="not in the search space"):
        space.refuse_others(point)


def test_what_is_true_is_no_one() -> None:
    assert Choice((True,)).holds(True)
    assert not Choice((True,)).holds(1)
    assert not Whole(0, 3).holds(True)


def test_kinds_and_parameters_that_are_none_are_refused() -> None:
    with pytest.raises(DetectorError, match="declares no search space"):
        search_space_of("rules")
    with pytest.raises(DetectorError, match="no parameter 'depth'"):
        make_detector("boosted", {"depth": 3}, seed=7)
    with pytest.raises(DetectorError, match="no parameter 'depth'"):
        detector_of(PartContext(Settings(detector="hybrid"), ("a",)), {"boosted.depth": 3})
    with pytest.raises(DetectorError, match="no parameter 'trees'"):
        detector_of(PartContext(Settings(detector="hybrid"), ("a",)), {"trees": 3})
