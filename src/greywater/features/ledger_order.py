"""What the engine and the windows of accounts ask of payments: all columns, and each payment once, in ledger order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from greywater.errors import EngineError
from greywater.vocab import Int64Array

__all__ = ["int64", "times_in_order"]


def times_in_order(
    rows: pa.Table, columns: Sequence[str], next_seq: int, horizon: int
) -> tuple[Int64Array, Int64Array]:
    """Event times of the next payments, and the greatest event time up to each.

    Parameters
    ----------
    rows : pa.Table
        Payments with `seq` and `event_time`.
    columns : sequence of str
        What must be among their columns.
    next_seq : int
        The sequence number that the first of them must have.
    horizon : int
        Greatest event time before them, microseconds.

    Returns
    -------
    time, horizon : int64[n]
        Microseconds since 1970.

    Raises
    ------
    EngineError
        A column is missing, or a payment is missing, repeated or out of order.
    """
    missing = [name for name in columns if name not in rows.column_names]
    if missing:
        raise EngineError(f"the columns {', '.join(missing)} are missing", mend="give rows of the transaction table")
    seq = int64(rows.column("seq"))
    if not np.array_equal(seq, np.arange(next_seq, next_seq + len(seq))):
        found = f"{seq[0]}..{seq[-1]}" if len(seq) else "none"
        raise EngineError(
            f"payments {found} do not follow on",
            where=f"next seq {next_seq}",
            mend="process the ledger in order, each payment once",
        )
    time = int64(rows.column("event_time").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()))
    return time, np.maximum.accumulate(np.concatenate([[horizon], time]))[1:]


def int64(column: pa.Array | pa.ChunkedArray) -> Int64Array:
    """A column as int64[n]."""
    return np.ascontiguousarray(
        column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy(), np.int64
    )
