"""Transactions of SynthAML's form: told from payments by their columns, read in pieces, bad rows set aside."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from greywater.errors import FormatError
from greywater.formats.synthaml import ENTRIES, KINDS, is_synthaml, read_alert_transactions

HEADER = "AlertID,Timestamp,Entry,Type,Size"


def written(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "transactions.csv"
    path.write_text("\n".join([header, *lines, ""]))
    return path


def test_it_is_told_by_its_columns(tmp_path: Path) -> None:
    assert is_synthaml(written(tmp_path, "1,2020-01-01 10:00:00,Credit,Card,0.5"))
    payments = "alert_id,timestamp,entry,type,amount,sender,receiver"
    assert not is_synthaml(written(tmp_path, "1,2020-01-01,Credit,Card,5,a,b", header=payments))
    assert not is_synthaml(written(tmp_path, "1,2020-01-01,a,b,5", header="tx_id,time,sender,receiver,amount"))


def test_rows_are_read_as_they_stand(tmp_path: Path) -> None:
    lines = [f"{n % 3},2020-01-01 00:00:0{n},{entry.title()},{kind.upper()},{n - 4}.5e-1"
             for n, (entry, kind) in enumerate((e, k) for e in ENTRIES for k in KINDS)]  # fmt: skip
    read = read_alert_transactions(written(tmp_path, *lines))
    assert read.alerts == ("0", "1", "2")
    assert read.alert.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert read.group.tolist() == list(range(8))
    assert read.size.tolist() == pytest.approx([-0.45, -0.35, -0.25, -0.15, 0.05, 0.15, 0.25, 0.35])
    assert (read.time_us - read.time_us[0]).tolist() == [n * 1_000_000 for n in range(8)]
    assert read.rejections == 0


def test_bad_rows_are_set_aside_once_each(tmp_path: Path) -> None:
    bad = ["1,2020-01-01,Both,Card,0.5", "1,2020-01-01,Credit,Gold,0.5", "1,2020-01-01,Credit,Card,much",
           ",2020-01-01,Credit,Card,0.5", "1,soon,Credit,Card,0.5", "1,,Credit,Card,inf",
           "1,2020-01-01,Credit,Card"]  # fmt: skip
    read = read_alert_transactions(written(tmp_path, *bad, "1,2020-01-01,Credit,Card,0.5"))
    assert len(read.alert) == 1
    assert read.rejections == len(bad)
    found = {row["row"]: row["reason"] for row in read.rejected.to_pylist()}
    assert {row: found[row] for row in range(1, 7)} == {
        1: "entry_unknown",
        2: "kind_unknown",
        3: "size_unreadable",
        4: "alert_missing",
        5: "time_unreadable",
        6: "size_unreadable",
    }
    assert sorted(found) == list(range(1, 8))


def test_only_so_many_bad_rows_are_kept_in_words(tmp_path: Path) -> None:
    read = read_alert_transactions(written(tmp_path, *["1,2020-01-01,Both,Card,1"] * 30), most_rejected=5)
    assert (read.rejections, read.rejected.num_rows, len(read.alert)) == (30, 5, 0)


def test_parquet_of_numbers_and_times_is_read(tmp_path: Path) -> None:
    path = tmp_path / "transactions.parquet"
    times = pa.array([0, 1_000_000], pa.int64()).cast(pa.timestamp("us"))
    table = pa.table({"AlertID": [4, 5], "Timestamp": times, "Entry": ["Debit", "Credit"], "Type": ["Wire", "Cash"],
                      "Size": [0.25, float("nan")]})  # fmt: skip
    pq.write_table(table, path)
    read = read_alert_transactions(path)
    assert (read.alerts, read.group.tolist(), read.size.tolist()) == (("4",), [7], [0.25])
    assert read.rejections == 1


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="need the column kind and size"):
        read_alert_transactions(written(tmp_path, "1,2020-01-01,Credit", header="AlertID,Timestamp,Entry"))
