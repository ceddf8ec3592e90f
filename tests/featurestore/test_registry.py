"""The register: versions that never change, words that may, states, views that are refused, models bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import StoreError, UsageError
from greywater.featurestore.definitions import (
    STATES,
    FeatureField,
    FeatureGroup,
    FeatureView,
    RequestValue,
    ValidationRule,
    ViewFeature,
)
from greywater.featurestore.registry import ALLOWED, Registry
from greywater.featurestore.schema_changes import compare_groups
from greywater.stores.feature_records import FeatureRecords
from greywater.stores.records import Records
from greywater.vocab import Actor

ANN = Actor("ANN", "north", "data_scientist", "key-1")
SCORE = FeatureField("score", "float64", unit="points", description="bureau score")
AGE = FeatureField("age", "int32", protected=True)
CREDIT = FeatureGroup("credit", 1, ("customer",), ("string",), (SCORE, AGE), description="from the bureau", owner="ann")
RISK = FeatureView(
    "risk", 1, (ViewFeature("credit", 1, "score"), RequestValue("amount", "float64")), label="laundering"
)


@pytest.fixture
def records() -> Iterator[FeatureRecords]:
    with FeatureRecords.open("sqlite::memory:") as opened:
        yield opened


@pytest.fixture
def registry(records: FeatureRecords) -> Registry:
    return Registry(records)


def test_a_group_is_registered_once_and_read_back(registry: Registry, records: FeatureRecords) -> None:
    assert registry.register_group(CREDIT, ANN) == CREDIT
    assert registry.register_group(CREDIT, Actor()) == CREDIT
    assert registry.group("credit") == CREDIT == registry.group("credit", 1)
    assert registry.groups() == [CREDIT]
    (row,) = registry.registered()
    assert (row.kind, row.name, row.version, row.state) == ("group", "credit", 1, "active")
    assert (row.fingerprint, row.principal) == (CREDIT.fingerprint, "NORTH__ANN")
    assert [audit.action for audit in Records(records.database).audits()] == ["register_group"]


@pytest.mark.parametrize(
    ("change", "mend"),
    [
        ({"keys": ("account",)}, "version 2"),
        ({"features": (SCORE,)}, "version 2"),
        ({"ttl_seconds": 9}, "version 2"),
        ({"description": "other"}, "describe"),
        ({"features": (replace(SCORE, state="deprecated"), AGE)}, "describe"),
    ],
)
def test_what_is_registered_never_changes(registry: Registry, change: dict[str, Any], mend: str) -> None:
    registry.register_group(CREDIT, ANN)
    with pytest.raises(StoreError, match="registered already") as refusal:
        registry.register_group(replace(CREDIT, **change), ANN)
    assert mend in refusal.value.mend
    assert "version 2" in refusal.value.mend
    assert registry.groups() == [CREDIT]
    assert registry.register_group(replace(CREDIT, version=2, **change), ANN).version == 2


def test_an_older_version_comes_too_late(registry: Registry) -> None:
    registry.register_group(replace(CREDIT, version=3), ANN)
    with pytest.raises(StoreError, match="version 3 already") as refusal:
        registry.register_group(CREDIT, ANN)
    assert "version 4" in refusal.value.mend


def test_without_a_version_it_is_the_newest_active(registry: Registry) -> None:
    with pytest.raises(StoreError, match="no group 'credit'"):
        registry.group("credit")
    registry.register_group(CREDIT, ANN)
    registry.register_group(replace(CREDIT, version=2), ANN)
    registry.register_group(replace(CREDIT, version=3), ANN, state="draft")
    assert registry.group("credit").version == 2
    registry.set_state("group", "credit", 2, "deprecated", ANN)
    assert registry.group("credit").version == 1
    registry.set_state("group", "credit", 1, "retired", ANN)
    with pytest.raises(StoreError, match="1 is retired, 2 is deprecated, 3 is draft"):
        registry.group("credit")
    assert registry.group("credit", 1).version == 1
    with pytest.raises(StoreError, match="version 9") as refusal:
        registry.group("credit", 9)
    assert "1, 2, 3" in refusal.value.mend


def test_words_change_and_their_history_stays(registry: Registry, records: FeatureRecords) -> None:
    registry.register_group(CREDIT, ANN)
    assert registry.describe("group", "credit", 1, ANN, description="better", tags=["a", "b"]) == 2
    assert registry.describe("group", "credit", 1, ANN, description="better", owner="bob") == 1
    assert registry.describe("group", "credit", 1, ANN, feature="score", description="new", tags=("x",)) == 2
    held = registry.group("credit", 1)
    assert (held.description, held.tags, held.owner) == ("better", ("a", "b"), "bob")
    assert (held.by_name["score"].description, held.by_name["score"].tags) == ("new", ("x",))
    assert held.fingerprint == CREDIT.fingerprint
    said = [(one.feature, one.field) for one in registry.history("group", "credit", 1)]
    assert said == [
        ("", "state"), ("", "description"), ("", "tags"), ("", "owner"), ("score", "description"), ("score", "tags"),
    ]  # fmt: skip
    assert registry.register_group(held, ANN) == held
    assert registry.register_group(CREDIT, ANN) == held
    assert len(Records(records.database).audits()) == 4


@pytest.mark.parametrize("words", [{"unit": "x"}, {"tags": "abc"}, {"description": 3}, {"state": "retired"}])
def test_only_words_change(registry: Registry, words: dict[str, Any]) -> None:
    registry.register_group(CREDIT, ANN)
    with pytest.raises(UsageError, match="cannot be said"):
        registry.describe("group", "credit", 1, ANN, **words)
    with pytest.raises(StoreError, match="no feature"):
        registry.describe("group", "credit", 1, ANN, feature="nothing", description="x")
    with pytest.raises(UsageError):
        registry.describe("model", "credit", 1, ANN, description="x")
    assert registry.group("credit") == CREDIT


@pytest.mark.parametrize("was", STATES)
@pytest.mark.parametrize("state", STATES)
def test_states_lead_where_they_may(registry: Registry, was: Any, state: Any) -> None:
    feature = replace(SCORE, state=was)
    registry.register_group(replace(CREDIT, features=(feature,)), ANN, state=was)
    for name in ("", "score"):
        if state == was or state in ALLOWED[was]:
            registry.set_state("group", "credit", 1, state, ANN, feature=name)
            assert registry.state("group", "credit", 1, name) == state
        else:
            with pytest.raises(StoreError, match=f"is {was} and cannot become {state}"):
                registry.set_state("group", "credit", 1, state, ANN, feature=name)
            assert registry.state("group", "credit", 1, name) == was


def test_what_is_no_state_is_refused(registry: Registry) -> None:
    registry.register_group(CREDIT, ANN)
    with pytest.raises(UsageError, match="no state"):
        registry.set_state("group", "credit", 1, "gone", ANN)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="no group"):
        registry.set_state("group", "debit", 1, "active", ANN)


def test_a_view_is_registered_and_read_back(registry: Registry) -> None:
    registry.register_group(CREDIT, ANN)
    assert registry.register_view(RISK, ANN) == RISK
    assert registry.register_view(RISK, ANN) == RISK
    assert registry.view("risk") == RISK == registry.view("risk", 1)
    with pytest.raises(StoreError, match="registered already") as refusal:
        registry.register_view(replace(RISK, label=""), ANN)
    assert "version 2" in refusal.value.mend
    with pytest.raises(StoreError, match="other words"):
        registry.register_view(replace(RISK, owner="x"), ANN)
    registry.describe("view", "risk", 1, ANN, owner="x", tags=["t"])
    registry.set_state("view", "risk", 1, "deprecated", ANN)
    assert registry.views() == [replace(RISK, owner="x", tags=("t",), state="deprecated")]
    with pytest.raises(StoreError, match="1 is deprecated"):
        registry.view("risk")


@pytest.mark.parametrize(
    ("view", "told"),
    [
        (replace(RISK, columns=(ViewFeature("debit", 1, "score"),)), "no group 'debit'"),
        (replace(RISK, columns=(ViewFeature("credit", 2, "score"),)), "version 2"),
        (replace(RISK, columns=(ViewFeature("credit", 1, "scores"),)), "no feature 'scores'"),
        (replace(RISK, columns=(ViewFeature("credit", 1, "age"),)), "protected"),
        (replace(RISK, joins={"credit": ("a", "b")}), "2 columns"),
        (replace(RISK, joins={"debit": ("a",)}), "reads nothing of it"),
        (replace(RISK, label="score"), "label"),
    ],
)
def test_a_view_of_what_is_not_to_be_read_is_refused(registry: Registry, view: FeatureView, told: str) -> None:
    registry.register_group(CREDIT, ANN)
    with pytest.raises(UsageError, match=told):
        registry.register_view(view, ANN)
    assert registry.views() == []


def test_protected_features_need_leave(registry: Registry) -> None:
    registry.register_group(CREDIT, ANN)
    view = replace(RISK, columns=(ViewFeature("credit", 1, "age"),))
    assert registry.register_view(view, ANN, allow_protected=True) == view


def test_what_is_retired_is_refused_for_new_views(registry: Registry) -> None:
    registry.register_group(CREDIT, ANN)
    registry.register_view(RISK, ANN)
    registry.set_state("group", "credit", 1, "retired", ANN, feature="score")
    assert registry.view("risk") == RISK
    assert registry.register_view(RISK, ANN) == RISK
    with pytest.raises(UsageError, match="'score' of credit@1 is retired"):
        registry.register_view(replace(RISK, version=2), ANN)
    registry.set_state("view", "risk", 1, "deprecated", ANN)
    with pytest.raises(UsageError, match="is retired"):
        registry.set_state("view", "risk", 1, "active", ANN)
    registry.set_state("view", "risk", 1, "retired", ANN)
    registry.set_state("group", "credit", 1, "retired", ANN)
    with pytest.raises(UsageError, match="group credit@1 is retired"):
        registry.register_view(replace(RISK, name="other"), ANN)


def test_only_drafts_read_drafts(registry: Registry) -> None:
    registry.register_group(CREDIT, ANN, state="draft")
    with pytest.raises(UsageError, match="is draft"):
        registry.register_view(RISK, ANN)
    registry.register_view(replace(RISK, state="draft"), ANN)
    with pytest.raises(UsageError, match="is draft"):
        registry.set_state("view", "risk", 1, "active", ANN)
    registry.set_state("group", "credit", 1, "active", ANN)
    registry.set_state("view", "risk", 1, "active", ANN)
    assert registry.view("risk") == RISK


def test_a_model_is_bound_to_the_view_it_was_trained_with(registry: Registry, records: FeatureRecords) -> None:
    registry.register_group(CREDIT, ANN)
    registry.register_view(replace(RISK, team="monitoring"), ANN)
    bound = {"model_fingerprint": "f1", "view_fingerprint": RISK.fingerprint}
    assert registry.bind_model("risk", 1, "m", ANN, **bound)
    assert not registry.bind_model("risk", 1, "m", ANN, **bound)
    with pytest.raises(StoreError, match="was trained with"):
        registry.bind_model("risk", 1, "m", ANN, model_fingerprint="f2", view_fingerprint="other")
    with pytest.raises(StoreError, match="no view"):
        registry.bind_model("risks", 1, "m", ANN, model_fingerprint="f2")
    with pytest.raises(UsageError, match="fingerprint"):
        registry.bind_model("risk", 1, "m", ANN, model_fingerprint="")
    registry.set_state("view", "risk", 1, "retired", ANN)
    with pytest.raises(StoreError, match="retired"):
        registry.bind_model("risk", 1, "n", ANN, model_fingerprint="f3")
    (binding,) = registry.bindings("risk", 1)
    assert (binding.model, binding.team, binding.principal) == ("m", "monitoring", "NORTH__ANN")
    assert registry.bindings("risk", 2) == []
    assert [use.feature for use in records.uses()] == ["score"]


def test_a_compatible_change_extends_the_group(registry: Registry) -> None:
    assert registry.extend_group(replace(CREDIT, version=7), ANN) == CREDIT
    assert registry.extend_group(CREDIT, ANN) == CREDIT
    wider = replace(CREDIT, features=(*CREDIT.features, FeatureField("band", "string")), description="wider")
    assert registry.extend_group(wider, ANN) == replace(wider, version=2)
    with pytest.raises(StoreError, match="'band' is gone") as refusal:
        registry.extend_group(CREDIT, ANN)
    assert "version 3" in refusal.value.mend
    assert [group.version for group in registry.groups()] == [1, 2]


NEW = FeatureField("new", "float64")


@pytest.mark.parametrize(
    ("change", "compatible"),
    [
        ({"features": (SCORE, AGE, NEW)}, True),
        ({"features": (replace(SCORE, description="x", tags=("t",), state="deprecated"), AGE)}, True),
        ({"description": "x", "owner": "y", "team": "z", "tags": ("t",)}, True),
        ({"rules": (ValidationRule("range", "score", {"least": 0}, "warn"),)}, True),
        ({"features": (NEW, SCORE, AGE)}, False),
        ({"features": (AGE, SCORE)}, False),
        ({"features": (SCORE,)}, False),
        ({"features": (replace(SCORE, dtype="float32"), AGE)}, False),
        ({"features": (replace(SCORE, unit="x"), AGE)}, False),
        ({"features": (replace(SCORE, default=0.0), AGE)}, False),
        ({"features": (replace(SCORE, online=False), AGE)}, False),
        ({"features": (SCORE, replace(AGE, protected=False))}, False),
        ({"key_dtypes": ("int64",)}, False),
        ({"name": "debit"}, False),
        ({"ttl_seconds": 5}, False),
        ({"rules": (ValidationRule("range", "score", {"least": 0}),)}, False),
        ({"features": (SCORE, AGE, NEW), "rules": (ValidationRule("not_null", "new"),)}, False),
        ({"features": (SCORE, AGE, NEW), "rules": (ValidationRule("range", "new", {"least": 0}),)}, True),
    ],
)
def test_what_old_readers_can_go_on_with(change: dict[str, Any], compatible: bool) -> None:
    changes = compare_groups(CREDIT, replace(CREDIT, **change))
    assert changes
    assert all(one.compatible for one in changes) is compatible
    assert all(one.told for one in changes)


names = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True)


@given(old=names, new=names)
def test_features_are_compatible_iff_the_old_ones_begin_the_new(old: list[str], new: list[str]) -> None:
    def group(features: list[str]) -> FeatureGroup:
        return FeatureGroup("g", 1, ("key",), ("string",), tuple(FeatureField(one, "float64") for one in features))

    changes = compare_groups(group(old), group(new))
    assert all(one.compatible for one in changes) is (new[: len(old)] == old)
    assert bool(changes) is (old != new)
