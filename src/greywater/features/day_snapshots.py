"""Columns that payments see from snapshots: the graph of all payments before a day, made anew as days begin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from greywater.features.dictionary import AccountDictionary
from greywater.features.feature import Feature
from greywater.features.ledger_days import DAY_US, day_stretches, party_codes
from greywater.vocab import Float64Array, Int64Array

__all__ = ["DaySnapshots", "OfDay"]

#: Parties' codes are int32, so a pair fits one number.
_SHIFT: Final = 32
#: A new day makes a snapshot where since the last one so many payments came for each link, or days passed.
NEW_PER_LINK: Final = 0.25
MOST_DAYS: Final = 7


class OfDay(Protocol):
    """What was taken as of the beginning of a UTC day."""

    @property
    def day(self) -> int:
        """Days since 1970."""
        ...


Kept = TypeVar("Kept", bound=OfDay)


class DaySnapshots(ABC, Generic[Kept]):
    """A PaymentJoin whose columns come of snapshots of the graph of payments between the bank's own accounts.

    When the first payment of a later day than any before it comes, and since the last snapshot a quarter as many
    payments came as there are links, or seven days passed, a snapshot is taken: of all payments before it in the
    ledger, whose event times then lie before that day. Payments see the last snapshot up to their own day, NaN where
    that is no longer kept, so no value depends on the pieces in which payments come.

    Parameters
    ----------
    keep_days : int
        Days of lateness up to which earlier snapshots are kept.
    """

    #: What it offers, in order; of int64 ones -1 = not known.
    features: ClassVar[tuple[Feature, ...]]

    def __init__(self, keep_days: int) -> None:
        self._names = AccountDictionary()
        self._keys = np.zeros(0, np.int64)
        self._amounts = np.zeros(0, np.int64)
        self._pending: list[tuple[Int64Array, Int64Array]] = []
        self._new = 0
        #: The latest day that a payment came of.
        self._day: int | None = None
        self._seen = 0
        self._kept: deque[Kept] = deque()
        self._keep_days = keep_days

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(feature.name for feature in self.features)

    @abstractmethod
    def _weights(self, payments: pa.RecordBatch) -> Int64Array:
        """What each payment adds to the weight of its link, int64[n]."""

    @abstractmethod
    def _snapshot(self, day: int, seq: int) -> Kept:
        """Of all links so far, as of the beginning of a day that comes with payment `seq`."""

    @abstractmethod
    def _answer(self, kept: Kept, sender: Int64Array, receiver: Int64Array) -> tuple[Float64Array, ...]:
        """The columns of payments that see a snapshot."""

    def columns(self, payments: pa.RecordBatch) -> list[pa.Array]:
        """The columns of the next payments, n rows each."""
        time = np.asarray(payments.column("event_time").cast(pa.int64()).to_numpy(), np.int64)
        seq = np.asarray(payments.column("seq").to_numpy(), np.int64)
        weight = self._weights(payments)
        sender, receiver = party_codes(self._names, payments)
        inside = ~(self._names.external[sender] | self._names.external[receiver])
        day = time // DAY_US
        found = np.zeros((len(self.features), len(seq)))
        for begin, end, first in day_stretches(day, self._day):
            if first:
                self._begin(int(day[begin]), int(seq[begin]))
            piece = slice(begin, end)
            self._look_up(day[piece], sender[piece], receiver[piece], found[:, piece])
            mine = inside[piece]
            self._pending.append(((sender[piece] << _SHIFT | receiver[piece])[mine], weight[piece][mine]))
            self._new += int(mine.sum())
            self._seen = max(self._seen, int(sender[piece].max()) + 1, int(receiver[piece].max()) + 1)
        return [
            pa.array(column if feature.dtype == "float64" else np.where(np.isnan(column), -1, column).astype(np.int64))
            for feature, column in zip(self.features, found, strict=True)
        ]

    def _links(self) -> tuple[Any, Any, Float64Array]:
        """The links so far: source int32[m], target int32[m] and weight float64[m]."""
        source, target = (self._keys >> _SHIFT).astype(np.int32), (self._keys & 0xFFFF_FFFF).astype(np.int32)
        return source, target, np.maximum(self._amounts, 0).astype(np.float64)

    def _begin(self, day: int, seq: int) -> None:
        """A later day has come with payment `seq`."""
        self._day = day
        stale = not self._kept or day - self._kept[-1].day >= MOST_DAYS
        if not stale and self._new < NEW_PER_LINK * len(self._keys):
            return
        self._absorb()
        self._kept.append(self._snapshot(day, seq))
        while len(self._kept) > 1 and self._kept[1].day <= day - self._keep_days:
            self._kept.popleft()

    def _absorb(self) -> None:
        if not self._pending:
            return
        keys, places = np.unique(np.concatenate([part[0] for part in self._pending]), return_inverse=True)
        sums = np.zeros(len(keys), np.int64)
        np.add.at(sums, places, np.concatenate([part[1] for part in self._pending]))
        self._pending.clear()
        self._new = 0
        at = np.searchsorted(self._keys, keys)
        there = at < len(self._keys)
        there[there] = self._keys[at[there]] == keys[there]
        self._amounts[at[there]] += sums[there]
        self._keys = np.insert(self._keys, at[~there], keys[~there])
        self._amounts = np.insert(self._amounts, at[~there], sums[~there])

    def _look_up(self, day: Int64Array, sender: Int64Array, receiver: Int64Array, out: Float64Array) -> None:
        which = np.searchsorted([kept.day for kept in self._kept], day, side="right") - 1
        out[:, which < 0] = np.nan
        for place, kept in enumerate(self._kept):
            mine = np.flatnonzero(which == place)
            if len(mine):
                for column, values in enumerate(self._answer(kept, sender[mine], receiver[mine])):
                    out[column, mine] = values
