"""Small files beside the payments (labels, parties, rates...): columns by any of their names, bad rows set aside."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.errors import EmptyInputError, FormatError
from greywater.formats.source import check_file
from greywater.formats.tabular import BadRow, Table, open_table
from greywater.formats.text import as_text, shorten, shown_columns
from greywater.formats.times import TIME_REASONS, TimeRule, read_times
from greywater.formats.timetext import MISSING, OK
from greywater.vocab import REJECTED_SCHEMA, Int64Array

__all__ = ["SideFile", "normal_name"]

_ROWS: Final = 131_072
_MOMENT: Final = pa.timestamp("us", tz="UTC")


def normal_name(name: str) -> str:
    """A header in lower case with one underscore for every run of other signs.

    Examples
    --------
    >>> normal_name(" Account Number"), normal_name("From-Customer")
    ('account_number', 'from_customer')
    """
    return re.sub(r"[^0-9a-z]+", "_", name.strip().lower()).strip("_")


class SideFile:
    """A CSV or Parquet file of side records, whole in memory, with the rows that turned out bad.

    Parameters
    ----------
    path : Path or str
        CSV (also gzip, UTF-16, any usual separator) or Parquet with a header.
    synonyms : mapping of str to sequence of str
        Names of ours -> headers it may have, in the spelling of `normal_name`, the preferred one first.

    Raises
    ------
    InputError
        The file is missing, a folder, damaged, or may not be read.
    EmptyInputError
        It has no rows.
    """

    def __init__(self, path: Path | str, synonyms: Mapping[str, Sequence[str]]) -> None:
        self.path = Path(path)
        check_file(self.path)
        self._synonyms = synonyms
        try:
            table = open_table(self.path)
        except EmptyInputError as error:
            mend = "give a header and at least one row, or leave the file out"
            raise EmptyInputError(error.found, where=str(self.path), mend=mend) from None
        self.headers = table.columns
        by_name = {normal_name(header): header for header in reversed(table.columns)}
        self._headers = {
            name: next((by_name[synonym] for synonym in known if synonym in by_name), "")
            for name, known in synonyms.items()
        }
        self.row: Int64Array
        self._bad: list[BadRow] = []
        self._load(table)
        self.kept: NDArray[np.bool_] = np.ones(len(self.row), dtype=np.bool_)

    def _load(self, table: Table) -> None:
        wanted = list(dict.fromkeys(header for header in self._headers.values() if header))
        rows: list[Int64Array] = [np.empty(0, dtype=np.int64)]
        parts: dict[str, list[pa.Array]] = {header: [] for header in wanted}
        for chunk in table.chunks(wanted or table.columns[:1], _ROWS):
            rows.append(chunk.rows)
            self._bad += chunk.bad
            for header in wanted:
                parts[header].append(chunk.columns[header])
        self.row = np.concatenate(rows)
        self._columns = {
            header: pa.concat_arrays(arrays) if arrays else pa.array([], pa.string())
            for header, arrays in parts.items()
        }

    def has(self, name: str) -> bool:
        """Whether the file has a column for this name of ours."""
        return bool(self._headers[name])

    def need(self, *names: str, what: str) -> None:
        """Raise FormatError unless the file has a column for each of the names."""
        missing = [name for name in names if not self.has(name)]
        if missing:
            accepted = "; ".join(f"{name}: {' or '.join(self._synonyms[name])}" for name in missing)
            found = f"{what} needs the column {' and '.join(missing)}; found {shown_columns(self.headers)}"
            raise FormatError(found, where=str(self.path), mend=f"name the columns like this: {accepted}")

    def text(self, name: str) -> pa.Array:
        """The column as trimmed text, null where it is blank; all null where there is no such column."""
        if not self.has(name):
            return pa.nulls(len(self.row), pa.string())
        text = as_text(self._columns[self._headers[name]])
        return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)

    def times(self, name: str) -> pa.Array:
        """The column as timestamp[us, UTC], null where it is blank; rows with anything else are set aside."""
        if not self.has(name):
            return pa.nulls(len(self.row), _MOMENT)
        times = read_times(self._columns[self._headers[name]], TimeRule())
        for verdict, (reason, found, mend) in TIME_REASONS.items():
            if verdict != MISSING:
                self.reject(times.verdict == verdict, name, reason, found, mend)
        return pa.array(times.value, mask=times.verdict != OK).cast(_MOMENT)

    def reject(self, mask: Any, name: str, reason: str, found: str, mend: str) -> None:
        """Set rows aside, unless they are already.

        Parameters
        ----------
        mask : bool[n]
            Which rows.
        name : str
            Name of ours for the column that is to blame.
        reason : str
            Short code.
        found, mend : str
            What is wrong, and what the reader can do about it.
        """
        mask = np.asarray(mask, dtype=np.bool_) & self.kept
        positions = np.flatnonzero(mask)
        if len(positions) == 0:
            return
        self.kept &= ~mask
        header = self._headers[name] or name
        values = self.text(name).take(pa.array(positions)).to_pylist()
        for row, value in zip(self.row[positions].tolist(), values, strict=True):
            text = None if value is None else shorten(value)
            shown = "" if text is None else f" {text!r}"
            message = f"{found}:{shown} in column {header!r} ({self.path.name}, row {row}). To mend: {mend}."
            self._bad.append(BadRow(row, header, text, reason, message))

    def table(self, columns: Mapping[str, pa.Array], schema: pa.Schema) -> pa.Table:
        """The rows that were kept, as a table of this schema."""
        kept = pa.array(self.kept)
        arrays = [columns[name].filter(kept).cast(schema.field(name).type) for name in schema.names]
        return pa.Table.from_arrays(arrays, schema=schema)

    def rejected(self) -> pa.Table:
        """The rows set aside, in file order, REJECTED_SCHEMA; `file` is the base name."""
        bad = sorted(self._bad, key=lambda entry: entry.row)
        rows = [
            {
                "file": self.path.name,
                "row": entry.row,
                "column": entry.column,
                "value": None if entry.value is None else shorten(entry.value),
                "reason": entry.reason,
                "message": entry.message,
            }
            for entry in bad
        ]
        return pa.Table.from_pylist(rows, schema=REJECTED_SCHEMA)
