"""From scored payments to the accounts or customers worth an alert, within the budget and never looking ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from greywater.desk.budget import Budget
from greywater.errors import UsageError
from greywater.vocab import EXTERNAL_PREFIX, Float64Array, Int64Array

__all__ = ["Candidate", "ScoredPayments", "roll_up"]

DAY_US: Final = 86_400_000_000

#: Most payments a candidate names.
MOST_PAYMENTS: Final = 25

Int32Array = NDArray[np.int32]
_Kind = Literal["account", "customer"]


@dataclass(frozen=True)
class ScoredPayments:
    """Payments in ledger order with what the detector says of each.

    Parameters
    ----------
    seq : int64[n]
        Sequence numbers, strictly increasing.
    time_us : int64[n]
        Event times, microseconds since 1970 (UTC).
    score : float64[n]
        Raw score, higher = more suspicious; NaN = not scored (left out).
    probability : float64[n]
        Calibrated probability, shown to people.
    sender, receiver : int32[n]
        Positions in `accounts`. They name, they never order.
    accounts : sequence of str
        Account ids. Those outside the bank (`external:...`) are never alerted.
    customer_of : mapping of str to str, optional
        Account -> customer. An account without one is alerted as itself.
    horizon_us : int, optional
        Greatest event time recorded before the first of these payments.
    """

    seq: Int64Array
    time_us: Int64Array
    score: Float64Array
    probability: Float64Array
    sender: Int32Array
    receiver: Int32Array
    accounts: Sequence[str]
    customer_of: Mapping[str, str] | None = None
    horizon_us: int | None = None

    def __post_init__(self) -> None:
        rows = len(self.seq)
        for name in ("time_us", "score", "probability", "sender", "receiver"):
            if len(getattr(self, name)) != rows:
                raise UsageError(f"{name} has {len(getattr(self, name))} values for {rows} payments", where=name)
        if rows and not bool(np.all(np.diff(self.seq) > 0)):
            raise UsageError("payments are not in ledger order", where="seq", mend="sort them by seq, each once")


@dataclass(frozen=True)
class Candidate:
    """One account or customer to be alerted.

    Parameters
    ----------
    entity : str
        Account or customer id.
    kind : {"account", "customer"}
        What `entity` is.
    score, probability : float
        Of the payment that raised it.
    seq : int
        That payment.
    time_us : int
        Its event time, microseconds since 1970.
    payments : tuple of int
        The entity's payments with the highest scores up to and including `seq`, best first, at most 25.
    folded : int
        On how many later days the entity would have been raised again; those days are part of this alert.
    """

    entity: str
    kind: _Kind
    score: float
    probability: float
    seq: int
    time_us: int
    payments: tuple[int, ...]
    folded: int = 0


@dataclass(frozen=True)
class _Parties:
    """Alertable parties: names and kinds by code, and the code of each payment's two sides (-1: never alerted)."""

    names: list[str]
    kinds: list[_Kind]
    sender: Int64Array
    receiver: Int64Array


@dataclass(frozen=True)
class _Raised:
    """A party, the row (best first) that raised it, and the later days that were folded into the alert."""

    parties: Int64Array
    rows: Int64Array
    folded: Int64Array


def roll_up(payments: ScoredPayments, budget: Budget) -> list[Candidate]:
    """Choose who is alerted, highest score first.

    A party stands for a day with the best score among the payments it takes part in, as sender and as
    receiver alike, so both sides of one payment may be alerted. The maximum was chosen over sums because sums reward
    being busy (see docs/alerts.md). With a daily budget, at the end of each UTC day the parties that are
    not alerted yet are ranked by that day's best score and the first `budget.count` are raised: nothing later is
    looked at, and what a day leaves unused is not carried over. A day is the day of the greatest event
    time so far in ledger order, so a payment that arrives late counts on the day it arrives. An alerted party that
    would have been raised again is folded into its alert and counted. With a budget in all, the best
    parties of the whole slice are raised, each by its best payment.

    Equal scores go to the earlier seq, then to the sender before the receiver; codes never decide.

    Parameters
    ----------
    payments : ScoredPayments
        Up to millions, in ledger order.
    budget : Budget
        How many to raise; hours of work count as the alerts that fit in at 30 minutes each.

    Returns
    -------
    list of Candidate
        Highest score first, ties by earlier seq.
    """
    scored = np.flatnonzero(~np.isnan(payments.score))
    if not len(scored):
        return []
    best_first = scored[np.argsort(-payments.score[scored], kind="stable")]
    parties = _parties(payments)
    # Two rows a payment, sender before receiver, best payment first. `place` is the payment's place in best_first.
    code = np.empty(2 * len(best_first), dtype=np.int64)
    code[0::2] = parties.sender[best_first]
    code[1::2] = parties.receiver[best_first]
    place = np.repeat(np.arange(len(best_first), dtype=np.int64), 2)
    alertable = code >= 0
    code, place = code[alertable], place[alertable]
    if not len(code):
        return []
    if budget.per_day:
        raised = _daily(code, _day(payments)[best_first][place], len(parties.names), budget.alerts())
    else:
        rows = _first_of_each(code, len(parties.names))[: budget.alerts()]
        raised = _Raised(code[rows], rows, np.zeros(len(rows), dtype=np.int64))
    order = np.argsort(raised.rows, kind="stable")
    raised = _Raised(raised.parties[order], raised.rows[order], raised.folded[order])
    return _candidates(payments, parties, raised, code, best_first[place])


def _day(payments: ScoredPayments) -> NDArray[np.integer]:
    """Number each payment's day 0, 1, ... by the UTC day of the greatest event time so far, which never falls."""
    horizon = np.maximum.accumulate(payments.time_us)
    if payments.horizon_us is not None:
        horizon = np.maximum(horizon, payments.horizon_us)
    number: Int64Array = np.cumsum(np.diff(horizon // DAY_US, prepend=horizon[0] // DAY_US) > 0, dtype=np.int64)
    # Sixteen bits, where they do, are sorted by radix.
    return number.astype(np.uint16) if number[-1] < 2**16 else number


def _parties(payments: ScoredPayments) -> _Parties:
    """Give every alertable party a code; a customer's accounts share one."""
    takes_part = np.zeros(len(payments.accounts), dtype=bool)
    takes_part[payments.sender] = True
    takes_part[payments.receiver] = True
    customer_of = payments.customer_of or {}
    known: dict[tuple[_Kind, str], int] = {}
    code_of = np.full(len(payments.accounts), -1, dtype=np.int64)
    for account_code in np.flatnonzero(takes_part).tolist():
        account = payments.accounts[account_code]
        if account.startswith(EXTERNAL_PREFIX):
            continue
        customer = customer_of.get(account)
        key: tuple[_Kind, str] = ("customer", customer) if customer else ("account", account)
        code_of[account_code] = known.setdefault(key, len(known))
    return _Parties(
        [name for _, name in known], [kind for kind, _ in known], code_of[payments.sender], code_of[payments.receiver]
    )


def _first_of_each(code: Int64Array, parties: int) -> Int64Array:
    """Rows at which a party appears for the first time, ascending."""
    seen = np.empty(parties, dtype=np.int64)
    rows = np.arange(len(code), dtype=np.int64)
    seen[code[::-1]] = rows[::-1]
    firsts: Int64Array = np.flatnonzero(seen[code] == rows)
    return firsts


def _daily(code: Int64Array, day: NDArray[np.integer], parties: int, count: int) -> _Raised:
    """Rank each day's parties by their best row; raise the first `count` that are new; fold the others above them."""
    by_day = np.argsort(day, kind="stable")
    bounds = np.searchsorted(day[by_day], np.arange(int(day.max()) + 2))
    alerted = np.zeros(parties, dtype=bool)
    folded = np.zeros(parties, dtype=np.int64)
    rows: list[Int64Array] = []
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        today = by_day[start:stop]
        standing = today[_first_of_each(code[today], parties)]
        standing_parties = code[standing]
        again = alerted[standing_parties]
        fresh = np.flatnonzero(~again)[:count]
        cut = int(fresh[-1]) if len(fresh) == count else len(standing)
        folded[standing_parties[:cut][again[:cut]]] += 1
        alerted[standing_parties[fresh]] = True
        rows.append(standing[fresh].astype(np.int64))
    raised = np.concatenate(rows)
    return _Raised(code[raised], raised, folded[code[raised]])


def _candidates(
    payments: ScoredPayments, parties: _Parties, raised: _Raised, code: Int64Array, payment: Int64Array
) -> list[Candidate]:
    """Collect each raised party's best payments up to the one that raised it; rows are best first."""
    is_raised = np.zeros(len(parties.names), dtype=bool)
    is_raised[raised.parties] = True
    theirs = np.flatnonzero(is_raised[code])
    theirs = theirs[np.argsort(code[theirs], kind="stable")]
    starts = np.searchsorted(code[theirs], raised.parties, side="left")
    stops = np.searchsorted(code[theirs], raised.parties, side="right")
    candidates = []
    for index, (party, row) in enumerate(zip(raised.parties.tolist(), raised.rows.tolist(), strict=True)):
        raising = int(payment[row])
        own = payment[theirs[starts[index] : stops[index]]]
        own = own[own <= raising]
        # A party on both sides of a payment has it twice, side by side.
        own = own[np.concatenate([[True], own[1:] != own[:-1]])][:MOST_PAYMENTS]
        candidates.append(
            Candidate(
                entity=parties.names[party],
                kind=parties.kinds[party],
                score=float(payments.score[raising]),
                probability=float(payments.probability[raising]),
                seq=int(payments.seq[raising]),
                time_us=int(payments.time_us[raising]),
                payments=tuple(payments.seq[own].tolist()),
                folded=int(raised.folded[index]),
            )
        )
    return candidates
