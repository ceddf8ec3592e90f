"""The plain model: its ranks, its least loss beside scikit-learn, its contributions, and what it refuses."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.detectors.metrics import roc_auc
from greywater.detectors.rank_logistic import RankLogistic, _ranks
from greywater.errors import DetectorError
from greywater.stores.blocks import TableRows


def sample(seed: int = 1, n: int = 400) -> tuple[TableRows, np.ndarray]:
    draw = np.random.default_rng(seed)
    y = (draw.random(n) < 0.2).astype(np.int64)
    telling = np.exp(draw.normal(size=n) + y)
    gappy = np.where(draw.random(n) < 0.3, np.nan, draw.normal(size=n) - y)
    columns = {"telling": telling, "gappy": gappy, "noise": draw.normal(size=n), "never": np.full(n, np.nan)}
    return TableRows(pa.table(columns), batch_rows=90), y


def test_slopes_are_scikit_learns() -> None:
    from sklearn.linear_model import LogisticRegression

    rows, y = sample()
    model = RankLogistic.fit(rows, y, ridge=4.0)
    values = np.column_stack([column.to_numpy() for column in rows.take(np.arange(rows.rows)).columns])
    peer = LogisticRegression(C=1 / 4.0, tol=1e-10, max_iter=5_000).fit(_ranks(values, model.knots), y)
    np.testing.assert_allclose(model.slope, peer.coef_[0], atol=1e-4)
    assert model.intercept == pytest.approx(peer.intercept_[0], abs=1e-4)
    assert model.slope[3] == 0.0


def test_it_ranks_and_its_contributions_sum_to_the_score() -> None:
    rows, y = sample()
    model = RankLogistic.fit(rows, y)
    later, truth = sample(2)
    score = model.score(later)
    auc = roc_auc(truth, score)
    assert auc is not None
    assert auc > 0.75
    np.testing.assert_allclose(model.explain(later).sum(axis=1), score)


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=60))
def test_ranks_rise_with_values_and_stay_inside(values: list[float]) -> None:
    column = np.array(values)
    y = np.arange(len(values) + 2) % 2
    rows = TableRows(pa.table({"a": np.concatenate([column, [0.0, 1.0]])}))
    model = RankLogistic.fit(rows, y)
    ranks = _ranks(np.sort(column)[:, None], model.knots)[:, 0]
    assert (np.diff(ranks) >= -1e-12).all()
    assert (np.abs(ranks) <= 0.5 + 1e-12).all()


def test_a_value_without_a_rank_says_nothing() -> None:
    rows, y = sample()
    model = RankLogistic.fit(rows, y)
    nothing = TableRows(pa.table({name: [float("nan")] for name in rows.names}))
    assert model.score(nothing).tolist() == [model.intercept]


def test_ties_have_the_rank_in_their_middle() -> None:
    rows = TableRows(pa.table({"flag": [0.0] * 80 + [1.0] * 20}))
    model = RankLogistic.fit(rows, np.arange(100) % 2)
    assert _ranks(np.array([[0.0], [1.0]]), model.knots).ravel().tolist() == pytest.approx([-0.1, 0.4], abs=0.01)


@pytest.mark.parametrize("y", [np.zeros(400, np.int64), np.ones(400, np.int64), np.zeros(3, np.int64)])
def test_what_cannot_be_learned_from_is_refused(y: np.ndarray) -> None:
    with pytest.raises(DetectorError, match="cannot be learned from"):
        RankLogistic.fit(sample()[0], y)
