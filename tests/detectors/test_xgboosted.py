"""XGBoost behind the contract: what differs from LightGBM, and what happens where it is not installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from greywater.detectors.boosted import BoostedParameters
from greywater.detectors.detector import Validation
from greywater.detectors.metrics import average_precision
from greywater.detectors.xgboosted import XGBoost, XGBoosted, load_xgboost
from greywater.errors import DetectorError, ExtraMissingError
from greywater.stores.blocks import TableRows
from greywater.vocab import Int64Array

QUICK = BoostedParameters(rounds=40, patience=20, rounds_without_validation=10, min_data_in_leaf=5)


def made(rows: int, seed: int, share: float = 0.05) -> tuple[TableRows, Int64Array]:
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < share).astype(np.int64)
    columns = {"a": rng.normal(size=rows) + 3 * y, "b": rng.normal(size=rows), "count": rng.poisson(2, rows) + y}
    return TableRows(pa.table(columns), batch_rows=500), y


def test_growing_stops_in_time_and_the_best_round_is_kept() -> None:
    (X, y), (later, truth) = made(1_500, 1), made(800, 2)
    parameters = BoostedParameters(rounds=300, patience=20, evaluate_every=5, learning_rate=0.5, lambda_l2=1.0)
    fitted = XGBoosted(parameters).fit(X, y, validation=Validation(later, truth))
    assert fitted.card["trees"] < 300
    assert fitted.card["trees"] % 5 == 0
    assert fitted._fitted is not None
    assert len(fitted._fitted.arrays.roots) == fitted.card["trees"]
    assert fitted.card["measures"]["average_precision"] == average_precision(truth, fitted.score(later)) > 0.5


def test_a_sample_of_the_honest_payments_keeps_the_odds() -> None:
    (X, y), (later, truth) = made(12_000, 1, 0.02), made(6_000, 2, 0.02)
    few = BoostedParameters(rounds=30, max_negatives=2_000, max_validation_negatives=1_000)
    fitted = XGBoosted(few).fit(X, y, validation=Validation(later, truth))
    bare = 1 / (1 + np.exp(-fitted.score(later)))
    assert bare.mean() == pytest.approx(0.02, rel=0.35)
    assert fitted.probability(later).mean() == pytest.approx(truth.mean(), rel=0.05)


def test_the_columns_used_most_are_named() -> None:
    X, y = made(1_500, 1)
    fitted = XGBoosted(QUICK).fit(X, y)
    most = fitted.card["most_used"]
    assert most[0]["feature"] == "a"
    assert sum(row["share_of_gain"] for row in most) == pytest.approx(1)


def test_weights_count() -> None:
    X, y = made(1_500, 1)
    weight = np.where(y == 1, 5.0, 1.0)
    heavier = XGBoosted(QUICK).fit(X, y, weight=weight).score(X).mean()
    assert heavier > XGBoosted(QUICK).fit(X, y).score(X).mean() + 0.5


def test_the_model_is_json_that_begins_where_it_says(tmp_path: Path) -> None:
    X, y = made(800, 1)
    XGBoosted(QUICK).fit(X, y).save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["detector.json", "model.json"]
    model = json.loads((tmp_path / "model.json").read_text())
    start = float(model["learner"]["attributes"]["greywater.start"])
    assert start == pytest.approx(np.log(y.mean() / (1 - y.mean())), rel=1e-5)


@pytest.mark.parametrize("text", ["", "{}", "no json", '{"learner": 3}'])
def test_texts_that_are_no_models_are_refused(text: str) -> None:
    with pytest.raises(DetectorError):
        XGBoost().read(text)


def test_where_it_is_not_installed_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    load_xgboost.cache_clear()
    try:
        with pytest.raises(ExtraMissingError, match=r"greywater\[boost\]"):
            load_xgboost()
    finally:
        load_xgboost.cache_clear()
