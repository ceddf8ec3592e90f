"""Label rates by slice equal a count row by row; every absent and every thin combination is warned of, no other."""

from __future__ import annotations

import math
from itertools import combinations, product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import RefusedTypeError, UsageError
from greywater.featurestore.bias import BiasReport, LabelWarning, SliceRate, bias, wilson_interval
from tests import naive_quality as naive

ATTRIBUTES = ("region", "young", "children")
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "label": st.none() | st.sampled_from([0, 1]),
            "region": st.none() | st.sampled_from(["north", "south", "east"]),
            "young": st.booleans(),
            "children": st.none() | st.integers(0, 2),
        }
    ),
    max_size=60,
)
SCHEMA = pa.schema([("label", pa.int8()), ("region", pa.string()), ("young", pa.bool_()), ("children", pa.int32())])


def named(value: Any) -> str | None:
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@given(ROWS, st.integers(1, 3), st.integers(0, 5))
def test_slices_equal_the_twin(rows: list[dict[str, Any]], cross: int, thin: int) -> None:
    report = bias(pa.Table.from_pylist(rows, SCHEMA), "label", ATTRIBUTES, cross=cross, thin=thin)
    slices = {one.attributes: (one.rows, one.positives, one.negatives) for one in report.slices}
    warnings = {(one.attributes, one.label): (one.kind, one.rows) for one in report.warnings}
    wanted = {(): naive.label_counts(rows, "label", 1, (), ())}
    warned: dict[Any, Any] = {}
    for names in (names for size in range(1, cross + 1) for names in combinations(ATTRIBUTES, size)):
        for chosen in product(*({row[name] for row in rows} for name in names)):
            key = tuple((name, named(value)) for name, value in zip(names, chosen, strict=True))
            found = naive.label_counts(rows, "label", 1, names, chosen)
            if not found[0]:
                warned[key, ""] = ("absent", 0)
                continue
            wanted[key] = found
            for label, count in (("positive", found[1]), ("negative", found[2])):
                if count < max(thin, 1):
                    warned[key, label] = ("thin" if count else "absent", count)
    assert slices == wanted
    assert warnings == warned
    assert len(report.warnings) == len(warnings)


@given(st.integers(0, 200), st.integers(1, 200), st.sampled_from([0.8, 0.95, 0.999]))
def test_intervals_equal_scipy(positives: int, labelled: int, confidence: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    positives = min(positives, labelled)
    wanted = stats.binomtest(positives, labelled).proportion_ci(confidence, "wilson")
    assert wilson_interval(positives, labelled, confidence) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


@given(st.integers(0, 50), st.integers(1, 50))
def test_intervals_hold_the_rate(positives: int, labelled: int) -> None:
    positives = min(positives, labelled)
    low, high = wilson_interval(positives, labelled)
    assert 0 <= low <= positives / labelled <= high <= 1


@given(ROWS)
def test_json_holds_all(rows: list[dict[str, Any]]) -> None:
    report = bias(pa.Table.from_pylist(rows, SCHEMA), "label", ATTRIBUTES)
    assert BiasReport.from_json(report.to_json()) == report


def test_what_a_report_says() -> None:
    rows = pa.table({"label": [True] * 40 + [False] * 60, "region": ["north"] * 90 + [None] * 10})
    report = bias(rows, "label", ["region"])
    assert report.slices[1] == SliceRate((("region", "north"),), 90, 40, 50, 40 / 90, *wilson_interval(40, 90))
    assert [one.sentence for one in report.warnings] == [
        "no positive rows where region is missing",
        "only 10 negative rows where region is missing",
    ]
    assert LabelWarning((("a", "x"), ("b", "y")), "", "absent", 0).sentence == "no rows where a is x and b is y"


def test_numbers_are_cut_into_quarters_or_at_edges() -> None:
    rows = pa.table({"label": np.arange(100) % 2, "age": [math.nan, *range(1, 100)]})
    report = bias(rows, "label", ["age"])
    assert [(one.said, one.rows) for one in report.slices[1:]] == [
        ("age is below 25", 24), ("age is 25 to below 50", 25), ("age is 50 to below 75", 25),
        ("age is 75 or more", 25), ("age is missing", 1),
    ]  # fmt: skip
    report = bias(rows, "label", ["age"], edges={"age": [18, 65, 200]})
    assert [(one.said, one.rows) for one in report.slices[1:]] == [
        ("age is below 18", 17), ("age is 18 to below 65", 47), ("age is 65 to below 200", 35), ("age is missing", 1),
    ]  # fmt: skip
    assert ("age is 200 or more", "") in {(one.sentence[14:], one.label) for one in report.warnings}


def test_rare_texts_are_sliced_together() -> None:
    rows = pa.table({"label": [1, 0] * 30, "city": ["a"] * 20 + ["b"] * 20 + [f"c{n}" for n in range(20)]})
    report = bias(rows, "label", ["city"], most_values=2)
    assert [(one.said, one.rows) for one in report.slices[1:]] == [
        ("city is a", 20), ("city is b", 20), ("city is (others)", 20),
    ]  # fmt: skip


def test_labels_of_other_kinds() -> None:
    rows = pa.table(
        {"kind": ["fraud", "none", None], "score": [0.5, math.nan, 1.0], "at": pa.array([1, 2, 3], pa.timestamp("us"))}
    )
    overall = bias(rows, "kind", [], positive="fraud").slices[0]
    assert (overall.rows, overall.positives, overall.negatives, overall.rate) == (3, 1, 1, 0.5)
    overall = bias(rows, "score", []).slices[0]
    assert (overall.positives, overall.negatives) == (1, 1)
    for label, positive in (("kind", 1), ("score", "1"), ("at", 1)):
        with pytest.raises(RefusedTypeError, match="are never"):
            bias(rows, label, [], positive=positive)


def test_no_rows() -> None:
    report = bias(SCHEMA.empty_table(), "label", ATTRIBUTES)
    assert [(one.rows, one.rate, one.low) for one in report.slices] == [(0, None, None)]


def test_what_cannot_be_sliced() -> None:
    rows = pa.table({"label": [1], "at": pa.array([1], pa.timestamp("us")), "x": [1.5], "t": ["a"]})
    with pytest.raises(RefusedTypeError, match="no single column 'y'"):
        bias(rows, "label", ["y"])
    with pytest.raises(RefusedTypeError, match="cannot be sliced"):
        bias(rows, "label", ["at"])
    for edges in ({"x": [2, 1]}, {"x": []}, {"t": [1]}):
        with pytest.raises(UsageError, match="ascending numbers"):
            bias(rows, "label", ["x", "t"], edges=edges)
    with pytest.raises(UsageError, match="no declared attribute"):
        bias(rows, "label", ["x"], edges={"y": [1]})


def test_too_many_slices_are_refused() -> None:
    rows = pa.table({"label": [1] * 500, "a": [str(n) for n in range(500)], "b": [str(n) for n in range(500)]})
    with pytest.raises(UsageError, match="crossing a, b makes more than 100,000 slices"):
        bias(rows, "label", ["a", "b"], most_values=500)
