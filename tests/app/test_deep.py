"""The adversarial detector in the main job: as a part of the hybrid, and over sequences as a model of its own."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from greywater.app.ingest import IngestRequest
from greywater.app.run import RunRequest, run
from greywater.app.scoring import ScoreRequest, score
from greywater.app.training import TrainRequest, train
from greywater.desk.budget import Budget
from greywater.detectors.adversarial_sequence import AdversarialSequence
from greywater.detectors.loading import load_detector
from greywater.vocab import Actor
from tests.app.conftest import Desk

pytest.importorskip("torch", reason="pip install 'greywater[deep]'")


@pytest.fixture
def recorded(desk: Desk) -> Desk:
    """Two hundred accounts; some of them send round sums on in a row."""
    draw = np.random.default_rng(1)
    begin = datetime.fromisoformat("2024-01-01T00:00:00+00:00")
    rows = []
    for number in range(1_500):
        bad = number % 25 == 0
        sender, receiver = draw.choice(200, 2, replace=False)
        amount = 9_000 if bad else round(float(np.exp(draw.normal(4, 1))), 2)
        moment = begin + timedelta(minutes=20 * number)
        typology = "structuring" if bad else ""
        rows.append((f"p{number}", moment.isoformat(), f"a{sender}", f"a{receiver}", amount, "USD", int(bad), typology))
    desk.ingest(desk.file("payments.csv", rows))
    return desk


def test_deep_makes_it_a_part_of_the_hybrid(recorded: Desk) -> None:
    settings = recorded.settings.with_(features="payments-v1", deep=True)
    outcome = run(Actor(), settings, RunRequest(IngestRequest(()), Budget.parse("5/day")))
    assert "adversarial anomaly detector" in outcome.fitted.name
    assert "adversarial" in [each["name"] for each in outcome.fitted.detector.card["scores"]]
    assert len(outcome.alerts) > 0


def test_sequences_are_a_model_of_their_own(recorded: Desk) -> None:
    settings = recorded.settings.with_(features="payments-v1", detector="adversarial_sequence")
    trained = train(Actor(), settings, TrainRequest())
    loaded = load_detector(trained.folder)
    assert isinstance(loaded, AdversarialSequence)
    assert trained.test is not None
    assert trained.test.average_precision > 0.04
    found = score(Actor(), settings, ScoreRequest(model=trained.model, last=50))
    assert found.kind == "adversarial_sequence"
    assert np.isfinite(found.table["score"].to_numpy()).all()
