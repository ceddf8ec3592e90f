"""The measures equal scikit-learn's where it has them, ties included, and are None where nothing is defined."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from greywater.detectors import metrics
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array


@st.composite
def labelled(draw: st.DrawFn) -> tuple[Int64Array, Float64Array]:
    rows = draw(st.integers(4, 60))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    levels = draw(st.sampled_from([2, 5, 1_000_000]))
    y = (rng.random(rows) < draw(st.sampled_from([0.1, 0.5, 0.9]))).astype(np.int64)
    y[:2] = 0, 1
    return y, np.round(rng.normal(size=rows) * 3 + y, 3) if levels > 10 else rng.integers(0, levels, rows).astype(float)


@given(labelled())
def test_area_measures_equal_sklearn(case: tuple[Int64Array, Float64Array]) -> None:
    y, score = case
    assert metrics.average_precision(y, score) == pytest.approx(reference.average_precision_score(y, score), abs=1e-12)
    assert metrics.roc_auc(y, score) == pytest.approx(reference.roc_auc_score(y, score), abs=1e-12)
    for rate in (0.01, 0.2, 1.0):
        wanted = reference.roc_auc_score(y, score, max_fpr=rate)
        assert metrics.partial_roc_auc(y, score, rate) == pytest.approx(wanted, abs=1e-12)


@given(labelled())
def test_measures_at_a_threshold_equal_sklearn(case: tuple[Int64Array, Float64Array]) -> None:
    y, score = case
    threshold = float(np.median(score))
    flagged = (score >= threshold).astype(int)
    at = metrics.at_threshold(y, score, threshold)
    assert at.precision == pytest.approx(reference.precision_score(y, flagged))
    assert at.recall == pytest.approx(reference.recall_score(y, flagged))
    assert at.f1 == pytest.approx(reference.f1_score(y, flagged))
    assert at.f2 == pytest.approx(reference.fbeta_score(y, flagged, beta=2))
    honest, wrong, missed, caught = reference.confusion_matrix(y, flagged, labels=[0, 1]).ravel()
    assert asdict(at.confusion) == {
        "true_positive": caught,
        "false_positive": wrong,
        "false_negative": missed,
        "true_negative": honest,
    }


@given(labelled())
def test_the_best_thresholds_are_the_best_of_all(case: tuple[Int64Array, Float64Array]) -> None:
    y, score = case
    best = metrics.at_threshold(y, score, metrics.best_f1_threshold(y, score)).f1
    assert best == max(metrics.at_threshold(y, score, value).f1 or 0.0 for value in score)
    for missed, wasted in ((100.0, 1.0), (1.0, 1.0), (1.0, 50.0)):
        costs = {"cost_missed": missed, "cost_wasted": wasted}
        chosen = metrics.best_cost_threshold(y, score, **costs)

        def cost(at: float, costs: dict[str, float] = costs) -> float:
            return metrics.expected_cost(metrics.at_threshold(y, score, at).confusion, **costs) or 0.0

        assert cost(chosen) == pytest.approx(min(cost(at) for at in [*score, np.inf]))


@given(labelled())
def test_alerts_saved_keep_the_floor_and_no_higher_threshold_does(case: tuple[Int64Array, Float64Array]) -> None:
    y, score = case
    for floor in metrics.alerts_saved(y, score):
        at = metrics.at_threshold(y, score, floor.threshold)
        assert at.recall is not None
        assert at.recall >= floor.floor - 1e-9
        assert floor.alerts == at.confusion.true_positive + at.confusion.false_positive
        assert floor.saved == pytest.approx(1 - floor.alerts / len(y))
        for higher in score[score > floor.threshold]:
            recall = metrics.at_threshold(y, score, float(higher)).recall
            assert recall is not None
            assert recall < floor.floor


@given(labelled())
def test_calibration_equals_sklearn(case: tuple[Int64Array, Float64Array]) -> None:
    y, score = case
    probability = 1 / (1 + np.exp(-score))
    measured = metrics.calibration(y, probability, edges=np.linspace(0, 1, 6).tolist())
    assert measured.brier == pytest.approx(reference.brier_score_loss(y, probability))
    assert sum(b.rows for b in measured.bins) == len(y)
    for held in measured.bins:
        inside = (probability >= held.low) & ((probability < held.high) | (held.high == 1.0))
        assert held.rows == inside.sum()
        if held.rows:
            assert held.mean_probability == pytest.approx(probability[inside].mean())
            assert held.share_positive == pytest.approx(y[inside].mean())
        else:
            assert held.mean_probability is None


def test_nothing_is_nan_where_nothing_is_defined() -> None:
    nobody, score = np.zeros(3, np.int64), np.array([0.1, 0.2, 0.3])
    measured = metrics.measure_payments(nobody, score, float("inf"), cost_missed=1, cost_wasted=1)
    assert measured.average_precision is None
    assert measured.roc_auc is None
    assert measured.partial_roc_auc is None
    assert measured.at_threshold.precision is None
    assert measured.at_threshold.recall is None
    assert measured.at_threshold.f1 is None
    assert "NaN" not in json.dumps(asdict(measured))
    empty = np.empty(0, np.int64), np.empty(0)
    assert metrics.measure_payments(*empty, 0.5).average_precision is None
    assert metrics.alerts_saved(*empty) == ()
    assert metrics.calibration(*empty).brier is None
    assert metrics.best_f1_threshold(nobody, score) == float("inf")
    assert metrics.best_cost_threshold(nobody, score, cost_missed=5, cost_wasted=1) == float("inf")
    assert metrics.roc_auc(np.ones(3, np.int64), score) is None


def test_budget_counts_alerts_for_precision_and_launderers_for_recall() -> None:
    measured = metrics.budget_measures(["a", "b", "a", "c"], {"a", "c", "d"})
    assert (measured.alerts, measured.hits, measured.found, measured.launderers) == (4, 3, 2, 3)
    assert measured.precision == 0.75
    assert measured.recall == pytest.approx(2 / 3)
    assert metrics.budget_measures([], set()) == metrics.BudgetMeasures(0, 0, 0, 0, None, None)


def test_recall_by_typology_is_none_without_typologies() -> None:
    assert metrics.recall_by_typology({"a"}, None) is None
    assert metrics.recall_by_typology({"a"}, {}) is None
    measured = metrics.recall_by_typology(["a", "b"], {"cycle": ["a", "a", "z"], "stack": []})
    assert measured is not None
    assert measured["cycle"] == metrics.TypologyRecall(2, 1, 0.5)
    assert measured["stack"].recall is None


def test_time_to_alert_takes_the_first_alert_at_or_after_the_first_dirty_payment() -> None:
    first = {"a": 10_000_000, "b": 20_000_000, "c": 0}
    alerts = [("a", 5_000_000), ("a", 40_000_000), ("a", 12_000_000), ("b", 20_000_000), ("x", 1)]
    measured = metrics.time_to_alert(first, alerts)
    assert (measured.accounts, measured.alerted) == (3, 2)
    assert measured.median_seconds == 1.0
    assert measured.mean_seconds == 1.0
    assert metrics.time_to_alert({}, []).median_seconds is None


@pytest.mark.parametrize(
    ("y", "score", "match"),
    [
        (np.array([0, 1]), np.array([0.1]), "do not fit"),
        (np.array([0, 2]), np.array([0.1, 0.2]), "0 or 1"),
        (np.array([0, 1]), np.array([0.1, np.nan]), "NaN"),
    ],
)
def test_unusable_input_is_refused(y: Int64Array, score: Float64Array, match: str) -> None:
    with pytest.raises(DetectorError, match=match):
        metrics.average_precision(y, score)


def test_unusable_settings_are_refused() -> None:
    y, score = np.array([0, 1]), np.array([0.1, 0.2])
    with pytest.raises(DetectorError, match="rate"):
        metrics.partial_roc_auc(y, score, 0.0)
    with pytest.raises(DetectorError, match="costs"):
        metrics.best_cost_threshold(y, score, cost_missed=-1, cost_wasted=1)
    with pytest.raises(DetectorError, match="outside"):
        metrics.calibration(y, np.array([0.5, 1.5]))


@pytest.mark.parametrize("floor", [1.5, -0.1, float("nan")])
def test_a_recall_that_cannot_be_is_refused(floor: float) -> None:
    with pytest.raises(DetectorError, match="recall floor"):
        metrics.alerts_saved(np.array([0, 1]), np.array([0.1, 0.2]), [floor])
