"""Exported trees: the bits of the libraries, one row as many, and texts that are no trees."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.detectors.boosted import Boosted, BoostedParameters
from greywater.detectors.single_row import TreeArrays, _below
from greywater.detectors.trees import LightGBM, read_trees
from greywater.detectors.xgboosted import XGBoost, XGBoosted
from greywater.errors import DetectorError
from greywater.stores.blocks import TableRows
from greywater.vocab import Float64Array

ROUNDS = 21  # not a multiple of the four trees that are walked side by side


def rows_of(count: int, seed: int, *, holes: bool = True) -> Float64Array:
    """Normal, heavy-tailed, counted and constant columns, the first with and the second without NaN."""
    draw = np.random.default_rng(seed)
    rows = np.column_stack(
        [draw.normal(size=count), draw.lognormal(3, 2, count), draw.poisson(3, count), np.ones(count)]
    )
    if holes:
        rows[draw.random(count) < 0.2, 0] = np.nan
    return rows


@pytest.fixture(scope="module", params=[Boosted, XGBoosted])
def fitted(request: pytest.FixtureRequest) -> Any:
    rows = rows_of(1_500, 1)
    y = (np.nan_to_num(rows[:, 0]) + 0.3 * rows[:, 2] > 2).astype(np.int64)
    table = TableRows(pa.table({name: rows[:, place] for place, name in enumerate("abcd")}))
    parameters = BoostedParameters(rounds_without_validation=ROUNDS, min_data_in_leaf=2, lambda_l2=0.5)
    return request.param(parameters, threads=1).fit(table, y)


def naive_margin(text: str, row: Float64Array) -> float:
    """LightGBM's own text, walked node by node."""
    total = 0.0
    for tree in text.split("\nTree=")[1:]:
        held = dict(line.split("=", 1) for line in tree.split("\n") if "=" in line)
        values = [float(value) for value in held["leaf_value"].split()]
        if int(held["num_leaves"]) == 1:
            total += values[0]
            continue
        parts: dict[str, list[float]] = {
            key: [float(each) for each in held[key].split()]
            for key in ("split_feature", "threshold", "decision_type", "left_child", "right_child")
        }
        node = 0
        while node >= 0:
            value = float(row[int(parts["split_feature"][node])])
            kind = int(parts["decision_type"][node])
            if np.isnan(value) and kind & 8:
                left = bool(kind & 2)
            else:
                left = (0.0 if np.isnan(value) else value) <= parts["threshold"][node]
            node = int(parts["left_child" if left else "right_child"][node])
        total += values[~node]
    return total


def odd_rows() -> Float64Array:
    """NaN where none was seen, infinities, the least and the greatest numbers."""
    values = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, -1e308, 1e-30]
    return np.array([[value] * 4 for value in values])


def test_lightgbm_margins_have_the_bits_of_its_batch(fitted: Any) -> None:
    if isinstance(fitted, XGBoosted):
        pytest.skip("the other library")
    booster = fitted._fitted.booster
    text = LightGBM().write(booster)
    arrays = TreeArrays.from_lightgbm(text)
    for rows in (rows_of(300, 2), rows_of(300, 3, holes=False), odd_rows()):
        margins = arrays.margins(rows)
        assert margins.tobytes() == booster.predict(rows, raw_score=True).tobytes()
        assert margins.tolist() == [naive_margin(text, row) for row in rows]


def test_xgboost_margins_have_the_bits_of_its_batch(fitted: Any) -> None:
    if not isinstance(fitted, XGBoosted):
        pytest.skip("the other library")
    import xgboost

    model = fitted._fitted.booster
    rows = rows_of(300, 2)
    begins = np.full(300, float(model.booster.attr("greywater.start")), np.float32)
    said = model.booster.predict(xgboost.DMatrix(rows, base_margin=begins), output_margin=True)
    assert XGBoost().arrays(model).margins(rows).astype(np.float32).tobytes() == said.tobytes()


def test_one_row_has_the_bits_of_many(fitted: Any) -> None:
    arrays = fitted._fitted.arrays
    assert len(arrays.roots) == ROUNDS
    rows = np.concatenate([rows_of(200, 5), odd_rows()])
    together = arrays.margins(rows)
    assert [arrays.margin(row) for row in rows] == together.tolist()
    assert [fitted.score_row(row) for row in rows] == together.tolist()
    many = np.tile(rows, (50, 1))
    assert arrays.margins(many, threads=2).tobytes() == arrays.margins(many, threads=1).tobytes()


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.floats(allow_nan=False))
def test_a_float32_threshold_becomes_the_same_split_of_float64(limit: float, value: float) -> None:
    greatest = float(_below(np.array([limit], np.float32))[0])
    with np.errstate(over="ignore"):
        narrow = np.float32(value)
    assert (value <= greatest) == bool(narrow < np.float32(limit))


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_threshold_is_the_greatest_that_falls_left(limit: float) -> None:
    greatest = _below(np.array([limit], np.float32))[0]
    with np.errstate(over="ignore"):
        assert np.float32(greatest) < np.float32(limit)
        assert np.float32(np.nextafter(greatest, np.inf)) >= np.float32(limit)


def test_a_model_of_single_leaves_gives_their_sum() -> None:
    text = "max_feature_idx=1\n\nTree=0\nnum_leaves=1\nnum_cat=0\nleaf_value=0.25\n\nTree=1\nnum_leaves=1\nnum_cat=0\n"
    arrays = TreeArrays.from_lightgbm(text + "leaf_value=-1\n")
    assert arrays.margin(np.array([np.nan, 3.0])) == -0.75
    assert arrays.margins(np.zeros((2, 2))).tolist() == [-0.75, -0.75]


GOOD = (
    "max_feature_idx=0\n\nTree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold=1.5\ndecision_type=2\n"
    "left_child=-1\nright_child=-2\nleaf_value=-0.25 0.5\nis_linear=0\n"
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("split_feature=0", "split_feature=1"),
        ("split_feature=0", "split_feature=-1"),
        ("left_child=-1", "left_child=0"),
        ("left_child=-1", "left_child=-2"),
        ("right_child=-2", "right_child=-9"),
        ("leaf_value=-0.25 0.5", "leaf_value=-0.25"),
        ("leaf_value=-0.25 0.5", "leaf_value=-0.25 nan"),
        ("threshold=1.5", "threshold=nan"),
        ("threshold=1.5", "threshold=x"),
        ("decision_type=2", "decision_type=1"),
        ("num_cat=0", "num_cat=1"),
        ("is_linear=0", "is_linear=1"),
        ("num_leaves=2", "num_leaves=0"),
        ("max_feature_idx=0", "min_feature_idx=0"),
    ],
)
def test_forged_texts_are_refused(old: str, new: str) -> None:
    assert TreeArrays.from_lightgbm(GOOD).margin(np.array([1.5])) == -0.25
    with pytest.raises(DetectorError) as raised:
        TreeArrays.from_lightgbm(GOOD.replace(old, new))
    assert raised.value.mend


def test_forged_xgboost_trees_are_refused() -> None:
    tree = {
        "left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0],
        "split_conditions": [1.5, -0.25, 0.5], "default_left": [1, 0, 0], "split_type": [0, 0, 0],
    }  # fmt: skip

    def text(**changes: Any) -> str:
        model = {
            "gradient_booster": {"model": {"trees": [tree | changes]}},
            "learner_model_param": {"num_feature": "1"},
        }
        return json.dumps({"learner": model})

    assert TreeArrays.from_xgboost(text(), 1.0).margin(np.array([1.5])) == 1.5
    for bad in ({"left_children": [2, -1, -1]}, {"left_children": [1, 0, -1]}, {"split_type": [1, 0, 0]},
                {"split_indices": [4, 0, 0]}, {"default_left": [1]}):  # fmt: skip
        with pytest.raises(DetectorError):
            TreeArrays.from_xgboost(text(**bad), 0.0)
    with pytest.raises(DetectorError):
        TreeArrays.from_xgboost("{}", 0.0)


def test_rows_of_another_width_are_refused(fitted: Any) -> None:
    arrays = fitted._fitted.arrays
    for wrong in (np.zeros(3), np.zeros(4, np.float32)):
        with pytest.raises(DetectorError, match="do not fit"):
            arrays.margin(wrong)
    with pytest.raises(DetectorError, match="do not fit"):
        arrays.margins(np.zeros((2, 5)))


def test_what_lightgbm_reads_is_what_is_exported() -> None:
    booster = read_trees(_trained())
    assert TreeArrays.from_lightgbm(_trained()).features == booster.num_feature() == 4


def _trained() -> str:
    rows = rows_of(400, 9)
    table = TableRows(pa.table({name: rows[:, place] for place, name in enumerate("abcd")}))
    model = Boosted(BoostedParameters(rounds_without_validation=2, min_data_in_leaf=5), threads=1)
    model.fit(table, (rows[:, 2] > 3).astype(np.int64))
    assert model._fitted is not None
    return LightGBM().write(model._fitted.booster)
