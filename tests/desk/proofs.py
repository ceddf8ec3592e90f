"""Proofs of patterns for the tests of the desk, from made payments."""

from __future__ import annotations

from collections.abc import Sequence

from greywater.desk.evidence import EvidenceRow
from greywater.desk.proof import Proof, prove
from tests.features.evidence_views import evidence_of_last
from tests.features.graph_payments import plan_of
from tests.naive_graph import Payment

DAY_US = 86_400 * 10**6
START_US = 19_782 * DAY_US


def rows_of(payments: Sequence[Payment]) -> dict[int, EvidenceRow]:
    """The payments as rows of evidence; the last one raises the alert."""
    return {
        seq: EvidenceRow(
            f"t{seq}", seq, each.time + START_US, each.sender, each.receiver, each.amount or 0, "USD", each.amount,
            "wire", None, seq == len(payments) - 1,
        )
        for seq, each in enumerate(payments)
    }  # fmt: skip


def proof_of(
    payments: Sequence[Payment],
    pattern: str,
    *,
    window: int = 3_600,
    limit: int = 10,
    longest: int = 5,
    visits: int = 10_000,
) -> Proof:
    """What the last payment formed."""
    plan = plan_of(pattern, max_length=longest)
    evidence = evidence_of_last(payments, plan, pattern, window, limit=limit, visits=visits)
    return prove(evidence, rows_of(payments), reasons=(0, 2))


def ring(*amounts: int | None, names: Sequence[str] = "abcdefghij") -> list[Payment]:
    """The first account pays the second, who pays the third..., the last pays the first, a minute apart."""
    many = len(amounts)
    return [Payment(k * 60_000_000, names[k], names[(k + 1) % many], amount) for k, amount in enumerate(amounts)]


def scatter_gather(middlemen: int) -> list[Payment]:
    """A source pays middlemen, who pay a sink half an hour later."""
    names = [f"m{k:02d}" for k in range(middlemen)]
    scatter = [Payment(k * 1_000_000, "source", name, 100_000 + k) for k, name in enumerate(names)]
    return scatter + [Payment((k + 1_800) * 1_000_000, name, "sink", 95_000 + k) for k, name in enumerate(names)]
