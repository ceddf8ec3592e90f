"""Random numbers without a state: Philox 4x32-10, keyed by seed and purpose, counted by whom and what for.

A number depends on its key and its counter alone (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011),
so that any thread may draw any of them in any order. Counters and words are uint64 that hold 32 bits.
"""

from __future__ import annotations

from math import erfc, log, sqrt
from typing import Any, Final

import numpy as np

from greywater.kernels.compile import kernel
from greywater.vocab import Float64Array

__all__ = ["chosen", "normal", "normal_above", "philox", "unit"]

_LOW: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)
_MULTIPLIER_0: Final = np.uint64(0xD2511F53)
_MULTIPLIER_1: Final = np.uint64(0xCD9E8D57)
_STEP_0: Final = np.uint64(0x9E3779B9)
_STEP_1: Final = np.uint64(0xBB67AE85)

_SQRT_2: Final = sqrt(2.0)
_TAIL: Final = 0.02425


@kernel
def philox(key: Any, first: Any, second: Any, third: Any, fourth: Any) -> tuple[Any, Any, Any, Any]:
    """Four words of 32 bits for the 64 bits of `key` and a counter of four words."""
    k0 = np.uint64(key) & _LOW
    k1 = np.uint64(key) >> _HALF
    c0 = np.uint64(first) & _LOW
    c1 = np.uint64(second) & _LOW
    c2 = np.uint64(third) & _LOW
    c3 = np.uint64(fourth) & _LOW
    for _ in range(10):
        p0 = _MULTIPLIER_0 * c0
        p1 = _MULTIPLIER_1 * c2
        c0 = (p1 >> _HALF) ^ c1 ^ k0
        c1 = p1 & _LOW
        c2 = (p0 >> _HALF) ^ c3 ^ k1
        c3 = p0 & _LOW
        k0 = (k0 + _STEP_0) & _LOW
        k1 = (k1 + _STEP_1) & _LOW
    return c0, c1, c2, c3


@kernel
def unit(word: Any) -> float:
    """A word as a number above 0 and below 1."""
    return (float(word) + 0.5) * 2.3283064365386963e-10


@kernel
def normal(word: Any) -> float:
    """A word as a standard normal number, by the inverse of its distribution (Acklam; relative error below 1.2e-9)."""
    p = unit(word)
    if p < _TAIL or p > 1.0 - _TAIL:
        q = sqrt(-2.0 * log(min(p, 1.0 - p)))
        top = -7.784894002430293e-03 * q - 3.223964580411365e-01
        top = ((top * q - 2.400758277161838e00) * q - 2.549732539343734e00) * q
        top = (top + 4.374664141464968e00) * q + 2.938163982698783e00
        bottom = (7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996e00
        bottom = (bottom * q + 3.754408661907416e00) * q + 1.0
        return top / bottom if p < 0.5 else -top / bottom
    q = p - 0.5
    r = q * q
    top = (-3.969683028665376e01 * r + 2.209460984245205e02) * r - 2.759285104469687e02
    top = ((top * r + 1.383577518672690e02) * r - 3.066479806614716e01) * r + 2.506628277459239e00
    bottom = (-5.447609879822406e01 * r + 1.615858368580409e02) * r - 1.556989798598866e02
    bottom = ((bottom * r + 6.680131188771972e01) * r - 1.328068155288572e01) * r + 1.0
    return top * q / bottom


@kernel
def normal_above(x: float) -> float:
    """The share of a standard normal distribution above x."""
    return 0.5 * erfc(x / _SQRT_2)


@kernel
def chosen(word: Any, cumulative: Float64Array) -> int:
    """A place, each as likely as its step in `cumulative`, which rises to 1."""
    p = unit(word)
    low, high = 0, len(cumulative) - 1
    while low < high:
        middle = (low + high) >> 1
        if p < cumulative[middle]:
            high = middle
        else:
            low = middle + 1
    return low
