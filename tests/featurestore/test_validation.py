"""Rows are held against the rules as a slow twin does; rules that fit no row are refused when they are registered."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.errors import RefusedTypeError, RefusedValueError, UsageError
from greywater.featurestore.definitions import FeatureField, FeatureGroup, ValidationRule
from greywater.featurestore.validation import check
from greywater.featurestore.validation_rules import QUARANTINE_REASON, QUARANTINE_RULE, read_rules
from greywater.stores.offline_keys import key_hashes
from tests import naive_quality as naive

MOMENT = pa.timestamp("us", tz="UTC")
SECOND = 1_000_000
NOW = 1_700_000_000 * SECOND
SCHEMA = pa.schema(
    [("customer", pa.string()), ("account", pa.int64()), ("event_time", MOMENT), ("known_time", MOMENT),
     ("score", pa.float64()), ("count", pa.int32()), ("segment", pa.string()), ("flag", pa.bool_()), ("since", MOMENT)]
)  # fmt: skip
FEATURES = (
    FeatureField("score", "float64"), FeatureField("count", "int32"), FeatureField("segment", "string"),
    FeatureField("flag", "bool"), FeatureField("since", "timestamp"),
)  # fmt: skip


def group(*rules: ValidationRule) -> FeatureGroup:
    return FeatureGroup("credit", 1, ("customer", "account"), ("string", "int64"), FEATURES, rules=rules)


def rule(kind: Any, feature: str = "", action: Any = "quarantine", **parameters: Any) -> ValidationRule:
    return ValidationRule(kind, feature, parameters, action)


def row(**values: Any) -> dict[str, Any]:
    plain = {
        "customer": "C1", "account": 1, "event_time": NOW - SECOND, "known_time": NOW, "score": 1.0, "count": 1,
        "segment": "retail", "flag": True, "since": 0,
    }  # fmt: skip
    return plain | values


def table(rows: list[dict[str, Any]]) -> pa.Table:
    columns = {field.name: [one[field.name] for one in rows] for field in SCHEMA}
    return pa.table({name: pa.array(values, SCHEMA.field(name).type) for name, values in columns.items()})


ROWS = st.lists(
    st.builds(
        row,
        customer=st.sampled_from(["C1", "C2", ""]),
        account=st.sampled_from([1, 2, -(2**63)]),
        event_time=st.sampled_from([NOW - SECOND, NOW - 5 * SECOND, NOW + SECOND]),
        score=st.none() | st.sampled_from([0.0, -1.0, 1.5, 1000.0, math.nan, math.inf, -math.inf]),
        count=st.none() | st.integers(-3, 3),
        segment=st.none() | st.sampled_from(["retail", "private", "?"]),
        flag=st.none() | st.booleans(),
    ),
    max_size=25,
)
RULES = st.sampled_from(
    [
        rule("range", "score", least=0, most=1000),
        rule("range", "count", least=-1.5),
        rule("range", "count", most=2),
        rule("not_null", "score"),
        rule("not_null", "segment"),
        rule("not_null", "flag"),
        rule("null_share", "score", most=0.25),
        rule("null_share", "count", most=0),
        rule("freshness", most_seconds=3),
        rule("one_of", "segment", values=["retail", "private"]),
        rule("one_of", "count", values=[0, 1, 2.0]),
        rule("one_of", "score", values=[0, 1.5]),
        rule("one_of", "flag", values=[True]),
    ]
)


@given(ROWS, st.lists(RULES, max_size=4))
def test_rows_are_set_aside_as_the_twin_says(rows: list[dict[str, Any]], rules: list[ValidationRule]) -> None:
    found = check(table(rows), group(*rules), NOW)
    masks = [naive.breaking(one.kind, one.feature, one.parameters, rows, NOW) for one in rules]
    assert [outcome.rows for outcome in found.outcomes] == [sum(mask) for mask in masks]
    aside = [any(mask[at] for mask in masks) for at in range(len(rows))]
    kept = table([one for one, broken in zip(rows, aside, strict=True) if not broken])
    assert repr(found.kept.to_pylist()) == repr(kept.to_pylist())
    out = table([one for one, broken in zip(rows, aside, strict=True) if broken])
    assert repr(found.quarantined.select(SCHEMA.names).to_pylist()) == repr(out.to_pylist())
    first = [next(k for k, mask in enumerate(masks) if mask[at]) for at in range(len(rows)) if aside[at]]
    assert found.quarantined.column(QUARANTINE_RULE).to_pylist() == [found.outcomes[k].name for k in first]
    reasons = [
        "; ".join(outcome.broken for outcome, mask in zip(found.outcomes, masks, strict=True) if mask[at])
        for at in range(len(rows))
        if aside[at]
    ]
    assert found.quarantined.column(QUARANTINE_REASON).to_pylist() == reasons


@given(ROWS, st.booleans(), st.booleans())
def test_unique_looks_at_what_is_left(rows: list[dict[str, Any]], other_rule: bool, asked: bool) -> None:
    rules = [rule("unique"), *([rule("not_null", "score")] if other_rule else [])]
    keys = [(one["customer"], one["account"], one["event_time"]) for one in rows]

    def known(some: pa.Table) -> np.ndarray[Any, np.dtype[np.bool_]]:
        assert some.column_names == ["customer", "account", "event_time"]
        return np.array([customer == "C2" for customer in some.column("customer").to_pylist()], np.bool_)

    found = check(table(rows), group(*rules), NOW, known=known if asked else None)
    aside = [other_rule and naive.missing(one["score"]) for one in rows]
    again = naive.repeated(keys, aside, [asked and one["customer"] == "C2" for one in rows])
    assert found.outcomes[0].rows == sum(again)
    assert found.kept.num_rows == len(rows) - sum(aside) - sum(again)
    assert found.kept.num_rows + found.quarantined.num_rows == len(rows)


def test_the_first_of_equal_rows_is_kept() -> None:
    found = check(table([row(count=1), row(count=2), row(customer="C2", count=3)]), group(rule("unique")), NOW)
    assert found.kept.column("count").to_pylist() == [1, 3]
    assert found.quarantined.column(QUARANTINE_REASON).to_pylist() == [
        "there is an earlier row of the same key and event time"
    ]


def test_conditions_set_aside_what_is_false_and_count_what_is_null() -> None:
    rows = table([row(), row(score=-1.0), row(score=None), row(score=5.0, count=None)])
    found = check(rows, group(rule("expression", text="score >= 0 and count < 5")), NOW)
    assert (found.kept.num_rows, found.outcomes[0].rows, found.outcomes[0].undecided) == (3, 1, 2)
    assert found.warnings == ("rule 1 (expression): undecided in 2 rows, which the rule lets pass",)
    assert found.quarantined.column(QUARANTINE_REASON).to_pylist() == ["it is not true that score >= 0 and count < 5"]


def test_conditions_know_keys_and_times() -> None:
    text = "event_time <= known_time and account > 0 and length(customer) = 2 and since < '2024-01-01'"
    rows = [row(), row(event_time=NOW + 1), row(account=0), row(customer="C10"), row(since=NOW * 2)]
    found = check(table(rows), group(rule("expression", text=text)), NOW)
    assert found.quarantined.num_rows == 4


def test_a_warning_keeps_the_rows() -> None:
    rows = table([row(), row(score=-1.0)])
    found = check(rows, group(rule("range", "score", "warn", least=0)), NOW)
    assert found.kept is rows
    assert found.warnings == ("rule 1 (range score): score is below 0, in 1 row",)
    assert json.loads(json.dumps(found.as_dict())) == {
        "kept": 2,
        "quarantined": 0,
        "rules": [
            {"name": "rule 1 (range score)", "kind": "range", "feature": "score", "action": "warn", "rows": 1,
             "undecided": 0}
        ],
    }  # fmt: skip


def test_a_refusal_names_rule_feature_rows_and_mend_and_no_person() -> None:
    rows = table([row(customer=f"Jane Doe {n}", score=-1.0 if n % 2 else 0.0) for n in range(20)])
    rules = (rule("range", "score", "reject", least=0), rule("expression", "", "reject", text="score >= 0"))
    with pytest.raises(RefusedValueError) as caught:
        check(rows, group(*rules), NOW)
    said = str(caught.value)
    assert "10 of 20 rows break rule 1 (range score): score is below 0; also broken: rule 2 (expression)" in said
    high, low = key_hashes([pa.array(["Jane Doe 1"]), pa.array([1])])
    assert f"row 2 (key {int(high[0]) % 2**64:016x}{int(low[0]) % 2**64:016x}), row 4 (" in said
    assert "row 10 (" in said
    assert "row 12 (" not in said
    assert "group credit version 1, feature score" in said
    assert "nothing was written" in caught.value.mend
    assert "Jane" not in said


def test_rejecting_a_repeated_key_looks_past_what_is_set_aside() -> None:
    rules = group(rule("unique", action="reject"), rule("not_null", "score"))
    assert check(table([row(), row(score=None)]), rules, NOW).kept.num_rows == 1
    with pytest.raises(RefusedValueError, match=r"1 of 2 rows break rule 1 \(unique\)"):
        check(table([row(), row(score=2.0)]), rules, NOW)


def test_no_rows_break_nothing() -> None:
    every = [rule("range", "score", "reject", least=0), rule("null_share", "score", "reject", most=0),
             rule("freshness", action="reject", most_seconds=1), rule("unique", action="reject"),
             rule("expression", action="reject", text="score > 0"), rule("not_null", "flag")]  # fmt: skip
    found = check(table([]), group(*every), NOW, known=lambda some: np.zeros(some.num_rows, np.bool_))
    assert (found.kept.num_rows, found.quarantined.num_rows) == (0, 0)


def test_no_rules_keep_all() -> None:
    rows = table([row(), row(score=None)])
    assert check(rows, group(), NOW).kept is rows


def test_moments_have_ranges_and_values() -> None:
    rows = table([row(since=0), row(since=SECOND), row(since=None)])
    found = check(rows, group(rule("range", "since", most="1970-01-01T00:00:00Z")), NOW)
    assert found.quarantined.column(QUARANTINE_REASON).to_pylist() == ["since is above 1970-01-01T00:00:00Z"]
    assert check(rows, group(rule("one_of", "since", values=["1970-01-01"])), NOW).quarantined.num_rows == 1


def test_what_the_rows_must_have() -> None:
    with pytest.raises(RefusedTypeError, match="no single column 'score'"):
        check(table([row()]).drop_columns("score"), group(), NOW)
    with pytest.raises(RefusedTypeError, match="of type double, and the group says int32"):
        check(table([row()]).set_column(5, "count", pa.array([1.0])), group(), NOW)
    with pytest.raises(RefusedValueError, match=r"customer is null in 1 row .*row 2"):
        check(table([row(), row(customer=None)]), group(), NOW)
    with pytest.raises(RefusedTypeError, match="does not fit"):
        check(table([row()]).set_column(5, "count", pa.array([2**40])), group(), NOW)
    assert check(table([row()]).drop_columns("known_time"), group(), NOW).kept.num_rows == 1


def test_rows_are_given_the_types_of_the_group() -> None:
    rows = table([row(), row(customer="C2")])
    other = rows.set_column(0, "customer", rows.column("customer").dictionary_encode())
    other = other.set_column(1, "account", rows.column("account").cast(pa.int16()))
    other = other.set_column(2, "event_time", rows.column("event_time").cast(pa.timestamp("ns", tz="UTC")))
    other = other.set_column(4, "score", pa.nulls(2)).set_column(6, "segment", rows["segment"].cast(pa.large_string()))
    found = check(other, group(rule("unique"), rule("not_null", "segment")), NOW)
    assert found.kept.schema.equals(SCHEMA)
    assert found.kept.column("score").null_count == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (rule("ranges", "score"), "no such kind"),
        (rule("not_null", "score", "ignore"), "no action 'ignore'"),
        (rule("not_null", "scores"), "no feature 'scores'"),
        (rule("not_null", "score", least=1), "no parameter 'least'"),
        (rule("range", "score"), "without bounds"),
        (rule("range", "score", least=2, most=1), "least 2 is above most 1"),
        (rule("range", "score", least="0"), "not a number"),
        (rule("range", "score", least=math.nan), "not a number"),
        (rule("range", "score", least=True), "not a number"),
        (rule("range", "segment", least=0), "has no range"),
        (rule("range", "since", least=0), "not a moment"),
        (rule("null_share", "score", most=1.5), "not a share"),
        (rule("null_share", "score"), "None is not a number"),
        (rule("unique", "score"), "not about one feature"),
        (rule("freshness", most_seconds=0), "not above 0"),
        (rule("one_of", "segment", values=[]), "no values"),
        (rule("one_of", "segment", values="retail"), "no values"),
        (rule("one_of", "segment", values=[1]), "cannot be a value of segment"),
        (rule("one_of", "flag", values=[1]), "cannot be a value of flag"),
        (rule("one_of", "since", values=["soon"]), "cannot be a value of since"),
        (rule("expression"), "no text"),
        (rule("expression", text="score + 1"), "gives a number"),
        (rule("expression", text="score >\n scor"), r"rule 2 \(expression\), line 2, column 2"),
        (rule("expression", text="(" * 10_000), "deep"),
        (rule("expression", text="x" * 1_000_000), "characters"),
    ],
)
def test_rules_that_do_not_fit_are_refused_with_their_place(wrong: ValidationRule, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        read_rules(group(rule("unique"), wrong))
    assert caught.value.where.startswith("group credit version 1, rule 2 (")


def test_quarantine_needs_its_columns_for_itself() -> None:
    clash = FeatureGroup(
        "g", 1, ("k",), ("string",), (FeatureField(QUARANTINE_RULE, "string"),), rules=(rule("unique"),)
    )
    with pytest.raises(UsageError, match="for themselves"):
        read_rules(clash)


def test_rules_survive_json() -> None:
    one = group(rule("one_of", "segment", values=("a", "b")), rule("range", "score", least=0))
    again = FeatureGroup.from_json(one.to_json())
    assert [read.broken for read in read_rules(again)] == [read.broken for read in read_rules(one)]


def test_keys_in_dictionaries() -> None:
    rows = table([row(), row(), row(customer="C2")])
    coded = rows.set_column(0, "customer", rows.column("customer").dictionary_encode())
    assert check(coded, group(rule("unique")), NOW).kept.num_rows == 2


def test_repeated_keys_among_many_rows_in_chunks() -> None:
    draw = np.random.default_rng(8)
    rows = [
        row(customer=f"C{customer}", account=int(account), event_time=NOW - int(seconds) * SECOND)
        for customer, account, seconds in draw.integers(0, 12, (3_000, 3)).tolist()
    ]
    keys = [(one["customer"], one["account"], one["event_time"]) for one in rows]
    wanted = naive.repeated(keys, [False] * len(rows), [False] * len(rows))
    chunks = pa.concat_tables([table(rows[:1_000]), table(rows[1_000:])])
    assert chunks.column("customer").num_chunks == 2
    found = check(chunks, group(rule("unique")), NOW)
    left = zip(*(found.kept.column(name).to_pylist() for name in ("customer", "account")), strict=True)
    assert list(left) == [key[:2] for key, again in zip(keys, wanted, strict=True) if not again]
    assert found.quarantined.num_rows == sum(wanted)
