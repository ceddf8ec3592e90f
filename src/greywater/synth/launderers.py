"""Who launders: rings of people and shell companies, the accounts they borrow, who takes which part in an attempt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from greywater.errors import UsageError
from greywater.synth.disguise import Looks
from greywater.synth.flow_shapes import FlowShape
from greywater.synth.streams import stream
from greywater.vocab import Int64Array

__all__ = ["Ring", "cast_attempt", "make_ring", "next_free"]

#: People (mules, the first is the leader) and companies (shells and fronts) of a ring.
_MULES, _SHELLS = 14, 9


@dataclass(frozen=True)
class Ring:
    """Accounts that launder together.

    Parameters
    ----------
    number : int
        Its number.
    currency : int
        The currency of its accounts, -1 where they have any.
    mules : int64[n]
        Accounts of people, the leader's first.
    shells : int64[n]
        Accounts of companies.
    """

    number: int
    currency: int
    mules: Int64Array
    shells: Int64Array

    @property
    def accounts(self) -> Int64Array:
        """All accounts, the leader's first."""
        return np.concatenate([self.mules, self.shells])


def make_ring(seed: int, number: int, currency: int, looks: Looks) -> Ring:
    """A ring by its number: the same wherever and whenever it is asked for.

    Parameters
    ----------
    seed : int
        Seed of the world.
    number : int
        Its number.
    currency : int
        The currency of its accounts, -1 for any.
    looks : Looks
        Who may be in it.
    """
    rng = stream(seed, "ring", number, currency)
    mules = _different(looks.cast(rng, currency, 3 * _MULES, companies=False), np.empty(0, np.int64))[:_MULES]
    shells = _different(looks.cast(rng, currency, 3 * _SHELLS, companies=True), mules)[:_SHELLS]
    return Ring(number, currency, mules, shells)


def cast_attempt(rng: np.random.Generator, shape: FlowShape, ring: Ring, looks: Looks) -> Int64Array:
    """An account for every slot, all different: companies where much money meets, mules around, some borrowed ones.

    Returns
    -------
    int64[slots]
        Places in the population.

    Raises
    ------
    UsageError
        The world has too few accounts.
    """
    hubs = np.zeros(shape.slots, dtype=bool)
    hubs[shape.hubs] = True
    company = np.where(hubs, rng.random(shape.slots) < 0.8, rng.random(shape.slots) < 0.4)
    lent = rng.random(shape.slots) >= rng.uniform(*looks.own_share)
    accounts = np.full(shape.slots, -1, dtype=np.int64)
    taken: set[int] = set()
    for is_company, own in ((True, ring.shells), (False, ring.mules)):
        slots = np.flatnonzero(company == is_company)
        outsiders = looks.cast(rng, ring.currency, 4 * len(slots) + 8, companies=is_company).tolist()
        members = rng.permutation(own).tolist()
        for slot in slots.tolist():
            waiting = outsiders if lent[slot] else members
            accounts[slot] = next_free(waiting, outsiders, taken, looks, ring.currency)
    return accounts


def next_free(waiting: list[int], others: list[int], taken: set[int], looks: Looks, currency: int) -> int:
    """The next account that has no part yet: one that waits, another, or in a very small world anybody.

    Raises
    ------
    UsageError
        Everybody who pays in the currency has a part already.
    """
    for source in (waiting, others):
        while source:
            account = source.pop()
            if account not in taken:
                taken.add(account)
                return account
    everyone = np.concatenate([looks.everyone(currency, companies=companies) for companies in (False, True)])
    free = np.setdiff1d(everyone, list(taken))
    if not len(free):
        raise UsageError("too few accounts for those who launder", where="accounts", mend="ask for more accounts")
    taken.add(int(free[0]))
    return int(free[0])


def _different(accounts: Int64Array, without: Int64Array) -> Int64Array:
    """Each once, in order of first appearance."""
    _, first = np.unique(accounts, return_index=True)
    once = accounts[np.sort(first)]
    return once[~np.isin(once, without)]
