"""The kinds of detector that can be a part of a hybrid, and how a saved one is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from greywater.detectors.adversarial import Adversarial
from greywater.detectors.adversarial_sequence import AdversarialSequence
from greywater.detectors.association import Association
from greywater.detectors.boosted import Boosted
from greywater.detectors.detector import Detector
from greywater.detectors.isolation import Isolation
from greywater.detectors.outlier_kinds import OUTLIER_KINDS
from greywater.detectors.rule_part import RulePart
from greywater.detectors.saved import read_folder
from greywater.detectors.xgboosted import XGBoosted
from greywater.errors import DetectorError

__all__ = ["PART_KINDS", "load_part"]

#: By short name. A new kind of part is added here and to the list of part makers (app/part_makers.py).
PART_KINDS: Final[dict[str, type[Detector]]] = {
    Boosted.kind: Boosted,
    XGBoosted.kind: XGBoosted,
    Isolation.kind: Isolation,
    Association.kind: Association,
    Adversarial.kind: Adversarial,
    AdversarialSequence.kind: AdversarialSequence,
    RulePart.kind: RulePart,
    **OUTLIER_KINDS,
}


def load_part(folder: Path) -> Detector:
    """Load whatever part lies in the folder.

    Raises
    ------
    DetectorError
        The folder holds none, a damaged one, or a kind this version does not know.
    """
    document, _ = read_folder(folder)
    if document["kind"] not in PART_KINDS:
        raise DetectorError(
            f"the kind {document['kind']!r} is not known",
            where=str(folder),
            mend=f"known: {', '.join(sorted(PART_KINDS))}",
        )
    return PART_KINDS[document["kind"]].load(folder)
