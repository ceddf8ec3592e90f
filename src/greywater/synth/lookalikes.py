"""Everyday groups of payments with the shapes of laundering: payrolls, markets, families that lend in a ring, clubs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from greywater.synth.disguise import EverydayLooks
from greywater.synth.economy import AMOUNT_UNITS, USD_RATES, Population
from greywater.synth.flow_shapes import FlowShape, Pace, draw_legs, draw_shape
from greywater.synth.launderers import next_free
from greywater.synth.planned import Planned
from greywater.synth.presets import DAY_SECONDS, WorldPlan
from greywater.synth.streams import stream
from greywater.vocab import Float64Array, Int64Array

__all__ = ["CUSTOMS", "Custom", "LookAlike", "LookAlikes", "plan_lookalikes"]

HOUR: Final = 3_600
_GOLDEN: Final = 0.6180339887498949
#: Circles of people and companies that keep paying one another, for each group of payments.
_CIRCLES_A_GROUP: Final = 0.4


@dataclass(frozen=True)
class Custom:
    """A habit of honest people whose payments have the shape of a typology.

    Parameters
    ----------
    name : str
        What people call it.
    shape : str
        The typology it looks like.
    payments : (int, int)
        Fewest and most of one group.
    days : (float, float)
        Shortest and longest duration of one layer.
    companies : float
        Share of the parts that companies take; hubs are companies where it is above a half.
    spread : float
        How far apart the amounts of the first layer lie (standard deviation of the logarithm).
    """

    name: str
    shape: str
    payments: tuple[int, int]
    days: tuple[float, float]
    companies: float
    spread: float


#: All customs, two for the commonest shapes.
CUSTOMS: Final = (
    Custom("payroll", "fan-out", (6, 24), (0.02, 0.3), 0.1, 0.25),
    Custom("refund_wave", "fan-out", (5, 16), (0.5, 4.0), 0.1, 0.6),
    Custom("market_day", "fan-in", (6, 24), (0.2, 1.5), 0.1, 0.6),
    Custom("shared_flat", "fan-in", (4, 6), (0.5, 4.0), 0.0, 0.15),
    Custom("kitty", "gather-scatter", (6, 24), (0.5, 5.0), 0.1, 0.15),
    Custom("treasury_sweep", "gather-scatter", (6, 20), (0.1, 2.0), 0.9, 0.7),
    Custom("joint_purchase", "scatter-gather", (6, 20), (0.5, 4.0), 0.3, 0.25),
    Custom("family_ring", "cycle", (3, 7), (0.5, 5.0), 0.0, 0.2),
    Custom("supplier_chain", "random", (3, 9), (0.5, 5.0), 0.9, 0.4),
    Custom("fair", "bipartite", (4, 14), (0.1, 1.5), 0.5, 0.6),
    Custom("subcontracting", "stack", (6, 24), (0.5, 4.0), 0.8, 0.4),
)
#: What honest people pass on.
_KEPT: Final = (0.45, 1.0)


@dataclass(frozen=True)
class LookAlike:
    """One group: its number, its custom, the shape it has, and its accounts (places in the population)."""

    number: int
    name: str
    shape: str
    accounts: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class LookAlikes:
    """What was planned: payments, group after group, and the groups."""

    payments: Planned
    groups: list[LookAlike]


def plan_lookalikes(plan: WorldPlan, population: Population, looks: EverydayLooks, payments: int) -> LookAlikes:
    """Plan everyday groups of payments that look like laundering.

    Parameters
    ----------
    plan : WorldPlan
        When the world is, and its seed.
    population : Population
        Who there is.
    looks : EverydayLooks
        How everyday payments look.
    payments : int
        At least so many, in whole groups; the customs take turns.

    Returns
    -------
    LookAlikes
        The groups of one circle of people and companies are among themselves, so that they know each other.
    """
    sizes = _sizes(plan.seed, payments)
    circles = max(2, round(len(sizes) * _CIRCLES_A_GROUP))
    made = [
        _group(plan, population, looks, number, custom, size, circles, number / len(sizes))
        for number, (custom, size) in enumerate(sizes)
    ]
    return LookAlikes(Planned.joined([one for _, one in made]), [group for group, _ in made])


def _sizes(seed: int, payments: int) -> list[tuple[Custom, int]]:
    """Customs in shuffled rounds, with sizes, until there are enough payments."""
    rng = stream(seed, "everyday groups")
    sizes: list[tuple[Custom, int]] = []
    planned = 0
    while planned < payments:
        for place in rng.permutation(len(CUSTOMS)).tolist():
            custom = CUSTOMS[place]
            size = int(rng.integers(custom.payments[0], custom.payments[1] + 1))
            size -= size % 2 if custom.shape in {"scatter-gather", "stack"} else 0
            if planned < payments:
                sizes.append((custom, size))
                planned += size
    return sizes


def _group(
    plan: WorldPlan,
    population: Population,
    looks: EverydayLooks,
    number: int,
    custom: Custom,
    size: int,
    circles: int,
    when: float,
) -> tuple[LookAlike, Planned]:
    rng = stream(plan.seed, "everyday group", number)
    circle = int(rng.integers(circles))
    currency = looks.currency((number * _GOLDEN + 0.25) % 1.0)
    shape = draw_shape(rng, custom.shape, size, linked=True)
    accounts = _cast(plan.seed, rng, looks, custom, shape, circle, currency)
    seconds = min(rng.uniform(*custom.days) * len(shape.layers), plan.days / 5) * DAY_SECONDS
    latest = plan.days * DAY_SECONDS - seconds - 12 * HOUR * len(shape.layers)
    start = plan.start + int(np.clip(when * plan.days * DAY_SECONDS + rng.normal(0, DAY_SECONDS), 0, max(latest, 1)))
    amount = float(looks.amounts(currency, rng.random(1))[0])

    def dress(
        _sender: Int64Array, _receiver: Int64Array, wanted: Float64Array
    ) -> tuple[Float64Array, Int64Array, np.ndarray]:
        paid, form = looks.wear(rng, currency, wanted, typed=True)
        return paid / AMOUNT_UNITS[currency] / USD_RATES[currency] * 100.0, paid, form

    legs = draw_legs(rng, shape, Pace(start, int(seconds), _KEPT, amount, custom.spread), looks.clock, dress)
    payments = Planned.of(
        time=legs.time,
        sender=accounts[legs.sender],
        receiver=accounts[legs.receiver],
        paid=legs.paid,
        paid_currency=currency,
        format=legs.format,
        laundering=False,
        group=number,
    )
    group = LookAlike(
        number, custom.name, custom.shape, tuple(accounts.tolist()), int(legs.time.min()), int(legs.time.max())
    )
    return group, payments


def _cast(
    seed: int,
    rng: np.random.Generator,
    looks: EverydayLooks,
    custom: Custom,
    shape: FlowShape,
    circle: int,
    currency: int,
) -> Int64Array:
    """Accounts of one circle, and others where it is too small."""
    hubs = np.isin(np.arange(shape.slots), shape.hubs)
    company = np.where(
        hubs & (custom.companies > 0.0), custom.companies > 0.5, rng.random(shape.slots) < custom.companies
    )
    company |= hubs & (custom.name in {"payroll", "refund_wave", "market_day"})
    accounts = np.full(shape.slots, -1, dtype=np.int64)
    taken: set[int] = set()
    for is_company in (True, False):
        slots = np.flatnonzero(company == is_company)
        own = looks.cast(stream(seed, "circle", circle, int(is_company)), currency, 12, companies=is_company)
        others = looks.cast(rng, currency, 4 * len(slots) + 8, companies=is_company)
        circle_first, then = rng.permutation(own).tolist(), others.tolist()
        for slot in slots.tolist():
            accounts[slot] = next_free(circle_first, then, taken, looks, currency)
    return accounts
