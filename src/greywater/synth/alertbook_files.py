"""Writes the two files of an alert book, and keeps a fitted book as JSON and plain arrays."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from greywater.errors import StoreAccessError, StoreDamagedError, UsageError
from greywater.synth.alertbook_blocks import ALERT_SCHEMA, TRANSACTION_SCHEMA, AlertBlock
from greywater.synth.ledgerfile import named_troubles
from greywater.vocab import Progress

__all__ = ["ALERTS_NAME", "TRANSACTIONS_NAME", "AlertFiles", "read_arrays", "write_arrays", "write_files"]

ALERTS_NAME: Final = "synthetic_alerts"
TRANSACTIONS_NAME: Final = "synthetic_transactions"

_JSON: Final = "alertbook.json"
_ARRAYS: Final = "alertbook.npz"
_FORM: Final = "greywater alert book"
_VERSION: Final = 1
#: Blocks a row group of Parquet: about a million rows.
_GROUP: Final = 5


@dataclass(frozen=True)
class AlertFiles:
    """What was written.

    Parameters
    ----------
    alerts, transactions : Path
        The two files.
    alert_count, reported, transaction_count : int
        Rows of both, and alerts that were reported.
    """

    alerts: Path
    transactions: Path
    alert_count: int
    reported: int
    transaction_count: int


def write_files(
    blocks: Iterable[AlertBlock],
    folder: Path | str,
    form: Literal["csv", "parquet"] = "csv",
    progress: Progress | None = None,
) -> AlertFiles:
    """Write synthetic_alerts and synthetic_transactions with the published columns, in flat memory.

    Files are written aside and appear under their names when both are whole.

    Raises
    ------
    UsageError
        The form is neither csv nor parquet.
    StoreAccessError, StoreFullError
        A file cannot be written.
    """
    if form not in ("csv", "parquet"):
        raise UsageError(f"{form!r} is no form of alert files", where="format", mend="choose csv or parquet")
    folder = Path(folder)
    names = [folder / f"{name}.{form}" for name in (ALERTS_NAME, TRANSACTIONS_NAME)]
    aside = [path.with_name(path.name + ".part") for path in names]
    alerts = reported = rows = 0
    with named_troubles(folder), _removed_unless_whole(aside):
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            writers = [
                stack.enter_context(_Writer(path, schema, form))
                for path, schema in zip(aside, (ALERT_SCHEMA, TRANSACTION_SCHEMA), strict=True)
            ]
            for block in blocks:
                writers[0].add(block.alert_table())
                writers[1].add(block.transaction_table())
                alerts, reported = alerts + len(block.day), reported + int(block.reported.sum())
                rows += len(block.size)
                if progress is not None:
                    progress.advance(len(block.day))
        for path, name in zip(aside, names, strict=True):
            path.replace(name)
    return AlertFiles(names[0], names[1], alerts, reported, rows)


class _Writer:
    """One file, CSV or Parquet, that takes tables one after the other."""

    def __init__(self, path: Path, schema: pa.Schema, form: str) -> None:
        self._form, self._held = form, [schema.empty_table()]
        if form == "parquet":
            words = [field.name for field in schema if pa.types.is_dictionary(field.type)]
            self._file: Any = pq.ParquetWriter(
                path, schema, compression="zstd", compression_level=1, use_dictionary=[*words, "AlertID"],
                write_statistics=["AlertID"],
            )  # fmt: skip
            return
        self._text = pa.schema(
            [pa.field(one.name, pa.string()) if pa.types.is_dictionary(one.type) else one for one in schema]
        )
        self._stream = path.open("wb")
        self._stream.write((",".join(schema.names) + "\n").encode())
        options = pa_csv.WriteOptions(include_header=False, quoting_style="none")
        self._file = pa_csv.CSVWriter(self._stream, self._text, write_options=options)

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        self._file.close()
        if self._form == "csv":
            self._stream.close()

    def add(self, table: pa.Table) -> None:
        """Take some rows."""
        if self._form == "csv":
            self._file.write_table(table.cast(self._text))
            return
        self._held.append(table)
        if len(self._held) > _GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._form == "parquet" and self._held:
            self._file.write_table(pa.concat_tables(self._held).combine_chunks())
            self._held = []


def write_arrays(folder: Path | str, mode: str, arrays: dict[str, NDArray[Any]]) -> None:
    """Keep a book as alertbook.json and alertbook.npz.

    Raises
    ------
    StoreAccessError, StoreFullError
        A file cannot be written.
    """
    folder = Path(folder)
    held = io.BytesIO()
    np.savez(held, **{name: np.asarray(array) for name, array in arrays.items()})  # type: ignore[arg-type]
    content = {
        "form": _FORM, "version": _VERSION, "mode": mode,
        "arrays": {name: [str(array.dtype), list(array.shape)] for name, array in arrays.items()},
        "sha256": hashlib.sha256(held.getvalue()).hexdigest(),
    }  # fmt: skip
    with named_troubles(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _ARRAYS).write_bytes(held.getvalue())
        (folder / _JSON).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_arrays(folder: Path | str) -> tuple[str, dict[str, NDArray[Any]]]:
    """Read the mode and the arrays of a book that was kept.

    Raises
    ------
    StoreAccessError
        A file cannot be read.
    StoreDamagedError
        A file is not what was written.
    """
    folder = Path(folder)
    try:
        text, held = (folder / _JSON).read_text(encoding="utf-8"), (folder / _ARRAYS).read_bytes()
    except OSError as error:
        mend = "name a folder that an alert book was saved in"
        raise StoreAccessError(f"the book cannot be read: {error.strerror}", where=str(folder), mend=mend) from None
    mend = "save the book again"
    try:
        content = json.loads(text)
        mode, digest, version = str(content["mode"]), content["sha256"], content["version"]
    except (ValueError, KeyError, TypeError):
        raise StoreDamagedError("the book's JSON cannot be read", where=str(folder / _JSON), mend=mend) from None
    if version != _VERSION:
        raise StoreDamagedError(f"version {version} of the form is not known", where=str(folder / _JSON), mend=mend)
    if hashlib.sha256(held).hexdigest() != digest:
        raise StoreDamagedError("the arrays are not those that were saved", where=str(folder / _ARRAYS), mend=mend)
    try:
        with np.load(io.BytesIO(held), allow_pickle=False) as arrays:
            return mode, {name: arrays[name] for name in arrays.files}
    except (ValueError, zipfile.BadZipFile):
        raise StoreDamagedError("the arrays cannot be read", where=str(folder / _ARRAYS), mend=mend) from None


@contextmanager
def _removed_unless_whole(paths: list[Path]) -> Iterator[None]:
    try:
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)
