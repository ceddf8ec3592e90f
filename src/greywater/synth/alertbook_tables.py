"""The two tables of an alert book as arrays: alerts with a date and an outcome, and the transactions before each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from greywater.errors import EmptyInputError, FormatError, RefusedValueError
from greywater.formats.sidefile import normal_name
from greywater.formats.source import check_file
from greywater.formats.synthaml import read_alert_transactions
from greywater.formats.tabular import open_table
from greywater.formats.text import as_text, shown_columns
from greywater.formats.times import TimeRule, read_times
from greywater.formats.timetext import OK
from greywater.vocab import Float64Array, Int64Array

__all__ = ["CELLS", "DAY", "ENTRIES", "KINDS", "AlertTables", "cell_names", "read_tables"]

DAY: Final = 86_400
#: As published; credit means money leaving.
ENTRIES: Final = ("Credit", "Debit")
KINDS: Final = ("Card", "Cash", "International", "Wire")
#: A cell is an entry and a type: 4 times the position in ENTRIES plus the position in KINDS.
CELLS: Final = len(ENTRIES) * len(KINDS)

_MICROSECONDS: Final = 1_000_000
_OUTCOMES: Final = ("dismiss", "report")


def cell_names() -> tuple[str, ...]:
    """Type and entry of each cell, in words.

    Examples
    --------
    >>> cell_names()[0], cell_names()[7]
    ('card credit', 'wire debit')
    """
    return tuple(f"{kind} {entry}".lower() for entry in ENTRIES for kind in KINDS)


@dataclass(frozen=True)
class AlertTables:
    """Alerts and their transactions, checked.

    Parameters
    ----------
    day : int64[a]
        Date of each alert, in days since 1970.
    reported : bool[a]
        Whether the alert was reported; the others were dismissed.
    alert : int32[n]
        Position of the transaction's alert.
    seconds : int64[n]
        Time of the transaction, in seconds since 1970.
    cell : int8[n]
        Entry and type.
    size : float64[n]
        Standardised logarithm of the amount.
    set_aside : int
        Transactions that were left out: unreadable, of no known alert, or later than the day of their alert.
    """

    day: Int64Array
    reported: NDArray[np.bool_]
    alert: NDArray[np.int32]
    seconds: Int64Array
    cell: NDArray[np.int8]
    size: Float64Array
    set_aside: int = 0

    @property
    def days_before(self) -> NDArray[np.int32]:
        """Whole days from the transaction's date to the alert's."""
        return (self.day[self.alert] - self.seconds // DAY).astype(np.int32)

    def of_alerts(self, chosen: NDArray[np.bool_]) -> AlertTables:
        """The chosen alerts and their transactions only."""
        place = np.cumsum(chosen, dtype=np.int32) - np.int32(1)
        kept = chosen[self.alert]
        return AlertTables(
            self.day[chosen], self.reported[chosen], place[self.alert[kept]], self.seconds[kept],
            self.cell[kept], self.size[kept],
        )  # fmt: skip


@dataclass(frozen=True)
class _Rows:
    """Transactions as read, before they are matched with the alerts."""

    names: pa.Array
    alert: Int64Array
    seconds: Int64Array
    cell: NDArray[np.int8]
    size: Float64Array
    rejections: int


def read_tables(alerts: Path | str | pa.Table, transactions: Path | str | pa.Table) -> AlertTables:
    """Read the two tables from files (CSV, Parquet) or from Arrow tables with the published columns.

    Parameters
    ----------
    alerts : Path, str or pa.Table
        AlertID, Date, Outcome (Report or Dismiss).
    transactions : Path, str or pa.Table
        AlertID, Timestamp, Entry (Credit or Debit), Type (Card, Cash, International or Wire), Size.

    Raises
    ------
    InputError
        A file is missing, empty or damaged.
    FormatError
        A column is missing.
    RefusedValueError
        An alert occurs twice, or its date or outcome cannot be read.

    Examples
    --------
    >>> alerts = pa.table({"AlertID": [1], "Date": ["2020-03-01"], "Outcome": ["Report"]})
    >>> rows = {"AlertID": [1], "Timestamp": ["2020-02-28 10:00:00"], "Entry": ["Debit"], "Type": ["Wire"],
    ...         "Size": [0.5]}
    >>> tables = read_tables(alerts, pa.table(rows))
    >>> tables.days_before.tolist(), tables.cell.tolist(), tables.reported.tolist()
    ([2], [7], [True])
    """
    names, day, reported = _alerts(alerts)
    rows = _transactions(transactions)
    place = pc.fill_null(pc.index_in(rows.names, value_set=names), -1).to_numpy(zero_copy_only=False).astype(np.int32)
    owner = place[rows.alert] if len(rows.names) else np.empty(0, np.int32)
    kept = owner >= 0
    kept[kept] &= rows.seconds[kept] < DAY * (day[owner[kept]] + 1)
    if not kept.any():
        mend = "give the transactions of these alerts, none later than the date of its alert"
        raise EmptyInputError("no transaction belongs to an alert", mend=mend)
    lost = rows.rejections + len(kept) - int(np.count_nonzero(kept))
    if kept.all():
        return AlertTables(day, reported, owner, rows.seconds, rows.cell, rows.size, lost)
    return AlertTables(day, reported, owner[kept], rows.seconds[kept], rows.cell[kept], rows.size[kept], lost)


def _alerts(given: Path | str | pa.Table) -> tuple[pa.Array, Int64Array, NDArray[np.bool_]]:
    where = "alerts" if isinstance(given, pa.Table) else str(given)
    table = given if isinstance(given, pa.Table) else _whole(Path(given))
    columns = _columns(table.column_names, {"alertid": "AlertID", "date": "Date", "outcome": "Outcome"}, where)
    names = as_text(table[columns["alertid"]].combine_chunks())
    if not len(names):
        raise EmptyInputError("there is no alert", where=where, mend="give a file with alerts")
    if pc.count_distinct(names).as_py() != len(names):
        raise RefusedValueError("an alert occurs twice", where=where, mend="give each alert one row")
    times = read_times(table[columns["date"]].combine_chunks(), TimeRule())
    bad = np.flatnonzero(times.verdict != OK)
    if len(bad):
        mend = "write dates as 2020-12-31"
        raise RefusedValueError("a date cannot be read", where=f"{where}, row {bad[0] + 1}, Date", mend=mend)
    outcome = pc.index_in(pc.utf8_lower(as_text(table[columns["outcome"]].combine_chunks())), pa.array(_OUTCOMES))
    if outcome.null_count:
        row = int(np.argmax(np.asarray(pc.is_null(outcome)))) + 1
        mend = "write Report or Dismiss"
        raise RefusedValueError("an outcome cannot be read", where=f"{where}, row {row}, Outcome", mend=mend)
    return names, times.value // (_MICROSECONDS * DAY), np.asarray(outcome) == 1


def _columns(found: list[str], wanted: dict[str, str], where: str) -> dict[str, str]:
    by_name = {normal_name(column).replace("_", ""): column for column in reversed(found)}
    missing = [shown for name, shown in wanted.items() if name not in by_name]
    if missing:
        text = f"the column {' and '.join(missing)} is missing; found {shown_columns(tuple(found))}"
        raise FormatError(text, where=where, mend=f"name the columns {', '.join(wanted.values())}")
    return {name: by_name[name] for name in wanted}


def _whole(path: Path) -> pa.Table:
    check_file(path)
    table = open_table(path)
    chunks = [pa.table(chunk.columns) for chunk in table.chunks(list(table.columns), 1 << 17)]
    return pa.concat_tables(chunks) if chunks else pa.table({name: pa.array([], pa.string()) for name in table.columns})


_PUBLISHED: Final = {
    "alertid": "AlertID", "timestamp": "Timestamp", "entry": "Entry", "type": "Type", "size": "Size",
}  # fmt: skip


def _transactions(given: Path | str | pa.Table) -> _Rows:
    if isinstance(given, pa.Table):
        return _from_pieces(given.to_batches(max_chunksize=1 << 20), given.column_names, "transactions")
    path = Path(given)
    check_file(path)
    if path.suffix == ".parquet":
        file = pq.ParquetFile(path)
        types = {normal_name(field.name).replace("_", ""): field.type for field in file.schema_arrow}
        if "timestamp" in types and pa.types.is_timestamp(types["timestamp"]):
            return _from_pieces(file.iter_batches(1 << 20), file.schema_arrow.names, str(path))
    read = read_alert_transactions(path)
    return _Rows(
        pa.array(read.alerts, pa.string()), read.alert, read.time_us // _MICROSECONDS,
        read.group.astype(np.int8), read.size, read.rejections,
    )  # fmt: skip


def _from_pieces(pieces: Any, found: list[str], where: str) -> _Rows:
    columns = _columns(found, _PUBLISHED, where)
    codes: dict[str, int] = {}
    parts = list(_pieces(pieces, columns, codes))
    if not parts:
        raise EmptyInputError("there is no transaction", where=where, mend="give transactions of the alerts")
    alert, seconds, cell, size, lost = (list(column) for column in zip(*parts, strict=True))
    names = pa.array(list(codes), pa.string())
    return _Rows(
        names, np.concatenate(alert), np.concatenate(seconds), np.concatenate(cell), np.concatenate(size), sum(lost)
    )


def _pieces(
    pieces: Iterator[pa.RecordBatch], columns: dict[str, str], codes: dict[str, int]
) -> Iterator[tuple[Any, Any, Any, Any, int]]:
    for piece in pieces:
        times = read_times(piece[columns["timestamp"]], TimeRule())
        entry = _code(piece[columns["entry"]], ENTRIES)
        kind = _code(piece[columns["type"]], KINDS)
        size = np.asarray(piece[columns["size"]].cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
        ids = piece[columns["alertid"]].dictionary_encode()
        names = [codes.setdefault(name, len(codes)) for name in as_text(ids.dictionary).to_pylist()]
        place = pc.fill_null(ids.indices, -1).to_numpy(zero_copy_only=False)
        kept = (times.verdict == OK) & (entry >= 0) & (kind >= 0) & np.isfinite(size) & (place >= 0)
        cell = (len(KINDS) * entry + kind).astype(np.int8)
        alert = np.array([*names, -1], np.int32)[place]
        lost = len(kept) - int(np.count_nonzero(kept))
        seconds = times.value // _MICROSECONDS
        yield (
            (alert, seconds, cell, size, 0) if not lost else (alert[kept], seconds[kept], cell[kept], size[kept], lost)
        )


def _code(column: pa.Array, words: tuple[str, ...]) -> Int64Array:
    if pa.types.is_dictionary(column.type):
        codes = _code(column.dictionary, words)
        places = np.asarray(pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False), np.int64)
        return np.append(codes, -1)[places]
    lower = pa.array([word.lower() for word in words])
    found = pc.fill_null(pc.index_in(pc.utf8_lower(as_text(column)), lower), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)
