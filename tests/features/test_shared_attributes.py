"""What customers have in common: equal to the twin in any cut, saturating, never between accounts of one customer."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greywater.features import shared_attributes
from greywater.features.shared_attributes import SHARED_ATTRIBUTE_FEATURES, SharedAttributeJoin
from tests.naive_parties import Told, naive_shared

MOMENT = pa.timestamp("us", tz="UTC")
NAMES = ["device", "phone"]
ACCOUNTS, CUSTOMERS, VALUES = ["a", "b", "c", "d"], ["X", "Y", "Z"], ["v", "w", "u"]
TIMES, AFTER = st.integers(0, 9), st.integers(-1, 8)
TOLD = st.lists(
    st.builds(
        Told, st.sampled_from(ACCOUNTS + CUSTOMERS), st.sampled_from(NAMES), st.sampled_from(VALUES), TIMES, AFTER
    )
    | st.builds(Told, st.sampled_from(ACCOUNTS), st.just("owner"), st.sampled_from(CUSTOMERS), TIMES, AFTER),
    max_size=20,
)
PAYMENTS = st.lists(st.tuples(TIMES, st.sampled_from(ACCOUNTS), st.sampled_from(ACCOUNTS)), max_size=10)


def join_of(told: list[Told]) -> SharedAttributeJoin:
    records = [each for each in told if each.name != "owner"]
    owners = [each for each in told if each.name == "owner"]
    return SharedAttributeJoin(
        NAMES,
        pa.table(
            {
                "account": pa.array([t.of if t.of[0].islower() else None for t in records], pa.string()),
                "customer": pa.array([None if t.of[0].islower() else t.of for t in records], pa.string()),
                "name": pa.array([t.name for t in records], pa.string()),
                "code": pa.array([VALUES.index(t.value) for t in records], pa.int64()),
                "known_since": pa.array([t.since for t in records], MOMENT),
                "after_seq": pa.array([t.after for t in records], pa.int64()),
            }
        ),
        pa.table(
            {
                "account": pa.array([t.of for t in owners], pa.string()),
                "customer": pa.array([t.value for t in owners], pa.string()),
                "known_since": pa.array([t.since for t in owners], MOMENT),
                "after_seq": pa.array([t.after for t in owners], pa.int64()),
            }
        ),
    )


def batch(payments: list[tuple[int, str, str]], first: int = 0) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "seq": pa.array(range(first, first + len(payments)), pa.int64()),
            "event_time": pa.array([time for time, _, _ in payments], MOMENT),
            "sender": pa.array([sender for _, sender, _ in payments], pa.string()),
            "receiver": pa.array([receiver for _, _, receiver in payments], pa.string()),
        }
    )


def columns(join: SharedAttributeJoin, payments: list[tuple[int, str, str]], size: int) -> list[list[int]]:
    rows: list[list[int]] = []
    for at in range(0, len(payments), size):
        found = join.columns(batch(payments[at : at + size], at))
        assert all(column.type == pa.int64() and not column.null_count for column in found)
        rows += [list(row) for row in zip(*(column.to_pylist() for column in found), strict=True)]
    return rows


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Holders and payments are looked at a few at a time."""
    monkeypatch.setattr(shared_attributes, "HOLDERS", 1)
    monkeypatch.setattr(shared_attributes, "ROWS", 2)
    monkeypatch.setattr(shared_attributes, "MOST_CUSTOMERS", 2)


@given(TOLD, PAYMENTS, st.integers(1, 5))
@settings(deadline=None)
def test_columns_equal_the_twin_in_any_cut(told: list[Told], payments: list[tuple[int, str, str]], size: int) -> None:
    join = join_of(told)
    wanted = naive_shared(payments, told, NAMES)
    assert columns(join, payments, size) == wanted
    assert columns(join, payments, 100) == wanted


@given(told=TOLD, payments=PAYMENTS)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_few_holders_at_a_time_and_at_most_so_many(
    told: list[Told], payments: list[tuple[int, str, str]], small: None
) -> None:
    assert columns(join_of(told), payments, 100) == naive_shared(payments, told, NAMES, most=2)


def test_a_value_that_everybody_has_counts_a_hundred() -> None:
    n = 400
    records = {
        "account": [f"k{k}" for k in range(n)], "customer": pa.nulls(n, pa.string()), "name": ["phone"] * n,
        "code": [0] * n, "known_since": pa.array([0] * n, MOMENT), "after_seq": [-1] * n,
    }  # fmt: skip
    join = SharedAttributeJoin(["phone", "device"], pa.table(records))
    assert columns(join, [(1, "k7", "nobody"), (2, "k8", "k9")], 10) == [[0, 100, 0], [1, 100, 100]]


def test_telephones_may_be_numbers() -> None:
    records = {
        "account": ["a", "b", "c"], "customer": pa.nulls(3, pa.string()), "name": ["phone"] * 3,
        "number": [815.0, 815.0, 816.0], "code": pa.nulls(3, pa.int64()), "known_since": pa.array([0] * 3, MOMENT),
        "after_seq": [-1] * 3,
    }  # fmt: skip
    join = SharedAttributeJoin(["phone"], pa.table(records))
    assert columns(join, [(1, "a", "b"), (2, "a", "c")], 10) == [[1, 1, 1], [0, 1, 0]]


def test_names_are_declared_and_nothing_recorded_is_nothing_shared() -> None:
    join = join_of([])
    assert join.names == tuple(feature.name for feature in SHARED_ATTRIBUTE_FEATURES)
    assert columns(join, [(1, "a", "b")], 1) == [[0, 0, 0]]
