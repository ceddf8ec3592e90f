"""Writes ONNX graphs: operators one after another, arrays as initializers, trees as one operator in float64."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from greywater._version import __version__
from greywater.detectors.onnx_model import COLUMNS_KEY
from greywater.errors import ExtraMissingError
from greywater.vocab import Float64Array, Int64Array

__all__ = ["OnnxGraph"]

#: Of the standard operators, of ai.onnx.ml (TreeEnsemble came with 5), and of the file.
OPSET: Final = 21
TREES_OPSET: Final = 5
FORMAT: Final = 10
#: `aggregate_function` of TreeEnsemble: the sum of the leaves.
SUM: Final = 1


class OnnxGraph:
    """A graph on its way: one input `rows` float64[n, columns]; every operator answers with the name of its output.

    Parameters
    ----------
    columns : sequence of str
        Of the input, in order; the file names them.

    Raises
    ------
    ExtraMissingError
        onnx is not installed.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        try:
            import onnx
        except ImportError:
            raise ExtraMissingError("writing ONNX needs onnx", mend="pip install 'greywater[onnx]'") from None
        self._onnx = onnx
        self._columns = tuple(columns)
        self._nodes: list[Any] = []
        self._arrays: list[Any] = []

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator; the name of its output."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name

    def array(self, value: NDArray[Any] | float) -> str:
        """Add an array, float64 where it is a number; its name."""
        name = f"array_{len(self._arrays)}"
        held = np.asarray(value, np.float64) if isinstance(value, float) else np.ascontiguousarray(value)
        self._arrays.append(self._onnx.numpy_helper.from_array(held, name))
        return name

    def cast(self, value: str, kind: type[np.generic]) -> str:
        """The same values as another type."""
        return self.op("Cast", value, to=int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))))

    def trees(
        self,
        rows: str,
        roots: Int64Array,
        feature: NDArray[Any],
        limit: Float64Array,
        left: Int64Array,
        nan_left: NDArray[np.bool_],
        leaf: Float64Array,
    ) -> str:
        """Summed leaves float64[n, 1] of trees whose node arrays have one entry a node.

        A node sends values up to `limit` (and NaN where `nan_left`) to `left`, others to the node after it; a leaf
        names itself and adds `leaf`.
        """
        feature, limit, left, nan_left, leaf, roots = _without_bare_leaves(feature, limit, left, nan_left, leaf, roots)
        inner = left != np.arange(len(left))
        number = np.where(inner, np.cumsum(inner), np.cumsum(~inner)) - 1
        sides = {"true": left[inner], "false": left[inner] + 1}
        from_array = self._onnx.numpy_helper.from_array
        attributes: dict[str, Any] = {
            "tree_roots": number[roots].tolist(),
            "nodes_modes": from_array(np.zeros(int(inner.sum()), np.uint8)),  # value <= split
            "nodes_featureids": np.asarray(feature)[inner].astype(np.int64).tolist(),
            "nodes_splits": from_array(np.asarray(limit, np.float64)[inner]),
            "nodes_missing_value_tracks_true": np.asarray(nan_left)[inner].astype(np.int64).tolist(),
            "leaf_targetids": [0] * int((~inner).sum()),
            "leaf_weights": from_array(np.asarray(leaf, np.float64)[~inner]),
        }
        for side, child in sides.items():
            attributes[f"nodes_{side}nodeids"] = number[child].tolist()
            attributes[f"nodes_{side}leafs"] = (~inner[child]).astype(np.int64).tolist()
        return self.op(
            "TreeEnsemble", rows, domain="ai.onnx.ml", n_targets=1, aggregate_function=SUM, post_transform=0,
            **attributes,
        )  # fmt: skip

    def finish(self, outputs: Mapping[str, str], about: Mapping[str, Any]) -> bytes:
        """The file: each output float64[n] under its name; checked.

        Parameters
        ----------
        outputs : mapping
            Name of an output of the file -> name of the value, float64[n] or float64[n, 1].
        about : mapping
            JSON types; kept in the file as `greywater.NAME`.
        """
        helper, double = self._onnx.helper, self._onnx.TensorProto.DOUBLE
        flat = self.array(np.array([-1], np.int64))
        for name, value in outputs.items():
            self._nodes.append(helper.make_node("Reshape", [value, flat], [name]))
        told = [helper.make_tensor_value_info(name, double, ["n"]) for name in outputs]
        given = helper.make_tensor_value_info("rows", double, ["n", len(self._columns)])
        graph = helper.make_graph(self._nodes, "greywater", [given], told, self._arrays)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", TREES_OPSET)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=FORMAT, producer_name="greywater", producer_version=__version__
        )
        facts = {COLUMNS_KEY: json.dumps(list(self._columns))}
        facts |= {f"greywater.{name}": json.dumps(value) for name, value in about.items()}
        helper.set_model_props(model, facts)
        self._onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())


def _without_bare_leaves(
    feature: NDArray[Any],
    limit: Float64Array,
    left: Int64Array,
    nan_left: NDArray[np.bool_],
    leaf: Float64Array,
    roots: Int64Array,
) -> tuple[NDArray[Any], Float64Array, Int64Array, NDArray[np.bool_], Float64Array, Int64Array]:
    """The same trees; one that is a single leaf, which the operator does not have, splits on nothing and adds it."""
    bare = np.flatnonzero(left[roots] == roots)
    if not len(bare):
        return feature, limit, left, nan_left, leaf, roots
    nodes, many = len(left), len(bare)
    first = nodes + 3 * np.arange(many)
    grown = np.column_stack([first + 1, first + 1, first + 2]).ravel()
    value = np.column_stack([np.zeros(many), leaf[roots[bare]], leaf[roots[bare]]]).ravel()
    moved = roots.copy()
    moved[bare] = first
    return (
        np.concatenate([feature, np.zeros(3 * many, np.int64)]),
        np.concatenate([limit, np.zeros(3 * many)]),
        np.concatenate([left, grown]),
        np.concatenate([nan_left, np.ones(3 * many, np.bool_)]),
        np.concatenate([leaf, value]),
        moved,
    )
