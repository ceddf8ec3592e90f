"""The canonical form of a table, whose SHA-256 says whether two training sets are the same bit for bit.

The form does not depend on how a table is cut into chunks or laid out in memory. Per column, in row order:

- `valid`: one byte a row, 1 where there is a value, 0 where it is null;
- `values`: numbers least byte first in their own width (bool one byte; timestamps int64 microseconds since 1970;
  dates int32 days), a null as zero, every NaN as the one with bits 7ff8000000000000 (7fc00000 for float32); of
  strings the length in UTF-8 bytes as int64;
- `bytes`: of strings, their UTF-8 bytes.

The digest of a column is SHA-256(SHA-256(valid) + SHA-256(values) + SHA-256(bytes)); the digest of the table is that
of the JSON text (no spaces, ASCII) [format, rows, [[name, dtype, digest of the column], ...]].
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import RefusedTypeError, UsageError

__all__ = ["CanonicalHash", "canonical_table", "dtype_name", "dtype_of", "sha256_of"]

FORMAT: Final = "greywater table 1"
UTC_TIME: Final = pa.timestamp("us", tz="UTC")
#: Names of the dtypes that a training set may have.
NAMES: Final[dict[str, pa.DataType]] = {
    "bool": pa.bool_(), "int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(), "int64": pa.int64(),
    "uint8": pa.uint8(), "uint16": pa.uint16(), "uint32": pa.uint32(), "uint64": pa.uint64(),
    "float32": pa.float32(), "float64": pa.float64(), "string": pa.string(), "timestamp": UTC_TIME,
    "date": pa.date32(),
}  # fmt: skip


class CanonicalHash:
    """SHA-256 of the canonical form of a table that comes in chunks.

    Parameters
    ----------
    schema : pa.Schema
        Of the canonical table, as `canonical_table` gives it.

    Examples
    --------
    >>> table = pa.table({"x": [1.0, None, 2.0]})
    >>> once = CanonicalHash(table.schema)
    >>> once.add(table)
    >>> twice = CanonicalHash(table.schema)
    >>> twice.add(table.slice(0, 1))
    >>> twice.add(table.slice(1))
    >>> once.table_digest() == twice.table_digest()
    True
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._columns = [(field.name, dtype_name(field.type, field.name)) for field in schema]
        self._hashes = [tuple(hashlib.sha256() for _ in range(3)) for _ in schema]
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        """Take in the next rows."""
        self._rows += table.num_rows
        for place, hashes in enumerate(self._hashes):
            for chunk in table.column(place).chunks:
                for one, octets in zip(hashes, _octets(chunk), strict=True):
                    one.update(octets)

    def column_digests(self) -> dict[str, str]:
        """Digest of each column so far, hex, in order."""
        return {
            name: hashlib.sha256(b"".join(one.digest() for one in hashes)).hexdigest()
            for (name, _), hashes in zip(self._columns, self._hashes, strict=True)
        }

    def table_digest(self) -> str:
        """Digest of the rows so far, hex."""
        digests = self.column_digests()
        columns = [[name, dtype, digests[name]] for name, dtype in self._columns]
        text = json.dumps([FORMAT, self._rows, columns], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def sha256_of(table: pa.Table) -> str:
    """SHA-256 of a whole table in canonical form, hex."""
    whole = canonical_table(table)
    digest = CanonicalHash(whole.schema)
    digest.add(whole)
    return digest.table_digest()


def canonical_table(table: pa.Table) -> pa.Table:
    """The table in the dtypes of NAMES: all kinds of strings as string, all timestamps in microseconds UTC.

    Dictionaries are looked up, naive times are UTC, a column of nulls without a type is a string column. Values and
    order stay; metadata goes.

    Raises
    ------
    RefusedTypeError
        A column is of a type that has no name here.
    UsageError
        Two columns have one name.

    Examples
    --------
    >>> table = pa.table({"t": pa.array([1], pa.timestamp("ms")), "s": pa.array(["a"]).dictionary_encode()})
    >>> [str(kind) for kind in canonical_table(table).schema.types]
    ['timestamp[us, tz=UTC]', 'string']
    """
    names = table.column_names
    if len(set(names)) < len(names):
        double = sorted({name for name in names if names.count(name) > 1})
        raise UsageError(f"two columns are called {double[0]!r}", mend="give every column a name of its own")
    columns = [_canonical(name, table.column(place)) for place, name in enumerate(names)]
    return pa.table(columns, pa.schema([pa.field(n, c.type) for n, c in zip(names, columns, strict=True)]))


def dtype_name(kind: pa.DataType, column: str = "") -> str:
    """The name of an Arrow type in NAMES.

    Examples
    --------
    >>> dtype_name(pa.timestamp("us", tz="UTC"))
    'timestamp'
    """
    for name, known in NAMES.items():
        if kind == known:
            return name
    raise RefusedTypeError(
        f"a training set cannot hold {kind}",
        where=f"column {column}" if column else "",
        mend="cast it to a number, a bool, a string, a timestamp or a date",
    )


def dtype_of(name: str) -> pa.DataType:
    """The Arrow type of a name of NAMES."""
    if name not in NAMES:
        raise RefusedTypeError(f"no dtype {name!r}", mend=f"give one of {', '.join(NAMES)}")
    return NAMES[name]


def _canonical(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    wanted = kind
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        wanted = pa.string()
    elif pa.types.is_timestamp(kind):
        wanted = UTC_TIME
    elif pa.types.is_date64(kind):
        wanted = pa.date32()
    dtype_name(wanted, name)
    try:
        return column if kind == wanted else column.cast(wanted)
    except pa.ArrowInvalid as error:
        raise RefusedTypeError(
            f"{kind} does not fit {wanted}: {error}", where=f"column {name}", mend="round it to microseconds"
        ) from error


def _octets(column: pa.Array) -> tuple[Any, Any, Any]:
    """Bytes of `valid`, `values` and `bytes`."""
    kind = column.type
    if column.null_count:
        valid = np.asarray(column.is_valid()).astype(np.uint8)
    else:
        valid = np.ones(len(column), np.uint8)
    if pa.types.is_string(kind):
        full = pc.fill_null(column, "") if column.null_count else column
        lengths = np.asarray(pc.binary_length(full), np.int64)
        return valid.data, np.ascontiguousarray(lengths, "<i8").data, _text_bytes(full)
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    elif pa.types.is_date32(kind):
        column = column.cast(pa.int32())
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    values = np.asarray(pc.fill_null(column, 0) if column.null_count else column)
    if values.dtype.kind == "f":
        missing = np.isnan(values)
        if missing.any():
            values = values.copy()
            values[missing] = values.dtype.type(np.nan)
    return valid.data, np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data, b""


def _text_bytes(column: pa.Array) -> Any:
    _, offsets, data = column.buffers()
    if data is None or len(column) == 0:
        return b""
    bounds = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return memoryview(data)[int(bounds[0]) : int(bounds[-1])]
