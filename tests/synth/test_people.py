"""The population: exact counts, unguessable ids, old employers, shares within the whole."""

from __future__ import annotations

import numpy as np
import pytest

from greywater.synth.people import (
    BUSINESS,
    LANDLORD,
    MERCHANT,
    PERSON,
    UTILITY,
    Population,
    Tie,
    make_population,
    make_ties,
    tie_together,
    within_whole,
)
from greywater.synth.streams import stream
from greywater.synth.world import WORLD_START

DAY = 86_400


@pytest.fixture(scope="module")
def population() -> Population:
    return make_population(3, 1_500, WORLD_START, 60)


def test_counts_and_ids(population: Population) -> None:
    customers = len(population.trade)
    assert len(population.account_ids) == len(set(population.account_ids.tolist())) == 1_500
    assert len(population.customer_ids) == len(set(population.customer_ids.tolist())) == customers
    assert population.owner[:customers].tolist() == list(range(customers))
    assert set(population.trade.tolist()) == {PERSON, MERCHANT, LANDLORD, UTILITY, BUSINESS}
    assert 0.08 < (population.trade != PERSON).mean() < 0.15


def test_ids_say_nothing_about_the_trade(population: Population) -> None:
    order = np.argsort(population.account_ids)
    companies = population.account_trade[order] != PERSON
    place = np.flatnonzero(companies).mean() / len(order)
    assert 0.4 < place < 0.6


def test_openings(population: Population) -> None:
    assert (population.opened % DAY == 0).all()
    during = population.opened >= WORLD_START
    assert 0.03 < during.mean() < 0.12
    assert population.opened.max() < WORLD_START + 60 * DAY
    employers = np.unique(population.employer[population.employer >= 0])
    assert not during[employers].any()


def test_ties_have_kinds_and_shares_within_the_whole(population: Population) -> None:
    ties = within_whole(make_ties(3, population, WORLD_START))
    kinds = {tie.kind for tie in ties}
    assert kinds >= {
        "relative",
        "director",
        "shareholder",
        "beneficial_owner",
        "signatory",
        "legal_representative",
        "partner",
    }
    held: dict[int, float] = {}
    for tie in ties:
        assert tie.source != tie.target
        if not np.isnan(tie.share):
            assert 0.0 <= tie.share <= 1.0
            held[tie.target] = held.get(tie.target, 0.0) + tie.share
        if tie.valid_to >= 0:
            assert tie.valid_to >= tie.valid_from
    assert max(held.values()) <= 1.0
    families = [tie for tie in ties if tie.kind == "relative"]
    assert all(population.household[tie.source] == population.household[tie.target] for tie in families)


def test_shares_beyond_the_whole_fall_away() -> None:
    ties = [Tie(1, 9, "shareholder", 0.7, 0), Tie(2, 9, "shareholder", 0.4, 0), Tie(3, 9, "director", float("nan"), 0)]
    assert [tie.source for tie in within_whole(ties)] == [1, 3]


def test_a_group_is_tied_to_its_leader_or_its_companies(population: Population) -> None:
    people = population.mains(PERSON)[:10].tolist()
    firms = population.mains(MERCHANT)[:6].tolist()
    ties = tie_together(stream(1, "test"), population, people + firms, WORLD_START)
    assert ties
    assert {tie.source for tie in ties} | {tie.target for tie in ties} <= set(people + firms)
    assert all(tie.kind in {"relative", "partner"} or tie.target in firms for tie in ties)
