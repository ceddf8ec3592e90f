"""How the trees of the supervised detector are grown: LightGBM on rows read in pieces, stopped in time."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol

import numpy as np

from greywater.detectors.detector import Validation
from greywater.detectors.monotone import monotone_signs
from greywater.detectors.rows import RowReader, sample_negatives
from greywater.detectors.saved import MEND
from greywater.detectors.single_row import TreeArrays
from greywater.detectors.steps import StepTold
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array, Progress, TrainingTable

__all__ = [
    "BoostedParameters", "LightGBM", "TreeLibrary", "column_share", "grow_trees", "load_lightgbm", "read_trees",
    "sampled_average_precision", "weigh_rows",
]  # fmt: skip

SLEEP: Final = "OMP_WAIT_POLICY"
#: What a saved model says of the threads that grew it; nobody reads it.
THREADS: Final = re.compile(r"\[num_threads: \d+\]")

#: Values up to which the rows that trees learn from are held until they are binned: 800 MB. Changes no result.
HELD_VALUES: Final = 100_000_000
#: Columns every tree may choose from, however small the share of them asked for.
LEAST_COLUMNS: Final = 28


@dataclass(frozen=True)
class BoostedParameters:
    """How the trees are grown. The defaults were chosen on time-split, imbalanced payments (docs/detectors.md).

    Parameters
    ----------
    rounds : int
        Most trees.
    patience : int
        Rounds without a better average precision on the validation slice after which growing stops.
    evaluate_every : int
        Rounds between two looks at the validation slice.
    rounds_without_validation : int
        Trees grown where there is no validation slice with a positive.
    learning_rate, num_leaves, min_data_in_leaf, lambda_l2, max_bin
        LightGBM's own.
    feature_fraction : float
        Share of the columns that a tree may choose from, drawn anew for each tree; at least LEAST_COLUMNS.
    positive_weight : float
        Class weight of a laundering payment; large weights (the full imbalance) hurt the ranking at the top.
    max_negatives : int
        Honest payments learned from, drawn evenly along the slice by the seed; each then counts for the ones it
        stands for, so the margins keep to the true odds. Positives are all kept. 0 = all honest payments.
    max_validation_negatives : int
        Honest payments of the validation slice that early stopping looks at. Calibration, threshold and measures
        always use the whole slice.
    bin_rows : int
        Rows from which the histogram edges are taken.
    monotone : bool
        Let the columns that docs/boosted.md lists push one way only.
    positives_unlabelled : bool
        Take a payment without a label for unknown, not for honest: the probability is divided by the share of
        laundering that is labelled, estimated as its mean over the labelled laundering of the validation slice
        (Elkan & Noto 2008). The order of the scores does not change.
    """

    rounds: int = 300
    patience: int = 60
    evaluate_every: int = 10
    rounds_without_validation: int = 150
    learning_rate: float = 0.1
    num_leaves: int = 31
    min_data_in_leaf: int = 50
    lambda_l2: float = 10.0
    feature_fraction: float = 0.05
    max_bin: int = 127
    positive_weight: float = 1.0
    max_negatives: int = 150_000
    max_validation_negatives: int = 100_000
    bin_rows: int = 32_768
    monotone: bool = False
    positives_unlabelled: bool = False

    def __post_init__(self) -> None:
        whole = ("rounds", "patience", "evaluate_every", "rounds_without_validation", "min_data_in_leaf", "bin_rows")
        bad = [name for name in whole if getattr(self, name) < 1]
        bad += [name for name in ("learning_rate", "positive_weight") if not 0 < getattr(self, name) < float("inf")]
        bad += [] if self.num_leaves >= 2 else ["num_leaves"]
        bad += [] if 0 < self.feature_fraction <= 1 else ["feature_fraction"]
        bad += [] if 3 <= self.max_bin <= 65_535 else ["max_bin"]
        bad += [name for name in ("max_negatives", "max_validation_negatives", "lambda_l2") if getattr(self, name) < 0]
        if bad:
            raise DetectorError(
                f"{bad[0]} = {getattr(self, bad[0])} cannot be used",
                where="BoostedParameters",
                mend="see its docstring",
            )


class TreeLibrary(Protocol):
    """What a library of boosted trees can do for the detector; `model` is whatever it grows."""

    @property
    def file(self) -> str:
        """Name of the saved model's file."""
        ...

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
        """Grow trees; the model cut to its best round, and that round."""
        ...

    def write(self, model: Any) -> str:
        """The model as the library's own text."""
        ...

    def read(self, text: str) -> Any:
        """The model from its text; a DetectorError where it is none."""
        ...

    def arrays(self, model: Any) -> TreeArrays:
        """The trees as plain arrays, for scoring."""
        ...

    def contributions(self, model: Any, rows: Float64Array, threads: int) -> Float64Array:
        """Contributions float64[n, features + 1] to the margin; each row sums to it."""
        ...

    def gain(self, model: Any) -> Float64Array:
        """What the splits on each feature gained, float64[features]."""
        ...


class LightGBM:
    """The default library."""

    @property
    def file(self) -> str:
        """Name of the saved model's file."""
        return "model.txt"

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
        """As `grow_trees`."""
        return grow_trees(X, y, weight, validation, chosen, seed=seed, threads=threads, progress=progress, told=told)

    def write(self, model: Any) -> str:
        """LightGBM's own text, the same whatever the number of threads."""
        return THREADS.sub("[num_threads: 0]", str(model.model_to_string()))

    def read(self, text: str) -> Any:
        """As `read_trees`."""
        return read_trees(text)

    def arrays(self, model: Any) -> TreeArrays:
        """The trees as plain arrays."""
        return TreeArrays.from_lightgbm(self.write(model))

    def contributions(self, model: Any, rows: Float64Array, threads: int) -> Float64Array:
        """Exact SHAP values of the margin."""
        found: Float64Array = model.predict(rows, pred_contrib=True, num_threads=threads, validate_features=False)
        return found

    def gain(self, model: Any) -> Float64Array:
        """Summed gain of the splits on each feature."""
        return np.asarray(model.feature_importance("gain"), np.float64)


@cache
def load_lightgbm() -> Any:
    """LightGBM, imported when it is first needed, its idle threads told to sleep.

    OpenMP's threads spin while they wait for each other. Where other programs want the processor too, a tree then
    takes ten times as long on two threads as on one. The policy is read once, when the library is loaded; a policy
    the environment already names is left as it is.
    """
    named = os.environ.get(SLEEP)
    os.environ.setdefault(SLEEP, "PASSIVE")
    try:
        import lightgbm as library
    finally:
        if named is None:
            del os.environ[SLEEP]
    return library


def grow_trees(
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
    """The booster cut to its best round, and that round.

    It is read back from its own text, so that a saved and loaded one is the same one. Memory: one decoded batch, the
    chosen rows while they are binned (HELD_VALUES at most, else those the histogram edges are taken from), and one byte
    for each of their values.
    """
    settings = _settings(chosen, X.names, seed, threads)
    rows, mass = weigh_rows(y, weight, chosen.max_negatives, seed)
    training = _dataset(X, rows, y[rows], mass, settings, None)
    held = None
    if validation is not None:
        truth = np.asarray(validation.y)
        rows, stands_for = sample_negatives(truth, chosen.max_validation_negatives or len(truth), seed + 1)
        truth = truth[rows]
        held = _dataset(validation.X, rows, truth, None, settings, training)
    booster = load_lightgbm().Booster(settings, training)
    if held is not None:
        booster.add_valid(held, "validation")
    rounds = chosen.rounds if held is not None else chosen.rounds_without_validation
    if progress is not None:
        progress.step("grow trees", rounds)
    best, best_round = -1.0, rounds

    def judge(margin: Float64Array, _: Any) -> tuple[str, float, bool]:
        return "average_precision", sampled_average_precision(truth, margin, stands_for), True

    for number in range(1, rounds + 1):
        stuck = booster.update()
        if progress is not None:
            progress.advance(1)
        if held is not None and (number % chosen.evaluate_every == 0 or number == rounds or stuck):
            reached = booster.eval_valid(judge)[0][2]
            if reached > best:
                best, best_round = reached, number
            if not told(number, {"score": reached}) or number - best_round >= chosen.patience:
                break
        if stuck:
            best_round = min(best_round, number)
            break
    text = booster.model_to_string(num_iteration=best_round)
    return read_trees(text), best_round


def column_share(chosen: BoostedParameters, columns: int) -> float:
    """The share of the columns that a tree may choose from."""
    return max(chosen.feature_fraction, min(1.0, LEAST_COLUMNS / columns))


def weigh_rows(
    y: Int64Array, weight: Float64Array | None, most_negatives: int, seed: int
) -> tuple[Int64Array, Float64Array]:
    """Rows to learn from, increasing, and what each counts: all positives, and a sample of the negatives."""
    rows, stands_for = sample_negatives(y, most_negatives or len(y), seed)
    mass = np.where(y[rows] == 1, 1.0, stands_for) * _weights(weight, y)[rows]
    return rows, mass


def _settings(chosen: BoostedParameters, names: tuple[str, ...], seed: int, threads: int) -> dict[str, Any]:
    signs = monotone_signs(names)
    constraints = {"monotone_constraints": signs.tolist()} if chosen.monotone and signs.any() else {}
    return constraints | {
        "objective": "binary",
        "metric": "None",
        "verbosity": -1,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": threads,
        "seed": seed,
        "learning_rate": chosen.learning_rate,
        "num_leaves": chosen.num_leaves,
        "min_data_in_leaf": chosen.min_data_in_leaf,
        "lambda_l2": chosen.lambda_l2,
        "feature_fraction": column_share(chosen, len(names)),
        "max_bin": chosen.max_bin,
        "scale_pos_weight": chosen.positive_weight,
        "bin_construct_sample_cnt": chosen.bin_rows,
        "feature_pre_filter": False,
    }


@cache
def _sequence_type() -> type[Any]:
    """LightGBM's Sequence over a RowReader; made when LightGBM is first needed."""

    load_lightgbm()
    from lightgbm import Sequence

    class Rows(Sequence):
        """Chosen rows, handed over piece by piece."""

        batch_size = 8_192

        def __init__(self, reader: RowReader) -> None:
            self._reader = reader

        def __len__(self) -> int:
            return len(self._reader)

        def __getitem__(self, place: int | slice | list[int]) -> Float64Array:
            if isinstance(place, slice):
                return self._reader.read(place.start, place.stop)
            if isinstance(place, list):
                return np.concatenate([self._reader.read(one, one + 1) for one in place])
            row: Float64Array = self._reader.read(place, place + 1)[0]
            return row

    return Rows


def _weights(weight: Float64Array | None, y: Int64Array) -> Float64Array:
    if weight is None:
        return np.ones(len(y))
    given = np.asarray(weight, np.float64)
    if given.shape != y.shape or not bool((np.isfinite(given) & (given >= 0)).all()):
        raise DetectorError("weights must be one finite number >= 0 a row", where="weight", mend="mend or leave it out")
    return given


def _dataset(
    X: TrainingTable,
    rows: Int64Array,
    label: Int64Array,
    weight: Float64Array | None,
    settings: dict[str, Any],
    reference: Any,
) -> Any:
    """The chosen rows, binned: one byte a value.

    Edges are taken from some of them first, where no `reference` has them. Rows that fit in memory are held for that,
    so that they are decoded once.
    """
    reader = RowReader(X, rows)
    if reference is None and len(rows) * len(X.names) <= HELD_VALUES:
        reader.hold()
    clean = all(re.fullmatch(r"[\w.+-]+", name) for name in X.names)
    names: Any = list(X.names) if clean else "auto"
    dataset = load_lightgbm().Dataset(
        _sequence_type()(reader),
        label=label.astype(np.float64),
        weight=weight,
        feature_name=names,
        params=settings,
        reference=reference,
        free_raw_data=True,
    )
    return dataset.construct()


def sampled_average_precision(truth: Int64Array, margin: Float64Array, stands_for: float) -> float:
    """Average precision on the validation sample, each negative counting for the ones it stands for."""
    positives, negatives = np.sort(margin[truth == 1]), np.sort(margin[truth != 1])
    caught = len(positives) - np.searchsorted(positives, positives, side="left")
    false = stands_for * (len(negatives) - np.searchsorted(negatives, positives, side="left"))
    return float(np.mean(caught / (caught + false)))


def read_trees(text: str) -> Any:
    """A booster from LightGBM's text; a DetectorError where it is none."""
    library = load_lightgbm()
    try:
        return library.Booster(model_str=text)
    except library.basic.LightGBMError as error:
        raise DetectorError(f"LightGBM cannot read the model: {error}", mend=MEND) from error
