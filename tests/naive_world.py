"""Slow twins of the large made-up world: its random numbers, and what one hour and one account's day hold.

Plain Python integers and the standard library's normal distribution; nothing compiled.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import exp, floor
from statistics import NormalDist

from greywater.kernels.everyday import Habits, Keys

LOW = 2**32 - 1
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
PERSONS, SOLE, PARTNERSHIPS, CORPORATIONS, BANKS = range(5)
BITCOIN = 9
NORMAL = NormalDist()


def philox(key: int, *counter: int) -> tuple[int, ...]:
    """Philox 4x32-10 as its authors write it."""
    keys = [int(key) & LOW, int(key) >> 32]
    c = [int(word) & LOW for word in counter]
    for _ in range(10):
        left, right = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(right >> 32) ^ c[1] ^ keys[0], right & LOW, (left >> 32) ^ c[3] ^ keys[1], left & LOW]
        keys = [(keys[0] + 0x9E3779B9) & LOW, (keys[1] + 0xBB67AE85) & LOW]
    return tuple(c)


def unit(word: int) -> float:
    return (word + 0.5) / 2**32


def normal(word: int) -> float:
    return NORMAL.inv_cdf(unit(word))


def chosen(word: int, cumulative: list[float]) -> int:
    return min(bisect_right(cumulative, unit(word)), len(cumulative) - 1)


@dataclass(frozen=True)
class Payment:
    time: int
    sender: int
    receiver: int
    paid: int
    received: int
    paid_currency: int
    received_currency: int
    format: int


class NaiveWorld:
    """The same habits, asked one payment at a time."""

    def __init__(self, habits: Habits, keys: Keys) -> None:
        self.habits = habits
        self.payment, self.relation, self.standing, self.employer = (int(key) for key in keys)
        self.groups = habits.groups.tolist()
        self.currency = habits.currency.tolist()

    def ranked(self, word: int, share: float, spread: float, first: int, last: int) -> int:
        active = max(1, floor(share * (last - first)))
        above = 1.0 - NORMAL.cdf(normal(word) + spread)
        return first + min(int(above * active), active - 1)

    def group(self, currency: int, kind: int) -> int:
        return kind if self.groups[currency][kind + 1] > self.groups[currency][kind] else PERSONS

    def other_than(self, sender: int, receiver: int, currency: int, kind: int) -> int:
        if receiver != sender:
            return receiver
        first, last = self.groups[currency][kind], self.groups[currency][kind + 1]
        if last - first < 2:
            first = self.groups[currency][PERSONS]
            return first if first != sender else first + 1
        return receiver + 1 if receiver + 1 < last else first

    def money(self, form: int, currency: int, z: float) -> int:
        place = min(max((z + 4.0) * 2.0, 0.0), 16.0)
        low = min(int(place), 15)
        curve = self.habits.curve[form].tolist()
        dollars = exp(curve[low] + (curve[low + 1] - curve[low]) * (place - low))
        units = min(dollars * float(self.habits.rate[currency]), 9e11)
        return max(1, floor(units * float(self.habits.units[currency]) + 0.5))

    def flexible(self, day: int, number: int, start: int, hour_rows: int, k: int, flows: list[float]) -> Payment:
        """The k-th payment of an hour whose first one is `number` of its day."""
        habits = self.habits
        when, which, money, who = philox(self.payment, number + k, day, 0, 0)
        a = philox(self.payment, number + k, day, 1, 0)
        b = philox(self.payment, number + k, day, 2, 0)
        flow = chosen(which, flows)
        form, way = int(habits.format[flow]), int(habits.way[flow])
        currency = BITCOIN if form == 6 else chosen(money, self.currency)
        kind = BANKS if way == 1 else self.group(currency, chosen(who, habits.payer[flow].tolist()))
        begin, end = self.groups[currency][kind], self.groups[currency][kind + 1]
        sender = begin if way == 1 else self.ranked(a[0], 0.52, 1.12, begin, end)
        z, receiver, other = normal(b[1]), sender, currency
        if way < 2:
            words = (a[3], b[0], b[3], b[2])
            familiar = way == 0 and unit(a[1]) < 0.92
            if familiar:
                words = philox(self.relation, sender, flow, self.friend(a[2]), 0)
                z = 0.5**0.5 * normal(words[2]) + 0.5**0.5 * z
            theirs = currency
            if words[3] < 0.024 * 2**32 and currency != BITCOIN:
                theirs = chosen(philox(self.relation, sender, flow, 8, words[3])[0], self.currency)
            kind = self.group(theirs, chosen(words[0], habits.payee[flow].tolist()))
            receiver = self.ranked(words[1], 0.66, 0.95, self.groups[theirs][kind], self.groups[theirs][kind + 1])
            receiver = self.other_than(sender, receiver, theirs, kind)
        paid = received = self.money(form, currency, z)
        if way == 2:
            other = chosen(a[3], self.currency)
            if other == currency:
                other = 1 if currency == 0 else 0
            worth = float(habits.rate[other] * habits.units[other])
            ratio = worth / float(habits.rate[currency] * habits.units[currency])
            received = max(1, floor(paid * ratio + 0.5))
        low, high = k * HOUR_US // hour_rows, (k + 1) * HOUR_US // hour_rows
        time = start + low + int(unit(when) * (high - low))
        return Payment(time, sender, receiver, paid, received, currency, other, form)

    def friend(self, word: int) -> int:
        p, place, left = unit(word), 0, 1.0 - 0.41
        while p >= left and place < 7:
            p, left, place = p - left, left * 0.41, place + 1
        return place

    def bound_to(self, account: int, kind: int) -> tuple[int, float, int]:
        rank, of_kind, size, rest = philox(self.standing, account, 1 + kind, 0, 0)
        currency = int(self.habits.currency_of[account])
        p = unit(of_kind)
        company = self.group(currency, CORPORATIONS if p < 0.7 else PARTNERSHIPS if p < 0.85 else SOLE)
        first, last = self.groups[currency][company], self.groups[currency][company + 1]
        place = self.ranked(rank, 0.66, 0.95, first, last)
        return self.other_than(account, place, currency, company), normal(size), rest

    def payday(self, employer: int) -> tuple[int, int, int]:
        when, hour, how, _ = philox(self.employer, employer, 0, 0, 0)
        steps = [(0.25, 1), (0.4, 15), (0.6, 25), (0.7, 28), (0.85, 32), (1.0, 33)]
        bit = next(bit for bound, bit in steps if unit(when) <= bound)
        return bit, 6 + int(unit(hour) * 4), 2 if unit(how) < 0.6 else 0

    def due(
        self, account: int, day: int, start: int, due_days: int, kept: float, reinvested: list[int]
    ) -> list[Payment]:
        """The standing payments that one account makes or, as an employee, gets on a day."""
        found: list[Payment] = []
        currency = int(self.habits.currency_of[account])
        multiplier, offset, modulus, threshold = reinvested
        if currency != BITCOIN and (account * multiplier + offset) % modulus < threshold:
            early, when, _, _ = philox(self.standing, account, 0, day, 7)
            time = start + int(unit(when) * (HOUR_US // 2 if unit(early) < 0.47 else DAY_US))
            z = normal(philox(self.standing, account, 0, day, 10)[0])
            found.append(self.paid_once(time, account, account, currency, 4, z))
        works, rents, has, _ = philox(self.standing, account, 0, 0, 0)
        if due_days == 0 or account >= self.groups[currency][SOLE] or currency == BITCOIN or unit(has) >= kept:
            return found
        if unit(works) < 0.55:
            employer, z, _ = self.bound_to(account, 0)
            bit, hour, form = self.payday(employer)
            if due_days >> bit & 1:
                late = philox(self.standing, account, 0, day, 8)[0]
                time = start + hour * HOUR_US + int(unit(late) * (HOUR_US // 2))
                found.append(self.paid_once(time, employer, account, currency, form, z))
        if unit(rents) < 0.30:
            landlord, z, rest = self.bound_to(account, 1)
            if due_days >> (1 + int(unit(rest) * 5)) & 1:
                time = start + int(unit(philox(self.standing, account, 0, day, 9)[0]) * DAY_US)
                found.append(self.paid_once(time, account, landlord, currency, 0, z))
        return found

    def paid_once(self, time: int, sender: int, receiver: int, currency: int, form: int, z: float) -> Payment:
        paid = self.money(form, currency, z)
        return Payment(time, sender, receiver, paid, paid, currency, currency, form)
