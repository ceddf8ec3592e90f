"""`greywater train` and `greywater score`: words in, a kept model and scores out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

import greywater as gw
from tests.cli.conftest import Said


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    gw.make_world(folder, accounts=300, payments=2_500, days=40, seed=3)
    return folder


@pytest.fixture
def recorded(greywater: Callable[..., Said], world: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    monkeypatch.setenv("GREYWATER_FEATURES", "payments-v1")
    monkeypatch.setenv("GREYWATER_THREADS", "1")
    assert greywater("ingest", world / "payments.csv", "--labels", world / "labels.csv").code == 0
    return greywater


def test_a_model_is_kept_and_scores_what_is_recorded(recorded: Callable[..., Said], tmp_path: Path) -> None:
    said = recorded("train", "--json", "-")
    assert said.code == 0, said.err
    trained = json.loads(said.out)
    assert trained["detector"]["kind"] == "hybrid"
    assert {part["name"] for part in trained["card"]["scores"]} >= {"boosted", "isolation"}
    assert trained["card"]["test"]["average_precision"] == trained["test"]["average_precision"]
    assert trained["test"]["rows"] == trained["split"]["rows"] - trained["split"]["alerting"]
    folder = tmp_path / "greywater-store" / "projects" / "default"
    assert (folder / "models" / trained["model"] / "detector.json").is_file()
    assert not list((folder / "features").iterdir())

    said = recorded("score", "--out", tmp_path / "scores.parquet", "--json", tmp_path / "scores.json")
    assert said.code == 0, said.err
    assert trained["model"] in said.out
    scores = pq.read_table(tmp_path / "scores.parquet")
    assert scores.num_rows == trained["split"]["rows"]
    assert {"tx_id", "seq", "score", "probability", "flagged", "mandatory", "part.boosted"} <= set(scores.column_names)
    found = json.loads((tmp_path / "scores.json").read_text())
    assert found["payments"] == scores.num_rows
    assert [row["score"] for row in found["highest"]] == sorted(scores["score"].to_pylist(), reverse=True)[:100]

    said = recorded("score", "--last", "50", "--out", tmp_path / "last.csv")
    assert said.code == 0, said.err
    last = pa_csv.read_csv(tmp_path / "last.csv")
    assert last["score"].to_pylist() == pytest.approx(scores["score"].to_pylist()[-50:], abs=1e-12)

    said = recorded("train", "--whole", "--detector", "boosted")
    assert said.code == 0, said.err
    assert "boosted trees" in said.out
    assert "On the last 20 %" not in said.out


def test_what_cannot_be_done_is_said(recorded: Callable[..., Said]) -> None:
    said = recorded("score")
    assert (said.code, "no model was kept" in said.err) == (6, True)
    said = recorded("score", "--out", "scores.txt")
    assert (said.code, ".csv or .parquet" in said.err) == (2, True)
    said = recorded("train", "--detector", "luck")
    assert (said.code, "no detector is named" in said.err) == (2, True)
