"""CRC-32C of many records at once, eight bytes a step, and the frames that TFRecord files put around records."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel

__all__ = ["FRAME_BYTES", "TABLES", "crc32c_of", "find_records", "frame_records"]

#: The Castagnoli polynomial, bits reversed.
POLYNOMIAL: Final = 0x82F63B78
#: What a frame adds to a record: its length in 8 bytes, the check of the length in 4, the check of the record in 4.
FRAME_BYTES: Final = 16
MASK_DELTA: Final = 0xA282EAD8
WORD: Final = 0xFFFFFFFF


def _tables() -> Any:
    """uint32[8, 256]: row k is what a byte adds to the remainder when k more bytes follow it."""
    first = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        first = np.where(first & np.uint32(1), (first >> np.uint32(1)) ^ np.uint32(POLYNOMIAL), first >> np.uint32(1))
    rows = [first]
    for _ in range(7):
        rows.append((rows[-1] >> np.uint32(8)) ^ first[rows[-1] & np.uint32(255)])
    return np.stack(rows)


#: Slicing-by-8: M. E. Kounavis, F. L. Berry, "A systematic approach to building high performance software-based CRC
#: generators", ISCC 2005.
TABLES: Final = _tables()


@inlined
def _remainder(octets: Any, start: Int, stop: Int, tables: Any) -> Int:
    """CRC-32C of octets[start:stop]."""
    crc = np.int64(WORD)
    k = np.int64(start)
    while k + 8 <= stop:
        low = crc ^ (
            np.int64(octets[k])
            | (np.int64(octets[k + 1]) << 8)
            | (np.int64(octets[k + 2]) << 16)
            | (np.int64(octets[k + 3]) << 24)
        )
        crc = (
            np.int64(tables[7, low & 255])
            ^ np.int64(tables[6, (low >> 8) & 255])
            ^ np.int64(tables[5, (low >> 16) & 255])
            ^ np.int64(tables[4, low >> 24])
            ^ np.int64(tables[3, octets[k + 4]])
            ^ np.int64(tables[2, octets[k + 5]])
            ^ np.int64(tables[1, octets[k + 6]])
            ^ np.int64(tables[0, octets[k + 7]])
        )
        k += 8
    while k < stop:
        crc = (crc >> 8) ^ np.int64(tables[0, (crc ^ np.int64(octets[k])) & 255])
        k += 1
    return crc ^ WORD


@inlined
def _masked(crc: Int) -> Int:
    """A check that may lie inside what is checked again: turned by 15 bits, and a constant added."""
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & WORD


@inlined
def _put(out: Any, place: Int, value: Int, count: Int) -> None:
    """The `count` low bytes of a whole number, least first."""
    for k in range(count):
        out[place + k] = (value >> (8 * k)) & 255


@inlined
def _taken(octets: Any, place: Int, count: Int) -> Int:
    """The whole number in `count` bytes, least first."""
    value = np.int64(0)
    for k in range(count):
        value |= np.int64(octets[place + k]) << (8 * k)
    return value


@kernel
def crc32c_of(octets: Any, start: Int, stop: Int, tables: Any) -> Int:
    """CRC-32C (Castagnoli, RFC 3720) of the bytes [start, stop) of uint8[n]; `tables` is TABLES.

    Examples
    --------
    >>> hex(crc32c_of(np.frombuffer(b"123456789", np.uint8), 0, 9, TABLES))
    '0xe3069283'
    """
    return _remainder(octets, start, stop, tables)


@kernel
def frame_records(octets: Any, bounds: Any, tables: Any, out: Any) -> Int:
    """Put the frame of TFRecord around each record.

    Parameters
    ----------
    octets : uint8[n]
        The records, one behind the other.
    bounds : int64[m + 1]
        Record k is octets[bounds[k]:bounds[k + 1]].
    tables : uint32[8, 256]
    out : uint8[bounds[m] - bounds[0] + FRAME_BYTES * m]
        Filled.

    Returns
    -------
    int
        Bytes written.
    """
    place = np.int64(0)
    for record in range(bounds.shape[0] - 1):
        start = bounds[record]
        stop = bounds[record + 1]
        length = stop - start
        _put(out, place, length, 8)
        _put(out, place + 8, _masked(_remainder(out, place, place + 8, tables)), 4)
        place += 12
        for k in range(length):
            out[place + k] = octets[start + k]
        place += length
        _put(out, place, _masked(_remainder(octets, start, stop, tables)), 4)
        place += 4
    return place


@kernel
def find_records(octets: Any, size: Int, tables: Any, starts: Any, stops: Any, outcome: Any) -> None:
    """Find whole records at the head of a buffer and verify both checks of each.

    Parameters
    ----------
    octets : uint8[n]
    size : int
        How many bytes of it are filled.
    tables : uint32[8, 256]
    starts, stops : int64[m]
        Filled with where each record lies; at most m are taken.
    outcome : int64[3]
        Filled with how many were found, the bytes they take with their frames, and what is wrong with the next:
        0 nothing (it is not all in the buffer, or there was no room in starts), 1 the check of its length, 2 its own.
    """
    place = np.int64(0)
    count = 0
    fault = 0
    while count < starts.shape[0] and size - place >= FRAME_BYTES - 4:
        length = _taken(octets, place, 8)
        if length < 0 or _taken(octets, place + 8, 4) != _masked(_remainder(octets, place, place + 8, tables)):
            fault = 1
            break
        if length > size - place - FRAME_BYTES:
            break
        start = place + 12
        if _taken(octets, start + length, 4) != _masked(_remainder(octets, start, start + length, tables)):
            fault = 2
            break
        starts[count] = start
        stops[count] = start + length
        count += 1
        place = start + length + 4
    outcome[0] = count
    outcome[1] = place
    outcome[2] = fault
