"""What one run of a project puts to sleep, and what wakes it in the next."""

from __future__ import annotations

from pathlib import Path

import pytest

import greywater as gw
from greywater.app.keeping import read_run
from greywater.app.results import run_in_json, run_report
from greywater.app.run import RunOutcome
from greywater.config import Settings


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunOutcome, Path]:
    folder = tmp_path_factory.mktemp("waking")
    gw.make_world(folder / "world", accounts=300, payments=6_000, days=40, seed=3)
    sides = {name: folder / "world" / f"{name}.csv" for name in ("labels", "accounts")}
    return run(folder, paths=(folder / "world" / "payments.csv",), **sides), folder


def run(folder: Path, paths: tuple[Path, ...] = (), **sides: Path) -> RunOutcome:
    settings = Settings(threads=1, recall_floor=0.3, quality_sample=0.2)
    return gw.run(*paths, store=folder / "store", settings=settings, budget="60", **sides)  # type: ignore[arg-type]


def test_a_new_launderer_wakes_who_sleeps(first: tuple[RunOutcome, Path]) -> None:
    outcome, folder = first
    asleep = outcome.queue.at("hibernated", "sampled")
    assert asleep
    assert outcome.woken == ()
    kept = read_run(folder / "store" / "projects" / "default", outcome.run_id).facts["sleepers"]
    assert [each["id"] for each in kept] == [case.id for case in asleep]

    again = run(folder)
    assert again.woken == ()

    account = again.queue.at("hibernated", "sampled")[0].accounts[0]
    seeds = folder / "seeds.csv"
    seeds.write_text(f"account,reason,known_since\n{account},report,2031-01-01\n")
    later = run(folder, seeds=seeds)
    woken = {each.id: each.words for each in later.woken}
    sleeper = next(case for case in again.queue.at("hibernated", "sampled") if account in case.accounts)
    assert woken[sleeper.id] == f"{account} is a confirmed launderer now"
    assert {"case": sleeper.id, "why": woken[sleeper.id]} in run_in_json(later)["queue"]["woken"]
    assert any(sleeper.id in note for note in run_report(later).notes)
