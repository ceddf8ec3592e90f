"""What every ledger adapter must do, whatever it is made of."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greywater.errors import StoreError
from greywater.stores.open import open_ledger
from greywater.stores.ports import Unsequenced
from greywater.vocab import BALANCES, MAX_AMOUNT, TRANSACTION_SCHEMA

DAY = 86_400_000_000
NOW = 1_700_000_000_000_000
OFFERED = pa.schema([*(f for f in TRANSACTION_SCHEMA if f.name != "seq"), ("file", pa.string()), ("row", pa.int64())])


def payment(tx_id: str, time: int = NOW, **changes: Any) -> dict[str, Any]:
    row = {
        "tx_id": tx_id,
        "event_time": time,
        "recorded_time": NOW + DAY,
        "sender": "a",
        "receiver": "b",
        "sender_bank": None,
        "receiver_bank": "",
        "amount": 100,
        "currency": "USD",
        "received_amount": 100,
        "received_currency": "USD",
        "base_amount": None,
        "channel": "wire",
        "reference": None,
        "sender_balance": None,
        "receiver_balance": 0,
        "file": "f.csv",
        "row": 1,
    }
    return {**row, **changes}


def chunk(*rows: dict[str, Any]) -> Unsequenced:
    return Unsequenced(pa.table({f.name: [row[f.name] for row in rows] for f in OFFERED}, schema=OFFERED))


def many(count: int, first: int = 0) -> Unsequenced:
    rows = (
        payment(f"t{i}", NOW + i, sender=f"s{i % 7}", receiver=f"r{i % 5}", amount=i, row=i + 1)
        for i in range(first, first + count)
    )
    return chunk(*rows)


def ids(ledger: Any) -> list[str]:
    return [tx_id for batch in ledger.scan(["tx_id"]) for tx_id in batch["tx_id"].to_pylist()]


@dataclass
class Adapter:
    make: Callable[..., Any]
    reopen: Callable[..., Any] | None


@pytest.fixture(params=["memory", "delta"])
def adapter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Adapter]:
    opened = []

    def make(max_ahead_us: int = DAY, max_jump_us: int | None = 366 * DAY, name: str = "one") -> Any:
        url = "memory:" if request.param == "memory" else f"delta:{tmp_path / name}"
        opened.append(open_ledger(url, max_ahead_us=max_ahead_us, max_jump_us=max_jump_us))
        return opened[-1]

    def reopen(ledger: Any, **options: Any) -> Any:
        ledger.close()
        return make(**options)

    yield Adapter(make, reopen if request.param == "delta" else None)
    for ledger in opened:
        ledger.close()


def test_an_empty_ledger_is_empty(adapter: Adapter) -> None:
    ledger = adapter.make()
    assert ledger.next_seq == 0
    assert ledger.horizon is None
    assert list(ledger.scan()) == []
    assert ledger.check() == []
    assert ledger.take(np.array([], np.int64)).num_rows == 0
    assert ledger.payments_of(["a"]).schema == TRANSACTION_SCHEMA


def test_numbers_are_dense_over_chunks_and_openings(adapter: Adapter) -> None:
    ledger = adapter.make()
    first = ledger.append(many(10))
    assert first.recorded["seq"].to_pylist() == list(range(10))
    assert first.recorded.schema == TRANSACTION_SCHEMA
    if adapter.reopen:
        ledger = adapter.reopen(ledger)
    second = ledger.append(many(5, 10))
    assert second.recorded["seq"].to_pylist() == list(range(10, 15))
    assert ledger.next_seq == 15
    assert ledger.horizon == NOW + 14
    assert ids(ledger) == [f"t{i}" for i in range(15)]
    assert ledger.check() == []


def test_what_is_written_is_read(adapter: Adapter) -> None:
    ledger = adapter.make()
    offered = chunk(
        payment("ü\n'\"\0", sender="", reference="x" * 2_000, sender_bank="B", amount=MAX_AMOUNT, base_amount=-1),
        payment("2", time=NOW - 40_000 * DAY // 10, amount=0),
    )
    ledger.append(offered)
    if adapter.reopen:
        ledger = adapter.reopen(ledger)
    (batch,) = ledger.scan()
    read = pa.Table.from_batches([batch])
    for name in TRANSACTION_SCHEMA.names:
        if name != "seq":
            assert read[name].to_pylist() == offered.payments[name].to_pylist(), name
    assert read.schema == TRANSACTION_SCHEMA


def test_the_same_chunk_twice_adds_nothing(adapter: Adapter) -> None:
    ledger = adapter.make()
    ledger.append(many(20))
    again = ledger.append(many(25))
    assert again.duplicate == 20
    assert again.kept.to_pylist() == [False] * 20 + [True] * 5
    assert again.known.to_pylist() == [True] * 20 + [False] * 5
    assert again.rejected.num_rows == 0
    if adapter.reopen:
        ledger = adapter.reopen(ledger)
    assert ledger.append(many(25)).duplicate == 25
    assert ledger.next_seq == 25


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_time", NOW + 1),
        ("sender", "A"),
        ("receiver", "A"),
        ("sender_bank", ""),
        ("receiver_bank", None),
        ("amount", 101),
        ("currency", "EUR"),
        ("received_amount", 101),
        ("received_currency", "EUR"),
        ("channel", "ach"),
        ("reference", ""),
        ("sender_balance", 0),
        ("sender_balance", -1),
        ("receiver_balance", None),
        ("receiver_balance", 1),
    ],
)
def test_the_same_id_with_other_content_is_a_conflict(adapter: Adapter, field: str, value: Any) -> None:
    ledger = adapter.make()
    ledger.append(chunk(payment("x"), payment("y")))
    result = ledger.append(chunk(payment("y", **{field: value, "row": 9, "file": "g.csv"})))
    assert result.recorded.num_rows == 0
    (refused,) = result.rejected.to_pylist()
    assert refused["reason"] == "conflict"
    assert (refused["file"], refused["row"], refused["column"], refused["value"]) == ("g.csv", 9, "tx_id", "y")
    assert "number 1 " in refused["message"]
    assert "To mend" in refused["message"]


@pytest.mark.parametrize(("field", "value"), [("recorded_time", NOW + 2 * DAY), ("base_amount", 7)])
def test_what_recording_adds_is_not_content(adapter: Adapter, field: str, value: Any) -> None:
    ledger = adapter.make()
    ledger.append(chunk(payment("x")))
    assert ledger.append(chunk(payment("x", **{field: value}))).duplicate == 1


def test_duplicates_and_conflicts_inside_one_chunk(adapter: Adapter) -> None:
    ledger = adapter.make()
    ledger.append(chunk(payment("old")))
    result = ledger.append(
        chunk(payment("x"), payment("x"), payment("new"), payment("x", amount=1), payment("old", amount=1))
    )
    assert result.kept.to_pylist() == [True, False, True, False, False]
    assert result.known.to_pylist() == [False, True, False, False, False]
    messages = result.rejected["message"].to_pylist()
    assert "number 1 " in messages[0]
    assert "number 0 " in messages[1]


def test_a_payment_from_the_future_is_refused(adapter: Adapter) -> None:
    ledger = adapter.make(max_ahead_us=DAY)
    far = payment("far", NOW + 1, recorded_time=NOW - DAY)
    edge = payment("edge", NOW, recorded_time=NOW - DAY)
    result = ledger.append(chunk(far, edge, payment("far", NOW, recorded_time=NOW - DAY)))
    assert result.kept.to_pylist() == [False, True, True]
    (refused,) = result.rejected.to_pylist()
    assert (refused["reason"], refused["column"]) == ("future_time", "event_time")
    assert "max_ahead" in refused["message"]
    assert ledger.append(chunk(far)).rejected["reason"].to_pylist() == ["conflict"]


def test_a_jump_is_refused_and_does_not_move_the_horizon(adapter: Adapter) -> None:
    ledger = adapter.make(max_ahead_us=10_000 * DAY, max_jump_us=366 * DAY)
    rows = [
        payment("first", NOW),
        payment("jump", NOW + 366 * DAY + 1),
        payment("again", NOW + 366 * DAY + 1),
        payment("edge", NOW + 366 * DAY),
        payment("jump", NOW + 366 * DAY + 1),
        payment("back", NOW - 9_000 * DAY),
    ]
    result = ledger.append(chunk(*rows))
    assert result.kept.to_pylist() == [True, False, False, True, True, True]
    assert result.rejected["reason"].to_pylist() == ["time_jump"] * 2
    assert "--allow-jump" in result.rejected["message"][0].as_py()
    assert ledger.horizon == NOW + 366 * DAY + 1


def test_any_jump_where_none_is_forbidden(adapter: Adapter) -> None:
    ledger = adapter.make(max_ahead_us=10_000 * DAY, max_jump_us=None)
    assert ledger.append(chunk(payment("a", NOW), payment("b", NOW + 5_000 * DAY))).rejected.num_rows == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("amount", -1), ("amount", MAX_AMOUNT + 1), ("received_amount", 2**62), ("sender_balance", -MAX_AMOUNT - 1)],
)
def test_an_amount_out_of_range_is_refused(adapter: Adapter, field: str, value: int) -> None:
    ledger = adapter.make()
    result = ledger.append(chunk(payment("x", **{field: value}), payment("y")))
    assert result.kept.to_pylist() == [False, True]
    (refused,) = result.rejected.to_pylist()
    assert (refused["reason"], refused["column"], refused["value"]) == ("amount_range", field, str(value))


def test_balances_may_be_left_out_and_are_kept_where_they_are_known(adapter: Adapter) -> None:
    ledger = adapter.make()
    assert ledger.append(Unsequenced(many(3).payments.drop(BALANCES))).recorded.num_rows == 3
    overdrawn = chunk(payment("x", sender_balance=-5, receiver_balance=MAX_AMOUNT))
    assert ledger.append(overdrawn).recorded.num_rows == 1
    kept = ledger.take(np.arange(4), BALANCES)
    assert kept.to_pydict() == {"sender_balance": [None] * 3 + [-5], "receiver_balance": [None] * 3 + [MAX_AMOUNT]}
    assert ledger.check() == []


def test_wrong_columns_and_nulls_are_errors_that_record_nothing(adapter: Adapter) -> None:
    ledger = adapter.make()
    good = many(3).payments
    with pytest.raises(StoreError, match="no column 'sender'"):
        ledger.append(Unsequenced(good.drop_columns("sender")))
    with pytest.raises(StoreError, match="missing values"):
        ledger.append(Unsequenced(good.set_column(0, "tx_id", pa.array(["a", None, "b"]))))
    with pytest.raises(StoreError, match="event_time"):
        ledger.append(Unsequenced(good.set_column(1, "event_time", pa.array(["a", "c", "b"]))))
    assert ledger.next_seq == 0
    assert ledger.append(Unsequenced(good)).recorded.num_rows == 3


def test_an_empty_chunk_records_nothing(adapter: Adapter) -> None:
    ledger = adapter.make()
    result = ledger.append(Unsequenced(OFFERED.empty_table()))
    assert (result.recorded.num_rows, result.duplicate, result.rejected.num_rows) == (0, 0, 0)
    assert ledger.next_seq == 0


@pytest.mark.parametrize("batch_rows", [1, 3, 7, 100])
def test_scan_cuts_exact_batches(adapter: Adapter, batch_rows: int) -> None:
    ledger = adapter.make()
    for first, count in ((0, 4), (4, 1), (5, 9)):
        ledger.append(many(count, first))
    for start, stop in ((0, None), (2, 11), (4, 5), (5, 5), (9, 3), (0, 99), (13, 14)):
        batches = list(ledger.scan(["seq", "amount"], start=start, stop=stop, batch_rows=batch_rows))
        expected = list(range(start, min(14, 14 if stop is None else stop)))
        assert [seq for batch in batches for seq in batch["seq"].to_pylist()] == expected
        assert all(batch.num_rows == batch_rows for batch in batches[:-1])
        assert all(batch.schema.names == ["seq", "amount"] for batch in batches)


def test_unknown_columns_and_rows_are_errors(adapter: Adapter) -> None:
    ledger = adapter.make()
    ledger.append(many(3))
    with pytest.raises(StoreError, match="no column 'colour'"):
        list(ledger.scan(["colour"]))
    with pytest.raises(StoreError, match="batch_rows"):
        list(ledger.scan(batch_rows=0))
    with pytest.raises(StoreError, match="no row 3"):
        ledger.take(np.array([3]))


def test_take_gives_the_rows_in_the_order_asked_for(adapter: Adapter) -> None:
    ledger = adapter.make()
    for first in range(0, 30, 10):
        ledger.append(many(10, first))
    seqs = np.array([0, 9, 10, 25, 29])
    assert ledger.take(seqs, ["tx_id", "seq"])["seq"].to_pylist() == seqs.tolist()
    back = np.array([25, 0, 25, 3])
    assert ledger.take(back)["seq"].to_pylist() == back.tolist()


def test_payments_of_accounts(adapter: Adapter) -> None:
    ledger = adapter.make()
    ledger.append(many(10))
    ledger.append(many(10, 10))
    rows = ledger.payments_of(["s1", "r2", "nobody"], ["seq", "sender", "receiver"])
    expected = [i for i in range(20) if i % 7 == 1 or i % 5 == 2]
    assert rows["seq"].to_pylist() == expected
    assert ledger.payments_of([]).num_rows == 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from("abcdef"), st.integers(0, 9), st.integers(0, 1), st.sampled_from([0, 5]), st.integers(-1, 1)
        ),
        max_size=24,
    ),
    cut=st.integers(0, 24),
    jump=st.sampled_from([None, 3]),
)
def test_one_by_one_is_the_same_as_at_once(rows: list[Any], cut: int, jump: int | None) -> None:
    """The verdicts do not depend on how the payments were cut into chunks."""
    offered = [
        payment(tx_id, NOW + time, recorded_time=NOW + recorded, sender=str(sender), amount=amount)
        for tx_id, time, sender, recorded, amount in rows
    ]
    results = []
    for cuts in ([0, len(offered)], list(range(len(offered) + 1)), [0, min(cut, len(offered)), len(offered)]):
        ledger = open_ledger("memory:", max_ahead_us=6, max_jump_us=jump)
        kept, known, rejected = [], [], []
        for low, high in itertools.pairwise(cuts):
            result = ledger.append(chunk(*offered[low:high]))
            kept += result.kept.to_pylist()
            known += result.known.to_pylist()
            rejected += [{**row, "row": 0} for row in result.rejected.to_pylist()]
        results.append((kept, known, rejected, ledger.horizon, [b.to_pylist() for b in ledger.scan()]))
    assert results[0] == results[1]
    assert results[0] == results[2]
    kept, known, rejected = results[0][:3]
    assert sum(kept) + sum(known) + len(rejected) == len(offered)
