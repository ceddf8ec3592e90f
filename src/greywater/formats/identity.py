"""Ids for payments whose source gives none: a hash of where the payment stands and what it says."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.formats.text import text_bytes

__all__ = ["CANONICAL_COLUMNS", "transaction_ids"]

#: The columns of a canonical row, in order.
CANONICAL_COLUMNS = (
    "event_time",
    "sender",
    "receiver",
    "sender_bank",
    "receiver_bank",
    "amount",
    "currency",
    "received_amount",
    "received_currency",
    "channel",
    "reference",
)
_SEPARATOR = "\x1f"


def transaction_ids(name: str, payments: pa.Table) -> pa.Array:
    """The first 16 bytes, in hex, of SHA-256(source name, row number, canonical row).

    The hashed text is the source's base name, the row number and CANONICAL_COLUMNS, joined by U+001F, in UTF-8: the
    time in microseconds since 1970, amounts in minor units, null as nothing (SEMANTICS: Identity).

    Parameters
    ----------
    name : str
        Base name of the file.
    payments : pyarrow.Table
        `row` and CANONICAL_COLUMNS; n rows.

    Returns
    -------
    pyarrow.ChunkedArray
        n ids of 32 characters.
    """
    parts = [pa.scalar(name), _text(payments, "row")]
    parts += [_text(payments, column) for column in CANONICAL_COLUMNS]
    joined = pc.binary_join_element_wise(*parts, _SEPARATOR, null_handling="replace", null_replacement="")
    return pa.chunked_array([_hashes(chunk) for chunk in joined.chunks], pa.string())


def _text(payments: pa.Table, column: str) -> pa.ChunkedArray:
    values = payments.column(column)
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.int64())
    return values if pa.types.is_string(values.type) else values.cast(pa.string())


def _hashes(texts: pa.Array) -> pa.Array:
    if len(texts) == 0:
        return pa.array([], pa.string())
    places = text_bytes(texts)[0].tolist()
    data = memoryview(texts.buffers()[2])
    digests = b"".join([sha256(data[a:b]).digest()[:16] for a, b in pairwise(places)])
    letters = digests.hex().encode("ascii")
    offsets = np.arange(len(texts) + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets.tobytes()), pa.py_buffer(letters))
