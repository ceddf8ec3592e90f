"""A pipeline tunes what it trains, and proposes it once, whatever stopped it behind the proposal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

import greywater as gw
from greywater.app import pipelines
from greywater.app.ingest import IngestRequest, ingest
from greywater.app.models import list_models, promote_model
from greywater.app.pipeline_file import read_pipeline
from greywater.app.pipeline_steps import WORK, StepPlace
from greywater.app.pipelines import PipelineRequest, StepResult, run_pipeline
from greywater.config import Settings
from greywater.errors import AccessDeniedError, DetectorError, EngineError, UsageError
from greywater.vocab import Actor

TEXT = """
[pipeline]
name = "nightly"
[settings]
features = "payments-v1"
[tune]
trials = 1
sampler = "random"
pruner = "none"
[train]
detector = "isolation"
[propose]
"""


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    gw.make_world(tmp_path / "world", accounts=300, payments=1_500, days=30, seed=3)
    files = IngestRequest((tmp_path / "world" / "payments.csv",), labels=tmp_path / "world" / "labels.csv")
    ingest(Actor(), Settings(store=tmp_path / "store", threads=1), files)
    return tmp_path


def run(folder: Path, text: str = TEXT, actor: Actor | None = None, **request: Any) -> dict[str, StepResult]:
    (folder / "nightly.toml").write_text(text)
    pipeline = read_pipeline(folder / "nightly.toml")
    settings = pipeline.settled(Settings(store=folder / "store", threads=1))
    found = run_pipeline(actor or Actor(), settings, pipeline, PipelineRequest(**request))
    return {one.step: one for one in found}


def states(found: dict[str, StepResult]) -> list[str]:
    return [one.state for one in found.values()]


def test_tuned_trained_and_proposed_once(bank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(place: StepPlace, table: Any) -> dict[str, Any]:
        WORK["propose"].run(place, table)
        raise EngineError("stopped behind the proposal")

    with monkeypatch.context() as patched:
        broken = replace(WORK["propose"], run=stopped)
        patched.setattr(pipelines, "WORK", MappingProxyType({**WORK, "propose": broken}))
        with pytest.raises(EngineError):
            run(bank)
    found = run(bank)
    assert states(found) == ["stands", "stands", "done"]
    tuned, trained, proposed = (found[step].output for step in ("tune", "train", "propose"))
    assert tuned["trials"] == 1
    assert trained["tuned"] == tuned["study"]
    assert trained["detector"]["kind"] == "isolation"
    assert (proposed["model"], proposed["against"], proposed["proposal"]) == (trained["model"], None, 1)
    assert states(run(bank)) == ["stands"] * 3

    # A champion since: the next model is measured against it, and one that must pass and does not stops the pipeline.
    settings = Settings(store=bank / "store", threads=1)
    promote_model(Actor(), settings, trained["model"])
    again = run(bank, begin="train")
    assert again["propose"].output["against"] == list_models(Actor(), settings).champion == trained["model"]
    assert not again["propose"].output["passed"]
    with pytest.raises(DetectorError, match="does not meet the policy"):
        run(bank, TEXT + "must_pass = true\n")


def test_what_cannot_be_tuned_or_proposed_is_refused_first(bank: Path) -> None:
    for old, new, found in (
        ('"random"', '"dowsing"', "no sampler is named 'dowsing'"),
        ('"none"', '"axe"', "no pruner is named 'axe'"),
    ):
        with pytest.raises(UsageError, match=found):
            run(bank, TEXT.replace(old, new))
    automatic = TEXT.replace("[settings]", "[settings]\npromotion_automatic = true")
    with pytest.raises(AccessDeniedError, match="promote_models"):
        run(bank, automatic, Actor(role="data_scientist"))
