"""The records in memory: for tests and for programs that keep nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from greywater.errors import StoreError
from greywater.stores.ports import Finding
from greywater.stores.record_rows import (
    AlertRecord,
    AuditRecord,
    Raisable,
    RunRecord,
    alert_findings,
    already_frozen,
    canonical_json,
    freeze,
    moment,
    new_run_id,
    now_us,
    unknown,
)
from greywater.vocab import Actor

__all__ = ["MemoryRecords"]


class MemoryRecords:
    """Keeps the laws of `Records`, forgets all when it goes.

    Examples
    --------
    >>> records = MemoryRecords()
    >>> records.audit(Actor(), "run", "default", "done")
    1
    """

    def __init__(self) -> None:
        self._runs: dict[str, RunRecord] = {}
        self._alerts: dict[str, AlertRecord] = {}
        self._audit: list[AuditRecord] = []

    def close(self) -> None:
        """Nothing to let go of."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def audit(
        self, actor: Actor, action: str, object: str, outcome: str, detail: Mapping[str, Any] | None = None
    ) -> int:
        """Write who did what to which thing and how it ended."""
        told = dict(detail or {})
        canonical_json(told)
        record = AuditRecord(
            id=len(self._audit) + 1, at=moment(now_us()), principal=actor.principal, role=actor.role,
            credential=actor.credential, action=action, object=object, outcome=outcome, detail=told,
        )  # fmt: skip
        self._audit.append(record)
        return record.id

    def audits(self) -> list[AuditRecord]:
        """The whole audit, oldest first."""
        return list(self._audit)

    def start_run(
        self,
        actor: Actor,
        command: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        versions: Mapping[str, Any] | None = None,
        parent: str | None = None,
    ) -> str:
        """Write that a run began, as part of `parent` where one is named; returns its id."""
        canonical_json([dict(parameters or {}), dict(versions or {})])
        run_id = new_run_id()
        self._runs[run_id] = RunRecord(
            id=run_id, project=actor.project, principal=actor.principal, command=command, started_at=moment(now_us()),
            finished_at=None, outcome=None, parameters=dict(parameters or {}), versions=dict(versions or {}),
            summary=None, parent=parent,
        )  # fmt: skip
        return run_id

    def finish_run(self, run_id: str, outcome: str, summary: Mapping[str, Any] | None = None) -> None:
        """Write how a run ended, once."""
        told = dict(summary or {})
        canonical_json(told)
        run = self.run(run_id)
        if run.finished_at is not None:
            raise StoreError(f"run {run_id!r} has ended already", mend="start a new run")
        self._runs[run_id] = replace(run, finished_at=moment(now_us()), outcome=outcome, summary=told)

    def run(self, run_id: str) -> RunRecord:
        """One run."""
        if run_id not in self._runs:
            raise unknown("run", run_id)
        return self._runs[run_id]

    def runs(self) -> list[RunRecord]:
        """All runs, in the order in which they began."""
        return list(self._runs.values())

    def raise_alerts(self, run_id: str, alerts: Sequence[Raisable]) -> int:
        """Write alerts of a run: all, or none."""
        self.run(run_id)
        rows, evidence = freeze(run_id, alerts)
        proof: dict[str, list[tuple[str, int]]] = {}
        for payment in evidence:
            proof.setdefault(payment["alert_id"], []).append((payment["tx_id"], payment["seq"]))
        held = list(self._alerts.values())
        ids = set(self._alerts)
        ranks = {record.rank for record in held if record.run_id == run_id}
        entities = {(record.kind, record.entity) for record in held if record.run_id == run_id}
        added = {}
        for row in rows:
            key = (row["kind"], row["entity"])
            if row["id"] in ids or row["rank"] in ranks or key in entities:
                raise already_frozen(run_id)
            ids.add(row["id"])
            ranks.add(row["rank"])
            entities.add(key)
            added[row["id"]] = AlertRecord(
                id=row["id"], run_id=run_id, rank=row["rank"], entity=row["entity"], kind=row["kind"],
                score=row["score"], raised_at=moment(row["raised_us"]), written_at=moment(row["written_us"]),
                payload_json=row["payload"], sha256=row["sha256"], evidence=tuple(proof.get(row["id"], ())),
            )  # fmt: skip
        self._alerts.update(added)
        return len(added)

    def alerts(self, run_id: str) -> list[AlertRecord]:
        """The queue of a run, by rank."""
        chosen = [record for record in self._alerts.values() if record.run_id == run_id]
        return sorted(chosen, key=lambda record: record.rank)

    def alert(self, alert_id: str) -> AlertRecord:
        """One alert."""
        if alert_id not in self._alerts:
            raise unknown("alert", alert_id)
        return self._alerts[alert_id]

    def check(self) -> list[Finding]:
        """Verify that every alert says what it said when it was raised."""
        return [finding for record in self._alerts.values() for finding in alert_findings(record)]
