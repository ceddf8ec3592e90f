"""Blocks of made-up alerts: drawn side by side by threads and handed out in order, the same bits on any number."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.synth.alertbook_tables import ENTRIES, KINDS
from greywater.vocab import Float64Array, Int64Array

__all__ = ["ALERT_SCHEMA", "BLOCK", "TRANSACTION_SCHEMA", "AlertBlock", "in_order", "sorted_rows"]

#: Alerts a block; each block has a stream of random numbers of its own.
BLOCK: Final = 256

_WORDS: Final = pa.dictionary(pa.int8(), pa.string())
ALERT_SCHEMA: Final = pa.schema({"AlertID": pa.int64(), "Date": pa.date32(), "Outcome": _WORDS})
TRANSACTION_SCHEMA: Final = pa.schema(
    {"AlertID": pa.int64(), "Timestamp": pa.timestamp("s"), "Entry": _WORDS, "Type": _WORDS, "Size": pa.float64()}
)

_ROW_BITS: Final = 23
_TIME_BITS: Final = 32


@dataclass(frozen=True)
class AlertBlock:
    """Some alerts and their transactions, in order of alert and time.

    Parameters
    ----------
    first : int
        AlertID of the first alert; the others follow.
    day : int64[a]
        Dates, in days since 1970.
    reported : bool[a]
        Outcomes.
    alert : int32[n]
        Position of each transaction's alert in the block.
    seconds : int64[n]
        Seconds since 1970.
    cell : int8[n]
        Entry and type.
    size : float64[n]
        Standardised logarithm of the amount.
    """

    first: int
    day: Int64Array
    reported: NDArray[np.bool_]
    alert: NDArray[np.int32]
    seconds: Int64Array
    cell: NDArray[np.int8]
    size: Float64Array

    def upto(self, alerts: int) -> AlertBlock:
        """The first alerts only."""
        if alerts >= len(self.day):
            return self
        rows = int(np.searchsorted(self.alert, alerts))
        return AlertBlock(
            self.first, self.day[:alerts], self.reported[:alerts], self.alert[:rows], self.seconds[:rows],
            self.cell[:rows], self.size[:rows],
        )  # fmt: skip

    def alert_table(self) -> pa.Table:
        """AlertID, Date, Outcome."""
        columns = [
            pa.array(self.first + np.arange(len(self.day))),
            pa.array(self.day.astype(np.int32)).cast(pa.date32()),
            pa.DictionaryArray.from_arrays(self.reported.astype(np.int8), ["Dismiss", "Report"]),
        ]
        return pa.Table.from_arrays(columns, schema=ALERT_SCHEMA)

    def transaction_table(self) -> pa.Table:
        """AlertID, Timestamp, Entry, Type, Size."""
        columns = [
            pa.array(self.first + self.alert.astype(np.int64)),
            pa.array(self.seconds).cast(pa.timestamp("s")),
            pa.DictionaryArray.from_arrays(self.cell // np.int8(len(KINDS)), list(ENTRIES)),
            pa.DictionaryArray.from_arrays(self.cell % np.int8(len(KINDS)), list(KINDS)),
            pa.array(self.size),
        ]
        return pa.Table.from_arrays(columns, schema=TRANSACTION_SCHEMA)


def sorted_rows(alert: NDArray[np.int32], seconds: Int64Array) -> Int64Array:
    """The order by alert, time and place of the rows of one block.

    Examples
    --------
    >>> sorted_rows(np.array([1, 0, 0], np.int32), np.array([5, 9, 7])).tolist()
    [2, 1, 0]
    """
    if not len(seconds):
        return np.empty(0, np.int64)
    since = seconds - seconds.min()
    key = (alert.astype(np.int64) << (_ROW_BITS + _TIME_BITS)) | (since << _ROW_BITS) | np.arange(len(since))
    key.sort()
    order: Int64Array = key & ((1 << _ROW_BITS) - 1)
    return order


def in_order(draw: Callable[[int], AlertBlock], alerts: int, threads: int, *, ahead: int = 2) -> Iterator[AlertBlock]:
    """Draw blocks until there are so many alerts, several at a time, and hand them out in their order.

    Parameters
    ----------
    draw : callable
        Makes the block of a number; a block depends on nothing but its number.
    alerts : int
        How many alerts are wanted; the last block is cut.
    threads : int
        Blocks that are made at the same time.
    ahead : int
        Finished blocks that may wait for each thread.
    """
    blocks = -(-alerts // BLOCK)
    if threads <= 1:
        for number in range(blocks):
            yield draw(number).upto(alerts - number * BLOCK)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="alertbook") as pool:
        waiting: deque[Future[AlertBlock]] = deque()
        try:
            asked = 0
            for number in range(blocks):
                while asked < min(blocks, number + threads * ahead):
                    waiting.append(pool.submit(draw, asked))
                    asked += 1
                yield waiting.popleft().result().upto(alerts - number * BLOCK)
        finally:
            for unfinished in waiting:
                unfinished.cancel()
