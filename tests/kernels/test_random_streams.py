"""Counted random numbers: Philox as published, and what is made of its words."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.kernels.random_streams import chosen, normal, normal_above, philox, unit
from tests import naive_world

WORDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("key", "counter", "published"),
    [
        (0, (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (2**64 - 1, (2**32 - 1,) * 4, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            0x299F31D0_A4093822,
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_the_published_answers_of_philox(key: int, counter: tuple[int, ...], published: tuple[int, ...]) -> None:
    assert tuple(map(int, philox(np.uint64(key), *counter))) == published
    assert naive_world.philox(key, *counter) == published


@given(st.integers(0, 2**64 - 1), st.tuples(WORDS, WORDS, WORDS, WORDS))
def test_philox_is_its_slow_twin(key: int, counter: tuple[int, ...]) -> None:
    assert tuple(map(int, philox(np.uint64(key), *counter))) == naive_world.philox(key, *counter)


@given(WORDS)
def test_words_become_numbers_above_0_and_below_1_and_normal_ones(word: int) -> None:
    assert 0.0 < unit(np.uint64(word)) < 1.0
    assert normal(np.uint64(word)) == pytest.approx(naive_world.normal(word), rel=2e-9, abs=1e-9)


def test_many_numbers_are_spread_as_they_should_be() -> None:
    words = np.array([philox(np.uint64(7), number, 0, 0, 0) for number in range(20_000)]).ravel()
    uniform = np.array([unit(word) for word in words])
    assert abs(uniform.mean() - 0.5) < 0.005
    assert abs(np.corrcoef(uniform[:-1], uniform[1:])[0, 1]) < 0.015
    counts = np.bincount((uniform * 64).astype(int), minlength=64)
    expected = len(uniform) / 64
    assert ((counts - expected) ** 2 / expected).sum() < 120
    drawn = np.array([normal(word) for word in words])
    assert abs(drawn.mean()) < 0.02
    assert abs(drawn.std() - 1.0) < 0.02


@given(st.floats(-6, 6))
def test_the_share_above_is_that_of_the_normal_distribution(x: float) -> None:
    assert normal_above(x) == pytest.approx(1.0 - NormalDist().cdf(x), abs=1e-12)


@given(WORDS)
def test_a_choice_never_takes_what_has_no_share(word: int) -> None:
    cumulative = np.array([0.0, 0.3, 0.3, 0.9, 1.0])
    place = chosen(np.uint64(word), cumulative)
    assert place == naive_world.chosen(word, cumulative.tolist())
    assert place not in (0, 2)
