"""The adversarial detector: its gradients, what labels are for, collapse, and what it scores by."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from greywater.detectors import adversarial_training
from greywater.detectors.adversarial import Adversarial, AdversarialParameters
from greywater.detectors.adversarial_networks import DenseNetworks
from greywater.detectors.detector import Validation
from greywater.detectors.metrics import average_precision, roc_auc
from greywater.detectors.redundancy import distinct_columns
from greywater.detectors.refiner import Layers, Pair
from greywater.errors import DetectorError, ExtraMissingError, TrainingCollapsedError
from greywater.stores.blocks import TableRows

pytest.importorskip("torch", reason="pip install 'greywater[deep]'")

QUICK = AdversarialParameters(hidden=16, code=3, epochs=4, epoch_rows=3_200, batch=64, rate=1e-2, alike=1.0)


def layers(seed: int, *widths: int) -> Layers:
    draw = np.random.default_rng(seed)
    ends = list(pairwise(widths))
    weights = tuple((draw.normal(size=each) / np.sqrt(each[0])).astype(np.float32) for each in ends)
    return Layers(weights, tuple(draw.normal(size=b).astype(np.float32) / 4 for _, b in ends))


def pair(seed: int = 1) -> Pair:
    return Pair(layers(seed, 6, 8, 3, 8, 6), layers(seed + 1, 6, 8, 4, 1))


def behaviour(rows: int, seed: int, share: float = 0.03) -> tuple[pa.Table, np.ndarray]:
    """Six columns that hang together; launderers have usual values that do not."""
    draw = np.random.default_rng(seed)
    y = (draw.random(rows) < share).astype(np.int64)
    cause = draw.normal(size=(rows, 2))
    columns = cause @ np.array([[1.0, 1, 1, 0, 0, 0.5], [0, 0, 0.5, 1, 1, 1]]) + 0.1 * draw.normal(size=(rows, 6))
    for column in range(6):
        columns[y == 1, column] = draw.permutation(columns[:, column])[: int(y.sum())]
    return pa.table({f"c{column}": columns[:, column] for column in range(6)}), y


# ---- arrays


def test_gradients_are_those_of_finite_differences() -> None:
    refiner, row = pair().refiner, np.random.default_rng(3).normal(size=(1, 6))

    def total(at: np.ndarray) -> float:
        out = at
        for place, (weight, bias) in enumerate(zip(refiner.weights, refiner.biases, strict=True)):
            out = out @ weight.astype(np.float64) + bias
            out = out if place == 3 else np.where(out > 0, out, 0.1 * out)
        return float((out**2).sum())

    found = refiner.back(row, lambda out: 2 * out)
    step = 1e-6 * np.eye(6)
    wanted = [(total(row + each) - total(row - each)) / 2e-6 for each in step]
    assert np.allclose(found[0], wanted, rtol=1e-5, atol=1e-7)


def test_what_contributes_most_lowers_the_score_most_when_it_is_made_usual() -> None:
    """The deletion test: three of the columns set to the middle."""
    X, y = behaviour(2_000, 1)
    made = Adversarial(QUICK, device="cpu").fit(TableRows(X), y)
    learned = made._known()
    bad = learned.scaled(np.column_stack([column.to_numpy() for column in X.columns]))[y == 1]
    parts = learned.pairs[0].contributions(bad)
    order = np.argsort(-parts, axis=1)

    def left(columns: np.ndarray) -> float:
        usual = bad.copy()
        np.put_along_axis(usual, columns, 0.0, axis=1)
        return float(learned.pairs[0].score(usual, "reconstruction", 1).mean())

    assert left(order[:, :3]) < left(order[:, -3:])


def test_columns_that_say_the_same_count_once() -> None:
    draw = np.random.default_rng(5)
    one, other = draw.normal(size=(2, 500))
    rows = np.column_stack([one, -2 * one, other, one + 0.01 * other, np.ones(500)])
    assert distinct_columns(rows, 0.9).tolist() == [0, 2, 4]
    assert distinct_columns(rows, 1.0).tolist() == [0, 1, 2, 3, 4]
    assert distinct_columns(np.empty((0, 3)), 0.5).tolist() == [0, 1, 2]


# ---- what it finds


@pytest.mark.parametrize("by", ["reconstruction", "both"])
def test_values_that_are_usual_each_but_do_not_go_together_are_found(by: Any) -> None:
    X, _ = behaviour(4_000, 2)
    later, truth = behaviour(2_000, 3)
    made = Adversarial(replace(QUICK, labels="none", score_by=by), device="cpu").fit(TableRows(X))
    area = roc_auc(truth, made.score(TableRows(later)))
    assert area is not None
    assert area > 0.9


def test_how_far_out_a_row_lies_is_a_part_of_the_score_where_it_is_asked_for(tmp_path: Path) -> None:
    """Of a column that is left out as alike, too; the contributions say so, and still sum to the score."""
    X, _ = behaviour(3_000, 2)
    X = X.append_column("again", X["c0"])
    table = TableRows(X)
    made = {
        weight: Adversarial(replace(QUICK, labels="none", far=weight, alike=0.99, epochs=1), device="cpu").fit(table)
        for weight in (0.0, 0.5)
    }
    near, far = (each.score(table) for each in made.values())
    fitted = made[0.5]._known()
    assert (len(fitted.columns), fitted.scaling.width) == (6, 7)
    rows = np.column_stack([column.to_numpy() for column in X.columns])
    scaled = fitted.scaling(rows).astype(np.float32).astype(np.float64)
    assert far == pytest.approx(near + 0.5 * (scaled**2).mean(axis=1))
    parts = made[0.5].explain(TableRows(X.slice(0, 40)))
    assert parts.sum(axis=1) == pytest.approx(far[:40])
    assert parts[:, 6] == pytest.approx(0.5 * scaled[:40, 6] ** 2 / 7)
    made[0.5].save(tmp_path / "m")
    assert Adversarial.load(tmp_path / "m").score(table).tobytes() == far.tobytes()
    assert made[0.5].score_row(rows[11]) == far[11]
    alone = [made[weight].scored_by("discriminator").score(table) for weight in (0.0, 0.5)]
    assert alone[0].tobytes() == alone[1].tobytes()


def test_known_launderers_pushed_away_are_told_better() -> None:
    """Launderers here lie where good behaviour does, but for one column: only labels say so."""
    draw = np.random.default_rng(4)
    X, _ = behaviour(4_000, 5, share=0.0)
    y = (draw.random(4_000) < 0.02).astype(np.int64)
    sign = np.where(y == 1, 1.2, 0.0) + draw.normal(size=4_000)
    X = X.append_column("sign", pa.array(sign))
    train, later = TableRows(X.slice(0, 3_000)), TableRows(X.slice(3_000))
    parameters = replace(QUICK, push=3.0)
    without = Adversarial(replace(parameters, labels="none"), device="cpu").fit(train)
    pushed = Adversarial(parameters, device="cpu").fit(train, y[:3_000])
    assert pushed.card["pushed_away"] == int(y[:3_000].sum())
    found = [average_precision(y[3_000:], each.score(later)) or 0.0 for each in (without, pushed)]
    assert found[1] > found[0]


def test_good_only_is_learned_where_labels_say_so() -> None:
    X, y = behaviour(1_000, 6, share=0.2)
    made = Adversarial(replace(QUICK, labels="good"), device="cpu").fit(TableRows(X), y)
    assert made.card["sampled_rows"] == int((y == 0).sum())
    assert made.card["pushed_away"] == 0
    with pytest.raises(DetectorError, match="no payment is left"):
        Adversarial(QUICK, device="cpu").fit(TableRows(X), np.ones(1_000, np.int64))


def test_members_are_averaged_and_labels_of_the_slice_stop_the_training() -> None:
    X, y = behaviour(1_000, 7, share=0.1)
    later = Validation(TableRows(X), y)
    made = Adversarial(replace(QUICK, members=2), device="cpu").fit(TableRows(X), y, validation=later)
    first, second = made._known().pairs
    scaled = made._known().scaled(np.column_stack([column.to_numpy() for column in X.columns]))
    both = [each.score(scaled, "reconstruction", 1) for each in (first, second)]
    assert not np.array_equal(*both)
    assert np.array_equal(made.score(TableRows(X)), np.mean(both, axis=0))
    assert len(made.card["training"]) == 2


# ---- what goes wrong


class _Silenced(adversarial_training._Training):
    """Its refiner is kept from saying anything, as one that collapsed."""

    def _step(self, rows: Any, trim: float) -> float:
        gap = super()._step(rows, trim)
        with self._torch.no_grad():
            for kept in self._kept[-1].parameters():
                kept.zero_()
        return gap


def test_a_collapsed_refiner_is_begun_again_and_fails_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    X, _ = behaviour(500, 8)
    seeds: list[int] = []
    train_pair = adversarial_training.train_pair

    def noted(*given: Any, **named: Any) -> Any:
        seeds.append(named["seed"])
        return train_pair(*given, **named)

    monkeypatch.setattr("greywater.detectors.adversarial.train_pair", noted)
    monkeypatch.setattr(adversarial_training, "_Training", _Silenced)
    with pytest.raises(TrainingCollapsedError, match=r"reconstructions vary 0\.0%") as raised:
        Adversarial(replace(QUICK, restarts=1, members=1), device="cpu").fit(TableRows(X))
    assert raised.value.mend
    assert len(set(seeds)) == 2


def test_numbers_that_are_none_are_a_collapse_too() -> None:
    rows = np.full((64, 3), np.nan, np.float32)
    plan, networks = QUICK.plan(), DenseNetworks(3, 16, 3)
    with pytest.raises(TrainingCollapsedError, match="a loss of nan"):
        adversarial_training.train_pair(rows, rows[:0], rows, plan, networks, seed=1, device="cpu")


def test_what_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (
        {"epochs": 0},
        {"trim": 1.0},
        {"labels": "some"},
        {"score_by": "luck"},
        {"alike": 0.0},
        {"far": -1.0},
        {"batch": 1},
    ):
        with pytest.raises(DetectorError, match="cannot be used"):
            AdversarialParameters(**wrong)  # type: ignore[arg-type]
    X, _ = behaviour(50, 9)
    with pytest.raises(DetectorError, match="no device"):
        Adversarial(QUICK, device="abacus").fit(TableRows(X))
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ExtraMissingError, match="PyTorch is not installed"):
        Adversarial(QUICK).fit(TableRows(X))


def test_a_score_by_other_things_is_not_taken_apart_but_saved_and_loaded(tmp_path: Path) -> None:
    X, _ = behaviour(300, 10)
    table = TableRows(X)
    for by in ("features", "discriminator"):
        made = Adversarial(replace(QUICK, epochs=1, score_by=by), device="cpu").fit(table)  # type: ignore[arg-type]
        with pytest.raises(DetectorError, match="not taken apart"):
            made.explain(table)
        made.save(tmp_path / by)
        assert Adversarial.load(tmp_path / by).score(table).tobytes() == made.score(table).tobytes()
        assert np.isfinite(made.score(table)).all()
