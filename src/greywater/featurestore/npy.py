"""Tables as NPY files that NumPy reads without pickle: one matrix of features, and one file for each other column.

Beside `<stem>.columns.json`, which lists every file with its column, dtype and role, a part has

- `<stem>.npy`, float64[n, k]: the k features in order (bool as 0 and 1, timestamps as microseconds since 1970, null
  as NaN), where all are numbers; else one file a feature;
- `<stem>.<column>.npy` for each other column: numbers and bools in their own dtype, timestamps datetime64[us] (UTC),
  dates datetime64[D], strings as fixed-width text (<U); the places of nulls hold 0 or "" and, where there are any,
  `<stem>.<column>.valid.npy` says with bool[n] which values are there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import FormatError, RefusedTypeError, RefusedValueError, UsageError
from greywater.featurestore.canonical import dtype_name
from greywater.featurestore.matrix import fits_a_matrix, float_matrix

__all__ = ["NpyLayout", "NpyWriter", "read_npy"]

#: One matrix of all features, one file a column, or a matrix where all features are numbers.
NpyLayout = Literal["auto", "matrix", "columns"]

MAGIC: Final = b"\x93NUMPY\x01\x00"
HEADER_BYTES: Final = 192  # of every file, so that it can be written again once the rows are counted


class NpyWriter:
    """Writes a table that comes in chunks as NPY files beside each other.

    Parameters
    ----------
    stem : Path
        Files are called `<stem>.npy`, `<stem>.<column>.npy`...
    schema : pa.Schema
        Of the table, in canonical dtypes.
    features : sequence of str
        The columns of the matrix, in order.
    layout : {"auto", "matrix", "columns"}

    Raises
    ------
    RefusedTypeError
        A matrix is asked for and a feature is no number.
    RefusedValueError
        A whole number has no exact float64, or a string ends in U+0000, which NumPy's text drops.
    """

    def __init__(self, stem: Path, schema: pa.Schema, features: Sequence[str], *, layout: NpyLayout = "auto") -> None:
        if layout not in ("auto", "matrix", "columns"):
            raise UsageError(f"no layout {layout!r} of NPY", mend="give 'auto', 'matrix' or 'columns'")
        strange = [name for name in features if not fits_a_matrix(schema.field(name).type)]
        if layout == "matrix" and strange:
            raise RefusedTypeError(
                f"{strange[0]} holds {schema.field(strange[0]).type}", mend="give layout='columns' or 'auto'"
            )
        self._stem, self._schema = stem, schema
        self._matrix = list(features) if features and layout != "columns" and not strange else []
        self._alone = [name for name in schema.names if name not in self._matrix]
        self._dtypes: dict[Path, np.dtype[Any]] = {}
        self._widths = {name: 1 for name in self._alone if pa.types.is_string(schema.field(name).type)}
        self._spools: dict[str, list[Path]] = {name: [] for name in self._widths}
        self._rows = 0
        self._paths, self._valid = _paths(stem, self._alone)
        if self._matrix:
            self._begin(self._paths[""], np.dtype("<f8"))
        for name in self._alone:
            if name not in self._spools:
                self._begin(self._paths[name], _numpy_dtype(schema.field(name).type))

    def write(self, table: pa.Table) -> None:
        """Append the rows of a table."""
        if self._matrix:
            self._put(self._paths[""], float_matrix(table, self._matrix))
        for name in self._alone:
            column = _whole(table[name])
            self._note_nulls(name, column)
            if name in self._spools:
                self._spool(name, column)
            else:
                self._put(self._paths[name], _numpy_values(column))
        self._rows += table.num_rows

    def close(self) -> list[Path]:
        """Finish all files; returns their paths, the sidecar last."""
        for name, spools in self._spools.items():
            dtype = np.dtype(f"<U{self._widths[name]}")
            self._begin(self._paths[name], dtype)
            for spool in spools:
                with pa.OSFile(str(spool)) as source:
                    texts = pc.fill_null(pa.ipc.open_file(source).get_batch(0).column(0), "")
                    self._put(self._paths[name], texts.to_numpy(zero_copy_only=False).astype(dtype))
                spool.unlink()
        for path, dtype in self._dtypes.items():
            shape = (self._rows, len(self._matrix)) if path == self._paths[""] else (self._rows,)
            with path.open("r+b") as file:
                file.write(_header(dtype, shape))
        return [*self._dtypes, self._sidecar()]

    def abandon(self) -> None:
        """Nothing is open between writes: there may be many columns, and a process may open few files."""

    def _begin(self, path: Path, dtype: np.dtype[Any]) -> None:
        path.write_bytes(bytes(HEADER_BYTES))
        self._dtypes[path] = dtype

    def _put(self, path: Path, values: np.ndarray[Any, Any]) -> None:
        with path.open("ab") as file:
            file.write(np.ascontiguousarray(values, self._dtypes[path]).tobytes())

    def _note_nulls(self, name: str, column: pa.Array) -> None:
        """Which values are there is written from the first null on, for the rows before it too."""
        path = self._valid[name]
        if path not in self._dtypes:
            if not column.null_count:
                return
            self._begin(path, np.dtype(np.bool_))
            self._put(path, np.ones(self._rows, np.bool_))
        self._put(path, np.asarray(column.is_valid()))

    def _spool(self, name: str, column: pa.Array) -> None:
        """Strings wait in files of their own until the longest is known."""
        if pc.any(pc.ends_with(column, "\x00")).as_py():
            raise RefusedValueError(
                "a string ends in U+0000, which NumPy's text drops", where=f"column {name}", mend="take Parquet"
            )
        self._widths[name] = max(self._widths[name], pc.max(pc.utf8_length(column)).as_py() or 0)
        path = self._paths[name].with_suffix(f".spool{len(self._spools[name])}")
        batch = pa.record_batch([column], names=["text"])
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        self._spools[name].append(path)

    def _sidecar(self) -> Path:
        columns = []
        for name in self._schema.names:
            one: dict[str, Any] = {"name": name, "dtype": dtype_name(self._schema.field(name).type)}
            if name in self._matrix:
                one |= {"file": self._paths[""].name, "place": self._matrix.index(name)}
            else:
                one["file"] = self._paths[name].name
                if self._valid[name] in self._dtypes:
                    one["valid"] = self._valid[name].name
            columns.append(one)
        path = self._stem.with_name(f"{self._stem.name}.columns.json")
        path.write_text(json.dumps({"rows": self._rows, "columns": columns}, indent=1), encoding="utf-8")
        return path


def read_npy(sidecar: Path) -> pa.Table:
    """The table that NpyWriter wrote; of a matrix, NaN comes back as null in columns that are not floats.

    Parameters
    ----------
    sidecar : Path
        `<stem>.columns.json`.

    Raises
    ------
    FormatError
        The sidecar or a file beside it is not what was written.
    """
    from greywater.featurestore.canonical import dtype_of

    try:
        columns = json.loads(sidecar.read_text(encoding="utf-8"))["columns"]
        loaded = {
            name: np.load(sidecar.with_name(name), allow_pickle=False)
            for one in columns
            for name in (one["file"], one.get("valid"))
            if name
        }
        arrays = [_arrow(one, loaded, dtype_of(one["dtype"])) for one in columns]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"this is no set in NPY: {error}", where=str(sidecar), mend="write it again") from error
    return pa.table(arrays, [one["name"] for one in columns])


def _paths(stem: Path, alone: Sequence[str]) -> tuple[dict[str, Path], dict[str, Path]]:
    """File of each column and, under "", of the matrix; and of which values are there. Names that meet are numbered."""
    paths, valid = {"": stem.with_name(f"{stem.name}.npy")}, {}
    taken: set[str] = set()
    for name in alone:
        plain = re.sub(r"[^A-Za-z0-9_.\-]", "_", name).strip(".") or "column"
        number, free = 1, plain
        while {free.lower(), f"{free.lower()}.valid"} & taken:
            number += 1
            free = f"{plain}_{number}"
        taken |= {free.lower(), f"{free.lower()}.valid"}
        paths[name] = stem.with_name(f"{stem.name}.{free}.npy")
        valid[name] = stem.with_name(f"{stem.name}.{free}.valid.npy")
    return paths, valid


def _header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The head of an NPY file, format 1.0, padded to HEADER_BYTES."""
    descr = np.lib.format.dtype_to_descr(dtype)
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    room = HEADER_BYTES - len(MAGIC) - 2
    return MAGIC + room.to_bytes(2, "little") + text.ljust(room - 1) + b"\n"


def _numpy_dtype(kind: pa.DataType) -> np.dtype[Any]:
    if pa.types.is_timestamp(kind):
        return np.dtype("<M8[us]")
    if pa.types.is_date(kind):
        return np.dtype("<M8[D]")
    plain: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
    return plain.newbyteorder("<")


def _numpy_values(column: pa.Array) -> np.ndarray[Any, Any]:
    kind = column.type
    if pa.types.is_timestamp(kind):
        whole = np.asarray(pc.fill_null(column.cast(pa.int64()), 0))
        return whole.view("<M8[us]")
    if pa.types.is_date(kind):
        return np.asarray(pc.fill_null(column.cast(pa.int32()), 0)).astype("<M8[D]")
    if pa.types.is_boolean(kind):
        return np.asarray(pc.fill_null(column, False))
    return np.asarray(pc.fill_null(column, 0))


def _arrow(one: dict[str, Any], loaded: dict[str, np.ndarray[Any, Any]], kind: pa.DataType) -> pa.Array:
    values = loaded[one["file"]]
    if "place" in one:
        numbers = np.ascontiguousarray(values[:, one["place"]])
        if pa.types.is_floating(kind):
            return pa.array(numbers).cast(kind, safe=False)
        whole = np.where(np.isnan(numbers), 0, numbers).astype(np.int64)
        column = pa.array(whole, mask=np.isnan(numbers))
        return column.cast(pa.int8()).cast(kind) if pa.types.is_boolean(kind) else column.cast(kind)
    missing = ~np.asarray(loaded[one["valid"]]) if "valid" in one else None
    if pa.types.is_timestamp(kind):
        return pa.array(np.asarray(values).view(np.int64), mask=missing).cast(kind)
    # Arrow ends NumPy's text at a U+0000 inside it; Python's strings do not.
    return pa.array(values.astype(object) if pa.types.is_string(kind) else np.asarray(values), kind, mask=missing)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays([*column.chunks, pa.array([], column.type)])
