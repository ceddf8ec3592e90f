"""Progress: silent when quick, bars on a terminal, rare lines elsewhere, never on standard output."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from greywater.cli import progress
from greywater.cli.progress import Shown
from greywater.vocab import Progress


def test_it_is_a_progress() -> None:
    shown: Progress = Shown(Console(file=io.StringIO()))
    shown.step("x", 3)
    shown.advance(1)
    assert isinstance(shown, Shown)


def test_quick_steps_say_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with Shown() as shown:
        shown.step("reading", 10)
        shown.advance(10)
    assert capfd.readouterr() == ("", "")


def test_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "PAUSE", 0.0)
    target = io.StringIO()
    with Shown(Console(file=target, width=100)) as shown:
        shown.step("reading a[b].csv", 2_000)
        shown.advance(500)
        shown.step("sorting")
        shown.advance(7)
        shown.say("mended: [one] thing")
    assert target.getvalue().splitlines() == [
        "reading a[b].csv ...",
        "reading a[b].csv: 500 of 2,000 (25 %)",
        "sorting ...",
        "sorting: 7",
        "mended: [one] thing",
    ]


def test_lines_are_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    target = io.StringIO()
    with Shown(Console(file=target)) as shown:
        shown.step("reading", 1_000)
        for _ in range(1_000):
            shown.advance(1)
    assert target.getvalue() == ""


def test_a_step_that_tells_nothing_is_seen_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PAUSE", 0.02)
    monkeypatch.setattr(progress, "LEAST", 0.02)
    target = io.StringIO()
    with Shown(Console(file=target)) as shown:
        shown.step("compiling")
        time.sleep(0.3)
    lines = target.getvalue().splitlines()
    assert len(lines) > 1
    assert all(re.fullmatch(r"compiling \.\.\.( \d+ s)?", line) for line in lines)
    assert lines[-1].endswith(" s")
    time.sleep(0.1)
    assert target.getvalue().splitlines() == lines


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.01)
    target = io.StringIO()
    with Shown(Console(file=target, force_terminal=True, width=100)) as shown:
        shown.step("reading", 100)
        shown.advance(50)
        time.sleep(0.3)
        shown.step("sorting")
        time.sleep(0.2)
    drawn = target.getvalue()
    assert "reading" in drawn
    assert "50 of 100 (50 %)" in drawn
    assert "sorting" in drawn


def test_nothing_is_drawn_before_patience_ends() -> None:
    target = io.StringIO()
    with Shown(Console(file=target, force_terminal=True)) as shown:
        shown.step("reading", 100)
        shown.advance(100)
    assert "reading" not in target.getvalue()
