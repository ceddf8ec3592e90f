"""Rows of a feature group handed out day by day, the pieces of a day merged into one order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from greywater.stores.feature_ports import EVENT_TIME, microseconds
from greywater.stores.offline_rows import COMMIT, KEY_HIGH, KEY_LOW, in_order

__all__ = ["NEEDED", "batches", "is_sorted", "merged"]

BATCH_ROWS: Final = 131_072
#: Columns without which rows cannot be put in order.
NEEDED: Final = (EVENT_TIME, COMMIT, KEY_HIGH, KEY_LOW)


def merged(pieces: Sequence[pa.Table]) -> pa.Table:
    """Sorted pieces as one table in order of (key hash, event time, commit).

    Parameters
    ----------
    pieces : sequence of pa.Table
        Each sorted, with the columns NEEDED; a later piece holds later commits.
    """
    whole = pa.concat_tables(pieces)
    if len(pieces) < 2:
        return whole
    high, low = whole[KEY_HIGH].to_numpy(), whole[KEY_LOW].to_numpy()
    return whole.combine_chunks().take(pa.array(in_order(high, low, microseconds(whole[EVENT_TIME]))))


def batches(
    days: Iterable[Sequence[pa.Table]], schema: pa.Schema, start_us: int | None, stop_us: int | None, upto: int | None
) -> Iterator[pa.RecordBatch]:
    """The pieces of each day merged, cut to [start, stop) and to commits not after `upto`, columns as asked for."""
    for pieces in days:
        table = merged(pieces)
        keep = np.ones(table.num_rows, np.bool_)
        if start_us is not None or stop_us is not None:
            event = microseconds(table[EVENT_TIME])
            if start_us is not None:
                keep &= event >= start_us
            if stop_us is not None:
                keep &= event < stop_us
        if upto is not None:
            keep &= table[COMMIT].to_numpy() <= upto
        table = table.select(schema.names)
        if not keep.all():
            table = table.filter(pa.array(keep))
        for at in range(0, table.num_rows, BATCH_ROWS):
            part = table.slice(at, BATCH_ROWS).combine_chunks()
            yield pa.RecordBatch.from_arrays([column.chunk(0) for column in part.columns], schema=schema)


def is_sorted(rows: pa.Table) -> bool:
    """Whether rows with the columns NEEDED are in order of (key hash, event time, commit).

    Examples
    --------
    >>> moment = pa.array([5, 4], pa.timestamp("us", tz="UTC"))
    >>> is_sorted(pa.table({"event_time": moment, "commit": [0, 0], "key_high": [1, 1], "key_low": [2, 2]}))
    False
    """
    columns = [rows[name].to_numpy() for name in (KEY_HIGH, KEY_LOW)]
    columns += [microseconds(rows[EVENT_TIME]), rows[COMMIT].to_numpy()]
    before = np.zeros(max(rows.num_rows - 1, 0), np.bool_)
    equal = np.ones_like(before)
    for column in columns:
        before |= equal & (column[1:] > column[:-1])
        equal &= column[1:] == column[:-1]
    return bool((before | equal).all())
