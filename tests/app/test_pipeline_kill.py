"""Killed in any of its steps and given again, a pipeline goes on there and comes to what an undisturbed one does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import greywater as gw
from greywater.app.ingest import IngestRequest, ingest
from greywater.config import Settings
from greywater.vocab import Actor
from tests.app.test_pipelines import TEXT

FULL = os.environ.get("GREYWATER_FULL") == "1"
#: At which wait for the disk of a step it is killed; 0 = when the step is done and not yet recorded.
MOMENTS = (1, 2, 3, 5, 8, 0) if FULL else (2,)

#: Each life of a pipeline is a child of its own that is killed with signal 9 in a step: at a wait for the disk, or, if
#: the step has not so many, between its end and its record. No store was opened before a fork.
PROGRAM = """
import json, os, signal, sys
from pathlib import Path
import lightgbm, sklearn.ensemble  # once, not in every life
import greywater.app.pipeline_steps as steps
from dataclasses import replace
from types import MappingProxyType
from greywater.app import pipelines
from greywater.app.pipeline_file import read_pipeline
from greywater.config import Settings
from greywater.vocab import Actor

from tests.pipeline.ledgers import made_ledger
from greywater.features.catalog import payments_v1
from greywater.features.engine import Engine

Engine(payments_v1(Settings(), 1), threads=1).process(made_ledger(3, 50, accounts=6, span_days=30).table)
folder, moments = Path(sys.argv[1]), json.loads(sys.argv[2])
pipeline = read_pipeline(folder / "monthly.toml")
settings = pipeline.settled(Settings(store=folder / "store", threads=1))

def killing(step, moment):
    work = steps.WORK[step]
    def run(place, table):
        count, fsync = 0, os.fsync
        def counted(handle):
            nonlocal count
            count += 1
            if count == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            fsync(handle)
        os.fsync = counted
        work.run(place, table)
        os.kill(os.getpid(), signal.SIGKILL)
    return {**steps.WORK, step: replace(work, run=run)}

def life(work):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    pipelines.WORK = MappingProxyType(work)
    found = pipelines.run_pipeline(Actor(), settings, pipeline)
    (folder / "found.json").write_text(json.dumps([one.to_json() for one in found]))
    os._exit(0)

for step in pipeline.steps:
    for moment in moments:
        assert life(killing(step, moment)) == -signal.SIGKILL, (step, moment)
assert life(steps.WORK) == 0
"""


def outputs(folder: Path) -> dict[str, dict[str, Any]]:
    return {one["step"]: one for one in json.loads((folder / "found.json").read_text())}


def live(folder: Path, moments: tuple[int, ...]) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), json.dumps(moments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    return outputs(folder)


@pytest.mark.slow
def test_killed_in_every_step(tmp_path: Path) -> None:
    clean, killed = tmp_path / "clean", tmp_path / "killed"
    gw.make_world(tmp_path / "world", accounts=300, payments=1_500, days=30, seed=3)
    files = IngestRequest((tmp_path / "world" / "payments.csv",), labels=tmp_path / "world" / "labels.csv")
    ingest(Actor(), Settings(store=clean / "store", threads=1), files)
    tuned = TEXT.replace("[train]", "[tune]\ntrials = 1\n[train]") if FULL else TEXT
    (clean / "monthly.toml").write_text(tuned + "[propose]\n")
    shutil.copytree(clean, killed)
    wanted, found = live(clean, ()), live(killed, MOMENTS)

    # Steps that finished stand: the last life ran the last step alone.
    assert [one["state"] for one in found.values()] == ["stands"] * (len(found) - 1) + ["done"]
    assert found["backfill"]["output"]["present"] + found["backfill"]["output"]["payments"] == 1_500
    assert found["validate"]["output"] == wanted["validate"]["output"]
    for step, same in (("training_set", ("rows", "sha256")), ("train", ("test", "split"))):
        assert {word: found[step]["output"][word] for word in same} == {
            word: wanted[step]["output"][word] for word in same
        }
    if FULL:
        assert found["tune"]["output"]["score"] == wanted["tune"]["output"]["score"]
    assert found["propose"]["output"]["passed"] == wanted["propose"]["output"]["passed"]
    judged = {word: value for word, value in found["evaluate"]["output"].items() if word != "model"}
    assert judged == {word: value for word, value in wanted["evaluate"]["output"].items() if word != "model"}
    records = _records(killed)
    assert len([one for one in records if one.outcome == "done"]) == len(found)
    left = [one for one in records if one.outcome == "failed"]
    assert len(left) == len(found) * len(MOMENTS)
    assert {one.summary["error"] for one in left} == {"the process ended before the step did"}


def _records(folder: Path) -> list[Any]:
    from greywater.app.pipeline_records import COMMAND
    from greywater.app.wiring import open_project

    with open_project(Settings(store=folder / "store"), Actor()) as project:
        return [one for one in project.records.runs() if one.command == COMMAND]
