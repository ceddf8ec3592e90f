"""A pipeline tunes what it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import greywater as gw
from greywater.app.ingest import IngestRequest, ingest
from greywater.app.pipeline_file import read_pipeline
from greywater.app.pipelines import PipelineRequest, StepResult, run_pipeline
from greywater.config import Settings
from greywater.errors import UsageError
from greywater.vocab import Actor

TEXT = """
[pipeline]
name = "nightly"
[settings]
features = "payments-v1"
[tune]
trials = 2
sampler = "random"
pruner = "none"
[train]
detector = "isolation"
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


def test_tuned_then_trained(bank: Path) -> None:
    found = run(bank)
    assert states(found) == ["done", "done"]
    tuned, trained = (found[step].output for step in ("tune", "train"))
    assert tuned["trials"] == 2
    assert trained["tuned"] == tuned["study"]
    assert trained["detector"]["kind"] == "isolation"
    assert states(run(bank)) == ["stands"] * 2


def test_what_cannot_be_tuned_is_refused_first(bank: Path) -> None:
    for old, new, found in (
        ('"random"', '"dowsing"', "no sampler is named 'dowsing'"),
        ('"none"', '"axe"', "no pruner is named 'axe'"),
    ):
        with pytest.raises(UsageError, match=found):
            run(bank, TEXT.replace(old, new))
