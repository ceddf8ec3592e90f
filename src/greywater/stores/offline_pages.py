"""Columns of a Parquet file read as they lie on the disk, where they are plain numbers, straight into an array."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["PageHeader", "page_header", "plain_dtype", "plain_values"]

#: Bytes read to find the header of a page; ours take some 60.
HEADER_BYTES: Final = 512
DATA_PAGE, PLAIN = 0, 0
PHYSICAL: Final[dict[str, int]] = {"INT64": 8, "DOUBLE": 8, "INT32": 4, "FLOAT": 4}
# Types of Thrift's compact protocol.
STOP, TRUE, FALSE, BYTE, DOUBLE, BINARY, STRUCT = 0, 1, 2, 3, 7, 8, 12
WHOLE: Final = frozenset({4, 5, 6})


@dataclass(frozen=True)
class PageHeader:
    """What the header of a page says: its length and the page's, both in bytes, kind, values and their encoding."""

    length: int
    kind: int
    size: int
    compressed_size: int
    values: int
    encoding: int


def plain_dtype(kind: pa.DataType) -> str | None:
    """The NumPy type that a column of this Arrow type has on the disk bit for bit, or None.

    Examples
    --------
    >>> plain_dtype(pa.float64()), plain_dtype(pa.timestamp("us", tz="UTC")), plain_dtype(pa.string())
    ('<f8', '<i8', None)
    """
    if pa.types.is_int64(kind) or (pa.types.is_timestamp(kind) and kind.unit == "us"):
        return "<i8"
    return {pa.float64(): "<f8", pa.float32(): "<f4", pa.int32(): "<i4"}.get(kind)


def page_header(content: bytes) -> PageHeader | None:
    """Read the header at the beginning of `content`, or None where it is none of a first-version data page.

    A Parquet PageHeader in Thrift's compact protocol: fields 1 kind, 2 size, 3 compressed size, 5 the data page's own
    header with 1 values, 2 encoding.
    """
    try:
        fields, length = _struct(content, 0)
    except (IndexError, ValueError):
        return None
    own = fields.get(5)
    if fields.get(1) != DATA_PAGE or not isinstance(own, dict):
        return None
    try:
        return PageHeader(length, fields[1], fields[2], fields[3], own[1], own[2])
    except KeyError:
        return None


def plain_values(handle: int, column: Any, optional: bool, rows: int, dtype: str) -> NDArray[Any] | None:
    """The values of one column chunk, where it is plain, not compressed and holds no null; else None.

    Parameters
    ----------
    handle : int
        Of the open file.
    column : pyarrow.parquet.ColumnChunkMetaData
    optional : bool
        Whether its pages say which values are there.
    rows : int
    dtype : str
        As `plain_dtype` gives it.

    Returns
    -------
    ndarray of dtype [rows], or None

    Raises
    ------
    OSError
        The file cannot be read, or ends too early.
    """
    width = np.dtype(dtype).itemsize
    if (
        column.compression != "UNCOMPRESSED"
        or column.has_dictionary_page
        or PHYSICAL.get(column.physical_type) != width
    ):
        return None
    out = np.empty(rows, dtype)
    room = memoryview(out.view(np.uint8).data) if rows else memoryview(b"")
    at, filled = int(column.data_page_offset), 0
    while filled < rows:
        header = page_header(os.pread(handle, HEADER_BYTES, at))
        if header is None or header.encoding != PLAIN or header.size != header.compressed_size:
            return None
        body = at + header.length
        ahead = 0
        if optional:
            ahead = 4 + int.from_bytes(os.pread(handle, 4, body), "little")
        if not 0 < header.values <= rows - filled or ahead + header.values * width != header.size:
            return None
        _fill(handle, room[filled * width : (filled + header.values) * width], body + ahead)
        filled += header.values
        at = body + header.size
    return out


def _fill(handle: int, room: memoryview, at: int) -> None:
    """Read until there is no room left."""
    while len(room):
        count = os.preadv(handle, [room], at)
        if count <= 0:
            raise OSError("the file ends too early")
        room, at = room[count:], at + count


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def _struct(content: bytes, at: int) -> tuple[dict[int, Any], int]:
    """The fields of a struct by number, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while True:
        byte = content[at]
        at += 1
        kind = byte & 0x0F
        if kind == STOP:
            return fields, at
        if byte >> 4:
            number += byte >> 4
        else:
            coded, at = _varint(content, at)
            number = (coded >> 1) ^ -(coded & 1)
        if kind in (TRUE, FALSE):
            fields[number] = kind == TRUE
        elif kind in WHOLE:
            coded, at = _varint(content, at)
            fields[number] = (coded >> 1) ^ -(coded & 1)
        elif kind == BYTE:
            fields[number], at = content[at], at + 1
        elif kind == DOUBLE:
            at += 8
        elif kind == BINARY:
            length, at = _varint(content, at)
            at += length
        elif kind == STRUCT:
            fields[number], at = _struct(content, at)
        else:
            raise ValueError(f"a field of type {kind}")
