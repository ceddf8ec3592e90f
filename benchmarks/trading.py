"""A made trading graph: who paid whom for shares, with planted pump-and-dumps and honest bursts that look like them.

A pump-and-dump is a gather-scatter. Within hours, an organiser sells what was talked up to many buyers, then pays most
of the proceeds out to those who helped. Amounts are drawn like everyone's, so a payment by itself says nothing, and
every half of the shape has an honest twin: those who only collect, those who only pay out, those who buy from many
before they sell to many, those who sell to many and spend a part, and market makers who do both all day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Trades", "trades"]

DAY_US = 86_400_000_000
SECOND_US = 1_000_000
START_US = 19_000 * DAY_US
MEAN_LOG, SPREAD_LOG = 10.5, 1.0
MARKET_MAKERS = 60
#: Honest bursts of each kind for every pump-and-dump.
TWINS = 3


@dataclass(frozen=True)
class Trades:
    """Payments in no particular order: microseconds, account numbers, minor units, 1 = part of a pump-and-dump."""

    time: np.ndarray
    sender: np.ndarray
    receiver: np.ndarray
    amount: np.ndarray
    label: np.ndarray


def trades(
    payments: int = 400_000, days: int = 60, *, accounts: int = 20_000, schemes: int = 200, seed: int = 3
) -> Trades:
    """The trading graph, the same for the same seed.

    Parameters
    ----------
    payments : int
        Everyday payments; the bursts come on top.
    schemes : int
        Pump-and-dumps planted; TWINS honest bursts of each of four kinds for every one.
    """
    draw = np.random.default_rng(seed)
    parts = [_everyday(draw, payments, days, accounts)]
    kinds = ["pump and dump", *(("collects", "pays out", "buys first", "spends a part") * TWINS)]
    for _ in range(schemes):
        parts += [_burst(draw, kind, days, accounts) for kind in kinds]
    time, sender, receiver, amount, label = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Trades(time, sender, receiver, amount, label)


def _everyday(draw: np.random.Generator, payments: int, days: int, accounts: int) -> tuple[np.ndarray, ...]:
    """Ordinary trades, activity by Zipf's law (0.6), and market makers on one side of one in five."""
    weight = np.arange(1, accounts + 1) ** -0.6
    ends = np.cumsum(weight / weight.sum())
    ranks = draw.permutation(accounts)
    pair = ranks[np.minimum(np.searchsorted(ends, draw.random((2, payments))), accounts - 1)]
    made = draw.random(payments) < 0.2
    side = draw.integers(0, 2, payments)
    maker = draw.integers(0, MARKET_MAKERS, payments)
    pair[side[made], np.flatnonzero(made)] = maker[made]
    sender, receiver = pair
    receiver = np.where(sender == receiver, (receiver + 1) % accounts, receiver)
    time = START_US + draw.integers(0, days * DAY_US // SECOND_US, payments) * SECOND_US
    return time, sender, receiver, _amounts(draw, payments), np.zeros(payments, np.int64)


def _burst(draw: np.random.Generator, kind: str, days: int, accounts: int) -> tuple[np.ndarray, ...]:
    """Some hours of one account: many in, many out, or the halves of it."""
    size_in, size_out = (int(size) for size in draw.integers(5, 13, 2))
    people = MARKET_MAKERS + draw.choice(accounts - MARKET_MAKERS, 1 + size_in + size_out, replace=False)
    hub, buyers, paid = people[0], people[1 : 1 + size_in], people[1 + size_in :]
    first, second = _moments(draw, size_in, size_out, days)
    came = _amounts(draw, size_in)
    kept = draw.uniform(0.02, 0.15) if kind == "pump and dump" else draw.uniform(0.4, 0.9)
    went = _amounts(draw, size_out)
    if kind in ("pump and dump", "spends a part", "buys first"):
        went = np.maximum((went * (came.sum() * (1 - kept) / went.sum())).astype(np.int64), 1)
    if kind == "buys first":
        first, second = second, first
    gather = (first[:size_in], buyers, np.full(size_in, hub), came)
    scatter = (second[:size_out], np.full(size_out, hub), paid, went)
    legs = {"collects": [gather], "pays out": [scatter]}.get(kind, [gather, scatter])
    time, sender, receiver, amount = (np.concatenate(column) for column in zip(*legs, strict=True))
    return time, sender, receiver, amount, np.full(len(time), int(kind == "pump and dump"))


def _moments(draw: np.random.Generator, size_in: int, size_out: int, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Times of the first and of the second half of a burst, enough of each for either side; seconds."""
    most = max(size_in, size_out)
    begin = START_US // SECOND_US + int(draw.integers(0, days * 86_400 - 43_200))
    middle = int(draw.integers(3_600, 21_600))
    end = middle + int(draw.integers(3_600, 21_600))
    first = begin + draw.integers(0, middle, most)
    second = begin + draw.integers(middle, end, most)
    return first * SECOND_US, second * SECOND_US


def _amounts(draw: np.random.Generator, count: int) -> np.ndarray:
    return np.exp(draw.normal(MEAN_LOG, SPREAD_LOG, count)).astype(np.int64) + 1
