"""CSV and Parquet files as chunks of named Arrow columns with row numbers, in bounded memory."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from greywater.errors import EmptyInputError, FormatError, InputError
from greywater.formats.blocks import check_gzip, find_encoding, reading, text_blocks
from greywater.formats.lines import BadRecord, cut_records
from greywater.formats.text import decode, shorten
from greywater.vocab import Int64Array

__all__ = ["DELIMITERS", "BadRow", "RawChunk", "Table", "csv_header", "number_repeated", "open_table"]

#: Separators that are tried on a header.
DELIMITERS: Final = (",", ";", "\t", "|")
_PARQUET: Final = b"PAR1"
_HEADER_BYTES: Final = 2**16
#: Read of a column at a time, so that a file of one large row group does not come into memory whole.
_BUFFER: Final = 2**18
_LEAST_BLOCK: Final = 2**12
_LARGEST_BLOCK: Final = 8 * 2**20


@dataclass(frozen=True)
class BadRow:
    """A row of which no columns could be made."""

    row: int
    column: str
    value: str | None
    reason: str
    message: str


@dataclass(frozen=True)
class RawChunk:
    """Some rows of a file: `rows` int64[n] their 1-based numbers, `columns` name -> Arrow array[n], and bad rows."""

    rows: Int64Array
    columns: dict[str, pa.Array]
    bad: list[BadRow] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """A file of rows and columns whose header has been read.

    Parameters
    ----------
    path : Path
        The file.
    kind : {"csv", "parquet"}
        By its first bytes, whatever its name.
    columns : tuple of str
        Column names; a name that occurs again gets `.1`, `.2`, ...
    delimiter, encoding : str
        Of a CSV file.
    total_rows : int or None
        Known for Parquet.
    headless : bool
        The CSV file has no header; `columns` were given.
    rows_before : int
        Rows of the same source in files before this one: its first row is numbered one more. Parquet only.
    """

    path: Path
    kind: str
    columns: tuple[str, ...]
    delimiter: str = ","
    encoding: str = "utf-8"
    total_rows: int | None = None
    headless: bool = False
    rows_before: int = 0

    def chunks(self, columns: Sequence[str], rows: int, *, verify: bool = True) -> Iterator[RawChunk]:
        """Yield the named columns, at most `rows` rows at a time.

        With `verify`, a gzip file is unpacked once before the first chunk, so that a cut-off one yields none.
        """
        if self.kind == "parquet":
            return _parquet_chunks(self, columns, rows)
        return _csv_chunks(self, columns, rows, verify=verify)


def open_table(path: Path, *, delimiter: str = "", encoding: str = "", header: tuple[str, ...] = ()) -> Table:
    """Read the header of a file.

    Parameters
    ----------
    path : Path
        CSV, gzip CSV or Parquet.
    delimiter : str
        Empty = the one of DELIMITERS that gives the header most columns.
    encoding : str
        Empty = by the byte order mark, else UTF-8.
    header : tuple of str
        Column names of a CSV file without a header line.

    Raises
    ------
    EmptyInputError
        If there are no rows.
    InputError
        If the file cannot be opened or is cut off.
    """
    with reading(path), path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise EmptyInputError("the file is empty", where=str(path), mend="give a file with a header and payments")
    if start == _PARQUET or path.suffix.lower() in {".parquet", ".pq"}:
        return _open_parquet(path)
    encoding = encoding or find_encoding(path)
    lines = _first_lines(path, encoding)
    line = next(lines, None)
    if line is None:
        raise EmptyInputError("the file is empty", where=str(path), mend="give a file with a header and payments")
    if header:
        return Table(path, "csv", number_repeated(header), delimiter or ",", encoding, headless=True)
    text = line.decode("utf-8", "replace")
    delimiter = delimiter or max(DELIMITERS, key=lambda mark: (len(csv_header(text, mark)), -DELIMITERS.index(mark)))
    if next(lines, None) is None:
        raise EmptyInputError(
            f"the file has a header ({text[:200]}) and no rows", where=str(path), mend="give a file with payments"
        )
    return Table(path, "csv", number_repeated(csv_header(text, delimiter)), delimiter, encoding)


def csv_header(line: str, delimiter: str) -> tuple[str, ...]:
    """Column names of a header line, blanks around them removed.

    Examples
    --------
    >>> csv_header('a, "b"', ",")
    ('a', 'b')
    """
    return tuple(name.strip() for name in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), []))


def number_repeated(names: Sequence[str]) -> tuple[str, ...]:
    """Column names made distinct.

    Examples
    --------
    >>> number_repeated(["Account", "Bank", "Account"])
    ('Account', 'Bank', 'Account.1')
    """
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        again = seen.get(name, 0)
        seen[name] = again + 1
        distinct.append(f"{name}.{again}" if again else name)
    return tuple(distinct)


def _first_lines(path: Path, encoding: str) -> Iterator[bytes]:
    for block in text_blocks(path, encoding=encoding, size=_HEADER_BYTES):
        for line in block.split(b"\n"):
            if line.strip():
                yield line


def _csv_chunks(table: Table, columns: Sequence[str], rows: int, *, verify: bool) -> Iterator[RawChunk]:
    if verify:
        check_gzip(table.path)
    size = min(max(rows * 64, _LEAST_BLOCK), _LARGEST_BLOCK)
    waiting = not table.headless
    done = 0
    rest = b""
    for block, last in _with_last(text_blocks(table.path, encoding=table.encoding, size=size)):
        while waiting and block:
            line, _, block = block.partition(b"\n")
            waiting = not line.strip()
        block = rest + block
        if not block:
            continue
        cut = cut_records(block, table.delimiter, len(table.columns), last=last)
        rest = cut.rest
        bad = [_bad_row(table.path.name, done + 1 + record.offset, record) for record in cut.bad]
        chunk = _convert(table, columns, cut.good, cut.offsets + done + 1, quoted=cut.quoted)
        done += cut.records
        yield from _pieces(RawChunk(chunk.rows, chunk.columns, bad + chunk.bad), rows)


def _with_last(blocks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each block, and whether it is the last one."""
    waiting = next(blocks, None)
    for block in blocks:
        if waiting is not None:
            yield waiting, False
        waiting = block
    if waiting is not None:
        yield waiting, True


def _bad_row(name: str, row: int, record: BadRecord) -> BadRow:
    mend = "write every row with the header's columns, and values that hold a separator or a quote in double quotes"
    message = f"{record.found} ({name}, row {row}). To mend: {mend}."
    return BadRow(row, "", shorten(record.text.decode("utf-8", "replace")), record.reason, message)


def _convert(table: Table, columns: Sequence[str], text: bytes, rows: Int64Array, *, quoted: bool) -> RawChunk:
    """Whole records to columns of text; rows with bytes that are not UTF-8 are set aside."""
    if not text:
        return RawChunk(rows[:0], {name: pa.array([], pa.string()) for name in columns})
    parsed = pa_csv.read_csv(
        pa.BufferReader(text),
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=list(table.columns)),
        parse_options=pa_csv.ParseOptions(
            delimiter=table.delimiter,
            quote_char='"' if quoted else False,
            newlines_in_values=quoted,
            ignore_empty_lines=len(table.columns) > 1,
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(table.columns, pa.binary()),
            include_columns=list(dict.fromkeys(columns)),
            strings_can_be_null=False,
        ),
    )
    if parsed.num_rows != len(rows):
        raise FormatError(
            f"{len(rows)} rows were counted and {parsed.num_rows} were read",
            where=f"{table.path}, rows {rows[0]} to {rows[-1]}",
            mend="check the quotes of these rows",
        )
    return _checked_text(
        table.path.name, rows, {name: parsed.column(name).combine_chunks() for name in parsed.column_names}
    )


def _checked_text(file: str, rows: Int64Array, columns: dict[str, pa.Array]) -> RawChunk:
    bad: dict[int, BadRow] = {}
    texts: dict[str, pa.Array] = {}
    for name, column in columns.items():
        texts[name], positions = decode(column)
        for position in positions.tolist():
            value = shorten(column[position].as_buffer().to_pybytes().decode("utf-8", "replace"))
            row = int(rows[position])
            found = f"the value is not UTF-8: {value!r} in column {name!r} ({file}, row {row})"
            mend = "convert the file to UTF-8, or name its encoding in a mapping file"
            bad.setdefault(position, BadRow(row, name, value, "encoding", f"{found}. To mend: {mend}."))
    if not bad:
        return RawChunk(rows, texts)
    keep = np.ones(len(rows), dtype=np.bool_)
    keep[list(bad)] = False
    mask = pa.array(keep)
    return RawChunk(rows[keep], {name: text.filter(mask) for name, text in texts.items()}, list(bad.values()))


def _pieces(chunk: RawChunk, rows: int) -> Iterator[RawChunk]:
    """At most `rows` rows each; the bad rows go with the first."""
    bad = chunk.bad
    for start in range(0, max(len(chunk.rows), 1), rows):
        columns = {name: column.slice(start, rows) for name, column in chunk.columns.items()}
        piece = RawChunk(chunk.rows[start : start + rows], columns, bad)
        bad = []
        if len(piece.rows) or piece.bad:
            yield piece


@contextmanager
def _parquet_reading(path: Path) -> Iterator[None]:
    with reading(path):
        try:
            yield
        except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
            if isinstance(error, PermissionError):
                raise
            text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise InputError(
                f"the Parquet file is cut off or damaged: {text}", where=str(path), mend="fetch or write the file again"
            ) from error


def _open_parquet(path: Path) -> Table:
    with _parquet_reading(path), pq.ParquetFile(path) as file:
        names, total = tuple(file.schema_arrow.names), int(file.metadata.num_rows)
    if len(set(names)) < len(names):
        raise FormatError(
            f"column {next(name for name in names if names.count(name) > 1)!r} occurs twice",
            where=str(path),
            mend="give the columns of the Parquet file different names",
        )
    if total == 0:
        raise EmptyInputError(
            f"the file has columns ({', '.join(names)[:200]}) and no rows",
            where=str(path),
            mend="give a file with payments",
        )
    return Table(path, "parquet", names, total_rows=total)


def _parquet_chunks(table: Table, columns: Sequence[str], rows: int) -> Iterator[RawChunk]:
    done = table.rows_before
    wanted = list(dict.fromkeys(columns))
    with _parquet_reading(table.path), pq.ParquetFile(table.path, pre_buffer=False, buffer_size=_BUFFER) as file:
        _check_types(table, wanted, file.schema_arrow)
        for batch in file.iter_batches(batch_size=rows, columns=wanted):
            numbers = np.arange(done + 1, done + 1 + batch.num_rows, dtype=np.int64)
            done += batch.num_rows
            found = {name: batch.column(name) for name in wanted}
            textual = {name: column for name, column in found.items() if _is_text(column.type)}
            checked = _checked_text(table.path.name, numbers, textual)
            if checked.bad:
                keep = pa.array(np.isin(numbers, checked.rows))
                found = {name: column.filter(keep) for name, column in found.items()}
            yield RawChunk(checked.rows, found | checked.columns, checked.bad)


def _is_text(kind: Any) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _check_types(table: Table, columns: Sequence[str], schema: Any) -> None:
    for name in columns:
        kind = schema.field(table.columns.index(name)).type
        if pa.types.is_nested(kind):
            raise FormatError(
                f"column {name!r} has the type {kind}",
                where=str(table.path),
                mend="write it as a plain column of numbers, text or times",
            )
