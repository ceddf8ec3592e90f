"""Which rules hit some payments, with the values they were judged on, ready to be worded."""

from __future__ import annotations

import pyarrow as pa

from greywater.desk.reasons_beside import RuleHit
from greywater.detectors.detector import Detector
from greywater.detectors.hybrid import Hybrid
from greywater.detectors.rules.rule_detector import RuleDetector
from greywater.detectors.rules.rule_set import RuleSet
from greywater.features.catalog import FeatureSet
from greywater.vocab import currency_exponent

__all__ = ["packaged_rules", "rule_hits", "rules_of"]


def packaged_rules(base_currency: str) -> RuleSet:
    """The rules that are shipped, for amounts in a base currency."""
    return RuleSet.load(exponent=currency_exponent(base_currency))


def rules_of(detector: Detector) -> RuleSet | None:
    """The rules that a detector judges by: its own, or those of a part of a hybrid; None where it has none."""
    parts = detector.parts.values() if isinstance(detector, Hybrid) else (detector,)
    return next((part.rules for part in parts if isinstance(part, RuleDetector)), None)


def rule_hits(rules: RuleSet, rows: pa.Table, features: FeatureSet) -> list[list[RuleHit]]:
    """The hits of each row, the most severe first; rules in shadow and rules whose columns are not there say nothing.

    Parameters
    ----------
    rules : RuleSet
    rows : pa.Table
        Feature rows, n.
    features : FeatureSet
        What the columns are; texts of attributes are compared by their words.

    Returns
    -------
    list of list of RuleHit
        One list a row.
    """
    words = {feature.name: tuple(feature.parameters.get("words", ())) for feature in features.features}
    found = rules.evaluate(rows, {name: told for name, told in words.items() if told})
    rule_of = {rule.id: rule for rule in found.rules}
    hits = []
    for row in range(rows.num_rows):
        mine = [
            RuleHit(
                rule=name,
                title=rule_of[name].title,
                values={column: float(value) for column, value in values.items() if isinstance(value, int | float)},
                severity=float(rule_of[name].weight),
            )
            for name, values in found.values(row).items()
            if rule_of[name].state == "on"
        ]
        hits.append(sorted(mine, key=lambda hit: (-hit.severity, hit.rule)))
    return hits
