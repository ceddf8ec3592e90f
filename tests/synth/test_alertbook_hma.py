"""The published method: categories and correction against slow twins, the signs its files show, what is refused."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import RefusedValueError, UsageError
from greywater.synth import alertbook
from greywater.synth.alertbook_blocks import BLOCK
from greywater.synth.alertbook_categories import brackets_of
from greywater.synth.alertbook_corrected import correction_of
from greywater.synth.alertbook_families import FAMILIES, best_family, family_table
from greywater.synth.alertbook_hma import HmaBook
from greywater.synth.alertbook_tables import AlertTables, read_tables
from tests import naive_alertbook as naive
from tests.synth.alert_sets import NEW_YEAR_2021, made_alerts

CODES = st.lists(st.integers(0, 3), min_size=1, max_size=60)


@given(CODES, st.lists(st.floats(-2, 3), min_size=1, max_size=30))
def test_categories_are_decoded_as_by_the_twin(codes: list[int], values: list[float]) -> None:
    brackets, held = brackets_of(np.array(codes), 4), naive.brackets(codes, 4)
    assert brackets.order.tolist() == [code for code, _, _ in held]
    np.testing.assert_allclose(brackets.edge[1:], [end for _, _, end in held], atol=1e-12)
    limits = {end for _, _, end in held} | {(a[1] + 2 * a[2] + b[2]) / 4 for a, b in itertools.pairwise(held)}
    clear = [value for value in values if all(abs(value % 1.0 - limit) > 1e-9 for limit in limits | {0.0, 1.0})]
    by_bracket = brackets.decode(np.array(clear), nearest=False).tolist()
    by_mean = brackets.decode(np.array(clear), nearest=True).tolist()
    assert by_bracket == [naive.decode_by_bracket(value, held) for value in clear]
    assert by_mean == [naive.decode_by_mean(value, held) for value in clear]


@given(CODES, st.integers(0, 2**32 - 1))
def test_truncated_categories_come_back_as_they_were(codes: list[int], seed: int) -> None:
    brackets = brackets_of(np.array(codes), 4)
    values = brackets.encode(np.array(codes), np.random.default_rng(seed), truncated=True)
    assert brackets.decode(values, nearest=False).tolist() == codes


def test_a_bracket_has_the_mean_and_spread_of_its_category() -> None:
    codes = np.repeat([0, 1], [30_000, 10_000])
    brackets = brackets_of(codes, 2)
    for truncated in (True, False):
        values = brackets.encode(codes, np.random.default_rng(1), truncated=truncated)
        for code, begin, end in naive.brackets(codes.tolist(), 2):
            mine = values[codes == code]
            assert mine.mean() == pytest.approx((begin + end) / 2, abs=0.003)
            assert mine.std() == pytest.approx((end - begin) / 6, rel=0.04)
            assert (((mine < begin) | (mine > end)).any()) == (not truncated)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_family_that_made_values_is_near_them(family: str) -> None:
    table = family_table(np.random.default_rng(1).gamma(2.0, 1.0, 500), family)
    values = np.interp(np.random.default_rng(2).uniform(-3, 3, 3_000), np.linspace(-4.5, 4.5, len(table)), table)
    assert (np.diff(table) >= 0).all()
    assert best_family(values) in FAMILIES
    assert best_family(np.full(10, 3.0)) == "gaussian"


def fitted(tables: AlertTables, **switches: object) -> alertbook.AlertBook:
    return alertbook.fit(tables, mode="hma1", **switches)  # type: ignore[arg-type]


def drawn(book: alertbook.AlertBook, alerts: int, seed: int, threads: int = 2) -> AlertTables:
    return read_tables(*book.tables(alerts, seed, threads=threads))


@pytest.fixture(scope="module")
def data() -> AlertTables:
    """Alerts spread evenly over two years."""
    tables = made_alerts(3_000, 80, 1, signal=2.0)
    moved = 18_262 + np.random.default_rng(3).integers(0, 731, 3_000)
    shift = (moved - tables.day)[tables.alert] * 86_400
    return replace(tables, day=moved, seconds=tables.seconds + shift)


@pytest.fixture(scope="module")
def by_library(data: AlertTables) -> AlertTables:
    return drawn(fitted(data, categories="library"), 3_000, 5)


@pytest.fixture(scope="module")
def by_paper(data: AlertTables) -> AlertTables:
    return drawn(fitted(data), 3_000, 5)


@pytest.mark.parametrize("which", ["by_library", "by_paper"])
def test_dates_are_bell_shaped_around_new_year(data: AlertTables, which: str, request: pytest.FixtureRequest) -> None:
    found: AlertTables = request.getfixturevalue(which)
    months = np.bincount((found.day - 18_262) // 183, minlength=4)[:4] / len(found.day)
    even = np.bincount((data.day - 18_262) // 183, minlength=4)[:4] / len(data.day)
    np.testing.assert_allclose(even, 0.25, atol=0.03)
    assert months[1:3].sum() > 0.57
    assert found.day.mean() == pytest.approx(NEW_YEAR_2021, abs=20)
    assert found.day.min() >= data.day.min()
    assert found.day.max() <= data.day.max()


def test_the_library_distorts_categories(data: AlertTables, by_library: AlertTables) -> None:
    real, found = (np.bincount(one.cell, minlength=8) / len(one.cell) for one in (data, by_library))
    cash = [share[1] + share[5] for share in (real, found)]
    assert cash[1] > 2 * cash[0]
    assert found[4] > 2 * real[4]
    assert found[7] < 0.85 * real[7]


def test_the_papers_way_does_not_make_cash_commoner(data: AlertTables, by_paper: AlertTables) -> None:
    real, found = (np.bincount(one.cell, minlength=8) / len(one.cell) for one in (data, by_paper))
    assert found[1] + found[5] < 1.5 * (real[1] + real[5])
    assert found[4] < 2 * real[4]


def test_round_amounts_are_gone(data: AlertTables, by_library: AlertTables) -> None:
    shares = []
    for tables in (data, by_library):
        size = tables.size[tables.cell == 1]
        inside = size[(size > np.quantile(size, 0.05)) & (size < np.quantile(size, 0.95))]
        shares.append(np.unique(inside, return_counts=True)[1].max() / len(size))
    assert shares[0] > 0.05
    assert shares[1] < 0.005


def test_sizes_are_standardised_and_alerts_recent(by_library: AlertTables, by_paper: AlertTables) -> None:
    for found in (by_library, by_paper):
        assert found.size.mean() == pytest.approx(0, abs=0.02)
        assert found.size.std() == pytest.approx(1, abs=0.02)
        last = np.full(len(found.day), 10**6)
        np.minimum.at(last, found.alert, found.days_before)
        assert last.max() <= 7


def test_sizes_are_corrected_as_by_the_twin(data: AlertTables) -> None:
    book = fitted(data, flip=0.0).parameters
    assert isinstance(book, HmaBook)
    correction = correction_of(book, 5, 2, 1)
    raws = [book.raw(5, number) for number in (0, 1)]
    for group in (0, 3, 8, 15):
        mine = [raw.size[book.groups(5, number, raw) == group] for number, raw in enumerate(raws)]
        size = np.concatenate(mine)
        wanted = naive.corrected(size.tolist(), float(book.mean[group]), float(book.spread[group]))
        np.testing.assert_allclose(size * correction.factor[group] + correction.shift[group], wanted, atol=1e-9)


def test_flips_take_alerts_for_the_other_outcome(data: AlertTables) -> None:
    book = fitted(data, flip=0.3).parameters
    assert isinstance(book, HmaBook)
    raw = book.raw(1, 0)
    flipped = (book.groups(1, 0, raw) // 8 == 1) != raw.reported[raw.alert]
    assert len(np.unique(raw.alert[flipped])) == pytest.approx(0.3 * BLOCK, abs=35)
    assert (book.groups(1, 0, raw) % 8 == raw.cell).all()


@pytest.mark.parametrize("threads", [2, 3])
def test_the_same_bits_on_any_number_of_threads(data: AlertTables, threads: int) -> None:
    book = fitted(data)
    alone = book.tables(2 * BLOCK + 9, 7, threads=1)
    assert all(a.equals(b) for a, b in zip(alone, book.tables(2 * BLOCK + 9, 7, threads=threads), strict=True))


def test_a_saved_book_draws_the_same(data: AlertTables, tmp_path: object) -> None:
    book = fitted(data, categories="library", marginals="best")
    book.save(str(tmp_path))
    again = alertbook.AlertBook.load(str(tmp_path))
    assert again.mode == "hma1"
    assert all(a.equals(b) for a, b in zip(book.tables(30, 2), again.tables(30, 2), strict=True))


def test_best_marginals_follow_the_counts_better(data: AlertTables) -> None:
    real = np.bincount(data.alert)
    gaps = []
    for marginals in ("gaussian", "best"):
        found = drawn(fitted(data, marginals=marginals), 1_000, 5)
        gaps.append(abs(np.median(np.bincount(found.alert)) - np.median(real)))
    assert gaps[1] < gaps[0]


@pytest.mark.parametrize("switches", [{"categories": "mine"}, {"marginals": "mine"}, {"flip": 0.7}, {"flip": -0.1}])
def test_switches_that_are_none_are_refused(data: AlertTables, switches: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        fitted(data, **switches)


def test_what_cannot_be_fitted_is_refused() -> None:
    tables = made_alerts(60, 5, 1)
    with pytest.raises(RefusedValueError, match="1 outcome"):
        fitted(tables.of_alerts(~tables.reported))
    with pytest.raises(RefusedValueError, match="at least 30"):
        fitted(tables.of_alerts(np.arange(60) < 20))


def test_alerts_long_after_their_transactions_are_never_kept() -> None:
    tables = made_alerts(200, 20, 1)
    late = replace(tables, day=tables.day + 3_000)
    with pytest.raises(RefusedValueError, match="week before"):
        next(iter(fitted(late).sample(10, threads=1)))
