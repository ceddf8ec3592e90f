"""Compiles every kernel of the engine into the cache, by taking a few payments through it, in both of its forms."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from greywater.config import Settings
from greywater.features.catalog import payments_v3
from greywater.features.engine import Engine
from greywater.features.exposure import KnownLaunderers
from greywater.kernels.compile import cache_folder, cache_is_cold
from greywater.vocab import TRANSACTION_SCHEMA

#: More than the engine's parallel form begins at, so that the serial and the parallel form both run.
ROWS = 1_500


def payments(rows: int) -> pa.Table:
    """Payments among a few accounts, now and then out of order."""
    generator = np.random.default_rng(3)
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    minutes = np.arange(rows) * 30 - generator.integers(0, 40_000, rows) * (generator.random(rows) < 0.05)
    times = [begin + timedelta(days=40, minutes=int(minute)) for minute in minutes]
    amounts = generator.integers(1, 100_000, rows)
    parties = generator.integers(0, 12, (2, rows)).astype(str)
    columns = {
        "tx_id": [f"t{number}" for number in range(rows)],
        "seq": range(rows),
        "event_time": times,
        "recorded_time": times,
        "sender": parties[0],
        "receiver": parties[1],
        "amount": amounts,
        "currency": ["USD"] * rows,
        "received_amount": amounts,
        "received_currency": ["USD"] * rows,
        "base_amount": amounts,
        "channel": ["wire"] * rows,
    }
    arrays = [pa.array(columns.get(field.name, [None] * rows), field.type) for field in TRANSACTION_SCHEMA]
    return pa.table(arrays, schema=TRANSACTION_SCHEMA)


def warm_up() -> float:
    """Seconds it took."""
    begun = time.perf_counter()
    table = payments(ROWS)
    features = payments_v3(Settings(), resolution_us=1)
    known = KnownLaunderers.of([("3", 0, 0, ROWS // 3, True)])
    whole = Engine(features, threads=2)
    whole.know(known)
    whole.process(table)
    half = Engine(features, threads=1)
    half.know(known)
    half.process(table.slice(0, ROWS // 2))
    again = Engine(features, threads=1)
    again.restore(half.snapshot())
    again.process(table.slice(ROWS // 2))
    assert again.next_seq == whole.next_seq == ROWS
    return time.perf_counter() - begun


if __name__ == "__main__":
    cold = cache_is_cold()
    seconds = warm_up()
    print(f"{'compiled' if cold else 'loaded'} the kernels in {seconds:.1f} s ({cache_folder().name})", file=sys.stderr)
