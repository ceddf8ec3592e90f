"""Five levels: cuts are exact, every value has a level, and a worse value never has a lower one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.desk.levels import LEVELS, PROBABILITY_CUTS, RANK_CUTS, LevelCuts
from greywater.errors import UsageError


def test_there_are_five_with_names_of_their_own() -> None:
    assert [level.number for level in LEVELS] == [5, 4, 3, 2, 1]
    assert len({level.name for level in LEVELS}) == 5
    assert all(level.words for level in LEVELS)


@pytest.mark.parametrize(("place", "cut"), list(enumerate(PROBABILITY_CUTS)))
def test_a_cut_belongs_to_the_level_above_it(place: int, cut: float) -> None:
    at, below = LevelCuts().of([cut, np.nextafter(cut, 0)])
    assert (at, below) == (LEVELS[place], LEVELS[place + 1])


@given(st.lists(st.floats(0, 1), min_size=1))
def test_levels_follow_probabilities(values: list[float]) -> None:
    levels = LevelCuts().of(sorted(values))
    numbers = [level.number for level in levels]
    assert numbers == sorted(numbers)


@given(st.integers(1, 3_000))
def test_levels_follow_ranks_and_the_first_is_critical(rows: int) -> None:
    levels = LevelCuts.by_rank().of(range(rows))
    numbers = [level.number for level in levels]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[0] == 5
    if rows >= 100:
        assert sum(number == 5 for number in numbers) == int(np.ceil(RANK_CUTS[0] * rows))


@pytest.mark.parametrize("cuts", [(0.1, 0.2, 0.3, 0.4), (0.5, 0.5, 0.2, 0.1), (1.0, 0.5, 0.2, 0.1), (0.5, 0.2, 0.1)])
def test_other_cuts_are_refused(cuts: tuple[float, float, float, float]) -> None:
    with pytest.raises(UsageError, match="no cuts"):
        LevelCuts(cuts=cuts)


def test_ranks_need_rising_cuts() -> None:
    with pytest.raises(UsageError, match="no cuts"):
        LevelCuts("rank", PROBABILITY_CUTS)


def test_every_level_is_said_with_its_cut() -> None:
    for cuts in (LevelCuts(), LevelCuts.by_rank()):
        assert [words.split(":")[0] for words in cuts.words()] == [level.name for level in LEVELS]
    assert LevelCuts().words()[0] == "critical: a probability of 50% or more"
