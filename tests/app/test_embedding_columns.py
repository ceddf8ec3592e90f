"""Distances in an embedding join a project's payments where a rule or the setting names them, and only there."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from greywater.app.joining import joins_of, project_features
from greywater.app.rules import BackTestRequest, run_back_test
from greywater.app.wiring import open_project
from greywater.features.embedding_join import EMBEDDING_FEATURES
from greywater.vocab import TRANSACTION_SCHEMA, Actor
from tests.app.conftest import Desk

RULE = """
[[rule]]
id = "same-payees"
version = 1
title = "Pays whom its payee pays"
description = "The sender and the receiver pay the same accounts."
source = "a test"
typologies = ["scatter-gather"]
about = "sender"
window = ""
severity = 2
mandatory = false
state = "on"
expression = "embedding.payees < 0.1"
"""
FIRST = [(f"p{k}", "2024-01-01T00:00:00Z", f"a{k % 2}", f"b{k}", "9.00", "USD") for k in range(8)]
NEXT = [
    ("q", "2024-01-02T00:00:00Z", "a0", "b0", "9.00", "USD"),
    ("r", "2024-01-02T01:00:00Z", "c", "a0", "1.00", "USD"),
]
TWINS = [(f"t{k}", "2024-01-01T00:00:00Z", name, "b1", "9.00", "USD") for k, name in enumerate("xy")]
LAST = [("s", "2024-01-02T02:00:00Z", "x", "y", "9.00", "USD")]


def families(desk: Desk, **changes: Any) -> tuple[str, ...]:
    with open_project(desk.settings.with_(**changes), Actor()) as project:
        made = project_features(project)
        assert len(joins_of(project, made.features, protected=False)) == len(made.features.joined)
        return made.features.joined


@pytest.fixture
def recorded(desk: Desk) -> Desk:
    desk.ingest(desk.file("payments.csv", FIRST + TWINS + NEXT + LAST))
    return desk


def test_nobody_pays_for_an_embedding_unasked(recorded: Desk) -> None:
    assert "embedding" not in families(recorded)
    assert families(recorded, embedding=True)[-1] == "embedding"


def test_a_rule_that_names_a_column_brings_them_and_hits(recorded: Desk) -> None:
    rules = recorded.settings.project_folder / "rules"
    rules.mkdir(parents=True)
    (rules / "own.toml").write_text(RULE)
    assert families(recorded)[-1] == "embedding"
    found = run_back_test(Actor(), recorded.settings, BackTestRequest(rules=("same-payees",))).rules
    assert [(one.rule, one.hits) for one in found] == [("same-payees", 1)]


def test_the_columns_are_the_same_in_any_cut(recorded: Desk) -> None:
    def columns(rows: int) -> str:
        with open_project(recorded.settings.with_(embedding=True), Actor()) as project:
            join = project_features(project).joins[-1]
            assert join.names == tuple(feature.name for feature in EMBEDDING_FEATURES)
            parts = [
                pa.record_batch(join.columns(batch), names=list(join.names))
                for batch in project.ledger.scan(TRANSACTION_SCHEMA.names, batch_rows=rows)
            ]
        return str(pa.Table.from_batches(parts).to_pydict())

    assert columns(1) == columns(100)
