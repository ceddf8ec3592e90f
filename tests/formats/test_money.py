"""Amounts: minor units, rounding counted, a reason for each that is refused."""

from __future__ import annotations

import pyarrow as pa
import pytest

from greywater.formats.money import AMOUNT_REASONS, AmountRule, minor_units


def reasons(column: pa.Array, rule: AmountRule | None = None, exponent: int = 2) -> list[str]:
    verdicts = minor_units(column, exponent, rule).verdict.tolist()
    return [AMOUNT_REASONS[code][0] if code else "" for code in verdicts]


def test_every_kind_of_trouble_has_its_reason() -> None:
    column = pa.array(["1.00", "", None, "abc", "NaN", "inf", "-1", "1e18", "0", "-0", "-0.001"])
    assert reasons(column) == [
        "",
        "amount_missing",
        "amount_missing",
        "amount_text",
        "amount_not_finite",
        "amount_not_finite",
        "amount_negative",
        "amount_too_large",
        "",
        "",
        "amount_negative",
    ]


def test_doubles_have_the_same_reasons() -> None:
    column = pa.array([1.0, None, float("nan"), float("inf"), -1.0, 1e18, 0.0, -0.0])
    assert reasons(column) == [
        "",
        "amount_missing",
        "amount_not_finite",
        "amount_not_finite",
        "amount_negative",
        "amount_too_large",
        "",
        "",
    ]


def test_half_even_and_counted() -> None:
    money = minor_units(pa.array(["0.125", "0.135", "0.285", "2.675", "1.5"]), 2)
    assert money.value.tolist() == [12, 14, 28, 268, 150]
    assert money.rounded.tolist() == [True, True, True, True, False]


@pytest.mark.parametrize(("exponent", "value"), [(0, 12), (2, 1235), (3, 12_346), (8, 1_234_567_800)])
def test_exponents(exponent: int, value: int) -> None:
    expected = {0: 12, 2: 1235, 3: 12_346, 8: 1_234_567_800}[exponent]
    assert minor_units(pa.array(["12.345678"]), exponent).value.tolist() == [expected] == [value]


def test_minor_units_and_wei() -> None:
    assert minor_units(pa.array([1234]), 2, AmountRule(minor=True)).value.tolist() == [1234]
    wei = minor_units(pa.array(["1234567890123456789"]), 8, AmountRule(digits=18))
    assert wei.value.tolist() == [123_456_789]
    assert wei.rounded.tolist() == [True]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.234,56", 123_456), ("12,5", 1_250), ("1234", 123_400), ("1.234.567", 123_456_700)],
)
def test_decimal_comma(text: str, value: int) -> None:
    money = minor_units(pa.array([text]), 2, AmountRule(decimal=",", thousands="."))
    assert (money.verdict.tolist(), money.value.tolist()) == ([0], [value])


@pytest.mark.parametrize("text", ["1.5", "1.23,45", "1,234.56", ".5", "1..000"])
def test_marks_in_the_wrong_place_are_no_numbers(text: str) -> None:
    assert reasons(pa.array([text]), AmountRule(decimal=",", thousands=".")) == ["amount_text"]


def test_a_point_is_no_number_where_the_comma_is_the_mark() -> None:
    assert reasons(pa.array(["1.5", "1,5"]), AmountRule(decimal=",")) == ["amount_text", ""]
