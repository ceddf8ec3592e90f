"""A model for each laundering shape: the shape is guessed, other shapes do not spoil it, and it is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from greywater.detectors.boosted import BoostedParameters
from greywater.detectors.boosted_typologies import BoostedTypologies
from greywater.errors import DetectorError
from greywater.stores.blocks import TableRows

QUICK = BoostedParameters(rounds=30, patience=20, min_data_in_leaf=5)


def made(rows: int, seed: int) -> tuple[TableRows, list[str | None]]:
    """Fans show in one column, cycles in the other; `rare` is too rare to be learned."""
    draw = np.random.default_rng(seed)
    drawn = draw.random(rows)
    shape = np.select([drawn < 0.05, drawn < 0.1, drawn < 0.102], ["fan", "cycle", "rare"], "")
    columns = {
        "a": draw.normal(size=rows) + 4 * (shape == "fan"),
        "b": draw.normal(size=rows) + 4 * (shape == "cycle"),
    }
    return TableRows(pa.table(columns)), [str(each) or None for each in shape]


def test_the_shape_is_guessed_and_what_is_saved_is_loaded(tmp_path: Path) -> None:
    (X, shapes), (later, told), (test, truth) = made(3_000, 1), made(2_000, 2), made(2_000, 3)
    models = BoostedTypologies(QUICK, threads=1).fit(X, shapes, validation=(later, told))
    assert models.typologies == ("cycle", "fan")
    guessed = models.guess(test, least=0.3)
    for shape in ("fan", "cycle"):
        right = [mine == shape for mine, real in zip(guessed, truth, strict=True) if real == shape]
        assert np.mean(right) > 0.8
    assert np.mean([each is None for each, real in zip(guessed, truth, strict=True) if real is None]) > 0.95
    assert models.card["fan"]["positives"] == shapes.count("fan")
    said = models.probabilities(test)
    assert said.of("fan").mean() == pytest.approx(truth.count("fan") / 2_000, abs=0.02)
    models.save(tmp_path)
    loaded = BoostedTypologies.load(tmp_path)
    assert loaded.typologies == models.typologies
    assert np.array_equal(loaded.probabilities(test).values, said.values)


def test_what_cannot_be_learned_is_refused(tmp_path: Path) -> None:
    X, shapes = made(300, 1)
    with pytest.raises(DetectorError, match="do not fit"):
        BoostedTypologies(QUICK).fit(X, shapes[:5])
    with pytest.raises(DetectorError, match="no typology has"):
        BoostedTypologies(QUICK, least=200).fit(X, shapes)
    with pytest.raises(DetectorError, match="no typology was learned"):
        BoostedTypologies().guess(X)
    with pytest.raises(DetectorError):
        BoostedTypologies.load(tmp_path)
