"""The rules of the package: each hits what was planted, leaves its benign look-alike alone, and says what it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from greywater.config import Settings
from greywater.detectors.rules.columns import OTHER_COLUMNS
from greywater.detectors.rules.rule import STATES
from greywater.detectors.rules.rule_set import RuleSet
from greywater.features.catalog import payments_v2
from tests.detectors.rules.planted import PLANTED

RULES = RuleSet.load()
DOCS = Path(__file__).resolve().parents[3] / "docs"
CATALOG = {
    feature.name: pa.int64() if feature.dtype == "int64" else pa.float64()
    for feature in payments_v2(Settings(), 1).features
}
#: Rules that the task of transaction monitoring is unthinkable without, by what they look for.
NAMED = 37


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.table({name: [row[name] for row in rows] for name in rows[0]})


def test_at_least_thirty_rules_and_each_is_planted() -> None:
    assert len(RULES.rules) >= max(30, NAMED)
    assert set(PLANTED) == {rule.id for rule in RULES.rules}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_hits_and_the_look_alike_does_not(name: str) -> None:
    guilty, differs = PLANTED[name]
    assert set(differs) <= set(guilty)
    benign = guilty | differs
    hits = RULES.only([name]).evaluate(table(guilty, benign))
    assert hits.off == {}
    assert hits.of(name).tolist() == [True, False]
    assert hits.values(0) == {name: {column: hits.values(0)[name][column] for column in hits.columns[name]}}
    assert set(hits.columns[name]) == set(guilty), "the planted row has the columns that the rule reads"
    assert hits.score.tolist() == [RULES.rule(name).weight, 0.0]


@pytest.mark.parametrize("name", PLANTED)
def test_one_payment_gives_what_a_table_gives(name: str) -> None:
    guilty, differs = PLANTED[name]
    rules = RULES.only([name])
    bound = rules.bind(table(guilty).schema)
    assert bound.one([guilty[column] for column in bound.columns]).hits == (name,)
    assert bound.one([(guilty | differs)[column] for column in bound.columns]).hits == ()
    assert bound.one([None] * len(bound.columns)).hits == ()


@pytest.mark.parametrize("rule", RULES.rules, ids=lambda rule: rule.id)
def test_a_rule_says_what_it_is(rule: Any) -> None:
    assert rule.title
    assert rule.description
    assert len(rule.source) > 10
    assert rule.typologies
    assert rule.state in STATES
    assert rule.why_off or rule.state != "off"
    for parameter in rule.parameters:
        assert parameter.meaning
        assert parameter.unit


def test_every_column_is_known_and_nothing_is_wrong() -> None:
    RULES.check(CATALOG)
    named = set(RULES.columns) - set(CATALOG)
    assert all("[" in name or ".8h" in name or name in OTHER_COLUMNS or ".attribute." in name for name in named)


def test_on_the_default_features_many_rules_are_active_and_the_others_say_why() -> None:
    bound = RULES.bind(pa.schema(list(CATALOG.items())))
    assert len(bound.active) >= 18
    assert len(bound.active) + len(bound.off) == len(RULES.rules)
    for rule in RULES.rules:
        why = bound.off.get(rule.id, rule.why_off)
        assert why == rule.why_off or "the data have no" in why


def test_on_day_stamps_the_windows_that_there_are_take_the_place_of_others() -> None:
    by_day = {
        feature.name: pa.int64() if feature.dtype == "int64" else pa.float64()
        for feature in payments_v2(Settings(), 86_400_000_000).features
    }
    bound = RULES.bind(pa.schema(list(by_day.items())))
    assert bound.read["layering-chain"][0] == "chain.hops.7d"
    assert {"gather-scatter", "scatter-gather", "fan-out"} <= set(bound.read)
    assert "burst" in bound.off


def test_the_catalogue_page_names_every_rule_with_its_parameters() -> None:
    said = (DOCS / "rule_catalogue.md").read_text(encoding="utf-8")
    for rule in RULES.rules:
        row = re.search(rf"^### `{rule.id}`$(.*?)(?=^### |^## |\Z)", said, re.MULTILINE | re.DOTALL)
        assert row, f"docs/rule_catalogue.md does not describe {rule.id}"
        assert rule.title in row[1]
        for parameter in rule.parameters:
            assert f"`{parameter.name}` = {parameter.value}" in row[1], f"{rule.id}: {parameter.name}"


def test_the_page_names_the_columns_that_others_make() -> None:
    said = (DOCS / "rules.md").read_text(encoding="utf-8")
    read = {name for rule in RULES.rules for name in RULES.only([rule.id]).columns}
    for name in read & set(OTHER_COLUMNS):
        stem = re.sub(r"\.\d+d$", "", name).replace("sender.", "{party}.").replace("receiver.", "{party}.")
        stem = stem.replace("payment.{party}", "payment.sender")
        assert name in said or stem in said, f"docs/rules.md does not name {name}"
