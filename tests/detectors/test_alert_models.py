"""Models of alerts: the six, imbalance and its remedies, drift, and what columns are worth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.detectors import alert_models
from greywater.detectors.alert_drift import UPKEEP, drift_study, quarter_matrix
from greywater.detectors.alert_imbalance import imbalance_study
from greywater.detectors.alert_models import (
    ALERT_MODELS,
    QUICK_MODELS,
    AlertRows,
    Spread,
    contest,
    fit_alert_model,
    one_thread_of_algebra,
    scaled_on,
)
from greywater.detectors.column_worth import (
    WorthPlan,
    column_worth,
    local_surrogate,
    permutation_importance,
    rank_agreement,
)
from greywater.detectors.resampling import REMEDIES, rebalanced, smote, thinned_to_rate
from greywater.errors import DetectorError
from tests import naive_alerts


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread_of_algebra():
        yield


def rows(n: int = 300, seed: int = 1, columns: int = 4, strength: float = 2.5, rate: float = 0.25) -> AlertRows:
    draw = np.random.default_rng(seed)
    y = (draw.random(n) < rate).astype(np.int64)
    X = draw.normal(size=(n, columns))
    X[:, 0] += strength * y
    return AlertRows(X, y)


def test_every_model_finds_a_signal_and_none_finds_noise() -> None:
    found = contest(rows(200), rows(seed=2), seeds=1)
    assert list(found) == list(ALERT_MODELS)
    for name, spread in found.items():
        assert spread.mean is not None
        assert spread.mean > (0.6 if name == "decision_tree" else 0.7), name
    noise = contest(rows(500, strength=0), rows(1_000, seed=2, strength=0), models=QUICK_MODELS, seeds=2)
    for spread in noise.values():
        assert spread.mean == pytest.approx(0.5, abs=0.08)


def test_the_same_seeds_give_the_same_figures_whatever_the_threads() -> None:
    one = contest(rows(), rows(seed=2), models=QUICK_MODELS, seeds=2, threads=1)
    two = contest(rows(), rows(seed=2), models=QUICK_MODELS, seeds=2, threads=2)
    assert one == two
    assert len(set(one["random_forest"].values)) == 2


def test_scale_of_the_columns_does_not_matter() -> None:
    train, test = rows(), rows(seed=2)
    factor = np.array([1e-6, 1.0, 1e4, 1.0])
    wide = contest(AlertRows(train.X * factor, train.y), AlertRows(test.X * factor, test.y), models=["svm"], seeds=1)
    plain = contest(train, test, models=["svm"], seeds=1)
    assert wide["svm"].mean == pytest.approx(plain["svm"].mean, abs=0.01)
    assert scaled_on(np.ones((3, 1)))[0].tolist() == [[0.0]] * 3


def test_a_support_vector_machine_is_given_a_sample_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_models, "MOST_SVM_ROWS", 100)
    sampled = fit_alert_model("svm", rows(), seed=1, weight=np.ones(300))
    other = fit_alert_model("svm", rows(), seed=2)
    X = rows(seed=3).X
    assert not np.array_equal(sampled(X), other(X))


def test_what_cannot_be_fitted_is_said() -> None:
    with pytest.raises(DetectorError, match="no model 'crystal ball'"):
        fit_alert_model("crystal ball", rows(), seed=1)
    with pytest.raises(DetectorError, match="one outcome"):
        fit_alert_model("svm", AlertRows(np.zeros((3, 1)), np.zeros(3, np.int64)), seed=1)
    with pytest.raises(DetectorError, match="outcomes for rows"):
        AlertRows(np.zeros((3, 1)), np.zeros(2, np.int64))


@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 40), st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_smote_is_its_slow_twin(n: int, columns: int, count: int, neighbours: int, seed: int) -> None:
    X = np.random.default_rng(seed).normal(size=(n, columns))
    slow = naive_alerts.smote(X.tolist(), count, seed, neighbours)
    assert np.allclose(smote(X, count, seed, neighbours), np.array(slow).reshape(count, columns), atol=1e-12)


def test_smote_makes_rows_between_neighbours_and_no_others() -> None:
    X = np.array([[0.0, 0.0], [1.0, 0.0], [100.0, 0.0], [101.0, 0.0]])
    made = smote(X, 200, seed=1, neighbours=1)
    assert ((made[:, 0] <= 1) | (made[:, 0] >= 100)).all()  # never between the two pairs
    assert len(np.unique(made[:, 0])) > 190
    with pytest.raises(DetectorError, match="no row"):
        smote(X[:0], 1, seed=1)


@given(st.integers(2, 200), st.integers(1, 100), st.floats(0.001, 0.6), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_alerts_are_thinned_to_a_rate(dismissed: int, reported: int, rate: float, seed: int) -> None:
    y = np.repeat([0, 1], [dismissed, reported])
    kept = thinned_to_rate(y, rate, seed)
    assert (np.diff(kept) > 0).all()
    assert 0 < y[kept].sum() < len(kept)
    assert dismissed in (len(kept) - y[kept].sum(), dismissed)
    # One outcome stays whole, and the other is as near as a whole number can be.
    assert y[kept].sum() == reported or len(kept) - y[kept].sum() == dismissed
    if min(y[kept].sum(), len(kept) - y[kept].sum()) > 1:
        assert abs(y[kept].mean() - rate) <= 1 / len(kept)


def test_remedies_balance_and_change_nothing_else() -> None:
    before = rows(rate=0.1)
    reported = int(before.y.sum())
    dismissed = len(before.y) - reported
    counts = {name: rebalanced(name, before, 1)[0].y for name in REMEDIES}
    assert {name: (int(y.sum()), int((y == 0).sum())) for name, y in counts.items()} == {
        "none": (reported, dismissed), "weights": (reported, dismissed), "under": (reported, reported),
        "over": (dismissed, dismissed), "smote": (dismissed, dismissed),
    }  # fmt: skip
    weighed, weight = rebalanced("weights", before, 1)
    assert weight is not None
    assert weight[weighed.y == 1].sum() == pytest.approx(weight[weighed.y == 0].sum())
    for name in ("none", "under", "over"):
        assert {tuple(row) for row in rebalanced(name, before, 1)[0].X} <= {tuple(row) for row in before.X}
    with pytest.raises(DetectorError, match="no remedy"):
        rebalanced("prayer", before, 1)
    with pytest.raises(DetectorError, match="rate of 0"):
        thinned_to_rate(before.y, 0.0, 1)


def test_rarer_reports_teach_less_and_every_cell_is_there() -> None:
    train, test = rows(3_000, columns=6, strength=1), rows(2_000, seed=2, columns=6, strength=1)
    cells = imbalance_study(train, test, models=["logistic_regression", "lightgbm"], rates=(0.17, 0.005), seeds=2)
    assert len(cells) == 2 * 2 * len(REMEDIES)
    at = {(cell.rate, cell.remedy, cell.model): cell for cell in cells}
    plenty, few = (at[rate, "none", "logistic regression"].auc.mean for rate in (0.17, 0.005))
    assert plenty is not None
    assert few is not None
    assert plenty > few
    assert at[0.005, "none", "LightGBM"].reported == 11


def quarters(turn: bool) -> list[tuple[str, AlertRows]]:
    """Eight quarters; after the fourth, where `turn`, the other column tells."""
    found = []
    for number in range(8):
        part = rows(400, seed=number, rate=0.3)
        X = part.X[:, ::-1] if turn and number >= 4 else part.X
        found.append((f"Q{number}", AlertRows(X, part.y)))
    return found


def test_drift_is_seen_where_there_is_some_and_upkeep_mends_it() -> None:
    for turn in (True, False):
        cells = quarter_matrix(quarters(turn), models=["logistic_regression"], seeds=2)
        assert len(cells) == 28
        at = {(cell.learned, cell.measured): cell.auc.mean or 0.0 for cell in cells}
        assert at["Q0", "Q3"] > 0.75
        assert (at["Q0", "Q6"] < 0.6) == turn
        assert at["Q5", "Q6"] > 0.75
        points = drift_study(quarters(turn), models=["logistic_regression"], labels=100, seeds=3)
        mean = {(point.upkeep, point.measured): point.auc.mean or 0.0 for point in points}
        for way in ("retrained", "active", "all outcomes"):
            assert (mean[way, "Q7"] > mean["none", "Q7"] + 0.1) == turn
        given = {point.upkeep: point.labels for point in points if point.measured == "Q7"}
        assert given == {"none": 400, "retrained": 1_000, "active": 1_000, "all outcomes": 2_800}
    assert list(UPKEEP) == ["none", "retrained", "active", "all outcomes"]


def test_drift_needs_both_outcomes_to_begin_with() -> None:
    blind = [("Q0", AlertRows(np.zeros((3, 1)), np.zeros(3, np.int64))), *quarters(False)]
    assert {cell.learned for cell in quarter_matrix(blind, models=["decision_tree"], seeds=1)} == {
        f"Q{n}" for n in range(7)
    }
    with pytest.raises(DetectorError, match="first quarter"):
        drift_study(blind, models=["decision_tree"], seeds=1)
    with pytest.raises(DetectorError, match="0 outcomes"):
        drift_study(quarters(False), models=["decision_tree"], labels=0, seeds=1)


def test_permutation_importance_is_its_slow_twin_and_finds_the_planted_column() -> None:
    part = rows(60, columns=3)
    weights = np.array([1.0, 0.2, 0.0])
    fast = permutation_importance(lambda X: X @ weights, part.X, part.y, repeats=3, seed=5)
    slow = naive_alerts.permutation_importance(
        lambda row: float(np.dot(np.array(row), weights)), part.X.tolist(), part.y.tolist(), 3, 5
    )
    assert np.allclose(fast, slow)
    assert fast[0] > 0.1 > abs(fast[1])
    assert fast[2] == 0.0
    with pytest.raises(DetectorError, match="one outcome"):
        permutation_importance(lambda X: X[:, 0], part.X, np.zeros(60, np.int64))


def test_three_ways_find_the_planted_column_in_every_model() -> None:
    plan = WorthPlan(test_rows=300, repeats=2, explained=6, background=5, coalitions=64, draws=500)
    found = column_worth(rows(200), rows(400, seed=2), models=tuple(ALERT_MODELS), plan=plan)
    for each in found:
        for worth in (each.permutation, each.shapley, each.surrogate):
            assert int(np.argmax(worth)) == 0, each.model
        document = each.to_json(["a", "b", "c", "d"])
        assert document["columns"][0]["column"] == "a"
        assert document["agreement"]["permutation_shapley"] is not None


def test_a_local_surrogate_is_local() -> None:
    kink = local_surrogate(lambda X: np.abs(X[:, 0]), np.array([50.0, 0.0]))
    assert kink == pytest.approx([1.0, 0.0], abs=0.05)
    assert local_surrogate(lambda X: np.abs(X[:, 0]), np.array([-50.0, 0.0]))[0] == pytest.approx(-1.0, abs=0.05)


def test_ranks_agree_or_there_is_nothing_to_rank() -> None:
    assert rank_agreement(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == -1.0
    assert rank_agreement(np.array([1.0, 1.0]), np.array([3.0, 2.0])) is None
    assert Spread(()).mean is None
