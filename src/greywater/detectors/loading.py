"""Loads a saved detector of whatever kind it is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from greywater.detectors.boosted import Boosted
from greywater.detectors.isolation import Isolation
from greywater.detectors.saved import read_folder
from greywater.detectors.xgboosted import XGBoosted
from greywater.errors import DetectorError

__all__ = ["KINDS", "load_detector"]

#: Every kind of detector that can be loaded, by its short name.
KINDS: Final[dict[str, type[Boosted] | type[Isolation]]] = {
    Boosted.kind: Boosted,
    XGBoosted.kind: XGBoosted,
    Isolation.kind: Isolation,
}


def load_detector(folder: Path) -> Boosted | Isolation:
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
