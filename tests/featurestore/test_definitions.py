"""What a definition refuses before it is registered for good: defaults, names of columns."""

from __future__ import annotations

from typing import Any

import pytest

from greywater.errors import UsageError
from greywater.featurestore.definitions import FeatureField, FeatureGroup, FeatureView, RequestValue, ViewFeature


@pytest.mark.parametrize(
    ("dtype", "default"),
    [
        ("int8", 1000), ("int64", 2**63), ("int64", 1.0), ("int64", True), ("float64", "abc"),
        ("float64", float("nan")),
        ("float32", 1e39), ("bool", 1), ("string", 3), ("timestamp", 1.5), ("timestamp", "2024-01-01"),
    ],
)  # fmt: skip
def test_a_default_that_is_none_of_the_values_is_refused(dtype: str, default: Any) -> None:
    for made in (FeatureField, RequestValue):
        with pytest.raises(UsageError, match="the default"):
            made("score", dtype, default=default)


@pytest.mark.parametrize(
    ("dtype", "default"),
    [("int8", -128), ("int64", -(2**63)), ("float64", 500), ("float32", 0.1), ("bool", False), ("string", ""),
     ("timestamp", 0), ("float64", None)],
)  # fmt: skip
def test_a_default_that_is_one_is_taken(dtype: str, default: Any) -> None:
    assert FeatureField("score", dtype, default=default).default == default
    assert RequestValue("score", dtype, default).default == default


@pytest.mark.parametrize("name", ["", "a/b", "..\\b", "line\nend", "k" * 128, "\ud800", 7])
def test_a_column_that_no_file_could_be_named_after_is_refused(name: Any) -> None:
    field = FeatureField("score", "float64")
    for made in (
        lambda: FeatureGroup("credit", 1, (name,), ("string",), (field,)),
        lambda: FeatureView("risk", 1, (RequestValue(name, "float64"),)),
        lambda: FeatureView("risk", 1, (ViewFeature("credit", 1, "score", name or "/"),)),
        lambda: FeatureView("risk", 1, (ViewFeature("credit", 1, "score"),), joins={"credit": (name,)}),
        lambda: FeatureView("risk", 1, (ViewFeature("credit", 1, "score"),), label=name or "/"),
    ):
        with pytest.raises(UsageError, match="name of a column"):
            made()


def test_names_that_differ_in_case_alone_are_doubles() -> None:
    fields = (FeatureField("score", "float64"), FeatureField("Score", "float64"))
    with pytest.raises(UsageError, match="also in lower case"):
        FeatureGroup("credit", 1, ("customer",), ("string",), fields)
    with pytest.raises(UsageError, match="also in lower case"):
        FeatureGroup("credit", 1, ("SCORE",), ("string",), fields[:1])
    assert FeatureGroup("credit", 1, ("größe",), ("string",), fields[:1]).keys == ("größe",)
