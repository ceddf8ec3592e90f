"""`greywater tune`: a study over a project, resumed, shared, killed; what it found is used by `greywater train`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import greywater as gw
from greywater.app import tuning as use_case
from greywater.app.ingest import IngestRequest, Silent, ingest
from greywater.app.joining import project_features
from greywater.app.replaying import replay_project
from greywater.app.training import TrainRequest, train
from greywater.app.trial_slices import facts_of, keep_slices, read_slices
from greywater.app.tuned import Tuned, read_tuned, tuned_names, write_tuned
from greywater.app.tuning import TuneRequest, tune
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.detectors.search_space import Number, SearchSpace, Whole
from greywater.detectors.tuning import StudyPlan
from greywater.errors import AccessDeniedError, DetectorError, EmptyInputError, StoreDamagedError, UsageError
from greywater.vocab import Actor

pytest.importorskip("optuna", reason="trials are made by optuna")


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("bank")
    gw.make_world(folder / "world", accounts=300, payments=2_500, days=40, seed=3)
    settings = Settings(store=folder / "store", features="payments-v1", detector="boosted", threads=1)
    files = (str(folder / "world" / "payments.csv"),)
    ingest(Actor(), settings, IngestRequest(files, labels=folder / "world" / "labels.csv"))
    return settings


@pytest.fixture(scope="module")
def small_space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trees that are grown in moments."""
    path = tmp_path_factory.mktemp("space") / "space.json"
    dimensions = {
        "rounds": {"kind": "choice", "values": [60]},
        "learning_rate": {"kind": "number", "low": 0.02, "high": 0.3, "log": True},
        "num_leaves": {"kind": "whole", "low": 3, "high": 15},
    }
    path.write_text(json.dumps({"detector": "boosted", "first_rung": 10, "dimensions": dimensions}))
    return path


def last_audit(settings: Settings) -> dict[str, Any]:
    with open_project(settings, Actor()) as project:
        entry = project.records.audits()[-1]
        return {"action": entry.action, "object": entry.object, "outcome": entry.outcome, **entry.detail}


def test_a_study_is_made_goes_on_and_is_used(bank: Settings, small_space: Path) -> None:
    found = tune(Actor(), bank, TuneRequest("first", 3, workers=2, space=small_space))
    assert found.tally.ended == found.tuned.trials == 3
    assert found.workers == 2
    assert last_audit(bank)["object"] == "study first"
    assert last_audit(bank)["trials"] == 3
    best = max((each for each in found.trials if each.state == "complete"), key=lambda each: each.score or 0)
    assert (found.tuned.score, found.tuned.trial) == (best.score, best.number)
    assert not list((bank.project_folder / "features").iterdir())

    more = tune(Actor(), bank, TuneRequest("first", 5, space=small_space, sampler="random", pruner="none"))
    assert more.tally.ended == 5
    assert more.tuned.score >= found.tuned.score
    assert len({each.worker for each in more.trials}) >= 2
    assert len({json.dumps(each.parameters) for each in more.trials}) == 5
    assert read_tuned(bank.project_folder, "first") == more.tuned
    assert tuned_names(bank.project_folder) == ["first"]
    assert json.loads(more.kept.read_text())["parameters"] == more.tuned.parameters

    trained = train(Actor(), bank.with_(detector="pca"), TrainRequest(tuned="first"))
    assert trained.fitted.kind == "boosted"
    parameters = trained.fitted.detector.card["parameters"]
    assert {name: parameters[name] for name in more.tuned.parameters} == more.tuned.parameters
    assert trained.fitted.detector.card["tuned"]["trial"] == more.tuned.trial
    assert trained.fitted.detector.card["measures"]["average_precision"] == pytest.approx(more.tuned.score)


def test_trials_see_two_slices_in_order_of_time_and_never_the_last(bank: Settings, tmp_path: Path) -> None:
    with open_project(bank, Actor()) as project:
        made = replay_project(project, project_features(project), tmp_path, Silent())
    split = keep_slices(made, tmp_path)
    slices = read_slices(tmp_path)
    learned, judged = slices.X, slices.validation.X
    assert (learned.rows, learned.rows + judged.rows) == (split.train, split.validation)
    assert learned.seq[-1] < judged.seq[0]
    assert judged.seq[-1] < made.blocks.seq[split.alerting]
    assert len(slices.y) == len(slices.time_us) == learned.rows
    assert len(slices.validation.y) == judged.rows
    with np.load(tmp_path / "slices.npz") as held:
        assert max(len(held[name]) for name in held) == split.validation < made.rows
    facts = facts_of(made, split, 3_000)
    truth = replace(made.truth, y=np.roll(made.truth.y, 1))
    assert {name for name in facts if facts[name] != facts_of(replace(made, truth=truth), split, 3_001)[name]} == {
        "data",
        "labels",
    }


def test_tuned_trees_need_not_the_setting(bank: Settings) -> None:
    with pytest.raises(DetectorError, match="no study named 'nothing'"):
        train(Actor(), bank, TrainRequest(tuned="nothing"))
    with pytest.raises(UsageError, match="cannot be the name"):
        train(Actor(), bank, TrainRequest(tuned="../elsewhere"))


def test_what_was_tuned_and_then_changed_by_hand_is_refused(bank: Settings, tmp_path: Path) -> None:
    space = SearchSpace("boosted", {"num_leaves": Whole(3, 15)})
    kept = write_tuned(tmp_path, Tuned("changed", "boosted", {"num_leaves": 7}, 0.5, None, 2, 3, space))
    assert read_tuned(tmp_path, "changed").parameters == {"num_leaves": 7}
    document = json.loads(kept.read_text())
    for parameters in ({"num_leaves": 500}, {}, {"__class__": 1}):
        kept.write_text(json.dumps({**document, "parameters": parameters}))
        with pytest.raises(StoreDamagedError, match="cannot be read"):
            read_tuned(tmp_path, "changed")
    kept.write_text("{")
    with pytest.raises(StoreDamagedError, match="cannot be read"):
        read_tuned(tmp_path, "changed")


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"trials": 0}, "--trials"),
        ({"minutes": -1.0}, "--minutes"),
        ({"money": 5.0}, "needs a price"),
        ({"per_hour": 5.0}, "needs a price"),
        ({"name": "a/b"}, "name of a study"),
        ({"sampler": "genius", "trials": 1}, "no sampler"),
        ({"pruner": "shears", "trials": 1}, "no pruner"),
        ({"shared": "mysql://a/b", "trials": 1}, "no such database"),
    ],
)
def test_what_makes_no_sense_is_refused(bank: Settings, request_: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        tune(Actor(), bank, TuneRequest(**request_))


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "\udcff",
        '{"detector": "pca", "dimensions": {"share": {"kind": "number", "low": 0.1, "high": 0.5}}}',
        '{"detector": "boosted", "dimensions": {"depth": {"kind": "number", "low": 0.1, "high": 0.5}}}',
    ],
)
def test_a_space_of_ones_own_must_fit(bank: Settings, tmp_path: Path, document: str) -> None:
    path = tmp_path / "space.json"
    path.write_text(document, errors="surrogateescape")
    with pytest.raises(UsageError):
        tune(Actor(), bank, TuneRequest("own", 1, space=path))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"sampler": "genius"}, "no sampler"),
        ({"pruner": "shears"}, "no pruner"),
        ({"shared": "mysql://a/b"}, "no such database"),
        ({"sampler": "bruteforce"}, "not every value"),
    ],
)
def test_it_is_refused_before_features_are_worked_out(
    bank: Settings, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any], says: str
) -> None:
    monkeypatch.delattr(use_case, "replay_project")
    with pytest.raises(UsageError, match=says):
        tune(Actor(), bank, TuneRequest(trials=1, **asked))


def test_a_project_without_labels_is_refused_before_features_are_worked_out(
    bank: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(use_case, "replay_project")
    unlabelled = bank.with_(store=tmp_path / "unlabelled")
    ingest(Actor(), unlabelled, IngestRequest((str(bank.store.parent / "world" / "payments.csv"),)))
    with pytest.raises(EmptyInputError, match="no labels"):
        tune(Actor(), unlabelled, TuneRequest(trials=1))


def test_who_may_not_train_may_not_tune(bank: Settings) -> None:
    with pytest.raises(AccessDeniedError):
        tune(Actor(role="auditor"), bank, TuneRequest("mine", 1))
    assert last_audit(bank)["outcome"] == "refused"


def test_without_labels_there_is_nothing_to_judge_by(bank: Settings, tmp_path: Path) -> None:
    with open_project(bank, Actor()) as project:
        made = replay_project(project, project_features(project), tmp_path, Silent())
    with pytest.raises(EmptyInputError, match="no labels"):
        keep_slices(replace(made, truth=None), tmp_path)
    honest = replace(made, truth=replace(made.truth, y=np.zeros_like(made.truth.y)))
    with pytest.raises(EmptyInputError, match="0 are laundering"):
        keep_slices(honest, tmp_path)


def test_money_ends_a_study_and_is_counted_over_sessions(bank: Settings, small_space: Path) -> None:
    found = tune(Actor(), bank, TuneRequest("dear", 1, money=1e6, per_hour=3_600.0, space=small_space))
    assert found.tally.complete == 1
    assert found.spent is not None
    assert found.spent == pytest.approx(found.seconds, rel=0.5)
    again = tune(Actor(), bank, TuneRequest("dear", money=found.spent / 2, per_hour=3_600.0, space=small_space))
    assert again.tally.ended == 1
    assert again.spent is not None
    assert again.spent > found.spent


def test_devices_are_those_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5")
    assert use_case._devices() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert use_case._devices() == []


def test_each_worker_has_a_device_of_its_own(bank: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    plan = StudyPlan("devices", tmp_path, SearchSpace("adversarial", {"noise": Number(0, 1)}), trials=1)
    settings = bank.with_(detector="adversarial", threads=6)
    asked = (None, 3)
    sessions = [
        use_case._Session(plan, settings, TuneRequest(workers=workers), tmp_path, "run", Silent()) for workers in asked
    ]
    given = [[each._task(number, Actor(), {}) for number in range(each._workers)] for each in sessions]
    assert [[task.environment["CUDA_VISIBLE_DEVICES"] for task in tasks] for tasks in given] == [
        ["2", "5"],
        ["2", "5", "2"],
    ]
    assert [tasks[0].settings.threads for tasks in given] == [3, 2]
    assert [task.plan.seed - settings.seed for task in given[1]] == [0, 1, 2]


@pytest.fixture
def command(bank: Settings, small_space: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `greywater tune` in processes of its own, and ends at last what a test left of them."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str, trials: int, *more: str) -> subprocess.Popen[str]:
        words = ["tune", "--name", name, "--trials", str(trials), "--store", str(bank.store), "--json", "-",
                 "--pruner", "none", "--space", str(small_space), *more]  # fmt: skip
        environment = {
            **os.environ, "GREYWATER_FEATURES": bank.features, "GREYWATER_DETECTOR": "boosted", "GREYWATER_THREADS": "1"
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "greywater", *words], stdout=subprocess.PIPE, text=True, env=environment,
            start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def children(process: subprocess.Popen[str]) -> set[int]:
    """The workers of a command."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    lines = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in found}
    return {pid for pid, line in lines.items() if b"spawn_main" in line}


def wait_for(what: Callable[[], Any], seconds: float = 300) -> Any:
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)
    return found


@pytest.mark.slow
def test_killed_at_once_a_study_goes_on_where_it_stood(
    bank: Settings, command: Callable[..., subprocess.Popen[str]]
) -> None:
    first = command("killed", 40)
    journal = bank.project_folder / "studies" / "killed" / "journal.log"
    wait_for(lambda: journal.is_file() and b'"steps"' in journal.read_bytes())
    (worker,) = wait_for(lambda: children(first))
    first.kill()
    first.wait()
    wait_for(lambda: not Path(f"/proc/{worker}").exists())  # nobody started it any more
    ended = journal.read_bytes().count(b'"steps"')
    again = command("killed", ended + 2, "--workers", "2")
    said, _ = again.communicate(timeout=300)
    assert again.returncode == 0
    found = json.loads(said)
    assert found["trials"] == ended + 2
    assert found["tally"]["running"] == found["tally"]["waiting"] == 0
    assert not list((bank.project_folder / "features").iterdir())


@pytest.mark.slow
def test_a_killed_worker_leaves_its_trial_to_the_others(
    bank: Settings, command: Callable[..., subprocess.Popen[str]]
) -> None:
    study = command("worker", 4, "--workers", "2")
    journal = bank.project_folder / "studies" / "worker" / "journal.log"
    wait_for(lambda: journal.is_file() and b'"worker"' in journal.read_bytes())
    os.kill(min(wait_for(lambda: children(study))), signal.SIGKILL)
    said, _ = study.communicate(timeout=300)
    assert study.returncode == 0
    found = json.loads(said)
    assert found["trials"] == 4
    assert found["tally"]["running"] == found["tally"]["waiting"] == 0


@pytest.mark.slow
def test_two_commands_share_one_study_in_postgres(
    command: Callable[..., subprocess.Popen[str]], new_postgres: Callable[[], str]
) -> None:
    url = new_postgres()
    both = [command("shared", 5, "--study", url, "--heartbeat", "1") for _ in range(2)]
    doomed, other = both
    tuning = wait_for(lambda: _opened(url))
    wait_for(lambda: tuning.tally().running)
    os.killpg(doomed.pid, signal.SIGKILL)
    said, _ = other.communicate(timeout=300)
    assert other.returncode == 0
    found = json.loads(said)
    assert found["trials"] == 5
    assert found["tally"]["running"] == found["tally"]["waiting"] == 0
    assert not {"secret", url} & set(said.split('"'))


def _opened(url: str) -> Any:
    import optuna

    storage = optuna.storages.RDBStorage(url)
    names = [each.study_name for each in optuna.get_all_study_summaries(storage)]
    if "shared" not in names:
        return None
    study = optuna.load_study(study_name="shared", storage=storage)

    class Looked:
        def tally(self) -> Any:
            states = [each.state.name for each in study.get_trials(deepcopy=False)]
            return type("Counted", (), {"running": states.count("RUNNING")})

    return Looked()
