"""What each account sent of late: whole numbers added up exactly over the window that a payment sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.features.dictionary import AccountDictionary
from greywater.features.ledger_order import times_in_order
from greywater.vocab import Int64Array

__all__ = ["DAY_US", "Role", "SentPayments", "SentWindows", "Window"]

DAY_US: Final = 86_400_000_000
_NEVER: Final = -(2**62)
#: Payments that wait to be filed under their accounts, at least; beyond it an eighth of those that are filed.
WAITING: Final = 4_096

Role = Literal["sender", "receiver"]


@dataclass(frozen=True)
class Window:
    """How far back a payment at t looks: `length_us`, sliding, or whole UTC days d with day(t) - days < d, and today.

    What lies at or before H - (`length_us` + `lateness_us`) is hidden from all (SEMANTICS: What payment i sees).
    """

    length_us: int
    by_day: bool = False
    lateness_us: int = 7 * DAY_US

    def begin(self, time: Int64Array, horizon: Int64Array) -> Int64Array:
        """The least event time that each payment sees, int64[n]."""
        slides = time - self.length_us + 1
        if self.by_day:
            slides = (time // DAY_US + 1) * DAY_US - self.length_us
        return np.maximum(slides, self.hidden(horizon) + 1)

    def hidden(self, horizon: Int64Array) -> Int64Array:
        """The greatest event time that no payment sees any more."""
        return horizon - self.length_us - self.lateness_us


@dataclass(frozen=True)
class _Entries:
    """Payments by account, and of one account in ledger order: account, time, values int64[m] each."""

    account: Int64Array
    time: Int64Array
    value: Int64Array

    def take(self, places: Int64Array | NDArray[np.bool_]) -> _Entries:
        return _Entries(self.account[places], self.time[places], self.value[places])

    @classmethod
    def joined(cls, parts: list[_Entries]) -> _Entries:
        """In order of the parts within an account."""
        whole = [np.concatenate([getattr(part, name) for part in parts]) for name in ("account", "time", "value")]
        entries = cls(whole[0], whole[1], whole[2])
        return entries.take(np.argsort(entries.account, kind="stable"))

    @classmethod
    def none(cls) -> _Entries:
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, nothing)


class SentPayments:
    """The payments that accounts of the bank sent to others within a window, each with one whole number.

    A payment sees what its sender and its receiver had sent by then, itself included; in any cut of the payments the
    same. Payments to oneself are left out, and parties outside the bank have no windows.

    Parameters
    ----------
    window : Window

    Examples
    --------
    >>> moments = pa.array([0, 5, 6, DAY_US + 5], pa.timestamp("us", tz="UTC"))
    >>> rows = pa.record_batch({"seq": [0, 1, 2, 3], "event_time": moments, "sender": ["a", "b", "a", "a"],
    ...                         "receiver": ["b", "a", "c", "c"]})
    >>> sent = SentPayments(Window(DAY_US))
    >>> seen = sent.take(rows, np.array([1, 2, 4, 8]), np.ones(4, np.bool_))
    >>> seen.sums("sender", seen.value).tolist(), seen.sums("receiver", seen.value).tolist()
    ([1, 2, 5, 12], [0, 1, 0, 0])
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self._names = AccountDictionary()
        self._filed = _Entries.none()
        self._waiting = _Entries.none()
        self._next_seq = 0
        self._horizon = _NEVER

    def take(self, payments: pa.RecordBatch, value: Int64Array, known: NDArray[np.bool_]) -> SentWindows:
        """Take the next payments in, and say what each sees.

        Parameters
        ----------
        payments : pa.RecordBatch
            seq, event_time, sender and receiver; n rows that follow on from the last ones.
        value : int64[n]
            The number of each payment.
        known : bool[n]
            False where it has none, so that no window holds it.

        Raises
        ------
        EngineError
            A payment is missing, repeated or out of order.
        """
        rows = pa.table(payments)
        time, horizon = times_in_order(rows, ("event_time", "sender", "receiver"), self._next_seq, self._horizon)
        codes = {role: self._names.encode(rows.column(role)).astype(np.int64) for role in ("sender", "receiver")}
        outside = self._names.external
        own = {role: ~outside[each] for role, each in codes.items()}
        listed = np.flatnonzero(known & own["sender"] & (codes["sender"] != codes["receiver"]))
        new = _Entries(codes["sender"][listed], time[listed], value[listed])
        touched = np.zeros(len(self._names), np.bool_)
        for each in codes.values():
            touched[each] = True
        held = [self._of(touched), self._waiting.take(touched[self._waiting.account])]
        seen = SentWindows.of(held, new, listed, codes, own, time, self._window.begin(time, horizon))
        self._waiting = _Entries(*(np.concatenate(pair) for pair in _pairs(self._waiting, new)))
        if len(time):
            self._horizon, self._next_seq = int(horizon[-1]), self._next_seq + len(time)
        if len(self._waiting.time) > max(WAITING, len(self._filed.time) // 8):
            self.pack()
        return seen

    def _of(self, touched: NDArray[np.bool_]) -> _Entries:
        """The filed payments of some accounts."""
        accounts = np.flatnonzero(touched)
        begin = np.searchsorted(self._filed.account, accounts)
        length = np.searchsorted(self._filed.account, accounts, side="right") - begin
        return self._filed.take(_ranges(begin, length))

    def pack(self) -> None:
        """File what waits, and forget what no payment will see any more. Changes no value."""
        whole = _Entries.joined([self._filed, self._waiting])
        self._filed = whole.take(whole.time > int(self._window.hidden(np.array([self._horizon]))[0]))
        self._waiting = _Entries.none()

    @property
    def accounts(self) -> AccountDictionary:
        """The parties met so far and their codes."""
        return self._names

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything carried from payment to payment, as arrays; `load` goes on from there."""
        self.pack()
        names = {f"accounts.{name}": array for name, array in self._names.arrays().items()}
        at = np.array([self._next_seq, self._horizon], np.int64)
        filed = {"account": self._filed.account, "time": self._filed.time, "value": self._filed.value}
        return {**names, **{name: array.copy() for name, array in filed.items()}, "at": at}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from the `arrays` of another with the same window."""
        self._names = AccountDictionary.from_arrays({name: arrays[f"accounts.{name}"] for name in ("bytes", "ends")})
        self._filed = _Entries(*(np.asarray(arrays[name], np.int64) for name in ("account", "time", "value")))
        self._waiting = _Entries.none()
        self._next_seq, self._horizon = (int(number) for number in arrays["at"])


@dataclass(frozen=True)
class _Slow:
    """Queries whose window is no run of entries: their rows, and the places of their entries one after the other."""

    rows: Int64Array
    places: Int64Array
    ends: Int64Array


class SentWindows:
    """What each payment of a block sees of what its parties sent.

    Parameters
    ----------
    entries, codes, own
        The payments of all parties of the block, the parties' codes, and where they are accounts of the bank.
    ranges : dict
        By role the first entry each payment sees, the one after the last, and the exceptions.
    """

    def __init__(
        self,
        entries: _Entries,
        codes: Mapping[Role, Int64Array],
        own: Mapping[Role, NDArray[np.bool_]],
        ranges: Mapping[Role, tuple[Int64Array, Int64Array, _Slow]],
    ) -> None:
        self.value = entries.value
        self.codes = codes
        self.own = own
        self._ranges = ranges

    @classmethod
    def of(
        cls,
        held: list[_Entries],
        new: _Entries,
        listed: Int64Array,
        codes: Mapping[str, Int64Array],
        own: Mapping[str, NDArray[np.bool_]],
        time: Int64Array,
        begin: Int64Array,
    ) -> SentWindows:
        """Find them; `listed` are the rows of the block that `new` holds, `begin` the least time each row sees."""
        n, earlier = len(time), sum(len(part.time) for part in held)
        whole = [np.concatenate(columns) for columns in _pairs(*held, new)]
        order = np.argsort(whole[0], kind="stable")
        entries = _Entries(whole[0], whole[1], whole[2]).take(order)
        row = np.concatenate([np.zeros(earlier, np.int64), listed + 1])[order]
        moments = np.unique(entries.time)
        step = len(moments) + 1
        place = entries.account * step + np.searchsorted(moments, entries.time)
        latest = np.maximum.accumulate(place) if len(place) else place
        turned = np.concatenate([[0], np.cumsum(place < latest)])
        is_new = np.zeros(n, np.int64)
        is_new[listed] = 1
        ranges = {}
        for role, code in codes.items():
            last = np.searchsorted(entries.account * (n + 1) + row, code * (n + 1) + np.arange(1, n + 1), side="right")
            first = np.searchsorted(latest, code * step + np.searchsorted(moments, begin), side="left")
            first = np.where(own[role], np.minimum(first, last), last)
            # A payment dated before all that is visible is alone in its windows.
            alone = np.flatnonzero(own[role] & (begin > time))
            first[alone] = last[alone] - (is_new[alone] if role == "sender" else 0)
            until = code * step + np.searchsorted(moments, time, side="right") - 1
            some = first < last
            straight = ~some
            straight[some] = (turned[last[some]] == turned[first[some]]) & (latest[last[some] - 1] <= until[some])
            straight[alone] = True
            crooked = np.flatnonzero(~straight)
            slow = _slow(entries.time, crooked, first[crooked], last[crooked], begin[crooked], time[crooked])
            ranges[role] = first, last, slow
        return cls(entries, codes, own, ranges)  # type: ignore[arg-type]

    def sums(self, role: Role, value: Int64Array) -> Int64Array:
        """Sum of a whole number of each entry (int64, in the order of `value`) over each payment's window, int64[n].

        Exact as long as every sum of a window is below 2^63, whatever the sum over all entries is.
        """
        first, last, slow = self._ranges[role]
        total = np.concatenate([[0], np.cumsum(value, dtype=np.int64)])
        found: Int64Array = total[last] - total[first]
        part = np.concatenate([[0], np.cumsum(value[slow.places], dtype=np.int64)])
        found[slow.rows] = np.diff(part[slow.ends])
        return found


def _slow(
    times: Int64Array, rows: Int64Array, first: Int64Array, last: Int64Array, begin: Int64Array, until: Int64Array
) -> _Slow:
    """Where payments came out of order: look at each entry."""
    places, ends = [], [0]
    for at in range(len(rows)):
        piece = times[first[at] : last[at]]
        inside = np.flatnonzero((piece >= begin[at]) & (piece <= until[at])) + first[at]
        places.append(inside)
        ends.append(ends[-1] + len(inside))
    return _Slow(rows, np.concatenate([np.zeros(0, np.int64), *places]), np.array(ends, np.int64))


def _pairs(*parts: _Entries) -> list[list[Int64Array]]:
    return [[getattr(part, name) for part in parts] for name in ("account", "time", "value")]


def _ranges(begin: Int64Array, length: Int64Array) -> Int64Array:
    """The places begin, begin + 1, ... of each range, one range after the other."""
    total = int(length.sum())
    shift = np.repeat(begin - np.concatenate([[0], np.cumsum(length)[:-1]]) if len(length) else begin, length)
    places: Int64Array = np.arange(total, dtype=np.int64) + shift
    return places
