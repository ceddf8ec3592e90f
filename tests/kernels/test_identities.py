"""The table of ids is a dictionary: the same places, whatever the ids, the blocks and the growth."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from greywater.kernels.identities import copy_below, empty_identities, note, place_of

#: Few different ids with the same low or high word, and the ends of an int64.
WORDS = st.sampled_from([0, 1, -1, 2, 3, 64, 2**32, -(2**63), 2**63 - 1])
IDS = st.lists(st.tuples(WORDS, WORDS), max_size=40)


@given(st.lists(IDS, max_size=4), st.integers(0, 60))
def test_the_table_is_a_dictionary(blocks: list[list[tuple[int, int]]], bound: int) -> None:
    table = empty_identities(1 << 7)
    known: dict[tuple[int, int], int] = {}
    for block in blocks:
        before = set(known)
        words = np.array(block, np.int64).reshape(-1, 2)
        places, new = np.empty(len(block), np.int64), np.empty(len(block), np.uint8)
        found = note(table, words[:, 0].copy(), words[:, 1].copy(), len(known), places, new)
        fresh = []
        for each in block:
            fresh.append(each not in known)
            known.setdefault(each, len(known))
        assert places.tolist() == [known[each] for each in block]
        assert new.tolist() == fresh
        assert found == len(set(block) - before) == sum(fresh)
    smaller = empty_identities(1 << 8)
    copy_below(table, smaller, bound)
    for (high, low), place in known.items():
        assert place_of(table, np.int64(high), np.int64(low)) == place
        assert place_of(smaller, np.int64(high), np.int64(low)) == (place if place < bound else -1)
    assert place_of(table, np.int64(77), np.int64(77)) == -1
