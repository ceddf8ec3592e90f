"""Laundering outside the shapes: dirty money placed before an attempt, clean money spent and invested after it."""

from __future__ import annotations

from typing import Final

import numpy as np

from greywater.synth.disguise import EverydayLooks, PublishedLooks
from greywater.synth.economy import FORMATS, Population
from greywater.synth.planned import PHASES, Planned
from greywater.synth.presets import DAY_SECONDS, WorldPlan
from greywater.synth.streams import stream
from greywater.vocab import Int64Array

__all__ = ["disguised_untyped", "published_untyped"]

HOUR: Final = 3_600
_PLACEMENT, _INTEGRATION = PHASES.index("placement"), PHASES.index("integration")
#: Share of the published untyped laundering that is cash: it is placed, the rest integrates.
_PUBLISHED_PLACED: Final = 0.055
#: Share of the published integration that banks pay out of their own accounts.
_BY_BANKS: Final = 0.28
#: Share of the published untyped laundering that stays within a bank.
_WITHIN_BANK: Final = 0.013
#: Share of the untyped laundering of hard mode that is placed.
_PLACED: Final = 0.25
#: Days that launderers of hard mode place before an attempt, and integrate after it.
_DAYS_BEFORE, _DAYS_AFTER = 14, 30


def published_untyped(
    plan: WorldPlan, population: Population, looks: PublishedLooks, typed: Planned, count: int
) -> Planned:
    """As in the published worlds: evenly over the days, whatever the attempts do, none later than everyday life.

    Parameters
    ----------
    plan : WorldPlan
        When the world is, and its seed.
    population : Population
        Who there is.
    looks : PublishedLooks
        How it looks.
    typed : Planned
        The payments of the attempts. Who placed money sends later, who integrates has received before.
    count : int
        How many payments.
    """
    rng = stream(plan.seed, "untyped laundering")
    first = int(typed.time.min())
    time = np.sort(rng.integers(min(plan.start, first), plan.end, count))
    order = np.argsort(typed.time, kind="stable")
    come = np.searchsorted(typed.time[order], time)
    placed = (rng.random(count) < _PUBLISHED_PLACED) | (come == 0)
    earlier = order[(rng.random(count) * np.maximum(come, 1)).astype(np.int64)]
    later = order[np.minimum(come + (rng.random(count) * (len(order) - come)).astype(np.int64), len(order) - 1)]
    people = looks.cast(rng, -1, count, companies=False)
    firms = looks.cast(rng, -1, count, companies=True)
    by_bank = ~placed & (rng.random(count) < _BY_BANKS)
    sender = np.where(placed, people, np.where(by_bank, rng.choice(looks.banks, count), typed.receiver[earlier]))
    payee = np.where(rng.random(count) < 0.75, firms, people)
    near = looks.of_same_bank(rng, sender)
    payee = np.where((rng.random(count) < _WITHIN_BANK) & (near != sender), near, payee)
    receiver = np.where(placed, typed.sender[later], np.where(payee == sender, np.roll(payee, 1), payee))
    codes = population.currency[receiver]
    paid, form = looks.wear(rng, codes, looks.amounts(-1, rng.random(count)), typed=False)
    return Planned.of(
        time=time,
        sender=sender,
        receiver=receiver,
        paid=paid,
        paid_currency=codes,
        format=np.where(placed, FORMATS.index("Cash"), form),
        attempt=np.where(placed, typed.attempt[later], typed.attempt[earlier]),
        phase=np.where(placed, _PLACEMENT, _INTEGRATION),
    )


def disguised_untyped(
    plan: WorldPlan, looks: EverydayLooks, typed: Planned, sources: Int64Array, sinks: Int64Array, count: int
) -> Planned:
    """The untyped payments of one attempt in hard mode: in the weeks before it and after it.

    Parameters
    ----------
    plan : WorldPlan
        When the world is, and its seed.
    looks : EverydayLooks
        How it looks.
    typed : Planned
        The payments of the attempt.
    sources, sinks : int64 arrays
        Accounts that begin it, and those where its money stays.
    count : int
        How many payments. As many of them as everywhere are payments to oneself, which invest.
    """
    number = int(typed.attempt[0])
    rng = stream(plan.seed, "untyped payments of attempt", number)
    currency = int(typed.paid_currency[0])
    placed = int(rng.binomial(count, _PLACED))
    spent = count - placed
    start, end = int(typed.time.min()), int(typed.time.max())
    middle, last = min((start + end) // 2, plan.end - HOUR), min(plan.end - 1, end + _DAYS_AFTER * DAY_SECONDS)
    first = max(plan.start, start - _DAYS_BEFORE * DAY_SECONDS)
    earliest = np.repeat([first, middle], [placed, spent])
    latest = np.repeat([min(start, plan.end - 1), last], [placed, spent])
    time = looks.clock.moments(rng, earliest, latest)
    own = rng.random(spent) < looks.self_share * (len(typed) + count) / max(spent, 1)
    invested = looks.own_moments(rng, middle, last, int(own.sum()))
    own &= len(invested) > 0
    time[placed:][own] = invested
    firms, people = (looks.cast(rng, currency, count, companies=companies)[:count] for companies in (True, False))
    payer = rng.choice(sinks, spent)
    payee = np.where(rng.random(spent) < 0.75, firms[:spent], people[:spent])
    payee = np.where(own, payer, np.where(payee == payer, np.roll(payee, 1), payee))
    bringer = np.where(rng.random(placed) < 0.7, people[spent:], firms[spent:])
    into = rng.choice(sources, placed)
    bringer = np.where(bringer == into, np.roll(bringer, 1), bringer)
    sender, receiver = np.concatenate([bringer, payer]), np.concatenate([into, payee])
    paid, form = looks.wear(
        rng, currency, looks.amounts(currency, rng.random(count)), typed=False, own=sender == receiver
    )
    return Planned.of(
        time=time,
        sender=sender,
        receiver=receiver,
        paid=paid,
        paid_currency=currency,
        format=form,
        attempt=number,
        phase=np.repeat([_PLACEMENT, _INTEGRATION], [placed, spent]),
    )
