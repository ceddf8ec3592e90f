"""Payments' scores roll up to parties: within the budget, causally, and never by a dictionary code."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.desk.budget import Budget
from greywater.desk.rollup import DAY_US, MOST_PAYMENTS, Candidate, ScoredPayments, roll_up
from greywater.errors import UsageError

Row = tuple[float, float, str, str]  # day, score, sender, receiver


def scored(rows: Sequence[Row], customers: dict[str, str] | None = None, order: Sequence[str] = ()) -> ScoredPayments:
    accounts = list(order) or sorted({name for row in rows for name in row[2:]})
    code = {name: number for number, name in enumerate(accounts)}
    score = np.array([row[1] for row in rows], dtype=np.float64)
    return ScoredPayments(
        seq=np.arange(100, 100 + len(rows), dtype=np.int64),
        time_us=np.array([int(row[0] * DAY_US) for row in rows], dtype=np.int64),
        score=score,
        probability=1 / (1 + np.exp(-score)),
        sender=np.array([code[row[2]] for row in rows], dtype=np.int32),
        receiver=np.array([code[row[3]] for row in rows], dtype=np.int32),
        accounts=accounts,
        customer_of=customers,
    )


def naive(payments: ScoredPayments, budget: Budget) -> list[tuple[str, int, int]]:
    """The slow, obvious twin: (entity, seq, folded), best first."""
    customers = payments.customer_of or {}
    horizon = -(10**18)
    stays: dict[int, dict[str, tuple[float, int, int]]] = {}
    for i in range(len(payments.seq)):
        horizon = max(horizon, int(payments.time_us[i]))
        if np.isnan(payments.score[i]):
            continue
        day = horizon // DAY_US if budget.per_day else 0
        for side, code in enumerate((payments.sender[i], payments.receiver[i])):
            account = payments.accounts[code]
            if account.startswith("external:"):
                continue
            entity = customers.get(account) or account
            key = (-float(payments.score[i]), int(payments.seq[i]), side)
            best = stays.setdefault(day, {})
            best[entity] = min(best.get(entity, key), key)
    alerted: dict[str, tuple[float, int, int]] = {}
    folded: dict[str, int] = {}
    for day in sorted(stays):
        raised = 0
        for entity, key in sorted(stays[day].items(), key=lambda item: item[1]):
            if raised == budget.count:
                break
            if entity in alerted:
                folded[entity] += 1
            else:
                alerted[entity], folded[entity] = key, 0
                raised += 1
    return [(entity, key[1], folded[entity]) for entity, key in sorted(alerted.items(), key=lambda item: item[1])]


def told(candidates: list[Candidate]) -> list[tuple[str, int, int]]:
    return [(candidate.entity, candidate.seq, candidate.folded) for candidate in candidates]


def test_both_sides_of_the_worst_payment_are_raised_sender_first() -> None:
    rows = [(0.1, 1.0, "a", "b"), (0.2, 9.0, "z", "c"), (0.3, 2.0, "a", "d")]
    assert told(roll_up(scored(rows), Budget(3))) == [("z", 101, 0), ("c", 101, 0), ("a", 102, 0)]


def test_a_repeat_folds_into_the_alert_and_the_budget_goes_to_another() -> None:
    rows = [(0, 9.0, "a", "external:x"), (1, 8.0, "a", "external:x"), (1, 5.0, "b", "external:x"),
            (2, 1.0, "a", "external:x"), (2, 4.0, "c", "external:x")]  # fmt: skip
    assert told(roll_up(scored(rows), Budget(1))) == [("a", 100, 1), ("b", 102, 0), ("c", 104, 0)]


def test_an_unused_budget_is_not_carried_over() -> None:
    rows = [(0, 1.0, "a", "external:x"), (1, 3.0, "b", "external:x"), (1, 2.0, "c", "external:x"),
            (1, 1.0, "d", "external:x")]  # fmt: skip
    assert [c.entity for c in roll_up(scored(rows), Budget(2))] == ["b", "c", "a"]


def test_a_budget_in_all_takes_the_best_of_the_slice() -> None:
    rows = [(day, float(day), f"s{day}", "hub") for day in range(10)]
    assert told(roll_up(scored(rows), Budget(3, False))) == [("s9", 109, 0), ("hub", 109, 0), ("s8", 108, 0)]


def test_externals_and_unscored_payments_are_never_alerted() -> None:
    rows = [(0, 9.0, "external:-1", "external:-2"), (0, float("nan"), "a", "b"), (0, 1.0, "c", "external:-1")]
    assert told(roll_up(scored(rows), Budget(20))) == [("c", 102, 0)]
    assert roll_up(scored(rows[:2]), Budget(20)) == []
    assert roll_up(scored([]), Budget(20)) == []
    assert roll_up(scored([]), Budget(20, False)) == []


def test_customers_gather_their_accounts_and_others_stand_for_themselves() -> None:
    rows = [(0, 1.0, "a1", "b"), (0, 3.0, "a2", "a1"), (0, 2.0, "b", "a2")]
    candidates = roll_up(scored(rows, {"a1": "Ann", "a2": "Ann"}), Budget(5))
    assert [(c.entity, c.kind, c.payments) for c in candidates] == [
        ("Ann", "customer", (101, 100)),
        ("b", "account", (102, 100)),
    ]


def test_a_customer_and_an_account_of_the_same_name_are_two() -> None:
    candidates = roll_up(scored([(0, 1.0, "x", "y")], {"x": "y"}), Budget(5))
    assert [(c.entity, c.kind) for c in candidates] == [("y", "customer"), ("y", "account")]


def test_payments_are_the_best_up_to_the_raising_one_and_bounded() -> None:
    rows = [(0.0, float(i % 7), "a", f"b{i}") for i in range(60)] + [(0.5, 50.0, "a", "z"), (0.6, 40.0, "a", "y")]
    (candidate,) = (c for c in roll_up(scored(rows), Budget(100)) if c.entity == "a")
    assert candidate.seq == 160
    assert candidate.payments[0] == 160
    assert len(candidate.payments) == MOST_PAYMENTS == 25
    assert 161 not in candidate.payments
    scores = [rows[seq - 100][1] for seq in candidate.payments]
    assert scores == sorted(scores, reverse=True)
    assert candidate.score == 50.0
    assert 0.99 < candidate.probability <= 1.0
    assert candidate.time_us == DAY_US // 2


def test_a_late_payment_counts_on_the_day_it_arrives() -> None:
    rows = [(0.0, 1.0, "a", "external:x"), (5.0, 2.0, "b", "external:x"), (0.5, 9.0, "c", "external:x")]
    assert [c.entity for c in roll_up(scored(rows), Budget(1))] == ["c", "a"]
    payments = scored(rows[:1] + rows[2:])
    ahead = ScoredPayments(**{**payments.__dict__, "horizon_us": 4 * DAY_US})
    assert [c.entity for c in roll_up(ahead, Budget(1))] == ["c"]


def test_days_far_apart_and_before_1970_are_days() -> None:
    rows = [
        (-40_000.0, 1.0, "a", "external:x"),
        (-39_999.5, 2.0, "b", "external:x"),
        (60_000.0, 3.0, "c", "external:x"),
    ]
    assert [c.entity for c in roll_up(scored(rows), Budget(1))] == ["c", "b"]


@pytest.mark.parametrize("name", ["score", "sender", "time_us"])
def test_columns_of_unequal_length_are_refused(name: str) -> None:
    payments = scored([(0, 1.0, "a", "b"), (0, 1.0, "a", "b")])
    with pytest.raises(UsageError, match=name):
        ScoredPayments(**{**payments.__dict__, name: getattr(payments, name)[:1]})


def test_payments_out_of_ledger_order_are_refused() -> None:
    payments = scored([(0, 1.0, "a", "b"), (0, 1.0, "a", "b")])
    with pytest.raises(UsageError, match="ledger order"):
        ScoredPayments(**{**payments.__dict__, "seq": np.array([5, 5])})


names = st.sampled_from(["a", "b", "c", "d", "e", "external:1", "external:2"])
rows_of = st.lists(
    st.tuples(st.floats(0, 4), st.sampled_from([0.0, 1.0, 2.0, 3.0, float("nan")]), names, names), max_size=40
)
budgets = st.builds(Budget, st.integers(1, 4), st.booleans())
owners = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["P", "Q"]))


@settings(max_examples=150, deadline=None)
@given(rows_of, budgets, owners, st.permutations(["a", "b", "c", "d", "e", "external:1", "external:2"]))
def test_it_equals_its_slow_twin_whatever_the_codes(
    rows: list[Row], budget: Budget, customers: dict[str, str], order: list[str]
) -> None:
    payments = scored(rows, customers, order)
    candidates = roll_up(payments, budget)
    assert told(candidates) == naive(payments, budget)
    assert candidates == roll_up(scored(rows, customers, sorted(order)), budget)


@settings(max_examples=80, deadline=None)
@given(rows_of, st.integers(1, 3), st.integers(0, 4))
def test_what_was_raised_by_a_day_does_not_change_with_what_comes_later(rows: list[Row], count: int, days: int) -> None:
    """The queue of the first days is the same whether or not the later days are there."""
    horizon, cut = 0.0, len(rows)
    for index, row in enumerate(rows):
        horizon = max(horizon, row[0])
        if int(horizon) >= days:
            cut = index
            break
    every = ["a", "b", "c", "d", "e", "external:1", "external:2"]
    whole = {(c.entity, c.seq, c.payments) for c in roll_up(scored(rows, order=every), Budget(count))}
    early = {(c.entity, c.seq, c.payments) for c in roll_up(scored(rows[:cut], order=every), Budget(count))}
    assert early <= whole
    assert {entry for entry in whole if entry[1] < 100 + cut} == early
