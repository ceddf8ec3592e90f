"""Calibration keeps the order and says what came; thresholds flag what they were chosen to flag."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from greywater.detectors.calibration import Platt, Rank, from_json
from greywater.detectors.threshold import Threshold
from greywater.errors import DetectorError

finite = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(st.tuples(finite, st.integers(0, 1)), min_size=1, max_size=60))
def test_platt_never_turns_the_order_round(rows: list[tuple[float, int]]) -> None:
    score = np.array([row[0] for row in rows])
    y = np.array([row[1] for row in rows])
    platt = Platt.fit(y, score)
    assert platt.slope > 0
    probability = platt(np.sort(score))
    assert np.isfinite(probability).all()
    assert (np.diff(probability) >= 0).all()
    assert 0 <= probability[0] <= probability[-1] <= 1


def test_platt_finds_the_logistic_curve_that_made_the_labels() -> None:
    rng = np.random.default_rng(1)
    score = rng.normal(size=50_000) * 3 - 2
    y = (rng.random(50_000) < 1 / (1 + np.exp(-(0.7 * score - 1)))).astype(np.int64)
    platt = Platt.fit(y, score)
    assert platt.slope == pytest.approx(0.7, abs=0.03)
    assert platt.intercept == pytest.approx(-1, abs=0.05)
    model = LogisticRegression(C=1e12, tol=1e-10).fit(score[:, None], y)
    assert platt.slope == pytest.approx(float(model.coef_[0, 0]), abs=1e-3)
    assert platt(score).mean() == pytest.approx(y.mean(), rel=1e-3)


def test_platt_weights_count_rows() -> None:
    rng = np.random.default_rng(2)
    score = rng.normal(size=400)
    y = (rng.random(400) < 1 / (1 + np.exp(-score))).astype(np.int64)
    twice = Platt.fit(np.r_[y, y], np.r_[score, score])
    weighted = Platt.fit(y, score, np.full(400, 2.0))
    assert weighted.slope == pytest.approx(twice.slope, rel=1e-6)
    assert weighted.intercept == pytest.approx(twice.intercept, rel=1e-6)


def test_a_slice_the_score_separates_or_ranks_backwards_still_gives_a_usable_curve() -> None:
    y = np.array([0] * 50 + [1] * 5)
    apart = Platt.fit(y, np.r_[np.zeros(50), np.full(5, 10.0)])
    assert 0 < apart.slope < 100
    backwards = Platt.fit(y, np.r_[np.full(50, 10.0), np.zeros(5)])
    assert backwards.slope == pytest.approx(1.0)
    nobody = Platt.fit(np.zeros(50, np.int64), np.linspace(-1, 1, 50))
    assert nobody.slope == pytest.approx(1.0)
    assert nobody(np.linspace(-1, 1, 50)).mean() < 0.05
    assert not Platt.fit(np.empty(0, np.int64), np.empty(0)).fitted
    with pytest.raises(DetectorError, match="not finite"):
        Platt.fit(np.array([0, 1]), np.array([0.0, np.inf]))


@given(st.lists(finite, min_size=1, max_size=300), st.lists(finite, min_size=2, max_size=50))
def test_ranks_rise_with_the_score_and_stay_inside(reference: list[float], asked: list[float]) -> None:
    rank = Rank.fit(np.array(reference))
    shares = rank(np.sort(np.array(asked)))
    assert (shares >= 0).all()
    assert (shares <= 1).all()
    assert (np.diff(shares) >= 0).all()
    assert from_json(json.loads(json.dumps(rank.to_json()))) == rank


def test_ranks_tell_far_from_farther_in_both_tails() -> None:
    rank = Rank.fit(np.random.default_rng(0).random(1_000))
    shares = rank(np.array([-20.0, -10.0, 0.5, 2.0, 3.0, 40.0]))
    assert (np.diff(shares) > 0).all()


def test_ranks_are_fine_in_the_upper_tail() -> None:
    reference = np.sort(np.random.default_rng(3).normal(size=100_000))
    rank = Rank.fit(reference)
    top = reference[-100:]
    assert np.abs((1 - rank(top)) / ((100 - np.arange(100) - 0.5) / 100_000) - 1).max() < 0.25


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": "other"},
        {"kind": "platt", "slope": 0.0, "intercept": 0.0, "fitted": True},
        {"kind": "platt", "slope": float("nan"), "intercept": 0.0, "fitted": True},
        {"kind": "rank", "scores": [], "shares": []},
        {"kind": "rank", "scores": [1, 0], "shares": [0.1, 0.2]},
        {"kind": "rank", "scores": [0, 1], "shares": [0.2]},
    ],
)
def test_a_calibration_that_was_not_written_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(DetectorError, match="calibration"):
        from_json(data)


def test_thresholds_survive_json() -> None:
    y, score = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.8, 0.7])
    for threshold in (
        Threshold.choose(y, score),
        Threshold.choose(y, score, by="cost", cost_missed=5, cost_wasted=1),
        Threshold.choose(np.zeros(4, np.int64), score),
        Threshold.highest(score, 0.5),
        Threshold.highest(np.empty(0), 0.5),
    ):
        assert Threshold.from_json(json.loads(json.dumps(threshold.to_json(), allow_nan=False))) == threshold


def test_a_threshold_that_flags_nothing_is_infinite() -> None:
    nothing = Threshold.choose(np.zeros(3, np.int64), np.array([1.0, 2.0, 3.0]))
    assert not nothing.flags(np.array([1e300])).any()


def test_a_share_flags_that_share() -> None:
    score = np.random.default_rng(0).permutation(1_000).astype(float)
    for share in (0.001, 0.01, 0.5, 0.999):
        assert Threshold.highest(score, share).flags(score).sum() == round(1_000 * share)


def test_unusable_thresholds_are_refused() -> None:
    with pytest.raises(DetectorError, match="two costs"):
        Threshold.choose(np.array([0, 1]), np.array([0.0, 1.0]), by="cost", cost_missed=1)
    with pytest.raises(DetectorError, match="share"):
        Threshold.highest(np.array([1.0]), 1.0)
    with pytest.raises(DetectorError, match="cannot be read"):
        Threshold.from_json({"by": "f1", "value": "high"})
