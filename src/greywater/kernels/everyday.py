"""Everyday payments of a large made-up world: each from its own random numbers, whatever came before.

Two kinds. *Flexible* payments fill an hour: the k-th of n lies in the k-th of n equal parts of it, so that they come in
order of time; who pays whom, how and how much is drawn for it. *Standing* ones are looked for account by account: on
this day, is a salary due, a rent, an interest that is put back?
"""

from __future__ import annotations

from math import exp, floor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from greywater.kernels.compile import kernel
from greywater.kernels.random_streams import chosen, normal, normal_above, philox, unit
from greywater.vocab import Float64Array, Int64Array

__all__ = [
    "KNOTS",
    "ORDINARY",
    "OWN_CURRENCIES",
    "OWN_SAME",
    "PAYOUT",
    "REINVESTED",
    "RENT",
    "SALARY",
    "STANDING_FORMATS",
    "Habits",
    "Keys",
    "PaymentColumns",
    "due_payments",
    "flexible_payments",
    "money_of",
    "standing_payments",
]

#: Ways of flexible payments: to somebody, by a bank to somebody, to oneself in another currency, to oneself.
ORDINARY, PAYOUT, OWN_CURRENCIES, OWN_SAME = range(4)
#: Kinds of standing payments.
SALARY, RENT, REINVESTED = range(3)

PERSONS, SOLE, PARTNERSHIPS, CORPORATIONS, BANKS = range(5)
CHEQUE, ACH, REINVESTMENT = 0, 2, 4
#: The format of a standing payment by its kind and, for salaries, by what the employer uses.
STANDING_FORMATS = np.array([[ACH, CHEQUE], [CHEQUE, CHEQUE], [REINVESTMENT, REINVESTMENT]], dtype=np.int64)
BITCOIN = 9

#: Standard normal numbers at which the curves of amounts are given.
KNOTS = np.arange(-4.0, 4.01, 0.5)
_FIRST_KNOT, _KNOTS_A_UNIT, _STEPS = -4.0, 2.0, len(KNOTS) - 1

#: Share of a group's accounts that send, and that receive; the spread of the logarithm of how often they do.
SENDERS, SENDER_SPREAD = 0.52, 1.12
RECEIVERS, RECEIVER_SPREAD = 0.66, 0.95
#: Share of payments to somebody known, and how much more often the better known is paid.
FAMILIAR, NEXT_FRIEND = 0.92, 0.41
FRIENDS = 8
#: Share of relations to an account of another currency.
OTHER_CURRENCY = 0.024
#: How much of an amount's normal number is that of the relation; the rest is the payment's own (squares add up to 1).
OF_RELATION, OF_PAYMENT = 0.7071067811865476, 0.7071067811865476

EMPLOYED, TENANTS, PAID_BY_ACH = 0.55, 0.30, 0.6
#: Share of reinvestments in the half hour after midnight.
EARLY = 0.47
LARGEST = 900_000_000_000.0
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000


class Keys(NamedTuple):
    """One random stream a purpose."""

    payment: np.uint64
    relation: np.uint64
    standing: np.uint64
    employer: np.uint64


class Habits(NamedTuple):
    """What is paid and by whom, of F kinds of flexible payments and C = 15 currencies.

    `format` and `way` int64[F]; `payer` and `payee` float64[F, 4], by kind, cumulative; `currency` float64[C], of all
    but Bitcoin, cumulative; `rate` float64[C], units that a dollar buys; `units` float64[C], smallest units of one;
    `curve` float64[7, knots], the logarithm of dollars by format; `groups` int64[C, 6]; `currency_of` int8[accounts].
    """

    format: Int64Array
    way: Int64Array
    payer: Float64Array
    payee: Float64Array
    currency: Float64Array
    rate: Float64Array
    units: Float64Array
    curve: Float64Array
    groups: Int64Array
    currency_of: NDArray[np.int8]


class PaymentColumns(NamedTuple):
    """Room for payments, one array a column; `time` in microseconds since 1970."""

    time: Int64Array
    sender: NDArray[np.int32]
    receiver: NDArray[np.int32]
    paid: Int64Array
    received: Int64Array
    paid_currency: NDArray[np.int8]
    received_currency: NDArray[np.int8]
    format: NDArray[np.int8]


@kernel
def _ranked(word: Any, share: float, spread: float, first: Any, last: Any) -> Any:
    """One of the places [first, last), of which the first `share` are active, the first of all the most."""
    active = max(1.0, floor(share * (last - first)))
    return first + min(int(normal_above(normal(word) + spread) * active), int(active) - 1)


@kernel
def _group(groups: Int64Array, currency: Any, kind: Any) -> Any:
    """The kind itself, or people where nobody is of it."""
    return kind if groups[currency, kind + 1] > groups[currency, kind] else PERSONS


@kernel
def _not_self(groups: Int64Array, currency: Any, kind: Any, sender: Any, receiver: Any) -> Any:
    """The next account of the group where an account would pay itself."""
    if receiver != sender:
        return receiver
    first, last = groups[currency, kind], groups[currency, kind + 1]
    if last - first < 2:
        first, last = groups[currency, PERSONS], groups[currency, PERSONS + 1]
        return first if first != sender else first + 1
    return receiver + 1 if receiver + 1 < last else first


@kernel
def money_of(habits: Habits, form: Any, currency: Any, z: float) -> Any:
    """The amount, in smallest units, at a standard normal number."""
    place = min(max((z - _FIRST_KNOT) * _KNOTS_A_UNIT, 0.0), float(_STEPS))
    low = min(int(place), _STEPS - 1)
    curve = habits.curve[form]
    dollars = exp(curve[low] + (curve[low + 1] - curve[low]) * (place - low))
    units = min(dollars * habits.rate[currency], LARGEST)
    return max(1, floor(units * habits.units[currency] + 0.5))


@kernel
def _friend(word: Any) -> int:
    """The place of somebody known, the better known more often."""
    p, place = unit(word), 0
    left = 1.0 - NEXT_FRIEND
    while p >= left and place < FRIENDS - 1:
        p -= left
        left *= NEXT_FRIEND
        place += 1
    return place


@kernel
def _receiver(habits: Habits, keys: Keys, flow: Any, sender: Any, currency: Any, a: Any, b: Any) -> tuple[Any, float]:
    """Whom the sender pays, and the normal number of the amount: a friend, whose numbers are the relation's own."""
    familiar = habits.way[flow] == ORDINARY and unit(a[1]) < FAMILIAR
    kind_word, rank_word, size_word, other_word = a[3], b[0], b[3], b[2]
    if familiar:
        kind_word, rank_word, size_word, other_word = philox(keys.relation, sender, flow, _friend(a[2]), 0)
    if other_word < OTHER_CURRENCY * 4294967296.0 and currency != BITCOIN:
        other = philox(keys.relation, sender, flow, FRIENDS, other_word)[0]
        currency = chosen(other, habits.currency)
    kind = _group(habits.groups, currency, chosen(kind_word, habits.payee[flow]))
    first, last = habits.groups[currency, kind], habits.groups[currency, kind + 1]
    receiver = _ranked(rank_word, RECEIVERS, RECEIVER_SPREAD, first, last)
    receiver = _not_self(habits.groups, currency, kind, sender, receiver)
    z = normal(b[1])
    if familiar:
        z = OF_RELATION * normal(size_word) + OF_PAYMENT * z
    return receiver, z


@kernel
def flexible_payments(
    habits: Habits,
    keys: Keys,
    day: int,
    number: int,
    start: int,
    hour_rows: int,
    first: int,
    last: int,
    flows: Float64Array,
    out: PaymentColumns,
    row: int,
) -> None:
    """Write the payments [first, last) of the `hour_rows` of an hour to `out` from `row` on.

    `number` of the hour's first payment in its day, `start` of the hour in microseconds since 1970; `flows`
    float64[F], cumulative, says which kinds are paid in it.
    """
    for k in range(first, last):
        low, high = k * HOUR_US // hour_rows, (k + 1) * HOUR_US // hour_rows
        when, which, money, who = philox(keys.payment, number + k, day, 0, 0)
        a = philox(keys.payment, number + k, day, 1, 0)
        b = philox(keys.payment, number + k, day, 2, 0)
        flow = chosen(which, flows)
        form, way = habits.format[flow], habits.way[flow]
        currency = BITCOIN if form == 6 else chosen(money, habits.currency)
        kind = BANKS if way == PAYOUT else _group(habits.groups, currency, chosen(who, habits.payer[flow]))
        begin, end = habits.groups[currency, kind], habits.groups[currency, kind + 1]
        sender = begin if way == PAYOUT else _ranked(a[0], SENDERS, SENDER_SPREAD, begin, end)
        receiver, z = sender, 0.0
        if way >= OWN_CURRENCIES:
            z = normal(b[1])
        else:
            receiver, z = _receiver(habits, keys, flow, sender, currency, a, b)
        paid = money_of(habits, form, currency, z)
        received, other = paid, currency
        if way == OWN_CURRENCIES:
            other = chosen(a[3], habits.currency)
            if other == currency:
                other = 1 if currency == 0 else 0
            ratio = habits.rate[other] * habits.units[other] / (habits.rate[currency] * habits.units[currency])
            received = max(1, int(min(floor(paid * ratio + 0.5), LARGEST * habits.units[other])))
        place = row + k - first
        out.time[place] = start + low + int(unit(when) * (high - low))
        out.sender[place] = sender
        out.receiver[place] = receiver
        out.paid[place] = paid
        out.received[place] = received
        out.paid_currency[place] = currency
        out.received_currency[place] = other
        out.format[place] = form


@kernel
def _company(habits: Habits, keys: Keys, kind: Any, account: Any) -> tuple[Any, float, Any]:
    """Whom an account is bound to by a standing order, the relation's normal number, and a word of what is left."""
    rank, of_kind, size, rest = philox(keys.standing, account, 1 + kind, 0, 0)
    currency = habits.currency_of[account]
    p = unit(of_kind)
    company = CORPORATIONS if p < 0.7 else (PARTNERSHIPS if p < 0.85 else SOLE)
    company = _group(habits.groups, currency, company)
    first, last = habits.groups[currency, company], habits.groups[currency, company + 1]
    place = _ranked(rank, RECEIVERS, RECEIVER_SPREAD, first, last)
    return _not_self(habits.groups, currency, company, account, place), normal(size), rest


@kernel
def _payday(keys: Keys, employer: Any) -> tuple[int, int, int]:
    """The bit of the days that an employer pays on, the hour, and how."""
    when, hour, how, _ = philox(keys.employer, employer, 0, 0, 0)
    p = unit(when)
    bit = 1
    if p > 0.85:
        bit = 33
    elif p > 0.7:
        bit = 32
    elif p > 0.6:
        bit = 28
    elif p > 0.4:
        bit = 25
    elif p > 0.25:
        bit = 15
    return bit, 6 + int(unit(hour) * 4), 0 if unit(how) < PAID_BY_ACH else 1


@kernel
def due_payments(
    habits: Habits,
    keys: Keys,
    first: int,
    last: int,
    day: int,
    start: int,
    due_days: int,
    kept: float,
    reinvested: Int64Array,
    times: Int64Array,
    accounts: NDArray[np.int32],
    kinds: NDArray[np.int8],
) -> int:
    """Find what is due on a day for the accounts [first, last), and return how many payments these are.

    Bit b of `due_days` says that this is day b of the month or stands for it (32 and 33: every other Friday). `kept` is
    the share of accounts with standing orders at all. `reinvested` is multiplier, offset, modulus and threshold of who
    puts interest back today. There must be room for three payments an account.
    """
    rows = 0
    for account in range(first, last):
        currency = habits.currency_of[account]
        if currency != BITCOIN and (account * reinvested[0] + reinvested[1]) % reinvested[2] < reinvested[3]:
            early, when, _, _ = philox(keys.standing, account, 0, day, 7)
            span = HOUR_US // 2 if unit(early) < EARLY else DAY_US
            times[rows], accounts[rows], kinds[rows] = start + int(unit(when) * span), account, REINVESTED
            rows += 1
        if due_days == 0 or account >= habits.groups[currency, SOLE] or currency == BITCOIN:
            continue
        works, rents, has, _ = philox(keys.standing, account, 0, 0, 0)
        if unit(has) >= kept:
            continue
        if unit(works) < EMPLOYED:
            employer, _, _ = _company(habits, keys, SALARY, account)
            bit, hour, _ = _payday(keys, employer)
            if (due_days >> bit) & 1:
                late = philox(keys.standing, account, 0, day, 8)[0]
                times[rows] = start + hour * HOUR_US + int(unit(late) * (HOUR_US // 2))
                accounts[rows], kinds[rows] = account, SALARY
                rows += 1
        if unit(rents) < TENANTS:
            _, _, rest = _company(habits, keys, RENT, account)
            if (due_days >> (1 + int(unit(rest) * 5))) & 1:
                when = philox(keys.standing, account, 0, day, 9)[0]
                times[rows], accounts[rows], kinds[rows] = start + int(unit(when) * DAY_US), account, RENT
                rows += 1
    return rows


@kernel
def standing_payments(
    habits: Habits,
    keys: Keys,
    day: int,
    times: Int64Array,
    accounts: NDArray[np.int32],
    kinds: NDArray[np.int8],
    out: PaymentColumns,
    row: int,
) -> None:
    """Write these standing payments, as `due_payments` found them, to `out` from `row` on."""
    for number in range(len(times)):
        account, kind = accounts[number], kinds[number]
        currency = habits.currency_of[account]
        sender, receiver, z, form = account, account, 0.0, REINVESTMENT
        if kind == REINVESTED:
            z = normal(philox(keys.standing, account, 0, day, 10)[0])
        else:
            company, z, _ = _company(habits, keys, kind, account)
            if kind == SALARY:
                sender, receiver, form = company, account, STANDING_FORMATS[SALARY, _payday(keys, company)[2]]
            else:
                sender, receiver, form = account, company, CHEQUE
        paid = money_of(habits, form, currency, z)
        place = row + number
        out.time[place] = times[number]
        out.sender[place] = sender
        out.receiver[place] = receiver
        out.paid[place] = paid
        out.received[place] = paid
        out.paid_currency[place] = currency
        out.received_currency[place] = currency
        out.format[place] = form
