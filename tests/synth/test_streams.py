"""Streams: the same numbers for the same purpose, other numbers for another."""

from __future__ import annotations

from greywater.synth.streams import stream


def numbers(*purpose: str | int, seed: int = 7) -> list[int]:
    return stream(seed, *purpose).integers(1 << 60, size=4).tolist()


def test_streams_are_reproducible_and_independent() -> None:
    assert numbers("rent") == numbers("rent")
    different = [numbers("rent"), numbers("salary"), numbers("rent", seed=8), numbers("rent", 1), numbers("r", "ent")]
    assert len({tuple(found) for found in different}) == len(different)


def test_streams_do_not_change_between_releases() -> None:
    assert stream(7, "rent").integers(1_000, size=3).tolist() == [500, 310, 539]
