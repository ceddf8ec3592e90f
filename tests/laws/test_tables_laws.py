"""What every adapter of named tables must do, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from greywater.errors import StoreError
from greywater.stores.open import open_tables
from greywater.vocab import LABEL_SCHEMA, RELATIONSHIP_SCHEMA, SEED_SCHEMA

ROWS = pa.table({"a": pa.array([1, 2], pa.int64()), "b": pa.array(["x", None])})


@pytest.fixture(params=["memory", "delta", "delta reopened"])
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """A function that gives the tables; the third kind opens them anew each time."""
    if request.param == "delta reopened":
        return lambda: open_tables(f"delta:{tmp_path / 'p'}")
    held = open_tables("memory:" if request.param == "memory" else f"delta:{tmp_path / 'p'}")
    return lambda: held


def test_nothing_written_is_none(tables: Callable[[], Any]) -> None:
    assert tables().read("labels") is None
    assert list(tables().scan("labels")) == []
    assert tables().history("labels") == []
    assert tables().names() == []
    assert tables().check() == []


def test_rows_come_back_in_commit_order(tables: Callable[[], Any]) -> None:
    assert tables().append("one", ROWS)
    assert tables().append("one", ROWS.slice(1))
    assert tables().append("two", ROWS)
    read = tables().read("one")
    assert read.to_pylist() == ROWS.to_pylist() + ROWS.slice(1).to_pylist()
    assert tables().read("one", ["b"]).column_names == ["b"]
    assert sum(batch.num_rows for batch in tables().scan("one")) == 3
    assert tables().names() == ["one", "two"]
    assert tables().check() == []


@pytest.mark.parametrize("schema", [LABEL_SCHEMA, RELATIONSHIP_SCHEMA, SEED_SCHEMA])
def test_the_schemas_of_the_domain_are_kept(tables: Callable[[], Any], schema: pa.Schema) -> None:
    moment = datetime(2024, 2, 29, 12, 30, 1, 5, UTC)
    values = {"string": "x", "int8": 1, "int64": -(2**63), "double": 0.1, "timestamp[us, tz=UTC]": moment}
    rows = pa.table({field.name: [values[str(field.type)]] for field in schema}, schema=schema)
    tables().append("t", rows)
    read = tables().read("t")
    assert read.schema == schema
    assert read.to_pylist() == rows.to_pylist()


def test_a_transaction_is_applied_once(tables: Callable[[], Any]) -> None:
    assert tables().append("t", ROWS, transaction="k1") is True
    assert tables().append("t", ROWS, transaction="k1") is False
    assert tables().append("t", ROWS, transaction="k2") is True
    assert tables().append("u", ROWS, transaction="k1") is True
    assert tables().append("t", ROWS) is True
    assert tables().read("t").num_rows == 6


def test_an_empty_append_with_a_key_counts_as_done(tables: Callable[[], Any]) -> None:
    assert tables().append("t", ROWS.slice(0, 0), transaction="k") is True
    assert tables().append("t", ROWS, transaction="k") is False
    assert tables().read("t").num_rows == 0
    assert tables().read("t").schema == ROWS.schema
    assert tables().append("t", ROWS) is True
    assert tables().append("t", ROWS.slice(0, 0)) is True
    assert tables().read("t").num_rows == 2
    assert tables().check() == []


def test_meta_is_kept(tables: Callable[[], Any]) -> None:
    tables().append("t", ROWS, transaction="k", meta={"file": "ü.csv", "rows": [1, 2]})
    tables().append("t", ROWS)
    assert tables().history("t") == [
        {"rows": 2, "transaction": "k", "meta": {"file": "ü.csv", "rows": [1, 2]}},
        {"rows": 2, "transaction": None, "meta": {}},
    ]


def test_another_schema_is_an_error(tables: Callable[[], Any]) -> None:
    tables().append("t", ROWS)
    with pytest.raises(StoreError, match="not int64"):
        tables().append("t", ROWS.set_column(0, "a", pa.array([1.0, 2.0])))
    with pytest.raises(StoreError, match="have the columns a"):
        tables().append("t", ROWS.drop_columns("b"))
    tables().append("t", ROWS.select(["b", "a"]))
    assert tables().read("t").num_rows == 4
    with pytest.raises(StoreError, match="no column 'c'"):
        tables().read("t", ["c"])


def test_a_null_where_there_may_be_none_is_an_error(tables: Callable[[], Any]) -> None:
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False)])
    tables().append("t", pa.table({"a": [1]}, schema=schema))
    with pytest.raises(StoreError, match="missing values"):
        tables().append("t", pa.table({"a": pa.array([None], pa.int64())}))
    assert tables().read("t").num_rows == 1


def test_types_that_would_not_come_back_are_refused(tables: Callable[[], Any]) -> None:
    for column in (pa.array([1], pa.uint64()), pa.array(["a"]).dictionary_encode(), pa.array([1], pa.timestamp("ns"))):
        with pytest.raises(StoreError, match="cannot keep"):
            tables().append("t", pa.table({"a": column}))
    assert tables().read("t") is None


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", "ledger", "mended", "1a", "a" * 80])
def test_a_bad_name_is_an_error(tables: Callable[[], Any], name: str) -> None:
    with pytest.raises(StoreError, match="cannot be the name"):
        tables().append(name, ROWS)
    with pytest.raises(StoreError, match="cannot be the name"):
        tables().read(name)


def test_a_bad_key_is_an_error(tables: Callable[[], Any]) -> None:
    with pytest.raises(StoreError, match="transaction key"):
        tables().append("t", ROWS, transaction="")
