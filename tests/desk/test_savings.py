"""False alerts removed at a recall: the line, its interval, and the line that was drawn beforehand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.desk.fusion import fuse_ranks, rank_shares
from greywater.desk.savings import false_alerts_removed
from greywater.errors import UsageError

rows_of = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6).map(float)), min_size=1, max_size=40)


@given(rows_of, st.sampled_from([0.5, 0.9, 0.95, 1.0]))
def test_the_line_is_the_slow_one(rows: list[tuple[int, float]], floor: float) -> None:
    y, score = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    found = false_alerts_removed(y, score, floors=[floor], draws=5)
    if y.min() == y.max():
        assert found == ()
        return
    keeps = [t for t in score if np.mean(score[y == 1] >= t) >= floor - 1e-12]
    (removal,) = found
    assert removal.threshold == max(keeps)
    assert removal.removed == pytest.approx(np.mean(score[y == 0] < max(keeps)))
    assert removal.kept >= floor - 1e-12


def sample(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    y = (draw.random(n) < 0.3).astype(np.int64)
    return y, draw.normal(size=n) + 1.5 * y


def test_the_interval_covers_what_a_large_sample_says() -> None:
    y, score = sample(0, 200_000)
    truth = false_alerts_removed(y, score, floors=[0.9], draws=1)[0].removed
    covered = 0
    for seed in range(1, 61):
        part = false_alerts_removed(*sample(seed, 300), floors=[0.9], draws=120)[0]
        covered += part.low <= truth <= part.high
    assert covered >= 51


def test_alerts_of_one_party_are_drawn_together() -> None:
    y, score = sample(3, 40)
    copies = [np.repeat(each, 25) for each in (y, score, np.arange(40))]
    alone = false_alerts_removed(copies[0], copies[1], floors=[0.8])[0]
    together = false_alerts_removed(*copies, floors=[0.8])[0]
    assert together.removed == alone.removed
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_a_line_drawn_beforehand_is_measured_here() -> None:
    before = (np.array([1, 1, 0]), np.array([0.4, 0.9, 0.1]))
    y, score = np.array([1, 0, 0, 1]), np.array([0.5, 0.45, 0.3, 0.2])
    (removal,) = false_alerts_removed(y, score, floors=[1.0], before=before)
    assert removal.beforehand is not None
    assert (removal.beforehand.threshold, removal.beforehand.recall, removal.beforehand.removed) == (0.4, 0.5, 0.5)
    none = false_alerts_removed(y, score, floors=[1.0], before=(np.zeros(2, np.int64), np.ones(2)))
    assert none[0].beforehand is None


def test_the_same_seed_gives_the_same_interval() -> None:
    y, score = sample(9, 100)
    first, again, other = (false_alerts_removed(y, score, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_nonsense_is_refused() -> None:
    with pytest.raises(UsageError, match="equally many"):
        false_alerts_removed(np.array([1, 0]), np.array([1.0]))
    with pytest.raises(UsageError, match="cannot be kept"):
        false_alerts_removed(np.array([1, 0]), np.array([1.0, 0.0]), floors=[0.0])


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(0, 4).map(float)), min_size=2, max_size=2), max_size=15))
def test_ranks_are_fused_as_the_page_says(rows: list[list[float | None]]) -> None:
    values = np.array([[math.nan if v is None else v for v in row] for row in rows], np.float64).reshape(-1, 2)
    shares, fused = rank_shares(values), fuse_ranks(values)
    for i, row in enumerate(rows):
        said = []
        for k, value in enumerate(row):
            known = [each[k] for each in rows if each[k] is not None]
            if value is None:
                assert math.isnan(shares[i, k])
                continue
            slow = sum(1.0 if v < value else 0.5 if v == value else 0.0 for v in known) / len(known)  # type: ignore[operator]
            assert shares[i, k] == pytest.approx(slow)
            said.append(slow)
        assert fused[i] == pytest.approx(sum(said) / len(said) if said else 0.5)
