"""One version of a feature group as a Delta table, partitioned by day: state, data files and commits."""

from __future__ import annotations

import hashlib
import inspect
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from greywater.errors import StoreDamagedError
from greywater.stores import delta_log, durable
from greywater.stores.delta_checkpoint import make_checkpoint
from greywater.stores.feature_ports import EVENT_TIME, KNOWN_TIME, GroupLayout
from greywater.stores.offline_files import KNOWN_AT_ONCE, ROW_GROUP_ROWS, GroupFile, file_of_path
from greywater.stores.offline_log import GroupMark, read_mark, settle_log, write_commit
from greywater.stores.offline_pages import plain_dtype
from greywater.stores.offline_rows import COMMIT, DAY_US, DayRows, check_layout, day_text, stored_schema

__all__ = ["KEY_PREFIX", "EncodedDay", "GroupTable", "make_table"]

#: Application transactions: how many appends there were, how many rows, and the keys of appends.
COMMITS: Final = "greywater.commits"
ROWS: Final = "greywater.rows"
KEY_PREFIX: Final = "greywater.key."
FOOTER: Final = b"greywater"
LAYOUT: Final = "greywater.layout"
#: Seconds that a data file stays on the disk after it left the table, for those who read it then.
RETAINED_SECONDS: Final = 3_600.0
DELTA_TYPES: Final = {
    pa.bool_(): "boolean", pa.int8(): "byte", pa.int16(): "short", pa.int32(): "integer", pa.int64(): "long",
    pa.float32(): "float", pa.float64(): "double", pa.string(): "string", pa.timestamp("us", tz="UTC"): "timestamp",
}  # fmt: skip


@dataclass(frozen=True)
class EncodedDay:
    """A data file in memory, with what Delta is told of it."""

    file: GroupFile
    content: memoryview
    stats: str


def make_table(folder: Path, layout: GroupLayout) -> None:
    """Write the first commit of a group's table, which states its layout."""
    check_layout(layout)
    schema = stored_schema(layout)
    fields = [
        {"name": one.name, "type": DELTA_TYPES[one.type], "nullable": one.nullable, "metadata": {}} for one in schema
    ]
    fields.append({"name": "day", "type": "date", "nullable": True, "metadata": {}})
    said = {"name": layout.name, "version": layout.version, "keys": layout.keys, "key_dtypes": layout.key_dtypes}
    metadata = {
        "id": str(uuid.uuid4()),
        "name": f"{layout.name} version {layout.version}",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
        "partitionColumns": ["day"],
        "configuration": {"delta.enableExpiredLogCleanup": "false", LAYOUT: json.dumps(said)},
        "createdTime": int(time.time() * 1000),
    }
    durable.make_folder(folder / delta_log.LOG_FOLDER)
    mark = {"kind": "create", "written_us": int(time.time() * 1e6)}
    write_commit(
        folder, 0, mark, [{"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}, {"metaData": metadata}]
    )


class GroupTable:
    """The table as it stands, written by one process at a time; the writer's lock is the caller's.

    Parameters
    ----------
    folder : Path
    aside : Path
        Where broken commits go.
    read_only : bool
        Change nothing on disk.

    Raises
    ------
    StoreDamagedError
        A commit or a data file is missing or broken in a way that opening cannot mend without losing rows.
    """

    def __init__(self, folder: Path, aside: Path, *, read_only: bool = False) -> None:
        self.folder = folder
        self.mended: list[str] = []
        self.files: list[GroupFile] = []
        self.next_number = 0
        self._marks: list[GroupMark] = []
        broken, self.mended = settle_log(folder, aside, read_only)
        self._delta: Any = None
        self._load(fresh=True)
        self.layout = self._stated_layout()
        self.schema = stored_schema(self.layout)
        if broken is not None:
            files = self._adopt()
            self.mended.append(
                f"commit {broken} was empty or cut off: moved to {aside}; "
                + (f"its {files} data files were complete and are registered again" if files else "it added no rows")
            )
        if not read_only:
            self.sweep()

    @property
    def version(self) -> int:
        """Number of the last commit of the table."""
        return int(self._delta.version())

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(file.rows for file in self.files)

    def committed(self, key: str) -> bool:
        """Whether an append under that application transaction was ever committed."""
        return self._delta.transaction_version(key) is not None

    def refresh(self) -> None:
        """Take in what another process committed since."""
        before = self.version
        try:
            self._delta.update_incremental()
        except (OSError, DeltaError) as error:
            raise _unreadable(self.folder, error) from error
        if self.version != before:
            self._load(fresh=False)

    def encode(self, day: DayRows, mark: Mapping[str, Any]) -> EncodedDay:
        """Make a data file, in memory: plain numbers not compressed, so that reading is copying; all else zstd."""
        names = day.rows.column_names
        plain = {name: plain_dtype(self.schema.field(name).type) is not None and name != COMMIT for name in names}
        footer = {FOOTER: json.dumps(dict(mark)).encode()}
        if day.rows[KNOWN_TIME].equals(day.rows[EVENT_TIME]):
            footer |= KNOWN_AT_ONCE
        content = _parquet(day.rows.replace_schema_metadata(footer), plain)
        return self._described(day.day, day.rows, content)

    def store(self, encoded: EncodedDay) -> None:
        """Write a data file durably; it is not yet part of the table."""
        path = self.folder / encoded.file.path
        durable.make_folder(path.parent)
        durable.write_file_durably(path, encoded.content)

    def discard(self, files: Sequence[GroupFile]) -> None:
        """Remove data files that were not committed."""
        for file in files:
            with suppress(OSError):
                (self.folder / file.path).unlink(missing_ok=True)

    def commit(
        self, mark: Mapping[str, Any], encoded: Sequence[EncodedDay], gone: Sequence[GroupFile] = (),
        key: str | None = None,
    ) -> None:  # fmt: skip
        """Make stored data files part of the table in one commit, in the place of those in `gone`, durably.

        Parameters
        ----------
        mark : mapping
            `kind` (append or compact) and what else the commit tells; an append has `number`.
        encoded : sequence of EncodedDay
            What `store` wrote; the content is no longer needed.
        gone : sequence of GroupFile
        key : str, optional
            Application transaction that marks an append as done.
        """
        now = int(time.time() * 1000)
        data = mark["kind"] == "append"
        number = mark["number"] + 1 if data else self.next_number
        files = [one.file for one in encoded]
        rows = self.rows + sum(file.rows for file in files) - sum(file.rows for file in gone)
        told = {COMMITS: number, ROWS: rows} | ({key: 1} if key is not None else {})
        actions: list[dict[str, Any]] = [
            {"txn": {"appId": name, "version": value, "lastUpdated": now}} for name, value in told.items()
        ]
        actions += [
            {
                "add": {
                    "path": one.file.path, "partitionValues": {"day": day_text(one.file.day)}, "size": one.file.size,
                    "modificationTime": now, "dataChange": data, "stats": one.stats,
                }
            }
            for one in encoded
        ]  # fmt: skip
        actions += [
            {
                "remove": {
                    "path": file.path, "deletionTimestamp": now, "dataChange": False, "extendedFileMetadata": True,
                    "partitionValues": {"day": day_text(file.day)}, "size": file.size,
                }
            }
            for file in gone
        ]  # fmt: skip
        write_commit(self.folder, self.version + 1, mark, actions)
        self._delta.update_incremental()
        away = {file.path for file in gone}
        self.files = _sorted([file for file in self.files if file.path not in away] + files)
        self.next_number = number
        for file in gone:
            with suppress(OSError):  # from now on it is as old as it is out of use
                (self.folder / file.path).touch()

    def checkpoint(self) -> None:
        """Spare readers the old commits, once in a while. Failing is harmless: it is tried again later."""
        make_checkpoint(self._delta, self.folder)

    def settled(self) -> None:
        """Wait until the commits that can be seen are on the disk."""
        durable.sync_folder(self.folder / delta_log.LOG_FOLDER)

    def marks(self) -> list[GroupMark]:
        """What the commits say, oldest first."""
        for version in range(len(self._marks), self.version + 1):
            mark = read_mark(self.folder, version)
            if mark is None:
                raise StoreDamagedError(
                    "a commit cannot be read",
                    where=str(delta_log.commit_path(self.folder, version)),
                    mend="put that file back from a backup",
                )
            self._marks.append(mark)
        return list(self._marks)

    def sweep(self) -> None:
        """Remove data files that are not, or no longer, part of the table and have not been for an hour."""
        known = {file.path for file in self.files}
        before = time.time() - RETAINED_SECONDS
        for path in self.folder.glob("day=*/*"):
            if f"{path.parent.name}/{path.name}" not in known:
                with suppress(OSError):
                    if path.stat().st_mtime < before:
                        path.unlink()

    def _described(self, day: int, rows: pa.Table, content: memoryview) -> EncodedDay:
        sha256 = hashlib.sha256(content).hexdigest()
        ends = {name: pc.min_max(rows[name].cast(pa.int64())) for name in (EVENT_TIME, KNOWN_TIME, COMMIT)}
        low = {name: end["min"].as_py() for name, end in ends.items()}
        high = {name: end["max"].as_py() for name, end in ends.items()}
        name = f"part-{low[COMMIT]:010d}-{high[COMMIT]:010d}-{sha256}.parquet"
        file = GroupFile(
            f"day={day_text(day)}/{name}", day, rows.num_rows, len(content), low[COMMIT], high[COMMIT],
            low[EVENT_TIME], high[EVENT_TIME], sha256,
        )  # fmt: skip
        stats = {
            "numRecords": rows.num_rows,
            "minValues": {EVENT_TIME: _moment(low[EVENT_TIME]), COMMIT: low[COMMIT]},
            "maxValues": {EVENT_TIME: _moment(high[EVENT_TIME]), COMMIT: high[COMMIT]},
        }
        return EncodedDay(file, content, json.dumps(stats))

    def _load(self, *, fresh: bool) -> None:
        try:
            if fresh:
                self._delta = DeltaTable(str(self.folder))
            actions = pa.table(self._delta.get_add_actions(flatten=True)).to_pydict()
        except (OSError, DeltaError) as error:
            raise _unreadable(self.folder, error) from error
        files = []
        paths: list[str] = actions.get("path", [])
        for at, path in enumerate(paths):
            stated, rows = file_of_path(path), actions["num_records"][at]
            if stated is None or rows is None:
                raise StoreDamagedError(
                    f"data file {path} was not written by Greywater",
                    where=str(self.folder),
                    mend="undo what another program did to this table (DeltaTable.restore), then try again",
                )
            day, first, last, sha256 = stated
            least = _stated_us(actions, f"min.{EVENT_TIME}", at, day * DAY_US)
            greatest = _stated_us(actions, f"max.{EVENT_TIME}", at, (day + 1) * DAY_US - 1)
            files.append(GroupFile(path, day, rows, actions["size_bytes"][at], first, last, least, greatest, sha256))
        self.files = _sorted(files)
        self.next_number = self._delta.transaction_version(COMMITS) or 0
        counted = self._delta.transaction_version(ROWS) or 0
        if counted != self.rows:
            raise StoreDamagedError(
                f"{self.rows} rows can be read, but the commits count {counted}",
                where=str(self.folder),
                mend="put the folder back from a backup",
            )

    def _stated_layout(self) -> GroupLayout:
        try:
            said = json.loads(self._delta.metadata().configuration[LAYOUT])
            keys, dtypes = tuple(said["keys"]), tuple(said["key_dtypes"])
            kinds = {name: kind for kind, name in DELTA_TYPES.items()}
            fields = json.loads(self._delta.schema().to_json())["fields"]
            own = stored_schema(GroupLayout(said["name"], said["version"], keys, pa.schema([]), dtypes)).names
            features = [pa.field(one["name"], kinds[one["type"]]) for one in fields if one["name"] not in [*own, "day"]]
            return GroupLayout(said["name"], said["version"], keys, pa.schema(features), dtypes)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreDamagedError(
                "the table is none of a feature group", where=str(self.folder), mend="remove that folder"
            ) from error

    def _adopt(self) -> int:
        """Register again the data files of the append whose commit was cut off, where all of them are complete.

        Returns how many there were; 0 where they are not complete, so that the append was never acknowledged.
        """
        known = {file.path for file in self.files}
        found: dict[str, list[EncodedDay]] = {}
        for path in sorted(self.folder.glob("day=*/part-*.parquet")):
            name = f"{path.parent.name}/{path.name}"
            stated = file_of_path(name)
            if name in known or stated is None or stated[1:3] != (self.next_number, self.next_number):
                continue
            content = memoryview(path.read_bytes())
            if hashlib.sha256(content).hexdigest() != stated[3]:
                continue
            table = pq.read_table(pa.BufferReader(content))
            said = (table.schema.metadata or {}).get(FOOTER, b"{}").decode()
            found.setdefault(said, []).append(self._described(stated[0], table, content))
        whole = [(json.loads(said), days) for said, days in found.items() if json.loads(said).get("files") == len(days)]
        if len(whole) != 1:
            return 0
        mark, days = whole[0]
        key = mark.get("key")
        self.commit({**mark, "written_us": int(time.time() * 1e6)}, days, key=key)
        return len(days)


def _parquet(rows: pa.Table, plain: Mapping[str, bool]) -> memoryview:
    """A Parquet file in memory."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        rows,
        sink,
        row_group_size=ROW_GROUP_ROWS,
        compression={name: "none" if plain[name] else "zstd" for name in rows.column_names},
        use_dictionary=[name for name in rows.column_names if not plain[name]],
        data_page_size=1 << 30,
        **_one_page(),
        write_statistics=[EVENT_TIME, KNOWN_TIME, COMMIT],
        store_schema=True,
    )
    return memoryview(sink.getvalue())


def _one_page() -> dict[str, int]:
    """The option that keeps a column of a row group in one page, where this Arrow cuts pages by their rows."""
    known = inspect.signature(pq.ParquetWriter.__init__).parameters
    return {"max_rows_per_page": ROW_GROUP_ROWS} if "max_rows_per_page" in known else {}


def _sorted(files: Sequence[GroupFile]) -> list[GroupFile]:
    """Files day by day, in the order of their commits."""
    return sorted(files, key=lambda file: (file.day, file.first_commit, file.path))


def _unreadable(folder: Path, error: BaseException) -> StoreDamagedError:
    return StoreDamagedError(
        f"the commits cannot be read: {' '.join(str(error).split())}",
        where=str(folder),
        mend="put the folder back from a backup",
    )


def _stated_us(actions: Mapping[str, Any], name: str, at: int, otherwise: int) -> int:
    """A moment of Delta's statistics, or what the day says where there is none."""
    moment = actions[name][at] if name in actions else None
    if moment is None:
        return otherwise
    return int(pa.scalar(moment, pa.timestamp("us", tz="UTC")).cast(pa.int64()).as_py())


def _moment(microseconds: int) -> str:
    text: str = pa.scalar(microseconds, pa.timestamp("us")).cast(pa.string()).as_py()
    return text.replace(" ", "T") + "Z"
