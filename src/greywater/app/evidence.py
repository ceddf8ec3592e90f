"""The use case that shows which recorded payments formed the patterns of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from greywater.app.audit import audited
from greywater.app.wiring import Project, open_project
from greywater.config import Settings
from greywater.desk.evidence import EvidenceRow, evidence_rows
from greywater.desk.proof import Proof, prove
from greywater.errors import UsageError
from greywater.features.evidence import Evidence
from greywater.features.graph import GraphPlan, PatternPlan, default_graph_plan
from greywater.features.graph_evidence import DEFAULT_LIMIT, PATTERNS_WITH_EVIDENCE, part_of
from greywater.pipeline.look_back import find_payment, read_past
from greywater.vocab import Actor, Progress

__all__ = ["RELATIONS", "EvidenceFound", "EvidenceRequest", "evidence"]

#: Patterns looked for where none is named: all that lead on from the payment's own parties.
RELATIONS: Final = tuple(name for name in PATTERNS_WITH_EVIDENCE if name not in ("fan", "fan_new"))
COLUMNS: Final = [
    "tx_id", "seq", "event_time", "sender", "receiver", "amount", "currency", "base_amount", "channel",
]  # fmt: skip


@dataclass(frozen=True)
class EvidenceRequest:
    """Which payment, and what of it.

    Parameters
    ----------
    tx_id : str
        A recorded payment.
    patterns : tuple of str
        Some of `PATTERNS_WITH_EVIDENCE`; empty = RELATIONS.
    window : int or None
        Seconds; one of the settings' windows of each pattern. None = the longest of each.
    limit : int
        Instances of each pattern at most.
    """

    tx_id: str
    patterns: tuple[str, ...] = ()
    window: int | None = None
    limit: int = DEFAULT_LIMIT


@dataclass(frozen=True)
class EvidenceFound:
    """What was found.

    Parameters
    ----------
    payment : EvidenceRow
        The payment asked for.
    base_currency : str
        Currency of the amounts in the evidence.
    evidence : tuple of Evidence
        One a pattern, in the order asked for, with ids of payments.
    proofs : tuple of Proof
        The same in words.
    """

    payment: EvidenceRow
    base_currency: str
    evidence: tuple[Evidence, ...]
    proofs: tuple[Proof, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """The result of `greywater evidence --json`; docs/cli.md describes it."""
        return {
            "payment": {name: value for name, value in vars(self.payment).items() if name not in ("score", "raising")},
            "base_currency": self.base_currency,
            "evidence": [
                {"text": proof.text, "told": [formed.text for formed in proof.formed]} | found.to_json()
                for found, proof in zip(self.evidence, self.proofs, strict=True)
            ],
        }


def evidence(
    actor: Actor, settings: Settings, request: EvidenceRequest, progress: Progress | None = None
) -> EvidenceFound:
    """Show which recorded payments formed the patterns of one of them, by what it saw when it was recorded.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `read_payments`.
    settings : Settings
        Store and project; windows, greatest length and tolerance of the graph's patterns.
    request : EvidenceRequest
        Which payment, and what of it.
    progress : Progress, optional
        Told how far it is.

    Returns
    -------
    EvidenceFound

    Raises
    ------
    AccessDeniedError
        The actor may not.
    UsageError
        No such payment is recorded, or a pattern is not looked for over this window.
    StoreError
        There is no such project.
    """
    with (
        audited(settings, actor, "read_payments", f"evidence of payment {request.tx_id}") as detail,
        open_project(settings, actor) as project,
    ):
        plan = default_graph_plan(project.settings, project.file.resolution_us or 1)
        parts = _parts(plan, request)
        detail.update(patterns=[part.pattern for part in parts], window=request.window)
        found = _look(project, plan, parts, request, progress)
        detail.update(payments=len({number for each in found.evidence for number in each.numbers}))
    return found


def _parts(plan: GraphPlan, request: EvidenceRequest) -> list[PatternPlan]:
    """What is looked for; a pattern that nobody named is left out where the settings have no such window of it."""
    if request.patterns:
        return [part_of(plan, pattern, request.window) for pattern in request.patterns]
    planned = {(part.pattern, window) for part in plan.patterns for window in part.windows}
    patterns = {part.pattern for part in plan.patterns}
    parts = [
        part_of(plan, pattern, request.window)
        for pattern in RELATIONS
        if (pattern in patterns if request.window is None else (pattern, request.window) in planned)
    ]
    if not parts:
        windows = sorted({window for pattern, window in planned if pattern in RELATIONS})
        raise UsageError(
            "no pattern is looked for over this window", where="--window", mend=f"give one of {windows} seconds"
        )
    return parts


def _look(
    project: Project, plan: GraphPlan, parts: Sequence[PatternPlan], request: EvidenceRequest, progress: Progress | None
) -> EvidenceFound:
    if progress is not None:
        progress.step("looking for the payment")
    seq = find_payment(project.ledger, request.tx_id)
    if progress is not None:
        progress.step("reading what it saw")
    past = read_past(project.ledger, np.array([seq], np.int64), plan, max(part.look_back for part in parts))
    found = [past.evidence(seq, part, limit=request.limit) for part in parts]
    shown = np.unique(np.array([seq, *(number for each in found for number in each.numbers)], np.int64))
    rows = evidence_rows(project.ledger.take(shown, COLUMNS), seq)
    named = tuple(each.named(lambda account: account, lambda number: rows[number].tx_id) for each in found)
    return EvidenceFound(
        payment=replace(rows[seq], raising=True),
        base_currency=project.file.base_currency,
        evidence=named,
        proofs=tuple(prove(each, rows) for each in named),
    )
