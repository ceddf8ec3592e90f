"""What wakes a sleeping alert: new payments, seeds and rule hits, as data, and nothing that was known before."""

from __future__ import annotations

import json

import pytest

from greywater.desk.waking import Sign, Sleeper, WakeRule, wake
from greywater.errors import UsageError

ASLEEP = [Sleeper("al1", ("A", "A2"), 100), Sleeper("al2", ("B",), 100)]
NEAR = {"S": ["m"], "m": ["S", "A"], "A": ["m"]}


def woken(*signs: Sign, rule: WakeRule | None = None) -> list[tuple[str, str]]:
    return [(each.id, each.words) for each in wake(ASLEEP, signs, rule, neighbours=NEAR)]


def test_a_payment_wakes_from_its_score_on_and_both_parties() -> None:
    rule = WakeRule(payment_score=5.0)
    assert woken(Sign("payment", ("A", "B"), 150, "t1", 4.9), rule=rule) == []
    found = woken(Sign("payment", ("A", "B"), 150, "t1", 5.0), rule=rule)
    assert found == [("al1", "payment t1 has a score of 5"), ("al2", "payment t1 has a score of 5")]
    assert woken(Sign("payment", ("A", "B"), 150, "t1", 9.0), rule=WakeRule()) == []


def test_a_seed_wakes_at_its_distance() -> None:
    seed = Sign("seed", ("S",), 150, "Sam")
    assert woken(seed) == []
    assert woken(seed, rule=WakeRule(seed_hops=2)) == [("al1", "Sam, a confirmed launderer now, is 2 payments from A")]
    assert woken(Sign("seed", ("A",), 150, "Ann"), rule=WakeRule(seed_hops=0)) == [
        ("al1", "Ann is a confirmed launderer now")
    ]
    assert woken(seed, rule=WakeRule(seed_hops=None)) == []


def test_a_rule_hit_wakes_where_the_rule_is_named() -> None:
    hit = Sign("rule", ("B",), 150, "structuring")
    assert woken(hit) == [("al2", "rule structuring hit B")]
    assert woken(hit, rule=WakeRule(rules=("other",))) == []
    assert woken(hit, rule=WakeRule(rules=())) == []


def test_what_was_known_wakes_nothing_and_the_earliest_sign_counts() -> None:
    late, early = Sign("rule", ("B",), 300, "x"), Sign("rule", ("B",), 200, "y")
    assert woken(late, early) == [("al2", "rule y hit B")]
    assert woken(Sign("rule", ("B",), 100, "z")) == []


def test_a_rule_is_data() -> None:
    for rule in (WakeRule(), WakeRule(3.5, None, ("a", "b")), WakeRule(None, 2, ())):
        assert WakeRule.from_json(json.loads(json.dumps(rule.to_json()))) == rule
    assert WakeRule(2.5, 1, ("a",)).words() == (
        "a new payment with a score of 2.5 or more",
        "a new confirmed launderer within 1 payments of its accounts",
        "a new hit of a",
    )


@pytest.mark.parametrize("data", [{"score": 1}, {"payment_score": "x"}, {"seed_hops": "many"}, {"rules": 5}])
def test_other_data_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        WakeRule.from_json(data)


def test_nonsense_is_refused() -> None:
    with pytest.raises(UsageError):
        WakeRule(seed_hops=-1)
    with pytest.raises(UsageError, match="no kind"):
        Sign("rumour", ("A",), 1, "x")  # type: ignore[arg-type]
