"""The payments that formed a pattern, as an alert shows them: in a sentence, and each with its role."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from greywater.desk import wording as say
from greywater.desk.drawing import TOOLTIP, short_name
from greywater.desk.evidence import EvidenceRow
from greywater.features.evidence import Evidence, Instance

__all__ = ["MOST_SHOWN", "TITLES", "Formed", "Proof", "ProofPayment", "prove"]

#: Payments of one instance that the desk shows.
MOST_SHOWN: Final = 25
#: What a pattern is called, one and several.
TITLES: Final[dict[str, tuple[str, str]]] = {
    "fan": ("fan", "fans"),
    "fan_new": ("list of new counterparties", "lists of new counterparties"),
    "scatter_gather": ("scatter-gather", "scatter-gathers"),
    "gather_scatter": ("gather-scatter", "gather-scatters"),
    "temporal_cycle": ("cycle in time order", "cycles in time order"),
    "simple_cycle": ("cycle, in any order", "cycles, in any order"),
    "chain": ("chain of payments", "chains of payments"),
    "bipartite": ("2x2 block", "2x2 blocks"),
}


@dataclass(frozen=True)
class ProofPayment:
    """A payment as recorded, and its part in the pattern."""

    role: str
    row: EvidenceRow


@dataclass(frozen=True)
class Formed:
    """One instance of a pattern.

    Parameters
    ----------
    text : str
        What happened, in one sentence.
    payments : tuple of ProofPayment
        At most MOST_SHOWN.
    accounts : tuple of (account, role)
        Each account once.
    measures : mapping of str to (float or None)
        docs/evidence.md describes them; None = not defined.
    left_out : int
        Payments that belong to it and are not shown.
    """

    text: str
    payments: tuple[ProofPayment, ...]
    accounts: tuple[tuple[str, str], ...]
    measures: Mapping[str, float | None]
    left_out: int = 0


@dataclass(frozen=True)
class Proof:
    """The instances of one pattern in which a payment takes part.

    Parameters
    ----------
    pattern : str
        One of `greywater.features.graph_evidence.PATTERNS_WITH_EVIDENCE`.
    window : int
        Seconds looked back.
    text : str
        How many there are, in words.
    formed : tuple of Formed
        Best first.
    found : int
        How many there are, shown or not.
    capped : bool
        The search was cut, so there may be more.
    reasons : tuple of int
        Which of the alert's reasons rest on it, from 0.
    picture : str
        Inline SVG of the best instance.
    """

    pattern: str
    window: int
    text: str
    formed: tuple[Formed, ...]
    found: int
    capped: bool = False
    reasons: tuple[int, ...] = ()
    picture: str = ""

    @property
    def seqs(self) -> tuple[int, ...]:
        """All payments shown, each once, those of the best instance first."""
        return tuple(dict.fromkeys(each.row.seq for formed in self.formed for each in formed.payments))

    def payload(self) -> dict[str, Any]:
        """Everything it says, in JSON types."""
        return {
            "pattern": self.pattern,
            "window": self.window,
            "text": self.text,
            "found": self.found,
            "capped": self.capped,
            "reasons": list(self.reasons),
            "picture": self.picture,
            "formed": [
                {
                    "text": formed.text,
                    "measures": dict(formed.measures),
                    "accounts": [{"account": account, "role": role} for account, role in formed.accounts],
                    "payments": [{"role": each.role, **vars(each.row)} for each in formed.payments],
                    "left_out": formed.left_out,
                }
                for formed in self.formed
            ],
        }

    def to_json(self) -> dict[str, Any]:
        """The short form of an alert's `patterns` in `--json`: payments by their ids."""
        return {
            "pattern": self.pattern,
            "window": self.window,
            "found": self.found,
            "text": self.text,
            "payments": [
                {"role": each.role, "tx_id": each.row.tx_id} for formed in self.formed[:1] for each in formed.payments
            ],
        }


def prove(evidence: Evidence, rows: Mapping[int, EvidenceRow], reasons: Sequence[int] = ()) -> Proof:
    """Word the evidence of a pattern.

    Parameters
    ----------
    evidence : Evidence
        With the accounts' names.
    rows : mapping of seq to EvidenceRow
        At least of `shown_seqs(evidence)`.
    reasons : sequence of int
        Which of the alert's reasons rest on it.
    """
    formed = tuple(_formed(evidence, instance, rows) for instance in evidence.instances)
    return Proof(
        pattern=evidence.pattern,
        window=evidence.window,
        text=_told(evidence),
        formed=formed,
        found=evidence.found,
        capped=evidence.capped,
        reasons=tuple(reasons),
    )


def _formed(evidence: Evidence, instance: Instance, rows: Mapping[int, EvidenceRow]) -> Formed:
    shown = instance.payments[:MOST_SHOWN]
    named = {party for each in shown for party in (each.sender, each.receiver)}
    return Formed(
        text=_WRITERS[evidence.pattern](instance),
        payments=tuple(ProofPayment(each.role, rows[each.number]) for each in shown),
        accounts=tuple((str(each.account), each.role) for each in instance.accounts if each.account in named),
        measures={name: None if math.isnan(value) else value for name, value in instance.measures.items()},
        left_out=instance.left_out + len(instance.payments) - len(shown),
    )


def _told(evidence: Evidence) -> str:
    """How many there are."""
    one, several = TITLES[evidence.pattern]
    many = "No " + several if not evidence.found else f"{evidence.found:,} {one if evidence.found == 1 else several}"
    text = f"{'At least ' if evidence.capped and evidence.found else ''}{many}{_of_length(evidence)}"
    text += f" {say.within(evidence.window)}"
    if len(evidence.instances) < evidence.found:
        text += f", the best {len(evidence.instances)} shown" if len(evidence.instances) > 1 else ", the best one shown"
    return text


def _of_length(evidence: Evidence) -> str:
    """The length of the cycles, where no longer ones were looked for."""
    lengths = [instance.measures["length"] for instance in evidence.instances if "length" in instance.measures]
    sought = [name.split(".")[1] for name in evidence.columns if ".length_" in name]
    if not lengths or len(sought) + 1 > min(lengths):
        return ""
    return f", of {say.count(lengths[0], 'payment')}{' each' if evidence.found > 1 else ''},"


def _named(account: object) -> str:
    """An account in a sentence: long ids are cut, the payments beside it have them whole."""
    return short_name(str(account), TOOLTIP)


def _account(instance: Instance, role: str) -> str:
    return next((_named(each.account) for each in instance.accounts if each.role == role), "")


def _cycle(instance: Instance) -> str:
    facts = instance.measures
    text = f"{say.count(facts['length'], 'payment')} lead from {_named(instance.payments[0].sender)} back to it"
    text += f" within {say.duration(facts['duration'])}"
    return text + ("" if math.isnan(facts["share"]) else f"; {say.share(facts['share'])} of the amount comes round")


def _any_cycle(instance: Instance) -> str:
    facts = instance.measures
    accounts = say.count(facts["length"], "account")
    text = f"{accounts} pay each other in a ring with {_named(instance.payments[0].sender)}"
    text += f", all within {say.duration(facts['duration'])}"
    even = facts["share"]
    return text + ("" if math.isnan(even) else f"; the smallest payment is {say.share(even)} of the largest")


def _scatter_gather(instance: Instance) -> str:
    facts = instance.measures
    source, sink = _account(instance, "source"), _account(instance, "sink")
    text = f"{source} reaches {sink} through {say.count(facts['middlemen'], 'middleman', 'middlemen')}"
    ordered = facts["ordered"]
    paid = "each paid before paying" if ordered == facts["middlemen"] else f"{ordered:,} of them paid before paying"
    return f"{text}, {paid}, within {say.duration(facts['duration'])}"


def _gather_scatter(instance: Instance) -> str:
    facts = instance.measures
    text = f"{_account(instance, 'hub')} was paid by {say.count(facts['senders'], 'account')}"
    text += f" and paid {say.count(facts['receivers'], 'account')} within {say.duration(facts['duration'])}"
    kept = facts["kept"]
    if math.isnan(kept):
        return text
    return f"{text}; {say.share(kept)} of what came in stayed" if kept >= 0 else f"{text}; more went out than came in"


def _chain(instance: Instance) -> str:
    facts = instance.measures
    text = f"Passed on from {_named(instance.payments[0].sender)} in {say.count(facts['hops'], 'payment')}"
    text += f" within {say.duration(facts['duration'])}"
    leak = facts["leak"]
    if leak < 0:
        return f"{text}; {say.share(-leak)} was added on the way"
    return f"{text}; {say.share(leak)} stayed on the way" if leak else f"{text}, all of it"


def _block(instance: Instance) -> str:
    payers = [_named(each.account) for each in instance.accounts if each.role == "payer"]
    payees = [_named(each.account) for each in instance.accounts if each.role == "payee"]
    duration = say.duration(instance.measures["duration"])
    return f"{' and '.join(payers)} each paid {' and '.join(payees)} within {duration}"


def _fan(instance: Instance) -> str:
    facts = instance.measures
    many = say.count(facts["counterparties"], "account")
    verb = f"paid {many}" if instance.kind.endswith("out") else f"was paid by {many}"
    return f"{_account(instance, 'hub')} {verb} in {say.count(facts['payments'], 'payment')}"


_WRITERS: Final[dict[str, Callable[[Instance], str]]] = {
    "fan": _fan,
    "fan_new": lambda instance: f"{_fan(instance)}, all new since the window before",
    "scatter_gather": _scatter_gather,
    "gather_scatter": _gather_scatter,
    "temporal_cycle": _cycle,
    "simple_cycle": _any_cycle,
    "chain": _chain,
    "bipartite": _block,
}
