"""Rank scales and the second level's weights, against slow twins and invariants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.detectors.calibration import Isotonic
from greywater.detectors.combination import Combination, CombinationParameters, anomaly_share, fit_weights
from greywater.detectors.part_scores import PartScores, RankScale
from greywater.errors import DetectorError
from greywater.vocab import Float64Array

FINITE = st.floats(-1e6, 1e6)
KIND = st.sampled_from(["log", "reciprocal"])


@given(st.lists(FINITE, min_size=1, max_size=60), st.lists(FINITE, min_size=2, max_size=20), KIND)
def test_a_scale_rises_and_one_score_has_the_bits_of_many(
    reference: list[float], asked: list[float], kind: str
) -> None:
    scale = RankScale.fit(np.array(reference), kind)  # type: ignore[arg-type]
    given_scores = np.sort(np.array([*asked, *reference, np.inf, -np.inf]))
    levels = scale(given_scores)
    assert np.isfinite(levels).all()
    assert (np.diff(levels) >= 0).all()
    assert [scale.level(float(score)) for score in given_scores] == levels.tolist()
    assert scale.level(float("nan")) == scale(np.array([np.nan]))[0] == 0


@given(st.lists(FINITE, min_size=2, max_size=60, unique=True))
def test_reference_payments_keep_their_order_strictly(reference: list[float]) -> None:
    values = np.sort(np.round(np.array(reference), 3))
    levels = RankScale.fit(values)(values)
    assert (np.diff(levels)[np.diff(values) > 0] > 0).all()


def naive_level(reference: Float64Array, score: float, kind: str) -> float:
    """Level of a reference payment, counted one by one."""
    above = sum(1.0 if other > score else 0.5 if other == score else 0.0 for other in reference)
    tail = above / len(reference)
    return -np.log(tail) if kind == "log" else 61 / (60 + above)


@pytest.mark.parametrize("kind", ["log", "reciprocal"])
def test_levels_are_counted_ranks(kind: str) -> None:
    reference = np.random.default_rng(1).integers(0, 40, 200).astype(np.float64)
    scale = RankScale.fit(reference, kind)  # type: ignore[arg-type]
    naive = np.array([naive_level(reference, score, kind) for score in reference])
    assert np.allclose(scale(reference), naive - naive.mean(), atol=1e-12)


def test_scales_come_back_from_json_and_forged_ones_do_not() -> None:
    scale = RankScale.fit(np.random.default_rng(1).normal(size=500))
    assert RankScale.from_json(scale.to_json()) == scale
    for bad in ({"scores": [1.0, 0.0], "levels": [0.0, 1.0], "mean": 0.0}, {"scores": [], "levels": [], "mean": 0.0},
                {"scores": [0.0], "levels": [float("nan")], "mean": 0.0}, {"scores": [0.0]}):  # fmt: skip
        with pytest.raises(DetectorError):
            RankScale.from_json(bad)


def loss(levels: Float64Array, y: Float64Array, w: Float64Array, b: float, prior: Float64Array, pull: float) -> float:
    z = levels @ w + b
    return float((np.logaddexp(0, z) - y * z).sum() + pull / 2 * ((w - prior) ** 2).sum())


@given(st.integers(0, 10_000), st.sampled_from([0.1, 1.0, 10.0]))
def test_no_small_step_within_the_bounds_lowers_the_loss(seed: int, pull: float) -> None:
    draw = np.random.default_rng(seed)
    levels = draw.exponential(size=(300, 3)) - 1
    truth = draw.normal(size=3)
    y = (draw.random(300) < 1 / (1 + np.exp(2 - levels @ truth))).astype(np.int64)
    prior, cap = draw.random(3), np.where(draw.random(3) < 0.3, 0.2, np.inf)
    weights, bias = fit_weights(levels, y, prior, cap, pull)
    assert ((weights >= 0) & (weights <= cap)).all()
    reached = loss(levels, y, weights, bias, prior, pull)
    for place in range(4):
        for step in (1e-3, -1e-3):
            moved, shifted = weights.copy(), bias
            if place < 3:
                moved[place] = np.clip(moved[place] + step, 0, cap[place])
            else:
                shifted += step
            assert loss(levels, y, moved, shifted, prior, pull) >= reached - 1e-6


def test_without_bounds_the_weights_are_those_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    draw = np.random.default_rng(3)
    levels = draw.exponential(size=(2_000, 2))
    y = (draw.random(2_000) < 1 / (1 + np.exp(3 - levels @ np.array([1.0, 0.5])))).astype(np.int64)
    weights, bias = fit_weights(levels, y, np.zeros(2), np.full(2, np.inf), 1.0)
    peer = LogisticRegression(C=1.0, tol=1e-8, max_iter=1_000).fit(levels, y)
    assert np.allclose(weights, peer.coef_[0], atol=1e-3)
    assert bias == pytest.approx(float(peer.intercept_[0]), abs=1e-3)


def scores(rows: int, seed: int) -> tuple[PartScores, np.ndarray]:
    draw = np.random.default_rng(seed)
    y = (draw.random(rows) < 0.1).astype(np.int64)
    return PartScores(
        ("boosted", "rules.hits"), np.column_stack([draw.normal(size=rows) + 2 * y, draw.random(rows)])
    ), y


def test_few_labels_change_little_and_many_outweigh_the_prior() -> None:
    said, y = scores(2_000, 1)
    parameters = CombinationParameters({"boosted": 1.0, "rules": 0.4})
    assert Combination.fused(said, parameters).weights == (1.0, 0.4)
    two = np.zeros(2_000, np.int64)
    two[np.flatnonzero(y)[:2]] = 1
    few = Combination.fit(said, two, parameters, positives=2)
    many = Combination.fit(said, y, CombinationParameters({"boosted": 3.0, "rules": 3.0}), positives=200)
    assert abs(few.weights[1] - 0.4) < 0.6
    assert many.weights[1] < 0.5 < many.weights[0]  # two hundred labels outweigh a wrong prior


def test_labels_that_were_not_known_by_then_count_as_none() -> None:
    said, y = scores(2_000, 1)
    parameters = CombinationParameters({})
    known = np.where(np.arange(2_000) < 1_000, 10, 30)
    late = Combination.fit(said, y, parameters, positives=9, known_since=known, as_of=20)
    early = np.where(np.arange(2_000) < 1_000, y, 0)
    assert late == Combination.fit(said, early, parameters, positives=9)
    assert late != Combination.fit(said, y, parameters, positives=9)


def test_a_part_that_says_nothing_counts_as_an_average_one() -> None:
    said, y = scores(2_000, 1)
    made = Combination.fit(said, y, CombinationParameters({}), positives=200)
    silent = PartScores(said.names, np.full((1, 2), np.nan))
    assert made.score(silent).tolist() == [made.bias] == [made.score_one((np.nan, np.nan))]
    assert Combination.from_json(made.to_json()) == made


def test_scores_that_do_not_fit_are_refused() -> None:
    said, y = scores(100, 1)
    made = Combination.fit(said, y, CombinationParameters({}), positives=10)
    with pytest.raises(DetectorError, match="the scores are"):
        made.score(PartScores(("other",), np.zeros((2, 1))))
    with pytest.raises(DetectorError, match="do not fit"):
        PartScores(("a", "a"), np.zeros((2, 2)))
    with pytest.raises(DetectorError):
        CombinationParameters({"a": -1.0})


@given(st.integers(0, 1_000), st.integers(1, 100))
def test_the_anomaly_share_falls_from_one_to_nothing(positives: int, fade: int) -> None:
    share = anomaly_share(positives, fade)
    assert 0 <= share <= 1
    assert share >= anomaly_share(positives + 1, fade)
    assert (share == 0) == (positives >= fade)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=1, max_size=50))
def test_isotonic_steps_are_those_of_scikit_learn(drawn: list[tuple[int, int]]) -> None:
    from sklearn.isotonic import IsotonicRegression

    y, score = np.array([each[0] for each in drawn]), np.array([float(each[1]) for each in drawn])
    steps = Isotonic.fit(y, score)
    said = steps(score)
    assert np.allclose(said, IsotonicRegression().fit(score, y).predict(score))
    assert (np.diff(said[np.argsort(score, kind="stable")]) >= 0).all()
    assert (np.diff(steps.chances) > 0).all()


def test_where_labels_come_too_late_to_weigh_what_learned_from_earlier_ones_speaks_alone() -> None:
    draw, chosen = np.random.default_rng(2), CombinationParameters({"boosted": 1.0, "isolation": 0.5, "rules": 0.5})
    scores = PartScores(("boosted", "isolation", "rules.hits"), draw.normal(size=(2_000, 3)))
    unknown = np.zeros(2_000, np.int64)
    late = Combination.fit(scores, unknown, chosen, positives=60, learned=["boosted"])
    assert late.how == "one part"
    assert [bool(weight) for weight in late.weights] == [True, False, False]
    assert (np.argsort(late.score(scores)) == np.argsort(scores.of("boosted"))).all()

    few = Combination.fit(scores, unknown, chosen, positives=5, learned=["boosted"])
    untaught = Combination.fit(scores, unknown, chosen, positives=60)
    assert few.how == untaught.how == "fitted"
    known = unknown.copy()
    known[:40] = 1
    assert Combination.fit(scores, known, chosen, positives=60, learned=["boosted"]) == Combination.fit(
        scores, known, chosen, positives=60
    )
