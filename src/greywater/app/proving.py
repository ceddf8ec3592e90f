"""Finds, for the alerts of a run, the payments that formed the patterns behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from greywater.desk.evidence import EvidenceRow
from greywater.desk.proof import MOST_SHOWN, Proof, prove
from greywater.desk.proof_choice import PatternChoice, Wanted
from greywater.desk.reasons import Reason
from greywater.features.catalog import FeatureSet
from greywater.features.evidence import Evidence
from greywater.features.graph import GraphPlan
from greywater.pipeline.look_back import Past, read_past
from greywater.stores.ports import Ledger
from greywater.vocab import Float64Array, Int64Array

__all__ = ["Findings", "Prover", "best_seqs", "in_words", "shown_seqs"]

#: Instances of a pattern that an alert shows.
INSTANCES: Final = 3
#: Visits to payments that one search makes: a tenth of a second's work.
VISITS: Final = 10_000

#: What was found for one alert: the evidence of each pattern, and the reasons that rest on it.
Findings = list[tuple[Evidence, tuple[int, ...]]]


class Prover:
    """Looks for the patterns behind alerts, in what their payments saw.

    The ledger is read once, when the first alert needs it: the payments of the alerts' time and of the longest pattern
    window before it.

    Parameters
    ----------
    ledger : Ledger
        The payments.
    features : FeatureSet
        What the detector was given; without a graph nothing is looked for.
    seqs : int64[k]
        The payments that raise the run's alerts.
    """

    def __init__(self, ledger: Ledger, features: FeatureSet, seqs: Int64Array) -> None:
        self._ledger = ledger
        self._plan = features.graph
        self._choice = None if features.graph is None else PatternChoice(features.features, features.graph)
        self._seqs = seqs
        self._past: Past | None = None
        self._last: tuple[tuple[int, tuple[Wanted, ...]], Findings] | None = None

    def find(self, seq: int, values: Float64Array, reasons: Sequence[Reason]) -> Findings:
        """The patterns that one payment formed and that are worth showing.

        Parameters
        ----------
        seq : int
            The payment.
        values : float64[features]
            Its feature row.
        reasons : sequence of Reason
            What the alert says.
        """
        if self._plan is None or self._choice is None:
            return []
        wanted = tuple(self._choice.choose(values, reasons))
        if not wanted:
            return []
        if self._last is None or self._last[0] != (seq, wanted):
            # Both sides of a payment are often alerted by it, one after the other.
            self._last = (seq, wanted), self._search(seq, wanted, self._plan, self._choice.look_back)
        return self._last[1]

    def _search(self, seq: int, wanted: Sequence[Wanted], plan: GraphPlan, look_back: int) -> Findings:
        past = self._past
        if past is None:
            past = self._past = read_past(self._ledger, self._seqs, plan, look_back)
        found = [(past.evidence(seq, each.part, limit=INSTANCES, visits=VISITS), each.reasons) for each in wanted]
        return [(evidence, reasons) for evidence, reasons in found if evidence.found]


def shown_seqs(findings: Findings) -> list[int]:
    """The payments that the desk shows of what was found, those of the best instances first."""
    shown = [
        payment.number
        for place in range(INSTANCES)
        for evidence, _ in findings
        for instance in evidence.instances[place : place + 1]
        for payment in instance.payments[:MOST_SHOWN]
    ]
    return list(dict.fromkeys(shown))


def best_seqs(findings: Findings) -> list[int]:
    """The payments of the best instance of each pattern."""
    best = [payment.number for evidence, _ in findings for payment in evidence.instances[0].payments[:MOST_SHOWN]]
    return list(dict.fromkeys(best))


def in_words(findings: Findings, payments: Mapping[int, EvidenceRow], raising_seq: int) -> list[Proof]:
    """What was found as the desk shows it.

    Parameters
    ----------
    findings
        From `Prover.find`.
    payments : mapping of seq to EvidenceRow
        At least those of `shown_seqs`.
    raising_seq : int
        The payment that raised the alert.
    """
    rows = {seq: payments[seq] for seq in shown_seqs(findings)}
    if raising_seq in rows:
        rows[raising_seq] = replace(rows[raising_seq], raising=True)
    return [prove(evidence, rows, reasons) for evidence, reasons in findings]
