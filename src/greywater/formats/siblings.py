"""Small tables that lie beside a file of payments and name the typologies of its alerts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from greywater.errors import EmptyInputError, FormatError
from greywater.formats.tabular import open_table
from greywater.formats.text import as_text

__all__ = ["read_sibling"]


def read_sibling(path: Path, stem: str, columns: Sequence[str]) -> pa.Table | None:
    """Columns, as text, of `<stem>.parquet`, `.csv` or `.csv.gz` in the folder of `path`; None where there is none.

    Raises
    ------
    FormatError
        If the file lacks one of the columns.
    """
    for ending in (".parquet", ".csv", ".csv.gz"):
        file = path.parent / (stem + ending)
        if not file.is_file() or file == path:
            continue
        try:
            table = open_table(file)
        except EmptyInputError:
            return None
        missing = [name for name in columns if name not in table.columns]
        if missing:
            raise FormatError(
                f"the columns {', '.join(missing)} are missing",
                where=str(file),
                mend="give the file as it was made beside the payments, or remove it",
            )
        chunks = [[as_text(chunk.columns[name]) for name in columns] for chunk in table.chunks(columns, 131_072)]
        whole = [pa.chunked_array([chunk[i] for chunk in chunks], pa.string()) for i in range(len(columns))]
        return pa.table(dict(zip(columns, whole, strict=True)))
    return None
