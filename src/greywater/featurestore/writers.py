"""Training sets as folders of files: written aside, synced and renamed, with a manifest of hashes, and read back."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import FormatError, StoreDamagedError, StoreError, UsageError
from greywater.featurestore.canonical import dtype_of, sha256_of
from greywater.featurestore.definitions import FeatureView
from greywater.featurestore.part_files import FileLayout, PartFiles, is_exact, read_part_file
from greywater.featurestore.point_in_time import join_as_of
from greywater.featurestore.training_record import PART, TrainingQuery, TrainingRecord
from greywater.featurestore.training_set import (
    CHUNK_ROWS,
    Assembly,
    Groups,
    Join,
    TrainingSet,
    assemble,
    assemble_again,
    verify_same,
)
from greywater.stores.durable import (
    TEMPORARY_SUFFIX,
    make_folder,
    rename_durably,
    store_errors,
    sync_file,
    sync_folder,
    write_file_durably,
)
from greywater.stores.feature_ports import Offline

__all__ = [
    "MANIFEST", "FileEntry", "Manifest", "read_manifest", "read_training_set", "save_training_set",
    "write_training_set", "write_training_set_again",
]  # fmt: skip

#: Name of the file that lists the others.
MANIFEST: Final = "manifest.json"
FORMAT: Final = "greywater training files 1"


@dataclass(frozen=True)
class FileEntry:
    """One file of a set: where it is under the folder, of which part, its rows and bytes, and its SHA-256."""

    path: str
    part: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What lies in the folder of a training set.

    Parameters
    ----------
    layout : FileLayout
    exact : bool
        Whether the files give back every bit of the set; if not (32-bit floats, null told from NaN no more), only
        the files are verified when they are read, not the set.
    files : tuple of FileEntry
    record : TrainingRecord
    """

    layout: FileLayout
    exact: bool
    files: tuple[FileEntry, ...]
    record: TrainingRecord

    def to_json(self) -> str:
        """JSON, indented."""
        fields = {
            "format": FORMAT,
            "layout": asdict(self.layout),
            "exact": self.exact,
            "files": [asdict(file) for file in self.files],
            "record": json.loads(self.record.to_json()),
        }
        return json.dumps(fields, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """The manifest that `to_json` wrote.

        Raises
        ------
        FormatError
            It is not such a manifest.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            if fields["format"] != FORMAT:
                raise ValueError("another format")
            files = tuple(FileEntry(**file) for file in fields["files"])
            layout, record = FileLayout(**fields["layout"]), TrainingRecord.from_json(json.dumps(fields["record"]))
            return cls(layout, bool(fields["exact"]), files, record)
        except (ValueError, TypeError, KeyError) as error:
            raise FormatError(
                f"this is no manifest of a training set: {error}", mend="give the folder that a set was written to"
            ) from error


def save_training_set(training_set: TrainingSet, folder: Path, layout: FileLayout | None = None) -> Manifest:
    """Write a training set that is in memory; see `write_training_set`."""
    record, layout = training_set.record, layout or FileLayout()
    table = training_set.table
    names = tuple(part.name for part in record.parts if part.name != "left_out")
    with _aside(folder) as aside:
        chunks = (table.slice(start, CHUNK_ROWS) for start in range(0, table.num_rows, CHUNK_ROWS))
        files = _write_parts(aside, chunks, names, table.schema, record.feature_names, layout)
        return _finish(aside, files, record, layout, table.schema)


def write_training_set(
    query: TrainingQuery, view: FeatureView, groups: Groups, offline: Offline, labels: pa.Table, folder: Path,
    layout: FileLayout | None = None, *, chunk_rows: int = CHUNK_ROWS, join: Join = join_as_of,
    register: Callable[[TrainingRecord], None] | None = None,
) -> Manifest:  # fmt: skip
    """Make a training set straight into files; features are held for `chunk_rows` label rows at a time.

    The folder holds the files of each part and `manifest.json`. It appears whole or not at all: everything is written
    beside it, synced, and renamed. Files do not hold the column `part`, their names say it.

    Parameters
    ----------
    query, view, groups, offline, labels, join
        See `training_set`.
    folder : Path
        Must not be there yet.
    layout : FileLayout, optional
        One Parquet file a part if left out.
    chunk_rows : int
    register : callable, optional
        Given the record when all is written and before the folder has its name: where it raises, no folder appears.

    Raises
    ------
    UsageError
        The folder is there already, or what `training_set` refuses.
    StoreError
        The disk is full or refuses; nothing is left behind then.
    """
    assembly = assemble(query, view, groups, offline, labels, join=join)
    return _write_assembly(assembly, folder, layout or FileLayout(), chunk_rows, None, register)


def write_training_set_again(
    record: TrainingRecord, groups: Groups, offline: Offline, labels: pa.Table, folder: Path,
    layout: FileLayout | None = None, *, chunk_rows: int = CHUNK_ROWS, join: Join = join_as_of,
) -> Manifest:  # fmt: skip
    """Make a training set again from its record straight into files; the folder appears only if it is the same.

    Raises
    ------
    InputError, StoreDamagedError
        See `remake`.
    """
    assembly = assemble_again(record, groups, offline, labels, join=join)
    return _write_assembly(assembly, folder, layout or FileLayout(), chunk_rows, record)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder.

    Raises
    ------
    StoreError, FormatError
        It cannot be read, or is none.
    """
    with store_errors(folder / MANIFEST, "read a manifest"):
        return Manifest.from_json((folder / MANIFEST).read_text(encoding="utf-8"))


def read_training_set(folder: Path) -> TrainingSet:
    """Read a training set from its folder, every file verified by its SHA-256 and the set by its own where exact.

    Raises
    ------
    StoreDamagedError
        A file is missing or is not what was written.
    FormatError
        The manifest is none.
    """
    manifest = read_manifest(folder)
    record = manifest.record
    schema = pa.schema([pa.field(name, dtype_of(dtype)) for name, dtype, _ in record.columns])
    inside = pa.schema([field for field in schema if field.name != PART])
    tables = []
    for entry in manifest.files:
        path = _verified(folder, entry)
        with store_errors(path, "read a file of a training set"):
            rows = read_part_file(path, inside, manifest.layout)
        if rows is not None:
            tables.append(rows.append_column(PART, pa.array([entry.part] * rows.num_rows, pa.string())))
    table = pa.concat_tables(tables) if tables else schema.empty_table()
    order = [(record.query.time_column, "ascending"), (record.query.row_id, "ascending")]
    table = table.take(pc.sort_indices(table, sort_keys=order)).combine_chunks()
    if table.num_rows != record.rows or (manifest.exact and sha256_of(table) != record.sha256):
        raise StoreDamagedError(
            "the files do not hold the training set that was written", where=str(folder), mend="make the set again"
        )
    return TrainingSet(table, record)


def _write_assembly(
    assembly: Assembly, folder: Path, layout: FileLayout, chunk_rows: int, was: TrainingRecord | None,
    register: Callable[[TrainingRecord], None] | None = None,
) -> Manifest:  # fmt: skip
    with _aside(folder) as aside:
        files = _write_parts(
            aside, assembly.chunks(chunk_rows), assembly.part_names, assembly.schema, assembly.view.names, layout
        )
        record = assembly.record()
        if was is not None:
            verify_same(was, record)
            record = was
        manifest = _finish(aside, files, record, layout, assembly.schema)
        if register is not None:
            register(record)
        return manifest


def _write_parts(
    aside: Path, chunks: Iterable[pa.Table], names: tuple[str, ...], schema: pa.Schema, features: tuple[str, ...],
    layout: FileLayout,
) -> list[tuple[Path, str, int]]:  # fmt: skip
    """Write each row to the files of its part; returns (path, part, rows) of all files."""
    inside = pa.schema([field for field in schema if field.name != PART])
    with ExitStack() as stack:
        parts = {name: PartFiles(aside, name, inside, features, layout) for name in names}
        for files in parts.values():
            stack.callback(files.abandon)
        for chunk in chunks:
            for name, files in parts.items():
                rows = chunk.filter(pc.equal(chunk[PART], name)) if len(parts) > 1 else chunk
                files.write(rows.select(inside.names))
        return [(path, name, rows) for name, files in parts.items() for path, rows in files.close()]


def _finish(
    aside: Path, files: list[tuple[Path, str, int]], record: TrainingRecord, layout: FileLayout, schema: pa.Schema
) -> Manifest:
    entries = []
    for path, part, rows in files:
        sync_file(path)
        size, digest = path.stat().st_size, _sha256(path)
        entries.append(FileEntry(path.relative_to(aside).as_posix(), part, rows, size, digest))
    for inner in sorted({path.parent for path, _, _ in files}):
        sync_folder(inner)
    manifest = Manifest(layout, is_exact(layout, schema, record.feature_names), tuple(entries), record)
    write_file_durably(aside / MANIFEST, manifest.to_json().encode())
    return manifest


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that gets its name when all went well, and is removed when not."""
    if folder.exists() or folder.is_symlink():
        raise UsageError(
            "there is something already", where=str(folder), mend="name a new folder; a set is never written over"
        )
    make_folder(folder.parent)
    _remove_leftovers(folder)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        with store_errors(aside, "write a training set"):
            aside.mkdir()
    except StoreError as error:
        if aside.exists():
            raise StoreError("this set is being written", where=str(folder), mend="wait for it to end") from error
        raise
    try:
        with store_errors(folder, "write a training set"):
            yield aside
        rename_durably(aside, folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _remove_leftovers(folder: Path) -> None:
    """Remove what writers of this folder left that are no more."""
    named = re.compile(rf"\.{re.escape(folder.name)}\.(\d+){re.escape(TEMPORARY_SUFFIX)}")
    for path in folder.parent.iterdir():
        if (match := named.fullmatch(path.name)) and not _runs(int(match.group(1))):
            shutil.rmtree(path, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verified(folder: Path, entry: FileEntry) -> Path:
    path = folder / entry.path
    if not path.resolve().is_relative_to(folder.resolve()):
        raise StoreDamagedError("the manifest names a file outside its folder", where=entry.path)
    if not path.is_file():
        raise StoreDamagedError("a file is missing", where=str(path), mend="make the set again")
    if path.stat().st_size != entry.bytes or _sha256(path) != entry.sha256:
        raise StoreDamagedError("a file is not what was written", where=str(path), mend="make the set again")
    return path
