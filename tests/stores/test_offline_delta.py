"""Feature groups on disk: files others can read, damage that is found and mended, merging that changes no answer."""

from __future__ import annotations

import datetime
import os
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from greywater.errors import StoreDamagedError, StoreError
from greywater.stores import offline_files
from greywater.stores.offline_delta import MANY_FILES
from greywater.stores.offline_pages import page_header, plain_dtype, plain_values
from greywater.stores.open import open_offline
from tests.stores.offline_writer import LAYOUT, rows


@pytest.fixture
def store(tmp_path: Path) -> Any:
    made = open_offline(f"delta:{tmp_path}")
    made.create(LAYOUT)
    return made


def everything(store: Any, **limits: Any) -> pa.Table:
    return pa.Table.from_batches(list(store.scan("credit", 1, **limits)))


def test_duckdb_and_deltalake_read_the_same_rows(store: Any, tmp_path: Path) -> None:
    for number in range(5):
        store.append("credit", 1, rows(0, number))
    ours = everything(store)
    files = store.file_uris("credit", 1)
    assert len(files) == 15
    query = f"SELECT * FROM read_parquet({files}) ORDER BY day, key_high, key_low, event_time, commit"
    theirs = duckdb.connect().sql(query).to_arrow_table()
    assert theirs["score"].to_pylist() == ours["score"].to_pylist()
    assert theirs["customer"].to_pylist() == ours["customer"].to_pylist()
    assert str(theirs["day"][0].as_py()) == "2024-01-01"
    table = DeltaTable(str(tmp_path / "groups" / "credit_v1"))
    assert table.metadata().partition_columns == ["day"]
    delta = table.to_pyarrow_table(filters=pc.field("day") == datetime.date(2024, 1, 2))
    assert sorted(delta["score"].to_pylist()) == sorted(
        duckdb.connect()
        .sql(f"SELECT score FROM read_parquet({files}) WHERE day = '2024-01-02'")
        .to_arrow_table()["score"]
        .to_pylist()
    )


def test_a_day_with_many_files_is_merged_by_itself(store: Any, tmp_path: Path) -> None:
    for number in range(3 * MANY_FILES):
        before = everything(store) if number == 2 * MANY_FILES else None
        store.append("credit", 1, rows(0, number))
        if before is not None:
            assert everything(store, as_of_commit=number - 1).equals(before)
    assert len(store.file_uris("credit", 1)) < 3 * MANY_FILES
    memory = open_offline("memory:")
    memory.create(LAYOUT)
    for number in range(3 * MANY_FILES):
        memory.append("credit", 1, rows(0, number))
    assert everything(store).equals(everything(memory))
    assert (tmp_path / "groups" / "credit_v1" / "_delta_log" / "_last_checkpoint").exists()
    again = open_offline(f"delta:{tmp_path}")
    assert everything(again).equals(everything(store))
    exact = [(file.least_event_us % 1_000_000, file.rows) for file in again._tables["credit", 1].files]
    assert exact == [(file.least_event_us % 1_000_000, file.rows) for file in store._tables["credit", 1].files]
    assert again.check() == []


def test_files_out_of_use_stay_an_hour_for_those_who_read_them(store: Any, tmp_path: Path) -> None:
    for number in range(4):
        store.append("credit", 1, rows(0, number))
    runs = store.runs("credit", 1)
    old = {Path(uri) for uri in store.file_uris("credit", 1)}
    assert store.compact("credit", 1, 19_723) == 1
    assert sum(run.rows for run in runs) == sum(len(run.event_us) for run in runs) == 120
    assert len(store.file_uris("credit", 1)) == len(old) - 3
    gone = old - {Path(uri) for uri in store.file_uris("credit", 1)}
    assert all(path.exists() for path in gone)
    for path in gone:
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    assert open_offline(f"delta:{tmp_path}").check() == []
    assert not any(path.exists() for path in gone)


def test_a_flipped_bit_is_found_before_a_row_is_read(store: Any, tmp_path: Path) -> None:
    store.append("credit", 1, rows(0, 0))
    path = Path(store.file_uris("credit", 1)[1])
    assert store.verify("credit", 1) == sum(Path(uri).stat().st_size for uri in store.file_uris("credit", 1))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for opened in (store, open_offline(f"delta:{tmp_path}", read_only=True)):
        with pytest.raises(StoreDamagedError, match="SHA-256"):
            everything(opened)
        with pytest.raises(StoreDamagedError, match="SHA-256"):
            [run.event_us for run in opened.runs("credit", 1)]
        assert [finding.where for finding in opened.check()] == [str(path)]
    path.unlink()
    assert "missing" in store.check()[0].found


@pytest.mark.parametrize("whole", [True, False])
def test_a_commit_cut_off_is_mended(store: Any, tmp_path: Path, whole: bool) -> None:
    for number in range(3):
        store.append("credit", 1, rows(0, number), transaction=f"k{number}")
    before, earlier = everything(store), everything(store, as_of_commit=1)
    log = tmp_path / "groups" / "credit_v1" / "_delta_log"
    last = sorted(log.glob("*.json"))[-1]
    content = last.read_text()
    last.write_text("" if whole else "\n".join(content.splitlines()[:3]))
    if not whole:
        Path(store.file_uris("credit", 1)[-1]).unlink()
    with pytest.raises(StoreDamagedError, match="cut off"):
        open_offline(f"delta:{tmp_path}", read_only=True).layout("credit", 1)
    mended = open_offline(f"delta:{tmp_path}")
    if whole:
        assert everything(mended).equals(before)
        assert mended.append("credit", 1, rows(0, 2), transaction="k2") is None
        assert "registered again" in mended.mended[0]
    else:
        assert everything(mended).equals(earlier)
        assert mended.append("credit", 1, rows(0, 2), transaction="k2") is not None
        assert everything(mended).equals(before)
    assert mended.check() == []


def test_a_lost_commit_or_a_foreign_file_is_an_error(store: Any, tmp_path: Path) -> None:
    for number in range(3):
        store.append("credit", 1, rows(0, number))
    log = tmp_path / "groups" / "credit_v1" / "_delta_log"
    kept = (log / f"{1:020d}.json").read_bytes()
    (log / f"{1:020d}.json").unlink()
    with pytest.raises(StoreDamagedError, match="commit 1 is missing"):
        open_offline(f"delta:{tmp_path}").layout("credit", 1)
    (log / f"{1:020d}.json").write_bytes(kept)
    table = DeltaTable(str(tmp_path / "groups" / "credit_v1"))
    assert table.optimize.compact()["numFilesAdded"]
    with pytest.raises(StoreDamagedError, match="another program"):
        open_offline(f"delta:{tmp_path}").layout("credit", 1)


def test_reading_only_changes_nothing(tmp_path: Path) -> None:
    reader = open_offline(f"delta:{tmp_path}", read_only=True)
    assert reader.versions() == []
    with pytest.raises(StoreError, match="reading only"):
        reader.create(LAYOUT)
    open_offline(f"delta:{tmp_path}").create(LAYOUT)
    with pytest.raises(StoreError, match="reading only"):
        reader.append("credit", 1, rows(0, 0))


def test_a_file_of_several_row_groups_is_several_runs(
    store: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(offline_files, "ROW_GROUP_ROWS", 7)
    monkeypatch.setattr("greywater.stores.offline_table.ROW_GROUP_ROWS", 7)
    store.append("credit", 1, rows(0, 0, 60))
    store.append("credit", 1, rows(0, 1, 60))
    store.compact("credit", 1)
    runs = store.runs("credit", 1)
    assert max(run.rows for run in runs) == 7
    assert sum(run.rows for run in runs) == 120
    together = np.concatenate([run.event_us for run in runs])
    assert sorted(together) == sorted(everything(store)["event_time"].cast(pa.int64()).to_pylist())
    assert store.check() == []


def test_pages_are_read_as_they_lie(tmp_path: Path) -> None:
    """Plain pages, many or one, with and without the levels of optional columns; anything else is left to Arrow."""
    n = 5_000
    values = np.random.default_rng(1).random(n)
    schema = pa.schema([pa.field("a", pa.float64(), nullable=False), ("b", pa.float64()), ("c", pa.float64())])
    holes = pa.array(values, mask=np.arange(n) == n - 1)
    table = pa.table([pa.array(values), pa.array(values), holes], schema=schema)
    for page, version, compression, plain in (
        (1 << 24, "1.0", "none", True), (1_000, "1.0", "none", True), (1_000, "1.0", "zstd", False),
        (1_000, "2.0", "none", False),
    ):  # fmt: skip
        path = tmp_path / "x.parquet"
        pq.write_table(
            table, path, use_dictionary=False, compression=compression, data_page_size=page, data_page_version=version
        )
        footer = pq.read_metadata(path)
        handle = os.open(path, os.O_RDONLY)
        try:
            found = [plain_values(handle, footer.row_group(0).column(at), at > 0, n, "<f8") for at in range(3)]
        finally:
            os.close(handle)
        for column in found[:2]:
            assert (column is not None) == plain
            assert column is None or (column == values).all()
        assert found[2] is None
    assert plain_dtype(pa.int8()) is None
    assert page_header(b"") is None
    assert page_header(bytes(range(60))) is None
