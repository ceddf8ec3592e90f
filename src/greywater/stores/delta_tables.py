"""The other records of a project as Delta tables, one a name, append-only, as durable as the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from greywater.errors import GreywaterError, StoreDamagedError, StoreError
from greywater.stores.delta_log import LOG_FOLDER, versions
from greywater.stores.delta_parts import PartTable
from greywater.stores.durable import make_folder
from greywater.stores.lock import WriterLock
from greywater.stores.part_reader import pick_columns, scan_parts
from greywater.stores.ports import Finding
from greywater.stores.table_rules import check_name, check_transaction, conform_rows, is_name, storable_schema

__all__ = ["DeltaTables"]

APPLICATION: Final = "greywater.rows"
KEY_PREFIX: Final = "greywater.key."
MENDED_FOLDER: Final = "mended"
BATCH_ROWS: Final = 131_072


class DeltaTables:
    """Named tables, each a Delta table under `<folder>/<name>`.

    A table gets the schema of the rows written first. Several processes may append to one table: each append takes
    a lock of its own.

    Parameters
    ----------
    folder : Path
        The project's folder.
    read_only : bool
        Change nothing.
    wait_seconds : float
        How long an append waits for another one to the same table.
    """

    def __init__(self, folder: Path, *, read_only: bool = False, wait_seconds: float = 30.0) -> None:
        self.folder = folder
        self.read_only = read_only
        self.wait_seconds = wait_seconds
        self._tables: dict[str, PartTable] = {}
        self._mended: list[str] = []

    @property
    def mended(self) -> tuple[str, ...]:
        """What opening tables found broken and put right, in sentences."""
        return tuple(self._mended)

    def append(
        self, name: str, rows: pa.Table, *, transaction: str | None = None, meta: dict[str, Any] | None = None
    ) -> bool:
        """Add rows in one durable commit.

        Parameters
        ----------
        name : str
            Lower-case letters, digits and underscores.
        rows : pa.Table
            With the columns and types of the rows written first.
        transaction : str, optional
            A key: a second append under the same name and key does nothing and returns False.
        meta : dict, optional
            JSON values kept with the commit; `history` returns them.

        Returns
        -------
        bool
            False where the key was used before.

        Raises
        ------
        StoreError
            Nothing was recorded, or it is found recorded when the same call is made again with a key.
        """
        check_name(name)
        check_transaction(transaction)
        if self.read_only:
            raise StoreError("the tables were opened for reading only", where=str(self.folder))
        make_folder(self.folder)
        with WriterLock(self.folder, wait_seconds=self.wait_seconds, name=f"{name}.lock"):
            table = self._tables.pop(name, None)  # put back only when all went well, else it is opened anew
            if table is None:
                table = self._open_or_make(name, rows)
            else:
                table.refresh()
            rows = conform_rows(rows, table.schema, name)
            key = None if transaction is None else KEY_PREFIX + transaction
            if key is not None and table.committed(key):
                self._tables[name] = table
                return False
            if rows.num_rows or key is not None or not table.parts:
                encoded = table.encode(rows, {"transaction": transaction, "key": key, "meta": meta or {}})
                table.store(encoded)
                table.register(encoded, also=key)
                table.checkpoint()
            self._tables[name] = table
        return True

    def names(self) -> list[str]:
        """The tables that were ever written, sorted."""
        if not self.folder.is_dir():
            return []
        found = (path.parent.name for path in self.folder.glob(f"*/{LOG_FOLDER}"))
        return sorted(name for name in found if is_name(name) and self._table(name) is not None)

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """All rows in commit order, or None where nothing was ever written."""
        table = self._table(name)
        if table is None:
            return None
        schema = pick_columns(table.schema, columns, table.folder)
        batches = list(scan_parts(table.folder, table.parts, schema, 0, table.rows, BATCH_ROWS))
        return pa.Table.from_batches(batches, schema=schema)

    def scan(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The same, in batches; nothing where nothing was ever written."""
        table = self._table(name)
        if table is None:
            return iter(())
        schema = pick_columns(table.schema, columns, table.folder)
        return scan_parts(table.folder, tuple(table.parts), schema, 0, table.rows, BATCH_ROWS)

    def history(self, name: str) -> list[dict[str, Any]]:
        """What was committed, in order: `rows`, `transaction` and `meta` of each append."""
        table = self._table(name)
        marks = [table.footer(part) for part in table.parts] if table else []
        return [{field: mark.get(field) for field in ("rows", "transaction", "meta")} for mark in marks]

    def check(self) -> list[Finding]:
        """Verify the files' hashes and commits."""
        findings = []
        for path in sorted(self.folder.glob(f"*/{LOG_FOLDER}")):
            name = path.parent.name
            if not is_name(name):
                continue
            try:
                table = self._table(name)
            except GreywaterError as error:
                findings.append(Finding(error.where or str(path.parent), error.found, error.mend))
                continue
            if table is not None:
                findings += table.check()
        return findings

    def _table(self, name: str) -> PartTable | None:
        """The table as it stands now, or None where nothing was ever committed to it."""
        check_name(name)
        folder = self.folder / name
        if name in self._tables:
            self._tables[name].refresh()
        elif not versions(folder):
            return None
        elif self.read_only:
            self._tables[name] = self._open(name, None)
        else:
            with WriterLock(self.folder, wait_seconds=self.wait_seconds, name=f"{name}.lock"):
                try:
                    self._tables[name] = self._open(name, None)
                except StoreDamagedError:
                    if versions(folder):
                        raise
                    return None  # its only commit, which made it, was cut off and is set aside
        table = self._tables[name]
        return table if table.parts else None

    def _open_or_make(self, name: str, rows: pa.Table) -> PartTable:
        if versions(self.folder / name):
            try:
                return self._open(name, None)
            except StoreDamagedError:
                if versions(self.folder / name):
                    raise  # else the commit that made the table was cut off, before any row: it is made again
        schema = storable_schema(rows.schema, name)
        conform_rows(rows, schema, name)
        return self._open(name, schema)

    def _open(self, name: str, schema: pa.Schema | None) -> PartTable:
        table = PartTable(
            self.folder / name,
            schema,
            application=APPLICATION,
            aside=self.folder / MENDED_FOLDER / name,
            read_only=self.read_only,
        )
        if not self.read_only:
            table.set_orphans_aside()
            self._mended += table.mended
            table.mended.clear()
        return table
