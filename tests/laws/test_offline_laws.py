"""What every adapter of offline feature groups must do, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from greywater.errors import GreywaterError, StoreError, UsageError
from greywater.stores.feature_ports import GroupLayout, microseconds
from greywater.stores.offline_keys import key_hashes
from greywater.stores.open import open_offline

BEGIN = datetime(2024, 2, 28, 20, tzinfo=UTC)
MOMENT = pa.timestamp("us", tz="UTC")
LAYOUT = GroupLayout("credit", 1, ("customer", "bank"), pa.schema([("score", pa.float64())]), ("string", "int64"))
ALL = pa.schema(
    [
        ("f64", pa.float64()), ("f32", pa.float32()), ("i8", pa.int8()), ("i16", pa.int16()), ("i32", pa.int32()),
        ("i64", pa.int64()), ("text", pa.string()), ("flag", pa.bool_()), ("at", MOMENT),
    ]
)  # fmt: skip


@pytest.fixture(params=["memory", "delta", "delta reopened"])
def offline(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """A function that gives the store; the third kind opens it anew each time."""
    if request.param == "delta reopened":
        return lambda: open_offline(f"delta:{tmp_path / 'p'}")
    held = open_offline("memory:" if request.param == "memory" else f"delta:{tmp_path / 'p'}")
    return lambda: held


def rows(*each: tuple[str, int, int, float | None]) -> pa.Table:
    """Rows of (customer, bank, hours after the beginning, score)."""
    moments = pa.array([BEGIN + timedelta(hours=one[2]) for one in each], MOMENT)
    return pa.table(
        {
            "customer": pa.array([one[0] for one in each], pa.string()),
            "bank": pa.array([one[1] for one in each], pa.int64()),
            "event_time": moments,
            "known_time": moments,
            "score": pa.array([one[3] for one in each], pa.float64()),
        }
    )


def scanned(store: Any, **limits: Any) -> pa.Table:
    schema = [("customer", pa.string()), ("bank", pa.int64()), ("event_time", MOMENT), ("known_time", MOMENT)]
    schema += [("commit", pa.int64()), ("score", pa.float64())]
    batches = [pa.Table.from_batches([batch]).cast(pa.schema(schema)) for batch in store.scan("credit", 1, **limits)]
    return pa.concat_tables([pa.schema(schema).empty_table(), *batches])


def test_a_group_is_made_once(offline: Callable[[], Any]) -> None:
    assert offline().versions() == []
    assert offline().layout("credit", 1) is None
    offline().create(LAYOUT)
    offline().create(LAYOUT)
    assert offline().layout("credit", 1) == LAYOUT
    other = GroupLayout("credit", 1, ("customer",), LAYOUT.features)
    with pytest.raises(StoreError, match="another layout"):
        offline().create(other)
    offline().create(GroupLayout("credit", 2, ("customer",), LAYOUT.features))
    assert offline().versions() == [("credit", 1), ("credit", 2)]
    assert offline().layout("credit", 2).key_dtypes == ("string",)
    assert offline().commits("credit", 2) == []
    assert offline().runs("credit", 2) == []
    assert list(offline().scan("credit", 2)) == []
    assert offline().check() == []


def test_rows_come_back_day_by_day_in_order(offline: Callable[[], Any]) -> None:
    offline().create(LAYOUT)
    first = offline().append("credit", 1, rows(("a", 1, 30, 1.0), ("b", 1, 0, 2.0), ("a", 1, 0, None)))
    second = offline().append("credit", 1, rows(("a", 1, 0, 3.0), ("ü", -1, 3, 4.0), ("a", 1, -9, 5.0)))
    assert (first.number, first.rows, second.number) == (0, 3, 1)
    table = scanned(offline())
    assert table.num_rows == 6
    day = (microseconds(table["event_time"]) // 86_400_000_000).tolist()
    high, low = key_hashes([table["customer"].combine_chunks(), table["bank"].combine_chunks()])
    order = list(zip(day, high, low, microseconds(table["event_time"]), table["commit"].to_pylist(), strict=True))
    assert order == sorted(order)
    assert set(day) == {19_781, 19_782, 19_783} - {19_782} | ({19_782} & set(day))
    assert scanned(offline(), as_of_commit=0).num_rows == 3
    assert scanned(offline(), as_of_commit=-1).num_rows == 0
    start, stop = (int((BEGIN + timedelta(hours=hours)).timestamp() * 1e6) for hours in (0, 3))
    assert sorted(scanned(offline(), start_us=start, stop_us=stop)["score"].to_pylist(), key=str) == [2.0, 3.0, None]
    assert scanned(offline(), start_us=start).num_rows == 5
    some = pa.Table.from_batches(list(offline().scan("credit", 1, ["score", "customer"])))
    assert some.column_names == ["score", "customer"]
    with pytest.raises(StoreError, match="no column 'x'"):
        offline().scan("credit", 1, ["x"])
    assert offline().check() == []


def test_equal_rows_keep_the_order_in_which_they_were_given(offline: Callable[[], Any]) -> None:
    offline().create(LAYOUT)
    offline().append("credit", 1, rows(*(("a", 1, 1, float(number)) for number in range(100))))
    offline().append("credit", 1, rows(*(("a", 1, 1, float(number)) for number in range(100, 150))))
    assert scanned(offline())["score"].to_pylist() == list(map(float, range(150)))
    offline().compact("credit", 1)
    assert scanned(offline())["score"].to_pylist() == list(map(float, range(150)))


def test_runs_are_sorted_and_whole(offline: Callable[[], Any]) -> None:
    offline().create(LAYOUT)
    chance = np.random.default_rng(2)
    for _ in range(3):
        each = [(f"c{chance.integers(9)}", int(chance.integers(2)), int(chance.integers(60)), 0.5) for _ in range(40)]
        offline().append("credit", 1, rows(*each))
    for compacted in (False, True):
        if compacted:
            assert offline().compact("credit", 1) >= 2
            assert offline().compact("credit", 1) == 0
        for upto in (None, 1):
            runs = offline().runs("credit", 1, as_of_commit=upto)
            assert sum(run.rows for run in runs) == (120 if upto is None else 80)
            ends = [run.greatest_event_us for run in runs]
            assert ends == sorted(ends, reverse=True)
            for run in runs:
                commit = np.broadcast_to(run.commit, run.rows)
                assert run.key.tolist() == list(map(list, zip(run.key_high, run.key_low, strict=True)))
                order = list(zip(run.key_high, run.key_low, run.event_us, commit, strict=True))
                assert order == sorted(order)
                assert run.least_event_us <= run.event_us.min() <= run.event_us.max() <= run.greatest_event_us
                assert (run.known_us == run.event_us).all()
                names = run.columns(["bank", "customer"])
                high, low = key_hashes([names["customer"].combine_chunks(), names["bank"].combine_chunks()])
                assert (high == run.key_high).all()
                assert (low == run.key_low).all()
    middle = int((BEGIN + timedelta(hours=30)).timestamp() * 1e6)
    late, early = offline().runs("credit", 1, start_us=middle), offline().runs("credit", 1, stop_us=middle)
    assert all(run.greatest_event_us >= middle for run in late)
    assert all(run.least_event_us < middle for run in early)
    assert sum(run.rows for run in late) + sum(run.rows for run in early) >= 120


def test_values_of_every_type_come_back(offline: Callable[[], Any]) -> None:
    layout = GroupLayout("every", 1, ("id",), ALL, ("int64",))
    offline().create(layout)
    assert offline().layout("every", 1) == layout
    moment = datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)
    full = {"f64": float("inf"), "f32": 0.5, "i8": -128, "i16": 2**15 - 1, "i32": -(2**31), "i64": 2**63 - 1}
    full |= {"text": "ü\0€", "flag": False, "at": moment}
    given = [
        {"id": -(2**63), "event_time": moment, "known_time": BEGIN, **full},
        {"id": 5, "event_time": moment, "known_time": moment, **dict.fromkeys(full)},
    ]
    schema = pa.schema([("id", pa.int64()), ("event_time", MOMENT), ("known_time", MOMENT), *ALL])
    for each in (given, given[:1], given[1:]):
        offline().append("every", 1, pa.Table.from_pylist(each, schema=schema))
    found = [row for batch in offline().scan("every", 1) for row in batch.to_pylist()]
    assert sorted((row["id"], row.pop("commit")) for row in found) == [(-(2**63), 0), (-(2**63), 1), (5, 0), (5, 2)]
    assert [row for row in found if row["id"] == 5] == given[1:] * 2
    assert [row for row in found if row["id"] < 0] == given[:1] * 2
    for run in offline().runs("every", 1):
        for row in run.columns(["id", *ALL.names]).to_pylist():
            assert row in [{name: one[name] for name in ("id", *ALL.names)} for one in given]


def test_a_transaction_is_applied_once(offline: Callable[[], Any]) -> None:
    offline().create(LAYOUT)
    done = offline().append("credit", 1, rows(("a", 1, 1, 1.0)), transaction="k", meta={"file": "ü", "n": [1]})
    assert (done.transaction, done.meta) == ("k", {"file": "ü", "n": [1]})
    assert offline().append("credit", 1, rows(("a", 1, 2, 1.0)), transaction="k") is None
    assert offline().append("credit", 1, rows(), transaction="empty").rows == 0
    assert offline().append("credit", 1, rows(("a", 1, 2, 1.0)), transaction="empty") is None
    offline().append("credit", 1, rows(("a", 1, 2, 1.0), ("b", 1, 30, 1.0)))
    found = offline().commits("credit", 1)
    assert [(one.number, one.rows, one.transaction) for one in found] == [(0, 1, "k"), (1, 0, "empty"), (2, 2, None)]
    assert found[0] == done
    assert scanned(offline()).num_rows == 3
    assert offline().check() == []


def test_prepared_files_become_one_commit(offline: Callable[[], Any], tmp_path: Path) -> None:
    offline().create(LAYOUT)
    offline().append("credit", 1, rows(("a", 1, 1, 0.0)))
    files = [tmp_path / f"{place}.parquet" for place in range(3)]
    for path, table in zip(
        files, [rows(("a", 1, 50, 1.0), ("b", 1, 2, 2.0)), rows(("c", 1, 1, None)), rows()], strict=True
    ):
        pq.write_table(table, path)
    done = offline().adopt("credit", 1, files, transaction="k", meta={"n": 1})
    assert (done.number, done.rows, done.transaction, done.meta) == (1, 3, "k", {"n": 1})
    assert offline().adopt("credit", 1, files, transaction="k") is None
    assert offline().append("credit", 1, rows(("a", 1, 1, 0.0)), transaction="k") is None
    found = scanned(offline()).sort_by([("customer", "ascending"), ("event_time", "ascending")])
    assert found["score"].to_pylist() == [0.0, 1.0, 2.0, None]
    assert found["commit"].to_pylist() == [0, 1, 1, 1]
    assert offline().adopt("credit", 1, []).rows == 0
    assert offline().check() == []
    assert all(path.exists() for path in files)


def test_prepared_files_that_do_not_fit_are_refused_whole(offline: Callable[[], Any], tmp_path: Path) -> None:
    offline().create(LAYOUT)
    good, torn, other = (tmp_path / f"{name}.parquet" for name in ("good", "torn", "other"))
    pq.write_table(rows(("a", 1, 1, 1.0)), good)
    torn.write_bytes(good.read_bytes()[:-9])
    pq.write_table(rows(("a", 1, 1, 1.0)).drop_columns(["score"]), other)
    for bad in (torn, other, tmp_path / "absent.parquet"):
        with pytest.raises(StoreError):
            offline().adopt("credit", 1, [good, bad], transaction="k")
    assert offline().commits("credit", 1) == []
    assert offline().adopt("credit", 1, [good], transaction="k").rows == 1


def test_rows_that_do_not_fit_are_refused_whole(offline: Callable[[], Any]) -> None:
    offline().create(LAYOUT)
    good = rows(("a", 1, 1, 1.0))
    bad = {
        "have the columns": good.drop_columns("score"),
        "missing values": good.set_column(0, "customer", pa.array([None], pa.string())),
        "not double": good.set_column(4, "score", pa.array(["x"])),
        "not string": good.set_column(0, "customer", pa.array([1])),
        "not int64": good.set_column(1, "bank", pa.array(["1"])),
        "years 1 to 9999": good.set_column(2, "event_time", pa.array([2**62], pa.int64()).cast(MOMENT)),
    }
    for text, table in bad.items():
        with pytest.raises(GreywaterError, match=text):
            offline().append("credit", 1, table)
    with pytest.raises(StoreError, match="JSON"):
        offline().append("credit", 1, good, meta={"x": object()})
    with pytest.raises(StoreError, match="transaction key"):
        offline().append("credit", 1, good, transaction="")
    assert offline().commits("credit", 1) == []
    offline().append("credit", 1, good.select(["score", "known_time", "event_time", "bank", "customer"]))
    assert scanned(offline()).num_rows == 1
    assert offline().check() == []


def test_what_is_not_there_is_said(offline: Callable[[], Any]) -> None:
    for call in ("commits", "runs", "scan", "compact"):
        with pytest.raises(StoreError, match="no group"):
            getattr(offline(), call)("nothing", 1)
    with pytest.raises(StoreError, match="no group"):
        offline().append("nothing", 1, rows())
    for layout in (
        GroupLayout("A", 1, ("k",), LAYOUT.features), GroupLayout("a", 0, ("k",), LAYOUT.features),
        GroupLayout("a", 1, (), LAYOUT.features), GroupLayout("a", 1, ("k",), pa.schema([])),
        GroupLayout("a", 1, ("k",), pa.schema([("day", pa.int8())])),
        GroupLayout("a", 1, ("k",), pa.schema([("x", pa.date32())])),
    ):  # fmt: skip
        with pytest.raises(StoreError):
            offline().create(layout)
    with pytest.raises(UsageError, match="offline store"):
        open_offline("parquet:x")
