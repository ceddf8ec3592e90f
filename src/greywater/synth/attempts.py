"""Who launders when, and the everyday groups that look much the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from greywater.synth.commerce import PURPOSES, Flows, cover_purpose
from greywater.synth.people import BUSINESS, MERCHANT, PERSON, Population
from greywater.synth.shapes import SHAPES, Leg, Plan
from greywater.synth.streams import stream
from greywater.vocab import Float64Array, Int64Array

__all__ = ["Attempt", "gangs", "plant_attempts", "plant_lookalikes"]

DAY: Final = 86_400
HOUR: Final = 3_600
#: Median of a typical leg, minor units, and the spread of its logarithm.
_LEG_MEDIAN: Final = 65_000
_LEG_SPREAD: Final = 1.1
_KEPT_BY_LAUNDERERS: Final = (0.85, 1.0)
_KEPT_BY_OTHERS: Final = (0.45, 1.0)
#: Longest duration in days, by shape; "" stands for all others.
_PACE_OF_LAUNDERERS: Final = {"fan-in": 1.5, "fan-out": 1.5, "bipartite": 2.0, "cycle": 5.0, "random": 5.0, "": 4.0}
_PACE_OF_OTHERS: Final = {"fan-in": 6.0, "fan-out": 6.0, "bipartite": 6.0, "": 14.0}
#: Everyday counterparts: what people call them, the shape they have.
_LOOKALIKES: Final = (
    ("family_ring", "cycle"),
    ("kitty", "gather-scatter"),
    ("shared_flat", "fan-in"),
    ("supplier_chain", "random"),
    ("joint_purchase", "scatter-gather"),
    ("commission_run", "fan-out"),
    ("market_day", "bipartite"),
    ("subcontracting", "stack"),
)


@dataclass(frozen=True)
class Attempt:
    """One group of payments with a shape: a laundering attempt, or an everyday group that only looks like one.

    Parameters
    ----------
    number : int
        Its number among its kind.
    name : str
        The shape, or what people call the everyday group.
    shape : str
        One of SHAPES.
    gang : int
        Number of the gang, -1 for everyday groups.
    legs : tuple of Leg
        Its payments.
    """

    number: int
    name: str
    shape: str
    gang: int
    legs: tuple[Leg, ...]

    @property
    def accounts(self) -> tuple[int, ...]:
        """All who take part, by number, in order of first appearance."""
        return tuple(dict.fromkeys(account for leg in self.legs for account in (leg.sender, leg.receiver)))

    def flows(self, population: Population) -> Flows:
        """Its payments, each looking like an everyday one between the same trades."""
        trade = population.account_trade
        sender = np.array([leg.sender for leg in self.legs], dtype=np.int64)
        receiver = np.array([leg.receiver for leg in self.legs], dtype=np.int64)
        purposes = [cover_purpose(int(trade[a]), int(trade[b])) for a, b in zip(sender, receiver, strict=True)]
        return Flows(
            np.array([leg.time for leg in self.legs], dtype=np.int64),
            sender,
            receiver,
            np.array([leg.amount for leg in self.legs], dtype=np.int64),
            np.array(purposes, dtype=np.int8),
        )


class _EverydayClock:
    """Chooses moments with the hours and weekdays of everyday payments between the same trades."""

    def __init__(self, rng: np.random.Generator, population: Population) -> None:
        self._rng = rng
        self._trade = population.account_trade

    def __call__(self, sender: int, receiver: int, earliest: int, latest: int) -> int:
        if latest <= earliest:
            return earliest
        purpose = PURPOSES[cover_purpose(int(self._trade[sender]), int(self._trade[receiver]))]
        candidates = self._rng.integers(earliest, latest + 1, 24)
        weight = np.array(purpose.hours)[candidates // HOUR % 24]
        weight *= np.array(purpose.weekdays)[(candidates // DAY + 3) % 7]
        return int(self._rng.choice(candidates, p=weight / weight.sum()))


def gangs(seed: int, population: Population, count: int) -> list[list[int]]:
    """Groups of customers who launder together, the leader first; nobody is in two.

    Parameters
    ----------
    seed : int
        Seed of the world.
    population : Population
        The customers.
    count : int
        How many groups.

    Returns
    -------
    list of list of int
        Customers by number; about four in ten are shops and other companies, busy ones more often.
    """
    rng = stream(seed, "gangs")
    people, firms = population.mains(PERSON), population.mains(MERCHANT, BUSINESS)
    size = int(min(18, len(people) // (2 * count), 1.5 * len(firms) // count))
    of_firms = max(1, round(size * 0.4))
    weight = population.activity[firms]
    fronts = rng.choice(firms, count * of_firms, replace=False, p=weight / weight.sum())
    members = rng.choice(people, count * (size - of_firms), replace=False)
    groups = []
    for number in range(count):
        own_people = members[number * (size - of_firms) : (number + 1) * (size - of_firms)].tolist()
        own_firms = fronts[number * of_firms : (number + 1) * of_firms].tolist()
        groups.append(own_people + own_firms)
    return groups


def plant_attempts(
    seed: int, population: Population, groups: list[list[int]], start: int, days: int, payments: int
) -> list[Attempt]:
    """Laundering attempts of the eight shapes in turn, spread over the whole world.

    Parameters
    ----------
    seed : int
        Seed of the world.
    population : Population
        The customers.
    groups : list of list of int
        The gangs.
    start : int
        First midnight of the world, seconds since 1970.
    days : int
        Its length.
    payments : int
        About how many laundering payments; each shape occurs at least once.

    Returns
    -------
    list of Attempt
        In order of time. Whoever receives for others passes on 85 to 100 % within hours to days.
    """
    rng = stream(seed, "attempts")
    planned = _planned(rng, payments)
    attempts = []
    for number, (shape, sizes) in enumerate(planned):
        began, ends = _stretch(
            rng, _PACE_OF_LAUNDERERS, shape, start, days, number / len(planned), (number + 1) / len(planned)
        )
        gang = int(rng.integers(len(groups)))
        open_now = population.opened <= began
        own = np.array([member for member in groups[gang] if open_now[member]], dtype=np.int64)
        accounts = _recruit(rng, population, own, open_now, sum(sizes))
        legs = _legs(rng, population, shape, sizes, accounts, (began, ends), _KEPT_BY_LAUNDERERS)
        attempts.append(Attempt(number, shape, shape, gang, tuple(legs)))
    return attempts


def plant_lookalikes(seed: int, population: Population, start: int, days: int, payments: int) -> list[Attempt]:
    """Everyday groups of payments with the shapes of laundering among people who know each other.

    Parameters
    ----------
    seed, population, start, days
        As for the attempts.
    payments : int
        About how many payments.

    Returns
    -------
    list of Attempt
        Families that lend in a ring, clubs with a kitty, chains of suppliers...
    """
    rng = stream(seed, "lookalikes")
    names = {shape: name for name, shape in _LOOKALIKES}
    planned = _planned(rng, payments)
    groups = []
    for number, (shape, sizes) in enumerate(planned):
        began, ends = _stretch(
            rng, _PACE_OF_OTHERS, shape, start, days, number / len(planned), (number + 1) / len(planned)
        )
        open_now = population.opened <= began
        accounts = _neighbours(rng, population, open_now, sum(sizes))
        legs = _legs(rng, population, shape, sizes, accounts, (began, ends), _KEPT_BY_OTHERS)
        groups.append(Attempt(number, names[shape], shape, -1, tuple(legs)))
    return groups


def _planned(rng: np.random.Generator, payments: int) -> list[tuple[str, tuple[int, ...]]]:
    """Shapes in shuffled rounds of eight, with sizes, until about enough payments are planned."""
    planned: list[tuple[str, tuple[int, ...]]] = []
    expected = 0.0
    while len(planned) < len(SHAPES) or expected < payments:
        names = list(SHAPES)
        for place in rng.permutation(len(names)).tolist():
            if len(planned) >= len(SHAPES) and expected >= payments:
                break
            sizes = SHAPES[names[place]].draw_sizes(rng)
            planned.append((names[place], sizes))
            expected += _leg_count(names[place], sizes)
    return planned


def _leg_count(shape: str, sizes: Sequence[int]) -> float:
    if shape == "scatter-gather":
        return 2.0 * sizes[1]
    if shape in {"bipartite", "stack"}:
        return 0.9 * sum(above * below for above, below in pairwise(sizes))
    if shape == "random":
        return sizes[0] - 1
    return sum(sizes) - (len(sizes) > 1)


def _stretch(
    rng: np.random.Generator, longest: dict[str, float], shape: str, start: int, days: int, early: float, late: float
) -> tuple[int, int]:
    """Begin and end of one group of payments inside the world; `longest` in days by shape, "" for all others."""
    most = min(longest.get(shape, longest[""]), days / 4)
    length = int(rng.uniform(most / 5, most) * DAY)
    room = days * DAY - length - HOUR
    began = start + HOUR // 2 + int(rng.uniform(early, late) * room)
    return began, began + length


def _recruit(
    rng: np.random.Generator, population: Population, own: Int64Array, open_now: np.ndarray, needed: int
) -> list[int]:
    """Mostly the gang's own, some outsiders who lend their account."""
    from_own = min(len(own), max(1, round(needed * float(rng.uniform(0.65, 0.95)))))
    chosen = rng.permutation(own)[:from_own]
    trade = population.trade
    open_main = open_now[: len(trade)]
    people = np.setdiff1d(np.flatnonzero((trade == PERSON) & open_main), own)
    firms = np.setdiff1d(np.flatnonzero(np.isin(trade, (MERCHANT, BUSINESS)) & open_main), own)
    of_firms = int(rng.binomial(needed - from_own, 0.4))
    weight: Float64Array = population.activity[firms]
    lent = [
        rng.choice(firms, of_firms, replace=False, p=weight / weight.sum()),
        rng.choice(people, needed - from_own - of_firms, replace=False),
    ]
    everyone = rng.permutation(np.concatenate([chosen, *lent])).tolist()
    return [int(account) for account in everyone]


def _neighbours(rng: np.random.Generator, population: Population, open_now: np.ndarray, needed: int) -> list[int]:
    """People who live side by side, with a company or two among them."""
    trade = population.trade
    open_main = open_now[: len(trade)]
    people = np.flatnonzero((trade == PERSON) & open_main)
    firms = np.flatnonzero(np.isin(trade, (MERCHANT, BUSINESS)) & open_main)
    of_firms = int(rng.binomial(needed, 0.4))
    first = int(rng.integers(len(people)))
    near = people[(first + np.arange(needed - of_firms)) % len(people)]
    weight = population.activity[firms]
    around = rng.choice(firms, of_firms, replace=False, p=weight / weight.sum())
    return [int(account) for account in rng.permutation(np.concatenate([near, around])).tolist()]


def _legs(
    rng: np.random.Generator,
    population: Population,
    shape: str,
    sizes: tuple[int, ...],
    accounts: list[int],
    stretch: tuple[int, int],
    kept: tuple[float, float],
) -> list[Leg]:
    groups, used = [], 0
    for size in sizes:
        groups.append(accounts[used : used + size])
        used += size
    amount = max(2_000, int(rng.lognormal(np.log(_LEG_MEDIAN), _LEG_SPREAD)))
    plan = Plan(groups, rng, _EverydayClock(rng, population), *stretch, amount, kept)
    return SHAPES[shape].build(plan)
