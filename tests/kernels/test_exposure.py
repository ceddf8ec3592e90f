"""Exposure against its slow twin, on random graphs, and by hand where a rule is easy to get wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.features.exposure import ExposurePlan
from tests.conftest import FULL
from tests.features.exposure_payments import PLAN, Followed, random_facts, run, twin_differences
from tests.features.graph_payments import HOUR_US, MINUTE_US, random_graph, same_bits
from tests.naive_exposure import Fact
from tests.naive_graph import Payment

GRAPHS: dict[str, dict[str, Any]] = {
    "few accounts": {"n": 60, "accounts": 6},
    "long ways": {"n": 80, "accounts": 12, "follow": 0.5},
    "outsiders and late rows": {"n": 80, "accounts": 20, "follow": 0.3, "outside": 0.2, "late_share": 0.3},
    "sparse": {"n": 90, "accounts": 40, "follow": 0.7, "pause_us": 200_000_000},
    "large amounts": {"n": 60, "accounts": 8, "amounts": "huge"},
}


@pytest.mark.parametrize("seed", range(60 if FULL else 6))
@pytest.mark.parametrize("kind", GRAPHS)
def test_the_twin_says_the_same(kind: str, seed: int) -> None:
    payments = random_graph(seed, **GRAPHS[kind])
    names = sorted({name for payment in payments for name in (payment.sender, payment.receiver)})
    facts = random_facts(seed, payments, 6, names=names[:3] + names[-1:])
    assert twin_differences(payments, facts, run(payments, facts, sizes=[5, 1, 30])) == []


@given(st.data())
def test_any_small_stream_with_any_facts(data: st.DataObject) -> None:
    account = st.sampled_from(["a", "b", "c", "d", "external:x"])
    step = st.sampled_from([0, 1, MINUTE_US, 9 * MINUTE_US, HOUR_US, -MINUTE_US, -HOUR_US])
    time, payments = 0, []
    for sender, receiver, by, amount in data.draw(
        st.lists(st.tuples(account, account, step, st.sampled_from([None, 0, 100, 999])), min_size=1, max_size=10)
    ):
        time += by
        payments.append(Payment(time, sender, receiver, amount))
    since = st.sampled_from(sorted({payment.time + by for payment in payments for by in (-1, 0, 1)}))
    fact = st.tuples(account, st.integers(0, 1), since, st.integers(-1, len(payments)), st.booleans())
    facts = sorted(data.draw(st.lists(fact, max_size=4)), key=lambda one: one[3])
    size = data.draw(st.integers(1, len(payments)))
    found = run(payments, facts, sizes=[size], restart=data.draw(st.booleans()))
    assert twin_differences(payments, facts, found) == []


def paid(minute: float, way: str, amount: int | None = 100) -> Payment:
    sender, receiver = way.split(">")
    return Payment(int(minute * MINUTE_US), sender, receiver, amount)


def known(account: str, minute: float = -10_000, after: int = -1, source: int = 0, launderer: bool = True) -> Fact:
    return (account, source, int(minute * MINUTE_US), after, launderer)


def last(payments: list[Payment], facts: list[Fact], plan: ExposurePlan = PLAN) -> dict[str, Any]:
    """The columns of the last payment."""
    return {name: column[-1].item() for name, column in run(payments, facts, plan).items()}


def test_the_payment_itself_counts() -> None:
    row = last([paid(0, "a>x", 250)], [known("x")])
    assert row["receiver.known_launderer"] == 1
    assert row["sender.known_launderer"] == 0
    assert row["sender.out.exposed_distance.10m"] == 1
    assert row["receiver.out.exposed_distance.10m"] == 0
    assert row["sender.out.exposed_sum.1h"] == 250.0
    assert row["sender.out.exposed_share.1h"] == 1.0
    assert row["sender.out.exposed_since_last"] == 0.0
    assert row["sender.in.exposed_distance.1h"] == 4
    assert math.isnan(row["sender.in.exposed_since_last"])


def test_distances_follow_the_money_one_way() -> None:
    payments = [paid(0, "c>x"), paid(1, "b>c"), paid(2, "a>b"), paid(3, "z>a")]
    row = last(payments, [known("x")])
    assert row["receiver.out.exposed_distance.1h"] == 3
    assert row["sender.out.exposed_distance.1h"] == 4
    assert row["receiver.in.exposed_distance.1h"] == 4
    back = last([paid(0, "x>c"), paid(1, "c>b"), paid(2, "b>a"), paid(3, "a>z")], [known("x")])
    assert back["sender.in.exposed_distance.1h"] == 3
    assert back["sender.out.exposed_distance.1h"] == 4


def test_a_way_is_as_old_as_its_oldest_payment() -> None:
    payments = [paid(0, "b>x"), paid(55, "a>b"), paid(59, "z>a"), paid(61, "z>a")]
    found = run(payments, [known("x")])
    assert found["receiver.out.exposed_distance.1h"].tolist()[2:] == [2, 4]
    assert found["receiver.out.exposed_distance.10m"].tolist()[2:] == [4, 4]


def test_former_counterparties_of_one_who_becomes_known_are_exposed_from_then_on() -> None:
    payments = [paid(0, "a>x", 300), paid(1, "a>b", 100), paid(2, "a>b", 100), paid(3, "a>b", 100)]
    found = run(payments, [known("x", minute=2, after=1)])
    assert found["sender.out.exposed_count.1h"].tolist() == [0, 0, 1, 1]
    assert found["sender.out.exposed_share.1h"].tolist() == [0.0, 0.0, 0.6, 0.5]
    assert found["sender.out.exposed_since_last"].tolist()[2:] == [120.0, 180.0]


def test_what_is_dated_later_or_recorded_later_is_not_seen() -> None:
    payments = [paid(0, "a>x"), paid(10, "a>x")]
    assert run(payments, [known("x", minute=10, after=-1)])["sender.out.exposed_count.1h"].tolist() == [0, 2]
    assert run(payments, [known("x", minute=0, after=0)])["sender.out.exposed_count.1h"].tolist() == [0, 2]
    assert run(payments, [known("x", minute=11, after=0)])["sender.out.exposed_count.1h"].tolist() == [0, 0]


def test_a_payment_that_comes_late_does_not_see_what_was_known_later_than_it() -> None:
    payments = [paid(0, "a>x"), paid(20, "a>x"), paid(5, "a>b"), paid(21, "a>b")]
    found = run(payments, [known("x", minute=10, after=0)])
    assert found["sender.out.exposed_count.1h"].tolist() == [0, 2, 0, 2]
    assert found["sender.out.exposed_distance.1h"].tolist() == [4, 1, 4, 1]


def test_a_launderer_is_cleared_by_its_own_source_alone() -> None:
    payments = [paid(0, "a>x"), paid(1, "a>b"), paid(2, "a>b")]
    cleared = known("x", minute=1.5, after=1, launderer=False)
    assert run(payments, [known("x"), cleared])["sender.out.exposed_count.1h"].tolist() == [1, 1, 0]
    again = [known("x"), known("x", source=7), cleared]
    assert run(payments, again)["sender.out.exposed_count.1h"].tolist() == [1, 1, 1]


def test_accounts_are_counted_once_and_payments_each() -> None:
    payments = [paid(0, "a>x", 10), paid(1, "a>y", 20), paid(2, "a>x", 30), paid(3, "a>b", 40)]
    row = last(payments, [known("x"), known("y")])
    assert (row["sender.out.exposed_accounts.1h"], row["sender.out.exposed_count.1h"]) == (2, 3)
    assert (row["sender.out.exposed_sum.1h"], row["sender.out.exposed_share.1h"]) == (60.0, 0.6)


def test_money_to_oneself_is_in_no_list() -> None:
    row = last([paid(0, "x>x"), paid(1, "a>x"), paid(2, "a>a")], [known("x")])
    assert row["sender.out.exposed_distance.1h"] == row["receiver.out.exposed_distance.1h"] == 1
    assert row["sender.out.exposed_count.1h"] == 1
    assert last([paid(0, "x>x")], [known("x")])["sender.out.exposed_count.1h"] == 0


def test_an_amount_without_a_rate_counts_as_a_payment_only() -> None:
    row = last([paid(0, "a>x", None)], [known("x")])
    assert (row["sender.out.exposed_count.1h"], row["sender.out.exposed_sum.1h"]) == (1, 0.0)
    assert math.isnan(row["sender.out.exposed_share.1h"])


def test_an_account_outside_the_bank_may_be_known_but_leads_nowhere() -> None:
    payments = [paid(0, "b>external:x"), paid(1, "external:x>c"), paid(2, "a>b"), paid(3, "z>a")]
    for after in (-1, 0, 2):
        row = last(payments, [known("external:x", after=after)])
        assert row["receiver.out.exposed_distance.1h"] == 2, after
        assert row["sender.out.exposed_distance.1h"] == 3, after
    assert last(payments, [known("c")])["receiver.out.exposed_distance.1h"] == 4


def test_sums_are_exact_beyond_64_bits() -> None:
    largest = 2**53 - 1
    payments = [paid(0, "a>x", largest) for _ in range(3_000)]
    row = last(payments, [known("x")])
    assert row["sender.out.exposed_sum.1h"] == float(3_000 * largest)


# ---- the cap


def star(leaves: int) -> list[Payment]:
    """`hub` paid a known account first and then so many others; then it pays once more."""
    return [paid(0, "hub>x"), *(paid(1, f"hub>n{leaf}") for leaf in range(leaves)), paid(2, "hub>z")]


def test_the_cap_cuts_the_oldest_payments_and_says_so() -> None:
    for cap, expected in ((11, (1, 0)), (10, (0, 1))):
        row = last(star(10), [known("x")], ExposurePlan((3_600,), cap))
        assert (row["sender.out.exposed_count.1h"], row["exposure.truncated.1h"]) == expected, cap


def test_an_account_without_launderers_in_reach_costs_no_visits() -> None:
    row = last(star(50), [known("nobody")], ExposurePlan((3_600,), 1))
    assert (row["sender.out.exposed_distance.1h"], row["exposure.truncated.1h"]) == (4, 0)


@pytest.mark.parametrize("seed", range(20 if FULL else 4))
@pytest.mark.parametrize("cap", [1, 3, 7])
def test_what_a_tiny_cap_cuts_does_not_depend_on_the_blocks(cap: int, seed: int) -> None:
    payments = random_graph(seed, 120, 12, follow=0.5, late_share=0.2, outside=0.05)
    facts = random_facts(seed, payments, 8)
    plan = ExposurePlan((600, 3_600), cap)
    whole = run(payments, facts, plan)
    assert same_bits(whole, run(payments, facts, plan, [1] * 120)) == []
    assert same_bits(whole, run(payments, facts, plan, [7, 40, 1, 30], restart=True)) == []
    later = Followed(plan, facts)
    later.process(payments[:50], columns=False)
    rest = later.process(payments[50:])
    assert same_bits({name: column[50:] for name, column in whole.items()}, rest) == []


def test_a_tiny_cap_does_cut() -> None:
    cut = 0
    for seed in range(4):
        payments = random_graph(seed, 120, 12, follow=0.5)
        found = run(payments, random_facts(seed, payments, 8), ExposurePlan((600, 3_600), 3))
        cut += int(np.sum(found["exposure.truncated.1h"]))
    assert cut > 20


def test_money_that_can_have_gone_there_is_the_least_on_the_way() -> None:
    payments = [paid(0, "b>x", 70), paid(1, "c>x", 500), paid(2, "a>b", 100), paid(3, "a>c", 40), paid(4, "z>a", 60)]
    row = last(payments, [known("x")])
    assert (row["receiver.out.exposed_accounts_2.1h"], row["receiver.out.exposed_count_2.1h"]) == (1, 2)
    assert row["receiver.out.exposed_flow_2.1h"] == 70.0 + 40.0
    assert (row["sender.out.exposed_accounts_3.1h"], row["sender.out.exposed_count_3.1h"]) == (1, 2)
    assert row["sender.out.exposed_flow_3.1h"] == 60.0 + 40.0
    assert row["sender.out.exposed_accounts_2.1h"] == row["receiver.out.exposed_accounts_3.1h"] == 0


def test_each_account_is_asked_once_and_nothing_goes_through_a_known_launderer_or_back() -> None:
    payments = [paid(0, "b>x", 50), paid(1, "c>b", 900), paid(2, "x>y", 30), paid(3, "b>a", 5), paid(4, "a>c", 80)]
    row = last([*payments, paid(5, "a>b", 20)], [known("x"), known("y"), known("a")])
    assert (row["sender.out.exposed_accounts_2.1h"], row["sender.out.exposed_flow_2.1h"]) == (1, 20.0)
    assert (row["sender.out.exposed_accounts_3.1h"], row["sender.out.exposed_flow_3.1h"]) == (0, 0.0)
    straight = last([*payments, paid(5, "a>x", 20)], [known("x")])
    assert straight["sender.out.exposed_accounts_3.1h"] == 0
    assert straight["sender.out.exposed_count_3.1h"] == 1


def test_the_graphs_of_these_tests_have_ways_of_three_payments() -> None:
    payments = random_graph(0, **GRAPHS["long ways"])
    names = sorted({name for payment in payments for name in (payment.sender, payment.receiver)})
    found = run(payments, random_facts(0, payments, 6, names=names[:3] + names[-1:]))
    for name in ("receiver.out.exposed_flow_3.1h", "sender.in.exposed_flow_2.1h", "sender.out.exposed_accounts_3.10m"):
        assert (found[name] > 0).any()
