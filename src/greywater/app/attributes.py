"""Attributes of customers and accounts: kinds, codes and protection settled when recorded, joined for models."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from greywater.features.attributes import Attribute, AttributeJoin
from greywater.formats.attributes import Kind, values_of
from greywater.formats.text import shorten
from greywater.stores.ports import Tables
from greywater.vocab import (
    ATTRIBUTE_NAME_SCHEMA,
    ATTRIBUTE_SCHEMA,
    ATTRIBUTE_WORD_SCHEMA,
    REJECTED_SCHEMA,
)

__all__ = ["NAMES", "WORDS", "code_attributes", "open_attributes"]

#: Tables of the project beside `attributes` itself.
NAMES: Final = "attribute_names"
WORDS: Final = "attribute_words"
_VALUES: Final = pa.schema([field for field in ATTRIBUTE_SCHEMA if field.name != "after_seq"])
_MEND: Final = {
    "number": "write a number with a point, or leave it blank where it is not known",
    "flag": "write 1 or 0, or leave it blank where it is not known",
}


def code_attributes(
    tables: Tables, rows: pa.Table, *, file: str, protected: Collection[str]
) -> tuple[pa.Table, pa.Table]:
    """Turn values as they were written into numbers, flags and codes, and keep what the codes mean.

    The kind of an attribute and the code of a word are settled when first met and never change; an attribute that was
    marked as protected once stays so.

    Parameters
    ----------
    tables : Tables
        Of the project, open for writing.
    rows : pa.Table
        From `greywater.formats.attributes.read_attributes`.
    file : str
        Base name of the file, for rejected rows.
    protected : collection of str
        Attributes of it to be marked.

    Returns
    -------
    rows : pa.Table
        ATTRIBUTE_SCHEMA without after_seq, `known_since` null where the file gave none; in the order of the rows.
    rejected : pa.Table
        REJECTED_SCHEMA: values that are not of the attribute's kind.
    """
    settled = _names(tables)
    parts: list[pa.Table] = []
    refused: list[pa.Table] = []
    names = rows["name"].unique().to_pylist()
    for name in names:
        mine = rows.filter(pc.equal(rows["name"], name)).combine_chunks()
        held = settled.get(name)
        kind, values = values_of(mine["value"], name, None if held is None else held[0])
        mark = name in protected or (held is not None and held[1])
        if held != (kind, mark):
            row = pa.Table.from_pylist([{"name": name, "kind": kind, "protected": mark}], schema=ATTRIBUTE_NAME_SCHEMA)
            tables.append(NAMES, row, transaction=f"{name}/{kind}/{mark}")
        if kind == "text":
            values = _codes(tables, name, values)
        good = values.is_valid()
        refused.append(_refused(mine.filter(pc.invert(good)), name, kind, file))
        nothing = pa.nulls(len(values), pa.float64() if kind != "number" else pa.int64())
        columns = {"number": values, "code": nothing} if kind == "number" else {"number": nothing, "code": values}
        wide = [columns[field.name] if field.name in columns else mine[field.name] for field in _VALUES]
        parts.append(pa.Table.from_arrays(wide, names=_VALUES.names).filter(good))
    nullable = pa.schema([field.with_nullable(True) for field in _VALUES])
    return (
        pa.concat_tables(parts).cast(nullable) if parts else nullable.empty_table(),
        pa.concat_tables(refused) if refused else REJECTED_SCHEMA.empty_table(),
    )


def open_attributes(
    tables: Tables, which: Literal["open", "protected", "all"] = "open", *, only: Collection[str] | None = None
) -> AttributeJoin | None:
    """Read the attributes of a project, ready to be joined to payments.

    Parameters
    ----------
    tables : Tables
        Of the project.
    which : {"open", "protected", "all"}
        "open": those that a model may use. "protected": those that serve fairness reports only. "all" where the
        project allows it.
    only : collection of str, optional
        Leave out all others.

    Returns
    -------
    AttributeJoin or None
        None where there is no such attribute.
    """
    chosen = [
        (name, kind)
        for name, (kind, mark) in sorted(_names(tables).items())
        if (which == "all" or mark == (which == "protected")) and (only is None or name in only)
    ]
    if not chosen:
        return None
    records = tables.read("attributes")
    words = _words(tables)
    attributes = [Attribute(name, kind, tuple(words.get(name, ()))) for name, kind in chosen]
    accounts = tables.read("accounts", ["account", "customer", "known_since", "after_seq"])
    return AttributeJoin(attributes, ATTRIBUTE_SCHEMA.empty_table() if records is None else records, accounts)


def _names(tables: Tables) -> dict[str, tuple[Kind, bool]]:
    """Kind of each attribute, and whether it is protected."""
    table = tables.read(NAMES)
    found: dict[str, tuple[Kind, bool]] = {}
    for row in [] if table is None else table.to_pylist():
        marked = found.get(row["name"], ("", False))[1]
        found[row["name"]] = (row["kind"], marked or row["protected"])
    return found


def _words(tables: Tables) -> dict[str, list[str]]:
    """The words of each text attribute, by code."""
    table = tables.read(WORDS)
    found: dict[str, list[str]] = {}
    for row in [] if table is None else table.to_pylist():
        found.setdefault(row["name"], []).append(row["word"])
    return found


def _codes(tables: Tables, name: str, texts: pa.Array) -> pa.Array:
    """Codes int64[n] of texts; words met for the first time get the next ones."""
    held = _words(tables).get(name, [])
    known = set(held)
    new = [word for word in texts.unique().to_pylist() if word not in known]
    if new:
        begin = len(held)
        rows = [{"name": name, "code": begin + place, "word": word} for place, word in enumerate(new)]
        tables.append(WORDS, pa.Table.from_pylist(rows, schema=ATTRIBUTE_WORD_SCHEMA), transaction=f"{name}/{begin}")
    return pc.index_in(texts, value_set=pa.array([*held, *new], pa.string())).cast(pa.int64())


def _refused(rows: pa.Table, name: str, kind: Kind, file: str) -> pa.Table:
    entries = []
    for row in rows.select(["row", "value"]).to_pylist():
        value = shorten(row["value"])
        message = f"this is no {kind}: {value!r} in column {name!r} ({file}, row {row['row']}). To mend: {_MEND[kind]}."
        entries.append(
            {"file": file, "row": row["row"], "column": name, "value": value, "reason": f"{kind}_unreadable",
             "message": message}
        )  # fmt: skip
    return pa.Table.from_pylist(entries, schema=REJECTED_SCHEMA)
