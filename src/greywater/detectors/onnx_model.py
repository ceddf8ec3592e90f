"""A model in the ONNX format as rows in, scores out: its inputs and outputs are checked, its file stands alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np

from greywater.errors import DetectorError, ExtraMissingError
from greywater.vocab import Float64Array

__all__ = ["COLUMNS_KEY", "OnnxModel"]

#: Where an exported model says which columns it reads, as a JSON list.
COLUMNS_KEY: Final = "greywater.columns"
#: Rows of one call; the last ones are padded, so that a row's bits do not depend on how many there are beside it.
BLOCK: Final = 128
INPUTS: Final[dict[str, Any]] = {"tensor(float)": np.float32, "tensor(double)": np.float64}
OUTPUTS: Final = ("tensor(float)", "tensor(double)", "seq(map(int64,tensor(float)))", "seq(map(string,tensor(float)))")
#: Names of outputs that are taken before others, in this order.
PREFERRED: Final = ("score", "scores", "probability", "probabilities", "output_probability")


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX model that gives each row one number.

    It has one input float[n, columns], or one input float[n, 1] for each column; float32 or float64. Of its outputs one
    is the score: float[n] or float[n, 1], or float[n, 2] and the classifier's maps, where the chance of class 1 is
    taken. It runs on one thread.

    Parameters
    ----------
    content : bytes
        The file.
    columns : tuple of str
        What its inputs are given, in order.
    output : str
        Name of the output that is the score.
    turned : bool
        A lower output is more suspicious.
    """

    content: bytes = field(repr=False)
    columns: tuple[str, ...]
    output: str
    turned: bool
    session: Any = field(repr=False, compare=False)

    @classmethod
    def open(
        cls, content: bytes, columns: Sequence[str] = (), *, output: str = "", turned: bool = False, where: str = ""
    ) -> Self:
        """Read a model and check that it can be used.

        Parameters
        ----------
        content : bytes
        columns : sequence of str
            Where left out: those that the file names (an exported model does), or the names of its inputs where it has
            one for each column.
        output : str
            Where left out: the only output that can be a score, or one that is called so.
        turned : bool
            A lower output is more suspicious.
        where : str
            What the file is called, for messages.

        Raises
        ------
        ExtraMissingError
            onnxruntime is not installed.
        DetectorError
            This is no model, it has other inputs or outputs, or takes another number of columns.
        """
        session = _session(content, where)
        inputs = session.get_inputs()
        _require_inputs(inputs, where)
        named = tuple(columns) or _columns_named(session, inputs)
        if not named:
            raise DetectorError(
                f"the input {inputs[0].name!r} has shape {inputs[0].shape}, and the file does not name the columns",
                where=where,
                mend="name them in order: --columns a,b,c or --columns FILE",
            )  # fmt: skip
        if len(set(named)) != len(named):
            raise DetectorError("a column is named twice", where=where, mend="name each once")
        _require_width(inputs, named, where)
        chosen = output or _output(session.get_outputs(), where)
        if chosen not in {one.name for one in session.get_outputs()}:
            raise DetectorError(
                f"the model has no output {chosen!r}", where=where, mend=f"give one of {_listed(session.get_outputs())}"
            )
        made = cls(content, named, chosen, turned, session)
        made.score(np.zeros((1, len(named))))
        return made

    def score(self, rows: Float64Array) -> Float64Array:
        """Outputs float64[n] of rows float64[n, columns], higher = more suspicious; infinities are drawn in.

        Raises
        ------
        DetectorError
            The model fails on them, or its output is not one number a row.
        """
        block = self._block
        found = np.empty(len(rows))
        for start in range(0, len(rows), block):
            part = rows[start : start + block]
            padded = np.concatenate([part, np.zeros((block - len(part), rows.shape[1]))]) if len(part) < block else part
            found[start : start + block] = self._called(padded)[: len(part)]
        return -found if self.turned else found

    @property
    def _block(self) -> int:
        """Rows of one call; what the file fixes goes before."""
        first = self.session.get_inputs()[0].shape[0]
        return first if isinstance(first, int) and first > 0 else BLOCK

    def _called(self, rows: Float64Array) -> Float64Array:
        inputs = self.session.get_inputs()
        given: dict[str, Any] = {}
        for place, one in enumerate(inputs):
            part = rows if len(inputs) == 1 else rows[:, self._place(one.name, place)]
            kind = INPUTS[one.type]
            drawn_in = np.clip(part, np.finfo(kind).min, np.finfo(kind).max).astype(kind)
            given[one.name] = np.ascontiguousarray(drawn_in if len(inputs) == 1 else drawn_in.reshape(_shape(one)))
        try:
            (said,) = self.session.run([self.output], given)
        except Exception as error:  # onnxruntime raises its own, of no common class
            raise DetectorError(
                f"the model cannot score: {str(error).splitlines()[0][:300]}",
                where=self.output,
                mend="export it with a free first dimension, or give it the columns it was fitted on",
            ) from error
        return _numbers(said, len(rows), self.output)

    def _place(self, name: str, place: int) -> int:
        return self.columns.index(name) if name in self.columns else place


def _session(content: bytes, where: str) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ExtraMissingError(
            "ONNX models need onnxruntime", where=where, mend="pip install 'greywater[onnx]'"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise DetectorError(
            f"this is no ONNX model that can be used: {str(error).splitlines()[0][:300]}",
            where=where,
            mend="give one file with all weights in it, without custom operators",
        ) from error


def _require_inputs(inputs: Sequence[Any], where: str) -> None:
    for one in inputs:
        if one.type not in INPUTS:
            raise DetectorError(
                f"the input {one.name!r} is a {one.type}", where=where, mend="export it with float or double inputs"
            )
    odd = [one for one in inputs if len(one.shape) != 2 and not (len(inputs) > 1 and len(one.shape) == 1)]
    wide = [one for one in inputs if len(inputs) > 1 and len(one.shape) == 2 and one.shape[1] not in (1, None)]
    if not inputs or odd or wide:
        shapes = ", ".join(f"{one.name} {one.shape}" for one in inputs)
        raise DetectorError(
            f"the inputs are not columns of rows: {shapes or 'there are none'}",
            where=where,
            mend="export it with one input [rows, columns], or one input [rows, 1] for each column",
        )


def _columns_named(session: Any, inputs: Sequence[Any]) -> tuple[str, ...]:
    said = session.get_modelmeta().custom_metadata_map.get(COLUMNS_KEY)
    if said:
        try:
            return tuple(str(name) for name in json.loads(said))
        except (ValueError, TypeError):
            return ()
    return tuple(one.name for one in inputs) if len(inputs) > 1 else ()


def _require_width(inputs: Sequence[Any], columns: Sequence[str], where: str) -> None:
    width = inputs[0].shape[1] if len(inputs) == 1 else len(inputs)
    if isinstance(width, int) and width != len(columns):
        raise DetectorError(
            f"the model takes {width} columns, and {len(columns)} are named", where=where, mend="name as many, in order"
        )


def _output(outputs: Sequence[Any], where: str) -> str:
    usable = [one for one in outputs if one.type in OUTPUTS]
    if len(usable) == 1:
        return str(usable[0].name)
    known = {str(one.name).lower(): str(one.name) for one in usable}
    for name in PREFERRED:
        if name in known:
            return known[name]
    raise DetectorError(
        f"it is not clear which output is the score: {_listed(outputs)}", where=where, mend="name it: --output NAME"
    )


def _listed(outputs: Iterable[Any]) -> str:
    return ", ".join(f"{one.name} ({one.type} {one.shape})" for one in outputs) or "none"


def _shape(one: Any) -> tuple[int, ...]:
    return (-1, 1) if len(one.shape) == 2 else (-1,)


def _numbers(said: Any, rows: int, output: str) -> Float64Array:
    """One number a row of what an output said."""
    if isinstance(said, list):
        keys = [key for key in (1, "1") if said and key in said[0]]
        if len(said) == rows and keys:
            return np.array([each[keys[0]] for each in said], np.float64)
        raise DetectorError(f"the maps of {output!r} name no class 1", where=output, mend="name another output")
    array = np.asarray(said)
    if array.shape in ((rows,), (rows, 1)):
        return array.reshape(rows).astype(np.float64)
    if array.shape == (rows, 2):
        return array[:, 1].astype(np.float64)
    raise DetectorError(
        f"the output {output!r} has shape {array.shape} for {rows} rows: it is not one number a row",
        where=output,
        mend="name another output: --output NAME",
    )
