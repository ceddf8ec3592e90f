"""Sorted runs of index entries: blocks of columns that are searched as arrays and merged as streams."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from greywater.stores.fingerprints import UInt64Array

__all__ = ["SEGMENT_ROWS", "find", "merge", "pack", "sort_entries", "sound", "unpack"]

#: Entries per segment; a segment is one value of the database.
SEGMENT_ROWS: Final = 65_536
COLUMNS: Final = 5
HEADER: Final = 8


def sort_entries(keys: UInt64Array, contents: UInt64Array, first_seq: int) -> UInt64Array:
    """Entries uint64[5, n] in key order: two halves of the key, seq, two halves of the content fingerprint."""
    order = np.argsort(keys[:, 0])
    entries = np.empty((COLUMNS, len(keys)), np.uint64)
    entries[0] = keys[order, 0]
    entries[1] = keys[order, 1]
    entries[2] = order.astype(np.uint64) + np.uint64(first_seq)
    entries[3:] = contents[order].T
    return entries


def pack(entries: UInt64Array) -> bytes:
    """A segment as bytes: CRC-32 and count, then the columns one after the other, little-endian."""
    body = np.ascontiguousarray(entries).astype("<u8", copy=False).tobytes()
    header = np.array([zlib.crc32(body), entries.shape[1]], "<u4").tobytes()
    return header + body


def unpack(segment: bytes | memoryview) -> UInt64Array:
    """The entries of a segment, uint64[5, n], without copying them.

    Raises
    ------
    ValueError
        The segment is not as long as it says.
    """
    count = int(np.frombuffer(segment[:HEADER], "<u4")[1])
    return np.frombuffer(segment, "<u8", offset=HEADER).reshape(COLUMNS, count)


def sound(segment: bytes | memoryview) -> bool:
    """Whether the bytes are those that were written, and in order."""
    if len(segment) < HEADER or (len(segment) - HEADER) % (8 * COLUMNS):
        return False
    stated, count = (int(part) for part in np.frombuffer(segment[:HEADER], "<u4"))
    if count * 8 * COLUMNS != len(segment) - HEADER or zlib.crc32(segment[HEADER:]) != stated:
        return False
    high = unpack(segment)[0]
    return bool((high[1:] >= high[:-1]).all())


def find(entries: UInt64Array, high: UInt64Array, low: UInt64Array) -> NDArray[np.int64]:
    """Where in the entries the keys are: int64[n], -1 where not. `high` ascending, `low` beside it."""
    held = entries[0]
    places = np.searchsorted(held, high)
    inside = places < len(held)
    places[~inside] = 0
    alike = inside & (held[places] == high)
    hit = alike & (entries[1][places] == low)
    found = np.where(hit, places, -1).astype(np.int64)
    for at in np.flatnonzero(alike & ~hit).tolist():  # keys that share their first half: one in 2^64
        place = int(places[at]) + 1
        while place < len(held) and held[place] == high[at]:
            if entries[1][place] == low[at]:
                found[at] = place
                break
            place += 1
    return found


def merge(left: Iterator[UInt64Array], right: Iterator[UInt64Array]) -> Iterator[UInt64Array]:
    """Merge two sorted streams of entries into segments of SEGMENT_ROWS; holds a few segments at a time."""
    waiting: list[UInt64Array] = []
    count = 0
    for piece in _merged(left, right):
        waiting.append(piece)
        count += piece.shape[1]
        while count >= SEGMENT_ROWS:
            joined = np.concatenate(waiting, axis=1)
            yield joined[:, :SEGMENT_ROWS]
            waiting = [joined[:, SEGMENT_ROWS:]]
            count -= SEGMENT_ROWS
    if count:
        yield np.concatenate(waiting, axis=1)


def _merged(left: Iterator[UInt64Array], right: Iterator[UInt64Array]) -> Iterator[UInt64Array]:
    a, b = next(left, None), next(right, None)
    while a is not None and b is not None:
        cut = min(a[0, -1], b[0, -1])
        in_a, in_b = (int(np.searchsorted(part[0], cut, side="right")) for part in (a, b))
        both = np.concatenate((a[:, :in_a], b[:, :in_b]), axis=1)
        yield both[:, np.argsort(both[0], kind="stable")]
        a = a[:, in_a:] if in_a < a.shape[1] else next(left, None)
        b = b[:, in_b:] if in_b < b.shape[1] else next(right, None)
    if a is not None:
        yield a
        yield from left
    if b is not None:
        yield b
        yield from right
