"""Money, counts, times and windows in words."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.desk import wording as say
from greywater.vocab import MAX_AMOUNT, currency_exponent


@given(st.integers(-MAX_AMOUNT, MAX_AMOUNT), st.sampled_from(["USD", "JPY", "BHD", "BTC", "XXX", ""]))
def test_money_keeps_every_minor_unit(minor: int, currency: str) -> None:
    text = say.money(minor, currency)
    digits = text.removesuffix(f" {currency}").replace(",", "").replace(".", "")
    assert int(digits) == minor
    exponent = currency_exponent(currency)
    assert ("." in text) == (exponent > 0)
    assert text.endswith(currency) == (currency not in ("XXX",))


@given(st.integers(0, MAX_AMOUNT), st.sampled_from(["USD", "JPY", "BTC"]))
def test_compact_money_is_short_and_close(minor: int, currency: str) -> None:
    text = say.compact_money(minor, currency)
    size = {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1.0)
    value = float(text.rstrip(" kMG").replace(",", "")) * size
    assert math.isclose(value, minor / 10 ** currency_exponent(currency), rel_tol=0.006, abs_tol=0.006)
    assert len(text) <= 14


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(60, "1 minute"), (90, "90 s"), (3_600, "1 h"), (86_400, "24 h"), (2 * 86_400, "2 days"), (36 * 3_600, "36 h")],
)
def test_windows_are_told_by_their_length(seconds: int, words: str) -> None:
    assert say.window_words(seconds) == words


def test_whole_day_windows_are_told_by_their_days() -> None:
    assert say.window_words(90 * 86_400, whole_days=True) == "today and the 89 days before"
    assert say.window_words(2 * 86_400, whole_days=True) == "today and the day before"
    assert say.window_words(86_400, whole_days=True) == "today"
    assert say.within(365 * 86_400, whole_days=True) == "over today and the 364 days before"
    assert say.within(7 * 86_400) == "in 7 days"


@given(st.floats(0, 1e10))
def test_every_duration_has_a_number_and_a_unit(seconds: float) -> None:
    assert re.fullmatch(r"[0-9.]+ (s|minutes|h|days|months|years)", say.duration(seconds))


@given(st.floats(0, 1))
def test_a_share_is_never_rounded_to_none_or_all(ratio: float) -> None:
    text = say.share(ratio)
    assert (text == "100 %") == (ratio == 1)
    assert (text == "0 %") == (ratio == 0)


def test_labels_of_windows_are_read() -> None:
    assert [say.window_seconds(label) for label in ("90s", "90m", "6h", "30d")] == [90, 5_400, 21_600, 2_592_000]
    assert [say.window_seconds(label) for label in ("", "d", "1w", "-1d", "mean", "٣d")] == [None] * 6


def test_moments_are_told_to_the_second_and_days_alone_at_midnight() -> None:
    assert say.moment_words(1_709_208_000_123_456) == "2024-02-29 12:00:00"
    assert say.moment_words(1_709_164_800_000_000) == "2024-02-29"
    assert say.day_words(-1) == "1969-12-31"
