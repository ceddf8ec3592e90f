"""Trusted communities: near is inside, far and unknown is outside, and pushes leave nothing behind for the next one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import RefusedValueError
from greywater.features.trust_community import trusted_community
from tests import naive_trust


def test_who_deals_together_is_inside() -> None:
    """Two circles of ten that deal among themselves, one payment between them; a stranger."""
    generator = np.random.default_rng(0)
    links = [(base + int(one), base + int(two)) for base in (0, 10) for one, two in generator.integers(0, 10, (60, 2))]
    source, target = (list(side) for side in zip(*links, (0, 10), strict=True))
    asked = [(1, 2), (1, 12), (11, 12), (5, 20), (20, 5), (7, 7), (20, 20)]
    sender, receiver = (list(side) for side in zip(*asked, strict=True))
    found = trusted_community(source, target, None, 21, sender, receiver, least=0.01)
    assert found.outside.tolist() == [False, True, False, True, True, False, False]
    assert (found.trust >= 0.01).tolist() == [not outside for outside in found.outside]


@given(st.integers(0, 2**32 - 1))
def test_trust_is_the_trust_rank_of_the_sender_alone(seed: int) -> None:
    generator = np.random.default_rng(seed)
    source, target = generator.integers(0, 12, (2, 20), dtype=np.int32)
    weight = generator.integers(1, 4, 20).astype(np.float64)
    sender, receiver = generator.integers(0, 12, (2, 15), dtype=np.int32)
    found = trusted_community(source, target, weight, 12, sender, receiver, least=1e-6)
    links = [*zip(source.tolist(), target.tolist(), weight.tolist(), strict=True)]
    links += [(two, one, size) for one, two, size in links]
    for place, (payer, payee) in enumerate(zip(sender.tolist(), receiver.tolist(), strict=True)):
        exact = naive_trust.leak(links, 12, {payer: 1.0}, 0.85)[payee]
        assert found.trust[place] == pytest.approx(exact, abs=2e-4)
    again = trusted_community(source, target, weight, 12, sender[::-1], receiver[::-1], least=1e-6)
    assert again.trust[::-1].tolist() == found.trust.tolist()


def test_nothing_asked_and_what_cannot_be_used() -> None:
    assert trusted_community([0], [1], None, 2, [], []).trust.tolist() == []
    for wrong in ({"least": 0.0}, {"beta": 1.0}, {"sender": [5]}):
        with pytest.raises(RefusedValueError):
            trusted_community([0], [1], None, 2, **{"sender": [0], "receiver": [1], **wrong})  # type: ignore[arg-type]
