"""`greywater evaluate` and `greywater explain` as a person uses them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import greywater as gw
from greywater.config import Settings
from tests.cli.conftest import Said


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("cli")
    gw.make_world(folder, accounts=300, payments=2_500, days=40, seed=3)
    settings = Settings(threads=1, features="payments-v1", windows=(86_400, 604_800), day_windows=())
    outcome = gw.run(
        folder / "payments.csv", labels=folder / "labels.csv", store=folder / "store", settings=settings, budget="3/day"
    )
    return folder / "store", outcome.alerts[0].id


def test_a_run_is_judged_and_both_documents_are_written(
    greywater: Callable[..., Said], store: tuple[Path, str], tmp_path: Path
) -> None:
    said = greywater(
        "evaluate", "--last", "--store", store[0], "--resamples", 20, "--card", "card.html", "--report", "report.md",
        "--json", "found.json",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "By the labels known now" in said.out
    assert "95 % interval" in said.out
    assert json.loads((tmp_path / "found.json").read_text())["resamples"] == 20
    assert (tmp_path / "card.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "report.md").read_text().startswith("# Validation report")


def test_detectors_are_shown_side_by_side(
    greywater: Callable[..., Said], store: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREYWATER_FEATURES", "payments-v1")
    asked = ("evaluate", "--last", "--store", store[0], "--resamples", 5)
    said = greywater(*asked, "--detectors", "ecod, pca", "--json", "found.json")
    assert said.code == 0, said.err
    assert "Detectors side by side" in said.out
    assert "right of 3/day" in said.out
    told = json.loads((tmp_path / "found.json").read_text())["detectors"]
    assert [each["detector"] for each in told["contenders"]] == ["ecod", "pca"]
    wrong = greywater(*asked, "--detectors", "guess")
    assert wrong.code == 2
    assert "give some of hybrid, boosted" in wrong.err


def test_an_alert_is_explained(greywater: Callable[..., Said], store: tuple[Path, str]) -> None:
    said = greywater("explain", store[1], "--store", store[0])
    assert said.code == 0, said.err
    for words in ("Why", "What would have changed it", "What pushed the score", "Evidence", "Versions: "):
        assert words in said.out
    told = json.loads(greywater("explain", store[1], "--store", store[0], "--json", "-").out)
    assert told["id"] == store[1]


def test_what_cannot_be_is_said(greywater: Callable[..., Said], store: tuple[Path, str]) -> None:
    assert greywater("evaluate", "x", "--last", "--store", store[0]).code == 2
    assert greywater("evaluate", "x", "--store", store[0]).code == 4
    assert greywater("explain", "nobody", "--store", store[0]).code == 2
    assert greywater("evaluate", "--store", "nowhere").code == 4
    assert greywater("evaluate", "--last", "--store", store[0], "--card", "no/such/card.html").code == 2
