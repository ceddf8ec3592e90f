"""`greywater rules` as a person uses it: lists, checks, back-tests, tunes; what is wrong is said with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from greywater.app.ingest import IngestRequest, ingest
from greywater.app.rule_place import RulePlace, project_rules
from greywater.app.rules import BackTestRequest, TuneRequest, run_back_test, tune_rule
from greywater.config import Settings
from greywater.errors import AccessDeniedError, FormatError, UsageError
from greywater.vocab import Actor

HEADER = "tx_id,event_time,sender,receiver,amount,currency,label\n"
RULE = """
[[rule]]
id = "large-and-late"
version = 1
title = "Large"
description = "A large payment."
source = "the bank's own"
typologies = ["layering"]
about = "sender"
window = ""
severity = 4
expression = "payment.amount >= $amount"
[rule.parameters.amount]
default = 500
unit = "money"
least = 1
most = 100000
meaning = "how large"
"""


def payments() -> str:
    """Twelve quiet days, and on each a payment of 100 to 1,200; those of 700 and more are laundering."""
    lines = []
    for day in range(1, 13):
        amount = day * 100
        lines.append(f"t{day},2024-01-{day:02d}T10:00:00Z,A{day % 3},B,{amount}.00,USD,{int(amount >= 700)}\n")
    fans = [f"f{at},2024-01-20T0{at}:00:00Z,C{at},D,50.00,USD,0\n" for at in range(6)]
    return HEADER + "".join(lines + fans)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("bank")
    (folder / "payments.csv").write_text(payments())
    settings = Settings(store=folder / "store", threads=1, sort_memory_mb=128, features="payments-v1")
    ingest(Actor(), settings, IngestRequest((folder / "payments.csv",)))
    return settings


@pytest.fixture
def project(bank: Settings, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("GREYWATER_FEATURES", "payments-v1")
    monkeypatch.setenv("GREYWATER_THREADS", "1")
    return ["--store", str(bank.store)]


def test_list_and_show(greywater: Callable[..., Any]) -> None:
    listed = greywater("rules", "list", "--json", "-")
    assert listed.code == 0
    rules = json.loads(listed.out)
    assert len(rules) >= 30
    shown = greywater("rules", "list")
    assert all(rule["id"] in shown.out for rule in rules)
    one = greywater("rules", "show", "structuring-by-one-sender")
    assert one.code == 0
    assert "sender.out.count.2d[amount 8500..9999.99]" in one.out
    assert "31 CFR" in one.out
    told = json.loads(greywater("rules", "show", "fan-in", "--json", "-").out)
    assert told["columns"] == ["receiver.in.counterparties.1d"]
    missing = greywater("rules", "show", "fan-inn")
    assert missing.code == 2
    assert "perhaps fan-in" in missing.err


def test_a_rule_file_that_is_wrong_is_refused_with_its_place(greywater: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "bank.toml"
    path.write_text(RULE)
    good = greywater("rules", "test", "--rules", path)
    assert good.code == 0
    assert "nothing is wrong" in good.out
    path.write_text(RULE.replace("payment.amount", "payment.amuont"))
    bad = greywater("rules", "test", "--rules", path)
    assert bad.code == 2
    assert "line 12, column 15" in bad.err
    assert "payment.amount" in bad.err
    path.write_text("[[rule]")
    broken = greywater("rules", "list", "--rules", path)
    assert broken.code == 3
    assert "line 1" in broken.err


def test_test_says_what_is_evaluated_on_a_project(greywater: Callable[..., Any], project: list[str]) -> None:
    told = json.loads(greywater("rules", "test", *project, "--json", "-").out)
    assert "fan-in" in told["active"]
    assert "temporal_cycle.shortest.7d" in told["off"]["temporal-ring"]
    assert told["features"].startswith("payments-v1")


def test_back_test(greywater: Callable[..., Any], project: list[str], tmp_path: Path) -> None:
    path = tmp_path / "bank.toml"
    path.write_text(RULE)
    done = greywater("rules", "backtest", "large-and-late", "fan-in", "--rules", path, *project, "--json", "-")
    assert done.code == 0
    told = json.loads(done.out)
    by_rule = {one["rule"]: one for one in told["rules"]}
    large = by_rule["large-and-late"]
    assert (large["hits"], large["laundering"]) == (8, 6)
    assert (large["precision"], large["recall"]) == (0.75, 1.0)
    assert by_rule["fan-in"]["hits"] == 2
    assert told["laundering"] == 6
    shown = greywater("rules", "backtest", "large-and-late", "--rules", path, "--from", "2024-01-08", *project)
    assert "75.00%" not in shown.out
    assert "100.00%" in shown.out
    assert greywater("rules", "backtest", "--from", "soon", *project).code == 2


def test_settings_of_the_project_count(bank: Settings) -> None:
    folder = bank.project_folder / "rules"
    folder.mkdir()
    try:
        (folder / "own.toml").write_text(RULE)
        (folder / "settings.toml").write_text(
            '[rules.large-and-late]\nstate = "shadow"\nparameters = { amount = 1100 }\n'
        )
        rule = project_rules(bank).rule("large-and-late")
        assert (rule.state, rule.parameters[0].value) == ("shadow", 1100)
        found = run_back_test(Actor(), bank, BackTestRequest(rules=("large-and-late",)))
        assert [(one.state, one.hits) for one in found.rules] == [("shadow", 2)]
        assert found.together.hits == 0
        over = folder.parent / "over.toml"
        over.write_text("[rules.large-and-late.parameters]\namount = 900\n")
        again = project_rules(bank, RulePlace(settings=over)).rule("large-and-late")
        assert (again.state, again.parameters[0].value) == ("shadow", 900)
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def test_tune_recommends_and_writes_the_change_record(
    greywater: Callable[..., Any], project: list[str], bank: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "bank.toml"
    path.write_text(RULE.replace("default = 500", "default = 1000"))
    words = (
        "rules",
        "tune",
        "large-and-late",
        "amount",
        "--from",
        "400",
        "--to",
        "1000",
        "--steps",
        "4",
        "--rules",
        path,
    )
    done = greywater(*words, "--worth", "0.2", *project, "--json", "-")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["current"], told["recommended"]) == (1000, 800.0)
    assert [(band["value"], band["side"], band["payments"]) for band in told["bands"]] == [
        (1000, "above", 3), (800.0, "below", 2), (600.0, "below", 2), (400.0, "below", 2),
    ]  # fmt: skip
    assert told["samples"]["800.0"] == ["t8", "t9"]
    record = Path(told["record"])
    assert record.parent == bank.project_folder / "rules" / "changes"
    text = record.read_text()
    assert "DEFAULT__LOCAL" in text
    assert "amount = 800.0" in text
    saved = json.loads(record.with_suffix(".json").read_text())
    assert saved["recommended"] == 800.0
    assert saved["samples"] == told["samples"]
    shown = greywater(*words, *project)
    assert "Change record: rule large-and-late" in shown.out
    assert "change record:" in shown.err


def test_tune_by_what_reviewers_said(bank: Settings, tmp_path: Path) -> None:
    rules, said = tmp_path / "bank.toml", tmp_path / "said.csv"
    rules.write_text(RULE)
    said.write_text("tx_id,label\nt3,1\nt4,1\nt6,0\nunknown,1\n")
    request = TuneRequest("large-and-late", "amount", "300", "600", 4, worth=0.2, outcomes=said, place=RulePlace(rules))
    tuned = tune_rule(Actor(), bank, request).tuned
    judged = {band.value: (band.judged, band.laundering) for band in tuned.bands}
    assert judged == {600.0: (1, 0), 500: (0, 0), 400.0: (1, 1), 300.0: (1, 1)}
    said.write_bytes(b"\xef\xbb\xbf" + said.read_bytes())  # as spreadsheets write it
    assert tune_rule(Actor(), bank, request).tuned.bands == tuned.bands
    said.write_text("tx_id,label\nt3,maybe\n")
    with pytest.raises(FormatError, match="line 2"):
        tune_rule(Actor(), bank, request)
    said.write_text("id\n1\n")
    with pytest.raises(FormatError, match="tx_id and label"):
        tune_rule(Actor(), bank, request)


@pytest.mark.parametrize(
    ("rule", "parameter", "low", "said"),
    [
        ("large-and-late", "size", "1", "it has amount"),
        ("large-and-late", "amount", "little", "no number"),
        ("nothing", "amount", "1", "no rule"),
        ("temporal-ring", "share", "0", "cannot be evaluated"),
    ],
)
def test_what_cannot_be_tuned(bank: Settings, tmp_path: Path, rule: str, parameter: str, low: str, said: str) -> None:
    path = tmp_path / "bank.toml"
    path.write_text(RULE)
    with pytest.raises(UsageError, match=said):
        tune_rule(
            Actor(), bank, TuneRequest(rule, parameter, low, "0.9" if low == "0" else "99", place=RulePlace(path))
        )


def test_a_back_test_of_no_time_is_refused(bank: Settings) -> None:
    with pytest.raises(UsageError, match="the stretch of time is empty"):
        run_back_test(Actor(), bank, BackTestRequest(begin=datetime(2024, 2, 1), end=datetime(2024, 1, 1)))


def test_who_may(bank: Settings) -> None:
    with pytest.raises(AccessDeniedError):
        run_back_test(Actor(role="investigator"), bank, BackTestRequest())
    with pytest.raises(AccessDeniedError):
        tune_rule(Actor(role="auditor"), bank, TuneRequest("fan-in", "senders", "3", "9"))
