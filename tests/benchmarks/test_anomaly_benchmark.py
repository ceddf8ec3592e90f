"""The benchmark of anomaly detectors: who contends, how settings are chosen, and intervals that are Student's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from anomaly_contest import CONTESTANTS, Contestant
from anomaly_sets import Contest, Judged
from bench_anomaly import chosen, contend, interval
from greywater.detectors.isolation import Isolation, IsolationParameters
from greywater.detectors.metrics import average_precision
from greywater.detectors.outlier_kinds import OUTLIER_KINDS
from greywater.detectors.outlier_tails import Ecod
from greywater.stores.blocks import TableRows


def judged(seed: int) -> Judged:
    draw = np.random.default_rng(seed)
    y = (np.arange(400) % 20 == 0).astype(np.int64)
    return Judged(TableRows(pa.table({"a": draw.normal(size=400) + 5 * y, "b": draw.normal(size=400)})), y, 1.0)


def contest() -> Contest:
    learn = judged(1)
    return Contest(learn.X, learn.y, judged(2), judged(3))


def test_every_classic_detector_contends() -> None:
    kinds = [make(7).kind for each in CONTESTANTS for make in list(each.settings.values())[:1]]
    assert "isolation" in kinds
    assert [kind for kind in kinds if kind in OUTLIER_KINDS] == list(OUTLIER_KINDS)


def test_the_better_setting_is_chosen_and_judged() -> None:
    blind = IsolationParameters(trees=1, tree_rows=2)
    both = Contestant("both", {"blind": lambda seed: Isolation(blind, seed=seed), "ecod": lambda seed: Ecod(seed=seed)})
    assert chosen(both, contest(), 7, "unlabelled") == "ecod"
    found = contend(both, [contest()], 2, "good only")[""]
    assert found.setting == "ecod"
    assert len(found.precision) == 2
    assert min(found.precision) > 0.5
    assert min(found.area) > 0.9


def test_other_scores_of_what_was_fitted_are_judged_beside() -> None:
    maker = {"": lambda seed: Ecod(seed=seed)}
    both = Contestant("both", maker, beside={"the same": lambda fitted: fitted})
    found = contend(both, [contest()], 1, "unlabelled")
    assert found[""].precision == found["the same"].precision


def test_honest_rows_stand_for_those_left_out() -> None:
    rows = judged(4)
    score = np.random.default_rng(5).normal(size=400) + rows.y
    thinned = np.flatnonzero((rows.y == 1) | (np.arange(400) % 2 == 0))
    half = Judged(rows.X, rows.y[thinned], 2.0).average_precision(score[thinned])
    assert half == pytest.approx(average_precision(rows.y, score), abs=0.1)
    assert rows.average_precision(score) == pytest.approx(average_precision(rows.y, score))


def test_an_interval_is_students() -> None:
    assert interval([0.5]) == "0.500"
    assert interval([0.4, 0.5, 0.6]) == "0.500 ± 0.248"
