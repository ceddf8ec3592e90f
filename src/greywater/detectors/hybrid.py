"""The detector of detectors: parts that are fitted on the past, and a second level that learns from later labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.detectors.calibration import Platt, Rank, from_json
from greywater.detectors.combination import Combination, CombinationParameters
from greywater.detectors.detector import Detector, Validation
from greywater.detectors.fitted import CalibratedFace, ThresholdBy
from greywater.detectors.hybrid_words import Flags, describe
from greywater.detectors.part_kinds import load_part
from greywater.detectors.part_scores import Mandatory, ManyScores, PartScores
from greywater.detectors.saved import (
    DESCRIPTION,
    MEND,
    plain,
    read_folder,
    refuse_other_columns,
    refuse_unusable_labels,
    refuse_unusable_validation,
    write_folder,
)
from greywater.detectors.stretch import Stretch
from greywater.detectors.threshold import Threshold
from greywater.errors import DetectorError
from greywater.stores.blocks import TableRows
from greywater.vocab import Float64Array, Int64Array, Progress, TrainingTable

__all__ = ["Hybrid", "HybridParameters", "part_contributions"]

#: Prior weights of the scores, before any label is seen.
PRIOR: Final = MappingProxyType({"boosted": 1.0, "xgboosted": 1.0, "isolation": 0.5, "rules": 0.1, "trust": 0.5})


@dataclass(frozen=True)
class HybridParameters:
    """How the second level is fitted.

    Parameters
    ----------
    stop_share : float
        Share of the validation slice, the earlier part, on which the parts are stopped and calibrated; the second
        level learns from the rest. 1 = both use the whole slice.
    strength, fade_labels, least_positives
        As in CombinationParameters.
    prior : mapping of str to float
        Likewise.
    alert_share : float
        Share of payments flagged where no labels choose the threshold.
    """

    stop_share: float = 0.5
    strength: float = 1.0
    fade_labels: int = 20
    least_positives: int = 10
    prior: Mapping[str, float] = field(default_factory=lambda: dict(PRIOR))
    alert_share: float = 0.001

    def __post_init__(self) -> None:
        bad = [] if 0 < self.stop_share <= 1 else ["stop_share"]
        bad += [] if 0 < self.alert_share < 1 else ["alert_share"]
        if bad:
            raise DetectorError(
                f"{bad[0]} = {getattr(self, bad[0])} cannot be used", where="HybridParameters", mend="see its docstring"
            )
        self.combination()

    def combination(self) -> CombinationParameters:
        """What the second level needs."""
        return CombinationParameters(
            dict(self.prior), self.strength, fade_labels=self.fade_labels, least_positives=self.least_positives
        )


@dataclass
class _Fitted:
    """What fitting left behind."""

    names: tuple[str, ...]
    used: tuple[str, ...]
    schema: pa.Schema
    combination: Combination = field(default_factory=lambda: Combination((), (), (), 0.0, "fused"))
    calibrated: Platt | Rank = field(default_factory=lambda: Platt(1.0, 0.0, fitted=False))
    threshold: Threshold = field(default_factory=lambda: Threshold(float("inf"), "share"))
    card: dict[str, Any] = field(default_factory=dict)

    #: Scores of the later part of the validation slice; not saved.
    later: Float64Array | None = None
    #: How the parts that have some weight are asked for one row; made at the first question.
    asked: list[tuple[slice, Callable[[Float64Array], Sequence[float]]]] | None = None

    @cached_property
    def weighed(self) -> dict[str, slice]:
        """The parts that have some weight, and where their scores stand among all."""
        found = {}
        for name in self.used:
            mine = [place for place, score in enumerate(self.combination.names) if score.partition(".")[0] == name]
            if any(self.combination.weights[place] for place in mine):
                found[name] = slice(mine[0], mine[-1] + 1)
        return found


class Hybrid(CalibratedFace[_Fitted]):
    """Several detectors as one, behind the Detector contract.

    The parts learn from the training slice and are stopped on the earlier part of the validation slice; the second
    level (`Combination`) learns from the later part, so its labels are later than theirs. The score is a weighted sum
    of rank levels, the probability Platt's sigmoid of it; without any laundering label the parts are fused by rank.
    Contributions spread each part's share over the columns as the part itself does; they and the base sum to the score.

    Parameters
    ----------
    parts : mapping of str to Detector
        By name. One that needs labels is left out where there are none, and `card["notes"]` says so.
    parameters : HybridParameters, optional
    threshold_by, cost_missed, cost_wasted
        What the threshold is chosen by on the slice the second level learns from, and the two costs.
    """

    kind: ClassVar[str] = "hybrid"
    needs_labels: ClassVar[bool] = False

    def __init__(
        self,
        parts: Mapping[str, Detector],
        parameters: HybridParameters | None = None,
        *,
        threshold_by: ThresholdBy = "f1",
        cost_missed: float | None = None,
        cost_wasted: float | None = None,
    ) -> None:
        if not parts or any(not name.isidentifier() for name in parts):
            raise DetectorError(
                "a hybrid needs parts with plain names", where="parts", mend='for example {"boosted": ...}'
            )
        self._parts: dict[str, Detector] = dict(parts)
        self._parameters = parameters or HybridParameters()
        self._choose_by(threshold_by, cost_missed, cost_wasted)
        self._fitted: _Fitted | None = None

    @property
    def parts(self) -> dict[str, Detector]:
        """The fitted parts by name."""
        return {name: self._parts[name] for name in self._known().used}

    @property
    def later_scores(self) -> Float64Array | None:
        """Scores of the later part of the validation slice it was fitted with; None of one that was loaded."""
        return self._known().later

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
        """Fit the parts on the training slice, then the second level on the later part of the validation slice.

        Raises
        ------
        DetectorError
            No part can be fitted, or columns or labels do not fit.
        """
        refuse_unusable_validation(X, validation)
        if y is not None:
            refuse_unusable_labels(X, np.asarray(y), "y")
        labelled = y is not None and 0 < int(np.sum(y)) < len(y)
        stopping, later = _halves(validation, self._parameters.stop_share)
        notes: list[str] = []
        used: list[str] = []
        for name, part in self._parts.items():
            if part.needs_labels and not labelled:
                notes.append(f"{name} was left out: it needs labels of laundering and of honest payments.")
                continue
            part.fit(X, y, time, weight, validation=stopping, progress=progress)
            used.append(name)
        if not used:
            raise DetectorError(
                "no part of the hybrid can be fitted without labels", where="y", mend="add one that needs none"
            )
        # Without a later slice ranks are taken on the training slice, where parts that saw its labels look better.
        held = later if later is not None else Validation(X, np.zeros(X.rows, np.int64))
        self._fitted = fitted = _Fitted(X.names, tuple(used), _schema(X.names, _whole_columns(X)))
        scores, truth = self.part_scores(held.X), np.asarray(held.y, np.int64)
        seen = int(np.sum(y)) if labelled and y is not None else 0
        positives = seen + (int(np.sum(validation.y)) if validation is not None else 0)
        chosen = self._parameters.combination()
        if positives:
            learned = [name for name in used if self._parts[name].needs_labels]
            fitted.combination = Combination.fit(scores, truth, chosen, positives=positives, learned=learned)
        else:
            fitted.combination = Combination.fused(scores, chosen)
        score = fitted.combination.score(scores)
        fitted.later = None if later is None else score
        flags = self._calibrate(score, truth)
        facts = {
            "kind": self.kind,
            "rows": X.rows,
            "positives": seen,
            "features": len(X.names),
            "fingerprint": getattr(X, "fingerprint", None),
            "time": None if time is None or not len(time) else [int(time[0]), int(time[-1])],
            "parameters": asdict(self._parameters),
            "measured_on": "training" if later is None else "validation",
        }
        cards = {name: self._parts[name].card for name in used}
        fitted.card = plain(facts | describe(fitted.combination, scores, truth, flags, cards, notes))
        return self

    def part_scores(self, X: TrainingTable) -> PartScores:
        """What every part says of each payment."""
        fitted = self._known()
        refuse_other_columns(fitted.names, X.names, "score")
        return PartScores.beside([_scores_of(name, self._parts[name], X) for name in fitted.used])

    def score(self, X: TrainingTable) -> Float64Array:
        """Raw score float64[n], higher = more suspicious. Parts without any weight are not asked."""
        fitted = self._known()
        refuse_other_columns(fitted.names, X.names, "score")
        said = PartScores(fitted.combination.names, np.full((X.rows, len(fitted.combination.names)), np.nan))
        for name, places in fitted.weighed.items():
            said.values[:, places] = _scores_of(name, self._parts[name], X).values
        return fitted.combination.score(said)

    def score_row(self, row: Float64Array) -> float:
        """Raw score of one row float64[features] in the order of `names`, with the bits of `score`."""
        fitted = self._known()
        if fitted.asked is None:
            fitted.asked = [(places, self._one(name)) for name, places in fitted.weighed.items()]
        values = [float("nan")] * len(fitted.combination.names)
        for places, ask in fitted.asked:
            values[places] = ask(row)
        return fitted.combination.score_one(tuple(values))

    def _one(self, name: str) -> Callable[[Float64Array], Sequence[float]]:
        """How a part is asked for one row; found once, since looking at what a part can do takes longer than asking."""
        part, schema = self._parts[name], self._known().schema
        if isinstance(part, ManyScores):
            many = part.row_scores
            return lambda row: many(row, schema)
        one = getattr(part, "score_row", None)
        if one is not None:
            return lambda row: (float(one(row)),)
        return lambda row: (float(part.score(_one_row(schema, row))[0]),)

    def mandatory(self, X: TrainingTable) -> NDArray[np.bool_]:
        """Where some part demands an alert whatever the rank, bool[n]."""
        demanded = np.zeros(X.rows, np.bool_)
        for part in self.parts.values():
            if isinstance(part, Mandatory):
                demanded |= part.mandatory(X)
        return demanded

    def explain(self, X: TrainingTable) -> Float64Array:
        """Contributions float64[n, features + 1] of the columns and the base; each row sums to its score.

        A part's contribution is spread over the columns in the proportions of its own explanation. What parts say that
        do not explain themselves in these columns (rules, relationships) is in the last column, with the base; ask
        `part_contributions`, and the part itself.
        """
        fitted = self._known()
        refuse_other_columns(fitted.names, X.names, "explain")
        columns = len(fitted.names)
        found = np.zeros((X.rows, columns + 1))
        found[:, -1] = fitted.combination.bias
        if not X.rows:
            return found
        scales = dict(zip(fitted.combination.names, fitted.combination.scales, strict=True))
        weights = dict(zip(fitted.combination.names, fitted.combination.weights, strict=True))
        for name in fitted.used:
            part = self._parts[name]
            said = _scores_of(name, part, X)
            levels = [weights[score] * scales[score](said.of(score)) for score in said.names]
            if getattr(part, "names", None) != fitted.names:
                found[:, -1] += np.sum(levels, axis=0)
            elif any(weights[score] for score in said.names):
                own = part.explain(X)
                base = part.base_scores() if isinstance(part, ManyScores) else own[:1, -1].tolist()
                quiet = sum(weights[n] * scales[n].level(float(b)) for n, b in zip(said.names, base, strict=True))
                found += _spread(own, np.sum(levels, axis=0), quiet)
        return found

    def save(self, folder: Path) -> None:
        """Write each part into a folder of its own, then detector.json, which holds the SHA-256 of theirs."""
        fitted = self._known()
        parts = []
        for name in fitted.used:
            self._parts[name].save(Path(folder) / name)
            parts.append({"name": name, "sha256": _digest(Path(folder) / name)})
        description = {
            "names": list(fitted.names),
            "whole": [column.name for column in fitted.schema if pa.types.is_integer(column.type)],
            "parts": parts,
            "combination": fitted.combination.to_json(),
            "calibration": fitted.calibrated.to_json(),
            "threshold": fitted.threshold.to_json(),
            "parameters": asdict(self._parameters),
            "costs": list(self._costs),
            "card": fitted.card,
        }
        write_folder(folder, self.kind, description, {})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        DetectorError
            A file is missing, damaged or of another kind.
        """
        document, _ = read_folder(folder, cls.kind)
        where = str(folder)
        try:
            names = tuple(map(str, document["names"]))
            digests = {str(part["name"]): str(part["sha256"]) for part in document["parts"]}
            if not digests or any(not name.isidentifier() for name in digests):
                raise ValueError("the parts have no plain names")
            schema = _schema(names, list(map(str, document["whole"])))
            missed, wasted = document["costs"]
            parameters = HybridParameters(**document["parameters"])
            combination = Combination.from_json(document["combination"])
            calibrated = from_json(document["calibration"])
            threshold = Threshold.from_json(document["threshold"])
            card = dict(document["card"])
        except (KeyError, TypeError, ValueError) as error:
            raise DetectorError(f"the description is damaged: {error}", where=where, mend=MEND) from error
        parts = {}
        for name, digest in digests.items():
            if _digest(Path(folder) / name) != digest:
                raise DetectorError(f"the part {name!r} is not what was written", where=where, mend=MEND)
            parts[name] = load_part(Path(folder) / name)
        detector = cls(parts, parameters)
        detector._chosen_as(threshold, (missed, wasted))
        detector._fitted = _Fitted(names, tuple(parts), schema, combination, calibrated, threshold, card)
        return detector

    def _calibrate(self, score: Float64Array, truth: Int64Array) -> Flags:
        """Set calibration and threshold from the slice that the second level learned from."""
        fitted = self._known()
        if 0 < int(truth.sum()) < len(truth):
            missed, wasted = self._costs
            fitted.calibrated = Platt.fit(truth, score)
            fitted.threshold = Threshold.choose(
                truth, score, by=self._threshold_by, cost_missed=missed, cost_wasted=wasted
            )
        else:
            fitted.calibrated = Rank.fit(score)
            fitted.threshold = Threshold.highest(score, self._parameters.alert_share)
        return Flags(score, fitted.calibrated(score), fitted.threshold.value, self._costs)


def part_contributions(hybrid: Hybrid, X: TrainingTable) -> PartScores:
    """What each score adds to the average payment's; the column "base" is the rest, and rows sum to the score.

    Examples
    --------
    `part_contributions(hybrid, rows).of("boosted")`; what moved that part is `hybrid.parts["boosted"].explain(rows)`.
    """
    said = hybrid.part_scores(X)
    combination = hybrid._known().combination
    return PartScores((*combination.names, "base"), combination.contributions(said))


def _halves(validation: Validation | None, stop_share: float) -> tuple[Validation | None, Validation | None]:
    """What the parts are stopped on, and what the second level learns from: the earlier and the later part."""
    if validation is None or not validation.X.rows:
        return validation, None
    rows, truth = validation.X.rows, np.asarray(validation.y)
    cut = rows if stop_share == 1 else int(rows * stop_share)
    if cut in (0, rows):
        return validation, validation
    earlier, later = Stretch(validation.X, 0, cut), Stretch(validation.X, cut, rows)
    return Validation(earlier, truth[:cut]), Validation(later, truth[cut:])


def _scores_of(name: str, part: Detector, X: TrainingTable) -> PartScores:
    if isinstance(part, ManyScores):
        said = part.part_scores(X)
        return PartScores(tuple(f"{name}.{score}" for score in said.names), said.values)
    return PartScores((name,), part.score(X)[:, None])


def _one_row(schema: pa.Schema, row: Float64Array) -> TrainingTable:
    """One row float64[features] as a table; whole numbers where the column's are."""
    values = [pa.array(row[place : place + 1]).cast(column.type) for place, column in enumerate(schema)]
    return TableRows(pa.Table.from_arrays(values, schema=schema))


def _schema(names: tuple[str, ...], whole: Sequence[str]) -> pa.Schema:
    kept = set(whole)
    return pa.schema([pa.field(name, pa.int64() if name in kept else pa.float64()) for name in names])


def _whole_columns(X: TrainingTable) -> list[str]:
    """The columns that hold whole numbers."""
    batch = next(iter(X.batches(0, min(1, X.rows))), None)
    return [] if batch is None else [one.name for one in batch.schema if pa.types.is_integer(one.type)]


def _spread(own: Float64Array, level: Float64Array, base: float) -> Float64Array:
    """A part's contribution to the score, spread over the columns as its own explanation is.

    `own` float64[n, features + 1], `level` float64[n] what the part adds to the score, `base` what it would add
    where its explanation is the base value alone.
    """
    moved = own[:, :-1].sum(axis=1)
    wanted = level - base
    still = np.abs(moved) < 1e-12
    spread = own[:, :-1] * np.where(still, 0.0, wanted / np.where(still, 1.0, moved))[:, None]
    rest = np.full(len(own), base)
    if own.shape[1] > 1:
        # What rounding leaves goes to the column that moves most, so that the sum is the score.
        largest = np.abs(own[:, :-1]).argmax(axis=1)
        spread[np.arange(len(own)), largest] += np.where(own[:, :-1].any(axis=1), wanted - spread.sum(axis=1), 0.0)
    rest += np.where(own[:, :-1].any(axis=1), 0.0, wanted)
    return np.hstack([spread, rest[:, None]])


def _digest(folder: Path) -> str:
    path = folder / DESCRIPTION
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DetectorError("a part of the hybrid is missing", where=str(path), mend=MEND) from error
