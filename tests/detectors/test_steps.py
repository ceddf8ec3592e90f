"""Detectors that learn in steps tell of each, and stop where they are told to."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from greywater.detectors.adversarial import Adversarial, AdversarialParameters
from greywater.detectors.boosted import Boosted
from greywater.detectors.detector import Validation
from greywater.detectors.steps import Stepwise
from greywater.detectors.trees import BoostedParameters
from greywater.stores.blocks import TableRows


def _slices(seed: int = 3) -> tuple[TableRows, np.ndarray, Validation]:
    draw = np.random.default_rng(seed)
    y = (draw.random(1_200) < 0.1).astype(np.int64)
    usual = draw.normal(size=1_200)
    rows = pa.table({name: usual + 0.7 * draw.normal(size=1_200) + 2 * y * (name == "a") for name in "abc"})
    return TableRows(rows.slice(0, 800)), y[:800], Validation(TableRows(rows.slice(800)), y[800:])


MAKERS = {
    "boosted": lambda: Boosted(BoostedParameters(rounds=40, evaluate_every=5), threads=1),
    "adversarial": lambda: Adversarial(AdversarialParameters(epochs=4, epoch_rows=8_192), threads=1),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_each_step_is_told(kind: str) -> None:
    if kind == "adversarial":
        pytest.importorskip("torch", reason="the adversarial detector is trained by torch")
    X, y, validation = _slices()
    told: list[tuple[int, float]] = []
    detector = MAKERS[kind]()
    assert isinstance(detector, Stepwise)
    detector.on_step(lambda step, measures: told.append((step, measures["score"])) is None)
    detector.fit(X, y, validation=validation)
    steps = [step for step, _ in told]
    assert len(steps) >= 2
    assert steps == sorted(set(steps))
    assert all(np.isfinite(score) for _, score in told)


@pytest.mark.parametrize("kind", MAKERS)
def test_it_stops_where_it_is_told_to_and_can_score(kind: str) -> None:
    if kind == "adversarial":
        pytest.importorskip("torch", reason="the adversarial detector is trained by torch")
    X, y, validation = _slices()
    told: list[int] = []

    def first_only(step: int, _: object) -> bool:
        told.append(step)
        return False

    detector = MAKERS[kind]().on_step(first_only).fit(X, y, validation=validation)
    assert len(told) == 1
    assert np.isfinite(detector.score(validation.X)).all()


def test_who_tells_nobody_learns_the_same() -> None:
    X, y, validation = _slices()
    alone = MAKERS["boosted"]().fit(X, y, validation=validation)
    watched = MAKERS["boosted"]().on_step(lambda *_: True).fit(X, y, validation=validation)
    np.testing.assert_array_equal(alone.score(validation.X), watched.score(validation.X))
