"""A model that its user brings as an ONNX file, behind the Detector contract."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np

from greywater.detectors.calibration import Platt, Rank, from_json
from greywater.detectors.detector import Validation
from greywater.detectors.fitted import CalibratedFace, ThresholdBy
from greywater.detectors.kernel_shap import kernel_shap
from greywater.detectors.onnx_model import OnnxModel
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
from greywater.detectors.threshold import Threshold
from greywater.detectors.unlearned_scores import scale_scores
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array, Progress, TrainingTable

__all__ = ["OnnxDetector"]

FILE: Final = "model.onnx"
TYPICAL: Final = "typical.npz"
#: Rows that ranks and medians are taken on, and typical rows that contributions compare with.
SAMPLE_ROWS: Final = 32_768
TYPICAL_ROWS: Final = 24
LIMITS: Final = (
    "What it learned from, and whether that overlaps with the payments it is measured on, only its owner knows.",
    "Contributions are taken by score calls alone: thousands of them a payment where there are many columns.",
)


@dataclass
class _Fitted:
    """What fitting left behind."""

    names: tuple[str, ...]
    model: OnnxModel
    #: Raw rows that contributions compare with, float64[typical, features].
    typical: Float64Array
    #: What undefined values become, float64[features]; None where the model takes them itself.
    fill: Float64Array | None
    calibrated: Platt | Rank
    threshold: Threshold
    card: dict[str, Any] = field(default_factory=dict)


class OnnxDetector(CalibratedFace[_Fitted]):
    """A model in the ONNX format (extra `[onnx]`). Fitting leaves the model as it is: it calibrates its scores.

    The score is the model's output, higher = more suspicious. The probability is Platt's sigmoid of it where the
    validation slice has labels enough, else its rank. Undefined values (NaN) go to the model as they are where it gives
    a number for them; where it does not, they become the column's median. Infinities are drawn in to the greatest
    number of the input's type. Rows are scored on one thread in blocks of one size.

    Parameters
    ----------
    content : bytes
        The file.
    columns : sequence of str, optional
        As `OnnxModel.open` takes them; where neither they nor the file say, the columns that it is fitted on, in order.
    output : str
        Which output is the score; told by the file where left out.
    turned : bool
        A lower output is more suspicious.
    source : str
        What the file was called.
    seed : int
        Of the rows that are drawn.
    threshold_by, cost_missed, cost_wasted
        What the threshold is chosen by where the validation slice has labels, and the two costs.
    """

    kind: ClassVar[str] = "onnx"
    needs_labels: ClassVar[bool] = False

    def __init__(
        self,
        content: bytes = b"",
        *,
        columns: Sequence[str] = (),
        output: str = "",
        turned: bool = False,
        source: str = "",
        seed: int = 7,
        threshold_by: ThresholdBy = "f1",
        cost_missed: float | None = None,
        cost_wasted: float | None = None,
    ) -> None:
        self._content = content
        self._columns = tuple(columns)
        self._output, self._turned, self._source = output, turned, source
        self._seed = seed
        self._choose_by(threshold_by, cost_missed, cost_wasted)
        self._fitted: _Fitted | None = None

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
        """Calibrate on the validation slice, or take ranks on X; neither `y` nor `weight` is learned from.

        Raises
        ------
        DetectorError
            There is no row, the columns are not those of the model, or it does not give a number for every row.
        """
        if not X.rows or not X.names:
            raise DetectorError(
                f"the table has {X.rows} rows and {len(X.names)} columns", where="X", mend="give at least one of each"
            )
        refuse_unusable_validation(X, validation)
        model = self._opened(X.names)
        drawn = drawn_evenly(X.rows, SAMPLE_ROWS, self._seed, None)
        sample = RowReader(X, drawn).read(0, len(drawn))
        typical = sample[np.linspace(0, len(sample) - 1, min(len(sample), TYPICAL_ROWS)).astype(np.int64)]
        fill = _fill(model, sample)
        never = Threshold(float("inf"), "share")
        fitted = self._fitted = _Fitted(X.names, model, typical, fill, Rank.fit(np.zeros(0)), never)
        scaled = scale_scores(
            self.score, validation, lambda: self._score(sample), by=self._threshold_by, costs=self._costs
        )
        fitted.calibrated, fitted.threshold = scaled.calibrated, scaled.threshold
        fitted.card = plain(
            {
                "kind": self.kind,
                "rows": X.rows,
                "features": len(X.names),
                "fingerprint": getattr(X, "fingerprint", None),
                "time": None if time is None or not len(time) else [int(time[0]), int(time[-1])],
                "file": {"name": self._source, "sha256": hashlib.sha256(self._content).hexdigest()},
                "output": model.output,
                "lower_is_more_suspicious": model.turned,
                "undefined_values": "as they are" if fill is None else "the column's median",
                "seed": self._seed,
                "limits": list(LIMITS),
                "notes": [scaled.note],
                **scaled.card,
            }
        )
        return self

    def score(self, X: TrainingTable) -> Float64Array:
        """The model's output float64[n], higher = more suspicious."""
        refuse_other_columns(self._known().names, X.names, "score")
        scores = np.empty(X.rows)
        for start, rows in matrices(X):
            scores[start : start + len(rows)] = self._score(rows)
        return scores

    def explain(self, X: TrainingTable) -> Float64Array:
        """Kernel SHAP contributions float64[n, features + 1] of the features and the base; rows sum to their score."""
        fitted = self._known()
        refuse_other_columns(fitted.names, X.names, "explain")
        parts = [np.empty((0, len(fitted.names) + 1))]
        parts.extend(kernel_shap(self._score, rows, fitted.typical, seed=self._seed) for _, rows in matrices(X))
        return np.concatenate(parts)

    def save(self, folder: Path) -> None:
        """Write model.onnx as it was brought, typical rows, and detector.json, which holds their SHA-256."""
        fitted = self._known()
        description = {
            "names": list(fitted.names),
            "output": fitted.model.output,
            "turned": fitted.model.turned,
            "source": self._source,
            "calibration": fitted.calibrated.to_json(),
            "threshold": fitted.threshold.to_json(),
            "seed": self._seed,
            "costs": list(self._costs),
            "card": fitted.card,
        }
        arrays = {"typical": fitted.typical} | ({} if fitted.fill is None else {"fill": fitted.fill})
        write_folder(folder, self.kind, description, {FILE: self._content, TYPICAL: pack_arrays(arrays)})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        DetectorError
            A file is missing, damaged or of another kind.
        ExtraMissingError
            onnxruntime is not installed.
        """
        document, files = read_folder(folder, cls.kind)
        try:
            names = tuple(map(str, document["names"]))
            threshold = Threshold.from_json(document["threshold"])
            detector = cls(
                files[FILE],
                columns=names,
                output=str(document["output"]),
                turned=bool(document["turned"]),
                source=str(document["source"]),
                seed=int(document["seed"]),
            )
            detector._chosen_as(threshold, document["costs"])
            arrays = unpack_arrays(files[TYPICAL])
            typical, fill = arrays["typical"], arrays.get("fill")
            calibrated, card = from_json(document["calibration"]), dict(document["card"])
        except (KeyError, TypeError, ValueError) as error:
            raise DetectorError(f"the description is damaged: {error}", where=str(folder), mend=MEND) from error
        if typical.ndim != 2 or typical.shape[1] != len(names) or (fill is not None and fill.shape != (len(names),)):
            raise DetectorError("the model and its description do not fit", where=str(folder), mend=MEND)
        model = detector._opened(names)
        detector._fitted = _Fitted(names, model, typical, fill, calibrated, threshold, card)
        return detector

    def _opened(self, names: tuple[str, ...]) -> OnnxModel:
        """The model, which must read just these columns."""
        given = {"output": self._output, "turned": self._turned, "where": self._source or FILE}
        try:
            model = OnnxModel.open(self._content, self._columns, **given)  # type: ignore[arg-type]
        except DetectorError as error:
            if self._columns or "does not name the columns" not in error.found:
                raise
            model = OnnxModel.open(self._content, names, **given)  # type: ignore[arg-type]
        refuse_other_columns(model.columns, names, self._source or FILE)
        return model

    def _score(self, rows: Float64Array) -> Float64Array:
        fitted = self._known()
        given = rows if fitted.fill is None else np.where(np.isnan(rows), fitted.fill, rows)
        found = fitted.model.score(given)
        if np.isnan(found).any():
            raise DetectorError(
                f"the model gives no number for {int(np.isnan(found).sum())} of {len(rows)} rows",
                where=fitted.model.output,
                mend="export it so that it gives a number for every row",
            )
        return np.clip(found, np.finfo(np.float64).min, np.finfo(np.float64).max)


def _fill(model: OnnxModel, sample: Float64Array) -> Float64Array | None:
    """Medians for what is undefined, where the model does not give a finite number for undefined values."""
    asked = np.vstack([sample, np.full((1, sample.shape[1]), np.nan)])
    if np.isfinite(model.score(asked)).all():
        return None
    known = ~np.isnan(sample)
    return np.array(
        [np.median(column[there]) if there.any() else 0.0 for column, there in zip(sample.T, known.T, strict=True)]
    )
