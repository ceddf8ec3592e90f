"""Everyday payments: as many as asked for, within the world, with the rhythm of days and weeks."""

from __future__ import annotations

import numpy as np
import pytest

from greywater.synth.commerce import PURPOSES, Flows, cover_purpose, everyday_payments, moments
from greywater.synth.people import BUSINESS, MERCHANT, PERSON, Population, make_population
from greywater.synth.streams import stream
from greywater.synth.world import WORLD_START

DAY, DAYS = 86_400, 60
NAMES = [purpose.name for purpose in PURPOSES]


@pytest.fixture(scope="module")
def population() -> Population:
    return make_population(5, 1_000, WORLD_START, DAYS)


@pytest.fixture(scope="module")
def flows(population: Population) -> Flows:
    return everyday_payments(5, population, WORLD_START, DAYS, 20_000)


def test_as_many_as_asked_for_within_the_world(population: Population, flows: Flows) -> None:
    assert len(flows) == 20_000
    assert flows.time.min() >= WORLD_START
    assert flows.time.max() < WORLD_START + DAYS * DAY
    assert (flows.amount > 0).all()
    assert (flows.sender != flows.receiver).all()
    assert (flows.time >= population.opened[flows.sender]).all()
    assert (flows.time >= population.opened[flows.receiver]).all()


@pytest.mark.parametrize("count", [10, 1_500])
def test_small_worlds_keep_standing_orders_below_half(population: Population, count: int) -> None:
    flows = everyday_payments(5, population, WORLD_START, DAYS, count)
    standing = np.isin(flows.purpose, [NAMES.index(name) for name in ("salary", "rent", "bill")])
    assert len(flows) == count
    assert standing.mean() <= 0.45


def test_every_purpose_occurs_between_the_right_parties(population: Population, flows: Flows) -> None:
    assert set(flows.purpose.tolist()) == set(range(len(PURPOSES)))
    trade = population.account_trade
    salaries = flows.take(flows.purpose == NAMES.index("salary"))
    assert (trade[salaries.sender] != PERSON).all()
    assert (population.employer[salaries.receiver] == salaries.sender).all()
    shopping = flows.take(flows.purpose == NAMES.index("shopping"))
    assert (trade[shopping.receiver] == MERCHANT).all()
    own = flows.take(flows.purpose == NAMES.index("own"))
    assert (population.owner[own.sender] == population.owner[own.receiver]).all()


def test_payroll_fans_out_and_shops_fan_in(flows: Flows) -> None:
    salaries = flows.take(flows.purpose == NAMES.index("salary"))
    runs = np.unique(np.stack([salaries.sender, salaries.time // DAY]), axis=1, return_counts=True)[1]
    assert runs.max() >= 8
    shopping = flows.take(flows.purpose == NAMES.index("shopping"))
    customers = {shop: set() for shop in shopping.receiver.tolist()}  # type: dict[int, set[int]]
    for sender, shop in zip(shopping.sender.tolist(), shopping.receiver.tolist(), strict=True):
        customers[shop].add(sender)
    assert max(map(len, customers.values())) >= 50


def test_offices_rest_at_night_and_on_sundays() -> None:
    time = moments(stream(1, "test"), "invoice", 20_000, WORLD_START, 28)
    hour, weekday = time // 3_600 % 24, (time // DAY + 3) % 7
    assert ((hour >= 9) & (hour < 17)).mean() > 0.75
    assert (weekday == 6).mean() < 0.05


def test_cover_purposes() -> None:
    cases = {(PERSON, PERSON): "transfer", (PERSON, MERCHANT): "shopping", (PERSON, BUSINESS): "service"}
    cases |= {(BUSINESS, PERSON): "fee", (MERCHANT, BUSINESS): "invoice"}
    for (sender, receiver), name in cases.items():
        assert PURPOSES[cover_purpose(sender, receiver)].name == name


def test_people_mostly_pay_whom_they_know(flows: Flows) -> None:
    transfers = flows.take(flows.purpose == NAMES.index("transfer"))
    pairs, counts = np.unique(transfers.sender * 10_000 + transfers.receiver, return_counts=True)
    assert len(pairs) < 0.8 * len(transfers)
    assert counts.max() >= 5
