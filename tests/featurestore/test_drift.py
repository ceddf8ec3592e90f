"""Measures of drift equal slow twins and SciPy; windows without drift raise no alert, those with drift do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import RefusedTypeError
from greywater.featurestore.definitions import FeatureField, FeatureGroup
from greywater.featurestore.distances import (
    chi_square,
    jensen_shannon,
    kolmogorov_smirnov,
    moved,
    pooled_bins,
    population_stability_index,
    wasserstein,
)
from greywater.featurestore.drift import DriftReport, DriftRow, Thresholds, Window, drift, group_drift
from greywater.featurestore.significance import (
    chi_squared_critical,
    chi_squared_tail,
    kolmogorov_critical,
    kolmogorov_tail,
)
from greywater.stores.feature_record_usage import DriftRows
from greywater.stores.record_database import RecordDatabase
from tests import naive_quality as naive

MOMENT = pa.timestamp("us", tz="UTC")
NUMBER = st.sampled_from([0.0, 1.0, 1.5, 2.0, -3.0]) | st.floats(-1e3, 1e3, width=32)
SAMPLE = st.lists(NUMBER, min_size=1, max_size=60)
COUNTS = st.integers(1, 8).flatmap(
    lambda bins: st.tuples(*[st.lists(st.integers(0, 30), min_size=bins, max_size=bins).filter(any)] * 2)
)
TIGHT = Thresholds(psi=0, jensen_shannon=0, kolmogorov_smirnov=0, wasserstein=0, cramers_v=0)


def by_measure(report: DriftReport) -> dict[str, DriftRow]:
    return {row.measure: row for row in report.rows}


# ------------------------------------------------------------------ distances


@given(COUNTS)
def test_measures_of_counts_equal_their_twins(counts: tuple[list[int], list[int]]) -> None:
    first, second = (np.array(one, np.int64) for one in counts)
    named = [dict(enumerate(one)) for one in counts]
    assert population_stability_index(first, second) == pytest.approx(naive.psi(*named), abs=1e-12)
    assert jensen_shannon(first, second) == pytest.approx(naive.jensen_shannon(*named), abs=1e-7)
    statistic, freedom = chi_square(first, second)
    assert (pytest.approx(statistic, rel=1e-9, abs=1e-9), freedom) == naive.chi_square(*named)


@given(SAMPLE, SAMPLE)
def test_measures_of_values_equal_their_twins(first: list[float], second: list[float]) -> None:
    a, b = np.sort(np.array(first)), np.sort(np.array(second))
    assert kolmogorov_smirnov(a, b) == pytest.approx(naive.kolmogorov_smirnov(first, second))
    assert wasserstein(a, b) == pytest.approx(naive.wasserstein(first, second), abs=1e-9)


@given(COUNTS)
def test_measures_of_counts_equal_scipy(counts: tuple[list[int], list[int]]) -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    stats = pytest.importorskip("scipy.stats")
    first, second = (np.array(one, np.int64) for one in counts)
    assert jensen_shannon(first, second) == pytest.approx(distance.jensenshannon(first, second, 2), abs=1e-7)
    table = np.array(counts)[:, (first + second) > 0]
    statistic, freedom = chi_square(first, second)
    if freedom:
        wanted = stats.chi2_contingency(table, correction=False)
        assert (statistic, freedom) == (pytest.approx(wanted.statistic, abs=1e-9), wanted.dof)
        assert chi_squared_tail(statistic, freedom) == pytest.approx(wanted.pvalue, rel=1e-9)
    else:
        assert statistic == pytest.approx(0, abs=1e-9)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(SAMPLE, SAMPLE)
def test_measures_of_values_equal_scipy(first: list[float], second: list[float]) -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = np.sort(np.array(first)), np.sort(np.array(second))
    assert kolmogorov_smirnov(a, b) == pytest.approx(stats.ks_2samp(a, b, method="asymp").statistic)
    assert wasserstein(a, b) == pytest.approx(stats.wasserstein_distance(a, b), abs=1e-9)


def test_tails_equal_scipy() -> None:
    special = pytest.importorskip("scipy.special")
    for freedom in (1, 2, 3, 7, 20, 52, 500):
        for value in (0.0, 1e-9, 0.01, 0.5, 1.0, 3.0, 10.0, 40.0, 100.0, 500.0, 5_000.0):
            wanted = special.chdtrc(freedom, value)
            assert chi_squared_tail(value, freedom) == pytest.approx(wanted, rel=1e-10, abs=1e-300)
        for chance in (0.5, 0.05, 0.001, 1e-6):
            assert chi_squared_critical(chance, freedom) == pytest.approx(special.chdtri(freedom, chance), rel=1e-9)
    for value in (0.0, 0.1, 0.3, 0.5, 0.83, 0.999, 1.0, 1.4, 2.0, 5.0, 30.0):
        assert kolmogorov_tail(value) == pytest.approx(special.kolmogorov(value), rel=1e-9, abs=1e-15)
    for chance in (0.1, 0.01, 0.001):
        assert kolmogorov_tail(kolmogorov_critical(chance)) == pytest.approx(chance, rel=1e-3)


@given(COUNTS)
def test_thin_bins_are_poured_together(counts: tuple[list[int], list[int]]) -> None:
    first, second = (np.array(one, np.int64) for one in counts)
    pooled = pooled_bins(first, second)
    assert [one.sum() for one in pooled] == [first.sum(), second.sum()]
    share = min(first.sum(), second.sum()) / (first.sum() + second.sum())
    assert np.count_nonzero((pooled[0] + pooled[1]) * share < 5) <= 1


def test_the_mean_distance_without_drift() -> None:
    random = np.random.default_rng(4)
    pairs = [(np.sort(random.normal(size=300)), np.sort(random.normal(size=500))) for _ in range(60)]
    seen = float(np.mean([wasserstein(*pair) for pair in pairs]))
    assert moved(*pairs[0])[1] == pytest.approx(seen, rel=0.25)


# ------------------------------------------------------------------- reports


@given(
    st.lists(st.none() | NUMBER | st.sampled_from([math.nan, math.inf]), min_size=1, max_size=80),
    st.lists(st.none() | NUMBER | st.sampled_from([math.nan, -math.inf]), min_size=1, max_size=80),
)
def test_numbers_are_measured_as_the_twin_does(first: list[float | None], second: list[float | None]) -> None:
    tables = [pa.table({"x": pa.array(one, pa.float64(), from_pandas=False)}) for one in (first, second)]
    found = by_measure(drift(*tables, thresholds=TIGHT))
    bins = [naive.number_bins(one, first, second) for one in (first, second)]
    assert found["psi"].value == pytest.approx(naive.psi(*bins), abs=1e-12)
    assert found["jensen_shannon"].value == pytest.approx(naive.jensen_shannon(*bins), abs=1e-7)
    there = [[value for value in one if value is not None and not math.isnan(value)] for one in (first, second)]
    if all(there):
        assert found["kolmogorov_smirnov"].value == pytest.approx(naive.kolmogorov_smirnov(*there))
    else:
        assert found["kolmogorov_smirnov"].note == "a window has no values"
    finite = [naive.finite(one) for one in there]
    if all(finite):
        unit = float(np.std(finite[0])) if len(set(finite[0])) > 1 else 0
        both = finite[0] + finite[1]
        unit = unit or (float(np.std(both)) if len(set(both)) > 1 else 1.0)
        assert found["wasserstein"].value == pytest.approx(naive.wasserstein(*finite) / unit, rel=1e-9, abs=1e-9)
    else:
        assert found["wasserstein"].value is None


CATEGORY = st.none() | st.sampled_from(["wire", "cash", "card", "ach", "crypto"])


@given(st.lists(CATEGORY, min_size=1, max_size=60), st.lists(CATEGORY, min_size=1, max_size=60), st.integers(1, 4))
def test_categories_are_measured_as_the_twin_does(first: list[Any], second: list[Any], most: int) -> None:
    tables = [pa.table({"x": pa.array(one, pa.string())}) for one in (first, second)]
    found = by_measure(drift(*tables, thresholds=Thresholds(most_categories=most)))
    bins = [naive.category_bins(one, first, second, most) for one in (first, second)]
    assert found["psi"].value == pytest.approx(naive.psi(*bins), abs=1e-12)
    assert found["jensen_shannon"].value == pytest.approx(naive.jensen_shannon(*bins), abs=1e-7)
    assert (found["chi_square"].value is None) == bool(found["chi_square"].note)


@given(SAMPLE, SAMPLE)
def test_an_alert_is_a_value_beyond_its_threshold(first: list[float], second: list[float]) -> None:
    report = drift(pa.table({"x": first}), pa.table({"x": second}))
    assert all(row.value is not None and row.threshold is not None for row in report.rows)
    assert report.alerts == tuple(row for row in report.rows if (row.value or 0) > (row.threshold or 0))
    assert DriftReport.from_json(report.to_json()) == report


def windows(seed: int, rows: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "amount": random.lognormal(4, 2, rows),
        "count": random.poisson(3, rows),
        "sparse": np.where(random.random(rows) < 0.95, 0.0, random.exponential(size=rows)),
        "gappy": pa.array(random.normal(size=rows), mask=random.random(rows) < 0.3),
        "channel": np.array(["wire", "cash", "card", "ach"])[random.choice(4, rows, p=[0.6, 0.3, 0.08, 0.02])],
        "flag": random.random(rows) < 0.02,
        "customer": np.array([f"C{n}" for n in random.integers(0, 200, rows)]),
    }


@pytest.mark.parametrize("rows", [20, 100, 1_000, 20_000])
def test_no_drift_no_alert(rows: int) -> None:
    for seed in range(6 if rows > 1_000 else 20):
        report = drift(pa.table(windows(seed, rows)), pa.table(windows(seed + 100, 2 * rows)))
        assert report.alerts == (), seed
        assert len(report.rows) == 4 * 4 + 3 * 3


CHANGES: dict[str, Any] = {
    "amount": lambda values: values * 4,
    "count": lambda values: values + 1,
    "sparse": lambda values: np.where(np.arange(len(values)) % 5, values, 1.0),
    "gappy": lambda values: pa.array([None if n % 2 else value for n, value in enumerate(values.to_pylist())]),
    "channel": lambda values: np.where(np.arange(len(values)) % 4, values, "crypto"),
    "flag": lambda values: values | (np.arange(len(values)) % 5 == 0),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_drift_raises_alerts(name: str) -> None:
    before, after = windows(1, 4_000), windows(2, 4_000)
    after[name] = CHANGES[name](after[name])
    report = drift(pa.table(before), pa.table(after))
    assert {row.feature for row in report.alerts} == {name}
    measures = {row.measure for row in report.alerts}
    assert measures >= {"psi"}
    if name == "gappy":
        assert "kolmogorov_smirnov" not in measures


def test_ages_of_timestamps() -> None:
    day = 86_400_000_000

    def table(start: int, age: int) -> pa.Table:
        times = np.arange(1_000) * 1_000_000 + start
        return pa.table(
            {
                "event_time": pa.array(times, MOMENT),
                "opened": pa.array(times - age * (1 + np.arange(1_000) % 7), MOMENT),
            }
        )

    assert not drift(table(0, day), table(90 * day, day)).alerts
    assert drift(table(0, day), table(90 * day, 2 * day)).alerts
    report = drift(table(0, day).drop_columns("event_time"), table(0, day))
    assert (report.left_out, report.rows) == (("opened",), ())


@pytest.mark.parametrize("dtype", [pa.float64(), pa.string(), pa.bool_(), pa.int64()])
def test_windows_with_nothing(dtype: pa.DataType) -> None:
    empty, nulls = pa.table({"x": pa.nulls(0, dtype)}), pa.table({"x": pa.nulls(9, dtype)})
    for first, second in ((empty, nulls), (nulls, empty), (empty, empty)):
        report = drift(first, second)
        assert all(row.value is None and row.note and not row.alert for row in report.rows)
        assert DriftReport.from_json(report.to_json()) == report
    assert by_measure(drift(nulls, nulls))["psi"].value == 0


def test_all_values_gone_is_an_alert() -> None:
    report = drift(pa.table({"x": np.arange(500.0)}), pa.table({"x": pa.nulls(500, pa.float64())}))
    assert {row.measure for row in report.alerts} == {"psi", "jensen_shannon"}


def test_a_reference_of_one_value() -> None:
    found = by_measure(drift(pa.table({"x": [0.1] * 300}), pa.table({"x": [0.1] * 200 + [5.0] * 100})))
    assert found["wasserstein"].note == "in deviations of both windows together"
    assert all(row.alert for row in found.values())
    assert not drift(pa.table({"x": [0.1] * 300}), pa.table({"x": [0.1] * 200})).alerts


def test_a_distance_beyond_floats_is_the_largest_of_them() -> None:
    report = drift(pa.table({"x": [0.0, 5e-324] * 50}), pa.table({"x": [1.0] * 100}))
    assert by_measure(report)["wasserstein"].alert
    assert DriftReport.from_json(report.to_json()) == report


def test_rows_go_into_the_records() -> None:
    report = drift(
        pa.table({"x": np.arange(500.0), "y": pa.nulls(500, pa.float64())}),
        pa.table({"x": [1.0] * 90, "y": [1.0] * 90}),
    )
    with RecordDatabase.open("sqlite::memory:") as database:
        rows = DriftRows(database)
        assert rows.add(report.records("group:credit@1")) == len(report.rows) == 8
        kept = rows.rows("group:credit@1")
    assert [(one.feature, one.measure, one.value, one.threshold, one.alert) for one in kept] == [
        (row.feature, row.measure, row.value, row.threshold, row.alert) for row in report.rows
    ]
    assert kept[0].detail == {"p_value": None, "note": "", "reference_rows": 500, "live_rows": 90}
    assert any(one.value is None and one.detail["note"] for one in kept)


def test_what_cannot_be_measured() -> None:
    number, text = pa.table({"x": [1.0]}), pa.table({"x": ["a"]})
    with pytest.raises(RefusedTypeError, match="a number in reference and a category in live"):
        drift(number, text)
    with pytest.raises(RefusedTypeError, match=r"no single column 'y' \(reference\)"):
        drift(number, number, ["y"])
    with pytest.raises(RefusedTypeError, match="of type list"):
        drift(pa.table({"x": [[1]]}), number)


# -------------------------------------------------------------------- groups

GROUP = FeatureGroup(
    "credit", 2, ("customer",), ("string",),
    (*(FeatureField(f"f{n}", "float64") for n in range(20)), FeatureField("segment", "string")),
)  # fmt: skip


class OneGroup:
    """An offline store of one table, as far as drift reads it."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows
        self.asked: list[Sequence[str]] = []

    def scan(
        self, name: str, version: int, columns: Sequence[str] | None = None, *, start_us: int | None = None,
        stop_us: int | None = None, as_of_commit: int | None = None,
    ) -> Iterator[pa.RecordBatch]:  # fmt: skip
        assert (name, version, as_of_commit) == ("credit", 2, 7)
        self.asked.append(list(columns or []))
        times = np.asarray(self.rows.column("event_time").cast(pa.int64()))
        inside = (times >= (start_us or 0)) & (times < (stop_us or 2**62))
        yield from self.rows.filter(pa.array(inside)).select(columns).to_batches(100)


def test_two_windows_of_a_group() -> None:
    random = np.random.default_rng(2)
    rows = 2_000
    columns = {"event_time": pa.array(np.arange(rows), MOMENT)}
    columns |= {f"f{n}": random.normal(size=rows) for n in range(20)}
    columns["f19"] = columns["f19"] + (np.arange(rows) >= 1_000)
    columns["segment"] = np.array(["retail", "private"])[random.integers(0, 2, rows)]
    store: Any = OneGroup(pa.table(columns))
    before, after = Window(0, 1_000, "January", 7), Window(1_000, 2_000, "", 7)
    report = group_drift(store, GROUP, before, after)
    assert (report.reference, report.live) == ("January", "1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z")
    assert (report.reference_rows, report.live_rows, len(report.rows)) == (1_000, 1_000, 20 * 4 + 3)
    assert {row.feature for row in report.alerts} == {"f19"}
    assert max(map(len, store.asked)) == 17
    assert group_drift(store, GROUP, before, Window(5_000, 6_000, "later", 7), features=["f1"]).live_rows == 0
    with pytest.raises(RefusedTypeError, match="has no feature 'g'"):
        group_drift(store, GROUP, before, after, features=["g"])
