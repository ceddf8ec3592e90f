"""Feature groups as Delta tables under one folder, append-only, as durable as the ledger."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from greywater.errors import GreywaterError, StoreDamagedError, StoreError
from greywater.stores import durable
from greywater.stores.delta_log import LOG_FOLDER, versions
from greywater.stores.feature_ports import EVENT_TIME, GroupCommit, GroupLayout, SortedRun, microseconds
from greywater.stores.lock import WriterLock
from greywater.stores.offline_check import check_table
from greywater.stores.offline_files import GroupFile, HashBook, read_file, runs_of
from greywater.stores.offline_rows import (
    DAY_US,
    DayRows,
    check_layout,
    conform,
    folder_name,
    name_of_folder,
    no_such_group,
    pick_visible,
    plain_meta,
    prepared_rows,
    split_days,
)  # fmt: skip
from greywater.stores.offline_scan import NEEDED, batches, merged
from greywater.stores.offline_table import KEY_PREFIX, EncodedDay, GroupTable, make_table
from greywater.stores.ports import Finding
from greywater.stores.table_rules import check_transaction

__all__ = ["DeltaOffline"]

#: Rows on their way in: some of their columns, or with None all.
Piece = Callable[[Sequence[str] | None], pa.Table]

GROUPS: Final = "groups"
MENDED: Final = "mended"
#: Data files of one day from which on an append merges the newest ones.
MANY_FILES: Final = 16
#: Rows that one merging holds in memory at most, and below which a file always counts as small.
MOST_ROWS, FEW_ROWS = 1 << 23, 1 << 16


class DeltaOffline:
    """Versions of groups, each a Delta table in `<folder>/groups/<name>_v<version>`, partitioned by `day`.

    `day` is the UTC date of the event time. Each data file is sorted by (key_high, key_low, event_time, commit), and
    its name states the commits it holds rows of and its SHA-256. One append is one commit, however many days it has.

    Parameters
    ----------
    folder : Path
        The project's folder.
    read_only : bool
        Change nothing on disk.
    wait_seconds : float
        How long an append waits for other writers of its group.
    """

    def __init__(self, folder: Path, *, read_only: bool = False, wait_seconds: float = 120.0) -> None:
        self.folder = folder
        self.read_only = read_only
        self.wait_seconds = wait_seconds
        self._groups = folder / GROUPS
        self._tables: dict[tuple[str, int], GroupTable] = {}
        self._book = HashBook()
        self._guard = threading.RLock()
        self._mended: list[str] = []

    @property
    def mended(self) -> tuple[str, ...]:
        """What opening groups found broken and put right, in sentences."""
        return tuple(self._mended)

    def create(self, layout: GroupLayout) -> None:
        """Make a version of a group; nothing where it exists with this layout.

        Raises
        ------
        StoreError
            It exists with another layout, or cannot be laid out so.
        """
        check_layout(layout)
        held = self.layout(layout.name, layout.version)
        if held is None:
            self._refuse_reading_only()
            folder = self._folder(layout.name, layout.version)
            with self._guard, self._lock(layout.name, layout.version):
                if not versions(folder):
                    make_table(folder, layout)
            held = self.layout(layout.name, layout.version)
        if held != layout:
            raise StoreError(
                "the group exists with another layout",
                where=folder_name(layout.name, layout.version),
                mend="give the new layout a new version",
            )

    def layout(self, name: str, version: int) -> GroupLayout | None:
        """Its layout, or None where it does not exist."""
        with self._guard:
            table = self._table(name, version)
            return table.layout if table else None

    def versions(self) -> list[tuple[str, int]]:
        """All groups and versions, sorted."""
        found = (name_of_folder(path.parent.name) for path in self._groups.glob(f"*/{LOG_FOLDER}"))
        return sorted(each for each in found if each is not None and versions(self._folder(*each)))

    def append(
        self,
        name: str,
        version: int,
        rows: pa.Table,
        *,
        transaction: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> GroupCommit | None:
        """Add rows in one durable commit.

        Parameters
        ----------
        name, version : str, int
        rows : pa.Table
            Keys, event_time, known_time and features, in any order; keys and times never null.
        transaction : str, optional
            A key: a second append under it does nothing and returns None.
        meta : mapping, optional
            JSON values kept with the commit.

        Returns
        -------
        GroupCommit or None
            When this returns, the rows survive a kill and a power cut.

        Raises
        ------
        StoreError
            Nothing was added, or it is found added when the same call is made again with a transaction.
        """
        with self._guard:
            given = conform(rows, self._existing(name, version).layout)
        return self._append(
            name, version, [lambda columns: given.select(columns or given.column_names)], transaction, meta
        )

    def adopt(
        self,
        name: str,
        version: int,
        files: Sequence[Path],
        *,
        transaction: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> GroupCommit | None:
        """Add the rows of Parquet files in one durable commit, a file in memory at a time.

        Parameters
        ----------
        name, version : str, int
        files : sequence of Path
            Each with the columns that `append` takes. They are read, not moved. Rows of one entity and event time lie
            in one file, else their order is not kept.
        transaction, meta
            As for `append`.

        Returns
        -------
        GroupCommit or None

        Raises
        ------
        StoreError
            As for `append`.
        StoreDamagedError
            A file cannot be read.
        """
        return self._append(name, version, [partial(prepared_rows, path) for path in files], transaction, meta)

    def _append(
        self, name: str, version: int, pieces: Sequence[Piece], transaction: str | None, meta: Mapping[str, Any] | None
    ) -> GroupCommit | None:
        """One commit of the rows of all pieces."""
        check_transaction(transaction)
        told = plain_meta(meta)
        with self._writing(name, version) as table:
            key = None if transaction is None else KEY_PREFIX + transaction
            if key is not None and table.committed(key):
                table.settled()
                return None
            number, rows, days = table.next_number, 0, []
            for piece in pieces:
                event = microseconds(piece([EVENT_TIME])[EVENT_TIME])
                rows += len(event)
                days.append(np.unique(event // DAY_US))
            mark = {"kind": "append", "number": number, "rows": rows, "files": sum(map(len, days))}
            mark |= {"transaction": transaction, "key": key, "meta": told}
            split = (split_days(conform(piece(None), table.layout), table.layout, number) for piece in pieces)
            stored = _store_days(table, chain.from_iterable(split), mark)
            done = GroupCommit(number, rows, int(time.time() * 1e6), transaction, _hash_of(stored), told)
            table.commit({**mark, "written_us": done.written_us, "sha256": done.sha256}, stored, key=key)
            table.checkpoint()
            self._merge_many(table, np.unique(np.concatenate([*days, np.zeros(0, np.int64)])).tolist())
        return done

    def commits(self, name: str, version: int) -> list[GroupCommit]:
        """What was appended, oldest first."""
        with self._guard:
            marks = [one.mark for one in self._existing(name, version).marks() if one.kind == "append"]
        return [
            GroupCommit(
                one["number"], one["rows"], one["written_us"], one["transaction"], one.get("sha256", ""), one["meta"]
            )
            for one in marks
        ]

    def runs(
        self, name: str, version: int, *, start_us: int | None = None, stop_us: int | None = None,
        as_of_commit: int | None = None,
    ) -> list[SortedRun]:  # fmt: skip
        """The runs that may hold event times in [start, stop), greatest event time first.

        A data file is verified against its SHA-256 before its first row is read.
        """
        table, files = self._files(name, version, start_us, stop_us, as_of_commit)
        runs: list[SortedRun] = [
            run for file in files for run in runs_of(table.folder, file, table.schema, self._book, as_of_commit)
        ]
        return sorted(runs, key=lambda run: -run.greatest_event_us)

    def scan(
        self, name: str, version: int, columns: Sequence[str] | None = None, *, start_us: int | None = None,
        stop_us: int | None = None, as_of_commit: int | None = None,
    ) -> Iterator[pa.RecordBatch]:  # fmt: skip
        """Rows with event times in [start, stop), day by day, sorted by (key hash, event time, commit) within a day.

        Columns are the keys, event_time, known_time, `commit` (int64) and the features. One day is held in memory.
        """
        table, files = self._files(name, version, start_us, stop_us, as_of_commit)
        schema = pick_visible(table.layout, columns)
        wanted = pa.schema([field for field in table.schema if field.name in {*schema.names, *NEEDED}])
        days: dict[int, list[GroupFile]] = {}
        for file in files:
            days.setdefault(file.day, []).append(file)
        pieces = ([read_file(table.folder, file, wanted, self._book) for file in days[day]] for day in sorted(days))
        return batches(pieces, schema, start_us, stop_us, as_of_commit)

    def compact(self, name: str, version: int, *days: int) -> int:
        """Merge the data files of each of the days (days since 1970; none = all), a day in one commit.

        No answer changes: every row keeps its commit. Returns how many days were merged.
        """
        with self._writing(name, version) as table:
            chosen = days or sorted({file.day for file in table.files})
            done = sum(self._merge(table, _pieces([file for file in table.files if file.day == day])) for day in chosen)
            table.sweep()
        return done

    def verify(self, name: str, version: int) -> int:
        """Verify the SHA-256 of every data file not yet verified; returns the bytes of all of them."""
        table, files = self._files(name, version, None, None, None)
        for file in files:
            self._book.verify(table.folder, file)
        return sum(file.size for file in files)

    def file_uris(self, name: str, version: int) -> list[str]:
        """The data files, day by day, for DuckDB, Spark and others."""
        table, files = self._files(name, version, None, None, None)
        return [str((table.folder / file.path).resolve()) for file in files]

    def check(self) -> list[Finding]:
        """Verify hashes, counts, order and commits of all groups; an empty list means all is well."""
        findings: list[Finding] = []
        for name, version in self.versions():
            try:
                with self._guard:
                    table = self._existing(name, version)
                    findings += check_table(table)
            except GreywaterError as error:
                where = error.where or folder_name(name, version)
                findings.append(Finding(where, error.found, error.mend))
        return findings

    def _folder(self, name: str, version: int) -> Path:
        return self._groups / folder_name(name, version)

    def _lock(self, name: str, version: int) -> WriterLock:
        durable.make_folder(self._groups)
        return WriterLock(self._groups, wait_seconds=self.wait_seconds, name=f"{folder_name(name, version)}.lock")

    def _refuse_reading_only(self) -> None:
        if self.read_only:
            raise StoreError("the groups were opened for reading only", where=str(self.folder))

    @contextmanager
    def _writing(self, name: str, version: int) -> Iterator[GroupTable]:
        """The table under the writer's lock; where something fails, it is opened anew the next time."""
        self._refuse_reading_only()
        with self._guard:
            self._existing(name, version)
            with self._lock(name, version):
                table = self._tables.pop((name, version))
                table.refresh()
                yield table
                self._tables[name, version] = table

    def _existing(self, name: str, version: int) -> GroupTable:
        table = self._table(name, version)
        if table is None:
            raise no_such_group(name, version)
        return table

    def _table(self, name: str, version: int) -> GroupTable | None:
        """The table as it stands now, or None where it does not exist."""
        folder = self._folder(name, version)
        if (name, version) in self._tables:
            self._tables[name, version].refresh()
        elif not versions(folder):
            return None
        elif self.read_only:
            self._tables[name, version] = self._open(folder)
        else:
            with self._lock(name, version):
                try:
                    self._tables[name, version] = self._open(folder)
                except StoreDamagedError:
                    if versions(folder):
                        raise
                    return None  # its only commit, which made it, was cut off and is set aside
        return self._tables[name, version]

    def _open(self, folder: Path) -> GroupTable:
        table = GroupTable(folder, self.folder / MENDED / folder.name, read_only=self.read_only)
        self._mended += table.mended
        table.mended.clear()
        return table

    def _files(
        self, name: str, version: int, start_us: int | None, stop_us: int | None, as_of_commit: int | None
    ) -> tuple[GroupTable, list[GroupFile]]:
        """The table and its data files that may hold what is asked for."""
        with self._guard:
            table = self._existing(name, version)
            files = [
                file
                for file in table.files
                if (start_us is None or file.greatest_event_us >= start_us)
                and (stop_us is None or file.least_event_us < stop_us)
                and (as_of_commit is None or file.first_commit <= as_of_commit)
            ]
            return table, files

    def _merge_many(self, table: GroupTable, days: Sequence[int]) -> None:
        """Merge the newest files of the days that have many: as long as the next older one is not much larger."""
        pieces: list[list[GroupFile]] = []
        for day in days:
            files = [file for file in table.files if file.day == day]
            if len(files) < MANY_FILES:
                continue
            rows, begin = files[-1].rows, len(files) - 1
            while begin and files[begin - 1].rows <= max(2 * rows, FEW_ROWS):
                begin -= 1
                rows += files[begin].rows
            pieces += _pieces(files[begin:])
        self._merge(table, pieces)

    def _merge(self, table: GroupTable, pieces: Sequence[Sequence[GroupFile]]) -> bool:
        """Put one data file in the place of each piece's, all in one commit."""
        stored: list[EncodedDay] = []
        for files in pieces:
            rows = merged([read_file(table.folder, file, table.schema, self._book) for file in files])
            encoded = table.encode(DayRows(files[0].day, rows), {"kind": "compact"})
            table.store(encoded)
            stored.append(EncodedDay(encoded.file, memoryview(b""), encoded.stats))
        if stored:
            gone = [file for files in pieces for file in files]
            table.commit({"kind": "compact", "written_us": int(time.time() * 1e6)}, stored, gone)
            table.checkpoint()
        return bool(stored)


def _pieces(files: Sequence[GroupFile]) -> list[list[GroupFile]]:
    """Neighbours in commit order to merge, two or more, each piece within what memory holds."""
    pieces: list[list[GroupFile]] = [[]]
    for file in files:
        if pieces[-1] and sum(one.rows for one in pieces[-1]) + file.rows > MOST_ROWS:
            pieces.append([])
        pieces[-1].append(file)
    return [piece for piece in pieces if len(piece) > 1]


def _store_days(table: GroupTable, days: Iterator[DayRows], mark: Mapping[str, Any]) -> list[EncodedDay]:
    """Write the data files of an append, each durably; where one fails, none is left."""
    stored: list[EncodedDay] = []
    try:
        for day in days:
            encoded = table.encode(day, mark)
            stored.append(EncodedDay(encoded.file, memoryview(b""), encoded.stats))
            table.store(encoded)
    except BaseException:
        table.discard([one.file for one in stored])
        raise
    return stored


def _hash_of(stored: Sequence[EncodedDay]) -> str:
    """SHA-256 over the SHA-256 of the data files, day by day."""
    return hashlib.sha256("".join(one.file.sha256 for one in stored).encode()).hexdigest()
