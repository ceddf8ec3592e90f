"""An alert: its id, its `--json`, and what is frozen."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from greywater.desk.alerts import Alert, alert_id, build_alert, side_of
from greywater.desk.evidence import EvidenceRow
from greywater.desk.reasons import Reason
from greywater.desk.rollup import Candidate
from greywater.desk.sentences import Payment
from greywater.stores.records import Records
from greywater.vocab import Actor
from tests.desk.proofs import proof_of, ring

CANDIDATE = Candidate("Ann", "customer", 3.5, 0.91, 12, 1_709_208_000_123_456, (12, 3), 2)
REASONS = (
    Reason("sent 2 payments", "flow", ("sender.out.count.1d",), (2.0,), 1.5, 86_400, False, "sender", "out"),
    Reason("was first seen just now", "history", ("sender.age",), (None,), 0.5),
)
EVIDENCE = (
    EvidenceRow("t12", 12, 1_709_208_000_123_456, "a1", "b", 100, "USD", 100, "wire", 3.5, True),
    EvidenceRow("t3", 3, 1_709_100_000_000_000, "c", "a2", 50, "EUR", None, "card", None),
)


def made(rank: int = 1) -> Alert:
    return build_alert(
        "run-1", rank, CANDIDATE, REASONS, EVIDENCE, accounts={"a1", "a2"}, base_currency="USD",
        versions={"model": "m1", "features": "f1", "data": "d1"},
    )  # fmt: skip


def test_the_json_entry_has_the_stable_keys() -> None:
    assert made().to_json() == {
        "id": made().id,
        "rank": 1,
        "entity": "Ann",
        "score": 3.5,
        "reasons": ["sent 2 payments", "was first seen just now"],
        "evidence": ["t12", "t3"],
        "patterns": [],
    }


def test_everything_is_taken_over_from_the_candidate() -> None:
    alert = made(7)
    assert (alert.rank, alert.kind, alert.probability, alert.folded, alert.typology) == (7, "customer", 0.91, 2, None)
    assert alert.raised_at == datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=UTC)
    assert alert.picture.startswith("<svg")
    assert "Ann" in alert.picture


def test_the_payload_is_json_and_holds_all_of_it() -> None:
    payload = made().payload()
    assert json.loads(json.dumps(payload, allow_nan=False)) == payload
    assert set(payload) == set(Alert.__dataclass_fields__)
    assert payload["reasons"][0]["features"] == ["sender.out.count.1d"]
    assert payload["reasons"][1]["values"] == [None]
    assert payload["evidence"][0]["tx_id"] == "t12"
    assert payload["evidence"][1]["base_amount"] is None
    assert payload["raised_at"] == "2024-02-29T12:00:00.123456+00:00"


def test_patterns_are_frozen_with_their_pictures() -> None:
    proof = proof_of(ring(1_000, 900, 800), "temporal_cycle")
    nothing = proof_of(ring(1_000, 900), "chain", window=60)
    alert = build_alert(
        "run-1", 1, CANDIDATE, REASONS, EVIDENCE, accounts={"a"}, base_currency="USD", proofs=(proof, nothing)
    )
    assert [each.pattern for each in alert.patterns] == ["temporal_cycle"]
    assert alert.patterns[0].picture.startswith("<svg")
    assert replace(alert.patterns[0], picture="") == proof
    payload = alert.payload()
    assert json.loads(json.dumps(payload, allow_nan=False)) == payload
    assert [each["tx_id"] for each in payload["patterns"][0]["formed"][0]["payments"]] == ["t0", "t1", "t2"]
    assert alert.to_json()["patterns"][0]["payments"][2] == {"role": "closing payment", "tx_id": "t2"}


def test_ids_follow_from_run_party_and_payment_only() -> None:
    first = alert_id("run", "account", "a", 1)
    assert first == alert_id("run", "account", "a", 1)
    others = {
        alert_id("run2", "account", "a", 1),
        alert_id("run", "customer", "a", 1),
        alert_id("run", "account", "b", 1),
        alert_id("run", "account", "a", 2),
        alert_id("run", "account", "\ud800", 1),
    }
    assert len(others | {first}) == 6
    assert made(1).id == made(2).id


def test_the_side_is_the_senders_where_both_are_the_entity() -> None:
    payment = Payment("t", 1, 0, "a", "b", 1, "USD", 1, "USD")
    assert (side_of(payment, {"a"}), side_of(payment, {"b"}), side_of(payment, {"a", "b"})) == (
        "sender",
        "receiver",
        "sender",
    )


def test_an_alert_is_frozen_in_the_records_and_read_back(tmp_path: Path) -> None:
    alert = made()
    with Records.open(tmp_path / "records.sqlite") as records:
        run = records.start_run(Actor(), "run")
        assert records.raise_alerts(run, [alert, replace(alert, id="other", rank=2, entity="Bob")]) == 2
        stored = records.alert(alert.id)
        assert stored.payload == alert.payload()
        assert stored.evidence == (("t12", 12), ("t3", 3))
        assert stored.raised_at == alert.raised_at
        assert records.check() == []
