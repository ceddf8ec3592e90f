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

__all__ = ["AMOUNT_REASONS", "AmountRule", "Money", "minor_units"]

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
    rule = rule or AmountRule()
    shift: int | Int64Array = exponent
    if rule.minor:
        shift = 0
    elif rule.digits is not None:
        shift = exponent - rule.digits
    scaled = decimals.scale(rule.plain(column), shift)
    verdict = scaled.verdict.copy()
    verdict[scaled.negative] = NEGATIVE
    good = verdict == decimals.OK
    return Money(np.where(good, scaled.value, 0), verdict, scaled.inexact & good)
