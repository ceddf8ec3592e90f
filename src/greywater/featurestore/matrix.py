"""Columns of a table as one float64 matrix, exactly or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import RefusedTypeError, RefusedValueError
from greywater.vocab import Float64Array

__all__ = ["fits_a_matrix", "float_matrix"]

EXACT: Final = 2**53


def fits_a_matrix(kind: pa.DataType) -> bool:
    """Whether values of this type can be numbers of a float64 matrix: bool, numbers and timestamps.

    Examples
    --------
    >>> fits_a_matrix(pa.int64()), fits_a_matrix(pa.string())
    (True, False)
    """
    return bool(
        pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_timestamp(kind)
    )


def float_matrix(table: pa.Table, names: Sequence[str]) -> Float64Array:
    """float64[n, k] of k columns: bool as 0 and 1, timestamps as microseconds since 1970, null as NaN.

    Raises
    ------
    RefusedTypeError
        A column holds something else (strings, dates).
    RefusedValueError
        A whole number lies beyond 2^53 and has no exact float64.

    Examples
    --------
    >>> float_matrix(pa.table({"a": [True, None], "b": [1, 2]}), ["a", "b"]).tolist()
    [[1.0, 1.0], [nan, 2.0]]
    """
    out = np.empty((table.num_rows, len(names)), np.float64, order="C")
    for place, name in enumerate(names):
        column = table[name]
        kind = column.type
        if not fits_a_matrix(kind):
            raise RefusedTypeError(
                f"{kind} is no number",
                where=f"column {name}",
                mend="leave the column out of the view or code it as numbers; Arrow, pandas, polars and files of one "
                "column each hold it as it is",
            )
        if pa.types.is_timestamp(kind):
            column = column.cast(pa.int64())
        elif pa.types.is_boolean(kind):
            column = column.cast(pa.int8())
        whole = np.asarray(pc.fill_null(column, 0))
        if whole.dtype.kind in "iu" and whole.dtype.itemsize == 8:
            beyond = (whole > EXACT) | (whole < -EXACT) if whole.dtype.kind == "i" else whole > EXACT
            if beyond.any():
                raise RefusedValueError(
                    f"{whole[int(np.argmax(beyond))]} has no exact float64",
                    where=f"column {name}, row {int(np.argmax(beyond))}",
                    mend="take Arrow, Parquet or files of one column each",
                )
        out[:, place] = whole
        if column.null_count:
            out[np.asarray(column.is_null()), place] = np.nan
    return out
