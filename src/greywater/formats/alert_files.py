"""Reads alerts that another monitoring system raised: id, customer, date, rule and, where decided, the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.formats.sidefile import SideFile
from greywater.formats.times import DAY_US

__all__ = ["ALERT_FILE_SCHEMA", "DISMISSED_WORDS", "OPEN_WORDS", "REPORTED_WORDS", "AlertsRead", "read_alerts"]

#: Outcomes, in lower case, that mean reported, dismissed and not decided yet.
REPORTED_WORDS: Final = (
    "reported", "report", "sar", "str", "sar filed", "str filed", "filed", "suspicious", "true positive", "tp",
    "confirmed", "positive", "yes", "y", "true", "1", "1.0",
)  # fmt: skip
DISMISSED_WORDS: Final = (
    "dismissed", "dismiss", "closed", "not suspicious", "no sar", "false positive", "fp", "cleared", "negative",
    "not reported", "no", "n", "false", "0", "0.0",
)  # fmt: skip
OPEN_WORDS: Final = (
    "open",
    "new",
    "pending",
    "in review",
    "under review",
    "in progress",
    "escalated",
    "unknown",
    "n/a",
)

_SYNONYMS: Final = {
    "alert_id": ("alert_id", "alertid", "alert", "alert_number", "alert_no", "case_id", "id"),
    "party": (
        "customer", "customer_id", "customerid", "party", "party_id", "client", "client_id", "entity", "entity_id",
        "subject", "account", "account_id", "account_number", "accountid",
    ),
    "time": (
        "date", "alert_date", "raised", "raised_at", "alert_time", "created", "created_at", "event_time", "time",
        "timestamp", "datetime",
    ),
    "rule": ("rule", "rule_id", "scenario", "scenario_id", "rule_name", "typology", "alert_type", "type", "model"),
    "outcome": ("outcome", "disposition", "decision", "result", "status", "label", "reported", "sar", "is_sar"),
    "decided": (
        "decided", "decided_at", "outcome_date", "decision_date", "closed_at", "closed_date", "disposition_date",
        "reported_at", "known_since",
    ),
}  # fmt: skip

_MOMENT: Final = pa.timestamp("us", tz="UTC")

#: Alerts as they were read. `outcome`: 1 reported, 0 dismissed, null not decided; `decided`: when that was known.
ALERT_FILE_SCHEMA: Final = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("alert_id", pa.string(), nullable=False),
        pa.field("party", pa.string()),
        pa.field("time", _MOMENT),
        pa.field("rule", pa.string()),
        pa.field("outcome", pa.int8()),
        pa.field("decided", _MOMENT),
    ]
)


@dataclass(frozen=True)
class AlertsRead:
    """What a file of alerts held.

    Parameters
    ----------
    rows : pa.Table
        ALERT_FILE_SCHEMA, in file order; every id once.
    rejected : pa.Table
        REJECTED_SCHEMA: rows set aside, with their reasons.
    whole_days : bool
        Every alert is dated by the day alone.
    has : frozenset of str
        Which of party, time, rule, outcome and decided the file has a column for.
    """

    rows: pa.Table
    rejected: pa.Table
    whole_days: bool
    has: frozenset[str]


def read_alerts(path: Path | str, *, need: Sequence[str] = ("alert_id", "time")) -> AlertsRead:
    """Read alerts of another system, or their outcomes.

    Column names are told by what they are usually called (docs/prioritise.md). A row without an id or a needed value,
    with an id that stood before, or with an outcome that is none of the known words is set aside.

    Parameters
    ----------
    path : Path or str
        CSV (also gzip, UTF-16, any usual separator) or Parquet with a header.
    need : sequence of str
        Names of ALERT_FILE_SCHEMA without which nothing can be done.

    Raises
    ------
    InputError
        The file is missing, empty, damaged, or lacks a needed column; the message names the columns looked for.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "alerts.csv"
    >>> _ = path.write_text("alert_id,customer,date,scenario,disposition\\n1,C7,2024-03-01,fan-in,SAR filed\\n")
    >>> read = read_alerts(path)
    >>> read.rows.select(["alert_id", "party", "rule", "outcome"]).to_pylist(), read.whole_days
    ([{'alert_id': '1', 'party': 'C7', 'rule': 'fan-in', 'outcome': 1}], True)
    """
    file = SideFile(path, _SYNONYMS)
    file.need(*need, what="a file of alerts")
    words = {"alert_id": "the alert has no id", "party": "the alert names no customer", "time": "the alert has no date"}
    alert_id = file.text("alert_id")
    columns = {
        "row": pa.array(file.row),
        "alert_id": alert_id,
        "party": file.text("party"),
        "time": file.times("time"),
        "rule": file.text("rule"),
        "outcome": _outcomes(file),
        "decided": file.times("decided"),
    }
    for name in need:
        missing = columns[name].is_null()
        file.reject(missing, name, f"{name}_missing", words.get(name, f"the {name} is missing"), "fill it in")
    again = _again(alert_id, file.kept)
    file.reject(again, "alert_id", "alert_repeated", "an alert of this id stood before", "give every alert once")
    rows = file.table(columns, ALERT_FILE_SCHEMA)
    times = rows["time"].drop_null().cast(pa.int64())
    whole_days = len(times) > 0 and not bool(np.any(times.to_numpy() % DAY_US))
    has = frozenset(name for name in ("party", "time", "rule", "outcome", "decided") if file.has(name))
    return AlertsRead(rows, file.rejected(), whole_days, has)


def _outcomes(file: SideFile) -> pa.Array:
    text = file.text("outcome")
    words = pc.replace_substring_regex(pc.utf8_lower(text), r"[\s_-]+", " ")
    reported = pc.is_in(words, value_set=pa.array(REPORTED_WORDS))
    dismissed = pc.is_in(words, value_set=pa.array(DISMISSED_WORDS))
    known = pc.or_(pc.or_(reported, dismissed), pc.is_in(words, value_set=pa.array(OPEN_WORDS)))
    file.reject(
        pc.and_(pc.invert(known), text.is_valid()),
        "outcome",
        "outcome_unknown",
        "the outcome is no word that is known",
        "write reported or dismissed, or leave it empty where nothing is decided",
    )
    either = pc.or_(reported, dismissed)
    return pc.if_else(either, reported.cast(pa.int8()), pa.scalar(None, pa.int8()))


def _again(ids: pa.Array, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows whose id a kept row before them has."""
    seen: set[str] = set()
    again = np.zeros(len(ids), np.bool_)
    for place, (name, good) in enumerate(zip(ids.to_pylist(), kept.tolist(), strict=True)):
        if good and name is not None:
            again[place] = name in seen
            seen.add(name)
    return again
