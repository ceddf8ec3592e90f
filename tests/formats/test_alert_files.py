"""Files of alerts: any usual header, every outcome word, and every bad row set aside with its reason."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from greywater.errors import EmptyInputError, FormatError, InputError
from greywater.formats.alert_files import DISMISSED_WORDS, OPEN_WORDS, REPORTED_WORDS, read_alerts


def written(folder: Path, *lines: str) -> Path:
    path = folder / "alerts.csv"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "header",
    [
        "alert_id,customer,date,rule,outcome,decided",
        "AlertID,Customer ID,Alert Date,Scenario,Disposition,Closed At",
        "Alert Number;Account;Created;rule_id;Result;outcome_date",
    ],
)
def test_usual_headers_are_known(tmp_path: Path, header: str) -> None:
    mark = ";" if ";" in header else ","
    read = read_alerts(written(tmp_path, header, mark.join(["7", "C1", "2024-01-05", "r1", "SAR_filed", "2024-02-01"])))
    (row,) = read.rows.to_pylist()
    assert (row["row"], row["alert_id"], row["party"], row["rule"], row["outcome"]) == (1, "7", "C1", "r1", 1)
    assert f"{row['time']:%Y-%m-%d} {row['decided']:%Y-%m-%d}" == "2024-01-05 2024-02-01"
    assert read.whole_days
    assert read.has == {"party", "time", "rule", "outcome", "decided"}


def test_every_word_means_one_thing(tmp_path: Path) -> None:
    words = [(word, 1) for word in REPORTED_WORDS] + [(word, 0) for word in DISMISSED_WORDS]
    words += [*((word, None) for word in OPEN_WORDS), ("", None)]
    assert len({word for word, _ in words}) == len(words)
    lines = [f"a{n},2024-01-05 10:00:00,{word.upper()}" for n, (word, _) in enumerate(words)]
    read = read_alerts(written(tmp_path, "alert_id,date,outcome", *lines))
    assert read.rows["outcome"].to_pylist() == [meant for _, meant in words]
    assert read.rejected.num_rows == 0
    assert not read.whole_days


def test_bad_rows_are_set_aside_with_their_reasons(tmp_path: Path) -> None:
    read = read_alerts(
        written(tmp_path, "alert_id,date,outcome", "a,2024-01-05,reported", ",2024-01-05,reported", "b,soon,reported",
                "c,,reported", "a,2024-01-06,dismissed", "d,2024-01-06,perhaps", "e,2024-01-07,")
    )  # fmt: skip
    assert read.rows["alert_id"].to_pylist() == ["a", "e"]
    told = [(row["row"], row["reason"]) for row in read.rejected.to_pylist()]
    assert told == [
        (2, "alert_id_missing"),
        (3, "time_unreadable"),
        (4, "time_missing"),
        (5, "alert_repeated"),
        (6, "outcome_unknown"),
    ]
    assert "'perhaps'" in read.rejected.to_pylist()[-1]["message"]


def test_a_repeat_of_a_row_that_was_set_aside_is_kept(tmp_path: Path) -> None:
    read = read_alerts(written(tmp_path, "alert_id,date", "a,soon", "a,2024-01-05"))
    assert read.rows["row"].to_pylist() == [2]


def test_parquet_with_numbers_is_read(tmp_path: Path) -> None:
    path = tmp_path / "alerts.parquet"
    pq.write_table(pa.table({"AlertID": [1, 2], "Date": ["2020-01-01", "2020-01-02"], "is_sar": [0, 1]}), path)
    read = read_alerts(path)
    assert read.rows["alert_id"].to_pylist() == ["1", "2"]
    assert read.rows["outcome"].to_pylist() == [0, 1]


def test_what_cannot_be_used_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"needs the column time.*date or alert_date"):
        read_alerts(written(tmp_path, "alert_id,outcome", "a,reported"))
    with pytest.raises(EmptyInputError):
        read_alerts(written(tmp_path, "alert_id,date"))
    with pytest.raises(InputError, match="no such file"):
        read_alerts(tmp_path / "missing.csv")
