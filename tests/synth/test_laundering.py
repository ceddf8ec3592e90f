"""Laundering of large worlds as published: counts, formats, banks, days, and its Patterns file."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from greywater.errors import StoreAccessError
from greywater.formats.patterns import pattern_lines, read_patterns
from greywater.synth.disguise import PublishedLooks
from greywater.synth.economy import FORMATS, Population, make_population
from greywater.synth.laundering import Laundering, plan_laundering
from greywater.synth.pattern_file import write_pattern_file
from greywater.synth.planned import PHASES, TYPOLOGIES, Planned
from greywater.synth.presets import WorldPlan, world_plan
from greywater.synth.proportions import HI_SMALL, proportions_of

PLAN = world_plan("hi-small", accounts=60_000, payments=HI_SMALL.payments)


@pytest.fixture(scope="module")
def population() -> Population:
    return make_population(PLAN)


def planned(plan: WorldPlan, population: Population) -> Laundering:
    return plan_laundering(plan, population, PublishedLooks(population), proportions_of(plan))


@pytest.fixture(scope="module")
def laundering(population: Population) -> Laundering:
    return planned(PLAN, population)


def same(one: Planned, other: Planned) -> bool:
    return all(np.array_equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Planned))


def test_counts_are_the_published_ones(laundering: Laundering) -> None:
    payments = laundering.payments
    assert len(payments) == 5_177
    assert payments.laundering.all()
    assert Counter(attempt.typology for attempt in laundering.attempts) == Counter(
        {share.typology: share.attempts for share in HI_SMALL.typologies}
    )
    typed = payments.typology[payments.typology >= 0]
    assert Counter(TYPOLOGIES[place] for place in typed.tolist()) == Counter(
        {share.typology: share.payments for share in HI_SMALL.typologies}
    )


def test_formats_and_banks_are_the_published_ones(laundering: Laundering, population: Population) -> None:
    payments = laundering.payments
    typed = payments.typology >= 0
    assert {FORMATS[place] for place in payments.format[typed].tolist()} == {"ACH"}
    assert np.mean(payments.format == FORMATS.index("ACH")) == pytest.approx(0.865, abs=0.01)
    across = population.bank[payments.sender] != population.bank[payments.receiver]
    assert np.mean(across) == pytest.approx(0.98, abs=0.01)
    assert (payments.sender != payments.receiver).all()


def test_typed_amounts_are_the_published_ones(laundering: Laundering) -> None:
    payments = laundering.payments
    dollars = payments.paid[(payments.typology >= 0) & (payments.paid_currency == 0)] / 100
    quartiles = np.percentile(dollars, [5, 25, 50, 75, 95])
    assert quartiles == pytest.approx([1_085, 5_092, 10_279, 15_784, 19_848], rel=0.12)


def test_the_tail_after_everyday_life_is_typed(laundering: Laundering) -> None:
    payments = laundering.payments
    late = payments.time >= PLAN.end
    assert np.mean(late) == pytest.approx(655 / 5_177, abs=0.03)
    assert (payments.typology[late] >= 0).all()
    assert payments.time.min() >= PLAN.start
    assert payments.time.max() < PLAN.end + 9 * 86_400


def test_every_payment_has_attempt_and_phase(laundering: Laundering) -> None:
    payments = laundering.payments
    assert payments.attempt.min() >= 0
    assert payments.attempt.max() < len(laundering.attempts)
    layering = payments.phase == PHASES.index("layering")
    assert np.array_equal(layering, payments.typology >= 0)
    assert {PHASES[place] for place in np.unique(payments.phase).tolist()} == set(PHASES)
    typology = np.array([TYPOLOGIES.index(attempt.typology) for attempt in laundering.attempts])
    assert np.array_equal(typology[payments.attempt[layering]], payments.typology[layering])


def test_who_integrates_has_received_and_who_places_sends_later(laundering: Laundering, population: Population) -> None:
    payments = laundering.payments
    first_received: dict[int, int] = {}
    for row in np.flatnonzero(payments.typology >= 0).tolist():
        account, time = int(payments.receiver[row]), int(payments.time[row])
        first_received[account] = min(time, first_received.get(account, time))
    bank_accounts = set(population.of_kind(4).tolist())
    checked = 0
    for row in np.flatnonzero(payments.phase == PHASES.index("integration")).tolist():
        if int(payments.sender[row]) not in bank_accounts:
            assert first_received[int(payments.sender[row])] <= payments.time[row]
            checked += 1
    assert checked > 1_000


def test_the_same_plan_gives_the_same_and_another_seed_another(population: Population, laundering: Laundering) -> None:
    assert same(laundering.payments, planned(PLAN, population).payments)
    other = world_plan("hi-small", accounts=60_000, payments=HI_SMALL.payments, seed=8)
    assert not same(laundering.payments, planned(other, population).payments)


def test_an_attempt_does_not_depend_on_the_others(population: Population) -> None:
    """Streams are keyed by the attempt: a ring asked for again is the same ring."""
    looks = PublishedLooks(population)
    one = plan_laundering(PLAN, population, looks, proportions_of(PLAN))
    again = plan_laundering(PLAN, population, looks, proportions_of(PLAN))
    assert [ring.accounts.tolist() for ring in one.rings] == [ring.accounts.tolist() for ring in again.rings]


def test_the_patterns_file_is_read_back(tmp_path: Path, laundering: Laundering, population: Population) -> None:
    path = tmp_path / "HI-Small_Patterns.txt"
    write_pattern_file(path, laundering, population)
    read = read_patterns(path)
    assert len(read) == 370
    assert sum(len(attempt.payments) for attempt in read) == HI_SMALL.typed
    assert "".join(pattern_lines(read)).encode() == path.read_bytes()
    fan = next(attempt for attempt in read if attempt.typology == "fan-out")
    assert fan.remark == f"Max {len(fan.payments)}-degree Fan-Out"
    assert len({payment[2] for payment in fan.payments}) == 1
    cycle = next(attempt for attempt in read if attempt.typology == "cycle")
    assert cycle.payments[0][1:3] == cycle.payments[-1][3:5]
    assert {attempt.remark.split()[0] for attempt in read if attempt.remark} == {"Max"}
    assert {attempt.typology for attempt in read if not attempt.remark} == {"scatter-gather", "bipartite", "stack"}


def test_a_patterns_file_that_cannot_be_written_is_an_error(
    tmp_path: Path, laundering: Laundering, population: Population
) -> None:
    with pytest.raises(StoreAccessError):
        write_pattern_file(tmp_path / "absent" / "x.txt", laundering, population)
