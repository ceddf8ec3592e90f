"""Large worlds with laundering on disk: every file read by the strict readers, the same bytes whatever the threads."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from greywater.formats.alert_files import read_alerts
from greywater.formats.detect import open_source
from greywater.formats.patterns import read_patterns
from greywater.formats.rates import Rates
from greywater.formats.records import read_accounts, read_labels, read_parties, read_relationships, read_seeds
from greywater.synth.demo_world import make_demo_world
from greywater.synth.hard_mode import HardMode
from greywater.synth.laundered_world import LaunderedWorld, make_laundered_world
from greywater.synth.planned import TYPOLOGIES
from greywater.synth.presets import WorldPlan, world_plan

PLAN = replace(world_plan("hi-small", payments=30_000, accounts=2_000, days=120, seed=5), laundering=300)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def digests(world: LaunderedWorld) -> dict[str, str]:
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in world.files.items()}


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> LaunderedWorld:
    return make_laundered_world(tmp_path_factory.mktemp("hard"), PLAN, hard=HardMode())


def test_all_files_are_read_without_a_row_set_aside(hard: LaunderedWorld) -> None:
    files = hard.files
    assert set(files) == {
        "payments", "accounts", "parties", "relationships", "seeds", "labels", "truth", "attempts", "rates", "alerts",
        "outcomes",
    }  # fmt: skip
    readers = {
        "accounts": read_accounts, "parties": read_parties, "relationships": read_relationships, "seeds": read_seeds,
        "labels": read_labels,
    }  # fmt: skip
    for name, reader in readers.items():
        read = reader(files[name])
        assert read.rejected.num_rows == 0, name
        assert read.rows.num_rows > 0, name
    assert Rates.read(files["rates"], base="USD") is not None
    for name, need in (("alerts", ("alert_id", "party", "time", "rule")), ("outcomes", ("alert_id", "outcome"))):
        alerts = read_alerts(files[name], need=need)
        assert alerts.rejected.num_rows == 0
        assert alerts.rows.num_rows == len(hard.watched.alerts)  # type: ignore[union-attr]


def test_the_truth_names_the_payments(hard: LaunderedWorld) -> None:
    payments = {row["tx_id"]: row for row in rows_of(hard.files["payments"])}
    truth = rows_of(hard.files["truth"])
    assert len(payments) == PLAN.payments
    assert sum(row["laundering"] == "1" for row in truth) == len(hard.laundering.payments)
    planned, population = hard.laundering.payments, hard.world.population
    names = [f"{number:09X}" for number in population.number.tolist()]
    for place, row in enumerate(hard.rows[: len(planned)].tolist()):
        payment = payments[f"T{row + 1:08d}"]
        assert payment["sender"] == names[planned.sender[place]]
        assert payment["receiver"] == names[planned.receiver[place]]
    attempts = json.loads(hard.files["attempts"].read_text())["attempts"]
    by_id = {str(attempt["id"]): attempt for attempt in attempts}
    for line in truth:
        if line["typology"]:
            assert by_id[line["attempt"]]["typology"] == line["typology"]
            assert payments[line["tx_id"]]["sender"] in by_id[line["attempt"]]["accounts"]


def test_labels_are_no_truth(hard: LaunderedWorld) -> None:
    guilty = {row["tx_id"] for row in rows_of(hard.files["truth"]) if row["laundering"] == "1"}
    labels = rows_of(hard.files["labels"])
    positive = {row["tx_id"] for row in labels if row["label"] == "1"}
    assert guilty - positive
    assert positive & guilty
    assert {row["typology"] for row in labels} <= {"", *TYPOLOGIES}
    assert all(row["known_since"] for row in labels)


def test_the_same_bytes_whatever_threads_and_chunks(hard: LaunderedWorld, tmp_path: Path) -> None:
    again = make_laundered_world(tmp_path, PLAN, hard=HardMode(), threads=1, chunk_rows=777)
    assert digests(again) == digests(hard)
    other = make_laundered_world(tmp_path / "other", replace(PLAN, seed=6), hard=HardMode())
    assert all(digests(other)[name] != digest for name, digest in digests(hard).items() if name != "rates")


@pytest.mark.parametrize("form", ["own", "amlworld", "amlsim"])
def test_as_published(tmp_path: Path, form: str) -> None:
    plan: WorldPlan = world_plan("hi-small", payments=40_000)
    world = make_laundered_world(tmp_path, plan, form=form)  # type: ignore[arg-type]
    assert len(world.laundering.payments) >= plan.laundering
    assert world.watched is None
    assert not world.lookalikes.groups
    if form == "amlworld":
        lines = set(world.files["payments"].read_text().splitlines())
        attempts = read_patterns(world.files["patterns"])
        assert len(attempts) == len(world.laundering.attempts)
        for attempt in attempts:
            assert {",".join(payment) for payment in attempt.payments} <= lines
        chunks = list(open_source(world.files["payments"]).chunks())
        told = Counter(name for chunk in chunks for name in chunk.payments["typology"].to_pylist() if name)
        assert told == Counter(attempt.typology for attempt in attempts for _ in attempt.payments)
        assert sum(chunk.rejected.num_rows for chunk in chunks) == 0
    if form == "own":
        labels = rows_of(world.files["labels"])
        assert {row["label"] for row in labels} == {"1"}
        assert np.mean([bool(row["typology"]) for row in labels]) > 0.4


def test_the_world_of_the_demo_is_a_hard_one(tmp_path: Path) -> None:
    made = make_demo_world(tmp_path, payments=20_000, seed=3)
    assert made.world.payments == len(rows_of(made.files["payments"])) == 20_000
    assert len(made.laundering.payments) >= 100
    assert {attempt.typology for attempt in made.laundering.attempts} == set(TYPOLOGIES)
    assert made.lookalikes.groups
    assert made.watched is not None
    assert {"labels", "accounts", "parties", "relationships", "seeds", "rates"} <= set(made.files)
