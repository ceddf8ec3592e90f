"""Who there is in a large made-up world: banks, customers and their accounts, as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from greywater.synth.presets import WorldPlan
from greywater.synth.streams import stream
from greywater.vocab import Int64Array

__all__ = [
    "ACH",
    "AMOUNT_UNITS",
    "BANK",
    "BITCOIN",
    "CASH",
    "CHEQUE",
    "CODES",
    "COIN",
    "CORPORATION",
    "COUNTRIES",
    "CREDIT_CARD",
    "CURRENCIES",
    "CURRENCY_SHARES",
    "FORMATS",
    "KINDS",
    "PARTNERSHIP",
    "PERSON",
    "REINVESTMENT",
    "SOLE",
    "USD_RATES",
    "WIRE",
    "Population",
    "make_population",
]

#: Currencies of the published worlds, the most used first, and their codes.
CURRENCIES: Final = (
    "US Dollar", "Euro", "Swiss Franc", "Yuan", "Shekel", "Rupee", "UK Pound", "Ruble", "Yen", "Bitcoin",
    "Canadian Dollar", "Australian Dollar", "Mexican Peso", "Saudi Riyal", "Brazil Real",
)  # fmt: skip
CODES: Final = (
    "USD", "EUR", "CHF", "CNY", "ILS", "INR", "GBP", "RUB", "JPY", "BTC", "CAD", "AUD", "MXN", "SAR", "BRL",
)  # fmt: skip
BITCOIN: Final = CURRENCIES.index("Bitcoin")
#: Share of the payments made in each.
CURRENCY_SHARES: Final = np.array([
    0.373187, 0.230055, 0.046247, 0.042091, 0.037844, 0.037454, 0.035590, 0.030557, 0.030563, 0.028763,
    0.027576, 0.026932, 0.021692, 0.017528, 0.013922,
])  # fmt: skip
#: Units of each currency that one US dollar bought in the published worlds, where rates never change.
USD_RATES: Final = np.array([
    1.0, 0.8534, 0.915, 6.6976, 3.377, 73.444, 0.7742, 77.804, 105.4, 1 / 11_880,
    1.3193, 1.4128, 21.1431, 3.7511, 5.6465,
])  # fmt: skip
#: Smallest units of one unit in the published files: hundredths of everything, millionths of Bitcoin.
AMOUNT_UNITS: Final = np.array([1_000_000 if name == "Bitcoin" else 100 for name in CURRENCIES], dtype=np.int64)

FORMATS: Final = ("Cheque", "Credit Card", "ACH", "Cash", "Reinvestment", "Wire", "Bitcoin")
CHEQUE, CREDIT_CARD, ACH, CASH, REINVESTMENT, WIRE, COIN = range(7)

#: Kinds of customers, which are those of their accounts too.
KINDS: Final = ("Individual", "Sole Proprietorship", "Partnership", "Corporation", "Bank")
PERSON, SOLE, PARTNERSHIP, CORPORATION, BANK = range(5)
_KIND_SHARES: Final = np.array([0.56, 0.16, 0.11, 0.17])
#: Accounts that a customer of each kind has on average.
_ACCOUNTS_EACH: Final = (1.35, 1.4, 1.7, 2.6)

COUNTRIES: Final = (
    "Portugal", "Canada", "UK", "Germany", "France", "Italy", "Spain", "Switzerland", "Japan", "China", "India",
    "Australia", "Brazil", "Mexico", "Israel", "Russia", "Saudi Arabia", "Netherlands", "Ireland", "US",
)  # fmt: skip
_FIRST_NUMBER: Final = 0x800000000
_LAST_NUMBER: Final = 0x900000000
#: Numbers of the accounts that banks pay from, one a currency, as in the published worlds.
_BANK_NUMBERS: Final = 0x100428660
_BANK_NUMBER_STEP: Final = 0x48
_BANKS_BANK: Final = 70


@dataclass(frozen=True)
class Population:
    """Everyone, by column. Accounts are named by their place in the arrays, which no file shows.

    Accounts lie together by currency, among these by kind, and among these the most active first: `groups[c, k]` is
    the first place of the accounts in currency c of kind k, `groups[c, k + 1]` one behind the last.

    Parameters
    ----------
    number : int64[accounts]
        Account number, written as nine hexadecimal digits.
    bank : int32[accounts]
        Place of the bank in `bank_id`.
    entity : int32[accounts]
        Place of the owner in `entity_kind`.
    kind : int8[accounts]
        Place in KINDS, the owner's.
    currency : int8[accounts]
        The account's own currency, a place in CURRENCIES.
    groups : int64[15, 6]
        Where the accounts of a currency and kind lie.
    bank_id : int64[banks]
        The bank's number, unique.
    bank_country : int8[banks]
        Place in COUNTRIES, which the name of the bank begins with.
    entity_kind : int8[entities]
        Place in KINDS.
    entity_number : int64[entities]
        The customer's number, written as nine hexadecimal digits, unique.
    """

    number: Int64Array
    bank: NDArray[np.int32]
    entity: NDArray[np.int32]
    kind: NDArray[np.int8]
    currency: NDArray[np.int8]
    groups: Int64Array
    bank_id: Int64Array
    bank_country: NDArray[np.int8]
    entity_kind: NDArray[np.int8]
    entity_number: Int64Array

    def __len__(self) -> int:
        return len(self.number)

    def places(self, currency: int, *kinds: int) -> Int64Array:
        """The accounts in a currency of these kinds, of each kind the most active first."""
        ranges = [np.arange(self.groups[currency, kind], self.groups[currency, kind + 1]) for kind in kinds]
        return np.concatenate(ranges).astype(np.int64)

    def of_kind(self, *kinds: int) -> Int64Array:
        """The accounts of these kinds, whatever their currency."""
        return np.flatnonzero(np.isin(self.kind, kinds)).astype(np.int64)


def make_population(plan: WorldPlan) -> Population:
    """Make up banks, customers and accounts; the same plan gives the same everyone."""
    sizes = _group_sizes(plan.accounts)
    bounds = np.concatenate([[0], np.cumsum(sizes.ravel())])
    groups = np.empty((len(CURRENCIES), len(KINDS) + 1), np.int64)
    groups[:, :-1] = bounds[:-1].reshape(sizes.shape)
    groups[:, -1] = bounds[len(KINDS) :: len(KINDS)]
    kind = np.repeat(np.tile(np.arange(len(KINDS)), len(CURRENCIES)), sizes.ravel()).astype(np.int8)
    currency = np.repeat(np.arange(len(CURRENCIES)), sizes.sum(axis=1)).astype(np.int8)
    bank_id, bank_country = _banks(plan)
    entity, entity_kind = _owners(plan.seed, kind)
    number = _numbers(plan.seed, "account numbers", len(kind))
    number += currency == BITCOIN
    bank = _chosen_banks(plan.seed, len(kind), len(bank_id))
    banks_own = np.flatnonzero(kind == BANK)
    number[banks_own] = _BANK_NUMBERS + _BANK_NUMBER_STEP * np.arange(len(banks_own))
    bank[banks_own] = np.searchsorted(bank_id, _BANKS_BANK)
    return Population(
        number=number,
        bank=bank,
        entity=entity,
        kind=kind,
        currency=currency,
        groups=groups,
        bank_id=bank_id,
        bank_country=bank_country,
        entity_kind=entity_kind,
        entity_number=_numbers(plan.seed, "customer numbers", len(entity_kind)),
    )


def _group_sizes(accounts: int) -> Int64Array:
    """Accounts by currency and kind, one of each currency the bank's own; together exactly `accounts`."""
    shares = np.outer(CURRENCY_SHARES, _KIND_SHARES)
    ordinary = accounts - len(CURRENCIES)
    bounds = np.rint(np.cumsum(shares.ravel()) / shares.sum() * ordinary).astype(np.int64)
    sizes = np.diff(bounds, prepend=0).reshape(shares.shape)
    return np.column_stack([sizes, np.ones(len(CURRENCIES), np.int64)])


def _banks(plan: WorldPlan) -> tuple[Int64Array, NDArray[np.int8]]:
    """Bank numbers in order, short ones the most, and the country of each."""
    count = max(80, plan.accounts // 17)
    small = np.arange(1, 81)
    rng = stream(plan.seed, "banks")
    gaps = rng.integers(1, 2 * max(1, 360_000 // count) + 1, count - len(small))
    ids = np.concatenate([small, 80 + np.cumsum(gaps)]).astype(np.int64)
    return ids, rng.integers(0, len(COUNTRIES), count).astype(np.int8)


def _chosen_banks(seed: int, accounts: int, banks: int) -> NDArray[np.int32]:
    """The bank of each account: few banks have many accounts, many banks few."""
    offset = 5.0
    u = stream(seed, "banks of accounts").random(accounts)
    rank = offset * ((banks + offset) / offset) ** u - offset
    return np.minimum(rank.astype(np.int64), banks - 1).astype(np.int32)


def _owners(seed: int, kind: NDArray[np.int8]) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """The customer of each account, and the kind of each customer."""
    entity = np.empty(len(kind), np.int32)
    kinds: list[NDArray[np.int8]] = []
    first = 0
    for code, mean in enumerate((*_ACCOUNTS_EACH, 1.0)):
        places = np.flatnonzero(kind == code)
        rng = stream(seed, "owners", code)
        begins = rng.random(len(places)) < 1.0 / mean if code != BANK else np.ones(len(places), bool)
        begins[:1] = True
        owner = np.cumsum(begins) - 1
        entity[places[rng.permutation(len(places))] if code != BANK else places] = first + owner
        count = int(owner[-1]) + 1 if len(places) else 0
        kinds.append(np.full(count, code, np.int8))
        first += count
    return entity, np.concatenate(kinds)


def _numbers(seed: int, purpose: str, count: int) -> Int64Array:
    """Different numbers that end in 0, in an order that says nothing."""
    room = (_LAST_NUMBER - _FIRST_NUMBER) // 16
    step = max(1, min(room // count, 40))
    rng = stream(seed, purpose)
    tens = np.arange(count, dtype=np.int64) * step + rng.integers(0, step, count)
    rng.shuffle(tens)
    return _FIRST_NUMBER + tens * 16
