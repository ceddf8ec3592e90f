"""A backfill of chosen features: a group of their own, named on the command line or by a view."""

from __future__ import annotations

import json
import random
from typing import Any

import pyarrow as pa
import pytest

from greywater.app.backfill import BackfillRequest, backfill, features_named
from greywater.app.features import feature_store
from greywater.cli.main import run
from greywater.errors import StoreError, UsageError
from greywater.featurestore.definitions import FeatureView, ViewFeature
from greywater.stores.open import open_offline
from greywater.vocab import Actor
from tests.app.conftest import Desk

NAMES = ("payment.amount", "sender.out.sum.7d", "chain.hops.3d")


@pytest.fixture
def recorded(desk: Desk) -> Desk:
    draw = random.Random(4)
    rows = [
        [
            f"t{k}", f"2024-01-{1 + k // 4:02}T{k % 24:02}:10:00Z", f"A{draw.randrange(5)}", f"A{draw.randrange(5)}",
            str(draw.randrange(1, 9_999)), "USD",
        ]
        for k in range(60)
    ]  # fmt: skip
    desk.ingest(desk.file("payments.csv", rows))
    return desk


def rows_of(desk: Desk, group: str, version: int = 1) -> pa.Table:
    offline = open_offline(f"delta:{desk.settings.project_folder}")
    rows = pa.Table.from_batches(list(offline.scan(group, version)))
    return rows.sort_by([("event_time", "ascending"), ("tx_id", "ascending")])


def test_chosen_features_fill_a_group_of_their_own_with_the_values_of_the_whole(recorded: Desk) -> None:
    backfill(Actor(), recorded.settings, BackfillRequest())
    few = backfill(Actor(), recorded.settings, BackfillRequest(features=NAMES))
    assert (few.group.name, few.group.version, few.done.rows) == ("payments_v2_chosen", 1, 60)
    whole, chosen = rows_of(recorded, "payments_v2"), rows_of(recorded, "payments_v2_chosen")
    assert set(chosen.column_names) >= set(NAMES)
    assert len(chosen.column_names) < len(NAMES) + 10
    for name in NAMES:
        assert str(chosen[name].to_pylist()) == str(whole[name].to_pylist())
    again = backfill(Actor(), recorded.settings, BackfillRequest(features=NAMES[::-1]))
    assert (again.group.version, again.done.present) == (1, 60)
    other = backfill(Actor(), recorded.settings, BackfillRequest(features=NAMES[:1]))
    assert (other.group.version, other.done.rows) == (2, 60)


def test_the_command_takes_names_or_a_view(recorded: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    def filled(words: str) -> dict[str, Any]:
        with pytest.raises(SystemExit) as end:
            run(["features", "backfill", "--store", str(recorded.settings.store), "--json", "-", "--features", words])
        assert not end.value.code
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told

    assert filled(" sender.out.sum.7d,payment.amount, chain.hops.3d")["group"] == "payments_v2_chosen"
    actor = Actor()
    with feature_store(actor, recorded.settings, "write_features", "a view") as (held, _):
        columns = tuple(ViewFeature("payments_v2_chosen", 1, name) for name in NAMES[:2])
        held.registry.register_view(FeatureView("risk", 1, columns), actor)
    assert features_named(actor, recorded.settings, "risk@1") == NAMES[:2]
    assert filled("risk")["version"] == 2


def test_requests_fill_a_group_as_any_feature_does(recorded: Desk) -> None:
    name = "sender.out.count.30d[amount 10..5000, channel other]"
    filled = backfill(Actor(), recorded.settings, BackfillRequest(features=(name, "sender.out.count.720h")))
    rows = rows_of(recorded, filled.group.name)
    assert filled.group.by_name[name].dtype == "int64"
    assert 0 < sum(rows[name].to_pylist()) <= sum(rows["sender.out.count.30d"].to_pylist())


def test_names_in_brackets_keep_their_commas(recorded: Desk) -> None:
    words = "sender.out.count.2d[amount 8500..9999, channel cash], payment.amount,"
    names = features_named(Actor(), recorded.settings, words)
    assert names == ("sender.out.count.2d[amount 8500..9999, channel cash]", "payment.amount")


def test_what_names_no_feature_is_refused(recorded: Desk) -> None:
    with pytest.raises(StoreError, match="risk"):
        features_named(Actor(), recorded.settings, "risk")
    with pytest.raises(UsageError, match="names no version"):
        features_named(Actor(), recorded.settings, "risk@first")
    with pytest.raises(UsageError, match="not one of the features"):
        backfill(Actor(), recorded.settings, BackfillRequest(features=("pair.times_after",)))
