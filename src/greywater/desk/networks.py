"""Ties alerted accounts that evidence payments bind together into networks of bounded size."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from greywater.errors import UsageError
from greywater.vocab import EXTERNAL_PREFIX

__all__ = ["Network", "NetworkRule", "Tie", "join_networks"]


@dataclass(frozen=True)
class Tie:
    """An evidence payment as a bond between two accounts.

    Parameters
    ----------
    sender, receiver : str
        Accounts.
    strength : float
        How sure it is that the payment belongs to a scheme: its probability, or 1 where it formed a pattern.
    seq : int
        The payment; decides between equal strengths.
    """

    sender: str
    receiver: str
    strength: float
    seq: int


@dataclass(frozen=True)
class NetworkRule:
    """What binds, and how large a network may become.

    Parameters
    ----------
    least_strength : float
        Weaker payments bind nothing.
    most_accounts : int
        A bond that would make a network larger is left out, so the strongest parts stay together.
    most_ties : int
        An account that nobody alerted, with more different partners than this among the ties, binds nobody: a shop or
        an employer whom all pay is no accomplice.

    Raises
    ------
    UsageError
        Fewer than two accounts, or no number.
    """

    least_strength: float = 0.5
    most_accounts: int = 50
    most_ties: int = 20

    def __post_init__(self) -> None:
        if self.most_accounts < 2 or self.most_ties < 1 or not np.isfinite(self.least_strength):
            raise UsageError(
                f"networks of at most {self.most_accounts} accounts, {self.most_ties} ties each, tied from "
                f"{self.least_strength} on, cannot be made",
                where="networks",
                mend="give at least 2 accounts, 1 tie and a finite strength",
            )

    def words(self) -> str:
        """The rule as a sentence."""
        return (
            f"accounts tied by evidence payments of strength {self.least_strength:g} or more are one alert, up to "
            f"{self.most_accounts} accounts; an account without an alert and with over {self.most_ties} partners ties "
            "nobody"
        )


@dataclass(frozen=True)
class Network:
    """Alerts that belong together.

    Parameters
    ----------
    alerts : tuple of int
        Positions of the alerts, increasing.
    accounts : tuple of str
        All accounts, also those between that have no alert; sorted.
    payments : tuple of int
        Sequence numbers of the payments that tie them, increasing.
    left_out : int
        Bonds to others that were left out because the network would have become too large.
    """

    alerts: tuple[int, ...]
    accounts: tuple[str, ...]
    payments: tuple[int, ...]
    left_out: int = 0


class _Sets:
    """Disjoint sets of accounts with a greatest size; the root is the smallest member, so that names decide nothing."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}
        self.size: dict[str, int] = {}

    def root(self, account: str) -> str:
        """The set of an account, which is added where it is new."""
        path = []
        while self._above.setdefault(account, account) != account:
            path.append(account)
            account = self._above[account]
        self.size.setdefault(account, 1)
        for each in path:
            self._above[each] = account
        return account

    def join(self, one: str, other: str, most: int | None) -> bool:
        """Make one set of two; False where it would be larger than `most`."""
        one, other = self.root(one), self.root(other)
        if one == other:
            return True
        if most is not None and self.size[one] + self.size[other] > most:
            return False
        kept, gone = min(one, other), max(one, other)
        self._above[gone] = kept
        self.size[kept] += self.size.pop(gone)
        return True


def join_networks(
    accounts: Sequence[Collection[str]], ties: Sequence[Tie], rule: NetworkRule | None = None
) -> tuple[Network, ...]:
    """Group alerts by what ties their accounts.

    The accounts of one alert (a customer's) are together from the start, however many. Then ties are taken from the
    strongest to the weakest, equal ones by seq, and each joins the two networks of its accounts unless that would make
    one of more than `most_accounts`. Accounts outside the bank tie nobody. The result does not depend on the order in
    which alerts or ties are given, but for the positions that it names.

    Parameters
    ----------
    accounts : sequence of collections of str
        The accounts of each alert.
    ties : sequence of Tie
        Evidence payments; also of accounts that have no alert.
    rule : NetworkRule, optional

    Returns
    -------
    tuple of Network
        Each alert is in exactly one; by the first alert.

    Examples
    --------
    >>> ties = [Tie("a", "m", 0.9, 1), Tie("m", "b", 0.8, 2), Tie("b", "c", 0.1, 3)]
    >>> found = join_networks([["a"], ["b"], ["c"]], ties)
    >>> [(network.alerts, network.accounts) for network in found]
    [((0, 1), ('a', 'b', 'm')), ((2,), ('c',))]
    """
    rule = rule or NetworkRule()
    sets = _Sets()
    alerted: set[str] = set()
    for owned in accounts:
        names = sorted(owned)
        alerted.update(names)
        for name in names:
            sets.join(names[0], name, None)
    strong = [tie for tie in ties if tie.strength >= rule.least_strength and _inside(tie)]
    strong = _without_hubs(strong, alerted, rule.most_ties)
    strong.sort(key=lambda tie: (-tie.strength, tie.seq, tie.sender, tie.receiver))
    refused = [tie for tie in strong if not sets.join(tie.sender, tie.receiver, rule.most_accounts)]
    return _networks(accounts, strong, refused, sets)


def _inside(tie: Tie) -> bool:
    outside = tie.sender.startswith(EXTERNAL_PREFIX) or tie.receiver.startswith(EXTERNAL_PREFIX)
    return tie.sender != tie.receiver and not outside


def _without_hubs(ties: list[Tie], alerted: set[str], most: int) -> list[Tie]:
    partners: dict[str, set[str]] = {}
    for tie in ties:
        partners.setdefault(tie.sender, set()).add(tie.receiver)
        partners.setdefault(tie.receiver, set()).add(tie.sender)
    hubs = {account for account, others in partners.items() if len(others) > most and account not in alerted}
    return [tie for tie in ties if tie.sender not in hubs and tie.receiver not in hubs]


def _networks(
    accounts: Sequence[Collection[str]], strong: Sequence[Tie], refused: Sequence[Tie], sets: _Sets
) -> tuple[Network, ...]:
    alerts: dict[str, list[int]] = {}
    members: dict[str, set[str]] = {}
    for place, owned in enumerate(accounts):
        names = sorted(owned)
        # An alert without accounts stands alone under a name that no account has.
        root = sets.root(names[0]) if names else f"\x00{place}"
        alerts.setdefault(root, []).append(place)
        members.setdefault(root, set()).update(names)
    payments: dict[str, set[int]] = {}
    left_out: dict[str, int] = {}
    for tie in strong:
        one, other = sets.root(tie.sender), sets.root(tie.receiver)
        if one == other:
            members.setdefault(one, set()).update((tie.sender, tie.receiver))
            payments.setdefault(one, set()).add(tie.seq)
    # Networks only grow, so what a refused bond holds apart stays apart.
    for tie in refused:
        for root in (sets.root(tie.sender), sets.root(tie.receiver)):
            left_out[root] = left_out.get(root, 0) + 1
    found = [
        Network(
            tuple(places),
            tuple(sorted(members[root])),
            tuple(sorted(payments.get(root, ()))),
            left_out.get(root, 0),
        )
        for root, places in alerts.items()
    ]
    return tuple(sorted(found, key=lambda network: network.alerts))
