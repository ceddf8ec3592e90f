"""Layers, curves and errors against their slow twins, and the same bits whatever rows are beside a row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.detectors.scaling import Scaling
from greywater.kernels.dense import apart, dense, far
from tests import naive_networks as naive


def _ran(rows: np.ndarray, weight: np.ndarray, bias: np.ndarray, slope: float) -> np.ndarray:
    out = np.empty((len(rows), len(bias)), np.float32)
    dense(rows, weight, bias, np.float32(slope), out)
    return out


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 11), st.integers(1, 21), st.integers(1, 40), st.integers(0, 2**31))
def test_a_layer_is_its_twins_and_a_row_has_the_same_bits_alone(rows: int, inputs: int, width: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    given_rows, weight = (draw.normal(size=shape).astype(np.float32) for shape in ((rows, inputs), (inputs, width)))
    bias = draw.normal(size=width).astype(np.float32)
    found = _ran(given_rows, weight, bias, 0.1)
    assert np.allclose(found, np.array(naive.layer(given_rows, weight, bias, 0.1)).reshape(rows, width), atol=1e-4)
    for place in range(rows):
        assert np.array_equal(_ran(given_rows[place : place + 1], weight, bias, 0.1)[0], found[place])


def test_columns_beyond_the_inputs_are_not_looked_at() -> None:
    draw = np.random.default_rng(3)
    rows, weight, bias = draw.normal(size=(5, 9)).astype("f4"), draw.normal(size=(6, 4)).astype("f4"), np.zeros(4, "f4")
    assert np.array_equal(_ran(rows, weight, bias, 1.0), _ran(np.ascontiguousarray(rows[:, :6]), weight, bias, 1.0))


@pytest.mark.parametrize("size", [1.0, 1e12, 1e38])
def test_errors_are_their_twins_and_stay_finite(size: float) -> None:
    draw = np.random.default_rng(5)
    rows = (draw.normal(size=(20, 70)) * size).clip(-3e38, 3e38).astype(np.float32)
    refined = np.concatenate([-rows, np.ones((20, 26), np.float32)], axis=1)
    found, alone = np.empty(20), np.empty(20)
    apart(rows, refined, found)
    far(rows, alone)
    assert np.isfinite(found).all()
    assert found == pytest.approx([naive.apart(row, -row) for row in rows], rel=1e-12)
    assert alone == pytest.approx([naive.apart(row, 0 * row) for row in rows], rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["quantile", "standard"]))
def test_scaled_values_lie_on_the_curves(seed: int, method: str) -> None:
    draw = np.random.default_rng(seed)
    sample = draw.lognormal(size=(int(draw.integers(2, 700)), 3)).round(int(draw.integers(0, 4)))
    sample[:, 1] = np.where(draw.random(len(sample)) < 0.2, np.nan, sample[:, 1])
    scaling = Scaling.learn(sample, method)  # type: ignore[arg-type]
    rows = np.concatenate([sample[:7] * draw.normal(), [[np.inf, np.nan, -np.inf], [np.nan, 0.0, 1e300]], sample[:600]])
    with np.errstate(all="ignore"):
        drawn = np.copysign(np.log1p(np.minimum(np.abs(rows), np.finfo(float).max)), rows)
    found = scaling(rows)
    given_columns = [drawn[:, place] for place in scaling.kept] + [1.0 * np.isnan(rows[:, p]) for p in scaling.flagged]
    for place, column in enumerate(given_columns):
        curve = slice(int(scaling.starts[place]), int(scaling.starts[place + 1]))
        knots, values = scaling.knots[curve].tolist(), scaling.values[curve].tolist()
        assert found[:, place] == pytest.approx([naive.on_curve(x, knots, values) for x in column.tolist()], abs=1e-12)


def test_picked_columns_are_those_of_the_whole() -> None:
    draw = np.random.default_rng(8)
    sample = draw.normal(size=(900, 6))
    sample[draw.random((900, 6)) < 0.1] = np.nan
    scaling = Scaling.learn(sample)
    columns = np.array([0, 2, 5, 6, 10])
    assert scaling.width == 12
    assert np.array_equal(scaling.picked(columns)(sample), scaling(sample)[:, columns])
