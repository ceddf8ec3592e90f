"""Records labels, accounts, parties, relationships, seeds and attributes, each with the moment it is known from."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.app.attributes import code_attributes
from greywater.app.file_log import file_digest
from greywater.app.known import UNKNOWN, Horizons, accounts_last_paid, payments_dated
from greywater.app.wiring import Project
from greywater.errors import UsageError
from greywater.formats.attributes import AttributesRead, read_attributes
from greywater.formats.records import (
    RecordsRead,
    read_accounts,
    read_labels,
    read_parties,
    read_relationships,
    read_seeds,
)
from greywater.vocab import (
    ACCOUNT_SCHEMA,
    ATTRIBUTE_SCHEMA,
    LABEL_SCHEMA,
    PARTY_SCHEMA,
    RELATIONSHIP_SCHEMA,
    SEED_SCHEMA,
    Int64Array,
)

__all__ = ["SIDE_TABLES", "SideOutcome", "SideRecords", "read_side_records", "record_side_records"]

_DAY_US: Final = 86_400_000_000
_MOMENT: Final = pa.timestamp("us", tz="UTC")

#: Where relationships name customers.
_ENDS: Final = (("relationships", "from_customer"), ("relationships", "to_customer"))

#: Table -> its schema, its reader, and the column that stands in for a missing known_since ("" = none).
SIDE_TABLES: Final[dict[str, tuple[pa.Schema, Callable[[Path], RecordsRead | AttributesRead], str]]] = {
    "labels": (LABEL_SCHEMA, read_labels, ""),
    "accounts": (ACCOUNT_SCHEMA, read_accounts, "opened"),
    "parties": (PARTY_SCHEMA, read_parties, ""),
    "relationships": (RELATIONSHIP_SCHEMA, read_relationships, "valid_from"),
    "seeds": (SEED_SCHEMA, read_seeds, ""),
    "attributes": (ATTRIBUTE_SCHEMA, read_attributes, ""),
}


@dataclass(frozen=True)
class SideRecords:
    """A file of side records, read and not yet recorded.

    Parameters
    ----------
    table : str
        One of `SIDE_TABLES`.
    name : str
        Base name of the file.
    sha256 : str
        Of its bytes.
    rows, rejected : pa.Table
        As the reader gave them.
    protected : frozenset of str
        Attributes to be marked as protected.
    """

    table: str
    name: str
    sha256: str
    rows: pa.Table
    rejected: pa.Table
    protected: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SideOutcome:
    """What became of a file of side records.

    Parameters
    ----------
    table, name : str
        Where it went and the base name of the file.
    rows, rejected : int
        Rows that could be used and rows set aside.
    unmatched : int
        Labels whose payment or account is not in the ledger; seeds that name nobody whom the project knows.
    undated : int
        Seeds without a date, and values of attributes: they are known from now on.
    known : bool
        True where the same bytes had been recorded before; nothing was added then.
    """

    table: str
    name: str
    rows: int
    rejected: int
    unmatched: int = 0
    undated: int = 0
    known: bool = False


def read_side_records(paths: dict[str, Path | None], *, protected: Collection[str] = ()) -> list[SideRecords]:
    """Read the files of side records that were given.

    Parameters
    ----------
    paths : dict
        Table -> file, None where there is none.
    protected : collection of str
        Attributes that only fairness reports may use.

    Returns
    -------
    list of SideRecords

    Raises
    ------
    InputError
        A file cannot be read as what it was given for.
    UsageError
        A protected attribute is not in the file of attributes.
    """
    if protected and paths.get("attributes") is None:
        raise UsageError(
            "attributes are marked as protected where they are given",
            where="--protected",
            mend="add --attributes FILE; a file that is recorded already may be given again",
        )
    found = []
    for table, (_, reader, _) in SIDE_TABLES.items():
        path = paths.get(table)
        if path is None:
            continue
        read = reader(path) if table != "attributes" else read_attributes(path, protected=protected)
        marked = read.protected if isinstance(read, AttributesRead) else frozenset[str]()
        found.append(SideRecords(table, path.name, file_digest(path), read.rows, read.rejected, marked))
    return found


def record_side_records(project: Project, records: SideRecords) -> SideOutcome:
    """Record one file, in one commit that a second call with the same bytes does not repeat.

    Parameters
    ----------
    project : Project
        Open for writing; its payments are recorded already.
    records : SideRecords
        What was read.

    Returns
    -------
    SideOutcome

    Notes
    -----
    SEMANTICS: Other records. A missing date is filled so that nothing is known too early: a label is known
    `label_delay_days` after its payment (of an account: its last one; of something the ledger does not know: after
    the latest payment), a seed from the latest payment on. Accounts count from their opening, relationships from
    `valid_from`; parties, and accounts and relationships without any date, are standing data and known from the start.
    Values of attributes without a date count from the latest payment on, as seeds do.
    """
    schema, _, stand_in = SIDE_TABLES[records.table]
    rows, rejected = records.rows, records.rejected
    if records.table == "attributes":
        rows, refused = code_attributes(project.tables, rows, file=records.name, protected=records.protected)
        rejected = pa.concat_tables([rejected, refused])
    unmatched = undated = 0
    moments = _moments(rows["known_since"])
    if records.table == "labels":
        moments, unmatched = _labels_known_since(project, rows, moments)
    elif records.table in ("seeds", "attributes"):
        undated = int((moments == UNKNOWN).sum())
        moments = np.where(moments == UNKNOWN, _latest(project), moments)
        unmatched = _strangers(project, rows) if records.table == "seeds" else 0
    elif stand_in:
        moments = np.where(moments == UNKNOWN, _moments(rows[stand_in]), moments)
    after = _after_seq(project, moments)
    known_since = pa.array(moments, mask=moments == UNKNOWN, type=pa.int64()).cast(_MOMENT)
    columns = {**{name: rows[name] for name in rows.column_names}, "known_since": known_since, "after_seq": after}
    table = pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
    added = True
    if table.num_rows:
        added = project.tables.append(records.table, table, transaction=f"{records.table}/{records.sha256}")
    if rejected.num_rows:
        project.tables.append("rejected", rejected, transaction=f"rejected/{records.table}/{records.sha256}")
    return SideOutcome(
        records.table, records.name, rows.num_rows, rejected.num_rows, unmatched, undated, known=not added
    )


def _moments(column: pa.ChunkedArray) -> Int64Array:
    """Microseconds since 1970, `UNKNOWN` where null."""
    return np.asarray(column.cast(_MOMENT).cast(pa.int64()).fill_null(UNKNOWN).to_numpy(), dtype=np.int64)


def _latest(project: Project) -> int:
    """H: the greatest event time recorded, the moment of recording in event time; 1970 for an empty ledger."""
    return project.ledger.horizon or 0


def _labels_known_since(project: Project, rows: pa.Table, moments: Int64Array) -> tuple[Int64Array, int]:
    """Known_since of each label, and how many name a payment or account the ledger does not know."""
    tx_ids, accounts = (rows[name].combine_chunks() for name in ("tx_id", "account"))
    dated = payments_dated(project.ledger, tx_ids)
    has_account = accounts.is_valid().to_numpy(zero_copy_only=False)
    if has_account.any():
        dated = np.maximum(dated, accounts_last_paid(project.ledger, accounts))
    unmatched = int((dated == UNKNOWN).sum())
    dated = np.where(dated == UNKNOWN, _latest(project), dated)
    delayed = dated + project.settings.label_delay_days * _DAY_US
    return np.where(moments == UNKNOWN, delayed, moments), unmatched


def _strangers(project: Project, seeds: pa.Table) -> int:
    """How many seeds name neither an account that ever paid, was paid or is recorded, nor a recorded customer."""
    accounts, customers = (seeds[name].combine_chunks() for name in ("account", "customer"))
    met = accounts_last_paid(project.ledger, accounts) != UNKNOWN
    for given, places in (
        (accounts, (("accounts", "account"),)),
        (customers, (("accounts", "customer"), ("parties", "customer"), *_ENDS)),
    ):
        for table, column in places:
            rows = project.tables.read(table, [column])
            if rows is not None:
                known = pc.is_in(given, value_set=rows[column].combine_chunks(), skip_nulls=True)
                met |= known.to_numpy(zero_copy_only=False)
    return int((~met).sum())


def _after_seq(project: Project, moments: Int64Array) -> Int64Array:
    """After_seq of each record; -1, known from the start, where it has no date."""
    order = np.argsort(moments, kind="stable")
    answers = np.empty(len(moments), dtype=np.int64)
    answers[order] = Horizons(project.ledger).after_seq(moments[order])
    return answers
