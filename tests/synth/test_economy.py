"""The accounts of large worlds: exact counts, every group in its place, and nothing in a number."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from greywater.errors import UsageError
from greywater.synth.economy import BANK, BITCOIN, CURRENCIES, CURRENCY_SHARES, KINDS, Population, make_population
from greywater.synth.presets import PRESETS, world_plan


@pytest.fixture(scope="module")
def population() -> Population:
    return make_population(world_plan("hi-small", accounts=20_000, payments=200_000))


def test_there_are_exactly_so_many_accounts_and_one_of_the_bank_in_each_currency(population: Population) -> None:
    assert len(population) == 20_000
    assert np.bincount(population.currency[population.kind == BANK], minlength=len(CURRENCIES)).tolist() == [1] * 15
    assert set(population.bank_id[population.bank[population.kind == BANK]].tolist()) == {70}


def test_groups_say_where_the_accounts_of_a_currency_and_kind_lie(population: Population) -> None:
    for currency in range(len(CURRENCIES)):
        for kind in range(len(KINDS)):
            places = population.places(currency, kind)
            assert set(population.currency[places].tolist()) <= {currency}
            assert set(population.kind[places].tolist()) <= {kind}
    assert population.groups[-1, -1] == len(population)


def test_every_number_is_unique_and_has_nine_digits(population: Population) -> None:
    for numbers in (population.number, population.entity_number):
        assert len(np.unique(numbers)) == len(numbers)
        assert {len(f"{number:X}") for number in numbers[:500].tolist()} == {9}
    ordinary = population.kind != BANK
    assert (population.number[ordinary & (population.currency == BITCOIN)] % 16 == 1).all()
    assert (population.number[ordinary & (population.currency != BITCOIN)] % 16 == 0).all()
    place = np.arange(len(population))[ordinary]
    assert abs(np.corrcoef(place, population.number[ordinary])[0, 1]) < 0.03


def test_an_account_has_the_kind_of_its_owner_and_currencies_their_shares(population: Population) -> None:
    assert (population.entity_kind[population.entity] == population.kind).all()
    assert len(np.unique(population.entity)) == len(population.entity_kind) < len(population)
    shares = np.bincount(population.currency, minlength=15) / len(population)
    assert np.abs(shares - CURRENCY_SHARES).max() < 0.002


def test_the_same_plan_gives_the_same_everyone_and_another_seed_others(population: Population) -> None:
    again = make_population(world_plan("hi-small", accounts=20_000, payments=200_000))
    other = make_population(world_plan("hi-small", accounts=20_000, payments=200_000, seed=8))
    for part in fields(Population):
        assert np.array_equal(getattr(again, part.name), getattr(population, part.name)), part.name
    assert not np.array_equal(other.number, population.number)


def test_the_published_sizes_are_kept_and_others_follow_in_proportion() -> None:
    published = PRESETS["hi-small"]
    assert (published.accounts, published.payments, published.laundering) == (515_088, 5_078_345, 5_177)
    assert sum(published.attempts.values()) == 370
    tenth = world_plan("li-small", accounts=70_591)
    assert tenth.payments == pytest.approx(692_405, abs=20)
    assert tenth.laundering == pytest.approx(356, abs=1)


@pytest.mark.parametrize("sizes", [{"payments": 10}, {"accounts": 3}, {"days": 0}])
def test_a_world_too_small_is_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="a world needs at least"):
        world_plan("hi-small", **sizes)


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        world_plan("huge")
    assert "hi-small, li-small" in caught.value.mend
