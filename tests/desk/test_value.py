"""Expected value per hour: more chance, more money, less work are worth more, and the assumptions are said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.desk.value import ValueAssumptions
from greywater.errors import UsageError

money = st.floats(0, 1e12)


def naive(
    assumed: ValueAssumptions, chance: float, stake: float, accounts: int, payments: int, severity: float
) -> float:
    minutes = assumed.alert_minutes
    for _ in range(accounts - 1):
        minutes += assumed.account_minutes
    for _ in range(payments):
        minutes += assumed.payment_minutes
    minutes = min(minutes, assumed.most_minutes)
    return chance * severity * (1 + math.log10(1 + stake / assumed.stake_unit)) / (minutes / 60)


@given(st.floats(0, 1), money, st.integers(1, 60), st.integers(0, 25), st.floats(0, 10))
def test_it_is_what_the_page_says(chance: float, stake: float, accounts: int, payments: int, severity: float) -> None:
    assumed = ValueAssumptions()
    minutes = assumed.minutes(np.array([accounts]), np.array([payments]))
    found = assumed.per_hour(np.array([chance]), np.array([stake]), minutes, severity)[0]
    assert found == pytest.approx(naive(assumed, chance, stake, accounts, payments, severity))


@given(st.floats(0.01, 1), st.lists(money, min_size=2, max_size=5))
def test_more_money_never_lowers_it(chance: float, stakes: list[float]) -> None:
    values = ValueAssumptions().per_hour(chance, np.sort(stakes), 30.0)
    assert (np.diff(values) >= 0).all()


def test_money_does_not_drown_the_chance() -> None:
    likely, huge = ValueAssumptions().per_hour(np.array([0.9, 0.01]), np.array([0.0, 1e9]), 30.0)
    assert likely > huge


def test_what_is_not_known_of_the_money_counts_as_nothing() -> None:
    assert ValueAssumptions().weight(np.array([math.nan, -5.0, 0.0])).tolist() == [1.0, 1.0, 1.0]
    assert np.isfinite(ValueAssumptions().weight(np.array([math.inf]))).all()


def test_an_alert_is_never_cut_below_its_own_minutes() -> None:
    assert ValueAssumptions(alert_minutes=60, most_minutes=10).minutes(np.array([5]), np.array([0])).tolist() == [60.0]


@pytest.mark.parametrize("name", ["stake_unit", "alert_minutes", "most_minutes"])
@pytest.mark.parametrize("given", [0.0, -1.0, math.nan, math.inf])
def test_what_cannot_be_assumed_is_refused(name: str, given: float) -> None:
    with pytest.raises(UsageError) as refusal:
        ValueAssumptions(**{name: given})
    assert refusal.value.where == name


def test_the_assumptions_are_said() -> None:
    said = " ".join(ValueAssumptions(stake_unit=5_000).words("EUR"))
    for figure in ("5,000 EUR", "30 minutes", "10 more", "0.5 more", "240 at most"):
        assert figure in said
