"""Repeat alerts fold by party and behaviour within the window, and by nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greywater.desk.folding import DAY_US, Fold, FoldRule, Repeatable, fold
from greywater.errors import UsageError


def raised(*rows: tuple[str, str, int]) -> list[Repeatable]:
    return [Repeatable(f"{n:03d}", party, what, day * DAY_US) for n, (party, what, day) in enumerate(rows)]


def naive(alerts: list[Repeatable], rule: FoldRule) -> list[list[int]]:
    """The slow, obvious twin: each alert in order of time looks at every fold so far."""
    folds: list[list[int]] = []
    for place in sorted(range(len(alerts)), key=lambda n: (alerts[n].time_us, alerts[n].id)):
        mine = alerts[place]
        home = None
        for each in folds:
            first, last = alerts[each[0]], alerts[each[-1]]
            same = (first.entity, first.behaviour) == (mine.entity, mine.behaviour) and mine.behaviour != ""
            if not same:
                continue
            near = mine.time_us - last.time_us <= rule.days * DAY_US
            home = each if near and mine.time_us - first.time_us <= rule.longest_days * DAY_US else None
        if home is not None and rule.days:
            home.append(place)
        else:
            folds.append([place])
    return folds


def test_the_key_is_party_and_behaviour() -> None:
    found = fold(raised(("A", "x", 0), ("A", "y", 1), ("B", "x", 2), ("A", "x", 3)))
    assert found == (Fold(0, (3,)), Fold(1, ()), Fold(2, ()))


def test_the_window_slides_and_ends() -> None:
    found = fold(raised(*(("A", "x", 25 * n) for n in range(6))), FoldRule(30, 90))
    assert found == (Fold(0, (1, 2, 3)), Fold(4, (5,)))
    assert fold(raised(("A", "x", 0), ("A", "x", 30)))[0].repeats == (1,)
    assert len(fold(raised(("A", "x", 0), ("A", "x", 31)))) == 2


def test_no_behaviour_and_no_window_fold_nothing() -> None:
    assert len(fold(raised(("A", "", 0), ("A", "", 0)))) == 2
    assert len(fold(raised(("A", "x", 0), ("A", "x", 0)), FoldRule(0, 0))) == 2


alerts_of = st.lists(
    st.tuples(st.sampled_from("AB"), st.sampled_from(["x", "y", ""]), st.integers(0, 200)), max_size=25
).map(lambda rows: raised(*rows))


@given(alerts_of, st.integers(0, 40), st.integers(0, 80))
def test_it_is_the_slow_twin(alerts: list[Repeatable], days: int, more: int) -> None:
    rule = FoldRule(days, days + more)
    assert [[each.first, *each.repeats] for each in fold(alerts, rule)] == naive(alerts, rule)


@given(alerts_of, st.randoms(use_true_random=False))
def test_the_order_given_does_not_matter(alerts: list[Repeatable], random: object) -> None:
    shuffled = list(alerts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    def names(given: list[Repeatable]) -> list[tuple[str, ...]]:
        return [(given[each.first].id, *(given[n].id for n in each.repeats)) for each in fold(given)]

    assert names(shuffled) == names(alerts)


def test_a_rule_says_itself_and_refuses_nonsense() -> None:
    assert "30 days" in FoldRule().words()
    assert "not folded" in FoldRule(0).words()
    for days, longest in ((-1, 5), (30, 20)):
        with pytest.raises(UsageError, match="folded"):
            FoldRule(days, longest)
