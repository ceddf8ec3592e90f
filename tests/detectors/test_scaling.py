"""Columns on one scale: quantiles and moments as their slow twins say, nothing undefined, forged curves refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.detectors.saved import pack_arrays, unpack_arrays
from greywater.detectors.scaling import FARTHEST, KNOTS, Method, Scaling
from greywater.errors import DetectorError
from greywater.vocab import Float64Array
from tests import naive_outliers as naive

VALUE = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, math.nan, math.inf, -math.inf, 1e308]))


def column(*values: float) -> Float64Array:
    return np.array(values, np.float64)[:, None]


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUE, min_size=1, max_size=KNOTS // 3))
def test_quantiles_are_those_of_the_mid_ranks(values: list[float]) -> None:
    scaled = Scaling.learn(column(*values))(column(*values))
    drawn = [naive.drawn_in(each) for each in values if not math.isnan(each)]
    assert np.isfinite(scaled).all()
    if len(set(drawn)) > 1:
        for value, found in zip(values, scaled[:, 0], strict=True):
            # Not every mid-rank of many values has a point of the curve; of these few, each or its neighbours have.
            wanted = 0.0 if math.isnan(value) else naive.normal_quantile(naive.drawn_in(value), drawn)
            assert found == pytest.approx(wanted, abs=0.4 if drawn.count(naive.drawn_in(value)) == 1 else 0.6)


def test_a_normal_sample_stays_normal_and_keeps_its_order() -> None:
    draw = np.random.default_rng(1)
    sample = np.expm1(draw.normal(size=20_000))[:, None]
    scaled = Scaling.learn(sample)(sample)[:, 0]
    assert abs(scaled.mean()) < 0.01
    assert abs(scaled.std() - 1) < 0.02
    assert (np.diff(scaled[np.argsort(sample[:, 0], kind="stable")]) >= 0).all()


@pytest.mark.parametrize("method", ["quantile", "standard"])
def test_what_is_never_seen_is_cut_and_what_is_undefined_is_in_the_middle(method: Method) -> None:
    sample = np.column_stack([np.arange(100.0), np.full(100, 3.0), np.full(100, np.nan), np.r_[np.nan, np.ones(99)]])
    scaling = Scaling.learn(sample, method)
    # The constant and the column that is never defined are dropped; being undefined is a column of its own.
    assert scaling.sources.tolist() == [0, 3]
    odd = np.array([[np.inf, np.nan, 5.0, 1.0], [-np.inf, 9.0, np.nan, np.nan], [np.nan, 3.0, 0.0, 7.0]])
    scaled = scaling(odd)
    assert np.isfinite(scaled).all()
    assert np.abs(scaled).max() <= FARTHEST
    assert scaled[0, 0] > scaling(sample)[-2, 0]
    assert scaled[2, 0] == 0.0
    assert scaled[1, 1] > 2 > scaled[0, 1]


def test_columns_that_are_undefined_together_share_a_flag() -> None:
    sample = np.array([[1.0, np.nan, np.nan], [2.0, 5.0, 6.0], [3.0, 7.0, 8.0]])
    assert Scaling.learn(sample).flagged.tolist() == [1]


def test_moments_are_those_of_the_sample() -> None:
    sample = np.random.default_rng(2).lognormal(size=(1_000, 2))
    scaled = Scaling.learn(sample, "standard")(sample)
    assert np.allclose(scaled.mean(axis=0), 0, atol=1e-9)
    assert np.allclose(scaled.std(axis=0), 1, atol=1e-9)


def test_a_row_does_not_depend_on_the_others() -> None:
    sample = np.random.default_rng(3).lognormal(size=(500, 3))
    scaling = Scaling.learn(sample)
    together = scaling(sample)
    assert all(scaling(sample[place : place + 1]).tobytes() == together[place].tobytes() for place in (0, 7, 499))


def test_nothing_varies_and_nothing_comes_out() -> None:
    scaling = Scaling.learn(np.ones((5, 2)))
    assert scaling.width == 0
    assert scaling(np.zeros((3, 2))).shape == (3, 0)


def test_saved_curves_are_checked() -> None:
    scaling = Scaling.learn(np.random.default_rng(4).normal(size=(50, 2)))
    arrays = unpack_arrays(pack_arrays(scaling.arrays()))
    again = Scaling.from_arrays(arrays, "quantile", 2)
    rows = np.random.default_rng(5).normal(size=(9, 2))
    assert again(rows).tobytes() == scaling(rows).tobytes()
    for name, wrong in (("kept", [0, 2]), ("starts", [0, 1]), ("values", [np.nan]), ("knots", [[1.0]])):
        with pytest.raises(DetectorError, match=r"fit no columns|odd"):
            Scaling.from_arrays({**arrays, f"scaling.{name}": np.array(wrong)}, "quantile", 2)
    with pytest.raises(DetectorError, match="missing"):
        Scaling.from_arrays({}, "quantile", 2)
    with pytest.raises(DetectorError, match="cannot be scaled"):
        Scaling.learn(rows, "by hand")  # type: ignore[arg-type]
