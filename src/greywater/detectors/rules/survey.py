"""What rules did on some payments, counted: those that are on, and those in shadow, which alert nobody yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greywater.detectors.rules.hits import RuleHits
from greywater.detectors.rules.rule import Rule
from greywater.vocab import Int64Array

__all__ = ["RuleSurvey", "survey"]


@dataclass(frozen=True)
class RuleSurvey:
    """Counts of hits.

    Parameters
    ----------
    mandatory : bool[n]
        Payments that a mandatory rule hits.
    rules : tuple of Rule
        Those that were asked for.
    hits : int64[rules]
        Payments that each hit.
    alone : int64[rules]
        Those of them that no rule that is on hit besides: what a rule in shadow would add.
    off : mapping of str to str
        Rules that were not evaluated, and why.
    """

    mandatory: NDArray[np.bool_]
    rules: tuple[Rule, ...] = ()
    hits: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    alone: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    off: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> list[dict[str, Any]]:
        """One object a rule, in JSON types; None in the place of counts where it was not evaluated."""
        return [
            {
                "id": rule.id,
                "version": rule.version,
                "state": "off" if rule.id in self.off else rule.state,
                "severity": rule.severity,
                "hits": None if rule.id in self.off else int(hits),
                "alone": None if rule.id in self.off else int(alone),
                "why_off": self.off.get(rule.id, ""),
            }
            for rule, hits, alone in zip(self.rules, self.hits, self.alone, strict=True)
        ]


def survey(found: Iterable[tuple[int, RuleHits]], payments: int) -> RuleSurvey:
    """Count the hits of rules on payments that come in pieces.

    Parameters
    ----------
    found : iterable of (int, RuleHits)
        Position of the first payment of each piece, and the answers.
    payments : int
        How many there are.
    """
    mandatory = np.zeros(payments, np.bool_)
    rules: tuple[Rule, ...] = ()
    off: Mapping[str, str] = {}
    hits = alone = np.zeros(0, np.int64)
    for start, piece in found:
        if not rules:
            rules, off = piece.rules, piece.off
            hits, alone = np.zeros(len(rules), np.int64), np.zeros(len(rules), np.int64)
        mandatory[start : start + len(piece.hits)] = piece.mandatory
        alerting = piece.alerting
        number = alerting.sum(axis=1)
        for place in np.flatnonzero(piece.hits.any(axis=0)).tolist():
            mine = piece.hits[:, place]
            hits[place] += int(mine.sum())
            alone[place] += int((number[mine] == alerting[mine, place]).sum())
    return RuleSurvey(mandatory, rules, hits, alone, off)
