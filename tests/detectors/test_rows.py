"""Rows for the learners: the chosen ones, in any forward order, and an even sample of the negatives."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.detectors import rows as rows_module
from greywater.detectors.rows import RowReader, matrices, matrix, sample_negatives
from greywater.stores.blocks import TableRows


def table(rows: int) -> pa.Table:
    rng = np.random.default_rng(rows)
    return pa.table({"count": rng.integers(0, 9, rows), "mean": np.where(rng.random(rows) < 0.2, np.nan, 1.5)})


@given(st.integers(0, 700), st.integers(1, 400))
def test_matrices_hold_every_value_once(rows: int, batch: int) -> None:
    made = table(rows)
    whole = matrix(made)
    assert whole.shape == (rows, 2)
    assert whole.flags.c_contiguous
    np.testing.assert_array_equal(whole[:, 0], made["count"].to_numpy())
    np.testing.assert_array_equal(whole[:, 1], made["mean"].to_numpy())
    parts = list(matrices(TableRows(made, batch_rows=batch)))
    for start, part in parts:
        np.testing.assert_array_equal(part, whole[start : start + len(part)])
    assert sum(len(part) for _, part in parts) == rows


@pytest.mark.parametrize("ahead", [0, 10_000])
def test_reading_ahead_changes_nothing(ahead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "AHEAD_FROM", ahead)
    made = table(900)
    parts = list(matrices(TableRows(made, batch_rows=70)))
    assert [start for start, _ in parts] == list(range(0, 900, 70))
    np.testing.assert_array_equal(np.concatenate([part for _, part in parts]), matrix(made))
    # Stopping early, and an error while reading, reach the caller.
    assert next(iter(matrices(TableRows(made))))[0] == 0
    text = TableRows(pa.table({"a": ["x"] * 900}))
    with pytest.raises(ValueError, match="could not convert"):
        list(matrices(text))


@given(st.integers(1, 300), st.integers(1, 100), st.floats(0, 1), st.lists(st.integers(0, 299), max_size=8))
def test_a_reader_gives_the_chosen_rows_also_after_going_back(
    rows: int, batch: int, share: float, cuts: list[int]
) -> None:
    made = table(rows)
    chosen = np.flatnonzero(np.random.default_rng(1).random(rows) < share)
    whole = matrix(made)[chosen]
    reader = RowReader(TableRows(made, batch_rows=batch), chosen)
    assert len(reader) == len(chosen)
    for low, high in pairwise(cuts):
        start, stop = sorted((min(low, len(chosen)), min(high, len(chosen))))
        np.testing.assert_array_equal(reader.read(start, stop), whole[start:stop])
    held = RowReader(TableRows(made, batch_rows=batch), chosen).hold()
    for start in (len(chosen) // 2, 0):
        np.testing.assert_array_equal(held.read(start, len(chosen)), whole[start:])


@given(st.integers(1, 500), st.integers(1, 200), st.integers(0, 5))
def test_all_positives_and_an_even_sample_of_negatives(rows: int, most: int, seed: int) -> None:
    y = (np.random.default_rng(seed).random(rows) < 0.1).astype(np.int64)
    chosen, stands_for = sample_negatives(y, most, seed)
    assert (np.diff(chosen) > 0).all()
    assert set(np.flatnonzero(y)) <= set(chosen.tolist())
    kept = int((y[chosen] == 0).sum())
    negatives = int((y == 0).sum())
    assert kept == min(most, negatives)
    assert stands_for * kept == pytest.approx(negatives) or kept == 0
    if negatives > most:
        place = np.searchsorted(np.flatnonzero(y == 0), chosen[y[chosen] == 0])
        assert np.diff(place).max(initial=0) <= 2 * negatives / most + 1
    again, _ = sample_negatives(y, most, seed)
    assert again.tolist() == chosen.tolist()
