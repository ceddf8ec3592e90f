"""`greywater ingest` and `greywater check` end to end: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

HEADER = "tx_id,event_time,sender,receiver,amount,currency,label\n"
ROWS = "t1,2024-01-01,A,B,10.00,USD,1\nt2,2024-01-02,B,C,x,USD,0\nt3,2024-01-03,B,C,7,USD,0\n"


def test_a_table_for_people(greywater: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + ROWS)
    (tmp_path / "b.csv").write_text(HEADER + "t4,2024-01-03,B,C,7,USD,0\n")
    said = greywater("ingest", "a.csv", "b.csv", "--store", "bank", "--project", "cards")
    assert said.code == 0
    table = [line.split() for line in said.out.splitlines()]
    assert ["a.csv", "native", "3", "2", "0", "1", "0"] in table
    assert ["all", "4", "3", "0", "1", "0"] in table
    assert "amount_text" in said.out
    assert "bank holds 3 payments of project cards, counted in USD." in said.out
    assert (tmp_path / "bank/projects/cards/ledger").is_dir()
    again = greywater("ingest", "a.csv", "--store", "bank", "--project", "cards")
    assert again.code == 0
    assert "note: a.csv: recorded whole before, its 3 rows were skipped" in again.err


def test_json_for_programs(greywater: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + ROWS)
    (tmp_path / "accounts.csv").write_text("account,customer\nA,c1\n")
    said = greywater("ingest", "a.csv", "--accounts", "accounts.csv", "--json", "-")
    result = json.loads(said.out)
    assert result["counts"] == {
        "read": 3, "recorded": 2, "duplicate": 0, "rejected": 1, "skipped": 0, "rounded": 0, "without_rate": 0,
    }  # fmt: skip
    assert set(result) == {
        "store", "project", "counts", "files", "records", "first_seq", "next_seq", "resolution_us", "base_currency",
        "rates", "has_labels", "rejections", "resumed", "warnings", "mended",
    }  # fmt: skip
    assert result["records"][0]["table"] == "accounts"
    assert result["rejections"][0]["row"] == 2
    said = greywater("ingest", "a.csv", "--json", "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["counts"]["skipped"] == 3
    assert "holds 2 payments" in said.out
    said = greywater("ingest", "a.csv", "--json", "no/such/folder.json")
    assert said.code == 2
    assert "the JSON cannot be written" in said.err


def test_side_records_alone(greywater: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("account,customer\nA,c1\n")
    said = greywater("ingest", "--accounts", "accounts.csv")
    assert said.code == 0
    assert ["accounts.csv", "accounts", "1", "0"] in [line.split() for line in said.out.splitlines()]
    assert greywater("ingest").code == 2


def test_check_a_sound_and_a_damaged_store(greywater: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + ROWS)
    greywater("ingest", "a.csv", "--store", "bank")
    said = greywater("check", "--store", "bank")
    assert said.code == 0
    assert "2 payments of 1 files, 0 alerts. Nothing is wrong." in said.out
    sound = json.loads(greywater("check", "--store", "bank", "--json", "-").out)
    assert (sound["ok"], sound["findings"], sound["payments"]) == (True, [], 2)
    part = next((tmp_path / "bank/projects/default/ledger").glob("part-*"))
    part.write_bytes(part.read_bytes()[:-9] + b"x" + part.read_bytes()[-8:])
    said = greywater("check", "--store", "bank", "--json", "-")
    assert said.code == 4
    assert "to mend" in said.err
    damaged = json.loads(said.out)
    assert damaged["ok"] is False
    assert all(set(finding) == {"where", "found", "mend"} for finding in damaged["findings"])


def test_check_where_nothing_is(greywater: Callable[..., Any], tmp_path: Path) -> None:
    said = greywater("check", "--store", "nowhere")
    assert said.code == 4
    assert "no project 'default'" in said.err
    assert not (tmp_path / "nowhere").exists()


def test_base_currency_and_rates(greywater: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "t1,2024-01-01,A,B,10.00,USD,1\nt2,2024-01-02,A,B,10.00,EUR,1\n")
    said = greywater("ingest", "a.csv")
    assert said.code == 2
    assert "--base-currency" in said.err
    (tmp_path / "fx.csv").write_text("date,currency,rate\n2024-01-01,EUR,1.1\n")
    said = greywater("ingest", "a.csv", "--base-currency", "USD", "--fx", "fx.csv", "--json", "-")
    result = json.loads(said.out)
    assert (result["base_currency"], result["rates"], result["counts"]["without_rate"]) == ("USD", "fx.csv", 0)
