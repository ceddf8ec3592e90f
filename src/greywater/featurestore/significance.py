"""How likely chance alone is: tails of the chi-squared and of Kolmogorov's distribution."""

from __future__ import annotations

import math

__all__ = ["chi_squared_critical", "chi_squared_tail", "kolmogorov_critical", "kolmogorov_tail"]

_terms = 10_000
_tiny = 1e-300


def chi_squared_tail(value: float, freedom: int) -> float:
    """The chance that a chi-squared variable exceeds `value`.

    The regularised incomplete gamma function Q(freedom / 2, value / 2): its power series below the bulk, its continued
    fraction by Lentz's method above it (Abramowitz and Stegun 6.5.29 and 6.5.31).

    Parameters
    ----------
    value : float
    freedom : int
        Degrees of freedom, from 1.

    Examples
    --------
    >>> round(chi_squared_tail(3.841458820694124, 1), 12)
    0.05
    """
    a, x = freedom / 2, value / 2
    if x <= 0:
        return 1.0
    if math.isinf(x):
        return 0.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        for n in range(1, _terms):
            term *= x / (a + n)
            total += term
            if term < total * 1e-17:
                break
        return min(max(1 - front * total, 0.0), 1.0)
    b = x + 1 - a
    c, d = 1 / _tiny, 1 / b
    fraction = d
    for n in range(1, _terms):
        weight = -n * (n - a)
        b += 2
        d = 1 / (weight * d + b or _tiny)
        c = b + weight / c or _tiny
        fraction *= d * c
        if abs(d * c - 1) < 1e-16:
            break
    return min(max(front * fraction, 0.0), 1.0)


def chi_squared_critical(chance: float, freedom: int) -> float:
    """The value that is exceeded with this chance, by bisection.

    Examples
    --------
    >>> round(chi_squared_critical(0.05, 1), 9)
    3.841458821
    """
    low, high = 0.0, 1.0
    while chi_squared_tail(high, freedom) > chance:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if chi_squared_tail(middle, freedom) > chance else (low, middle)
    return high


def kolmogorov_tail(value: float) -> float:
    """The chance that sqrt(n) times the Kolmogorov-Smirnov statistic exceeds `value`, for large n.

    A. N. Kolmogorov, "Sulla determinazione empirica di una legge di distribuzione", 1933; of two samples of n and m,
    the n is n m / (n + m).

    Examples
    --------
    >>> round(kolmogorov_tail(1.3580986393225505), 9)
    0.05
    """
    if value <= 0:
        return 1.0
    if value < 1:
        front = math.sqrt(2 * math.pi) / value
        return 1 - front * math.fsum(math.exp(-((2 * k - 1) ** 2) * math.pi**2 / (8 * value**2)) for k in range(1, 8))
    tail = 2 * math.fsum((-1) ** (k - 1) * math.exp(-2 * k * k * value * value) for k in range(1, 8))
    return min(max(tail, 0.0), 1.0)


def kolmogorov_critical(chance: float) -> float:
    """The value that is exceeded with this chance: the first term of the tail, turned round; for chances up to 0.1.

    Examples
    --------
    >>> round(kolmogorov_critical(0.05), 4)
    1.3581
    """
    return math.sqrt(-math.log(chance / 2) / 2)
