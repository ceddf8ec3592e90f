"""`greywater evidence`: words in, payments out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import HEADER, Said

ROWS = """t0,2024-01-01T10:00:00Z,A,B,100.00,USD
t1,2024-01-02T10:00:00Z,B,C,95.00,USD
t2,2024-01-03T10:00:00Z,C,A,90.00,USD
"""


@pytest.fixture
def recorded(greywater: Callable[..., Said], tmp_path: Path) -> Callable[..., Said]:
    payments = tmp_path / "payments.csv"
    payments.write_text(HEADER + ROWS)
    assert greywater("ingest", payments).code == 0
    return greywater


def test_the_payments_are_listed_with_their_parts(recorded: Callable[..., Said]) -> None:
    said = recorded("evidence", "t2")
    assert said.code == 0
    for words in (
        "t2: 90.00 USD from C to A, 2024-01-03 10:00:00",
        "1 cycle in time order in 7 days",
        "closing payment",
        "1: 3 payments lead from A back to it within 2 days; 90 % of the amount comes round.",
        "No scatter-gathers in 3 days.",
        "Passed on from B in 2 payments within 24 h; 5 % stayed on the way.",
    ):
        assert words in said.out


def test_json_alone_goes_to_standard_output(recorded: Callable[..., Said]) -> None:
    said = recorded("evidence", "t2", "--pattern", "temporal-cycle", "--pattern", "fan", "--limit", "1", "--json", "-")
    found = json.loads(said.out)
    assert [each["pattern"] for each in found["evidence"]] == ["temporal_cycle", "fan"]
    assert [each["tx_id"] for each in found["evidence"][0]["instances"][0]["payments"]] == ["t0", "t1", "t2"]
    assert found["evidence"][1]["truncated"] is True
    assert found["payment"]["tx_id"] == "t2"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nobody",), "no payment 'nobody' is recorded"),
        (("t2", "--pattern", "rings"), "'rings' is no pattern"),
        (("t2", "--pattern", "statistics"), "no pattern that payments form"),
        (("t2", "--window", "a week"), "'a week' is no length of time"),
        (("t2", "--window", "9h"), "no pattern is looked for over this window"),
        (("t2", "--pattern", "chain", "--window", "0s"), "chain is not looked for over 0"),
    ],
)
def test_what_cannot_be_used_is_said(recorded: Callable[..., Said], words: tuple[str, ...], told: str) -> None:
    said = recorded("evidence", *words)
    assert said.code == 2
    assert told in said.err


def test_an_id_is_shown_as_text(greywater: Callable[..., Said], tmp_path: Path) -> None:
    assert greywater("evidence", "t2").code == 4
    payments = tmp_path / "payments.csv"
    payments.write_text(HEADER + "t\x1b[2J,2024-01-01T10:00:00Z,A,B,1.00,USD\n")
    greywater("ingest", payments)
    assert "\x1b[2J" not in greywater("evidence", "t\x1b[2J").out
