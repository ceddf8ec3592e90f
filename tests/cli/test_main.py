"""The command itself: light, helpful, and one message for every end."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greywater._version import __version__
from greywater.cli import main
from greywater.cli.logs import configure_logging

HEAVY = [
    *("numba", "torch", "pyspark", "lightgbm", "sklearn", "duckdb", "polars", "sqlalchemy", "litestar"),
    *("numpy", "pyarrow", "greywater.app", "greywater.stores"),
]


def test_help_is_light() -> None:
    code = (
        "import sys\nfrom greywater.cli.main import run\n"
        "try:\n    run(['--help'])\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    took = time.monotonic() - begun
    assert done.stdout.rstrip().endswith("LOADED []")
    assert "ingest" in done.stdout
    assert "check" in done.stdout
    assert took < 5, "far beyond the half second it takes on a quiet machine"


def test_version(greywater: Callable[..., Any]) -> None:
    said = greywater("--version")
    assert (said.code, said.out) == (0, f"greywater {__version__}\n")


@pytest.mark.parametrize("command", ["ingest", "check"])
def test_help_of_a_command_has_examples(greywater: Callable[..., Any], command: str) -> None:
    said = greywater(command, "--help")
    assert said.code == 0
    assert "Examples" in said.out
    assert f"greywater {command}" in said.out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("ingset",), "ingest"),
        (("chekc",), "check"),
        (("ingest", "--lables", "x"), "--labels"),
        (("check", "--stor"), "--store"),
    ],
)
def test_did_you_mean(greywater: Callable[..., Any], words: tuple[str, ...], hint: str) -> None:
    said = greywater(*words)
    assert said.code == 2
    assert hint in said.err
    assert said.out == ""


def test_a_missing_command_does_not_break_the_others(
    greywater: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = {"nothing": main.Command("greywater.cli.nothing:nothing", "Not there."), **main.COMMANDS}
    monkeypatch.setattr(main, "COMMANDS", commands)
    said = greywater("--help")
    assert said.code == 0
    assert "Not there" not in said.out
    assert greywater("nothing").code == 2


def test_error_is_one_block(greywater: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "payments.csv").write_text("a,b\n1,2\n")
    said = greywater("ingest", "payment.csv")
    assert said.code == 3
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[0] == "error: there is no such file"
    assert lines[1].startswith("  where:   payment.csv")
    assert lines[2] == "  to mend: did you mean payments.csv?"
    assert len(lines) == 3
    assert not (tmp_path / "greywater-store").exists()


def test_settings_that_cannot_be_read(greywater: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREYWATER_CHUNK_ROWS", "many")
    said = greywater("check")
    assert said.code == 2
    assert "GREYWATER_CHUNK_ROWS" in said.err


def test_debug_shows_the_traceback(
    greywater: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GREYWATER_DEBUG", "")
    from greywater.errors import InputError

    with pytest.raises(InputError):
        greywater("ingest", "none.csv", "--debug")


def test_a_bug_is_no_traceback(greywater: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*words: Any, **more: Any) -> None:
        raise ZeroDivisionError("never mind")

    monkeypatch.setattr("greywater.app.ingest.ingest", broken)
    (tmp_path / "a.csv").write_text("x\n1\n")
    said = greywater("ingest", "a.csv")
    assert said.code == 1
    assert "ZeroDivisionError: never mind" in said.err
    assert "--debug" in said.err
    assert "Traceback" not in said.err


def test_memory_and_disk_that_run_out(greywater: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for error, code, words in (
        (MemoryError(), 1, "no memory left"),
        (OSError(28, "No space left on device", "x"), 4, "no room left"),
        (PermissionError(13, "Permission denied", "x"), 4, "refuses"),
    ):

        def broken(*words: Any, error: BaseException = error, **more: Any) -> None:
            raise error

        monkeypatch.setattr("greywater.app.check.check", broken)
        said = greywater("check")
        assert said.code == code
        assert words in said.err
        assert "to mend" in said.err


def test_ctrl_c_says_what_is_safe(tmp_path: Path) -> None:
    rows = "".join(f"t{n},2024-01-01T00:00:{n % 60:02}Z,A,B,1,USD\n" for n in range(4_000))
    (tmp_path / "a.csv").write_text("tx_id,event_time,sender,receiver,amount,currency\n" + rows)
    command = [sys.executable, "-m", "greywater.cli.main", "ingest", "a.csv"]
    environment = {**os.environ, "GREYWATER_CHUNK_ROWS": "20"}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    ledger = tmp_path / "greywater-store/projects/default/ledger"
    while process.poll() is None and len(list(ledger.glob("part-*"))) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "every payment that was acknowledged is safe" in said
    assert "same command again" in said
    assert "Traceback" not in said


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    found = logging.getLogger("greywater")
    yield found
    for handler in list(found.handlers):
        found.removeHandler(handler)
    found.setLevel(logging.NOTSET)
    found.propagate = True


def test_log_in_json(
    greywater: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, logger: logging.Logger
) -> None:
    monkeypatch.setenv("GREYWATER_LOG", "json")
    text = "tx_id,event_time,sender,receiver,amount,currency\nt1,2024-01-01,Ada Lovelace,B,1,USD\n"
    (tmp_path / "a.csv").write_text(text)
    said = greywater("ingest", "a.csv")
    (line,) = (json.loads(line) for line in said.err.splitlines() if line.startswith("{"))
    assert (line["event"], line["logger"], line["recorded"]) == ("ingested", "greywater.ingest", 1)
    assert "Ada" not in said.err
    monkeypatch.delenv("GREYWATER_LOG")
    configure_logging()
    assert all(isinstance(handler, logging.NullHandler) for handler in logger.handlers)
