"""A fit is written down while it goes on: given what, how it did step by step, how it ended, what it left."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

import greywater as gw
from greywater.app.experiment_log import ALIVE, FitLog, open_fit_run
from greywater.app.provenance import DataVersion, fit_settings, fit_versions
from greywater.app.training import TrainRequest, train
from greywater.app.wiring import Project, open_project
from greywater.config import Settings
from greywater.errors import DetectorError, StoreError, UsageError
from greywater.stores.run_log import RunLog
from greywater.vocab import Actor
from tests.app.conftest import Desk

HOUR = "2024-01-01T{:02}:00:00Z"


@pytest.fixture
def project(desk: Desk) -> Iterator[Project]:
    desk.ingest(desk.file("a.csv", [(f"t{n}", HOUR.format(n), "A", "B", "10.00", "USD", n % 2, "") for n in range(6)]))
    with open_project(desk.settings, Actor()) as opened:
        yield opened


def steps_of(project: Project, run_id: str) -> list[tuple[str, str, int, float | None]]:
    return [(one.series, one.name, one.step, one.value) for one in RunLog(project.records.database).steps([run_id])]


def test_a_fit_is_a_run_with_steps_measures_and_files(project: Project) -> None:
    study = project.records.start_run(Actor(), "tune")
    with open_fit_run(project, "trial", {"rate": 0.1}, parent=study, tags=("first", "first", "b")) as fit:
        assert fit.step(1, {"score": 0.5, "loss": math.nan})
        told = fit.series("boosted")
        assert told(1, {"score": 0.1})
        assert told(2, {"score": 0.2})
        assert told(1, {"score": 0.3})
        fit.metric("score", 0.5)
        fit.metrics({"at": {"f1": 0.25, "flag": True}, "words": "no", "none": None}, "test.")
        fit.metric("undefined", math.inf)
        fit.note(best=7)
        path = fit.artefact("notes/a.txt", "kept")
        assert project.records.run(fit.run_id).outcome is None
    run = project.records.run(fit.run_id)
    assert (run.command, run.parent, run.outcome) == ("trial", study, "done")
    assert run.parameters == {"rate": 0.1}
    assert run.summary == {"best": 7, "metrics": {"score": 0.5, "test.at.f1": 0.25, "undefined": None}}
    assert run.versions["data"] == DataVersion.of(project).to_json()
    assert {"code", "kernels", "greywater", "libraries", "rules"} <= set(run.versions)
    assert steps_of(project, fit.run_id) == [
        ("", "loss", 1, None), ("", "score", 1, 0.5), ("boosted", "score", 1, 0.1), ("boosted", "score", 2, 0.2),
        ("boosted 2", "score", 1, 0.3),
    ]  # fmt: skip
    (file,) = RunLog(project.records.database).artefacts([fit.run_id])
    assert (project.folder / file.path, file.bytes) == (path, 4)
    assert file.sha256 == hashlib.sha256(b"kept").hexdigest()
    assert RunLog(project.records.database).tags() == {fit.run_id: ("b", "first")}
    assert not (fit.folder / ALIVE).exists()


def test_how_a_fit_ended_is_said(project: Project) -> None:
    with open_fit_run(project, "trial", {}, versions={}) as ended_early:
        ended_early.stop()
    for raised, outcome in ((ValueError, "failed"), (KeyboardInterrupt, "stopped")):
        with pytest.raises(raised):
            _raise_inside(project, raised)
        run = project.records.runs()[-1]
        assert (run.outcome, run.summary) == (outcome, {"error": raised.__name__})
        assert steps_of(project, run.id) == [("", "score", 1, 0.5)]
        assert not (project.folder / "experiments" / run.id).exists()
    assert project.records.run(ended_early.run_id).outcome == "stopped"
    with pytest.raises(DetectorError), open_fit_run(project, "trial", {}, versions={}):
        raise DetectorError("the network collapsed", where="training")
    assert project.records.runs()[-1].summary == {"error": "DetectorError: the network collapsed"}


def _raise_inside(project: Project, raised: type[BaseException]) -> None:
    with open_fit_run(project, "trial", {}, versions={}) as fit:
        fit.step(1, {"score": 0.5})
        raise raised


def test_a_fit_whose_process_is_gone_is_written_down_as_failed_by_the_next(project: Project) -> None:
    gone = project.records.start_run(Actor(), "trial")
    (project.folder / "experiments" / gone).mkdir(parents=True)
    (project.folder / "experiments" / gone / ALIVE).touch()
    elsewhere = project.records.start_run(Actor(), "trial")
    with open_fit_run(project, "trial", {}, versions={}) as living, open_fit_run(project, "trial", {}, versions={}):
        ends = {run.id: run.outcome for run in project.records.runs()}
        assert (ends[gone], ends[elsewhere], ends[living.run_id]) == ("failed", None, None)


def test_what_cannot_be_written_down_is_refused(project: Project) -> None:
    log = RunLog(project.records.database)
    with open_fit_run(project, "trial", {}, versions={}) as fit:
        fit.artefact("a.txt", "1")
        with pytest.raises(StoreError, match="left a file of that name"):
            fit.artefact("a.txt", "2")
        for tag in ("", "a,b", "x" * 101, "a\nb"):
            with pytest.raises(UsageError, match="cannot be a tag"):
                log.tag(Actor(), fit.run_id, [tag])
    for unknown in (
        lambda: log.tag(Actor(), "nobody", ["a"]),
        lambda: FitLog(project, "nobody").artefact("a.txt", "1"),
        lambda: _told(FitLog(project, "nobody")),
    ):
        with pytest.raises(StoreError, match="no such run"):
            unknown()


def _told(log: FitLog) -> None:
    log.step(1, {"score": 1.0})
    log.flush()


def test_the_data_version_grows_with_what_is_recorded_and_leads_back(desk: Desk, project: Project) -> None:
    before = DataVersion.of(project)
    assert (before.payments, before.tables) == (6, {"labels": 6})
    desk.ingest(desk.file("b.csv", [(f"u{n}", HOUR.format(n + 6), "A", "C", "9.00", "USD", 1, "x") for n in range(3)]))
    with open_project(desk.settings, Actor()) as later:
        now = DataVersion.of(later)
        assert (now.payments, now.tables) == (9, {"labels": 9})
        assert now.fingerprint != before.fingerprint
        then = before.of_project(later)
        assert DataVersion.of(then) == before
        assert then.ledger.horizon == project.ledger.horizon
        labels = then.tables.read("labels")
        assert labels is not None
        assert labels.num_rows == sum(batch.num_rows for batch in then.tables.scan("labels")) == 6
        assert then.ledger.payments_of(["A"], ["tx_id"])["tx_id"].to_pylist() == [f"t{n}" for n in range(6)]
        assert then.tables.read("seeds") is None
        assert DataVersion.from_json(before.to_json()) == before
    with pytest.raises(StoreError, match="6 payments, not 9"):
        now.of_project(project)
    assert "store" not in fit_settings(project.settings)
    assert fit_versions(project)["data"]["payments"] == 6


def test_training_leaves_its_curves_and_the_hashes_of_its_model(tmp_path: Path) -> None:
    gw.make_world(tmp_path / "world", accounts=300, payments=2_500, days=40, seed=3)
    settings = Settings(store=tmp_path / "store", features="payments-v1", threads=1, detector="boosted")
    desk = Desk(tmp_path, settings)
    desk.ingest(tmp_path / "world" / "payments.csv", labels=tmp_path / "world" / "labels.csv")
    trained = train(Actor(), settings, TrainRequest(tags=("base",)))
    with open_project(settings, Actor()) as project:
        run = project.records.run(trained.model)
        log = RunLog(project.records.database)
        files = {file.name: file for file in log.artefacts([run.id])}
        assert run.outcome == "done"
        assert run.summary is not None
        assert run.parameters["whole"] is False
        assert run.parameters["detector"] == "boosted"
        assert run.summary["features"]["columns"] == len(trained.fitted.detector.names)
        assert run.summary["detector_parameters"]["num_leaves"] == 31
        assert trained.test is not None
        assert run.summary["metrics"]["average_precision"] == trained.test.average_precision
        assert run.summary["metrics"]["validation.rows"] == trained.split.validation - trained.split.train
        assert set(files) == {
            "curves.json", "precision_recall.svg", "scores.svg", "model/detector.json", "model/model.txt",
        }  # fmt: skip
        for file in files.values():
            assert hashlib.sha256((project.folder / file.path).read_bytes()).hexdigest() == file.sha256
        steps = log.steps([run.id])
        assert {(one.series, one.name) for one in steps} == {("boosted", "score")}
        assert len(steps) > 1
        assert log.tags() == {run.id: ("base",)}
