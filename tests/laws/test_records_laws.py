"""The laws every records adapter keeps: in memory, in SQLite and in PostgreSQL, the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greywater.errors import StoreError
from greywater.stores.record_rows import canonical_json
from greywater.stores.records import Records
from greywater.stores.records_memory import MemoryRecords
from greywater.vocab import Actor

NOON = datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=UTC)
NASTY = ["", " ", "'; DROP TABLE alerts; --", '"', "%s", ":id", "a\x00b", "ü\u202e漢\n", "x" * 10_000, "NULL", "\\"]

AnyRecords = Records | MemoryRecords


@dataclass(frozen=True)
class Raised:
    id: str
    rank: int
    entity: str = "A1"
    kind: str = "account"
    score: float = 1.25
    raised_at: datetime = NOON
    more: dict[str, Any] = field(default_factory=dict)
    proof: tuple[tuple[str, int], ...] = (("t1", 1), ("t2", 2))

    def payload(self) -> dict[str, Any]:
        evidence = [{"tx_id": tx_id, "seq": seq} for tx_id, seq in self.proof]
        return {"id": self.id, "rank": self.rank, "entity": self.entity, "evidence": evidence, **self.more}


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def records(request: pytest.FixtureRequest, tmp_path: Path, new_postgres: Callable[[], str]) -> Iterator[AnyRecords]:
    opened: AnyRecords
    if request.param == "memory":
        opened = MemoryRecords()
    else:
        opened = Records.open(tmp_path / "records.sqlite" if request.param == "sqlite" else new_postgres())
    with opened:
        yield opened


def test_a_run_begins_ends_once_and_is_read_back(records: AnyRecords) -> None:
    assert records.runs() == []
    actor = Actor("ANN", "north", "data_scientist", "key-1")
    first = records.start_run(actor, "run", parameters={"budget": "20/day"}, versions={"greywater": "0.1"})
    second = records.start_run(actor, "check", parent=first)
    assert first != second
    assert (records.run(first).parent, records.run(second).parent) == (None, first)
    begun = records.run(first)
    assert (begun.outcome, begun.finished_at, begun.summary) == (None, None, None)
    assert (begun.project, begun.principal, begun.command) == ("north", "NORTH__ANN", "run")
    assert begun.parameters == {"budget": "20/day"}
    assert begun.versions == {"greywater": "0.1"}
    records.finish_run(first, "done", {"alerts": 3})
    ended = records.run(first)
    assert ended.outcome == "done"
    assert ended.summary == {"alerts": 3}
    assert ended.finished_at is not None
    assert ended.finished_at >= ended.started_at
    with pytest.raises(StoreError, match="ended already"):
        records.finish_run(first, "failed")
    assert records.run(first) == ended
    assert {run.id for run in records.runs()} == {first, second}


def test_a_run_that_is_not_there_is_said_so(records: AnyRecords) -> None:
    for ask in (lambda: records.run("x"), lambda: records.finish_run("x", "done"), lambda: records.alert("x")):
        with pytest.raises(StoreError, match="there is no"):
            ask()
    with pytest.raises(StoreError, match="there is no run"):
        records.raise_alerts("x", [Raised("a", 1)])
    assert records.alerts("x") == []


def test_alerts_are_frozen_with_their_hash_and_evidence(records: AnyRecords) -> None:
    run = records.start_run(Actor(), "run")
    moved = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    alerts = [Raised("b", 2, "B"), Raised("a", 1, "A", score=2.5, raised_at=moved, more={"text": "ü"}, proof=())]
    assert records.raise_alerts(run, alerts) == 2
    first, second = records.alerts(run)
    assert (first.id, first.rank, first.entity, first.score, first.evidence) == ("a", 1, "A", 2.5, ())
    assert first.raised_at == NOON
    assert first.payload == alerts[1].payload()
    assert first.payload_json == canonical_json(alerts[1].payload())
    assert first.sha256 == hashlib.sha256(first.payload_json.encode()).hexdigest()
    assert second.evidence == (("t1", 1), ("t2", 2))
    assert records.alert("b") == second
    assert records.check() == []


def test_a_run_without_alerts_is_no_error(records: AnyRecords) -> None:
    run = records.start_run(Actor(), "run")
    assert records.raise_alerts(run, []) == 0
    assert records.alerts(run) == []
    assert records.check() == []


@pytest.mark.parametrize(
    "clash",
    [Raised("a", 7, "other"), Raised("new", 1, "other"), Raised("new", 7, "A")],
    ids=["same id", "same rank", "same entity"],
)
def test_a_second_write_is_refused_and_nothing_of_it_stays(records: AnyRecords, clash: Raised) -> None:
    run = records.start_run(Actor(), "run")
    records.raise_alerts(run, [Raised("a", 1, "A")])
    before = records.alerts(run)
    with pytest.raises(StoreError, match="frozen") as refusal:
        records.raise_alerts(run, [Raised("fresh", 9, "fresh"), clash])
    assert run in refusal.value.where
    assert records.alerts(run) == before
    assert records.check() == []


def test_an_alert_id_is_unique_over_all_runs(records: AnyRecords) -> None:
    first, second = records.start_run(Actor(), "run"), records.start_run(Actor(), "run")
    records.raise_alerts(first, [Raised("a", 1)])
    with pytest.raises(StoreError, match="frozen"):
        records.raise_alerts(second, [Raised("a", 1)])
    assert records.raise_alerts(second, [Raised("b", 1)]) == 1
    assert [record.id for record in records.alerts(first)] == ["a"]


def test_two_of_one_id_in_one_write_are_refused_whole(records: AnyRecords) -> None:
    run = records.start_run(Actor(), "run")
    with pytest.raises(StoreError, match="frozen"):
        records.raise_alerts(run, [Raised("a", 1, "A"), Raised("a", 2, "B")])
    assert records.alerts(run) == []


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), NOON, {1, 2}, "\ud800"])
def test_what_is_no_json_is_refused_and_leaves_nothing(records: AnyRecords, bad: object) -> None:
    run = records.start_run(Actor(), "run")
    with pytest.raises(StoreError, match="JSON"):
        records.raise_alerts(run, [Raised("good", 1, "G"), Raised("bad", 2, "B", more={"value": bad})])
    with pytest.raises(StoreError, match="JSON"):
        records.audit(Actor(), "run", "x", "done", {"value": bad})
    assert records.alerts(run) == []
    assert records.audits() == []


def test_a_time_without_a_zone_is_refused(records: AnyRecords) -> None:
    run = records.start_run(Actor(), "run")
    with pytest.raises(StoreError, match="time zone"):
        records.raise_alerts(run, [Raised("a", 1, raised_at=NOON.replace(tzinfo=None))])
    assert records.alerts(run) == []


@pytest.mark.parametrize("text", NASTY)
def test_any_name_is_a_name_and_never_a_command(records: AnyRecords, text: str) -> None:
    run = records.start_run(Actor(user=text, project=text, role=text, credential=text), text, parameters={text: text})
    records.raise_alerts(run, [Raised("a", 1, entity=text, more={"note": text}, proof=((text, 3),))])
    records.audit(Actor(user=text, project=text), text, text, text, {text: text})
    assert records.run(run).parameters == {text: text}
    assert records.run(run).project == text
    alert = records.alert("a")
    assert (alert.entity, alert.evidence, alert.payload["note"]) == (text, ((text, 3),), text)
    (row,) = records.audits()
    assert (row.action, row.object, row.outcome, row.detail) == (text, text, text, {text: text})
    assert records.check() == []


def test_the_audit_keeps_who_what_and_how_it_ended_in_order(records: AnyRecords) -> None:
    numbers = [records.audit(Actor(role="auditor"), "run", f"object {i}", "refused", {"i": i}) for i in range(5)]
    rows = records.audits()
    assert numbers == [1, 2, 3, 4, 5] == [row.id for row in rows]
    assert [row.detail for row in rows] == [{"i": i} for i in range(5)]
    assert {(row.principal, row.role, row.credential) for row in rows} == {("DEFAULT__LOCAL", "auditor", "embedded")}
    assert all(row.at.tzinfo is not None for row in rows)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=values, score=st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_frozen_is_read_back_bit_for_bit(records: AnyRecords, value: Any, score: float) -> None:
    run = records.start_run(Actor(), "run")
    alert = replace(Raised(f"{run}-1", 1), score=score, more={"value": value, "score": score})
    records.raise_alerts(run, [alert])
    stored = records.alert(alert.id)
    assert stored.payload == alert.payload()
    assert stored.score == score
    assert json.loads(stored.payload_json) == alert.payload()
    assert records.check() == []
