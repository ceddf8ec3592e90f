"""The adversarial pair as ONNX operators: the scaling of its columns, its layers, and the error that is the score."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from greywater.detectors.onnx_graph import OnnxGraph
from greywater.detectors.refiner import SLOPE, Chain, Pair
from greywater.detectors.scaling import Scaling
from greywater.errors import DetectorError
from greywater.vocab import Int64Array

__all__ = ["network_score"]


def network_score(graph: OnnxGraph, detector: Any) -> str:
    """Scores float64[n] of raw rows: the mean over the pairs of an ensemble.

    Raises
    ------
    DetectorError
        No column told anything when the pairs were trained.
    """
    fitted = detector._known()
    if not len(fitted.columns):
        raise DetectorError("a network without columns cannot be written as ONNX", mend="fit it on columns that differ")
    rows = graph.cast(_scaled(graph, fitted.scaling, fitted.columns), np.float32)
    each = [_pair(graph, rows, pair, detector._parameters.score_by) for pair in fitted.pairs]
    score = each[0]
    if len(each) > 1:
        total = reduce(lambda one, other: graph.op("Add", one, other), each)
        score = graph.op("Div", total, graph.array(float(len(each))))
    if not (far := detector._far):
        return score
    whole = graph.cast(_scaled(graph, fitted.scaling, np.arange(fitted.scaling.width)), np.float32)
    distance = _mean_square(graph, graph.cast(whole, np.float64))
    return graph.op("Add", score, graph.op("Mul", distance, graph.array(far)))


def _scaled(graph: OnnxGraph, scaling: Scaling, columns: Int64Array) -> str:
    """Columns float64[n, columns] as `Scaling` makes them: drawn in, then straight between the points of a curve."""
    missing = graph.op("IsNaN", "rows")
    known = graph.op("Where", missing, graph.array(0.0), "rows")
    size = graph.op("Min", graph.op("Abs", known), graph.array(float(np.finfo(np.float64).max)))
    drawn = graph.op("Mul", graph.op("Sign", known), graph.op("Log", graph.op("Add", size, graph.array(1.0))))
    both = graph.op("Concat", drawn, graph.cast(missing, np.float64), axis=1)
    plain = len(scaling.kept)
    places = np.concatenate([scaling.kept, scaling.features + scaling.flagged])[columns]
    value = graph.op("Gather", both, graph.array(places), axis=1)
    scaled = _curves(graph, value, scaling, columns)
    # A raw value that is not defined is the middle of its column; whether it is defined always is.
    undefined = graph.op("Gather", missing, graph.array(scaling.sources[columns]), axis=1)
    raw = graph.array((columns < plain)[None, :])
    return graph.op("Where", graph.op("And", undefined, raw), graph.array(0.0), scaled)


def _curves(graph: OnnxGraph, value: str, scaling: Scaling, columns: Int64Array) -> str:
    """Each column along its own curve, held at its ends, as `np.interp` has it."""
    cuts = [slice(int(scaling.starts[place]), int(scaling.starts[place + 1])) for place in columns]
    points = max(cut.stop - cut.start for cut in cuts)
    knots = np.full((len(cuts), points), np.inf)
    starts, bases, slopes = (np.zeros((len(cuts), points)) for _ in range(3))
    ends = np.zeros((2, len(cuts)))
    for place, cut in enumerate(cuts):
        x, y = scaling.knots[cut], scaling.values[cut]
        knots[place, : len(x)] = x
        starts[place, : len(x)], bases[place, : len(x)] = x, y
        slopes[place, : len(x) - 1] = np.diff(y) / np.diff(x)
        ends[:, place] = x[0], x[-1]
    held = graph.op("Max", graph.op("Min", value, graph.array(ends[1])), graph.array(ends[0]))
    wide = graph.op("Unsqueeze", held, graph.array(np.array([2], np.int64)))
    passed = graph.cast(graph.op("GreaterOrEqual", wide, graph.array(knots)), np.int64)
    count = graph.op("ReduceSum", passed, graph.array(np.array([2], np.int64)), keepdims=0)
    at = graph.op("Add", count, graph.array(points * np.arange(len(cuts)) - 1))
    start, base, slope = (
        graph.op("Gather", graph.array(table.ravel()), at, axis=0) for table in (starts, bases, slopes)
    )
    return graph.op("Add", graph.op("Mul", graph.op("Sub", held, start), slope), base)


def _layers(graph: OnnxGraph, rows: str, layers: Chain, upto: int | None = None) -> str:
    last = len(layers.weights) - 1
    for place, (weight, bias) in enumerate(zip(layers.weights[:upto], layers.biases[:upto], strict=True)):
        rows = graph.op("Add", graph.op("MatMul", rows, graph.array(weight)), graph.array(bias))
        if place != last:
            rows = graph.op("LeakyRelu", rows, alpha=SLOPE)
    return rows


def _pair(graph: OnnxGraph, rows: str, pair: Pair, by: str) -> str:
    if by == "discriminator":
        only = _layers(graph, rows, pair.discriminator)
        return graph.op("Neg", graph.op("Squeeze", graph.cast(only, np.float64), graph.array(np.array([1], np.int64))))
    refined = _layers(graph, rows, pair.refiner)
    found = []
    if by != "features":
        found.append(_apart(graph, rows, refined))
    if by != "reconstruction":
        upto = len(pair.discriminator.weights) - 1
        features = [_layers(graph, each, pair.discriminator, upto) for each in (rows, refined)]
        found.append(_apart(graph, *features))
    return found[0] if len(found) == 1 else graph.op("Add", *found)


def _apart(graph: OnnxGraph, one: str, other: str) -> str:
    """Mean over the columns of error^2, float64[n]."""
    error = graph.op("Sub", graph.cast(one, np.float64), graph.cast(other, np.float64))
    return _mean_square(graph, error)


def _mean_square(graph: OnnxGraph, rows: str) -> str:
    return graph.op("ReduceMean", graph.op("Mul", rows, rows), graph.array(np.array([1], np.int64)), keepdims=0)
