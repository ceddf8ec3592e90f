"""What one payment sees of the payments before it, account by account, as evidence is looked for."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from greywater.vocab import Int64Array

__all__ = ["Account", "IndexView", "PaymentIndex", "PaymentView", "SeenPayment"]

#: A name, or the number that stands for one.
Account = int | str


class SeenPayment(NamedTuple):
    """A payment as the search for evidence sees it.

    Parameters
    ----------
    number : int
        Its place in the order of recording (seq; of a stream, how many came before).
    time_us : int
        Event time, microseconds since 1970 (UTC).
    sender, receiver : int or str
        The accounts.
    amount : int or None
        Minor units of the base currency; None = not known.
    """

    number: int
    time_us: int
    sender: Account
    receiver: Account
    amount: int | None

    @property
    def place(self) -> tuple[int, int]:
        """What decides which of two payments precedes the other: event time, then order of recording."""
        return self.time_us, self.number

    def may_follow(self, earlier: SeenPayment) -> bool:
        """May money that moved with `earlier` move on with this one: not before it in time, and recorded after it?"""
        return earlier.time_us <= self.time_us and earlier.number < self.number


class PaymentView(Protocol):
    """Payment i and what it sees in one window; both lists in canonical order: time, then number, descending."""

    @property
    def this(self) -> SeenPayment:
        """Payment i."""
        ...

    @property
    def is_alone(self) -> bool:
        """True where i is in no pattern: a payment to oneself, or with a party outside the bank."""
        ...

    def into(self, account: Account, most: int) -> list[SeenPayment]:
        """The first `most` visible payments into an account."""
        ...

    def out_of(self, account: Account, most: int) -> list[SeenPayment]:
        """The first `most` visible payments out of an account."""
        ...


class PaymentIndex:
    """Payments of a stretch of time, found by account; 40 bytes each.

    A payment to oneself is in no list. One with a party outside the bank is in the list of the other party only, so
    nothing is reached through an outsider.

    Parameters
    ----------
    number : int64[n]
        Strictly increasing.
    time_us : int64[n]
        Event times, microseconds.
    sender, receiver : int32[n]
        Codes of the accounts, 0 to `accounts` - 1.
    amount : int64[n]
        Minor units, -1 = not known.
    outside : bool[accounts]
        True for accounts outside the bank.

    Examples
    --------
    >>> number, time_us = np.arange(3), np.array([10, 20, 30])
    >>> sender, receiver = np.array([0, 1, 0], np.int32), np.array([1, 2, 1], np.int32)
    >>> index = PaymentIndex(number, time_us, sender, receiver, np.array([5, -1, 7]), np.zeros(3, np.bool_))
    >>> view = index.view(2, bound_us=0)
    >>> view.this.amount, [payment.number for payment in view.into(1, 10)], view.out_of(1, 10)[0].amount
    (7, [0], None)
    """

    def __init__(
        self,
        number: Int64Array,
        time_us: Int64Array,
        sender: NDArray[np.int32],
        receiver: NDArray[np.int32],
        amount: Int64Array,
        outside: NDArray[np.bool_],
    ) -> None:
        self._number, self._time, self._amount = number, time_us, amount
        self._sender, self._receiver = sender, receiver
        self._outside = outside
        joined = sender != receiver
        self._lists = {
            "out": self._ordered(sender, joined & ~outside[sender]),
            "in": self._ordered(receiver, joined & ~outside[receiver]),
        }

    def __len__(self) -> int:
        return len(self._number)

    def _ordered(self, party: NDArray[np.int32], listed: NDArray[np.bool_]) -> tuple[NDArray[np.int32], Int64Array]:
        """Rows by party, time and number, and where each party's rows begin."""
        rows = np.flatnonzero(listed).astype(np.int32)
        # The rows are in order of number already, and the sort is stable.
        rows = rows[np.lexsort((self._time[rows], party[rows]))]
        begins = np.zeros(len(self._outside) + 1, np.int64)
        np.cumsum(np.bincount(party[rows], minlength=len(self._outside)), out=begins[1:])
        return rows, begins

    def view(self, number: int, bound_us: int) -> IndexView:
        """What payment `number`, one of these, sees of payments later than `bound_us`."""
        return IndexView(self, int(np.searchsorted(self._number, number)), bound_us)

    def seen(self, row: int) -> SeenPayment:
        """One payment, by row."""
        amount = int(self._amount[row])
        return SeenPayment(
            int(self._number[row]),
            int(self._time[row]),
            int(self._sender[row]),
            int(self._receiver[row]),
            None if amount < 0 else amount,
        )

    def is_alone(self, row: int) -> bool:
        """Is a payment one to oneself, or with a party outside the bank?"""
        sender, receiver = self._sender[row], self._receiver[row]
        return bool(sender == receiver or self._outside[sender] or self._outside[receiver])

    def listed(
        self, direction: str, account: int, before: int, bound_us: int, until_us: int, most: int
    ) -> list[SeenPayment]:
        """Payments of one list with time in (bound_us, until_us] and rows below `before`, in canonical order."""
        rows, begins = self._lists[direction]
        mine = rows[begins[account] : begins[account + 1]]
        times = self._time[mine]
        mine = mine[times.searchsorted(bound_us, "right") : times.searchsorted(until_us, "right")]
        mine = mine[mine < before][::-1][:most]
        number, time, sender, receiver, amounts = (
            column[mine].tolist() for column in (self._number, self._time, self._sender, self._receiver, self._amount)
        )
        amount = [None if each < 0 else each for each in amounts]
        return list(map(SeenPayment, number, time, sender, receiver, amount))


class IndexView:
    """What one payment of a PaymentIndex sees."""

    def __init__(self, index: PaymentIndex, row: int, bound_us: int) -> None:
        self._index, self._row, self._bound = index, row, bound_us
        self._this = index.seen(row)

    @property
    def this(self) -> SeenPayment:
        """Payment i."""
        return self._this

    @property
    def is_alone(self) -> bool:
        """True where i is in no pattern."""
        return self._index.is_alone(self._row)

    def into(self, account: Account, most: int) -> list[SeenPayment]:
        """The first `most` visible payments into an account, in canonical order."""
        return self._index.listed("in", int(account), self._row, self._bound, self._this.time_us, most)

    def out_of(self, account: Account, most: int) -> list[SeenPayment]:
        """The first `most` visible payments out of an account, in canonical order."""
        return self._index.listed("out", int(account), self._row, self._bound, self._this.time_us, most)
