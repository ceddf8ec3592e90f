"""128-bit arithmetic against Python's own integers."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.kernels import wide

LIMIT = 2**128
WORD = st.integers(0, 2**64 - 1)
WIDE = st.integers(0, LIMIT - 1)


def halves(number: int) -> tuple[np.uint64, np.uint64]:
    number %= LIMIT
    return np.uint64(number & (2**64 - 1)), np.uint64(number >> 64)


def whole(pair: tuple[np.uint64, np.uint64]) -> int:
    return int(pair[0]) + (int(pair[1]) << 64)


@given(WIDE, WIDE)
def test_add_and_subtract(a: int, b: int) -> None:
    assert whole(wide.add_128(*halves(a), *halves(b))) == (a + b) % LIMIT
    assert whole(wide.subtract_128(*halves(a), *halves(b))) == (a - b) % LIMIT


@given(WORD, WORD)
def test_multiply_and_square(a: int, b: int) -> None:
    assert whole(wide.multiply_64(np.uint64(a), np.uint64(b))) == a * b
    assert whole(wide.square_128(np.uint64(a))) == a * a


@given(WIDE)
def test_float_is_the_nearest(a: int) -> None:
    assert wide.float_of_128(*halves(a)) == float(a)


@pytest.mark.parametrize(
    "a", [0, 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**64 + 1, 3 * 2**76 + 1, LIMIT - 1]
)
def test_float_at_the_edges(a: int) -> None:
    assert wide.float_of_128(*halves(a)) == float(a)


def check_moments(seed: int, rounds: int) -> None:
    """Sum, mean and deviation of many kinds of amounts equal those from Python's integers."""
    draw = random.Random(seed)
    for _ in range(rounds):
        amounts = [draw.randrange(2 ** draw.choice((3, 16, 31, 33, 45, 53))) for _ in range(draw.randint(2, 40))]
        if draw.random() < 0.2:
            amounts = amounts[:1] * len(amounts)
        times = draw.choice((1, 1, 1_000, 2**20))
        n, total, squares = len(amounts) * times, sum(amounts) * times, sum(a * a for a in amounts) * times
        if squares >= LIMIT:
            continue
        spread = math.sqrt(float(n * squares - total * total) / float(n * (n - 1)))
        expected = (float(total), float(total) / float(n), spread)
        assert wide.moments(np.int64(n), *halves(total), *halves(squares)) == expected


def test_moments() -> None:
    check_moments(1, 2_000)


def test_moments_of_none_and_one() -> None:
    nothing = wide.moments(np.int64(0), *halves(0), *halves(0))
    assert nothing[0] == 0.0
    assert math.isnan(nothing[1])
    assert math.isnan(nothing[2])
    one = wide.moments(np.int64(1), *halves(5), *halves(25))
    assert one[:2] == (5.0, 5.0)
    assert math.isnan(one[2])
