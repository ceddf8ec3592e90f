"""Amounts to integer minor units, with a reason for each that cannot be one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.formats import decimals
from greywater.formats.text import as_text
from greywater.vocab import MAX_AMOUNT, Int64Array

__all__ = ["AMOUNT_REASONS", "BALANCE_REASONS", "AmountRule", "Balances", "Money", "balances", "minor_units"]

NEGATIVE: Final = 5
#: Stands in for text whose marks are not where the rule says.
NO_NUMBER: Final = "?"

#: Reason code and mend of each verdict on an amount.
AMOUNT_REASONS: Final = {
    decimals.MISSING: ("amount_missing", "the amount is missing", "give the amount of every payment"),
    decimals.NOT_A_NUMBER: (
        "amount_text",
        "the amount is not a number",
        "write digits and one decimal point, or name the decimal comma and the thousands mark in a mapping file",
    ),
    decimals.NOT_FINITE: ("amount_not_finite", "the amount is not a finite number", "give the amount that was paid"),
    decimals.TOO_LARGE: (
        "amount_too_large",
        f"the amount is larger than {MAX_AMOUNT} minor units",
        "check the unit: a mapping file can say that amounts are in minor units or in 10^-n of the major unit",
    ),
    NEGATIVE: (
        "amount_negative",
        "the amount is negative",
        "swap sender and receiver, or leave reversals out: the payment that they reverse stays recorded",
    ),
}

#: The same of a balance, which may be missing and may be below zero.
BALANCE_REASONS: Final = {
    decimals.NOT_A_NUMBER: (
        "balance_text",
        "the balance is not a number",
        "write it as amounts are written, or leave it blank where it is not known",
    ),
    decimals.NOT_FINITE: (
        "balance_not_finite",
        "the balance is not a finite number",
        "leave it blank where it is not known",
    ),
    decimals.TOO_LARGE: (
        "balance_too_large",
        f"the balance is larger than {MAX_AMOUNT} minor units",
        "check the unit, which is that of the amounts, or leave it blank where it is not known",
    ),
}


@dataclass(frozen=True)
class AmountRule:
    """How a source writes amounts.

    Parameters
    ----------
    digits : int or None
        None: amounts are in major units. Else they are in 10**-digits of the major unit: 18 for wei.
    minor : bool
        Amounts are in minor units of their currency already.
    decimal, thousands : str
        The decimal mark and the thousands mark in text.
    """

    digits: int | None = None
    minor: bool = False
    decimal: str = "."
    thousands: str = ""

    def plain(self, column: pa.Array) -> pa.Array:
        """Text amounts with a decimal point and without thousands marks; numbers as they are.

        Examples
        --------
        >>> AmountRule(decimal=",", thousands=".").plain(pa.array(["1.234,56", "1.5"])).to_pylist()
        ['1234.56', '?']
        """
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            return column
        if self.decimal == "." and not self.thousands:
            return column
        text = as_text(column)
        mark, point = re.escape(self.thousands), re.escape(self.decimal)
        whole = f"(?:[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|[0-9]+)" if mark else "[0-9]+"
        fits = pc.match_substring_regex(text, f"^[+-]?{whole}(?:{point}[0-9]+)?$")
        text = pc.if_else(pc.or_(fits, pc.equal(text, "")), text, NO_NUMBER)
        if self.thousands:
            text = pc.replace_substring(text, self.thousands, "")
        return pc.replace_substring(text, self.decimal, ".")


@dataclass(frozen=True)
class Money:
    """Amounts read: `value` int64[n] minor units, `verdict` uint8[n] (0 = good), `rounded` bool[n]."""

    value: Int64Array
    verdict: NDArray[np.uint8]
    rounded: NDArray[np.bool_]


@dataclass(frozen=True)
class Balances:
    """Balances read: `value` int64[n] minor units, null where not known; `verdict` uint8[n] (0 = good)."""

    value: pa.Array
    verdict: NDArray[np.uint8]


def minor_units(column: pa.Array, exponent: int | Int64Array, rule: AmountRule | None = None) -> Money:
    """Amounts of a column as minor units of their currencies (SEMANTICS: Numbers).

    Rounded half-even to the currency's exponent; zero is an amount; negative, missing, not finite, larger than
    2**53 - 1 minor units and everything that is no number get a verdict (see AMOUNT_REASONS).

    Parameters
    ----------
    column : pyarrow.Array
        n amounts: integers, doubles, decimals or text.
    exponent : int or int64[n]
        Decimal digits of the currency of each amount.
    rule : AmountRule, optional
        How the source writes amounts; major units with a decimal point when left out.

    Examples
    --------
    >>> money = minor_units(pa.array(["12.345", "-1", "x", "0"]), 2)
    >>> money.value.tolist(), money.verdict.tolist(), money.rounded.tolist()
    ([1234, 0, 0, 0], [0, 5, 2, 0], [True, False, False, False])
    """
    scaled = _scaled(column, exponent, rule or AmountRule())
    verdict = scaled.verdict.copy()
    verdict[scaled.negative] = NEGATIVE
    good = verdict == decimals.OK
    return Money(np.where(good, scaled.value, 0), verdict, scaled.inexact & good)


def balances(column: pa.Array, exponent: int | Int64Array, rule: AmountRule | None = None) -> Balances:
    """Balances of a column as minor units of their currencies; an overdraft is below zero, a blank is not known.

    Parameters
    ----------
    column : pyarrow.Array
        n balances: integers, doubles (NaN = not known), decimals or text.
    exponent : int or int64[n]
        Decimal digits of the currency of each.
    rule : AmountRule, optional
        How the source writes amounts; balances are written alike.

    Examples
    --------
    >>> found = balances(pa.array(["12.345", "-1", "", "x"]), 2)
    >>> found.value.to_pylist(), found.verdict.tolist()
    ([1234, -100, None, None], [0, 0, 0, 2])
    """
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    scaled = _scaled(column, exponent, rule or AmountRule())
    known = scaled.verdict == decimals.OK
    verdict = np.where(scaled.verdict == decimals.MISSING, decimals.OK, scaled.verdict).astype(np.uint8)
    return Balances(pa.array(scaled.value, mask=~known), verdict)


def _scaled(column: pa.Array, exponent: int | Int64Array, rule: AmountRule) -> decimals.Scaled:
    """Numbers of a column in minor units."""
    shift: int | Int64Array = exponent
    if rule.minor:
        shift = 0
    elif rule.digits is not None:
        shift = exponent - rule.digits
    return decimals.scale(rule.plain(column), shift)
