"""Decimal numbers to whole numbers, exactly: text, doubles and integers times a power of ten, rounded half-even."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.formats.text import as_text, text_bytes
from greywater.vocab import MAX_AMOUNT, Float64Array, Int64Array

__all__ = ["MISSING", "NOT_A_NUMBER", "NOT_FINITE", "OK", "TOO_LARGE", "Scaled", "scale", "scale_one"]

#: Verdicts of one value.
OK: Final = 0
MISSING: Final = 1
NOT_A_NUMBER: Final = 2
NOT_FINITE: Final = 3
TOO_LARGE: Final = 4

#: Below this many minor units a double of at most 15 significant digits is the only one near its decimal.
_FIFTEEN_DIGITS: Final = 10**15
#: Largest shift for which 10**shift is a double without rounding.
_MAX_SHIFT: Final = 22
_POWERS: Final = np.array([10.0**k for k in range(_MAX_SHIFT + 1)])
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?", re.ASCII)
_PLAIN: Final = r"^-?[0-9]+(?:\.[0-9]+)?$"
_IN_PLAIN: Final = np.isin(np.arange(256), np.frombuffer(b"0123456789.-", dtype=np.uint8))
_NOT_FINITE: Final = frozenset({"nan", "inf", "infinity"})
_CONTEXT: Final = Context(prec=80)


@dataclass(frozen=True)
class Scaled:
    """Whole numbers made from decimals.

    `value` int64[n] (0 where the verdict is not OK); `verdict` uint8[n]; `inexact` bool[n], True where digits were
    rounded away; `negative` bool[n], True where a number below zero was found (also where it rounds to zero).
    """

    value: Int64Array
    verdict: NDArray[np.uint8]
    inexact: NDArray[np.bool_]
    negative: NDArray[np.bool_]


def scale(column: pa.Array, shift: int | Int64Array, *, limit: int = MAX_AMOUNT) -> Scaled:
    """Multiply each number of a column by 10**shift and round half-even to a whole number.

    A double stands for its shortest decimal (what `repr` prints), so 0.285 is 0.285 and not 0.28499999999999998.

    Parameters
    ----------
    column : pyarrow.Array
        Integers, doubles, decimals or text; n values.
    shift : int or int64[n]
        Power of ten; may be negative.
    limit : int, default MAX_AMOUNT
        Largest magnitude of a result; beyond it the verdict is TOO_LARGE.

    Returns
    -------
    Scaled

    Notes
    -----
    The short cut for doubles: with y = x * 10**shift in floating point and n = rint(y), if |n| < 10**15 and
    n / 10**shift == x, then n * 10**-shift has at most 15 digits and reads back as x; no other decimal of at most 15
    digits does, and the shortest one has no more, so it is that one. Otherwise y is within 2**-51 |y| of the exact
    product, and if no half lies that near, rint(y) is the half-even result. What is left goes through `decimal`.

    Examples
    --------
    >>> scale(pa.array([0.285, 10.0, None]), 2).value.tolist()
    [28, 1000, 0]
    """
    kind = column.type
    shifts = np.broadcast_to(np.asarray(shift, dtype=np.int64), (len(column),))
    if pa.types.is_integer(kind) and not pa.types.is_uint64(kind):
        return _from_integers(column, shifts, limit)
    if pa.types.is_float64(kind):
        return _from_doubles(column, shifts, limit)
    return _from_text(as_text(column), shifts, limit)


def scale_one(text: str, shift: int, limit: int = MAX_AMOUNT) -> tuple[int, int, bool, bool]:
    """One number through `decimal`: (value, verdict, inexact, negative). The slow, obvious path.

    Examples
    --------
    >>> scale_one("0.285", 2)
    (28, 0, True, False)
    >>> scale_one("12,5", 2)[1] == NOT_A_NUMBER
    True
    """
    text = text.strip()
    if not text:
        return 0, MISSING, False, False
    if text.lower().lstrip("+-") in _NOT_FINITE:
        return 0, NOT_FINITE, False, False
    if not _NUMBER.fullmatch(text):
        return 0, NOT_A_NUMBER, False, False
    number = Decimal(text)
    negative = number < 0
    if number and number.adjusted() + shift > 30:
        return 0, TOO_LARGE, False, negative
    if number and number.adjusted() + shift < -2:
        return 0, OK, True, negative
    whole = number.quantize(Decimal((0, (1,), -shift)), rounding=ROUND_HALF_EVEN, context=_CONTEXT)
    inexact = whole != number
    value = int(whole.scaleb(shift, context=_CONTEXT))
    if abs(value) > limit:
        return 0, TOO_LARGE, False, negative
    return value, OK, inexact, negative


def _from_integers(column: pa.Array, shifts: Int64Array, limit: int) -> Scaled:
    missing = np.asarray(column.is_null())
    numbers = np.asarray(pc.fill_null(column, 0)).astype(np.int64)
    result = _blank(len(numbers))
    result.negative[:] = numbers < 0
    simple = (shifts >= 0) & (shifts <= 18)
    power = np.power(np.int64(10), np.where(simple, shifts, 0))
    fits = simple & (np.abs(numbers.astype(np.float64)) <= limit // power)
    result.value[fits] = numbers[fits] * power[fits]
    large = simple & ~fits
    result.verdict[large] = TOO_LARGE
    rest = np.flatnonzero(~simple & ~missing)
    _one_by_one(result, rest, (str(number) for number in numbers[rest]), shifts, limit)
    _drop(result, missing)
    return result


def _from_doubles(column: pa.Array, shifts: Int64Array, limit: int) -> Scaled:
    missing = np.asarray(column.is_null())
    numbers: Float64Array = np.asarray(pc.fill_null(column, 0.0), dtype=np.float64)
    result = _from_floats(numbers, shifts, limit, np.zeros(len(numbers), dtype=np.bool_))
    _drop(result, missing)
    return result


def _from_floats(numbers: Float64Array, shifts: Int64Array, limit: int, slow: NDArray[np.bool_]) -> Scaled:
    """Doubles by their shortest decimal; rows named in `slow` are left for the caller."""
    result = _blank(len(numbers))
    result.negative[:] = numbers < 0
    finite = np.isfinite(numbers)
    result.verdict[~finite] = NOT_FINITE
    simple = finite & (shifts >= 0) & (shifts <= _MAX_SHIFT) & ~slow
    power = _POWERS[np.where(simple, shifts, 0)]
    with np.errstate(over="ignore", invalid="ignore"):
        product = np.where(simple, numbers, 0.0) * power
        whole = np.rint(product)
        size = np.abs(product)
        exact = simple & (np.abs(whole) < _FIFTEEN_DIGITS) & (whole / power == numbers)
        to_half = np.abs(size - np.floor(size) - 0.5)
        clear = simple & ~exact & (size < _FIFTEEN_DIGITS) & (to_half > size * 2.0**-50)
        large = simple & (size > 4.0 * limit)
    done = exact | clear
    over = done & (np.abs(whole) > limit)
    result.verdict[large | over] = TOO_LARGE
    done &= ~over
    result.value[done] = whole[done].astype(np.int64)
    result.inexact[clear & done] = True
    rest = np.flatnonzero(finite & ~slow & ~done & ~large & ~over)
    _one_by_one(result, rest, (repr(float(number)) for number in numbers[rest]), shifts, limit)
    return result


def _from_text(column: pa.Array, shifts: Int64Array, limit: int) -> Scaled:
    """Text: at most 15 characters of plain digits are read as the double they round to, which is provably the same."""
    numbers = _all_plain(column)
    if numbers is not None:
        return _from_floats(numbers, shifts, limit, np.zeros(len(numbers), dtype=np.bool_))
    text = pc.fill_null(column, "")
    blank = np.asarray(pc.equal(text, ""))
    plain = np.asarray(pc.and_(pc.less_equal(pc.binary_length(text), 15), pc.match_substring_regex(text, _PLAIN)))
    filled = text if plain.all() else pc.if_else(pa.array(plain), text, "0")
    result = _from_floats(np.asarray(pc.cast(filled, pa.float64())), shifts, limit, ~plain)
    rest = np.flatnonzero(~plain & ~blank)
    _one_by_one(result, rest, text.take(pa.array(rest)).to_pylist(), shifts, limit)
    _drop(result, blank)
    return result


def _all_plain(column: pa.Array) -> Float64Array | None:
    """The column as doubles where every value is at most 15 characters of digits, point and minus sign."""
    offsets, data = text_bytes(column)
    used = data[offsets[0] : offsets[-1]]
    if column.null_count or len(used) == 0 or int(np.diff(offsets).max()) > 15 or not _IN_PLAIN[used].all():
        return None
    try:
        return np.asarray(column.cast(pa.float64()))
    except pa.ArrowInvalid:
        return None


def _one_by_one(result: Scaled, rows: NDArray[np.intp], texts: Iterable[str], shifts: Int64Array, limit: int) -> None:
    for row, text in zip(rows.tolist(), texts, strict=True):
        value, verdict, inexact, negative = scale_one(text, int(shifts[row]), limit)
        result.value[row] = value
        result.verdict[row] = verdict
        result.inexact[row] = inexact
        result.negative[row] = negative


def _blank(rows: int) -> Scaled:
    return Scaled(
        value=np.zeros(rows, dtype=np.int64),
        verdict=np.zeros(rows, dtype=np.uint8),
        inexact=np.zeros(rows, dtype=np.bool_),
        negative=np.zeros(rows, dtype=np.bool_),
    )


def _drop(result: Scaled, missing: NDArray[np.bool_]) -> None:
    result.verdict[missing] = MISSING
    result.value[missing] = 0
    result.inexact[missing] = False
    result.negative[missing] = False
