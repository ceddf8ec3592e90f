"""A backfill writes every payment once, resumes where it stopped, and its rows are those of the engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from greywater.config import Settings
from greywater.errors import StoreError, UsageError
from greywater.features.catalog import FeatureSet, payments_v1, payments_v2
from greywater.features.engine import Engine
from greywater.pipeline.backfill import (
    Backfilled,
    backfill,
    chunk_rows_of,
    chunks_of,
    covered,
    missing_from,
    payment_group,
    settle_group,
)
from greywater.stores.feature_ports import GroupCommit
from tests.pipeline.groups import Kept
from tests.pipeline.ledgers import MadeLedger, made_ledger
from tests.pipeline.test_slices import SHORT

SETS = {"payments_v1": payments_v1(SHORT, 1), "payments_v2": payments_v2(SHORT, 1)}


def expected_rows(ledger: MadeLedger, features: FeatureSet, known: str = "event_time") -> pa.Table:
    """The rows by hand: one engine, one block."""
    block = Engine(features, threads=1).process(ledger.table)
    own = [ledger.table["tx_id"], ledger.table["event_time"], ledger.table[known]]
    names = ["tx_id", "event_time", "known_time", *features.names]
    rows = pa.table([*own, *block.columns.columns], names=names).filter(pa.array(block.scored))
    return rows.sort_by([("event_time", "ascending"), ("tx_id", "ascending")]).combine_chunks()


def assert_same(left: pa.Table, right: pa.Table) -> None:
    """Every bit; one NaN is as good as another."""
    assert left.column_names == right.column_names
    assert left.num_rows == right.num_rows
    for name in left.column_names:
        a, b = left[name].to_numpy(), right[name].to_numpy()
        if a.dtype.kind == "f":
            assert (np.isnan(a) == np.isnan(b)).all(), name
            some = ~np.isnan(a)
            assert (a[some].view(np.int64) == b[some].view(np.int64)).all(), name
        else:
            assert (a == b).all(), name


def fill(ledger: Any, features: FeatureSet, offline: Kept, **more: Any) -> Backfilled:
    return backfill(ledger, features, offline, settle_group(offline, features), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(SETS))
@pytest.mark.parametrize("chunk_rows", [37, 1_000])
def test_rows_are_those_of_the_engine(name: str, chunk_rows: int) -> None:
    features, offline = SETS[name], Kept()
    ledger = made_ledger(4, 400, accounts=7, span_days=60, late_share=0.1)
    done = fill(ledger, features, offline, chunk_rows=chunk_rows)
    expected = expected_rows(ledger, features)
    assert_same(offline.table(name), expected)
    assert done == Backfilled(400, expected.num_rows, -(-400 // chunk_rows), 0)
    assert expected.num_rows < 400


def test_rows_can_be_known_from_when_their_payment_was_recorded() -> None:
    offline, ledger = Kept(), made_ledger(4, 150, late_share=0.5)
    fill(ledger, SETS["payments_v1"], offline, known_time="recorded_time")
    assert_same(offline.table("payments_v1"), expected_rows(ledger, SETS["payments_v1"], "recorded_time"))


@given(
    seed=st.integers(0, 1_000),
    stops=st.lists(st.integers(0, 6), max_size=4),
    sizes=st.lists(st.sampled_from((20, 33, 64)), min_size=6, max_size=6),
)
@hypothesis_settings(max_examples=15)
def test_stopped_at_any_commit_and_started_again_it_ends_the_same(
    seed: int, stops: list[int], sizes: list[int]
) -> None:
    features, offline = SETS["payments_v1"], Kept()
    ledger = made_ledger(seed, 200, accounts=5, span_days=40, late_share=0.2)
    for stop, size in zip(stops, sizes, strict=False):
        offline.fail_at = stop
        try:
            fill(ledger, features, offline, chunk_rows=size)
        except OSError:
            assert len(offline.commits("payments_v1", 1)) == stop
    offline.fail_at = -1
    fill(ledger, features, offline, chunk_rows=sizes[-1])
    assert_same(offline.table("payments_v1"), expected_rows(ledger, features))
    assert fill(ledger, features, offline) == Backfilled(present=200)


def test_a_range_is_filled_from_its_halo_and_the_rest_later() -> None:
    features, offline = SETS["payments_v2"], Kept()
    ledger = made_ledger(9, 300, accounts=6, span_days=70, late_share=0.1)
    assert fill(ledger, features, offline, start=150, stop=210).payments == 60
    done = fill(ledger, features, offline, start=100, stop=220)
    assert (done.payments, done.present, done.commits) == (60, 60, 2)
    ids = [int(name[1:]) for name in offline.table("payments_v2")["tx_id"].to_pylist()]
    assert set(ids) <= set(range(100, 220))
    fill(ledger, features, offline)
    assert_same(offline.table("payments_v2"), expected_rows(ledger, features))


def test_payments_recorded_since_are_added() -> None:
    features, offline = SETS["payments_v1"], Kept()
    whole = made_ledger(9, 300, accounts=6, span_days=70)
    fill(MadeLedger(whole.table.slice(0, 230)), features, offline, chunk_rows=100)
    done = fill(whole, features, offline, chunk_rows=100)
    assert (done.payments, done.present, done.commits) == (70, 230, 1)
    assert_same(offline.table("payments_v1"), expected_rows(whole, features))


def test_other_windows_get_a_version_of_their_own() -> None:
    offline, ledger = Kept(), made_ledger(1, 60)
    fill(ledger, SETS["payments_v1"], offline)
    other = payments_v1(SHORT.with_(timezone="Europe/Berlin"), 1)
    fill(ledger, other, offline)
    fill(ledger, SETS["payments_v1"], offline)
    fill(ledger, payments_v1(SHORT.with_(windows=(60,)), 1), offline)
    assert offline.versions() == [("payments_v1", 1), ("payments_v1", 2), ("payments_v1", 3)]
    assert [len(offline.commits("payments_v1", version)) for version in (1, 2, 3)] == [1, 1, 1]


def test_a_group_of_other_features_is_refused() -> None:
    offline, ledger = Kept(), made_ledger(1, 60)
    fill(ledger, SETS["payments_v1"], offline)
    other = payments_v1(SHORT.with_(timezone="Europe/Berlin"), 1)
    with pytest.raises(StoreError, match="another version"):
        backfill(ledger, other, offline, payment_group(SETS["payments_v1"]))  # type: ignore[arg-type]


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (7, 5), (0, 61)])
def test_a_range_that_is_not_there_is_refused(start: int, stop: int) -> None:
    with pytest.raises(UsageError, match="no payments"):
        fill(made_ledger(1, 60), SETS["payments_v1"], Kept(), start=start, stop=stop)


def test_two_rows_of_a_payment_are_found() -> None:
    def commit(start: int, stop: int) -> GroupCommit:
        return GroupCommit(0, 1, 0, None, "", {"features": "f", "start": start, "stop": stop})

    assert covered([commit(5, 9), commit(0, 5), GroupCommit(0, 1, 0, None, "")], "f") == [(0, 9)]
    with pytest.raises(StoreError, match="two rows"):
        covered([commit(0, 5), commit(4, 9)], "f")


@given(
    ranges=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6)), max_size=5), start=st.integers(0, 20),
    length=st.integers(0, 20), rows=st.integers(1, 9),
)  # fmt: skip
def test_what_is_missing_and_its_chunks_cover_all_once(
    ranges: list[tuple[int, int]], start: int, length: int, rows: int
) -> None:
    spans: list[tuple[int, int]] = []
    for low, size in sorted(ranges):
        if not spans or low > spans[-1][1]:
            spans.append((low, low + size))
    there = {seq for low, high in spans for seq in range(low, high)}
    gaps = missing_from(spans, start, start + length)
    assert [seq for gap in gaps for seq in range(*gap)] == [s for s in range(start, start + length) if s not in there]
    chunks = [chunk for gap in gaps for chunk in chunks_of(gap, rows)]
    assert [seq for chunk in chunks for seq in range(*chunk)] == [seq for gap in gaps for seq in range(*gap)]
    assert all(high - low <= rows for low, high in chunks)


def test_a_commit_is_of_a_size_that_memory_bears() -> None:
    assert chunk_rows_of(payments_v1(Settings(), 1)) >= chunk_rows_of(payments_v2(Settings(), 1)) >= 32_768


def test_progress_is_told_in_payments() -> None:
    class Told:
        def __init__(self) -> None:
            self.steps: list[tuple[str, int | None]] = []
            self.done = 0

        def step(self, name: str, total: int | None = None) -> None:
            self.steps.append((name, total))

        def advance(self, amount: int) -> None:
            self.done += amount

        def say(self, text: str) -> None:
            raise AssertionError(text)

    told = Told()
    fill(made_ledger(1, 60), SETS["payments_v1"], Kept(), chunk_rows=25, progress=told)
    assert told.steps == [("working out features", 60)]
    assert told.done == 60
