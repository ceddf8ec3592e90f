"""Label rows: what counts at a moment, one row an id, and no dependence on the order given."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.errors import InputError, RefusedTypeError, RefusedValueError
from greywater.featurestore.label_rows import LabelRules, select_label_rows
from tests.featurestore.training_world import DAY, times

RULES = LabelRules("id", "at", "y", "since", 10, 20, 15, 2 / DAY, False)


def table(rows: list[tuple[Any, ...]]) -> pa.Table:
    ids, at, labels, since = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pa.table({
        "id": pa.array(ids, pa.string()), "at": times(list(at)), "y": pa.array(labels, pa.int8()),
        "since": times(list(since)),
    })  # fmt: skip


def slow(rows: list[tuple[Any, ...]], keep: bool) -> list[tuple[Any, ...]]:
    best: dict[tuple[int, str], tuple[int, Any]] = {}
    for name, at, label, since in rows:
        if name is None or at is None or not 10 <= at < 20:
            continue
        known = since if since is not None else at + 2
        counts = label is not None and known <= 15
        if not counts and not keep:
            continue
        rank, value = (known, label) if counts else (-(10**9), None)
        if (at, name) not in best or best[at, name][0] < rank:
            best[at, name] = (rank, value)
    return [(name, at, value) for (at, name), (_, value) in sorted(best.items())]


row = st.tuples(
    st.sampled_from(["a", "b", "c", None]), st.one_of(st.none(), st.integers(8, 21)), st.sampled_from([0, 1, None]),
    st.one_of(st.none(), st.integers(9, 18)),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(row, max_size=25), st.booleans(), st.randoms(use_true_random=False))
def test_what_counts_is_that_of_the_slow_twin(rows: list[Any], keep: bool, chance: random.Random) -> None:
    rules = replace(RULES, keep_unlabelled=keep)
    try:
        found, counts = select_label_rows(table(rows), rules)
    except RefusedValueError:
        seen: dict[Any, set[Any]] = {}
        for name, at, label, since in rows:
            known = since if since is not None else (at or 0) + 2
            seen.setdefault((name, at, known), set()).add(label)
        assert any({0, 1} <= labels for labels in seen.values())
        return
    plain = found.cast(pa.schema([("id", pa.string()), ("at", pa.int64()), ("y", pa.int8())]))
    assert [tuple(one.values()) for one in plain.to_pylist()] == slow(rows, keep)
    assert (
        counts.given
        == len(rows)
        == sum((counts.used, counts.outside, counts.not_known, counts.unlabelled, counts.superseded, counts.incomplete))
    )
    chance.shuffle(rows)
    assert select_label_rows(table(rows), rules)[0].equals(found)


def test_a_correction_wins_from_the_moment_it_is_known() -> None:
    rows = table([("a", 10, 0, 11), ("a", 10, 1, 14)])
    for moment, label in ((11, 0), (13, 0), (14, 1)):
        found, _ = select_label_rows(rows, replace(RULES, as_known_at_us=moment))
        assert found["y"].to_pylist() == [label]
    found, counts = select_label_rows(rows, replace(RULES, as_known_at_us=10))
    assert (found.num_rows, counts.not_known) == (0, 2)


def test_a_label_without_a_date_is_known_after_the_delay() -> None:
    rows = table([("a", 10, 1, None)])
    rules = replace(RULES, delay_days=1.0)
    for moment, used in ((10 + DAY, 1), (9 + DAY, 0)):
        for column in ("since", None):
            found = select_label_rows(rows, replace(rules, as_known_at_us=moment, known_since=column))[0]
            assert found.num_rows == used


def test_without_a_label_all_rows_of_the_time_are_taken() -> None:
    rows = table([("b", 12, None, None), ("a", 12, 1, 90), ("a", 30, 1, 30)]).drop(["since"])
    found, counts = select_label_rows(rows, replace(RULES, label=""))
    assert (found["id"].to_pylist(), found.column_names, counts.outside) == (["a", "b"], ["id", "at"], 1)


def test_rows_that_contradict_each_other_are_refused_and_repeats_are_not() -> None:
    repeated = table([("a", 10, 1, 11)] * 3)
    assert select_label_rows(repeated, RULES)[1].superseded == 2
    with pytest.raises(RefusedValueError, match=r"y is 1 and 0 \(id 'a' at"):
        select_label_rows(table([("a", 10, 1, 11), ("a", 10, 0, 11)]), RULES)
    nan = table([("a", 10, 1, 11)] * 2).append_column("x", pa.array([float("nan")] * 2))
    assert select_label_rows(nan, replace(RULES, columns=("x",)))[0].num_rows == 1
    nothing = nan.set_column(4, "x", pa.array([float("nan"), None]))
    with pytest.raises(RefusedValueError, match="x is"):
        select_label_rows(nothing, replace(RULES, columns=("x",)))


def test_what_cannot_be_label_rows_is_refused() -> None:
    rows = table([("a", 10, 1, 11)])
    with pytest.raises(InputError, match="'y'"):
        select_label_rows(rows.drop(["y"]), RULES)
    with pytest.raises(RefusedTypeError, match="times are int64"):
        select_label_rows(rows.set_column(1, "at", pa.array([10])), RULES)
    with pytest.raises(RefusedTypeError, match="row ids are double"):
        select_label_rows(rows.set_column(0, "id", pa.array([0.5])), RULES)
