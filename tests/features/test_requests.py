"""Names of filtered window features: read, written in one way, refused with what would do."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import UsageError
from greywater.features.requests import (
    LONGEST_WINDOW,
    PAYMENT_TYPES,
    STATISTICS,
    FeatureRequest,
    canonical_name,
    parse_request,
)
from greywater.vocab import CHANNELS, MAX_AMOUNT

AMOUNTS = st.decimals(0, 10**12, places=2) | st.integers(0, 10**15).map(Decimal)


@st.composite
def requests(draw: st.DrawFn) -> FeatureRequest:
    low, high = draw(st.none() | AMOUNTS), draw(st.none() | AMOUNTS)
    if low is not None and high is not None and low > high:
        low, high = high, low
    return FeatureRequest(
        role=draw(st.sampled_from(["sender", "receiver"])),
        direction=draw(st.sampled_from(["out", "in"])),
        statistic=draw(st.sampled_from(STATISTICS)),
        window=draw(st.integers(1, LONGEST_WINDOW)),
        amount_from=low,
        amount_to=high,
        channel=draw(st.none() | st.sampled_from(CHANNELS)),
        type=draw(st.none() | st.sampled_from(tuple(PAYMENT_TYPES))),
    )


@given(requests())
def test_a_name_says_the_whole_request(request: FeatureRequest) -> None:
    assert parse_request(request.name) == request
    assert canonical_name(request.name) == request.name
    assert request.filtered == ("[" in request.name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sender.out.count.48h[amount 8500..9999]", "sender.out.count.2d[amount 8500..9999]"),
        ("sender.out.count.48h", "sender.out.count.2d"),
        ("receiver.in.sum.90m[ channel  cash ]", "receiver.in.sum.90m[channel cash]"),
        (
            "receiver.in.sum.7d[type night,channel wire , amount 0.50..]",
            "receiver.in.sum.7d[amount 0.5.., channel wire, type night]",
        ),
        ("sender.in.max.3600s[amount ..10000.00]", "sender.in.max.1h[amount ..10000]"),
        ("sender.in.min.30d[amount 007 .. 10]", "sender.in.min.30d[amount 7..10]"),
    ],
)
def test_one_way_to_write_it(text: str, name: str) -> None:
    assert parse_request(text).name == name


def test_amounts_in_minor_units() -> None:
    request = parse_request("sender.out.count.1d[amount 8500.005..9999.999]")
    assert request.minor_range() == (850_001, 999_999)
    assert request.minor_range(0) == (8501, 9999)
    assert request.minor_range(3) == (8_500_005, 9_999_999)
    assert parse_request("sender.out.count.1d[amount 5..]").minor_range() == (500, MAX_AMOUNT)
    assert parse_request("sender.out.count.1d[channel cash]").minor_range() == (0, MAX_AMOUNT)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("payment.amount", "not that of a window feature"),
        ("sender.out.count.1d[", "not that of a window feature"),
        ("sendr.out.count.1d", "perhaps 'sender' is meant"),
        ("sender.up.count.1d", "there are out, in"),
        ("sender.out.median.1d", "no statistic 'median'"),
        ("sender.out.count.0d", "no window"),
        ("sender.out.count.367d", "at most 366d"),
        ("sender.out.count.1y", "no window"),
        ("sender.out.count.1d[]", "no filter ''"),
        ("sender.out.count.1d[amount 5]", "no range"),
        ("sender.out.count.1d[amount ..]", "no range"),
        ("sender.out.count.1d[amount -5..5]", "no range"),
        ("sender.out.count.1d[amount 9..5]", "begins above its end"),
        ("sender.out.count.1d[channel chash]", "perhaps 'cash' is meant"),
        ("sender.out.count.1d[type odd]", "there are cross_bank"),
        ("sender.out.count.1d[channel cash, channel wire]", "twice"),
        ("x" * 100_000, "not that of a window feature"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")) as caught:
        parse_request(text)
    assert len(str(caught.value)) < 500
    assert canonical_name(text) == text
