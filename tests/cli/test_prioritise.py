"""`greywater prioritise` as a person uses it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.app.alerts_made import ALERT_COLUMNS, OUTCOME_COLUMNS, PAYMENT_COLUMNS, made


def files(folder: Path) -> None:
    case = made()
    for name, columns, rows in (
        ("payments.csv", PAYMENT_COLUMNS, case.payments),
        ("alerts.csv", ALERT_COLUMNS, case.alerts),
        ("outcomes.csv", OUTCOME_COLUMNS, case.outcomes[:-60]),
    ):
        with (folder / name).open("w", newline="") as target:
            csv.writer(target).writerows([columns, *rows])


def test_a_table_a_csv_and_a_json(
    greywater: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files(tmp_path)
    monkeypatch.setenv("GREYWATER_WINDOWS", "86400,604800,2592000")
    monkeypatch.setenv("GREYWATER_DAY_WINDOWS", "90")
    monkeypatch.setenv("GREYWATER_THREADS", "1")
    said = greywater(
        "prioritise", "alerts.csv", "payments.csv", "--history", "outcomes.csv", "--csv", "ranked.csv", "--json",
        "ranked.json", "--budget", "2h",
    )  # fmt: skip
    assert said.code == 0, said.err
    for words in ("60 alerts ranked by expected value per hour", "False alerts removed at 95% recall", "Assumed:",
                  "Hibernation: the line kept"):  # fmt: skip
        assert words in said.out
    document = json.loads((tmp_path / "ranked.json").read_text())
    with (tmp_path / "ranked.csv").open() as source:
        rows = list(csv.DictReader(source))
    assert [row["alert_id"] for row in rows] == [alert["alert_id"] for alert in document["alerts"]]
    assert sum(alert["place"] == "work" for alert in document["alerts"]) == 4
    later = greywater("prioritise", "alerts.csv", "--history", "outcomes.csv", "--earlier", "ranked.json")
    assert later.code == 0, later.err
    assert "The earlier ranking: " in later.out
    again = greywater("prioritise", "alerts.csv", "--json", "-", "--by", "score")
    assert again.code == 0, again.err
    plain = json.loads(again.out)
    assert plain["measured"] is None
    assert "not known" in plain["how"]


def test_errors_say_what_to_mend(greywater: Callable[..., Any], tmp_path: Path) -> None:
    said = greywater("prioritise", "missing.csv")
    assert said.code == 3
    assert "no such file" in said.err
    (tmp_path / "alerts.csv").write_text("alert_id,date\n1,2024-01-01\n")
    said = greywater("prioritise", "alerts.csv")
    assert said.code == 3
    assert "the alerts name no customer" in said.err
    said = greywater("prioritise", "alerts.csv", "--recall-floor", "2")
    assert said.code != 0
    said = greywater("prioritise", "alerts.csv", "--csv", "nowhere/x.csv")
    assert said.code == 2
