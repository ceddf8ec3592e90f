"""Distances as of a payment: the slow obvious way agrees, no cut changes a bit, and nothing sees what comes later."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.errors import RefusedValueError
from greywater.features.embedding import Projection
from greywater.features.embedding_join import EMBEDDING_FEATURES, EmbeddingJoin
from greywater.features.exposure import KnownLaunderers
from greywater.features.link_history import HALF_LIVES, LinkHistory
from greywater.vocab import EXTERNAL_PREFIX
from tests.features.test_suspicion import Row, batch, known, payment
from tests.naive_embedding import DAY, naive_distances

SMALL = Projection(dimensions=24, steps=(1.0, 1.0))
NAMES = [feature.name for feature in EMBEDDING_FEATURES]
Said = tuple[str, int, int, int, bool]


def made(records: list[Said], half_life: float | None = 3.0, threads: int = 1) -> EmbeddingJoin:
    return EmbeddingJoin(KnownLaunderers.of(records), SMALL, half_life=half_life, threads=threads)


def through(join: EmbeddingJoin, rows: list[Row], cuts: list[int], *, restart: bool = False) -> np.ndarray:
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(rows)}), len(rows)]
    parts = []
    for begin, end in itertools.pairwise(bounds):
        parts.append(np.array([np.asarray(column) for column in join.columns(batch(rows[begin:end], begin))]))
        if restart:
            arrays, join = join.arrays(), made(RECORDS)
            join.load(arrays)
    return np.concatenate(parts, axis=1)


RECORDS: list[Said] = [("a", -2, 2 * DAY, -1, True), ("e", -2, 0, 3, True), ("stranger", -2, 0, -1, True)]
rows_strategy = st.lists(payment, min_size=1, max_size=30).map(
    lambda rows: sorted(rows[: len(rows) * 3 // 4]) + rows[len(rows) * 3 // 4 :]
)


@settings(max_examples=40, deadline=None)
@given(rows_strategy, st.lists(known, max_size=6), st.lists(st.integers(1, 29)), st.sampled_from([None, 0.2, 3.0]))
def test_it_is_what_the_slow_way_finds_however_it_is_cut(
    rows: list[Row], records: list[Said], cuts: list[int], half_life: float | None
) -> None:
    whole = through(made(records, half_life), rows, [])
    np.testing.assert_array_equal(through(made(records, half_life, threads=2), rows, cuts), whole)
    np.testing.assert_array_equal(through(made(records, half_life), rows, list(range(1, 30))), whole)
    expected = naive_distances(rows, records, SMALL.dimensions, SMALL.steps, half_life)
    np.testing.assert_allclose(whole, expected, atol=2e-3)


@settings(max_examples=25, deadline=None)
@given(rows_strategy, st.lists(st.integers(1, 29), min_size=1, max_size=4))
def test_restarted_it_finds_the_same_bits(rows: list[Row], cuts: list[int]) -> None:
    whole = through(made(RECORDS), rows, [])
    np.testing.assert_array_equal(through(made(RECORDS), rows, cuts, restart=True), whole)


@settings(max_examples=25, deadline=None)
@given(rows_strategy, rows_strategy, st.lists(known, max_size=5), st.lists(known, max_size=5), st.integers(1, 29))
def test_what_comes_later_changes_nothing(
    rows: list[Row], others: list[Row], records: list[Said], more: list[Said], cut: int
) -> None:
    head = rows[:cut]
    later = [(account, source, since, max(after, len(head)), said) for account, source, since, after, said in more]
    first = through(made(records), head + rows[cut:], [])[:, : len(head)]
    second = through(made(records + later), head + others, [])[:, : len(head)]
    np.testing.assert_array_equal(first, second)


def test_a_scatter_gather_is_near_on_the_next_day_and_a_payment_elsewhere_is_not() -> None:
    rows: list[Row] = [(k, "boss", f"mule{k}", 100) for k in range(5)]
    rows += [(10 + k, f"mule{k}", "end", 95) for k in range(5)]
    rows += [(20, "shop", "baker", 40), (21, "client", "shop", 40)]
    rows += [(DAY, "boss", "end", 7), (DAY + 1, "boss", "shop", 7)]
    found = dict(zip(NAMES, through(made([]), rows, []), strict=True))
    assert np.isnan(found["embedding.onward"][:-2]).all()
    onward = found["embedding.onward"][-2:]
    assert onward[0] < 0.7 < onward[1]


def test_money_that_comes_back_is_near() -> None:
    rows: list[Row] = [(1, "a", "b", 9), (2, "b", "c", 9), (3, "c", "a", 9), (4, "x", "y", 9), (5, "z", "x", 9)]
    rows += [(DAY, "a", "b", 9), (DAY + 1, "a", "x", 9)]
    back = dict(zip(NAMES, through(made([]), rows, []), strict=True))["embedding.back"]
    assert back[-2] < 0.7 < back[-1]


def test_an_account_of_today_has_no_vector_until_tomorrow() -> None:
    rows: list[Row] = [(1, "a", "b", 9), (DAY, "new", "b", 9), (DAY + 1, "new", "b", 9), (2 * DAY, "a", "new", 9)]
    payees = through(made([]), rows, [])[NAMES.index("embedding.payees")]
    assert np.isnan(payees[1:3]).all()
    assert payees[3] == pytest.approx(0.0, abs=1e-6)


def test_launderers_count_from_when_they_are_known_and_late_payments_see_their_own_day() -> None:
    rows: list[Row] = [(1, "a", "p", 9), (2, "b", "p", 9)]
    rows += [(day * DAY, "a", "b", 9) for day in range(1, 5)] + [(2 * DAY + 5, "b", "a", 9)]
    found = through(made([("a", -2, 3 * DAY, -1, True)], None), rows, [])
    nearest = found[NAMES.index("sender.embedding_nearest")]
    assert np.isnan(nearest[2:4]).all()
    assert nearest[4:6].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    # Recorded on day 4, but of day 2: nobody was known then.
    assert np.isnan(nearest[6])
    assert not np.isnan(found[NAMES.index("embedding.back")][6])


def test_parties_outside_the_bank_have_no_vector_and_lend_none() -> None:
    shop = f"{EXTERNAL_PREFIX}shop"
    rows: list[Row] = [(1, "a", shop, 9), (2, "b", shop, 9), (DAY, "a", "b", 9), (DAY + 1, "a", shop, 9)]
    assert np.isnan(through(made([("a", -2, 0, -1, True)]), rows, [])).all()


def test_old_payments_weigh_less_and_very_old_ones_nothing() -> None:
    one, other, day = np.array([0, 0]), np.array([1, 2]), np.array([0, 10])
    history = LinkHistory(5.0)
    history.append(one, other, day, np.array([8, 8]))
    assert history.weighed(10, upto=2).weight.tolist() == [2.0, 8.0]
    assert history.weighed(int(5 * HALF_LIVES) + 9, upto=2).target.tolist() == [2]
    assert history.weighed(10, upto=1).target.tolist() == [1]
    with pytest.raises(RefusedValueError, match="half-life"):
        LinkHistory(0.0)
