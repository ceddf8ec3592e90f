"""What became of alerts, recorded as labels of the payments that raised them and as confirmed launderers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from greywater.app.audit import audited
from greywater.app.file_log import file_digest
from greywater.app.seeds import known_customers
from greywater.app.side_records import SideRecords, record_side_records
from greywater.app.wiring import Project, open_project
from greywater.config import Settings
from greywater.errors import EmptyInputError, StoreError
from greywater.formats.alert_files import read_alerts
from greywater.stores.record_rows import AlertRecord
from greywater.vocab import LABEL_SCHEMA, SEED_SCHEMA, Actor

__all__ = ["Dispositions", "record_dispositions"]


@dataclass(frozen=True)
class Dispositions:
    """What a file of closed alerts said.

    Parameters
    ----------
    reported, dismissed, undecided : int
        Alerts by their outcome.
    labels, seeds : int
        Labels and confirmed launderers that they are.
    known : bool
        The file was recorded before; nothing was added.
    """

    reported: int
    dismissed: int
    undecided: int
    labels: int
    seeds: int
    known: bool


def record_dispositions(actor: Actor, settings: Settings, path: Path, *, wait: float = 0.0) -> Dispositions:
    """Record the outcomes of alerts of this project, or of another system.

    The payment that raised an alert of this project is labelled 1 where it was reported and 0 where it was dismissed;
    where the project labels accounts only, the account is. Whoever was reported is a confirmed launderer from then on,
    of this project's alerts or of others: a seed of Anti-TrustRank. Outcomes are known since they were decided.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `ingest`.
    settings : Settings
    path : Path
        Closed alerts, as `greywater seeds import --alerts` reads them.
    wait : float
        Seconds to wait for another writer.

    Raises
    ------
    AccessDeniedError
        The actor may not.
    InputError
        The file cannot be read, or none of its alerts is decided.
    """
    with audited(settings, actor, "ingest", f"dispositions of {path.name}") as detail:
        read = read_alerts(path, need=("alert_id",))
        with open_project(settings, actor, write=True, wait=wait) as project:
            labels, seeds = _rows(project, read.rows)
            outcome = read.rows["outcome"]
            counts = {value: pc.sum(pc.equal(outcome, value)).as_py() or 0 for value in (0, 1)}
            if not any(counts.values()):
                raise EmptyInputError(
                    "none of the alerts is decided",
                    where=str(path),
                    mend="give alerts with an outcome: reported or dismissed",
                )
            digest, nothing = file_digest(path), read.rejected.slice(0, 0)
            told = [
                record_side_records(project, SideRecords(table, path.name, f"{digest}-dispositions", rows, refused))
                for table, rows, refused in (("labels", labels, read.rejected), ("seeds", seeds, nothing))
                if rows.num_rows
            ]
        detail.update(labels=labels.num_rows, seeds=seeds.num_rows)
    known = bool(told) and all(one.known for one in told)
    undecided = read.rows.num_rows - sum(counts.values())
    return Dispositions(counts[1], counts[0], undecided, labels.num_rows, seeds.num_rows, known)


def _rows(project: Project, alerts: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Labels and seeds that decided alerts are."""
    by_account, customers = _by_account(project), set(known_customers(project).to_pylist())
    labels: list[dict[str, Any]] = []
    seeds: list[dict[str, Any]] = []
    for row in alerts.to_pylist():
        if row["outcome"] is None:
            continue
        alert = _own(project, row["alert_id"])
        party = row["party"] if alert is None else alert.entity
        is_customer = party in customers if alert is None else alert.kind == "customer"
        known = {"known_since": row["decided"], "after_seq": -1}
        if alert is not None and not by_account and alert.evidence:
            labels.append(known | {"tx_id": alert.evidence[0][0], "label": row["outcome"]})
        elif by_account and party is not None and not is_customer:
            labels.append(known | {"account": party, "label": row["outcome"]})
        if row["outcome"] == 1 and party is not None:
            who = {"customer" if is_customer else "account": party}
            seeds.append(known | who | {"reason": f"alert {row['alert_id']}: reported"})
    return _table(labels, LABEL_SCHEMA), _table(seeds, SEED_SCHEMA)


def _by_account(project: Project) -> bool:
    """Whether the project labels accounts only."""
    table = project.tables.read("labels", ["tx_id", "account"])
    return table is not None and table["tx_id"].null_count == table.num_rows and table.num_rows > 0


def _own(project: Project, alert_id: str) -> AlertRecord | None:
    try:
        return project.records.alert(alert_id)
    except StoreError:
        return None


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows in the columns of a schema; dates may be missing until they are recorded."""
    loose = pa.schema([field.with_nullable(True) for field in schema])
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], loose)
