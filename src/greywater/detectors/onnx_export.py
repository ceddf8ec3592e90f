"""A kept model as an ONNX file, measured against the model it was made of on rows that lie on its very thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from greywater.detectors.adversarial import Adversarial
from greywater.detectors.boosted import Boosted
from greywater.detectors.calibration import Platt, Rank
from greywater.detectors.detector import Detector
from greywater.detectors.hybrid import Hybrid
from greywater.detectors.isolation import Isolation
from greywater.detectors.onnx_detector import OnnxDetector
from greywater.detectors.onnx_graph import OnnxGraph
from greywater.detectors.onnx_model import OnnxModel
from greywater.detectors.onnx_network import network_score
from greywater.errors import DetectorError
from greywater.stores.blocks import TableRows
from greywater.vocab import Float64Array

__all__ = ["EXPORTED", "Exported", "export_onnx"]

#: What can be exported, and what its score is beside the model's own.
EXPORTED: Final = {
    "boosted": "the same bits: thresholds and leaves are float64, added in the order of the trees",
    "xgboosted": "leaves are added in float64, where XGBoost adds in float32",
    "isolation": "the same paths; the last power of two may differ in its last bit",
    "adversarial": "the same layers in float32, added in another order",
    "onnx": "the file as it was brought",
}
#: Rows on which a file is compared with its model.
COMPARED: Final = 2_000


@dataclass(frozen=True)
class Exported:
    """An ONNX file.

    Parameters
    ----------
    content : bytes
    columns : tuple of str
        Of the input `rows` float64[n, columns], in order; NaN = not defined. A model that was brought has its own.
    outputs : tuple of str
        `score` float64[n], and `probability` float64[n] where the model's is a sigmoid.
    note : str
        How exact it is, in words.
    compared : int
        Rows on which it was compared with the model, most of their values on its thresholds or beside them.
    largest : float
        Largest difference of the scores there, relative to the spread of the model's.
    flipped : int
        Rows that one flags and the other does not.
    """

    content: bytes
    columns: tuple[str, ...]
    outputs: tuple[str, ...]
    note: str
    compared: int
    largest: float
    flipped: int


def export_onnx(detector: Detector, part: str = "") -> Exported:
    """Write a fitted detector as ONNX (extra `[onnx]`).

    Parameters
    ----------
    detector : Detector
    part : str
        Of a hybrid: which of its parts.

    Raises
    ------
    DetectorError
        This kind cannot be exported; the message says why.
    ExtraMissingError
        onnx or onnxruntime is not installed.
    """
    if isinstance(detector, Hybrid):
        return export_onnx(_part(detector, part))
    if part:
        raise DetectorError(
            f"the model is of kind {detector.kind!r}, which has no parts", where=part, mend="leave --part out"
        )
    if isinstance(detector, OnnxDetector):
        held = detector._known().model
        return Exported(held.content, detector.names, (held.output,), EXPORTED["onnx"], 0, 0.0, 0)
    writer = _WRITERS.get(detector.kind)
    if writer is None:
        raise DetectorError(
            f"a model of kind {detector.kind!r} cannot be written as ONNX: no graph is made for its kind",
            where=detector.kind,
            mend=f"export one of {', '.join(EXPORTED)}",
        )
    graph = OnnxGraph(detector.names)  # type: ignore[attr-defined]
    score = writer(graph, detector)
    outputs = {"score": score} | _probability(graph, score, detector)
    about = {"kind": detector.kind, "threshold": detector.threshold.value, "features": _fingerprint(detector)}  # type: ignore[attr-defined]
    content = graph.finish(outputs, about)
    largest, flipped = _compared(content, detector)
    return Exported(
        content, detector.names, tuple(outputs), EXPORTED[detector.kind], COMPARED, largest, flipped  # type: ignore[attr-defined]
    )  # fmt: skip


def _part(hybrid: Hybrid, part: str) -> Detector:
    usable = [name for name, each in hybrid.parts.items() if each.kind in EXPORTED]
    if part in usable:
        return hybrid.parts[part]
    if not part:
        raise DetectorError(
            "a hybrid cannot be written as ONNX: its rules and Anti-TrustRank are programs, not layers or trees",
            where="hybrid",
            mend=f"export a part of it: --part {' or --part '.join(usable)}" if usable else "keep its folder instead",
        )
    raise DetectorError(
        f"the part {part!r} cannot be exported", where="hybrid", mend=f"give one of {', '.join(usable) or 'none'}"
    )


def _fingerprint(detector: Any) -> str | None:
    said = detector.card.get("fingerprint")
    return None if said is None else str(said)


def _of_boosted(graph: OnnxGraph, detector: Any) -> str:
    arrays = detector._known().arrays
    child = arrays.child.astype(np.int64)
    margin = graph.trees(
        "rows", arrays.roots, arrays.feature, arrays.limit, child >> 1, (child & 1) == 1, arrays.leaf.astype(np.float64)
    )
    return margin if arrays.start == 0 else graph.op("Add", margin, graph.array(float(arrays.start)))


def _of_isolation(graph: OnnxGraph, detector: Any) -> str:
    forest = detector._known().forest
    length = graph.trees(
        "rows", forest.roots, forest.feature, forest.threshold, forest.child, forest.missing_left == 1, forest.length
    )
    share = graph.op("Neg", graph.op("Div", length, graph.array(float(forest.scale[0]))))
    return graph.op("Pow", graph.array(2.0), share)


_WRITERS: Final = {
    "boosted": _of_boosted,
    "xgboosted": _of_boosted,
    "isolation": _of_isolation,
    "adversarial": network_score,
}


def _probability(graph: OnnxGraph, score: str, detector: Any) -> dict[str, str]:
    """The sigmoid that makes a probability of a score; nothing where the probability is a rank."""
    fitted = detector._known()
    calibrated: Platt | Rank = fitted.platt if isinstance(detector, Boosted) else fitted.calibrated
    if not isinstance(calibrated, Platt):
        return {}
    steep = graph.op("Mul", score, graph.array(float(calibrated.slope)))
    chance = graph.op("Sigmoid", graph.op("Add", steep, graph.array(float(calibrated.intercept))))
    share = fitted.labelled_share if isinstance(detector, Boosted) else 1.0
    if share != 1.0:
        chance = graph.op("Min", graph.op("Div", chance, graph.array(float(share))), graph.array(1.0))
    return {"probability": chance}


def _compared(content: bytes, detector: Any) -> tuple[float, int]:
    """Largest difference of the scores on made-up rows, relative to their spread, and flags that differ."""
    import pyarrow as pa

    names = detector.names
    rows = _trial_rows(detector, len(names))
    table = pa.table({name: rows[:, place] for place, name in enumerate(names)})
    mine = detector.score(TableRows(table)) if names else np.zeros(0)
    theirs = OnnxModel.open(content, names, output="score").score(rows)
    spread = float(np.ptp(mine)) or 1.0
    flags = [score >= detector.threshold.value for score in (mine, theirs)]
    return float(np.abs(mine - theirs).max()) / spread, int(np.count_nonzero(flags[0] != flags[1]))


def _trial_rows(detector: Any, columns: int, seed: int = 7) -> Float64Array:
    """Rows that try a model hard: values on its thresholds and one float beside them, undefined, infinite, ordinary."""
    rng = np.random.default_rng(seed)
    rows = np.exp(rng.normal(3, 4, (COMPARED, columns))) * rng.choice([-1.0, 1.0], (COMPARED, columns))
    edges = _edges(detector, columns)
    for place, known in enumerate(edges):
        if len(known):
            drawn = rng.choice(known, COMPARED)
            beside = np.nextafter(drawn, rng.choice([-np.inf, np.inf], COMPARED))
            between = rng.uniform(known.min(), known.max(), COMPARED) if np.ptp(known) < np.inf else drawn
            rows[:, place] = np.choose(rng.integers(0, 3, COMPARED), [drawn, beside, between])
    rows[rng.random(rows.shape) < 0.05] = np.nan
    rows[:3] = np.array([np.nan, np.inf, -np.inf])[:, None]
    return np.ascontiguousarray(rows, np.float64)


def _edges(detector: Any, columns: int) -> list[Float64Array]:
    """Finite thresholds of each column; none for a network."""
    fitted = detector._known()
    if isinstance(detector, Adversarial):
        return [np.zeros(0)] * columns
    if isinstance(detector, Isolation):
        limit, feature = fitted.forest.threshold, fitted.forest.feature
    else:
        limit, feature = fitted.arrays.limit, fitted.arrays.feature
    finite = np.isfinite(limit)
    return [np.unique(limit[finite & (feature == place)]) for place in range(columns)]
