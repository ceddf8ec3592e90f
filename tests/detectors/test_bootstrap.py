"""Intervals by drawing parties again: twins on repeated rows, coverage, ties, edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from greywater.detectors.bootstrap import Interval, PartyBootstrap, ratio_interval, wilson
from greywater.detectors.metrics import (
    alerts_saved,
    at_threshold,
    average_precision,
    expected_cost,
    partial_roc_auc,
    roc_auc,
)
from greywater.errors import DetectorError


def rows(size: int, seed: int, parties: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = (generator.random(size) < 0.3).astype(np.int64)
    y[0] = 1
    score = np.round(generator.normal(size=size) + y, 1)
    return y, score, generator.integers(0, parties, size), generator.integers(0, parties, size)


def weights_of(bootstrap: PartyBootstrap) -> list[np.ndarray]:
    return list(bootstrap._draws())


@given(st.integers(0, 10_000), st.integers(2, 40))
def test_each_resample_is_measured_as_if_its_rows_were_repeated(seed: int, size: int) -> None:
    y, score, sender, receiver = rows(size, seed)
    drawn = PartyBootstrap(y, score, [sender, receiver], resamples=3, seed=seed)
    order = np.argsort(-score, kind="stable")
    for weight in weights_of(drawn):
        repeated = np.repeat(order, weight.astype(np.int64))
        truth, value = y[repeated], score[repeated]
        flagged = int(np.sum(score >= 0.5))
        found = drawn._measures(weight, flagged, (100.0, 1.0))
        at = at_threshold(truth, value, 0.5)
        wanted = {
            "average_precision": average_precision(truth, value),
            "roc_auc": roc_auc(truth, value),
            "partial_roc_auc": partial_roc_auc(truth, value),
            "precision": at.precision,
            "recall": at.recall,
            "false_positive_rate": at.false_positive_rate,
            "expected_cost": expected_cost(at.confusion, cost_missed=100, cost_wasted=1),
        }
        if truth.any():
            wanted |= {"f1": at.f1, "f2": at.f2}
        for name, value_wanted in wanted.items():
            assert found[name] == (None if value_wanted is None else pytest.approx(value_wanted)), name


def test_alerts_saved_of_a_resample_is_that_of_its_rows() -> None:
    y, score, sender, _ = rows(60, 5)
    drawn = PartyBootstrap(y, score, [sender], resamples=1, seed=3)
    (weight,) = weights_of(drawn)
    repeated = np.repeat(np.argsort(-score, kind="stable"), weight.astype(np.int64))
    wanted = [floor.saved for floor in alerts_saved(y[repeated], score[repeated])]
    found = drawn.saved((0.99, 0.95, 0.90))
    assert [interval.low for interval in found] == pytest.approx(wanted)
    assert [interval.high for interval in found] == pytest.approx(wanted)


def test_a_party_on_both_sides_counts_once_and_two_parties_multiply() -> None:
    y, score = np.array([1, 0, 0]), np.array([3.0, 2.0, 1.0])
    drawn = PartyBootstrap(y, score, [np.array([0, 1, 0]), np.array([0, 0, 1])], resamples=20)
    for weight in weights_of(drawn):
        assert weight[0] + (weight[1] / weight[0] if weight[0] else 0) in (0, 1, 2)
        assert weight[1] == weight[2]


def test_the_same_seed_gives_the_same_intervals_around_the_measure() -> None:
    y, score, sender, receiver = rows(4_000, 1, 500)
    found = PartyBootstrap(y, score, [sender, receiver], seed=4, resamples=60).payments(0.5)
    assert found == PartyBootstrap(y, score, [sender, receiver], seed=4, resamples=60).payments(0.5)
    assert found != PartyBootstrap(y, score, [sender, receiver], seed=5, resamples=60).payments(0.5)
    interval, value = found["average_precision"], average_precision(y, score)
    assert interval.low is not None
    assert interval.high is not None
    assert value is not None
    assert interval.low < value < interval.high
    wider = PartyBootstrap(y, score, [sender, receiver], seed=4, resamples=60, level=0.99).payments(0.5)
    assert wider["recall"].low < found["recall"].low  # type: ignore[operator]


def test_dependent_rows_give_wider_intervals_than_counting_them_as_independent() -> None:
    y, score, _, _ = rows(50, 2)
    y, score = np.tile(y, 20), np.tile(score, 20)
    alone = PartyBootstrap(y, score, [np.arange(1_000)], resamples=80).payments(0.5)["recall"]
    blocks = PartyBootstrap(y, score, [np.tile(np.arange(50), 20)], resamples=80).payments(0.5)["recall"]
    assert None not in (alone.low, alone.high, blocks.low, blocks.high)
    assert blocks.high - blocks.low > 2 * (alone.high - alone.low)  # type: ignore[operator]


def test_without_laundering_nothing_but_the_wasted_share_is_defined() -> None:
    found = PartyBootstrap(np.zeros(5, np.int64), np.arange(5.0), [np.arange(5)], resamples=9).payments(2.0)
    assert found["average_precision"] == found["recall"] == found["f1"] == Interval(None, None)
    assert found["false_positive_rate"].high is not None


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)],
)
def test_wilson_against_published_values(hits: int, trials: int, low: float, high: float) -> None:
    """Newcombe 1998, table I (method 3)."""
    found = wilson(hits, trials)
    assert found.low == pytest.approx(low, abs=1e-4)
    assert found.high == pytest.approx(high, abs=1e-4)
    assert wilson(0, 0) == Interval(None, None)


def test_wilson_covers_the_truth_about_as_often_as_it_says() -> None:
    hits = np.random.default_rng(0).binomial(60, 0.1, 400)
    inside = [found.low <= 0.1 <= found.high for hit in hits.tolist() if (found := wilson(hit, 60)).low is not None]  # type: ignore[operator]
    assert np.mean(inside) > 0.9


@given(arrays.arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 3)))
def test_a_ratio_lies_in_its_interval_or_the_interval_is_a_point(part: np.ndarray) -> None:
    whole = part + 1
    found = ratio_interval(part, whole, resamples=50)
    assert found.low is not None
    assert found.high is not None
    assert float(min(part / whole)) <= found.low <= found.high <= float(max(part / whole))


def test_what_does_not_fit_is_refused() -> None:
    y, score = np.array([0, 1]), np.array([0.1, 0.2])
    for parties in ([], [np.array([0])], [np.array([0, -1])]):
        with pytest.raises(DetectorError):
            PartyBootstrap(y, score, parties)
    with pytest.raises(DetectorError):
        PartyBootstrap(y, np.array([0.1, np.nan]), [np.arange(2)])
    with pytest.raises(DetectorError):
        PartyBootstrap(y, score, [np.arange(2)], resamples=0)
    with pytest.raises(DetectorError):
        wilson(1, 2, level=1.0)
    with pytest.raises(DetectorError):
        ratio_interval(np.ones(2), np.ones(3))
    assert ratio_interval(np.zeros(0), np.zeros(0)) == Interval(None, None)
