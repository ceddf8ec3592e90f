"""The command line as a person uses it: words in, exit code and both streams out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from greywater.cli.main import run

HEADER = "tx_id,event_time,sender,receiver,amount,currency\n"
GOOD = "t1,2024-01-01T10:00:00Z,A,B,10.00,USD\n"


@dataclass(frozen=True)
class Said:
    """How a command ended: its exit code and what stood on the two streams."""

    code: int
    out: str
    err: str


@pytest.fixture
def greywater(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Run `greywater` in an empty folder; a path may stand for a word."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")

    def call(*words: object) -> Said:
        capfd.readouterr()
        try:
            run([str(word) for word in words])
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return call
