"""Retraining end to end: what is held out stays unseen, both models see the same payments, a person decides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.csv as pa_csv
import pytest

import greywater as gw
from greywater.app import retraining
from greywater.app.dispositions import record_dispositions
from greywater.app.ingest import IngestRequest, ingest
from greywater.app.models import decline_proposal, list_models, promote_model, retire_model, show_model
from greywater.app.promotion import propose_model
from greywater.app.retraining import RetrainRequest, retrain
from greywater.app.training import train
from greywater.app.truth import TruthReader
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.errors import AccessDeniedError, DetectorError, EmptyInputError
from greywater.stores.durable import write_whole_text
from greywater.vocab import Actor

OWNER = Actor()
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    gw.make_world(folder, accounts=300, payments=6_000, days=60, seed=3)
    return folder


@pytest.fixture(scope="module")
def bank(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(
        store=tmp_path_factory.mktemp("bank"), features="payments-v1", threads=1, detector="isolation",
        promotion_days=15, promotion_least_positives=3,
    )  # fmt: skip
    ingest(OWNER, settings, IngestRequest(paths=(str(world / "payments.csv"),), labels=world / "labels.csv"))
    return settings


@pytest.fixture(scope="module")
def champion(bank: Settings) -> str:
    model = train(OWNER, bank).model
    promote_model(OWNER, bank, model, "the first")
    return model


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The truth and the split that the detector was fitted with."""
    seen: list[Any] = []
    fit = retraining.fit_detector

    def look(blocks: Any, replayed: Any, truth: Any, split: Any, *more: Any) -> Any:
        seen.extend([truth, split, replayed])
        return fit(blocks, replayed, truth, split, *more)

    monkeypatch.setattr(retraining, "fit_detector", look)
    yield seen


def test_what_is_held_out_stays_unseen_and_a_person_decides(
    bank: Settings, champion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched(monkeypatch) as seen:
        done = retrain(OWNER, bank.with_(detector="boosted"))
    _, split, replayed = seen
    evidence, learned = done.proposal.evidence, done.fitted.detector.card["learned"]
    # Learned and tuned end before the held-out time begins, and the champion has not seen that either.
    begin = datetime.fromisoformat(evidence["slice"]["from"])
    assert datetime.fromisoformat(learned["to"]) <= datetime.fromisoformat(learned["tuned"]["to"]) < begin
    assert split.validation == split.alerting < split.rows
    assert learned["seen_until"] == int(replayed.time_us[split.validation - 1])
    first, last = (datetime.fromtimestamp(int(replayed.time_us[at]) / 1e6, UTC) for at in (split.validation, -1))
    assert 14 * DAY <= last - first <= 15 * DAY
    assert begin >= first.replace(microsecond=0)
    seen_by_champion = evidence["champion"]["learned"]["seen_until"]
    assert begin.timestamp() * 1e6 > seen_by_champion - 1e6
    assert evidence["held_out"] == "the last 15 days are held out"
    assert evidence["slice"]["laundering"] > 0
    # Both on the same payments; the gain is theirs.
    gain, mine, theirs = evidence["gain"], evidence["measures"], evidence["champion"]["measures"]
    assert gain["average_precision"] == pytest.approx(mine["average_precision"] - theirs["average_precision"])
    assert gain["low"] <= gain["high"]
    assert done.proposal.against == champion
    assert not done.promoted
    assert list_models(OWNER, bank).champion == champion

    shown = show_model(OWNER, bank, done.model)
    assert (shown.state, shown.proposals[0].id) == ("candidate", done.proposal.id)
    declined = decline_proposal(OWNER, bank, done.proposal.id, "too few cases")
    assert declined.decision is not None
    with pytest.raises(DetectorError, match="neither stood beside"):
        promote_model(OWNER, bank, done.model, "all the same")
    again = propose_model(OWNER, bank, done.model)
    assert again.proposal.evidence["gain"] == gain  # the same payments, the same draws
    steps = promote_model(OWNER, bank, done.model)
    assert steps[-1].evidence["gain"] == gain
    assert (steps[-1].proposal, steps[-1].against) == (again.proposal.id, champion)
    retire_model(OWNER, bank, done.model, "tidy up")


def test_a_worse_model_does_not_meet_the_policy_and_no_policy_promotes_it(bank: Settings) -> None:
    best = retrain(OWNER, bank.with_(detector="boosted"))
    assert best.proposal.against == ""
    assert "there is no champion" in best.proposal.why
    promote_model(OWNER, bank, best.model)
    worse = retrain(OWNER, bank.with_(detector="isolation", promotion_automatic=True))
    assert not worse.proposal.passed
    assert not worse.promoted
    assert "does not exceed 0" in worse.proposal.why
    with pytest.raises(DetectorError, match="is the champion"):
        propose_model(OWNER, bank, best.model)
    few = retrain(OWNER, bank.with_(detector="pca", promotion_least_rows=10**6, promotion_least_positives=10**6))
    assert "fewer than 1,000,000" in few.proposal.why

    # What beats the champion is promoted where the policy says so.
    steps = promote_model(OWNER, bank, worse.model)  # somebody accepted the proposal all the same
    assert steps[-1].evidence["passed"] is False
    allowed = bank.with_(detector="boosted", promotion_automatic=True, promotion_least_gain=-1.0)
    scientist = Actor(role="data_scientist")
    with pytest.raises(AccessDeniedError, match="promote_models"):
        retrain(scientist, allowed)
    done = retrain(OWNER, allowed)
    assert done.promoted
    assert show_model(OWNER, bank).steps[-1].why.startswith("by policy: ")
    retire_model(OWNER, bank, done.model, "tidy up")


def test_labels_that_came_later_can_be_left_out(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa_csv.read_csv(world / "labels.csv").to_pylist()
    late = [row for row in table if str(row["label"]) == "1"][::2]
    lines = ["tx_id,label,known_since"]
    for row in table:
        since = "2024-03-15T00:00:00Z" if row in late else "2024-01-02T00:00:00Z"
        lines.append(f"{row['tx_id']},{row['label']},{since}")
    write_whole_text(tmp_path / "labels.csv", "\n".join(lines) + "\n", "write labels")
    settings = Settings(store=tmp_path / "bank", features="payments-v1", threads=1, detector="pca", promotion_days=15)
    ingest(OWNER, settings, IngestRequest(paths=(str(world / "payments.csv"),), labels=tmp_path / "labels.csv"))
    with watched(monkeypatch) as seen:
        whole = retrain(OWNER, settings)
        known = retrain(OWNER, settings, RetrainRequest(as_known=True))
    all_labels, known_labels = (truth.y[: split.validation].sum() for truth, split in (seen[:2], seen[3:5]))
    assert 0 < known_labels < all_labels
    later = whole.fitted.detector.card["learned"]["labels_known_later"]
    assert later == all_labels - known_labels
    assert known.fitted.detector.card["learned"]["labels_known_later"] == 0
    # The held-out labels are the same for both.
    assert whole.proposal.evidence["slice"] == known.proposal.evidence["slice"]


def test_dispositions_become_labels_and_seeds(bank: Settings, tmp_path: Path) -> None:
    from greywater.app.run import RunRequest, run

    outcome = run(OWNER, bank, RunRequest(IngestRequest(paths=())))
    reported, dismissed, undecided = outcome.alerts[:3]
    path = tmp_path / "closed.csv"
    lines = [
        "alert_id,customer,outcome,decided",
        f"{reported.id},,reported,2024-06-20",
        f"{dismissed.id},,dismissed,2024-06-21",
        f"{undecided.id},,pending,",
        "theirs-1,A000007,SAR filed,2024-02-22",
    ]
    path.write_text("\n".join(lines) + "\n")
    told = record_dispositions(OWNER, bank, path)
    assert (told.reported, told.dismissed, told.undecided, told.labels, told.seeds) == (2, 1, 1, 2, 2)
    assert record_dispositions(OWNER, bank, path).known
    with open_project(bank, OWNER) as project:
        labels = project.tables.read("labels").to_pylist()[-2:]
        seeds = project.tables.read("seeds").to_pylist()[-2:]
        guilty = TruthReader.open(project.tables)._payments

    payments = [alert.evidence[0].tx_id for alert in (reported, dismissed)]
    assert [(row["tx_id"], row["label"]) for row in labels] == [(payments[0], 1), (payments[1], 0)]
    assert labels[0]["known_since"].date().isoformat() == "2024-06-20"
    assert payments[0] in guilty
    assert payments[1] not in guilty
    assert [seed["account"] or seed["customer"] for seed in seeds] == [reported.entity, "A000007"]

    open_only = tmp_path / "open.csv"
    open_only.write_text("alert_id,outcome\nx,pending\n")
    with pytest.raises(EmptyInputError, match="none of the alerts is decided"):
        record_dispositions(OWNER, bank, open_only)
    done = retrain(OWNER, bank, RetrainRequest(dispositions=path))
    assert done.dispositions is not None
    assert done.dispositions.known
    assert json.dumps(done.to_json(), allow_nan=False)


def test_without_labels_there_is_nothing_to_measure_by(world: Path, tmp_path: Path) -> None:
    settings = Settings(store=tmp_path, features="payments-v1", threads=1, detector="pca")
    ingest(OWNER, settings, IngestRequest(paths=(str(world / "payments.csv"),)))
    with pytest.raises(EmptyInputError, match="no labels to measure models by"):
        retrain(OWNER, settings)


def test_payments_that_a_model_has_seen_do_not_count(
    bank: Settings, champion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from greywater.app.training import TrainRequest

    whole = train(OWNER, bank.with_(detector="pca"), TrainRequest(whole=True)).model
    with pytest.raises(EmptyInputError, match="no payment is left that neither model has seen") as raised:
        propose_model(OWNER, bank, whole)
    assert "payments after 2024-" in raised.value.where
