"""Kernel SHAP against enumeration over permutations, against TreeSHAP, and its laws."""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.detectors.boosted import Boosted, BoostedParameters
from greywater.detectors.isolation import Isolation
from greywater.detectors.kernel_shap import EXACT_UP_TO, explain_by_calls, kernel_shap
from greywater.errors import DetectorError
from greywater.stores.blocks import TableRows


def twisted(X: np.ndarray) -> np.ndarray:
    """A score with interactions, steps and missing values."""
    filled = np.nan_to_num(X, nan=-3.0)
    score = np.sin(filled[:, 0]) + filled[:, X.shape[1] // 2] * filled[:, -1]
    return np.asarray(score + np.where(filled[:, 0] > 0.5, filled.sum(axis=1), 0.0) + 0.1 * np.prod(filled, axis=1))


def by_permutations(row: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Mean marginal contribution over all orders in which features come in: the definition."""
    features = len(row)
    found = np.zeros(features)
    orders = list(permutations(range(features)))
    for order in orders:
        now = background.copy()
        before = float(twisted(now).mean())
        for feature in order:
            now[:, feature] = row[feature]
            after = float(twisted(now).mean())
            found[feature] += after - before
            before = after
    return found / len(orders)


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_few_features_are_exact(seed: int, features: int) -> None:
    generator = np.random.default_rng(seed)
    row, background = generator.normal(size=features), generator.normal(size=(3, features))
    row[generator.random(features) < 0.2] = np.nan
    (found,) = kernel_shap(twisted, row[None, :], background)
    assert found[-1] == pytest.approx(float(twisted(background).mean()))
    assert found[:-1] == pytest.approx(by_permutations(row, background), abs=1e-9)


def test_ten_features_are_exact_by_enumeration_of_coalitions() -> None:
    generator = np.random.default_rng(3)
    row, background = generator.normal(size=10), generator.normal(size=(2, 10))
    worth = {}
    for bits in range(2**10):
        inside = (bits >> np.arange(10) & 1).astype(bool)
        worth[bits] = float(twisted(np.where(inside[None, :], row[None, :], background)).mean())
    wanted = np.zeros(10)
    for feature in range(10):
        for bits in range(2**10):
            if not bits >> feature & 1:
                size = bits.bit_count()
                share = factorial(size) * factorial(9 - size) / factorial(10)
                wanted[feature] += share * (worth[bits | 1 << feature] - worth[bits])
    (found,) = kernel_shap(twisted, row[None, :], background)
    assert found[:-1] == pytest.approx(wanted, abs=1e-10)


def test_many_features_sum_to_the_score_and_come_near_the_truth() -> None:
    generator = np.random.default_rng(1)
    weights = generator.normal(size=30)
    row, background = generator.normal(size=30), generator.normal(size=(4, 30))

    def score(X: np.ndarray) -> np.ndarray:
        return np.asarray(X @ weights + 2 * X[:, 0] * X[:, 1])

    (found,) = kernel_shap(score, row[None, :], background, coalitions=2_000)
    assert found.sum() == pytest.approx(float(score(row[None, :])[0]))
    wanted = weights * (row - background.mean(axis=0))
    assert found[2:-1] == pytest.approx(wanted[2:], abs=0.35)
    (again,) = kernel_shap(score, row[None, :], background, coalitions=2_000)
    assert np.array_equal(found, again)


def test_a_linear_score_of_many_features_is_exact_whatever_is_drawn() -> None:
    generator = np.random.default_rng(2)
    weights, row, background = generator.normal(size=25), generator.normal(size=25), generator.normal(size=(3, 25))
    (found,) = kernel_shap(lambda X: X @ weights, row[None, :], background, coalitions=300)
    assert found[:-1] == pytest.approx(weights * (row - background.mean(axis=0)), abs=1e-9)


def test_features_as_in_the_background_get_nothing_and_cost_no_calls() -> None:
    asked = []

    def score(X: np.ndarray) -> np.ndarray:
        asked.append(len(X))
        return X[:, 0]

    background = np.zeros((2, 40))
    row = background[0].copy()
    row[0] = 5.0
    (found,) = kernel_shap(score, row[None, :], background)
    assert found[0] == 5.0
    assert not found[1:].any()
    assert sum(asked) <= 4


def test_groups_are_swapped_together_and_share_by_distance() -> None:
    weights = np.array([1.0, 1.0, 5.0])
    row, background = np.array([[3.0, 1.0, 1.0]]), np.zeros((1, 3))
    (found,) = kernel_shap(lambda X: X @ weights, row, background, groups=np.array([0, 0, 1]))
    assert found[0] + found[1] == pytest.approx(4.0)
    assert found[0] == pytest.approx(3 * found[1], rel=1e-6)
    assert found[2] == pytest.approx(5.0)


def tables() -> tuple[TableRows, np.ndarray]:
    generator = np.random.default_rng(5)
    X = generator.normal(size=(600, 4))
    y = (X[:, 0] + X[:, 1] * X[:, 2] + generator.normal(size=600) > 1).astype(np.int64)
    columns = {f"f{place}": X[:, place] for place in range(4)} | {"many": generator.integers(0, 9, 600)}
    return TableRows(pa.table(columns)), y


def test_it_ranks_the_features_of_trees_as_tree_shap_does() -> None:
    X, y = tables()
    parameters = BoostedParameters(rounds_without_validation=20, min_data_in_leaf=10, feature_fraction=1.0)
    detector = Boosted(parameters, threads=1).fit(X, y)
    few = X.slice(0, 6)
    found = explain_by_calls(detector, few, X.slice(100, 200))
    assert found.sum(axis=1) == pytest.approx(detector.score(few))
    assert np.corrcoef(found[:, :-1].ravel(), detector.explain(few)[:, :-1].ravel())[0, 1] > 0.9


def test_any_detector_is_explained() -> None:
    X, _ = tables()
    detector = Isolation(threads=1).fit(X)
    found = explain_by_calls(detector, X.slice(0, 2), X.slice(50, 60))
    assert found.shape == (2, 6)
    assert found.sum(axis=1) == pytest.approx(detector.score(X.slice(0, 2)))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DetectorError):
        kernel_shap(twisted, np.zeros((1, 3)), np.zeros((0, 3)))
    with pytest.raises(DetectorError):
        kernel_shap(twisted, np.zeros((1, 3)), np.zeros((1, 2)))
    with pytest.raises(DetectorError):
        kernel_shap(lambda X: np.full(len(X), np.nan), np.ones((1, 3)), np.zeros((1, 3)))
    with pytest.raises(DetectorError):
        kernel_shap(twisted, np.ones((1, 3)), np.zeros((1, 3)), groups=np.zeros(2, np.int64))
    assert EXACT_UP_TO >= 10


def test_an_infinite_value_leaves_no_hole() -> None:
    row = np.array([[np.inf, *[1.0] * 19]])
    found = kernel_shap(
        lambda X: np.nan_to_num(X, posinf=5.0).sum(axis=1), row, np.zeros((2, 20)), groups=np.arange(20) // 10
    )
    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(24.0)
