"""Counting what rules did: those that are on, those in shadow, those that demand an alert."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from greywater.detectors.rules.rule import Rule
from greywater.detectors.rules.rule_detector import RuleDetector
from greywater.detectors.rules.rule_set import RuleSet
from greywater.detectors.rules.survey import survey
from greywater.stores.blocks import TableRows


def rule(name: str, expression: str) -> Rule:
    return Rule(name, 1, name, name, "the test", (), "sender", "1d", 3, expression)


def test_hits_are_counted_in_any_pieces() -> None:
    rules = RuleSet(
        (
            rule("large", "sender.out.sum.1d > 10"),
            replace(rule("many", "sender.out.count.1d > 2"), state="shadow"),
            replace(rule("must", "sender.out.count.1d > 3"), mandatory=True),
            replace(rule("none", "sender.out.count.1d > 0"), state="off", why_off="tried"),
        )
    )
    table = pa.table({"sender.out.sum.1d": [5.0, 20.0, 5.0, 30.0, 1.0], "sender.out.count.1d": [1, 3, 3, 4, 1]})
    for size in (1, 2, 5):
        rows = TableRows(table, batch_rows=size)
        found = survey(RuleDetector(rules).fit(rows).hits(rows), rows.rows)
        assert found.mandatory.tolist() == [False, False, False, True, False]
        assert found.hits.tolist() == [2, 3, 1, 0]
        # Rows 1 and 3 are hit by a rule that is on besides; row 2 would be new.
        assert found.alone.tolist() == [1, 1, 0, 0]
        said = {each["id"]: each for each in found.to_json()}
        assert said["many"]["state"] == "shadow"
        assert (said["none"]["hits"], said["none"]["why_off"]) == (None, "tried")


def test_no_payment_is_no_hit() -> None:
    assert survey([], 0).to_json() == []
    assert survey([], 3).mandatory.tolist() == np.zeros(3, bool).tolist()
