"""Small files of payments, a store to record them in, and a look at what a project holds."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from greywater.app.ingest import IngestRequest, IngestResult, ingest
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.vocab import Actor, Progress

COLUMNS = ("tx_id", "event_time", "sender", "receiver", "amount", "currency", "label", "typology")


@dataclass(frozen=True)
class Desk:
    """A folder with files and a store, and short words for what the tests do with them."""

    folder: Path
    settings: Settings

    def file(self, name: str, rows: Sequence[Sequence[Any]], columns: Sequence[str] = COLUMNS) -> Path:
        """Write a CSV file; a short row lacks its last columns."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as target:
            writer = csv.writer(target)
            writer.writerow(columns)
            writer.writerows([*row, *[""] * (len(columns) - len(row))] for row in rows)
        return path

    def ingest(self, *paths: Path, progress: Progress | None = None, **more: Any) -> IngestResult:
        """Record files; words that are settings change them."""
        changes = {name: more.pop(name) for name in list(more) if hasattr(self.settings, name)}
        request = IngestRequest(paths, **more)
        return ingest(Actor(), self.settings.with_(**changes), request, progress)

    def ledger(self, *columns: str) -> dict[str, list[Any]]:
        """Columns of all payments in seq order."""
        with open_project(self.settings, Actor()) as project:
            schema = [*columns]
            batches = list(project.ledger.scan(schema))
            return pa.Table.from_batches(batches).to_pydict() if batches else {name: [] for name in columns}

    def table(self, name: str) -> list[dict[str, Any]]:
        """Rows of a table; none where it was never written."""
        with open_project(self.settings, Actor()) as project:
            found = project.tables.read(name)
            return [] if found is None else found.to_pylist()

    def state(self) -> dict[str, Any]:
        """All that a project holds, without the moments at which it was recorded."""
        volatile = {"recorded_time"}
        with open_project(self.settings, Actor()) as project:
            batches = list(project.ledger.scan())
            payments = pa.Table.from_batches(batches).to_pylist() if batches else []
            held: dict[str, Any] = {"ledger": payments}
            for name in ("labels", "accounts", "parties", "relationships", "seeds", "rejected", "files"):
                found = project.tables.read(name)
                held[name] = [] if found is None else found.to_pylist()
            held["unfinished"] = project.file.unfinished
            held["base_currency"] = project.file.base_currency
        return {
            name: [{key: value for key, value in row.items() if key not in volatile} for row in rows]
            if isinstance(rows, list)
            else rows
            for name, rows in held.items()
        }


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, Settings(store=tmp_path / "store", chunk_rows=64, threads=1, sort_memory_mb=128))


@pytest.fixture
def make_desk(tmp_path: Path) -> Callable[[str], Desk]:
    def make(name: str) -> Desk:
        settings = Settings(store=tmp_path / name / "store", chunk_rows=64, threads=1, sort_memory_mb=128)
        return Desk(tmp_path / name, settings)

    return make
