"""`greywater ingest` on sources that are no files, as a person types it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.conftest import GOOD, HEADER


def test_a_database_then_only_what_is_new(greywater: Callable[..., Any], tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "bank.db")
    database.execute("CREATE TABLE p (n INTEGER, tx_id, event_time, sender, receiver, amount, currency)")
    database.execute("INSERT INTO p VALUES (1, 't1', '2024-01-01', 'A', 'B', 10.25, 'USD')")
    database.commit()
    words = ["ingest", "sql:sqlite:///bank.db", "--query", "SELECT * FROM p", "--high-water", "n", "--json", "-"]
    first = json.loads(greywater(*words).out)
    assert first["counts"]["recorded"] == 1
    assert first["files"][0]["name"].startswith("sql_bank_")
    database.execute("INSERT INTO p VALUES (2, 't2', '2024-01-02', 'A', 'B', 1, 'USD')")
    database.commit()
    assert json.loads(greywater(*words).out)["counts"] == {**first["counts"], "read": 1, "recorded": 1}
    last = greywater(*words)
    assert last.code == 0
    assert json.loads(last.out)["counts"]["read"] == 0
    assert "nothing new" in last.err


def test_no_message_shows_a_password(greywater: Callable[..., Any], tmp_path: Path) -> None:
    words = ["ingest", "sql:postgresql://ada:hush@127.0.0.1:1/core", "--query", "SELECT 1"]
    said = greywater(*words)
    assert said.code == 3
    assert "hush" not in said.out + said.err
    command = [
        sys.executable,
        "-c",
        "from greywater.cli.main import run; run()",
        "--debug",
        *words,
        "--store",
        str(tmp_path / "store"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
    assert "hush" not in done.stdout + done.stderr
    said = greywater("ingest", "sql:mysql://ada:hush@127.0.0.1:1/core", "--query", "SELECT 1")
    assert said.code == 2
    assert "hush" not in said.out + said.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_a_url_and_attributes(greywater: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text(HEADER + GOOD)
    (tmp_path / "attributes.csv").write_text("account,known_since,credit_score,age\nA,2024-01-01,612,44\n")
    words = ["ingest", f"file://{tmp_path}/in", "--attributes", "attributes.csv", "--protected", "age", "--json", "-"]
    found = json.loads(greywater(*words).out)
    assert found["counts"]["recorded"] == 1
    assert [(each["table"], each["rows"]) for each in found["records"]] == [("attributes", 2)]
    said = greywater("ingest", "in", "--protected", "age")
    assert said.code == 2
    assert "--attributes" in said.err
    said = greywater("ingest", "gopher://x/y.csv")
    assert said.code == 2
    assert "s3://" in said.err
