"""Slow twins of the columns beside the engine: balances, leading digits, peers, shared attributes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from tests.naive import NAN


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
