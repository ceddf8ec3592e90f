"""Writes the tables of the made-up world as CSV or Parquet, the same bytes every time."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from greywater.errors import StoreAccessError, StoreFullError
from greywater.vocab import Int64Array

__all__ = ["decimal_text", "named_troubles", "time_text", "until_whole", "write_json", "write_pieces", "write_table"]


def time_text(seconds: Int64Array, missing: int | None = None) -> pa.Array:
    """ISO 8601 text in UTC to the second; null where a value is `missing`.

    Examples
    --------
    >>> import numpy as np
    >>> time_text(np.array([0, -1]), missing=-1).to_pylist()
    ['1970-01-01T00:00:00Z', None]
    """
    absent = None if missing is None else seconds == missing
    moments = pa.array(seconds, pa.int64(), mask=absent).cast(pa.timestamp("s"))
    return pc.strftime(moments, format="%Y-%m-%dT%H:%M:%SZ")


def decimal_text(minor: Int64Array) -> pa.Array:
    """Minor units as decimal text with two places.

    Examples
    --------
    >>> import numpy as np
    >>> decimal_text(np.array([5, 120_000])).to_pylist()
    ['0.05', '1200.00']
    """
    whole = pa.array(minor, pa.int64()).cast(pa.decimal128(19, 0))
    return pa.Array.from_buffers(pa.decimal128(21, 2), len(whole), whole.buffers()).cast(pa.string())


def write_table(path: Path, columns: dict[str, Any]) -> None:
    """Write columns of text as CSV (comma, header, no quotes, LF) or, by the file's ending, as Parquet.

    Raises
    ------
    StoreAccessError, StoreFullError
        The file cannot be written.
    """
    if path.suffix == ".parquet":
        with until_whole(path) as part:
            pq.write_table(pa.table(columns), part, compression="zstd")
    else:
        write_pieces(path, [columns])


def write_pieces(path: Path, pieces: Iterable[dict[str, Any]]) -> None:
    """Write columns of text as CSV, piece by piece, so that no more than one piece is held.

    Raises
    ------
    StoreAccessError, StoreFullError
        The file cannot be written.
    """
    options = pa_csv.WriteOptions(include_header=False, quoting_style="none")
    with until_whole(path) as part, part.open("wb") as stream:
        for number, columns in enumerate(pieces):
            table = pa.table(columns)
            if number == 0:
                stream.write((",".join(table.column_names) + "\n").encode())
            pa_csv.write_csv(table, stream, write_options=options)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON, one entry of each list a line, so that people can read it.

    Raises
    ------
    StoreAccessError, StoreFullError
        The file cannot be written.
    """
    lines = []
    for key, value in content.items():
        if isinstance(value, list):
            entries = ",\n".join("  " + json.dumps(entry, ensure_ascii=False) for entry in value)
            lines.append(f"{json.dumps(key)}: [\n{entries}\n]" if value else f"{json.dumps(key)}: []")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    with until_whole(path) as part:
        part.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8", newline="\n")


@contextmanager
def until_whole(path: Path) -> Iterator[Path]:
    """Where to write a file, `<name>.part`: it gets its name once it is whole, and is removed if it never is.

    Raises
    ------
    StoreAccessError, StoreFullError
        The file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    with named_troubles(path):
        try:
            yield part
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


@contextmanager
def named_troubles(path: Path) -> Iterator[None]:
    """A file that cannot be written is told of in words, with its path."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            found, mend = "there is no room for the file", "make room and try again"
            raise StoreFullError(found, where=str(path), mend=mend) from None
        mend = "choose a folder that you may write to"
        reason = error.strerror or str(error) or type(error).__name__
        raise StoreAccessError(f"the file cannot be written: {reason}", where=str(path), mend=mend) from None
