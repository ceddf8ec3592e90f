"""What rows of a feature group must be, and how they are sorted: the rules every offline adapter applies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from greywater.errors import StoreDamagedError, StoreError
from greywater.stores.feature_ports import EVENT_TIME, KNOWN_TIME, GroupLayout, microseconds
from greywater.stores.offline_keys import key_column, key_hashes
from greywater.vocab import Int64Array

__all__ = [
    "COMMIT", "DAY_US", "KEY_HIGH", "KEY_LOW", "OWN_COLUMNS", "DayRows", "check_layout", "conform", "day_text",
    "folder_name", "in_order", "name_of_folder", "no_such_group", "pick_visible", "plain_meta", "prepared_rows",
    "split_days", "stored_schema", "visible_schema",
]  # fmt: skip

DAY_US: Final = 86_400_000_000
COMMIT, KEY_HIGH, KEY_LOW = "commit", "key_high", "key_low"
#: Columns that the store adds to every row.
OWN_COLUMNS: Final = (COMMIT, KEY_HIGH, KEY_LOW)
#: Days since 1970 of the years 1 to 9999: others have no calendar date to be filed under.
DATED: Final = (-719_162, 2_932_896)
STORABLE: Final = (
    pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(),
    pa.timestamp("us", tz="UTC"),
)  # fmt: skip

group_name: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
folder_pattern: Final = re.compile(r"([a-z][a-z0-9_]{0,62})_v([1-9][0-9]{0,8})")


@dataclass(frozen=True)
class DayRows:
    """Rows of one UTC day (days since 1970) in order of (key hash, event time, commit), with the store's columns."""

    day: int
    rows: pa.Table


def check_layout(layout: GroupLayout) -> None:
    """Raise StoreError unless a group can be laid out so.

    Examples
    --------
    >>> check_layout(GroupLayout("credit", 1, ("customer",), pa.schema([("score", pa.float64())])))
    """
    names = [*layout.keys, EVENT_TIME, KNOWN_TIME, *OWN_COLUMNS, "day", *layout.features.names]
    where = f"group {layout.name!r} version {layout.version}"
    if not group_name.fullmatch(layout.name) or layout.version < 1:
        raise StoreError(
            "a group cannot be called so", where=where, mend="use lower-case letters, digits and _, and versions from 1"
        )
    if not layout.keys or len(layout.keys) != len(layout.key_dtypes) or set(layout.key_dtypes) - {"string", "int64"}:
        raise StoreError("a group needs keys, each string or int64", where=where)
    if not layout.features.names or len(set(names)) < len(names):
        raise StoreError("a group needs features, and each column a name of its own", where=where)
    for column in layout.features:
        if column.type not in STORABLE:
            raise StoreError(
                f"feature {column.name!r} is {column.type}, which a group cannot keep",
                where=where,
                mend="use one of " + ", ".join(str(kind) for kind in STORABLE),
            )


def folder_name(name: str, version: int) -> str:
    """The folder of one version of a group.

    Examples
    --------
    >>> folder_name("credit", 2)
    'credit_v2'
    """
    if not group_name.fullmatch(name) or version < 1:
        raise StoreError(f"there is no group {name!r} version {version}", mend="give the name of a registered group")
    return f"{name}_v{version}"


def name_of_folder(folder: str) -> tuple[str, int] | None:
    """Name and version of the group in a folder, or None where it is none.

    Examples
    --------
    >>> name_of_folder("credit_v2"), name_of_folder("credit")
    (('credit', 2), None)
    """
    match = folder_pattern.fullmatch(folder)
    return (match.group(1), int(match.group(2))) if match else None


def visible_schema(layout: GroupLayout) -> pa.Schema:
    """What a scan gives: keys, event_time, known_time, commit, features."""
    stored = stored_schema(layout)
    return pa.schema([field for field in stored if field.name not in (KEY_HIGH, KEY_LOW)])


def stored_schema(layout: GroupLayout) -> pa.Schema:
    """What a data file holds: keys, event_time, known_time, commit, key_high, key_low, features."""
    kinds = {"string": pa.string(), "int64": pa.int64()}
    moment = pa.timestamp("us", tz="UTC")
    keys = [(name, kinds[dtype]) for name, dtype in zip(layout.keys, layout.key_dtypes, strict=True)]
    own: list[tuple[str, pa.DataType]] = [(EVENT_TIME, moment), (KNOWN_TIME, moment)]
    own += [(name, pa.int64()) for name in OWN_COLUMNS]
    never_null = [pa.field(name, kind, nullable=False) for name, kind in [*keys, *own]]
    return pa.schema(never_null + [pa.field(field.name, field.type) for field in layout.features])


def conform(rows: pa.Table, layout: GroupLayout) -> pa.Table:
    """Rows as the group keeps them, without the store's own columns.

    Raises
    ------
    StoreError
        A column is missing, unknown or of another type, or a key or a time is null.
    """
    where = f"group {layout.name!r} version {layout.version}"
    wanted = [*layout.keys, EVENT_TIME, KNOWN_TIME, *layout.features.names]
    if sorted(rows.column_names) != sorted(wanted):
        raise StoreError(
            f"the rows have the columns {', '.join(rows.column_names)}", where=where, mend=f"give {', '.join(wanted)}"
        )
    arrays = []
    for name, dtype in zip(layout.keys, layout.key_dtypes, strict=True):
        arrays.append(key_column(rows[name], dtype, name).cast(pa.int64() if dtype == "int64" else pa.string()))
    for name in (EVENT_TIME, KNOWN_TIME):
        arrays.append(_as_type(rows[name], pa.timestamp("us", tz="UTC"), name, where))
    for name, column in zip(wanted, arrays, strict=False):
        if column.null_count:
            raise StoreError(
                f"column {name!r} has {column.null_count} missing values", where=where, mend="leave those rows out"
            )
    arrays += [_as_type(rows[field.name], field.type, field.name, where) for field in layout.features]
    return pa.table(arrays, names=wanted)


def split_days(rows: pa.Table, layout: GroupLayout, commit: int) -> Iterator[DayRows]:
    """Rows of one commit, day by day, each day sorted by (key hash, event time), equal ones as they were given.

    Parameters
    ----------
    rows : pa.Table
        As `conform` gives them.
    commit : int
        The number all of them get.

    Raises
    ------
    StoreError
        An event time lies outside the years 1 to 9999.
    """
    event = microseconds(rows[EVENT_TIME])
    day = event // DAY_US
    if len(day) and (day.min() < DATED[0] or day.max() > DATED[1]):
        raise StoreError("an event time lies outside the years 1 to 9999", where=f"group {layout.name!r}")
    high, low = key_hashes([rows[name].combine_chunks() for name in layout.keys])
    together = None if (day[1:] >= day[:-1]).all() else np.argsort(day.astype(np.int32), kind="stable")
    day = day if together is None else day[together]
    if not len(day):
        return
    starts = np.flatnonzero(np.append(True, day[1:] != day[:-1]))
    schema = stored_schema(layout)
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(day)], strict=True):
        chosen = np.arange(start, stop) if together is None else together[start:stop]
        chosen = chosen[in_order(high[chosen], low[chosen], event[chosen])]
        sorted_rows = rows.take(pa.array(chosen))
        own = {
            COMMIT: pa.array(np.full(len(chosen), commit, np.int64)),
            KEY_HIGH: pa.array(high[chosen]),
            KEY_LOW: pa.array(low[chosen]),
        }
        arrays = [own[name] if name in own else sorted_rows[name] for name in schema.names]
        yield DayRows(int(day[start]), pa.Table.from_arrays(arrays, schema=schema))


def in_order(high: Int64Array, low: Int64Array, event: Int64Array) -> Int64Array:
    """Places int64[n] of rows in order of (high, low, event), equal ones as they were given.

    Examples
    --------
    >>> in_order(np.array([2, 1, 2]), np.array([0, 0, 0]), np.array([5, 9, 4])).tolist()
    [1, 2, 0]
    """
    from greywater.kernels.as_of import order_by_key

    order = np.empty(len(high), np.int64)
    bits = max(1, min(18, len(high).bit_length() - 3))
    order_by_key(high, low, event, bits, np.empty((1 << bits) + 1, np.int64), order, np.empty_like(order))
    return order


def day_text(day: int) -> str:
    """The date of a day since 1970.

    Examples
    --------
    >>> day_text(19_782)
    '2024-02-29'
    """
    return str(np.datetime64(day, "D"))


def no_such_group(name: str, version: int) -> StoreError:
    """What to raise where a group was never made."""
    return StoreError(
        f"there is no group {name!r} version {version}", where="feature store", mend="register the group first"
    )


def prepared_rows(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of a Parquet file on their way into a group; of some columns only where these are times.

    Raises
    ------
    StoreDamagedError
        It cannot be read, or has no such times.
    """
    try:
        with pq.ParquetFile(path) as parquet:
            table: pa.Table = parquet.read(columns=None if columns is None else list(columns), use_threads=False)
            if columns is not None and table.column_names != list(columns):
                raise ValueError(f"it has no column {', '.join(columns)}")
            for name in columns or ():
                if table[name].null_count or not pa.types.is_timestamp(table[name].type):
                    raise ValueError(f"column {name} has missing values, or is no time")
            return table
    except (OSError, pa.ArrowException, ValueError) as error:
        raise StoreDamagedError(
            f"the prepared file cannot be read: {error}", where=str(path), mend="prepare it again"
        ) from error


def pick_visible(layout: GroupLayout, columns: Sequence[str] | None) -> pa.Schema:
    """The schema of the named columns of a scan, or of all.

    Raises
    ------
    StoreError
        There is no such column.
    """
    schema = visible_schema(layout)
    if columns is None:
        return schema
    missing = [name for name in columns if name not in schema.names]
    if missing or not columns:
        raise StoreError(
            f"there is no column {missing[0]!r}" if missing else "no column was asked for",
            where=f"group {layout.name!r} version {layout.version}",
            mend=f"ask for some of {', '.join(schema.names)}",
        )
    return pa.schema([schema.field(name) for name in columns])


def plain_meta(meta: Mapping[str, Any] | None) -> dict[str, Any]:
    """JSON values as they come back from JSON."""
    try:
        told: dict[str, Any] = json.loads(json.dumps(dict(meta or {})))
    except (TypeError, ValueError) as error:
        raise StoreError(f"meta cannot be written as JSON: {error}") from error
    return told


def _as_type(column: pa.ChunkedArray, kind: pa.DataType, name: str, where: str) -> pa.Array:
    """The column as the group keeps it, where that loses nothing."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    given = whole.type.value_type if pa.types.is_dictionary(whole.type) else whole.type
    same = (
        given == kind
        or pa.types.is_null(given)
        or (pa.types.is_timestamp(given) and pa.types.is_timestamp(kind))
        or (pa.types.is_integer(given) and pa.types.is_integer(kind))
        or (pa.types.is_string(kind) and (pa.types.is_large_string(given) or pa.types.is_string_view(given)))
    )
    if same:
        try:
            return whole.cast(kind)
        except pa.ArrowInvalid as error:
            raise StoreError(f"column {name!r} does not fit: {error}", where=where, mend="cast it") from error
    raise StoreError(f"column {name!r} is {given}, not {kind}", where=where, mend="cast it")
