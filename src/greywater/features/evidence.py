"""What evidence is: the payments that form a pattern, each with its role; and the bounded look-up that finds them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from greywater.features.payment_view import Account, PaymentView, SeenPayment
from greywater.features.windows import window_label

__all__ = [
    "MOST_PAYMENTS", "AccountRole", "Evidence", "EvidencePayment", "Finding", "Found", "Instance", "Lookup",
    "seconds_between",
]  # fmt: skip

#: Payments that one instance lists; an instance of more says how many it leaves out.
MOST_PAYMENTS: Final = 200
MICROSECONDS: Final = 1e6


@dataclass(frozen=True)
class EvidencePayment:
    """A payment and its part in a pattern.

    Parameters
    ----------
    number : int
        Its place in the order of recording: seq in a ledger, how many payments came before it in a stream.
    tx_id : str or int or None
        Its id, where it is known.
    role : str
        "hop 3", "scatter leg", "closing payment"...
    time_us : int
        Event time, microseconds since 1970 (UTC).
    sender, receiver : str or int
        The accounts.
    amount : int or None
        Minor units of the base currency; None = not known.
    """

    number: int
    tx_id: Account | None
    role: str
    time_us: int
    sender: Account
    receiver: Account
    amount: int | None


@dataclass(frozen=True)
class AccountRole:
    """An account and its part in a pattern: "source", "middleman", "sink", "hub"..."""

    account: Account
    role: str


@dataclass(frozen=True)
class Instance:
    """One pattern that was found.

    Parameters
    ----------
    kind : str
        Which variant, where a pattern has several: "last leg", "hub receiver"...; else empty.
    payments : tuple of EvidencePayment
        In the order in which the money moved, or latest first where there is none; at most MOST_PAYMENTS.
    accounts : tuple of AccountRole
        Each account of the instance once.
    measures : mapping of str to float
        Counts, shares, seconds; NaN = not defined. docs/evidence.md describes them.
    left_out : int
        Payments that belong to it and are not listed.
    """

    kind: str
    payments: tuple[EvidencePayment, ...]
    accounts: tuple[AccountRole, ...]
    measures: Mapping[str, float]
    left_out: int = 0


@dataclass(frozen=True)
class Evidence:
    """The patterns of one kind that a payment takes part in, by what it saw when it came.

    Parameters
    ----------
    number : int
        The payment's place in the order of recording.
    tx_id : str or int or None
        Its id, where it is known.
    pattern : str
        One of `greywater.features.graph.PATTERNS`.
    window : int
        Seconds looked back.
    instances : tuple of Instance
        Best first: shortest cycle, longest chain, most middlemen...
    found : int
        Instances found, listed or not.
    columns : mapping of str to float
        What was found as the columns of the feature set count and measure it, by their names.
    truncated : bool
        Something is not listed: the cap cut the search, there are more instances than were asked for, or an instance
        has too many payments.
    capped : bool
        The cap cut the search: there may be more than `found`, and `columns` hold what was found so far.
    """

    number: int
    tx_id: Account | None
    pattern: str
    window: int
    instances: tuple[Instance, ...]
    found: int
    columns: Mapping[str, float] = field(default_factory=dict)
    truncated: bool = False
    capped: bool = False

    @property
    def numbers(self) -> tuple[int, ...]:
        """Places in the order of recording of all payments listed, each once, best instance first."""
        listed = (payment.number for instance in self.instances for payment in instance.payments)
        return tuple(dict.fromkeys(listed))

    def named(self, account: Callable[[Account], Account], tx_id: Callable[[int], Account | None]) -> Evidence:
        """The same with the names of accounts and the ids of payments."""

        def instance(found: Instance) -> Instance:
            payments = tuple(
                replace(each, tx_id=tx_id(each.number), sender=account(each.sender), receiver=account(each.receiver))
                for each in found.payments
            )
            roles = tuple(AccountRole(account(each.account), each.role) for each in found.accounts)
            return replace(found, payments=payments, accounts=roles)

        return replace(self, tx_id=tx_id(self.number), instances=tuple(map(instance, self.instances)))

    def to_json(self) -> dict[str, Any]:
        """The evidence in JSON types; NaN becomes null."""
        return {
            "tx_id": self.tx_id,
            "seq": self.number,
            "pattern": self.pattern,
            "window": window_label(self.window),
            "found": self.found,
            "truncated": self.truncated,
            "capped": self.capped,
            "columns": _defined(self.columns),
            "instances": [
                {
                    "kind": instance.kind,
                    "measures": _defined(instance.measures),
                    "accounts": [vars(account) for account in instance.accounts],
                    "payments": [
                        {"seq": payment.number}
                        | {key: value for key, value in vars(payment).items() if key != "number"}
                        for payment in instance.payments
                    ],
                    "left_out": instance.left_out,
                }
                for instance in self.instances
            ],
        }


class Found(NamedTuple):
    """An instance as a search finds it: payments and accounts with their roles, and its measures."""

    kind: str
    payments: list[tuple[str, SeenPayment]]
    accounts: Mapping[Account, str]
    measures: Mapping[str, float]

    def instance(self) -> Instance:
        """The instance as it is given out."""
        listed = tuple(
            EvidencePayment(
                payment.number, None, role, payment.time_us, payment.sender, payment.receiver, payment.amount
            )
            for role, payment in self.payments[:MOST_PAYMENTS]
        )
        named = {party for payment in listed for party in (payment.sender, payment.receiver)}
        roles = tuple(AccountRole(account, role) for account, role in self.accounts.items() if account in named)
        return Instance(self.kind, listed, roles, self.measures, len(self.payments) - len(listed))


class Finding(NamedTuple):
    """What a search found: the best instances, how many there are, the columns without their window's label, whether
    the cap cut it."""

    best: list[Found]
    found: int
    columns: dict[str, float]
    capped: bool


class Lookup:
    """The lists that one payment sees, looked up until `cap` payments have been visited.

    A list is looked up once; a search that goes through it again says so to `spend`. The list at which the cap is
    reached ends there, and all later ones are empty.
    """

    def __init__(self, view: PaymentView, cap: int) -> None:
        self.this = view.this
        self.capped = False
        self._view = view
        self._left = cap
        self._into: dict[Account, list[SeenPayment]] = {}
        self._out_of: dict[Account, list[SeenPayment]] = {}
        self._by_payer: dict[Account, dict[Account, list[SeenPayment]]] = {}
        self._own: dict[Account, bool] = {}

    def into(self, account: Account) -> list[SeenPayment]:
        """Visible payments into an account, in canonical order."""
        if account not in self._into:
            self._into[account] = [] if self.capped else self._bounded(self._view.into(account, self._left + 1))
        return self._into[account]

    def out_of(self, account: Account) -> list[SeenPayment]:
        """Visible payments out of an account, in canonical order."""
        if account not in self._out_of:
            self._out_of[account] = [] if self.capped else self._bounded(self._view.out_of(account, self._left + 1))
        return self._out_of[account]

    def looked_into(self, account: Account) -> bool:
        """Have the payments into an account been looked up?"""
        return account in self._into

    def by_payer(self, account: Account) -> dict[Account, list[SeenPayment]]:
        """The same payments into an account by who made them; the payer of the latest first."""
        if account not in self._by_payer:
            payers: dict[Account, list[SeenPayment]] = {}
            for payment in self.into(account):
                payers.setdefault(payment.sender, []).append(payment)
            self._by_payer[account] = payers
        return self._by_payer[account]

    def is_own(self, payee: Account) -> bool:
        """Is an account that was visibly paid the bank's own? One outside it has no list in which the payment is."""
        if payee not in self._own:
            self._own[payee] = bool(self._view.into(payee, 1))
        return self._own[payee]

    def spend(self, visits: int) -> bool:
        """Count visits to payments looked up before; False where the cap is reached."""
        if visits > self._left:
            self.capped = True
        self._left = max(self._left - visits, 0)
        return not self.capped

    def _bounded(self, payments: list[SeenPayment]) -> list[SeenPayment]:
        most = self._left
        self.spend(len(payments))
        return payments[:most]


def seconds_between(first: SeenPayment, last: SeenPayment) -> float:
    """Seconds from one payment to another."""
    return float(last.time_us - first.time_us) / MICROSECONDS


def _defined(measures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in measures.items()}
