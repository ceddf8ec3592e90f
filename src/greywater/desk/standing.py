"""What the ranking must know of a raised alert: money at stake, evidence, behaviour, and what its evidence ties."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import numpy as np

from greywater.desk.alerts import Alert
from greywater.desk.networks import Tie
from greywater.desk.ranking import CandidateFacts, Ranking, rank_alerts
from greywater.desk.rollup import Candidate
from greywater.errors import UsageError
from greywater.vocab import Float64Array, currency_exponent

__all__ = ["alert_facts", "evidence_ties", "rank_raised"]

#: Patterns that any busy account forms; they tie nobody.
LOOSE: Final = frozenset({"fan", "fan_new"})


def alert_facts(
    alert: Alert, accounts: Collection[str], base_currency: str, *, severity: float = 1.0, mandatory: bool = False
) -> CandidateFacts:
    """The facts of a raised alert.

    Parameters
    ----------
    alert : Alert
        With its reasons and its evidence.
    accounts : collection of str
        The accounts that are the party.
    base_currency : str
        Of `base_amount`.
    severity : float
        Weight of the typology or rule.
    mandatory : bool
        A mandatory rule hit it.

    Returns
    -------
    CandidateFacts
        `stake` is the sum of the evidence payments in which the party takes part, in major units; `behaviour` the
        theme of the strongest reason.
    """
    mine = {*accounts} or {alert.entity}
    at_stake = {row.seq: row.base_amount or 0 for row in alert.evidence if row.sender in mine or row.receiver in mine}
    return CandidateFacts(
        accounts=tuple(sorted(mine)),
        stake=sum(at_stake.values()) / 10 ** currency_exponent(base_currency),
        payments=len(alert.evidence),
        severity=severity,
        behaviour=alert.reasons[0].theme if alert.reasons else "",
        mandatory=mandatory,
    )


def evidence_ties(alerts: Sequence[Alert], probability: Callable[[Float64Array], Float64Array]) -> tuple[Tie, ...]:
    """The evidence payments of alerts as ties between accounts, each payment once.

    A payment is as strong as its own probability; one that formed a pattern with the payment that raised an alert
    (other than a mere fan) at least as strong as that alert's.

    Parameters
    ----------
    alerts : sequence of Alert
    probability : callable
        Probabilities float64[n] of raw scores float64[n], as the detector's `calibrate`.

    Returns
    -------
    tuple of Tie
        By sequence number.
    """
    found: dict[int, Tie] = {}
    for alert in alerts:
        formed = {seq for proof in alert.patterns if proof.pattern not in LOOSE for seq in proof.seqs}
        scores = np.array([np.nan if row.score is None else row.score for row in alert.evidence], np.float64)
        known = ~np.isnan(scores)
        chance = np.full(len(scores), -np.inf)
        chance[known] = probability(scores[known])
        for row, own in zip(alert.evidence, chance.tolist(), strict=True):
            strength = max(own, alert.probability if row.seq in formed or row.raising else -np.inf)
            if strength > -np.inf and (row.seq not in found or strength > found[row.seq].strength):
                found[row.seq] = Tie(row.sender, row.receiver, float(strength), row.seq)
    return tuple(found[seq] for seq in sorted(found))


def rank_raised(
    alerts: Sequence[Alert],
    candidates: Sequence[Candidate],
    accounts: Sequence[Collection[str]],
    probability: Callable[[Float64Array], Float64Array],
    *,
    base_currency: str = "",
    mandatory: Collection[int] = (),
    **options: Any,
) -> Ranking:
    """Make the queue of raised alerts: `rank_alerts` with what their evidence says.

    Parameters
    ----------
    alerts : sequence of Alert
        With reasons, evidence and patterns.
    candidates : sequence of Candidate
        What each was raised from, in the same order.
    accounts : sequence of collections of str
        The accounts of each one's party.
    probability : callable
        The detector's `calibrate`.
    base_currency : str
    mandatory : collection of int
        Positions of those that a mandatory rule demands.
    **options
        Of `rank_alerts`: budget, cut, policy, calibrated.

    Raises
    ------
    UsageError
        The three are not equally long.
    """
    if not len(alerts) == len(candidates) == len(accounts):
        raise UsageError(
            f"{len(alerts)} alerts, {len(candidates)} candidates and {len(accounts)} parties do not fit",
            where="rank_raised",
            mend="give one candidate and one collection of accounts an alert",
        )
    facts = [
        alert_facts(alert, owned, base_currency, mandatory=place in mandatory)
        for place, (alert, owned) in enumerate(zip(alerts, accounts, strict=True))
    ]
    ties = evidence_ties(alerts, probability)
    return rank_alerts(candidates, facts, ties=ties, base_currency=base_currency, **options)
