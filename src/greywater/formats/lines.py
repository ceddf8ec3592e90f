"""Blocks of CSV text cut into records: which rows are whole, which are not, decided the same wherever a block ends."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from greywater.vocab import Int64Array

__all__ = ["BadRecord", "Cut", "cut_records"]

#: A quoted value may span this many lines; an opening quote without a partner within them spoils its own line only.
MAX_RECORD_LINES: Final = 100
_QUOTE: Final = ord('"')
_NEWLINE: Final = ord("\n")

Positions = NDArray[np.intp]


@dataclass(frozen=True)
class BadRecord:
    """A record that is not a row: its 0-based place in the block, its text, why, and in words."""

    offset: int
    text: bytes
    reason: str
    found: str


@dataclass(frozen=True)
class Cut:
    """A block, cut.

    `good` bytes of the whole records, a line feed after each; `offsets` int64, the 0-based place of each of them among
    the records of the block; `bad` the others; `records` their number together; `quoted` whether quotes occur;
    `rest` the beginning of a record that ends in the next block.
    """

    good: bytes
    offsets: Int64Array
    bad: list[BadRecord]
    records: int
    quoted: bool
    rest: bytes = b""


def cut_records(block: bytes, delimiter: str, fields: int, *, last: bool) -> Cut:
    """Cut a block of lines into records of `fields` fields (RFC 4180; empty lines are no records).

    Parameters
    ----------
    block : bytes
        Whole lines, each ended by a line feed.
    delimiter : str
        One ASCII character.
    fields : int
        How many fields a row has.
    last : bool
        No further block follows.

    Examples
    --------
    >>> cut = cut_records(b"1,a\\n2\\n3,b\\n", ",", 2, last=True)
    >>> cut.good, cut.offsets.tolist(), [bad.offset for bad in cut.bad]
    (b'1,a\\n3,b\\n', [0, 2], [1])
    """
    data = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(data == _NEWLINE)
    delimiters = np.flatnonzero(data == ord(delimiter))
    if b'"' not in block:
        return _cut_at(block, ends, delimiters, fields, quoted=False)
    quotes = np.flatnonzero(data == _QUOTE)
    if not _well_quoted(data, quotes, ord(delimiter)):
        return _cut_slowly(block, delimiter, fields, last=last)
    inside = (np.searchsorted(quotes, ends) & 1).astype(np.bool_)
    outer = ends[~inside]
    lines = np.diff(np.searchsorted(ends, outer), prepend=-1)
    complete = int(outer[-1]) + 1 if len(outer) else 0
    unfinished = len(ends) - int(np.searchsorted(ends, complete))
    if (lines > MAX_RECORD_LINES).any() or unfinished >= MAX_RECORD_LINES or (unfinished and last):
        return _cut_slowly(block, delimiter, fields, last=last)
    delimiters = delimiters[(np.searchsorted(quotes, delimiters) & 1) == 0]
    delimiters = delimiters[delimiters < complete]
    if bool(inside.any()) and (_count(delimiters, outer)[lines > 1] != fields - 1).any():
        return _cut_slowly(block, delimiter, fields, last=last)
    cut = _cut_at(block[:complete], outer, delimiters, fields, quoted=True)
    return Cut(cut.good, cut.offsets, cut.bad, cut.records, quoted=True, rest=block[complete:])


def _well_quoted(data: NDArray[np.uint8], quotes: Positions, delimiter: int) -> bool:
    """Whether quotes alternately open at a field's start and close at a field's end, doubled ones aside."""
    before = np.where(quotes > 0, data[quotes - 1], _NEWLINE)[0::2]
    after = data[np.minimum(quotes + 1, len(data) - 1)][1::2]
    edges = (_NEWLINE, delimiter, _QUOTE)
    return bool(np.isin(before, edges).all() and np.isin(after, edges).all())


def _count(delimiters: Positions, ends: Positions) -> Positions:
    """Delimiters in each record."""
    return np.diff(np.searchsorted(delimiters, ends), prepend=0)


def _cut_at(block: bytes, ends: Positions, delimiters: Positions, fields: int, *, quoted: bool) -> Cut:
    starts = np.concatenate([np.zeros(1, dtype=np.intp), ends[:-1] + 1]) if len(ends) else ends
    if len(delimiters) == len(ends) * (fields - 1) and fields > 1:
        grid = delimiters.reshape(len(ends), fields - 1)
        if bool((grid[:, 0] >= starts).all() and (grid[:, -1] < ends).all()):
            return Cut(block, np.arange(len(ends), dtype=np.int64), [], len(ends), quoted)
    filled = ends > starts
    if not filled.all():
        ends, starts, delimiters = ends[filled], starts[filled], delimiters
    whole = _count(delimiters, ends) == fields - 1
    bad = [
        _wrong_count(offset, block[starts[offset] : ends[offset]], fields, int(found) + 1)
        for offset, found in zip(np.flatnonzero(~whole).tolist(), _count(delimiters, ends)[~whole], strict=True)
    ]
    good = b"".join(block[start:end] for start, end in _runs(starts[whole], ends[whole] + 1))
    return Cut(good, np.flatnonzero(whole).astype(np.int64), bad, len(ends), quoted)


def _runs(starts: Positions, stops: Positions) -> list[tuple[int, int]]:
    """Adjacent records joined, so that few slices are copied."""
    if len(starts) == 0:
        return []
    breaks = np.flatnonzero(starts[1:] != stops[:-1])
    first = np.concatenate([starts[:1], starts[breaks + 1]])
    final = np.concatenate([stops[breaks], stops[-1:]])
    return list(zip(first.tolist(), final.tolist(), strict=True))


def _wrong_count(offset: int, text: bytes, fields: int, found: int) -> BadRecord:
    return BadRecord(offset, text, "fields", f"the row has {found} fields instead of {fields}")


def _cut_slowly(block: bytes, delimiter: str, fields: int, *, last: bool) -> Cut:
    """Record by record, for blocks in which some quote stands where none should."""
    lines = block.decode("latin-1").split("\n")[:-1]
    good: list[str] = []
    offsets: list[int] = []
    bad: list[BadRecord] = []
    place = position = 0
    while position < len(lines):
        line = lines[position]
        if not line:
            position += 1
            continue
        if '"' not in line:
            values: list[str] | None = line.split(delimiter)
            used = 1
        else:
            values, used = _read_record(lines, position, delimiter, fields)
            if values is None and not last and len(lines) - position < MAX_RECORD_LINES:
                break
        if values is None:
            found = "a quote opens or closes inside a value, or never closes"
            bad.append(BadRecord(place, line.encode("latin-1"), "quote", found))
        elif len(values) != fields:
            bad.append(_wrong_count(place, line.encode("latin-1"), fields, len(values)))
        else:
            good.append(line if '"' not in line else _write_record(values, delimiter))
            offsets.append(place)
        place += 1
        position += used
    rest = "".join(line + "\n" for line in lines[position:]).encode("latin-1")
    text = "".join(record + "\n" for record in good).encode("latin-1")
    return Cut(text, np.array(offsets, dtype=np.int64), bad, place, quoted=True, rest=rest)


def _read_record(lines: list[str], position: int, delimiter: str, fields: int) -> tuple[list[str] | None, int]:
    """The record that begins on a line, and how many lines it takes; None (and one line) where it is none."""
    window = (line + "\n" for line in islice(lines, position, position + MAX_RECORD_LINES))
    reader = csv.reader(window, delimiter=delimiter, strict=True)
    try:
        values = next(reader)
    except csv.Error:
        return None, 1
    if reader.line_num > 1 and len(values) != fields:
        return None, 1
    return values, reader.line_num


def _write_record(values: list[str], delimiter: str) -> str:
    return delimiter.join('"' + value.replace('"', '""') + '"' for value in values)
