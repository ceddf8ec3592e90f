"""Measures of fidelity and privacy: each against its slow twin, a planted fault that it finds, and a look-alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.features.alert_bags import bag_features
from greywater.synth import fidelity_privacy as privacy
from greywater.synth.alertbook_tables import AlertTables
from greywater.synth.fidelity import (
    Measure,
    cells,
    correlation_gap,
    distributions,
    kolmogorov_smirnov,
    noise_of_shares,
    outcome_gap,
    rank_correlations,
    seconds_before,
    size_curves,
    total_variation,
    worst,
)
from tests import naive_fidelity as naive
from tests.synth.alert_sets import made_alerts

#: Few different values, so that there are ties.
NUMBERS = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def real() -> AlertTables:
    return made_alerts(600, 60, 1)


@pytest.fixture(scope="module")
def other() -> AlertTables:
    """As many alerts of the same bank: what a perfect generator would make."""
    return made_alerts(600, 60, 2)


def shuffled(side: AlertTables, seed: int = 5) -> AlertTables:
    return replace(side, size=np.random.default_rng(seed).permutation(side.size))


def features(side: AlertTables) -> np.ndarray:
    return bag_features(len(side.day), side.alert.astype(np.int64), side.cell.astype(np.int64), side.size)


@given(NUMBERS, NUMBERS)
@settings(max_examples=60, deadline=None)
def test_distance_of_distributions_is_its_slow_twin(left: list[float], right: list[float]) -> None:
    found = kolmogorov_smirnov(np.array(left), np.array(right))
    assert found == pytest.approx(naive.kolmogorov_smirnov(left, right))
    counts = [np.bincount(np.array(side, np.int64) + 5, minlength=11) for side in (left, right)]
    assert total_variation(*counts) == pytest.approx(naive.total_variation(left, right))


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 1)), min_size=3, max_size=25))
@settings(max_examples=60, deadline=None)
def test_correlations_and_columns_of_the_outcome_are_their_slow_twins(rows: list[tuple[int, int, int]]) -> None:
    X = np.array([row[:2] for row in rows], np.float64)
    y = np.array([row[2] for row in rows])
    found = rank_correlations(X)
    assert found[0, 1] == pytest.approx(naive.spearman(X[:, 0].tolist(), X[:, 1].tolist()), abs=1e-9)
    same = outcome_gap((X, y), (-X, y))
    if 0 < y.sum() < len(y):
        for column in range(2):
            area = naive.outcome_area(X[:, column].tolist(), y.tolist())
            assert same[column] == pytest.approx(1 - 2 * area)
    else:
        assert np.isnan(same).all()


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 5), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_closest_record_is_its_slow_twin(n: int, m: int, columns: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    rows, others = draw.normal(size=(n, columns)), draw.normal(size=(m, columns))
    assert np.allclose(privacy.closest(rows, others), naive.closest(rows.tolist(), others.tolist()))
    found = privacy.closest_record(others, rows, rows, 1)
    expected = naive.share_closer(found.to_train.tolist(), found.to_holdout.tolist())
    assert found.share_closer == pytest.approx(expected)


@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_copies_are_counted_as_their_slow_twins_do(n: int, m: int, count: int, seed: int) -> None:
    one, other = (few_rows(size, seed + at) for at, size in enumerate((n, m)))
    listed = [list(zip(side.cell.tolist(), side.size.tolist(), seconds_before(side).tolist(), strict=True))
              for side in (one, other)]  # fmt: skip
    assert privacy.copied_rows(one, other) == pytest.approx(naive.copied_rows(*listed))
    assert privacy.copied_extremes(one, other, count) == naive.copied_extremes(*listed, count)


def few_rows(n: int, seed: int) -> AlertTables:
    """Values from so few that some agree."""
    draw = np.random.default_rng(seed)
    return AlertTables(
        day=np.array([18_300, 18_301]),
        reported=np.array([True, False]),
        alert=draw.integers(2, size=n).astype(np.int32),
        seconds=18_300 * 86_400 - draw.integers(1, 4, size=n),
        cell=draw.integers(3, size=n).astype(np.int8),
        size=draw.integers(12, size=n) / 4,
    )


def test_another_draw_of_the_same_bank_is_near_everywhere(real: AlertTables, other: AlertTables) -> None:
    assert [each.name for each in distributions(real, other) if not each.fine] == []
    found = cells(real, other)
    assert len(found) == 16
    assert [cell for cell in found if cell.fine is False] == []
    assert np.abs(correlation_gap(features(real), features(other))).mean() < 0.06
    assert len(size_curves(real, other)) == 8


def test_a_shuffled_column_is_as_it_was_overall_and_caught_within(real: AlertTables, other: AlertTables) -> None:
    moved = shuffled(other)
    overall = {each.name: each for each in distributions(real, moved)}
    assert overall["size"].fine
    beyond = [cell for cell in cells(real, moved) if cell.fine is False]
    assert len(beyond) >= 6
    far = worst(cells(real, moved))
    assert far is not None
    assert far in beyond
    assert np.abs(correlation_gap(features(real), features(moved))).mean() > 0.06
    # An outcome that is shuffled among the alerts is as it was overall too.
    turned = replace(other, reported=np.random.default_rng(5).permutation(other.reported))
    assert all(each.fine for each in distributions(real, turned))
    gaps = [np.abs(outcome_gap((features(real), real.reported), (features(side), side.reported))).mean()
            for side in (other, turned)]  # fmt: skip
    assert gaps[1] > 1.3 * gaps[0]


def test_a_distorted_category_is_caught(real: AlertTables, other: AlertTables) -> None:
    cell = other.cell.copy()
    cards = np.flatnonzero(cell == 0)
    cell[cards[::3]] = 1  # a third of the cards become cash
    overall = {each.name: each for each in distributions(real, replace(other, cell=cell))}
    assert overall["type"].fine is False
    assert overall["entry"].fine
    later = {each.name: each for each in distributions(real, replace(other, day=other.day + 366))}
    assert later["quarter"].fine is False


def test_a_copied_table_is_caught_and_another_draw_is_not(real: AlertTables, other: AlertTables) -> None:
    train, holdout = features(real), features(other)
    copied = privacy.closest_record(train, train, holdout, 1)
    assert copied.share_copied == 1.0
    assert copied.share_closer == pytest.approx(1.0, abs=0.01)
    fresh = privacy.closest_record(train, features(made_alerts(600, 60, 3)), holdout, 1)
    assert fresh.share_copied == 0.0
    assert fresh.share_closer == pytest.approx(0.5, abs=0.06)
    alone = privacy.closest_record(train, train, None, 1)
    assert alone.share_closer is None
    assert privacy.copied_rows(real, real) == 1.0
    assert privacy.copied_rows(real, other) == pytest.approx(0.0, abs=1e-3)
    seen, looked = privacy.copied_extremes(real, real)
    assert seen == looked > 100
    assert privacy.copied_extremes(real, other)[0] <= looked // 20


def test_a_tenth_of_copies_is_caught_by_the_rows(real: AlertTables, other: AlertTables) -> None:
    few = np.arange(len(real.day)) < 60
    part = real.of_alerts(few)
    mixed = AlertTables(
        np.concatenate([other.day, part.day]), np.concatenate([other.reported, part.reported]),
        np.concatenate([other.alert, part.alert + np.int32(len(other.day))]),
        np.concatenate([other.seconds, part.seconds]), np.concatenate([other.cell, part.cell]),
        np.concatenate([other.size, part.size]),
    )  # fmt: skip
    assert privacy.copied_rows(real, mixed) == pytest.approx(len(part.size) / len(mixed.size), abs=2e-3)
    found = privacy.closest_record(features(real), features(mixed), None, 1)
    assert found.share_copied == pytest.approx(60 / 660)


def test_round_amounts_and_clips_are_no_copied_extremes() -> None:
    side = few_rows(400, 1)
    assert privacy.copied_extremes(side, side) == (0, 0)


def test_empty_sides_have_no_figures(real: AlertTables) -> None:
    nothing = np.empty(0)
    assert kolmogorov_smirnov(nothing, real.size) is None
    assert total_variation(np.zeros(3, np.int64), np.ones(3, np.int64)) is None
    assert noise_of_shares(np.zeros(3, np.int64), 0, 1) == 1.0
    without = replace(real, cell=np.where(real.cell == 1, 0, real.cell).astype(np.int8))
    lost = [cell for cell in cells(real, without) if cell.fine is None]
    assert [(cell.kind, cell.entry, cell.made) for cell in lost] == [("cash", "credit", 0)] * 2
    assert Measure.at_least("x", None, 1.0, "").fine is None
