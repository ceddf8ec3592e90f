"""The alerts of another system with what is known of their outcomes, in order of time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from greywater.errors import EmptyInputError, FormatError
from greywater.features.alert_past import AlertPast
from greywater.formats.alert_files import AlertsRead, read_alerts
from greywater.vocab import Int64Array

__all__ = ["AlertBook", "read_book"]

DAY_US: Final = 86_400_000_000


@dataclass(frozen=True)
class AlertBook:
    """Alerts by (moment, id).

    Parameters
    ----------
    ids, party, rule : tuple of str
        "" where a file says nothing.
    moment_us : int64[n]
        When each was raised, microseconds since 1970; the last moment of its day where only days are given.
    outcome : int64[n]
        1 reported, 0 dismissed, -1 not decided.
    known_us : int64[n]
        From when on the outcome is known.
    asked : bool[n]
        In the file of alerts, not of history alone.
    has_parties : bool
        The file of alerts names customers.
    rejected : tuple of dict
        Rows that were set aside, as REJECTED_SCHEMA has them.
    notes : tuple of str
        Sentences for the person who reads the result.
    """

    ids: tuple[str, ...]
    party: tuple[str, ...]
    rule: tuple[str, ...]
    moment_us: Int64Array
    outcome: Int64Array
    known_us: Int64Array
    asked: np.ndarray
    has_parties: bool
    rejected: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]

    @property
    def decided(self) -> Int64Array:
        """Positions of the alerts with an outcome."""
        return np.flatnonzero(self.outcome >= 0).astype(np.int64)

    @property
    def open(self) -> Int64Array:
        """Positions of the alerts that were asked about and have none."""
        return np.flatnonzero((self.outcome < 0) & self.asked).astype(np.int64)

    @property
    def past(self) -> AlertPast:
        """The alerts as `alert_past` takes them."""
        return AlertPast(self.moment_us, self.party, self.rule, self.outcome, self.known_us)


def read_book(alerts: Path, history: Path | None, *, delay_days: int) -> AlertBook:
    """Read the alerts, and the outcomes of earlier ones.

    Parameters
    ----------
    alerts : Path
        Alerts; those without an outcome are to be ranked.
    history : Path, optional
        Outcomes: of alerts in `alerts` (by id), and of others with their own customer, date and rule.
    delay_days : int
        An outcome without a date is known so many days after its alert.

    Raises
    ------
    InputError
        A file cannot be used.
    """
    asked = read_alerts(alerts)
    if not asked.rows.num_rows:
        raise EmptyInputError(
            "no alert in the file can be used", where=str(alerts), mend=_first_reason(asked) or "give one alert a row"
        )
    entries = {entry["alert_id"]: entry for entry in _entries(asked, True)}
    notes: list[str] = []
    rejected = asked.rejected.to_pylist()
    if history is not None:
        read = read_alerts(history, need=("alert_id",))
        if "outcome" not in read.has:
            mend = "add a column outcome: reported or dismissed"
            raise FormatError("a file of outcomes has no outcomes", where=str(history), mend=mend)
        rejected += read.rejected.to_pylist()
        notes += _add_history(entries, read)
    if rejected:
        notes.append(f"{len(rejected):,} rows were set aside, the first because of {rejected[0]['reason']}")
    rows = sorted(entries.values(), key=lambda entry: (entry["moment"], entry["alert_id"]))
    moment = np.array([entry["moment"] for entry in rows], np.int64)
    outcome = np.array([-1 if entry["outcome"] is None else entry["outcome"] for entry in rows], np.int64)
    known = [entry["moment"] + delay_days * DAY_US if entry["decided"] is None else entry["decided"] for entry in rows]
    return AlertBook(
        ids=tuple(entry["alert_id"] for entry in rows),
        party=tuple(entry["party"] or "" for entry in rows),
        rule=tuple(entry["rule"] or "" for entry in rows),
        moment_us=moment,
        outcome=outcome,
        known_us=np.array(known, np.int64),
        asked=np.array([entry["asked"] for entry in rows], np.bool_),
        has_parties="party" in asked.has,
        rejected=tuple(rejected),
        notes=tuple(notes),
    )


def _entries(read: AlertsRead, asked: bool) -> list[dict[str, Any]]:
    """Rows with their times in microseconds; a day means its last moment, so that what happened on it is seen."""
    times = {name: read.rows[name].cast(pa.int64()).to_pylist() for name in ("time", "decided")}
    rows: list[dict[str, Any]] = read.rows.drop_columns(["time", "decided"]).to_pylist()
    for row, time, decided in zip(rows, times["time"], times["decided"], strict=True):
        row["moment"] = time if time is None or not read.whole_days else time + DAY_US - 1
        row["decided"] = decided if decided is None or decided % DAY_US else decided + DAY_US - 1
        row["asked"] = asked
    return rows


def _add_history(entries: dict[str, dict[str, Any]], read: AlertsRead) -> list[str]:
    unmatched = 0
    for row in _entries(read, False):
        mine = entries.get(row["alert_id"])
        if mine is not None:
            for name in ("outcome", "decided", "party", "rule"):
                mine[name] = row[name] if row[name] is not None else mine[name]
        elif row["moment"] is not None:
            entries[row["alert_id"]] = row
        else:
            unmatched += 1
    if not unmatched:
        return []
    return [f"{unmatched:,} outcomes are of no alert in the file and have no date of their own: they were left out"]


def _first_reason(read: AlertsRead) -> str:
    return str(read.rejected["message"][0]) if read.rejected.num_rows else ""
