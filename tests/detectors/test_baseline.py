"""The single-column baseline equals taking each column as a score, both ways, with the plain measures."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.detectors.baseline import single_column_baseline
from greywater.detectors.detector import Validation
from greywater.detectors.metrics import average_precision, roc_auc
from greywater.errors import DetectorError
from greywater.stores.blocks import TableRows
from greywater.vocab import Float64Array, Int64Array


def rows(count: int, seed: int) -> tuple[pa.Table, Int64Array]:
    rng = np.random.default_rng(seed)
    y = (rng.random(count) < 0.2).astype(np.int64)
    y[:2] = 0, 1
    gaps = rng.normal(size=count) - y
    gaps[rng.random(count) < 0.3] = np.nan
    columns = {
        "ties": rng.integers(0, 3, count),
        "gaps": gaps,
        "noise": rng.normal(size=count),
        "nothing": np.full(count, np.nan),
    }
    return pa.table(columns), y


def ranked(column: Float64Array, direction: str) -> Float64Array:
    return np.nan_to_num(column if direction == "high" else -column, nan=-1e300)


@given(st.integers(4, 80), st.integers(0, 1_000), st.integers(1, 90))
def test_it_equals_measuring_every_column_both_ways(count: int, seed: int, batch: int) -> None:
    table, y = rows(count, seed)
    found = single_column_baseline(TableRows(table, batch_rows=batch), y)
    for measured, measure in ((found.by_average_precision, average_precision), (found.by_roc_auc, roc_auc)):
        every = {
            (name, way): measure(y, ranked(table[name].to_numpy().astype(float), way)) or 0.0
            for name in table.schema.names
            for way in ("high", "low")
        }
        assert measured is not None
        score = ranked(table[measured.column].to_numpy().astype(float), measured.direction)
        assert measured.average_precision == pytest.approx(average_precision(y, score), abs=1e-12)
        assert measured.roc_auc == pytest.approx(roc_auc(y, score), abs=1e-12)
        assert every[measured.column, measured.direction] == pytest.approx(max(every.values()), abs=1e-12)


def test_directions_come_from_the_earlier_slice() -> None:
    y = np.array([0, 0, 1, 1] * 10)
    earlier = TableRows(pa.table({"turns": y.astype(float)}))
    later = TableRows(pa.table({"turns": -y.astype(float)}))
    alone = single_column_baseline(later, y).by_roc_auc
    assert alone is not None
    assert (alone.direction, alone.roc_auc) == ("low", 1.0)
    honest = single_column_baseline(later, y, directions_from=Validation(earlier, y)).by_roc_auc
    assert honest is not None
    assert (honest.direction, honest.roc_auc) == ("high", 0.0)


def test_an_earlier_slice_without_laundering_leaves_the_directions_to_the_later_one() -> None:
    table, y = rows(60, 1)
    alone = single_column_baseline(TableRows(table), y)
    silent = Validation(TableRows(table), np.zeros(60, np.int64))
    assert single_column_baseline(TableRows(table), y, directions_from=silent) == alone


def test_nothing_is_measured_without_both_classes() -> None:
    table, _ = rows(10, 1)
    for labels in (np.zeros(10, np.int64), np.ones(10, np.int64)):
        found = single_column_baseline(TableRows(table), labels)
        assert found.by_average_precision is None
        assert found.by_roc_auc is None


def test_what_does_not_fit_is_refused() -> None:
    table, y = rows(10, 1)
    with pytest.raises(DetectorError, match="labels do not fit"):
        single_column_baseline(TableRows(table), y[:3])
    other = Validation(TableRows(table.rename_columns(["a", "b", "c", "d"])), y)
    with pytest.raises(DetectorError, match="not the ones"):
        single_column_baseline(TableRows(table), y, directions_from=other)
