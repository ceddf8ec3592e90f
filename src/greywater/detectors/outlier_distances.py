"""Anomaly detectors by distance: to a plane (PCA), to the nearest centre (k-means), to the k-th neighbour."""

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
from greywater.vocab import Float64Array, Int64Array, Progress

__all__ = [
    "KMeans", "KMeansParameters", "NearestNeighbours", "NearestNeighboursParameters", "PCAParameters",
    "PrincipalComponents", "squared_distances",
]  # fmt: skip


@dataclass(frozen=True)
class PCAParameters(OutlierParameters):
    """What a PCA is told beside OutlierParameters.

    Parameters
    ----------
    share : float
        Share of the variance that the components kept explain; at least one component is always left out.
    trimmed : float
        Share of the sample, the farthest out, that the components are not learned from: launderers in the sample would
        else get a component of their own and be explained perfectly.
    """

    share: float = 0.9
    trimmed: float = 0.1

    def checks(self) -> dict[str, bool]:
        """Whether each parameter can be used."""
        return {**super().checks(), "share": 0 < self.share < 1, "trimmed": 0 <= self.trimmed < 1}


@dataclass(frozen=True)
class _Plane:
    """Mean float64[width], orthonormal axes float64[width, k], variances float64[k + 1] along them and of the rest."""

    mean: Float64Array
    axes: Float64Array
    variance: Float64Array

    def score(self, rows: Float64Array) -> Float64Array:
        """Sum over the columns of their parts."""
        return np.asarray(self.parts(rows).sum(axis=1))

    def parts(self, rows: Float64Array) -> Float64Array:
        """Each column's deviation times what the inverse covariance makes of all deviations, a part of the width."""
        around = rows - self.mean
        along = around @ self.axes
        rest = self.variance[-1]
        weighed = around / rest + (along * (1.0 / self.variance[:-1] - 1.0 / rest)) @ self.axes.T
        return np.asarray(around * weighed / len(self.mean))

    def arrays(self) -> Arrays:
        """The arrays to save."""
        return {"mean": self.mean, "axes": self.axes, "variance": self.variance}


class PrincipalComponents(OutlierDetector[PCAParameters]):
    """What the main components of the columns do not explain, and how far out a payment lies among them.

    The squared error of reconstruction from the components that hold `share` of the variance, in units of its usual
    size, plus the squared place along each component in units of its variance: the weights that probabilistic PCA
    gives them (Tipping & Bishop 1999), as a mean over the columns. A column's contribution is its deviation times the
    inverse covariance's answer, and may be negative.
    """

    kind: ClassVar[str] = "pca"
    called: ClassVar[str] = "PCA"
    parameters_type: ClassVar[type[OutlierParameters]] = PCAParameters

    def _learn(self, rows: Float64Array, progress: Progress | None) -> OutlierModel:
        far = ((rows - np.median(rows, axis=0)) ** 2).sum(axis=1)
        usual = rows[far <= np.quantile(far, 1 - self._parameters.trimmed)]
        mean = usual.mean(axis=0)
        around = usual - mean
        variance, axes = np.linalg.eigh(around.T @ around / len(usual))
        variance, axes = np.maximum(variance[::-1], 0.0), axes[:, ::-1]
        explained = np.cumsum(variance)
        kept = int(np.searchsorted(explained, self._parameters.share * explained[-1])) + 1
        kept = min(kept, rows.shape[1] - 1)
        # Columns that follow from others leave a rest of rounding errors, which nothing should be measured in.
        least = 1e-3 * float(variance.mean()) or 1.0
        held = np.maximum(np.append(variance[:kept], variance[kept:].mean()), least)
        return _Plane(mean, np.ascontiguousarray(axes[:, :kept]), held)

    @classmethod
    def _read(cls, arrays: Arrays, width: int) -> OutlierModel:
        kept = np.shape(arrays["axes"])[-1]
        held = arrays_of_shapes(arrays, mean=(width,), variance=(kept + 1,))
        if bool((held["variance"] <= 0).any()):
            raise ValueError("a variance is not positive")
        if np.shape(arrays["axes"]) != (width, kept) or not bool(np.isfinite(arrays["axes"]).all()):
            raise ValueError("the axes are not what was learned")
        return _Plane(**held, axes=np.ascontiguousarray(arrays["axes"], np.float64))


@dataclass(frozen=True)
class KMeansParameters(OutlierParameters):
    """What k-means is told beside OutlierParameters.

    Parameters
    ----------
    clusters : int
        Centres that are sought.
    least_share : float
        Share of the sample from which a cluster counts as usual behaviour. A centre that fewer payments belong to is
        dropped: else a handful of launderers alike would have a centre of their own and be found perfectly usual.
    """

    clusters: int = 32
    least_share: float = 0.02

    def checks(self) -> dict[str, bool]:
        """Whether each parameter can be used."""
        return {**super().checks(), "clusters": self.clusters >= 1, "least_share": 0 <= self.least_share < 1}


@dataclass(frozen=True)
class _Centres:
    """`centres` float64[k, width]; the `neighbour`-th nearest counts."""

    centres: Float64Array
    neighbour: int

    def score(self, rows: Float64Array) -> Float64Array:
        """Mean over the columns of the squared distance."""
        away = self._away(rows)
        return np.asarray((away * away).sum(axis=1) / rows.shape[1])

    def parts(self, rows: Float64Array) -> Float64Array:
        """Each column's share of it."""
        away = self._away(rows)
        return np.asarray(away * away / rows.shape[1])

    def _away(self, rows: Float64Array) -> Float64Array:
        far = squared_distances(rows, self.centres)
        chosen: Int64Array = np.argpartition(far, self.neighbour - 1, axis=1)[:, self.neighbour - 1]
        return rows - self.centres[chosen]

    def arrays(self) -> Arrays:
        """The arrays to save."""
        return {"centres": self.centres, "neighbour": np.array([self.neighbour])}

    @classmethod
    def read(cls, arrays: Arrays, width: int) -> OutlierModel:
        """The model from its arrays."""
        centres = arrays_of_shapes(arrays, centres=(None, width))["centres"]
        neighbour = int(arrays["neighbour"][0])
        if not 1 <= neighbour <= len(centres):
            raise ValueError(f"neighbour {neighbour} of {len(centres)} rows")
        return cls(centres, neighbour)


class KMeans(OutlierDetector[KMeansParameters]):
    """How far a payment is from the nearest centre of usual behaviour (MacQueen 1967).

    Small clusters are no centres, as in He, Xu & Deng (2003). The score is the mean squared distance over the columns;
    each column's contribution is its squared distance.
    """

    kind: ClassVar[str] = "kmeans"
    called: ClassVar[str] = "k-means (scikit-learn)"
    parameters_type: ClassVar[type[OutlierParameters]] = KMeansParameters

    def _learn(self, rows: Float64Array, progress: Progress | None) -> OutlierModel:
        from sklearn.cluster import KMeans as Lloyd

        model: Any = Lloyd(
            n_clusters=min(self._parameters.clusters, len(np.unique(rows, axis=0))),
            n_init=1, max_iter=30, random_state=self._seed,
        )  # fmt: skip
        with one_thread(again=True):
            model.fit(rows)
        members = np.bincount(model.labels_, minlength=len(model.cluster_centers_))
        usual = members >= min(self._parameters.least_share * len(rows), members.max())
        return _Centres(np.ascontiguousarray(model.cluster_centers_[usual]), 1)

    @classmethod
    def _read(cls, arrays: Arrays, width: int) -> OutlierModel:
        return _Centres.read(arrays, width)


@dataclass(frozen=True)
class NearestNeighboursParameters(OutlierParameters):
    """What the search for neighbours is told beside OutlierParameters.

    Parameters
    ----------
    among : int
        Payments of the sample that neighbours are sought among; time and memory grow with them.
    neighbour : int
        Which neighbour's distance counts: the larger, the more payments alike are still found unusual.
    """

    among: int = 4_096
    neighbour: int = 20

    def checks(self) -> dict[str, bool]:
        """Whether each parameter can be used."""
        return {**super().checks(), "among": self.among >= 1, "neighbour": self.neighbour >= 1}


class NearestNeighbours(OutlierDetector[NearestNeighboursParameters]):
    """How far a payment is from its k-th nearest among a sample (Ramaswamy, Rastogi & Shim 2000).

    The score is the mean squared distance over the columns; each column's contribution is its squared distance.
    """

    kind: ClassVar[str] = "knn"
    called: ClassVar[str] = "k nearest neighbours"
    parameters_type: ClassVar[type[OutlierParameters]] = NearestNeighboursParameters

    def _learn(self, rows: Float64Array, progress: Progress | None) -> OutlierModel:
        among = spread_out(rows, self._parameters.among)
        return _Centres(among, min(self._parameters.neighbour, len(among)))

    @classmethod
    def _read(cls, arrays: Arrays, width: int) -> OutlierModel:
        return _Centres.read(arrays, width)


def squared_distances(rows: Float64Array, others: Float64Array) -> Float64Array:
    """Squared Euclidean distances float64[n, m], by one product; the last digits are lost where they are small.

    Examples
    --------
    >>> squared_distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[25.0, 0.0]]
    """
    far = (rows * rows).sum(axis=1)[:, None] + (others * others).sum(axis=1)[None, :] - 2.0 * (rows @ others.T)
    return np.asarray(np.maximum(far, 0.0))
