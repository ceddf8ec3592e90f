"""Feature groups held in memory; gone with the process."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from greywater.errors import StoreError
from greywater.stores.feature_ports import EVENT_TIME, KNOWN_TIME, GroupCommit, GroupLayout, SortedRun, microseconds
from greywater.stores.offline_rows import (
    COMMIT,
    KEY_HIGH,
    KEY_LOW,
    OWN_COLUMNS,
    DayRows,
    check_layout,
    conform,
    folder_name,
    no_such_group,
    pick_visible,
    plain_meta,
    prepared_rows,
    split_days,
    stored_schema,
)  # fmt: skip
from greywater.stores.offline_scan import batches, merged
from greywater.stores.ports import Finding
from greywater.stores.table_rules import check_transaction
from greywater.vocab import Int64Array

__all__ = ["MemoryOffline", "MemoryRun"]


class MemoryRun:
    """Rows of one day as a `SortedRun`."""

    def __init__(self, rows: pa.Table) -> None:
        self._table = rows
        self.rows: int = rows.num_rows
        self.event_us: Int64Array = microseconds(rows[EVENT_TIME])
        self.known_us: Int64Array = microseconds(rows[KNOWN_TIME])
        self.key_high: Int64Array = rows[KEY_HIGH].to_numpy()
        self.key_low: Int64Array = rows[KEY_LOW].to_numpy()
        self.least_event_us = int(self.event_us.min())
        self.greatest_event_us = int(self.event_us.max())
        commits = rows[COMMIT].to_numpy()
        self.commit: Int64Array | int = int(commits[0]) if commits[0] == commits[-1] == commits.max() else commits

    @property
    def key(self) -> Int64Array:
        """int64[n, 2], sorted."""
        return np.column_stack([self.key_high, self.key_low])

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Feature or key columns of all rows, in the order of the run."""
        return self._table.select(list(names))


@dataclass
class _Group:
    layout: GroupLayout
    days: dict[int, list[pa.Table]] = field(default_factory=dict)
    commits: list[GroupCommit] = field(default_factory=list)
    transactions: set[str] = field(default_factory=set)


class MemoryOffline:
    """Groups of features with their whole past, held in memory."""

    def __init__(self) -> None:
        self.mended: tuple[str, ...] = ()
        self._groups: dict[tuple[str, int], _Group] = {}

    def create(self, layout: GroupLayout) -> None:
        """Make a version of a group; see `DeltaOffline.create`."""
        check_layout(layout)
        held = self._groups.setdefault((layout.name, layout.version), _Group(layout))
        if held.layout != layout:
            raise StoreError(
                "the group exists with another layout",
                where=folder_name(layout.name, layout.version),
                mend="give the new layout a new version",
            )

    def layout(self, name: str, version: int) -> GroupLayout | None:
        """Its layout, or None where it does not exist."""
        held = self._groups.get((name, version))
        return held.layout if held else None

    def versions(self) -> list[tuple[str, int]]:
        """All groups and versions, sorted."""
        return sorted(self._groups)

    def append(
        self,
        name: str,
        version: int,
        rows: pa.Table,
        *,
        transaction: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> GroupCommit | None:
        """Add rows in one commit; see `DeltaOffline.append`."""
        check_transaction(transaction)
        held = self._held(name, version)
        if transaction is not None and transaction in held.transactions:
            return None
        told, rows = plain_meta(meta), conform(rows, held.layout)
        number = len(held.commits)
        split: list[DayRows] = list(split_days(rows, held.layout, number))
        digest = hashlib.sha256()
        for day in split:
            held.days.setdefault(day.day, []).append(day.rows)
            for batch in day.rows.to_batches():
                digest.update(batch.serialize())
        done = GroupCommit(number, rows.num_rows, int(time.time() * 1e6), transaction, digest.hexdigest(), told)
        held.commits.append(done)
        if transaction is not None:
            held.transactions.add(transaction)
        return done

    def adopt(
        self,
        name: str,
        version: int,
        files: Sequence[Path],
        *,
        transaction: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> GroupCommit | None:
        """Add the rows of Parquet files in one commit; see `DeltaOffline.adopt`."""
        held = self._held(name, version)
        tables = [conform(prepared_rows(path), held.layout) for path in files]
        rows = (
            pa.concat_tables(tables)
            if tables
            else stored_schema(held.layout).empty_table().drop_columns(list(OWN_COLUMNS))
        )
        return self.append(name, version, rows, transaction=transaction, meta=meta)

    def commits(self, name: str, version: int) -> list[GroupCommit]:
        """What was appended, oldest first."""
        return list(self._held(name, version).commits)

    def runs(
        self, name: str, version: int, *, start_us: int | None = None, stop_us: int | None = None,
        as_of_commit: int | None = None,
    ) -> list[SortedRun]:  # fmt: skip
        """The runs that may hold event times in [start, stop), greatest event time first."""
        found: list[SortedRun] = []
        for pieces in self._held(name, version).days.values():
            for piece in pieces:
                kept = piece if as_of_commit is None else piece.filter(pa.array(_upto(piece, as_of_commit)))
                if kept.num_rows == 0:
                    continue
                run = MemoryRun(kept.combine_chunks())
                if (stop_us is None or run.least_event_us < stop_us) and (
                    start_us is None or run.greatest_event_us >= start_us
                ):
                    found.append(run)
        return sorted(found, key=lambda run: -run.greatest_event_us)

    def scan(
        self, name: str, version: int, columns: Sequence[str] | None = None, *, start_us: int | None = None,
        stop_us: int | None = None, as_of_commit: int | None = None,
    ) -> Iterator[pa.RecordBatch]:  # fmt: skip
        """Rows with event times in [start, stop); see `DeltaOffline.scan`."""
        held = self._held(name, version)
        schema = pick_visible(held.layout, columns)
        days = [list(held.days[day]) for day in sorted(held.days)]
        return batches(days, schema, start_us, stop_us, as_of_commit)

    def compact(self, name: str, version: int, *days: int) -> int:
        """Merge the pieces of each day (days since 1970; none = all); returns how many days were merged."""
        held = self._held(name, version)
        chosen = [day for day in (days or sorted(held.days)) if len(held.days.get(day, ())) > 1]
        for day in chosen:
            held.days[day] = [merged(held.days[day])]
        return len(chosen)

    def check(self) -> list[Finding]:
        """Nothing can be wrong with what is in memory."""
        return []

    def _held(self, name: str, version: int) -> _Group:
        held = self._groups.get((name, version))
        if held is None:
            raise no_such_group(name, version)
        return held


def _upto(piece: pa.Table, commit: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    kept: np.ndarray[tuple[int], np.dtype[np.bool_]] = piece[COMMIT].to_numpy() <= commit
    return kept
