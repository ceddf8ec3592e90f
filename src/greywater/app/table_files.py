"""Tables that a person brings along, rows of groups and label rows: CSV and Parquet, read by what is declared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from greywater.errors import FormatError
from greywater.formats.times import TimeRule, read_times

__all__ = ["read_table_file"]

MOMENT: Final = pa.timestamp("us", tz="UTC")


def read_table_file(path: Path, kinds: Mapping[str, pa.DataType]) -> pa.Table:
    """Read a CSV or Parquet file.

    In CSV nothing at all is a missing value, `""` is the empty text, and any word (NA, null) is itself; times are ISO
    8601, without a zone UTC.

    Parameters
    ----------
    path : Path
        Parquet where its name ends in `.parquet`, else CSV.
    kinds : mapping of str to pa.DataType
        Of the columns of a CSV file, where they are there; others are of the type that all their values fit.

    Returns
    -------
    pa.Table
        All columns of the file; those of Parquet in the types that the file gives them.

    Raises
    ------
    FormatError
        The file cannot be read, two columns have one name, or a value is not of its column's type.

    Examples
    --------
    >>> place = getfixture("tmp_path") / "rows.csv"
    >>> _ = place.write_text("customer,event_time,score\\n007,2024-01-31,\\nNA,2024-01-31T01:00:00+01:00,0.5\\n")
    >>> kinds = {"customer": pa.string(), "event_time": MOMENT, "score": pa.float64()}
    >>> rows = read_table_file(place, kinds)
    >>> rows["customer"].to_pylist(), rows["score"].to_pylist()
    (['007', 'NA'], [None, 0.5])
    >>> [str(moment) for moment in rows["event_time"].to_pylist()]
    ['2024-01-31 00:00:00+00:00', '2024-01-31 00:00:00+00:00']
    """
    try:
        if path.suffix == ".parquet":
            rows = parquet.read_table(path)
        else:
            texts = {name: pa.string() if kind == MOMENT else kind for name, kind in kinds.items()}
            convert = csv.ConvertOptions(
                column_types=texts, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
            )
            rows = csv.read_csv(path, convert_options=convert)
    except FileNotFoundError:
        raise FormatError("there is no such file", where=str(path)) from None
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        raise FormatError(
            f"the rows cannot be read: {error}",
            where=str(path),
            mend="give .csv or .parquet; see docs/feature_store.md",
        ) from None
    doubles = sorted({name for name in rows.column_names if rows.column_names.count(name) > 1})
    if doubles:
        raise FormatError(f"two columns are called {doubles[0]!r}", where=str(path), mend="leave one of them out")
    for place, name in enumerate(rows.column_names):
        if kinds.get(name) == MOMENT and path.suffix != ".parquet":
            rows = rows.set_column(place, name, _moments(rows[name], name, path))
    return rows


def _moments(texts: pa.ChunkedArray, name: str, path: Path) -> pa.Array:
    """The moments that texts say."""
    column = texts.combine_chunks()
    column = column if isinstance(column, pa.Array) else pa.concat_arrays(column.chunks)
    missing = np.asarray(column.is_null())
    times = read_times(column, TimeRule())
    unread = np.flatnonzero((times.verdict != 0) & ~missing)
    if len(unread):
        row = int(unread[0])
        raise FormatError(
            f"{column[row].as_py()!r} is no moment",
            where=f"{path}, row {row + 1}, column {name}",
            mend="write 2024-01-31 or 2024-01-31T10:00:00Z",
        )
    return pa.array(times.value, mask=missing).cast(MOMENT)
