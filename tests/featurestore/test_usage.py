"""Usage: who reads what, how often it is served, what reuse saved, with every assumption in the open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.errors import UsageError
from greywater.featurestore.definitions import FeatureField, FeatureGroup, FeatureView, ViewFeature
from greywater.featurestore.registry import Registry
from greywater.featurestore.usage import Assumptions, Usage
from greywater.stores.feature_records import FeatureRecords
from greywater.vocab import Actor

ANN = Actor()
MAY = datetime(2024, 5, 1, 23, 59, tzinfo=UTC)
JUNE = datetime(2024, 6, 1, tzinfo=UTC)


def a_view(name: str, features: str) -> FeatureView:
    return FeatureView(name, 1, tuple(ViewFeature("g", 1, one) for one in features))


@pytest.fixture
def records() -> Iterator[FeatureRecords]:
    with FeatureRecords.open("sqlite::memory:") as opened:
        registry = Registry(opened)
        features = tuple(FeatureField(one, "float64") for one in "abcd")
        registry.register_group(FeatureGroup("g", 1, ("key",), ("string",), features), ANN)
        for name, held in (("one", "ab"), ("two", "bc")):
            registry.register_view(a_view(name, held), ANN)
        registry.bind_model("one", 1, "m1", ANN, model_fingerprint="f1", team="north")
        registry.bind_model("one", 1, "m1", ANN, model_fingerprint="f2", team="north")
        registry.bind_model("two", 1, "m2", ANN, model_fingerprint="f1", team="south")
        yield opened


def test_who_uses_a_feature_and_how_often_it_is_served(records: FeatureRecords) -> None:
    usage = Usage(records)
    usage.served("one", 1, 10, at=MAY)
    usage.served("one", 1, 5, at=JUNE, how="training")
    usage.served("two", 1, 100, at=JUNE, defaults=7)
    b, c, a = usage.features()
    assert (b.feature, b.vectors, b.teams) == ("b", 115, ("north", "south"))
    assert b.models == ("m1", "m2")
    assert b.views == ("one@1", "two@1")
    assert (a.feature, a.vectors, a.views) == ("a", 15, ("one@1",))
    assert (c.feature, c.vectors, c.teams) == ("c", 100, ("south",))
    assert b.since.year > 2000


def test_days_are_of_utc_and_end_before_until(records: FeatureRecords) -> None:
    usage = Usage(records)
    usage.served("one", 1, 10, at=MAY)
    usage.served("one", 1, 5, at=JUNE)
    assert usage.vectors("one", 1) == 15
    assert usage.vectors("one", 1, since=JUNE) == 5
    assert usage.vectors("one", 1, until=JUNE) == 10
    assert usage.vectors("two", 1) == 0
    assert [one.vectors for one in usage.features(until=JUNE) if one.feature == "a"] == [10]
    with pytest.raises(UsageError, match="time zone"):
        usage.served("one", 1, at=datetime(2024, 5, 1))
    with pytest.raises(UsageError, match="negative"):
        usage.served("one", 1, -1)


def test_the_return_is_worked_out_from_what_is_assumed(records: FeatureRecords) -> None:
    said = Assumptions(feature_share=0.5, days_a_feature=10, reuse_share=0.2, cost_a_day=100, currency="CHF")
    told = Usage(records).return_on_investment(said)
    assert (told.models, told.teams, told.features, told.uses, told.reuses) == (2, 2, 3, 4, 1)
    assert (told.days_without, told.days_with, told.days_saved, told.money_saved) == (40, 32, 8, 800)
    assert told.effort_saved == pytest.approx(8 / 80)
    assert json.loads(told.to_json())["assumptions"]["currency"] == "CHF"
    text = told.to_text()
    for shown in ("50%", "10 working days", "20%", "100 CHF", "8.0 days", "800 CHF", "10.0% of the whole effort"):
        assert shown in text
    assert "Assumed, not measured" in text


def test_by_default_four_fifths_of_the_effort_are_features(records: FeatureRecords) -> None:
    told = Usage(records).return_on_investment()
    assert told.assumptions.feature_share == 0.8
    assert told.effort_saved == pytest.approx(0.8 * told.days_saved / told.days_without)


@pytest.mark.parametrize(
    "wrong",
    [
        {"feature_share": 0},
        {"feature_share": 1.1},
        {"reuse_share": 2},
        {"days_a_feature": -1},
        {"cost_a_day": float("nan")},
    ],
)
def test_assumptions_make_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Assumptions(**wrong)  # type: ignore[arg-type]


@settings(max_examples=8)
@given(
    views=st.lists(st.sets(st.sampled_from("abcd"), min_size=1), max_size=5),
    reuse=st.floats(0, 1),
    days=st.floats(0, 99),
)
def test_reuse_never_costs_and_never_saves_all(views: list[set[str]], reuse: float, days: float) -> None:
    with FeatureRecords.open("sqlite::memory:") as opened:
        registry = Registry(opened)
        features = tuple(FeatureField(one, "float64") for one in "abcd")
        registry.register_group(FeatureGroup("g", 1, ("key",), ("string",), features), ANN)
        for number, held in enumerate(views):
            registry.register_view(a_view(f"v{number}", "".join(sorted(held))), ANN)
            registry.bind_model(f"v{number}", 1, f"m{number}", ANN, model_fingerprint="f")
        told = Usage(opened).return_on_investment(Assumptions(days_a_feature=days, reuse_share=reuse))
    assert told.uses == sum(map(len, views))
    assert told.features == len(set().union(*views))
    assert 0 <= told.days_saved <= told.days_without or told.days_saved == pytest.approx(0, abs=1e-9)
    assert told.effort_saved < 0.8 or not views
