"""The exported forest scores as scikit-learn does, without scikit-learn; ranks, thresholds and forged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest

from greywater.detectors import forest as forest_module
from greywater.detectors.detector import Validation
from greywater.detectors.forest import Forest, Preparation, signed_log
from greywater.detectors.isolation import Isolation, IsolationParameters
from greywater.detectors.saved import pack_arrays, unpack_arrays
from greywater.errors import DetectorError
from greywater.stores.blocks import TableRows
from greywater.vocab import Float64Array


def odd_rows(rows: int, seed: int = 0) -> Float64Array:
    rng = np.random.default_rng(seed)
    values = np.column_stack(
        [
            rng.lognormal(8, 3, rows) * rng.choice([-1, 1], rows),
            rng.integers(0, 4, rows),
            rng.normal(size=rows),
            rng.normal(size=rows) * 1e-9,
            np.full(rows, 3.0),
            rng.integers(2**52, 2**53, rows),
        ]
    )
    values[rng.random(values.shape) < 0.1] = np.nan
    values[:, 4] = 3.0
    return values


def grown(rows: Float64Array, **settings: object) -> tuple[IsolationForest, Preparation, Forest]:
    preparation = Preparation.learn(rows)
    model = IsolationForest(n_estimators=30, random_state=3, **settings).fit(preparation(rows))
    return model, preparation, Forest.from_sklearn(model, preparation)


def naive_lengths(forest: Forest, row: Float64Array) -> float:
    """One row, one tree, one step at a time."""
    total = 0.0
    for root in forest.roots:
        node = int(root)
        while forest.child[node] != node:
            value = row[forest.feature[node]]
            left = bool(forest.missing_left[node]) if np.isnan(value) else value <= forest.threshold[node]
            node = int(forest.child[node]) + (0 if left else 1)
        total += float(forest.length[node])
    return total


@pytest.mark.parametrize("settings", [{}, {"max_samples": 64}, {"max_features": 0.5}, {"max_samples": 2}])
def test_scores_equal_scikit_learns(settings: dict[str, object]) -> None:
    train, fresh = odd_rows(600), odd_rows(500, seed=1)
    model, preparation, forest = grown(train, **settings)
    for rows in (train, fresh):
        assert np.allclose(forest.score(rows), -model.score_samples(preparation(rows)), rtol=0, atol=1e-12)


def test_the_kernel_equals_its_slow_twin() -> None:
    _, _, forest = grown(odd_rows(300))
    rows = odd_rows(70, seed=2)
    slow = np.array([2.0 ** (-naive_lengths(forest, row) / forest.scale[0]) for row in rows])
    assert np.allclose(forest.score(rows), slow, rtol=0, atol=1e-14)


def test_threads_and_neighbours_change_no_bit() -> None:
    _, _, forest = grown(odd_rows(300))
    rows = odd_rows(forest_module.SHARE * 2 + 77, seed=4)
    whole = forest.score(rows, threads=3)
    assert whole.tobytes() == forest.score(rows).tobytes()
    assert whole[5:6].tobytes() == forest.score(rows[5:6]).tobytes()


def test_contributions_follow_the_change_of_the_expected_path_length() -> None:
    train = odd_rows(400)
    _, _, forest = grown(train)
    far = np.array([[1e15, 3.0, 0.0, 0.0, 3.0, 2.0**52]])
    parts = forest.explain(far)[0]
    assert parts.sum() == pytest.approx(forest.score(far)[0], abs=1e-12)
    assert parts[0] == parts[:-1].max()  # the amount is what is odd
    assert parts[4] == 0  # a constant says nothing
    at_roots = forest.expected[forest.roots].sum()
    assert parts[-1] == pytest.approx(2.0 ** (-at_roots / forest.scale[0]))


def test_a_raw_threshold_splits_exactly_where_the_prepared_one_does() -> None:
    rng = np.random.default_rng(5)
    prepared = np.concatenate([rng.normal(size=200) * 20, [0.0, 1e-30, -1e-30, 700.0, -700.0]])
    raw = forest_module._raw_threshold(prepared)
    inside = np.abs(prepared) < 700
    assert (signed_log(raw).astype(np.float32) <= prepared)[inside].all()
    above = np.nextafter(raw, np.inf)
    assert (signed_log(above).astype(np.float32) > prepared)[inside].all()


def test_missing_patterns_get_one_flag_each() -> None:
    rows = np.array([[1.0, np.nan, np.nan, np.nan], [2.0, np.nan, np.nan, 1.0], [3.0, 5.0, 6.0, np.nan]])
    rows = np.column_stack([rows, np.full(3, np.nan)])
    preparation = Preparation.learn(rows)
    assert preparation.flagged.tolist() == [1, 3]
    prepared = preparation(rows)
    assert prepared.shape == (3, 7)
    assert np.isfinite(prepared).all()
    assert prepared[:, 5:].tolist() == [[1, 1], [1, 0], [0, 1]]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(0, 1_000))
def test_medians_are_those_of_the_prepared_values(rows: int, seed: int) -> None:
    values = odd_rows(rows, seed=seed)
    known = ~np.isnan(values).all(axis=0)
    expected = np.zeros(values.shape[1])
    expected[known] = np.nanmedian(signed_log(values[:, known]), axis=0)
    assert np.allclose(Preparation.learn(values).medians, expected, rtol=1e-15, atol=0)


def table(rows: int, seed: int) -> TableRows:
    rng = np.random.default_rng(seed)
    return TableRows(pa.table({"a": rng.normal(size=rows), "b": rng.lognormal(size=rows)}))


def test_without_labels_the_probability_is_a_rank_and_the_threshold_a_share() -> None:
    validation = Validation(table(4_000, 2), np.zeros(4_000, np.int64))
    parameters = IsolationParameters(trees=20, alert_share=0.01)
    made = Isolation(parameters, threads=1).fit(table(3_000, 1), validation=validation)
    score, rank = made.score(validation.X), made.probability(validation.X)
    true_rank = (np.argsort(np.argsort(score)) + 0.5) / len(score)
    assert np.abs(rank - true_rank).max() < 0.01
    assert made.threshold.by == "share"
    assert made.threshold.flags(score).mean() == pytest.approx(0.01, abs=0.002)
    assert "rank" in made.card["notes"][0]
    assert "measures" not in made.card


def test_without_a_validation_slice_the_training_sample_serves() -> None:
    made = Isolation(IsolationParameters(trees=10), threads=1).fit(table(500, 1))
    assert "No validation slice" in made.card["notes"][0]
    assert 0 < made.probability(table(1, 5))[0] < 1


def test_one_row_is_enough_to_fit_and_none_is_refused() -> None:
    made = Isolation(IsolationParameters(trees=3), threads=1).fit(table(1, 1))
    assert np.isfinite(made.score(table(4, 2))).all()
    with pytest.raises(DetectorError, match="0 rows"):
        Isolation().fit(table(0, 1))
    with pytest.raises(DetectorError, match="0 columns"):
        Isolation().fit(TableRows(pa.table({"a": [1.0]}).drop_columns(["a"])))


def test_the_sample_is_spread_over_the_slice_and_heeds_zero_weights() -> None:
    made = Isolation(IsolationParameters(sample_rows=100))
    rows = made._draw(10_000, None)
    assert len(rows) == 100
    assert (np.bincount(rows // 100, minlength=100) == 1).all()
    weight = np.r_[np.zeros(5_000), np.ones(5_000)]
    assert made._draw(10_000, weight).min() >= 5_000
    with pytest.raises(DetectorError, match="weights"):
        made._draw(10, np.full(10, np.nan))


@pytest.mark.parametrize(
    ("name", "value"), [("child", 10**9), ("child", 0), ("feature", 99), ("feature", -5), ("roots", -1), ("depth", -1)]
)
def test_a_forged_forest_is_refused(name: str, value: int, tmp_path: Path) -> None:
    _, _, forest = grown(odd_rows(100))
    arrays = unpack_arrays(pack_arrays(forest.arrays()))
    assert Forest.from_arrays(arrays, forest.features).score(odd_rows(3)).shape == (3,)
    inner = np.flatnonzero(arrays["child"] != np.arange(len(arrays["child"])))
    arrays[name][inner[3] if name in ("child", "feature") else 0] = value
    with pytest.raises(DetectorError, match="no trees"):
        Forest.from_arrays(arrays, forest.features)


def test_arrays_with_objects_are_refused() -> None:
    with pytest.raises(DetectorError, match="arrays"):
        unpack_arrays(b"no archive")
    with pytest.raises(DetectorError, match="missing"):
        Forest.from_arrays({}, 3)


@pytest.mark.parametrize(
    "settings", [{"trees": 0}, {"tree_rows": 1}, {"alert_share": 0.0}, {"sample_rows": 0}, {"least_positives": 0}]
)
def test_unusable_parameters_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(DetectorError, match=next(iter(settings))):
        IsolationParameters(**settings)  # type: ignore[arg-type]
