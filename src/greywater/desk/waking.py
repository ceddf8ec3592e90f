"""Wakes alerts that sleep when something new says that they should be looked at: triggers as data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from greywater.errors import UsageError

__all__ = ["Awakening", "Sign", "Sleeper", "WakeRule", "wake"]

Kind = Literal["payment", "seed", "rule"]
KINDS: tuple[Kind, ...] = ("payment", "seed", "rule")


@dataclass(frozen=True)
class WakeRule:
    """What wakes a sleeping alert.

    Parameters
    ----------
    payment_score : float or None
        A new payment of one of its accounts with at least this score; None = payments wake nothing.
    seed_hops : int or None
        A new confirmed launderer among its accounts (0), among those they dealt with (1), and so on; None = seeds
        wake nothing.
    rules : tuple of str or None
        A new hit of one of these rules; None = of any rule; empty = rules wake nothing.

    Raises
    ------
    UsageError
        A number of hops below 0.

    Examples
    --------
    >>> WakeRule.from_json(WakeRule(payment_score=2.5, rules=("structuring",)).to_json())
    WakeRule(payment_score=2.5, seed_hops=1, rules=('structuring',))
    """

    payment_score: float | None = None
    seed_hops: int | None = 1
    rules: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.seed_hops is not None and self.seed_hops < 0:
            raise UsageError(f"seed_hops = {self.seed_hops} cannot be used", where="seed_hops", mend="give 0 or more")

    def to_json(self) -> dict[str, Any]:
        """The rule in JSON types."""
        rules = None if self.rules is None else list(self.rules)
        return {"payment_score": self.payment_score, "seed_hops": self.seed_hops, "rules": rules}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The rule that `to_json` wrote.

        Raises
        ------
        UsageError
            A key that is not there, or a value of another type.
        """
        strange = sorted(set(data) - {"payment_score", "seed_hops", "rules"})
        try:
            if strange:
                raise ValueError(f"there is no trigger {strange[0]!r}")
            score, hops, rules = (data.get(name) for name in ("payment_score", "seed_hops", "rules"))
            return cls(
                None if score is None else float(score),
                None if hops is None else int(hops),
                None if rules is None else tuple(str(name) for name in rules),
            )
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"the triggers cannot be read: {error}",
                where="wake-up triggers",
                mend="give payment_score, seed_hops and rules",
            ) from error

    def words(self) -> tuple[str, ...]:
        """What wakes, a sentence each."""
        said = []
        if self.payment_score is not None:
            said.append(f"a new payment with a score of {self.payment_score:g} or more")
        if self.seed_hops is not None:
            near = "among its accounts" if not self.seed_hops else f"within {self.seed_hops} payments of its accounts"
            said.append(f"a new confirmed launderer {near}")
        if self.rules is None:
            said.append("a new hit of any rule")
        elif self.rules:
            said.append(f"a new hit of {', '.join(self.rules)}")
        return tuple(said)


@dataclass(frozen=True)
class Sleeper:
    """An alert asleep: its id, its accounts, and since when (microseconds since 1970)."""

    id: str
    accounts: tuple[str, ...]
    since_us: int


@dataclass(frozen=True)
class Sign:
    """Something new.

    Parameters
    ----------
    kind : {"payment", "seed", "rule"}
        What it is.
    accounts : tuple of str
        The two parties of a payment, the confirmed launderer's accounts, the accounts a rule hit.
    time_us : int
        When it came to be known, microseconds since 1970.
    reference : str
        The payment's id, the seed's name, the rule's id.
    score : float
        Of a payment.
    """

    kind: Kind
    accounts: tuple[str, ...]
    time_us: int
    reference: str
    score: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"{self.kind!r} is no kind of sign", where="kind", mend=f"give one of {', '.join(KINDS)}")


@dataclass(frozen=True)
class Awakening:
    """An alert that wakes, the sign that woke it, and why in words."""

    id: str
    sign: Sign
    words: str


def wake(
    sleepers: Sequence[Sleeper],
    signs: Sequence[Sign],
    rule: WakeRule | None = None,
    *,
    neighbours: Mapping[str, Collection[str]] | None = None,
) -> tuple[Awakening, ...]:
    """Find the alerts that new signs wake.

    Parameters
    ----------
    sleepers : sequence of Sleeper
    signs : sequence of Sign
        In any order. What was known when an alert was put to sleep wakes it no more.
    rule : WakeRule, optional
    neighbours : mapping of account to accounts, optional
        Who dealt with whom, for seeds at a distance.

    Returns
    -------
    tuple of Awakening
        Each alert at most once, by its earliest sign (equal times: in the order given); in the order of those signs.

    Examples
    --------
    >>> sleeper = Sleeper("al1", ("A",), since_us=100)
    >>> signs = [Sign("payment", ("A", "B"), 90, "t1", 9.0), Sign("payment", ("A", "B"), 120, "t2", 9.0)]
    >>> [(found.id, found.words) for found in wake([sleeper], signs, WakeRule(payment_score=5.0))]
    [('al1', 'payment t2 has a score of 9')]
    """
    rule = rule or WakeRule()
    asleep: dict[str, list[int]] = {}
    for place, sleeper in enumerate(sleepers):
        for account in set(sleeper.accounts):
            asleep.setdefault(account, []).append(place)
    found: dict[int, Awakening] = {}
    for place in sorted(range(len(signs)), key=lambda number: (signs[number].time_us, number)):
        sign = signs[place]
        for account, distance in _reached(sign, rule, neighbours or {}).items():
            for number in asleep.get(account, ()):
                sleeper = sleepers[number]
                if number not in found and sign.time_us > sleeper.since_us:
                    found[number] = Awakening(sleeper.id, sign, _words(sign, account, distance))
    return tuple(found.values())


def _reached(sign: Sign, rule: WakeRule, neighbours: Mapping[str, Collection[str]]) -> dict[str, int]:
    """Accounts that a sign concerns, in a fixed order, and how many payments away they are."""
    near = dict.fromkeys(sorted(set(sign.accounts)), 0)
    if sign.kind == "payment":
        return near if rule.payment_score is not None and sign.score >= rule.payment_score else {}
    if sign.kind == "rule":
        return near if rule.rules is None or sign.reference in rule.rules else {}
    if rule.seed_hops is None:
        return {}
    edge = list(near)
    for distance in range(1, rule.seed_hops + 1):
        edge = sorted({other for account in edge for other in neighbours.get(account, ()) if other not in near})
        near.update(dict.fromkeys(edge, distance))
    return near


def _words(sign: Sign, account: str, distance: int) -> str:
    if sign.kind == "payment":
        return f"payment {sign.reference} has a score of {sign.score:g}"
    if sign.kind == "rule":
        return f"rule {sign.reference} hit {account}"
    if not distance:
        return f"{sign.reference} is a confirmed launderer now"
    return f"{sign.reference}, a confirmed launderer now, is {distance} payment{'s' * (distance > 1)} from {account}"
