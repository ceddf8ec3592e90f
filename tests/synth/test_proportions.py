"""Published proportions: the counts of the files themselves, and worlds of any size dealt out by them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.formats.patterns import read_patterns
from greywater.synth.presets import PRESETS, world_plan
from greywater.synth.proportions import HI_SMALL, LI_SMALL, Proportions, TypologyShare, deal_sizes, proportions_of


@pytest.mark.parametrize(
    ("published", "name"),
    [
        (HI_SMALL, "amlworld_hi_small/HI-Small_Patterns.txt.gz"),
        (LI_SMALL, "amlworld_patterns/LI-Small_Patterns.txt.gz"),
    ],
)
def test_the_counts_are_those_of_the_published_files(shared_data: Path, published: Proportions, name: str) -> None:
    found = read_patterns(shared_data / name)
    attempts = Counter(attempt.typology for attempt in found)
    payments: Counter[str] = Counter()
    for attempt in found:
        payments[attempt.typology] += len(attempt.payments)
    assert {share.typology: (share.attempts, share.payments) for share in published.typologies} == {
        name: (attempts[name], payments[name]) for name in attempts
    }


def test_the_presets_plan_so_many_attempts() -> None:
    for preset, published in (("hi-small", HI_SMALL), ("li-small", LI_SMALL)):
        shares = proportions_of(world_plan(preset)).typologies
        assert shares == published.typologies
        assert {share.typology: share.attempts for share in shares} == PRESETS[preset].attempts


def test_hi_small_is_62_percent_typed() -> None:
    assert sum(share.attempts for share in HI_SMALL.typologies) == 370
    assert round(HI_SMALL.typed / HI_SMALL.laundering, 2) == 0.62


@given(st.integers(0, 50), st.sampled_from(HI_SMALL.typologies), st.floats(0.05, 4.0))
def test_sizes_add_up_and_stay_in_bounds(seed: int, share: TypologyShare, factor: float) -> None:
    scaled = HI_SMALL.scaled(round(HI_SMALL.payments * factor))
    (mine,) = [one for one in scaled.typologies if one.typology == share.typology]
    sizes = deal_sizes(seed, mine)
    paired = mine.typology in {"scatter-gather", "stack"}
    assert len(sizes) == mine.attempts
    assert sizes.sum() == mine.payments - (mine.payments % 2 if paired else 0)
    assert mine.least <= sizes.min() <= sizes.max() <= mine.most


def test_every_typology_keeps_an_attempt_in_the_smallest_world() -> None:
    small = HI_SMALL.scaled(2_000)
    assert [share.attempts for share in small.typologies] == [1] * 8
    assert small.laundering >= small.typed
