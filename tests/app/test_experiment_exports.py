"""Fits handed to TensorBoard and to MLflow are there as they were written down, and once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from greywater.app.experiment_log import open_fit_run
from greywater.app.mlflow_export import MLFLOW_RUN_TAG, export_mlflow
from greywater.app.tensorboard_export import export_tensorboard
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.errors import ExtraMissingError, StoreError
from greywater.vocab import Actor
from tests.app.conftest import Desk


@pytest.fixture
def fits(desk: Desk) -> Iterator[tuple[Settings, str, str]]:
    """A study with one trial that ended and one that goes on."""
    desk.ingest(desk.file("a.csv", [("t1", "2024-01-01T00:00:00Z", "A", "B", "10.00", "USD")]))
    with open_project(desk.settings, Actor()) as project:
        with open_fit_run(project, "train", {"seed": 7}, tags=("wide",)) as study:
            study.metric("score", 0.5)
        with open_fit_run(project, "trial", {"rate": 0.1}, versions={"code": "c0"}, parent=study.run_id) as trial:
            for step in (1, 2, 3):
                trial.series("boosted")(step, {"score": step / 4, "loss": float("nan")})
            trial.artefact("notes/a.txt", "kept")
            trial.metrics({"recall": 0.25, "none": None})
        with open_fit_run(project, "trial", {}, versions={}, parent=study.run_id):
            yield desk.settings, study.run_id, trial.run_id


def test_tensorboard_reads_what_was_written_down(fits: tuple[Settings, str, str], tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    settings, study, trial = fits
    written = export_tensorboard(Actor(), settings, tmp_path / "events", [study, trial])
    assert [path.parent.name for path in written] == [study, trial]
    read = accumulator.EventAccumulator(str(written[1].parent)).Reload()
    assert set(read.Tags()["scalars"]) == {"boosted/score", "final/recall"}
    assert [(one.step, one.value) for one in read.Scalars("boosted/score")] == [(1, 0.25), (2, 0.5), (3, 0.75)]
    assert read.Scalars("final/recall")[0].step == 3
    assert b"| rate | 0.1 |" in read.Tensors("parameters")[0].tensor_proto.string_val[0]
    before = written[1].read_bytes()
    assert export_tensorboard(Actor(), settings, tmp_path / "events", [trial])[0].read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["file", "sqlite"])
def test_mlflow_has_each_fit_once(
    fits: tuple[Settings, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    tracking = pytest.importorskip("mlflow.tracking")
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_DISABLE_TELEMETRY", "MLFLOW_ALLOW_FILE_STORE"):
        monkeypatch.setenv(name, "true")
    settings, study, trial = fits
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}" if kind == "sqlite" else (tmp_path / "mlruns").as_uri()
    known = export_mlflow(Actor(), settings, uri)
    assert set(known) == {study, trial}
    assert export_mlflow(Actor(), settings, uri, [trial, study]) == known
    client = tracking.MlflowClient(tracking_uri=uri)
    (place,) = [one for one in client.search_experiments() if one.name == "greywater/default"]
    assert len(client.search_runs([place.experiment_id])) == 2
    run = client.get_run(known[trial])
    assert (run.info.status, run.data.params["rate"]) == ("FINISHED", "0.1")
    assert run.data.metrics == {"boosted/score": 0.75, "recall": 0.25}
    told = [(one.step, one.value) for one in client.get_metric_history(known[trial], "boosted/score")]
    assert sorted(told) == [(1, 0.25), (2, 0.5), (3, 0.75)]
    assert run.data.tags[MLFLOW_RUN_TAG] == trial
    assert run.data.tags["mlflow.parentRunId"] == known[study]
    assert run.data.tags["origin.code"] == "c0"
    assert client.get_run(known[study]).data.tags["tag.wide"] == "yes"
    (inner,) = client.list_artifacts(known[trial], "notes")
    assert Path(client.download_artifacts(known[trial], inner.path)).read_text() == "kept"


def test_what_mlflow_cannot_do_is_said(
    fits: tuple[Settings, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="MLflow"):
        export_mlflow(Actor(), fits[0], "nonsense://x")
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(ExtraMissingError, match=r"greywater\[mlflow\]"):
        export_mlflow(Actor(), fits[0], "sqlite:///x.db")
