"""What everybody pays day by day in a large made-up world: how much of what, when, and who is likely to pay it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from greywater.kernels.everyday import (
    ORDINARY,
    OWN_CURRENCIES,
    OWN_SAME,
    PAYOUT,
    REINVESTED,
    SALARY,
    STANDING_FORMATS,
    Habits,
    Keys,
    PaymentColumns,
    due_payments,
    money_of,
)
from greywater.synth.economy import (
    ACH,
    AMOUNT_UNITS,
    BITCOIN,
    CASH,
    CHEQUE,
    COIN,
    CREDIT_CARD,
    CURRENCY_SHARES,
    FORMATS,
    PERSON,
    REINVESTMENT,
    USD_RATES,
    WIRE,
    Population,
)
from greywater.synth.presets import DAY_SECONDS, WorldPlan
from greywater.synth.streams import stream_key
from greywater.vocab import Float64Array, Int64Array

__all__ = ["FORMAT_SHARES", "Day", "Everyday", "empty_columns", "everyday_amounts", "plan_everyday"]

_SECOND_US: Final = 1_000_000
#: Share of all payments by format in the published world.
FORMAT_SHARES: Final = np.array([1_864_331, 1_323_324, 600_797, 490_891, 481_056, 171_855, 146_091]) / 5_078_345
#: How much is paid on each weekday, Monday first, and how much more on the first days of a world.
_WEEKDAYS: Final = (1.0, 1.0, 1.0, 1.0, 1.355, 0.4296, 0.4296)
_FIRST_DAYS: Final = (1.3133, 1.1537)
#: Interest is put back on the first day and every so many days after.
_REINVESTED_EVERY: Final = 30
#: Share of what is paid in the hour after midnight, by format; more of it on the very first day.
_FIRST_HOUR: Final = (0.042, 0.129, 0.042, 0.042, 0.0, 0.042, 0.042)
_FIRST_HOUR_OF_ALL: Final = (0.115, 0.185, 0.225, 0.142, 0.0, 0.125, 0.361)
#: At most this share of a month's payments are standing ones.
_MOST_STANDING: Final = 0.25

_PEOPLE: Final = (1.0, 0.0, 0.0, 0.0)
_FIRMS: Final = (0.0, 0.25, 0.22, 0.53)
_ANYBODY: Final = (0.56, 0.16, 0.11, 0.17)
#: Kinds of flexible payments: format, way, share of the format's, who pays and who is paid by kind of customer.
_FLOWS: Final = (
    (CHEQUE, PAYOUT, 0.1170, _ANYBODY, _ANYBODY),  # a bank's own cheques
    (CHEQUE, ORDINARY, 0.40, _FIRMS, _FIRMS),  # suppliers
    (CHEQUE, ORDINARY, 0.29, _PEOPLE, _PEOPLE),  # between people
    (CHEQUE, ORDINARY, 0.20, _FIRMS, _PEOPLE),  # refunds, fees
    (CREDIT_CARD, PAYOUT, 0.1130, _ANYBODY, _ANYBODY),
    (CREDIT_CARD, ORDINARY, 0.753, _PEOPLE, _FIRMS),  # shopping
    (CREDIT_CARD, ORDINARY, 0.14, _FIRMS, _FIRMS),
    (ACH, OWN_CURRENCIES, 0.140, _ANYBODY, _ANYBODY),  # money changed
    (ACH, ORDINARY, 0.45, _FIRMS, _FIRMS),
    (ACH, ORDINARY, 0.239, _PEOPLE, _ANYBODY),
    (ACH, ORDINARY, 0.18, _FIRMS, _PEOPLE),
    (CASH, PAYOUT, 0.1745, _ANYBODY, _ANYBODY),
    (CASH, ORDINARY, 0.435, _PEOPLE, _FIRMS),
    (CASH, ORDINARY, 0.40, _FIRMS, _PEOPLE),
    (WIRE, ORDINARY, 0.6, _FIRMS, _FIRMS),
    (WIRE, ORDINARY, 0.4, _PEOPLE, _ANYBODY),
    (COIN, PAYOUT, 0.0899, _ANYBODY, _ANYBODY),
    (COIN, OWN_SAME, 0.218, _ANYBODY, _ANYBODY),
    (COIN, ORDINARY, 0.697, _ANYBODY, _ANYBODY),
)
#: Logarithm of dollars at normal numbers from -4 to 4 in halves, by format.
_CURVES: Final = np.array([
    [-2.976, -1.787, -0.598, 0.592, 3.279, 4.177, 4.938, 5.776, 7.028, 8.1, 9.528, 11.656, 13.802, 16.0, 17.3,
     18.623, 19.923],
    [-2.835, -1.655, -0.475, 0.705, 1.884, 3.143, 4.274, 5.301, 6.568, 7.663, 8.755, 9.813, 10.446, 10.716, 11.016,
     11.316, 11.616],
    [-6.054, -4.865, -3.675, -2.486, 0.918, 2.618, 4.077, 5.418, 7.071, 8.151, 9.862, 12.274, 14.386, 16.65, 17.973,
     19.273, 20.573],
    [-3.874, -2.685, -1.496, -0.307, 1.46, 2.995, 4.121, 5.322, 6.902, 8.457, 10.577, 12.936, 14.784, 16.86, 18.182,
     19.482, 20.782],
    [0.353, 0.642, 0.931, 1.221, 1.443, 1.84, 2.429, 2.989, 7.024, 9.44, 11.162, 13.07, 14.764, 16.155, 17.447,
     18.739, 20.031],
    [-5.712, -4.523, -3.334, -2.145, -0.956, 1.071, 2.45, 4.073, 5.794, 7.679, 9.916, 12.372, 14.601, 15.999, 17.299,
     18.599, 19.899],
    [-3.818, -2.629, -1.44, -0.251, 0.938, 2.327, 3.888, 5.34, 6.815, 7.754, 9.611, 11.929, 14.045, 15.443, 16.743,
     18.043, 19.343],
])  # fmt: skip


@dataclass(frozen=True)
class Day:
    """One day of everyday payments, before they are made.

    `standing_time` (microseconds since 1970, rising), `standing_account` and `standing_kind` are what is due;
    `hour_rows` int64[24] how many flexible payments each hour has, `flows` float64[24, F] of which kinds, cumulative.
    """

    number: int
    start_us: int
    standing_time: Int64Array
    standing_account: NDArray[np.int32]
    standing_kind: NDArray[np.int8]
    hour_rows: Int64Array
    flows: Float64Array

    def __len__(self) -> int:
        return len(self.standing_time) + int(self.hour_rows.sum())


@dataclass(frozen=True)
class Everyday:
    """All everyday payments, before they are made.

    `day_rows` int64[days] how many a day has, by format `quota` float64[days, 7]; `kept` the share of people with
    standing orders.
    """

    plan: WorldPlan
    habits: Habits
    keys: Keys
    day_rows: Int64Array
    quota: Float64Array
    kept: float

    def day(self, number: int) -> Day:
        """What is due on a day, and how the rest of it is spread over the hours."""
        standing = _Standing.due(self, number)
        rows = int(self.day_rows[number])
        if len(standing.time) > rows:
            standing = standing.take(np.arange(rows) * len(standing.time) // max(rows, 1))
        weights = np.maximum(self.quota[number] - standing.by_format(self), 0.0)
        weights[REINVESTMENT] = 0.0
        by_hour = weights * _hours(number)
        hour_rows = _apportioned(rows - len(standing.time), by_hour.sum(axis=1))
        formats, shares = self.habits.format, np.array([flow[2] for flow in _FLOWS])
        flows = np.cumsum(by_hour[:, formats] * shares, axis=1)
        flows /= np.maximum(flows[:, -1:], 1e-300)
        flows[:, -1] = 1.0
        start_us = (self.plan.start + number * DAY_SECONDS) * _SECOND_US
        return Day(number, start_us, standing.time, standing.account, standing.kind, hour_rows, flows)


@dataclass(frozen=True)
class _Standing:
    """Standing payments of a day in order of time, among equals of account."""

    time: Int64Array
    account: NDArray[np.int32]
    kind: NDArray[np.int8]
    number: int

    @classmethod
    def due(cls, everyday: Everyday, number: int) -> _Standing:
        """All that is due on this day."""
        plan, room = everyday.plan, 3 * min(everyday.plan.accounts, 1 << 18)
        start_us = (plan.start + number * DAY_SECONDS) * _SECOND_US
        times = np.empty(room, np.int64)
        accounts, kinds = np.empty(room, np.int32), np.empty(room, np.int8)
        found: list[tuple[Int64Array, NDArray[np.int32], NDArray[np.int8]]] = []
        who = _reinvested(everyday, number)
        for first in range(0, plan.accounts, 1 << 18):
            last = min(first + (1 << 18), plan.accounts)
            rows = due_payments(
                everyday.habits, everyday.keys, first, last, number, start_us, _due_days(plan, number),
                everyday.kept, who, times, accounts, kinds,
            )  # fmt: skip
            found.append((times[:rows].copy(), accounts[:rows].copy(), kinds[:rows].copy()))
        time, account, kind = (np.concatenate(columns) for columns in zip(*found, strict=True))
        order = np.argsort(time, kind="stable")
        return cls(time[order], account[order], kind[order], number)

    def take(self, rows: Int64Array) -> _Standing:
        return _Standing(self.time[rows], self.account[rows], self.kind[rows], self.number)

    def by_format(self, everyday: Everyday) -> Float64Array:
        """How many are paid in each format."""
        counts = np.zeros(len(FORMATS))
        counts[REINVESTMENT] = (self.kind == REINVESTED).sum()
        salaries = int((self.kind == SALARY).sum())
        by_ach = round(0.6 * salaries)
        counts[STANDING_FORMATS[SALARY, 0]] += by_ach
        counts[CHEQUE] += len(self.kind) - counts[REINVESTMENT] - by_ach
        return counts


def plan_everyday(plan: WorldPlan, population: Population, planned_by_format: Int64Array) -> Everyday:
    """Share out the payments that are not planned over days and formats.

    Parameters
    ----------
    plan : WorldPlan
        How large the world is.
    population : Population
        Who is in it.
    planned_by_format : int64[7]
        How many payments of each format somebody planned; together with these there are exactly `plan.payments`.

    Returns
    -------
    Everyday
        What `Day.number` 0, 1, ... of it hold is worked out when asked for.
    """
    rows = plan.payments - int(planned_by_format.sum())
    wanted = np.maximum(FORMAT_SHARES * plan.payments - planned_by_format, 0.0)
    weekday = np.arange(plan.days) + datetime.fromtimestamp(plan.start, UTC).weekday()
    weights = np.array(_WEEKDAYS)[weekday % 7]
    first = min(len(_FIRST_DAYS), plan.days)
    weights[:first] *= _FIRST_DAYS[:first]
    quota = np.outer(weights / weights.sum(), wanted)
    often = np.arange(plan.days) % _REINVESTED_EVERY == 0
    quota[:, REINVESTMENT] = np.where(often, wanted[REINVESTMENT] / often.sum(), 0.0)
    people = int((population.kind == PERSON).sum())
    month = rows / plan.days * 30
    return Everyday(
        plan=plan,
        habits=_habits(population),
        keys=_keys(plan.seed),
        day_rows=_apportioned(rows, quota.sum(axis=1)),
        quota=quota,
        kept=min(1.0, _MOST_STANDING * month / max(people * 0.85, 1.0)),
    )


def empty_columns(rows: int) -> PaymentColumns:
    """Room for so many payments."""
    return PaymentColumns(
        time=np.empty(rows, np.int64),
        sender=np.empty(rows, np.int32),
        receiver=np.empty(rows, np.int32),
        paid=np.empty(rows, np.int64),
        received=np.empty(rows, np.int64),
        paid_currency=np.empty(rows, np.int8),
        received_currency=np.empty(rows, np.int8),
        format=np.empty(rows, np.int8),
    )


def everyday_amounts(population: Population, form: int, currency: Int64Array, z: Float64Array) -> Int64Array:
    """Amounts of a format as everybody pays them, in smallest units, for standard normal numbers `z`."""
    habits = _habits(population)
    pairs = zip(currency.tolist(), z.tolist(), strict=True)
    return np.array([money_of(habits, form, code, value) for code, value in pairs], dtype=np.int64)


def _keys(seed: int) -> Keys:
    return Keys(*(np.uint64(stream_key(seed, "everyday", purpose)) for purpose in Keys._fields))


def _habits(population: Population) -> Habits:
    currency = np.where(np.arange(len(CURRENCY_SHARES)) == BITCOIN, 0.0, CURRENCY_SHARES)
    return Habits(
        format=np.array([flow[0] for flow in _FLOWS], np.int64),
        way=np.array([flow[1] for flow in _FLOWS], np.int64),
        payer=_cumulative(np.array([flow[3] for flow in _FLOWS])),
        payee=_cumulative(np.array([flow[4] for flow in _FLOWS])),
        currency=_cumulative(currency[None, :])[0],
        rate=USD_RATES,
        units=AMOUNT_UNITS.astype(np.float64),
        curve=_CURVES,
        groups=population.groups,
        currency_of=population.currency,
    )


def _cumulative(weights: Float64Array) -> Float64Array:
    """Rising to 1 along each row."""
    sums = np.cumsum(weights, axis=1)
    return np.ascontiguousarray(sums / sums[:, -1:])


def _apportioned(total: int, weights: Float64Array) -> Int64Array:
    """Whole numbers in these proportions that add up to `total`."""
    share = weights.sum()
    if share <= 0.0:
        weights, share = np.ones(len(weights)), float(len(weights))
    bounds: Int64Array = np.rint(np.cumsum(weights) / share * total).astype(np.int64)
    return np.diff(bounds, prepend=np.int64(0))


def _hours(day: int) -> Float64Array:
    """Share of each hour by format: [24, 7]."""
    first = np.array(_FIRST_HOUR_OF_ALL if day == 0 else _FIRST_HOUR)
    return np.vstack([first, np.tile((1.0 - first) / 23.0, (23, 1))])


def _due_days(plan: WorldPlan, number: int) -> int:
    """Days of the month, as bits, on which what is due is paid today: on working days, for the days off before them."""
    today = datetime.fromtimestamp(plan.start, UTC) + timedelta(days=number)
    if today.weekday() >= 5:
        return 0
    days = [today] + ([today - timedelta(days=back) for back in (1, 2)] if today.weekday() == 0 and number >= 2 else [])
    bits = 0
    for day in days:
        bits |= 1 << day.day
    if today.weekday() == 4:
        bits |= 1 << (32 + today.toordinal() // 7 % 2)
    return bits


def _reinvested(everyday: Everyday, number: int) -> Int64Array:
    """Multiplier, offset, modulus and threshold that choose who puts interest back on this day."""
    accounts = everyday.plan.accounts
    coins = int((everyday.habits.currency_of == BITCOIN).sum())
    wanted = min(1.0, everyday.quota[number, REINVESTMENT] / max(accounts - coins, 1))
    multiplier = 2_654_435_761 % accounts | 1
    while np.gcd(multiplier, accounts) != 1:
        multiplier += 2
    offset = stream_key(everyday.plan.seed, "who puts interest back") % accounts
    return np.array([multiplier, offset, accounts, round(wanted * accounts)], dtype=np.int64)
