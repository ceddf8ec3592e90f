"""Real payments and records through the columns beside the engine: the planted case hits, its look-alike does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import pyarrow as pa

from greywater.app.rule_place import with_requests
from greywater.config import Settings
from greywater.detectors.rules.rule_set import RuleSet
from greywater.features.balances import BalanceJoin
from greywater.features.catalog import payments_v2
from greywater.features.engine import Engine
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
