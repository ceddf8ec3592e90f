"""ONNX both ways: models that are brought are checked and scored, models that are exported say the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from greywater.detectors.adversarial import Adversarial, AdversarialParameters
from greywater.detectors.boosted import Boosted, BoostedParameters
from greywater.detectors.detector import Validation
from greywater.detectors.hybrid import Hybrid
from greywater.detectors.isolation import Isolation, IsolationParameters
from greywater.detectors.onnx_detector import OnnxDetector
from greywater.detectors.onnx_export import export_onnx
from greywater.detectors.onnx_model import OnnxModel
from greywater.detectors.outlier_kinds import OUTLIER_KINDS
from greywater.detectors.single_row import TreeArrays
from greywater.detectors.xgboosted import XGBoosted
from greywater.errors import DetectorError
from greywater.stores.blocks import TableRows
from greywater.vocab import Float64Array, Int64Array
from tests.laws.test_detector_laws import NAMES, planted

onnx = pytest.importorskip("onnx", reason="pip install 'greywater[onnx]'")
ort = pytest.importorskip("onnxruntime", reason="pip install 'greywater[onnx]'")

QUICK = BoostedParameters(rounds=40, patience=30, min_data_in_leaf=5)
MADE: dict[str, Callable[[], Any]] = {
    "boosted": lambda: Boosted(QUICK, threads=1),
    "unlabelled": lambda: Boosted(
        BoostedParameters(rounds=20, min_data_in_leaf=5, positives_unlabelled=True), threads=1
    ),
    "xgboosted": lambda: XGBoosted(QUICK, threads=1),
    "isolation": lambda: Isolation(IsolationParameters(trees=30), threads=1),
}
NETWORK = {"hidden": 16, "code": 4, "epochs": 2, "epoch_rows": 1_600, "batch": 64, "rate": 1e-2, "labels": "good"}


def network(**more: Any) -> Adversarial:
    pytest.importorskip("torch", reason="pip install 'greywater[deep]'")
    return Adversarial(AdversarialParameters(**(NETWORK | more)), device="cpu", threads=1)


@cache
def rows() -> tuple[TableRows, Int64Array, TableRows]:
    X, y = planted(2_000, 1)
    return TableRows(X), y, TableRows(planted(1_000, 3)[0])


def fitted(detector: Any, *, labelled: bool = True) -> Any:
    X, y, _ = rows()
    later, truth = planted(1_000, 2)
    return detector.fit(X, y, validation=Validation(TableRows(later), truth if labelled else truth * 0))


def run(content: bytes, given: Float64Array, output: str = "score") -> Float64Array:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([output], {"rows": given})[0])


def matrix(table: TableRows) -> Float64Array:
    return np.column_stack(
        [column.to_numpy().astype(np.float64) for column in table.take(np.arange(table.rows)).columns]
    )


@pytest.mark.parametrize("kind", MADE)
def test_an_exported_forest_says_what_the_model_says(kind: str) -> None:
    detector = fitted(MADE[kind]())
    exported = export_onnx(detector)
    _, _, later = rows()
    score = detector.score(later)
    for size in (1, 7, 1_000):  # whatever the rows of a call
        said = np.concatenate([run(exported.content, matrix(later)[at : at + size]) for at in range(0, 1_000, size)])
        if kind in ("boosted", "unlabelled"):
            assert said.tobytes() == score.tobytes()
        assert np.abs(said - score).max() <= 1e-6 * np.ptp(score)
    assert exported.compared == 2_000
    assert exported.flipped == 0
    assert exported.largest == 0 if kind in ("boosted", "unlabelled") else exported.largest < 1e-6
    assert exported.columns == NAMES
    assert exported.outputs == ("score", "probability")
    chance = run(exported.content, matrix(later), "probability")
    assert np.allclose(chance, detector.probability(later), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("by", ["reconstruction", "features", "both", "discriminator"])
def test_an_exported_network_says_nearly_what_the_model_says(by: str) -> None:
    more = {"members": 2, "far": 0.3} if by == "both" else {}
    detector = fitted(network(score_by=by, **more), labelled=by == "both")
    exported = export_onnx(detector)
    _, _, later = rows()
    score = detector.score(later)
    assert np.abs(run(exported.content, matrix(later)) - score).max() <= 1e-5 * np.ptp(score)
    assert exported.largest <= 1e-5
    assert exported.outputs == (("score", "probability") if by == "both" else ("score",))


def test_trees_that_are_one_leaf_are_carried_along() -> None:
    text = "max_feature_idx=0\n\n"
    for number, leaves in enumerate((1, 2, 1)):
        text += f"Tree={number}\nnum_leaves={leaves}\nnum_cat=0\n"
        if leaves == 2:
            text += "split_feature=0\nthreshold=1.5\ndecision_type=2\nleft_child=-1\nright_child=-2\n"
        text += f"leaf_value={' '.join(['0.25', '4.5'][:leaves])}\nis_linear=0\n\n"
    detector = fitted(MADE["boosted"]())
    known = detector._known()
    known.names, known.arrays = ("a",), TreeArrays.from_lightgbm(text)
    said = run(export_onnx(detector).content, np.array([[1.5], [1.6], [np.nan]]))
    assert said.tolist() == known.arrays.margins(np.array([[1.5], [1.6], [np.nan]])).tolist() == [0.75, 5.0, 0.75]


def test_what_has_no_graph_is_refused_with_the_reason() -> None:
    hybrid = fitted(Hybrid({"boosted": MADE["boosted"](), "isolation": MADE["isolation"]()}))
    with pytest.raises(DetectorError, match="rules and Anti-TrustRank are programs") as raised:
        export_onnx(hybrid)
    assert "--part boosted" in raised.value.mend
    assert export_onnx(hybrid, "boosted").content == export_onnx(hybrid.parts["boosted"]).content
    with pytest.raises(DetectorError, match="cannot be exported"):
        export_onnx(hybrid, "luck")
    with pytest.raises(DetectorError, match="which has no parts"):
        export_onnx(hybrid.parts["boosted"], "boosted")
    with pytest.raises(DetectorError, match="of kind 'pca' cannot be written"):
        export_onnx(fitted(OUTLIER_KINDS["pca"](threads=1)))


def test_there_and_back_again(tmp_path: Path) -> None:
    boosted = fitted(MADE["boosted"]())
    exported = export_onnx(boosted)
    brought = fitted(OnnxDetector(exported.content, source="trees.onnx"))
    _, _, later = rows()
    assert brought.score(later).tobytes() == boosted.score(later).tobytes()
    assert brought.threshold.value == boosted.threshold.value
    assert brought.card["undefined_values"] == "as they are"
    brought.save(tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == exported.content
    assert export_onnx(OnnxDetector.load(tmp_path)).content == exported.content


def written(
    nodes: list[Any], inputs: list[Any], outputs: list[Any], arrays: tuple[Any, ...] = (), **facts: str
) -> bytes:
    graph = onnx.helper.make_graph(nodes, "brought", inputs, outputs, list(arrays))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(model, facts)
    return bytes(model.SerializeToString())


def value(name: str, shape: list[Any], kind: str = "FLOAT") -> Any:
    return onnx.helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), shape)


def linear(weights: list[float], outputs: int = 1, rows: Any = "n") -> bytes:
    """rows @ weights, or two columns of which the second is that."""
    held = np.zeros((len(weights), outputs), np.float32)
    held[:, -1] = weights
    array = onnx.numpy_helper.from_array(held, "w")
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["out"])
    return written([node], [value("x", [rows, len(weights)])], [value("out", [rows, outputs])], (array,))


def table(*columns: list[float]) -> TableRows:
    return TableRows(pa.table({name: pa.array(column) for name, column in zip("abc", columns, strict=False)}))


def test_a_linear_model_with_one_input_is_read_in_the_order_of_its_columns() -> None:
    model = OnnxModel.open(linear([1.0, -2.0]), ("a", "b"))
    assert model.score(np.array([[3.0, 1.0], [0.0, 1.0]])).tolist() == [1.0, -2.0]
    assert OnnxModel.open(linear([1.0, -2.0], 2), ("a", "b")).score(np.array([[3.0, 1.0]])).tolist() == [1.0]
    assert OnnxModel.open(linear([1.0]), ("a",), turned=True).score(np.array([[3.0]])).tolist() == [-3.0]
    fixed = OnnxModel.open(linear([1.0], rows=5), ("a",))
    assert fixed.score(np.arange(12.0)[:, None]).tolist() == list(range(12))


def test_one_input_a_column_names_the_columns() -> None:
    node = onnx.helper.make_node("Sub", ["b", "a"], ["score"])
    content = written([node], [value("b", ["n", 1]), value("a", ["n", 1], "FLOAT")], [value("score", ["n", 1])])
    model = OnnxModel.open(content)
    assert model.columns == ("b", "a")
    assert model.score(np.array([[5.0, 2.0]])).tolist() == [3.0]
    detector = OnnxDetector(content).fit(TableRows(pa.table({"b": [5.0, 1.0], "a": [2.0, 0.0]})))
    assert detector.names == ("b", "a")
    with pytest.raises(DetectorError, match="another order"):
        OnnxDetector(content).fit(table([1.0, 2.0], [3.0, 4.0]))


def test_what_is_undefined_becomes_the_median_where_the_model_gives_no_number(tmp_path: Path) -> None:
    X = table([1.0, 2.0, 3.0, float("nan")], [0.0, 0.0, float("nan"), 0.0])
    detector = OnnxDetector(linear([1.0, 1.0]), columns=("a", "b")).fit(X)
    assert detector.score(X).tolist() == [1.0, 2.0, 3.0, 2.0]
    assert detector.card["undefined_values"] == "the column's median"
    detector.save(tmp_path)
    assert OnnxDetector.load(tmp_path).score(X).tolist() == [1.0, 2.0, 3.0, 2.0]


def test_a_model_that_gives_no_number_is_refused() -> None:
    node = onnx.helper.make_node("Log", ["x"], ["score"])
    content = written([node], [value("x", ["n", 1])], [value("score", ["n", 1])])
    with pytest.raises(DetectorError, match="gives no number for 1 of 2 rows"):
        OnnxDetector(content, columns=("a",)).fit(table([1.0, -2.0]))


IDENTITY = [("Identity", "x")]
REFUSED: dict[str, tuple[Callable[[], bytes], tuple[str, ...], str]] = {
    "no model": (lambda: b"not a model", ("a",), "no ONNX model"),
    "empty": (lambda: b"", ("a",), "no ONNX model"),
    "too few columns": (lambda: linear([1.0, 2.0]), ("a",), "takes 2 columns, and 1 are named"),
    "nameless columns": (lambda: linear([1.0, 2.0]), (), "does not name the columns"),
    "repeated columns": (lambda: linear([1.0, 2.0]), ("a", "a"), "named twice"),
    "three outputs a row": (lambda: linear([1.0, 2.0], 3), ("a", "b"), "not one number a row"),
    "whole numbers": (
        lambda: written(
            [onnx.helper.make_node("Identity", ["x"], ["y"])], [value("x", ["n", 1], "INT64")],
            [value("y", ["n", 1], "INT64")],
        ),
        ("a",),
        "is a tensor\\(int64\\)",
    ),
    "a cube": (
        lambda: written(
            [onnx.helper.make_node("Identity", ["x"], ["y"])], [value("x", ["n", 2, 2])], [value("y", ["n", 2, 2])]
        ),
        ("a",),
        "not columns of rows",
    ),
    "two scores": (
        lambda: written(
            [onnx.helper.make_node("Identity", ["x"], ["one"]), onnx.helper.make_node("Neg", ["x"], ["two"])],
            [value("x", ["n", 1])], [value("one", ["n", 1]), value("two", ["n", 1])],
        ),
        ("a",),
        "not clear which output",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_with_its_mend(case: str) -> None:
    make, columns, match = REFUSED[case]
    with pytest.raises(DetectorError, match=match) as raised:
        OnnxModel.open(make(), columns, where="theirs.onnx")
    assert raised.value.mend


def test_an_output_may_be_named() -> None:
    content = REFUSED["two scores"][0]()
    assert OnnxModel.open(content, ("a",), output="two").score(np.array([[2.0]])).tolist() == [-2.0]
    with pytest.raises(DetectorError, match="no output 'three'"):
        OnnxModel.open(content, ("a",), output="three")


def test_weights_in_another_file_are_not_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = onnx.numpy_helper.from_array(np.ones((1, 1), np.float32), "w")
    (tmp_path / "secret.bin").write_bytes(array.raw_data)
    monkeypatch.chdir(tmp_path)
    array.ClearField("raw_data")
    array.data_location = onnx.TensorProto.EXTERNAL
    for key, said in (("location", "secret.bin"), ("offset", "0"), ("length", "4")):
        array.external_data.add(key=key, value=said)
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["out"])
    content = written([node], [value("x", ["n", 1])], [value("out", ["n", 1])], (array,))
    with pytest.raises(DetectorError, match="no ONNX model that can be used"):
        OnnxModel.open(content, ("a",))
