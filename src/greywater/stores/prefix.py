"""A ledger and tables as they were: the first payments and the first rows of each table, and nothing later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import StoreError
from greywater.stores.ports import Appended, Finding, Ledger, Tables, Unsequenced
from greywater.vocab import Int64Array

__all__ = ["LedgerPrefix", "TablesPrefix"]


class LedgerPrefix:
    """The payments of a ledger with seq < stop, for reading.

    Parameters
    ----------
    ledger : Ledger
    stop : int
        At most the ledger's `next_seq`.

    Raises
    ------
    StoreError
        The ledger holds fewer payments.
    """

    def __init__(self, ledger: Ledger, stop: int) -> None:
        if stop > ledger.next_seq:
            raise StoreError(
                f"the ledger holds {ledger.next_seq:,} payments, not {stop:,}",
                mend="name the store and project in which they were recorded",
            )
        self._ledger = ledger
        self._stop = stop

    @property
    def next_seq(self) -> int:
        """How many payments it has."""
        return self._stop

    @cached_property
    def horizon(self) -> int | None:
        """The greatest event time among them, microseconds since 1970; None when empty."""
        if self._stop == self._ledger.next_seq:
            return self._ledger.horizon
        latest = [
            int(pc.max(batch.column(0).cast(pa.int64())).as_py())
            for batch in self.scan(["event_time"])
            if batch.num_rows
        ]
        return max(latest, default=None)

    def append(self, chunk: Unsequenced) -> Appended:
        """Refused: the past does not grow."""
        raise StoreError("this is the ledger as it was", mend="record payments: greywater ingest PATH")

    def scan(
        self,
        columns: Sequence[str] | None = None,
        *,
        start: int = 0,
        stop: int | None = None,
        batch_rows: int = 131_072,
    ) -> Iterator[pa.RecordBatch]:
        """As of the ledger, ending at `stop` or before."""
        end = self._stop if stop is None else min(stop, self._stop)
        return self._ledger.scan(columns, start=start, stop=end, batch_rows=batch_rows)

    def take(self, seqs: Int64Array, columns: Sequence[str] | None = None) -> pa.Table:
        """As of the ledger; a later payment is not there."""
        if len(seqs) and int(np.max(seqs)) >= self._stop:
            raise StoreError(f"payment {int(np.max(seqs)):,} was recorded later", mend="ask for an earlier one")
        return self._ledger.take(seqs, columns)

    def payments_of(self, accounts: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
        """As of the ledger, without later ones."""
        wanted = None if columns is None else list(dict.fromkeys([*columns, "seq"]))
        found = self._ledger.payments_of(accounts, wanted)
        found = found.filter(pc.less(found["seq"], self._stop))
        return found if columns is None else found.select(list(columns))

    def check(self) -> list[Finding]:
        """As of the whole ledger."""
        return self._ledger.check()


class TablesPrefix:
    """The first rows of each table, for reading; a table that is not named has none.

    Parameters
    ----------
    tables : Tables
    rows : mapping
        Table -> how many.
    """

    def __init__(self, tables: Tables, rows: Mapping[str, int]) -> None:
        self._tables = tables
        self._rows = dict(rows)

    def append(
        self, name: str, rows: pa.Table, *, transaction: str | None = None, meta: dict[str, Any] | None = None
    ) -> bool:
        """Refused: the past does not grow."""
        raise StoreError("these are the tables as they were", where=f"table {name}", mend="record it in the project")

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """The first rows in commit order; None where there was none."""
        most = self._rows.get(name, 0)
        found = self._tables.read(name, columns) if most else None
        return None if found is None else found.slice(0, most)

    def scan(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The same, in batches."""
        left = self._rows.get(name, 0)
        for batch in self._tables.scan(name, columns) if left else ():
            yield batch.slice(0, left)
            left -= batch.num_rows
            if left <= 0:
                return

    def check(self) -> list[Finding]:
        """As of the whole tables."""
        return self._tables.check()
