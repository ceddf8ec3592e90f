"""Reads the transactions of SynthAML's form: by alert, no counterparty, sizes that are standardised logarithms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.errors import FormatError
from greywater.formats.sidefile import normal_name
from greywater.formats.source import check_file
from greywater.formats.tabular import BadRow, RawChunk, Table, open_table
from greywater.formats.text import as_text, shorten, shown_columns
from greywater.formats.times import TIME_REASONS, TimeRule, read_times
from greywater.formats.timetext import OK
from greywater.vocab import REJECTED_SCHEMA, Float64Array, Int64Array

__all__ = ["ENTRIES", "KINDS", "AlertTransactions", "is_synthaml", "read_alert_transactions"]

#: Credit means money leaving, as the source of the form has it.
ENTRIES: Final = ("credit", "debit")
KINDS: Final = ("card", "cash", "international", "wire")

_HEADERS: Final = {
    "alert": ("alertid", "alert_id", "alert"),
    "time": ("timestamp", "time", "date", "datetime", "transaction_date"),
    "entry": ("entry", "direction"),
    "kind": ("type", "transaction_type", "kind"),
    "size": ("size", "amount"),
}
_ROWS: Final = 131_072
_NUMBER: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"


@dataclass(frozen=True)
class AlertTransactions:
    """Transactions of alerts, in file order.

    Parameters
    ----------
    alerts : tuple of str
        Distinct alert ids, in order of first appearance.
    alert : int64[n]
        Position in `alerts`.
    time_us : int64[n]
        Microseconds since 1970.
    group : int64[n]
        4 times the position in ENTRIES plus the position in KINDS.
    size : float64[n]
        Standardised logarithm of the amount; finite.
    rejected : pa.Table
        REJECTED_SCHEMA; the first of each chunk and reason, up to `most_rejected` rows.
    rejections : int
        How many rows were set aside.
    """

    alerts: tuple[str, ...]
    alert: Int64Array
    time_us: Int64Array
    group: Int64Array
    size: Float64Array
    rejected: pa.Table
    rejections: int


def is_synthaml(path: Path | str) -> bool:
    """Whether a file has the columns of SynthAML's transactions: alert, time, entry, type, size, and no account.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "t.csv"
    >>> _ = path.write_text("AlertID,Timestamp,Entry,Type,Size\\n1,2020-01-01,Credit,Card,0.5\\n")
    >>> is_synthaml(path)
    True
    """
    check_file(Path(path))
    columns = open_table(Path(path)).columns
    names = {normal_name(column) for column in columns}
    return set(_headers(columns)) == set(_HEADERS) and not names & {"sender", "receiver", "from_account", "account"}


def _headers(columns: tuple[str, ...]) -> dict[str, str]:
    by_name = {normal_name(column): column for column in reversed(columns)}
    found = {ours: next((by_name[name] for name in names if name in by_name), "") for ours, names in _HEADERS.items()}
    return {ours: header for ours, header in found.items() if header}


def read_alert_transactions(path: Path | str, *, most_rejected: int = 1_000) -> AlertTransactions:
    """Read a file of SynthAML's form in pieces; 25 bytes a row stay in memory.

    Raises
    ------
    InputError
        The file is missing, empty or damaged.
    FormatError
        It lacks one of the five columns.
    """
    path = Path(path)
    check_file(path)
    table = open_table(path)
    headers = _headers(table.columns)
    missing = [name for name in _HEADERS if name not in headers]
    if missing:
        raise FormatError(
            f"transactions of alerts need the column {' and '.join(missing)}; found {shown_columns(table.columns)}",
            where=str(path),
            mend="name the columns AlertID, Timestamp, Entry, Type, Size",
        )
    reader = _Reader(path.name, headers, most_rejected)
    for chunk in table.chunks(_columns(table, headers), _ROWS):
        reader.take(chunk)
    return reader.whole()


def _columns(table: Table, headers: dict[str, str]) -> list[str]:
    wanted = set(headers.values())
    return [column for column in table.columns if column in wanted]


class _Reader:
    """Collects the columns of one file."""

    def __init__(self, file: str, headers: dict[str, str], most_rejected: int) -> None:
        self._file = file
        self._headers = headers
        self._most = most_rejected
        self._codes: dict[str, int] = {}
        self._parts: list[tuple[Int64Array, Int64Array, NDArray[np.int8], Float64Array]] = []
        self._bad: list[BadRow] = []
        self._rejections = 0

    def take(self, chunk: RawChunk) -> None:
        """Take some rows."""
        for bad in chunk.bad:
            self._note(bad)
        text = {ours: as_text(chunk.columns[header]) for ours, header in self._headers.items() if ours != "time"}
        times = read_times(chunk.columns[self._headers["time"]], TimeRule())
        kept = np.ones(len(chunk.rows), np.bool_)
        entry = self._code(chunk, kept, "entry", text["entry"], ENTRIES)
        kind = self._code(chunk, kept, "kind", text["kind"], KINDS)
        number = pc.if_else(
            pc.fill_null(pc.match_substring_regex(text["size"], _NUMBER), False),
            text["size"],
            pa.scalar(None, pa.string()),
        )
        size = np.asarray(number.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
        self._refuse(chunk, kept, "size", text["size"], ~np.isfinite(size), "size_unreadable", "the size is no number")
        lost = pc.or_kleene(pc.is_null(text["alert"]), pc.equal(text["alert"], ""))
        self._refuse(chunk, kept, "alert", text["alert"], np.asarray(lost), "alert_missing", "the alert is missing")
        for verdict, (reason, found, _) in TIME_REASONS.items():
            seen = as_text(pc.cast(chunk.columns[self._headers["time"]], pa.string()))
            self._refuse(chunk, kept, "time", seen, times.verdict == verdict, reason, found)
        kept &= times.verdict == OK
        alert = self._alerts(text["alert"].filter(pa.array(kept)))
        group = (len(KINDS) * entry + kind)[kept].astype(np.int8)
        self._parts.append((alert, times.value[kept], group, size[kept]))

    def _alerts(self, names: pa.Array) -> Int64Array:
        encoded = names.dictionary_encode()
        codes = [self._codes.setdefault(name, len(self._codes)) for name in encoded.dictionary.to_pylist()]
        if not codes:
            return np.empty(0, np.int64)
        return np.array(codes, np.int64)[np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int64)]

    def _code(
        self, chunk: RawChunk, kept: NDArray[np.bool_], name: str, text: pa.Array, words: tuple[str, ...]
    ) -> Int64Array:
        places = pc.fill_null(pc.index_in(pc.utf8_lower(text), pa.array(words)), -1)
        code = np.asarray(places.to_numpy(zero_copy_only=False), np.int64)
        found = f"the {'entry' if name == 'entry' else 'type'} is none of {', '.join(words)}"
        self._refuse(chunk, kept, name, text, code < 0, f"{name}_unknown", found)
        return code

    def _refuse(
        self, chunk: RawChunk, kept: NDArray[np.bool_], name: str, text: pa.Array, mask: NDArray[np.bool_],
        reason: str, found: str,
    ) -> None:  # fmt: skip
        places = np.flatnonzero(mask & kept)
        kept[places] = False
        header = self._headers[name]
        for place in places[: max(self._most - len(self._bad), 0)].tolist():
            row, value = int(chunk.rows[place]), text[place].as_py()
            shown = "" if value is None else f" {shorten(value)!r}"
            message = f"{found}:{shown} in column {header!r} ({self._file}, row {row}). To mend: mend the row."
            self._bad.append(BadRow(row, header, value, reason, message))
        self._rejections += len(places)

    def _note(self, bad: BadRow) -> None:
        self._rejections += 1
        if len(self._bad) < self._most:
            self._bad.append(bad)

    def whole(self) -> AlertTransactions:
        """Everything that was read."""
        parts = self._parts or [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int8), np.empty(0))]
        rows = [
            {
                "file": self._file,
                "row": bad.row,
                "column": bad.column,
                "value": None if bad.value is None else shorten(bad.value),
                "reason": bad.reason,
                "message": bad.message,
            }
            for bad in sorted(self._bad, key=lambda bad: bad.row)
        ]
        return AlertTransactions(
            alerts=tuple(self._codes),
            alert=np.concatenate([part[0] for part in parts]),
            time_us=np.concatenate([part[1] for part in parts]),
            group=np.concatenate([part[2] for part in parts]).astype(np.int64),
            size=np.concatenate([part[3] for part in parts]),
            rejected=pa.Table.from_pylist(rows, schema=REJECTED_SCHEMA),
            rejections=self._rejections,
        )
