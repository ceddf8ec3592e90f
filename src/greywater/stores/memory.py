"""Ledger and tables in memory: the same behaviour as on disk, for tests, previews and notebooks."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import StoreError
from greywater.stores.admission import Limits, admit
from greywater.stores.fingerprints import UInt64Array
from greywater.stores.ledger_check import check_batch
from greywater.stores.part_reader import batches_of, pick_columns
from greywater.stores.ports import Appended, Finding, Unsequenced
from greywater.stores.table_rules import check_name, check_transaction, conform_rows, storable_schema
from greywater.vocab import TRANSACTION_SCHEMA, Int64Array

__all__ = ["MemoryLedger", "MemoryTables"]

PLACE = "memory:"


class MemoryLedger:
    """Payments held in memory under the rules of the ledger; gone with the process.

    Parameters
    ----------
    max_ahead_us, max_jump_us
        As for `DeltaLedger`.
    """

    def __init__(self, *, max_ahead_us: int, max_jump_us: int | None) -> None:
        self.mended: tuple[str, ...] = ()
        self._limits = Limits(max_ahead_us, max_jump_us)
        self._key = secrets.token_bytes(16)
        self._chunks: list[pa.Table] = []
        self._held: dict[bytes, tuple[int, bytes]] = {}
        self._horizon: int | None = None
        self._rows = 0

    @property
    def next_seq(self) -> int:
        """The sequence number the next recorded payment gets; dense from 0."""
        return self._rows

    @property
    def horizon(self) -> int | None:
        """H: the greatest event time recorded so far, microseconds since 1970; None when empty."""
        return self._horizon

    def append(self, chunk: Unsequenced) -> Appended:
        """Record a chunk; see `DeltaLedger.append`."""
        admission = admit(
            chunk.payments,
            next_seq=self._rows,
            horizon=self._horizon,
            limits=self._limits,
            lookup=self._lookup,
            key=self._key,
        )
        recorded = admission.appended.recorded
        for at, (key, content) in enumerate(zip(admission.keys, admission.contents, strict=True)):
            self._held[key.tobytes()] = (self._rows + at, content.tobytes())
        if recorded.num_rows:
            self._chunks.append(recorded)
            self._rows += recorded.num_rows
            self._horizon = admission.horizon
        return admission.appended

    def scan(
        self,
        columns: Sequence[str] | None = None,
        *,
        start: int = 0,
        stop: int | None = None,
        batch_rows: int = 131_072,
    ) -> Iterator[pa.RecordBatch]:
        """Recorded payments with start <= seq < stop, in seq order, in batches of exactly `batch_rows` but the last."""
        schema = pick_columns(TRANSACTION_SCHEMA, columns, PLACE)
        low, high = max(start, 0), self._rows if stop is None else min(stop, self._rows)
        whole = self._whole().select(schema.names).slice(low, max(high - low, 0))
        return batches_of(iter([whole] if whole.num_rows else []), schema, batch_rows)

    def take(self, seqs: Int64Array, columns: Sequence[str] | None = None) -> pa.Table:
        """The payments with these seq, in the order asked for."""
        schema = pick_columns(TRANSACTION_SCHEMA, columns, PLACE)
        wanted = np.asarray(seqs, np.int64)
        outside = wanted[(wanted < 0) | (wanted >= self._rows)]
        if len(outside):
            raise StoreError(f"there is no row {outside[0]}", where=PLACE, mend=f"ask for rows 0 to {self._rows - 1}")
        return self._whole().select(schema.names).take(pa.array(wanted))

    def payments_of(self, accounts: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
        """The payments that any of these accounts sent or received, in seq order."""
        schema = pick_columns(TRANSACTION_SCHEMA, columns, PLACE)
        whole, wanted = self._whole(), pa.array(sorted(set(accounts)), pa.string())
        named = pc.or_(pc.is_in(whole["sender"], value_set=wanted), pc.is_in(whole["receiver"], value_set=wanted))
        return whole.filter(named).select(schema.names)

    def file_uris(self) -> list[str]:
        """No files: the ledger is in memory."""
        return []

    def check(self) -> list[Finding]:
        """Verify numbers, amounts and times; an empty list means all is well."""
        findings = []
        at = 0
        for chunk in self._chunks:
            found = check_batch(chunk, at)
            if found:
                findings.append(Finding(PLACE, found, "record the source files again"))
            at += chunk.num_rows
        return findings

    def close(self) -> None:
        """Nothing to close; the payments stay readable."""

    def _whole(self) -> pa.Table:
        if len(self._chunks) > 1:
            self._chunks = [pa.concat_tables(self._chunks).combine_chunks()]
        return self._chunks[0] if self._chunks else TRANSACTION_SCHEMA.empty_table()

    def _lookup(self, keys: UInt64Array) -> tuple[Int64Array, UInt64Array]:
        seqs = np.full(len(keys), -1, np.int64)
        contents = np.zeros((len(keys), 2), np.uint64)
        for row, key in enumerate(keys):
            held = self._held.get(key.tobytes())
            if held is not None:
                seqs[row] = held[0]
                contents[row] = np.frombuffer(held[1], np.uint64)
        return seqs, contents

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass
class _Table:
    schema: pa.Schema
    pieces: list[pa.Table] = field(default_factory=list)
    transactions: set[str] = field(default_factory=set)
    history: list[dict[str, Any]] = field(default_factory=list)


class MemoryTables:
    """The other records of a project, held in memory; gone with the process."""

    def __init__(self) -> None:
        self.mended: tuple[str, ...] = ()
        self._tables: dict[str, _Table] = {}

    def append(
        self, name: str, rows: pa.Table, *, transaction: str | None = None, meta: dict[str, Any] | None = None
    ) -> bool:
        """Add rows; see `DeltaTables.append`."""
        check_name(name)
        check_transaction(transaction)
        table = self._tables.get(name)
        if table is None:
            table = _Table(storable_schema(rows.schema, name))
        rows = conform_rows(rows, table.schema, name)
        if transaction is not None and transaction in table.transactions:
            return False
        if rows.num_rows or transaction is not None or name not in self._tables:
            table.pieces.append(rows)
            table.history.append(
                {"rows": rows.num_rows, "transaction": transaction, "meta": json.loads(json.dumps(meta or {}))}
            )
        if transaction is not None:
            table.transactions.add(transaction)
        self._tables[name] = table
        return True

    def names(self) -> list[str]:
        """The tables that were ever written, sorted."""
        return sorted(self._tables)

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """All rows in commit order, or None where nothing was ever written."""
        check_name(name)
        table = self._tables.get(name)
        if table is None:
            return None
        return pa.concat_tables(table.pieces).select(pick_columns(table.schema, columns, name).names)

    def scan(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The same, in batches; nothing where nothing was ever written."""
        check_name(name)
        table = self._tables.get(name)
        if table is None:
            return iter(())
        schema = pick_columns(table.schema, columns, name)
        return batches_of((piece.select(schema.names) for piece in table.pieces if piece.num_rows), schema, 131_072)

    def history(self, name: str) -> list[dict[str, Any]]:
        """What was committed, in order: `rows`, `transaction` and `meta` of each append."""
        check_name(name)
        table = self._tables.get(name)
        return [dict(entry) for entry in table.history] if table else []

    def check(self) -> list[Finding]:
        """Nothing can be wrong with what is in memory."""
        return []
