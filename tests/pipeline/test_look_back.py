"""Evidence read from a ledger is that of the payments themselves, however late payments came and batches fall."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from greywater.errors import UsageError
from greywater.features.graph import GraphPlan
from greywater.features.graph_evidence import PATTERNS_WITH_EVIDENCE, part_of
from greywater.pipeline import look_back
from greywater.pipeline.look_back import find_payment, read_past
from greywater.stores.memory import MemoryLedger
from greywater.stores.ports import Unsequenced
from greywater.vocab import BALANCES, TRANSACTION_SCHEMA
from tests.features.evidence_views import evidence_of_all
from tests.features.graph_payments import plan_of, random_graph
from tests.naive_graph import Payment

SHIFT = 20_000 * 86_400 * 10**6
LENGTH = 3_600


def ledger_of(payments: Sequence[Payment]) -> MemoryLedger:
    """The payments, recorded in this order."""
    ledger = MemoryLedger(max_ahead_us=2**60, max_jump_us=None)
    times = pa.array([payment.time + SHIFT for payment in payments], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    amounts = [payment.amount or 0 for payment in payments]
    rows = {
        "tx_id": [f"t{k}" for k in range(len(payments))],
        "event_time": times,
        "recorded_time": times,
        "sender": [payment.sender for payment in payments],
        "receiver": [payment.receiver for payment in payments],
        "amount": amounts,
        "received_amount": amounts,
        "base_amount": [payment.amount for payment in payments],
    }
    rows |= dict.fromkeys(("currency", "received_currency"), ["USD"] * len(payments))
    rows |= {"channel": ["wire"] * len(payments)}
    rows |= dict.fromkeys(("sender_bank", "receiver_bank", "reference", *BALANCES), [None] * len(payments))
    schema = TRANSACTION_SCHEMA.remove(TRANSACTION_SCHEMA.get_field_index("seq"))
    table = pa.table([rows[name] for name in schema.names], schema=schema)
    table = table.append_column("file", pa.array(["f"] * len(payments))).append_column(
        "row", pa.array(range(len(payments)), pa.int64())
    )
    assert ledger.append(Unsequenced(table)).rejected.num_rows == 0
    return ledger


@pytest.mark.parametrize("batch_rows", [7, 131_072])
@pytest.mark.parametrize("pattern", PATTERNS_WITH_EVIDENCE)
def test_the_ledger_says_what_the_payments_say(pattern: str, batch_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_back, "BATCH_ROWS", batch_rows)
    payments = random_graph(3, 90, 9, follow=0.5, outside=0.1, late_share=0.3)
    plan = plan_of(pattern)
    ledger, part = ledger_of(payments), part_of(plan, pattern, LENGTH)
    shifted = [Payment(p.time + SHIFT, p.sender, p.receiver, p.amount) for p in payments]
    whole = evidence_of_all(shifted, plan, pattern, LENGTH)
    found = 0
    for seqs in (np.arange(90), np.array([89]), np.array([40, 12, 77]), np.array([0])):
        past = read_past(ledger, seqs, plan, part.look_back)
        for seq in seqs.tolist():
            expected = whole[seq].named(lambda name: name, lambda number: None)
            assert repr(past.evidence(seq, part)) == repr(expected)
            found += expected.found
    assert found > 5


def test_only_the_look_back_is_held() -> None:
    payments = [Payment(k * 60_000_000, f"a{k}", f"a{k + 1}", 100) for k in range(400)]
    plan: GraphPlan = plan_of("chain")
    past = read_past(ledger_of(payments), np.array([200]), plan, LENGTH)
    assert len(past) == 60
    assert past.evidence(200, part_of(plan, "chain")).columns["chain.hops.1h"] == 10


def test_payments_are_found_by_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_back, "BATCH_ROWS", 3)
    ledger = ledger_of([Payment(k, "a", "b", 1) for k in range(10)])
    assert [find_payment(ledger, f"t{k}") for k in range(10)] == list(range(10))
    with pytest.raises(UsageError, match="no payment 'nobody' is recorded"):
        find_payment(ledger, "nobody")


@pytest.mark.parametrize("seqs", [[], [-1], [0, 2], [2**40]])
def test_payments_that_are_not_there_are_refused(seqs: list[int]) -> None:
    ledger = ledger_of([Payment(0, "a", "b", 1), Payment(1, "a", "b", 1)])
    with pytest.raises(UsageError, match="payments 0 to 1"):
        read_past(ledger, np.array(seqs, np.int64), plan_of("chain"), LENGTH)
