"""From raised alerts to what the ranking must know of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from greywater.desk.alerts import Alert, build_alert
from greywater.desk.budget import Budget
from greywater.desk.evidence import EvidenceRow
from greywater.desk.networks import Tie
from greywater.desk.reasons import Reason
from greywater.desk.rollup import Candidate
from greywater.desk.standing import alert_facts, evidence_ties, rank_raised
from greywater.errors import UsageError
from greywater.vocab import Float64Array
from tests.desk.proofs import proof_of, ring


def row(seq: int, sender: str, receiver: str, score: float | None, base: int | None = 100_000) -> EvidenceRow:
    return EvidenceRow(f"t{seq}", seq, seq, sender, receiver, 5, "USD", base, "wire", score, seq == 12)


EVIDENCE = (
    row(12, "a", "b", 2.0),
    row(3, "a", "c", -2.0, 250_000),
    row(2, "x", "y", None),
    row(1, "b", "a", 0.0, None),
)


def made(entity: str = "Ann", seq: int = 12, evidence: tuple[EvidenceRow, ...] = EVIDENCE) -> Alert:
    candidate = Candidate(entity, "customer", 2.0, 0.9, seq, seq, (seq,))
    reasons = (Reason("sent", "flow", ("f",), (1.0,), 1.0),)
    return build_alert("run", 1, candidate, reasons, evidence, accounts={"a"}, base_currency="USD")


def sigmoid(score: Float64Array) -> Float64Array:
    return 1 / (1 + np.exp(-score))


def test_money_of_the_party_is_at_stake_and_the_first_theme_is_the_behaviour() -> None:
    facts = alert_facts(made(), {"a"}, "USD", severity=2.0, mandatory=True)
    assert (facts.accounts, facts.stake, facts.payments) == (("a",), 3_500.0, 4)
    assert (facts.behaviour, facts.severity, facts.mandatory) == ("flow", 2.0, True)
    assert alert_facts(made(), {"a"}, "JPY").stake == 350_000.0
    assert alert_facts(replace(made(), reasons=()), (), "USD").behaviour == ""


def test_a_payment_ties_by_its_own_probability_and_the_raising_one_by_the_alert() -> None:
    ties = {tie.seq: tie for tie in evidence_ties([made()], sigmoid)}
    assert set(ties) == {1, 3, 12}
    assert ties[12] == Tie("a", "b", 0.9, 12)
    assert ties[3].strength == pytest.approx(sigmoid(np.array(-2.0)))


def test_what_formed_a_pattern_ties_as_the_alert_does() -> None:
    proof = proof_of(ring(500, 400, 300), "temporal_cycle")
    others = [each.row for each in proof.formed[0].payments if not each.row.raising]
    assert others
    alert = replace(made(evidence=(EVIDENCE[0], *others)), patterns=(proof,))
    strength = {tie.seq: tie.strength for tie in evidence_ties([alert], sigmoid)}
    assert strength == {12: 0.9} | {row.seq: 0.9 for row in others}
    fan = replace(alert, patterns=(replace(proof, pattern="fan"),))
    assert {tie.seq for tie in evidence_ties([fan], sigmoid)} == {12}


def test_the_strongest_of_several_alerts_counts_once() -> None:
    strong = replace(made("Bob"), probability=0.99)
    ties = evidence_ties([made(), strong], sigmoid)
    assert [tie.seq for tie in ties] == [1, 3, 12]
    assert ties[2].strength == 0.99


def test_two_alerts_of_one_payment_become_a_network() -> None:
    alerts = [made("a"), replace(made("b"), entity="b")]
    candidates = [Candidate(each.entity, "account", each.score, each.probability, 12, 12, (12,)) for each in alerts]
    ranking = rank_raised(alerts, candidates, [{"a"}, {"b"}], sigmoid, base_currency="USD", budget=Budget(1, False))
    assert [(alert.entities, alert.place) for alert in ranking.alerts] == [(("a", "b"), "work")]
    assert ranking.alerts[0].stake == 3_500.0 + 1_000.0
    with pytest.raises(UsageError, match="do not fit"):
        rank_raised(alerts, candidates, [{"a"}], sigmoid)
