"""The queue: every candidate once, in an order that follows from what is known and from nothing else."""

from __future__ import annotations

import math
import random as standard_random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.desk.budget import Budget
from greywater.desk.folding import DAY_US
from greywater.desk.hibernation import HibernationPolicy, hibernation_cut
from greywater.desk.networks import Tie
from greywater.desk.ranking import CandidateFacts, RankedAlert, Ranking, RankingPolicy, rank_alerts
from greywater.desk.rollup import Candidate
from greywater.errors import UsageError


def candidate(name: str, chance: float, seq: int, day: float = 0.0) -> Candidate:
    score = math.log(chance / (1 - chance))
    return Candidate(name, "account", score, chance, seq, int(day * DAY_US), (seq,))


PLAIN = RankingPolicy(networks=None)


def order(ranking: Ranking) -> list[str]:
    return [alert.entity for alert in ranking.alerts]


def test_value_per_hour_leads_and_the_score_may() -> None:
    given = [candidate("likely", 0.6, 1), candidate("rich", 0.5, 2)]
    facts = [CandidateFacts(), CandidateFacts(stake=1e6)]
    assert order(rank_alerts(given, facts, policy=PLAIN)) == ["rich", "likely"]
    assert order(rank_alerts(given, facts, policy=replace(PLAIN, order="score"))) == ["likely", "rich"]
    slow = [CandidateFacts(), CandidateFacts(stake=1e6, payments=1_000)]
    assert order(rank_alerts(given, slow, policy=PLAIN)) == ["likely", "rich"]


def test_without_outcomes_the_score_leads_levels_follow_ranks_and_nothing_sleeps() -> None:
    given = [candidate(f"a{n}", 0.001 * (n + 1), n) for n in range(100)]
    cut = hibernation_cut(np.array([1]), np.array([10.0]))
    ranking = rank_alerts(given, policy=PLAIN, cut=cut, calibrated=False)
    assert order(ranking) == [f"a{n}" for n in range(99, -1, -1)]
    assert [alert.level.name for alert in ranking.alerts].count("critical") == 1
    assert {alert.place for alert in ranking.alerts} == {"work"}
    assert {alert.value_per_hour for alert in ranking.alerts} == {None}
    assert ranking.cut is None


def test_a_network_is_one_alert_of_its_worst_member() -> None:
    given = [candidate("a", 0.3, 5), candidate("b", 0.7, 6), candidate("c", 0.1, 7)]
    facts = [CandidateFacts(stake=10.0, payments=2), CandidateFacts(stake=5.0, payments=3), CandidateFacts()]
    ranking = rank_alerts(given, facts, ties=[Tie("a", "m", 0.9, 5), Tie("m", "b", 0.8, 6)])
    first, second = ranking.alerts
    assert (first.kind, first.entity, first.entities, first.accounts) == ("network", "b", ("b", "a"), ("a", "b", "m"))
    assert (first.candidates, first.lead, first.payments) == ((1, 0), 1, (5, 6))
    assert (first.stake, first.minutes, first.probability) == (15.0, 30 + 2 * 10 + 5 * 0.5, given[1].probability)
    assert (second.kind, second.entities) == ("account", ("c",))


def test_without_outcomes_only_the_most_unusual_payments_tie() -> None:
    given = [candidate("a", 0.3, 5), candidate("b", 0.7, 6)]
    for strength, alerts in ((0.98, 2), (0.99, 1)):
        ranking = rank_alerts(given, ties=[Tie("a", "b", strength, 1)], calibrated=False)
        assert len(ranking.alerts) == alerts
        assert any("strength 0.99" in words for words in ranking.words)


def test_repeats_fold_and_the_worst_speaks() -> None:
    given = [candidate("a", 0.2, 1, 0), candidate("a", 0.8, 2, 10), candidate("a", 0.5, 3, 11)]
    facts = [CandidateFacts(behaviour="x"), CandidateFacts(behaviour="x"), CandidateFacts(behaviour="y")]
    ranking = rank_alerts(given, facts, policy=PLAIN)
    assert [(alert.lead, alert.candidates, alert.folded) for alert in ranking.alerts] == [(1, (1, 0), 1), (2, (2,), 0)]
    assert ranking.folded == {1: 0}


def test_sleepers_follow_and_mandatory_ones_never_sleep() -> None:
    given = [candidate(f"a{n}", 0.01 * (n + 1), n) for n in range(50)]
    facts = [CandidateFacts(mandatory=n == 3) for n in range(50)]
    cut = hibernation_cut(np.ones(10, np.int64), np.full(10, given[40].score))
    policy = replace(PLAIN, hibernation=HibernationPolicy(sample=0.2))
    ranking = rank_alerts(given, facts, policy=policy, cut=cut)
    awake = ranking.at("work")
    assert {alert.entity for alert in awake} == {*(f"a{n}" for n in range(40, 50)), "a3"}
    assert [alert.rank for alert in awake] == list(range(1, 12))
    assert next(alert for alert in awake if alert.entity == "a3").chosen_by == "mandatory"
    sampled = ranking.at("sampled")
    assert {alert.chosen_by for alert in sampled} == {"random", "uncertainty"}
    assert sum(alert.chosen_by == "uncertainty" for alert in sampled) == round(0.2 * 0.2 * 39)
    assert ranking.minutes == sum(alert.minutes for alert in (*awake, *sampled))


def test_budgets_of_alerts_and_hours_a_day_and_in_all() -> None:
    given = [candidate(f"a{n}", 0.9 - 0.05 * n, n, n % 2) for n in range(8)]

    def worked(text: str, facts: list[CandidateFacts] | None = None) -> list[str]:
        ranking = rank_alerts(given, facts, policy=PLAIN, budget=Budget.parse(text))
        return [alert.entity for alert in ranking.at("work")]

    assert worked("3") == ["a0", "a1", "a2"]
    assert worked("1/day") == ["a0", "a1"]
    assert worked("2h") == ["a0", "a1", "a2", "a3"]
    assert worked("1h/day") == ["a0", "a1", "a2", "a3"]
    long = [CandidateFacts(payments=500 if n == 1 else 0) for n in range(8)]
    # a1 takes four hours and goes to the end by its value.
    assert worked("1h", long) == ["a0", "a2"]
    forced = [CandidateFacts(mandatory=n == 7) for n in range(8)]
    assert worked("2", forced) == ["a0", "a7"]
    assert worked("1", [CandidateFacts(mandatory=True)] * 8) == [f"a{n}" for n in range(8)]


def test_a_first_alert_that_is_longer_than_the_budget_is_worked() -> None:
    ranking = rank_alerts([candidate("a", 0.9, 1)], [CandidateFacts(payments=400)], budget=Budget.parse("1h"))
    assert ranking.at("work")[0].minutes > 60


chances = st.sampled_from([0.01, 0.2, 0.5, 0.8])
facts_of = st.builds(
    CandidateFacts,
    stake=st.sampled_from([0.0, 1e4, 1e6]),
    payments=st.integers(0, 5),
    behaviour=st.sampled_from(["", "x", "y"]),
    mandatory=st.booleans(),
)
rows = st.lists(st.tuples(st.sampled_from("abcde"), chances, st.integers(0, 60), facts_of), max_size=14)
ties_of = st.lists(st.tuples(st.sampled_from("abcdem"), st.sampled_from("abcdem"), chances), max_size=8)


def told(alert: RankedAlert, seqs: list[int]) -> tuple[object, ...]:
    where = [seqs[place] for place in alert.candidates]
    return alert.rank, alert.id, alert.entities, alert.place, alert.level, alert.value_per_hour, alert.chosen_by, where


@settings(max_examples=150)
@given(rows, ties_of, st.integers(0, 99), st.sampled_from(["3", "1/day", "2h", "1h/day"]), st.booleans())
def test_every_candidate_once_whatever_the_order(
    given: list[tuple[str, float, int, CandidateFacts]], bonds: list[tuple[str, str, float]], seed: int, text: str,
    calibrated: bool,
) -> None:  # fmt: skip
    ties = [Tie(*bond, seq) for seq, bond in enumerate(bonds)]
    cut = hibernation_cut(np.array([1]), np.array([-1.0]))
    entries = [(candidate(name, chance, seq, day), fact) for seq, (name, chance, day, fact) in enumerate(given)]

    def ranked(these: list[tuple[Candidate, CandidateFacts]]) -> Ranking:
        return rank_alerts([c for c, _ in these], [f for _, f in these], ties=ties, budget=Budget.parse(text), cut=cut,
                           calibrated=calibrated)  # fmt: skip

    ranking = ranked(entries)
    places = sorted(place for alert in ranking.alerts for place in alert.candidates)
    assert places == list(range(len(given)))
    assert [alert.rank for alert in ranking.alerts] == list(range(1, len(ranking.alerts) + 1))
    assert len({alert.id for alert in ranking.alerts}) == len(ranking.alerts)
    shuffled = list(entries)
    standard_random.Random(seed).shuffle(shuffled)
    again = ranked(shuffled)
    seqs, moved = [c.seq for c, _ in entries], [c.seq for c, _ in shuffled]
    assert [told(a, seqs) for a in ranking.alerts] == [told(a, moved) for a in again.alerts]
    for alert in ranking.alerts:
        if any(entries[place][1].mandatory for place in alert.candidates):
            assert alert.place == "work"


def test_an_alert_is_json_and_says_its_level() -> None:
    (alert,) = rank_alerts([candidate("a", 0.5, 1)]).alerts
    entry = alert.to_json()
    assert entry["level"] == "critical"
    assert entry["entities"] == ["a"]
    assert entry["value_per_hour"] == pytest.approx(0.5 * 60 / 30)


def test_what_was_assumed_is_said() -> None:
    said = " ".join(rank_alerts([candidate("a", 0.5, 1)], base_currency="EUR").words)
    for part in ("10,000 EUR", "30 minutes", "strength 0.5", "30 days", "99.0%", "critical: a probability"):
        assert part in said
    plain = " ".join(rank_alerts([candidate("a", 0.5, 1)], calibrated=False).words)
    assert "probability" not in plain
    assert "first 1% of the queue" in plain


def test_no_candidates_and_facts_that_do_not_fit() -> None:
    assert rank_alerts([]).alerts == ()
    with pytest.raises(UsageError, match="do not fit"):
        rank_alerts([candidate("a", 0.5, 1)], [])
