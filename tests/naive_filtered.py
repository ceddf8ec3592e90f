"""The slow, obvious twin of requests: every payment looks at every earlier one."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Sequence
from decimal import Decimal

from greywater.features.requests import FeatureRequest
from greywater.vocab import currency_exponent
from tests.naive import Paid

MICROSECOND = 1_000_000
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def naive_request(
    payments: Sequence[Paid], i: int, request: FeatureRequest, lateness: int, timezone: str, exponent: int = 2
) -> float:
    """What a request says of payment i."""
    this = payments[i]
    horizon = max(payment.time for payment in payments[: i + 1])
    oldest = horizon - (request.window + lateness) * MICROSECOND
    account = this.sender if request.role == "sender" else this.receiver
    seen = [
        payment
        for payment in payments[:i]
        if this.time - request.window * MICROSECOND < payment.time <= this.time and payment.time > oldest
    ]
    own = [
        payment
        for payment in [*seen, this]
        if payment.sender != payment.receiver
        and account == (payment.sender if request.direction == "out" else payment.receiver)
        and passes(payment, request, timezone, exponent)
    ]
    if request.statistic == "count":
        return len(own)
    if request.statistic == "counterparties":
        return len({payment.receiver if request.direction == "out" else payment.sender for payment in own})
    amounts = [payment.base for payment in own if payment.base is not None]
    if not own or (not amounts and request.statistic != "sum"):
        return float("nan")
    if request.statistic == "sum":
        return float(sum(amounts))
    if request.statistic == "mean":
        return float(sum(amounts)) / len(amounts)
    return float(min(amounts) if request.statistic == "min" else max(amounts))


def passes(payment: Paid, request: FeatureRequest, timezone: str, exponent: int) -> bool:
    """Whether a payment is what the filter asks for."""
    if request.amount_from is not None or request.amount_to is not None:
        if payment.base is None:
            return False
        major = Decimal(payment.base) / 10**exponent
        if request.amount_from is not None and major < request.amount_from:
            return False
        if request.amount_to is not None and major > request.amount_to:
            return False
    if request.channel is not None and payment.channel != request.channel:
        return False
    local = (EPOCH + datetime.timedelta(microseconds=payment.time)).astimezone(zoneinfo.ZoneInfo(timezone))
    kinds = {
        None: True,
        "cross_bank": None not in (payment.sender_bank, payment.receiver_bank)
        and payment.sender_bank != payment.receiver_bank,
        "currency_change": payment.currency != payment.received_currency,
        "round": payment.amount % (1_000 * 10 ** currency_exponent(payment.currency)) == 0,
        "night": local.hour >= 22 or local.hour < 6,
        "weekend": local.weekday() >= 5,
    }
    return bool(kinds[request.type])
