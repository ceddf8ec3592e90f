"""The slow, obvious twin of every kernel: what a payment sees, written down as the rule says it."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from greywater.features.catalog import FeatureSet
from greywater.vocab import CHANNELS, CURRENCIES
from tests.naive_graph import naive_graph_features as naive_graph_features

DAY_US = 86_400_000_000
NAN = math.nan


@dataclass(frozen=True)
class Paid:
    """One payment; times in microseconds."""

    time: int
    sender: str
    receiver: str
    amount: int
    base: int | None
    currency: str = "USD"
    received_currency: str = "USD"
    received_amount: int | None = None
    channel: str = "transfer"
    sender_bank: str | None = None
    receiver_bank: str | None = None


def is_external(account: str) -> bool:
    return account.startswith("external:")


def in_window(set_: FeatureSet, w: int, time: int, earlier: int) -> bool:
    """Is a payment at `earlier` inside window w of a payment at `time`?"""
    plan = set_.plan
    if w < len(plan.windows):
        return time - plan.windows[w] * 1_000_000 < earlier <= time
    days = plan.day_windows[w - len(plan.windows)]
    return time // DAY_US - days < earlier // DAY_US and earlier <= time


def deviation(amounts: Sequence[int]) -> float:
    n = len(amounts)
    if n < 2:
        return NAN
    spread = n * sum(a * a for a in amounts) - sum(amounts) ** 2
    return math.sqrt(float(spread) / float(n * (n - 1)))


def naive_features(payments: Sequence[Paid], set_: FeatureSet) -> list[dict[str, Any]]:
    """Every feature of every payment, from nothing but the payments recorded before it."""
    return [_features_of(payments, i, set_) for i in range(len(payments))]


def _features_of(payments: Sequence[Paid], i: int, set_: FeatureSet) -> dict[str, Any]:
    this = payments[i]
    horizon = max(p.time for p in payments[: i + 1])
    oldest = horizon - set_.plan.hold_us
    earlier = [p for p in payments[:i] if oldest < p.time <= this.time]
    firsts = _firsts(payments, i)
    row: dict[str, Any] = {}
    _payment_columns(row, this, horizon, set_)
    _calendar_columns(row, this, set_)
    _pair_columns(row, payments, i, max(this.time, oldest))
    for role, account in (("sender", this.sender), ("receiver", this.receiver)):
        for direction in ("out", "in"):
            _window_columns(row, payments, i, earlier, firsts, role, account, direction, set_)
            _lifetime_columns(row, payments, i, max(this.time, oldest), role, account, direction)
    if set_.has_pass_through:
        received = row["sender.in.sum.1d"]
        row["sender.pass_through.1d"] = NAN if this.base is None or not received > 0 else this.base / received
    for w, label in enumerate(set_.plan.labels):
        own = [p for p in earlier if p.sender == p.receiver == this.sender and in_window(set_, w, this.time, p.time)]
        if this.sender == this.receiver:
            own.append(this)
        row[f"sender.self.count.{label}"] = len(own)
        row[f"sender.self.sum.{label}"] = float(sum(p.base for p in own if p.base is not None))
    return row


def _firsts(payments: Sequence[Paid], i: int) -> set[int]:
    """Identities of the payments that were the first ever recorded of their ordered pair."""
    met: set[tuple[str, str]] = set()
    firsts: set[int] = set()
    for payment in payments[: i + 1]:
        if (payment.sender, payment.receiver) not in met and payment.sender != payment.receiver:
            met.add((payment.sender, payment.receiver))
            firsts.add(id(payment))
    return firsts


def _of(payment: Paid, account: str, direction: str) -> bool:
    if payment.sender == payment.receiver:
        return False
    return (payment.sender if direction == "out" else payment.receiver) == account


def _window_columns(
    row: dict[str, Any], payments: Sequence[Paid], i: int, earlier: Sequence[Paid], firsts: set[int], role: str,
    account: str, direction: str, set_: FeatureSet,
) -> None:  # fmt: skip
    this = payments[i]
    for w, label in enumerate(set_.plan.labels):
        past = [p for p in earlier if _of(p, account, direction) and in_window(set_, w, this.time, p.time)]
        inside = [*past, this] if _of(this, account, direction) else past
        amounts = [p.base for p in inside if p.base is not None]
        name = f"{role}.{direction}.{{}}.{label}".format
        row[name("count")] = len(inside)
        row[name("counterparties")] = len({p.receiver if direction == "out" else p.sender for p in inside})
        row[name("new_counterparties")] = sum(id(p) in firsts for p in inside)
        row[name("sum")] = float(sum(amounts))
        row[name("mean")] = float(sum(amounts)) / float(len(amounts)) if amounts else NAN
        row[name("std")] = deviation(amounts)
        row[name("min")] = float(min(amounts)) if amounts else NAN
        row[name("max")] = float(max(amounts)) if amounts else NAN
        if w in set_.plan.ratio_windows and (role, direction) in (("sender", "out"), ("receiver", "in")):
            listed = _of(this, account, direction)
            _ratio_columns(row, name, this.base if listed else None, [p.base for p in past if p.base is not None])


def _ratio_columns(row: dict[str, Any], name: Any, amount: int | None, past: list[int]) -> None:
    for statistic in ("amount_to_mean", "amount_to_max", "amount_zscore"):
        row[name(statistic)] = NAN
    if amount is None or not past or max(past) == 0:
        return
    mean = float(sum(past)) / float(len(past))
    row[name("amount_to_mean")] = amount / mean
    row[name("amount_to_max")] = amount / max(past)
    spread = deviation(past)
    if spread > 0:
        row[name("amount_zscore")] = (amount - mean) / spread


def _lifetime_columns(
    row: dict[str, Any], payments: Sequence[Paid], i: int, bound: int, role: str, account: str, direction: str
) -> None:
    """Lifetime records: what is older than everything held counts as earlier, whatever its exact time."""
    this = payments[i]
    times = [p.time for p in payments[:i] if _of(p, account, direction) and p.time <= bound]
    row[f"{role}.{direction}.lifetime_count"] = len(times)
    row[f"{role}.{direction}.since_last"] = _since(this.time, times)
    ever = [p.time for p in payments[:i] if account in (p.sender, p.receiver)]
    row[f"{role}.age"] = (this.time - min(ever)) / 1e6 if ever and min(ever) <= this.time else NAN


def _since(time: int, times: Sequence[int]) -> float:
    return (time - max(times)) / 1e6 if times and max(times) <= time else NAN


def _pair_columns(row: dict[str, Any], payments: Sequence[Paid], i: int, bound: int) -> None:
    this = payments[i]
    same = this.sender == this.receiver
    for name, pair in (("", (this.sender, this.receiver)), ("reverse_", (this.receiver, this.sender))):
        times = [p.time for p in payments[:i] if (p.sender, p.receiver) == pair and p.time <= bound and not same]
        row[f"pair.{name}times_before"] = len(times)
        row[f"pair.{name}since_last"] = _since(this.time, times)
    row["pair.first"] = int(row["pair.times_before"] == 0)
    row["pair.reciprocal"] = int(row["pair.reverse_times_before"] > 0)


def _payment_columns(row: dict[str, Any], this: Paid, horizon: int, set_: FeatureSet) -> None:
    received = this.amount if this.received_amount is None else this.received_amount
    same = this.currency == this.received_currency
    row["payment.amount"] = NAN if this.base is None else float(this.base)
    digits = str(this.amount)
    row["payment.round_amount"] = len(digits) - len(digits.rstrip("0")) if this.amount else 0
    row["payment.channel"] = CHANNELS.index(this.channel)
    row["payment.currency"] = CURRENCIES.index(this.currency)
    row["payment.received_currency"] = CURRENCIES.index(this.received_currency)
    row["payment.currency_change"] = int(not same)
    row["payment.received_to_paid"] = received / this.amount if same and this.amount else NAN
    banks = (this.sender_bank, this.receiver_bank)
    row["payment.cross_bank"] = int(None not in banks and banks[0] != banks[1])
    row["payment.late"] = int(this.time <= horizon - set_.plan.allowed_lateness * 1_000_000)


def _calendar_columns(row: dict[str, Any], this: Paid, set_: FeatureSet) -> None:
    import zoneinfo

    import holidays

    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=this.time)
    if set_.resolution_us < DAY_US:
        moment = moment.astimezone(zoneinfo.ZoneInfo(set_.timezone))
        row["calendar.hour"] = moment.hour
    row["calendar.weekday"] = moment.weekday()
    row["calendar.weekend"] = int(moment.weekday() >= 5)
    row["calendar.month_day"] = moment.day
    row["calendar.month_end"] = int((moment + datetime.timedelta(days=1)).day == 1)
    code, _, part = set_.country.partition("-")
    days = holidays.country_holidays(code, subdiv=part or None, years=moment.year) if code else ()
    row["calendar.holiday"] = int(moment.date() in days)
