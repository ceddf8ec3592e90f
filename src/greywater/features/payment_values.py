"""Columns as what a payment needs: times in microseconds, amounts in minor units, accounts and ids that stay apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.errors import RefusedTypeError, RefusedValueError
from greywater.features.payment_input import UNITS, Column
from greywater.vocab import Int64Array

__all__ = ["LARGEST_AMOUNT", "LATEST", "UNKNOWN", "amounts", "digests", "names_or_numbers", "times"]

#: Times lie within this many microseconds of 1970 (73,000 years), so that no look-back leaves an int64.
LATEST = 2**61
#: Minor units; sums of squares of these fit 128 bits.
LARGEST_AMOUNT = 2**53 - 1
#: The kernels' amount of a payment whose amount is not known.
UNKNOWN = -1
WHOLE = "iu"


def times(column: Column, unit: str) -> Int64Array:
    """Event times.

    Parameters
    ----------
    column : Column
        Dates and times (without a zone: UTC), or numbers since 1970.
    unit : str
        Unit of numbers, a key of UNITS. Fractions are rounded to the microsecond, nanoseconds cut off.

    Returns
    -------
    int64[n]
        Microseconds since 1970-01-01 UTC, within LATEST of it.

    Raises
    ------
    RefusedValueError
        If a time is missing, NaN, infinite, too far off, or a float that does not tell it from its neighbours.
    RefusedTypeError
        If the column is no time and no number.

    Examples
    --------
    >>> times(Column("t", np.array([0.5, -1.0])), "s").tolist()
    [500000, -1000000]
    """
    values = column.values
    mend = "give a time for every payment"
    _refuse_missing(column, "the time is missing (NaN or null)", mend)
    if not isinstance(values, np.ndarray) or values.dtype.kind == "b":
        raise RefusedTypeError(
            f"times cannot be read from {_said(values)}",
            where=f"column {column.name}",
            mend="parse them first, into datetime64 or numbers since 1970",
        )
    count = 1
    if values.dtype.kind == "M":
        _refuse(column, np.isnat(values), "the time is missing (NaN or NaT)", mend)
        unit, count = np.datetime_data(values.dtype)
        if unit not in UNITS:
            raise RefusedTypeError(
                f"times cannot be read from datetime64[{unit}]",
                where=f"column {column.name}",
                mend="convert them to datetime64[s] or datetime64[D]",
            )
        values = values.astype(np.int64)
    factor, divisor = UNITS[unit][0] * count, UNITS[unit][1]
    far = f"give times within {LATEST // 10**6} seconds of 1970, and their unit as time_unit"
    if values.dtype.kind in WHOLE:
        limit = LATEST * divisor // factor
        outside = _beyond(values, min(limit, 2**63 - 1))
        _refuse(column, outside, "the time is too far from 1970", far)
        whole: Int64Array = values.astype(np.int64) * factor // divisor
        return whole
    _refuse_not_finite(column, "time", mend)
    _refuse_coarse(column, "time", "give float64 or int64")
    scaled = values.astype(np.float64) * factor / divisor
    _refuse(column, np.abs(scaled) > LATEST, "the time is too far from 1970", far)
    rounded: Int64Array = np.rint(scaled).astype(np.int64)
    return rounded


def amounts(column: Column, decimals: int, *, unknown: bool) -> Int64Array:
    """Amounts of money.

    Parameters
    ----------
    column : Column
        Numbers or decimals.
    decimals : int
        Decimal places of the currency: 2 makes 12.5 into 1250. What is smaller is rounded half to even.
    unknown : bool
        Take missing and NaN amounts as not known; else they are refused.

    Returns
    -------
    int64[n]
        Minor units from 0 to 2^53 - 1, UNKNOWN where not known.

    Raises
    ------
    RefusedValueError
        If an amount is negative, infinite or too large, or missing where it may not be.
    RefusedTypeError
        If the column is no number.

    Examples
    --------
    >>> amounts(Column("a", np.array([12.5, 0.0])), 2, unknown=False).tolist()
    [1250, 0]
    """
    values = column.values
    absent = np.zeros(len(values), np.bool_) if column.missing is None else column.missing.copy()
    if isinstance(values, pa.Array) and pa.types.is_decimal(values.type):
        minor = _from_decimals(column, decimals)
    elif not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
        raise RefusedTypeError(
            f"amounts cannot be read from {_said(values)}", where=f"column {column.name}", mend="give numbers"
        )
    elif values.dtype.kind == "f":
        absent |= np.isnan(values)
        present = np.where(absent, 0, values)
        _refuse(column, np.isinf(present), "the amount is infinite (inf)", "give finite amounts")
        _refuse_negative(column, present < 0)
        exact = present.astype(np.float64) * 10.0**decimals
        _refuse_large(column, exact > LARGEST_AMOUNT)
        minor = np.rint(exact).astype(np.int64)
    else:
        present = np.where(absent, 0, values)
        _refuse_negative(column, present < 0)
        _refuse_large(column, _beyond(present, LARGEST_AMOUNT // 10**decimals))
        minor = present.astype(np.int64) * 10**decimals
    if not unknown:
        mend = "give every amount, or set unknown_amounts='keep' to count such payments without one"
        _refuse(column, absent, "the amount is missing (NaN or null)", mend)
    minor[absent] = UNKNOWN
    return minor


def _from_decimals(column: Column, decimals: int) -> Int64Array:
    minor = np.zeros(len(column.values), np.int64)
    with localcontext(prec=100, rounding=ROUND_HALF_EVEN):
        for row, value in enumerate(column.values.to_pylist()):
            if value is None:
                continue
            scaled = int(value.scaleb(decimals).to_integral_value())
            if value < Decimal(0):
                _refuse_negative(column, np.arange(len(minor)) == row)
            if scaled > LARGEST_AMOUNT:
                _refuse_large(column, np.arange(len(minor)) == row)
            minor[row] = scaled
    return minor


def names_or_numbers(column: Column, what: str) -> Int64Array | pa.Array:
    """Accounts or ids: whole numbers as int64[n], text as an Arrow array.

    Parameters
    ----------
    column : Column
        Whole numbers from -2^63 to 2^63 - 1, floats that are such and that a float of their size tells apart, or text.
    what : str
        "account" or "id", for errors.

    Raises
    ------
    RefusedValueError
        If a value is missing, empty, infinite, fractional, or too large for its type.
    RefusedTypeError
        If the column holds neither numbers nor text.

    Examples
    --------
    >>> names_or_numbers(Column("sender", np.array([7.0, 8.0])), "account").tolist()
    [7, 8]
    """
    values = column.values
    _refuse_missing(column, f"the {what} is missing (NaN or null)", f"give every payment its {what}")
    if isinstance(values, pa.Array) and pa.types.is_large_string(values.type):
        empty = pc.equal(pc.binary_length(values), 0).to_numpy(zero_copy_only=False)
        _refuse(column, empty, f"the {what} is an empty text", f"give every payment its {what}")
        return values
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
        raise RefusedTypeError(
            f"{what}s cannot be read from {_said(values)}",
            where=f"column {column.name}",
            mend="give whole numbers or text",
        )
    if values.dtype.kind == "f":
        _refuse_not_finite(column, what, f"give every payment its {what}")
        _refuse(column, values != np.rint(values), f"the {what} is a fraction", "give whole numbers or text")
        _refuse_coarse(column, what, "give int64 or text")
    elif values.dtype.kind == "u":
        too_large = _beyond(values, 2**63 - 1)
        _refuse(column, too_large, f"the {what} does not fit 64 bits", "give numbers below 2^63, or text")
    return np.ascontiguousarray(values.astype(np.int64))


def digests(names: Iterable[str]) -> tuple[Int64Array, Int64Array]:
    """Two int64[n] a text: its BLAKE2b digest of 128 bits, so that different texts stay different.

    Examples
    --------
    >>> high, low = digests(["a", "b", "a"])
    >>> bool(high[0] == high[2]), bool(high[0] == high[1])
    (True, False)
    """
    whole = b"".join(hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=16).digest() for name in names)
    words = np.frombuffer(whole, np.int64).reshape(-1, 2)
    return words[:, 0].copy(), words[:, 1].copy()


def _said(values: Any) -> str:
    if isinstance(values, np.ndarray):
        return "true and false" if values.dtype.kind == "b" else f"{values.dtype}"
    return "text" if pa.types.is_large_string(values.type) else str(values.type)


def _beyond(values: NDArray[Any], limit: int) -> NDArray[np.bool_]:
    """Where whole numbers are farther from 0 than a limit below 2^63; no cast can wrap here."""
    above: NDArray[np.bool_] = values > values.dtype.type(min(limit, np.iinfo(values.dtype).max))
    if values.dtype.kind == "i":
        above |= values < values.dtype.type(max(-limit, np.iinfo(values.dtype).min))
    return above


def _refuse(column: Column, wrong: NDArray[np.bool_], found: str, mend: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        value = column.values[row]
        shown = value.as_py() if isinstance(value, pa.Scalar) else value
        raise RefusedValueError(f"{found}: {shown}", where=column.where(row), mend=mend)


def _refuse_missing(column: Column, found: str, mend: str) -> None:
    if column.missing is not None and column.missing.any():
        raise RefusedValueError(found, where=column.where(int(np.argmax(column.missing))), mend=mend)


def _refuse_not_finite(column: Column, what: str, mend: str) -> None:
    _refuse(column, ~np.isfinite(column.values), f"the {what} is NaN or infinite (inf)", mend)


def _refuse_coarse(column: Column, what: str, mend: str) -> None:
    """Refuse floats so large that the next whole number has no float of its own."""
    bits = np.finfo(column.values.dtype).nmant + 1
    coarse = np.abs(column.values) >= 2.0**bits
    kind = column.values.dtype
    _refuse(column, coarse, f"a {kind} from 2^{bits} on does not tell one {what} from the next", mend)


def _refuse_negative(column: Column, wrong: NDArray[np.bool_]) -> None:
    mend = "give amounts from 0 up; turn sender and receiver round where money goes the other way"
    _refuse(column, wrong, "the amount is negative", mend)


def _refuse_large(column: Column, wrong: NDArray[np.bool_]) -> None:
    mend = "set amount_decimals=0 where amounts are in minor units already"
    _refuse(column, wrong, "the amount is above 2^53 - 1 minor units", mend)
