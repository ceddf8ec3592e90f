"""The copula's arithmetic against its slow twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.synth.alertbook_copula import (
    GRID,
    PROBABILITIES,
    look_up,
    normal_scores,
    pairwise_correlation,
    quantile_table,
    repaired,
)
from greywater.synth.alertbook_moments import moments_of, shrunk
from tests import naive_alertbook as naive
from tests.synth.alert_sets import made_alerts

SOME = st.lists(st.integers(-5, 5).map(float) | st.just(float("nan")), min_size=1, max_size=40)


@given(SOME)
def test_normal_scores_are_those_of_the_twin(values: list[float]) -> None:
    found = normal_scores(np.array(values))
    np.testing.assert_allclose(found, naive.normal_scores(values), atol=1e-12)


@given(st.lists(st.floats(-6, 6), min_size=1, max_size=30))
def test_a_table_is_read_as_by_the_twin(scores: list[float]) -> None:
    table = np.sort(np.sin(np.arange(len(GRID)))) + np.arange(len(GRID))
    found = look_up(table, np.array(scores))
    wanted = [naive.look_up(GRID.tolist(), table.tolist(), score) for score in scores]
    np.testing.assert_allclose(found, wanted, atol=1e-3)


@given(st.integers(0, 2**32 - 1), st.integers(1, 90))
def test_correlations_are_those_of_the_twin(seed: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.standard_normal((rows, 3)) @ random.standard_normal((3, 3))
    scores[random.random(scores.shape) < 0.2] = np.nan
    found = pairwise_correlation(scores)
    for one in range(3):
        for other in range(one):
            wanted = naive.correlation(scores[:, one].tolist(), scores[:, other].tolist())
            assert found[one, other] == pytest.approx(wanted, abs=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_a_repaired_matrix_is_a_correlation(seed: int) -> None:
    wild = np.random.default_rng(seed).uniform(-1, 1, (6, 6))
    found = repaired((wild + wild.T) / 2 + np.eye(6) * 0.5)
    np.testing.assert_allclose(np.diag(found), 1.0)
    np.testing.assert_allclose(found, found.T, atol=1e-12)
    assert np.linalg.eigvalsh(found).min() > 0


def test_a_sound_correlation_is_left_as_it_is() -> None:
    sound = np.array([[1.0, 0.3], [0.3, 1.0]])
    np.testing.assert_allclose(repaired(sound), sound, atol=1e-12)


def test_tables_follow_the_data_inside_and_copy_no_extreme() -> None:
    values = np.random.default_rng(3).standard_normal(50_000)
    table = quantile_table(values)
    inside = np.abs(GRID) < 2.5
    np.testing.assert_allclose(table[inside], GRID[inside], atol=0.08)
    assert values.max() not in table
    assert values.min() not in table
    assert (np.diff(table) >= 0).all()


def test_a_column_of_one_value_stays_that_value() -> None:
    assert set(quantile_table(np.full(100, 3.5)).tolist()) == {3.5}


def test_probabilities_are_those_of_the_grid() -> None:
    assert PROBABILITIES[len(GRID) // 2] == 0.5
    assert PROBABILITIES[0] == pytest.approx(naive.NORMAL.cdf(-4.5))


def test_moments_are_those_of_the_twin() -> None:
    tables = made_alerts(40, 30, 5)
    found = moments_of(tables)
    for alert in range(40):
        for cell in range(8):
            sizes = tables.size[(tables.alert == alert) & (tables.cell == cell)].tolist()
            count, mean, spread = naive.moments(sizes)
            assert found.count[alert, cell] == count
            np.testing.assert_allclose(found.mean[alert, cell], mean, atol=1e-12)
            np.testing.assert_allclose(found.spread[alert, cell], spread, atol=1e-12)


def test_shrunk_means_vary_as_the_true_ones() -> None:
    random = np.random.default_rng(1)
    truth = random.normal(0, 0.5, 4_000)
    count = random.integers(1, 12, 4_000)
    tables = made_alerts(4_000, 5, 1)
    alert = np.repeat(np.arange(4_000), count).astype(np.int32)
    size = truth[alert] + random.standard_normal(len(alert))
    given = type(tables)(
        tables.day, tables.reported, alert, np.zeros(len(alert), np.int64), np.zeros(len(alert), np.int8), size
    )
    moments = moments_of(given)
    mean, spread = shrunk(moments)
    assert np.nanstd(moments.mean[:, 0]) > 0.65
    assert np.nanstd(mean[:, 0]) == pytest.approx(0.5, abs=0.04)
    assert np.nanmean(spread[:, 0]) == pytest.approx(0.0, abs=0.05)
    assert np.isnan(mean[:, 1]).all()
