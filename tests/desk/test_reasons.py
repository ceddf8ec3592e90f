"""Contributions become up to five sentences, merged by theme, worded for the entity."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.config import Settings
from greywater.desk.reasons import MOST_COLUMNS, MOST_REASONS, Payment, Reason, ReasonWriter, theme_of
from greywater.desk.sentences import Role
from greywater.errors import UsageError
from greywater.features.catalog import payments_v2
from greywater.features.feature import Feature

NAN = math.nan
DAY = 86_400
CATALOG = payments_v2(Settings(), 1).by_name
PAYMENT = Payment("t9", 9, 1_709_208_000_000_000, "A1", "B2", 950_000, "USD", 950_000, "USD", "wire", 950_000)


def told(
    row: Mapping[str, tuple[float, float]], side: Role = "sender", *, currency: str = "USD", payment: Payment = PAYMENT
) -> tuple[Reason, ...]:
    """Reasons for a row given as name -> (value, contribution)."""
    writer = ReasonWriter(list(row), CATALOG, currency)
    return writer.reasons([v for v, _ in row.values()], [c for _, c in row.values()], payment, side)


def texts(
    row: Mapping[str, tuple[float, float]], side: Role = "sender", *, currency: str = "USD", payment: Payment = PAYMENT
) -> list[str]:
    return [reason.text for reason in told(row, side, currency=currency, payment=payment)]


def flow_row(
    role: str, way: str, label: str, count: int, parties: int, new: int, total: float
) -> dict[str, tuple[float, float]]:
    stem = f"{role}.{way}"
    return {
        f"{stem}.count.{label}": (count, 0.5),
        f"{stem}.counterparties.{label}": (parties, 0.2),
        f"{stem}.new_counterparties.{label}": (new, 0.9),
        f"{stem}.sum.{label}": (total, 0.1),
    }


def test_the_sentence_of_the_issue() -> None:
    row = flow_row("sender", "out", "1d", 14, 14, 14, 6_200_000) | {
        "sender.out.sum.30d": (6_200_000 + 29 * 1_000_000, 0.0),
        "sender.age": (400.0 * DAY, 0.0),
    }
    assert texts(row) == ["sent 14 payments to 14 new payees in 24 h, 62,000.00 USD in all, 6.2 times the usual amount"]


def test_ten_correlated_windows_give_one_sentence_over_the_strongest() -> None:
    row: dict[str, tuple[float, float]] = {}
    for label, push in (("1h", 0.1), ("6h", 0.2), ("1d", 0.3), ("3d", 2.0), ("7d", 0.4), ("14d", 0.1), ("30d", 0.1)):
        row[f"receiver.in.count.{label}"] = (9, push)
        row[f"receiver.in.counterparties.{label}"] = (9, push)
        row[f"receiver.in.new_counterparties.{label}"] = (4, 0.0)
    (reason,) = told(row, "receiver")
    assert reason.text == "received 9 payments from 9 senders, 4 of them new, in 3 days"
    assert (reason.window, reason.role, reason.direction, reason.whole_days) == (3 * DAY, "receiver", "in", False)
    assert reason.contribution == pytest.approx(6.4)
    assert reason.features[0] == "receiver.in.count.3d"
    assert len(reason.features) == MOST_COLUMNS == 12
    assert reason.values == (9.0,) * 12


def test_the_other_party_is_named_and_the_entity_is_not() -> None:
    row = flow_row("sender", "out", "7d", 3, 3, 0, 30_000)
    assert texts(row, "sender") == ["sent 3 payments to 3 payees in 7 days, 300.00 USD in all"]
    assert texts(row, "receiver") == ["the sender A1 sent 3 payments to 3 payees in 7 days, 300.00 USD in all"]
    row = flow_row("receiver", "out", "7d", 0, 0, 0, 0)
    assert texts(row, "receiver") == ["sent nothing in 7 days"]
    assert texts(row, "sender") == ["the payee B2 sent nothing in 7 days"]


def test_whole_day_windows_say_their_days_and_nobody_is_new_over_months() -> None:
    (reason,) = told(flow_row("sender", "out", "90d", 40, 9, 9, 1_000_000))
    assert reason.text == "sent 40 payments to 9 payees over today and the 89 days before, 10,000.00 USD in all"
    assert reason.whole_days
    assert reason.window == 90 * DAY


def test_single_amounts_are_told_where_they_push() -> None:
    row = flow_row("sender", "out", "7d", 3, 1, 0, 30_000) | {
        "sender.out.min.7d": (5_000.0, 1.0),
        "sender.out.max.7d": (15_000.0, 1.0),
    }
    assert texts(row) == ["sent 3 payments of 50.00–150.00 USD to 1 payee in 7 days, 300.00 USD in all"]
    even = row | {"sender.out.min.7d": (10_000.0, 1.0), "sender.out.max.7d": (10_000.0, 1.0)}
    assert texts(even) == ["sent 3 payments of 100.00 USD each to 1 payee in 7 days, 300.00 USD in all"]
    quiet = {name: (value, push if ".m" not in name else 0.0) for name, (value, push) in row.items()}
    assert texts(quiet) == ["sent 3 payments to 1 payee in 7 days, 300.00 USD in all"]


def test_no_usual_amount_where_there_is_no_past() -> None:
    row = flow_row("sender", "out", "1d", 2, 2, 0, 500_000) | {
        "sender.out.sum.30d": (500_000.0, 0.0),
        "sender.age": (0.5 * DAY, 0.0),
    }
    assert texts(row) == ["sent 2 payments to 2 payees in 24 h, 5,000.00 USD in all"]


def test_no_currency_shows_no_code() -> None:
    assert texts(flow_row("sender", "out", "1d", 1, 1, 1, 500), currency="XXX") == [
        "sent 1 payment to 1 new payee in 24 h, 5.00"
    ]


@pytest.mark.parametrize(
    ("row", "side", "expected"),
    [
        ({"sender.out.amount_to_mean.30d": 6.2, "payment.amount": 950_000.0}, "sender",
         "this payment of 9,500.00 USD is 6.2 times what it usually sends (mean of the 30 days before)"),
        ({"sender.out.amount_to_mean.30d": 6.2, "sender.out.amount_to_max.30d": 2.0}, "receiver",
         "this payment of 9,500.00 USD is 6.2 times what the sender A1 usually sends (mean of the 30 days before), "
         "and the largest"),
        ({"receiver.in.amount_to_max.90d": 1.2, "receiver.in.amount_to_mean.90d": 1.2}, "receiver",
         "this payment of 9,500.00 USD is the largest it received in the 90 days before"),
        ({"payment.amount": 950_000.0, "sender.out.amount_to_mean.30d": 0.25}, "sender",
         "this payment of 9,500.00 USD is only 0.25 times what it usually sends (mean of the 30 days before)"),
        ({"payment.round_amount": 4}, "sender", "this payment is of 9,500.00 USD, a round amount"),
        ({"sender.out.since_last": 40.0}, "sender", "sent the payment before this one 40 s earlier"),
        ({"sender.in.since_last": 7_200.0}, "sender", "received a payment 2 h earlier"),
        ({"sender.in.since_last": 0.0}, "receiver", "the sender A1 received a payment at the same time"),
        ({"receiver.in.since_last": NAN}, "receiver", "had never received a payment before"),
        ({"sender.age": 3.0 * DAY, "sender.out.lifetime_count": 4, "sender.in.lifetime_count": 0}, "sender",
         "was first seen 3 days before, with 4 payments sent and no payments received until this one"),
        ({"receiver.age": 0.0, "receiver.out.lifetime_count": 0, "receiver.in.lifetime_count": 0}, "receiver",
         "had no payment before this one"),
        ({"receiver.age": NAN}, "sender", "the payee B2 had no payment before this one"),
        ({"sender.self.count.7d": 5, "sender.self.sum.7d": 500_000.0}, "sender",
         "paid itself 5 times in 7 days, 5,000.00 USD in all"),
        ({"sender.self.count.7d": 0, "sender.self.sum.7d": 0.0}, "sender", "made no payment to itself in 7 days"),
        ({"sender.pass_through.1d": 0.92, "sender.in.sum.1d": 1_000_000.0}, "sender",
         "passes on with this payment 92 % of the 10,000.00 USD that came in during the 24 h before"),
        ({"sender.pass_through.1d": 1.4}, "receiver",
         "the sender A1 sends with this payment 1.4 times what came in during the 24 h before"),
        ({"sender.pass_through.1d": NAN}, "sender", "had received nothing in the 24 h before this payment"),
        ({"pair.first": 1, "pair.times_before": 0}, "sender", "first payment to this payee, B2"),
        ({"pair.first": 1, "pair.reverse_times_before": 3}, "receiver",
         "first payment from this sender, A1; money went the other way 3 times before"),
        ({"pair.times_before": 3, "pair.since_last": 2.0 * DAY, "pair.first": 0}, "sender",
         "paid this payee, B2, 3 times before, 2 days after the last"),
        ({"pair.reciprocal": 1, "pair.first": 0}, "receiver",
         "was paid by this sender, A1, already before; money went the other way before"),
        ({"payment.channel": 3, "payment.cross_bank": 1}, "sender", "paid by wire in USD, between two banks"),
        ({"calendar.weekday": 6, "calendar.hour": 3, "calendar.holiday": 1}, "sender",
         "made on a Sunday between 03:00 and 04:00, a public holiday"),
        ({"calendar.weekend": 1, "calendar.month_end": 1}, "sender", "made at a weekend, the last day of the month"),
        ({"calendar.month_day": 15}, "sender", "made on day 15 of the month"),
        ({"payment.late": 1}, "sender", "recorded later than the allowed lateness"),
        ({"payment.late": 0}, "sender", "recorded in time"),
    ],
)  # fmt: skip
def test_each_theme_has_its_sentence(row: dict[str, float], side: Role, expected: str) -> None:
    pushing = {name: (value, 1.0 if place == 0 else 0.0) for place, (name, value) in enumerate(row.items())}
    assert texts(pushing, side)[0] == expected


@pytest.mark.parametrize(
    ("row", "side", "expected"),
    [
        ({"scatter_gather.any.pairs.3d": 2, "scatter_gather.any.largest.3d": 5, "scatter_gather.ordered.pairs.3d": 1},
         "sender", "this payment is the last leg of 2 scatter-gathers in 3 days, the largest through 5 accounts, "
         "1 of them in time order"),
        ({"scatter_gather.ordered.pairs.6h": 1, "scatter_gather.any.pairs.6h": 1, "scatter_gather.any.largest.6h": 2},
         "receiver", "this payment is the last leg of 1 scatter-gather in 6 h, through 2 accounts, in time order"),
        ({"scatter_gather.any.size_2.6h": 1, "scatter_gather.any.pairs.6h": 1, "scatter_gather.any.largest.6h": 2,
          "scatter_gather.ordered.pairs.6h": 0},
         "sender", "this payment is the last leg of 1 scatter-gather in 6 h, through 2 accounts, not in time order"),
        ({"scatter_gather.any.pairs.6h": 0}, "sender", "this payment is the last leg of no scatter-gather in 6 h"),
        ({"scatter_gather.first_leg.largest.3d": 4, "scatter_gather.first_leg.pairs.3d": 1}, "sender",
         "this payment is a first leg of 1 scatter-gather in 3 days, through 4 accounts"),
        ({"gather_scatter.sender.kept.3d": 0.04, "gather_scatter.sender.senders.3d": 5,
          "gather_scatter.sender.receivers.3d": 6}, "sender",
         "gathered money from 5 accounts and paid 6 in 3 days, keeping 4 % of it"),
        ({"gather_scatter.sender.senders.3d": 5, "gather_scatter.sender.receivers.3d": 6,
          "gather_scatter.sender.kept.3d": -0.5}, "receiver",
         "the sender A1 gathered money from 5 accounts and paid 6 in 3 days, paying out 1.5 times what came in"),
        ({"gather_scatter.receiver.senders.6h": 0, "gather_scatter.receiver.receivers.6h": 0}, "receiver",
         "did not both gather money from several accounts and pay several in 6 h"),
        ({"temporal_cycle.length_3.7d": 1, "temporal_cycle.length_4.7d": 2, "temporal_cycle.share.7d": 0.92,
          "temporal_cycle.duration.7d": 18_000}, "sender",
         "this payment closes 3 rings of payments in time order in 7 days; the shortest has 3 payments, took 5 h, "
         "92 % of the amount came round"),
        ({"temporal_cycle.shortest.1d": 0, "temporal_cycle.length_3.1d": 0}, "sender",
         "this payment closes no ring of payments in time order in 24 h"),
        ({"simple_cycle.length_2.1d": 1, "simple_cycle.length_3.1d": 0}, "receiver",
         "this payment closes 1 ring of payments in any order of time in 24 h; it has 2 payments"),
        ({"chain.hops.3d": 4, "chain.duration.3d": 100_800, "chain.leak.3d": 0.05, "chain.lag.3d": 7_200}, "sender",
         "this payment ends a chain of 4 payments of much the same amount in 3 days, over 28 h, losing 5 % on the way; "
         "the one before it came 2 h earlier"),
        ({"chain.hops.3d": 1, "chain.leak.3d": NAN}, "sender",
         "this payment passes on no payment of much the same amount that came in in 3 days"),
        ({"bipartite.blocks.6h": 4}, "sender",
         "this payment completes 4 blocks of two payers who both paid the same two payees in 6 h"),
        ({"bipartite.blocks.3d": 0}, "sender",
         "this payment completes no block of two payers who both paid the same two payees in 3 days"),
        ({"sender.out.gap_variance.7d": 9.0, "sender.out.gap_median.7d": 200.0, "sender.out.gap_mean.7d": 7_200.0},
         "sender", "sent payments in 7 days half of the time 3 minutes or less after the one before, 2 h on average"),
        ({"receiver.in.gap_median.1h": 0.0}, "sender",
         "the payee B2 received payments in 1 h half of the time at the same time as the one before"),
        ({"receiver.in.gap_median.1h": NAN}, "receiver", "received fewer than two payments in 1 h"),
        ({"chain.truncated.3d": 1}, "sender",
         "there are more payments around this one in 3 days than the search for patterns looks at"),
        ({"fan.truncated.30d": 0}, "sender",
         "the search for patterns saw every payment around this one in 30 days"),
        ({"sender.out.fan_new.7d": 3, "sender.out.count.7d": 5, "sender.out.counterparties.7d": 4,
          "sender.out.new_counterparties.7d": 0}, "sender",
         "sent 5 payments to 4 payees, 3 of them not in the 7 days before, in 7 days"),
        ({"sender.out.amount_median.1d": 100, "sender.out.count.1d": 2, "sender.out.min.1d": 100,
          "sender.out.max.1d": 300}, "sender", "sent 2 payments of 1.00–3.00 USD in 24 h"),
    ],
)  # fmt: skip
def test_each_pattern_has_its_sentence(row: dict[str, float], side: Role, expected: str) -> None:
    pushing = {name: (value, 1.0 if place == 0 else 0.0) for place, (name, value) in enumerate(row.items())}
    assert texts(pushing, side)[0] == expected


def test_what_a_sentence_needs_and_has_not_is_told_by_the_description() -> None:
    described = {
        "scatter_gather.any.size_3.3d": "number of sources that reach the receiver",
        "gather_scatter.sender.kept.3d": "sender as a hub: share of the money gathered",
        "temporal_cycle.share.7d": "smallest amount on the way round",
        "chain.leak.3d": "share of the amount that was lost",
        "sender.out.fan_new.7d": "sender: accounts it paid in the last 7d",
    }
    for name, beginning in described.items():
        assert texts({name: (2.0, 1.0)})[0].startswith(beginning), name
    assert texts({"temporal_cycle.length_3.7d": (NAN, 1.0)})[0].endswith("not defined")
    assert texts({"scatter_gather.any.size_3.3d": (2.0, 1.0)})[0].endswith(": 2 pairs")


def test_columns_of_a_pattern_give_one_sentence_and_windows_of_patterns_slide() -> None:
    names = ["scatter_gather.any.pairs.6h", "scatter_gather.ordered.size_3.3d", "scatter_gather.any.pairs.3d"]
    reasons = told(dict.fromkeys(names, (1.0, 0.5)))
    assert [(reason.theme, reason.window, reason.contribution) for reason in reasons] == [
        ("scatter_gather", 3 * DAY, 1.5)
    ]
    assert set(reasons[0].features) == set(names)
    (reason,) = told({"chain.hops.90d": (3.0, 1.0)})
    assert not reason.whole_days
    assert "in 90 days" in reason.text


def test_a_change_of_currency_is_said() -> None:
    payment = Payment("t", 1, 0, "A", "B", 100_000, "EUR", 10_900_000, "JPY", "wire")
    assert texts({"payment.currency_change": (1, 1.0)}, payment=payment) == ["paid by wire in EUR, received in JPY"]


def test_a_feature_without_a_theme_is_worded_by_its_description() -> None:
    feature = Feature("graph.exposure", "sender", "float64", "ratio", "closeness to confirmed launderers.", "graph")
    writer = ReasonWriter(["graph.exposure", "graph.unknown_thing"], {"graph.exposure": feature}, "USD")
    reasons = writer.reasons([0.25, 3.0], [1.0, 0.5], PAYMENT, "sender")
    assert [reason.text for reason in reasons] == [
        "closeness to confirmed launderers: 0.25",
        "graph.unknown thing is 3",
    ]
    assert reasons[0].window is None


@pytest.mark.parametrize(
    ("unit", "value", "expected"),
    [("minor units", 950_000, "9,500.00 USD"), ("seconds", 7_200, "2 h"), ("flag", 1, "yes"), ("flag", 0, "no"),
     ("payments", 3, "3 payments"), ("accounts", 1, "1 account"), ("ratio", NAN, "not defined"), ("code", 4, "4")],
)  # fmt: skip
def test_values_are_told_in_their_unit(unit: str, value: float, expected: str) -> None:
    feature = Feature("new.column", "payment", "float64", unit, "something new", "graph")
    (reason,) = ReasonWriter(["new.column"], {"new.column": feature}, "USD").reasons([value], [1.0], PAYMENT, "sender")
    assert reason.text == f"something new: {expected}"


def test_at_most_five_the_strongest_first_and_what_pushes_away_says_nothing() -> None:
    names = ["pair.first", "payment.cross_bank", "calendar.hour", "sender.age", "sender.out.since_last",
             "receiver.in.since_last", "payment.late", "payment.amount"]  # fmt: skip
    row = {name: (1.0, 0.1 * (place + 1)) for place, name in enumerate(names)}
    reasons = told(row)
    assert len(reasons) == MOST_REASONS == 5
    assert [reason.theme for reason in reasons] == ["amount", "late", "tempo", "tempo", "history"]
    row["payment.amount"] = (1.0, -9.0)
    assert "amount" not in [reason.theme for reason in told(row)]


def test_no_alert_is_without_a_reason() -> None:
    assert texts({"pair.first": (1, -1.0), "payment.late": (0, -2.0)}) == ["first payment to this payee, B2"]
    assert texts({"pair.first": (1, 0.0)}, "sender") == ["sent 9,500.00 USD to B2"]
    assert texts({"pair.first": (1, NAN)}, "receiver") == ["received 9,500.00 USD from A1"]


def test_the_base_value_is_ignored_and_wrong_lengths_are_refused() -> None:
    writer = ReasonWriter(["pair.first"], CATALOG, "USD")
    assert writer.reasons([1], [0.5, 99.0], PAYMENT, "sender") == writer.reasons([1], [0.5], PAYMENT, "sender")
    with pytest.raises(UsageError, match="1 features"):
        writer.reasons([1, 2], [0.5], PAYMENT, "sender")
    with pytest.raises(UsageError):
        writer.reasons([1], [0.5, 1.0, 2.0], PAYMENT, "sender")


def test_every_feature_of_the_catalog_has_a_theme() -> None:
    themes = {name: theme_of(name).name for name in CATALOG}
    assert set(themes.values()) == {
        "flow", "amount", "tempo", "history", "self", "pass_through", "pair", "how", "when", "late", "rhythm",
        "scatter_gather", "scatter_gather_first_leg", "gather_scatter", "temporal_cycle", "simple_cycle", "chain",
        "bipartite", "truncated",
    }  # fmt: skip
    for name, feature in CATALOG.items():
        assert theme_of(name).window in (feature.parameters.get("window"), None), name
        if theme_of(name).name == "flow":
            assert theme_of(name).role == feature.parameters["role"]
            assert theme_of(name).direction == feature.parameters["direction"]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), side=st.sampled_from(["sender", "receiver"]))
def test_any_row_gives_sound_sentences(seed: int, side: Role) -> None:
    random = np.random.default_rng(seed)
    names = list(CATALOG)
    values = np.where(random.random(len(names)) < 0.2, NAN, np.round(10 ** random.uniform(-1, 9, len(names))))
    values[random.random(len(names)) < 0.2] = 0
    pushes = random.standard_normal(len(names)) * (random.random(len(names)) < 0.3)
    writer = ReasonWriter(names, CATALOG, "USD")
    reasons = writer.reasons(values, pushes, PAYMENT, side)
    assert 1 <= len(reasons) <= MOST_REASONS
    assert reasons == writer.reasons(values, pushes, PAYMENT, side)
    assert len({reason.text for reason in reasons}) == len(reasons)
    contributions = [reason.contribution for reason in reasons]
    assert contributions == sorted(contributions, reverse=True)
    for reason in reasons:
        assert reason.text
        assert "nan" not in reason.text
        assert len(reason.text) < 250
        assert len(reason.features) == len(reason.values)
