"""The use cases of confirmed launderers: taken from past reports or closed alerts, and listed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from greywater.app.audit import audited
from greywater.app.file_log import file_digest
from greywater.app.side_records import SideOutcome, SideRecords, record_side_records
from greywater.app.wiring import Project, open_project
from greywater.config import Settings
from greywater.errors import EmptyInputError
from greywater.formats.alert_files import read_alerts
from greywater.formats.records import read_seeds
from greywater.vocab import SEED_SCHEMA, Actor

__all__ = ["SeedRow", "import_seeds", "known_customers", "list_seeds"]

_DAY_US: Final = 86_400_000_000
_MOMENT: Final = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class SeedRow:
    """A confirmed launderer as it is recorded.

    Parameters
    ----------
    account, customer : str or None
        One of them at least.
    reason : str or None
        Why.
    known_since : datetime
        From when on.
    after_seq : int
        Payments after this one see it.
    """

    account: str | None
    customer: str | None
    reason: str | None
    known_since: datetime | None
    after_seq: int


def import_seeds(
    actor: Actor, settings: Settings, path: Path, *, alerts: bool = False, wait: float = 0.0
) -> SideOutcome:
    """Record confirmed launderers of a file.

    Parameters
    ----------
    actor : Actor
        Who asks; must be allowed to `ingest`.
    settings : Settings
        Store and project.
    path : Path
        Past reports: `account` or `customer`, `reason`, `known_since`. With `alerts`, closed alerts.
    alerts : bool
        The file lists alerts and their outcomes: the parties of the reported ones are confirmed.
    wait : float
        Seconds to wait for another writer.

    Returns
    -------
    SideOutcome

    Raises
    ------
    AccessDeniedError
        The actor may not.
    InputError
        The file cannot be read as what it was given for, or none of its alerts was reported.
    StoreError
        The store is locked, full or damaged.

    Notes
    -----
    SEMANTICS: Other records. A reported alert is known from when it was decided; without that date,
    `label_delay_days` after it was raised; without any date from the latest payment on. A party is taken for a
    customer where the project knows such a customer, else for an account. The same file again adds nothing.
    """
    with audited(settings, actor, "ingest", f"seeds of {path.name}") as detail:
        read = None if alerts else read_seeds(path)
        closed = read_alerts(path, need=("alert_id", "party", "outcome")) if alerts else None
        with open_project(settings, actor, write=True, wait=wait) as project:
            if read is not None:
                rows, rejected = read.rows, read.rejected
            else:
                assert closed is not None
                rows, rejected = _reported(project, closed.rows, path), closed.rejected
            outcome = record_side_records(project, SideRecords("seeds", path.name, file_digest(path), rows, rejected))
        detail.update(seeds=outcome.rows, rejected=outcome.rejected, known=outcome.known)
    return outcome


def list_seeds(actor: Actor, settings: Settings) -> list[SeedRow]:
    """The confirmed launderers of a project, in the order they were recorded.

    Parameters
    ----------
    actor : Actor
        Who asks; must be allowed to `read_labels`.
    settings : Settings
        Store and project.

    Returns
    -------
    list of SeedRow

    Raises
    ------
    AccessDeniedError
        The actor may not.
    StoreError
        There is no such project.
    """
    with audited(settings, actor, "read_labels", "seeds") as detail, open_project(settings, actor) as project:
        table = project.tables.read("seeds")
        rows = [] if table is None else [SeedRow(**row) for row in table.to_pylist()]
        detail.update(seeds=len(rows))
    return rows


def _reported(project: Project, alerts: pa.Table, path: Path) -> pa.Table:
    """Seeds of the alerts that were reported, with the schema of seeds."""
    found = alerts.filter(pc.fill_null(pc.equal(alerts["outcome"], 1), False))
    if not found.num_rows:
        raise EmptyInputError(
            "none of the alerts was reported", where=str(path),
            mend="give alerts whose outcome column says reported, or past reports without --alerts",
        )  # fmt: skip
    party = found["party"].combine_chunks()
    is_customer = pc.is_in(party, value_set=known_customers(project))
    nothing = pa.nulls(len(party), pa.string())
    delay = project.settings.label_delay_days * _DAY_US
    raised = pc.add(found["time"].cast(pa.int64()), delay).cast(_MOMENT)
    words = ("alert ", found["alert_id"], pc.fill_null(pc.binary_join_element_wise(": ", found["rule"], ""), ""))
    columns = {
        "account": pc.if_else(is_customer, nothing, party),
        "customer": pc.if_else(is_customer, party, nothing),
        "reason": pc.binary_join_element_wise(*words, ""),
        "known_since": pc.coalesce(found["decided"], raised),
        "after_seq": pa.array([-1] * found.num_rows, pa.int64()),
    }
    return pa.table([columns[name] for name in SEED_SCHEMA.names], schema=SEED_SCHEMA)


def known_customers(project: Project) -> pa.Array:
    """Every customer that the project knows."""
    known = [project.tables.read(name, ["customer"]) for name in ("accounts", "parties")]
    names = {name for table in known if table is not None for name in table["customer"].to_pylist()}
    return pa.array(sorted(names - {None}), pa.string())
