"""Exact arithmetic on 128-bit integers held as two uint64 halves, and its one conversion to float64.

Amounts reach 2^53 - 1, so a sum of squares passes 2^63 after very few payments. Prefix sums are kept modulo
2^128: differences of two of them are exact. int64 and uint64 are never mixed in one expression.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from greywater.kernels.compile import Word, inlined, kernel

__all__ = ["add_128", "float_of_128", "moments", "spread_numerator", "square_128", "subtract_128"]

ZERO = np.uint64(0)
ONE = np.uint64(1)
LOW_32 = np.uint64(0xFFFFFFFF)
SHIFT_32 = np.uint64(32)
SMALL_ROOT = np.uint64(1 << 32)
TOP_BIT = np.uint64(1 << 63)
SMALL_SUM = np.uint64(1 << 31)
SMALL_SQUARES = np.uint64(1 << 42)
SMALL_COUNT = np.int64(1 << 20)
TWO_64 = 18446744073709551616.0


@inlined
def add_128(a_low: Word, a_high: Word, b_low: Word, b_high: Word) -> Any:
    """(a + b) mod 2^128 as (low, high), all uint64."""
    low = a_low + b_low
    high = a_high + b_high
    if low < a_low:
        high += ONE
    return low, high


@inlined
def subtract_128(a_low: Word, a_high: Word, b_low: Word, b_high: Word) -> Any:
    """(a - b) mod 2^128 as (low, high), all uint64."""
    low = a_low - b_low
    high = a_high - b_high
    if a_low < b_low:
        high -= ONE
    return low, high


@kernel
def multiply_64(a: Word, b: Word) -> Any:
    """a * b as (low, high), all uint64."""
    a_low, a_high = a & LOW_32, a >> SHIFT_32
    b_low, b_high = b & LOW_32, b >> SHIFT_32
    low = a_low * b_low
    middle = a_high * b_low + (low >> SHIFT_32)
    cross = a_low * b_high + (middle & LOW_32)
    high = a_high * b_high + (middle >> SHIFT_32) + (cross >> SHIFT_32)
    return (cross << SHIFT_32) | (low & LOW_32), high


@inlined
def square_128(a: Word) -> Any:
    """a * a as (low, high), all uint64."""
    if a < SMALL_ROOT:
        return a * a, ZERO
    return multiply_64(a, a)


@inlined
def float_of_128(low: Word, high: Word) -> Any:
    """The float64 nearest to the integer (ties to even), as Python's float(int)."""
    if high == ZERO and low < TOP_BIT:
        return np.float64(np.int64(low))
    return _float_of_large(low, high)


@kernel
def _float_of_large(low: Word, high: Word) -> Any:
    if high == ZERO:
        half = (low >> ONE) | (low & ONE)
        return np.float64(np.int64(half)) * 2.0
    shift = 0
    top = high
    while top < TOP_BIT:
        top = top << ONE
        shift += 1
    if shift > 0:
        top = top | (low >> np.uint64(64 - shift))
        rest = low << np.uint64(shift)
    else:
        rest = low
    half = (top >> ONE) | (top & ONE)
    if rest != ZERO:
        half = half | ONE
    return math.ldexp(np.float64(np.int64(half)), 65 - shift)


@kernel
def float_of_192(low: Word, middle: Word, high: Word) -> Any:
    """The float64 nearest to a 192-bit integer."""
    if high == ZERO:
        return float_of_128(low, middle)
    top_low, top_high = middle, high
    if low != ZERO:
        top_low = top_low | ONE
    return float_of_128(top_low, top_high) * TWO_64


@kernel
def _spread_numerator_wide(count: Word, sum_low: Word, sum_high: Word, square_low: Word, square_high: Word) -> Any:
    """count * squares - sum^2, exact in 192 bits, as float64."""
    n = np.uint64(count)
    a_0, carry = multiply_64(n, square_low)
    a_1, a_2 = multiply_64(n, square_high)
    a_1, a_2 = add_128(a_1, a_2, carry, ZERO)
    b_0, b_1 = multiply_64(sum_low, sum_low)
    cross_low, cross_high = multiply_64(sum_low, sum_high)
    b_2 = sum_high * sum_high
    b_1, b_2 = add_128(b_1, b_2, cross_low, cross_high)
    b_1, b_2 = add_128(b_1, b_2, cross_low, cross_high)
    low, borrow = a_0 - b_0, ZERO
    if a_0 < b_0:
        borrow = ONE
    middle, high = subtract_128(a_1, a_2, b_1, b_2)
    middle, high = subtract_128(middle, high, borrow, ZERO)
    return float_of_192(low, middle, high)


@inlined
def spread_numerator(count: Word, sum_low: Word, sum_high: Word, square_low: Word, square_high: Word) -> Any:
    """count * squares - sum^2, exact and then converted once: n (n - 1) times the variance (ddof = 1)."""
    small = sum_high == ZERO and square_high == ZERO and count < SMALL_COUNT
    if small and sum_low < SMALL_SUM and square_low < SMALL_SQUARES:
        total = np.int64(sum_low)
        return np.float64(count * np.int64(square_low) - total * total)
    return _spread_numerator_large(count, sum_low, sum_high, square_low, square_high)


@kernel
def _spread_numerator_large(count: Word, sum_low: Word, sum_high: Word, square_low: Word, square_high: Word) -> Any:
    if sum_high == ZERO and square_high == ZERO and count < SMALL_COUNT:
        a_low, a_high = multiply_64(np.uint64(count), square_low)
        b_low, b_high = multiply_64(sum_low, sum_low)
        low, high = subtract_128(a_low, a_high, b_low, b_high)
        return float_of_128(low, high)
    return _spread_numerator_wide(count, sum_low, sum_high, square_low, square_high)


@kernel
def moments(count: Word, sum_low: Word, sum_high: Word, square_low: Word, square_high: Word) -> Any:
    """(sum, mean, standard deviation) as float64; mean NaN below 1, deviation (ddof = 1) NaN below 2 amounts."""
    total = float_of_128(sum_low, sum_high)
    known = np.float64(count)
    numerator = spread_numerator(count, sum_low, sum_high, square_low, square_high)
    return total, total / known, math.sqrt(numerator / (known * (known - 1.0)))
