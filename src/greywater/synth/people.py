"""Who lives in the made-up world: people, companies, their accounts, and how they are tied to one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from greywater.synth.names import BUSINESS, LANDLORD, MERCHANT, PERSON, UTILITY, make_names
from greywater.synth.streams import stream
from greywater.vocab import Float64Array, Int64Array

__all__ = [
    "BANKS",
    "BUSINESS",
    "LANDLORD",
    "MERCHANT",
    "PERSON",
    "UTILITY",
    "Population",
    "Tie",
    "make_population",
    "make_ties",
    "tie_together",
    "within_whole",
]

DAY: Final = 86_400
BANKS: Final = ("Harbour Bank", "First Meadow", "Northgate", "Union Savings", "Cedar Trust", "Quay Direct")
_BANK_SHARES: Final = (0.30, 0.22, 0.18, 0.13, 0.10, 0.07)
_COUNTRIES: Final = ("US", "CA", "GB", "DE", "FR", "MX", "NL", "AE", "CY", "PA")
_COUNTRY_SHARES: Final = (0.86, 0.03, 0.02, 0.02, 0.015, 0.02, 0.01, 0.01, 0.0075, 0.0075)


@dataclass(frozen=True)
class Tie:
    """A relation between two customers by number.

    Days count from 1970; `share` is NaN and `valid_to` is -1 where there is none.
    """

    source: int
    target: int
    kind: str
    share: float
    valid_from: int
    valid_to: int = -1


@dataclass(frozen=True)
class Population:
    """Customers and accounts by number. The main account of customer c has the number c.

    Parameters
    ----------
    customer_ids, account_ids : str arrays
        Names for the outside; they say nothing about who is who.
    names, countries : str arrays, one a customer
    trade : int8, one a customer
        PERSON, MERCHANT, LANDLORD, UTILITY or BUSINESS.
    household : int64, one a customer
        Number of the household, -1 for companies.
    owner, bank : int64, one an account
        Customer and place in BANKS.
    opened : int64, one an account
        Midnight of the opening day, seconds since 1970.
    employer : int64, one a customer
        Account that pays the salary, -1 where there is none.
    income : int64, one a customer
        Monthly salary in minor units.
    activity : float64, one an account
        How much it takes part in trade: popularity of shops, turnover of companies, liveliness of people.
    """

    customer_ids: NDArray[np.str_]
    account_ids: NDArray[np.str_]
    names: NDArray[np.str_]
    countries: NDArray[np.str_]
    trade: NDArray[np.int8]
    household: Int64Array
    owner: Int64Array
    bank: Int64Array
    opened: Int64Array
    employer: Int64Array
    income: Int64Array
    activity: Float64Array

    @property
    def account_trade(self) -> NDArray[np.int8]:
        """The trade of each account's owner."""
        return self.trade[self.owner]

    def mains(self, *trades: int) -> Int64Array:
        """Main accounts of the customers of these trades."""
        return np.flatnonzero(np.isin(self.trade, trades)).astype(np.int64)


def make_population(seed: int, accounts: int, start: int, days: int) -> Population:
    """Make up the customers and their accounts.

    Parameters
    ----------
    seed : int
        Seed of the world.
    accounts : int
        Number of accounts.
    start : int
        First midnight of the world, seconds since 1970.
    days : int
        Its length.

    Returns
    -------
    Population
        About one customer in nine is a company; about 8 % of the accounts open while the world runs.
    """
    rng = stream(seed, "population")
    customers = int(accounts / 1.16)
    companies = max(16, round(customers * 0.115))
    trade = np.full(customers, PERSON, dtype=np.int8)
    trade[:companies] = _trades(companies)
    trade = rng.permutation(trade)
    owner = np.concatenate([np.arange(customers), rng.choice(customers, accounts - customers, replace=False)])
    is_company = trade != PERSON
    household = _households(rng, is_company)
    employer = np.full(customers, -1, dtype=np.int64)
    people = np.flatnonzero(~is_company)
    employed = people[rng.random(len(people)) < 0.8]
    firms = np.flatnonzero(is_company)
    weight = rng.lognormal(0.0, 1.0, len(firms))
    employer[employed] = rng.choice(firms, len(employed), p=weight / weight.sum())
    activity = rng.lognormal(0.0, np.where(is_company[owner], 0.9, 0.6), accounts)
    return Population(
        customer_ids=_codes(rng, "C", customers),
        account_ids=_codes(rng, "A", accounts),
        names=make_names(stream(seed, "names"), trade, household),
        countries=rng.choice(np.array(_COUNTRIES), customers, p=_COUNTRY_SHARES),
        trade=trade,
        household=household,
        owner=owner.astype(np.int64),
        bank=rng.choice(len(BANKS), accounts, p=_BANK_SHARES).astype(np.int64),
        opened=_openings(rng, trade, owner, employer, start, days),
        employer=employer,
        income=(rng.lognormal(np.log(340_000), 0.4, customers) // 1_000 * 1_000).astype(np.int64),
        activity=activity,
    )


def _trades(companies: int) -> NDArray[np.int8]:
    shares = ((MERCHANT, 0.42), (LANDLORD, 0.1), (UTILITY, 0.05))
    counts = [(trade, max(2, round(companies * share))) for trade, share in shares]
    made = np.concatenate([np.full(count, trade, dtype=np.int8) for trade, count in counts])
    return np.concatenate([made, np.full(companies - len(made), BUSINESS, dtype=np.int8)])


def _households(rng: np.random.Generator, is_company: NDArray[np.bool_]) -> Int64Array:
    people = np.flatnonzero(~is_company)
    sizes = rng.choice([1, 2, 3, 4, 5], len(people), p=[0.3, 0.3, 0.17, 0.16, 0.07])
    household = np.full(len(is_company), -1, dtype=np.int64)
    household[people] = np.repeat(np.arange(len(sizes)), sizes)[: len(people)]
    return household


def _openings(
    rng: np.random.Generator,
    trade: NDArray[np.int8],
    owner: Int64Array,
    employer: Int64Array,
    start: int,
    days: int,
) -> Int64Array:
    """Opening days. Accounts that others rest on (employers, landlords, utilities) are old."""
    accounts = len(owner)
    before = start - rng.integers(60, 4_400, accounts) * DAY
    during = start + rng.integers(0, max(1, int(days * 0.7)), accounts) * DAY
    old = np.isin(trade[owner], (LANDLORD, UTILITY))
    old[employer[employer >= 0]] = True
    return np.where((rng.random(accounts) < 0.08) & ~old, during, before).astype(np.int64)


def _codes(rng: np.random.Generator, letter: str, count: int) -> NDArray[np.str_]:
    numbers = 1_000_000 + rng.permutation(9 * count)[:count]
    return np.array([f"{letter}{number}" for number in numbers.tolist()])


def make_ties(seed: int, population: Population, start: int) -> list[Tie]:
    """Relations of everyday life: families, directors, shareholders, signatories, partners.

    Parameters
    ----------
    seed : int
        Seed of the world.
    population : Population
        The customers.
    start : int
        First midnight of the world, seconds since 1970.

    Returns
    -------
    list of Tie
        `within_whole` takes care that no company is owned more than once.
    """
    rng = stream(seed, "ties")
    today = start // DAY
    people, firms = population.mains(PERSON), population.mains(MERCHANT, LANDLORD, UTILITY, BUSINESS)
    ties: list[Tie] = []
    heads: dict[int, int] = {}
    for person in people.tolist():
        head = heads.setdefault(int(population.household[person]), person)
        if head != person:
            ties.append(Tie(head, person, "relative", float("nan"), today - int(rng.integers(900, 9_000))))
    for firm in firms.tolist():
        founded = today - int(rng.integers(200, 6_000))
        insiders = rng.choice(people, 5, replace=False).tolist()
        ties += _company_ties(rng, insiders, firm, founded, today)
    for one, other in rng.choice(firms, (len(firms) // 4, 2)).tolist():
        if one != other:
            share = round(float(rng.uniform(0.05, 0.3)), 2)
            kind = "shareholder" if rng.random() < 0.3 else "partner"
            since = today - int(rng.integers(100, 3_000))
            ties.append(Tie(one, other, kind, share if kind == "shareholder" else float("nan"), since))
    return ties


def _company_ties(rng: np.random.Generator, insiders: list[int], firm: int, founded: int, today: int) -> list[Tie]:
    nothing = float("nan")
    ties = [Tie(insiders[0], firm, "director", nothing, founded)]
    shares = np.round(rng.dirichlet(np.full(int(rng.integers(1, 4)), 1.5)) * 0.7, 2)
    for holder, share in zip(insiders, shares.tolist(), strict=False):
        kind = "beneficial_owner" if share > 0.25 else "shareholder"
        ties.append(Tie(holder, firm, kind, share, founded))
    if rng.random() < 0.5:
        ties.append(Tie(insiders[3], firm, "signatory", nothing, founded + int(rng.integers(0, 100))))
    if rng.random() < 0.35:
        ties.append(Tie(insiders[2], firm, "legal_representative", nothing, founded))
    if rng.random() < 0.25:
        left = int(rng.integers(founded + 100, today + 60))
        ties.append(Tie(insiders[4], firm, "director", nothing, founded, left))
    return ties


def tie_together(rng: np.random.Generator, population: Population, members: list[int], start: int) -> list[Tie]:
    """Relations that bind a group of customers: who runs which company, who holds a share, who is kin.

    Parameters
    ----------
    rng : np.random.Generator
        Where chance comes from.
    population : Population
        The customers.
    members : list of int
        Customers of the group, the leader first. About a quarter stay without a tie, as in life.
    start : int
        First midnight of the world, seconds since 1970.

    Returns
    -------
    list of Tie
        From people to the group's companies and among people.
    """
    today, nothing = start // DAY, float("nan")
    people = [member for member in members if population.trade[member] == PERSON]
    firms = [member for member in members if population.trade[member] != PERSON]
    ties: list[Tie] = []
    for firm in firms:
        since = today - int(rng.integers(30, 2_000))
        if people and rng.random() < 0.75:
            kind = str(rng.choice(["director", "beneficial_owner", "legal_representative"]))
            holder = people[0] if rng.random() < 0.5 else int(rng.choice(people))
            share = round(float(rng.uniform(0.1, 0.3)), 2) if kind == "beneficial_owner" else nothing
            ties.append(Tie(holder, firm, kind, share, since))
        if people and rng.random() < 0.4:
            ties.append(Tie(int(rng.choice(people)), firm, "signatory", nothing, since))
    for person in people[1:]:
        if rng.random() < 0.45:
            kind = "relative" if rng.random() < 0.4 else "partner"
            ties.append(Tie(people[0], person, kind, nothing, today - int(rng.integers(200, 4_000))))
    return ties


def within_whole(ties: list[Tie]) -> list[Tie]:
    """The ties without those shares that would make more than the whole of a company, in the given order."""
    held: dict[int, float] = {}
    kept = []
    for tie in ties:
        share = 0.0 if tie.share != tie.share else tie.share
        if held.get(tie.target, 0.0) + share <= 1.0:
            held[tie.target] = held.get(tie.target, 0.0) + share
            kept.append(tie)
    return kept
