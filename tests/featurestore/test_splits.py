"""Splits: cuts at the start of a timestamp, gaps, hashes that do not care for order, groups on one side."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.errors import EmptyInputError, UsageError
from greywater.featurestore.splits import (
    GroupSplit,
    RandomSplit,
    Split,
    TimeSplit,
    assign_parts,
    report_parts,
    split_from_json,
    split_to_json,
)
from greywater.stores.fingerprints import siphash128
from tests.featurestore.training_world import DAY, times

SHARES = st.sampled_from([(0.6, 0.2, 0.2), (0.7, 0.1, 0.2), (0.5, 0.0, 0.5), (0.8, 0.2, 0.0), (1.0, 0.0, 0.0)])


def rows_at(at: list[int]) -> pa.Table:
    return pa.table({"id": [f"r{k}" for k in range(len(at))], "event_time": times(at)})


def parts_of(split: Split | None, rows: pa.Table) -> list[int]:
    return assign_parts(split, rows, row_id="id", time_column="event_time")[0].tolist()


def slow_time_split(at: list[int], shares: tuple[float, float, float], gap: int) -> list[int]:
    """Walk along the sorted times and move each cut back while the row before bears the same timestamp."""
    ordered = sorted(at)
    bounds = [Fraction(str(shares[0])), Fraction(str(shares[0])) + Fraction(str(shares[1]))]
    cuts = []
    for bound in bounds:
        place = int(len(at) * bound)
        if place == len(at):
            continue
        while place > 0 and ordered[place - 1] == ordered[place]:
            place -= 1
        cuts.append(ordered[place])
    return [-1 if any(cut - gap <= t < cut for cut in cuts) else sum(t >= cut for cut in cuts) for t in at]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=1, max_size=40), SHARES, st.integers(0, 4))
def test_a_split_by_time_is_that_of_the_slow_twin(at: list[int], shares: tuple[float, float, float], gap: int) -> None:
    expected = slow_time_split(at, shares, gap)
    split = TimeSplit(*shares, purge_days=gap / DAY)
    if 0 not in expected:
        with pytest.raises(EmptyInputError, match="train"):
            parts_of(split, rows_at(at))
        return
    assert parts_of(split, rows_at(at)) == expected


def test_moments_cut_where_they_are_and_one_leaves_out_validation() -> None:
    at = [0, 1, DAY, 2 * DAY, 3 * DAY]
    first, second = datetime(1970, 1, 2, tzinfo=UTC), datetime(1970, 1, 4)
    assert parts_of(TimeSplit(moments=(first, second)), rows_at(at)) == [0, 0, 1, 1, 2]
    assert parts_of(TimeSplit(moments=(first,)), rows_at(at)) == [0, 0, 2, 2, 2]
    with pytest.raises(UsageError, match="ascending"):
        TimeSplit(moments=(second, first))


def test_a_gap_leaves_out_the_end_of_the_earlier_part_only() -> None:
    at = [k * DAY for k in range(10)]
    split = TimeSplit(0.5, 0.3, 0.2, purge_days=1.5)
    assert parts_of(split, rows_at(at)) == [0, 0, 0, 0, -1, 1, 1, -1, 2, 2]


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(40)), st.integers(0, 3), SHARES, st.booleans())
def test_a_random_split_does_not_depend_on_the_order_of_rows(
    order: list[int], seed: int, shares: tuple[float, float, float], stratified: bool
) -> None:
    rows = rows_at(list(range(40))).append_column("y", pa.array([k % 3 for k in range(40)]))
    split = RandomSplit(*shares, seed=seed, stratify="y" if stratified else "")
    straight = parts_of(split, rows)
    assert parts_of(split, rows.take(pa.array(order))) == [straight[k] for k in order]


def test_a_random_split_keeps_its_rows_when_rows_are_added_and_is_pinned() -> None:
    rows = rows_at(list(range(2000)))
    split = RandomSplit(seed=7)
    parts = parts_of(split, rows)
    assert parts_of(split, rows.slice(0, 900)) == parts[:900]
    shares = np.bincount(parts) / 2000
    assert np.abs(shares - [0.6, 0.2, 0.2]).max() < 0.04
    key = hashlib.blake2b(b"greywater split by row, seed 7", digest_size=16).digest()
    hashes = siphash128(rows["id"].combine_chunks(), key)[:, 0]
    expected = [0 if h >> 2 < 0.6 * 2**62 else 1 if h >> 2 < 0.8 * 2**62 else 2 for h in hashes.tolist()]
    assert parts == expected
    assert parts != parts_of(RandomSplit(seed=8), rows)


def test_whole_numbers_fall_as_their_text() -> None:
    at = times([0] * 50)
    numbers = pa.table({"id": list(range(50)), "event_time": at})
    texts = pa.table({"id": [str(k) for k in range(50)], "event_time": at})
    assert parts_of(RandomSplit(), numbers) == parts_of(RandomSplit(), texts)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", None]), min_size=30, max_size=90), st.integers(0, 5))
def test_a_stratified_split_gives_each_value_its_share_to_the_row(values: list[str | None], seed: int) -> None:
    rows = rows_at(list(range(len(values)))).append_column("y", pa.array(values, pa.string()))
    parts = parts_of(RandomSplit(0.5, 0.25, 0.25, seed=seed, stratify="y"), rows)
    for value in set(values):
        mine = [part for part, own in zip(parts, values, strict=True) if own == value]
        n = len(mine)
        assert mine.count(0) == int(n * 0.5 + 0.5)
        assert mine.count(0) + mine.count(1) == int(n * 0.75 + 0.5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([f"C{k}" for k in range(12)] + [None]), min_size=1, max_size=60), st.integers(0, 9))
def test_all_rows_of_a_customer_are_on_one_side(customers: list[str | None], seed: int) -> None:
    rows = rows_at(list(range(len(customers)))).append_column("customer", pa.array(customers, pa.string()))
    sides: dict[Any, set[int]] = defaultdict(set)
    try:
        parts = parts_of(GroupSplit("customer", seed=seed), rows)
    except EmptyInputError:
        return
    for customer, part in zip(customers, parts, strict=True):
        sides[customer].add(part)
    assert all(len(side) == 1 for side in sides.values())


def test_a_random_split_by_another_column_keeps_equal_values_together() -> None:
    rows = rows_at(list(range(60))).append_column("device", pa.array([f"d{k % 7}" for k in range(60)]))
    by_device = parts_of(RandomSplit(by="device"), rows)
    assert len({(k % 7, part) for k, part in enumerate(by_device)}) == 7


def test_the_report_counts_rows_bounds_and_labels() -> None:
    at = [5, 1, 3, 9, 8]
    labels = pa.chunked_array([pa.array([1, 0, None, 1, 0], pa.int8())])
    parts = np.array([0, 0, 0, 2, -1], np.int8)
    train, validation, test, left_out = report_parts(parts, np.array(at), labels, whole=False)
    assert (train.rows, train.first_us, train.last_us, train.labelled) == (3, 1, 5, 2)
    assert (train.classes, train.label_rate) == ({"0": 1, "1": 1}, 0.5)
    assert (validation.rows, validation.first_us, validation.label_rate) == (0, None, None)
    assert (test.name, test.label_rate) == ("test", 1.0)
    assert (left_out.name, left_out.rows) == ("left_out", 1)
    whole = report_parts(np.zeros(5, np.int8), np.array(at), pa.chunked_array([["x", "y", "x", "x", "x"]]), whole=True)
    assert [(part.name, part.classes, part.label_rate) for part in whole] == [("all", {"x": 4, "y": 1}, None)]


def test_every_split_has_a_form_in_json() -> None:
    splits: list[Split | None] = [
        None, TimeSplit(0.7, 0.1, 0.2, purge_days=2), TimeSplit(moments=(datetime(2024, 3, 1),)),
        RandomSplit(seed=4, stratify="y"), GroupSplit("customer", 0.5, 0.5, 0.0),
    ]  # fmt: skip
    assert [split_from_json(split_to_json(split)) for split in splits] == splits
    with pytest.raises(UsageError, match="kind of split"):
        split_from_json({"kind": "fortune"})


def test_what_cannot_be_split_is_refused() -> None:
    for wrong in ((0.5, 0.5, 0.5), (1.2, -0.2, 0.0), (0.0, 0.5, 0.5)):
        with pytest.raises(UsageError, match="shares"):
            RandomSplit(*wrong)
    with pytest.raises(UsageError, match="group's column"):
        GroupSplit("")
    with pytest.raises(UsageError, match="gap"):
        TimeSplit(purge_days=-1)
    rows = rows_at([random.Random(1).randrange(9) for _ in range(5)])
    for split in (GroupSplit("customer"), RandomSplit(by="customer"), RandomSplit(stratify="customer")):
        with pytest.raises(UsageError, match="'customer'"):
            parts_of(split, rows)
    with pytest.raises(EmptyInputError, match="no row"):
        parts_of(None, rows.slice(0, 0))
    with pytest.raises(EmptyInputError, match="train"):
        parts_of(TimeSplit(), rows_at([4, 4, 4]))
