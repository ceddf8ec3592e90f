"""What the rest of Greywater asks of a store, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from greywater.vocab import Int64Array

__all__ = ["Appended", "Finding", "Ledger", "Tables", "Unsequenced"]


@dataclass(frozen=True)
class Unsequenced:
    """Payments on their way into the ledger, in the order in which they are to be recorded.

    `payments` has TRANSACTION_SCHEMA without `seq`, plus `file` (dictionary or string) and `row` (int64),
    which say where a rejected one came from.
    """

    payments: pa.Table


@dataclass(frozen=True)
class Appended:
    """What became of a chunk: how many were recorded, how many were known, which were refused.

    `recorded` has TRANSACTION_SCHEMA; `kept` bool per offered row, True where recorded;
    `known` bool per offered row, True where the ledger held the same payment already.
    """

    recorded: pa.Table
    kept: pa.Array
    known: pa.Array
    rejected: pa.Table

    @property
    def duplicate(self) -> int:
        """Number of payments that the ledger held already."""
        return int(self.known.true_count)


@dataclass(frozen=True)
class Finding:
    """One thing that `check` found wrong, and how to mend it."""

    where: str
    found: str
    mend: str


class Ledger(Protocol):
    """Payments, recorded once, in order, never lost."""

    @property
    def next_seq(self) -> int:
        """The sequence number the next recorded payment gets; dense from 0."""
        ...

    @property
    def horizon(self) -> int | None:
        """H: the greatest event time recorded so far, microseconds since 1970; None when empty."""
        ...

    def append(self, chunk: Unsequenced) -> Appended:
        """Record a chunk in one commit. When this returns, the rows survive a kill and a power cut."""
        ...

    def scan(
        self,
        columns: Sequence[str] | None = None,
        *,
        start: int = 0,
        stop: int | None = None,
        batch_rows: int = 131_072,
    ) -> Iterator[pa.RecordBatch]:
        """Recorded payments with start <= seq < stop, in seq order, in batches of exactly `batch_rows` but the last."""
        ...

    def take(self, seqs: Int64Array, columns: Sequence[str] | None = None) -> pa.Table:
        """The payments with these seq, in the order asked for."""
        ...

    def payments_of(self, accounts: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
        """The payments that any of these accounts sent or received, in seq order."""
        ...

    def check(self) -> list[Finding]:
        """Verify hashes, order, density and counts; an empty list means all is well."""
        ...


class Tables(Protocol):
    """The other records of a project (labels, parties, rejected rows, files...), append-only, one schema each."""

    def append(
        self, name: str, rows: pa.Table, *, transaction: str | None = None, meta: dict[str, Any] | None = None
    ) -> bool:
        """Add rows in one durable commit. With `transaction`, a second append under the same name and key does
        nothing and returns False."""
        ...

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """All rows in commit order, or None where nothing was ever written."""
        ...

    def scan(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The same, in batches."""
        ...

    def check(self) -> list[Finding]:
        """Verify the files' hashes and commits."""
        ...
