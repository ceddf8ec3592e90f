"""The main job, the backfill and parity with exposure: the project's own records say who is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import greywater as gw
from greywater.app.backfill import BackfillRequest, backfill
from greywater.app.run import RunOutcome
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.stores.open import open_offline
from greywater.vocab import Actor

DAY = 86_400
SETTINGS = Settings(
    threads=1,
    features="payments-v3",
    label_delay_days=5,
    windows=(DAY,),
    day_windows=(),
    graph_statistics_windows=(),
    graph_temporal_cycle_windows=(),
    graph_simple_cycle_windows=(),
)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunOutcome, Settings]:
    folder: Path = tmp_path_factory.mktemp("world")
    gw.make_world(folder, accounts=300, payments=4_000, days=60, seed=3)
    sides = {name: folder / f"{name}.csv" for name in ("labels", "accounts", "parties", "seeds")}
    settings = SETTINGS.with_(store=folder / "store")
    return gw.run(folder / "payments.csv", store=folder / "store", settings=settings, budget="5/day", **sides), settings


def test_a_run_works_exposure_out(outcome: tuple[RunOutcome, Settings]) -> None:
    made, _ = outcome
    assert made.features.name == "payments-v3"
    assert "receiver.in.exposed_share.30d" in made.features.names
    assert made.alerts
    assert made.verdict is not None


def test_a_backfill_says_the_same_of_known_launderers_as_the_records(outcome: tuple[RunOutcome, Settings]) -> None:
    made, settings = outcome
    done = backfill(Actor(), settings, BackfillRequest())
    offline = open_offline(f"delta:{settings.project_folder}")
    rows = pa.Table.from_batches(list(offline.scan(done.group.name, done.group.version)))
    assert rows.num_rows == len(made.replayed.seq)
    known = rows["sender.known_launderer"].to_numpy()
    near = rows["sender.out.exposed_distance.30d"].to_numpy()
    assert 0 < int(np.sum(known)) < len(known)
    assert np.all(near[known == 1] == 0)
    assert set(np.unique(near)) <= {0, 1, 2, 3, 4}
    assert np.all(
        (rows["sender.out.exposed_count.30d"].to_numpy() > 0) == (rows["sender.out.exposed_sum.30d"].to_numpy() > 0)
    )
    with open_project(settings, Actor()) as project:
        said = [project.tables.read(name).to_pylist() for name in ("seeds", "labels")]
    first = min(row["known_since"] for rows_said in said for row in rows_said)
    times = rows["event_time"].to_pylist()
    assert all(time >= first or not flag for time, flag in zip(times, known.tolist(), strict=True))
