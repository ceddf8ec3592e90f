"""A set of rules behind the contract of detectors: severity as score, calibrated by labels, explained by rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
import pyarrow as pa

from greywater.detectors.calibration import Platt, Rank, from_json
from greywater.detectors.detector import Validation
from greywater.detectors.fitted import CalibratedFace, ThresholdBy
from greywater.detectors.rules.compiling import Words
from greywater.detectors.rules.hits import RuleHits, weights_of
from greywater.detectors.rules.rule_set import BoundRules, RuleSet
from greywater.detectors.saved import (
    MEND,
    plain,
    read_folder,
    refuse_other_columns,
    refuse_unusable_validation,
    write_folder,
)
from greywater.detectors.threshold import Threshold
from greywater.detectors.unlearned_scores import scale_scores
from greywater.errors import DetectorError, GreywaterError
from greywater.vocab import Float64Array, Int64Array, Progress, TrainingTable

__all__ = ["RuleDetector"]

RULES: Final = "rules.json"
LIMITS: Final = (
    "Rules look at what they were written for and at nothing else; their thresholds can be learned and kept under.",
    "Without labels the probability is a rank: the share of reference payments that hit less.",
)


@dataclass
class _Fitted:
    """What fitting left behind."""

    names: tuple[str, ...]
    calibrated: Platt | Rank
    threshold: Threshold
    card: dict[str, Any] = field(default_factory=dict)


class RuleDetector(CalibratedFace[_Fitted]):
    """Rules as a detector.

    The score of a payment is the sum of 2^(severity - 1) over the rules that are on and that it hits: one hit of
    severity 3 counts as much as four of severity 1. The contributions spread each hit evenly over the columns that its
    rule reads; `rule_contributions` says it by rule. Rules in shadow add nothing.

    Parameters
    ----------
    rules : RuleSet, optional
        Those of the package where left out.
    words : mapping of str to sequence of str, optional
        What the codes of text attributes mean, by column.
    threshold_by, cost_missed, cost_wasted
        What the threshold is chosen by where the validation slice has labels, and the two costs.
    """

    kind: ClassVar[str] = "rules"
    needs_labels: ClassVar[bool] = False

    def __init__(
        self,
        rules: RuleSet | None = None,
        *,
        words: Words | None = None,
        threshold_by: ThresholdBy = "f1",
        cost_missed: float | None = None,
        cost_wasted: float | None = None,
    ) -> None:
        self.rules = rules if rules is not None else RuleSet.load()
        self._words = words
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
        """Bind the rules to the columns; the validation slice calibrates. `y` and `weight` are not used.

        Raises
        ------
        DetectorError
            There is no row or no column, or the validation slice has other columns.
        """
        if not X.rows or not X.names:
            raise DetectorError(
                f"the table has {X.rows} rows and {len(X.names)} columns", where="X", mend="give at least one of each"
            )
        refuse_unusable_validation(X, validation)
        if progress is not None:
            progress.step("bind rules", len(self.rules.rules))
            progress.advance(len(self.rules.rules))
        bound = self.bound(next(iter(X.batches(0, 1))).schema)
        self._fitted = _Fitted(X.names, Rank.fit(np.zeros(0)), Threshold(float("inf"), "share"))
        scaled = scale_scores(self.score, validation, lambda: self.score(X), by=self._threshold_by, costs=self._costs)
        self._fitted.calibrated, self._fitted.threshold = scaled.calibrated, scaled.threshold
        self._fitted.card.update(scaled.card)
        notes = [scaled.note]
        if not bound.active:
            notes.append("No rule is active: none finds its columns.")
        self._fitted.card.update(
            plain(
                {
                    "kind": self.kind,
                    "rows": X.rows,
                    "features": len(X.names),
                    "fingerprint": getattr(X, "fingerprint", None),
                    "time": None if time is None or not len(time) else [int(time[0]), int(time[-1])],
                    "rules": {
                        rule.id: {
                            "version": rule.version,
                            "state": "off" if rule.id in bound.off else rule.state,
                            "severity": rule.severity,
                            "why_off": bound.off.get(rule.id, ""),
                            "parameters": {each.name: each.value for each in rule.parameters},
                        }
                        for rule in bound.rules
                    },
                    "rules_fingerprint": self.rules.fingerprint,
                    "limits": list(LIMITS),
                    "notes": notes,
                }
            )
        )
        return self

    def bound(self, columns: pa.Schema) -> BoundRules:
        """The rules over columns; which are active and why others are not."""
        return self.rules.bind(columns, self._words)

    def hits(self, X: TrainingTable) -> Iterator[tuple[int, RuleHits]]:
        """(position of its first row, answers) of each batch of the table, in order."""
        refuse_other_columns(self._known().names, X.names, "hits")
        position = 0
        for batch in X.batches():
            yield position, self.bound(batch.schema).evaluate(batch)
            position += batch.num_rows

    def score(self, X: TrainingTable) -> Float64Array:
        """Severity float64[n]: the sum of 2^(severity - 1) over the hits."""
        scores = np.zeros(X.rows)
        for start, hits in self.hits(X):
            scores[start : start + len(hits.hits)] = hits.score
        return scores

    def explain(self, X: TrainingTable) -> Float64Array:
        """Contributions float64[n, features + 1]: each hit spread evenly over the columns its rule reads; base 0."""
        names = {name: place for place, name in enumerate(self._known().names)}
        parts = [np.empty((0, len(names) + 1))]
        for _, hits in self.hits(X):
            spread = np.zeros((len(hits.rules), len(names) + 1))
            for place, rule in enumerate(hits.rules):
                read = hits.columns.get(rule.id, ())
                for name in read:
                    spread[place, names[name]] += rule.weight / len(read) if rule.state == "on" else 0.0
            parts.append(hits.hits.astype(np.float64) @ spread)
        return np.concatenate(parts)

    def rule_contributions(self, X: TrainingTable) -> Float64Array:
        """What each rule adds to the score, float64[n, rules] in the order of the set; the sum is the score."""
        parts = [np.empty((0, len(self.rules.rules)))]
        parts.extend(hits.hits * weights_of(hits.rules) for _, hits in self.hits(X))
        return np.concatenate(parts)

    def save(self, folder: Path) -> None:
        """Write rules.json and detector.json, which holds its SHA-256."""
        fitted = self._known()
        description = {
            "names": list(fitted.names),
            "calibration": fitted.calibrated.to_json(),
            "threshold": fitted.threshold.to_json(),
            "words": None if self._words is None else {name: list(known or ()) for name, known in self._words.items()},
            "costs": list(self._costs),
            "card": fitted.card,
        }
        write_folder(folder, self.kind, description, {RULES: self.rules.to_json().encode()})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        DetectorError
            A file is missing, damaged or of another kind.
        """
        document, saved = read_folder(folder, cls.kind)
        try:
            names = tuple(map(str, document["names"]))
            threshold = Threshold.from_json(document["threshold"])
            detector = cls(RuleSet.from_json(saved[RULES].decode()), words=document["words"])
            detector._chosen_as(threshold, document["costs"])
            detector._fitted = _Fitted(names, from_json(document["calibration"]), threshold, dict(document["card"]))
        except DetectorError:
            raise
        except (KeyError, TypeError, ValueError, GreywaterError) as error:
            raise DetectorError(f"the description is damaged: {error}", where=str(folder), mend=MEND) from error
        return detector
