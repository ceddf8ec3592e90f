"""Reader of what is known of customers and accounts beside their payments: credit score, risk class, flags."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import FormatError, UsageError
from greywater.formats.sidefile import SideFile, normal_name
from greywater.formats.source import check_file
from greywater.formats.tabular import open_table

__all__ = ["KINDS", "AttributesRead", "Kind", "read_attributes", "values_of"]

Kind = Literal["number", "text", "flag"]
#: Attributes whose kind is known; of any other it is told by the values first met.
KINDS: Final[dict[str, Kind]] = {
    "credit_score": "number",
    "segment": "text",
    "employment": "text",
    "adverse_media": "flag",
    "sanctioned": "flag",
}
_ACCOUNT: Final = ("account", "account_id", "acct_id", "accountid", "account_number", "acct", "iban")
_CUSTOMER: Final = ("customer", "customer_id", "customerid", "party", "party_id", "entity_id")
_KNOWN_SINCE: Final = ("known_since", "known_at", "known_time", "known", "reported")
_PROTECTED: Final = re.compile(r"\s*protected\s*:\s*(.+)", re.IGNORECASE)
_NUMBER: Final = r"^[+-]?(\d{1,300}(\.\d{0,300})?|\.\d{1,300})([eE][+-]?\d{1,3})?$"
_YES: Final = ("true", "yes", "y", "t")
_NO: Final = ("false", "no", "n", "f")

_READ_SCHEMA: Final = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("account", pa.string()),
        pa.field("customer", pa.string()),
        pa.field("name", pa.string(), nullable=False),
        pa.field("value", pa.string(), nullable=False),
        pa.field("known_since", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True)
class AttributesRead:
    """What a file of attributes held.

    Parameters
    ----------
    rows : pa.Table
        One row a value: row (int64, 1-based), account or customer, name, value (text), known_since (null where the
        file gives none). Blank values say nothing and are left out.
    rejected : pa.Table
        REJECTED_SCHEMA: rows that could not be used.
    names : tuple of str
        The file's attributes, in its order.
    protected : frozenset of str
        Those that the header marks.
    """

    rows: pa.Table
    rejected: pa.Table
    names: tuple[str, ...]
    protected: frozenset[str]


def read_attributes(path: Path | str, *, protected: Collection[str] = ()) -> AttributesRead:
    """Read attributes of customers or accounts.

    Columns: `account` or `customer`, `known_since`, and any number of attributes. A header `protected:age` marks the
    attribute `age` as protected. Where a row names both, its values are those of the account alone.

    Parameters
    ----------
    path : Path or str
        CSV or Parquet.
    protected : collection of str
        Attributes that are protected whatever the header says.

    Returns
    -------
    AttributesRead

    Raises
    ------
    InputError
        Nothing useful can be read; the message names the columns looked for.
    UsageError
        A name in `protected` is not in the file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "attributes.csv"
    >>> header, rows = "customer,known_since,credit_score,protected:age", ["c1,2024-01-05,612,44", "c2,2024-01-05,,"]
    >>> _ = path.write_text("\\n".join([header, *rows, ""]))
    >>> read = read_attributes(path)
    >>> read.rows.select(["customer", "name", "value"]).to_pylist()
    [{'customer': 'c1', 'name': 'credit_score', 'value': '612'}, {'customer': 'c1', 'name': 'age', 'value': '44'}]
    >>> read.names, sorted(read.protected)
    (('credit_score', 'age'), ['age'])
    """
    path = Path(path)
    names, marked = _header(path)
    wanted = {normal_name(name) for name in protected}
    strange = sorted(wanted - set(names))
    if strange:
        raise UsageError(
            f"the file has no attribute {strange[0]!r}; it has {', '.join(names)[:300]}",
            where="--protected",
            mend="name one of them",
        )
    synonyms = {"account": _ACCOUNT, "customer": _CUSTOMER, "known_since": _KNOWN_SINCE}
    file = SideFile(path, {**synonyms, **{_own(name): (header,) for name, header in names.items()}})
    if not file.has("customer"):
        file.need("account", what="an attributes file without customer")
    account, customer = file.text("account"), file.text("customer")
    nobody = pc.and_(account.is_null(), customer.is_null())
    blame = "account" if file.has("account") else "customer"
    file.reject(nobody, blame, f"{blame}_missing", f"the {blame} is missing", "fill it in, or leave the row out")
    known_since = file.times("known_since")
    whole = {
        "row": pa.array(file.row),
        "account": account,
        "customer": pc.if_else(account.is_valid(), pa.scalar(None, pa.string()), customer),
        "known_since": known_since,
    }
    parts = [_values(file, whole, name) for name in names]
    rows = pa.concat_tables(parts) if parts else _READ_SCHEMA.empty_table()
    return AttributesRead(rows, file.rejected(), tuple(names), frozenset(marked | wanted))


def _header(path: Path) -> tuple[dict[str, str], set[str]]:
    """Attribute -> its header in the spelling of `normal_name`, and the attributes that the header marks."""
    check_file(path)
    found: dict[str, str] = {}
    marked: set[str] = set()
    taken = {*_ACCOUNT, *_CUSTOMER, *_KNOWN_SINCE}
    for header in open_table(path).columns:
        mark = _PROTECTED.fullmatch(header)
        name = normal_name(mark[1] if mark else header)
        if name in taken and not mark:
            continue
        if not name or name in found or name in taken:
            raise FormatError(
                f"the header {header!r} names no attribute of its own", where=str(path), mend="give it another name"
            )
        found[name] = normal_name(header)
        if mark:
            marked.add(name)
    if not found:
        raise FormatError(
            "there is no attribute in the file", where=str(path), mend="add a column such as credit_score or segment"
        )
    return found, marked


def _own(name: str) -> str:
    """The name under which the file's column is kept: never that of a key."""
    return f"attribute {name}"


def _values(file: SideFile, whole: dict[str, pa.Array], name: str) -> pa.Table:
    value = file.text(_own(name))
    keep = pc.and_(value.is_valid(), pa.array(file.kept))
    columns = {**whole, "name": pa.repeat(pa.scalar(name), len(value)), "value": value}
    table = pa.Table.from_arrays([columns[field] for field in _READ_SCHEMA.names], names=_READ_SCHEMA.names)
    return table.filter(keep).cast(_READ_SCHEMA)


def values_of(texts: pa.ChunkedArray, name: str, kind: Kind | None) -> tuple[Kind, pa.Array]:
    """What the texts of one attribute say, null where they cannot be read as its kind.

    Parameters
    ----------
    texts : pa.ChunkedArray
        Strings without nulls.
    name : str
        The attribute.
    kind : {"number", "text", "flag"}, optional
        As settled before; told by the name or the values where left out.

    Returns
    -------
    kind, values
        float64[n] of numbers, int64[n] (0, 1) of flags, string[n] of texts.

    Examples
    --------
    >>> values_of(pa.chunked_array([["1", "2.5"]]), "height", None)[0]
    'number'
    >>> values_of(pa.chunked_array([["yes", "0", "?"]]), "sanctioned", None)[1].to_pylist()
    [1, 0, None]
    """
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    kind = kind or KINDS.get(name) or next(_likely(whole))
    if kind == "number":
        good = pc.match_substring_regex(whole, _NUMBER)
        values = pc.if_else(good, whole, pa.scalar(None, pa.string())).cast(pa.float64())
        return kind, pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))
    if kind == "flag":
        return kind, _flags(whole, ("1", "1.0"), ("0", "0.0"))
    return "text", whole


def _likely(texts: pa.Array) -> Iterator[Kind]:
    distinct = texts.unique()
    if not _flags(distinct).null_count:
        yield "flag"
    if pc.all(pc.match_substring_regex(distinct, _NUMBER)).as_py():
        yield "number"
    yield "text"


def _flags(texts: pa.Array, more_yes: tuple[str, ...] = (), more_no: tuple[str, ...] = ()) -> Any:
    words = pc.utf8_lower(texts)
    yes = pc.is_in(words, value_set=pa.array([*_YES, *more_yes]))
    no = pc.is_in(words, value_set=pa.array([*_NO, *more_no]))
    neither = np.asarray(pc.invert(pc.or_(yes, no)))
    return pa.array(np.asarray(yes).astype(np.int64), mask=neither)
