"""TFRecord: read by another reader, written by another writer, and never misread."""

from __future__ import annotations

import math
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tfrecord import TFRecordWriter as PeerWriter
from tfrecord import example_pb2
from tfrecord.reader import tfrecord_loader

from greywater.errors import FormatError, RefusedTypeError, RefusedValueError, StoreError, UsageError
from greywater.featurestore import tfrecord
from greywater.featurestore.tfrecord import (
    Feature,
    TFRecordWriter,
    encode_examples,
    parse_example,
    read_columns,
    read_examples,
    read_records,
)
from tests.featurestore.training_world import times

EVERY_KIND = pa.table({
    "score": pa.array([0.1, None, math.nan, math.inf], pa.float64()),
    "share": pa.array([0.5, -0.0, None, 1e-40], pa.float32()),
    "count": pa.array([0, -1, 2**63 - 1, None], pa.int64()),
    "large": pa.array([2**64 - 1, 0, None, 1], pa.uint64()),
    "small": pa.array([-128, 127, None, 0], pa.int8()),
    "watched": pa.array([True, False, None, True]),
    "at": times([0, -1, 1_700_000_000_123_456, None]),
    "day": pa.array([0, 19_000, None, -1], pa.date32()),
    "name": pa.array(["", "d\u00e9j\u00e0", None, "x" * 300], pa.string()),
})  # fmt: skip


def write(path: Path, table: pa.Table, **options: Any) -> Path:
    with path.open("wb") as file:
        TFRecordWriter(file, **options).write(table)
    return path


def messages(table: pa.Table, **options: Any) -> list[bytes]:
    octets, bounds = encode_examples(table, **options)
    return [octets[a:b].tobytes() for a, b in pairwise(bounds.tolist())]


def peer_message(row: dict[str, Any], kinds: dict[str, str]) -> bytes:
    """The same row by protocol buffers' own runtime, keys sorted."""
    made = example_pb2.Example()
    made.features.SetInParent()
    for name, value in row.items():
        if value is not None:
            getattr(made.features.feature[name], f"{kinds[name]}_list").value.append(value)
    return made.SerializeToString(deterministic=True)


rows = st.lists(
    st.fixed_dictionaries({
        "a": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        "long name of a column " * 8: st.one_of(st.none(), st.floats(width=32)),
        "\u00e9": st.one_of(st.none(), st.binary(max_size=200)),
        "zz": st.one_of(st.none(), st.integers(-200, 200)),
    }),
    max_size=9,
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(rows)
def test_every_message_is_that_of_protocol_buffers_to_the_byte(given_rows: list[dict[str, Any]]) -> None:
    kinds = dict(
        zip(["a", "long name of a column " * 8, "\u00e9", "zz"], ["int64", "float", "bytes", "int64"], strict=True)
    )
    types = {"int64": pa.int64(), "float": pa.float32(), "bytes": pa.binary()}
    table = pa.table({name: pa.array([row[name] for row in given_rows], types[kind]) for name, kind in kinds.items()})
    assert messages(table) == [peer_message(row, kinds) for row in given_rows]


def test_another_reader_reads_the_file(tmp_path: Path) -> None:
    table = EVERY_KIND.slice(0, 1)
    path = write(tmp_path / "one.tfrecord", pa.concat_tables([table] * 3))
    kinds = {name: "float" if name in ("score", "share") else "int" for name in table.column_names} | {"name": "byte"}
    del kinds["large"]
    read = list(tfrecord_loader(str(path), None, kinds))
    assert len(read) == 3
    for row in read:
        assert row["score"].tolist() == [np.float32(0.1)]
        assert [row[name].tolist() for name in ("share", "count", "small", "watched", "at", "day")] == [
            [0.5], [0], [-128], [1], [0], [0]
        ]  # fmt: skip
        assert bytes(row["name"]) == b""


def test_what_another_writer_wrote_is_read(tmp_path: Path) -> None:
    path = tmp_path / "peer.tfrecord"
    writer = PeerWriter(str(path))
    for k in range(20):
        writer.write({"n": ([k, -k], "int"), "x": ([k / 2, 1e30], "float"), "s": (b"s" * k, "byte")})
    writer.close()
    read = list(read_examples(path))
    assert [one["n"] for one in read] == [Feature("int64", (k, -k)) for k in range(20)]
    assert read[3]["x"] == Feature("float", (1.5, struct.unpack("<f", struct.pack("<f", 1e30))[0]))
    assert read[19]["s"] == Feature("bytes", (b"s" * 19,))


@pytest.mark.parametrize("doubles", ["float", "bytes"])
def test_a_table_comes_back(tmp_path: Path, doubles: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfrecord, "ROWS", 3)
    path = write(tmp_path / "a.tfrecord", EVERY_KIND, doubles=doubles)
    back = read_columns(path, EVERY_KIND.schema, doubles=doubles)
    expected = EVERY_KIND
    if doubles == "float":
        rounded = EVERY_KIND["score"].cast(pa.float32(), safe=False).cast(pa.float64())
        expected = EVERY_KIND.set_column(0, "score", rounded)
    assert repr(back.to_pylist()) == repr(expected.to_pylist())
    assert back.schema == EVERY_KIND.schema


def test_an_empty_table_is_an_empty_file(tmp_path: Path) -> None:
    path = write(tmp_path / "none.tfrecord", EVERY_KIND.slice(0, 0))
    assert path.read_bytes() == b""
    assert read_columns(path, EVERY_KIND.schema).equals(EVERY_KIND.schema.empty_table())
    assert messages(pa.table({"x": pa.array([None], pa.int64())})) == [b"\x0a\x00"]


def test_records_that_cross_the_blocks_of_reading_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tfrecord, "BLOCK", 37)
    table = pa.table({"s": ["x" * (k * 7 % 90) for k in range(60)]})
    path = write(tmp_path / "long.tfrecord", table)
    assert [parse_example(one)["s"].values[0].decode() for one in read_records(path)] == table["s"].to_pylist()


def test_a_damaged_file_is_refused_at_its_byte(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tfrecord", pa.table({"n": [1, 2, 3]}))
    octets = path.read_bytes()
    size = len(octets) // 3
    for place, found in ((0, "length does not fit in record 0"), (size + 14, "bytes does not fit in record 1")):
        damaged = bytearray(octets)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match=f"{found} .*byte {place // size * size}"):
            list(read_records(path))
    path.write_bytes(octets[:-1])
    with pytest.raises(FormatError, match="ends inside record 2"):
        list(read_records(path))
    with pytest.raises(StoreError, match=r"read a TFRecord file"):
        list(read_records(tmp_path / "none"))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
@example(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
@example(b"\x0a\x0a\x0a\x08\x0a\x01n\x12\x03\x12\x01\x0a")
def test_no_bytes_make_the_parser_fall(octets: bytes) -> None:
    try:
        parsed = parse_example(octets)
    except FormatError:
        return
    assert all(isinstance(feature, Feature) for feature in parsed.values())


@settings(max_examples=60, deadline=None)
@given(rows, st.data())
def test_a_message_with_a_changed_byte_is_read_as_protocol_buffers_read_it(
    given_rows: Any, data: st.DataObject
) -> None:
    whole = pa.array([row["a"] for row in given_rows], pa.int64())
    table = pa.table({"a": whole, "b": pa.array(["\u00e9"] * len(given_rows), pa.string())})
    for message in messages(table):
        octets = bytearray(message)
        octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        peer = example_pb2.Example()
        try:
            peer.ParseFromString(bytes(octets))
        except Exception:
            continue
        try:
            mine = parse_example(bytes(octets))
        except FormatError:
            continue
        # Protocol buffers may set an entry aside that holds an unknown field; what they keep has these values.
        for name, one in peer.features.feature.items():
            kind = one.WhichOneof("kind")
            assert list(mine[name].values) == (list(getattr(one, kind).value) if kind else [])


def test_lists_may_be_unpacked_or_in_parts() -> None:
    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    def message(feature: bytes) -> bytes:
        return field(1, field(1, field(1, b"n") + field(2, feature)))

    unpacked = message(field(3, b"\x08\x05\x08\x01"))
    assert parse_example(unpacked) == {"n": Feature("int64", (5, 1))}
    parts = message(field(3, field(1, b"\x05")) + field(3, field(1, b"\x06")))
    assert parse_example(parts) == {"n": Feature("int64", (5, 6))}
    changed = message(field(3, field(1, b"\x05")) + field(1, field(1, b"x")))
    assert parse_example(changed) == {"n": Feature("bytes", (b"x",))}
    single = message(field(2, b"\x0d" + struct.pack("<f", 2.5)))
    assert parse_example(single) == {"n": Feature("float", (2.5,))}
    unknown = unpacked + b"\x99\x01" + bytes(8) + b"\x10\x01" + b"\x1d" + bytes(4)
    assert parse_example(unknown) == {"n": Feature("int64", (5, 1))}
    assert parse_example(message(b"")) == {"n": Feature("", ())}


def test_what_the_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedValueError, match=r"1e\+39 is too large .*column x, row 1"):
        messages(pa.table({"x": [1.0, 1e39]}))
    largest = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
    assert parse_example(messages(pa.table({"x": [largest * (1 + 2**-26)]}))[0])["x"].values == (largest,)
    with pytest.raises(RefusedTypeError, match="list"):
        messages(pa.table({"x": [[1]]}))
    with pytest.raises(UsageError, match="'half'"):
        TFRecordWriter((tmp_path / "x").open("wb"), doubles="half")  # type: ignore[arg-type]
    path = write(tmp_path / "a.tfrecord", pa.table({"n": [1], "s": ["x"]}))
    for schema, options in (
        (pa.schema([("n", pa.string())]), {}),
        (pa.schema([("s", pa.float64())]), {"doubles": "bytes"}),
        (pa.schema([("s", pa.int64())]), {}),
    ):
        with pytest.raises(FormatError, match="column"):
            read_columns(path, schema, **options)
