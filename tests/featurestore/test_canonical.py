"""The canonical form: the same for every layout of one table, another for every other table."""

from __future__ import annotations

import hashlib
import json
import struct
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.errors import RefusedTypeError, UsageError
from greywater.featurestore.canonical import CanonicalHash, canonical_table, dtype_of, sha256_of

texts = st.one_of(st.none(), st.text(max_size=5))
floats = st.one_of(st.none(), st.floats())
columns = st.lists(st.tuples(texts, floats, st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))), max_size=20)


@settings(max_examples=60, deadline=None)
@given(columns, st.lists(st.integers(0, 20), max_size=4))
def test_the_hash_does_not_depend_on_chunks_or_kinds_of_strings(
    rows: list[tuple[str, float, int]], at: list[int]
) -> None:
    text, number, whole = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    table = pa.table(
        {"s": pa.array(text, pa.string()), "x": pa.array(number, pa.float64()), "n": pa.array(whole, pa.int64())}
    )
    digest = sha256_of(table)
    edges = sorted({0, len(rows), *(min(edge, len(rows)) for edge in at)})
    pieces = [table.slice(a, b - a) for a, b in pairwise(edges)] or [table]
    assert sha256_of(pa.concat_tables(pieces)) == digest
    for kind in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())):
        assert sha256_of(table.set_column(0, "s", table["s"].cast(kind))) == digest


def test_the_form_is_the_one_that_is_written_down() -> None:
    table = pa.table({"x": pa.array([1.5, None, float("nan")]), "s": ["\u00e9", None, ""]})
    plain = hashlib.sha256

    def column(valid: bytes, values: bytes, octets: bytes) -> str:
        return plain(plain(valid).digest() + plain(values).digest() + plain(octets).digest()).hexdigest()

    nan = bytes.fromhex("000000000000f87f")
    x = column(b"\1\0\1", struct.pack("<dd", 1.5, 0) + nan, b"")
    s = column(b"\1\0\1", struct.pack("<qqq", 2, 0, 0), "\u00e9".encode())
    text = json.dumps(["greywater table 1", 3, [["x", "float64", x], ["s", "string", s]]], separators=(",", ":"))
    assert sha256_of(table) == plain(text.encode()).hexdigest()
    assert len({sha256_of(table), sha256_of(table.slice(1)), sha256_of(table.rename_columns(["s", "x"]))}) == 3


def test_every_nan_is_one_and_the_zeros_are_two() -> None:
    odd = np.array([0x7FF8000000000001, 0xFFF8000000000000], np.uint64).view(np.float64)
    assert sha256_of(pa.table({"x": odd})) == sha256_of(pa.table({"x": [float("nan")] * 2}))
    assert sha256_of(pa.table({"x": [0.0]})) != sha256_of(pa.table({"x": [-0.0]}))
    assert sha256_of(pa.table({"x": [0.0]})) != sha256_of(pa.table({"x": pa.array([None], pa.float64())}))


def test_times_are_microseconds_utc_and_finer_ones_are_refused() -> None:
    naive = pa.table({"t": pa.array([1], pa.timestamp("s"))})
    exact = pa.table({"t": pa.array([1_000_000], pa.timestamp("us", tz="Europe/Berlin"))})
    assert sha256_of(naive) == sha256_of(exact)
    with pytest.raises(RefusedTypeError, match="column t"):
        canonical_table(pa.table({"t": pa.array([1], pa.timestamp("ns"))}))
    dates = pa.table({"d": pa.array([3 * 86_400_000], pa.date64()), "b": [True], "n": pa.nulls(1)})
    assert [str(kind) for kind in canonical_table(dates).schema.types] == ["date32[day]", "bool", "string"]
    assert sha256_of(dates) == sha256_of(dates.set_column(0, "d", pa.array([3], pa.date32())))


def test_what_has_no_canonical_form_is_refused() -> None:
    with pytest.raises(RefusedTypeError, match="list"):
        sha256_of(pa.table({"x": [[1]]}))
    with pytest.raises(UsageError, match="'x'"):
        canonical_table(pa.table([pa.array([1]), pa.array([2])], ["x", "x"]))
    with pytest.raises(RefusedTypeError, match="no dtype"):
        dtype_of("decimal")


def test_the_digest_of_a_column_says_which_one_differs() -> None:
    one, other = pa.table({"a": [1], "b": [2]}), pa.table({"a": [1], "b": [3]})
    digests = []
    for table in (one, other):
        digest = CanonicalHash(table.schema)
        digest.add(table)
        digests.append(digest.column_digests())
    assert digests[0]["a"] == digests[1]["a"]
    assert digests[0]["b"] != digests[1]["b"]
