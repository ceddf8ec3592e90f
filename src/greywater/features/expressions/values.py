"""Values of one kind for all rows, with what is not known among them, and how columns become such values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.features.expressions.syntax import Kind, Value

__all__ = ["ALL_KNOWN", "BoolArray", "Values", "as_arrow", "kind_of", "literal", "load", "moment_of"]

BoolArray = NDArray[np.bool_]
#: What `known` is where every row has a value.
ALL_KNOWN: Final[BoolArray] = np.asarray(True)
_moment_type: Final = pa.timestamp("us", tz="UTC")
_numpy_types: Final[Mapping[Kind, Any]] = {
    "whole": np.int64,
    "number": np.float64,
    "truth": np.bool_,
    "moment": np.int64,
}
_arrow_types: Final[Mapping[Kind, pa.DataType]] = {
    "whole": pa.int64(), "number": pa.float64(), "truth": pa.bool_(), "moment": _moment_type, "text": pa.string(),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Values:
    """One value a row, or one for all rows.

    Parameters
    ----------
    kind : Kind
    data : array
        int64 (whole, moment), float64 (number) or bool (truth), of n rows or of no dimension (the same for all rows);
        for text a `pa.Array` or `pa.Scalar`.
    known : bool array
        False where there is no value. A number without a value is NaN and a text without one is null instead: of texts
        `known` is not used, of numbers only where it is of n rows. `data` is False where a truth has no value.
    """

    kind: Kind
    data: Any
    known: BoolArray = field(default_factory=lambda: ALL_KNOWN)

    @property
    def there(self) -> BoolArray:
        """True where there is a value, whatever the kind."""
        if self.kind == "number":
            return self.known if self.known.ndim else np.asarray(~np.isnan(self.data))
        if self.kind == "text":
            if isinstance(self.data, pa.Scalar):
                return np.asarray(self.data.is_valid)
            return np.asarray(pc.is_valid(self.data).to_numpy(zero_copy_only=False))
        return self.known

    @property
    def numbers(self) -> NDArray[np.float64]:
        """float64, NaN where there is no value, of whole numbers, numbers and moments."""
        if self.kind == "number":
            return np.asarray(self.data)
        return np.where(self.known, np.asarray(self.data, np.float64), np.nan)


def kind_of(dtype: pa.DataType) -> Kind | None:
    """The kind that a column of an Arrow type has; None where expressions cannot read it.

    Examples
    --------
    >>> kind_of(pa.int8()), kind_of(pa.float32()), kind_of(pa.list_(pa.int8()))
    ('whole', 'number', None)
    """
    if pa.types.is_integer(dtype) and not pa.types.is_uint64(dtype):
        return "whole"
    if pa.types.is_floating(dtype):
        return "number"
    if pa.types.is_boolean(dtype):
        return "truth"
    if pa.types.is_timestamp(dtype):
        return "moment"
    inside = dtype.value_type if pa.types.is_dictionary(dtype) else dtype
    return "text" if pa.types.is_string(inside) or pa.types.is_large_string(inside) else None


def load(column: pa.ChunkedArray | pa.Array, kind: Kind) -> Values:
    """A column as values; NaN of a float column is "no value"."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks)
    whole = whole.cast(_arrow_types[kind]) if whole.type != _arrow_types[kind] else whole
    if kind == "text":
        return Values(kind, whole)
    if kind == "number":
        return Values(kind, whole.to_numpy(zero_copy_only=False))
    known = ALL_KNOWN
    if whole.null_count:
        known = np.asarray(whole.is_valid().to_numpy(zero_copy_only=False))
        whole = whole.fill_null(pa.scalar(False if kind == "truth" else 0, whole.type))
    if kind == "moment":
        whole = whole.view(pa.int64())
    return Values(kind, np.asarray(whole.to_numpy(zero_copy_only=False), _numpy_types[kind]), known)


def literal(value: Value, kind: Kind) -> Values:
    """A literal as values."""
    if kind == "text":
        return Values(kind, pa.scalar(value, pa.string()))
    return Values(kind, np.asarray(value, _numpy_types[kind]))


def moment_of(text: str) -> int | None:
    """Microseconds since 1970 of an ISO 8601 date or moment (UTC where it names no zone); None where it is none.

    Examples
    --------
    >>> moment_of("1970-01-01T00:00:01"), moment_of("yesterday")
    (1000000, None)
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    since_1970 = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since_1970.days * 86_400 + since_1970.seconds) * 1_000_000 + since_1970.microseconds


def as_arrow(values: Values, rows: int) -> pa.Array:
    """Values as an Arrow array of `rows` rows, null where there is none."""
    if values.kind == "text":
        return pa.repeat(values.data, rows) if isinstance(values.data, pa.Scalar) else values.data
    data = np.broadcast_to(values.data, (rows,))
    missing = np.broadcast_to(~values.there, (rows,))
    array = pa.array(
        data, _arrow_types["whole"] if values.kind == "moment" else _arrow_types[values.kind], mask=missing
    )
    return array.view(_moment_type) if values.kind == "moment" else array
