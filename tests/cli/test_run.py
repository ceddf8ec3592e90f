"""`greywater run` as a person uses it: files that cannot be written, closed pipes, ids that would move the cursor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HEADER = "tx_id,event_time,sender,receiver,amount,currency\n"


def payments(folder: Path, *, sender: str = "A") -> Path:
    rows = [f"t{i},2024-01-{1 + i:02}T10:00:00Z,{sender},B{i % 3},1{i % 7}.00,USD\n" for i in range(24)]
    path = folder / "p.csv"
    path.write_text(HEADER + "".join(rows))
    return path


@pytest.mark.parametrize("option", ["--json", "--report"])
def test_a_result_that_cannot_be_written_is_refused_before_the_work(
    greywater: Any, tmp_path: Path, option: str
) -> None:
    path = payments(tmp_path)
    for target in (tmp_path / "none" / "r", tmp_path):
        said = greywater("run", path, option, target)
        assert said.code == 2
        assert "cannot be written there" in said.err
        assert "name a file" in said.err
    assert not (tmp_path / "greywater-store").exists()
    if option == "--json":
        assert greywater("ingest", path, option, tmp_path / "none" / "r").code == 2
        assert not (tmp_path / "greywater-store").exists()


def test_ids_do_not_move_the_cursor_and_the_json_holds_them(greywater: Any, tmp_path: Path) -> None:
    name = "A\x1b[2J\u202e" + "x" * 500
    said = greywater("run", payments(tmp_path, sender=name), "--json", "r.json", "--report", "r.html")
    assert said.code == 0
    assert "\x1b[2J" not in said.out
    assert "\u202e" not in said.out
    assert "x" * 100 not in said.out
    found = json.loads((tmp_path / "r.json").read_text())
    assert name in {alert["entity"] for alert in found["alerts"]}
    page = (tmp_path / "r.html").read_text()
    assert f"{len(found['alerts'])} alerts, worst first" in page
    assert name not in page
    assert greywater("check").code == 0


@pytest.mark.parametrize("words", [["--help"], ["check"], ["run"], ["run", "--json", "-"]], ids=" ".join)
def test_a_closed_pipe_ends_quietly(greywater: Any, tmp_path: Path, words: list[str]) -> None:
    greywater("ingest", payments(tmp_path))
    command = [sys.executable, "-m", "greywater.cli.main", *words]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    for noise in ("Traceback", "error:", "Exception ignored", "BrokenPipe", "free()"):
        assert noise not in err
