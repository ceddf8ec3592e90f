"""Times written as text to microseconds since 1970, all texts of one shape at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.formats.text import text_bytes
from greywater.vocab import Int64Array

__all__ = ["ISO", "MISSING", "OK", "OUT_OF_RANGE", "UNREADABLE", "Times", "pattern_expression", "read_text", "unread"]

#: Verdicts of one time.
OK: Final = 0
MISSING: Final = 1
UNREADABLE: Final = 2
OUT_OF_RANGE: Final = 3

_MAX_LENGTH: Final = 48
_MAX_SHAPES: Final = 64
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DIGITS_TO_ZERO: Final = np.array([48 if 48 <= byte <= 57 else byte for byte in range(256)], dtype=np.uint8)

#: ISO 8601 and its everyday relatives; every digit stands as 0.
_ZONE: Final = r"(?P<z>Z|z|UTC|GMT|[+-]00(?::?00)?)"
ISO: Final = (
    r"(?P<Y>0000)[-/](?P<m>00?)[-/](?P<d>00?)"
    r"(?:[Tt ](?P<H>00?):(?P<M>00)(?::(?P<S>00)(?:[.,](?P<f>0{1,9}))?)?(?: ?" + _ZONE + r")?)?"
)
_DIRECTIVES: Final = {
    "Y": "(?P<Y>0000)",
    "y": "(?P<y>00)",
    "m": "(?P<m>00?)",
    "d": "(?P<d>00?)",
    "H": "(?P<H>00?)",
    "I": "(?P<I>00?)",
    "M": "(?P<M>00?)",
    "S": "(?P<S>00?)",
    "f": "(?P<f>0{1,9})",
    "p": "(?P<p>[AaPp][Mm])",
    "b": "(?P<b>[A-Za-z]{3})",
    "z": _ZONE,
    "%": "%",
}


@dataclass(frozen=True)
class Times:
    """Times read.

    `value` int64[n] microseconds since 1970 UTC; `verdict` uint8[n] (0 = good, else a key of TIME_REASONS);
    `naive` and `zoned` bool[n]: the text carried no zone although the column may hold zones, or it carried one.
    """

    value: Int64Array
    verdict: NDArray[np.uint8]
    naive: NDArray[np.bool_]
    zoned: NDArray[np.bool_]


@dataclass(frozen=True)
class _Shape:
    """Where in a text of one shape its parts stand, and what its letters say."""

    parts: dict[str, tuple[int, int]]
    month: int
    afternoon: bool | None
    sign: int
    zoned: bool


def unread(rows: int, missing: NDArray[np.bool_]) -> Times:
    """Times of which nothing is known yet: missing where so marked, else unreadable."""
    return Times(
        value=np.zeros(rows, dtype=np.int64),
        verdict=np.where(missing, MISSING, UNREADABLE).astype(np.uint8),
        naive=np.zeros(rows, dtype=np.bool_),
        zoned=np.zeros(rows, dtype=np.bool_),
    )


def pattern_expression(pattern: str) -> str:
    """The regular expression over shapes (digits as 0) of a pattern; raises ValueError for an unknown directive.

    Examples
    --------
    >>> re.fullmatch(pattern_expression("%d.%m.%Y"), "00.00.0000") is not None
    True
    """
    expression, position = "", 0
    for directive in re.finditer("%(.?)", pattern):
        name = directive.group(1)
        if name not in _DIRECTIVES:
            raise ValueError(f"%{name}")
        expression += re.escape(pattern[position : directive.start()]) + _DIRECTIVES[name]
        position = directive.end()
    return expression + re.escape(pattern[position:])


def read_text(text: pa.Array, expression: str) -> Times:
    """Read text shape by shape: all rows whose texts differ in digits only are read at once.

    Parameters
    ----------
    text : pyarrow.StringArray
        n trimmed texts.
    expression : str
        Regular expression over shapes: ISO, or what `pattern_expression` gives.

    Examples
    --------
    >>> read_text(pa.array(["1970-01-01 00:01", "1970-13-01 00:01"]), ISO).value.tolist()
    [60000000, 0]
    """
    missing = np.asarray(pc.equal(pc.fill_null(text, ""), ""))
    times = unread(len(text), missing)
    lengths = np.asarray(pc.fill_null(pc.binary_length(text), 0)).astype(np.int64)
    lengths[missing | (lengths > _MAX_LENGTH)] = 0
    places, data = text_bytes(text)
    offsets = places.astype(np.int64)
    for length in np.unique(lengths[lengths > 0]).tolist():
        rows = np.flatnonzero(lengths == length)
        characters = data[offsets[rows][:, None] + np.arange(length)]
        for some, shape in _shapes(characters):
            _read_shape(times, rows[some], characters[some], shape, expression)
    return times


def _shapes(characters: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.intp], str]]:
    """Rows of equal shape. A few shapes cover all good data; wild data is grouped by a dictionary."""
    shapes = _DIGITS_TO_ZERO[characters]
    left = np.arange(len(shapes))
    for _ in range(_MAX_SHAPES):
        if len(left) == 0:
            return
        same = (shapes[left] == shapes[left[0]]).all(axis=1)
        yield left[same], shapes[left[0]].tobytes().decode("latin-1")
        left = left[~same]
    groups: dict[bytes, list[int]] = {}
    for row in left.tolist():
        groups.setdefault(shapes[row].tobytes(), []).append(row)
    for shape, rows in groups.items():
        yield np.array(rows, dtype=np.intp), shape.decode("latin-1")


@lru_cache(maxsize=4096)
def _parse_shape(shape: str, expression: str) -> _Shape | None:
    match = re.fullmatch(expression, shape)
    if match is None:
        return None
    parts = {name: match.span(name) for name, text in match.groupdict().items() if text is not None}
    month_name = match.groupdict().get("b")
    month = 0
    if month_name is not None:
        if month_name.lower() not in _MONTHS:
            return None
        month = _MONTHS.index(month_name.lower()) + 1
    half = match.groupdict().get("p")
    zone = match.groupdict().get("z")
    return _Shape(
        parts=parts,
        month=month,
        afternoon=None if half is None else half.lower() == "pm",
        sign={"-": -1, "+": 1}.get(zone[0], 0) if zone else 0,
        zoned=zone is not None,
    )


def _read_shape(
    times: Times, rows: NDArray[np.intp], characters: NDArray[np.uint8], text: str, expression: str
) -> None:
    shape = _parse_shape(text, expression)
    if shape is None:
        return
    digits = characters.astype(np.int64) - 48
    year = _year(shape, digits)
    month = np.full(len(rows), shape.month, dtype=np.int64) if shape.month else _number(shape, digits, "m", 1)
    day, minute, second = (_number(shape, digits, name, least) for name, least in (("d", 1), ("M", 0), ("S", 0)))
    hour = _hour(shape, digits)
    offset = _offset(shape, digits)
    months = (year - 1970) * 12 + month - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    after = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    good = (month >= 1) & (month <= 12) & (day >= 1) & (day <= after - first)
    good &= (hour >= 0) & (hour < 24) & (minute < 60) & (second < 60) & (np.abs(offset) < 86_400)
    seconds = (first + day - 1) * 86_400 + hour * 3_600 + minute * 60 + second - offset
    times.value[rows] = np.where(good, seconds * 1_000_000 + _fraction(shape, digits), 0)
    times.verdict[rows] = np.where(good, OK, UNREADABLE)
    times.zoned[rows] = good & shape.zoned
    times.naive[rows] = good & (not shape.zoned)


def _digits(digits: Int64Array, positions: range | list[int]) -> Int64Array:
    value = np.zeros(len(digits), dtype=np.int64)
    for position in positions:
        value = value * 10 + digits[:, position]
    return value


def _number(shape: _Shape, digits: Int64Array, name: str, default: int) -> Int64Array:
    if name not in shape.parts:
        return np.full(len(digits), default, dtype=np.int64)
    return _digits(digits, range(*shape.parts[name]))


def _year(shape: _Shape, digits: Int64Array) -> Int64Array:
    if "y" not in shape.parts:
        return _number(shape, digits, "Y", 0)
    short = _number(shape, digits, "y", 0)
    year: Int64Array = short + np.where(short < 69, 2000, 1900)
    return year


def _hour(shape: _Shape, digits: Int64Array) -> Int64Array:
    """Hour of the day; -1 where a twelve-hour clock shows none of 1 to 12."""
    if "I" not in shape.parts:
        return _number(shape, digits, "H", 0)
    shown = _number(shape, digits, "I", 0)
    hour: Int64Array = shown % 12 + (12 if shape.afternoon else 0)
    hour[(shown < 1) | (shown > 12)] = -1
    return hour


def _fraction(shape: _Shape, digits: Int64Array) -> Int64Array:
    if "f" not in shape.parts:
        return np.zeros(len(digits), dtype=np.int64)
    start, stop = shape.parts["f"]
    stop = min(stop, start + 6)
    microseconds: Int64Array = _digits(digits, range(start, stop)) * int(10 ** (6 - (stop - start)))
    return microseconds


def _offset(shape: _Shape, digits: Int64Array) -> Int64Array:
    """Seconds ahead of UTC; a whole day where the minutes are no minutes."""
    if shape.sign == 0:
        return np.zeros(len(digits), dtype=np.int64)
    start, stop = shape.parts["z"]
    hours = _digits(digits, [start + 1, start + 2])
    minutes = _digits(digits, [stop - 2, stop - 1]) if stop - start > 3 else np.zeros(len(digits), dtype=np.int64)
    offset: Int64Array = np.where(minutes < 60, shape.sign * (hours * 3_600 + minutes * 60), 86_400)
    return offset
