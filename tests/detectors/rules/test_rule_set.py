"""Sets of rules: the same answers at once, in any cut and one by one; states, segments, text attributes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.detectors.rules import program
from greywater.detectors.rules.compiling import compiled
from greywater.detectors.rules.rule import Rule, weight_of
from greywater.detectors.rules.rule_set import RuleSet
from greywater.errors import RefusedTypeError, UsageError
from greywater.features.expressions.expression import Expression

RULES = RuleSet.load()
NAMES = ("payment.amount", "sender.out.sum.1d", "sender.out.count.1d", "sender.attribute.trade")
KINDS = (pa.float64(), pa.float64(), pa.int64(), pa.int64())
TYPES = dict(zip(NAMES, KINDS, strict=True))
SCHEMA = pa.schema(list(zip(NAMES, KINDS, strict=True)))


def rule(name: str, expression: str, **more: Any) -> Rule:
    given = {"severity": 3, **more}
    return Rule(name, 1, name, name, "the test", ("x",), "sender", "1d", expression=expression, **given)


SET = RuleSet(
    (
        rule("large", "payment.amount >= 1000"),
        rule("unlikely", "payment.amount >= 1000 and sender.out.count.1d > 2", severity=5, mandatory=True),
        rule("share", "payment.amount / sender.out.sum.1d > 0.5 or sender.out.count.1d is null", severity=1),
        rule("watched", "sender.out.count.1d in (1, 2) or not payment.amount < 5", state="shadow"),
        rule("missing", "receiver.age > 3"),
        rule("resting", "payment.amount > 0", state="off", why_off="it hits all"),
    )
)
ROW = st.tuples(
    st.sampled_from([0.0, 4.0, 1000.0, 1e9, math.nan]),
    st.sampled_from([0.0, 10.0, 1500.0, math.nan, math.inf]),
    st.none() | st.integers(0, 4),
    st.integers(-1, 2),
)


def table(rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(NAMES)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, KINDS, strict=True)], schema=SCHEMA)


@given(st.lists(ROW, max_size=30))
@settings(deadline=None)
def test_answers_are_those_of_each_expression_alone(rows: list[tuple[Any, ...]]) -> None:
    given_rows = table(rows)
    hits = SET.evaluate(given_rows)
    for place, each in enumerate(SET.rules):
        if each.id in hits.off:
            assert not hits.hits[:, place].any()
            assert not hits.known[:, place].any()
            continue
        holds, known = Expression.parse(each.expression, SCHEMA).truth(given_rows)
        assert hits.hits[:, place].tolist() == holds.tolist()
        assert hits.known[:, place].tolist() == known.tolist()
    weights = [weight_of(each.severity) * (each.state == "on") for each in SET.rules]
    assert hits.score.tolist() == [float(np.dot(row, weights)) for row in hits.hits.astype(np.float64)]


@given(st.lists(ROW, min_size=1, max_size=30), st.integers(1, 7))
@settings(deadline=None)
def test_any_cut_and_one_by_one_give_the_same(rows: list[tuple[Any, ...]], size: int) -> None:
    given_rows = table(rows)
    whole = SET.evaluate(given_rows)
    parts = [SET.evaluate(given_rows.slice(at, size)) for at in range(0, len(rows), size)]
    assert np.concatenate([part.hits for part in parts]).tolist() == whole.hits.tolist()
    batches = SET.evaluate(given_rows.combine_chunks().to_batches()[0])
    assert batches.hits.tolist() == whole.hits.tolist()
    bound = SET.bind(SCHEMA)
    for at, row in enumerate(rows):
        one = bound.one([row[NAMES.index(name)] for name in bound.columns])
        assert set(one.hits) == {name for name, hit in zip(whole.ids, whole.alerting[at], strict=True) if hit}
        assert one.score == whole.score[at]
        assert one.mandatory == whole.mandatory[at]
        assert set(one.shadow) == ({"watched"} if whole.of("watched")[at] else set())


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = table([(float(at % 7) * 300, float(at), at % 5, 0) for at in range(1_000)])
    wanted = SET.evaluate(rows)
    monkeypatch.setattr(program, "BLOCK_ROWS", 64)
    again = SET.evaluate(pa.concat_tables([rows.slice(0, 333), rows.slice(333)]))
    assert again.hits.tobytes() == wanted.hits.tobytes()
    assert wanted.hits[:, :3].any(axis=0).all()


def test_shadow_is_evaluated_and_counts_nowhere() -> None:
    hits = SET.evaluate(table([(2.0, 100.0, 1, 0)]))
    assert hits.of("watched").tolist() == [True]
    assert not hits.alerting.any()
    assert hits.score.tolist() == [0.0]
    assert "watched" in hits.values(0)


def test_rules_that_cannot_be_evaluated_say_why() -> None:
    hits = SET.evaluate(table([(2.0, 100.0, 1, 0)]))
    assert hits.off == {"missing": "the data have no receiver.age", "resting": "it hits all"}
    assert SET.only(["resting"]).evaluate(table([(2.0, 100.0, 1, 0)])).of("resting").tolist() == [True]


def test_equal_steps_are_worked_out_once() -> None:
    made = [compiled(each, TYPES) for each in SET.rules[:4]]
    merged = program.Program.of(made)
    assert len(merged.nodes) < sum(len(each.nodes) for each in made)
    assert len({(node.form, node.name, node.operands, node.values) for node in merged.nodes}) == len(merged.nodes)
    assert merged.columns == ("payment.amount", "sender.out.count.1d", "sender.out.sum.1d")


def test_a_segment_limits_a_rule() -> None:
    rules = RuleSet((rule("some", "payment.amount > 5", segment="sender.attribute.trade = 'gold'"),))
    words = {"sender.attribute.trade": ("food", "gold")}
    rows = table([(9.0, 0.0, 1, 1), (9.0, 0.0, 1, 0), (9.0, 0.0, 1, -1), (1.0, 0.0, 1, 1)])
    assert rules.evaluate(rows, words).of("some").tolist() == [True, False, False, False]
    several = RuleSet((rule("some", "sender.attribute.trade not in ('food')"),))
    assert several.evaluate(rows, words).of("some").tolist() == [True, False, True, True]
    several.check({})
    with pytest.raises(UsageError, match="perhaps 'gold' is meant"):
        RuleSet((rule("some", "sender.attribute.trade = 'glod'"),)).evaluate(rows, words)


def test_without_its_words_a_text_attribute_switches_its_rule_off() -> None:
    rules = RuleSet((rule("gold", "sender.attribute.trade = 'gold'"), rule("large", "payment.amount > 5")))
    hits = rules.evaluate(table([(9.0, 0.0, 1, 1)]))
    assert hits.alerting.tolist() == [[False, True]]
    assert "what the codes of attributes mean is not known" in hits.off["gold"]


def test_codes_have_names() -> None:
    rows = pa.table({"payment.channel": [2, 3], "payment.currency": [1, 2]})
    rules = RuleSet((rule("cash", "payment.channel = channel.cash and payment.currency = currency.USD"),))
    assert rules.evaluate(rows).of("cash").tolist() == [True, False]


def test_literals_fit_the_kind_they_are_compared_with() -> None:
    made = compiled(rule("x", "payment.amount > 5 and sender.out.count.1d >= 2.0"), TYPES)
    literals = [node.values[0] for node in made.nodes if node.form == "literal"]
    assert [type(value) for value in literals] == [float, int]


def test_rows_of_other_kinds_are_refused() -> None:
    bound = SET.bind(SCHEMA)
    with pytest.raises(RefusedTypeError, match=r"payment\.amount"):
        bound.evaluate(table([(2.0, 100.0, 1, 0)]).drop_columns(["payment.amount"]))
    with pytest.raises(RefusedTypeError):
        bound.evaluate(table([(2.0, 100.0, 1, 0)]).set_column(0, "payment.amount", pa.array(["x"])))


def test_sets_are_joined_and_chosen_from() -> None:
    louder = replace(RULES.rules[3], severity=5)
    joined = RULES.joined(RuleSet((louder, rule("own", "payment.amount > 3"))))
    assert len(joined.rules) == len(RULES.rules) + 1
    assert joined.rules[3].severity == 5
    assert joined.rules[-1].id == "own"
    with pytest.raises(UsageError, match="perhaps fan-in"):
        RULES.only(["fan-inn"])
    with pytest.raises(UsageError, match="no rule"):
        RULES.rule("nothing like it")


def test_the_packaged_rules_survive_json_and_keep_their_fingerprint() -> None:
    again = RuleSet.from_json(RULES.to_json())
    assert again.rules == RULES.rules
    assert again.fingerprint == RULES.fingerprint
    assert RuleSet(RULES.rules[:-1]).fingerprint != RULES.fingerprint
