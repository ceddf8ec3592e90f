"""Relations of a project as columns of its payments: who names whom, from when on it was known, who was a launderer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from greywater.app.relations import open_relations
from greywater.app.rules import BackTestRequest, check_rules, run_back_test
from greywater.app.wiring import open_project
from greywater.vocab import Actor
from tests.app.conftest import Desk

PAYMENTS = [(f"t{day}", f"2024-01-{day:02d}T00:00:00Z", "A1", "B1", "10.00", "USD") for day in range(1, 9)]
PAYMENTS += [("u1", "2024-01-09T00:00:00Z", "B1", "C1", "10.00", "USD")]
ACCOUNTS = "account,customer,known_since\nA1,A,2023-12-01\nB1,B,2023-12-01\nC1,C,2023-12-01\n"
#: A names B from the third day on; B is confirmed from the fifth.
RELATIONS = "from_customer,to_customer,kind,known_since\nA,B,partner,2024-01-03\n"
SEEDS = "customer,reason,known_since\nB,report,2024-01-05\n"


def side(desk: Desk, name: str, text: str) -> Path:
    path = desk.folder / name
    path.write_text(text)
    return path


@pytest.fixture
def bank(desk: Desk) -> Desk:
    desk.ingest(
        desk.file("payments.csv", PAYMENTS),
        accounts=side(desk, "accounts.csv", ACCOUNTS),
        relationships=side(desk, "relations.csv", RELATIONS),
        seeds=side(desk, "seeds.csv", SEEDS),
    )
    return desk


def columns(desk: Desk) -> dict[str, list[Any]]:
    with open_project(desk.settings, Actor()) as project:
        join = open_relations(project.tables, project.ledger)
        assert join is not None
        batches = [
            pa.record_batch(join.columns(batch), names=list(join.names))
            for batch in project.ledger.scan(["seq", "event_time", "sender", "receiver"], batch_rows=4)
        ]
    found: dict[str, list[Any]] = pa.Table.from_batches(batches).to_pydict()
    return found


def test_a_names_b_and_b_is_confirmed(bank: Desk) -> None:
    found = columns(bank)
    # A payment at the very moment of a record was recorded before it.
    assert found["sender.related_launderers"] == [0, 0, 0, 0, 0, 1, 1, 1, 0]
    assert found["receiver.related_launderers"] == [0] * 9
    assert found["sender.related_by_launderers"] == [0] * 9
    assert found["receiver.related_by_launderers"] == [0] * 9
    assert found["pair.related"] == [0, 0, 0, 1, 1, 1, 1, 1, 0]


def test_the_rule_hits_a_and_the_other_way_round_the_other_rule(bank: Desk) -> None:
    settings = bank.settings.with_(features="payments-v1")
    request = BackTestRequest(rules=("has-related-launderer", "is-related-to-launderer"))
    found = {one.rule: one.hits for one in run_back_test(Actor(), settings, request).rules}
    assert found == {"has-related-launderer": 3, "is-related-to-launderer": 0}
    assert "has-related-launderer" not in check_rules(Actor(), settings).off
    bank.ingest(seeds=side(bank, "more.csv", "customer,reason,known_since\nA,report,2024-01-01\n"))
    found = {one.rule: one.hits for one in run_back_test(Actor(), settings, request).rules}
    # A was confirmed on the first day, and named B from the third: B receives t4 to t8 and sends u1.
    assert found == {"has-related-launderer": 3, "is-related-to-launderer": 6}


def test_a_project_without_relationships_says_that_the_rules_are_off(desk: Desk) -> None:
    desk.ingest(desk.file("payments.csv", PAYMENTS))
    with open_project(desk.settings, Actor()) as project:
        assert open_relations(project.tables, project.ledger) is None
    checked = check_rules(Actor(), desk.settings.with_(features="payments-v1"))
    assert "no sender.related_launderers" in checked.off["has-related-launderer"]
