"""Everyday payments of the made-up world: salaries, rents, bills, shopping, transfers, invoices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from greywater.synth.people import BUSINESS, LANDLORD, MERCHANT, PERSON, UTILITY, Population
from greywater.synth.streams import stream
from greywater.vocab import Float64Array, Int64Array

__all__ = ["PURPOSES", "Flows", "Purpose", "cover_purpose", "everyday_payments", "moments"]

DAY: Final = 86_400
HOUR: Final = 3_600


def _hours(*weights: tuple[int, int, float]) -> tuple[float, ...]:
    """24 weights from (first hour, hour after the last, weight); 0.05 elsewhere."""
    hours = [0.05] * 24
    for first, last, weight in weights:
        hours[first:last] = [weight] * (last - first)
    return tuple(hours)


_OFFICE: Final = _hours((7, 9, 0.6), (9, 12, 1.6), (12, 14, 1.0), (14, 17, 1.5), (17, 20, 0.4))
_SHOPS: Final = _hours((7, 11, 0.6), (11, 14, 1.3), (14, 17, 0.9), (17, 20, 1.6), (20, 23, 0.6))
_PRIVATE: Final = _hours((7, 12, 0.8), (12, 14, 1.1), (14, 18, 0.9), (18, 22, 1.4), (22, 24, 0.5))
_WEEK: Final = (1.0, 1.0, 1.0, 1.05, 1.25, 1.3, 0.8)
_WORKDAYS: Final = (1.1, 1.1, 1.1, 1.1, 1.0, 0.12, 0.06)


@dataclass(frozen=True)
class Purpose:
    """Why people pay, and how such payments look from outside.

    Parameters
    ----------
    name : str
        Its name.
    hours, weekdays : tuple of float
        24 and 7 weights (Monday first) of when it happens.
    channels : tuple of (str, float)
        By which channels, with shares.
    references : tuple of str
        Texts; `#` stands for a number.
    """

    name: str
    hours: tuple[float, ...]
    weekdays: tuple[float, ...]
    channels: tuple[tuple[str, float], ...]
    references: tuple[str, ...]


#: All purposes; payments carry the place in this tuple.
PURPOSES: Final = (
    Purpose("salary", _OFFICE, _WORKDAYS, (("ach", 0.5), ("transfer", 0.3), ("salary", 0.2)),
            ("salary", "wages", "pay")),
    Purpose("rent", _PRIVATE, _WEEK, (("transfer", 0.5), ("direct_debit", 0.3), ("cheque", 0.2)), ("rent", "rent #")),
    Purpose("bill", _OFFICE, _WORKDAYS, (("direct_debit", 0.6), ("card", 0.2), ("transfer", 0.2)),
            ("contract #", "bill #")),
    Purpose("shopping", _SHOPS, _WEEK, (("card", 0.72), ("app", 0.2), ("transfer", 0.08)), ("", "", "order #")),
    Purpose("service", _PRIVATE, _WEEK, (("card", 0.4), ("transfer", 0.4), ("app", 0.2)), ("invoice #", "order #", "")),
    Purpose("transfer", _PRIVATE, _WEEK, (("app", 0.42), ("transfer", 0.46), ("ach", 0.07), ("cheque", 0.05)),
            ("", "", "thanks", "for you", "dinner", "gift", "holiday", "loan", "my share")),
    Purpose("invoice", _OFFICE, _WORKDAYS, (("transfer", 0.4), ("ach", 0.28), ("wire", 0.2), ("cheque", 0.12)),
            ("invoice #", "order #", "delivery #", "contract #")),
    Purpose("fee", _OFFICE, _WORKDAYS, (("transfer", 0.5), ("ach", 0.35), ("cheque", 0.1), ("wire", 0.05)),
            ("fee", "refund #", "expenses", "commission", "invoice #")),
    Purpose("own", _PRIVATE, _WEEK, (("transfer", 0.7), ("app", 0.3)), ("", "savings", "own account")),
)  # fmt: skip
_PLACE: Final = {purpose.name: place for place, purpose in enumerate(PURPOSES)}

#: Shares of the flexible payments: purpose, share, median in minor units, spread of the logarithm.
_FLEXIBLE: Final = (
    ("shopping", 0.33, 6_000, 1.05),
    ("transfer", 0.30, 16_000, 1.25),
    ("invoice", 0.18, 190_000, 1.25),
    ("service", 0.08, 26_000, 1.1),
    ("fee", 0.06, 60_000, 1.1),
    ("own", 0.05, 50_000, 1.1),
)


@dataclass(frozen=True)
class Flows:
    """Payments by column: `time` seconds since 1970, accounts by number, `amount` minor units, place in PURPOSES."""

    time: Int64Array
    sender: Int64Array
    receiver: Int64Array
    amount: Int64Array
    purpose: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Flows:
        """The payments at these places, or where true."""
        return Flows(self.time[rows], self.sender[rows], self.receiver[rows], self.amount[rows], self.purpose[rows])

    def take_within(self, start: int, days: int) -> Flows:
        """The payments of these days."""
        return self.take((self.time >= start) & (self.time < start + days * DAY))

    @classmethod
    def of(
        cls, purpose: str, time: Int64Array, sender: Int64Array, receiver: Int64Array, amount: Float64Array | Int64Array
    ) -> Flows:
        """Payments of one purpose; amounts become whole and at least 1."""
        whole = np.maximum(np.rint(amount), 1).astype(np.int64)
        return cls(time, sender, receiver, whole, np.full(len(time), _PLACE[purpose], dtype=np.int8))

    @classmethod
    def joined(cls, parts: list[Flows]) -> Flows:
        """The parts one after another."""
        names = ("time", "sender", "receiver", "amount", "purpose")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def cover_purpose(sender_trade: int, receiver_trade: int) -> int:
    """The everyday purpose that a payment between these trades looks like, as a place in PURPOSES."""
    if sender_trade == PERSON:
        name = {PERSON: "transfer", MERCHANT: "shopping"}.get(receiver_trade, "service")
    else:
        name = "fee" if receiver_trade == PERSON else "invoice"
    return _PLACE[name]


def moments(rng: np.random.Generator, purpose: str, count: int, start: int, days: int) -> Int64Array:
    """Moments over the whole world with the purpose's weekdays and hours, seconds since 1970."""
    kind = PURPOSES[_PLACE[purpose]]
    weekday = (np.arange(days) + start // DAY + 3) % 7
    by_day = np.array(kind.weekdays)[weekday]
    by_hour = np.array(kind.hours)
    day = rng.choice(days, count, p=by_day / by_day.sum())
    hour = rng.choice(24, count, p=by_hour / by_hour.sum())
    return (start + day * DAY + hour * HOUR + rng.integers(0, HOUR, count)).astype(np.int64)


def everyday_payments(seed: int, population: Population, start: int, days: int, count: int) -> Flows:
    """Exactly `count` payments of everyday life, none before the opening of either account.

    Parameters
    ----------
    seed : int
        Seed of the world.
    population : Population
        Who pays.
    start : int
        First midnight of the world, seconds since 1970.
    days : int
        Its length.
    count : int
        How many payments.

    Returns
    -------
    Flows
        In no order. Standing orders make up at most 45 %.
    """
    standing = _standing_orders(stream(seed, "standing orders"), population, start, days)
    standing = _after_opening(standing, population)
    most = int(count * 0.45)
    if len(standing) > most:
        rng = stream(seed, "which standing orders")
        kept = rng.random(1 << 16) < most / len(standing)
        standing = standing.take(kept[(standing.sender * 40_503 + standing.receiver) % (1 << 16)])
        standing = standing.take(rng.permutation(len(standing))[:most])
    parts, missing, batch = [standing], count - len(standing), 0
    while missing > 0:
        rng = stream(seed, "flexible payments", batch)
        flexible = _flexible(rng, seed, population, start, days, int(missing * 1.15) + 64)
        flexible = _after_opening(flexible, population)
        flexible = flexible.take(rng.permutation(len(flexible))[:missing])
        parts.append(flexible)
        missing -= len(flexible)
        batch += 1
    return Flows.joined(parts)


def _after_opening(flows: Flows, population: Population) -> Flows:
    opened = np.maximum(population.opened[flows.sender], population.opened[flows.receiver])
    return flows.take((flows.time >= opened) & (flows.sender != flows.receiver))


def _standing_orders(rng: np.random.Generator, population: Population, start: int, days: int) -> Flows:
    people = population.mains(PERSON)
    employed = people[population.employer[people] >= 0]
    firms = population.mains(MERCHANT, LANDLORD, UTILITY, BUSINESS)
    payday = rng.choice([0, 14, 24, 27], len(population.trade))
    fortnightly = np.zeros(len(population.trade), dtype=bool)
    fortnightly[firms] = rng.random(len(firms)) < 0.3
    pay_hour = rng.integers(6, 10, len(population.trade)) * HOUR
    boss = population.employer[employed]
    salaries = []
    for chosen, period in ((~fortnightly[boss], 30), (fortnightly[boss], 14)):
        staff, payer = employed[chosen], boss[chosen]
        who, day = _repeated(np.where(period == 14, payday[payer] % 14, payday[payer]), period, days)
        time = start + _next_workday(day, start) * DAY + pay_hour[payer[who]] + rng.integers(0, 1_500, len(who))
        amount = population.income[staff[who]] * period // 30
        salaries.append(Flows.of("salary", time, payer[who], staff[who], amount))
    paid = Flows.joined(salaries)
    sweeps = _sweeps(rng, population, paid)
    heads = _heads(population)
    return Flows.joined([paid, sweeps, *_contracts(rng, population, heads, start, days)]).take_within(start, days)


def _repeated(first: NDArray[np.int64], period: int, days: int) -> tuple[Int64Array, Int64Array]:
    """Who (by place in `first`) and on which day, every `period` days from each first day on."""
    turns = days // period + 1
    who = np.repeat(np.arange(len(first)), turns)
    day = first[who] + np.tile(np.arange(turns), len(first)) * period
    inside = day < days
    return who[inside].astype(np.int64), day[inside].astype(np.int64)


def _next_workday(day: Int64Array, start: int) -> Int64Array:
    weekday = (day + start // DAY + 3) % 7
    return day + np.where(weekday >= 5, 7 - weekday, 0)


def _sweeps(rng: np.random.Generator, population: Population, paid: Flows) -> Flows:
    """Part of a salary, often nearly all of it, goes on to the second account soon after."""
    second = np.full(len(population.trade), -1, dtype=np.int64)
    extra = np.arange(len(population.trade), len(population.owner))
    second[population.owner[extra]] = extra
    chosen = paid.take((second[paid.receiver] >= 0) & (rng.random(len(paid)) < 0.5))
    time = chosen.time + rng.integers(HOUR, 2 * DAY, len(chosen))
    amount = chosen.amount * rng.beta(1.4, 0.8, len(chosen))
    return Flows.of("own", time, chosen.receiver, second[chosen.receiver], amount // 1_000 * 1_000 + 1_000)


def _heads(population: Population) -> Int64Array:
    """The first person of each household."""
    people = population.mains(PERSON)
    _, first = np.unique(population.household[people], return_index=True)
    return people[first]


def _contracts(
    rng: np.random.Generator, population: Population, heads: Int64Array, start: int, days: int
) -> list[Flows]:
    """Rents and bills, month by month."""
    flows = []
    tenants = heads[rng.random(len(heads)) < 0.6]
    plans = (
        ("rent", tenants, LANDLORD, 1, 115_000, 0.4, 5),
        ("bill", heads, UTILITY, 3, 9_000, 0.6, 28),
    )
    for purpose, payers, trade, contracts, median, spread, last_day in plans:
        sellers = population.mains(trade)
        weight = population.activity[sellers]
        payer = np.repeat(payers, contracts)
        seller = rng.choice(sellers, len(payer), p=weight / weight.sum())
        sum_due = rng.lognormal(np.log(median), spread, len(payer))
        who, day = _repeated(rng.integers(0, last_day, len(payer)), 30, days)
        hour = np.array(PURPOSES[_PLACE[purpose]].hours)
        time = start + day * DAY + rng.choice(24, len(who), p=hour / hour.sum()) * HOUR
        time += rng.integers(0, HOUR, len(who))
        flows.append(Flows.of(purpose, time.astype(np.int64), payer[who], seller[who], sum_due[who]))
    return flows


def _flexible(rng: np.random.Generator, seed: int, population: Population, start: int, days: int, count: int) -> Flows:
    makers = {"transfer": _transfers, "invoice": _invoices, "service": _services, "fee": _fees, "own": _own}
    parts = []
    for purpose, share, median, spread in _FLEXIBLE:
        wanted = int(count * share) + 1
        friends = stream(seed, "acquaintances", purpose)
        if purpose == "shopping":
            time, sender, receiver = _shopping(rng, friends, population, start, days, wanted)
        else:
            time = moments(rng, purpose, wanted, start, days)
            sender, receiver = makers[purpose](rng, friends, population, wanted)
        amount = _rounded(rng, rng.lognormal(np.log(median), spread, wanted), purpose)
        parts.append(Flows.of(purpose, time, sender, receiver, amount))
    return Flows.joined(parts).take_within(start, days)


def _shopping(
    rng: np.random.Generator, friends: np.random.Generator, population: Population, start: int, days: int, count: int
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Trips of one to six purchases within some two hours, mostly in the usual shops."""
    trip = np.repeat(np.arange(count), np.minimum(rng.geometric(0.55, count), 6))[:count]
    begun = moments(rng, "shopping", int(trip[-1]) + 1, start, days)
    time = begun[trip] + (rng.random(count) * 2.2 * HOUR).astype(np.int64)
    shops = population.mains(MERCHANT)
    known = _weighted(friends, shops, population, 12 * len(population.trade)).reshape(-1, 12)
    sender = _weighted(rng, population.mains(PERSON), population, len(begun))[trip]
    new, receiver = _familiar(rng, sender, known, 0.35)
    return time, sender, np.where(new, _weighted(rng, shops, population, count), receiver)


def _rounded(rng: np.random.Generator, amount: Float64Array, purpose: str) -> Float64Array:
    """Round sums where people choose the amount themselves."""
    round_share = {"transfer": 0.55, "own": 0.8, "fee": 0.4, "service": 0.3, "invoice": 0.25}.get(purpose, 0.05)
    step = rng.choice([100.0, 500.0, 1_000.0, 5_000.0], len(amount), p=[0.2, 0.3, 0.3, 0.2])
    return np.where((rng.random(len(amount)) < round_share) & (amount >= 2 * step), amount // step * step, amount)


def _weighted(rng: np.random.Generator, accounts: Int64Array, population: Population, count: int) -> Int64Array:
    weight = population.activity[accounts]
    return rng.choice(accounts, count, p=weight / weight.sum())


def _familiar(
    rng: np.random.Generator, sender: Int64Array, known: Int64Array, share_new: float
) -> tuple[NDArray[np.bool_], Int64Array]:
    """Mostly a counterparty from the sender's own short list `known` [accounts, k], the first ones more often."""
    k = known.shape[1]
    place = np.minimum((rng.exponential(k / 3.0, len(sender))).astype(np.int64), k - 1)
    return rng.random(len(sender)) < share_new, known[sender, place]


def _transfers(
    rng: np.random.Generator, friends: np.random.Generator, population: Population, count: int
) -> tuple[Int64Array, Int64Array]:
    people = population.mains(PERSON)
    place = np.full(len(population.trade), 0, dtype=np.int64)
    place[people] = np.arange(len(people))
    away = np.maximum(1, np.rint(friends.exponential(6.0, (len(population.trade), 9)))).astype(np.int64)
    side = friends.choice([-1, 1], away.shape)
    known = people[(place[:, None] + side * away) % len(people)]
    sender = _weighted(rng, people, population, count)
    new, receiver = _familiar(rng, sender, known, 0.22)
    return sender, np.where(new, rng.choice(people, count), receiver)


def _invoices(
    rng: np.random.Generator, friends: np.random.Generator, population: Population, count: int
) -> tuple[Int64Array, Int64Array]:
    firms = population.mains(MERCHANT, LANDLORD, UTILITY, BUSINESS)
    known = _weighted(friends, firms, population, 10 * len(population.trade)).reshape(-1, 10)
    sender = _weighted(rng, firms, population, count)
    new, receiver = _familiar(rng, sender, known, 0.25)
    return sender, np.where(new, rng.choice(firms, count), receiver)


def _services(
    rng: np.random.Generator, friends: np.random.Generator, population: Population, count: int
) -> tuple[Int64Array, Int64Array]:
    sellers = population.mains(BUSINESS)
    known = _weighted(friends, sellers, population, 4 * len(population.trade)).reshape(-1, 4)
    sender = _weighted(rng, population.mains(PERSON), population, count)
    new, receiver = _familiar(rng, sender, known, 0.5)
    return sender, np.where(new, rng.choice(sellers, count), receiver)


def _fees(
    rng: np.random.Generator, friends: np.random.Generator, population: Population, count: int
) -> tuple[Int64Array, Int64Array]:
    people = population.mains(PERSON)
    known = friends.choice(people, (len(population.trade), 15))
    sender = _weighted(rng, population.mains(MERCHANT, BUSINESS), population, count)
    new, receiver = _familiar(rng, sender, known, 0.4)
    return sender, np.where(new, rng.choice(people, count), receiver)


def _own(
    rng: np.random.Generator, friends: np.random.Generator, population: Population, count: int
) -> tuple[Int64Array, Int64Array]:
    """Between the two accounts of one customer, either way."""
    extra = rng.choice(np.arange(len(population.trade), len(population.owner)), count)
    main = population.owner[extra]
    back = rng.random(count) < 0.4
    return np.where(back, extra, main), np.where(back, main, extra)
