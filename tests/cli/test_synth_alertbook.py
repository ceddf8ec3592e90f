"""`greywater synth alertbook` as a person uses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from greywater.app.alert_making import AlertMakingRequest, make_alerts
from greywater.config import Settings
from greywater.errors import AccessDeniedError
from greywater.synth.world import make_world
from greywater.vocab import Actor

BOTH = ("synthetic_alerts.csv", "synthetic_transactions.csv")


def test_the_example_a_fit_and_a_saved_book(greywater: Callable[..., Any], tmp_path: Path) -> None:
    said = greywater("synth", "alertbook", "made", "--alerts", "300", "--seed", "4", "--json", "made.json")
    assert said.code == 0, said.err
    assert "From the built-in example, faithful" in said.out
    told = json.loads((tmp_path / "made.json").read_text())
    assert (told["alerts"], told["mode"]) == (300, "faithful")
    assert [Path(name).name for name in told["files"]] == list(BOTH)
    files = [str(tmp_path / "made" / name) for name in BOTH]
    fitted = greywater("synth", "alertbook", "again", *files, "--alerts", "40", "--save", "book", "--json", "-")
    assert fitted.code == 0, fitted.err
    assert json.loads(fitted.out)["source"] == "two files"
    saved = greywater("synth", "alertbook", "third", "--book", "book", "--alerts", "40", "--threads", "1")
    assert saved.code == 0, saved.err
    for name in BOTH:
        assert (tmp_path / "third" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    other = greywater("synth", "alertbook", "fourth", "--book", "book", "--alerts", "40", "--format", "parquet")
    assert other.code == 0, other.err
    rows = pq.read_table(tmp_path / "fourth" / "synthetic_transactions.parquet")
    assert rows.num_rows == pa_csv.read_csv(tmp_path / "third" / BOTH[1]).num_rows


def test_the_published_method(greywater: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greywater.app.alert_making.EXAMPLE_ALERTS", 256)
    words = ("synth", "alertbook", "made", "--mode", "hma1", "--alerts", "60", "--json", "-")
    said = greywater(*words, "--categories", "library", "--marginals", "best")
    assert said.code == 0, said.err
    assert json.loads(said.out)["mode"] == "hma1"
    library = (tmp_path / "made" / BOTH[1]).read_bytes()
    assert greywater(*words).code == 0
    assert (tmp_path / "made" / BOTH[1]).read_bytes() != library


def test_recorded_payments_before_alerts(greywater: Callable[..., Any], tmp_path: Path) -> None:
    make_world(tmp_path / "world", accounts=300, payments=12_000, seed=3)
    said = greywater(
        "ingest", "world/payments.csv", "--accounts", "world/accounts.csv", "--parties", "world/parties.csv", "--store",
        "bank",
    )  # fmt: skip
    assert said.code == 0, said.err
    parties = pa_csv.read_csv(tmp_path / "world" / "parties.csv").to_pylist()
    lines = ["alert_id,customer,date,outcome"]
    for place, party in enumerate(parties[:200]):
        lines.append(f"A{place},{party['customer']},2024-04-{1 + place % 20:02},{('dismissed', 'reported')[place % 2]}")
    (tmp_path / "raised.csv").write_text("\n".join([*lines, "A999,nobody,2024-04-01,"]) + "\n")
    words = ("synth", "alertbook", "made", "--ledger", "raised.csv", "--store", "bank", "--alerts", "50", "--json", "-")
    said = greywater(*words)
    assert said.code == 0, said.err
    assert json.loads(said.out)["source"] == "the ledger"
    days = [str(row["Date"]) for row in pa_csv.read_csv(tmp_path / "made" / BOTH[0]).to_pylist()]
    assert len(days) == 50
    assert min(days) >= "2024-04-01"
    assert max(days) <= "2024-04-20"
    investigator = Actor(role="investigator")
    settings = Settings.from_environment({}).with_(store=tmp_path / "bank")
    with pytest.raises(AccessDeniedError):
        make_alerts(investigator, settings, AlertMakingRequest(tmp_path / "x", ledger_alerts=tmp_path / "raised.csv"))


def test_what_alerts_are_fitted_to_is_not_replaced(greywater: Callable[..., Any], tmp_path: Path) -> None:
    assert greywater("synth", "alertbook", "bank", "--alerts", "300", "--save", "book").code == 0
    files = [str(tmp_path / "bank" / name) for name in BOTH]
    before = [Path(name).read_bytes() for name in files]
    (tmp_path / "also").symlink_to(tmp_path / "bank")
    for folder in ("bank", "also"):
        said = greywater("synth", "alertbook", folder, *files, "--alerts", "40")
        assert (said.code, "would replace those that they are fitted to" in said.err) == (2, True)
    assert [Path(name).read_bytes() for name in files] == before
    beside = greywater("synth", "alertbook", "bank", *files, "--alerts", "40", "--format", "parquet")
    assert beside.code == 0, beside.err
    other = greywater("synth", "alertbook", "made", "--book", "book", "--mode", "hma1")
    assert (other.code, "the saved book is of the mode faithful" in other.err) == (2, True)


def test_errors_say_what_to_mend(greywater: Callable[..., Any], tmp_path: Path) -> None:
    one = greywater("synth", "alertbook", "made", "alerts.csv")
    assert (one.code, "give both" in one.err) == (2, True)
    missing = greywater("synth", "alertbook", "made", "alerts.csv", "transactions.csv")
    assert (missing.code, "no such file" in missing.err) == (3, True)
    twice = greywater("synth", "alertbook", "made", "--book", "b", "--ledger", "l.csv")
    assert (twice.code, "name one of them" in twice.err) == (2, True)
    book = greywater("synth", "alertbook", "made", "--book", "b")
    assert (book.code, "cannot be read" in book.err) == (4, True)
    (tmp_path / "l.csv").write_text("alert_id,customer,date,outcome\n1,,2024-01-01,reported\n")
    unwritten = greywater("synth", "alertbook", "made", "--alerts", "40", "--json", "absent/made.json")
    assert (unwritten.code, "the JSON cannot be written there" in unwritten.err) == (2, True)
    nobody = greywater("synth", "alertbook", "made", "--ledger", "l.csv")
    assert (nobody.code, "both a customer and an outcome" in nobody.err) == (3, True)
    assert not (tmp_path / "made").exists()
