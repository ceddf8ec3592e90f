"""TFRecord files of tf.train.Example records, written and read by TensorFlow's format rules without TensorFlow.

A file is a row of frames: the length of a record (uint64, least byte first), the masked CRC-32C of those eight bytes,
the record, and its own masked CRC-32C. A record is a protocol-buffers message `Example`: a map from column names to
lists of bytes, of 32-bit floats, or of 64-bit whole numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.errors import FormatError, RefusedTypeError, RefusedValueError, UsageError
from greywater.kernels.crc32c import FRAME_BYTES, TABLES, find_records, frame_records
from greywater.stores.durable import store_errors
from greywater.vocab import Int64Array

__all__ = [
    "Doubles", "Feature", "TFRecordWriter", "encode_examples", "parse_example", "read_columns", "read_examples",
    "read_records",
]  # fmt: skip

#: How float64 columns are stored: rounded to the format's 32-bit floats, or their 8 bytes as they are.
Doubles = Literal["float", "bytes"]
Octets = NDArray[np.uint8]

ROWS: Final = 8_192  # rows encoded at a time
BLOCK: Final = 8 << 20  # bytes read at a time
LARGEST: Final = 1 << 31  # of a record: what protocol buffers allow
NOTHING: Final = pa.scalar(b"", pa.large_binary())

#: Field numbers of the lists in `Feature`, and the byte that opens each (length-delimited).
KINDS: Final = {1: "bytes", 2: "float", 3: "int64"}
ONE_FLOAT: Final = struct.Struct("<f")
OPENS: Final = {"bytes": b"\x0a", "float": b"\x12", "int64": b"\x1a"}


class Feature(NamedTuple):
    """One entry of an Example.

    Parameters
    ----------
    kind : {"bytes", "float", "int64", ""}
        Which list it is; empty where none was set.
    values : tuple of bytes, float or int
    """

    kind: str
    values: tuple[Any, ...]


class TFRecordWriter:
    """Writes tables into an open file, one record a row.

    Parameters
    ----------
    file : binary file
        Open for writing; it stays the caller's to close.
    doubles : {"float", "bytes"}
        float64 values as 32-bit floats, which is what `tf.io.FixedLenFeature([], tf.float32)` reads, rounded to the
        nearest; or their eight bytes, least first, for `tf.io.decode_raw(x, tf.float64)`.

    Raises
    ------
    UsageError
        `doubles` is neither.
    """

    def __init__(self, file: BinaryIO, *, doubles: Doubles = "float") -> None:
        if doubles not in ("float", "bytes"):
            raise UsageError(f"no way {doubles!r} to store float64", mend="give 'float' or 'bytes'")
        self._file = file
        self._doubles: Doubles = doubles

    def write(self, table: pa.Table) -> None:
        """Append the rows of a table; see `encode_examples` for what becomes of each column."""
        for start in range(0, table.num_rows, ROWS):
            octets, bounds = encode_examples(table.slice(start, ROWS), doubles=self._doubles)
            framed = np.empty(len(octets) + FRAME_BYTES * (len(bounds) - 1), np.uint8)
            frame_records(octets, bounds, TABLES, framed)
            self._file.write(framed.data)


def encode_examples(table: pa.Table, *, doubles: Doubles = "float") -> tuple[Octets, Int64Array]:
    """The rows of a table as serialised tf.train.Example messages, keys in the order of their UTF-8 bytes.

    float32 and float64 become float lists, bool and whole numbers int64 lists, timestamps int64 lists of microseconds
    since 1970, dates int64 lists of days since 1970, strings and binary bytes lists (UTF-8). A null has no entry at
    all, as `FixedLenFeature` with a default and `VarLenFeature` expect; NaN stays NaN.

    Returns
    -------
    octets : uint8[n]
        The messages, one behind the other.
    bounds : int64[m + 1]
        Message k is octets[bounds[k]:bounds[k + 1]].

    Raises
    ------
    RefusedTypeError
        A column is of another type.
    RefusedValueError
        A float64 is too large for a 32-bit float.

    Examples
    --------
    >>> octets, bounds = encode_examples(pa.table({"n": pa.array([7], pa.int64())}))
    >>> octets.tobytes().hex(), bounds.tolist()
    ('0a0c0a0a0a016e12051a030a0107', [0, 14])
    """
    entries = [
        _entries(name.encode(), *_payload(name, _whole(table[name]), doubles)) for name in sorted(table.column_names)
    ]
    if not entries:
        rows = pa.array([b""] * table.num_rows, pa.large_binary())
    elif len(entries) == 1:
        rows = pc.fill_null(entries[0], NOTHING)
    else:
        rows = pc.binary_join_element_wise(*entries, NOTHING, null_handling="replace", null_replacement=b"")
    rows = _headed(rows, lambda length: b"\x0a" + _varint(length))
    return _bytes_of(rows)


def read_records(path: Path) -> Iterator[bytes]:
    """The records of a TFRecord file in order, both checks of each verified.

    Raises
    ------
    FormatError
        A check does not fit, or the file ends inside a record; says which record and at which byte.
    StoreError
        The file cannot be read.
    """
    starts, stops, outcome = np.empty(65_536, np.int64), np.empty(65_536, np.int64), np.zeros(3, np.int64)
    number = at = 0
    left = b""
    with store_errors(path, "read a TFRecord file"), path.open("rb") as file:
        while block := file.read(max(BLOCK, len(left))):
            buffer = left + block
            octets = np.frombuffer(buffer, np.uint8)
            used = 0
            while True:
                find_records(octets[used:], len(octets) - used, TABLES, starts, stops, outcome)
                found, taken, fault = outcome.tolist()
                for start, stop in zip(starts[:found].tolist(), stops[:found].tolist(), strict=True):
                    yield buffer[used + start : used + stop]
                number, used, at = number + found, used + taken, at + taken
                if fault:
                    what = "its length" if fault == 1 else "its bytes"
                    raise _damaged(f"the check of {what} does not fit in record {number}", path, at)
                if found < len(starts):
                    break
            left = buffer[used:]
            if len(left) >= 8 and int.from_bytes(left[:8], "little") > LARGEST:
                raise _damaged(f"record {number} is said to be longer than 2 GiB", path, at)
    if left:
        raise _damaged(f"the file ends inside record {number}", path, at)


def read_examples(path: Path) -> Iterator[dict[str, Feature]]:
    """The records of a TFRecord file, each parsed as a tf.train.Example."""
    for number, record in enumerate(read_records(path)):
        try:
            yield parse_example(record)
        except FormatError as error:
            raise FormatError(error.found, where=f"{path}, record {number}", mend=error.mend) from error


def read_columns(path: Path, schema: pa.Schema, *, doubles: Doubles = "float") -> pa.Table:
    """The table that TFRecordWriter wrote, in the dtypes of `schema`; what a record lacks is null.

    Raises
    ------
    FormatError
        A record is damaged, or holds another kind of list or more than one value.
    """
    tables = []
    examples = read_examples(path)
    number = 0
    while batch := list(islice(examples, ROWS)):
        columns = [_column(batch, field, doubles, f"{path}, from record {number} on") for field in schema]
        tables.append(pa.table(columns, schema))
        number += len(batch)
    return pa.concat_tables(tables) if tables else schema.empty_table()


def parse_example(record: bytes) -> dict[str, Feature]:
    """Parse one serialised tf.train.Example: any order of keys, packed or unpacked lists, unknown fields skipped.

    Raises
    ------
    FormatError
        The bytes are not such a message.

    Examples
    --------
    >>> parse_example(bytes.fromhex("0a0c0a0a0a016e12051a030a0107"))
    {'n': Feature(kind='int64', values=(7,))}
    """
    found: dict[str, Feature] = {}
    for number, wire, features, _ in _fields(record):
        if number != 1 or wire != 2:
            continue
        for inner, inner_wire, entry, _ in _fields(features):
            if inner == 1 and inner_wire == 2:
                name, feature = _entry(entry)
                found[name] = feature
    return found


def _damaged(found: str, path: Path, at: int) -> FormatError:
    return FormatError(found, where=f"{path}, byte {at}", mend="write the file again")


def _not_an_example(found: str) -> FormatError:
    return FormatError(f"not a tf.train.Example: {found}", mend="give a file of tf.train.Example records")


# Writing --------------------------------------------------------------------------------------------------------


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays([*column.chunks, pa.array([], column.type)])


def _payload(name: str, column: pa.Array, doubles: Doubles) -> tuple[str, pa.Array]:
    """The kind of list, and the bytes of each row's only value; null where it has none."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind):
        return "bytes", column.cast(pa.large_binary())
    if pa.types.is_float64(kind) and doubles == "bytes":
        return "bytes", _fixed(column, np.dtype("<f8"))
    if pa.types.is_floating(kind):
        if pa.types.is_float64(kind):
            _refuse_too_large(name, column)
        return "float", _fixed(column, np.dtype("<f4"))
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", tz=kind.tz)).cast(pa.int64())
    elif pa.types.is_date32(kind):
        column = column.cast(pa.int32())
    elif not pa.types.is_boolean(kind) and not pa.types.is_integer(kind):
        raise RefusedTypeError(
            f"no list of tf.train.Example holds {kind}",
            where=f"column {name}",
            mend="cast it to a number, a timestamp or a string",
        )
    return "int64", _varints(column)


def _refuse_too_large(name: str, column: pa.Array) -> None:
    sizes = np.abs(np.asarray(pc.fill_null(column, 0.0)))
    # From half a unit beyond the largest 32-bit float on, rounding would give infinity.
    too_large = np.flatnonzero((sizes >= 3.4028235677973366e38) & np.isfinite(sizes))
    if len(too_large):
        raise RefusedValueError(
            f"{column[int(too_large[0])].as_py()!r} is too large for a 32-bit float",
            where=f"column {name}, row {int(too_large[0])}",
            mend="store float64 as bytes (doubles='bytes')",
        )


def _fixed(column: pa.Array, dtype: np.dtype[Any]) -> pa.Array:
    """The bytes of each float as a binary value."""
    values = np.ascontiguousarray(np.asarray(pc.fill_null(column, 0)), dtype)
    offsets = np.arange(len(values) + 1, dtype=np.int64) * dtype.itemsize
    return _binary(values.view(np.uint8), offsets, column)


def _varints(column: pa.Array) -> pa.Array:
    """Each whole number as a varint of its 64 bits, as a binary value."""
    if pa.types.is_uint64(column.type):
        values = np.asarray(pc.fill_null(column, 0))
    else:
        values = np.asarray(pc.fill_null(column.cast(pa.int64()), 0)).view(np.uint64)
    sizes = np.ones(len(values), np.int64)
    for k in range(1, 10):
        sizes += values >= np.uint64(1 << (7 * k))
    longest = int(sizes.max(initial=1))
    shifts = np.arange(longest, dtype=np.uint64) * np.uint64(7)
    groups = ((values[:, None] >> shifts) & np.uint64(127)).astype(np.uint8)
    place = np.arange(longest)
    groups |= np.where(place < sizes[:, None] - 1, 128, 0).astype(np.uint8)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    return _binary(groups[place < sizes[:, None]], offsets, column)


def _binary(octets: Octets, offsets: Int64Array, column: pa.Array) -> pa.Array:
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(octets)]
    values = pa.Array.from_buffers(pa.large_binary(), len(column), buffers)
    return pc.if_else(column.is_valid(), values, pa.scalar(None, pa.large_binary())) if column.null_count else values


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _entries(key: bytes, kind: str, payload: pa.Array) -> pa.Array:
    """Each value as an entry of the map, its headers in front: entry {1: key, 2: feature {kind: list {1: value}}}."""
    named = b"\x0a" + _varint(len(key)) + key

    def header(length: int) -> bytes:
        list_head = b"\x0a" + _varint(length)
        feature_head = OPENS[kind] + _varint(len(list_head) + length)
        inner = named + b"\x12" + _varint(len(feature_head) + len(list_head) + length) + feature_head + list_head
        return b"\x0a" + _varint(len(inner) + length) + inner

    return _headed(payload, header)


def _headed(values: pa.Array, header: Any) -> pa.Array:
    """Each value behind the header that goes with its length; nulls stay null."""
    lengths = np.asarray(pc.fill_null(pc.binary_length(values), 0))
    distinct, which = np.unique(lengths, return_inverse=True)
    heads = pa.array([header(length) for length in distinct.tolist()], pa.large_binary())
    front = heads[0] if len(distinct) == 1 else heads.take(pa.array(which))
    return pc.binary_join_element_wise(front, values, NOTHING, null_handling="emit_null")


def _bytes_of(values: pa.Array) -> tuple[Octets, Int64Array]:
    _, offsets, data = values.buffers()
    if len(values) == 0:
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    bounds = np.frombuffer(offsets, np.int64)[values.offset : values.offset + len(values) + 1]
    octets = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return octets[bounds[0] : bounds[-1]], bounds - bounds[0]


# Reading --------------------------------------------------------------------------------------------------------


#: One field of a message: number, wire type (0 varint, 1 eight bytes, 2 delimited, 5 four bytes), content, value.
_Field = tuple[int, int, bytes, int]


def _read_varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for k in range(10):
        if place >= len(message):
            raise _not_an_example("a whole number is cut off")
        byte = message[place]
        place += 1
        value |= (byte & 127) << (7 * k)
        if byte < 128:
            return value & (1 << 64) - 1, place
    raise _not_an_example("a whole number has more than ten bytes")


def _fields(message: bytes) -> list[_Field]:
    found: list[_Field] = []
    place, end = 0, len(message)
    while place < end:
        tag = message[place]  # nearly all tags and sizes are one byte
        place += 1
        if tag > 127:
            tag, place = _read_varint(message, place - 1)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise _not_an_example("field number 0")
        if wire == 2:
            if place < end and message[place] < 128:
                size = message[place]
                place += 1
            else:
                size, place = _read_varint(message, place)
        elif wire == 0:
            value, place = _read_varint(message, place)
            found.append((number, wire, b"", value))
            continue
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise _not_an_example(f"wire type {wire}")
        if size > end - place:
            raise _not_an_example("a field is longer than the message")
        found.append((number, wire, message[place : place + size], 0))
        place += size
    return found


def _entry(message: bytes) -> tuple[str, Feature]:
    key, feature = b"", Feature("", ())
    for number, wire, content, _ in _fields(message):
        if number == 1 and wire == 2:
            key = content
        elif number == 2 and wire == 2:
            feature = _feature(content)
    try:
        return key.decode(), feature
    except UnicodeDecodeError as error:
        raise _not_an_example("a key is not UTF-8") from error


def _feature(message: bytes) -> Feature:
    """The last list that was set, lists of one kind that come in parts joined, as protocol buffers merge them."""
    kind = ""
    values: list[Any] = []
    for number, wire, content, _ in _fields(message):
        if number not in KINDS or wire != 2:
            continue
        if KINDS[number] != kind:
            kind, values = KINDS[number], []
        for item in _fields(content):
            if item[0] == 1:
                values += _values(kind, item)
    return Feature(kind, tuple(values))


def _column(batch: list[dict[str, Feature]], field: pa.Field, doubles: Doubles, where: str) -> pa.Array:
    """One column of parsed records."""
    kind = field.type
    missing = Feature("", ())
    found = [example.get(field.name, missing) for example in batch]
    packed = pa.types.is_float64(kind) and doubles == "bytes"
    if pa.types.is_string(kind) or packed:
        wanted = "bytes"
    else:
        wanted = "float" if pa.types.is_floating(kind) else "int64"
    if any(one.values and (one.kind != wanted or len(one.values) > 1) for one in found):
        raise FormatError(f"column {field.name} is not one value of a list of {wanted}", where=where)
    values = [one.values[0] if one.values else None for one in found]
    try:
        if packed:
            return pa.array([None if value is None else struct.unpack("<d", value)[0] for value in values], kind)
        if pa.types.is_string(kind):
            return pa.array([None if value is None else value.decode() for value in values], kind)
        if wanted == "float":
            return pa.array(values, kind)
        if pa.types.is_boolean(kind):
            return pa.array(values, pa.int64()).cast(kind)
        if pa.types.is_uint64(kind):
            return pa.array([None if value is None else value & (1 << 64) - 1 for value in values], kind)
        return pa.array(values, pa.int32() if pa.types.is_date(kind) else pa.int64()).cast(kind)
    except (struct.error, UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise FormatError(f"column {field.name} does not hold {kind}: {error}", where=where) from error


def _values(kind: str, item: _Field) -> tuple[Any, ...]:
    _, wire, content, value = item
    if kind == "float" and wire in (2, 5):
        if len(content) % 4:
            raise _not_an_example("a list of floats is cut off")
        return ONE_FLOAT.unpack(content) if len(content) == 4 else struct.unpack(f"<{len(content) // 4}f", content)
    if kind == "bytes" and wire == 2:
        return (content,)
    if kind == "int64" and wire == 0:
        return (_signed(value),)
    if kind == "int64" and wire == 2:
        whole, place = [], 0
        while place < len(content):
            value, place = _read_varint(content, place)
            whole.append(_signed(value))
        return tuple(whole)
    return ()


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
