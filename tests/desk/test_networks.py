"""Evidence ties parties into networks: strong bonds only, bounded, and whatever the order."""

from __future__ import annotations

import random as standard_random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.desk.networks import Network, NetworkRule, Tie, join_networks
from greywater.errors import UsageError

OPEN = NetworkRule(0.5, 50, 50)


def naive(accounts: list[list[str]], ties: list[Tie], rule: NetworkRule) -> list[tuple[tuple[int, ...], set[str]]]:
    """The slow, obvious twin: sets in a list, merged one tie at a time."""
    sets: list[set[str]] = []
    for owned in accounts:
        together = set(owned).union(*(each for each in sets if each & set(owned)))
        sets = [each for each in sets if not each & set(owned)] + [together]
    for tie in sorted(ties, key=lambda t: (-t.strength, t.seq, t.sender, t.receiver)):
        outside = tie.sender.startswith("external:") or tie.receiver.startswith("external:")
        if tie.strength < rule.least_strength or outside or tie.sender == tie.receiver:
            continue
        one = next((each for each in sets if tie.sender in each), {tie.sender})
        other = next((each for each in sets if tie.receiver in each), {tie.receiver})
        if one is other:
            continue
        sets = [each for each in sets if each is not one and each is not other]
        sets += [one | other] if len(one) + len(other) <= rule.most_accounts else [one, other]
    found = []
    for each in sets:
        places = tuple(n for n, owned in enumerate(accounts) if set(owned) & each)
        if places:
            found.append((places, each))
    return sorted(found)


def test_a_middleman_without_an_alert_ties_two_that_have_one() -> None:
    (found,) = join_networks([["a"], ["b"]], [Tie("a", "m", 0.9, 4), Tie("m", "b", 0.9, 2)], OPEN)
    assert found == Network((0, 1), ("a", "b", "m"), (2, 4))


def test_weak_ties_self_payments_and_outsiders_tie_nothing() -> None:
    ties = [
        Tie("a", "b", 0.49, 1),
        Tie("a", "a", 1.0, 2),
        Tie("a", "external:x", 1.0, 3),
        Tie("external:x", "b", 1.0, 4),
    ]
    assert [each.alerts for each in join_networks([["a"], ["b"]], ties, OPEN)] == [(0,), (1,)]


def test_the_strongest_stay_together_where_not_all_fit() -> None:
    ties = [Tie("a", "b", 0.6, 1), Tie("b", "c", 0.9, 2), Tie("c", "d", 0.8, 3)]
    found = join_networks([["a"], ["b"], ["c"], ["d"]], ties, NetworkRule(0.5, 3, 50))
    assert [each.alerts for each in found] == [(0,), (1, 2, 3)]
    assert [each.left_out for each in found] == [1, 1]
    assert found[1].payments == (2, 3)


def test_a_hub_that_nobody_alerted_ties_nobody() -> None:
    ties = [Tie(f"a{n}", "shop", 0.9, n) for n in range(6)]
    alerted = [[f"a{n}"] for n in range(6)]
    assert len(join_networks(alerted, ties, NetworkRule(0.5, 50, 5))) == 6
    assert len(join_networks([*alerted, ["shop"]], ties, NetworkRule(0.5, 50, 5))) == 1


def test_accounts_of_one_customer_are_together_however_many() -> None:
    many = [f"a{n}" for n in range(9)]
    found = join_networks([many, ["b"]], [Tie("a3", "b", 1.0, 1)], NetworkRule(0.5, 5, 50))
    assert [(each.alerts, len(each.accounts)) for each in found] == [((0,), 9), ((1,), 1)]


def test_an_alert_without_accounts_stands_alone() -> None:
    assert [each.alerts for each in join_networks([[], []], [])] == [(0,), (1,)]


names = st.sampled_from([*"abcdefgh", "external:x"])
ties_of = st.lists(st.tuples(names, names, st.sampled_from([0.2, 0.5, 0.7, 0.9])), max_size=25).map(
    lambda rows: [Tie(*row, seq) for seq, row in enumerate(rows)]
)
alerts_of = st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=2), max_size=6)


@settings(max_examples=150)
@given(alerts_of, ties_of, st.integers(2, 6))
def test_it_is_the_slow_twin(accounts: list[list[str]], ties: list[Tie], most: int) -> None:
    rule = NetworkRule(0.5, most, 50)
    found = join_networks(accounts, ties, rule)
    assert [(each.alerts, set(each.accounts)) for each in found] == naive(accounts, ties, rule)


@given(alerts_of, ties_of, st.integers(2, 6), st.integers(0, 99))
def test_the_order_of_ties_does_not_matter_and_the_bound_holds(
    accounts: list[list[str]], ties: list[Tie], most: int, seed: int
) -> None:
    rule = NetworkRule(0.5, most, 2)
    shuffled = list(ties)
    standard_random.Random(seed).shuffle(shuffled)
    found = join_networks(accounts, ties, rule)
    assert join_networks(accounts, shuffled, rule) == found
    assert sorted(place for each in found for place in each.alerts) == list(range(len(accounts)))
    largest = max((len(set().union(*(accounts[n] for n in each.alerts))) for each in found), default=0)
    for each in found:
        assert len(each.accounts) <= max(most, largest)


@pytest.mark.parametrize("wrong", [(0.5, 1, 20), (0.5, 5, 0), (float("nan"), 5, 5)])
def test_nonsense_is_refused(wrong: tuple[float, int, int]) -> None:
    with pytest.raises(UsageError) as refusal:
        NetworkRule(*wrong)
    assert refusal.value.where == "networks"
