"""A pipeline runs its steps once: what changed runs again with all behind it, and nothing else does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import greywater as gw
from greywater.app.ingest import IngestRequest, ingest
from greywater.app.pipeline_file import Pipeline, read_pipeline
from greywater.app.pipeline_records import COMMAND
from greywater.app.pipelines import PipelineRequest, StepResult, check_pipeline, run_pipeline
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.errors import (
    AccessDeniedError,
    DetectorError,
    EmptyInputError,
    RefusedValueError,
    StoreError,
    StoreLockedError,
    UsageError,
)
from greywater.featurestore.writers import read_training_set
from greywater.stores.lock import WriterLock
from greywater.vocab import Actor

TEXT = """
[pipeline]
name = "monthly"
[settings]
features = "payments-v1"
detector = "boosted"
[backfill]
features = ["payment.amount", "sender.out.sum.7d"]
[validate]
[[validate.rules]]
kind = "not_null"
feature = "payment.amount"
[[validate.rules]]
kind = "range"
feature = "payment.amount"
most = 1
action = "warn"
[training_set]
[train]
[evaluate]
resamples = 5
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which every step has run once."""
    folder = tmp_path_factory.mktemp("recorded")
    gw.make_world(folder / "world", accounts=300, payments=1_500, days=30, seed=3)
    world = folder / "world"
    settings = Settings(store=folder / "store", threads=1)
    ingest(Actor(), settings, IngestRequest((world / "payments.csv",), labels=world / "labels.csv"))
    (folder / "monthly.toml").write_text(TEXT)
    assert states(run(folder)) == ["done"] * 5
    return folder


@pytest.fixture
def bank(recorded: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    shutil.copytree(recorded, tmp_path / "bank")
    return tmp_path / "bank"


def declared(folder: Path) -> tuple[Pipeline, Settings]:
    pipeline = read_pipeline(folder / "monthly.toml")
    return pipeline, pipeline.settled(Settings(store=folder / "store", threads=1))


def run(folder: Path, **request: Any) -> tuple[StepResult, ...]:
    pipeline, settings = declared(folder)
    return run_pipeline(Actor(), settings, pipeline, PipelineRequest(**request))


def look(folder: Path, **request: Any) -> list[str]:
    pipeline, settings = declared(folder)
    return states(check_pipeline(Actor(), settings, pipeline, PipelineRequest(**request)))


def states(found: tuple[StepResult, ...]) -> list[str]:
    return [one.state for one in found]


def change(folder: Path, old: str, new: str) -> None:
    path = folder / "monthly.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_each_step_left_its_output_and_a_record(recorded: Path) -> None:
    pipeline, settings = declared(recorded)
    outputs = {one.step: one.output for one in run(recorded)}
    assert (outputs["backfill"]["group"], outputs["backfill"]["rows"]) == ("payments_v1_chosen", 1_500)
    assert outputs["validate"]["rows"] == 1_500
    assert "above 1" in outputs["validate"]["warnings"][0]
    made = read_training_set(Path(outputs["training_set"]["folder"])).record
    assert made.feature_names == ("payment.amount", "sender.out.sum.7d")
    assert (made.rows, made.sha256) == (outputs["training_set"]["rows"], outputs["training_set"]["sha256"])
    assert (settings.project_folder / "models" / outputs["train"]["model"] / "detector.json").is_file()
    # The same model on the same payments: the measures of training and of evaluation agree.
    assert outputs["evaluate"]["average_precision"] == outputs["train"]["test"]["average_precision"]
    assert outputs["evaluate"]["payments"] == outputs["train"]["test"]["rows"]
    assert outputs["evaluate"]["intervals"]["average_precision"]["low"] is not None
    with open_project(settings, Actor()) as project:
        kept = [one for one in project.records.runs() if one.command == COMMAND]
        audits = [one.object for one in project.records.audits() if one.action == "run"]
    assert [one.parameters["step"] for one in kept] == list(pipeline.steps)
    assert {one.outcome for one in kept} == {"done"}
    assert "pipeline monthly" in audits


def test_a_second_run_leaves_all_as_it_is(recorded: Path) -> None:
    assert look(recorded) == ["stands"] * 5
    assert states(run(recorded)) == ["stands"] * 5


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("resamples = 5", "resamples = 6", ["stands"] * 4 + ["run"]),
        ("[train]", "[train]\ndetector = 'isolation'", ["stands"] * 3 + ["run"] * 2),
        ("most = 1", "most = 2", ["stands"] + ["run"] * 4),
        ('detector = "boosted"', 'detector = "boosted"\nseed = 8', ["run"] * 5),
        ('name = "monthly"', 'name = "weekly"', ["run"] * 5),
    ],
)
def test_what_changed_runs_again_with_all_behind_it(bank: Path, old: str, new: str, expected: list[str]) -> None:
    change(bank, old, new)
    assert look(bank) == expected


def test_threads_and_other_ways_to_the_same_result_change_nothing(bank: Path) -> None:
    pipeline, settings = declared(bank)
    assert states(check_pipeline(Actor(), settings.with_(threads=2, chunk_rows=99), pipeline)) == ["stands"] * 5


def test_a_changed_step_runs_and_the_records_say_why(bank: Path) -> None:
    change(bank, "resamples = 5", "resamples = 6")
    found = run(bank)
    assert states(found) == ["stands"] * 4 + ["done"]
    assert found[-1].why == "other parameters: resamples"
    assert states(run(bank)) == ["stands"] * 5


def test_new_payments_or_labels_run_everything_again(bank: Path) -> None:
    _, settings = declared(bank)
    late = bank / "labels.csv"
    late.write_text("tx_id,label\nT0,1\n")
    ingest(Actor(), settings, IngestRequest((), labels=late))
    assert look(bank) == ["run"] * 5
    found = run(bank)
    assert found[0].why == "other data: labels"
    assert found[0].output["present"] == 1_500
    assert found[2].output["version"] == 2
    assert states(run(bank)) == ["stands"] * 5


def test_what_is_no_longer_there_is_made_again(bank: Path) -> None:
    before = {one.step: one.output for one in run(bank)}
    (declared(bank)[1].project_folder / "models" / before["train"]["model"] / "detector.json").unlink()
    found = check_pipeline(Actor(), *reversed(declared(bank)))
    assert states(found) == ["stands"] * 3 + ["run"] * 2
    assert found[3].why == "what it made is no longer there"


def test_from_a_step_on_everything_runs_again(bank: Path) -> None:
    first = {one.step: one for one in run(bank)}
    again = {one.step: one for one in run(bank, begin="train")}
    assert states(tuple(again.values())) == ["stands"] * 3 + ["done"] * 2
    assert again["train"].output["model"] != first["train"].output["model"]
    change(bank, "most = 1", "most = 2")
    with pytest.raises(UsageError, match="validate does not stand: other parameters: rules"):
        run(bank, begin="train")


def test_one_step_alone(bank: Path) -> None:
    assert states(run(bank, only="train")) == ["stands"] * 4 + ["left out"]
    change(bank, "[train]", "[train]\ndetector = 'isolation'")
    found = run(bank, only="train")
    assert states(found) == ["stands"] * 3 + ["done", "left out"]
    assert found[3].output["detector"]["kind"] == "isolation"
    assert look(bank) == ["stands"] * 4 + ["run"]
    change(bank, "most = 1", "most = 2")
    with pytest.raises(UsageError, match="train cannot run alone: validate does not stand"):
        run(bank, only="train")
    with pytest.raises(UsageError, match="both given"):
        PipelineRequest("train", "train")


def test_one_step_alone_takes_what_was_left_though_payments_came_since(bank: Path) -> None:
    _, settings = declared(bank)
    late = bank / "labels.csv"
    late.write_text("tx_id,label\nT0,1\n")
    ingest(Actor(), settings, IngestRequest((), labels=late))
    assert states(run(bank, only="evaluate")) == ["stands"] * 4 + ["done"]
    assert look(bank) == ["run"] * 5


def test_the_second_of_two_runs_is_refused_and_told_of_the_first(bank: Path) -> None:
    _, settings = declared(bank)
    with (
        WriterLock(settings.project_folder / "pipelines", name="monthly.lock"),
        pytest.raises(StoreLockedError, match=r"'monthly' runs already: process \d+ on "),
    ):
        run(bank)


def test_a_failed_step_is_recorded_told_and_run_next_time(bank: Path) -> None:
    change(bank, "resamples = 5", "resamples = 5\nleast = { average_precision = 0.99 }")
    told: list[StepResult] = []
    pipeline, settings = declared(bank)
    with pytest.raises(DetectorError, match=r"below the 0.99 asked for \(step evaluate, model ") as failed:
        run_pipeline(Actor(), settings, pipeline, told=told.append)
    assert failed.value.exit_code == 6
    assert states(tuple(told)) == ["stands"] * 4 + ["failed"]
    with open_project(settings, Actor()) as project:
        last = project.records.runs()[-2:]
    assert "failed" in [one.outcome for one in last]
    change(bank, "0.99", "0.001")
    assert states(run(bank)) == ["stands"] * 4 + ["done"]


@pytest.mark.parametrize(
    ("old", "new", "error", "found"),
    [
        ('most = 1\naction = "warn"', "most = 1", RefusedValueError, "above 1, in 1,500 rows"),
        ("[validate]\n", "[validate]\nleast_rows = 5_000\n", EmptyInputError, "fewer than the 5,000"),
        (
            "[training_set]",
            "[validate.drift]\nreference='2001-01-01..2001-02-01'\nlive='2001-02-01..2001-03-01'\n[training_set]",
            EmptyInputError,
            "no row in 2001-01-01T00:00:00Z",
        ),
    ],
)
def test_rows_that_are_not_as_they_must_be_stop_it(
    bank: Path, old: str, new: str, error: type[Exception], found: str
) -> None:
    change(bank, old, new)
    with pytest.raises(error, match=found):
        run(bank)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('feature = "payment.amount"', 'feature = "payment.amuont"', "no feature 'payment.amuont'"),
        ("[training_set]", '[training_set]\ncolumns = ["no.such"]', "no.such will not be among"),
        ('"sender.out.sum.7d"]', '"sender.out.sum.7x"]', "sender.out.sum.7x"),
    ],
)
def test_what_cannot_fit_is_refused_before_anything_runs(bank: Path, old: str, new: str, found: str) -> None:
    change(bank, old, new)
    _, settings = declared(bank)
    with open_project(settings, Actor()) as project:
        before = len(project.records.runs())
    for use in (run, look):
        with pytest.raises(UsageError, match=found):
            use(bank)
    with open_project(settings, Actor()) as project:
        assert len(project.records.runs()) == before


def test_who_may_not_do_a_step_runs_none(bank: Path) -> None:
    pipeline, settings = declared(bank)
    with pytest.raises(AccessDeniedError):
        run_pipeline(Actor(role="auditor"), settings, pipeline)
    assert states(check_pipeline(Actor(role="auditor"), settings, pipeline)) == ["stands"] * 5


def test_a_project_that_is_not_there(bank: Path) -> None:
    pipeline, settings = declared(bank)
    with pytest.raises(StoreError, match="no project"):
        run_pipeline(Actor(), settings.with_(store=bank / "nowhere"), pipeline)
