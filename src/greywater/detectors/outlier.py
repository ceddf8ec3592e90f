"""What the classic anomaly detectors share: a scaled sample, scores, contributions, and how they are saved."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Protocol, Self, TypeVar

import numpy as np

from greywater.detectors.calibration import Platt, Rank, from_json
from greywater.detectors.detector import Validation
from greywater.detectors.fitted import CalibratedFace, ThresholdBy
from greywater.detectors.kernel_shap import kernel_shap
from greywater.detectors.rows import RowReader, drawn_evenly, matrices
from greywater.detectors.saved import (
    MEND,
    pack_arrays,
    plain,
    read_folder,
    refuse_other_columns,
    refuse_unusable_validation,
    unpack_arrays,
    write_folder,
)
from greywater.detectors.scaling import Method, Scaling
from greywater.detectors.threshold import Threshold
from greywater.detectors.unlearned_scores import scale_scores
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array, Progress, TrainingTable

__all__ = [
    "Arrays",
    "OutlierDetector",
    "OutlierModel",
    "OutlierParameters",
    "arrays_of_shapes",
    "one_thread",
    "spread_out",
]

Arrays = dict[str, np.ndarray[Any, Any]]

MODEL: Final = "model.npz"
#: Rows a thread takes at a time.
SHARE: Final = 4_096
#: Rows that a model is asked at a time, the last ones filled up: one shape of product gives one row the same bits
#: wherever it stands.
TILE: Final = 64
#: Typical rows that contributions by score calls compare with, and rows of the sample that they are looked for among.
TYPICAL: Final = 8
JUDGED: Final = 512
#: Rows of the sample that are scored for ranks where there is no validation slice.
RANKED: Final = 8_192
LIMITS: Final = (
    "Finds what is unusual, which is not the same as laundering; it was shown no laundering.",
    "Without labels the probability is a rank: the share of reference payments that were less unusual.",
    "A column that was constant in the sample is not looked at, whatever it holds later.",
)


class OutlierModel(Protocol):
    """What one kind learned from scaled rows."""

    def score(self, rows: Float64Array) -> Float64Array:
        """How unusual scaled rows float64[n, width] are, float64[n], finite, higher = more unusual."""
        ...

    def parts(self, rows: Float64Array) -> Float64Array | None:
        """What each scaled column adds to the score float64[n, width]; None where the score is no such sum."""
        ...

    def arrays(self) -> Arrays:
        """The arrays to save."""
        ...


@dataclass(frozen=True)
class OutlierParameters:
    """What all of them are told.

    Parameters
    ----------
    sample_rows : int
        Payments that are learned from, taken evenly along the slice by the seed.
    scaling : {"quantile", "standard"}
        How columns are brought to one scale (greywater.detectors.scaling).
    alert_share : float
        Share of payments flagged where no labels choose the threshold.
    least_positives : int
        Laundering payments in the validation slice from which its labels calibrate and set the threshold.
    """

    sample_rows: int = 32_768
    scaling: Method = "standard"
    alert_share: float = 0.001
    least_positives: int = 10

    def __post_init__(self) -> None:
        for name, fine in self.checks().items():
            if not fine:
                raise DetectorError(
                    f"{name} = {getattr(self, name)!r} cannot be used",
                    where=type(self).__name__,
                    mend="see its docstring",
                )

    def checks(self) -> dict[str, bool]:
        """Whether each parameter can be used."""
        return {
            "sample_rows": self.sample_rows >= 1,
            "scaling": self.scaling in ("quantile", "standard"),
            "alert_share": 0 < self.alert_share < 1,
            "least_positives": self.least_positives >= 1,
        }


@dataclass
class _Fitted:
    """What fitting left behind."""

    names: tuple[str, ...]
    scaling: Scaling
    model: OutlierModel
    #: Raw rows that contributions by calls compare with, float64[typical, features].
    typical: Float64Array
    calibrated: Platt | Rank
    threshold: Threshold
    card: dict[str, Any] = field(default_factory=dict)


Parameters = TypeVar("Parameters", bound=OutlierParameters)


class OutlierDetector(CalibratedFace[_Fitted], Generic[Parameters]):
    """A classic anomaly detector behind the Detector contract.

    A sample of the payments is drawn evenly along the slice, scaled (Scaling), and a model of what is usual learned
    from it. Calibration and threshold are as for the isolation forest: ranks, or the labels of the validation slice.
    Contributions are the columns' own parts where the score is a sum over columns; else Kernel SHAP against a few
    typical payments of the sample, which takes thousands of score calls for each payment explained. The linear algebra
    runs on one thread a share of the rows, so that neither their number nor the neighbours of a row change its bits.

    Parameters
    ----------
    parameters : OutlierParameters, optional
        Of the kind's own class.
    seed : int
        Seed of everything random.
    threads : int
        0 = as many as the machine has. Does not change the result.
    threshold_by, cost_missed, cost_wasted
        What the threshold is chosen by where the validation slice has labels, and the two costs.
    """

    kind: ClassVar[str]
    needs_labels: ClassVar[bool] = False
    #: The class of its parameters, what people call it, and what its card warns of beside LIMITS.
    parameters_type: ClassVar[type[OutlierParameters]]
    called: ClassVar[str]
    limits: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        parameters: Parameters | None = None,
        *,
        seed: int = 7,
        threads: int = 0,
        threshold_by: ThresholdBy = "f1",
        cost_missed: float | None = None,
        cost_wasted: float | None = None,
    ) -> None:
        self._parameters: Parameters = parameters or self.parameters_type()  # type: ignore[assignment]
        self._seed = seed
        self._threads = threads or os.cpu_count() or 1
        self._choose_by(threshold_by, cost_missed, cost_wasted)
        self._fitted: _Fitted | None = None

    @abstractmethod
    def _learn(self, rows: Float64Array, progress: Progress | None) -> OutlierModel:
        """What is usual among scaled rows float64[n, width], n and width at least 1."""

    @classmethod
    @abstractmethod
    def _read(cls, arrays: Arrays, width: int) -> OutlierModel:
        """The model from its arrays; a KeyError or ValueError where they are none."""

    def fit(
        self,
        X: TrainingTable,
        y: Int64Array | None = None,
        time: Int64Array | None = None,
        weight: Float64Array | None = None,
        *,
        validation: Validation | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn what is usual. `y` is not used; `weight` > 0 or = 0 says which payments may be drawn at all.

        Raises
        ------
        DetectorError
            There is no row or no column, or the validation slice has other columns.
        ExtraMissingError
            The library that learns it is not installed.
        """
        if not X.rows or not X.names:
            raise DetectorError(
                f"the table has {X.rows} rows and {len(X.names)} columns", where="X", mend="give at least one of each"
            )
        refuse_unusable_validation(X, validation)
        chosen = self._parameters
        places = drawn_evenly(X.rows, chosen.sample_rows, self._seed, weight)
        if progress is not None:
            progress.step(f"learn what is usual ({self.called})")
        sample = RowReader(X, places).read(0, len(places))
        scaling = Scaling.learn(sample, chosen.scaling)
        with one_thread():
            model = self._learn(scaling(sample), progress) if scaling.width else _NothingVaries()
        self._fitted = _Fitted(
            X.names, scaling, model, sample[:1], Rank.fit(np.zeros(0)), Threshold(float("inf"), "share")
        )
        some = spread_out(sample, JUDGED)
        score = self._scores(some)
        self._fitted.typical = spread_out(some[score <= np.median(score)], TYPICAL)
        scaled = scale_scores(
            self.score, validation, lambda: self._scores(spread_out(sample, RANKED)), by=self._threshold_by,
            costs=self._costs, least_positives=chosen.least_positives, alert_share=chosen.alert_share,
        )  # fmt: skip
        self._fitted.calibrated, self._fitted.threshold = scaled.calibrated, scaled.threshold
        facts = {
            "kind": self.kind,
            "rows": X.rows,
            "sampled_rows": len(places),
            "features": len(X.names),
            "scaled_columns": scaling.width,
            "fingerprint": getattr(X, "fingerprint", None),
            "time": None if time is None or not len(time) else [int(time[0]), int(time[-1])],
            "parameters": asdict(chosen),
            "seed": self._seed,
            "limits": [*LIMITS, *self.limits],
            "notes": [scaled.note],
        }
        self._fitted.card = plain({**facts, **scaled.card})
        return self

    def score(self, X: TrainingTable) -> Float64Array:
        """How unusual each payment is, float64[n], higher = more unusual."""
        refuse_other_columns(self._known().names, X.names, "score")
        scores = np.empty(X.rows)
        for start, rows in matrices(X):
            scores[start : start + len(rows)] = self._scores(rows)
        return scores

    def score_row(self, row: Float64Array) -> float:
        """Score of one row float64[features] in the order of `names`, with the bits of `score`."""
        return float(self._scores(row[None, :])[0])

    def explain(self, X: TrainingTable) -> Float64Array:
        """Contributions float64[n, features + 1] of the features and the base; each row sums to its score."""
        fitted = self._known()
        refuse_other_columns(fitted.names, X.names, "explain")
        found = [np.empty((0, len(fitted.names) + 1))]
        found.extend(self._explained(rows) for _, rows in matrices(X))
        return np.concatenate(found)

    def save(self, folder: Path) -> None:
        """Write model.npz (plain arrays) and detector.json, which holds its SHA-256."""
        fitted = self._known()
        description = {
            "names": list(fitted.names),
            "calibration": fitted.calibrated.to_json(),
            "threshold": fitted.threshold.to_json(),
            "parameters": asdict(self._parameters),
            "seed": self._seed,
            "costs": list(self._costs),
            "card": fitted.card,
        }
        arrays = {**fitted.model.arrays(), **fitted.scaling.arrays(), "typical": fitted.typical}
        write_folder(folder, self.kind, description, {MODEL: pack_arrays(arrays)})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        DetectorError
            A file is missing, damaged or of another kind.
        """
        document, files = read_folder(folder, cls.kind)
        try:
            names = tuple(map(str, document["names"]))
            threshold = Threshold.from_json(document["threshold"])
            parameters: Any = cls.parameters_type(**document["parameters"])
            detector = cls(parameters, seed=int(document["seed"]))
            detector._chosen_as(threshold, document["costs"])
            arrays = unpack_arrays(files[MODEL])
            scaling = Scaling.from_arrays(arrays, parameters.scaling, len(names))
            model = cls._read(arrays, scaling.width) if scaling.width else _NothingVaries()
            typical = arrays_of_shapes(arrays, typical=(None, len(names)))["typical"]
            calibrated = from_json(document["calibration"])
            card = dict(document["card"])
        except (KeyError, TypeError, ValueError) as error:
            raise DetectorError(f"the description is damaged: {error}", where=str(folder), mend=MEND) from error
        detector._fitted = _Fitted(names, scaling, model, typical, calibrated, threshold, card)
        return detector

    def _scores(self, rows: Float64Array) -> Float64Array:
        """Scores of raw rows."""
        fitted = self._known()
        scores = np.empty(len(rows))

        def work(part: slice) -> None:
            scaled = fitted.scaling(rows[part])
            if getattr(fitted.model, "looked_up", False):
                # Many at once is quicker, and gives the same parts; only their sum has to be taken by tiles.
                scaled = np.asarray(fitted.model.parts(scaled))
                scores[part] = _in_tiles(_sums, scaled)
            else:
                scores[part] = _in_tiles(fitted.model.score, scaled)

        parts = [slice(low, low + SHARE) for low in range(0, len(rows), SHARE)]
        with one_thread():
            if self._threads == 1 or len(parts) < 2:
                for part in parts:
                    work(part)
            else:
                with ThreadPoolExecutor(self._threads) as pool:
                    list(pool.map(work, parts))
        return scores

    def _explained(self, rows: Float64Array) -> Float64Array:
        """Contributions of raw rows and the base."""
        fitted = self._known()
        if fitted.model.parts(np.zeros((TILE, fitted.scaling.width))) is None:
            return kernel_shap(self._scores, rows, fitted.typical, seed=self._seed)
        found = np.zeros((len(rows), len(fitted.names) + 1))
        with one_thread():
            parts = _in_tiles(fitted.model.parts, fitted.scaling(rows))
        for place, source in enumerate(fitted.scaling.sources):
            found[:, source] += parts[:, place]
        return found


def _sums(parts: Float64Array) -> Float64Array:
    return np.asarray(parts.sum(axis=1))


@dataclass(frozen=True)
class _NothingVaries:
    """The model of columns that are all constant."""

    def score(self, rows: Float64Array) -> Float64Array:
        return np.zeros(len(rows))

    def parts(self, rows: Float64Array) -> Float64Array:
        return np.zeros(rows.shape)

    def arrays(self) -> Arrays:
        return {}


def spread_out(rows: Float64Array, most: int) -> Float64Array:
    """At most so many of the rows, evenly spread.

    Examples
    --------
    >>> spread_out(np.arange(10.0)[:, None], 3).ravel().tolist()
    [0.0, 4.0, 9.0]
    """
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)
    return np.ascontiguousarray(rows[places])


@contextmanager
def one_thread(*, again: bool = False) -> Iterator[None]:
    """Linear algebra on one thread: the same bits on any machine's cores, and no threads that spin while others work.

    `again` looks for libraries that were imported since the last time.
    """
    if again:
        _libraries.cache_clear()
    with _libraries().limit(limits=1):
        yield


@cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def arrays_of_shapes(arrays: Mapping[str, np.ndarray[Any, Any]], **shapes: tuple[int | None, ...]) -> dict[str, Any]:
    """The named arrays as float64; a ValueError unless they are finite and of these shapes (None: any length >= 1).

    Examples
    --------
    >>> arrays_of_shapes({"mean": np.zeros(3)}, mean=(3,))["mean"].tolist()
    [0.0, 0.0, 0.0]
    """
    held = {}
    for name, shape in shapes.items():
        array = np.ascontiguousarray(arrays[name], np.float64)
        fits = array.ndim == len(shape) and all(
            (length >= 1 if asked is None else length == asked)
            for length, asked in zip(array.shape, shape, strict=True)
        )
        # What is raw may be undefined; what a model multiplies with may not.
        if not fits or (name != "typical" and not bool(np.isfinite(array).all())):
            raise ValueError(f"the array {name} of shape {array.shape} is not what was learned")
        held[name] = array
    return held


def _in_tiles(ask: Callable[[Float64Array], Float64Array | None], rows: Float64Array) -> Float64Array:
    """What `ask` makes of rows, TILE of them at a time, the last ones filled up with zeros."""
    found: list[Any] = []
    for start in range(0, len(rows), TILE):
        tile = rows[start : start + TILE]
        if len(tile) < TILE:
            tile = np.concatenate([tile, np.zeros((TILE - len(tile), rows.shape[1]))])
        found.append(ask(tile))
    if not found:
        found.append(np.asarray(ask(np.zeros((TILE, rows.shape[1]))))[:0])
    result: Float64Array = np.concatenate(found)[: len(rows)]
    return result
