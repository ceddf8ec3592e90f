"""Opens the small files beside the payments (labels, parties, rates...) as columns of text, row by row accountable."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from greywater.errors import EmptyInputError, FormatError, InputError
from greywater.vocab import REJECTED_SCHEMA, Int64Array

__all__ = ["Rejections", "SideFile", "normal_name", "open_side_file", "parse_time"]

_CHUNK_ROWS = 65_536
_DELIMITERS = ",;\t|"
_ENCODINGS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Rejections:
    """Collects the rows of one file that could not be used, each with its reason.

    Examples
    --------
    >>> rejections = Rejections("a.csv")
    >>> rejections.add(3, "share", "250%", "bad_share", "a share lies between 0 and 100 %")
    >>> rejections.table().num_rows
    1
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._rows: list[dict[str, Any]] = []

    def add(self, row: int, column: str, value: str | None, reason: str, message: str) -> None:
        """Set a row aside; `row` is the 1-based data row, `reason` a short code, `message` a sentence with the mend."""
        self._rows.append(
            {"file": self._file, "row": row, "column": column, "value": value, "reason": reason, "message": message}
        )

    def table(self) -> pa.Table:
        """The rejected rows in file order, REJECTED_SCHEMA."""
        return pa.Table.from_pylist(sorted(self._rows, key=lambda entry: int(entry["row"])), schema=REJECTED_SCHEMA)


@dataclass(frozen=True)
class SideFile:
    """A side file as text.

    Parameters
    ----------
    path : Path
        The file.
    names : tuple of str
        Its header as written.
    columns : tuple of pa.Array
        One string array a column, trimmed, null where the cell is empty.
    row : int64[n]
        The 1-based data row of each row kept.
    rejections : Rejections
        Holds the rows with too many or too few cells; readers add theirs.
    """

    path: Path
    names: tuple[str, ...]
    columns: tuple[pa.Array, ...]
    row: Int64Array
    rejections: Rejections

    def column(self, *synonyms: str) -> tuple[str, list[str | None]] | None:
        """Header and values of the first column that bears one of the names, in the order of the names; else None."""
        place = {normal_name(name): index for index, name in reversed(list(enumerate(self.names)))}
        for synonym in synonyms:
            if synonym in place:
                index = place[synonym]
                return self.names[index], self.columns[index].to_pylist()
        return None


def normal_name(name: str) -> str:
    """A header in lower case with one underscore for every run of other signs.

    Examples
    --------
    >>> normal_name(" Account Number"), normal_name("From-Customer")
    ('account_number', 'from_customer')
    """
    return re.sub(r"[^0-9a-z]+", "_", name.strip().lower()).strip("_")


def parse_time(text: str) -> int | None:
    """Microseconds since 1970 of an ISO 8601 date or time, None where it is none; a naive time is UTC.

    Also reads `2022/09/01 00:20` and `20220901`. Day-first and month-first forms are refused: nobody can
    tell them apart.

    Examples
    --------
    >>> parse_time("1970-01-02"), parse_time("1970-01-01T01:00:00+01:00"), parse_time("01/02/1970")
    (86400000000, 0, None)
    """
    try:
        moment = datetime.fromisoformat(text.strip().replace("/", "-"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def open_side_file(path: Path | str) -> SideFile:
    """Open a CSV (also gzipped, UTF-8 or UTF-16, separated by comma, semicolon, tab or bar) or a Parquet file.

    Parameters
    ----------
    path : Path or str
        The file.

    Returns
    -------
    SideFile
        All cells as text.

    Raises
    ------
    InputError
        The file is missing, a folder, or may not be read.
    EmptyInputError
        There is nothing in it, not even a header.
    FormatError
        It is not text, or a damaged Parquet or gzip file.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(4)
        if not head:
            raise EmptyInputError("the file is empty", where=str(path), mend="give a file with a header line")
        return _open_parquet(path) if head == b"PAR1" else _open_text(path, head)
    except FileNotFoundError:
        raise InputError("there is no such file", where=str(path), mend="check the path") from None
    except IsADirectoryError:
        raise InputError("this is a folder", where=str(path), mend="name the file itself") from None
    except PermissionError:
        raise InputError("the file may not be read", where=str(path), mend="change its permissions") from None
    except gzip.BadGzipFile as error:
        raise FormatError(f"the gzip file is damaged: {error}", where=str(path), mend="copy it again") from None
    except OSError as error:
        raise InputError(f"the file cannot be read: {error}", where=str(path), mend="check the file") from None


def _open_parquet(path: Path) -> SideFile:
    try:
        table = pq.read_table(path)
    except pa.ArrowException as error:
        raise FormatError(
            f"the Parquet file is damaged: {error}", where=str(path), mend="write or copy the file again"
        ) from None
    columns = []
    for name in table.column_names:
        column = table.column(name)
        try:
            text = column.cast(pa.string()).combine_chunks()
        except pa.ArrowException:
            text = pa.nulls(table.num_rows, pa.string())
        columns.append(_trimmed(text.to_pylist()))
    row = np.arange(1, table.num_rows + 1, dtype=np.int64)
    return SideFile(path, tuple(table.column_names), tuple(columns), row, Rejections(str(path)))


def _open_text(path: Path, head: bytes) -> SideFile:
    zipped = head.startswith(b"\x1f\x8b")
    with gzip.open(path, "rb") if zipped else path.open("rb") as stream:
        start = stream.peek(4)[:4]
        encoding = next((name for mark, name in _ENCODINGS if start.startswith(mark)), "utf-8")
        with io.TextIOWrapper(stream, encoding=encoding, newline="") as text:
            try:
                return _read_rows(path, text)
            except UnicodeDecodeError as error:
                raise FormatError(
                    f"the file is not {encoding} text: {error.reason} at byte {error.start} of a block",
                    where=str(path),
                    mend="save it as UTF-8",
                ) from None
            except EOFError:
                raise FormatError("the gzip file ends too early", where=str(path), mend="copy it again") from None


def _read_rows(path: Path, text: io.TextIOWrapper) -> SideFile:
    first = text.readline()
    while first and not first.strip():
        first = text.readline()
    if not first:
        raise EmptyInputError("the file is empty", where=str(path), mend="give a file with a header line")
    delimiter = max(_DELIMITERS, key=first.count)
    names = tuple(name.strip() for name in next(csv.reader([first], delimiter=delimiter)))
    rejections = Rejections(str(path))
    chunks: list[list[pa.Array]] = [[] for _ in names]
    places: list[int] = []
    rows = (cells for cells in csv.reader(text, delimiter=delimiter) if cells)
    try:
        for start, block in _blocks(rows):
            kept = []
            for offset, cells in enumerate(block, start=start):
                if len(cells) == len(names):
                    kept.append(cells)
                    places.append(offset)
                else:
                    message = f"{len(cells)} cells under {len(names)} headings; quote cells that hold the separator"
                    rejections.add(offset, "", delimiter.join(cells)[:200], "ragged", message)
            for chunk, cells_of_column in zip(chunks, zip(*kept, strict=True), strict=bool(kept)):
                chunk.append(_trimmed(cells_of_column))
    except csv.Error as error:
        mend = "check the quotes; a cell may hold at most 131,072 signs"
        raise FormatError(
            f"the text is not CSV: {error}", where=f"{path}, after row {len(places)}", mend=mend
        ) from None
    columns = tuple(pa.chunked_array(chunk, type=pa.string()).combine_chunks() for chunk in chunks)
    return SideFile(path, names, columns, np.array(places, dtype=np.int64), rejections)


def _blocks(rows: Iterator[list[str]]) -> Iterator[tuple[int, list[list[str]]]]:
    start = 1
    while block := list(islice(rows, _CHUNK_ROWS)):
        yield start, block
        start += len(block)


def _trimmed(cells: Sequence[str | None]) -> pa.Array:
    return pa.array([(cell.strip() or None) if cell else None for cell in cells], type=pa.string())
