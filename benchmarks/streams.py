"""Made payment streams for the graph benchmarks: sparse and dense, with planted rings, fans and smurfing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Stream", "dense", "sparse", "stream"]

DAY_US = 86_400_000_000
START_US = 19_000 * DAY_US
#: Ranks that count as hubs.
HUBS = 1_000


@dataclass(frozen=True)
class Stream:
    """Payments in time order.

    `time` int64[n] microseconds since 1970, `sender` and `receiver` int64[n] account numbers in [0, accounts),
    `amount` int64[n] minor units.
    """

    name: str
    time: np.ndarray
    sender: np.ndarray
    receiver: np.ndarray
    amount: np.ndarray
    accounts: int

    def __len__(self) -> int:
        return len(self.time)


def sparse(payments: int = 1_000_000, days: float = 10.0, *, accounts: int = 100_000, seed: int = 1) -> Stream:
    """A stream whose busy senders are not its busy receivers."""
    return stream("sparse", payments, days, accounts=accounts, both_ways=0.0, seed=seed)


def dense(payments: int = 1_000_000, days: float = 10.0, *, accounts: int = 100_000, seed: int = 1) -> Stream:
    """A stream in which 30 % of the hubs send and receive: paths run through them."""
    return stream("dense", payments, days, accounts=accounts, both_ways=0.3, seed=seed)


def stream(
    name: str, payments: int, days: float, *, accounts: int, both_ways: float, seed: int, exponent: float = 0.6
) -> Stream:
    """Zipf activity with planted shapes, the same for the same seed.

    One payment in a hundred belongs to a planted ring, fan-out, fan-in or smurfing of 3 to 10 accounts.

    Parameters
    ----------
    both_ways : float
        Share of the hubs that are as busy receiving as sending.
    exponent : float
        Activity of rank k is proportional to k ** -exponent.
    """
    draw = np.random.default_rng(seed)
    planted = _planted(draw, payments // 100, accounts, days)
    n = payments - len(planted[0])
    weight = np.arange(1, accounts + 1) ** -exponent
    ends = np.cumsum(weight / weight.sum())
    senders = draw.permutation(accounts)
    receivers = _receivers(draw, senders, both_ways)
    sender = senders[np.minimum(np.searchsorted(ends, draw.random(n)), accounts - 1)]
    receiver = receivers[np.minimum(np.searchsorted(ends, draw.random(n)), accounts - 1)]
    receiver = np.where(receiver == sender, (receiver + 1) % accounts, receiver)
    time = draw.integers(0, int(days * DAY_US), n)
    amount = np.exp(draw.normal(9.0, 1.5, n)).astype(np.int64) + 1
    columns = [np.concatenate(pair) for pair in zip((time, sender, receiver, amount), planted, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    time, sender, receiver, amount = (np.ascontiguousarray(column[order]) for column in columns)
    return Stream(name, START_US + time, sender, receiver, amount, accounts)


def _receivers(draw: np.random.Generator, senders: np.ndarray, both_ways: float) -> np.ndarray:
    """Who receives at each rank: a permutation in which this share of the hubs keeps its place."""
    accounts = len(senders)
    hubs = min(HUBS, accounts // 10)
    stay = np.zeros(accounts, bool)
    stay[:hubs] = np.arange(hubs) % 10 < round(both_ways * 10)
    receivers = senders.copy()
    rest = np.flatnonzero(~stay)
    receivers[rest] = senders[draw.permutation(rest)]
    return receivers


def _planted(draw: np.random.Generator, wanted: int, accounts: int, days: float) -> tuple[np.ndarray, ...]:
    """About `wanted` payments of rings, fans and smurfing, each inside six hours."""
    rows: list[tuple[int, int, int, int]] = []
    span, length = int(days * DAY_US), DAY_US // 4
    while len(rows) < wanted:
        begin = int(draw.integers(0, span - length))
        size = int(draw.integers(3, 11))
        people = draw.choice(accounts, size + 2, replace=False)
        amount = int(np.exp(draw.normal(11.0, 1.0))) + 100
        kind = int(draw.integers(0, 4))
        if kind == 0:
            legs = [(people[k], people[(k + 1) % size]) for k in range(size)]
        elif kind == 1:
            legs = [(people[0], person) for person in people[1 : size + 1]]
        elif kind == 2:
            legs = [(person, people[0]) for person in people[1 : size + 1]]
        else:
            middle = people[2:]
            legs = [(people[0], m) for m in middle] + [(m, people[1]) for m in middle]
        moments = np.sort(draw.integers(0, length, len(legs)))
        for (payer, payee), moment in zip(legs, moments, strict=True):
            rows.append((begin + int(moment), int(payer), int(payee), max(1, int(amount * draw.uniform(0.9, 1.0)))))
    array = np.array(rows, np.int64)
    return tuple(array[:, k] for k in range(4))
