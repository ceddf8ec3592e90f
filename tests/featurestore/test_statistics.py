"""Statistics equal a slow twin; those of parts, merged, equal those of the whole or keep the bound they state."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import RefusedTypeError, UsageError
from greywater.featurestore.distinct_count import Distinct, hashes_of_numbers, hashes_of_texts
from greywater.featurestore.histogram import MOST_BINS, Histogram
from greywater.featurestore.moments import Moments
from greywater.featurestore.quantile_summary import PROBABILITIES, QuantileSummary
from greywater.featurestore.statistics import FeatureStatistics, GroupStatistics, describe, merge
from greywater.featurestore.top_values import LONGEST_TEXT, MOST_KEPT, TopValues
from tests import naive_quality as naive

MOMENT = pa.timestamp("us", tz="UTC")
INT64 = st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5) | st.sampled_from([-(2**63), 2**63 - 1, 2**53 + 1])
FLOAT = st.floats(allow_subnormal=True) | st.sampled_from([0.0, -0.0, 1.0, 1.5, 1e308, -1e308, 5e-324, math.inf])
#: Values whose squares and sums stay within what floats hold well.
TAME = st.floats(-1e6, 1e6, allow_subnormal=False, width=32)
TEXT = st.text(max_size=12) | st.sampled_from(["", "wire", "cash", "é", "x" * 300])


def columns(values: st.SearchStrategy[Any], most: int = 40) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | values, max_size=most)


def described(values: list[Any], dtype: pa.DataType) -> FeatureStatistics:
    return describe(pa.table({"x": pa.array(values, dtype, from_pandas=False)})).features[0]


def close(found: float | None, wanted: float | None, scale: float = 0.0) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-12 * scale)


@given(columns(INT64))
def test_whole_numbers_equal_the_twin(values: list[int | None]) -> None:
    found = described(values, pa.int64())
    there = naive.finite(values)
    assert (found.rows, found.nulls, found.nans) == (len(values), values.count(None), 0)
    assert (found.least, found.greatest) == ((min(there), max(there)) if there else (None, None))
    assert (found.distinct.count, found.distinct.exact) == (len(set(there)), True)
    assert found.mean == naive.mean(values)
    assert close(found.deviation, naive.deviation(values))
    assert found.top is not None
    assert [(one.value, one.count) for one in found.top.values] == naive.most_frequent(values, MOST_KEPT)
    _assert_shape(found, values, 0, 0)


@given(columns(FLOAT))
def test_floats_equal_the_twin(values: list[float | None]) -> None:
    found = described(values, pa.float64())
    there = naive.finite(values)
    known = [value for value in values if value is not None]
    assert (found.rows, found.nulls) == (len(values), values.count(None))
    assert found.nans == sum(map(math.isnan, known))
    assert (found.below_all, found.above_all) == (known.count(-math.inf), known.count(math.inf))
    assert (found.least, found.greatest) == ((min(there), max(there)) if there else (None, None))
    assert found.distinct.count == len({value for value in known if not math.isnan(value)})
    assert found.top is None
    largest = max(map(abs, there), default=0)
    assert close(found.mean, naive.mean(values), largest)
    assert math.isinf(found.deviation or 0) or close(found.deviation, naive.deviation(values), largest)
    narrowest = max(math.frexp(largest)[1] - 53, -64)
    _assert_shape(found, values, narrowest, -64)


def _assert_shape(found: FeatureStatistics, values: list[Any], narrowest: int, lowest: int) -> None:
    there = naive.finite(values)
    assert found.magnitudes is not None
    zeros, positive, negative = naive.octaves(values, lowest)
    assert (found.magnitudes.zeros, dict(found.magnitudes.positive), dict(found.magnitudes.negative)) == (
        zeros, positive, negative,
    )  # fmt: skip
    if not there:
        assert found.histogram is None
        assert found.quantile(0.5) is None
        return
    assert found.histogram is not None
    assert (found.histogram.exponent, found.histogram.first, list(found.histogram.counts)) == naive.histogram(
        values, MOST_BINS, narrowest
    )
    for p in PROBABILITIES:
        assert close(found.quantile(p), naive.quantile(values, p), max(map(abs, there)))


@given(columns(TEXT))
def test_texts_equal_the_twin(values: list[str | None]) -> None:
    found = described(values, pa.string())
    there = naive.finite(values)
    assert (found.rows, found.nulls, found.distinct.count) == (len(values), values.count(None), len(set(there)))
    ends = (min(there)[:LONGEST_TEXT], max(there)[:LONGEST_TEXT]) if there else (None, None)
    assert (found.least, found.greatest) == ends
    assert found.top is not None
    counts = [(one.value, one.count) for one in found.top.values]
    assert [count for _, count in counts] == [count for _, count in naive.most_frequent(values, MOST_KEPT)]
    assert counts == [(value, there.count(value)) for value, _ in counts if len(str(value)) < 200] or "x" * 300 in there
    assert (found.moments, found.quantiles, found.histogram) == (None, None, None)


@given(columns(st.booleans()))
def test_bools_equal_the_twin(values: list[bool | None]) -> None:
    found = described(values, pa.bool_())
    there = naive.finite(values)
    assert found.mean == naive.mean(values)
    assert (found.least, found.greatest) == ((min(there), max(there)) if there else (None, None))
    assert found.top is not None
    assert [(one.value, one.count) for one in found.top.values] == naive.most_frequent(values, 2)
    assert all(isinstance(one.value, bool) for one in found.top.values)


@given(columns(st.integers(-(2**50), 2**61)))
def test_timestamps_are_whole_microseconds(values: list[int | None]) -> None:
    found, wholes = described(values, MOMENT), described(values, pa.int64())
    assert (found.dtype, found.top, found.magnitudes) == ("timestamp", None, None)
    assert (found.moments, found.quantiles, found.histogram) == (wholes.moments, wholes.quantiles, wholes.histogram)


@pytest.mark.parametrize("dtype", [pa.int8(), pa.int16(), pa.int32(), pa.float32()])
def test_narrow_numbers(dtype: pa.DataType) -> None:
    values = [1, 2, None, 2]
    found, wide = described(values, dtype), described(values, pa.float64())
    assert (found.mean, found.deviation, found.quantiles) == (wide.mean, wide.deviation, wide.quantiles)


@pytest.mark.parametrize("dtype", [pa.int64(), pa.float64(), pa.string(), pa.bool_(), MOMENT, pa.float32(), pa.int8()])
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_nothing_but_nulls(dtype: pa.DataType, rows: int) -> None:
    found = describe(pa.table({"x": pa.nulls(rows, dtype)}))
    feature = found.features[0]
    assert (found.rows, feature.nulls, feature.distinct.count, feature.least, feature.quantile(0.5)) == (
        rows,
        rows,
        0,
        None,
        None,
    )
    assert GroupStatistics.from_json(found.to_json()) == found
    assert merge([found, found]).features[0].nulls == 2 * rows


def test_what_cannot_be_described() -> None:
    with pytest.raises(RefusedTypeError, match="of type list"):
        describe(pa.table({"x": [[1]]}))
    with pytest.raises(RefusedTypeError, match="no single column 'y'"):
        describe(pa.table({"x": [1]}), ["y"])


def test_dictionaries_and_chunks_and_chosen_columns() -> None:
    chunks = pa.chunked_array([["a", None], ["b", "a"]])
    rows = pa.table({"t": chunks.dictionary_encode(), "u": chunks, "v": pa.chunked_array([[1.0], [2.0, None, 2.0]])})
    found = describe(rows, ["t", "u"])
    assert found.by_name["t"].top == found.by_name["u"].top
    assert list(found.by_name) == ["t", "u"]
    assert describe(rows).by_name["v"].mean == pytest.approx(5 / 3)


# ------------------------------------------------------------------- merging

ROWS = st.fixed_dictionaries({"w": INT64, "n": TAME, "t": TEXT, "b": st.booleans()})
SCHEMA = pa.schema([("w", pa.int64()), ("n", pa.float64()), ("t", pa.string()), ("b", pa.bool_())])


@given(st.lists(st.lists(ROWS, max_size=15), min_size=1, max_size=5))
def test_a_few_values_merge_to_what_the_whole_gives(parts: list[list[dict[str, Any]]]) -> None:
    whole = describe(pa.Table.from_pylist([row for part in parts for row in part], SCHEMA))
    merged = merge([describe(pa.Table.from_pylist(part, SCHEMA)) for part in parts])
    for found, wanted in zip(merged.features, whole.features, strict=True):
        for name in FeatureStatistics.__dataclass_fields__:
            if name == "moments" and found.name == "n":
                largest = max(abs(float(wanted.least or 0)), abs(float(wanted.greatest or 0)))
                assert close(found.mean, wanted.mean, largest)
                assert close(found.deviation, wanted.deviation, 1e6 * largest)
            else:
                assert getattr(found, name) == getattr(wanted, name), (found.name, name)


@given(st.lists(st.lists(FLOAT.filter(math.isfinite), max_size=5), min_size=1, max_size=4))
def test_moments_of_floats_merge_in_any_order(parts: list[list[float]]) -> None:
    moments = [Moments.of_numbers(np.array(part, np.float64)) for part in parts]
    assert Moments.merged(moments) == Moments.merged(moments[::-1])
    largest = max((abs(value) for part in parts for value in part), default=0.0)
    assert close(Moments.merged(moments).mean, naive.mean([value for part in parts for value in part]), largest)


def streams(seed: int) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(seed)
    return {
        "even": random.uniform(-1, 1, 20_000),
        "money": np.round(random.lognormal(5, 2, 20_000), 2),
        "counts": random.poisson(200, 20_000).astype(np.float64),
        "mostly zero": np.where(random.random(20_000) < 0.9, 0.0, random.normal(size=20_000)),
        "moving": np.arange(20_000) + random.normal(size=20_000),
    }


@pytest.mark.parametrize("parts", [2, 7, 200])
@pytest.mark.parametrize("name", sorted(streams(0)))
def test_merged_quantiles_keep_their_bound(name: str, parts: int) -> None:
    values = streams(5)[name]
    statistics = [describe(pa.table({"x": part})) for part in np.array_split(values, parts)]
    merged = merge(statistics).features[0]
    assert merged.quantiles is not None
    assert merged.quantiles.count == len(values)
    assert merged.quantiles.rank_error < 0.05
    for p in (*PROBABILITIES, 0.001, 0.1, 0.33, 0.999):
        off = naive.rank_distance(values.tolist(), merged.quantiles.quantile(p), p)
        assert off <= merged.quantiles.rank_error, p
        assert off < 0.01, p


def test_summaries_of_summaries_keep_their_bound() -> None:
    values = streams(6)["money"]
    level = [describe(pa.table({"x": part})) for part in np.array_split(values, 64)]
    while len(level) > 1:
        level = [merge(level[at : at + 2]) for at in range(0, len(level), 2)]
    summary = level[0].features[0].quantiles
    assert summary is not None
    for p in PROBABILITIES:
        assert naive.rank_distance(values.tolist(), summary.quantile(p), p) <= min(summary.rank_error, 0.02)


@pytest.mark.parametrize("different", [100, 129, 1_000, 30_000, 200_000])
def test_distinct_counts_merge(different: int) -> None:
    values = np.arange(different, dtype=np.int64) * 7919
    parts = [values[: different * 2 // 3], values[different // 3 :]]
    merged = Distinct.merged([Distinct.of_hashes(hashes_of_numbers(part)) for part in parts])
    whole = Distinct.of_hashes(hashes_of_numbers(values))
    assert (whole.count, whole.exact) == (different, True)
    assert merged.exact == (different <= 128)
    assert merged.count == pytest.approx(different, rel=0 if merged.exact else 3 * 1.04 / math.sqrt(2048))
    assert (merged.registers, merged.hashes) == (whole.registers, whole.hashes)


@given(st.lists(st.text(max_size=40) | st.integers(240, 270).map(lambda n: "é" * (n // 2)), unique=True, max_size=30))
def test_hashes_of_texts(texts: list[str]) -> None:
    together = hashes_of_texts(pa.array(texts, pa.string()))
    assert len(set(together.tolist())) == len(texts)
    assert together.tolist() == [int(hashes_of_texts(pa.array([text]))[0]) for text in texts]
    sliced = pa.array(["before", *texts, "after"], pa.string()).slice(1, len(texts))
    assert together.tolist() == hashes_of_texts(sliced).tolist()


def test_hashes_stay_what_they_are() -> None:
    """Hashes are kept with commits: another release must give the same."""
    assert [f"{one:016x}" for one in hashes_of_texts(pa.array(["", "wire", "a longer text"])).tolist()] == HASHES[:3]
    assert [f"{one:016x}" for one in hashes_of_numbers(np.array([0, -1])).tolist()] == HASHES[3:5]
    assert [f"{one:016x}" for one in hashes_of_numbers(np.array([0.5])).tolist()] == HASHES[5:]


HASHES = [
    "e220a8397b1dcdaf",
    "f55701ba2e793667",
    "27021aed129ab748",
    "e220a8397b1dcdaf",
    "e4d971771b652c20",
    "f456984dd1d8ce6d",
]


def test_top_values_merge_with_a_bound() -> None:
    random = np.random.default_rng(3)
    parts = [random.zipf(1.3, 5_000).clip(max=10_000) for _ in range(6)]
    merged = merge([describe(pa.table({"x": part})) for part in parts]).features[0].top
    assert merged is not None
    counts = dict(naive.most_frequent(np.concatenate(parts).tolist(), 10_000))
    assert len(merged.values) == MOST_KEPT
    for one in merged.values:
        assert one.count <= counts[one.value] <= one.count + one.unsure
    listed = {one.value for one in merged.values}
    assert max(count for value, count in counts.items() if value not in listed) <= merged.unseen
    assert [one.value for one in merged.values[:5]] == [
        value for value, _ in naive.most_frequent(list(np.concatenate(parts)), 5)
    ]


def test_many_texts() -> None:
    texts = [f"C{n:04d}" for n in range(3_000)] + ["C1234"] * 5 + ["C0007"] * 5
    found = describe(pa.table({"x": texts})).features[0]
    assert found.distinct.count == 3_000
    assert found.top is not None
    assert [(one.value, one.count) for one in found.top.values[:3]] == [("C0007", 6), ("C1234", 6), ("C0000", 1)]
    assert (len(found.top.values), found.top.unseen) == (MOST_KEPT, 1)


def test_long_texts_are_named_by_their_beginning_and_a_hash() -> None:
    top = TopValues.of_texts(pa.array(["x" * 300, "x" * 301, "y"]), np.array([2, 1, 1]))
    names = [str(one.value) for one in top.values]
    assert len(set(names)) == 3
    assert all(len(name) <= LONGEST_TEXT for name in names)
    assert names[0].startswith("xxx")


# ---------------------------------------------------------------- JSON, edges


@given(st.lists(ROWS, max_size=10))
def test_json_holds_all(rows: list[dict[str, Any]]) -> None:
    found = describe(pa.Table.from_pylist(rows, SCHEMA))
    text = found.to_json()
    assert GroupStatistics.from_json(text) == found
    assert GroupStatistics.from_json(text).to_json() == text
    assert json.loads(text)["rows"] == len(rows)


def test_json_of_what_is_large() -> None:
    rows = pa.table({"x": np.arange(1_000) * 2.0**1010, "w": np.arange(1_000) - 2**62})
    found = describe(rows)
    again = GroupStatistics.from_json(found.to_json())
    assert again == found
    assert merge([found, again]).features[1].moments == describe(pa.concat_tables([rows, rows])).features[1].moments


def test_deviation_beyond_floats_is_infinite_and_merges() -> None:
    found = describe(pa.table({"x": [-1.7e308, 1.7e308]}))
    assert found.features[0].deviation == math.inf
    assert GroupStatistics.from_json(found.to_json()) == found
    assert merge([found, found]).features[0].deviation == math.inf


def test_statistics_of_other_features_do_not_merge() -> None:
    one, other = describe(pa.table({"x": [1]})), describe(pa.table({"y": [1]}))
    with pytest.raises(UsageError, match="different features"):
        merge([one, other])
    with pytest.raises(UsageError, match="no statistics"):
        merge([])


def test_edges_of_histograms() -> None:
    histogram = Histogram.of_sorted(np.array([-1.0, 0.0, 7.0]), np.array([1, 2, 3]))
    assert histogram.exponent == -2
    assert (histogram.edges[0], histogram.edges[-1], sum(histogram.counts)) == (-1.0, 7.25, 3)
    assert Histogram.of_sorted(np.array([1.7e308]), np.array([1])).edges[0] <= 1.7e308


def test_a_summary_of_many_commits_looks_at_few_points() -> None:
    random = np.random.default_rng(9)
    parts = [np.sort(random.normal(at / 100, 1, 300)) for at in range(300)]
    merged = QuantileSummary.merged([QuantileSummary.of_sorted(part, np.arange(1, 301)) for part in parts])
    values = np.concatenate(parts).tolist()
    assert len(merged.values) <= 128
    for p in PROBABILITIES:
        assert naive.rank_distance(values, merged.quantile(p), p) <= min(merged.rank_error, 0.01)
