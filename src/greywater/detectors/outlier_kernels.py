"""Anomaly detectors by a kernel: the density around a payment, and the boundary of a one-class machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from greywater.detectors.outlier import (
    Arrays,
    OutlierDetector,
    OutlierModel,
    OutlierParameters,
    arrays_of_shapes,
    one_thread,
    spread_out,
)
from greywater.detectors.outlier_distances import squared_distances
from greywater.vocab import Float64Array, Progress

__all__ = ["KernelDensity", "KernelDensityParameters", "OneClassMachine", "OneClassMachineParameters"]

#: Payments whose distances say how wide a kernel should be, and the neighbour that is looked at.
JUDGED = 512
NEIGHBOUR = 10


@dataclass(frozen=True)
class KernelDensityParameters(OutlierParameters):
    """What a kernel density is told beside OutlierParameters.

    Parameters
    ----------
    among : int
        Payments of the sample that carry a kernel; time and memory grow with them.
    bandwidth : float
        Standard deviation of the kernels, in typical distances to the 10th neighbour.
    """

    among: int = 4_096
    bandwidth: float = 1.0

    def checks(self) -> dict[str, bool]:
        """Whether each parameter can be used."""
        return {**super().checks(), "among": self.among >= 1, "bandwidth": 0 < self.bandwidth < np.inf}


@dataclass(frozen=True)
class _Density:
    """Gaussian kernels of variance 1 / (2 `steepness`) at `centres` float64[m, width]."""

    centres: Float64Array
    steepness: float

    def score(self, rows: Float64Array) -> Float64Array:
        """Minus the logarithm of the mean kernel."""
        power = -self.steepness * squared_distances(rows, self.centres)
        most = power.max(axis=1)
        return np.asarray(-(most + np.log(np.exp(power - most[:, None]).mean(axis=1))))

    def parts(self, rows: Float64Array) -> None:
        """The logarithm of a sum is no sum over columns."""
        return

    def arrays(self) -> Arrays:
        """The arrays to save."""
        return {"centres": self.centres, "steepness": np.array([self.steepness])}


class KernelDensity(OutlierDetector[KernelDensityParameters]):
    """How thinly payments lie around a payment (Rosenblatt 1956, Parzen 1962).

    The score is minus the logarithm of a Gaussian kernel density over a sample, without its constant factor.
    """

    kind: ClassVar[str] = "kde"
    called: ClassVar[str] = "kernel density"
    parameters_type: ClassVar[type[OutlierParameters]] = KernelDensityParameters

    def _learn(self, rows: Float64Array, progress: Progress | None) -> OutlierModel:
        centres = spread_out(rows, self._parameters.among)
        return _Density(centres, 0.5 / (self._parameters.bandwidth**2 * _typical_distance(centres)))

    @classmethod
    def _read(cls, arrays: Arrays, width: int) -> OutlierModel:
        held = arrays_of_shapes(arrays, centres=(None, width), steepness=(1,))
        return _Density(held["centres"], float(held["steepness"][0]))


@dataclass(frozen=True)
class OneClassMachineParameters(OutlierParameters):
    """What a one-class machine is told beside OutlierParameters.

    Parameters
    ----------
    landmarks : int
        Payments that the kernel is approximated by.
    width : float
        Standard deviation of the kernel, in typical distances between two payments.
    outside : float
        Share of the sample that may lie outside the boundary (nu in the paper).
    """

    landmarks: int = 256
    width: float = 1.0
    outside: float = 0.05

    def checks(self) -> dict[str, bool]:
        """Whether each parameter can be used."""
        return {
            **super().checks(),
            "landmarks": self.landmarks >= 1,
            "width": 0 < self.width < np.inf,
            "outside": 0 < self.outside <= 1,
        }


@dataclass(frozen=True)
class _Boundary:
    """A plane over kernels: score = offset - exp(-steepness * distance^2 to `landmarks`) @ weights."""

    landmarks: Float64Array
    weights: Float64Array
    offset: float
    steepness: float

    def score(self, rows: Float64Array) -> Float64Array:
        """How far outside the boundary."""
        return np.asarray(
            self.offset - np.exp(-self.steepness * squared_distances(rows, self.landmarks)) @ self.weights
        )

    def parts(self, rows: Float64Array) -> None:
        """A sum over kernels is no sum over columns."""
        return

    def arrays(self) -> Arrays:
        """The arrays to save."""
        return {
            "landmarks": self.landmarks,
            "weights": self.weights,
            "line": np.array([self.offset, self.steepness]),
        }


class OneClassMachine(OutlierDetector[OneClassMachineParameters]):
    """How far a payment lies outside a boundary around the sample (Schoelkopf et al. 2001).

    A linear one-class machine, learned by stochastic gradient descent, over Nystroem's approximation of a Gaussian
    kernel (Williams & Seeger 2001): time grows with the sample, not with its square.
    """

    kind: ClassVar[str] = "ocsvm"
    called: ClassVar[str] = "one-class SVM (scikit-learn)"
    parameters_type: ClassVar[type[OutlierParameters]] = OneClassMachineParameters

    def _learn(self, rows: Float64Array, progress: Progress | None) -> OutlierModel:
        from sklearn.kernel_approximation import Nystroem
        from sklearn.linear_model import SGDOneClassSVM

        chosen = self._parameters
        steepness = 0.5 / (chosen.width**2 * _typical_distance(spread_out(rows, JUDGED), neighbour=JUDGED // 2))
        kernel: Any = Nystroem(gamma=steepness, n_components=min(chosen.landmarks, len(rows)), random_state=self._seed)
        plane: Any = SGDOneClassSVM(nu=chosen.outside, random_state=self._seed)
        with one_thread(again=True):
            plane.fit(kernel.fit_transform(rows))
        # The plane lies over kernels @ normalization.T; one product says the same.
        weights = kernel.normalization_.T @ plane.coef_.ravel()
        return _Boundary(np.ascontiguousarray(kernel.components_), weights, float(plane.offset_[0]), steepness)

    @classmethod
    def _read(cls, arrays: Arrays, width: int) -> OutlierModel:
        held = arrays_of_shapes(arrays, landmarks=(None, width), weights=(len(arrays["landmarks"]),), line=(2,))
        return _Boundary(held["landmarks"], held["weights"], float(held["line"][0]), float(held["line"][1]))


def _typical_distance(rows: Float64Array, neighbour: int = NEIGHBOUR) -> float:
    """The median squared distance of rows to their neighbour of that number, among a few hundred of them."""
    far = squared_distances(spread_out(rows, JUDGED), rows)
    place = min(neighbour, len(rows) - 1)
    found = float(np.median(np.partition(far, place, axis=1)[:, place]))
    # Where most payments are copies of one another, any width will do that is not 0.
    return found if found > 1e-6 else max(float(far.mean()), 1e-6)
