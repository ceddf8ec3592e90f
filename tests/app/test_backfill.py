"""The use case backfill: from recorded payments, for those who may, written down, once at a time."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from greywater.app import backfill as app_backfill
from greywater.app.backfill import BackfillRequest, backfill
from greywater.app.tracing import note_backfill
from greywater.app.wiring import open_project
from greywater.errors import AccessDeniedError, StoreLockedError, UsageError
from greywater.features.catalog import payment_features
from greywater.features.engine import Engine
from greywater.featurestore.commit_quality import group_statistics
from greywater.featurestore.lineage import Lineage
from greywater.featurestore.registry import Registry
from greywater.stores.feature_records import FeatureRecords
from greywater.stores.lock import WriterLock
from greywater.stores.open import open_offline
from greywater.vocab import Actor
from tests.app.conftest import Desk

PAYMENTS = 300


@pytest.fixture
def recorded(desk: Desk) -> Desk:
    chance = random.Random(4)
    rows = [
        [
            f"t{k}", f"2024-0{1 + k // 100}-{1 + chance.randrange(28):02}T{chance.randrange(24):02}:10:00Z",
            f"A{chance.randrange(9)}", f"A{chance.randrange(9)}", str(chance.randrange(1, 9_999)), "USD",
        ]
        for k in range(PAYMENTS)
    ]  # fmt: skip
    desk.ingest(desk.file("payments.csv", rows))
    return desk


def rows_of(desk: Desk, version: int = 1) -> pa.Table:
    offline = open_offline(f"delta:{desk.settings.project_folder}")
    rows = pa.Table.from_batches(list(offline.scan("payments_v2", version)))
    return rows.sort_by([("event_time", "ascending"), ("tx_id", "ascending")])


def engine_rows(desk: Desk) -> pa.Table:
    with open_project(desk.settings, Actor()) as project:
        payments = pa.Table.from_batches(list(project.ledger.scan()))
        features = payment_features(desk.settings, project.file.resolution_us or 1)
    columns = Engine(features, threads=1).process(payments).columns
    rows = pa.table(
        [payments["tx_id"], payments["event_time"], *columns.columns], names=["tx_id", "event_time", *features.names]
    )
    return rows.sort_by([("event_time", "ascending"), ("tx_id", "ascending")])


def same(left: pa.Table, right: pa.Table) -> bool:
    """Every value; one NaN is as good as another."""
    plain = [[[str(value) for value in column.to_pylist()] for column in rows.columns] for rows in (left, right)]
    return left.column_names == right.column_names and plain[0] == plain[1]


def test_what_a_backfill_wrote_is_described_where_it_is_asked_for(recorded: Desk) -> None:
    part = BackfillRequest(end=datetime(2024, 2, 1, tzinfo=UTC))
    done = backfill(Actor(), recorded.settings, part).done.rows
    rest = backfill(Actor(), recorded.settings, BackfillRequest(statistics=True))
    summary = group_statistics(open_offline(f"delta:{recorded.settings.project_folder}"), rest.group)
    assert (summary.commits, summary.without) == (2, 1)
    assert summary.statistics is not None
    assert summary.statistics.rows == PAYMENTS - done
    amounts = rows_of(recorded)["payment.amount"].to_pylist()
    assert min(amounts) <= summary.statistics.by_name["payment.amount"].least <= max(amounts)


def test_a_backfill_writes_every_payment_and_again_none(recorded: Desk) -> None:
    result = backfill(Actor(), recorded.settings, BackfillRequest())
    assert (result.done.payments, result.done.rows, result.start, result.stop) == (PAYMENTS, PAYMENTS, 0, PAYMENTS)
    again = backfill(Actor(), recorded.settings, BackfillRequest())
    assert (again.done.payments, again.done.present) == (0, PAYMENTS)
    rows, expected = rows_of(recorded), engine_rows(recorded)
    assert same(rows.select(expected.column_names), expected)
    assert rows["known_time"].equals(rows["event_time"])
    assert again.to_json()["group"] == "payments_v2"


def test_a_range_of_time_is_filled_from_its_halo(recorded: Desk) -> None:
    part = BackfillRequest(begin=datetime(2024, 2, 1), end=datetime(2024, 3, 1, tzinfo=UTC))
    first = backfill(Actor(), recorded.settings, part)
    assert (first.start, first.stop) == (100, 200)
    backfill(Actor(), recorded.settings, BackfillRequest())
    expected = engine_rows(recorded)
    assert same(rows_of(recorded).select(expected.column_names), expected)


@pytest.mark.full
def test_over_spark_the_rows_are_the_same(recorded: Desk) -> None:
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("there is no Java on this machine")
    result = backfill(Actor(), recorded.settings, BackfillRequest(engine="spark", master="local[1,8]", slices=2))
    assert (result.done.payments, result.done.commits) == (PAYMENTS, 1)
    expected = engine_rows(recorded)
    assert same(rows_of(recorded).select(expected.column_names), expected)
    assert list((recorded.settings.project_folder / app_backfill.ASIDE).iterdir()) == []


def test_only_one_backfill_of_a_project_at_a_time(recorded: Desk) -> None:
    with WriterLock(recorded.settings.project_folder, name=app_backfill.LOCK), pytest.raises(StoreLockedError):
        backfill(Actor(), recorded.settings, BackfillRequest())


def test_who_may_not_is_refused_and_both_are_written_down(recorded: Desk) -> None:
    with pytest.raises(AccessDeniedError):
        backfill(Actor(role="investigator"), recorded.settings, BackfillRequest())
    backfill(Actor(), recorded.settings, BackfillRequest())
    with open_project(recorded.settings, Actor()) as project:
        told = [(row.action, row.outcome) for row in project.records.audits() if row.action == "run"]
    assert told == [("run", "refused"), ("run", "done")]


@pytest.mark.parametrize(
    "request_of",
    [
        lambda: BackfillRequest(engine="dask"),  # type: ignore[arg-type]
        lambda: BackfillRequest(slices=-1),
        lambda: BackfillRequest(begin=datetime(2024, 2, 1), end=datetime(2024, 2, 1, tzinfo=UTC)),
    ],
)
def test_what_cannot_be_asked_is_refused(request_of: Any) -> None:
    with pytest.raises(UsageError):
        request_of()


def test_rows_of_a_backfill_come_from_the_files_of_their_payments(recorded: Desk) -> None:
    actor = Actor()
    backfill(actor, recorded.settings, BackfillRequest())
    late = [["u1", "2024-04-02T00:00:00Z", "A1", "A2", "5", "USD"]]
    recorded.ingest(recorded.file("later.csv", late))
    backfill(actor, recorded.settings, BackfillRequest())
    backfill(actor, recorded.settings, BackfillRequest())
    with open_project(recorded.settings, actor) as project:
        records = FeatureRecords(project.records.database)
        lineage = Lineage(records)
        held = [lineage.upstream("commit", f"payments_v2@1#{number}").of_kind("source") for number in (0, 1)]
        assert [one.rows for one in records.commits("payments_v2", 1)] == [PAYMENTS, 1]
        group = Registry(records).group("payments_v2", 1)
        # Another release may say other words of the same features.
        assert note_backfill(project, open_offline(f"delta:{project.folder}"), replace(group, description="new")) == 0
    assert [name.partition(" ")[0] for names in held for name in names] == ["payments.csv", "later.csv"]
