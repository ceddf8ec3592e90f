"""Real payments and records through the columns beside the engine: the planted case hits, its look-alike does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from greywater.app.rule_place import with_requests
from greywater.config import Settings
from greywater.detectors.rules.rule_set import RuleSet
from greywater.features.balances import BalanceJoin
from greywater.features.catalog import payments_v2
from greywater.features.engine import Engine
from greywater.features.leading_digits import LeadingDigitJoin
from greywater.features.peer_deviation import PeerJoin
from greywater.features.shared_attributes import SharedAttributeJoin
from tests.features.payments import as_table
from tests.naive import DAY_US, Paid

HOUR_US = DAY_US // 24
START = 19_700 * DAY_US


class Beside(Protocol):
    """Columns beside those of the engine."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def columns(self, payments: pa.RecordBatch) -> list[pa.Array]: ...


def paid(hours: float, sender: str, receiver: str, amount: float) -> Paid:
    minor = round(amount * 100)
    return Paid(START + int(hours * HOUR_US), sender, receiver, minor, minor)


def hits(rule: str, payments: Sequence[Paid], beside: Beside, **more: list[Any]) -> list[bool]:
    """Which payments a rule hits; `more` are further columns of the transaction table."""
    rules = RuleSet.load().only([rule])
    engine = Engine(with_requests(payments_v2(Settings(), resolution_us=1), rules), threads=1)
    table = as_table(list(payments))
    for name, values in more.items():
        table = table.append_column(name, pa.array(values, pa.int64()))
    (batch,) = table.combine_chunks().to_batches()
    block = engine.process(batch)
    assert rule in rules.bind(block.columns.schema).off, "without the columns it says so and stays off"
    columns = [*block.columns.columns, *beside.columns(batch)]
    found = rules.evaluate(pa.RecordBatch.from_arrays(columns, names=[*block.columns.schema.names, *beside.names]))
    assert found.off == {}
    return [bool(hit) for hit in found.of(rule)]


def test_rapid_movement_against_balance() -> None:
    payments = [paid(0, "X", "A", 5_000), paid(3, "A", "Y", 4_900), paid(4, "B", "Y", 4_900), paid(5, "C", "Y", 4_900)]
    found = hits(
        "rapid-movement-against-balance", payments, BalanceJoin(),
        # B moves old savings: nothing came in. C's balance is not known.
        sender_balance=[9_999_900, 503_000, 503_000, None], receiver_balance=[3_000, 0, 490_000, 980_000],
    )  # fmt: skip
    assert found == [False, True, False, False]


def test_a_small_part_of_a_full_account_is_no_rapid_movement() -> None:
    payments = [paid(0, "X", "A", 5_000), paid(3, "A", "Y", 4_900)]
    sides = {"sender_balance": [None, 2_500_000], "receiver_balance": [2_000_000, None]}
    assert hits("rapid-movement-against-balance", payments, BalanceJoin(), **sides) == [False, False]


def test_leading_digits_against_benford() -> None:
    invented = [paid(24 * k, "A", f"X{k}", 9_000 + 7 * k) for k in range(60)]
    assert hits("leading-digits-against-benford", invented, LeadingDigitJoin()) == [False] * 49 + [True] * 11


def test_leading_digits_of_honest_amounts_and_of_too_few() -> None:
    honest = [paid(24 * k, "A", f"X{k}", 3 * 1.08**k) for k in range(85)]
    few = [paid(24 * k, "A", f"X{k}", 9_000 + 7 * k) for k in range(49)]
    old = [paid(24 * 4 * k, "A", f"X{k}", 9_000 + 7 * k) for k in range(80)]  # never 50 in 90 days
    for payments in (honest, few, old):
        assert not any(hits("leading-digits-against-benford", payments, LeadingDigitJoin()))


def segments(seq: np.ndarray, time_us: np.ndarray, accounts: pa.Array) -> np.ndarray:
    """Households (0) and firms (1) by the first letter; of others it is not known."""
    return np.array([{"H": 0, "F": 1}.get(account[0], -1) for account in accounts.to_pylist()], np.int64)


def test_deviation_from_peers() -> None:
    payments = [paid(k, f"H{k}", "Shop", 300 + 10 * k) for k in range(12)]
    payments += [paid(12 + k, f"F{k}", "Shop", 40_000 + 3_000 * k) for k in range(12)]
    # For a household it is much, for a firm it is not; of a stranger nobody knows what is much.
    payments += [paid(30, "H99", "Y", 50_000), paid(31, "F99", "Y", 50_000), paid(32, "Z", "Y", 50_000)]
    # The household that paid before does not make itself a peer; what it paid a month ago is over.
    payments += [paid(33, "H99", "Y", 100), paid(33 + 24 * 31, "H99", "Y", 12_000)]
    found = hits("deviation-from-peers", payments, PeerJoin(segments))
    assert found == [False] * 24 + [True, False, False, True, True]


def test_parts_of_a_large_total_deviate_from_peers_too() -> None:
    payments = [paid(k, f"H{k}", "Shop", 300 + 10 * k) for k in range(12)]
    payments += [paid(20 + k, "H99", "Y", 1_500) for k in range(8)]
    assert hits("deviation-from-peers", payments, PeerJoin(segments)) == [False] * 18 + [True, True]


def test_shared_attributes() -> None:
    known = {"A": 0, "B": 0, "C": 1, "Mother": 2, "Child": 2}
    moment = pa.timestamp("us", tz="UTC")
    records = {
        "account": list(known), "customer": pa.nulls(5, pa.string()), "name": ["telephone"] * 5,
        "code": list(known.values()), "known_since": pa.array([START] * 5, moment), "after_seq": [-1] * 5,
    }  # fmt: skip
    payments = [paid(-24, "A", "B", 2_000), paid(0, "A", "B", 2_000), paid(1, "A", "C", 2_000)]
    # Not known yet, known, another number; pocket money is no large sum, and of Z nothing is known.
    payments += [paid(2, "Mother", "Child", 50), paid(3, "A", "Z", 2_000), paid(4, "A", "A", 2_000)]
    join = SharedAttributeJoin(["telephone"], pa.table(records))
    assert hits("shared-attributes", payments, join) == [False, True, False, False, False, False]


def test_the_accounts_of_one_customer_share_nothing() -> None:
    moment = pa.timestamp("us", tz="UTC")
    always = {"known_since": pa.array([0, 0], moment), "after_seq": [-1, -1]}
    records = pa.table({"account": ["A", "B"], "customer": pa.nulls(2, pa.string()), "name": ["device"] * 2,
                        "code": [0, 0], **always})  # fmt: skip
    accounts = pa.table({"account": ["A", "B"], "customer": ["Smith", "Smith"], **always})
    payments = [paid(0, "A", "B", 2_000)]
    assert hits("shared-attributes", payments, SharedAttributeJoin(["device"], records, accounts)) == [False]
    assert hits("shared-attributes", payments, SharedAttributeJoin(["device"], records)) == [True]
