"""`greywater models`: kept models from candidate to champion and back, and what scores then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import greywater as gw
from tests.cli.conftest import Said


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    gw.make_world(folder, accounts=300, payments=1_500, days=30, seed=3)
    return folder


@pytest.fixture
def recorded(greywater: Callable[..., Said], world: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    monkeypatch.setenv("GREYWATER_FEATURES", "payments-v1")
    monkeypatch.setenv("GREYWATER_THREADS", "1")
    assert greywater("ingest", world / "payments.csv", "--labels", world / "labels.csv").code == 0
    return greywater


def told(said: Said) -> Any:
    assert said.code == 0, said.err
    return json.loads(said.out)


def trained(greywater: Callable[..., Said], detector: str) -> str:
    return str(told(greywater("train", "--detector", detector, "--json", "-"))["model"])


def test_from_candidate_to_champion_and_back(recorded: Callable[..., Said], tmp_path: Path) -> None:
    first, second = trained(recorded, "isolation"), trained(recorded, "pca")
    listed = told(recorded("models", "list", "--json", "-"))
    assert [(one["model"], one["state"]) for one in listed["models"]] == [(first, "candidate"), (second, "candidate")]
    evidence = listed["models"][0]["steps"][0]["evidence"]
    assert evidence["measures"]["average_precision"] is not None
    assert evidence["learned"]["tuned"]["to"] <= evidence["slice"]["from"]
    assert evidence["slice"]["laundering"] > 0

    scored = told(recorded("score", "--json", "-"))
    assert (scored["model"], scored["shadows"]) == (second, [])
    assert "no champion" in scored["why"]

    said = recorded("models", "promote", first, "--why", "the first that was tried")
    assert (said.code, "candidate -> champion" in said.out) == (0, True)
    assert recorded("models", "shadow", second).code == 0
    scores = tmp_path / "scores.parquet"
    scored = told(recorded("score", "--out", scores, "--json", "-"))
    assert (scored["model"], scored["why"]) == (first, "it is the champion")
    assert scored["shadows"][0]["model"] == second
    table = pq.read_table(scores)
    flagged = table[f"shadow.{second}.flagged"].to_numpy()
    assert scored["shadows"][0]["flagged"] == int(flagged.sum())
    assert scored["shadows"][0]["flagged_by_both"] == int((flagged & table["flagged"].to_numpy()).sum())
    alone = told(recorded("score", "--model", second, "--out", tmp_path / "alone.parquet", "--json", "-"))
    assert (alone["why"], alone["shadows"]) == ("it was asked for", [])
    beside = table[f"shadow.{second}.score"].to_pylist()
    assert pq.read_table(tmp_path / "alone.parquet")["score"].to_pylist() == beside

    assert recorded("models", "promote", second, "--why", "finds more").code == 0
    shown = told(recorded("models", "show", "--json", "-"))
    assert (shown["model"], shown["state"]) == (second, "champion")
    assert [step["step"] for step in shown["steps"]] == ["register", "shadow", "promote"]
    assert shown["steps"][-1]["against"] == first
    said = recorded("models", "restore")
    assert (said.code, f"{first}: retired -> champion" in said.out) == (0, True)
    said = recorded("score", "--last", "10")
    assert f"Scored by {first}: it is the champion." in said.out
    assert "would put" not in recorded("models", "list").out

    said = recorded("models", "restore")
    assert (said.code, "no model was champion before" in said.err) == (6, True)
    said = recorded("models", "retire", first)
    assert (said.code, "nobody said why" in said.err) == (6, True)
    assert recorded("models", "retire", first, "--why", "done").code == 0
    said = recorded("score")
    assert (said.code, "no model was kept" in said.err) == (6, True)
    said = recorded("models", "show", second)
    assert "finds more" in said.out


def test_models_kept_before_there_was_a_registry_are_taken_in(recorded: Callable[..., Said], tmp_path: Path) -> None:
    model = trained(recorded, "isolation")
    home = tmp_path / "greywater-store" / "projects" / "default" / "models"
    shutil.copytree(home / model, home / "20200101T000000-00000000")
    old = told(recorded("models", "list", "--json", "-"))["models"][0]
    assert (old["model"], old["state"], old["registered_at"]) == ("20200101T000000-00000000", "candidate", None)
    assert "not registered" in recorded("models", "list").out
    assert recorded("models", "promote", old["model"], "--why", "it served well").code == 0
    assert told(recorded("score", "--json", "-"))["model"] == old["model"]

    shadowed = recorded("models", "shadow", model)
    assert shadowed.code == 0, shadowed.err
    description = home / model / "detector.json"
    description.write_text(description.read_text().replace(" ", "  ", 1))
    scored = recorded("score", "--last", "5")
    assert scored.code == 0, scored.err
    assert f"Shadow {model}: not scored: model {model} is not what was registered" in scored.out
    said = recorded("models", "promote", model, "--why", "x")
    assert (said.code, "not what was registered" in said.err) == (6, True)
    shutil.rmtree(home / old["model"])
    assert "its folder is gone" in recorded("models", "list").out
    said = recorded("score")
    assert (said.code, "no model is named" in said.err) == (6, True)


def test_what_cannot_be_done_is_said(recorded: Callable[..., Said]) -> None:
    for words in (("show",), ("show", "x"), ("shadow", "x"), ("promote", "x", "--why", "y"), ("restore",)):
        said = recorded("models", *words)
        assert said.code == 6, words
        assert "to mend" in said.err
    said = recorded("models", "decline", 3)
    assert (said.code, "nobody said why" in said.err) == (2, True)
    said = recorded("models", "decline", 3, "--why", "no")
    assert (said.code, "there is no proposal '3'" in said.err) == (4, True)
    assert "greywater models restore" in recorded("models", "--help").out


def test_a_model_goes_out_as_onnx_and_comes_back(recorded: Callable[..., Said], tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="pip install 'greywater[onnx]'")
    pytest.importorskip("onnxruntime", reason="pip install 'greywater[onnx]'")
    model, file = trained(recorded, "boosted"), tmp_path / "trees.onnx"
    written = told(recorded("models", "export", model, "--onnx", file, "--json", "-"))
    assert (written["model"], written["largest"], written["flipped"]) == (model, 0.0, 0)
    added = told(recorded("models", "add", file, "--name", "vendor-7", "--json", "-"))
    assert (added["model"], added["sha256"]) == ("vendor-7", written["sha256"])
    assert added["columns"] == written["columns"]
    assert "may have seen" in added["notes"][0]
    assert added["evidence"]["learned"]["seen_until"] is None
    mine = told(recorded("models", "show", model, "--json", "-"))["steps"][0]["evidence"]
    assert added["evidence"]["measures"]["average_precision"] == mine["measures"]["average_precision"]

    assert told(recorded("score", "--json", "-"))["model"] == model  # what was brought is not the newest
    assert recorded("models", "promote", model, "--why", "first").code == 0
    assert recorded("models", "shadow", "vendor-7").code == 0
    scored = recorded("score", "--out", tmp_path / "scores.parquet")
    assert scored.code == 0, scored.err
    table = pq.read_table(tmp_path / "scores.parquet")
    assert table["shadow.vendor-7.score"].to_pylist() == table["score"].to_pylist()
    assert recorded("models", "promote", "vendor-7", "--why", "ours is on leave").code == 0
    assert told(recorded("score", "--json", "-"))["kind"] == "onnx"

    said = recorded("models", "add", file, "--name", "vendor-7")
    assert (said.code, "kept already" in said.err) == (2, True)
    said = recorded("models", "add", file, "--name", "..")
    assert (said.code, "cannot be the name" in said.err) == (2, True)
    said = recorded("models", "add", file, "--name", "x", "--columns", "a,b")
    assert (said.code, "columns, and 2 are named" in said.err) == (6, True)
    said = recorded("models", "add", file, "--name", "x", "--trained-until", "soon")
    assert (said.code, "is no date" in said.err) == (2, True)
    said = recorded("models", "export", model)
    assert (said.code, "no file is named" in said.err) == (2, True)
    said = recorded("models", "add", tmp_path / "none.onnx")
    assert (said.code, "there is no such file" in said.err) == (2, True)
    dated = told(recorded("models", "add", file, "--name", "dated", "--trained-until", "2024-01-28", "--json", "-"))
    assert dated["notes"] == []
    assert dated["evidence"]["slice"]["from"] > "2024-01-28T23:59"


def test_a_model_is_fitted_anew_and_proposed(recorded: Callable[..., Said], tmp_path: Path) -> None:
    first = trained(recorded, "isolation")
    assert recorded("models", "promote", first, "--why", "first").code == 0
    said = recorded("retrain", "--detector", "boosted", "--json", tmp_path / "retrained.json")
    assert said.code == 0, said.err
    done = json.loads((tmp_path / "retrained.json").read_text())
    number = done["proposal"]["id"]
    assert f"--proposal {number}; decline: greywater models decline {number}" in said.out
    assert "the last 20 % are held out" in said.out
    assert (done["promoted"], done["proposal"]["against"]) == (False, first)
    assert f"{number}, " in recorded("models", "list").out
    assert recorded("models", "decline", number, "--why", "too few").code == 0
    assert "(declined: too few)" in recorded("models", "show", done["model"]).out
    said = recorded("models", "propose", done["model"])
    assert (said.code, f"Proposal {number + 1} to promote {done['model']}" in said.out) == (0, True)
    assert recorded("models", "promote", done["model"], "--proposal", number + 1).code == 0
    assert told(recorded("models", "list", "--json", "-"))["previous"] == first
