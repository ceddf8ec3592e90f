"""Suspicion as of a payment: the slow obvious way agrees, and the pieces in which payments come change no bit."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.features.exposure import KnownLaunderers
from greywater.features.suspicion import SuspicionJoin
from greywater.vocab import EXTERNAL_PREFIX
from tests.naive_suspicion import naive_suspicion

DAY = 86_400_000_000
ACCOUNTS = ["a", "b", "c", "d", "e", f"{EXTERNAL_PREFIX}shop"]
Row = tuple[int, str, str, int]


def batch(rows: list[Row], first: int = 0) -> pa.RecordBatch:
    time, sender, receiver, amount = zip(*rows, strict=True)
    return pa.record_batch(
        {
            "seq": np.arange(first, first + len(rows)),
            "event_time": pa.array(time, pa.timestamp("us", tz="UTC")),
            "sender": list(sender),
            "receiver": list(receiver),
            "base_amount": list(amount),
        }
    )


def through(join: SuspicionJoin, rows: list[Row], cuts: list[int]) -> np.ndarray:
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(rows)}), len(rows)]
    parts = [join.columns(batch(rows[begin:end], begin)) for begin, end in itertools.pairwise(bounds) if end]
    return np.array([np.concatenate([np.asarray(part[side]) for part in parts]) for side in (0, 1)])


payment = st.tuples(
    st.integers(0, 12 * DAY), st.sampled_from(ACCOUNTS), st.sampled_from(ACCOUNTS), st.integers(0, 10_000)
)
known = st.tuples(
    st.sampled_from(["a", "b", "stranger", "e"]), st.integers(-2, 3), st.integers(0, 10 * DAY), st.integers(-1, 20),
    st.booleans(),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(payment, min_size=1, max_size=40), st.lists(known, max_size=8), st.lists(st.integers(1, 39)))
def test_it_is_what_the_slow_way_finds_however_it_is_cut(
    rows: list[Row], records: list[tuple[str, int, int, int, bool]], cuts: list[int]
) -> None:
    # Mostly in order of time, some late.
    rows = sorted(rows[: len(rows) * 3 // 4]) + rows[len(rows) * 3 // 4 :]
    said = KnownLaunderers.of(records)
    whole = through(SuspicionJoin(said, keep_days=3), rows, [])
    np.testing.assert_array_equal(through(SuspicionJoin(said, keep_days=3), rows, cuts), whole)
    np.testing.assert_array_equal(through(SuspicionJoin(said, keep_days=3), rows, list(range(1, 40))), whole)
    np.testing.assert_allclose(whole, naive_suspicion(rows, records, keep_days=3), atol=1e-4)


def test_a_ring_that_is_found_out_later_throws_no_suspicion_before() -> None:
    rows: list[Row] = [(day * DAY + 1, "a", "b", 100) for day in range(6)]
    said = KnownLaunderers.of([("a", -2, 3 * DAY, -1, True)])
    sender, receiver = through(SuspicionJoin(said), rows, [])
    assert sender.tolist()[:3] == [0.0] * 3
    assert receiver.tolist()[:3] == [0.0] * 3
    assert sender[3] == pytest.approx(1.0)
    assert receiver[3] == pytest.approx(0.85)


def test_the_record_after_a_payment_is_not_seen_on_its_day() -> None:
    rows: list[Row] = [(1, "a", "b", 100), (DAY + 1, "a", "b", 100), (2 * DAY + 1, "a", "b", 100)]
    said = KnownLaunderers.of([("a", -2, 0, 1, True)])
    sender, _ = through(SuspicionJoin(said), rows, [])
    assert sender.tolist() == [0.0, 0.0, pytest.approx(1.0)]


def test_a_seed_that_pays_for_the_first_time_is_suspect_at_once() -> None:
    rows: list[Row] = [(1, "a", "b", 100), (2, "seed", "c", 100), (DAY + 5, "c", "d", 7)]
    said = KnownLaunderers.of([("seed", -2, 0, -1, True)])
    sender, receiver = through(SuspicionJoin(said), rows, [])
    assert sender[1] == 1.0
    assert receiver[1] == 0.0
    assert sender[2] == pytest.approx(0.85)


def test_a_payment_without_a_rate_weighs_nothing() -> None:
    rows = [(1, "a", "b", 500), (2, "a", "c", 0), (3, "c", "d", 20), (DAY + 1, "b", "c", 7), (2 * DAY, "c", "d", 9)]
    records = KnownLaunderers.of([("a", -2, 0, -1, True)])
    whole = batch(rows)
    base = pa.array([each or None for each in whole.column("base_amount").to_pylist()], pa.int64())
    unrated = whole.set_column(whole.schema.get_field_index("base_amount"), "base_amount", base)
    assert base.null_count == 1
    assert SuspicionJoin(records).columns(unrated) == SuspicionJoin(records).columns(whole)


def test_nothing_flows_through_parties_outside_the_bank() -> None:
    shop = f"{EXTERNAL_PREFIX}shop"
    rows: list[Row] = [(1, "a", shop, 100), (2, shop, "b", 100), (DAY + 5, "b", "c", 7)]
    said = KnownLaunderers.of([("a", -2, 0, -1, True)])
    sender, _ = through(SuspicionJoin(said), rows, [])
    assert sender[2] == 0.0


def test_few_payments_refresh_nothing_for_a_week() -> None:
    rows: list[Row] = [(k, "a", f"p{k}", 100) for k in range(40)]
    rows += [(day * DAY + 5, "a", "b", 7) for day in (1, 2, 3, 10)]
    said = KnownLaunderers.of([("a", -2, 2 * DAY, -1, True)])
    sender, _ = through(SuspicionJoin(said), rows, [])
    assert sender[40:].tolist() == [0.0, 0.0, 0.0, pytest.approx(1.0)]


def test_a_payment_that_is_very_late_is_not_known() -> None:
    rows: list[Row] = [(day * DAY, "a", "b", 100) for day in (1, 5, 9, 2)]
    said = KnownLaunderers.of([("a", -2, 0, -1, True)])
    sender, _ = through(SuspicionJoin(said, keep_days=2), rows, [])
    assert np.isnan(sender[3])
    assert not np.isnan(sender[:3]).any()
