"""The payments of fans: whom both parties of a payment pay and are paid by, and who of them is new."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

from greywater.features.evidence import Finding, Found, Lookup, seconds_between
from greywater.features.payment_view import Account, PaymentView, SeenPayment

__all__ = ["fans", "new_counterparties"]

NAN = math.nan
SIDES: Final = (("sender", "out"), ("sender", "in"), ("receiver", "out"), ("receiver", "in"))


def fans(view: PaymentView, cap: int, window_us: int, limit: int) -> Finding:
    """The four fans of payment i: whom its sender and its receiver paid and were paid by, i included.

    Best: most counterparties, then most payments, then the sender's. Payments are shown the latest first.

    Parameters
    ----------
    view : PaymentView
        What i sees.
    cap : int
        Payments visited at most.
    window_us : int
        Microseconds; i sees no further than this.
    limit : int
        Fans given.
    """
    lookup = Lookup(view, cap)
    columns: dict[str, float] = {}
    found = []
    for name, account, direction, payments in _lists(lookup):
        degree, different = len(payments), len({_other(each, direction) for each in payments})
        columns[f"{name}.degree"] = degree
        columns[f"{name}.fan"] = different
        columns[f"{name}.fan_ratio"] = float(different) / float(degree) if degree else NAN
        if payments:
            measures = {"counterparties": different, "payments": degree}
            found.append(_fan(name, account, direction, payments, measures))
    found.sort(key=lambda each: (-each.measures["counterparties"], -each.measures["payments"]))
    return Finding(found[:limit], len(found), columns, lookup.capped)


def new_counterparties(view: PaymentView, cap: int, window_us: int, limit: int) -> Finding:
    """The four lists' counterparties that are new since the window before, with their payments.

    `view` must see two windows; parameters and order else as for `fans`.
    """
    lookup = Lookup(view, cap)
    begins = lookup.this.time_us - window_us
    columns: dict[str, float] = {}
    found = []
    for name, account, direction, payments in _lists(lookup):
        before = {_other(each, direction) for each in payments if each.time_us <= begins}
        fresh = [each for each in payments if each.time_us > begins and _other(each, direction) not in before]
        different = len({_other(each, direction) for each in fresh})
        columns[f"{name}.fan_new"] = different
        if fresh:
            measures = {"counterparties": different, "payments": len(fresh)}
            found.append(_fan(name, account, direction, fresh, measures))
    found.sort(key=lambda each: (-each.measures["counterparties"], -each.measures["payments"]))
    return Finding(found[:limit], len(found), columns, lookup.capped)


def _lists(lookup: Lookup) -> Iterator[tuple[str, Account, str, list[SeenPayment]]]:
    """Name, account, direction and payments of each list; i is in its sender's and its receiver's."""
    this = lookup.this
    for role, direction in SIDES:
        account = this.sender if role == "sender" else this.receiver
        payments = lookup.out_of(account) if direction == "out" else lookup.into(account)
        mine = (role, direction) in (("sender", "out"), ("receiver", "in"))
        yield f"{role}.{direction}", account, direction, [this, *payments] if mine else payments


def _other(payment: SeenPayment, direction: str) -> Account:
    return payment.receiver if direction == "out" else payment.sender


def _fan(
    name: str, account: Account, direction: str, payments: list[SeenPayment], measures: Mapping[str, int]
) -> Found:
    role = "paid" if direction == "out" else "received"
    accounts = {account: "hub"} | {_other(each, direction): "counterparty" for each in payments}
    duration = seconds_between(payments[-1], payments[0])
    return Found(name, [(role, each) for each in payments], accounts, {**measures, "duration": duration})
