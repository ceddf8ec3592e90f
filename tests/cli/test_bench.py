"""`greywater bench synthaml` as a person uses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.app.alert_files_made import alert_files


def test_a_table_a_page_and_a_json(
    greywater: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREYWATER_THREADS", "1")
    alerts, transactions = alert_files(tmp_path / "set", 240)
    said = greywater(
        "bench", "synthaml", alerts, transactions, "--parts", "all", "--models", "decision_tree,lightgbm", "--seeds", 1,
        "--labels", 10, "--report", "bench.html", "--json", "bench.json",
    )  # fmt: skip
    assert said.code == 0, said.err
    for words in ("ROC AUC in percent", "63.69", "greywater prioritise", "What LightGBM rests on", "Upkeep"):
        assert words in said.out
    document = json.loads((tmp_path / "bench.json").read_text())
    assert document["seeds"] == 1
    assert "<h1>The SynthAML benchmark</h1>" in (tmp_path / "bench.html").read_text()
    again = greywater("bench", "synthaml", alerts, transactions, "--models", "lightgbm", "--seeds", 1, "--json", "-")
    assert again.code == 0, again.err
    assert [each["model"] for each in json.loads(again.out)["models"]] == ["LightGBM", "greywater prioritise"]


def test_errors_say_what_to_mend(greywater: Callable[..., Any], tmp_path: Path) -> None:
    alerts, transactions = alert_files(tmp_path / "set", 40)
    said = greywater("bench", "synthaml", alerts, transactions, "--test-from", "2021-02-15")
    assert said.code == 2
    assert "2021-02-15 is not the first day of a quarter" in said.err
    assert "January, April, July or October" in said.err
    assert greywater("bench", "synthaml", alerts, "missing.csv").code == 3
    assert greywater("bench", "synthaml", alerts, transactions, "--parts", "magic").code == 2
    none = greywater("bench", "synthaml", alerts, transactions, "--models", ",")
    assert (none.code, "no model is asked for" in none.err) == (2, True)
    assert greywater("bench", "synthaml", alerts, transactions, "--report", "nowhere/x.html").code == 2
