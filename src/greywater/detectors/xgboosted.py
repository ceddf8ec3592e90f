"""The supervised detector on XGBoost: the same contract, sample, stopping and calibration as LightGBM's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ClassVar, Final

import numpy as np

from greywater.detectors.boosted import Boosted
from greywater.detectors.detector import Validation
from greywater.detectors.monotone import monotone_signs
from greywater.detectors.rows import RowReader, sample_negatives
from greywater.detectors.saved import MEND
from greywater.detectors.single_row import TreeArrays
from greywater.detectors.steps import StepTold
from greywater.detectors.trees import (
    BoostedParameters,
    TreeLibrary,
    column_share,
    sampled_average_precision,
    weigh_rows,
)
from greywater.errors import DetectorError, ExtraMissingError
from greywater.vocab import Float64Array, Int64Array, Progress, TrainingTable

__all__ = ["XGBoost", "XGBoosted"]

#: Rows handed to the library at a time.
PIECE: Final = 8_192
#: Attribute of the saved model that holds the margin every row begins with.
START: Final = "greywater.start"


@cache
def load_xgboost() -> Any:
    """XGBoost, imported when it is first needed.

    Raises
    ------
    ExtraMissingError
        It is not installed.
    """
    try:
        import xgboost as library
    except ImportError as error:
        raise ExtraMissingError("XGBoost is not installed", mend="pip install 'greywater[boost]'") from error
    return library


@dataclass(frozen=True)
class XGBoost:
    """XGBoost's histogram trees, grown leaf by leaf with the parameters that LightGBM's have here.

    What has no counterpart is left out: `min_data_in_leaf` becomes the least hessian of a leaf, in units of the
    base rate, and `bin_rows` does nothing. Its sums depend on the number of threads, so trees are grown on one.
    """

    @property
    def file(self) -> str:
        """Name of the saved model's file."""
        return "model.json"

    def grow(
        self,
        X: TrainingTable,
        y: Int64Array,
        weight: Float64Array | None,
        validation: Validation | None,
        chosen: BoostedParameters,
        *,
        seed: int,
        threads: int,
        progress: Progress | None,
        told: StepTold,
    ) -> tuple[Any, int]:
        """The booster cut to its best round, and that round."""
        library = load_xgboost()
        rows, mass = weigh_rows(y, weight, chosen.max_negatives, seed)
        share = float(np.clip(np.dot(mass, y[rows]) / mass.sum(), 1e-9, 1 - 1e-9)) if mass.sum() else 0.5
        start = float(np.float32(np.log(share / (1 - share))))
        training = _quantised(X, rows, y[rows], mass, start, chosen.max_bin, None)
        held, truth, stands_for = None, np.empty(0, np.int64), 1.0
        if validation is not None:
            truth = np.asarray(validation.y)
            rows, stands_for = sample_negatives(truth, chosen.max_validation_negatives or len(truth), seed + 1)
            truth = truth[rows]
            held = _quantised(validation.X, rows, truth, None, start, chosen.max_bin, training)
        settings = _settings(chosen, X.names, seed, share)
        booster = library.Booster(settings, [training] if held is None else [training, held])
        rounds = chosen.rounds if held is not None else chosen.rounds_without_validation
        if progress is not None:
            progress.step("grow trees", rounds)
        best, best_round = -1.0, rounds
        for number in range(1, rounds + 1):
            booster.update(training, number - 1)
            if progress is not None:
                progress.advance(1)
            if held is not None and (number % chosen.evaluate_every == 0 or number == rounds):
                margin = booster.predict(held, output_margin=True).astype(np.float64)
                reached = sampled_average_precision(truth, margin, stands_for)
                if reached > best:
                    best, best_round = reached, number
                if not told(number, {"score": reached}) or number - best_round >= chosen.patience:
                    break
        cut = booster[:best_round]
        cut.set_attr(**{START: repr(start)})
        return self.read(bytes(cut.save_raw("json")).decode()), best_round

    def write(self, model: Any) -> str:
        """XGBoost's own JSON."""
        return str(model.text)

    def read(self, text: str) -> Any:
        """A model from XGBoost's JSON; a DetectorError where it is none (XGBoost itself would abort)."""
        try:
            start = float(json.loads(text)["learner"]["attributes"][START])
        except (KeyError, TypeError, ValueError) as error:
            raise DetectorError(f"XGBoost wrote no such model: {error}", mend=MEND) from error
        if not np.isfinite(start):
            raise DetectorError("the model begins with a margin that is not finite", mend=MEND)
        return Model(text, TreeArrays.from_xgboost(text, start))

    def arrays(self, model: Any) -> TreeArrays:
        """The trees as plain arrays."""
        found: TreeArrays = model.arrays
        return found

    def contributions(self, model: Any, rows: Float64Array, threads: int) -> Float64Array:
        """SHAP values of the margin.

        XGBoost adds them in float32; what that rounds away is put on the largest, so that each row sums to its score.
        """
        if not len(rows):
            return np.empty((0, rows.shape[1] + 1))
        begins = np.full(len(rows), model.arrays.start, np.float32)
        matrix = load_xgboost().DMatrix(_clipped(rows), base_margin=begins, nthread=threads or None)
        found = np.asarray(model.booster.predict(matrix, pred_contribs=True), np.float64)
        rest = model.arrays.margins(rows) - found.sum(axis=1)
        largest = np.abs(found[:, :-1]).argmax(axis=1)
        found[np.arange(len(rows)), largest] += rest
        return found

    def gain(self, model: Any) -> Float64Array:
        """Summed gain of the splits on each feature."""
        gains = np.zeros(model.arrays.features)
        for name, gain in model.booster.get_score(importance_type="total_gain").items():
            gains[int(str(name).removeprefix("f"))] = gain
        return gains


@dataclass(frozen=True)
class Model:
    """XGBoost's JSON, its trees as arrays, and the booster itself where something asks for it."""

    text: str
    arrays: TreeArrays

    @cached_property
    def booster(self) -> Any:
        """XGBoost's own booster, read from the text."""
        booster = load_xgboost().Booster()
        booster.load_model(bytearray(self.text.encode()))
        return booster


class XGBoosted(Boosted):
    """XGBoost behind the Detector contract (extra `[boost]`); everything else is as in `Boosted`.

    The model is saved as XGBoost's JSON. Scoring needs no XGBoost: the trees are plain arrays.
    """

    kind: ClassVar[str] = "xgboosted"
    library: ClassVar[TreeLibrary] = XGBoost()


def _clipped(rows: Float64Array) -> Float64Array:
    """Rows without infinities, also after rounding to float32, which XGBoost refuses."""
    most = float(np.finfo(np.float32).max)
    result: Float64Array = np.clip(rows, -most, most)
    return result


def _settings(chosen: BoostedParameters, names: tuple[str, ...], seed: int, share: float) -> dict[str, Any]:
    signs = monotone_signs(names)
    constraints = {"monotone_constraints": f"({','.join(map(str, signs.tolist()))})"} if chosen.monotone else {}
    return constraints | {
        "objective": "binary:logistic",
        "base_score": 0.5,
        "tree_method": "hist",
        "grow_policy": "lossguide",
        "max_depth": 0,
        "max_leaves": chosen.num_leaves,
        "max_bin": chosen.max_bin,
        "eta": chosen.learning_rate,
        "lambda": chosen.lambda_l2,
        "min_child_weight": chosen.min_data_in_leaf * share * (1 - share),
        "colsample_bytree": column_share(chosen, len(names)),
        "scale_pos_weight": chosen.positive_weight,
        "seed": seed,
        "nthread": 1,
        "verbosity": 0,
    }


def _quantised(
    X: TrainingTable,
    rows: Int64Array,
    label: Int64Array,
    weight: Float64Array | None,
    start: float,
    max_bin: int,
    reference: Any,
) -> Any:
    """The chosen rows in XGBoost's bins, read in pieces."""
    pieces = _piece_type()(RowReader(X, rows), label, weight, start)
    return load_xgboost().QuantileDMatrix(pieces, max_bin=max_bin, ref=reference, nthread=1)


@cache
def _piece_type() -> type[Any]:
    """XGBoost's DataIter over a RowReader; made when XGBoost is first needed."""
    library = load_xgboost()

    class Pieces(library.DataIter):  # type: ignore[misc,name-defined]
        """Chosen rows, handed over piece by piece."""

        def __init__(self, reader: RowReader, label: Int64Array, weight: Float64Array | None, start: float) -> None:
            super().__init__(release_data=False)
            self._reader, self._label, self._weight, self._start = reader, label, weight, start
            self._place = 0

        def reset(self) -> None:
            """Begin again."""
            self._place = 0

        def next(self, input_data: Any) -> bool:
            """Hand over a piece; False at the end."""
            low, high = self._place, min(self._place + PIECE, len(self._reader))
            if low >= high:
                return False
            input_data(
                data=_clipped(self._reader.read(low, high)),
                label=self._label[low:high].astype(np.float32),
                weight=None if self._weight is None else self._weight[low:high].astype(np.float32),
                base_margin=np.full(high - low, self._start, np.float32),
            )
            self._place = high
            return True

    return Pieces
