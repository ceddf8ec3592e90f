"""Files of training sets: every value comes back from every format, and a folder appears whole or not at all."""

from __future__ import annotations

import csv
import errno
import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greywater.errors import (
    FormatError,
    RefusedTypeError,
    RefusedValueError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    UsageError,
)
from greywater.featurestore import delimited
from greywater.featurestore.delimited import DelimitedWriter, read_delimited
from greywater.featurestore.npy import NpyWriter, read_npy
from greywater.featurestore.part_files import FileLayout
from greywater.featurestore.splits import RandomSplit, TimeSplit
from greywater.featurestore.training_record import TrainingQuery
from greywater.featurestore.writers import (
    Manifest,
    read_manifest,
    read_training_set,
    save_training_set,
    write_training_set,
    write_training_set_again,
)
from tests.featurestore.training_world import (
    DAY,
    END,
    GROUPS,
    NUMBERS,
    VIEW,
    bank,
    fill,
    label_rows,
    make,
    slow_join,
    times,
)

FULL = os.environ.get("GREYWATER_FULL") == "1"
KILLS = 50 if FULL else 3

EXACT = [
    FileLayout("csv"), FileLayout("tsv"), FileLayout("parquet"), FileLayout("npy"), FileLayout("npy", npy="columns"),
    FileLayout("tfrecord", doubles="bytes"),
]  # fmt: skip

text = st.one_of(
    st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["", '"', '""', ",", "\t", "\r", "\n", "\r\n", " a", "a ", "null", "NaN", "\ufeff"]),
)  # fmt: skip
wide = st.lists(
    st.tuples(
        text, st.one_of(st.none(), st.floats()), st.one_of(st.none(), st.floats(width=32)),
        st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), st.one_of(st.none(), st.booleans()),
        st.one_of(st.none(), st.integers(-(2**55), 2**57)), st.one_of(st.none(), st.integers(-9_000, 99_000)),
    ),
    max_size=9,
)  # fmt: skip
SCHEMA = pa.schema([
    ("s", pa.string()), ("x", pa.float64()), ("y", pa.float32()), ("n", pa.int64()), ("b", pa.bool_()),
    ("t", pa.timestamp("us", tz="UTC")), ("d", pa.date32()),
])  # fmt: skip


def table_of(rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in SCHEMA]
    return pa.table([pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], SCHEMA)


def bits(table: pa.Table) -> list[Any]:
    """Rows with floats as they are to the last bit, but for NaN."""
    return [[value.hex() if isinstance(value, float) else value for value in row.values()] for row in table.to_pylist()]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wide, st.sampled_from([",", "\t"]))
def test_delimited_text_loses_nothing(tmp_path: Path, rows: list[Any], delimiter: str) -> None:
    table = table_of(rows)
    path = tmp_path / "x"
    with path.open("wb") as file:
        DelimitedWriter(file, SCHEMA.names, delimiter=delimiter).write(table)
    assert bits(read_delimited(path, SCHEMA, delimiter=delimiter)) == bits(table)
    with path.open(newline="", encoding="utf-8") as read:
        lines = list(csv.reader(read, delimiter=delimiter, strict=True))
    assert lines[0] == SCHEMA.names
    assert [line[0] for line in lines[1:]] == [row[0] or "" for row in rows]
    assert [line[3] for line in lines[1:]] == ["" if row[3] is None else str(row[3]) for row in rows]
    assert [float(line[1]).hex() for line in lines[1:] if line[1]] == [
        row[1].hex() for row in rows if row[1] is not None
    ]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wide, st.integers(0, 9))
def test_a_file_a_column_of_npy_loses_nothing(tmp_path: Path, rows: list[Any], cut: int) -> None:
    table = table_of([row for row in rows if not (row[0] or "").endswith("\x00")])
    writer = NpyWriter(tmp_path / "x", SCHEMA, ("x", "y"), layout="columns")
    writer.write(table.slice(0, cut))
    writer.write(table.slice(cut))
    sidecar = writer.close()[-1]
    assert bits(read_npy(sidecar)) == bits(table)


def test_the_text_is_the_one_that_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "ROWS", 2)
    table = pa.table({
        "a,b": ["x,y", 'say "no"', "", None, " led", "plain"],
        "x": [0.1, -0.0, float("nan"), None, float("-inf"), 1e300],
        "t": times([0, -1, 1_709_294_400_000_000, None, 1, 2]),
        "b": [True, False, None, True, True, True],
    })  # fmt: skip
    with (tmp_path / "x.csv").open("wb") as file:
        DelimitedWriter(file, table.column_names).write(table)
    assert (tmp_path / "x.csv").read_bytes().decode().split("\r\n") == [
        '"a,b",x,t,b',
        '"x,y",0.1,1970-01-01T00:00:00.000000Z,true',
        '"say ""no""",-0,1969-12-31T23:59:59.999999Z,false',
        '"",nan,2024-03-01T12:00:00.000000Z,',
        ",,,true",
        '" led",-inf,1970-01-01T00:00:00.000001Z,true',
        "plain,1e+300,1970-01-01T00:00:00.000002Z,true",
        "",
    ]
    with pytest.raises(RefusedTypeError, match="one column"):
        DelimitedWriter((tmp_path / "y").open("wb"), ["a"])
    with pytest.raises(FormatError, match="not a file of the set"):
        read_delimited(tmp_path / "x.csv", pa.schema([("x", pa.int64())]))
    with pytest.raises(FormatError, match="instead of"):
        read_delimited(tmp_path / "x.csv", table.schema.remove(0))


@pytest.mark.parametrize("layout", EXACT, ids=lambda one: f"{one.format}-{one.npy}")
@pytest.mark.parametrize("rows_per_file", [0, 9])
def test_a_set_comes_back_from_every_format(tmp_path: Path, layout: FileLayout, rows_per_file: int) -> None:
    made = make(bank(), label_rows(), split=RandomSplit(), keep=("segment",))
    layout = replace(layout, rows_per_file=rows_per_file)
    manifest = save_training_set(made, tmp_path / "set", layout)
    assert manifest.exact
    assert Manifest.from_json(manifest.to_json()) == manifest == read_manifest(tmp_path / "set")
    back = read_training_set(tmp_path / "set")
    assert bits(back.table) == bits(made.table)
    assert (back.record, back.table.schema) == (made.record, made.table.schema)
    listed = {entry.path for entry in manifest.files} | {"manifest.json"}
    assert {
        path.relative_to(tmp_path / "set").as_posix() for path in (tmp_path / "set").rglob("*") if path.is_file()
    } == listed
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    if rows_per_file:
        assert max(entry.rows for entry in manifest.files) == 9
        assert {entry.path.partition("/")[0] for entry in manifest.files} == {"train", "validation", "test"}


@pytest.mark.parametrize("layout", [FileLayout("npy"), FileLayout("tfrecord")], ids=lambda one: one.format)
def test_formats_that_round_say_so_and_are_read_back_rounded(tmp_path: Path, layout: FileLayout) -> None:
    made = make(bank(), label_rows(), view=NUMBERS)
    manifest = save_training_set(made, tmp_path / "set", layout)
    assert not manifest.exact
    back = read_training_set(tmp_path / "set").table
    exact = {name for name in made.table.column_names if name != "score"}
    if layout.format == "npy":
        exact -= {"origin share"}
    for name in exact:
        assert back[name].equals(made.table[name]), name
    score = np.array([np.nan if value is None else value for value in made.table["score"].to_pylist()])
    read = np.array([np.nan if value is None else value for value in back["score"].to_pylist()])
    expected = score if layout.format == "npy" else score.astype(np.float32).astype(np.float64)
    assert np.array_equal(read, expected, equal_nan=True)


def test_other_tools_read_the_files(tmp_path: Path) -> None:
    made = make(bank(), label_rows(), view=NUMBERS, split=TimeSplit())
    train = made.part("train")
    for layout in (FileLayout("csv"), FileLayout("parquet"), FileLayout("npy")):
        save_training_set(made, tmp_path / layout.format, layout)
    scores = train["score"].to_pylist()
    frame = pd.read_csv(tmp_path / "csv" / "train.csv")
    assert list(frame.columns) == [name for name in made.table.column_names if name != "part"]
    assert np.array_equal(frame["score"], np.array(scores, np.float64), equal_nan=True)
    polar = pl.read_csv(tmp_path / "csv" / "train.csv")
    assert polar["tx"].to_list() == train["tx"].to_pylist()
    assert bits(parquet.read_table(tmp_path / "parquet" / "train.parquet")) == bits(train.drop(["part"]))
    matrix = np.load(tmp_path / "npy" / "train.npy", allow_pickle=False)
    assert np.array_equal(matrix, made.to_numpy("train")[0], equal_nan=True)
    assert np.load(tmp_path / "npy" / "train.tx.npy").tolist() == train["tx"].to_pylist()
    assert np.load(tmp_path / "npy" / "train.laundering.npy").dtype == np.int8
    at = np.load(tmp_path / "npy" / "train.event_time.npy")
    assert at.tolist() == [moment.replace(tzinfo=None) for moment in train["event_time"].to_pylist()]
    columns = json.loads((tmp_path / "npy" / "train.columns.json").read_text())["columns"]
    assert [one["place"] for one in columns if one["file"] == "train.npy"] == [0, 1, 2]


def test_a_set_goes_straight_to_files_a_chunk_at_a_time_and_again(tmp_path: Path) -> None:
    offline, labels = bank(), label_rows()
    made = make(offline, labels, split=RandomSplit())
    offline.joined_rows.clear()
    manifest = write_training_set(
        made.record.query, VIEW, GROUPS, offline, labels, tmp_path / "new" / "set", FileLayout("csv"), chunk_rows=11,
        join=slow_join,
    )  # fmt: skip
    assert max(offline.joined_rows) == 11
    assert manifest.record.sha256 == made.record.sha256
    fill(offline, seed=4)
    again = write_training_set_again(
        manifest.record, GROUPS, offline, labels, tmp_path / "again", FileLayout("csv"), join=slow_join
    )
    assert again.files == manifest.files
    assert again.record == manifest.record
    rows = offline.rows["credit", 1]
    rows[:] = [(commit, row | {"accounts": 0}) for commit, row in rows]
    with pytest.raises(StoreDamagedError, match="differing in accounts"):
        write_training_set_again(manifest.record, GROUPS, offline, labels, tmp_path / "other", join=slow_join)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "new"]


def test_a_part_without_rows_has_a_file_without_rows(tmp_path: Path) -> None:
    made = make(bank(), label_rows(), split=TimeSplit(1.0, 0.0, 0.0))
    for layout in EXACT:
        manifest = save_training_set(made, tmp_path / f"{layout.format}-{layout.npy}", layout)
        assert {entry.part for entry in manifest.files} == {"train", "validation", "test"}
        assert bits(read_training_set(tmp_path / f"{layout.format}-{layout.npy}").table) == bits(made.table)


def test_files_that_are_not_what_was_written_are_refused(tmp_path: Path) -> None:
    made = make(bank(), label_rows())
    folder = tmp_path / "set"
    save_training_set(made, folder, FileLayout("csv"))
    path, manifest = folder / "all.csv", (folder / "manifest.json").read_text()
    octets = bytearray(path.read_bytes())
    octets[-9] ^= 1
    path.write_bytes(octets)
    with pytest.raises(StoreDamagedError, match="not what was written"):
        read_training_set(folder)
    octets[-9] ^= 1
    path.write_bytes(octets)
    (folder / "manifest.json").write_text(manifest.replace(made.record.sha256, "0" * 64))
    with pytest.raises(StoreDamagedError, match="do not hold the training set"):
        read_training_set(folder)
    (folder / "manifest.json").write_text(manifest.replace("all.csv", "../all.csv"))
    with pytest.raises(StoreDamagedError, match="outside its folder"):
        read_training_set(folder)
    (folder / "manifest.json").write_text(manifest.replace('"csv"', '"xls"'))
    with pytest.raises(UsageError, match="'xls'"):
        read_training_set(folder)
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(FormatError, match="no manifest"):
        read_training_set(folder)
    (folder / "manifest.json").write_text(manifest)
    path.unlink()
    with pytest.raises(StoreDamagedError, match="missing"):
        read_training_set(folder)
    with pytest.raises(StoreError, match="read a manifest"):
        read_training_set(tmp_path / "none")


def test_a_folder_is_never_written_over_and_leftovers_go(tmp_path: Path) -> None:
    made = make(bank(), label_rows())
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    leftover = tmp_path / f".set.{ended.pid}.tmp"
    other = tmp_path / f".set.{os.getppid()}.tmp"
    for folder in (leftover, other):
        folder.mkdir()
        (folder / "x").write_text("x")
    save_training_set(made, tmp_path / "set")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([other.name, "set"])
    with pytest.raises(UsageError, match="something already"):
        save_training_set(made, tmp_path / "set")
    (tmp_path / f".two.{os.getpid()}.tmp").mkdir()
    with pytest.raises(StoreError, match="being written"):
        save_training_set(made, tmp_path / "two")


@pytest.mark.parametrize("layout", EXACT, ids=lambda one: f"{one.format}-{one.npy}")
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, layout: FileLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(bank(), label_rows(), split=TimeSplit())

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StoreFullError):
            save_training_set(made, tmp_path / "set", layout)
    assert list(tmp_path.iterdir()) == []
    save_training_set(made, tmp_path / "set", layout)
    assert read_training_set(tmp_path / "set").record == made.record


def test_an_error_on_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    calls = []

    def fails(*given: Any, **named: Any) -> pa.Table:
        calls.append(1)
        if len(calls) == 3:
            raise StoreError("the store went away")
        return slow_join(*given, **named)

    query = TrainingQuery("march", 1, 0, END, row_id="tx", as_known_at=25 * DAY, split=RandomSplit())
    for layout in EXACT:
        calls.clear()
        with pytest.raises(StoreError, match="went away"):
            write_training_set(
                query, VIEW, GROUPS, bank(), label_rows(), tmp_path / "set", layout, chunk_rows=9, join=fails
            )
        assert list(tmp_path.iterdir()) == []


#: Writes a set; with DIE_AT=k the process ends, as by a power cut, at the k-th wait for the disk.
COMMAND = """
import os, sys
from pathlib import Path
at, count, fsync = int(os.environ["DIE_AT"]), 0, os.fsync
def counted(handle):
    global count
    count += 1
    if count == at:
        os._exit(137)
    fsync(handle)
os.fsync = counted
from greywater.featurestore.part_files import FileLayout
from greywater.featurestore.splits import TimeSplit
from greywater.featurestore.writers import save_training_set
from tests.featurestore.training_world import bank, label_rows, make
save_training_set(make(bank(), label_rows(), split=TimeSplit()), Path(sys.argv[1]), FileLayout(rows_per_file=20))
"""


def run(folder: Path, die_at: int) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", COMMAND, str(folder)], capture_output=True, text=True, check=False, cwd=root,
        env={**os.environ, "DIE_AT": str(die_at), "PYTHONPATH": paths},
    )  # fmt: skip


@pytest.mark.slow
def test_killed_at_any_moment_there_is_the_whole_set_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, layout, fsync = make(bank(), label_rows(), split=TimeSplit()), FileLayout(rows_per_file=20), os.fsync
    waits: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda handle: (waits.append(handle), fsync(handle)))
        save_training_set(made, tmp_path / "clean" / "set", layout)
    for seed in range(KILLS):
        parent = tmp_path / str(seed)
        killed = run(parent / "set", random.Random(seed).randrange(1, len(waits) + 1))
        assert killed.returncode == 137, killed.stderr
        if not (parent / "set").exists():
            save_training_set(made, parent / "set", layout)
        assert bits(read_training_set(parent / "set").table) == bits(made.table)
        assert [path.name for path in parent.iterdir()] == ["set"]


def test_npy_says_what_it_cannot_hold(tmp_path: Path) -> None:
    schema = pa.schema([("s", pa.string()), ("n", pa.int64())])
    with pytest.raises(RefusedTypeError, match="s holds string"):
        NpyWriter(tmp_path / "a", schema, ("s",), layout="matrix")
    with pytest.raises(UsageError, match="layout 'cube'"):
        NpyWriter(tmp_path / "a", schema, ("s",), layout="cube")  # type: ignore[arg-type]
    writer = NpyWriter(tmp_path / "a", schema, ("n",))
    with pytest.raises(RefusedValueError, match="U\\+0000"):
        writer.write(pa.table({"s": ["x\x00"], "n": [1]}))
    with pytest.raises(RefusedValueError, match="no exact float64"):
        writer.write(pa.table({"s": ["x"], "n": [2**53 + 1]}))
    writer.abandon()
    with pytest.raises(FormatError, match="no set in NPY"):
        read_npy(tmp_path / "none.columns.json")


def test_columns_whose_names_meet_as_files_are_numbered(tmp_path: Path) -> None:
    names = ["a/b", "a_b", "A b", "columns", "..", "x.valid", "x"]
    table = pa.table([pa.array([k, None]) for k in range(len(names))], names)
    writer = NpyWriter(tmp_path / "t", table.schema, (), layout="columns")
    writer.write(table)
    paths = writer.close()
    assert len({path.name.lower() for path in paths}) == len(paths) == 2 * len(names) + 1
    assert all(path.parent == tmp_path for path in paths)
    assert read_npy(paths[-1]).equals(table)


def test_layouts_that_there_are_not_are_refused() -> None:
    for wrong in ({"format": "xls"}, {"doubles": "half"}, {"npy": "cube"}, {"rows_per_file": -1}):
        with pytest.raises(UsageError):
            FileLayout(**wrong)  # type: ignore[arg-type]
