"""The eight shapes: who pays whom, in which order, and how much goes on."""

from __future__ import annotations

import os
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.synth.shapes import LEAST_REST, SHAPES, Leg, Plan
from greywater.synth.streams import stream

FULL = os.environ.get("GREYWATER_FULL") == "1"
EXAMPLES = settings(max_examples=1_000 if FULL else 60, deadline=None)
SEEDS = st.integers(0, 2**40)
DAY = 86_400
START, END = 1_700_000_000, 1_700_000_000 + 5 * DAY


class AnyTime:
    """A clock without habits."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def __call__(self, sender: int, receiver: int, earliest: int, latest: int) -> int:
        assert earliest <= latest
        return int(self._rng.integers(earliest, latest + 1))


def build(name: str, seed: int, amount: int = 50_000) -> tuple[list[list[int]], list[Leg]]:
    rng = stream(seed, "test", name)
    sizes = SHAPES[name].draw_sizes(rng)
    accounts = rng.permutation(10_000)[: sum(sizes)].tolist()
    groups = []
    for size in sizes:
        groups.append(accounts[:size])
        accounts = accounts[size:]
    return groups, SHAPES[name].build(Plan(groups, rng, AnyTime(rng), START, END, amount, (0.85, 1.0)))


def assert_passed_on(legs: list[Leg], accounts: list[int]) -> None:
    """Each account pays only after all has come in, and 85 to 100 % of it."""
    for account in accounts:
        received = [leg for leg in legs if leg.receiver == account]
        paid = [leg for leg in legs if leg.sender == account]
        assert received
        assert paid
        assert min(leg.time for leg in paid) >= max(leg.time for leg in received) + LEAST_REST
        came, went = sum(leg.amount for leg in received), sum(leg.amount for leg in paid)
        assert 0.85 * came <= went <= came


@pytest.mark.parametrize("name", SHAPES)
@EXAMPLES
@given(seed=SEEDS, amount=st.integers(2_000, 10**9))
def test_every_shape_stays_in_its_time_and_pays_something(name: str, seed: int, amount: int) -> None:
    groups, legs = build(name, seed, amount)
    members = {account for group in groups for account in group}
    assert {account for leg in legs for account in (leg.sender, leg.receiver)} == members
    assert all(leg.amount > 0 and leg.sender != leg.receiver for leg in legs)
    assert all(START <= leg.time <= END for leg in legs)
    pairs = Counter((leg.sender, leg.receiver) for leg in legs)
    assert max(pairs.values()) == 1


@EXAMPLES
@given(SEEDS)
def test_fans(seed: int) -> None:
    (((hub,), receivers), legs) = build("fan-out", seed)
    assert {leg.sender for leg in legs} == {hub}
    assert sorted(leg.receiver for leg in legs) == sorted(receivers)
    (((hub,), senders), legs) = build("fan-in", seed)
    assert {leg.receiver for leg in legs} == {hub}
    assert sorted(leg.sender for leg in legs) == sorted(senders)
    assert len(senders) >= 5


@EXAMPLES
@given(SEEDS)
def test_gather_scatter_gathers_first(seed: int) -> None:
    ((hub,), senders, receivers), legs = build("gather-scatter", seed)
    assert {leg.sender for leg in legs if leg.receiver == hub} == set(senders)
    assert {leg.receiver for leg in legs if leg.sender == hub} == set(receivers)
    assert_passed_on(legs, [hub])


@EXAMPLES
@given(SEEDS)
def test_scatter_gather_middlemen_receive_before_they_pay(seed: int) -> None:
    ((source,), middlemen, (sink,)), legs = build("scatter-gather", seed)
    assert {(leg.sender, leg.receiver) for leg in legs} == {(source, middleman) for middleman in middlemen} | {
        (middleman, sink) for middleman in middlemen
    }
    assert_passed_on(legs, middlemen)


@EXAMPLES
@given(SEEDS)
def test_a_cycle_closes_in_time_order(seed: int) -> None:
    (accounts,), legs = build("cycle", seed)
    in_order = sorted(legs, key=lambda leg: leg.time)
    assert [leg.sender for leg in in_order] == accounts
    assert [leg.receiver for leg in in_order] == [*accounts[1:], accounts[0]]
    assert_passed_on(legs, accounts[1:])


@EXAMPLES
@given(SEEDS)
def test_a_random_chain_never_returns(seed: int) -> None:
    (accounts,), legs = build("random", seed)
    in_order = sorted(legs, key=lambda leg: leg.time)
    assert [leg.sender for leg in in_order] == accounts[:-1]
    assert [leg.receiver for leg in in_order] == accounts[1:]
    assert len(set(accounts)) == len(accounts)
    assert_passed_on(legs, accounts[1:-1])


def links_of(legs: list[Leg]) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    paid_to: dict[int, set[int]] = defaultdict(set)
    paid_by: dict[int, set[int]] = defaultdict(set)
    for leg in legs:
        paid_to[leg.sender].add(leg.receiver)
        paid_by[leg.receiver].add(leg.sender)
    return paid_to, paid_by


@EXAMPLES
@given(SEEDS)
def test_bipartite_has_two_sides(seed: int) -> None:
    (senders, receivers), legs = build("bipartite", seed)
    paid_to, paid_by = links_of(legs)
    assert set(paid_to) == set(senders)
    assert set(paid_by) == set(receivers)
    assert all(len(others) >= 2 for others in [*paid_to.values(), *paid_by.values()])


@EXAMPLES
@given(SEEDS)
def test_a_stack_has_layers_that_pass_on(seed: int) -> None:
    (top, middle, bottom), legs = build("stack", seed)
    paid_to, _ = links_of(legs)
    assert all(paid_to[account] <= set(middle) and len(paid_to[account]) >= 2 for account in top)
    assert all(paid_to[account] <= set(bottom) and len(paid_to[account]) >= 2 for account in middle)
    assert_passed_on(legs, middle)
