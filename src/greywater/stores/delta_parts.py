"""A Delta table whose data files follow each other row by row, written so that a commit survives a power cut."""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction

from greywater.errors import StoreDamagedError, StoreError
from greywater.stores import delta_log, durable
from greywater.stores.delta_checkpoint import make_checkpoint
from greywater.stores.part_reader import Part, damaged, file_sha256
from greywater.stores.ports import Finding

__all__ = ["Encoded", "PartTable"]

ROW_GROUP_ROWS: Final = 32_768
FOOTER: Final = b"greywater"
#: The microseconds since 1970 of the years 1 to 9999: moments outside have no calendar date to state in a statistic.
DATED: Final = (-62_135_596_800_000_000, 253_402_300_799_999_999)
colour: Final = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Encoded:
    """A data file in memory: where it goes, its bytes, and what Delta is told of its columns."""

    part: Part
    content: memoryview
    mark: dict[str, Any]
    stats: str


class PartTable:
    """One Delta table, written by one process at a time; the writer's lock is the caller's.

    Every data file is `part-<number of its first row>-<SHA-256>.parquet`, so the files say themselves whether one is
    missing or changed. Opening it for writing mends what a crash can leave at the end of the log.

    Parameters
    ----------
    folder : Path
        The table; its commits are in `_delta_log` below it.
    schema : pa.Schema or None
        Columns of a new table; None where the table must exist.
    application : str
        Name of the application transaction that counts the rows.
    aside : Path
        Where broken or orphaned files go.
    read_only : bool
        Change nothing on disk.

    Raises
    ------
    StoreDamagedError
        A file is missing or broken in a way that opening cannot mend without losing recorded rows.
    """

    def __init__(
        self, folder: Path, schema: pa.Schema | None, *, application: str, aside: Path, read_only: bool = False
    ) -> None:
        self.folder = folder
        self.application = application
        self.aside = aside
        self.read_only = read_only
        self.mended: list[str] = []
        self.parts: list[Part] = []
        self.schema: pa.Schema = pa.schema([]) if schema is None else schema
        self._delta: Any = None
        broken = self._settle(schema)
        self._load()
        if schema is not None and _earlier_form(self.schema, schema):
            self._add_columns(schema)
        if schema is not None and not self.schema.equals(schema):
            raise StoreError(
                "the table has other columns than this version of Greywater writes",
                where=str(folder),
                mend="use the version that made this store, or record the source files into a new store",
            )
        if broken is not None:
            text = f"commit {broken} was empty or cut off: moved to {self.aside}"
            adopted = self.adopt_next()
            self.mended.append(
                f"{text}; its data file {adopted} was complete and is registered again"
                if adopted
                else f"{text}; no complete data file belongs to it, so its rows are not recorded"
            )

    @property
    def rows(self) -> int:
        """Number of rows, also the number of the next row."""
        return self.parts[-1].stop if self.parts else 0

    @property
    def version(self) -> int:
        """Number of the last commit."""
        return int(self._delta.version())

    @property
    def identity(self) -> str:
        """The random id that the table got when it was made."""
        return str(self._delta.metadata().id)

    def file_uris(self) -> list[str]:
        """The data files in row order."""
        return [str((self.folder / part.name).resolve()) for part in self.parts]

    def committed(self, application: str) -> bool:
        """Whether an application transaction of that name was ever committed."""
        return self._delta.transaction_version(application) is not None

    def encode(self, rows: pa.Table, mark: Mapping[str, Any]) -> Encoded:
        """Make the next data file, in memory.

        Parameters
        ----------
        rows : pa.Table
            Rows of the table's schema.
        mark : mapping
            JSON values kept in the file's footer and in the commit.
        """
        full = {**mark, "first": self.rows, "rows": rows.num_rows}
        footer = {FOOTER: json.dumps(full, ensure_ascii=False).encode()}
        sink = pa.BufferOutputStream()
        names = rows.column_names
        dictionary = [name for name in names if pa.types.is_string(rows.schema.field(name).type) and name != "tx_id"]
        pq.write_table(
            rows.replace_schema_metadata(footer),
            sink,
            row_group_size=ROW_GROUP_ROWS,
            compression="zstd",
            compression_level=1,
            use_dictionary=dictionary,
            write_statistics=[name for name in names if _has_order(rows.schema.field(name).type)],
        )
        content = memoryview(sink.getvalue())
        name = f"part-{self.rows:016d}-{hashlib.sha256(content).hexdigest()}.parquet"
        return Encoded(
            Part(name, self.rows, rows.num_rows, len(content)), content, full, _stats(content, rows.num_rows)
        )

    def store(self, encoded: Encoded) -> None:
        """Write the data file durably; it is not yet part of the table."""
        durable.write_file_durably(self.folder / encoded.part.name, encoded.content)

    def discard(self, encoded: Encoded) -> None:
        """Remove a stored data file that was not registered."""
        with suppress(OSError):
            (self.folder / encoded.part.name).unlink(missing_ok=True)

    def register(self, encoded: Encoded, *, also: str | None = None) -> None:
        """Make a stored data file part of the table, durably.

        Parameters
        ----------
        encoded : Encoded
            What `store` wrote.
        also : str, optional
            A second application transaction, which marks a key as done.

        Raises
        ------
        StoreError
            The commit failed. Nothing was recorded, or (where the disk fails after the commit) it is found when the
            table is opened again, which the caller must do before it goes on.
        """
        part = encoded.part
        transactions = [Transaction(self.application, part.stop, None)]
        if also is not None:
            transactions.append(Transaction(also, 1, None))
        target = delta_log.commit_path(self.folder, self.version + 1)
        action = AddAction(part.name, part.size, {}, int(time.time() * 1000), True, encoded.stats)
        try:
            self._delta.create_write_transaction(
                [action],
                mode="append",
                schema=self._delta.schema(),
                partition_by=[],
                commit_properties=CommitProperties(
                    custom_metadata={delta_log.MARK: encoded.mark}, app_transactions=transactions, max_commit_retries=0
                ),
                post_commithook_properties=PostCommitHookProperties(
                    create_checkpoint=False, cleanup_expired_logs=False
                ),
            )
        except (OSError, DeltaError) as error:
            if not target.exists():
                self.discard(encoded)
            raise durable.store_error(_plain(error), self.folder, "commit a chunk") from error
        durable.sync_file(target)
        durable.sync_folder(target.parent)
        self._delta.update_incremental()
        self.parts.append(part)

    def checkpoint(self) -> None:
        """Spare readers the old commits, once in a while. Failing is harmless: it is tried again later."""
        if make_checkpoint(self._delta, self.folder):
            with suppress(OSError, DeltaError):
                self._delta = DeltaTable(str(self.folder))

    def refresh(self) -> None:
        """Take in what another process committed since."""
        before = self.version
        with durable.store_errors(self.folder, "read the commits"):
            self._delta.update_incremental()
        if self.version != before:
            self._load()

    def footer(self, part: Part) -> dict[str, Any]:
        """What `encode` kept in the footer of a data file."""
        path = self.folder / part.name
        try:
            said = (pq.read_schema(path).metadata or {}).get(FOOTER)
            mark = json.loads(said) if said is not None else None
        except (OSError, pa.ArrowException, ValueError) as error:
            raise damaged(path, error) from error
        if not isinstance(mark, dict) or mark.get("rows") != part.rows or mark.get("first") != part.first:
            raise damaged(path, ValueError("its footer is not the one that was written"))
        return mark

    def _orphans(self) -> list[Path]:
        """Data files that no commit names."""
        known = {part.name for part in self.parts}
        with durable.store_errors(self.folder, "list the data files"):
            return sorted(
                path
                for path in self.folder.iterdir()
                if path.name not in known and delta_log.part_of_name(path.name) is not None
            )

    def set_orphans_aside(self) -> None:
        """Move data files that were never committed out of the table; their rows were never acknowledged."""
        for path in self._orphans():
            durable.move_aside(path, self.aside)
            self.mended.append(f"data file {path.name} was never committed: moved to {self.aside}")

    def adopt_next(self) -> str | None:
        """Register the data file that continues the table, if exactly one complete one is there; returns its name."""
        fitting = []
        for path in self._orphans():
            encoded = self._as_encoded(path)
            if encoded is not None:
                fitting.append(encoded)
        if len(fitting) != 1:
            return None
        key = fitting[0].mark.get("key")
        self.register(fitting[0], also=key if isinstance(key, str) else None)
        return fitting[0].part.name

    def check(self) -> list[Finding]:
        """Verify that every commit can be read and that every data file is the one that was written."""
        findings = []
        named: list[str] = []
        for version in delta_log.versions(self.folder):
            if version > self.version:
                break  # a writer went on since this was opened
            commit = delta_log.read_commit(self.folder, version)
            if commit is None:
                path = delta_log.commit_path(self.folder, version)
                findings.append(Finding(str(path), "the commit cannot be read", "put it back from a backup"))
            else:
                named = [name for name in named if name not in commit.removes] + list(commit.adds)
        if not findings and sorted(named) != sorted(part.name for part in self.parts):
            findings.append(
                Finding(str(self.folder), "the commits name other data files than Delta reads", "restore a backup")
            )
        for part in self.parts:
            path = self.folder / part.name
            if not path.exists():
                findings.append(Finding(str(path), "the data file is missing", "put it back from a backup"))
            elif file_sha256(path) != part.sha256:
                findings.append(
                    Finding(
                        str(path),
                        "the data file is not what was written (its SHA-256 differs)",
                        "restore a backup of it",
                    )
                )
        return findings

    def _as_encoded(self, path: Path) -> Encoded | None:
        """A data file on disk as `encode` made it, or None where it is incomplete or does not come next."""
        stated = delta_log.part_of_name(path.name)
        if stated is None or stated[0] != self.rows or file_sha256(path) != stated[1]:
            return None
        try:
            content = memoryview(path.read_bytes())
            schema = pq.read_schema(io.BytesIO(content))
            rows = pq.read_metadata(io.BytesIO(content)).num_rows
            mark = json.loads((schema.metadata or {}).get(FOOTER, b"null"))
        except (OSError, pa.ArrowException, ValueError):
            return None
        if not isinstance(mark, dict) or mark.get("rows") != rows:
            return None
        if not schema.equals(self.schema) and not _earlier_form(schema, self.schema):
            return None
        part = Part(path.name, stated[0], rows, len(content))
        return Encoded(part, content, mark, _stats(content, rows))

    def _settle(self, schema: pa.Schema | None) -> int | None:
        """Bring the log to a state that can be loaded; returns the version of a broken last commit, if any."""
        found = delta_log.versions(self.folder)
        delta_log.check_versions(self.folder, found)
        bad = delta_log.broken_commits(self.folder, found[-2:])
        if len(bad) > 1 or (bad and bad[0] != found[-1]):
            raise StoreDamagedError(
                "a commit that is not the last one cannot be read",
                where=str(delta_log.commit_path(self.folder, bad[0])),
                mend="put that file back from a backup",
            )
        if self.read_only:
            if not found:
                raise StoreError(
                    "there is no table yet", where=str(self.folder), mend="record something into this store first"
                )
            if bad:
                raise StoreDamagedError(
                    "the last commit is empty or cut off",
                    where=str(delta_log.commit_path(self.folder, bad[0])),
                    mend="open the store once for writing: that mends it",
                )
            return None
        if found:
            removed = delta_log.remove_temporaries(self.folder)
            self.mended.extend(f"unfinished file {name} removed" for name in removed)
        if bad:
            durable.move_aside(delta_log.commit_path(self.folder, bad[0]), self.aside)
            found = found[:-1]
        if not found:
            if schema is None:
                raise StoreDamagedError("the table has no commit", where=str(self.folder), mend="remove that folder")
            self._create(schema)
            return None
        moved = delta_log.drop_bad_checkpoints(self.folder, found[-1], self.aside)
        self.mended.extend(f"checkpoint file {name} could not be used: moved to {self.aside}" for name in moved)
        # A writer that was killed between commit and sync left a commit that is visible but perhaps not on the disk.
        durable.sync_file(delta_log.commit_path(self.folder, found[-1]))
        durable.sync_folder(self.folder / delta_log.LOG_FOLDER)
        durable.sync_folder(self.folder)
        return bad[0] if bad else None

    def _create(self, schema: pa.Schema) -> None:
        durable.make_folder(self.folder)
        settings: dict[str, str | None] = {"delta.enableExpiredLogCleanup": "false"}
        try:
            DeltaTable.create(str(self.folder), schema=schema, configuration=settings)
        except (OSError, DeltaError) as error:
            raise durable.store_error(_plain(error), self.folder, "make a table") from error
        durable.sync_file(delta_log.commit_path(self.folder, 0))
        durable.sync_folder(self.folder / delta_log.LOG_FOLDER)
        durable.sync_folder(self.folder)

    def _add_columns(self, schema: pa.Schema) -> None:
        """Take in the columns that an earlier version did not know; its files read as null there."""
        if self.read_only:
            self.schema = schema
            return
        new = pa.schema([field for field in schema if field.name not in self.schema.names])
        target = delta_log.commit_path(self.folder, self.version + 1)
        try:
            self._delta.alter.add_columns(Schema.from_arrow(new).fields)
        except (OSError, DeltaError) as error:
            raise durable.store_error(_plain(error), self.folder, "add columns to a table") from error
        durable.sync_file(target)
        durable.sync_folder(target.parent)
        self._load()

    def _load(self) -> None:
        try:
            self._delta = DeltaTable(str(self.folder))
            actions = pa.table(self._delta.get_add_actions(flatten=True))
            self.schema = pa.schema(self._delta.schema().to_arrow())
        except (OSError, DeltaError) as error:
            if durable.error_number(error) is not None:
                raise durable.store_error(_plain(error), self.folder, "read the commits") from error
            raise StoreDamagedError(
                f"the commits cannot be read: {_plain(error)}",
                where=str(self.folder),
                mend="put the folder back from a backup",
            ) from error
        parts = []
        for name, size, rows in zip(
            actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), _counts(actions), strict=True
        ):
            stated = delta_log.part_of_name(name)
            if stated is None or rows is None:
                raise StoreDamagedError(
                    f"data file {name} was not written by Greywater",
                    where=str(self.folder),
                    mend="undo what another program did to this table (DeltaTable.restore), then try again",
                )
            parts.append(Part(name, stated[0], rows, size))
        self.parts = sorted(parts, key=lambda part: (part.first, part.rows))
        self._refuse_gaps()

    def _refuse_gaps(self) -> None:
        expected = 0
        for part in self.parts:
            if part.first != expected:
                raise StoreDamagedError(
                    f"rows {expected} to {part.first - 1} are missing: a commit was lost or damaged",
                    where=str(self.folder),
                    mend="put the folder back from a backup",
                )
            expected = part.stop
        counted = self._delta.transaction_version(self.application) or 0
        if counted != expected:
            raise StoreDamagedError(
                f"{expected} rows can be read, but the commits count {counted}",
                where=str(self.folder),
                mend="put the folder back from a backup",
            )


def _earlier_form(schema: pa.Schema, now: pa.Schema) -> bool:
    """Whether a schema lacks nothing but columns at the end that may be null."""
    known = len(schema)
    return (
        known < len(now)
        and schema.equals(pa.schema(list(now)[:known]))
        and all(field.nullable for field in list(now)[known:])
    )


def _counts(actions: pa.Table) -> list[int | None]:
    counts: list[int | None] = actions["num_records"].to_pylist()
    return counts


def _has_order(kind: pa.DataType) -> bool:
    """Whole numbers and moments: the only columns whose least and greatest values help a reader to skip files."""
    return bool(pa.types.is_int64(kind) or (pa.types.is_timestamp(kind) and kind.tz is not None))


def _stats(content: memoryview, rows: int) -> str:
    """Delta's statistics of a data file, from the Parquet footer."""
    least: dict[str, Any] = {}
    most: dict[str, Any] = {}
    metadata = pq.read_metadata(io.BytesIO(content))
    schema = metadata.schema.to_arrow_schema()
    for group in range(metadata.num_row_groups):
        for at in range(metadata.num_columns):
            column = metadata.row_group(group).column(at)
            seen = column.statistics
            if seen is None or not seen.has_min_max or "." in column.path_in_schema:
                continue
            name = column.path_in_schema
            if (
                pa.types.is_timestamp(schema.field(name).type)
                and not DATED[0] <= seen.min_raw <= seen.max_raw <= DATED[1]
            ):
                continue
            least[name] = min(least.get(name, seen.min_raw), seen.min_raw)
            most[name] = max(most.get(name, seen.max_raw), seen.max_raw)
    moments = {field.name for field in schema if pa.types.is_timestamp(field.type)}
    return json.dumps(
        {
            "numRecords": rows,
            "minValues": {name: _moment(low) if name in moments else low for name, low in least.items()},
            "maxValues": {name: _moment(high) if name in moments else high for name, high in most.items()},
        }
    )


def _moment(microseconds: int) -> str:
    moment = datetime(1970, 1, 1) + timedelta(microseconds=microseconds)
    return moment.isoformat(timespec="microseconds") + "Z"


def _plain(error: BaseException) -> BaseException:
    """The error in one line without terminal colours."""
    text = " ".join(colour.sub("", str(error)).replace("↳", "").split())
    return type(error)(text) if isinstance(error, OSError) else DeltaError(text)
