"""The made-up world: counts, order, causal laundering, no payment before its account, the same bytes every time."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from greywater.errors import StoreAccessError, UsageError
from greywater.formats.rates import Rates
from greywater.formats.records import read_accounts, read_labels, read_parties, read_relationships, read_seeds
from greywater.synth.shapes import SHAPES
from greywater.synth.world import WorldSummary, make_world

SMALL: dict[str, Any] = {"accounts": 700, "payments": 12_000, "days": 60, "seed": 3}
Row = dict[str, str]


def rows_of(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def digests(summary: WorldSummary) -> dict[str, str]:
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in summary.files.items()}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> WorldSummary:
    return make_world(tmp_path_factory.mktemp("world"), **SMALL)


@pytest.fixture(scope="module")
def payments(world: WorldSummary) -> list[Row]:
    return rows_of(world.files["payments"])


@pytest.fixture(scope="module")
def labels(world: WorldSummary) -> dict[str, Row]:
    return {row["tx_id"]: row for row in rows_of(world.files["labels"])}


@pytest.fixture(scope="module")
def truth(world: WorldSummary) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(world.files["attempts"].read_text())
    return content


def test_counts(world: WorldSummary, payments: list[Row], labels: dict[str, Row]) -> None:
    assert len(payments) == world.payments == 12_000
    assert len({row["tx_id"] for row in payments}) == 12_000
    assert set(labels) == {row["tx_id"] for row in payments}
    assert sum(row["label"] == "1" for row in labels.values()) == world.dirty
    assert len(rows_of(world.files["accounts"])) == world.accounts == 700
    assert set(world.attempts) == set(SHAPES)
    assert min(world.attempts.values()) >= 1


def test_payments_are_in_order_of_time_with_plain_ids_and_no_label(payments: list[Row]) -> None:
    assert "label" not in payments[0]
    times = [row["event_time"] for row in payments]
    assert times == sorted(times)
    assert [row["tx_id"] for row in payments] == [f"T{number:08d}" for number in range(1, 12_001)]
    assert all(row["sender"] != row["receiver"] for row in payments)
    assert {row["currency"] for row in payments} == {"USD"}


def test_no_payment_before_the_account_is_open(world: WorldSummary, payments: list[Row]) -> None:
    opened = {row["account"]: row["opened"] for row in rows_of(world.files["accounts"])}
    assert all(row["event_time"] >= max(opened[row["sender"]], opened[row["receiver"]]) for row in payments)
    assert max(opened.values()) > payments[0]["event_time"]


def test_labels_are_the_payments_of_the_attempts(truth: dict[str, Any], labels: dict[str, Row]) -> None:
    told = {tx_id: attempt["shape"] for attempt in truth["attempts"] for tx_id in attempt["payments"]}
    assert told == {tx_id: row["typology"] for tx_id, row in labels.items() if row["label"] == "1"}
    benign = {tx_id for group in truth["lookalikes"] for tx_id in group["payments"]}
    assert benign
    assert not benign & set(told)


def test_a_label_is_known_days_after_its_payment(payments: list[Row], labels: dict[str, Row]) -> None:
    for row in payments:
        label = labels[row["tx_id"]]
        assert bool(label["known_since"]) == bool(label["typology"]) == (label["label"] == "1")
        if label["known_since"]:
            wait = datetime.fromisoformat(label["known_since"]) - datetime.fromisoformat(row["event_time"])
            assert 1 <= wait.total_seconds() / 86_400 <= 60


def test_laundered_money_is_passed_on_after_it_came(truth: dict[str, Any], payments: list[Row]) -> None:
    by_id = {row["tx_id"]: row for row in payments}
    checked = 0
    for attempt in truth["attempts"]:
        legs = [by_id[tx_id] for tx_id in attempt["payments"]]
        came: dict[str, list[Row]] = defaultdict(list)
        went: dict[str, list[Row]] = defaultdict(list)
        for leg in legs:
            came[leg["receiver"]].append(leg)
            went[leg["sender"]].append(leg)
        origin = legs[0]["sender"] if attempt["shape"] == "cycle" else ""
        for account in (came.keys() & went.keys()) - {origin}:
            assert min(leg["event_time"] for leg in went[account]) > max(leg["event_time"] for leg in came[account])
            share = sum(float(leg["amount"]) for leg in went[account]) / sum(
                float(leg["amount"]) for leg in came[account]
            )
            assert 0.85 - 1e-9 <= share <= 1.0 + 1e-9
            checked += 1
        if attempt["shape"] == "cycle":
            assert legs[-1]["receiver"] == origin
    assert checked >= 20


def test_launderers_also_live_an_ordinary_life(truth: dict[str, Any], payments: list[Row]) -> None:
    laundering = {tx_id for attempt in truth["attempts"] for tx_id in attempt["payments"]}
    members = {account for attempt in truth["attempts"] for account in attempt["accounts"]}
    ordinary = {
        party for row in payments if row["tx_id"] not in laundering for party in (row["sender"], row["receiver"])
    }
    assert len(members & ordinary) >= 0.95 * len(members)


def test_account_ids_do_not_tell_launderers(world: WorldSummary, truth: dict[str, Any]) -> None:
    accounts = sorted(row["account"] for row in rows_of(world.files["accounts"]))
    place = {account: rank / len(accounts) for rank, account in enumerate(accounts)}
    members = {account for attempt in truth["attempts"] for account in attempt["accounts"]}
    assert 0.38 < np.mean([place[account] for account in members]) < 0.62


def test_side_records_are_read_without_a_rejected_row(world: WorldSummary, truth: dict[str, Any]) -> None:
    files = world.files
    readers = {
        "labels": read_labels, "accounts": read_accounts, "parties": read_parties,
        "relationships": read_relationships, "seeds": read_seeds,
    }  # fmt: skip
    read = {name: reader(files[name]) for name, reader in readers.items()}
    assert all(found.rejected.num_rows == 0 for found in read.values())
    assert read["relationships"].rows.num_rows == world.relationships
    customers = set(read["parties"].rows["customer"].to_pylist())
    assert len(customers) == world.customers
    assert set(read["accounts"].rows["customer"].to_pylist()) == customers
    ties = read["relationships"].rows
    assert set(ties["from_customer"].to_pylist()) | set(ties["to_customer"].to_pylist()) <= customers
    assert len(set(ties["kind"].to_pylist())) >= 6
    pairs = set(zip(ties["from_customer"].to_pylist(), ties["to_customer"].to_pylist(), strict=True))
    gangs = [set(gang["customers"]) for gang in truth["gangs"]]
    assert sum(any({one, other} <= gang for gang in gangs) for one, other in pairs) >= 2 * len(gangs)


def test_seeds_are_launderers_found_after_their_attempt(world: WorldSummary, truth: dict[str, Any]) -> None:
    seeds = rows_of(world.files["seeds"])
    owner = {row["account"]: row["customer"] for row in rows_of(world.files["accounts"])}
    first: dict[str, str] = {}
    for attempt in truth["attempts"]:
        for account in attempt["accounts"]:
            first[owner[account]] = min(first.get(owner[account], "9"), attempt["end"])
    assert len(seeds) == world.seeds >= 1
    for seed in seeds:
        customer = seed["customer"] or owner[seed["account"]]
        assert first[customer] < seed["known_since"] < world.end.isoformat()


def test_the_same_bytes_every_time_and_whatever_the_hash_seed(world: WorldSummary, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from greywater.synth.world import make_world; "
        "make_world(Path(sys.argv[1]), accounts=700, payments=12_000, days=60, seed=3)"
    )
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment)
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(tmp_path.iterdir())} == {
        path.name: digests(world)[name] for name, path in world.files.items()
    }


def test_another_seed_is_another_world(world: WorldSummary, tmp_path: Path) -> None:
    other = make_world(tmp_path, **(SMALL | {"seed": 4}))
    mine, others = digests(world), digests(other)
    assert all(mine[name] != others[name] for name in mine)


def test_foreign_accounts_come_with_rates(tmp_path: Path) -> None:
    small = SMALL | {"payments": 3_000, "foreign_share": 0.2}
    world = make_world(tmp_path, **small, payments_as="parquet")
    table = pq.read_table(world.files["payments"])
    assert set(table["currency"].to_pylist()) == {"USD", "EUR", "GBP"}
    rates = Rates.read(world.files["rates"])
    days = np.array([int(text[8:10]) for text in table["event_time"].to_pylist()], dtype=np.int32) + 19_722
    amounts = np.array([round(float(text) * 100) for text in table["amount"].to_pylist()], dtype=np.int64)
    base, known = rates.convert(amounts, table["currency"], days)
    assert known.all()
    assert (base > 0).all()
    assert rates.rejected.num_rows == 0


def test_progress_is_told(tmp_path: Path) -> None:
    class Told:
        def __init__(self) -> None:
            self.total, self.done = 0, 0

        def step(self, name: str, total: int | None = None) -> None:
            self.total = total or 0

        def advance(self, amount: int) -> None:
            self.done += amount

        def say(self, text: str) -> None:
            raise AssertionError(text)

    told = Told()
    make_world(tmp_path, **(SMALL | {"payments": 2_000}), progress=told)
    assert told.done == told.total == 4


@pytest.mark.parametrize(
    ("name", "value"), [("accounts", 10), ("payments", 5), ("days", 2), ("foreign_share", 1.5), ("foreign_share", -1)]
)
def test_worlds_too_small_to_live_in(tmp_path: Path, name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        make_world(tmp_path, **(SMALL | {name: value}))


def test_the_smallest_world_has_all_shapes(tmp_path: Path) -> None:
    world = make_world(tmp_path, accounts=300, payments=1_000, days=14, seed=1)
    assert world.payments == 1_000
    assert set(world.attempts) == set(SHAPES)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreAccessError, match="no folder"):
        make_world(tmp_path / "taken", **SMALL)


def area(label: np.ndarray, value: np.ndarray) -> float:
    """Area under the ROC curve of one column, whichever way round it is better; ties count half."""
    _, place, count = np.unique(value, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    positive = label == 1
    wins = rank[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    found = float(wins / (positive.sum() * (~positive).sum()))
    return max(found, 1 - found)


def share_dirty(label: np.ndarray, value: list[str]) -> np.ndarray:
    """For each row the share of laundering among the rows of the same value: the best that one column can say."""
    _, place, count = np.unique(value, return_inverse=True, return_counts=True)
    return (np.bincount(place, weights=label) / count)[place]


def test_no_single_column_gives_laundering_away(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    assert 500 <= world.payments / world.dirty <= 800
    payments = rows_of(world.files["payments"])
    label = np.array([int(row["label"]) for row in rows_of(world.files["labels"])])
    senders: dict[str, set[str]] = defaultdict(set)
    receivers: dict[str, set[str]] = defaultdict(set)
    for row in payments:
        senders[row["receiver"]].add(row["sender"])
        receivers[row["sender"]].add(row["receiver"])
    columns = {
        "amount": [float(row["amount"]) for row in payments],
        "channel": share_dirty(label, [row["channel"] for row in payments]),
        "hour": share_dirty(label, [row["event_time"][11:13] for row in payments]),
        "receiver in-degree": [len(senders[row["receiver"]]) for row in payments],
        "sender out-degree": [len(receivers[row["sender"]]) for row in payments],
        "place in the file": range(len(payments)),
    }
    areas = {name: area(label, np.array(values, dtype=np.float64)) for name, values in columns.items()}
    assert max(areas.values()) < 0.75, areas
