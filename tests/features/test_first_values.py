"""Ids, first values and names of accounts are kept as long as they are needed, and no longer."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import SnapshotError
from greywater.features.account_names import SPARE_NAMES, AccountNames
from greywater.features.first_values import PAGE, FirstValues

INTS, FLOATS = 3, 2


def values(first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns that tell every payment by its place."""
    places = np.arange(first, first + count)
    return np.array([places * 10 + k for k in range(INTS)]), np.array([places / 10 + k for k in range(FLOATS)])


def taken(first: FirstValues, count: int, time: int, *, computed: bool = True) -> None:
    place = first.count
    _, new = first.note(np.arange(place, place + count), np.zeros(count, np.int64))
    assert new.all()
    first.write(np.full(count, time), values(place, count) if computed else None)


@given(st.lists(st.tuples(st.integers(0, 900), st.booleans()), min_size=1, max_size=8))
def test_what_was_written_is_read(blocks: list[tuple[int, bool]]) -> None:
    first = FirstValues(INTS, FLOATS)
    flags: list[bool] = []
    for number, (count, computed) in enumerate(blocks):
        taken(first, count, number, computed=computed)
        flags += [computed] * count
    again = FirstValues(INTS, FLOATS)
    again.load(first.arrays(), first.count)
    for held in (first, again):
        places = np.random.default_rng(7).permutation(len(flags)).astype(np.int64)
        assert held.count == len(flags)
        assert held.computed(places).tolist() == [flags[place] for place in places]
        expected = np.repeat(np.arange(len(blocks)), [count for count, _ in blocks])
        assert held.times(places).tolist() == expected[places].tolist()
        chosen = places[held.computed(places)]
        ints, floats = held.read(chosen)
        for found, written in zip((ints, floats), values(0, len(flags)), strict=True):
            assert np.array_equal(found, written[:, chosen])
        found, new = held.note(places, np.zeros(len(places), np.int64))
        assert found.tolist() == places.tolist()
        assert not new.any()


def test_a_plan_may_have_no_floats() -> None:
    first = FirstValues(INTS, 0)
    first.note(np.arange(2), np.zeros(2, np.int64))
    first.write(np.zeros(2, np.int64), (values(0, 2)[0], np.empty((0, 2))))
    again = FirstValues(INTS, 0)
    again.load(first.arrays(), 2)
    assert np.array_equal(again.read(np.array([1]))[0], values(1, 1)[0])


def test_a_note_is_undone() -> None:
    first = FirstValues(INTS, FLOATS)
    taken(first, 5_000, 0)
    ids, zeros = np.array([4_999, 70_000, 70_001, 70_000]), np.zeros(4, np.int64)
    for _ in range(2):
        places, new = first.note(ids, zeros)
        assert places.tolist() == [4_999, 5_000, 5_001, 5_000]
        assert new.tolist() == [False, True, True, False]
        first.forget_new()
    assert first.count == 5_000


def test_values_are_dropped_with_their_payments_and_ids_are_not() -> None:
    first = FirstValues(INTS, FLOATS)
    largest = 0
    for number in range(40):
        taken(first, PAGE // 2, number)
        first.release(number - 4)
        largest = max(largest, first.value_bytes)
    assert largest < 6 * PAGE * (4 * INTS + 8 * FLOATS + 8 + 8)
    places = np.array([0, first.count - 1])
    assert first.times(places).tolist() == [-(2**63), 39]
    assert first.computed(places).tolist() == [False, True]
    assert first.note(places, np.zeros(2, np.int64))[1].tolist() == [False, False]
    assert first.id_bytes <= 64 * first.count + 2**16


def test_a_late_payment_keeps_its_page_as_long_as_its_neighbours_need() -> None:
    first = FirstValues(INTS, FLOATS)
    taken(first, PAGE - 1, 0)
    taken(first, 1, 100)
    taken(first, 1, 0)
    first.release(50)
    assert first.times(np.array([PAGE - 1])).tolist() == [100]


def test_values_without_all_ids_are_refused() -> None:
    first = FirstValues(INTS, FLOATS)
    taken(first, 3, 0)
    with pytest.raises(SnapshotError, match="3 ids for 4 payments"):
        FirstValues(INTS, FLOATS).load(first.arrays(), 4)


NAMES = st.sampled_from(["a", "b", "ab", "ä", "\U0001f4b8", "A"])


@given(st.lists(st.lists(st.tuples(NAMES, NAMES, st.integers(0, 9)), max_size=6), max_size=5))
def test_every_name_has_a_number_of_its_own(blocks: list[list[tuple[str, str, int]]]) -> None:
    names = AccountNames()
    numbers: dict[str, int] = {}
    for block in blocks:
        senders, receivers = (pa.array([row[k] for row in block], pa.large_string()) for k in (0, 1))
        codes = names.encode(senders, receivers, np.array([row[2] for row in block], np.int64))
        for (sender, receiver, time), *pair in zip(block, *codes, strict=True):
            assert numbers.setdefault(sender, int(pair[0])) == pair[0] == names.number(sender, time)
            assert numbers.setdefault(receiver, int(pair[1])) == pair[1] == names.number(receiver, time)
        names = AccountNames.from_arrays(names.arrays())
    assert len(set(numbers.values())) == len(numbers) == len(names)


def test_names_that_nobody_sees_any_more_are_forgotten() -> None:
    names = AccountNames()
    lasting = names.number("lasting", 10**9)
    highest = 0
    for time in range(20 * SPARE_NAMES):
        names.release(time - 100)
        highest = max(highest, names.number(f"passing {time}", time))
    assert names.number("lasting", 0) == lasting
    assert len(names) < 3 * SPARE_NAMES
    assert highest < 3 * SPARE_NAMES
    assert names.bytes < 500 * SPARE_NAMES
    last = f"passing {time}"
    assert AccountNames.from_arrays(names.arrays()).number(last, 0) == names.number(last, 0)


def test_a_number_is_given_again_only_when_its_account_is_out_of_sight() -> None:
    names = AccountNames()
    first = names.encode(pa.array(["old"]), pa.array(["other"]), np.array([5]))[0][0]
    for k in range(SPARE_NAMES):
        names.number(f"n{k}", 50)
    names.release(4)
    assert names.number("old", 0) == first
    for k in range(3 * SPARE_NAMES):
        names.number(f"m{k}", 50)
    names.release(5)
    before = len(names)
    assert {names.number("new", 50), names.number("newer", 50)} == {first, 1 - first}
    assert len(names) == before + 2
