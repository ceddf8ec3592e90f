"""Payments of a Delta table of someone else's: the rows added since a version, read on from there."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from greywater.errors import InputError
from greywater.stores.delta_log import commit_path
from greywater.stores.source_rows import Mark, WholeAgain

__all__ = ["DeltaPull", "DeltaSource"]

ROWS: Final = 65_536
_not_in_a_name: Final = re.compile(r"[^A-Za-z0-9_-]+")


class DeltaSource:
    """A Delta table that other people write; only read here.

    Parameters
    ----------
    path : Path
        Its folder.

    Raises
    ------
    InputError
        There is no such table, or it cannot be read.

    Notes
    -----
    A pull takes the rows of the data files that commits after the mark added. Files that were only rewritten
    (compaction) add nothing. Where rows were changed or removed, or the commits since the mark are no longer kept, the
    table is read whole again and `DeltaPull.whole_again` says why.
    """

    kind = "delta"
    resumes = True

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / "_delta_log").is_dir():
            raise InputError(
                "there is no Delta table here", where=f"delta:{path}", mend="name the folder that holds _delta_log"
            )
        with self.said():
            self._table = DeltaTable(str(path.resolve()))
            metadata, protocol = self._table.metadata(), self._table.protocol()
            self._id = str(metadata.id)
        # Arrow would look for mapped columns by names that no file has, and find nulls; it would keep deleted rows.
        if metadata.configuration.get("delta.columnMapping.mode", "none") != "none":
            raise self._refused("column mapping", "copy it into a table without column mapping, or give Parquet files")
        if "deletionVectors" in (protocol.reader_features or ()):
            mend = (
                "switch delta.enableDeletionVectors off, purge (REORG TABLE ... APPLY (PURGE)), drop the table feature"
            )
            raise self._refused("deletion vectors", f"{mend}, or give Parquet files")

    def _refused(self, what: str, mend: str) -> InputError:
        return InputError(f"the Delta table has {what}, which is not read here", where=f"delta:{self.path}", mend=mend)

    @property
    def key(self) -> str:
        """SHA-256 of the table's own id: the same wherever it lies, another one when it is made anew."""
        return hashlib.sha256(json.dumps(["delta", self._id]).encode()).hexdigest()

    @property
    def label(self) -> str:
        """`delta_<folder>_<first digits of the key>`."""
        return f"delta_{_not_in_a_name.sub('_', self.path.resolve().name)[:40]}_{self.key[:8]}"

    def pull(self, mark: Mark | None) -> DeltaPull:
        """Begin to read what commits after the mark added.

        Raises
        ------
        InputError
            The table stands before the mark, or cannot be read.
        """
        with self.said():
            version = int(self._table.version())
        if mark is None:
            return DeltaPull(self, version, None)
        since = int(mark["version"])
        if version < since:
            raise InputError(
                f"the table stands at version {version} and was read up to version {since} before",
                where=f"delta:{self.path}",
                mend="give the table itself, not an older copy of it",
            )
        with self.said():
            changes = _changes(self.path, since, version)
        if isinstance(changes, WholeAgain):
            return DeltaPull(self, version, None, changes)
        return DeltaPull(self, version, changes)

    def close(self) -> None:
        """Nothing is held open."""

    def at(self, version: int) -> Any:
        """The table as it was, as a dataset of Arrow."""
        with self.said():
            if int(self._table.version()) != version:
                return DeltaTable(str(self.path.resolve()), version=version).to_pyarrow_dataset()
            return self._table.to_pyarrow_dataset()

    @contextmanager
    def said(self) -> Iterator[None]:
        """Turn what delta-rs and Arrow say into one sentence."""
        try:
            yield
        except (DeltaError, pa.ArrowException, OSError, ValueError) as error:
            lines = str(error).strip().splitlines()
            raise InputError(
                f"the Delta table cannot be read: {lines[0] if lines else type(error).__name__}",
                where=f"delta:{self.path}",
                mend="check that it is whole, and that no VACUUM removed files of the versions not read yet",
            ) from error


@dataclass(frozen=True)
class _Added:
    """Data files that one commit added."""

    version: int
    paths: frozenset[str]


@dataclass
class DeltaPull:
    """Rows of a Delta table on their way; made by `DeltaSource.pull`."""

    source: DeltaSource
    version: int
    changes: list[_Added] | None
    whole_again: WholeAgain | None = None
    notes: tuple[str, ...] = field(default=())

    def mark(self) -> Mark | None:
        """The version read up to."""
        return {"version": self.version}

    @cached_property
    def _latest(self) -> Any:
        return self.source.at(self.version)

    @cached_property
    def schema(self) -> pa.Schema:
        """The table's columns, dictionaries as their values."""
        return pa.schema([pa.field(each.name, _plain(each.type)) for each in self._latest.schema])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, commit by commit; of the whole table by the names of its files."""
        with self.source.said():
            for dataset, fragment in self._fragments():
                for batch in fragment.to_batches(schema=dataset.schema, batch_size=ROWS):
                    if batch.num_rows:
                        yield self._conformed(batch)

    def _conformed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Columns that the table got later are null in older rows."""
        columns = []
        for each in self.schema:
            if each.name in batch.schema.names:
                column = batch.column(each.name)
                columns.append(column if column.type == each.type else column.cast(each.type))
            else:
                columns.append(pa.nulls(batch.num_rows, each.type))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _fragments(self) -> Iterator[tuple[Any, Any]]:
        latest = {_name(fragment.path): fragment for fragment in self._latest.get_fragments()}
        if self.changes is None:
            for name in sorted(latest):
                yield self._latest, latest[name]
            return
        for added in self.changes:
            dataset, there = self._latest, latest
            if not added.paths <= latest.keys():  # rewritten since by a compaction
                dataset = self.source.at(added.version)
                there = {_name(fragment.path): fragment for fragment in dataset.get_fragments()}
            for name in sorted(added.paths):
                yield dataset, there[name]


def _changes(folder: Path, since: int, until: int) -> list[_Added] | WholeAgain:
    """What the commits in (since, until] added, or why that cannot be told from them."""
    found: list[_Added] = []
    for version in range(since + 1, until + 1):
        paths = set()
        try:
            lines = commit_path(folder, version).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return WholeAgain(f"the commit of version {version} is no longer kept")
        for line in lines:
            action = json.loads(line) if line.strip() else {}
            if "remove" in action and action["remove"].get("dataChange", True):
                return WholeAgain(f"version {version} changed or removed rows")
            if "add" in action and action["add"].get("dataChange", True):
                paths.add(_name(action["add"]["path"]))
        if paths:
            found.append(_Added(version, frozenset(paths)))
    return found


def _name(path: str) -> str:
    """A file's path below the table's folder without any %-encoding: the log has one or two layers of it.

    Examples
    --------
    >>> _name("day=a%2520b/part-0.parquet") == _name("day=a%20b/part-0.parquet")
    True
    """
    while (plain := unquote(path)) != path:
        path = plain
    return path.lstrip("/")


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
