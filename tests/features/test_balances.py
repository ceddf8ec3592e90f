"""Balances as columns: equal to the twin in any cut; from a ledger through a replay; not defined where not known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.config import Settings
from greywater.features.balances import BALANCE_FEATURES, BalanceJoin
from greywater.features.catalog import payments_v1
from greywater.features.engine import INPUT_COLUMNS, Engine
from greywater.pipeline.replay import replay
from greywater.vocab import MAX_AMOUNT
from tests.laws.test_ledger_laws import chunk, payment
from tests.naive_parties import Moved, naive_balances

AMOUNTS = st.integers(0, 3) | st.integers(0, MAX_AMOUNT)
BALANCES = st.none() | st.integers(-3, 3) | st.integers(-MAX_AMOUNT, MAX_AMOUNT)
MOVED = st.lists(st.builds(Moved, AMOUNTS, AMOUNTS, st.none() | AMOUNTS, BALANCES, BALANCES), max_size=20)


def batch(payments: list[Moved]) -> pa.RecordBatch:
    columns = {
        "amount": [each.amount for each in payments],
        "received_amount": [each.received for each in payments],
        "base_amount": [each.base for each in payments],
        "sender_balance": [each.sender_balance for each in payments],
        "receiver_balance": [each.receiver_balance for each in payments],
    }
    return pa.record_batch({name: pa.array(values, pa.int64()) for name, values in columns.items()})


@given(MOVED, st.integers(1, 5))
@settings(deadline=None)
def test_columns_equal_the_twin_in_any_cut(payments: list[Moved], size: int) -> None:
    join = BalanceJoin()
    wanted = np.array([naive_balances(each) for each in payments]).reshape(len(payments), 4)
    for at in range(0, len(payments), size):
        found = join.columns(batch(payments[at : at + size]))
        assert all(column.type == pa.float64() for column in found)
        np.testing.assert_array_equal(np.column_stack([column.to_numpy() for column in found]), wanted[at : at + size])


def test_names_are_declared_and_nothing_is_null() -> None:
    join = BalanceJoin()
    assert join.names == tuple(feature.name for feature in BALANCE_FEATURES)
    found = join.columns(batch([Moved(5, 5, None, None, -1)]))
    assert [column.null_count for column in found] == [0] * 4
    assert all(np.isnan(column[0].as_py()) for column in found)


def test_a_share_needs_no_rate_and_a_balance_takes_that_of_its_payment() -> None:
    foreign = Moved(amount=10_000, received=50, base=65, sender_balance=20_000, receiver_balance=100)
    values = [column[0].as_py() for column in BalanceJoin().columns(batch([foreign]))]
    assert values == [20_000 * (65 / 10_000), 100 * (65 / 50), 0.5, 0.5]


@pytest.mark.parametrize("block_rows", [1, 3, 100])
def test_a_replay_shows_the_balances_of_the_ledger(tmp_path: Path, block_rows: int) -> None:
    from greywater.stores.open import open_ledger

    rows = [payment(f"t{k}", 1_600_000_000_000_000 + k, amount=k, base_amount=k, sender_balance=10) for k in range(7)]
    join, seen = BalanceJoin(), []
    features = payments_v1(Settings(windows=(86_400,), day_windows=()), resolution_us=1)
    with open_ledger(f"delta:{tmp_path}", max_ahead_us=10**15, max_jump_us=None) as ledger:
        ledger.append(chunk(*rows))
        replay(
            ledger, Engine(features.only(["payment.amount"])), lambda block: None,
            watch=lambda rows: seen.append(join.columns(rows)[2].to_pylist()),
            watched=join.reads, block_rows=block_rows,
        )  # fmt: skip
    assert [share for shares in seen for share in shares] == [k / 10 for k in range(7)]
    assert set(join.reads) - set(INPUT_COLUMNS) == {"sender_balance", "receiver_balance"}
