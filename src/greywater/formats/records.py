"""Readers of the records beside the payments: labels, accounts, parties, relationships, seeds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.formats.layout import FALSE_WORDS, TRUE_WORDS
from greywater.formats.patterns import typology_name
from greywater.formats.sidefile import SideFile
from greywater.vocab import ACCOUNT_SCHEMA, LABEL_SCHEMA, PARTY_SCHEMA, RELATIONSHIP_SCHEMA, SEED_SCHEMA

__all__ = [
    "LABELS_READ_SCHEMA",
    "RecordsRead",
    "read_accounts",
    "read_labels",
    "read_parties",
    "read_relationships",
    "read_seeds",
]

#: LABEL_SCHEMA with a nullable known_since: the caller fills it (SEMANTICS: Other records).
LABELS_READ_SCHEMA: Final = pa.schema(
    [field.with_nullable(True) if field.name == "known_since" else field for field in LABEL_SCHEMA]
)

_ACCOUNT: Final = ("account", "account_id", "acct_id", "accountid", "account_number", "acct", "iban")
_CUSTOMER: Final = ("customer", "customer_id", "customerid", "party", "party_id", "entity_id", "dsply_nm")
_KNOWN_SINCE: Final = ("known_since", "known_at", "known_time", "known", "reported")

_LABELS: Final = {
    "tx_id": ("tx_id", "txid", "transaction_id", "transaction", "payment_id", "tran_id"),
    "account": _ACCOUNT,
    "label": ("label", "is_laundering", "is_sar", "issar", "laundering", "sar"),
    "typology": ("typology", "alert_type", "pattern"),
    "known_since": _KNOWN_SINCE,
    "model": ("modelid",),
    "model_type": ("type",),
}
_ACCOUNTS: Final = {
    "account": _ACCOUNT,
    "customer": _CUSTOMER,
    "bank": ("bank", "bank_id", "bankid"),
    "opened": ("opened", "opening_date", "opened_at", "open_date"),
    "known_since": _KNOWN_SINCE,
    "bank_name": ("bank_name",),
    "entity": ("entity_id",),
}
_PARTIES: Final = {
    "customer": _CUSTOMER,
    "name": ("name", "customer_name", "party_name", "entity_name"),
    "kind": ("kind", "customer_type", "party_type", "type"),
    "country": ("country", "country_code", "residence"),
    "known_since": _KNOWN_SINCE,
    "first_name": ("first_name",),
    "last_name": ("last_name",),
    "entity": ("entity_id",),
}
_RELATIONSHIPS: Final = {
    "from_customer": ("from_customer", "from", "source", "from_party", "customer_1"),
    "to_customer": ("to_customer", "to", "target", "to_party", "customer_2"),
    "kind": ("kind", "relation", "relationship", "type", "role"),
    "share": ("share", "percentage", "percent", "holding"),
    "valid_from": ("valid_from", "from_date", "start", "since"),
    "valid_to": ("valid_to", "to_date", "end", "until"),
    "known_since": _KNOWN_SINCE,
}
_SEEDS: Final = {
    "account": _ACCOUNT,
    "customer": _CUSTOMER,
    "reason": ("reason", "why", "note", "source"),
    "known_since": _KNOWN_SINCE,
}

_PERSONS: Final = frozenset({"person", "individual", "i", "p", "natural", "natural_person"})
_COMPANIES: Final = frozenset(
    {"company", "organization", "organisation", "o", "c", "legal", "legal_person", "business"}
)
_ENTITY_KINDS: Final = {"individual": "person", "corporation": "company", "partnership": "company"}
_SHARE: Final = re.compile(r"\+?(\d{1,15}(?:\.\d{0,17})?|\.\d{1,17}) ?(%?)")


@dataclass(frozen=True)
class RecordsRead:
    """What a file of side records held.

    Parameters
    ----------
    rows : pa.Table
        With the schema of its kind (vocab); `after_seq` is -1, and `known_since` is null where the file gives no
        date: whoever records the rows fills both.
    rejected : pa.Table
        REJECTED_SCHEMA: rows that could not be used.
    repeated : int
        Rows that said again, word for word, what an earlier row of the file had said (accounts and parties).
    """

    rows: pa.Table
    rejected: pa.Table
    repeated: int = 0


def read_labels(path: Path | str) -> RecordsRead:
    """Read labels of payments or accounts.

    Own columns: `tx_id` or `account`, `label` (0/1, true/false, yes/no), `typology`, `known_since`. Also AMLSim's
    alert_transactions, alert_accounts and sar_accounts, and AMLGentex's alert_models, where every account is a
    laundering one. Where a row names both a payment and an account, the label is the payment's.

    Parameters
    ----------
    path : Path or str
        CSV or Parquet.

    Returns
    -------
    RecordsRead
        Rows of LABELS_READ_SCHEMA: LABEL_SCHEMA whose `known_since` may be null. Typologies are spelled as
        `typology_name` does.

    Raises
    ------
    InputError
        Nothing useful can be read; the message names the columns looked for.

    Notes
    -----
    AMLSim's EVENT_DATE is the day of the payment, not of the discovery: it is not taken for `known_since`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels.csv"
    >>> _ = path.write_text("tx_id,label,typology\\nT1,1,FAN_IN\\nT2,maybe,\\n")
    >>> read = read_labels(path)
    >>> read.rows["typology"].to_pylist(), read.rejected["reason"].to_pylist()
    (['fan-in'], ['label_unreadable'])
    """
    file = SideFile(path, _LABELS)
    if not file.has("tx_id"):
        file.need("account", what="a labels file without tx_id")
    all_laundering = file.has("model") and not file.has("label")
    if not all_laundering:
        file.need("label", what="a labels file")
    tx_id, account = file.text("tx_id"), file.text("account")
    has_tx = tx_id.is_valid()
    _missing(file, pc.and_(pc.invert(has_tx), account.is_null()), "tx_id" if file.has("tx_id") else "account")
    label = pa.array(np.ones(len(file.row), dtype=np.int8)) if all_laundering else _label(file)
    typology = _mapped(file.text("model_type" if all_laundering else "typology"), typology_name)
    columns = {
        "tx_id": tx_id,
        "account": pc.if_else(has_tx, pa.scalar(None, pa.string()), account),
        "label": label,
        "typology": pc.if_else(pc.equal(label, 1), typology, pa.scalar(None, pa.string())),
        "known_since": file.times("known_since"),
    }
    return _read(file, columns, LABELS_READ_SCHEMA)


def _label(file: SideFile) -> pa.Array:
    """1 or 0; rows that say neither are set aside."""
    words = pc.utf8_lower(pc.fill_null(file.text("label"), ""))
    yes = pc.is_in(words, value_set=pa.array(sorted(TRUE_WORDS | {"1.0"})))
    no = pc.is_in(words, value_set=pa.array(sorted(FALSE_WORDS | {"0.0"})))
    found, mend = "the label is neither 0 nor 1", "write 1 for laundering and 0 for not; leave out what is unknown"
    file.reject(pc.invert(pc.or_(yes, no)), "label", "label_unreadable", found, mend)
    return yes.cast(pa.int8())


def read_accounts(path: Path | str) -> RecordsRead:
    """Read whose the accounts are.

    Own columns: `account`, `customer`, `bank`, `opened`. Also AMLSim's and AMLGentex's accounts tables and AMLworld's
    *_accounts.csv, whose accounts become `<bank id without leading zeros>:<account number>` as in its payments.
    Columns that give laundering away (prior_sar_count, IS_SAR) are not read.

    Parameters
    ----------
    path : Path or str
        CSV or Parquet.

    Returns
    -------
    RecordsRead
        Rows of ACCOUNT_SCHEMA, each account once; a second row that says otherwise is rejected.

    Raises
    ------
    InputError
        Nothing useful can be read; the message names the columns looked for.
    """
    file = SideFile(path, _ACCOUNTS)
    file.need("account", what="an accounts file")
    account, bank = file.text("account"), file.text("bank")
    _missing(file, account.is_null(), "account")
    if _is_amlworld(file):
        found, mend = "the bank is missing", "name the bank of every account, as accounts are told apart by it"
        file.reject(bank.is_null(), "bank", "bank_missing", found, mend)
        bank = _without_zeros(bank)
        account = pc.binary_join_element_wise(bank, account, ":")
    columns = {
        "account": account,
        "customer": file.text("customer"),
        "bank": bank,
        "opened": file.times("opened"),
        "known_since": file.times("known_since"),
    }
    return _read(file, columns, ACCOUNT_SCHEMA, key="account")


def read_parties(path: Path | str) -> RecordsRead:
    """Read who the customers are.

    Own columns: `customer`, `name`, `kind` (person, company, ...), `country`. Also the accounts tables of AMLSim
    (first and last name), AMLGentex and AMLworld (Entity ID, Entity Name), from which each customer is taken once.

    Parameters
    ----------
    path : Path or str
        CSV or Parquet.

    Returns
    -------
    RecordsRead
        Rows of PARTY_SCHEMA, each customer once; a second row that says otherwise is rejected.

    Raises
    ------
    InputError
        Nothing useful can be read; the message names the columns looked for.
    """
    file = SideFile(path, _PARTIES)
    file.need("customer", what="a parties file")
    customer, name = file.text("customer"), file.text("name")
    _missing(file, customer.is_null(), "customer")
    if not file.has("name") and file.has("first_name") and file.has("last_name"):
        name = pc.binary_join_element_wise(file.text("first_name"), file.text("last_name"), " ")
    kind = _mapped(file.text("kind"), _party_kind)
    if file.has("entity") and not file.has("kind"):
        kind = _mapped(name, _entity_kind)
    columns = {
        "customer": customer,
        "name": name,
        "kind": kind,
        "country": pc.utf8_upper(file.text("country")),
        "known_since": file.times("known_since"),
    }
    return _read(file, columns, PARTY_SCHEMA, key="customer")


def read_relationships(path: Path | str) -> RecordsRead:
    """Read relations between customers.

    Columns: `from_customer`, `to_customer`, `kind` (partner, shareholder, beneficial_owner, legal_representative,
    signatory, relative, director, ...), `share` (0 to 1, or with a % sign 0 to 100), `valid_from`, `valid_to`.

    Parameters
    ----------
    path : Path or str
        CSV or Parquet.

    Returns
    -------
    RecordsRead
        Rows of RELATIONSHIP_SCHEMA. A relation without an end, from a customer to itself, with a share outside 0 to
        1, or one that ends before it begins, is rejected.

    Raises
    ------
    InputError
        Nothing useful can be read; the message names the columns looked for.
    """
    file = SideFile(path, _RELATIONSHIPS)
    file.need("from_customer", "to_customer", "kind", what="a relationships file")
    source, target = file.text("from_customer"), file.text("to_customer")
    kind = _mapped(file.text("kind"), lambda text: typology_name(text).replace("-", "_"))
    for name, column in (("from_customer", source), ("to_customer", target), ("kind", kind)):
        _missing(file, column.is_null(), name)
    found, mend = "a customer is related to itself", "name two different customers"
    file.reject(pc.fill_null(pc.equal(source, target), False), "to_customer", "self_relation", found, mend)
    share = _shares(file)
    valid_from, valid_to = file.times("valid_from"), file.times("valid_to")
    backwards = pc.fill_null(pc.less(valid_to, valid_from), False)
    found, mend = "the relation ends before it begins", "let valid_to be at or after valid_from, or leave one blank"
    file.reject(backwards, "valid_to", "ends_before_it_begins", found, mend)
    columns = {
        "from_customer": source,
        "to_customer": target,
        "kind": kind,
        "share": share,
        "valid_from": valid_from,
        "valid_to": valid_to,
        "known_since": file.times("known_since"),
    }
    return _read(file, columns, RELATIONSHIP_SCHEMA)


def read_seeds(path: Path | str) -> RecordsRead:
    """Read confirmed launderers.

    Columns: `account` or `customer` (or both), `reason`, `known_since`.

    Parameters
    ----------
    path : Path or str
        CSV or Parquet.

    Returns
    -------
    RecordsRead
        Rows of SEED_SCHEMA.

    Raises
    ------
    InputError
        Nothing useful can be read; the message names the columns looked for.
    """
    file = SideFile(path, _SEEDS)
    if not file.has("customer"):
        file.need("account", what="a seeds file without customer")
    account, customer = file.text("account"), file.text("customer")
    _missing(file, pc.and_(account.is_null(), customer.is_null()), "account" if file.has("account") else "customer")
    columns = {
        "account": account,
        "customer": customer,
        "reason": file.text("reason"),
        "known_since": file.times("known_since"),
    }
    return _read(file, columns, SEED_SCHEMA)


def _read(file: SideFile, columns: dict[str, pa.Array], schema: pa.Schema, key: str = "") -> RecordsRead:
    columns["after_seq"] = pa.array(np.full(len(file.row), -1, dtype=np.int64))
    repeated = _once(file, columns, key) if key else np.zeros(len(file.row), dtype=np.bool_)
    count = int((repeated & file.kept).sum())
    file.kept &= ~repeated
    return RecordsRead(file.table(columns, schema), file.rejected(), count)


def _once(file: SideFile, columns: dict[str, pa.Array], key: str) -> NDArray[np.bool_]:
    """Which rows repeat an earlier one; rows that contradict an earlier one of the same key are set aside."""
    positions = np.flatnonzero(file.kept)
    keys = columns[key].take(pa.array(positions))
    if pc.count_distinct(keys).as_py() == len(positions):
        return np.zeros(len(file.row), dtype=np.bool_)
    first: dict[str, int] = {}
    rows = list(zip(*(column.cast(pa.string()).to_pylist() for column in columns.values()), strict=True))
    repeated, contrary = (np.zeros(len(file.row), dtype=np.bool_) for _ in range(2))
    for position, name in zip(positions.tolist(), keys.to_pylist(), strict=True):
        earlier = first.setdefault(name, position)
        repeated[position] = earlier != position and rows[earlier] == rows[position]
        contrary[position] = rows[earlier] != rows[position]
    found, mend = f"an earlier row says otherwise of the same {key}", "keep the row that is right"
    file.reject(contrary, key, "conflict", found, mend)
    return repeated


def _missing(file: SideFile, mask: Any, name: str) -> None:
    file.reject(mask, name, f"{name}_missing", f"the {name} is missing", "fill it in, or leave the row out")


def _mapped(column: pa.Array, spelled: Any) -> pa.Array:
    """Each distinct text respelled; nulls stay."""
    coded = column.dictionary_encode()
    names = pa.array([spelled(name) for name in coded.dictionary.to_pylist()], pa.string())
    return names.take(coded.indices)


def _party_kind(text: str) -> str:
    word = text.strip().lower().replace(" ", "_").replace("-", "_")
    return "person" if word in _PERSONS else "company" if word in _COMPANIES else word


def _entity_kind(name: str) -> str | None:
    """AMLworld tells the kind by the first word of the name: "Corporation #3", "Sole Proprietorship #7"."""
    kind = name.split("#")[0].strip().lower()
    return _ENTITY_KINDS.get(kind, kind.replace(" ", "_") or None)


def _is_amlworld(file: SideFile) -> bool:
    """Whether these are AMLworld's accounts: bank name and bank id, account number, entity id."""
    return file.has("bank_name") and file.has("entity")


def _without_zeros(bank: pa.Array) -> pa.Array:
    stripped = pc.utf8_ltrim(bank, "0")
    return pc.if_else(pc.equal(stripped, ""), "0", stripped)


def _shares(file: SideFile) -> pa.Array:
    texts: Sequence[str | None] = file.text("share").to_pylist()
    values = np.full(len(texts), np.nan)
    bad = np.zeros(len(texts), dtype=np.bool_)
    for position, text in enumerate(texts):
        if text is not None:
            match = _SHARE.fullmatch(text)
            value = float(match[1]) / (100.0 if match[2] else 1.0) if match else -1.0
            values[position] = value
            bad[position] = not 0.0 <= value <= 1.0
    found, mend = "the share is no number from 0 to 1", "write 0.25 or 25%, with a point; leave it blank where unknown"
    file.reject(bad, "share", "share_out_of_range", found, mend)
    return pa.array(values, mask=np.isnan(values) | bad)
