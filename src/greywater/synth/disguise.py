"""How laundering looks from outside: as in the published worlds, or in the clothes of everyday payments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from greywater.synth.economy import AMOUNT_UNITS, BANK, CURRENCIES, FORMATS, PERSON, USD_RATES, Population
from greywater.synth.flow_shapes import Clock
from greywater.vocab import Float64Array, Int64Array

__all__ = ["EverydayLooks", "EverydaySample", "Looks", "PublishedLooks", "to_units"]

HOUR: Final = 3_600
Formats = NDArray[np.int8]
#: Shares of the formats of untyped laundering in the published world, save the cash that is placed.
_UNTYPED_FORMATS: Final = {"ACH": 0.686, "Cheque": 0.175, "Credit Card": 0.111, "Bitcoin": 0.028}
#: A payment takes the amount of any everyday one between this share of what is wanted and the whole of it.
_NEAR: Final = 0.88
#: Launderers use a currency only where so many people and so many companies do.
_FEWEST_USERS: Final = 40


@dataclass(frozen=True)
class EverydaySample:
    """Everyday payments by column, spread over the whole world: seconds since 1970, places in the population, smallest
    units of the currency paid, places in CURRENCIES and FORMATS."""

    time: Int64Array
    sender: Int64Array
    receiver: Int64Array
    paid: Int64Array
    currency: NDArray[np.int8]
    format: Formats

    def __len__(self) -> int:
        return len(self.time)


class Looks(Protocol):
    """Chooses who takes part and how payments look."""

    self_share: float
    #: Least and greatest share of an attempt's parts that the ring's own accounts take; the others lend theirs.
    own_share: tuple[float, float]

    @property
    def clock(self) -> Clock:
        """When payments are made."""
        ...

    def currency(self, share: float) -> int:
        """The currency at this share of all payments put in order of currency, -1 for any."""
        ...

    def amounts(self, currency: int, shares: Float64Array) -> Float64Array:
        """US cents at these shares of all payments in the currency, the smallest first."""
        ...

    def cast(self, rng: np.random.Generator, currency: int, count: int, *, companies: bool) -> Int64Array:
        """Accounts that may take part, companies or people; some may come twice."""
        ...

    def everyone(self, currency: int, *, companies: bool) -> Int64Array:
        """All accounts that may take part, some more than once."""
        ...

    def wear(
        self, rng: np.random.Generator, currency: Any, cents: Float64Array, *, typed: bool, own: Any = False
    ) -> tuple[Int64Array, Formats]:
        """Amounts in smallest units of each currency, near the US cents wanted, and formats; `own`: to oneself."""
        ...


def to_units(cents: Float64Array, currency: Any) -> Int64Array:
    """US cents as smallest units of each currency, at least one.

    Examples
    --------
    >>> import numpy as np
    >>> to_units(np.array([10_000.0]), np.array([0])).tolist()
    [10000]
    """
    units: Float64Array = np.rint(cents / 100.0 * USD_RATES[currency] * AMOUNT_UNITS[currency])
    return np.maximum(units, 1).astype(np.int64)


class PublishedLooks:
    """As in the published worlds: anybody, any hour, ACH, evenly spread amounts up to some 20,000 dollars.

    Parameters
    ----------
    population : Population
        Who there is.
    """

    self_share = 0.0
    own_share = (0.2, 0.6)

    def __init__(self, population: Population) -> None:
        self._population = population
        self._people = population.of_kind(PERSON)
        firms = (population.kind != PERSON) & (population.kind != BANK)
        self._firms = np.flatnonzero(firms).astype(np.int64)
        self.banks = population.of_kind(BANK)
        self._by_bank = np.argsort(population.bank, kind="stable")
        self._bank_first = np.searchsorted(population.bank[self._by_bank], np.arange(len(population.bank_id) + 1))

    def currency(self, share: float) -> int:
        """Any."""
        return -1

    def amounts(self, currency: int, shares: Float64Array) -> Float64Array:
        """No matter how much: `wear` draws amounts payment by payment."""
        return np.full(len(shares), 1_000_000.0)

    @property
    def clock(self) -> Clock:
        """At any hour."""
        return Clock(np.ones(168))

    def of_same_bank(self, rng: np.random.Generator, accounts: Int64Array) -> Int64Array:
        """For each account one of the same bank, now and then itself."""
        bank = self._population.bank[accounts]
        first, behind = self._bank_first[bank], self._bank_first[bank + 1]
        chosen: Int64Array = self._by_bank[first + (rng.random(len(accounts)) * (behind - first)).astype(np.int64)]
        return chosen

    def cast(self, rng: np.random.Generator, currency: int, count: int, *, companies: bool) -> Int64Array:
        """Anybody, with any currency."""
        return rng.choice(self.everyone(currency, companies=companies), count)

    def everyone(self, currency: int, *, companies: bool) -> Int64Array:
        """All companies or all people."""
        return self._firms if companies else self._people

    def wear(
        self, rng: np.random.Generator, currency: Any, cents: Float64Array, *, typed: bool, own: Any = False
    ) -> tuple[Int64Array, Formats]:
        """The published spread of amounts, now and then a very large one; typed ones by ACH."""
        count = len(cents)
        top, heavy = (2_060_000, 0.025) if typed else (520_000, 0.12)
        even = rng.uniform(1_000, top, count)
        large = np.exp(rng.normal(np.log(20.0 * top), 2.0, count))
        amount = np.where(rng.random(count) < heavy, large, even)
        form = np.full(count, FORMATS.index("ACH"), dtype=np.int8)
        if not typed:
            names = np.array([FORMATS.index(name) for name in _UNTYPED_FORMATS], dtype=np.int8)
            form = rng.choice(names, count, p=list(_UNTYPED_FORMATS.values()))
        return to_units(amount, currency), form


class EverydayLooks:
    """In the clothes of everyday payments: their parties, their amounts to the cent, their formats, their hours.

    The area under the curve of a model that sees the amount alone, or the format alone, is then near one half.

    Parameters
    ----------
    population : Population
        Who there is.
    sample : EverydaySample
        Everyday payments of this world.
    """

    own_share = (0.65, 0.95)

    def __init__(self, population: Population, sample: EverydaySample) -> None:
        self._population = population
        self._sample = sample
        own = sample.sender == sample.receiver
        self.self_share = float(own.mean())
        between = np.flatnonzero(~own)
        banks = (population.kind[sample.sender] == BANK) | (population.kind[sample.receiver] == BANK)
        self._ordinary = np.flatnonzero(~own & ~banks)
        self._racks = {False: self._rack(between), True: self._rack(np.flatnonzero(own))}

    @cached_property
    def clock(self) -> Clock:
        """The hours of the week as everyday payments fill them."""
        slot = (self._sample.time // HOUR + 3 * 24) % 168
        return Clock(np.bincount(slot, minlength=168).astype(np.float64) + 1e-3)

    def _rack(self, rows: NDArray[np.intp]) -> dict[int, NDArray[np.intp]]:
        """The rows of each currency, the smallest amount first."""
        rack = {}
        for currency in range(len(CURRENCIES)):
            mine = rows[self._sample.currency[rows] == currency]
            if len(mine):
                rack[currency] = mine[np.argsort(self._sample.paid[mine], kind="stable")]
        return rack

    def currency(self, share: float) -> int:
        """The currency at this share of the everyday payments between two parties, put in order of currency."""
        return int(self._currencies[min(int(share * len(self._currencies)), len(self._currencies) - 1)])

    @cached_property
    def _currencies(self) -> NDArray[np.int8]:
        """Currencies of payments between two parties, in order, without those that too few people or companies use."""
        currencies = np.sort(self._sample.currency[self._ordinary])
        used = [code for code in np.unique(currencies).tolist() if self._users(code) >= _FEWEST_USERS]
        return (
            currencies[np.isin(currencies, used)]
            if used
            else currencies[currencies == np.bincount(currencies).argmax()]
        )

    def _users(self, currency: int) -> int:
        """How many companies, or people where these are fewer, take part in the payments of a currency."""
        return min(len(np.unique(self.everyone(currency, companies=companies))) for companies in (False, True))

    def amounts(self, currency: int, shares: Float64Array) -> Float64Array:
        """Amounts of everyday payments between two parties in the currency."""
        rack = self._racks[False][currency]
        units = self._sample.paid[rack[np.minimum((shares * len(rack)).astype(np.int64), len(rack) - 1)]]
        cents: Float64Array = units / AMOUNT_UNITS[currency] / USD_RATES[currency] * 100.0
        return cents

    def cast(self, rng: np.random.Generator, currency: int, count: int, *, companies: bool) -> Int64Array:
        """Parties of everyday payments in the currency, so that who launders is as busy as others are."""
        parties = self.everyone(currency, companies=companies)
        return rng.choice(parties if len(parties) else self.everyone(currency, companies=not companies), count)

    def everyone(self, currency: int, *, companies: bool) -> Int64Array:
        """Companies or people who take part in payments in the currency, the busy ones more often."""
        key = (currency, companies)
        if key not in self._known_parties:
            rows = self._ordinary[self._sample.currency[self._ordinary] == currency]
            both = np.concatenate([self._sample.sender[rows], self._sample.receiver[rows]])
            self._known_parties[key] = both[(self._population.kind[both] != PERSON) == companies]
        return self._known_parties[key]

    @cached_property
    def _known_parties(self) -> dict[tuple[int, bool], Int64Array]:
        return {}

    def own_moments(self, rng: np.random.Generator, earliest: int, latest: int, count: int) -> Int64Array:
        """When everybody pays themselves, interest put back above all: so many of these moments, or none at all."""
        times = self._own_times
        low, high = np.searchsorted(times, [earliest, latest])
        return times[rng.integers(low, high, count)] if high > low else times[:0]

    @cached_property
    def _own_times(self) -> Int64Array:
        return np.sort(self._sample.time[self._sample.sender == self._sample.receiver])

    def wear(
        self, rng: np.random.Generator, currency: Any, cents: Float64Array, *, typed: bool, own: Any = False
    ) -> tuple[Int64Array, Formats]:
        """Amount and format of one of the everyday payments in the currency with 88 to 100 % of the amount wanted."""
        codes = np.broadcast_to(np.asarray(currency), len(cents))
        selves = np.broadcast_to(np.asarray(own), len(cents))
        wanted = to_units(cents, codes)
        paid, form = wanted.copy(), np.full(len(cents), FORMATS.index("ACH"), dtype=np.int8)
        for key in {(int(code), bool(one)) for code, one in zip(codes, selves, strict=True)}:
            rack = self._racks[key[1]].get(key[0])
            if rack is None:
                continue
            rows = np.flatnonzero((codes == key[0]) & (selves == key[1]))
            amounts = self._sample.paid[rack]
            low = np.searchsorted(amounts, np.ceil(wanted[rows] * _NEAR), side="left")
            high = np.searchsorted(amounts, wanted[rows], side="right")
            any_near = high > low
            place = np.where(
                any_near, low + (rng.random(len(rows)) * (high - low)).astype(np.int64), np.maximum(low - 1, 0)
            )
            paid[rows] = np.where(any_near, amounts[place], wanted[rows])
            form[rows] = self._sample.format[rack][place]
        return paid, form
