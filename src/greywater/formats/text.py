"""Columns of any kind as trimmed text, and bytes as text with the rows that are not UTF-8."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["as_text", "decode", "for_spreadsheets", "map_codes", "shorten", "shown_columns", "text_bytes"]

#: How many characters of a bad value are kept.
VALUE_LENGTH: Final = 200
#: Of the names of columns in a message: how many, and how many characters of each.
MOST_NAMES, LONGEST_NAME = 20, 40
#: What a spreadsheet takes for the beginning of a formula, and what is a plain number all the same.
_formula: Final = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_plain_number: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def as_text(column: pa.Array) -> pa.Array:
    """The column as Arrow strings, blanks around the values removed, nulls kept.

    Whole numbers in a double column (an id column with gaps, as pandas writes it) lose their ".0".

    Examples
    --------
    >>> as_text(pa.array([12.0, None])).to_pylist()
    ['12', None]
    >>> as_text(pa.array([" a "])).to_pylist()
    ['a']
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return as_text(column.dictionary_decode())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = column if pa.types.is_string(kind) else column.cast(pa.string())
        return pc.utf8_trim_whitespace(text) if _may_have_blanks(text) else text
    if pa.types.is_floating(kind):
        return pa.array([None if value is None else _number(value) for value in column.to_pylist()], pa.string())
    return column.cast(pa.string())


def for_spreadsheets(text: str) -> str:
    """A cell of a CSV file that people open: an apostrophe before what a spreadsheet would run as a formula.

    Names of accounts, customers and rules come from outside. Plain numbers ("-12") are left as they are (OWASP, CSV
    Injection).

    Examples
    --------
    >>> [for_spreadsheets(text) for text in ("A7", "-12", "=HYPERLINK(1)", "@sum", "-1+1")]
    ['A7', '-12', "'=HYPERLINK(1)", "'@sum", "'-1+1"]
    """
    return f"'{text}" if _formula.match(text) and not _plain_number.fullmatch(text) else text


def decode(column: pa.Array) -> tuple[pa.Array, NDArray[np.intp]]:
    """Bytes as strings, and the positions of the values that are not UTF-8 (null in the result).

    Strings are checked too: a Parquet file may hold bytes that are none.

    Examples
    --------
    >>> text, bad = decode(pa.array([b"caf\\xc3\\xa9", b"caf\\xe9"]))
    >>> text.to_pylist(), bad.tolist()
    (['café', None], [1])
    """
    raw = column.cast(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary())
    target = pa.large_string() if pa.types.is_large_binary(raw.type) else pa.string()
    try:
        return raw.cast(target), np.empty(0, dtype=np.intp)
    except pa.ArrowInvalid:
        values = raw.to_pylist()
    bad = np.array([i for i, value in enumerate(values) if value is not None and not _is_utf8(value)], dtype=np.intp)
    for position in bad:
        values[position] = None
    return pa.array(values, raw.type).cast(target), bad


def map_codes(column: pa.Array) -> tuple[list[str | None], NDArray[np.intp]]:
    """The distinct texts of a column and, per row, the position among them.

    Examples
    --------
    >>> values, codes = map_codes(pa.array(["EUR", "USD", "EUR", None]))
    >>> values, codes.tolist()
    (['EUR', 'USD', None], [0, 1, 0, 2])
    """
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    values: list[str | None] = as_text(column.dictionary).to_pylist()
    codes = np.asarray(pc.fill_null(column.indices, len(values))).astype(np.intp)
    return [*values, None], codes


def shorten(value: str) -> str:
    """At most VALUE_LENGTH characters, so that one wild row does not fill the table of rejected rows.

    Examples
    --------
    >>> len(shorten("x" * 1000))
    200
    """
    return value if len(value) <= VALUE_LENGTH else value[: VALUE_LENGTH - 1] + "…"


def text_bytes(text: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Offsets int32[n + 1] and bytes uint8 of an Arrow string array, without a copy.

    Examples
    --------
    >>> offsets, data = text_bytes(pa.array(["ab", "c"]))
    >>> offsets.tolist(), bytes(data)
    ([0, 2, 3], b'abc')
    """
    buffers = text.buffers()
    if len(text) == 0 or buffers[1] is None:
        return np.zeros(len(text) + 1, dtype=np.int32), np.empty(0, dtype=np.uint8)
    offsets = np.frombuffer(buffers[1], dtype=np.int32)[text.offset : text.offset + len(text) + 1]
    return offsets, np.frombuffer(buffers[2] or b"", dtype=np.uint8)


def _may_have_blanks(text: pa.Array) -> bool:
    """False where no value begins or ends with a blank or with a character beyond ASCII."""
    offsets, data = text_bytes(text)
    if len(data) == 0:
        return False
    starts, stops = offsets[:-1], offsets[1:]
    filled = stops > starts
    edges = np.concatenate([data[starts[filled]], data[stops[filled] - 1]])
    return bool(((edges <= 32) | (edges >= 127)).any())


def _number(value: float) -> str:
    return str(int(value)) if value == value and abs(value) < 2.0**53 and value == int(value) else repr(value)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def shown_columns(names: Sequence[str]) -> str:
    """Column names for a message: the first twenty, none longer than a line can hold; a broken file may have any.

    Examples
    --------
    >>> shown_columns(["a", "b"]), len(shown_columns(["x" * 5_000] * 50)) < 1_000
    ('a, b', True)
    """
    shown = ", ".join(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..." for name in names[:MOST_NAMES])
    return shown + (", ..." if len(names) > MOST_NAMES else "")
