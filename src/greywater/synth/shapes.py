"""The eight laundering shapes: given who takes part, who pays whom, how much and in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

import numpy as np

__all__ = ["SHAPES", "Clock", "Leg", "Shape"]

HOUR: Final = 3_600
#: Least time between receiving and passing on, in seconds.
LEAST_REST: Final = HOUR // 2


@dataclass(frozen=True)
class Leg:
    """One payment of a shape: accounts by number, `time` in seconds since 1970, `amount` in minor units."""

    sender: int
    receiver: int
    time: int
    amount: int


class Clock(Protocol):
    """Chooses the moment of a payment, so that its hour and weekday are as common as those of other payments."""

    def __call__(self, sender: int, receiver: int, earliest: int, latest: int) -> int:
        """A moment in [earliest, latest], seconds since 1970."""
        ...


@dataclass(frozen=True)
class Plan:
    """What a shape works with.

    Parameters
    ----------
    groups : sequence of sequence of int
        The accounts by their part in the shape, all different.
    rng : np.random.Generator
        Where chance comes from.
    clock : Clock
        Chooses moments.
    start, end : int
        Seconds since 1970; every leg lies between them.
    amount : int
        Minor units of a typical leg of the first layer.
    kept : (float, float)
        Least and greatest share of what came in that goes on.
    """

    groups: Sequence[Sequence[int]]
    rng: np.random.Generator
    clock: Clock
    start: int
    end: int
    amount: int
    kept: tuple[float, float]

    @property
    def middle(self) -> int:
        """Halfway between start and end."""
        return (self.start + self.end) // 2

    def first(self, sender: int, receiver: int, latest: int) -> Leg:
        """A leg that brings money in: it rests on nothing before."""
        amount = _tidy(self.rng, int(self.amount * self.rng.lognormal(0.0, 0.25)))
        return Leg(sender, receiver, self.clock(sender, receiver, self.start, latest), amount)

    def onward(self, sender: int, receivers: Sequence[int], incoming: Sequence[Leg], latest: int) -> list[Leg]:
        """Legs by which `sender` passes on what `incoming` brought, after the last of it came."""
        total = sum(leg.amount for leg in incoming)
        least = -(-total * round(self.kept[0] * 10_000) // 10_000)
        passed = min(total, max(least, int(total * self.rng.uniform(*self.kept))))
        portions = _portions(self.rng, passed, len(receivers))
        tidied = [_tidy(self.rng, portion) for portion in portions]
        if least <= sum(tidied) <= total:
            portions = tidied
        earliest = max(leg.time for leg in incoming) + LEAST_REST
        return [
            Leg(sender, receiver, self.clock(sender, receiver, earliest, max(earliest, latest)), portion)
            for receiver, portion in zip(receivers, portions, strict=True)
        ]


@dataclass(frozen=True)
class Shape:
    """A laundering shape.

    Parameters
    ----------
    name : str
        Its name in labels.
    sizes : tuple of (int, int)
        Least and greatest number of accounts of each part.
    build : callable
        From a Plan to its legs.
    """

    name: str
    sizes: tuple[tuple[int, int], ...]
    build: Callable[[Plan], list[Leg]]

    def draw_sizes(self, rng: np.random.Generator) -> tuple[int, ...]:
        """How many accounts each part of one attempt has."""
        return tuple(int(rng.integers(low, high + 1)) for low, high in self.sizes)


def _tidy(rng: np.random.Generator, amount: int) -> int:
    """Now and then a round sum, as people like them; never zero."""
    step = int(rng.choice([1, 100, 500, 1_000, 5_000], p=[0.45, 0.15, 0.15, 0.15, 0.1]))
    return max(amount // step * step, 1) if amount >= 4 * step else max(amount, 1)


def _portions(rng: np.random.Generator, total: int, parts: int) -> list[int]:
    """`total` cut into `parts` positive whole numbers."""
    if parts == 1:
        return [total]
    shares = rng.dirichlet(np.full(parts, 6.0))
    cut = [max(1, int(total * share)) for share in shares]
    cut[int(np.argmax(cut))] += total - sum(cut)
    return cut


def _fan_out(plan: Plan) -> list[Leg]:
    (hub,), receivers = plan.groups
    return [plan.first(hub, receiver, plan.end) for receiver in receivers]


def _fan_in(plan: Plan) -> list[Leg]:
    (hub,), senders = plan.groups
    return [plan.first(sender, hub, plan.end) for sender in senders]


def _gather_scatter(plan: Plan) -> list[Leg]:
    (hub,), senders, receivers = plan.groups
    gathered = [plan.first(sender, hub, plan.middle) for sender in senders]
    return gathered + plan.onward(hub, receivers, gathered, plan.end)


def _scatter_gather(plan: Plan) -> list[Leg]:
    (source,), middlemen, (sink,) = plan.groups
    legs = []
    for middleman in middlemen:
        given = plan.first(source, middleman, plan.middle)
        legs += [given, *plan.onward(middleman, [sink], [given], plan.end)]
    return legs


def _chain(plan: Plan, accounts: Sequence[int]) -> list[Leg]:
    """Hop by hop along the accounts, each hop within its share of the time."""
    hops = len(accounts) - 1
    room = (plan.end - plan.start) // hops
    legs = [plan.first(accounts[0], accounts[1], plan.start + room)]
    for sender, receiver in pairwise(accounts[1:]):
        legs += plan.onward(sender, [receiver], legs[-1:], legs[-1].time + room)
    return legs


def _cycle(plan: Plan) -> list[Leg]:
    (accounts,) = plan.groups
    return _chain(plan, [*accounts, accounts[0]])


def _random(plan: Plan) -> list[Leg]:
    (accounts,) = plan.groups
    return _chain(plan, accounts)


def _links(rng: np.random.Generator, senders: Sequence[int], receivers: Sequence[int]) -> list[tuple[int, int]]:
    """Who pays whom between two layers: everyone has at least two links where the other side has two."""
    links = [(sender, receiver) for sender in senders for receiver in receivers]
    for index in rng.permutation(len(links)).tolist():
        sender, receiver = [(sender, receiver) for sender in senders for receiver in receivers][index]
        of_sender = sum(link[0] == sender for link in links)
        of_receiver = sum(link[1] == receiver for link in links)
        if of_sender > 2 and of_receiver > 2 and rng.random() < 0.5:
            links.remove((sender, receiver))
    return links


def _bipartite(plan: Plan) -> list[Leg]:
    senders, receivers = plan.groups
    return [plan.first(sender, receiver, plan.end) for sender, receiver in _links(plan.rng, senders, receivers)]


def _stack(plan: Plan) -> list[Leg]:
    top, middle, bottom = plan.groups
    legs = [plan.first(sender, receiver, plan.middle) for sender, receiver in _links(plan.rng, top, middle)]
    below = _links(plan.rng, middle, bottom)
    for account in middle:
        incoming = [leg for leg in legs if leg.receiver == account]
        legs += plan.onward(account, [receiver for sender, receiver in below if sender == account], incoming, plan.end)
    return legs


#: The shapes of the reference simulators, by name.
SHAPES: Final = {
    shape.name: shape
    for shape in (
        Shape("fan-out", ((1, 1), (6, 12)), _fan_out),
        Shape("fan-in", ((1, 1), (6, 12)), _fan_in),
        Shape("gather-scatter", ((1, 1), (4, 8), (3, 6)), _gather_scatter),
        Shape("scatter-gather", ((1, 1), (4, 8), (1, 1)), _scatter_gather),
        Shape("cycle", ((3, 8),), _cycle),
        Shape("random", ((4, 8),), _random),
        Shape("bipartite", ((2, 3), (3, 5)), _bipartite),
        Shape("stack", ((2, 3), (2, 4), (2, 3)), _stack),
    )
}
