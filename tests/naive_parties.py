"""Slow twins of the columns beside the engine: balances, leading digits, peers, shared attributes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from greywater.features.leading_digits import LEAST_PAYMENTS
from greywater.features.peer_deviation import LEAST_PEERS
from tests.naive import DAY_US, NAN, Paid, is_external


@dataclass(frozen=True)
class Moved:
    """One payment with what was on its accounts before it."""

    amount: int
    received: int
    base: int | None
    sender_balance: int | None
    receiver_balance: int | None


def naive_balances(payment: Moved) -> list[float]:
    """Both balances in the base currency, both shares."""
    sides = ((payment.sender_balance, payment.amount), (payment.receiver_balance, payment.received))
    values = []
    for balance, amount in sides:
        known = balance is not None and payment.base is not None and amount > 0
        values.append(balance * (payment.base / amount) if known else NAN)
    return [*values, *(float(Fraction(amount, b)) if b is not None and b > 0 else NAN for b, amount in sides)]


LATENESS_US = 7 * DAY_US


def _sent(payments: Sequence[Paid], i: int, account: str, look_back_us: int) -> list[Paid]:
    """What payment i sees of what an account sent to others, i itself included."""
    oldest = max(p.time for p in payments[: i + 1]) - look_back_us - LATENESS_US
    earlier = [p for p in payments[:i] if oldest < p.time <= payments[i].time]
    return [p for p in (*earlier, payments[i]) if p.sender == account != p.receiver]


def naive_benford(payments: Sequence[Paid], least: int = LEAST_PAYMENTS) -> list[list[float]]:
    """Chi-square of the leading digits over 90 whole days, of the sender and of the receiver of each payment."""
    return [[_benford(payments, i, p, least) for p in (this.sender, this.receiver)] for i, this in enumerate(payments)]


def _benford(payments: Sequence[Paid], i: int, account: str, least: int) -> float:
    today = payments[i].time // DAY_US
    inside = [p for p in _sent(payments, i, account, 90 * DAY_US) if p.time // DAY_US > today - 90]
    digits = [int(str(p.amount)[0]) for p in inside if p.amount > 0]
    if is_external(account) or len(digits) < least:
        return NAN
    total = 0.0
    for digit in range(1, 10):
        expected = len(digits) * math.log10(1 + 1 / digit)
        total += (digits.count(digit) - expected) * (digits.count(digit) - expected) / expected
    return total


def _total(payments: Sequence[Paid], i: int, account: str) -> int:
    inside = [p for p in _sent(payments, i, account, 30 * DAY_US) if p.time > payments[i].time - 30 * DAY_US]
    return sum(p.base for p in inside if p.base is not None)


def naive_peers(
    payments: Sequence[Paid], segment: Callable[[str, int], int], least: int = LEAST_PEERS
) -> list[list[float]]:
    """Deviation of both parties of each payment from their peers; `segment` of an account as of a payment."""
    return [
        [_deviation(payments, i, account, segment, least) for account in (this.sender, this.receiver)]
        for i, this in enumerate(payments)
    ]


def _deviation(payments: Sequence[Paid], i: int, account: str, segment: Callable[[str, int], int], least: int) -> float:
    own = -1 if is_external(account) else segment(account, i)
    last: dict[str, int] = {}
    for j, p in enumerate(payments[:i]):
        if p.base is not None and p.sender != p.receiver and not is_external(p.sender):
            last[p.sender] = j
    peers = [_total(payments, j, who) for who, j in last.items() if who != account and segment(who, j) == own]
    if own < 0 or len(peers) < least or len(set(peers)) == 1:
        return NAN
    return float(_total(payments, i, account) - statistics.mean(map(Fraction, peers))) / statistics.stdev(peers)


@dataclass(frozen=True)
class Told:
    """One record: a value of an account or a customer, or (name = "owner") the customer of an account."""

    of: str
    name: str
    value: str
    since: int
    after: int


def naive_shared(
    payments: Sequence[tuple[int, str, str]], told: Sequence[Told], names: Sequence[str], most: int = 100
) -> list[list[int]]:
    """Attributes in common of both parties, and the customers that share one with each; payments in order of seq.

    Customers begin with a capital letter, accounts do not.
    """
    return [_shared(seq, payment, told, names, most) for seq, payment in enumerate(payments)]


def _shared(
    seq: int, payment: tuple[int, str, str], told: Sequence[Told], names: Sequence[str], most: int
) -> list[int]:
    time, *parties = payment
    seen = [t for t in told if t.after < seq and t.since <= time]

    def latest(name: str, *of: str) -> str:
        """Of those that are seen the latest; the later recorded of two equal moments."""
        fitting = sorted((t for t in seen if t.name == name and t.of in of), key=lambda t: t.since)
        return fitting[-1].value if fitting else ""

    def customer(account: str) -> str:
        return latest("owner", account) or account

    def values(party: str) -> dict[str, str]:
        return {name: value for name in names if (value := latest(name, party, latest("owner", party)))}

    def sharing(party: str) -> set[str]:
        holders = {(t.of, name) for t in told for name, value in values(party).items() if latest(name, t.of) == value}
        return {customer(of) if of[0].islower() else of for of, _ in holders} - {customer(party)}

    sender, receiver = parties
    same = customer(sender) == customer(receiver)
    alike = 0 if same else len(set(values(sender).items()) & set(values(receiver).items()))
    return [alike, *(min(len(sharing(party)), most) for party in parties)]
