"""The use case that verifies a project: files against their hashes, order, counts, frozen alerts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pyarrow.compute as pc

from greywater.app.audit import audited
from greywater.app.file_log import complete_files, file_rows
from greywater.app.keeping import check_kept
from greywater.app.side_records import SIDE_TABLES
from greywater.app.wiring import Project, open_project
from greywater.config import Settings
from greywater.errors import StoreDamagedError, StoreError
from greywater.stores.feature_records import FeatureRecords
from greywater.stores.lock import WriterLock
from greywater.stores.open import open_offline
from greywater.stores.ports import Finding
from greywater.stores.run_log import RunLog
from greywater.vocab import Actor, Progress

__all__ = ["CheckResult", "check"]


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Parameters
    ----------
    findings : tuple of Finding
        What is wrong, and how to mend each; empty where all is well.
    payments : int
        Payments in the ledger.
    files : int
        Payment files recorded whole.
    rejected : int
        Rows set aside.
    alerts : int
        Alerts raised in all runs.
    records : dict
        Rows per table of side records.
    """

    findings: tuple[Finding, ...]
    payments: int
    files: int
    rejected: int
    alerts: int
    records: dict[str, int]


def check(actor: Actor, settings: Settings, progress: Progress | None = None, *, wait: float = 0.0) -> CheckResult:
    """Verify the project that the settings name, and change nothing.

    Parameters
    ----------
    actor : Actor
        Who asks; must be allowed to `check`.
    settings : Settings
        Store and project.
    progress : Progress, optional
        Told how far it is.
    wait : float
        Seconds to wait for a writer: while one is at work the counts cannot agree.

    Returns
    -------
    CheckResult

    Raises
    ------
    AccessDeniedError
        The actor may not.
    StoreError
        There is no such project. One that is too damaged to be opened is a finding.
    StoreLockedError
        A writer is at work.
    """
    with audited(settings, actor, "check", f"project {settings.project}") as detail:
        try:
            with (
                open_project(settings, actor) as project,
                WriterLock(project.folder, wait_seconds=wait),
            ):
                result = _check(project, progress)
        except StoreDamagedError as error:
            result = CheckResult((Finding(error.where, error.found, error.mend),), 0, 0, 0, 0, {})
        detail.update(findings=len(result.findings), payments=result.payments)
    return result


def _check(project: Project, progress: Progress | None) -> CheckResult:
    findings: list[Finding] = []
    records: dict[str, int] = {}

    def count_rows() -> list[Finding]:
        for name in (*SIDE_TABLES, "rejected"):
            records[name] = sum(batch.num_rows for batch in project.tables.scan(name))
        return []

    steps: tuple[tuple[str, Callable[[], list[Finding]]], ...] = (
        ("verifying payments", project.ledger.check),
        ("verifying other records", project.tables.check),
        ("verifying alerts", project.records.check),
        ("verifying features", lambda: _feature_findings(project)),
        ("verifying kept runs", lambda: check_kept(project.folder)),
        ("verifying files of fits", lambda: RunLog(project.records.database).check(project.folder)),
        ("counting rows", count_rows),
        ("comparing counts", lambda: _count_findings(project)),
        ("comparing order", lambda: _known_findings(project)),
    )
    for name, verify in steps:
        if progress is not None:
            progress.step(name)
        try:
            findings.extend(verify())
        except StoreError as error:
            if error.where not in {finding.where for finding in findings}:
                findings.append(Finding(error.where, error.found, error.mend))
    alerts = 0
    with suppress(StoreError):
        alerts = sum(len(project.records.alerts(run.id)) for run in project.records.runs())
    files = 0
    with suppress(StoreError):
        files = len(complete_files(project.tables))
    return CheckResult(
        findings=tuple(findings),
        payments=project.ledger.next_seq,
        files=files,
        rejected=records.pop("rejected", 0),
        alerts=alerts,
        records=records,
    )


def _feature_findings(project: Project) -> list[Finding]:
    """The feature groups' files, hashed anew, and what the register says of itself."""
    offline = open_offline(f"delta:{project.folder}", read_only=True)
    return [*offline.check(), *FeatureRecords(project.records.database).check()]


def _count_findings(project: Project) -> list[Finding]:
    """The ledger against the files and the interrupted ingests."""
    findings = []
    files = file_rows(project.tables)
    recorded = 0
    for row in files:
        recorded += row["recorded"]
        if row["rows"] != row["recorded"] + row["duplicate"] + row["rejected"] + row["skipped"]:
            findings.append(
                Finding(
                    f"table files, {row['name']}",
                    f"its {row['rows']} rows are not recorded + duplicate + rejected + skipped",
                    "restore the table from a backup of the store",
                )
            )
    ingests, shas = ({row[name] for row in files} for name in ("ingest", "sha256"))
    next_seq = project.ledger.next_seq
    for entry in project.file.unfinished:
        count = entry.recorded(next_seq)
        if entry.ingest in ingests or not count:
            continue
        recorded += count
        if shas.issuperset(entry.shas):
            continue
        findings.append(
            Finding(
                "project.json",
                f"the recording of {', '.join(entry.files)} was interrupted after {count} payments",
                "give the same greywater ingest command again; it goes on where it stopped",
            )
        )
    if recorded != next_seq:
        findings.append(
            Finding(
                "ledger and table files",
                f"the ledger holds {next_seq} payments, the files recorded account for {recorded}",
                "restore the project from a backup, or record the files into a new project",
            )
        )
    return findings


def _known_findings(project: Project) -> list[Finding]:
    """Every side record was recorded after a payment that the ledger holds."""
    findings = []
    for name in SIDE_TABLES:
        latest = max(
            (pc.max(batch.column(0)).as_py() for batch in project.tables.scan(name, ["after_seq"])), default=-1
        )
        if latest is not None and latest >= project.ledger.next_seq:
            findings.append(
                Finding(
                    f"table {name}",
                    f"a row was recorded after payment {latest}, the ledger ends at {project.ledger.next_seq - 1}",
                    "restore the ledger and the table from the same backup",
                )
            )
    return findings
