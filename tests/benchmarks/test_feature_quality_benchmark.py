"""The benchmark of feature quality measures every column, on few rows."""

from __future__ import annotations

import pytest

pytest.importorskip("pandas")
pytest.importorskip("scipy")

from bench_feature_quality import RULES, drift_row, made, statistics_rows
from greywater.featurestore.definitions import FeatureField, FeatureGroup
from greywater.featurestore.validation_rules import read_rules


def test_every_column_is_measured() -> None:
    rows = made(300, 1)
    assert made(300, 1).equals(rows)
    found = statistics_rows(rows)
    assert [str(line[0]).split(" ")[0] for line in found] == [
        *(name for name in rows.column_names if name != "event_time"), "all",
    ]  # fmt: skip
    assert all(str(line[-1]).endswith("x") for line in [*found, drift_row(rows, made(300, 2))])


def test_the_rules_fit_the_columns() -> None:
    kinds = {"double": "float64", "int64": "int64", "bool": "bool", "string": "string"}
    features = tuple(FeatureField(field.name, kinds[str(field.type)]) for field in list(made(3, 1).schema)[2:])
    group = FeatureGroup("made", 1, ("customer",), ("string",), features, rules=RULES)
    assert len(read_rules(group)) == len(RULES)
