"""Rules as a part of a hybrid: the severity of the hits and their number, and the alerts that they demand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.detectors.part_scores import PartScores
from greywater.detectors.rules.rule_detector import RuleDetector
from greywater.detectors.rules.rule_set import BoundRules
from greywater.vocab import Float64Array, TrainingTable

__all__ = ["RulePart"]


class RulePart(RuleDetector):
    """A RuleDetector with two scores, "severity" and "hits" (of rules that are on), and mandatory alerts."""

    _row: tuple[pa.Schema, BoundRules, list[tuple[int, bool]]] | None = None

    def part_scores(self, X: TrainingTable) -> PartScores:
        """Severity and number of the hits, float64[n, 2]."""
        values = np.zeros((X.rows, 2))
        for start, found in self.hits(X):
            rows = slice(start, start + len(found.hits))
            values[rows, 0], values[rows, 1] = found.score, found.alerting.sum(axis=1)
        return PartScores(("severity", "hits"), values)

    def base_scores(self) -> tuple[float, ...]:
        """The scores of a payment that hits nothing."""
        return (0.0, 0.0)

    def row_scores(self, row: Float64Array, schema: pa.Schema) -> tuple[float, ...]:
        """The scores of one row float64[features] of columns with this schema."""
        if self._row is None or self._row[0] is not schema:
            bound = self.bound(schema)
            places = [schema.get_field_index(name) for name in bound.columns]
            self._row = (schema, bound, [(place, pa.types.is_integer(schema.field(place).type)) for place in places])
        _, bound, read = self._row
        found = bound.one([int(row[place]) if whole else float(row[place]) for place, whole in read])
        return (found.score, float(len(found.hits)))

    def mandatory(self, X: TrainingTable) -> NDArray[np.bool_]:
        """Where a mandatory rule that is on is hit, bool[n]."""
        must = np.zeros(X.rows, np.bool_)
        for start, found in self.hits(X):
            must[start : start + len(found.hits)] = found.mandatory
        return must
