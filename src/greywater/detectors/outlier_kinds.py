"""The classic anomaly detectors that can be named: the one list to which a new one is added."""

from __future__ import annotations

from typing import Any, Final

from greywater.detectors.adversarial_peers import Alad, AnoGan, AutoEncoder, DeepSvdd, SoGaal
from greywater.detectors.outlier import OutlierDetector
from greywater.detectors.outlier_distances import KMeans, NearestNeighbours, PrincipalComponents
from greywater.detectors.outlier_kernels import KernelDensity, OneClassMachine
from greywater.detectors.outlier_tails import Copod, Ecod

__all__ = ["OUTLIER_KINDS"]

#: By short name, also the name of the setting `detector` (greywater.config.DETECTORS). They are for comparison and for
#: whoever chooses one; none is a part of the default hybrid.
OUTLIER_KINDS: Final[dict[str, type[OutlierDetector[Any]]]] = {
    made.kind: made
    for made in (
        PrincipalComponents,
        KMeans,
        OneClassMachine,
        KernelDensity,
        NearestNeighbours,
        Ecod,
        Copod,
        AutoEncoder,
        DeepSvdd,
        Alad,
        SoGaal,
        AnoGan,
    )
}
