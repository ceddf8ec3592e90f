"""`greywater seeds` takes confirmed launderers from past reports and closed alerts, once, each with its date."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import GOOD, HEADER

Greywater = Callable[..., Any]

ALERTS = """alert_id,customer,date,scenario,disposition,decided
1,C1,2024-03-01,fan-in,SAR filed,2024-03-09
2,A,2024-03-02,,reported,
3,B,2024-03-03,fan-out,dismissed,2024-03-04
4,B,2024-03-03,fan-out,open,
5,B,2024-03-03,fan-out,perhaps,
"""


@pytest.fixture
def store(greywater: Greywater, tmp_path: Path) -> Greywater:
    """A project with one payment and one customer."""
    (tmp_path / "payments.csv").write_text(HEADER + GOOD)
    (tmp_path / "accounts.csv").write_text("account,customer\nA,C1\nB,C2\n")
    assert greywater("ingest", "payments.csv", "--accounts", "accounts.csv").code == 0
    return greywater


def listed(greywater: Greywater) -> list[dict[str, Any]]:
    return json.loads(greywater("seeds", "list", "--json", "-").out)  # type: ignore[no-any-return]


def test_past_reports(store: Greywater, tmp_path: Path) -> None:
    (tmp_path / "reports.csv").write_text("account,reason,known_since\nA,report 7,2024-02-01\nB,,\n,,\n")
    said = store("seeds", "import", "reports.csv", "--json", "-")
    told = {"seeds": 2, "rejected": 1, "undated": 1, "unmatched": 0, "known": False}
    assert (said.code, json.loads(said.out)) == (0, told)
    assert "1 rows of reports.csv were set aside" in said.err
    rows = listed(store)
    assert [(row["account"], row["reason"]) for row in rows] == [("A", "report 7"), ("B", None)]
    assert rows[0]["known_since"] == "2024-02-01T00:00:00+00:00"
    assert rows[1]["known_since"] == "2024-01-01T10:00:00+00:00"
    again = store("seeds", "import", "reports.csv")
    assert (again.code, again.out) == (0, "reports.csv: was recorded before; nothing was added\n")
    assert len(listed(store)) == 2


def test_closed_alerts(store: Greywater, tmp_path: Path) -> None:
    (tmp_path / "closed.csv").write_text(ALERTS)
    said = store("seeds", "import", "closed.csv", "--alerts")
    assert (said.code, said.out) == (0, "closed.csv: 2 confirmed launderers\n")
    assert listed(store) == [
        {"account": None, "customer": "C1", "reason": "alert 1: fan-in", "known_since": "2024-03-09T00:00:00+00:00"},
        {"account": "A", "customer": None, "reason": "alert 2", "known_since": "2024-04-01T00:00:00+00:00"},
    ]
    assert "C1" in store("seeds", "list").out


def test_seeds_that_name_nobody_are_recorded_and_said(store: Greywater, tmp_path: Path) -> None:
    (tmp_path / "reports.csv").write_text("account,customer\nA,\n,C2\nA1,\n,C9\nA1,C1\n")
    (tmp_path / "ties.csv").write_text("from_customer,to_customer,kind\nC9,C1,partner\n")
    said = store("seeds", "import", "reports.csv", "--json", "-")
    assert json.loads(said.out)["unmatched"] == 2
    assert "2 seeds name nobody that the project knows" in said.err
    assert store("ingest", "--relationships", "ties.csv").code == 0
    (tmp_path / "more.csv").write_text("customer\nC9\n")
    assert "name nobody" not in store("seeds", "import", "more.csv").err
    assert len(listed(store)) == 6


def test_what_cannot_be_used(store: Greywater, tmp_path: Path) -> None:
    (tmp_path / "closed.csv").write_text("alert_id,customer,outcome\n1,C1,dismissed\n")
    said = store("seeds", "import", "closed.csv", "--alerts")
    assert said.code == 3
    assert "none of the alerts was reported" in said.err
    assert store("seeds", "import", "nowhere.csv").code == 3
    assert store("seeds", "list", "--project", "other").code == 4
    assert listed(store) == []
