"""Rules behind the contract of detectors: what they add beside it (tests/laws holds them to the contract itself)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from greywater.detectors.detector import Validation
from greywater.detectors.loading import load_detector
from greywater.detectors.part_scores import Mandatory, ManyScores
from greywater.detectors.rule_part import RulePart
from greywater.detectors.rules.rule import Rule
from greywater.detectors.rules.rule_detector import RuleDetector
from greywater.detectors.rules.rule_set import RuleSet
from greywater.stores.blocks import TableRows


def rule(name: str, expression: str, severity: int, **more: Any) -> Rule:
    return Rule(name, 1, name, name, "the test", ("x",), "sender", "", severity, expression, **more)


RULES = RuleSet(
    (
        rule("large", "amount > 10", 2),
        rule("many", "amount > 10 and count >= 3", 4, mandatory=True),
        rule("watched", "count >= 1", 5, state="shadow"),
        rule("missing", "age > 3", 3),
        rule("trade", "trade = 'gold'", 1),
    )
)
WORDS = {"trade": ("food", "gold")}
ROWS = TableRows(
    pa.table({"amount": [5.0, 20.0, 20.0, 5.0], "count": [1, 1, 3, 0], "trade": [0, 0, 1, 1]}), batch_rows=3
)


def fitted() -> RuleDetector:
    return RuleDetector(RULES, words=WORDS).fit(ROWS)


def test_scores_and_contributions_by_rule() -> None:
    detector = fitted()
    assert detector.score(ROWS).tolist() == [0.0, 2.0, 11.0, 1.0]
    assert detector.rule_contributions(ROWS).tolist() == [
        [0, 0, 0, 0, 0], [2, 0, 0, 0, 0], [2, 8, 0, 0, 1], [0, 0, 0, 0, 1],
    ]  # fmt: skip
    assert detector.explain(ROWS).tolist() == [[0, 0, 0, 0], [2, 0, 0, 0], [6, 4, 1, 0], [0, 0, 1, 0]]


def test_what_a_second_level_reads() -> None:
    detector = RulePart(RULES, words=WORDS).fit(ROWS)
    assert isinstance(detector, ManyScores)
    assert isinstance(detector, Mandatory)
    assert detector.part_scores(ROWS).of("hits").tolist() == [0, 1, 3, 1]
    assert detector.part_scores(ROWS).of("severity").tolist() == detector.score(ROWS).tolist()
    assert detector.mandatory(ROWS).tolist() == [False, False, True, False]


def test_the_card_names_every_rule_and_why_it_is_off() -> None:
    rules = fitted().card["rules"]
    assert rules["missing"]["why_off"] == "the data have no age"
    assert {name: each["state"] for name, each in rules.items()} == {
        "large": "on", "many": "on", "watched": "shadow", "missing": "off", "trade": "on",
    }  # fmt: skip


def test_words_and_rules_are_saved(tmp_path: Path) -> None:
    fitted().save(tmp_path)
    loaded = load_detector(tmp_path)
    assert isinstance(loaded, RuleDetector)
    assert loaded.rules.fingerprint == RULES.fingerprint
    assert loaded.score(ROWS).tolist() == fitted().score(ROWS).tolist()


def test_no_active_rule_scores_nothing_and_says_so() -> None:
    dull = TableRows(pa.table({"x": [1.0, 2.0]}))
    detector = RuleDetector(RULES, words=WORDS).fit(dull, validation=Validation(dull, np.array([0, 1])))
    assert detector.score(dull).tolist() == [0.0, 0.0]
    assert any("No rule is active" in note for note in detector.card["notes"])
