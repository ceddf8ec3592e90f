"""A pipeline as a DAG: a task a step, in order, with what the schedule says and without anything secret."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import venv
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, ClassVar, Self

import pytest

import greywater as gw
from greywater.app.airflow import airflow_dag, export_to_airflow
from greywater.app.ingest import IngestRequest, ingest
from greywater.app.pipeline_file import Pipeline, read_pipeline
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.errors import AccessDeniedError, UsageError
from greywater.vocab import Actor

ROOT = Path(__file__).resolve().parents[2]
TEXT = """
[pipeline]
name = "monthly"
store = "bank"
[schedule]
cron = "0 3 1 * *"
start = 2024-03-01
retries = 3
retry_minutes = 0.5
[settings]
features = "payments-v1"
[backfill]
features = ["payment.amount"]
[train]
detector = "boosted"
[evaluate]
resamples = 5
"""


def declared(folder: Path, text: str = TEXT) -> Pipeline:
    folder.mkdir(exist_ok=True)
    path = folder / "month of May.toml"
    path.write_text(text)
    return read_pipeline(path)


class Dag:
    """Takes what Airflow's DAG takes."""

    entered: ClassVar[list[Dag]] = []

    def __init__(self, **told: Any) -> None:
        self.told = told
        self.tasks: list[Task] = []

    def __enter__(self) -> Self:
        Dag.entered.append(self)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        pass


class Task:
    """Takes what Airflow's BashOperator takes."""

    def __init__(self, *, task_id: str, bash_command: str) -> None:
        self.id, self.command, self.after = task_id, bash_command, ""
        Dag.entered[-1].tasks.append(self)

    def __rshift__(self, later: Task) -> None:
        later.after = self.id


@pytest.mark.parametrize("release", [2, 3])
def test_the_file_makes_a_task_of_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: int) -> None:
    homes = {
        2: {"airflow": ("DAG",), "airflow.operators.bash": ("BashOperator",)},
        3: {"airflow.sdk": ("DAG",), "airflow.providers.standard.operators.bash": ("BashOperator",)},
    }
    for name in ("airflow", "airflow.sdk", "airflow.operators", "airflow.providers", "airflow.providers.standard"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "airflow.providers.standard.operators", ModuleType("operators"))
    for home, names in homes[release].items():
        module = sys.modules.get(home) or ModuleType(home)
        for name in names:
            setattr(module, name, Dag if name == "DAG" else Task)
        monkeypatch.setitem(sys.modules, home, module)
    path = tmp_path / "dag.py"
    path.write_text(airflow_dag(declared(tmp_path), ["--store", "/the bank"]))
    dag = runpy.run_path(str(path))["dag"]
    assert dag.told["dag_id"] == "greywater_monthly"
    assert (dag.told["schedule"], dag.told["start_date"].isoformat()) == ("0 3 1 * *", "2024-03-01T00:00:00+00:00")
    assert dag.told["default_args"]["retries"] == 3
    assert dag.told["default_args"]["retry_delay"].total_seconds() == 30
    assert (dag.told["max_active_runs"], dag.told["catchup"]) == (1, False)
    assert [(task.id, task.after) for task in dag.tasks] == [
        ("backfill", ""), ("train", "backfill"), ("evaluate", "train")
    ]  # fmt: skip
    wanted = f"greywater pipeline run '{tmp_path}/month of May.toml' --only train --store '/the bank'"
    assert dag.tasks[1].command == wanted


def test_no_secret_and_no_setting_of_the_environment_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREYWATER_RECORDS", "postgresql://me:hush@host/db")
    pipeline = declared(tmp_path)
    settings = pipeline.settled(Settings.from_environment())
    assert "hush" in settings.records
    export_to_airflow(Actor(), settings, pipeline, tmp_path / "dag.py")
    page = (tmp_path / "dag.py").read_text()
    assert "hush" not in page
    assert "postgresql" not in page


def test_what_airflow_would_fill_in_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Airflow would not run"):
        airflow_dag(declared(tmp_path / "{{ ds }}"))
    with pytest.raises(UsageError, match=r"ends in \.py"):
        export_to_airflow(Actor(), Settings(), declared(tmp_path), tmp_path / "dag.txt")
    with pytest.raises(AccessDeniedError):
        export_to_airflow(Actor(role="investigator"), Settings(), declared(tmp_path), tmp_path / "dag.py")
    assert not (tmp_path / "dag.py").exists()


PROBE = """
import json, sys
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models import DagBag
bag = DagBag(sys.argv[1])
found = {task.task_id: sorted(task.upstream_task_ids) for task in bag.dags["greywater_monthly"].tasks}
print(json.dumps([bag.import_errors, found]))
"""


@pytest.mark.full
def test_a_real_airflow_of_its_own_environment_reads_and_runs_it(tmp_path: Path) -> None:
    """Minutes: Airflow is installed from the registry, beside nothing of ours."""
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    install = [str(programs / "python"), "-m", "pip", "install", "--quiet", "apache-airflow"]
    installed = subprocess.run(install, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"Airflow cannot be installed here: {installed.stderr.strip().splitlines()[-1]}")
    gw.make_world(tmp_path / "world", accounts=300, payments=1_500, days=30, seed=3)
    settings = Settings(store=tmp_path / "bank", threads=1)
    files = IngestRequest((tmp_path / "world" / "payments.csv",), labels=tmp_path / "world" / "labels.csv")
    ingest(Actor(), settings, files)
    command = f"env PYTHONPATH={ROOT / 'src'} {sys.executable} -m greywater"
    pipeline = declared(tmp_path, TEXT.replace("[schedule]", f'[schedule]\ncommand = "{command}"'))
    dags = tmp_path / "home" / "dags"
    dags.mkdir(parents=True)
    export_to_airflow(Actor(), pipeline.settled(settings), pipeline, dags / "monthly.py")

    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GREYWATER_", "PYTHONPATH"))}
    kept |= {"AIRFLOW_HOME": str(tmp_path / "home"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    kept |= {"GREYWATER_KERNEL_CACHE": os.environ.get("GREYWATER_KERNEL_CACHE", ""), "GREYWATER_THREADS": "1"}

    def airflow(*words: str) -> str:
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=kept)
        assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
        return done.stdout

    said = airflow(str(programs / "python"), "-c", PROBE, str(dags)).strip().splitlines()[-1]
    assert said == '[{}, {"backfill": [], "train": ["backfill"], "evaluate": ["train"]}]'
    airflow(str(programs / "airflow"), "db", "migrate")
    airflow(str(programs / "airflow"), "dags", "reserialize")
    airflow(str(programs / "airflow"), "dags", "test", "greywater_monthly")
    with open_project(settings, Actor()) as project:
        done = [one for one in project.records.runs() if one.command == "pipeline step"]
    assert [(one.parameters["step"], one.outcome) for one in done] == [
        ("backfill", "done"), ("train", "done"), ("evaluate", "done")
    ]  # fmt: skip
