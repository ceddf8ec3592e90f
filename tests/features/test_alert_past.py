"""The past of an alert: what was raised before and known by then, counted the slow way."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from greywater.features.alert_bags import BAG_FEATURES, MISSING, bag_features
from greywater.features.alert_past import PAST_FEATURES, PRIOR_ALERTS, PRIOR_SHARE, AlertPast, alert_past

DAY = 86_400_000_000
NAMES = [feature.name for feature in PAST_FEATURES]

rows_of = st.lists(
    st.tuples(
        st.integers(0, 420), st.sampled_from(["A", "B", ""]), st.sampled_from(["x", "y"]), st.sampled_from([-1, 0, 1]),
        st.integers(-5, 40),
    ),
    max_size=25,
)  # fmt: skip


def book(rows: list[tuple[int, str, str, int, int]]) -> AlertPast:
    rows = sorted(rows, key=lambda row: row[0])
    time = np.array([row[0] for row in rows], np.int64) * DAY
    known = time + np.array([row[4] for row in rows], np.int64) * DAY
    outcome = np.array([row[3] for row in rows], np.int64)
    return AlertPast(time, [row[1] for row in rows], [row[2] for row in rows], outcome, known)


def naive(alerts: AlertPast, i: int) -> dict[str, float]:
    now, party, rule = int(alerts.time_us[i]), alerts.party[i], alerts.rule[i]
    n = len(alerts.time_us)
    before = [j for j in range(n) if alerts.time_us[j] < now]
    mine = [j for j in before if party and alerts.party[j] == party]
    known = [j for j in before if alerts.outcome[j] >= 0 and alerts.known_us[j] <= now]
    of_rule = [j for j in known if alerts.rule[j] == rule]
    whole = (sum(int(alerts.outcome[j]) for j in known) + PRIOR_SHARE * PRIOR_ALERTS) / (len(known) + PRIOR_ALERTS)
    reported = sum(int(alerts.outcome[j]) for j in of_rule)
    return {
        "alerts.before.30d": sum(alerts.time_us[j] > now - 30 * DAY for j in mine),
        "alerts.before.365d": sum(alerts.time_us[j] > now - 365 * DAY for j in mine),
        "alerts.before": len(mine),
        "alerts.same_moment": sum(
            j != i and bool(party) and alerts.party[j] == party and alerts.time_us[j] == now for j in range(n)
        ),
        "alerts.rules_before": len({alerts.rule[j] for j in mine}),
        "alerts.same_rule_before": sum(alerts.rule[j] == rule for j in mine),
        "alerts.since_last": (now - max(int(alerts.time_us[j]) for j in mine)) / 1e6 if mine else math.nan,
        "alerts.reported_before": sum(j in known and alerts.outcome[j] == 1 for j in mine),
        "alerts.dismissed_before": sum(j in known and alerts.outcome[j] == 0 for j in mine),
        "rule.reported_share": (reported + whole * PRIOR_ALERTS) / (len(of_rule) + PRIOR_ALERTS),
        "rule.alerts.30d": sum(alerts.rule[j] == rule and alerts.time_us[j] > now - 30 * DAY for j in before),
    }


@given(rows_of)
def test_it_is_the_slow_twin(rows: list[tuple[int, str, str, int, int]]) -> None:
    alerts = book(rows)
    found = alert_past(alerts)
    for i in range(len(rows)):
        expected = naive(alerts, i)
        np.testing.assert_allclose(found[i], [expected[name] for name in NAMES], rtol=1e-12)


@given(rows_of, st.integers(0, 24))
def test_later_alerts_and_outcomes_known_later_change_nothing(
    rows: list[tuple[int, str, str, int, int]], at: int
) -> None:
    alerts = book(rows)
    at = min(at, len(rows) - 1)
    if at < 0:
        assert alert_past(alerts).shape == (0, len(NAMES))
        return
    now = int(alerts.time_us[at])
    kept = alerts.time_us <= now
    hidden = np.where(alerts.known_us > now, -1, alerts.outcome)
    party = [name for name, keep in zip(alerts.party, kept, strict=True) if keep]
    rule = [name for name, keep in zip(alerts.rule, kept, strict=True) if keep]
    part = AlertPast(alerts.time_us[kept], party, rule, hidden[kept], alerts.known_us[kept])
    np.testing.assert_array_equal(alert_past(part)[at], alert_past(alerts)[at])


bags_of = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 7), st.floats(-5, 5)), max_size=40)


@given(bags_of)
def test_bags_are_the_slow_twin(rows: list[tuple[int, int, float]]) -> None:
    alert, group, size = (np.array([row[k] for row in rows]) for k in range(3))
    found = bag_features(3, alert.astype(np.int64), group.astype(np.int64), size.astype(np.float64))
    assert found.shape == (3, 56)
    for at, feature in enumerate(BAG_FEATURES):
        cell, measure = at // 7, feature.parameters["measure"]
        for number in range(3):
            sizes = np.array([row[2] for row in rows if row[0] == number and row[1] == cell])
            if not len(sizes):
                expected = 0.0 if measure == "count" else MISSING
            elif measure == "count":
                expected = len(sizes)
            elif measure == "std":
                expected = float(np.std(sizes, ddof=1)) if len(sizes) > 1 else MISSING
            else:
                expected = float(getattr(np, measure)(sizes))
            assert math.isclose(found[number, at], expected, rel_tol=1e-9, abs_tol=1e-9), feature.name


def test_bags_are_named_by_entry_type_and_measure() -> None:
    names = [feature.name for feature in BAG_FEATURES]
    assert (names[0], names[6], names[-1]) == ("credit.card.min", "credit.card.sum", "debit.wire.sum")
    assert len(set(names)) == 56
