"""Networks of pyod score from plain arrays what pyod scores, the same for the same seed, and never backwards."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from greywater.detectors import adversarial_peers as peers
from greywater.detectors.metrics import roc_auc
from greywater.detectors.network import Layer, Network
from greywater.detectors.outlier_kinds import OUTLIER_KINDS
from greywater.detectors.saved import pack_arrays, read_folder, unpack_arrays, write_folder
from greywater.detectors.scaling import Scaling
from greywater.errors import DetectorError, ExtraMissingError
from greywater.stores.blocks import TableRows
from greywater.vocab import Float64Array, Int64Array

KINDS = [kind for kind, made in OUTLIER_KINDS.items() if issubclass(made, peers.NetworkDetector)]
QUICK: dict[str, Any] = {"epochs": 3, "batch_rows": 32, "layer": 16, "code": 3, "learning_rate": 0.005}


@pytest.fixture(autouse=True)
def _installed(request: pytest.FixtureRequest) -> None:
    if "without" not in request.node.name:
        pytest.importorskip("pyod.models.auto_encoder", reason="pip install 'greywater[outliers,deep]'")


def planted(rows: int, seed: int) -> tuple[Float64Array, Int64Array]:
    """Three columns that go together and one of noise; one row in 25 is far out in all."""
    draw = np.random.default_rng(seed)
    y = (np.arange(rows) % 25 == 0).astype(np.int64)
    habit = draw.normal(size=rows)
    made = np.column_stack([habit, habit * 2 + draw.normal(0, 0.2, rows), -habit, draw.normal(size=rows)])
    made[y == 1] += draw.choice([-6.0, 6.0], (int(y.sum()), 4))
    return np.sinh(made), y


def table(rows: Float64Array) -> TableRows:
    return TableRows(pa.table({f"c{place}": column for place, column in enumerate(rows.T)}))


def new(kind: str, seed: int = 7) -> Any:
    made = OUTLIER_KINDS[kind]
    changed = {"anogan": {"sample_rows": 120}, "alad": {"epochs": 1, "sample_rows": 400}}
    given = {"sample_rows": 400, **QUICK, **changed.get(kind, {})}
    return made(made.parameters_type(scaling="standard", **given), seed=seed, threads=1)


@pytest.fixture(scope="module", params=KINDS)
def fitted(request: pytest.FixtureRequest) -> tuple[Any, Any, Float64Array]:
    """A detector, pyod's own behind it, and later rows."""
    pytest.importorskip("pyod.models.auto_encoder", reason="pip install 'greywater[outliers,deep]'")
    kept: list[Any] = []
    real: Callable[[str, str], Any] = peers.load_pyod

    def recording(file: str, name: str) -> Any:
        def make(*given: Any, **named: Any) -> Any:
            kept.append(real(file, name)(*given, **named))
            return kept[-1]

        return make

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "load_pyod", recording)
        detector = new(request.param).fit(table(planted(400, 1)[0]), weight=1.0 - planted(400, 1)[1])
    return detector, kept[-1], planted(600, 2)[0]


def test_the_arrays_score_what_pyod_scores(fitted: tuple[Any, Any, Float64Array]) -> None:
    detector, theirs, rows = fitted
    scaled = detector._known().scaling(rows)
    found = detector.score(table(rows))
    if detector.kind == "so_gaal":
        believed = theirs.decision_function(scaled / detector.reach + 0.5).astype(np.float64)
        assert np.allclose(1 / (1 + np.exp(found)), believed, atol=1e-5)
        return
    said = theirs.decision_function(scaled).astype(np.float64)
    if detector.kind == "alad":
        model = detector._known().model
        same = model.judge(np.hstack([scaled, scaled]))[:, 0]
        other = model.judge(np.hstack([scaled, model.decoder(model.encoder(scaled))]))[:, 0]
        found = (1 / (1 + np.exp(-same)) - 1 / (1 + np.exp(-other))) ** 2
    elif detector.kind == "autoencoder":
        said = said**2 / scaled.shape[1]
    assert np.allclose(found, said, rtol=1e-3, atol=1e-5)


def test_no_score_ranks_backwards(fitted: tuple[Any, Any, Float64Array]) -> None:
    area = roc_auc(planted(600, 2)[1], fitted[0].score(table(fitted[2])))
    assert area is not None
    assert area > 0.6


def test_what_is_loaded_is_what_was_saved(fitted: tuple[Any, Any, Float64Array], tmp_path: Path) -> None:
    detector, _, rows = fitted
    detector.save(tmp_path)
    again = type(detector).load(tmp_path)
    together = detector.score(table(rows))
    assert again.score(table(rows)).tobytes() == together.tobytes()
    assert [again.score_row(rows[place]) for place in (0, 65, 599)] == together[[0, 65, 599]].tolist()
    parts = again.explain(table(rows[:4]))
    assert parts.tobytes() == detector.explain(table(rows[:4])).tobytes()
    assert np.allclose(parts.sum(axis=1), together[:4], rtol=0, atol=1e-9)


def test_the_same_seed_learns_the_same_and_leaves_no_trace(fitted: tuple[Any, Any, Float64Array]) -> None:
    import torch

    detector, _, rows = fitted
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    environment, threads = dict(os.environ), torch.get_num_threads()
    train, y = planted(400, 1)
    again = new(detector.kind).fit(table(train), weight=1.0 - y)
    assert again.score(table(rows)).tobytes() == detector.score(table(rows)).tobytes()
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    assert after == before
    assert dict(os.environ) == environment
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("forged", ["shape", "values", "missing", "activation"])
def test_forged_networks_are_refused(fitted: tuple[Any, Any, Float64Array], forged: str, tmp_path: Path) -> None:
    detector = fitted[0]
    detector.save(tmp_path)
    document, files = read_folder(tmp_path, detector.kind)
    arrays = unpack_arrays(files["model.npz"])
    name = next(name for name in detector._known().model.arrays() if name.endswith(".0.weight"))
    if forged == "shape":
        arrays[name] = arrays[name][:-1]
    elif forged == "values":
        arrays[name] = np.full(arrays[name].shape, np.inf)
    elif forged == "missing":
        del arrays[name]
    else:
        codes = name.replace(".0.weight", ".activations")
        arrays[codes] = arrays[codes] + 9
    kept = {key: value for key, value in document.items() if key not in ("version", "kind", "files")}
    write_folder(tmp_path, detector.kind, kept, {"model.npz": pack_arrays(arrays)})
    with pytest.raises(DetectorError):
        type(detector).load(tmp_path)


def test_a_network_is_asked_as_pytorch_asks_it() -> None:
    import torch

    torch.manual_seed(1)
    modules = [
        torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(0.5),
        torch.nn.Linear(8, 4, bias=False), torch.nn.Tanh(), torch.nn.Linear(4, 2), torch.nn.Sigmoid(),
    ]  # fmt: skip
    theirs = torch.nn.Sequential(*modules)
    rows = np.random.default_rng(1).normal(size=(50, 3)) * 3
    theirs(torch.tensor(rows, dtype=torch.float32))  # moves the running means of the normalisation
    theirs.eval()
    said = theirs(torch.tensor(rows, dtype=torch.float32)).detach().numpy()
    ours = Network.of_modules(modules)
    assert np.allclose(ours(rows), said, atol=1e-5)
    assert np.allclose(1 / (1 + np.exp(-ours.linear_end(rows))), ours(rows), atol=1e-12)
    with pytest.raises(ValueError, match="Softmax"):
        Network.of_modules([torch.nn.Softmax(dim=1)])


def test_no_sigmoid_overflows_even_without_pytorch() -> None:
    layer = Layer(np.array([[1.0]]), np.array([0.0]), "sigmoid")
    assert layer(np.array([[-1e6], [0.0], [1e6]])).ravel().tolist() == [0.0, 0.5, 1.0]


def test_without_the_extra_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    peers.load_pyod.cache_clear()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ExtraMissingError, match="torch is not installed") as raised:
        new("autoencoder").fit(table(planted(50, 1)[0]))
    assert "greywater[outliers,deep]" in raised.value.mend


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_rows": 1}, {"learning_rate": 1.0}, {"layer": 0}, {"code": 0}])
def test_unusable_parameters_are_refused_without_pytorch(wrong: dict[str, Any]) -> None:
    with pytest.raises(DetectorError, match=next(iter(wrong))):
        peers.NetworkParameters(**wrong)


def test_scaling_is_what_the_networks_are_given(fitted: tuple[Any, Any, Float64Array]) -> None:
    if fitted[0].kind == "anogan":
        pytest.skip("its sample is smaller")
    train, y = planted(400, 1)
    assert np.array_equal(Scaling.learn(train[y == 0], "standard").knots, fitted[0]._known().scaling.knots)
