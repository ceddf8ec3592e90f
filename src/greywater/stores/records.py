"""Runs, alerts and the audit in a relational database (SQLite or PostgreSQL): what an alert says is written once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import sqlalchemy as sa

from greywater.errors import StoreError
from greywater.stores.ports import Finding
from greywater.stores.record_database import HEAD, RecordDatabase, table
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

__all__ = ["HEAD", "Records", "write_audit"]

_META: Final = sa.MetaData()
_RUNS = table(
    _META, "runs", id=str, project=str, principal=str, command=str, started_us=int, finished_us=int, outcome=str,
    parameters=str, versions=str, summary=str, parent=str,
)  # fmt: skip
_ALERTS = table(
    _META, "alerts", id=str, run_id=str, rank=int, entity=str, kind=str, score=float, raised_us=int, written_us=int,
    payload=str, sha256=str,
)  # fmt: skip
_EVIDENCE = table(_META, "alert_evidence", alert_id=str, position=int, tx_id=str, seq=int)
_AUDIT = table(
    _META, "audit", id=int, at_us=int, principal=str, role=str, credential=str, action=str, object=str, outcome=str,
    detail=str,
)  # fmt: skip


def write_audit(
    connection: sa.Connection,
    actor: Actor,
    action: str,
    object: str,
    outcome: str,
    detail: Mapping[str, Any] | None = None,
) -> int:
    """Write an audit row in a transaction that is open, so that a change and its row are one; returns its number."""
    row = {
        "at_us": now_us(), "principal": actor.principal, "role": actor.role, "credential": actor.credential,
        "action": action, "object": object, "outcome": outcome, "detail": canonical_json(dict(detail or {})),
    }  # fmt: skip
    return int(connection.execute(_AUDIT.insert().values(row).returning(_AUDIT.c.id)).scalar_one())


class Records:
    """The records of one project.

    Open with `Records.open`; usable as a context manager. Every method commits before it returns, or
    leaves nothing behind.

    Examples
    --------
    >>> with Records.open("sqlite::memory:") as records:
    ...     run = records.start_run(Actor(), "run", parameters={"budget": "20/day"})
    ...     records.finish_run(run, "done", {"alerts": 0})
    ...     records.run(run).outcome, records.alerts(run)
    ('done', [])
    """

    def __init__(self, database: RecordDatabase) -> None:
        self.database = database
        self._engine = database.engine

    @classmethod
    def open(cls, url: str | Path, *, schema: str = "") -> Self:
        """Open, and bring the schema to the newest step.

        Parameters
        ----------
        url : str or Path
            A path or `sqlite:FILE`; `postgresql://USER:PASSWORD@HOST:PORT/DATABASE` (extra `[postgres]`).
        schema : str
            In PostgreSQL: the schema to use, made where it is missing.

        Raises
        ------
        UsageError
            This is no URL, or names a kind of database that cannot be used.
        StoreError
            The database cannot be opened, is none, or was written by a newer version.
        """
        return cls(RecordDatabase.open(url, schema=schema))

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _transaction(self, *, writes: bool) -> AbstractContextManager[sa.Connection]:
        return self.database.transaction(writes=writes)

    def audit(
        self, actor: Actor, action: str, object: str, outcome: str, detail: Mapping[str, Any] | None = None
    ) -> int:
        """Write who did what to which thing and how it ended (`done`, `refused`, `failed`)."""
        with self._transaction(writes=True) as connection:
            return write_audit(connection, actor, action, object, outcome, detail)

    def audits(self) -> list[AuditRecord]:
        """The whole audit, oldest first."""
        with self._transaction(writes=False) as connection:
            rows = connection.execute(_AUDIT.select().order_by(_AUDIT.c.id)).mappings().all()
        return [
            AuditRecord(
                id=row["id"], at=moment(row["at_us"]), principal=row["principal"], role=row["role"],
                credential=row["credential"], action=row["action"], object=row["object"], outcome=row["outcome"],
                detail=json.loads(row["detail"]),
            )
            for row in rows
        ]  # fmt: skip

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
        run_id = new_run_id()
        row = {
            "id": run_id, "project": actor.project, "principal": actor.principal, "command": command,
            "started_us": now_us(), "parameters": canonical_json(dict(parameters or {})),
            "versions": canonical_json(dict(versions or {})), "parent": parent,
        }  # fmt: skip
        with self._transaction(writes=True) as connection:
            connection.execute(_RUNS.insert().values(row))
        return run_id

    def finish_run(self, run_id: str, outcome: str, summary: Mapping[str, Any] | None = None) -> None:
        """Write how a run ended, once.

        Raises
        ------
        StoreError
            There is no such run, or it has ended already.
        """
        values = {"finished_us": now_us(), "outcome": outcome, "summary": canonical_json(dict(summary or {}))}
        unfinished = (_RUNS.c.id == run_id) & _RUNS.c.finished_us.is_(None)
        with self._transaction(writes=True) as connection:
            changed = connection.execute(_RUNS.update().where(unfinished).values(values)).rowcount
        if changed != 1:
            self.run(run_id)
            raise StoreError(f"run {run_id!r} has ended already", mend="start a new run")

    def run(self, run_id: str) -> RunRecord:
        """One run.

        Raises
        ------
        StoreError
            There is no such run.
        """
        found = self._runs(_RUNS.c.id == run_id)
        if not found:
            raise unknown("run", run_id)
        return found[0]

    def runs(self) -> list[RunRecord]:
        """All runs, in the order in which they began."""
        return self._runs(sa.true())

    def _runs(self, condition: sa.ColumnElement[bool]) -> list[RunRecord]:
        chosen = _RUNS.select().where(condition).order_by(_RUNS.c.started_us, _RUNS.c.id)
        with self._transaction(writes=False) as connection:
            rows = connection.execute(chosen).mappings().all()
        return [
            RunRecord(
                id=row["id"], project=row["project"], principal=row["principal"], command=row["command"],
                started_at=moment(row["started_us"]), outcome=row["outcome"],
                finished_at=None if row["finished_us"] is None else moment(row["finished_us"]),
                parameters=json.loads(row["parameters"]), versions=json.loads(row["versions"]),
                summary=None if row["summary"] is None else json.loads(row["summary"]), parent=row["parent"],
            )
            for row in rows
        ]  # fmt: skip

    def raise_alerts(self, run_id: str, alerts: Sequence[Raisable]) -> int:
        """Write alerts of a run in one transaction: all, or none. What an alert says is frozen by it.

        Parameters
        ----------
        run_id : str
            From `start_run`.
        alerts : sequence of Raisable
            Each id new for ever; each rank and entity once a run.

        Returns
        -------
        int
            How many were written.

        Raises
        ------
        StoreError
            An alert with this id, or with this rank or entity in this run, was raised before; there is no such run.
        """
        self.run(run_id)
        rows, evidence = freeze(run_id, alerts)
        if not rows:
            return 0
        try:
            with self._transaction(writes=True) as connection:
                connection.execute(_ALERTS.insert(), rows)
                if evidence:
                    connection.execute(_EVIDENCE.insert(), evidence)
        except StoreError as error:
            if isinstance(error.__cause__, sa.exc.IntegrityError):
                raise already_frozen(run_id) from error.__cause__
            raise
        return len(rows)

    def alerts(self, run_id: str) -> list[AlertRecord]:
        """The queue of a run, by rank; empty for a run that raised none."""
        return self._alerts(_ALERTS.c.run_id == run_id)

    def alert(self, alert_id: str) -> AlertRecord:
        """One alert.

        Raises
        ------
        StoreError
            There is no such alert.
        """
        found = self._alerts(_ALERTS.c.id == alert_id)
        if not found:
            raise unknown("alert", alert_id)
        return found[0]

    def _alerts(self, condition: sa.ColumnElement[bool]) -> list[AlertRecord]:
        chosen = _ALERTS.select().where(condition).order_by(_ALERTS.c.run_id, _ALERTS.c.rank)
        proof = (
            sa.select(_EVIDENCE.c.alert_id, _EVIDENCE.c.tx_id, _EVIDENCE.c.seq)
            .join(_ALERTS, _ALERTS.c.id == _EVIDENCE.c.alert_id)
            .where(condition)
            .order_by(_EVIDENCE.c.alert_id, _EVIDENCE.c.position)
        )
        evidence: dict[str, list[tuple[str, int]]] = {}
        with self._transaction(writes=False) as connection:
            rows = connection.execute(chosen).mappings().all()
            for alert_id, tx_id, seq in connection.execute(proof):
                evidence.setdefault(alert_id, []).append((tx_id, seq))
        return [
            AlertRecord(
                id=row["id"], run_id=row["run_id"], rank=row["rank"], entity=row["entity"], kind=row["kind"],
                score=row["score"], raised_at=moment(row["raised_us"]), written_at=moment(row["written_us"]),
                payload_json=row["payload"], sha256=row["sha256"], evidence=tuple(evidence.get(row["id"], ())),
            )
            for row in rows
        ]  # fmt: skip

    def check(self) -> list[Finding]:
        """Verify that every alert says what it said when it was raised, and that the database is sound."""
        findings = self.database.check()
        for run in self.runs():
            for record in self.alerts(run.id):
                findings.extend(alert_findings(record))
        return findings
