"""The use case parity: of a project's served vectors, for those who may read features, written down."""

from __future__ import annotations

import pyarrow as pa
import pytest

from greywater.app.parity import ParityRequest, parity, parity_json
from greywater.app.wiring import open_project
from greywater.errors import AccessDeniedError, UsageError
from greywater.features.catalog import payment_features
from greywater.features.engine import Engine
from greywater.pipeline.parity import ServedLog, ServedView
from greywater.vocab import Actor
from tests.app.conftest import Desk

PAYMENTS = 90


@pytest.fixture
def recorded(desk: Desk) -> Desk:
    rows = [
        [f"t{k}", f"2024-01-{1 + k % 28:02}T10:10:00Z", f"A{k % 7}", f"A{k % 5}", str(k + 1), "USD"]
        for k in range(PAYMENTS)
    ]
    desk.ingest(desk.file("payments.csv", rows))
    return desk


def test_who_may_not_is_refused_and_both_are_written_down(recorded: Desk) -> None:
    with pytest.raises(AccessDeniedError):
        parity(Actor(role="investigator"), recorded.settings, ParityRequest())
    assert parity(Actor(), recorded.settings, ParityRequest()).served == 0
    with open_project(recorded.settings, Actor()) as project:
        told = [(row.action, row.outcome) for row in project.records.audits()][-2:]
    assert told == [("read_features", "refused"), ("read_features", "done")]


def test_a_sample_below_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="sample"):
        ParityRequest(sample=-1)


def test_parity_tells_a_wrong_value_and_nothing_else(recorded: Desk) -> None:
    with open_project(recorded.settings, Actor(), write=True) as project:
        features = payment_features(recorded.settings, project.file.resolution_us or 1)
        view = ServedView("all", features.fingerprint, tuple((one.name, one.dtype) for one in features.features))
        rows = (
            Engine(features, threads=1).process(pa.Table.from_batches(list(project.ledger.scan()))).columns.to_pylist()
        )
        rows[42]["payment.amount"] += 1.0
        with ServedLog(project.tables) as log:
            for seq in range(0, PAYMENTS, 3):
                log.payment(view, seq, list(rows[seq].values()))
    told = parity_json(parity(Actor(), recorded.settings, ParityRequest(sample=0)))
    (found,) = told.pop("differences")
    assert told == {"served": 30, "vectors": 30, "values": 30 * len(features.names), "other_features": 0}
    assert (found["seq"], found["feature"], found["served"]) == (42, "payment.amount", found["expected"] + 1)
    assert found["tx_id"].startswith("t")
