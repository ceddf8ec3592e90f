"""Feature rows on disk: one Arrow file a block, read back in pieces so that the whole matrix is never in memory."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa

from greywater.errors import StoreAccessError, StoreDamagedError, StoreError, StoreFullError
from greywater.vocab import FeatureBlock, Int64Array

__all__ = ["PIECE_ROWS", "BlockWriter", "FeatureBlocks", "TableRows"]

#: Rows decoded at a time: 16,384 rows of 250 columns are 33 MB.
PIECE_ROWS: Final = 16_384

MANIFEST: Final = "manifest.json"
SEQ: Final = "seq"
VERSION: Final = 1
TYPES: Final = {"int64": pa.int64(), "float64": pa.float64()}


class BlockWriter:
    """Writes what was known of the scored payments, block after block, into one folder.

    Each block becomes one lz4-compressed Arrow file of record batches of PIECE_ROWS rows; the column `seq` lies
    beside the features. Files appear under their name only when whole; `manifest.json`, written by `close`, holds row
    counts, seq ranges, the schema, the fingerprint and the SHA-256 of each file (hashed in a thread beside the
    writing). Without a manifest there is no set: a run that was cut off leaves nothing that opens. Blocks can be made
    again from the ledger, so the files are not synced to the platter; damage is found by hash when they are read.

    Parameters
    ----------
    folder : Path
        Made where it is missing; an earlier set in it is replaced.
    names : sequence of str
        Feature names, in the order of the blocks' columns.
    fingerprint : str
        Fingerprint of the catalog that made the columns.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> columns = pa.RecordBatch.from_pydict({"payment.amount": [1.0, 2.0, 3.0]})
    >>> with BlockWriter(folder, ["payment.amount"], fingerprint="f1") as writer:
    ...     writer.append(FeatureBlock(np.arange(3), columns, np.array([True, False, True])))
    >>> blocks = FeatureBlocks.open(folder)
    >>> blocks.rows, blocks.seq.tolist()
    (2, [0, 2])
    """

    def __init__(self, folder: Path, names: Sequence[str], *, fingerprint: str) -> None:
        self._folder = Path(folder)
        self._names = tuple(names)
        self._fingerprint = fingerprint
        self._schema: pa.Schema | None = None
        self._files: list[dict[str, Any]] = []
        self._hashes: list[Future[str]] = []
        self._rows = 0
        self._last_seq = -1
        self._closed = False
        if len(set(self._names)) != len(self._names) or SEQ in self._names:
            raise StoreError(
                "feature names repeat, or one is `seq`", where=str(folder), mend="give each column one name"
            )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for old in (self._folder / MANIFEST, *self._folder.glob("block-*.arrow*")):
                old.unlink(missing_ok=True)
        except OSError as error:
            raise _store_error(error, self._folder) from error
        self._hasher = ThreadPoolExecutor(1, thread_name_prefix="block-hash")

    def append(self, block: FeatureBlock) -> None:
        """Write the scored rows of a block as one file.

        Raises
        ------
        StoreError
            The columns are not the ones announced, seq does not increase, or the disk refuses.
        """
        if self._closed:
            raise StoreError("the block set is closed", where=str(self._folder), mend="start a new BlockWriter")
        rows = self._scored_rows(block)
        if not rows.num_rows:
            return
        name = f"block-{len(self._files):06d}.arrow"
        path, aside = self._folder / name, self._folder / (name + ".part")
        options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=True)
        try:
            with pa.OSFile(str(aside), "wb") as sink, pa.ipc.new_file(sink, rows.schema, options=options) as writer:
                for start in range(0, rows.num_rows, PIECE_ROWS):
                    writer.write_batch(rows.slice(start, PIECE_ROWS))
            aside.replace(path)
        except OSError as error:
            raise _store_error(error, path) from error
        seq = rows.column(SEQ)
        self._files.append(
            {"file": name, "rows": rows.num_rows, "first_seq": seq[0].as_py(), "last_seq": seq[-1].as_py()}
        )
        self._hashes.append(self._hasher.submit(_sha256, path))
        self._rows += rows.num_rows

    def close(self) -> None:
        """Write the manifest: from here on the set can be opened. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._hasher.shutdown(wait=True)
        for entry, digest in zip(self._files, self._hashes, strict=True):
            entry["sha256"] = digest.result()
        schema = self._schema
        columns = [
            {"name": name, "type": _type_name(schema.field(name).type) if schema is not None else "float64"}
            for name in self._names
        ]
        manifest = {
            "version": VERSION,
            "fingerprint": self._fingerprint,
            "rows": self._rows,
            "columns": columns,
            "files": self._files,
        }
        path = self._folder / MANIFEST
        aside = path.with_suffix(".part")
        try:
            aside.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
            aside.replace(path)
        except OSError as error:
            raise _store_error(error, path) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._closed = True
            self._hasher.shutdown(wait=True)

    def _scored_rows(self, block: FeatureBlock) -> pa.RecordBatch:
        columns = block.columns
        if tuple(columns.schema.names) != self._names:
            odd = sorted(set(columns.schema.names) ^ set(self._names))
            raise StoreError(
                f"the block's columns are not the announced ones: {', '.join(odd[:5]) or 'another order'}",
                where=str(self._folder),
                mend="give the writer the engine's own names",
            )
        kinds = columns.schema.types
        bad = [n for n, kind in zip(self._names, kinds, strict=True) if kind not in TYPES.values()]
        if bad or any(columns.column(i).null_count for i in range(columns.num_columns)):
            raise StoreError(
                f"columns must be int64 or float64 without nulls: {', '.join(bad[:5]) or 'a null was found'}",
                where=str(self._folder),
                mend="say `not defined` by NaN in a float64 column",
            )
        seq = np.ascontiguousarray(block.seq, np.int64)
        if len(seq) != columns.num_rows or len(block.scored) != columns.num_rows:
            raise StoreError("seq, scored and columns differ in length", where=str(self._folder))
        if len(seq) and (seq[0] <= self._last_seq or np.any(np.diff(seq) <= 0)):
            raise StoreError(
                f"seq does not increase after {self._last_seq}", where=str(self._folder), mend="append blocks in order"
            )
        schema = pa.schema([pa.field(SEQ, pa.int64()), *columns.schema])
        if self._schema is None:
            self._schema = schema
        elif not schema.equals(self._schema, check_metadata=False):
            raise StoreError("a column changed its type between blocks", where=str(self._folder))
        if len(seq):
            self._last_seq = int(seq[-1])
        rows = pa.RecordBatch.from_arrays([pa.array(seq), *columns.columns], schema=self._schema)
        return rows if block.scored.all() else rows.filter(pa.array(block.scored))


class _Files:
    """The files of one set: checked once each, mapped, decoded piece by piece."""

    def __init__(self, folder: Path, names: tuple[str, ...], types: list[pa.DataType], files: list[dict[str, Any]]):
        self.folder = folder
        self.names = names
        self.schema = pa.schema([pa.field(name, kind) for name, kind in zip(names, types, strict=True)])
        self.files = files
        self.starts = np.concatenate([[0], np.cumsum([entry["rows"] for entry in files], dtype=np.int64)])
        self._sound: set[int] = set()

    def reader(self, index: int, fields: list[int] | None = None) -> pa.ipc.RecordBatchFileReader:
        """The file's reader; its SHA-256 is compared with the manifest the first time."""
        entry = self.files[index]
        path = self.folder / entry["file"]
        mend = "make the feature blocks again from the ledger"
        try:
            if index not in self._sound:
                if _sha256(path) != entry["sha256"]:
                    raise StoreDamagedError("the file is not what was written", where=str(path), mend=mend)
                self._sound.add(index)
            return pa.ipc.open_file(pa.memory_map(str(path)), options=pa.ipc.IpcReadOptions(included_fields=fields))
        except FileNotFoundError as error:
            raise StoreDamagedError("a file of the set is missing", where=str(path), mend=mend) from error
        except OSError as error:
            raise _store_error(error, path) from error

    def pieces(self, start: int, stop: int, fields: list[int] | None = None) -> Iterator[tuple[int, pa.RecordBatch]]:
        """(position of its first row, piece) of every stored piece that meets [start, stop), in order."""
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        for index in range(max(first, 0), len(self.files)):
            position = int(self.starts[index])
            if position >= stop:
                return
            reader = self.reader(index, fields)
            rows = self.files[index]["rows"]
            for number in range(-(-rows // PIECE_ROWS)):
                low = position + number * PIECE_ROWS
                high = min(low + PIECE_ROWS, position + rows)
                if low >= stop:
                    return
                if high > start:
                    yield low, reader.get_batch(number)


class FeatureBlocks:
    """A set of feature rows on disk, or a contiguous part of one, read in pieces: a TrainingTable.

    At most one piece of PIECE_ROWS rows is decoded at a time (`take` adds the rows asked for). Each file's SHA-256 is
    compared with the manifest before its first use.
    """

    def __init__(self, files: _Files, fingerprint: str, seq: Int64Array, start: int, stop: int) -> None:
        self._files = files
        self._fingerprint = fingerprint
        self._seq = seq
        self._start = start
        self._stop = stop

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a set that a BlockWriter closed.

        Raises
        ------
        StoreDamagedError
            There is no manifest (the writing was cut off), or it or a file is not what was written.
        """
        path = Path(folder) / MANIFEST
        mend = "make the feature blocks again from the ledger"
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            names = tuple(column["name"] for column in manifest["columns"])
            types = [TYPES[column["type"]] for column in manifest["columns"]]
            entries: list[dict[str, Any]] = [
                {"file": str(e["file"]), "rows": int(e["rows"]), "sha256": str(e["sha256"])} for e in manifest["files"]
            ]
            fingerprint, rows, version = str(manifest["fingerprint"]), int(manifest["rows"]), manifest["version"]
        except FileNotFoundError as error:
            raise StoreDamagedError("there is no finished set of feature blocks", where=str(path), mend=mend) from error
        except OSError as error:
            raise _store_error(error, path) from error
        except (ValueError, KeyError, TypeError) as error:
            raise StoreDamagedError(f"the manifest cannot be read: {error}", where=str(path), mend=mend) from error
        bare = all(Path(entry["file"]).name == entry["file"] for entry in entries)
        if version != VERSION or rows != sum(entry["rows"] for entry in entries) or not bare:
            raise StoreDamagedError("the manifest contradicts itself", where=str(path), mend=mend)
        files = _Files(Path(folder), names, types, entries)
        parts = [piece.column(0).to_numpy() for _, piece in files.pieces(0, rows, [0])]
        seq = np.concatenate(parts) if parts else np.empty(0, np.int64)
        seq.flags.writeable = False
        return cls(files, fingerprint, seq, 0, rows)

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names, in order."""
        return self._files.names

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self._stop - self._start

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the catalog that made the columns."""
        return self._fingerprint

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the features."""
        return self._files.schema

    @property
    def seq(self) -> Int64Array:
        """Sequence numbers of the rows, int64[rows], read-only."""
        return self._seq[self._start : self._stop]

    def slice(self, start: int, stop: int | None = None) -> FeatureBlocks:
        """Rows [start, stop) as a table of their own, without copying."""
        low, high = _bounds(self.rows, start, stop)
        return FeatureBlocks(self._files, self._fingerprint, self._seq, self._start + low, self._start + high)

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[pa.RecordBatch]:
        """Rows [start, stop) in order, at most PIECE_ROWS at a time."""
        low, high = (self._start + edge for edge in _bounds(self.rows, start, stop))
        if high <= low:
            return
        for position, piece in self._files.pieces(low, high):
            first, last = max(low - position, 0), min(high - position, piece.num_rows)
            yield _features(piece.slice(first, last - first), self._files.schema)

    def take(self, rows: Int64Array) -> pa.Table:
        """The named rows (strictly increasing positions) as one table."""
        places = _positions(rows, self.rows) + self._start
        parts: list[pa.RecordBatch] = []
        done = 0
        while done < len(places):
            # Jump to the file of the next wanted row: files without one are never decoded.
            for position, piece in self._files.pieces(int(places[done]), int(places[done]) + 1):
                upto = int(np.searchsorted(places, position + piece.num_rows))
                parts.append(_features(piece.take(pa.array(places[done:upto] - position)), self._files.schema))
                done = upto
        return pa.Table.from_batches(parts, schema=self._files.schema)


class TableRows:
    """An Arrow table in memory as a TrainingTable.

    Examples
    --------
    >>> table = TableRows(pa.table({"a": [1.0, 2.0, 3.0], "b": [4, 5, 6]}))
    >>> table.names, table.rows, table.take(np.array([0, 2])).to_pydict()["b"]
    (('a', 'b'), 3, [4, 6])
    """

    def __init__(self, table: pa.Table, *, batch_rows: int = PIECE_ROWS) -> None:
        self._table = table
        self._batch_rows = batch_rows

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names, in order."""
        return tuple(self._table.schema.names)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self._table.num_rows)

    def slice(self, start: int, stop: int | None = None) -> TableRows:
        """Rows [start, stop) as a table of their own, without copying."""
        low, high = _bounds(self.rows, start, stop)
        return TableRows(self._table.slice(low, high - low), batch_rows=self._batch_rows)

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[pa.RecordBatch]:
        """Rows [start, stop) in order, at most `batch_rows` at a time."""
        low, high = _bounds(self.rows, start, stop)
        yield from self._table.slice(low, high - low).to_batches(max_chunksize=self._batch_rows)

    def take(self, rows: Int64Array) -> pa.Table:
        """The named rows (strictly increasing positions) as one table."""
        return self._table.take(pa.array(_positions(rows, self.rows)))


def _bounds(rows: int, start: int, stop: int | None) -> tuple[int, int]:
    stop = rows if stop is None else stop
    if not 0 <= start <= stop <= rows:
        raise StoreError(
            f"rows [{start}, {stop}) do not lie within the {rows} rows", mend="give 0 <= start <= stop <= rows"
        )
    return start, stop


def _positions(rows: Int64Array, count: int) -> Int64Array:
    places = np.asarray(rows, np.int64)
    if len(places) and (places[0] < 0 or places[-1] >= count or np.any(np.diff(places) <= 0)):
        raise StoreError(
            f"the rows asked for are not increasing positions within [0, {count})", mend="sort them and drop repeats"
        )
    return places


def _features(piece: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(piece.columns[1:], schema=schema)


def _type_name(kind: pa.DataType) -> str:
    return next(name for name, known in TYPES.items() if known == kind)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _store_error(error: OSError, path: Path) -> StoreError:
    where = str(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFullError("the disk has no room left", where=where, mend="free some space or set another --store")
    if isinstance(error, PermissionError) or error.errno in (errno.EROFS, errno.EACCES):
        return StoreAccessError("the system refuses", where=where, mend="give yourself rights on the folder")
    return StoreError(f"the file system failed: {error.strerror or error}", where=where)
