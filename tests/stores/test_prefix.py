"""A project as it was: the first payments and rows, and nothing of what came later."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from greywater.errors import StoreError
from greywater.stores.memory import MemoryLedger, MemoryTables
from greywater.stores.ports import Unsequenced
from greywater.stores.prefix import LedgerPrefix, TablesPrefix
from greywater.vocab import TRANSACTION_SCHEMA

DAY = 86_400_000_000


@pytest.fixture
def ledger() -> MemoryLedger:
    held = MemoryLedger(max_ahead_us=DAY, max_jump_us=None)
    times = [1_000, 5_000, 3_000, 9_000]
    columns: dict[str, list[object]] = {
        "tx_id": [f"t{n}" for n in range(4)],
        "event_time": times,
        "recorded_time": times,
        "sender": list("ABAC"),
        "receiver": list("BCBA"),
        "amount": [1, 2, 3, 4],
        "received_amount": [1, 2, 3, 4],
        "currency": ["USD"] * 4,
        "received_currency": ["USD"] * 4,
        "channel": ["wire"] * 4,
    }
    rows = {
        field.name: pa.array(columns[field.name], pa.int64()).cast(field.type)
        if field.name in ("event_time", "recorded_time")
        else pa.array(columns.get(field.name, [None] * 4), field.type)
        for field in TRANSACTION_SCHEMA
        if field.name != "seq"
    }
    rows |= {"file": pa.array(["f"] * 4), "row": pa.array(range(4), pa.int64())}
    assert held.append(Unsequenced(pa.table(rows))).recorded.num_rows == 4
    return held


@pytest.mark.parametrize("stop", range(5))
def test_a_prefix_holds_the_first_payments_only(ledger: MemoryLedger, stop: int) -> None:
    then = LedgerPrefix(ledger, stop)
    times = [1_000, 5_000, 3_000, 9_000][:stop]
    assert (then.next_seq, then.horizon) == (stop, max(times, default=None))
    assert [row for batch in then.scan(["tx_id"]) for row in batch["tx_id"].to_pylist()] == [
        f"t{n}" for n in range(stop)
    ]
    assert sum(batch.num_rows for batch in then.scan(["seq"], start=1, stop=99)) == max(stop - 1, 0)
    found = then.payments_of(["A"], ["tx_id"])
    assert found.column_names == ["tx_id"]
    assert found["tx_id"].to_pylist() == [name for name in ("t0", "t2", "t3") if int(name[1]) < stop]
    assert "seq" in then.payments_of(["A"]).column_names
    assert then.take(np.arange(stop), ["tx_id"]).num_rows == stop
    with pytest.raises(StoreError, match="recorded later"):
        then.take(np.array([stop], np.int64))
    with pytest.raises(StoreError, match="as it was"):
        then.append(Unsequenced(pa.table({})))
    assert then.check() == ledger.check()


def test_a_prefix_is_not_longer_than_the_ledger(ledger: MemoryLedger) -> None:
    with pytest.raises(StoreError, match="4 payments, not 5"):
        LedgerPrefix(ledger, 5)


@pytest.mark.parametrize("most", [0, 1, 2, 3, 5, 6])
def test_tables_hold_their_first_rows_only(most: int) -> None:
    tables = MemoryTables()
    for start in (0, 2, 4):
        tables.append("labels", pa.table({"n": [start, start + 1]}))
    tables.append("later", pa.table({"n": [1]}))
    then = TablesPrefix(tables, {"labels": most})
    read = then.read("labels")
    rows = [] if read is None else read["n"].to_pylist()
    assert rows == list(range(most))
    assert [n for batch in then.scan("labels", ["n"]) for n in batch["n"].to_pylist()] == rows
    assert then.read("later") is None
    assert list(then.scan("later")) == []
    with pytest.raises(StoreError, match="as they were"):
        then.append("labels", pa.table({"n": [1]}))
    assert then.check() == tables.check()
