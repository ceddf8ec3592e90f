"""All laundering of a large world: rings that make attempts of the eight shapes, one after another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from greywater.synth.disguise import EverydayLooks, Looks, PublishedLooks
from greywater.synth.economy import AMOUNT_UNITS, USD_RATES, Population
from greywater.synth.flow_shapes import FlowShape, Legs, Pace, draw_legs, draw_shape
from greywater.synth.hard_mode import QUARTER_DAYS, HardMode
from greywater.synth.launderers import Ring, cast_attempt, make_ring
from greywater.synth.planned import PHASES, TYPOLOGIES, Planned
from greywater.synth.presets import DAY_SECONDS, WorldPlan
from greywater.synth.proportions import Proportions, TypologyShare, deal_sizes
from greywater.synth.streams import stream
from greywater.synth.untyped import disguised_untyped, published_untyped
from greywater.vocab import Float64Array, Int64Array

__all__ = ["Laundering", "LaunderingAttempt", "plan_laundering"]

HOUR: Final = 3_600
_LAYERING: Final = PHASES.index("layering")
#: Steps that fill a square evenly: powers of the plastic number.
_STEPS: Final = (0.7548776662466927, 0.5698402909980532)
#: Attempts that one ring makes on average.
_ATTEMPTS_A_RING: Final = 7
#: Share of the published typed payments that stay within a bank.
_WITHIN_BANK: Final = 0.022
#: Fewest payments of an attempt that has its shape.
_FEWEST: Final = {"cycle": 3, "random": 3, "bipartite": 4, "stack": 4}
#: When in the world a typology is at home, for the drift of the mix: 0 early, 1 late.
_LATE: Final = {
    "fan-out": 0.0, "fan-in": 0.1, "bipartite": 0.3, "gather-scatter": 0.4, "random": 0.5, "scatter-gather": 0.7,
    "cycle": 0.8, "stack": 1.0,
}  # fmt: skip


@dataclass(frozen=True)
class LaunderingAttempt:
    """One attempt.

    Parameters
    ----------
    number : int
        From 0, in order of beginning.
    typology : str
        One of the eight.
    ring : int
        Number of the ring.
    remark : str
        What a Patterns file says beside the typology.
    accounts : tuple of int
        Places in the population of those in its typed payments, slot by slot.
    start, end : int
        First and last typed payment, seconds since 1970.
    """

    number: int
    typology: str
    ring: int
    remark: str
    accounts: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Laundering:
    """What was planned: payments, attempt after attempt, and the attempts; `cover` are the ring's honest payments."""

    payments: Planned
    attempts: list[LaunderingAttempt]
    rings: list[Ring]
    cover: Planned


@dataclass(frozen=True)
class _World:
    plan: WorldPlan
    population: Population
    looks: Looks
    hard: HardMode | None
    rings: int
    known: dict[tuple[int, int], Ring] = field(default_factory=dict)

    def ring(self, number: int, currency: int) -> Ring:
        """A ring by its number, with its accounts in the currency."""
        key = number, currency
        if key not in self.known:
            self.known[key] = make_ring(self.plan.seed, number, currency, self.looks)
        return self.known[key]


def plan_laundering(
    plan: WorldPlan,
    population: Population,
    looks: PublishedLooks | EverydayLooks,
    proportions: Proportions,
    hard: HardMode | None = None,
) -> Laundering:
    """Plan all laundering of a world.

    Parameters
    ----------
    plan : WorldPlan
        When the world is, and its seed.
    population : Population
        Who there is.
    looks : Looks
        How laundering looks: EverydayLooks in hard mode, else PublishedLooks.
    proportions : Proportions
        How much of what; exactly so many laundering payments are planned.
    hard : HardMode, optional
        The knobs of hard mode; without it as published.

    Returns
    -------
    Laundering
        Every attempt draws from streams of its own, keyed by its number.
    """
    dealt = _dealt(plan.seed, proportions, hard)
    world = _World(plan, population, looks, hard, max(2, round(len(dealt) / _ATTEMPTS_A_RING)))
    made = [_attempt(world, number, *one, number / len(dealt), 1.0 / len(dealt)) for number, one in enumerate(dealt)]
    typed = Planned.joined([payments for _, _, payments in made])
    missing = max(proportions.laundering - len(typed), 0)
    cover = Planned.none()
    if isinstance(looks, EverydayLooks):
        counts = _apportioned(plan.seed, missing, np.array([len(payments) for _, _, payments in made], np.float64))
        untyped = Planned.joined(
            [
                disguised_untyped(plan, looks, payments, *_ends(attempt, shape), int(count))
                for (attempt, shape, payments), count in zip(made, counts.tolist(), strict=True)
            ]
        )
        if hard is not None:
            cover = Planned.joined([_earlier(world, hard, attempt, payments) for attempt, _, payments in made])
    else:
        untyped = published_untyped(plan, population, looks, typed, missing)
    return Laundering(
        payments=Planned.joined([typed, untyped]),
        attempts=[attempt for attempt, _, _ in made],
        rings=[world.known[key] for key in sorted(world.known)],
        cover=cover,
    )


def _ends(attempt: LaunderingAttempt, shape: FlowShape) -> tuple[Int64Array, Int64Array]:
    """Accounts that begin an attempt, and those where its money stays."""
    accounts = np.array(attempt.accounts, dtype=np.int64)
    return accounts[shape.sources], accounts[shape.sinks]


def _dealt(seed: int, proportions: Proportions, hard: HardMode | None) -> list[tuple[TypologyShare, int]]:
    """Typology and size of every attempt, in the order in which they begin."""
    mixed = 0.0 if hard is None else hard.mix_drift
    dealt: list[tuple[float, TypologyShare, int]] = []
    for share in proportions.typologies:
        sizes = deal_sizes(seed, share)
        if hard is not None:
            step = 2 if share.typology in {"scatter-gather", "stack"} else 1
            least = max(hard.smallest, _FEWEST.get(share.typology, 1))
            sizes = _at_least(sizes, least + least % step, step)
        chance = stream(seed, "order of attempts", share.typology).random(len(sizes))
        late = (1.0 - mixed) * chance + mixed * _LATE[share.typology]
        dealt += [(float(when), share, int(size)) for when, size in zip(late, sizes, strict=True)]
    return [(share, size) for _, share, size in sorted(dealt, key=lambda one: (one[0], one[1].typology))]


def _at_least(sizes: Int64Array, least: int, step: int) -> Int64Array:
    """Sizes of `least` or more with the same sum: as many attempts as can be, the largest give to the others."""
    kept = max(1, min(len(sizes), int(sizes.sum()) // least))
    grown = np.maximum(np.sort(sizes)[::-1][:kept], least)
    missing = int(sizes.sum() - grown.sum())
    while missing >= step:
        grown[np.argmin(grown)] += step
        missing -= step
    while missing <= -step and grown.max() >= least + step:
        grown[np.argmax(grown)] -= step
        missing += step
    return grown


def _apportioned(seed: int, total: int, weights: Float64Array) -> Int64Array:
    """`total` dealt out by weight, by chance."""
    counts = stream(seed, "untyped payments of attempts").multinomial(total, weights / weights.sum())
    return np.asarray(counts, dtype=np.int64)


def _attempt(
    world: _World, number: int, share: TypologyShare, size: int, first: float, room: float
) -> tuple[LaunderingAttempt, FlowShape, Planned]:
    """One attempt with its typed payments."""
    plan, looks, hard = world.plan, world.looks, world.hard
    rng = stream(plan.seed, "attempt", number)
    when = first + room * float(rng.random())
    # Irrational steps take every currency and amount in turn by its share, so that none tells laundering.
    currency = looks.currency((number * _STEPS[0] + 0.5) % 1.0)
    ring = world.ring(int(rng.integers(world.rings)), currency)
    shape = draw_shape(rng, share.typology, size, linked=hard is not None)
    accounts = cast_attempt(rng, shape, ring, looks)
    if isinstance(looks, PublishedLooks):
        accounts = _some_within_a_bank(rng, shape, accounts, looks)
    pace = _pace(
        world, rng, share, shape, when, float(looks.amounts(currency, np.array([(number * _STEPS[1] + 0.5) % 1.0]))[0])
    )
    legs = draw_legs(rng, shape, pace, looks.clock, _Dresser(world, rng, accounts, currency))
    attempt = LaunderingAttempt(
        number, share.typology, ring.number, _remark(share.typology, legs), tuple(accounts.tolist()),
        int(legs.time.min()), int(legs.time.max()),
    )  # fmt: skip
    return attempt, shape, _planned(world, legs, accounts, currency, number, TYPOLOGIES.index(share.typology))


def _some_within_a_bank(
    rng: np.random.Generator, shape: FlowShape, accounts: Int64Array, looks: PublishedLooks
) -> Int64Array:
    """As few payments stay within a bank as in the published worlds."""
    cast = accounts.copy()
    for sender, receiver in np.concatenate(shape.layers)[:, :2].tolist():
        if rng.random() < _WITHIN_BANK:
            near = int(looks.of_same_bank(rng, cast[[sender]])[0])
            if near not in cast:
                cast[receiver] = near
    return cast


def _pace(
    world: _World, rng: np.random.Generator, share: TypologyShare, shape: FlowShape, when: float, amount: float
) -> Pace:
    """When an attempt begins and how it goes; slower and more is kept back from quarter to quarter in hard mode."""
    plan, hard = world.plan, world.hard
    whole = plan.days * DAY_SECONDS
    twice = 2.0 if share.typology == "gather-scatter" else 1.0
    if hard is None:
        seconds = int(share.days * twice * rng.uniform(0.75, 1.0) * DAY_SECONDS)
        return Pace(plan.start + int(when * whole), seconds, (0.85, 1.0), amount)
    quarter = when * plan.days // QUARTER_DAYS
    slower = (1.0 + hard.drift) ** quarter
    low = hard.kept[0] * (1.0 - hard.drift / 3.0) ** quarter
    seconds = int(min(hard.days * twice * slower * rng.uniform(0.2, 1.0), plan.days / 5) * DAY_SECONDS)
    latest = whole - seconds - 12 * HOUR * len(shape.layers)
    start = plan.start + int(np.clip(when * whole + rng.normal(0.0, 1.5) * DAY_SECONDS, 0, max(latest, 1)))
    return Pace(start, seconds, (low, hard.kept[1]), amount)


@dataclass(frozen=True)
class _Dresser:
    """Chooses amounts and formats of the payments of one attempt."""

    world: _World
    rng: np.random.Generator
    accounts: Int64Array
    currency: int

    def __call__(
        self, sender: Int64Array, receiver: Int64Array, wanted: Float64Array
    ) -> tuple[Float64Array, Int64Array, np.ndarray]:
        codes = _paid_in(self.world, self.accounts[receiver], self.currency)
        paid, form = self.world.looks.wear(self.rng, codes, wanted, typed=True)
        return paid / AMOUNT_UNITS[codes] / USD_RATES[codes] * 100.0, paid, form


def _paid_in(world: _World, receiver: Int64Array, currency: int) -> np.ndarray:
    """The currency of each payment: the ring's, or the receiver's own."""
    return np.asarray(world.population.currency[receiver] if currency < 0 else np.full(len(receiver), currency))


def _planned(world: _World, legs: Legs, accounts: Int64Array, currency: int, number: int, typology: int) -> Planned:
    receiver = accounts[legs.receiver]
    return Planned.of(
        time=legs.time,
        sender=accounts[legs.sender],
        receiver=receiver,
        paid=legs.paid,
        paid_currency=_paid_in(world, receiver, currency),
        format=legs.format,
        attempt=number,
        typology=typology,
        phase=_LAYERING,
    )


def _remark(typology: str, legs: Legs) -> str:
    """What the published Patterns files say beside the typology."""
    if typology == "fan-out":
        return f"Max {len(legs)}-degree Fan-Out"
    if typology in {"fan-in", "gather-scatter"}:
        return f"Max {int((legs.layer == 0).sum())}-degree Fan-In"
    return f"Max {len(legs)} hops" if typology in {"cycle", "random"} else ""


def _earlier(world: _World, hard: HardMode, attempt: LaunderingAttempt, typed: Planned) -> Planned:
    """Honest payments between the parties of some typed ones, in the weeks before."""
    rng = stream(world.plan.seed, "earlier payments of attempt", attempt.number)
    chosen = typed.take(rng.random(len(typed)) < hard.familiar)
    latest = np.maximum(chosen.time - 6 * HOUR, world.plan.start)
    time = world.looks.clock.moments(rng, np.maximum(latest - 60 * DAY_SECONDS, world.plan.start), latest)
    wanted = chosen.paid / AMOUNT_UNITS[chosen.paid_currency] / USD_RATES[chosen.paid_currency] * 100.0
    paid, form = world.looks.wear(rng, chosen.paid_currency, wanted * rng.lognormal(0.0, 0.5, len(chosen)), typed=True)
    inside = (time < chosen.time - HOUR) & (paid > 0)
    earlier = Planned.of(
        time=time, sender=chosen.sender, receiver=chosen.receiver, paid=paid, paid_currency=chosen.paid_currency,
        format=form, laundering=False,
    )  # fmt: skip
    return earlier.take(inside)
