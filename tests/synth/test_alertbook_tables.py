"""What is read as the two tables of an alert book, and what is refused or left out."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from greywater.errors import EmptyInputError, FormatError, InputError, RefusedValueError
from greywater.synth.alertbook_tables import read_tables

ALERTS = {"AlertID": ["a", "b"], "Date": ["2020-03-02", "2020-03-01"], "Outcome": ["Report", "Dismiss"]}
ROWS = {
    "AlertID": ["b", "a", "a"],
    "Timestamp": ["2020-02-28 10:00:00", "2020-03-02 23:59:59", "2020-03-01 00:00:00"],
    "Entry": ["Credit", "Debit", "credit"],
    "Type": ["Card", "Wire", "Cash"],
    "Size": [0.5, -1.5, 2.0],
}


def test_rows_meet_their_alerts() -> None:
    found = read_tables(pa.table(ALERTS), pa.table(ROWS))
    assert found.alert.tolist() == [1, 0, 0]
    assert found.cell.tolist() == [0, 7, 1]
    assert found.days_before.tolist() == [2, 0, 1]
    assert found.reported.tolist() == [True, False]
    assert found.set_aside == 0


def test_rows_of_no_alert_and_after_its_day_are_left_out() -> None:
    rows = ROWS | {"AlertID": ["b", "c", "a"], "Timestamp": [*ROWS["Timestamp"][:2], "2020-03-03 00:00:00"]}
    found = read_tables(pa.table(ALERTS), pa.table(rows))
    assert (found.alert.tolist(), found.set_aside) == ([1], 2)


@pytest.mark.parametrize(
    ("column", "value"), [("Entry", "Sideways"), ("Type", "Shell"), ("Size", float("nan")), ("Timestamp", "soon")]
)
def test_unreadable_rows_are_left_out(column: str, value: object) -> None:
    rows = ROWS | {column: [value, *ROWS[column][1:]]}
    found = read_tables(pa.table(ALERTS), pa.table(rows))
    assert (found.alert.tolist(), found.set_aside) == ([0, 0], 1)


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"Outcome": ["Report", "Maybe"]}, RefusedValueError, "row 2, Outcome"),
        ({"Date": ["2020-03-02", "someday"]}, RefusedValueError, "row 2, Date"),
        ({"AlertID": ["a", "a"]}, RefusedValueError, "occurs twice"),
        ({"AlertID": ["x", "y"]}, EmptyInputError, "no transaction belongs"),
    ],
)
def test_bad_alerts_are_refused(changed: dict[str, list[str]], error: type[InputError], words: str) -> None:
    with pytest.raises(error, match=words):
        read_tables(pa.table(ALERTS | changed), pa.table(ROWS))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "alerts.csv"
    path.write_text("AlertID,Outcome\n1,Report\n")
    with pytest.raises(FormatError, match="Date is missing"):
        read_tables(path, pa.table(ROWS))
    with pytest.raises(FormatError, match="Size is missing"):
        read_tables(pa.table(ALERTS), pa.table(ROWS).drop_columns("Size"))
    path.write_text("AlertID,Date,Outcome\n")
    with pytest.raises(EmptyInputError):
        read_tables(path, pa.table(ROWS))


def test_numbers_and_text_are_the_same_alert(tmp_path: Path) -> None:
    path = tmp_path / "alerts.csv"
    path.write_text("AlertID,Date,Outcome\n1,2020-03-02,Report\n2,2020-03-01,Dismiss\n")
    found = read_tables(path, pa.table(ROWS | {"AlertID": [2, 1, 1]}))
    assert found.alert.tolist() == [1, 0, 0]
