"""The smallest change: against enumeration, bounded, deterministic, monotone, in words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.desk.counterfactual import ACTIONABLE, FINE, Lever, counterfactual, levers_of
from greywater.errors import UsageError
from greywater.features.feature import Feature

NAMES = (
    "sender.out.count.1d", "sender.out.sum.1d", "sender.out.count.7d", "receiver.in.count.1d", "sender.out.since_last",
    "sender.age", "calendar.weekday", "temporal_cycle.count.7d", "sender.attribute.risk",
)  # fmt: skip
CATALOG = {
    "sender.out.count.1d": Feature("sender.out.count.1d", "sender", "int64", "payments", "payments it sent.", "window"),
    "sender.out.sum.1d": Feature("sender.out.sum.1d", "sender", "float64", "minor units", "total it sent", "window"),
}
ROW = np.array([14.0, 900_000.0, 20.0, 6.0, 5.0, 10.0, 2.0, 3.0, 1.0])
USUAL = np.array([1.0, 10_000.0, 3.0, 1.0, 3_600.0, 9_999.0, 3.0, 0.0, 0.0])


def linear(weights: dict[str, float]):  # type: ignore[no-untyped-def]
    vector = np.array([weights.get(name, 0.0) for name in NAMES])
    return lambda X: np.nan_to_num(X) @ vector


def test_levers_are_what_a_holder_acts_on() -> None:
    levers = {lever.name: [NAMES[at] for at in lever.columns] for lever in levers_of(NAMES)}
    assert levers["flow sender out"] == list(NAMES[:3])
    assert levers["tempo sender out"] == ["sender.out.since_last"]
    named = {name for columns in levers.values() for name in columns}
    assert not named & {"sender.age", "calendar.weekday", "sender.attribute.risk"}
    assert {lever.way for lever in levers_of(NAMES)} == {"less", "more"}
    assert not {"history", "pair", "when"} & set(ACTIONABLE)


def test_one_lever_is_enough_where_one_is_enough_and_windows_shrink_together() -> None:
    found = counterfactual(
        linear({"sender.out.count.1d": 1.0}), ROW, USUAL, NAMES, 8.0, catalog=CATALOG, currency="USD"
    )
    assert found.found
    assert list(found.levers) == ["flow sender out"]
    assert found.after < 8.0
    changed = {change.feature: (change.before, change.after) for change in found.changes}
    assert changed["sender.out.count.1d"][1] == 7.0
    assert changed["sender.out.sum.1d"][1] < 900_000
    assert changed["sender.out.count.7d"][1] < 20
    assert "payments it sent: 7 instead of 14; total it sent" in found.text[0]
    assert "USD" in found.text[0]


def test_pairs_come_before_more_and_all_is_told_where_nothing_helps() -> None:
    score = linear({"sender.out.count.1d": 1.0, "receiver.in.count.1d": 1.0, "temporal_cycle.count.7d": 0.2})
    found = counterfactual(score, ROW, USUAL, NAMES, 3.0)
    assert found.found
    assert set(found.levers) == {"flow sender out", "flow receiver in"}
    never = counterfactual(linear({"sender.age": 1.0}), ROW, USUAL, NAMES, 1.0)
    assert not never.found
    assert never.changes == ()
    nearly = counterfactual(linear({"sender.age": 1.0, "sender.out.count.1d": 1.0}), ROW, USUAL, NAMES, 1.0)
    assert not nearly.found
    assert nearly.after < nearly.score


def test_what_is_below_the_line_needs_no_change() -> None:
    found = counterfactual(linear({"sender.out.count.1d": 1.0}), ROW, USUAL, NAMES, 99.0)
    assert (found.found, found.changes, found.text) == (True, (), ())


@given(st.lists(st.floats(-1, 2), min_size=9, max_size=9), st.floats(0, 30))
def test_moves_are_monotone_bounded_and_the_same_again(weights: list[float], line: float) -> None:
    score = linear(dict(zip(NAMES, weights, strict=True)))
    asked: list[int] = []

    def counted(X: np.ndarray) -> np.ndarray:
        asked.append(len(X))
        return np.asarray(score(X))

    found = counterfactual(counted, ROW, USUAL, NAMES, line, most_calls=150)
    assert found.calls == sum(asked)
    assert found.calls <= 152
    assert found == counterfactual(score, ROW, USUAL, NAMES, line, most_calls=150)
    assert found.found == (found.after < line)
    ways = {lever.name: lever.way for lever in levers_of(NAMES)}
    for change in found.changes:
        assert (change.after < change.before) == (ways[change.lever] == "less")
        aim = USUAL[NAMES.index(change.feature)]
        assert min(aim, change.before) <= change.after <= max(aim, change.before)


@given(st.integers(0, 2_000))
def test_no_smaller_set_of_levers_would_do(seed: int) -> None:
    """Against all subsets of levers moved all the way: where one or two do, no more are taken."""
    generator = np.random.default_rng(seed)
    columns = [Lever(f"l{place}", np.array([place]), "less") for place in range(5)]
    names = [f"sender.out.sum.{place}d" for place in range(1, 6)]
    row, usual = generator.uniform(5, 10, 5), np.zeros(5)
    weights = generator.uniform(-0.2, 1, 5)
    line = float(generator.uniform(0, row @ weights + 0.1))
    found = counterfactual(lambda X: X @ weights, row, usual, names, line, levers=columns)
    sizes = []
    for bits in range(32):
        inside = (bits >> np.arange(5) & 1).astype(bool)
        if float(np.where(inside, usual, row) @ weights) < line:
            sizes.append(int(inside.sum()))
    assert found.found == bool(sizes)
    if sizes and min(sizes) <= 2:
        assert len(found.levers) == min(sizes)
    if len(found.levers) == 1 and found.found:
        ((name, share),) = found.levers.items()
        place = int(name[1:])
        before = row.copy()
        before[place] *= 1 - (share - FINE)
        assert float(before @ weights) >= line - 1e-9


def test_what_is_not_defined_is_never_changed() -> None:
    row = ROW.copy()
    row[0] = math.nan
    usual = USUAL.copy()
    usual[3] = math.nan
    found = counterfactual(linear(dict.fromkeys(NAMES, 1.0)), row, usual, NAMES, -1e9)
    assert {"sender.out.count.1d", "receiver.in.count.1d"}.isdisjoint({change.feature for change in found.changes})
    with pytest.raises(UsageError):
        counterfactual(linear({}), row[:-1], usual, NAMES, 0.0)


def test_a_lever_goes_part_of_the_way_where_all_of_it_is_worse() -> None:
    names = ["sender.out.sum.1d", "receiver.in.sum.1d", "receiver.out.sum.1d"]
    row, usual = np.array([9.0, 9.0, 9.0]), np.array([1.0, 1.0, 1.0])
    found = counterfactual(lambda X: np.abs(X[:, 0] - 5) + X[:, 1] + X[:, 2], row, usual, names, 2.5)
    assert found.found
    assert found.after < 2.5
    assert found.levers["flow sender out"] == pytest.approx(0.5, abs=0.1)
