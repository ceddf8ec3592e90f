"""Everyday payments of large worlds against a slow twin, and how they are spread over days and formats."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from greywater.kernels.everyday import RENT, SALARY, standing_payments
from greywater.synth.economy import FORMATS, PERSON, REINVESTMENT, Population, make_population
from greywater.synth.everyday import Everyday, _due_days, _reinvested, empty_columns, everyday_amounts, plan_everyday
from greywater.synth.planned import Planned
from greywater.synth.presets import WorldPlan, world_plan
from greywater.synth.weaving import Piece, pieces, sort_planned, woven
from tests.naive_world import NaiveWorld, Payment

PLAN = world_plan("hi-small", payments=30_000, accounts=3_000)


@pytest.fixture(scope="module")
def population() -> Population:
    return make_population(PLAN)


@pytest.fixture(scope="module")
def everyday(population: Population) -> Everyday:
    return plan_everyday(PLAN, population, np.zeros(len(FORMATS), np.int64))


def payments_of(everyday: Everyday, piece: Piece) -> list[Payment]:
    columns = woven(everyday, *sort_planned(PLAN.seed, Planned.none()), piece).columns
    return [Payment(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def alike(one: Payment, other: Payment) -> bool:
    """Equal but for the last digits of large amounts, which hang on the last bits of a logarithm."""
    near = all(abs(a - b) <= 1 + 1e-7 * a for a, b in ((one.paid, other.paid), (one.received, other.received)))
    rest = ("time", "sender", "receiver", "paid_currency", "received_currency", "format")
    return near and all(getattr(one, name) == getattr(other, name) for name in rest)


def test_an_hour_is_what_the_slow_twin_says(everyday: Everyday) -> None:
    day, hour = everyday.day(1), 11
    twin = NaiveWorld(everyday.habits, everyday.keys)
    number, rows = int(day.hour_rows[:hour].sum()), int(day.hour_rows[hour])
    start = day.start_us + hour * 3_600_000_000
    flows = day.flows[hour].tolist()
    expected = [twin.flexible(1, number, start, rows, k, flows) for k in range(rows)]
    made = payments_of(everyday, Piece(0, day, (0, 0), ((hour, 0, rows),), (0, 0)))
    assert len(made) == len(expected) > 50
    assert all(alike(a, b) for a, b in zip(made, expected, strict=True))


@pytest.mark.parametrize("number", [0, 1, 9])
def test_what_is_due_on_an_accounts_day_is_what_the_slow_twin_says(everyday: Everyday, number: int) -> None:
    day = everyday.day(number)
    twin = NaiveWorld(everyday.habits, everyday.keys)
    who, days = _reinvested(everyday, number).tolist(), _due_days(PLAN, number)
    expected = [
        payment
        for account in range(PLAN.accounts)
        for payment in twin.due(account, number, day.start_us, days, everyday.kept, who)
    ]
    columns = empty_columns(len(day.standing_time))
    standing_payments(
        everyday.habits, everyday.keys, number, day.standing_time, day.standing_account, day.standing_kind, columns, 0
    )
    made = [Payment(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    assert len(made) == len(expected)
    expected.sort(key=lambda payment: payment.time)
    assert all(alike(a, b) for a, b in zip(made, expected, strict=True))
    assert (len(made) > 0) == (number != 9)


def test_a_salary_comes_each_payday_from_the_same_employer_and_is_the_same() -> None:
    plan = world_plan("hi-small", payments=60_000, accounts=2_000, days=70)
    population = make_population(plan)
    everyday = plan_everyday(plan, population, np.zeros(len(FORMATS), np.int64))
    paid: dict[tuple[int, int], list[int]] = {}
    for number in range(plan.days):
        day = everyday.day(number)
        salaries = day.standing_kind == SALARY
        columns = empty_columns(int(salaries.sum()))
        standing_payments(
            everyday.habits, everyday.keys, number, day.standing_time[salaries], day.standing_account[salaries],
            day.standing_kind[salaries], columns, 0,
        )  # fmt: skip
        for sender, receiver, amount in zip(columns.sender, columns.receiver, columns.paid, strict=True):
            paid.setdefault((int(sender), int(receiver)), []).append(int(amount))
    assert len(paid) > 200
    assert all(len(set(amounts)) == 1 for amounts in paid.values())
    assert {2, 3} <= set(map(len, paid.values())) <= {2, 3, 4, 5, 6}
    assert set(population.kind[[receiver for _, receiver in paid]].tolist()) == {PERSON}
    assert PERSON not in population.kind[[sender for sender, _ in paid]]


def test_nothing_standing_is_paid_on_days_off_and_rents_only_early_in_the_month(everyday: Everyday) -> None:
    kinds = [Counter(everyday.day(number).standing_kind.tolist()) for number in range(PLAN.days)]
    saturdays_and_sundays = (2, 3, 9)
    assert all(set(kinds[number]) == set() for number in saturdays_and_sundays)
    assert kinds[0][RENT] > 0
    assert kinds[8][RENT] == 0
    assert kinds[8][SALARY] > 0


def test_days_and_formats_add_up_exactly_to_what_is_wanted(population: Population) -> None:
    planned = np.array([0, 0, 200, 0, 0, 0, 10])
    everyday = plan_everyday(PLAN, population, planned)
    assert everyday.day_rows.sum() == PLAN.payments - 210
    for number in range(PLAN.days):
        assert len(everyday.day(number)) == everyday.day_rows[number]
    assert everyday.quota[1:, REINVESTMENT].sum() == 0.0


def test_pieces_of_any_size_hold_the_same_payments_in_order(everyday: Everyday) -> None:
    nothing = np.empty(0, np.int64)
    whole = [payment for piece in pieces(everyday, nothing, 1_000_000) for payment in payments_of(everyday, piece)]
    parts = [payment for piece in pieces(everyday, nothing, 997) for payment in payments_of(everyday, piece)]
    assert whole == parts
    assert [payment.time for payment in whole] == sorted(payment.time for payment in whole)


def test_where_more_is_due_than_there_are_payments_some_of_it_is_paid() -> None:
    plan = WorldPlan("Tiny", accounts=5_000, payments=2_000, laundering=8)
    everyday = plan_everyday(plan, make_population(plan), np.zeros(len(FORMATS), np.int64))
    assert sum(len(everyday.day(number)) for number in range(plan.days)) == 2_000


def test_amounts_follow_the_curve_of_their_format_in_the_currencys_own_units(population: Population) -> None:
    dollars, yen = np.zeros(3, np.int64), np.full(3, 8)
    z = np.array([-1.0, 0.0, 1.0])
    for form in range(len(FORMATS)):
        of_dollars, of_yen = everyday_amounts(population, form, dollars, z), everyday_amounts(population, form, yen, z)
        assert (np.diff(of_dollars) > 0).all()
        assert of_yen / of_dollars == pytest.approx(105.4, rel=0.01)
