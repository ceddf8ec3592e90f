"""Arrays, pandas and polars frames and Arrow tables as columns; nothing here knows what a payment is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.errors import RefusedTypeError, RefusedValueError, UsageError

__all__ = ["UNITS", "Column", "InputTable", "as_column", "column_of_objects", "read_input"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
#: Units of time, as microseconds: numerator and denominator.
UNITS = {
    "D": (86_400_000_000, 1), "h": (3_600_000_000, 1), "m": (60_000_000, 1), "s": (1_000_000, 1), "ms": (1_000, 1),
    "us": (1, 1), "ns": (1, 1_000),
}  # fmt: skip
#: Whole numbers that a float64 tells apart.
EXACT = 2**53
ACCEPTED = "give a 2-D numpy array, a pandas or polars DataFrame, or an Arrow table"


@dataclass(frozen=True)
class Column:
    """One column of an input, in one of few forms.

    Parameters
    ----------
    name : str
        As errors call it.
    values : ndarray or pyarrow.Array
        Numbers, bool or datetime64 as numpy; text (large_string) and decimals as Arrow.
    missing : bool[n], optional
        Where a value is absent; None = nowhere. The value there means nothing.
    """

    name: str
    values: Any
    missing: NDArray[np.bool_] | None = None

    def where(self, row: int) -> str:
        """The place of a value, for errors."""
        return f"row {row}, column {self.name}"


@dataclass(frozen=True)
class InputTable:
    """What was given to an estimator: its shape, its names, and a way to each raw column.

    Parameters
    ----------
    rows, width : int
        The shape.
    names : tuple of str, optional
        Names of the columns; None for arrays.
    raw : callable
        Place -> ndarray, pandas Series or Arrow array.
    source : object
        What was given, or the array made from it.
    """

    rows: int
    width: int
    names: tuple[str, ...] | None
    raw: Callable[[int], Any]
    source: Any

    def place(self, wanted: int | str, parameter: str) -> int:
        """The position of a column given by name or position.

        Raises
        ------
        RefusedValueError
            If the input has no such column, or several of the name.
        UsageError
            If a name is given for an array, or neither a name nor a position.
        """
        if isinstance(wanted, str):
            if self.names is None:
                raise UsageError(
                    f"{wanted!r} names a column, and the columns of this input have no names",
                    where=parameter,
                    mend="give the position of the column, or a frame",
                )
            found = self.names.count(wanted)
            if found != 1:
                raise RefusedValueError(
                    f"{found or 'no'} columns are named {wanted!r}",
                    where=parameter,
                    mend=f"name one of {', '.join(self.names[:20])}",
                )
            return self.names.index(wanted)
        if isinstance(wanted, bool) or not isinstance(wanted, int | np.integer) or wanted < 0:
            raise UsageError(f"{wanted!r} is no column", where=parameter, mend="give a name or a position from 0")
        if wanted >= self.width:
            raise RefusedValueError(
                f"Found an input with {self.width} feature(s) (shape=({self.rows}, {self.width})) while a minimum of "
                f"{int(wanted) + 1} is required.",
                where=parameter,
                mend="give a column for the time, the sender and the receiver of each payment",
            )
        return int(wanted)

    def column(self, place: int) -> Column:
        """The column at a position."""
        name = self.names[place] if self.names is not None else str(place)
        return as_column(self.raw(place), name)


def read_input(given: Any) -> InputTable:
    """Whatever an estimator is given, as a table.

    Parameters
    ----------
    given : array-like of shape (n, m), pandas.DataFrame, polars.DataFrame, pyarrow.Table or RecordBatch
        Lists of rows are read value by value. Anything else that exports an Arrow stream is read as a table.

    Raises
    ------
    RefusedTypeError
        If it is none of these, or sparse.
    RefusedValueError
        If it does not have two dimensions.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = read_input(pa.table({"event_time": [1, 2], "sender": ["a", "b"]}))
    >>> table.rows, table.width, table.names
    (2, 2, ('event_time', 'sender'))
    """
    library = type(given).__module__.partition(".")[0]
    if library == "scipy" or hasattr(given, "tocsr"):
        raise RefusedTypeError("sparse input is not supported", mend=ACCEPTED)
    if library == "pandas" and hasattr(given, "iloc") and hasattr(given, "columns"):
        return _from_pandas(given)
    if isinstance(given, pa.Table | pa.RecordBatch):
        return _from_arrow(given)
    if library == "polars" and hasattr(given, "get_columns"):
        series = given.get_columns()
        return InputTable(len(given), len(series), tuple(given.columns), lambda k: series[k].to_arrow(), given)
    if hasattr(given, "__arrow_c_stream__") and library not in ("pandas", "polars"):
        return _from_arrow(pa.table(given))
    return _from_array(given)


def _from_pandas(frame: Any) -> InputTable:
    rows, width = frame.shape
    texts = all(isinstance(name, str) for name in frame.columns)
    names = tuple(str(name) for name in frame.columns) if texts else None

    def raw(place: int) -> Any:
        series = frame.iloc[:, place]
        if isinstance(series.dtype, np.dtype) or "Sparse" in str(series.dtype):
            return np.asarray(series)
        return pa.Array.from_pandas(series)

    return InputTable(rows, width, names, raw, frame)


def _from_arrow(table: Any) -> InputTable:
    return InputTable(table.num_rows, table.num_columns, tuple(table.schema.names), table.column, table)


def _from_array(given: Any) -> InputTable:
    if isinstance(given, list | tuple):
        # As objects: a list that mixes text and numbers would become text altogether.
        array = np.empty(0) if not len(given) else np.array(given, dtype=object)
    elif isinstance(given, np.ndarray) or hasattr(given, "__array__"):
        array = np.asanyarray(given)
        array = array if isinstance(array, np.ma.MaskedArray) else np.asarray(array)
    else:
        raise RefusedTypeError(f"payments cannot be read from a {type(given).__name__}", mend=ACCEPTED)
    if array.dtype.kind == "c":
        raise RefusedValueError("Complex data not supported", mend="give real numbers")
    if array.ndim != 2:
        raise RefusedValueError(
            f"Expected 2D array, got {array.ndim}D array instead",
            mend="Reshape your data to one row a payment, one column a property; a frame for named fields",
        )
    return InputTable(array.shape[0], array.shape[1], None, lambda k: array[:, k], array)


def as_column(raw: Any, name: str) -> Column:
    """A raw column in one of the few forms of `Column`.

    Raises
    ------
    RefusedTypeError
        If the values are of mixed kinds or of a kind that is no number, time or text.

    Examples
    --------
    >>> as_column(np.array([1, None, 3], object), "x").missing.tolist()
    [False, True, False]
    """
    if isinstance(raw, pa.ChunkedArray):
        chunks = raw.combine_chunks()
        raw = chunks if isinstance(chunks, pa.Array) else pa.concat_arrays(chunks.chunks)
    if isinstance(raw, pa.Array):
        return _from_arrow_column(raw, name)
    masked = np.ma.getmaskarray(raw) if isinstance(raw, np.ma.MaskedArray) else None
    raw = np.asarray(raw)
    if raw.dtype.kind in "iufbM":
        return Column(name, raw, masked)
    if masked is not None and masked.any():
        raw = np.where(masked, np.full(1, None, object), raw.astype(object))
    if raw.dtype.kind in "UT":
        return Column(name, pa.array(raw.tolist(), pa.large_string()))
    if raw.dtype.kind == "O":
        return column_of_objects(raw.tolist(), name)
    if raw.dtype.kind == "c":
        raise RefusedValueError("Complex data not supported", where=f"column {name}", mend="give real numbers")
    raise _unreadable(str(raw.dtype), name)


def _unreadable(kind: str, name: str) -> RefusedTypeError:
    return RefusedTypeError(
        f"values of type {kind} cannot be read",
        where=f"column {name}",
        mend="give whole numbers, floats, dates, times or text",
    )


def _from_arrow_column(array: Any, name: str) -> Column:
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    missing = np.asarray(array.is_null().to_numpy(zero_copy_only=False), np.bool_) if array.null_count else None
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view():
        return Column(name, array.cast(pa.large_string()), missing)
    if pa.types.is_decimal(kind):
        return Column(name, array, missing)
    if pa.types.is_null(kind):
        return Column(name, np.full(len(array), np.nan), missing)
    unit = kind.unit if pa.types.is_timestamp(kind) else {pa.date32(): "D", pa.date64(): "ms"}.get(kind)
    if unit is not None:
        whole = array.cast(pa.int32()).cast(pa.int64()) if unit == "D" else array.cast(pa.int64())
        numbers = whole.fill_null(0).to_numpy(zero_copy_only=False)
        return Column(name, np.array(numbers, np.int64).view(f"datetime64[{unit}]"), missing)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        filled = array.fill_null(pa.scalar(0).cast(kind)) if missing is not None else array
        return Column(name, filled.to_numpy(zero_copy_only=False), missing)
    raise _unreadable(str(kind), name)


#: Kind of a Python object by its type, and by the name of the type where that would need another library.
KINDS: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("missing", (type(None),)),
    ("bool", (bool, np.bool_)),
    ("int", (int, np.integer)),
    ("float", (float, np.floating)),
    ("text", (str,)),
    ("decimal", (Decimal,)),
    ("time", (date, np.datetime64)),
)
MISSING_TYPES = {"NAType", "NaTType"}


def _kind(type_: type) -> str:
    if type_.__name__ in MISSING_TYPES:
        return "missing"
    return next((kind for kind, types in KINDS if issubclass(type_, types)), "other")


def column_of_objects(values: list[Any], name: str) -> Column:
    """A column of Python objects, all of one kind; None, NaN and their like are missing.

    Raises
    ------
    RefusedTypeError
        If an object is neither a number nor a time nor text, or if they are of several kinds.
    RefusedValueError
        If a whole number does not fit 64 bits.
    """
    kinds = {type_: _kind(type_) for type_ in set(map(type, values))}
    for type_, kind in kinds.items():
        if kind == "other":
            row = next(k for k, value in enumerate(values) if type(value) is type_)
            raise RefusedTypeError(
                f"argument must be a string or a real number, not {type_.__name__!r}",
                where=f"row {row}, column {name}",
                mend="give whole numbers, floats, dates, times or text",
            )
    absent = [kinds[type(value)] == "missing" or _is_nan(value, kinds[type(value)]) for value in values]
    missing = np.array(absent, np.bool_) if any(absent) else None
    present = {kinds[type(value)] for value, gone in zip(values, absent, strict=True) if not gone}
    if present == {"int", "float"}:
        return _mixed_numbers(values, absent, missing, name)
    if len(present) > 1:
        first = next(k for k, gone in enumerate(absent) if not gone)
        row = next(
            k for k, value in enumerate(values) if not absent[k] and kinds[type(value)] != kinds[type(values[first])]
        )
        raise RefusedTypeError(
            f"{values[row]!r} and {values[first]!r} are of different types",
            where=f"row {row}, column {name}",
            mend="give one type of value in a column",
        )
    kind = present.pop() if present else "float"
    return _one_kind(kind, values, absent, missing, name)


def _is_nan(value: Any, kind: str) -> bool:
    return bool(kind == "float" and value != value) or bool(kind == "time" and value != value)


def _one_kind(kind: str, values: list[Any], absent: list[bool], missing: NDArray[np.bool_] | None, name: str) -> Column:
    if kind == "text":
        return Column(name, pa.array(_filled(values, absent, None), pa.large_string()), missing)
    if kind == "decimal":
        return Column(name, _decimals(_filled(values, absent, None), name), missing)
    if kind == "int":
        return Column(name, _int64(_filled(values, absent, 0), name), missing)
    if kind == "time":
        counted = [0 if gone else _microseconds(value, name) for value, gone in zip(values, absent, strict=True)]
        return Column(name, _int64(counted, name).view("datetime64[us]"), missing)
    if kind == "bool":
        return Column(name, np.array(_filled(values, absent, False), np.bool_), missing)
    return Column(name, np.array(_filled(values, absent, np.nan), np.float64), missing)


def _filled(values: list[Any], absent: list[bool], instead: Any) -> list[Any]:
    return [instead if gone else value for value, gone in zip(values, absent, strict=True)]


def _mixed_numbers(values: list[Any], absent: list[bool], missing: NDArray[np.bool_] | None, name: str) -> Column:
    """Whole numbers and floats in one column: whole where all are, else floats, each told apart from its neighbours."""
    numbers = _filled(values, absent, 0)
    floats = [isinstance(value, float | np.floating) for value in numbers]
    whole = all(float(value).is_integer() for value, is_float in zip(numbers, floats, strict=True) if is_float)
    for row, value in enumerate(numbers):
        if (floats[row] or not whole) and EXACT <= abs(value) < np.inf:
            raise RefusedValueError(
                f"{value} is or stands among floats, which do not tell it from its neighbours",
                where=f"row {row}, column {name}",
                mend="give whole numbers only",
            )
    if whole:
        return Column(name, _int64(numbers, name), missing)
    return Column(name, np.array(_filled(values, absent, np.nan), np.float64), missing)


def _int64(values: list[Any], name: str) -> NDArray[np.int64]:
    try:
        return np.array([int(value) for value in values], np.int64)
    except OverflowError:
        row = next(k for k, value in enumerate(values) if not -(2**63) <= int(value) < 2**63)
        raise RefusedValueError(
            f"{values[row]} does not fit 64 bits",
            where=f"row {row}, column {name}",
            mend="give whole numbers from -2^63 to 2^63 - 1",
        ) from None


def _decimals(values: Sequence[Decimal | None], name: str) -> Any:
    for row, value in enumerate(values):
        if value is not None and not value.is_finite():
            raise RefusedValueError(
                f"{value} is NaN or infinite", where=f"row {row}, column {name}", mend="give finite numbers"
            )
    try:
        return pa.array(values)
    except pa.ArrowException as error:
        raise RefusedValueError(
            f"the decimals do not fit one column: {error}", where=f"column {name}", mend="give fewer digits"
        ) from error


def _microseconds(moment: Any, name: str) -> int:
    """Microseconds since 1970 of a date or time; one without a zone is UTC."""
    if isinstance(moment, np.datetime64):
        unit, count = np.datetime_data(moment.dtype)
        if unit not in UNITS:
            raise _unreadable(f"datetime64[{unit}]", name)
        return int(moment.astype(np.int64)) * count * UNITS[unit][0] // UNITS[unit][1]
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int((moment - EPOCH) // MICROSECOND)
