"""What a project's named tables may hold and be called: the rules every tables adapter applies."""

from __future__ import annotations

import re
from typing import Final

import pyarrow as pa

from greywater.errors import StoreError

__all__ = ["RESERVED", "check_name", "check_transaction", "conform_rows", "is_name", "storable_schema"]

#: Folders of the ledger that may stand beside the tables.
RESERVED: Final = frozenset({"ledger", "tx_index", "mended"})
LONGEST_TRANSACTION: Final = 500

table_name: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")

STORABLE: Final = (
    pa.string(), pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.date32(),
    pa.binary(), pa.timestamp("us", tz="UTC"),
)  # fmt: skip


def is_name(name: str) -> bool:
    """Whether a table may be called so.

    Examples
    --------
    >>> is_name("labels"), is_name("ledger")
    (True, False)
    """
    return table_name.fullmatch(name) is not None and name not in RESERVED


def check_name(name: str) -> None:
    """Raise StoreError unless a table may be called so.

    Examples
    --------
    >>> check_name("labels")
    """
    if not is_name(name):
        raise StoreError(
            f"{name!r} cannot be the name of a table",
            mend="use lower-case letters, digits and _, beginning with a letter, and not "
            + ", ".join(sorted(RESERVED)),
        )


def check_transaction(transaction: str | None) -> None:
    """Raise StoreError unless the key can be stored."""
    if transaction is not None and not 0 < len(transaction) <= LONGEST_TRANSACTION:
        raise StoreError(
            f"a transaction key of {len(transaction)} characters", mend=f"use 1 to {LONGEST_TRANSACTION} characters"
        )


def storable_schema(schema: pa.Schema, name: str) -> pa.Schema:
    """The schema a new table gets: that of its first rows without metadata.

    Raises
    ------
    StoreError
        A column's type would not come back as it was written.

    Examples
    --------
    >>> storable_schema(pa.schema([("a", pa.int64())]), "t").names
    ['a']
    """
    if not schema.names or len(set(schema.names)) != len(schema.names):
        raise StoreError("the rows have no columns, or two of one name", where=f"table {name}")
    for column in schema:
        if column.type not in STORABLE:
            raise StoreError(
                f"column {column.name!r} is {column.type}, which a table cannot keep",
                where=f"table {name}",
                mend="cast it to one of " + ", ".join(str(kind) for kind in STORABLE),
            )
    return pa.schema([pa.field(column.name, column.type, column.nullable) for column in schema])


def conform_rows(rows: pa.Table, schema: pa.Schema, name: str) -> pa.Table:
    """The rows in the table's column order.

    Raises
    ------
    StoreError
        Other columns or types than the rows written first, or a null where there may be none.
    """
    if sorted(rows.column_names) != sorted(schema.names):
        raise StoreError(
            f"the rows have the columns {', '.join(rows.column_names)}",
            where=f"table {name}",
            mend=f"give {', '.join(schema.names)}, as the rows written first",
        )
    for column in schema:
        given = rows[column.name]
        if given.type != column.type:
            raise StoreError(
                f"column {column.name!r} is {given.type}, not {column.type} as in the rows written first",
                where=f"table {name}",
                mend="cast it",
            )
        if given.null_count and not column.nullable:
            raise StoreError(
                f"column {column.name!r} has {given.null_count} missing values",
                where=f"table {name}",
                mend="leave those rows out",
            )
    return pa.Table.from_arrays([rows[column] for column in schema.names], schema=schema)
