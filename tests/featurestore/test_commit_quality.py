"""Rows written with rules and statistics: what a group's commits kept says what all of its rows would say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from greywater.errors import RefusedValueError
from greywater.featurestore.commit_quality import RULES, append_checked, group_statistics, held_by
from greywater.featurestore.definitions import FeatureField, FeatureGroup, ValidationRule
from greywater.featurestore.drift import Window, drift, group_drift
from greywater.featurestore.statistics import describe
from greywater.stores.feature_ports import Offline
from greywater.stores.open import open_offline

MOMENT = pa.timestamp("us", tz="UTC")
DAY = 86_400_000_000
RULES_OF_CREDIT = (
    ValidationRule("range", "score", {"least": 0}, "quarantine"),
    ValidationRule("unique", "", {}, "quarantine"),
    ValidationRule("null_share", "segment", {"most": 0.9}, "reject"),
)
CREDIT = FeatureGroup(
    "credit", 1, ("customer", "product"), ("string", "int64"),
    (FeatureField("score", "float64"), FeatureField("segment", "string")), rules=RULES_OF_CREDIT,
)  # fmt: skip


@pytest.fixture(params=["memory", "delta"])
def offline(request: pytest.FixtureRequest, tmp_path: Path) -> Offline:
    store = open_offline("memory:" if request.param == "memory" else f"delta:{tmp_path}")
    store.create(CREDIT.layout)
    return store


def rows(day: int, customers: int = 200, **changed: Callable[[Any], Any]) -> pa.Table:
    draw = np.random.default_rng(day)
    times = pa.array(np.full(customers, day * DAY), MOMENT)
    columns: dict[str, Any] = {
        "customer": [f"C{n}" for n in range(customers)],
        "product": np.arange(customers) % 3,
        "event_time": times,
        "known_time": times,
        "score": draw.integers(0, 100, customers).astype(np.float64),
        "segment": np.array(["retail", "private"])[draw.integers(0, 2, customers)],
    }
    return pa.table({name: changed.get(name, lambda same: same)(column) for name, column in columns.items()})


def test_statistics_of_the_commits_are_those_of_all_rows(offline: Offline) -> None:
    for day in range(4):
        found, commit = append_checked(offline, CREDIT, rows(day), day * DAY)
        assert commit is not None
        assert (commit.rows, found.warnings) == (200, ())
        assert json.loads(json.dumps(commit.meta[RULES]))["kept"] == 200
    summary = group_statistics(offline, CREDIT)
    whole = describe(pa.concat_tables([rows(day) for day in range(4)]), ["score", "segment"])
    assert summary.statistics is not None
    assert (summary.commits, summary.without) == (4, 0)
    for found_one, wanted in zip(summary.statistics.features, whole.features, strict=True):
        for name in ("rows", "nulls", "distinct", "least", "greatest", "quantiles", "histogram", "top"):
            assert getattr(found_one, name) == getattr(wanted, name), name
    part = group_statistics(offline, CREDIT, first=1, last=2).statistics
    assert part is not None
    assert part.rows == 400


def test_rows_that_are_there_are_not_written_again(offline: Offline) -> None:
    append_checked(offline, CREDIT, rows(1), DAY)
    again, commit = append_checked(offline, CREDIT, rows(1), DAY)
    assert (again.kept.num_rows, again.quarantined.num_rows, commit) == (0, 200, None)
    more, commit = append_checked(offline, CREDIT, rows(1, customers=250), DAY)
    assert commit is not None
    assert (more.kept.num_rows, commit.rows) == (50, 50)
    assert not held_by(offline, CREDIT)(rows(2)).any()
    other = rows(1, product=lambda column: column + 1)
    assert not held_by(offline, CREDIT)(other).any()


def test_what_is_refused_is_not_written(offline: Offline) -> None:
    with pytest.raises(RefusedValueError, match="null_share segment"):
        append_checked(offline, CREDIT, rows(1, segment=lambda column: pa.nulls(len(column), pa.string())), DAY)
    assert offline.commits("credit", 1) == []
    assert group_statistics(offline, CREDIT).statistics is None


def test_a_transaction_is_written_once(offline: Offline) -> None:
    plain = FeatureGroup("credit", 1, CREDIT.keys, CREDIT.key_dtypes, CREDIT.features)
    assert append_checked(offline, plain, rows(1), DAY, transaction="day 1")[1] is not None
    assert append_checked(offline, plain, rows(1), DAY, transaction="day 1")[1] is None
    offline.append("credit", 1, rows(2))
    assert group_statistics(offline, plain).without == 1


def test_a_group_that_is_not_there_holds_nothing() -> None:
    assert not held_by(open_offline("memory:"), CREDIT)(rows(1)).any()


def test_drift_between_two_days_of_a_store(offline: Offline) -> None:
    before, after = rows(1, 500), rows(2, 500, score=lambda column: column + 60)
    for day, table in ((1, before), (2, after)):
        append_checked(offline, CREDIT, table, day * DAY)
    report = group_drift(offline, CREDIT, Window(DAY, 2 * DAY, "Monday"), Window(2 * DAY, 3 * DAY, "Tuesday"))
    assert report.rows == drift(before, after, ["score", "segment"]).rows
    assert {row.feature for row in report.alerts} == {"score"}
    known_then = Window(2 * DAY, 3 * DAY, "Tuesday as known on Monday", as_of_commit=0)
    assert group_drift(offline, CREDIT, Window(DAY, 2 * DAY), known_then).live_rows == 0
