"""A customer's windows at an alert: the account's own where it has one account, and never what comes later."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.errors import RefusedValueError
from greywater.features.account_windows import WindowReader, held_payments
from greywater.features.alert_windows import CHANNEL_DAYS, AlertWindows, gather_payments
from greywater.features.windows import WindowPlan
from greywater.vocab import CHANNELS
from tests.features.payments import as_table, random_payments
from tests.naive import DAY_US, Paid

PLAN = WindowPlan((86_400, 7 * 86_400, 30 * 86_400), (90,), 7 * 86_400)
CASH = CHANNELS.index("cash")


def naive(payments: list[Paid], owned: set[str], moment: int) -> dict[str, float]:
    """The slow, obvious twin: one look at every payment."""
    sides: dict[str, list[tuple[int, int | None, str, bool]]] = {"out": [], "in": []}
    cash = {"out": [0, 0], "in": [0, 0]}
    seen: set[tuple[str, str]] = set()
    last: dict[str, int] = {}
    for one in payments:
        if one.sender in owned and one.receiver in owned:
            continue
        for way, mine, other in (("out", one.sender, one.receiver), ("in", one.receiver, one.sender)):
            if mine not in owned:
                continue
            new = (way, other) not in seen
            seen.add((way, other))
            if one.time > moment:
                continue
            sides[way].append((one.time, one.base, other, new))
            last[way] = max(last.get(way, one.time), one.time)
            if one.time > moment - CHANNEL_DAYS * DAY_US and one.base is not None:
                cash[way][0] += one.base
                cash[way][1] += one.base if one.channel == "cash" else 0
    reader = WindowReader(PLAN)
    values, _ = reader.values_at(held_payments(sides["out"], sides["in"]), moment)
    found = dict(zip(reader.names, values, strict=True))
    for label in PLAN.labels:
        low, high = sorted([found[f"out.sum.{label}"], found[f"in.sum.{label}"]])
        found[f"passed_on.{label}"] = low / high if high else math.nan
    for way in ("out", "in"):
        usual = found[f"{way}.sum.90d"] / 90
        for label, days in zip(PLAN.labels[:-1], (1, 7, 30), strict=True):
            found[f"{way}.pace.{label}"] = found[f"{way}.sum.{label}"] / days / usual if usual else math.nan
        found[f"{way}.since_last"] = (moment - last[way]) / 1e6 if way in last else math.nan
        whole, part = cash[way]
        found[f"{way}.share.cash.{CHANNEL_DAYS}d"] = part / whole if whole else math.nan
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 60), st.sampled_from([{"a1"}, {"a1", "a2"}, {"nobody"}]))
def test_it_is_the_slow_twin(seed: int, day: int, owned: set[str]) -> None:
    payments = random_payments(seed, 60)
    moment = min(one.time for one in payments) + day * DAY_US
    windows = AlertWindows(PLAN, [CASH])
    gathered = gather_payments(as_table(payments), dict.fromkeys(owned, 0), 1)
    found = dict(zip(windows.names, windows.at(gathered, np.zeros(1, np.int64), np.array([moment]))[0], strict=True))
    expected = naive(payments, owned, moment)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == value or (math.isnan(found[name]) and math.isnan(value)), name


@given(st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_what_comes_later_changes_nothing(seed: int) -> None:
    payments = random_payments(seed, 50, late_share=0.0)
    moment = payments[25].time
    earlier = [one for one in payments if one.time <= moment]
    windows, parties = AlertWindows(PLAN, [CASH]), {"a0": 0, "a1": 1, "a2": 1}
    now = [windows.at(gather_payments(as_table(rows), parties, 2), np.arange(2), np.array([moment, moment]))
           for rows in (payments, earlier)]  # fmt: skip
    np.testing.assert_array_equal(now[0], now[1])


def test_payments_between_accounts_of_one_customer_are_left_out() -> None:
    payments = random_payments(3, 200)
    gathered = gather_payments(as_table(payments), {f"a{n}": 0 for n in range(6)}, 1)
    inside = sum(one.sender.startswith("a") and one.receiver.startswith("a") for one in payments)
    outside = sum(one.sender.startswith("a") != one.receiver.startswith("a") for one in payments)
    assert inside > 0
    assert len(gathered.time_us) == outside


def test_features_are_named_once_and_described() -> None:
    features = AlertWindows(PLAN, [CASH]).features
    assert len({feature.name for feature in features}) == len(features)
    assert all(feature.description and feature.unit for feature in features)


def test_payments_out_of_order_and_no_payments() -> None:
    table = as_table(random_payments(1, 5))
    with pytest.raises(RefusedValueError, match="ledger order"):
        gather_payments(table.take([1, 0]), {}, 0)
    empty = gather_payments(table.slice(0, 0), {"a": 0}, 1)
    values = AlertWindows(PLAN).at(empty, np.zeros(1, np.int64), np.array([0]))
    assert np.nansum(values) == 0
