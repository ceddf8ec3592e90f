"""The last payments of both parties join a project's payments where somebody asks for them, and only there."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from greywater.app.joining import joins_of, project_features
from greywater.app.rules import BackTestRequest, run_back_test
from greywater.app.wiring import open_project
from greywater.features.sequence import SEQUENCE_FEATURES
from greywater.vocab import TRANSACTION_SCHEMA, Actor
from tests.app.conftest import Desk

RULE = """
[[rule]]
id = "twice-at-once"
version = 1
title = "Twice within a minute"
description = "The sender paid or was paid less than a minute ago."
source = "a test"
typologies = ["structuring"]
about = "sender"
window = ""
severity = 2
mandatory = false
state = "on"
expression = "sender.sequence.0.gap < 60"
"""
PAYMENTS = [
    ("p", "2024-01-01T00:00:00Z", "a", "b", "9.00", "USD"),
    ("q", "2024-01-01T00:00:59Z", "a", "c", "9.00", "USD"),
    ("r", "2024-01-01T00:02:00Z", "a", "c", "9.00", "USD"),
]


def families(desk: Desk, **changes: Any) -> tuple[str, ...]:
    with open_project(desk.settings.with_(**changes), Actor()) as project:
        made = project_features(project)
        assert len(joins_of(project, made.features, protected=False)) == len(made.features.joined)
        return made.features.joined


@pytest.fixture
def recorded(desk: Desk) -> Desk:
    desk.ingest(desk.file("payments.csv", PAYMENTS))
    return desk


def test_nobody_pays_for_sequences_unasked(recorded: Desk) -> None:
    assert "sequence" not in families(recorded)
    assert families(recorded, sequence=True)[-1] == "sequence"
    assert families(recorded, sequence=True, embedding=True)[-2:] == ("embedding", "sequence")
    assert families(recorded, detector="adversarial_sequence")[-1] == "sequence"


def test_a_rule_that_names_a_column_brings_them_and_hits(recorded: Desk) -> None:
    rules = recorded.settings.project_folder / "rules"
    rules.mkdir(parents=True)
    (rules / "own.toml").write_text(RULE)
    assert families(recorded)[-1] == "sequence"
    found = run_back_test(Actor(), recorded.settings, BackTestRequest(rules=("twice-at-once",))).rules
    assert [(one.rule, one.hits) for one in found] == [("twice-at-once", 1)]


def test_the_columns_are_the_same_in_any_cut(recorded: Desk) -> None:
    def columns(rows: int) -> str:
        with open_project(recorded.settings.with_(sequence=True), Actor()) as project:
            join = project_features(project).joins[-1]
            assert join.names == tuple(feature.name for feature in SEQUENCE_FEATURES)
            parts = [
                pa.record_batch(join.columns(batch), names=list(join.names))
                for batch in project.ledger.scan(TRANSACTION_SCHEMA.names, batch_rows=rows)
            ]
        return str(pa.Table.from_batches(parts).to_pydict())

    assert columns(1) == columns(100)
