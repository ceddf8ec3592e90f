"""Training sets of the real join over real stores: those of the slow join, and made again after all has gone on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greywater.featurestore.part_files import FileLayout
from greywater.featurestore.splits import RandomSplit, TimeSplit
from greywater.featurestore.training_record import TrainingQuery, TrainingRecord
from greywater.featurestore.training_set import remake, training_set
from greywater.featurestore.writers import read_training_set, write_training_set, write_training_set_again
from greywater.stores.offline_delta import DeltaOffline
from greywater.stores.offline_memory import MemoryOffline
from tests.featurestore.training_world import DAY, END, GROUPS, VIEW, bank, fill, label_rows, make

Opened = Callable[[], Any]


@pytest.fixture(params=["memory", "delta"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Opens the store of this test; Delta anew each time."""
    if request.param == "delta":
        return lambda: DeltaOffline(tmp_path / "store")
    memory = MemoryOffline()
    return lambda: memory


def query(**changed: Any) -> TrainingQuery:
    given: dict[str, Any] = {"row_id": "tx", "as_known_at": 25 * DAY, "split": RandomSplit(), **changed}
    return TrainingQuery("march", 1, 2 * DAY, END, **given)


@pytest.mark.parametrize("seed", [3, 4])
def test_the_set_is_that_of_the_slow_join(opened: Opened, seed: int) -> None:
    fill(opened(), seed)
    labels = label_rows(seed)
    given = {"split": TimeSplit(purge_days=1), "keep": ("segment",)}
    made = training_set(
        VIEW, GROUPS, opened(), labels, start=2 * DAY, end=END, name="march", row_id="tx", as_known_at=25 * DAY, **given
    )
    slow = make(bank(seed), labels, **given)
    assert repr(made.table.to_pylist()) == repr(slow.table.to_pylist())
    assert made.record.sha256 == slow.record.sha256


def test_a_set_is_made_again_bit_for_bit_after_commits_corrections_and_compaction(
    opened: Opened, tmp_path: Path
) -> None:
    offline, labels = opened(), label_rows()
    fill(offline, 3)
    written = write_training_set(query(), VIEW, GROUPS, offline, labels, tmp_path / "set", chunk_rows=13)
    fill(opened(), 77, commits=5)
    for name, version in GROUPS:
        opened().compact(name, version)
    record = TrainingRecord.from_json(written.record.to_json())
    again = remake(record, GROUPS, opened(), labels)
    assert repr(again.table.to_pylist()) == repr(read_training_set(tmp_path / "set").table.to_pylist())
    rewritten = write_training_set_again(record, GROUPS, opened(), labels, tmp_path / "again", FileLayout())
    assert [file.rows for file in rewritten.files] == [file.rows for file in written.files]
    grown = training_set(
        VIEW, GROUPS, opened(), labels, start=2 * DAY, end=END, name="n", row_id="tx", as_known_at=25 * DAY
    )
    assert grown.record.sha256 != record.sha256
    assert grown.record.commits == dict.fromkeys(GROUPS, 7)


def test_a_group_without_a_commit_is_known_as_such(opened: Opened) -> None:
    for group in GROUPS.values():
        opened().create(group.layout)
    labels = label_rows()
    made = training_set(VIEW, GROUPS, opened(), labels, start=0, end=END, name="empty", row_id="tx")
    fill(opened(), 3)
    again = remake(made.record, GROUPS, opened(), labels)
    assert again.table["score"].null_count == made.table.num_rows > 0
    assert again.table.equals(made.table)
