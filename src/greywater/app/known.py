"""From which payment on a record that is not a payment counts as known: its place in ledger order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.stores.ports import Ledger
from greywater.vocab import Int64Array

__all__ = ["Horizons", "accounts_last_paid", "payments_dated"]

#: What `payments_dated` and `accounts_last_paid` answer where the ledger knows no such payment.
UNKNOWN = np.iinfo(np.int64).min

_BLOCK = 524_288


class Horizons:
    """Answers, for moments that never go back, after which seq a record known since then was recorded.

    For history loaded in bulk that is the greatest s with H(s) <= known_since, H(s) the greatest event time
    among seq <= s; -1 where even the first payment is later (SEMANTICS: Other records). The ledger is read
    once, forward, a batch at a time, however many moments are asked for.

    Parameters
    ----------
    ledger : Ledger
        The payments.
    start : int
        First seq to read. Every moment asked for must be no earlier than `horizon`.
    horizon : int or None
        H(start - 1), microseconds since 1970; None where start is 0.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> moments = pa.array([10, 30, 20, 40], pa.timestamp("us", tz="UTC"))
    >>> ledger = SimpleNamespace(next_seq=4, scan=lambda columns, start, batch_rows: [
    ...     pa.record_batch([moments.slice(start)], names=["event_time"])])
    >>> Horizons(ledger).after_seq(np.array([5, 10, 29, 30, 99])).tolist()
    [-1, 0, 0, 2, 3]
    """

    def __init__(self, ledger: Ledger, *, start: int = 0, horizon: int | None = None) -> None:
        self._batches = iter(ledger.scan(["event_time"], start=start, batch_rows=_BLOCK))
        self._reached = UNKNOWN if horizon is None else horizon
        self._first = start
        self._highest: Int64Array = np.empty(0, np.int64)
        self._ended = False

    def after_seq(self, known_since: Int64Array) -> Int64Array:
        """The greatest s with H(s) <= each moment.

        Parameters
        ----------
        known_since : int64[n]
            Microseconds since 1970, non-decreasing, and none before those of the last call.

        Returns
        -------
        int64[n]
        """
        answers = np.empty(len(known_since), dtype=np.int64)
        done = 0
        while done < len(known_since):
            stop = len(known_since)
            if not self._ended:
                stop = done + int(np.searchsorted(known_since[done:], self._reached, side="left"))
            if stop > done:
                within = np.searchsorted(self._highest, known_since[done:stop], side="right")
                answers[done:stop] = self._first + within - 1
                done = stop
            if done < len(known_since):
                self._advance()
        return answers

    def _advance(self) -> None:
        """Go one batch on; at the end of the ledger stay on the last one, whose last seq answers all that is left."""
        batch = next(self._batches, None)
        if batch is None:
            self._ended = True
            return
        times = batch.column(0).cast(pa.int64()).to_numpy()
        self._first += len(self._highest)
        highest = np.maximum.accumulate(times)
        self._highest = np.maximum(highest, self._reached)
        self._reached = int(self._highest[-1])


def payments_dated(ledger: Ledger, tx_ids: pa.Array) -> Int64Array:
    """Event time of each named payment, microseconds since 1970, by one pass over the ledger.

    Parameters
    ----------
    ledger : Ledger
        The payments.
    tx_ids : pa.Array
        n ids, nulls allowed.

    Returns
    -------
    int64[n]
        `UNKNOWN` where no such payment is recorded.
    """
    names, place = _distinct(tx_ids)
    times = np.full(len(names) + 1, UNKNOWN, dtype=np.int64)
    if len(names):
        for batch in ledger.scan(["tx_id", "event_time"], batch_rows=_BLOCK):
            found, dated = _matches(batch["tx_id"], batch["event_time"], names)
            times[found] = dated
    return times[place]


def accounts_last_paid(ledger: Ledger, accounts: pa.Array) -> Int64Array:
    """Event time of the last payment in which each account takes part, microseconds since 1970.

    Parameters
    ----------
    ledger : Ledger
        The payments.
    accounts : pa.Array
        n ids, nulls allowed.

    Returns
    -------
    int64[n]
        `UNKNOWN` where the account takes part in no recorded payment.
    """
    names, place = _distinct(accounts)
    times = np.full(len(names) + 1, UNKNOWN, dtype=np.int64)
    if len(names):
        for batch in ledger.scan(["sender", "receiver", "event_time"], batch_rows=_BLOCK):
            for party in ("sender", "receiver"):
                found, dated = _matches(batch[party], batch["event_time"], names)
                np.maximum.at(times, found, dated)
    return times[place]


def expected_ids(ledger: Ledger, spans: tuple[tuple[int, int], ...]) -> Iterator[pa.Array]:
    """Ids of the payments in ranges of seq, in order, a batch at a time."""
    for first, stop in spans:
        for batch in ledger.scan(["tx_id"], start=first, stop=stop):
            yield batch.column(0)


def _distinct(names: pa.Array) -> tuple[pa.Array, Int64Array]:
    """The different non-null names, and for each input the place of its name; nulls point past the end."""
    coded = names.dictionary_encode()
    place = coded.indices.fill_null(len(coded.dictionary)).to_numpy(zero_copy_only=False)
    return coded.dictionary, place.astype(np.int64)


def _matches(names: pa.Array, moments: pa.Array, wanted: pa.Array) -> tuple[Int64Array, Int64Array]:
    found = pc.index_in(names, value_set=wanted)
    hit = found.is_valid()
    places = found.filter(hit).to_numpy(zero_copy_only=False).astype(np.int64)
    return places, moments.filter(hit).cast(pa.int64()).to_numpy(zero_copy_only=False)
