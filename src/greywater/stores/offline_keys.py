"""From key columns to the 128-bit hashes that name their entities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.errors import RefusedTypeError
from greywater.vocab import Int64Array

__all__ = ["key_column", "key_hashes"]

#: Rows hashed at a time: their state stays in the processor's cache.
BLOCK_ROWS: Final = 8_192


def key_column(column: pa.ChunkedArray | pa.Array, dtype: str, name: str) -> pa.Array:
    """A column as keys of a group are stored: one array of string or int64.

    Parameters
    ----------
    column : pa.Array or pa.ChunkedArray
        Strings of any kind for `string`, whole numbers of any width for `int64`; nulls are kept.
    dtype : {"string", "int64"}
    name : str
        For the message.

    Raises
    ------
    RefusedTypeError
        The column holds something else: 1 and "1" are different entities, so nothing is turned into the other.

    Examples
    --------
    >>> key_column(pa.array([7], pa.int32()), "int64", "customer").type
    DataType(int64)
    """
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = whole.type.value_type if pa.types.is_dictionary(whole.type) else whole.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if pa.types.is_null(kind) or (text and dtype == "string") or (pa.types.is_integer(kind) and dtype == "int64"):
        wanted = (
            pa.int64() if dtype == "int64" else pa.large_string() if pa.types.is_large_string(kind) else pa.string()
        )
        try:
            return whole.cast(wanted)
        except pa.ArrowInvalid as error:
            raise RefusedTypeError(
                f"keys {name!r} do not fit into {wanted}: {error}", mend="give int64 keys"
            ) from error
    raise RefusedTypeError(f"keys {name!r} are {kind}, not {dtype}", mend=f"cast that column to {dtype}")


def key_hashes(keys: Sequence[pa.Array]) -> tuple[Int64Array, Int64Array]:
    """The hash of each row's key tuple; see `greywater.kernels.key_hash` for its definition.

    Parameters
    ----------
    keys : sequence of pa.Array
        string, large_string or int64, of one length n, in the order of the group's keys. What a row with a null
        gets has no meaning.

    Returns
    -------
    high, low : int64[n]

    Examples
    --------
    >>> high, low = key_hashes([pa.array(["alice"])])
    >>> int(high[0]), int(low[0])
    (5396616020047828029, 1781292156203189100)
    """
    from greywater.kernels.key_hash import STATE_WORDS, absorb_int64, absorb_text, begin, finish

    rows = len(keys[0])
    high, low = np.empty(rows, np.uint64), np.empty(rows, np.uint64)
    parts = [_buffers(column) for column in keys]
    state = np.empty((min(rows, BLOCK_ROWS), STATE_WORDS), np.uint64)
    for at in range(0, rows, BLOCK_ROWS):
        stop = min(at + BLOCK_ROWS, rows)
        held = state[: stop - at]
        begin(held)
        for first, text in parts:
            if text is None:
                absorb_int64(held, first[at:stop])
            else:
                absorb_text(held, first[at : stop + 1], text)
        finish(held, high[at:stop], low[at:stop])
    return high.view(np.int64), low.view(np.int64)


def _buffers(column: pa.Array) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """The bits of int64 keys and None, or offsets and bytes of strings."""
    held = column.buffers()
    rows, skip = len(column), column.offset
    if pa.types.is_int64(column.type):
        return np.frombuffer(held[1], np.uint64, rows, 8 * skip) if rows else np.empty(0, np.uint64), None
    wide = pa.types.is_large_string(column.type)
    kind: Any = np.int64 if wide else np.int32
    if not rows or held[1] is None:
        return np.zeros(rows + 1, kind), np.empty(0, np.uint8)
    offsets = np.frombuffer(held[1], kind, rows + 1, (8 if wide else 4) * skip)
    text = np.frombuffer(held[2], np.uint8) if held[2] is not None and held[2].size else np.empty(0, np.uint8)
    return offsets, text
