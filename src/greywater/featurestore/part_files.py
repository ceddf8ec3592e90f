"""The files of one part of a training set, in each of the formats: CSV, TSV, NPY, Parquet and TFRecord."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, Protocol, get_args

import pyarrow as pa

from greywater.errors import FormatError, UsageError
from greywater.featurestore.delimited import DelimitedWriter, read_delimited
from greywater.featurestore.npy import NpyLayout, NpyWriter, read_npy

__all__ = ["Doubles", "FileFormat", "FileLayout", "PartFiles", "is_exact", "read_part_file"]

FileFormat = Literal["csv", "tsv", "npy", "parquet", "tfrecord"]
#: How TFRecord stores float64: rounded to its 32-bit floats, or eight bytes as they are.
Doubles = Literal["float", "bytes"]

SUFFIXES: Final = {
    "csv": ".csv", "tsv": ".tsv", "npy": ".columns.json", "parquet": ".parquet", "tfrecord": ".tfrecord",
}  # fmt: skip


@dataclass(frozen=True)
class FileLayout:
    """How a training set is laid out in files.

    Parameters
    ----------
    format : {"csv", "tsv", "npy", "parquet", "tfrecord"}
    rows_per_file : int
        0 = one file a part (`train.parquet`); else a folder a part with files of so many rows
        (`train/part-00000.parquet`).
    doubles : {"float", "bytes"}
        TFRecord only: float64 rounded to the format's 32-bit floats, or kept as eight bytes.
    npy : {"auto", "matrix", "columns"}
        NPY only: a matrix of all features, or one file a feature; auto = a matrix where all are numbers.

    Raises
    ------
    UsageError
        One of them is not as said.

    Examples
    --------
    >>> FileLayout("csv").rows_per_file
    0
    """

    format: FileFormat = "parquet"
    rows_per_file: int = 0
    doubles: Doubles = "float"
    npy: NpyLayout = "auto"

    def __post_init__(self) -> None:
        for given, known in ((self.format, FileFormat), (self.doubles, Doubles), (self.npy, NpyLayout)):
            if given not in get_args(known):
                raise UsageError(f"no layout {given!r}", mend=f"give one of {', '.join(get_args(known))}")
        if self.rows_per_file < 0:
            raise UsageError(f"{self.rows_per_file} rows a file", mend="give 0 for one file a part, or more")


class _OneFile(Protocol):
    """What takes rows and at the end says which files it wrote."""

    def write(self, table: pa.Table) -> None: ...

    def close(self) -> list[Path]: ...

    def abandon(self) -> None: ...


class PartFiles:
    """Writes one part, in one file or in a folder of files.

    Parameters
    ----------
    folder : Path
        Of the set; there already.
    part : str
    schema : pa.Schema
        Of the rows, in canonical dtypes.
    features : sequence of str
    layout : FileLayout

    Notes
    -----
    A part without rows has one file without rows.
    """

    def __init__(
        self, folder: Path, part: str, schema: pa.Schema, features: tuple[str, ...], layout: FileLayout
    ) -> None:
        self._folder, self._part, self._schema, self._features, self._layout = folder, part, schema, features, layout
        self._file: _OneFile | None = None
        self._in_file = self._files = 0
        self.written: list[tuple[Path, int]] = []
        if layout.rows_per_file:
            (folder / part).mkdir()

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        start = 0
        while start < table.num_rows:
            if self._layout.rows_per_file and self._in_file == self._layout.rows_per_file:
                self._finish()
            file = self._file = self._file or self._open()
            room = (self._layout.rows_per_file or table.num_rows + self._in_file) - self._in_file
            piece = table.slice(start, room)
            file.write(piece)
            self._in_file += piece.num_rows
            start += piece.num_rows

    def close(self) -> list[tuple[Path, int]]:
        """Finish; returns (path, rows) of all files, a file that only describes others with 0 rows."""
        if self._file is None and self._files == 0:
            self._file = self._open()
        if self._file is not None:
            self._finish()
        return self.written

    def abandon(self) -> None:
        """Close what is open, finishing nothing."""
        if self._file is not None:
            self._file.abandon()

    def _open(self) -> _OneFile:
        if self._layout.rows_per_file:
            stem = self._folder / self._part / f"part-{self._files:05d}"
        else:
            stem = self._folder / self._part
        self._files += 1
        if self._layout.format == "npy":
            return NpyWriter(stem, self._schema, self._features, layout=self._layout.npy)
        path = stem.with_name(stem.name + SUFFIXES[self._layout.format])
        if self._layout.format == "parquet":
            return _ParquetFile(path, self._schema)
        return _StreamFile(path, self._schema.names, self._layout)

    def _finish(self) -> None:
        assert self._file is not None
        paths = self._file.close()
        described = SUFFIXES["npy"] if self._layout.format == "npy" else ""
        self.written += [(path, 0 if described and path.name.endswith(described) else self._in_file) for path in paths]
        self._file, self._in_file = None, 0


class _StreamFile:
    """CSV, TSV or TFRecord."""

    def __init__(self, path: Path, names: list[str], layout: FileLayout) -> None:
        self._path = path
        self._file: BinaryIO = path.open("wb")
        self.write: Callable[[pa.Table], None]
        if layout.format == "tfrecord":
            from greywater.featurestore.tfrecord import TFRecordWriter

            self.write = TFRecordWriter(self._file, doubles=layout.doubles).write
        else:
            self.write = DelimitedWriter(self._file, names, delimiter=_delimiter(layout.format)).write

    def close(self) -> list[Path]:
        self._file.close()
        return [self._path]

    def abandon(self) -> None:
        self._file.close()


class _ParquetFile:
    """Parquet, compressed with Zstandard."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow.parquet as parquet

        self._path = path
        self._writer: Any = parquet.ParquetWriter(str(path), schema, compression="zstd")

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def close(self) -> list[Path]:
        self._writer.close()
        return [self._path]

    def abandon(self) -> None:
        self._writer.close()


def is_exact(layout: FileLayout, schema: pa.Schema, features: tuple[str, ...]) -> bool:
    """Whether files of this layout give back every bit of a table with this schema.

    A matrix of NPY does not tell null from NaN, and 32-bit floats of TFRecord round.
    """
    if layout.format == "tfrecord":
        return layout.doubles == "bytes" or pa.float64() not in schema.types
    if layout.format == "npy":
        texts = any(not _is_number(schema.field(name).type) for name in features)
        return layout.npy == "columns" or (layout.npy == "auto" and texts)
    return True


def read_part_file(path: Path, schema: pa.Schema, layout: FileLayout) -> pa.Table | None:
    """The rows of one file in the dtypes of `schema`; None for a file that another one describes (NPY).

    Raises
    ------
    FormatError
        The file is not of that format, or its columns are others.
    """
    if layout.format == "npy":
        if not path.name.endswith(SUFFIXES["npy"]):
            return None
        table = read_npy(path)
    elif layout.format == "tfrecord":
        table = _read_tfrecord(path, schema, layout)
    elif layout.format == "parquet":
        table = _read_parquet(path)
    else:
        table = read_delimited(path, schema, delimiter=_delimiter(layout.format))
    if table.schema.names != schema.names:
        raise FormatError(f"columns {', '.join(table.schema.names)}", where=str(path), mend="write the set again")
    return table.cast(schema)


def _delimiter(kind: str) -> str:
    return "\t" if kind == "tsv" else ","


def _is_number(kind: pa.DataType) -> bool:
    return not pa.types.is_string(kind) and not pa.types.is_date(kind)


def _read_parquet(path: Path) -> pa.Table:
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as file:
            return file.read()
    except pa.ArrowInvalid as error:
        raise FormatError(f"this is no Parquet file: {error}", where=str(path), mend="write the set again") from error


def _read_tfrecord(path: Path, schema: pa.Schema, layout: FileLayout) -> pa.Table:
    from greywater.featurestore.tfrecord import read_columns

    return read_columns(path, schema, doubles=layout.doubles)
