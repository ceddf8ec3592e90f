"""The use case evidence: from recorded payments, for those who may read them, written down."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from greywater.app.evidence import RELATIONS, EvidenceRequest, evidence
from greywater.app.wiring import open_project
from greywater.errors import AccessDeniedError, StoreError, UsageError
from greywater.vocab import Actor
from tests.app.conftest import Desk

ROWS = [
    ("t0", "2024-01-01T10:00:00Z", "A", "B", "100.00", "USD"),
    ("t1", "2024-01-02T10:00:00Z", "B", "C", "95.00", "USD"),
    ("t2", "2024-01-02T11:00:00Z", "X", "Y", "10.00", "USD"),
    ("t3", "2024-01-03T10:00:00Z", "C", "A", "90.00", "USD"),
    ("t4", "2024-01-03T11:00:00Z", "A", "external:shop", "5.00", "USD"),
    ("t5", "2024-01-04T10:00:00Z", "C", "A", "90.00", "USD"),
]


@pytest.fixture
def recorded(desk: Desk) -> Desk:
    desk.ingest(desk.file("payments.csv", ROWS))
    return desk


def asked(desk: Desk, tx_id: str, **more: Any) -> Any:
    return evidence(Actor(), desk.settings, EvidenceRequest(tx_id, **more))


def test_the_payments_of_a_ring_are_shown_with_their_parts(recorded: Desk) -> None:
    found = asked(recorded, "t3", patterns=("temporal_cycle",), window=7 * 86_400)
    (told,) = found.evidence
    (ring,) = told.instances
    assert [(each.role, each.tx_id, each.amount) for each in ring.payments] == [
        ("hop 1", "t0", 10_000),
        ("hop 2", "t1", 9_500),
        ("closing payment", "t3", 9_000),
    ]
    assert next((each.account, each.role) for each in ring.accounts) == ("A", "source")
    (proof,) = found.proofs
    assert proof.text == "1 cycle in time order in 7 days"
    assert proof.formed[0].text == "3 payments lead from A back to it within 2 days; 90 % of the amount comes round"
    assert [each.row.raising for each in proof.formed[0].payments] == [False, False, True]
    assert (found.payment.tx_id, found.payment.sender, found.base_currency) == ("t3", "C", "USD")


def test_what_was_recorded_later_changes_nothing(recorded: Desk) -> None:
    before = asked(recorded, "t3")
    recorded.ingest(recorded.file("more.csv", [("t9", "2024-01-03T09:00:00Z", "B", "C", "95.00", "USD")]))
    assert asked(recorded, "t3") == before


def test_all_patterns_are_looked_for_where_none_is_named(recorded: Desk) -> None:
    found = asked(recorded, "t3")
    assert tuple(each.pattern for each in found.evidence) == RELATIONS
    assert {each.pattern: each.found for each in found.evidence if each.found} == {
        "temporal_cycle": 1, "simple_cycle": 1, "chain": 1,
    }  # fmt: skip
    said = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert said["payment"]["tx_id"] == "t3"
    assert next(each["text"] for each in said["evidence"]) == "No scatter-gathers in 3 days"
    chain = next(each for each in said["evidence"] if each["pattern"] == "chain")
    assert chain["told"] == ["Passed on from B in 2 payments within 24 h; 5 % stayed on the way"]
    assert chain["tx_id"] == "t3"


def test_a_window_narrows_what_is_looked_for(recorded: Desk) -> None:
    found = asked(recorded, "t3", window=86_400)
    assert {each.pattern for each in found.evidence} == {"temporal_cycle", "simple_cycle"}
    assert not any(each.found for each in found.evidence)
    with pytest.raises(UsageError, match="no pattern is looked for over this window"):
        asked(recorded, "t3", window=1_234)
    with pytest.raises(UsageError, match="give one of 1d, 7d"):
        asked(recorded, "t3", patterns=("temporal_cycle",), window=1_234)


def test_a_payment_out_of_the_bank_has_none(recorded: Desk) -> None:
    found = asked(recorded, "t4", patterns=("chain", "fan"))
    assert [each.found for each in found.evidence] == [0, 0]


def test_fans_are_shown_where_they_are_asked_for(recorded: Desk) -> None:
    found = asked(recorded, "t5", patterns=("fan", "fan_new"), limit=2)
    assert [proof.formed[0].text for proof in found.proofs] == [
        "A paid 2 accounts in 2 payments",
        "A paid 2 accounts in 2 payments, all new since the window before",
    ]
    assert found.evidence[0].found == 4
    assert found.proofs[0].text == "4 fans in 30 days, the best 2 shown"


def test_what_is_not_there_is_said(recorded: Desk) -> None:
    with pytest.raises(UsageError, match="no payment 'nobody' is recorded"):
        asked(recorded, "nobody")
    with pytest.raises(UsageError, match="statistics are measures"):
        asked(recorded, "t3", patterns=("statistics",))
    with pytest.raises(StoreError, match="there is no project"):
        evidence(Actor(project="other"), recorded.settings.with_(project="other"), EvidenceRequest("t3"))


def test_it_is_asked_whether_one_may_and_written_down(recorded: Desk) -> None:
    with pytest.raises(AccessDeniedError):
        evidence(replace(Actor(), role="administrator"), recorded.settings, EvidenceRequest("t3"))
    evidence(replace(Actor(), role="investigator"), recorded.settings, EvidenceRequest("t3", ("chain",)))
    with open_project(recorded.settings, Actor()) as project:
        rows = project.records.audits()
    last, refused = rows[-1], rows[-2]
    assert (refused.action, refused.outcome) == ("read_payments", "refused")
    assert (last.action, last.object, last.outcome) == ("read_payments", "evidence of payment t3", "done")
    assert last.detail["patterns"] == ["chain"]
    assert last.detail["payments"] == 2
