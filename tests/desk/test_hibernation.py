"""Hibernation keeps what it says: the cut, the draw, the estimate and its interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.desk.hibernation import (
    HibernationPolicy,
    Sleep,
    _at_most,
    estimate_recall,
    hibernate,
    hibernation_cut,
    proportion_interval,
)
from greywater.errors import UsageError

scored = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8).map(float)), max_size=60)


@given(scored, st.sampled_from([0.5, 0.9, 0.95, 0.99, 1.0]))
def test_the_cut_is_the_highest_that_keeps_the_floor(rows: list[tuple[int, float]], floor: float) -> None:
    y, score = np.array([r[0] for r in rows], np.int64), np.array([r[1] for r in rows])
    cut = hibernation_cut(y, score, floor)
    reported = score[y == 1]
    if not len(reported):
        assert cut.threshold == -math.inf
        assert cut.recall is None
        return
    keeps = [t for t in reported if np.mean(reported >= t) >= floor - 1e-12]
    assert cut.threshold == max(keeps)
    assert cut.kept == int(np.sum(reported >= cut.threshold))
    assert cut.low <= cut.kept / cut.reported <= cut.high
    assert cut.saved == pytest.approx(np.mean(score < cut.threshold))


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (5, 10, 0.1871, 0.8129), (50, 50, 0.9289, 1.0), (0, 0, 0.0, 1.0)],
)
def test_the_interval_of_a_share_is_clopper_pearson(hits: int, trials: int, low: float, high: float) -> None:
    found = proportion_interval(hits, trials)
    assert found == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 40), st.integers(0, 40), st.floats(0.01, 0.99))
def test_the_binomial_tail_is_the_sum(hits: int, trials: int, chance: float) -> None:
    slow = sum(math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(min(hits, trials) + 1))
    assert _at_most(hits, trials, chance) == pytest.approx(min(slow, 1.0), abs=1e-9)


def test_who_is_drawn_follows_from_seed_and_id_alone() -> None:
    ids = [f"a{n}" for n in range(400)]
    score = np.linspace(0, 1, 400)
    policy = HibernationPolicy(sample=0.2, uncertainty=0.0)
    whole = dict(zip(ids, hibernate(ids, score, 2.0, policy), strict=True))
    order = np.random.default_rng(1).permutation(400)[:200]
    part = hibernate([ids[n] for n in order], np.zeros(200), 2.0, policy)
    assert [whole[ids[n]].state for n in order] == [sleep.state for sleep in part]
    drawn = sum(sleep.state == "sampled" for sleep in whole.values())
    assert 50 <= drawn <= 110
    other = hibernate(ids, score, 2.0, HibernationPolicy(sample=0.2, uncertainty=0.0, seed=8))
    assert [sleep.state for sleep in other] != [sleep.state for sleep in whole.values()]


def test_uncertainty_takes_the_nearest_below_the_cut_and_weighs_nothing() -> None:
    ids = [f"a{n}" for n in range(1_000)]
    score = np.arange(1_000.0)
    sleeps = hibernate(ids, score, 800.0, HibernationPolicy(sample=0.05, uncertainty=0.2))
    uncertain = [n for n, sleep in enumerate(sleeps) if sleep.chosen_by == "uncertainty"]
    drawn = {n for n, sleep in enumerate(sleeps) if sleep.chosen_by == "random"}
    assert len(uncertain) == round(0.05 * 0.2 * 800) == 8
    assert uncertain == sorted([n for n in range(799, 0, -1) if n not in drawn][:8])
    assert {sleeps[n].chance for n in uncertain} == {0.0}
    assert {sleeps[n].chance for n in drawn} == {HibernationPolicy().random_rate}
    assert all(sleep == Sleep("work", "rank", 1.0) for sleep in sleeps[800:])


def test_mandatory_alerts_and_those_without_a_score_stay_awake() -> None:
    sleeps = hibernate(["a", "b", "c"], np.array([0.0, math.nan, 0.0]), 0.5, HibernationPolicy(sample=0.0),
                       mandatory=np.array([True, False, False]))  # fmt: skip
    assert [(sleep.state, sleep.chosen_by) for sleep in sleeps] == [
        ("work", "mandatory"),
        ("work", "rank"),
        ("hibernated", ""),
    ]


def trial(seed: int, missed: int, asleep: int, policy: HibernationPolicy) -> tuple[float | None, float, float]:
    """The estimate where `missed` of `asleep` alerts are reportable, and only the sample is looked at."""
    ids = [f"{seed}:{n}" for n in range(asleep)]
    truth = np.zeros(asleep, np.int64)
    truth[:missed] = 1
    # The reportable ones score highest, so uncertainty finds most of them: an estimate that used it would be wrong.
    score = np.where(truth == 1, 0.9, 0.1)
    sleeps = hibernate(ids, score, 1.0, policy)
    seen = np.where([sleep.state == "sampled" for sleep in sleeps], truth, -1)
    found = estimate_recall(sleeps, seen)
    return found.missed, found.missed_low, found.missed_high


def test_the_estimate_is_unbiased_and_its_interval_covers() -> None:
    policy = HibernationPolicy(sample=0.25, uncertainty=0.2)
    trials = [trial(seed, 40, 600, policy) for seed in range(250)]
    estimates = np.array([each[0] for each in trials], np.float64)
    error = np.std(estimates) / math.sqrt(len(estimates))
    assert abs(np.mean(estimates) - 40) < 4 * error
    covered = np.mean([low <= 40 <= high for _, low, high in trials])
    assert covered >= 0.93


def test_no_hit_is_not_no_miss() -> None:
    sleeps = [Sleep("work", "rank", 1.0)] * 50 + [Sleep("sampled", "random", 0.05)] * 50
    sleeps += [Sleep("hibernated", "", 0.05)] * 950
    seen = estimate_recall(sleeps, np.array([1] * 50 + [0] * 50 + [-1] * 950))
    assert (seen.missed, seen.recall) == (0.0, 1.0)
    assert seen.recall_low is not None
    assert 50 < seen.missed_high < 90
    assert seen.recall_low == pytest.approx(50 / (50 + seen.missed_high))


def test_what_was_not_reviewed_yet_lowers_the_chance() -> None:
    sleeps = [Sleep("sampled", "random", 0.2)] * 10 + [Sleep("hibernated", "", 0.2)] * 40
    half = estimate_recall(sleeps, np.array([1] + [0] * 4 + [-1] * 45))
    assert (half.reviewed, half.missed) == (5, pytest.approx(10.0))
    none = estimate_recall(sleeps, np.full(50, -1))
    assert (none.missed, none.recall) == (None, None)
    assert none.missed_high == 50


def test_nobody_asleep_means_nothing_missed() -> None:
    seen = estimate_recall([Sleep("work", "rank", 1.0)] * 3, np.array([1, 0, 1]))
    assert (seen.recall, seen.recall_low, seen.recall_high) == (1.0, 1.0, 1.0)


def test_different_chances_and_lengths_are_refused() -> None:
    mixed = [Sleep("hibernated", "", 0.1), Sleep("hibernated", "", 0.2)]
    with pytest.raises(UsageError, match="different chances"):
        estimate_recall(mixed, np.array([-1, -1]))
    with pytest.raises(UsageError, match="do not fit"):
        estimate_recall(mixed, np.array([-1]))


@pytest.mark.parametrize("wrong", [{"floor": 0.0}, {"sample": 1.5}, {"uncertainty": 1.0}, {"confidence": 1.0}])
def test_shares_outside_their_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        HibernationPolicy(**wrong)  # type: ignore[arg-type]


def test_the_policy_says_itself() -> None:
    said = HibernationPolicy().words()
    for figure in ("99.0%", "5.0%", "4.0%", "1.0%", "seed 7"):
        assert figure in said
