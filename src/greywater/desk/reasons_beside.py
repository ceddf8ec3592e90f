"""What stands beside a reason: payments it speaks of, the peers, rules that hit, the path to a known launderer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from greywater.desk import wording as say
from greywater.desk.evidence import Around
from greywater.desk.peers import PeerGroups, Standing, standing_words
from greywater.desk.proof import Proof
from greywater.desk.reasons import Reason
from greywater.desk.sentences import Role
from greywater.features.feature import Feature

__all__ = ["PathStep", "RuleHit", "SeedPath", "rule_reason", "seed_reason", "with_payments", "with_peers"]

#: Payments that a sentence cites.
MOST_CITED: Final = 5
#: Columns of a reason that are looked at for the one that tells most among the peers.
LOOKED_AT: Final = 4
#: Share of the peers from which a standing is worth saying.
TELLING: Final = 0.75


@dataclass(frozen=True)
class RuleHit:
    """A rule that hit: its id and title, the values it was judged on, its severity, and the payments it names."""

    rule: str
    title: str
    values: Mapping[str, float]
    severity: float = 1.0
    payments: tuple[str, ...] = ()


@dataclass(frozen=True)
class PathStep:
    """One step towards a confirmed launderer: who to whom, and by which payment (or relation) where that is known."""

    source: str
    target: str
    link: str = ""


@dataclass(frozen=True)
class SeedPath:
    """The strongest path between a party and a confirmed launderer, and the share of the score that comes from it."""

    seed: str
    steps: tuple[PathStep, ...]
    share: float | None = None


def with_payments(
    reasons: Sequence[Reason],
    around: Around,
    *,
    proofs: Sequence[Proof] = (),
    most: int = MOST_CITED,
) -> tuple[Reason, ...]:
    """Cite the payments that each reason speaks of, latest first; the raising payment where it speaks of no others.

    A reason that a pattern is behind cites the payments of the pattern's best instance, in its order.

    Parameters
    ----------
    reasons : sequence of Reason
    around : Around
        The payments that the alert may speak of.
    proofs : sequence of Proof
        Patterns that the raising payment formed, with the places of the reasons they are behind.
    most : int
        Payments cited a reason.
    """
    behind: dict[int, Proof] = {}
    for proof in reversed(proofs):
        behind |= dict.fromkeys(proof.reasons if proof.formed else (), proof)
    told = []
    for place, reason in enumerate(reasons):
        if place in behind:
            formed = behind[place].formed[0].payments
            ids, count = tuple(each.row.tx_id for each in formed[:most]), len(formed)
        else:
            ids, count = around.cited(reason, most)
        told.append(replace(reason, payments=ids, more_payments=max(count - most, 0)))
    return tuple(told)


def with_peers(
    reasons: Sequence[Reason],
    peers: PeerGroups,
    segments: Mapping[Role, str],
    side: Role,
    catalog: Mapping[str, Feature],
    currency: str,
) -> tuple[Reason, ...]:
    """Say of each reason how its most telling column compares with the party's own segment.

    Parameters
    ----------
    reasons : sequence of Reason
    peers : PeerGroups
    segments : mapping of role to str
        Of the sender and the receiver of the raising payment.
    side : {"sender", "receiver"}
        The alerted party's side.
    catalog : mapping of str to Feature
        Declarations of the columns.
    currency : str
        Of the windows.
    """
    return tuple(_beside_peers(reason, peers, segments, side, catalog, currency) for reason in reasons)


def rule_reason(hit: RuleHit) -> Reason:
    """A rule hit as a reason, with the values it was judged on.

    Examples
    --------
    >>> rule_reason(RuleHit("R7", "Funnel account", {"receiver.in.count.1d": 14.0}, 3.0)).text
    'rule R7 hit: Funnel account (receiver.in.count.1d = 14)'
    """
    values = ", ".join(f"{name} = {say.number(value)}" for name, value in hit.values.items())
    text = f"rule {hit.rule} hit: {hit.title}" + (f" ({values})" if values else "")
    return Reason(
        text, "rule", tuple(hit.values), tuple(hit.values.values()), hit.severity, payments=hit.payments[:MOST_CITED],
        more_payments=max(len(hit.payments) - MOST_CITED, 0),
    )  # fmt: skip


def seed_reason(path: SeedPath) -> Reason:
    """The path to a confirmed launderer as a reason.

    Examples
    --------
    >>> path = SeedPath("S1", (PathStep("S1", "B", "T4"), PathStep("B", "A", "director")), 0.62)
    >>> seed_reason(path).text
    '2 steps from the confirmed launderer S1: S1 to B (T4), B to A (director); 62% of its exposure comes from there'
    """
    steps = ", ".join(
        f"{step.source} to {step.target}" + (f" ({step.link})" if step.link else "") for step in path.steps
    )
    text = f"{say.count(len(path.steps), 'step')} from the confirmed launderer {path.seed}: {steps}"
    if path.share is not None:
        text += f"; {path.share:.0%} of its exposure comes from there"
    cited = tuple(step.link for step in path.steps if step.link)
    return Reason(text, "seed", (), (), path.share or 0.0, payments=cited[:MOST_CITED])


def _beside_peers(
    reason: Reason,
    peers: PeerGroups,
    segments: Mapping[Role, str],
    side: Role,
    catalog: Mapping[str, Feature],
    currency: str,
) -> Reason:
    best: tuple[str, Standing] | None = None
    for name, value in zip(reason.features[:LOOKED_AT], reason.values[:LOOKED_AT], strict=True):
        feature = catalog.get(name)
        if value is None or (feature is not None and feature.unit in ("code", "flag")):
            continue
        role: Role = "sender" if name.startswith("sender.") else "receiver" if name.startswith("receiver.") else side
        standing = peers.standing(name, value, role, segments.get(role, ""))
        if standing is not None and (best is None or standing.telling > best[1].telling):
            best = (name, standing)
    if best is None or best[1].telling < TELLING:
        return reason
    return replace(reason, peers=standing_words(best[1], catalog.get(best[0]), best[0], currency))
