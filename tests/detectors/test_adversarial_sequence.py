"""The adversarial detector over sequences: its input, its layers beside PyTorch's, what it finds, what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from greywater.detectors.adversarial_networks import SequenceNetworks
from greywater.detectors.adversarial_sequence import AdversarialSequence
from greywater.detectors.metrics import roc_auc
from greywater.detectors.sequence_input import SequenceInput
from greywater.detectors.sequence_layers import SequenceLayers, layer_shapes, refiner_steps
from greywater.errors import DetectorError
from greywater.stores.blocks import TableRows

torch = pytest.importorskip("torch", reason="pip install 'greywater[deep]'")

LENGTH = 8
SMALL = {"hidden": 12, "code": 6, "members": 1, "blind_epochs": 6}
QUICK = replace(AdversarialSequence.parameters, epochs=6, epoch_rows=8_000, batch=64, rate=5e-3, **SMALL)  # type: ignore[arg-type]


def sequences(rows: int, seed: int, share: float = 0.05) -> tuple[pa.Table, np.ndarray]:
    """Amounts that alternate, high and low; a launderer's are the same values in any order."""
    draw = np.random.default_rng(seed)
    y = (draw.random(rows) < share).astype(np.int64)
    columns: dict[str, np.ndarray] = {"amount": draw.normal(size=rows)}
    for role in ("sender", "receiver"):
        high = (np.arange(LENGTH)[None, :] + draw.integers(0, 2, rows)[:, None]) % 2
        high[y == 1] = draw.permuted(high[y == 1], axis=1)
        known = draw.integers(LENGTH // 2, LENGTH + 1, rows)
        for place in range(LENGTH):
            there = place < known
            amount = np.exp(5 + 3 * high[:, place] + 0.1 * draw.normal(size=rows))
            columns[f"{role}.sequence.{place}.amount"] = np.where(there, amount, np.nan)
            gap = draw.integers(60, 90, rows).astype(np.float64)
            columns[f"{role}.sequence.{place}.gap"] = np.where(place < known - 1, gap, np.nan)
            columns[f"{role}.sequence.{place}.kind"] = np.where(there, 4 * 3 + 2 * high[:, place], -1)
    return pa.table(columns), y


def matrix(table: pa.Table) -> np.ndarray:
    return np.column_stack([column.to_numpy().astype(np.float64) for column in table.columns])


def test_the_input_says_what_each_place_holds() -> None:
    table, _ = sequences(50, 1)
    rows = matrix(table)
    made = SequenceInput.learn(tuple(table.column_names), rows)
    assert (made.length, made.channels, list(made.kinds)) == (LENGTH, 5, [])
    values = made(rows).reshape(50, 2, LENGTH, 5)
    kinds = rows[:, made.places[..., 2]]
    assert np.array_equal(values[..., 0] == 1, kinds >= 0)
    assert not values[kinds < 0].any()
    assert np.array_equal(values[..., 3][kinds >= 0], np.where(kinds[kinds >= 0].astype(int) & 2, 1, -1))
    assert abs(values[..., 1][kinds >= 0].mean()) < 1e-5
    assert np.allclose(made.known(values.reshape(50, -1)), (kinds >= 0).mean(axis=(1, 2)))
    assert len(made.sources) == 2 * LENGTH * 5
    assert table.column_names[made.sources[1]] == "sender.sequence.0.amount"
    assert table.column_names[made.sources[-1]] == f"receiver.sequence.{LENGTH - 1}.kind"


def test_an_input_without_its_columns_says_how_to_get_them() -> None:
    with pytest.raises(DetectorError, match="last payments are not there") as raised:
        SequenceInput.learn(("amount",), np.zeros((3, 1)))
    assert "adversarial_sequence" in raised.value.mend
    table, _ = sequences(20, 2)
    made = SequenceInput.learn(tuple(table.column_names), matrix(table))
    with pytest.raises(DetectorError, match="fit no columns"):
        SequenceInput.from_arrays(made.arrays(), features=3)


def test_the_layers_are_those_of_pytorch_and_a_row_has_its_bits_alone() -> None:
    networks = SequenceNetworks(LENGTH, 5, 12, 6)
    torch.manual_seed(3)
    refiner, judge = networks.refiner(torch), networks.discriminator(torch)
    rows = np.random.default_rng(4).normal(size=(9, 2 * LENGTH * 5)).astype(np.float32)
    pair = networks.pair(refiner, judge)
    with torch.no_grad():
        wanted, told = refiner(torch.from_numpy(rows)).numpy(), judge.eval()(torch.from_numpy(rows)).numpy()
        features = judge[:-1](torch.from_numpy(rows)).numpy()
    assert np.allclose(pair.refiner(rows), wanted, atol=1e-5)
    assert np.allclose(pair.discriminator(rows), told, atol=1e-5)
    assert np.allclose(pair.discriminator(rows, 4).reshape(9, -1), features, atol=1e-5)
    for row in range(9):
        assert pair.refiner(rows[row : row + 1]).tobytes() == pair.refiner(rows)[row : row + 1].tobytes()


def test_gradients_are_those_of_finite_differences() -> None:
    draw = np.random.default_rng(5)
    steps = refiner_steps(LENGTH)
    shapes = layer_shapes(steps, LENGTH, 5, 4, 3)
    weights = tuple((draw.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32) for shape in shapes)
    layers = SequenceLayers(steps, 5, weights, tuple(draw.normal(size=b).astype(np.float32) for _, b in shapes))
    row = draw.normal(size=(1, 2 * LENGTH * 5))
    found = layers.back(row, lambda out: 2 * out)[0]
    held: list[np.ndarray] = []

    def total(at: np.ndarray) -> float:
        layers.back(at, lambda out: held.append(out) or out)  # type: ignore[func-returns-value]
        return float((held[-1] ** 2).sum())

    for place in draw.choice(row.shape[1], 12, replace=False):
        step = np.zeros_like(row)
        step[0, place] = 1e-6
        assert found[place] == pytest.approx((total(row + step) - total(row - step)) / 2e-6, rel=1e-4, abs=1e-7)


def test_values_in_an_order_that_is_not_usual_are_found(tmp_path: Path) -> None:
    X, _ = sequences(4_000, 6)
    later, truth = sequences(1_500, 7, share=0.1)
    made = AdversarialSequence(replace(QUICK, labels="none"), seed=3, device="cpu").fit(TableRows(X))
    score = made.score(TableRows(later))
    area = roc_auc(truth, score)
    assert area is not None
    assert area > 0.75
    made.save(tmp_path / "model")
    again = AdversarialSequence.load(tmp_path / "model")
    assert again.score(TableRows(later)).tobytes() == score.tobytes()
    assert again.score_row(matrix(later)[5]) == score[5]


def test_contributions_sum_to_the_score_and_say_which_past_payment(tmp_path: Path) -> None:
    X, y = sequences(2_000, 8)
    made = AdversarialSequence(QUICK, seed=3, device="cpu").fit(TableRows(X), y)
    some = TableRows(X.slice(0, 40))
    parts = made.explain(some)
    assert parts.shape == (40, X.num_columns + 1)
    assert np.allclose(parts.sum(axis=1), made.score(some))
    assert not parts[:, 0].any()  # the column "amount" is not looked at
    by_payment = made.past_payments(some)
    assert by_payment.shape == (40, 2, LENGTH)
    assert np.allclose(by_payment.sum(axis=(1, 2)) + parts[:, -1], made.score(some))


def test_making_the_payments_that_contribute_most_usual_lowers_the_score_most() -> None:
    """The deletion test: a receiver's three payments that contribute most get another amount of the usual pattern."""
    X, _ = sequences(4_000, 9, share=0.0)
    made = AdversarialSequence(replace(QUICK, labels="none"), seed=3, device="cpu").fit(TableRows(X))
    odd, truth = sequences(600, 10, share=1.0)
    assert truth.all()
    learned = made._known()
    scaled = learned.scaled(matrix(odd))
    parts = learned.pairs[0].contributions(scaled)
    order = np.argsort(-parts, axis=1)

    def left(columns: np.ndarray) -> float:
        usual = scaled.copy()
        np.put_along_axis(usual, columns, 0.0, axis=1)
        return float(learned.pairs[0].score(usual, "reconstruction", 1).mean())

    assert left(order[:, :6]) < left(order[:, -6:])
