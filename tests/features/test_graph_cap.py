"""What the cap means to the payment: where exactly it cuts, what is found until then, and that it says so."""

from __future__ import annotations

import numpy as np
import pytest

from greywater.features.graph_state import GraphState
from tests.features.graph_payments import MINUTE_US, as_arrays, plan_of, run, twin_differences
from tests.naive_graph import Payment

SECOND_US = 1_000_000
MINUTE = (60,)


def paid_by(senders: int, receiver: str = "hub") -> list[Payment]:
    """Every sender pays the receiver once, a second apart, then the receiver pays somebody."""
    paid = [Payment(k * SECOND_US, f"s{k}", receiver, 100 + k) for k in range(senders)]
    return [*paid, Payment(senders * SECOND_US, receiver, "last", 1)]


@pytest.mark.parametrize("cap", [1, 4, 5, 6, 7])
def test_a_list_is_counted_from_its_latest_payment_on(cap: int) -> None:
    """Five payments to the hub: a cap of five counts all of them, a smaller one the latest so many, and says so."""
    found = run(plan_of("fan", "statistics", windows=MINUTE, cap=cap), paid_by(5))
    counted = min(cap, 5)
    assert found["sender.in.degree.1m"][-1] == counted
    assert found["sender.in.fan.1m"][-1] == counted
    assert found["fan.truncated.1m"][-1] == (cap < 5)
    assert found["statistics.truncated.1m"][-1] == (cap < 5)
    assert found["sender.in.amount_count.1m"][-1] == counted
    assert found["sender.in.amount_min.1m"][-1] == 100 + 5 - counted
    assert found["sender.in.amount_max.1m"][-1] == 104


def test_payments_out_of_the_window_are_no_visits() -> None:
    early = [Payment(0, f"e{k}", "hub", 1) for k in range(20)]
    late = [Payment(5 * MINUTE_US + place.time, place.sender, place.receiver, place.amount) for place in paid_by(3)]
    found = run(plan_of("fan", windows=MINUTE, cap=3, lateness=0), early + late)
    assert found["sender.in.degree.1m"][-1] == 3
    assert found["fan.truncated.1m"][-1] == 0


def test_payments_that_come_later_are_no_visits() -> None:
    """In one block the lists hold what comes later; the cap counts as if it were not there."""
    first = paid_by(3)
    later = [Payment(payment.time + MINUTE_US // 4, payment.sender, payment.receiver, 7) for payment in paid_by(9)]
    plan = plan_of("fan", "scatter_gather", "temporal_cycle", "simple_cycle", windows=MINUTE, cap=3)
    alone, among = run(plan, first), run(plan, first + later)
    for name, column in alone.items():
        assert np.array_equal(column, among[name][: len(first)], equal_nan=column.dtype.kind == "f"), name


@pytest.mark.parametrize("pattern", ["temporal_cycle", "simple_cycle"])
def test_a_ring_beyond_the_cap_is_said_to_be_cut(pattern: str) -> None:
    """The hub's forty other payments use the visits up before the ring's own, which are older, are met."""
    ring = [Payment(0, "a", "b", 5), Payment(1, "b", "hub", 5)]
    others = [Payment((2 + k) * SECOND_US // 4, f"x{k}", "hub", 5) for k in range(40)]
    payments = [*ring, *others, Payment(12 * SECOND_US, "hub", "a", 5)]
    whole = run(plan_of(pattern, windows=MINUTE), payments)
    assert whole[f"{pattern}.length_3.1m"][-1] == 1
    assert whole[f"{pattern}.truncated.1m"][-1] == 0
    cut = run(plan_of(pattern, windows=MINUTE, cap=1), payments)
    assert cut[f"{pattern}.length_3.1m"][-1] == 0
    assert cut[f"{pattern}.truncated.1m"][-1] == 1


def test_late_parallel_payments_of_a_ring() -> None:
    """Several assignments of one ring, some payments recorded before they happened: the latest feasible one counts."""
    legs = [
        (1, "a", "b", 18),
        (6, "b", "u", 2),
        (7, "u", "v", 24),
        (6, "b", "u", 39),
        (6, "u", "v", 23),
        (10, "v", "a", 47),
    ]
    payments = [Payment(second * SECOND_US, sender, receiver, amount) for second, sender, receiver, amount in legs]
    plan = plan_of("temporal_cycle", windows=MINUTE)
    assert twin_differences(plan, payments, run(plan, payments)) == []


def test_arrays_that_may_not_be_written_are_taken() -> None:
    payments = paid_by(4)
    plan = plan_of("fan", windows=MINUTE)
    arrays = as_arrays(payments)
    for column in arrays:
        column.flags.writeable = False
    ints, _ = GraphState(plan, threads=1).process(*arrays)
    names = [feature.name for feature in plan.int_features]
    assert ints[names.index("sender.in.degree.1m"), -1] == 4
