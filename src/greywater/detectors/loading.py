"""Loads a saved detector of whatever kind it is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from greywater.detectors.detector import Detector
from greywater.detectors.hybrid import Hybrid
from greywater.detectors.onnx_detector import OnnxDetector
from greywater.detectors.part_kinds import PART_KINDS
from greywater.detectors.saved import read_folder
from greywater.errors import DetectorError

__all__ = ["KINDS", "load_detector"]

#: Every kind of detector that can be loaded, by its short name.
KINDS: Final[dict[str, type[Detector]]] = {**PART_KINDS, Hybrid.kind: Hybrid, OnnxDetector.kind: OnnxDetector}


def load_detector(folder: Path) -> Detector:
    """Load whatever kind of detector lies in the folder.

    Raises
    ------
    DetectorError
        The folder holds none, a damaged one, or a kind this version does not know.
    """
    document, _ = read_folder(folder)
    if document["kind"] not in KINDS:
        raise DetectorError(
            f"the kind {document['kind']!r} is not known", where=str(folder), mend=f"known: {', '.join(sorted(KINDS))}"
        )
    return KINDS[document["kind"]].load(folder)
