"""What a transform gives: an array, or a pandas or polars frame, with the columns of the input where asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pyarrow as pa

from greywater.errors import RefusedTypeError, RefusedValueError, UsageError
from greywater.features.payment_input import Column, InputTable
from greywater.vocab import Float64Array, Int64Array

__all__ = ["as_frame"]

EXACT = 2**53


def as_frame(
    container: str,
    kept: InputTable | None,
    index: Any,
    ints: tuple[Int64Array, list[str]],
    floats: tuple[Float64Array, list[str]],
) -> Any:
    """Features in the container asked for.

    Parameters
    ----------
    container : {"default", "pandas", "polars"}
        Array, or frame.
    kept : InputTable, optional
        Its columns come first.
    index : pandas.Index, optional
        Of a pandas frame.
    ints : int64[Ci, n] and names
    floats : float64[Cf, n] and names

    Returns
    -------
    float64[n, C] by columns, pandas.DataFrame or polars.DataFrame
        Frames hold the counts as int64.

    Raises
    ------
    UsageError
        If pandas is asked for and not installed.
    RefusedTypeError, RefusedValueError
        If a column of the input is to be kept in an array and is not made of numbers that a float64 holds.
    """
    if kept is not None and kept.names is not None and set(kept.names) & {*ints[1], *floats[1]}:
        raise RefusedValueError(
            "a column of the input has the name of a feature", where="keep_input", mend="rename it, or leave it out"
        )
    if container == "pandas":
        return _as_pandas(kept, index, ints, floats)
    if container == "polars":
        return _as_polars(kept, ints, floats)
    return _as_array(kept, ints[0], floats[0])


def _as_array(kept: InputTable | None, ints: Int64Array, floats: Float64Array) -> Float64Array:
    first = 0 if kept is None else kept.width
    columns = np.empty((first + len(ints) + len(floats), ints.shape[1]), np.float64)
    for place in range(first):
        assert kept is not None
        columns[place] = _numbers(kept.column(place))
    columns[first : first + len(ints)] = ints
    columns[first + len(ints) :] = floats
    return columns.T


def _numbers(column: Column) -> Float64Array:
    values = column.values
    mend = 'set_output(transform="pandas") or "polars" keeps every type'
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iufb":
        raise RefusedTypeError(
            "an array of floats cannot hold it", where=f"column {column.name}, keep_input", mend=mend
        )
    numbers: Float64Array = values.astype(np.float64)
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8 and ((values > EXACT) | (numbers < -EXACT)).any():
        raise RefusedValueError(
            "a float does not tell its numbers apart", where=f"column {column.name}, keep_input", mend=mend
        )
    if column.missing is not None:
        numbers[column.missing] = np.nan
    return numbers


def _as_pandas(
    kept: InputTable | None,
    index: Any,
    ints: tuple[Int64Array, list[str]],
    floats: tuple[Float64Array, list[str]],
) -> Any:
    pandas = _pandas()
    parts = [pandas.DataFrame(values.T, columns=names, index=index) for values, names in (ints, floats)]
    if kept is not None:
        parts.insert(0, _input_as_pandas(pandas, kept))
    return pandas.concat(parts, axis=1)


def _input_as_pandas(pandas: Any, kept: InputTable) -> Any:
    if isinstance(kept.source, pandas.DataFrame):
        return kept.source
    if isinstance(kept.source, np.ndarray):
        frame = pandas.DataFrame(kept.source, columns=[f"x{place}" for place in range(kept.width)])
        return frame.infer_objects()
    table = kept.source if isinstance(kept.source, pa.Table) else pa.table(kept.source)
    return table.to_pandas()


def _pandas() -> Any:
    try:
        return import_module("pandas")
    except ImportError:
        raise UsageError(
            "pandas is not installed", where='set_output(transform="pandas")', mend='install it, or ask for "polars"'
        ) from None


def _as_polars(
    kept: InputTable | None, ints: tuple[Int64Array, list[str]], floats: tuple[Float64Array, list[str]]
) -> Any:
    polars = import_module("polars")
    features = {name: values[k] for values, names in (ints, floats) for k, name in enumerate(names)}
    if kept is None:
        return polars.DataFrame(features)
    if isinstance(kept.source, polars.DataFrame):
        before = kept.source
    elif kept.names is None:
        # An array, or a frame whose columns have no names of text.
        before = polars.DataFrame({f"x{k}": polars.Series(np.asarray(kept.raw(k)).tolist()) for k in range(kept.width)})
    else:
        before = polars.DataFrame({name: polars.Series(_arrow(kept, k)) for k, name in enumerate(kept.names)})
    return before.with_columns(**{name: polars.Series(values) for name, values in features.items()})


def _arrow(kept: InputTable, place: int) -> Any:
    raw = kept.raw(place)
    return raw if isinstance(raw, pa.Array | pa.ChunkedArray) else pa.array(raw, from_pandas=True)
