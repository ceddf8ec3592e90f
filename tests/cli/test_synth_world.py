"""`greywater synth world` as a person uses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greywater.app.world_making import WorldMakingRequest, hard_mode, make_large
from greywater.config import Settings
from greywater.errors import AccessDeniedError, UsageError
from greywater.formats.detect import open_source
from greywater.formats.patterns import read_patterns
from greywater.vocab import Actor

SMALL = ("--payments", "8000", "--accounts", "900")


def rows(path: Path) -> int:
    return sum(chunk.payments.num_rows for chunk in open_source(path).chunks())


def test_a_small_world_of_amlworlds_form(greywater: Callable[..., Any], tmp_path: Path) -> None:
    said = greywater("synth", "world", "made", *SMALL, "--json", "made.json")
    assert said.code == 0, said.err
    assert "A world of hi-small, seed 7" in said.out
    told = json.loads((tmp_path / "made.json").read_text())
    assert (told["accounts"], told["payments"], told["hard"]) == (900, 8_000, False)
    assert len(told["attempts"]) == 8
    assert rows(tmp_path / "made" / "HI-Small_Trans.csv") == 8_000
    attempts = read_patterns(tmp_path / "made" / "HI-Small_Patterns.txt")
    assert len(attempts) == sum(told["attempts"].values())
    lines = (tmp_path / "made" / "HI-Small_Trans.csv").read_text().split("\n")
    assert sum(line.endswith(",1") for line in lines) == told["laundering"]


def test_hard_mode_of_our_own_form_with_a_knob(greywater: Callable[..., Any], tmp_path: Path) -> None:
    words = ("--payments", "20000", "--days", "60", "--form", "own", "--format", "parquet", "--threads", "1")
    said = greywater("synth", "world", "made", *words, "--hard", "--knob", "lookalikes=1.0", "--json", "-")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert told["hard"]
    assert told["lookalikes"] > 0
    assert {"payments", "accounts", "parties", "labels", "relationships", "seeds"} <= set(told["files"])
    assert rows(tmp_path / "made" / "payments.parquet") == 20_000


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--payments", "10"), "a world needs at least"),
        (("--payments", "1000000000000000"), "a world has at most 10,000,000,000 payments"),
        (("--payments", "9000000000"), "a world has at most 250,000,000 accounts"),
        (("--days", "100000000000000000000"), "a world has at most 36,500 days"),
        (("--payments", "2000", "--hard", "--knob", "lookalikes=999"), "leave no everyday life among 2,000"),
        (("--hard", "--knob", "smallest=100000000000000000000000"), "is too much"),
        (("--payments", "2000", "--json", "absent/made.json"), "the JSON cannot be written there"),
        (("--knob", "drift=0.3"), "hard mode is off"),
        (("--hard", "--knob", "noise=1"), "no knob is called noise"),
        (("--hard", "--knob", "drift=much"), "'much' means nothing to drift"),
    ],
)
def test_what_means_nothing_is_refused(greywater: Callable[..., Any], words: tuple[str, ...], found: str) -> None:
    said = greywater("synth", "world", "made", *words)
    assert said.code == 2
    assert found in said.err
    assert not Path("made").exists()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_payments_that_cannot_have_their_name_leave_no_rest(
    greywater: Callable[..., Any], tmp_path: Path, kind: str
) -> None:
    in_the_way = tmp_path / "made" / f"HI-Small_Trans.{kind}"
    in_the_way.mkdir(parents=True)
    said = greywater("synth", "world", "made", "--payments", "2000", "--format", kind)
    assert (said.code, "cannot be written" in said.err) == (4, True)
    assert not list(tmp_path.rglob("*.part"))


def test_knobs_are_read_as_what_they_hold() -> None:
    turned = hard_mode({"disguised": "false", "smallest": "6", "kept": "0.5..0.9", "drift": "0"})
    assert (turned.disguised, turned.smallest, turned.kept, turned.drift) == (False, 6, (0.5, 0.9), 0.0)
    with pytest.raises(UsageError, match="no share"):
        hard_mode({"familiar": "2"})


def test_who_may_not_export_may_not_make_files(tmp_path: Path) -> None:
    settings = Settings(store=tmp_path / "bank")
    with pytest.raises(AccessDeniedError):
        make_large(Actor(role="investigator"), settings, WorldMakingRequest(tmp_path / "made", payments=8_000))
    assert not (tmp_path / "made").exists()
