"""An alert: who, how bad, why, with which payments; what is frozen when it is raised, and what `--json` says."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from greywater.desk.evidence import EvidenceRow
from greywater.desk.flow import picture
from greywater.desk.proof import Proof
from greywater.desk.proof_picture import proof_picture
from greywater.desk.reasons import Reason
from greywater.desk.rollup import Candidate
from greywater.desk.sentences import Payment, Role

__all__ = ["Alert", "alert_id", "build_alert", "side_of"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Alert:
    """One place in the queue.

    Parameters
    ----------
    id : str
        Unique for ever; follows from the run, the entity and the raising payment.
    rank : int
        From 1, worst first.
    entity, kind : str
        Account or customer id, and which of the two.
    score, probability : float
        Of the raising payment: raw for rank, calibrated for people.
    raised_at : datetime
        Event time of the raising payment (UTC).
    reasons : tuple of Reason
        Strongest first, one to five; then rules that hit, at most five.
    evidence : tuple of EvidenceRow
        The raising payment, then best first; at most 25.
    picture : str
        Inline SVG of the evidence's money flow.
    patterns : tuple of Proof
        Patterns that the raising payment formed, with the payments that formed them; most telling first.
    folded : int
        Later days on which the entity would have been raised again.
    typology : str or None
        Guess at the laundering shape; None = none was made.
    versions : mapping of str to str
        Of the data, the features and the model that made it.
    """

    id: str
    rank: int
    entity: str
    kind: str
    score: float
    probability: float
    raised_at: datetime
    reasons: tuple[Reason, ...]
    evidence: tuple[EvidenceRow, ...]
    picture: str = ""
    patterns: tuple[Proof, ...] = ()
    folded: int = 0
    typology: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The alert as an entry of `alerts` in `--json`: id, rank, entity, score, reasons (texts), evidence (tx_ids),
        patterns (which, and which payments formed the best of each)."""
        return {
            "id": self.id,
            "rank": self.rank,
            "entity": self.entity,
            "score": self.score,
            "reasons": [reason.text for reason in self.reasons],
            "evidence": [row.tx_id for row in self.evidence],
            "patterns": [proof.to_json() for proof in self.patterns],
        }

    def payload(self) -> dict[str, Any]:
        """Everything the alert says, in JSON types, to be frozen."""
        return {
            "id": self.id,
            "rank": self.rank,
            "entity": self.entity,
            "kind": self.kind,
            "score": self.score,
            "probability": self.probability,
            "raised_at": self.raised_at.isoformat(),
            "reasons": [_plain(reason) for reason in self.reasons],
            "evidence": [_plain(row) for row in self.evidence],
            "picture": self.picture,
            "patterns": [proof.payload() for proof in self.patterns],
            "folded": self.folded,
            "typology": self.typology,
            "versions": dict(self.versions),
        }


def _plain(row: Reason | EvidenceRow) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(row).items()}


def alert_id(run_id: str, kind: str, entity: str, seq: int) -> str:
    """Make an alert's id: 16 hex digits of SHA-256.

    Examples
    --------
    >>> alert_id("20240229T120000-00000000", "account", "A1", 7)
    'c9bef7c451b504ab'
    """
    text = "\x1f".join((run_id, kind, entity, str(seq)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def side_of(payment: Payment, accounts: Collection[str]) -> Role:
    """On which side of a payment the entity is; on both: the sender.

    Examples
    --------
    >>> payment = Payment("t1", 7, 0, "A", "B", 100, "USD", 100, "USD")
    >>> side_of(payment, {"B"}), side_of(payment, {"A", "B"})
    ('receiver', 'sender')
    """
    return "sender" if payment.sender in accounts else "receiver"


def build_alert(
    run_id: str,
    rank: int,
    candidate: Candidate,
    reasons: Sequence[Reason],
    evidence: Sequence[EvidenceRow],
    *,
    accounts: Collection[str],
    base_currency: str,
    proofs: Sequence[Proof] = (),
    seeds: Collection[str] = (),
    versions: Mapping[str, str] | None = None,
) -> Alert:
    """Make the alert of a candidate, with its pictures.

    Parameters
    ----------
    run_id : str
        The run that raises it.
    rank : int
        Its place in the queue, from 1.
    candidate : Candidate
        Who, and by which payment.
    reasons, evidence : sequences
        From `ReasonWriter.reasons` and `choose_evidence`.
    accounts : collection of str
        The accounts that are the entity.
    base_currency : str
        Currency of `base_amount`.
    proofs : sequence of Proof
        Patterns that the raising payment formed; their pictures are drawn here.
    seeds : collection of str
        Confirmed launderers among the accounts, marked in the picture.
    versions : mapping, optional
        Of data, features and model.
    """
    mine = {*accounts, candidate.entity}
    patterns = tuple(
        replace(proof, picture=proof_picture(proof.pattern, proof.formed[0], base_currency=base_currency,
                                             accounts=mine, seeds=seeds))
        for proof in proofs
        if proof.formed
    )  # fmt: skip
    drawing = picture(evidence, entity=candidate.entity, accounts=accounts, base_currency=base_currency, seeds=seeds)
    return Alert(
        id=alert_id(run_id, candidate.kind, candidate.entity, candidate.seq),
        rank=rank,
        entity=candidate.entity,
        kind=candidate.kind,
        score=candidate.score,
        probability=candidate.probability,
        raised_at=_EPOCH + timedelta(microseconds=candidate.time_us),
        reasons=tuple(reasons),
        evidence=tuple(evidence),
        picture=drawing,
        patterns=patterns,
        folded=candidate.folded,
        versions=dict(versions or {}),
    )
