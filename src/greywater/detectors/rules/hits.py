"""Which payments hit which rules, how severe that is, and the values that made them hit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.detectors.rules.program import BLOCK_ROWS, BoolMatrix
from greywater.detectors.rules.rule import Rule
from greywater.vocab import Float64Array

__all__ = ["RowHits", "RuleHits"]


@dataclass(frozen=True)
class RuleHits:
    """The answers of a set of rules for n payments.

    Parameters
    ----------
    rules : tuple of Rule
        All rules of the set, in its order.
    hits : bool[n, rules]
        Where a rule holds; False everywhere of a rule that was not evaluated.
    known : bool[n, rules]
        Where it is known whether it holds: everything it needs has a value.
    off : mapping of str to str
        Rules that were not evaluated, and why.
    columns : mapping of str to tuple of str
        The columns that each evaluated rule reads.
    rows : pa.Table or pa.RecordBatch
        What was evaluated.
    """

    rules: tuple[Rule, ...]
    hits: BoolMatrix
    known: BoolMatrix
    off: Mapping[str, str]
    columns: Mapping[str, tuple[str, ...]] = field(repr=False)
    rows: pa.Table | pa.RecordBatch = field(repr=False)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the rules, in the order of the columns of `hits`."""
        return tuple(rule.id for rule in self.rules)

    @property
    def alerting(self) -> BoolMatrix:
        """bool[n, rules]: hits of rules that are on; those in shadow are False here."""
        return np.asarray(self.hits & np.array([rule.state == "on" for rule in self.rules], np.bool_))

    @property
    def score(self) -> Float64Array:
        """Severity float64[n]: the sum of 2^(severity - 1) over the hits of rules that are on; whole and exact."""
        score = np.zeros(len(self.hits))
        for begin in range(0, len(score), BLOCK_ROWS):
            part, hits = score[begin : begin + BLOCK_ROWS], self.hits[begin : begin + BLOCK_ROWS]
            for place, weight in enumerate(weights_of(self.rules).tolist()):
                if weight and hits[:, place].any():
                    part += weight * hits[:, place]
        return score

    @property
    def mandatory(self) -> NDArray[np.bool_]:
        """bool[n]: payments that a mandatory rule which is on hits; they alert whatever else is said."""
        must = np.array([rule.mandatory and rule.state == "on" for rule in self.rules], np.bool_)
        return np.asarray(self.hits[:, must].any(axis=1))

    def of(self, rule: str) -> NDArray[np.bool_]:
        """bool[n]: hits of the rule with this id."""
        return np.asarray(self.hits[:, self.ids.index(rule)])

    def values(self, row: int) -> dict[str, dict[str, Any]]:
        """What made one payment hit: of each rule that it hits the columns read and their values; None = not known."""
        found = {}
        for place in np.flatnonzero(self.hits[row]).tolist():
            names = self.columns[self.rules[place].id]
            found[self.rules[place].id] = {name: _known(self.rows.column(name)[row].as_py()) for name in names}
        return found


@dataclass(frozen=True)
class RowHits:
    """The answers of a set of rules for one payment: ids that hit and count, that hit in shadow, score, mandatory."""

    hits: tuple[str, ...]
    shadow: tuple[str, ...]
    score: float
    mandatory: bool


def weights_of(rules: Sequence[Rule]) -> Float64Array:
    """What a hit of each rule adds to the score, float64[rules]; 0 of a rule that is not on."""
    return np.array([rule.weight if rule.state == "on" else 0.0 for rule in rules], np.float64)


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
