"""A process that appends to a feature group, for tests that end it at any moment or run many of it at once."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from greywater.stores.feature_ports import GroupLayout
from greywater.stores.open import open_offline

LAYOUT = GroupLayout("credit", 1, ("customer",), pa.schema([("writer", pa.int64()), ("score", pa.float64())]))
DAY = 86_400_000_000
BEGIN = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


def rows(writer: int, number: int, count: int = 30) -> pa.Table:
    """The rows of one append, over three days."""
    chance = np.random.default_rng([writer, number])
    moment = pa.array(BEGIN + chance.integers(0, 3 * DAY, count), pa.timestamp("us", tz="UTC"))
    return pa.table(
        {
            "customer": [f"c{int(one)}" for one in chance.integers(0, 20, count)],
            "event_time": moment,
            "known_time": moment,
            "writer": np.full(count, writer),
            "score": chance.random(count),
        }
    )


def write(store: Any, writer: int, appends: int) -> None:
    """Append, each under a transaction of its own; merge now and then."""
    store.create(LAYOUT)
    for number in range(appends):
        store.append("credit", 1, rows(writer, number), transaction=f"{writer}.{number}")
        if number % 8 == 5:
            store.compact("credit", 1)


def main(folder: str, writer: int, appends: int) -> None:
    """Write; with DIE_AT=k the process ends, as by a power cut, at the k-th wait for the disk."""
    at, count, fsync = int(os.environ.get("DIE_AT", "0")), 0, os.fsync

    def counted(handle: int) -> None:
        nonlocal count
        count += 1
        if count == at:
            os._exit(137)
        fsync(handle)

    os.fsync = counted
    write(open_offline(f"delta:{folder}"), writer, appends)
    if "TELL" in os.environ:
        Path(os.environ["TELL"]).write_text(str(count))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
