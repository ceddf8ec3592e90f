"""Features of the payment itself: amount, channel, currencies, banks, lateness, and the share of money passed on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.features.feature import Feature
from greywater.vocab import CHANNELS, CURRENCIES, Float64Array, Int64Array

__all__ = ["PAYMENT_FEATURES", "PAYMENT_INPUTS", "compute_payment", "pass_through"]


def _payment(name: str, dtype: str, unit: str, description: str, typologies: tuple[str, ...] = ()) -> Feature:
    return Feature(
        name=f"payment.{name}",
        entity="payment",
        dtype="int64" if dtype == "int64" else "float64",
        unit=unit,
        description=description,
        family="payment",
        kind="mergeable",
        typologies=typologies,
        parameters={"statistic": name},
    )


PAYMENT_FEATURES = (
    _payment("amount", "float64", "minor units", "amount paid, in the base currency"),
    _payment("round_amount", "int64", "digits", "zeros at the end of the amount paid, in minor units"),
    _payment("channel", "int64", "code", "how the money moved: position in the list of channels"),
    _payment("currency", "int64", "code", "currency paid: position in the list of currencies"),
    _payment("received_currency", "int64", "code", "currency received: position in the list of currencies"),
    _payment("currency_change", "int64", "flag", "1 where the currencies paid and received differ"),
    _payment(
        "received_to_paid", "float64", "ratio", "amount received divided by amount paid, where the currency is the same"
    ),
    _payment("cross_bank", "int64", "flag", "1 where sender and receiver bank with different banks"),
    _payment("late", "int64", "flag", "1 where the payment was recorded later than the allowed lateness"),
)


#: Columns of the transaction table that each of PAYMENT_FEATURES is made from.
PAYMENT_INPUTS: tuple[tuple[str, ...], ...] = (
    ("base_amount",),
    ("amount",),
    ("channel",),
    ("currency",),
    ("received_currency",),
    ("currency", "received_currency"),
    ("amount", "currency", "received_amount", "received_currency"),
    ("sender_bank", "receiver_bank"),
    ("event_time",),
)


def compute_payment(
    rows: pa.RecordBatch | pa.Table, late: np.ndarray, wanted: Sequence[bool] | None = None
) -> list[Int64Array | Float64Array]:
    """Columns in the order of PAYMENT_FEATURES, those alone that are wanted (None = all)."""
    makers: tuple[Callable[[], Int64Array | Float64Array], ...] = (
        lambda: _floats(_column(rows, "base_amount")),
        lambda: trailing_zeros(_integers(rows, "amount")),
        lambda: _codes(_column(rows, "channel"), CHANNELS),
        lambda: _codes(_column(rows, "currency"), CURRENCIES),
        lambda: _codes(_column(rows, "received_currency"), CURRENCIES),
        lambda: 1 - _same_currency(rows),
        lambda: _received_to_paid(rows),
        lambda: _flags(pc.fill_null(pc.not_equal(_column(rows, "sender_bank"), _column(rows, "receiver_bank")), False)),
        lambda: np.asarray(late, np.int64),
    )
    return [make() for place, make in enumerate(makers) if wanted is None or wanted[place]]


def _floats(column: pa.Array) -> Float64Array:
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def _same_currency(rows: pa.RecordBatch | pa.Table) -> Int64Array:
    return _flags(pc.equal(_column(rows, "currency"), _column(rows, "received_currency")))


def _received_to_paid(rows: pa.RecordBatch | pa.Table) -> Float64Array:
    amount, received = _integers(rows, "amount"), _integers(rows, "received_amount")
    ratio = np.full(len(amount), np.nan)
    np.divide(received, amount, out=ratio, where=(_same_currency(rows) == 1) & (amount > 0))
    return ratio


def pass_through(amount: Float64Array, received_last_day: Float64Array) -> Float64Array:
    """Share of what came in during the last day that goes out with a payment; NaN where nothing came in."""
    share = np.full(len(amount), np.nan)
    np.divide(amount, received_last_day, out=share, where=received_last_day > 0)
    return share


def trailing_zeros(amount: Int64Array) -> Int64Array:
    """Zeros at the end of an integer written in decimal; 0 for 0.

    Examples
    --------
    >>> import numpy as np
    >>> trailing_zeros(np.array([0, 5, 1200, 100000])).tolist()
    [0, 0, 2, 5]
    """
    zeros = np.zeros(len(amount), np.int64)
    power = 10
    left = np.flatnonzero(amount != 0)
    while len(left):
        left = left[amount[left] % power == 0]
        zeros[left] += 1
        power *= 10
    return zeros


def _column(rows: pa.RecordBatch | pa.Table, name: str) -> pa.Array:
    column = rows.column(name)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _integers(rows: pa.RecordBatch | pa.Table, name: str) -> Int64Array:
    return np.asarray(_column(rows, name).to_numpy(zero_copy_only=False), np.int64)


def _flags(mask: pa.Array) -> Int64Array:
    return np.asarray(mask.to_numpy(zero_copy_only=False), np.int64)


def _codes(column: pa.Array, known: tuple[str, ...]) -> Int64Array:
    """Position in `known`, -1 where it is not there."""
    found = pc.index_in(column, pa.array(known, column.type))
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int64)
