"""Runs, alerts and the audit in a relational database (SQLite now, by URL): what an alert says is written once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import sqlalchemy as sa

from greywater.errors import (
    GreywaterError,
    StoreAccessError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StoreLockedError,
    UsageError,
)
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

__all__ = ["HEAD", "Records"]

#: The newest step in migrations/versions.
HEAD: Final = "0001"
_META: Final = sa.MetaData()


def _table(name: str, **columns: Any) -> sa.Table:
    return sa.Table(name, _META, *(sa.Column(column, kind) for column, kind in columns.items()))


_RUNS = _table(
    "runs", id=sa.Text, project=sa.Text, principal=sa.Text, command=sa.Text, started_us=sa.BigInteger,
    finished_us=sa.BigInteger, outcome=sa.Text, parameters=sa.Text, versions=sa.Text, summary=sa.Text,
)  # fmt: skip
_ALERTS = _table(
    "alerts", id=sa.Text, run_id=sa.Text, rank=sa.Integer, entity=sa.Text, kind=sa.Text, score=sa.Double,
    raised_us=sa.BigInteger, written_us=sa.BigInteger, payload=sa.Text, sha256=sa.Text,
)  # fmt: skip
_EVIDENCE = _table("alert_evidence", alert_id=sa.Text, position=sa.Integer, tx_id=sa.Text, seq=sa.BigInteger)
_AUDIT = _table(
    "audit", id=sa.Integer, at_us=sa.BigInteger, principal=sa.Text, role=sa.Text, credential=sa.Text, action=sa.Text,
    object=sa.Text, outcome=sa.Text, detail=sa.Text,
)  # fmt: skip


def _told(error: sa.exc.DBAPIError, where: str) -> GreywaterError:
    """The error of the tree that a database error is."""
    text = str(error.orig)
    lower = text.lower()
    if "locked" in lower or "busy" in lower:
        return StoreLockedError(
            "another process is writing the records", where=where, mend="wait for it, then try again"
        )
    if "disk is full" in lower or "no space" in lower:
        return StoreFullError(
            "the disk has no room for the records", where=where, mend="free some space, then try again"
        )
    if "unable to open" in lower or "readonly" in lower or "read-only" in lower or "permission" in lower:
        mend = "see that the folder exists and that you may write there"
        return StoreAccessError(f"the records cannot be opened or written: {text}", where=where, mend=mend)
    if "not a database" in lower or "malformed" in lower or "disk i/o" in lower:
        return StoreDamagedError(f"the records are damaged: {text}", where=where, mend="restore the file from a backup")
    return StoreError(f"the records cannot be read or written: {text}", where=where, mend="run greywater check")


def _url(url: str | Path) -> sa.URL:
    """Read a URL; a path, or `sqlite:path`, is a SQLite file."""
    if isinstance(url, Path):
        return sa.URL.create("sqlite", database=str(url))
    if url.startswith("sqlite:") and not url.startswith("sqlite://"):
        return sa.URL.create("sqlite", database=url.removeprefix("sqlite:"))
    try:
        return sa.make_url(url)
    except sa.exc.ArgumentError:
        raise UsageError("this is no URL of a records store", mend='give "sqlite:FILE" or a path') from None


def _prepare_sqlite(engine: sa.Engine) -> None:
    """Every commit is synced, references hold, a writer waits for another, transactions begin where we say."""

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("busy_timeout = 30000", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        mode = "IMMEDIATE" if connection.get_execution_options().get("writes") else "DEFERRED"
        connection.exec_driver_sql(f"BEGIN {mode}")


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

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._where = engine.url.render_as_string(hide_password=True)

    @classmethod
    def open(cls, url: str | Path) -> Self:
        """Open, and bring the schema to the newest step.

        Parameters
        ----------
        url : str or Path
            A path or `sqlite:FILE`; any SQLAlchemy URL of a database with transactions.

        Raises
        ------
        StoreError
            The file cannot be opened, is no database, or was written by a newer version.
        """
        parsed = _url(url)
        try:
            if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
                engine = sa.create_engine(parsed, poolclass=sa.pool.StaticPool)
            else:
                engine = sa.create_engine(parsed)
        except (sa.exc.ArgumentError, ImportError) as error:
            where = parsed.render_as_string(hide_password=True)
            raise UsageError(f"no such database can be used: {error}", where=where, mend='give "sqlite:FILE"') from None
        if engine.dialect.name == "sqlite":
            _prepare_sqlite(engine)
        records = cls(engine)
        try:
            records._migrate()
        except BaseException:
            engine.dispose()
            raise
        return records

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect().execution_options(writes=writes) as connection, connection.begin():
                yield connection
        except sa.exc.DBAPIError as error:
            raise _told(error, self._where) from error

    def _migrate(self) -> None:
        with self._transaction(writes=False) as connection:
            known = sa.inspect(connection).has_table("alembic_version")
            step = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() if known else None
        if step == HEAD:
            return
        import logging

        from alembic import command
        from alembic.config import Config
        from alembic.util.exc import CommandError

        logging.getLogger("alembic").setLevel(logging.WARNING)
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        try:
            with self._transaction(writes=True) as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except CommandError as error:
            found = f"the records were written by another version of Greywater: {error}"
            raise StoreError(found, where=self._where, mend="use the newest version of Greywater") from None
        database = self._engine.url.database
        if self._engine.dialect.name == "sqlite" and database and Path(database).exists():
            folder = os.open(Path(database).resolve().parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def audit(
        self, actor: Actor, action: str, object: str, outcome: str, detail: Mapping[str, Any] | None = None
    ) -> int:
        """Write who did what to which thing and how it ended (`done`, `refused`, `failed`)."""
        row = {
            "at_us": now_us(), "principal": actor.principal, "role": actor.role, "credential": actor.credential,
            "action": action, "object": object, "outcome": outcome, "detail": canonical_json(dict(detail or {})),
        }  # fmt: skip
        with self._transaction(writes=True) as connection:
            key = connection.execute(_AUDIT.insert().values(row).returning(_AUDIT.c.id)).scalar_one()
        return int(key)

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
    ) -> str:
        """Write that a run began; returns its id."""
        run_id = new_run_id()
        row = {
            "id": run_id, "project": actor.project, "principal": actor.principal, "command": command,
            "started_us": now_us(), "parameters": canonical_json(dict(parameters or {})),
            "versions": canonical_json(dict(versions or {})),
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
                summary=None if row["summary"] is None else json.loads(row["summary"]),
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
        findings = []
        if self._engine.dialect.name == "sqlite":
            with self._transaction(writes=False) as connection:
                told = connection.exec_driver_sql("PRAGMA quick_check").scalars().all()
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            if told != ["ok"]:
                findings.append(Finding(self._where, f"the database is damaged: {told[0]}", "restore a backup"))
            if broken:
                findings.append(
                    Finding(self._where, f"{len(broken)} rows refer to nothing", "restore records.sqlite from a backup")
                )
        for run in self.runs():
            for record in self.alerts(run.id):
                findings.extend(alert_findings(record))
        return findings
