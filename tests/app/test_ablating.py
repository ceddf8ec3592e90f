"""`greywater ablate`: a project's detector without one of its pieces after another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import greywater as gw
from greywater.app import ablating as use_case
from greywater.app.ablating import AblateRequest, ablate_detector
from greywater.app.ingest import IngestRequest, ingest
from greywater.app.tuned import Tuned, write_tuned
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.detectors.search_space import SearchSpace, Whole
from greywater.errors import AccessDeniedError, UsageError
from greywater.vocab import Actor


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("bank")
    gw.make_world(folder / "world", accounts=300, payments=2_500, days=40, seed=3)
    settings = Settings(store=folder / "store", features="payments-v1", detector="boosted", threads=1)
    labels = folder / "world" / "labels.csv"
    ingest(Actor(), settings, IngestRequest((str(folder / "world" / "payments.csv"),), labels=labels))
    space = SearchSpace("boosted", {"rounds": Whole(1, 300)})
    write_tuned(settings.project_folder, Tuned("short", "boosted", {"rounds": 20}, 0.1, None, 0, 1, space))
    return settings


def test_families_and_layers_of_trees(bank: Settings) -> None:
    found = ablate_detector(Actor(), bank, AblateRequest(seeds=1, tuned="short", resamples=20))
    assert {point.kind for point in found.without} == {"family", "layer"}
    families = {point.without: point for point in found.without if point.kind == "family"}
    assert {"window", "counterparty", "payment", "calendar"} <= set(families)
    assert sum(found.whole.columns - point.columns for point in families.values()) == found.whole.columns
    assert len(found.whole.scores) == 1
    document = found.to_json()
    assert json.loads(json.dumps(document)) == document
    with open_project(bank, Actor()) as project:
        run = next(run for run in project.records.runs() if run.id == found.run)
        assert run.command == "ablate"
        entry = project.records.audits()[-1]
    assert (entry.action, entry.object, entry.outcome) == ("train", "ablation", "done")
    kept = bank.project_folder / "experiments" / found.run / "ablation.json"
    assert json.loads(kept.read_text())["whole"]["score"] == found.whole.score


def test_parts_of_the_hybrid(bank: Settings) -> None:
    settings = bank.with_(detector="hybrid")
    found = ablate_detector(Actor(), settings, AblateRequest(("parts",), seeds=1, resamples=20))
    assert {(point.kind, point.without) for point in found.without} >= {("part", "boosted"), ("part", "isolation")}
    assert all(point.columns == found.whole.columns for point in found.without)
    trees = next(point for point in found.without if point.without == "boosted")
    assert trees.score is not None
    assert trees.score != found.whole.score


def test_what_a_detector_never_has_is_said_before_features_are_worked_out(
    bank: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(use_case, "replay_project")
    for detector, piece in (("boosted", "parts"), ("pca", "layers"), ("hybrid", "layers")):
        with pytest.raises(UsageError, match=f"has no {piece} to drop"):
            ablate_detector(Actor(), bank.with_(detector=detector), AblateRequest((piece,), seeds=1))


def test_what_there_is_not_cannot_be_dropped(bank: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing called 'walls'"):
        AblateRequest(("walls",))
    with pytest.raises(UsageError, match="seeds"):
        AblateRequest(seeds=0)
    with pytest.raises(UsageError, match="has no parts to drop"):
        ablate_detector(Actor(), bank, AblateRequest(("parts",), seeds=1))
    with pytest.raises(AccessDeniedError):
        ablate_detector(Actor(role="auditor"), bank, AblateRequest(seeds=1))
