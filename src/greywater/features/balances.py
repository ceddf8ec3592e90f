"""What was on the accounts of a payment just before it, and how much of that it moves."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from greywater.features.feature import Feature
from greywater.vocab import BALANCES, Float64Array

__all__ = ["BALANCE_FEATURES", "BalanceJoin"]

_sides: Final = (("sender", "amount", "what was paid"), ("receiver", "received_amount", "what arrived"))

#: The columns of a BalanceJoin, in order.
BALANCE_FEATURES: Final = (
    *(
        Feature(
            name=f"payment.{role}_balance",
            entity="sender" if role == "sender" else "receiver",
            dtype="float64",
            unit="minor units",
            description=f"{role}: balance before the payment, in the base currency at the payment's own rate",
            family="balance",
            parameters={"role": role, "statistic": "balance"},
        )
        for role, _, _ in _sides
    ),
    *(
        Feature(
            name=f"payment.{role}_balance_share",
            entity="sender" if role == "sender" else "receiver",
            dtype="float64",
            unit="ratio",
            description=f"{moved} divided by the {role}'s balance before the payment",
            family="balance",
            typologies=("pass-through", "mule"),
            parameters={"role": role, "statistic": "balance_share"},
        )
        for role, _, moved in _sides
    ),
)


class BalanceJoin:
    """Balances as columns, each from its own payment alone: in any cut of the payments the same bits.

    A share is not defined (NaN) where the balance is not known, zero or below zero. A balance in another currency than
    the base is converted at the rate that its payment was recorded at (`base_amount` divided by the amount), and is not
    defined where the payment has none: its amount is zero, or no rate was known.

    Examples
    --------
    >>> batch = pa.record_batch({
    ...     "amount": [950, 50], "received_amount": [950, 40], "base_amount": [950, 100],
    ...     "sender_balance": pa.array([1_000, None], pa.int64()), "receiver_balance": pa.array([0, 400], pa.int64())})
    >>> join = BalanceJoin()
    >>> dict(zip(join.names, (column.to_pylist() for column in join.columns(batch)), strict=True))[
    ...     "payment.sender_balance_share"]
    [0.95, nan]
    >>> [column.to_pylist() for column in join.columns(batch)][1]
    [0.0, 1000.0]
    """

    #: Columns of the transaction table that it reads.
    reads: Final = ("amount", "received_amount", "base_amount", *BALANCES)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(feature.name for feature in BALANCE_FEATURES)

    def columns(self, payments: pa.RecordBatch) -> list[pa.Array]:
        """The columns of a block of payments (`reads`), float64[n] each."""
        base = _floats(payments.column("base_amount"))
        balances, shares = [], []
        for role, moved, _ in _sides:
            balance, amount = _floats(payments.column(f"{role}_balance")), _floats(payments.column(moved))
            with np.errstate(divide="ignore", invalid="ignore"):
                rate = np.where(amount > 0, base / amount, np.nan)
                share = np.where(balance > 0, amount / balance, np.nan)
            balances.append(pa.array(balance * rate))
            shares.append(pa.array(share))
        return [*balances, *shares]


def _floats(column: pa.Array) -> Float64Array:
    """Whole numbers as float64[n], which holds each of them exactly; NaN where null."""
    values: Float64Array = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values
