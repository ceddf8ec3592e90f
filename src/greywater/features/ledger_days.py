"""Payments in ledger order by the UTC day they run in: what columns read that are made anew when a day begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from greywater.features.dictionary import AccountDictionary
from greywater.features.exposure import KnownLaunderers
from greywater.vocab import Int64Array

__all__ = ["DAY_US", "KnownMoments", "day_stretches", "party_codes"]

DAY_US: Final = 86_400_000_000


@dataclass(frozen=True)
class KnownMoments:
    """Rows about known launderers, those of one account and source together and in order of time.

    Examples
    --------
    >>> known = KnownMoments.of(KnownLaunderers.of([("a", -2, 0, -1, True), ("a", -2, 9, -1, False)]))
    >>> known.at(8, seq=0), known.at(9, seq=0)
    (['a'], [])
    """

    account: pa.Array
    since: Int64Array
    after: Int64Array
    launderer: np.ndarray
    group: Int64Array

    @classmethod
    def of(cls, known: KnownLaunderers) -> KnownMoments:
        """Those of records in any order."""
        codes = known.account.dictionary_encode()
        account = codes.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        order = np.lexsort((np.arange(len(known)), known.known_since_us, known.source, account))
        new = np.ones(len(order), np.bool_)
        if len(order):
            new[1:] = (np.diff(account[order]) != 0) | (np.diff(known.source[order]) != 0)
        return cls(
            known.account.take(pa.array(order)),
            known.known_since_us[order],
            known.after_seq[order],
            known.launderer[order],
            np.cumsum(new),
        )

    def at(self, moment: int, seq: int) -> list[str]:
        """The known launderers that payment `seq` would see at a moment, each once."""
        seen = np.flatnonzero((self.since <= moment) & (self.after < seq))
        last = seen[np.append(np.diff(self.group[seen]) != 0, True)] if len(seen) else seen
        found: list[str] = self.account.take(pa.array(last[self.launderer[last]])).unique().to_pylist()
        return found


def day_stretches(day: Int64Array, before: int | None) -> list[tuple[int, int, bool]]:
    """Rows [begin, end) of payments that share a running day, the latest up to them, and whether that day is new.

    Parameters
    ----------
    day : int64[n]
        Of each payment.
    before : int or None
        The running day before the first of them; None = there was none.

    Examples
    --------
    >>> day_stretches(np.array([4, 4, 3, 6, 5]), 4)
    [(0, 3, False), (3, 5, True)]
    """
    if not len(day):
        return []
    latest = int(day[0]) - 1 if before is None else before
    running = np.maximum(np.maximum.accumulate(day), latest)
    new = np.diff(running, prepend=latest) > 0
    edges = np.flatnonzero(new)
    starts = [0, *(int(edge) for edge in edges if edge)]
    return [(begin, end, bool(new[begin])) for begin, end in zip(starts, [*starts[1:], len(day)], strict=True)]


def party_codes(names: AccountDictionary, payments: pa.RecordBatch) -> tuple[Int64Array, Int64Array]:
    """Numbers of senders and receivers int64[n], in order of first appearance whatever the pieces."""
    both = [payments.column(role).cast(pa.string()) for role in ("sender", "receiver")]
    places = np.arange(2 * payments.num_rows).reshape(2, -1).T.ravel()
    codes = names.encode(pa.concat_arrays(both).take(pa.array(places))).astype(np.int64)
    return codes[::2], codes[1::2]
