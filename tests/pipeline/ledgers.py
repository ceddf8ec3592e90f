"""A ledger of made payments in memory, for the tests of drivers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from greywater.vocab import BALANCES, TRANSACTION_SCHEMA
from tests.features.payments import as_table, random_payments


class MadeLedger:
    """Holds a table of payments; counts the rows that were read."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.read = 0

    @property
    def next_seq(self) -> int:
        return int(self.table.num_rows)

    def scan(
        self,
        columns: Sequence[str] | None = None,
        *,
        start: int = 0,
        stop: int | None = None,
        batch_rows: int = 131_072,
    ) -> Iterator[pa.RecordBatch]:
        end = self.next_seq if stop is None else min(stop, self.next_seq)
        whole = self.table.select(list(columns or self.table.column_names))
        for begin in range(start, end, batch_rows):
            part = whole.slice(begin, min(batch_rows, end - begin)).combine_chunks()
            self.read += part.num_rows
            yield part.to_batches()[0]


def made_table(seed: int, n: int, **more: Any) -> pa.Table:
    """Random payments with ids and the time at which each was recorded: the latest event time so far."""
    payments = random_payments(seed, n, **more)
    table = as_table(payments)
    latest, recorded = payments[0].time if payments else 0, []
    for payment in payments:
        latest = max(latest, payment.time)
        recorded.append(latest)
    table = table.append_column("tx_id", pa.array([f"t{k}" for k in range(n)]))
    moments = pa.array(recorded, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    table = table.append_column("recorded_time", moments)
    table = table.append_column("reference", pa.nulls(n, pa.string()))
    for name in BALANCES:
        table = table.append_column(name, pa.nulls(n, pa.int64()))
    return table.select(TRANSACTION_SCHEMA.names)


def made_ledger(seed: int, n: int, **more: Any) -> Any:
    """A ledger of `made_table`."""
    return MadeLedger(made_table(seed, n, **more))
