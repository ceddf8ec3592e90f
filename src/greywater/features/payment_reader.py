"""Where time, parties, amount and id of a payment stand in an input, and how they are read: a table or one row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from greywater.errors import RefusedTypeError, RefusedValueError, UsageError
from greywater.features.payment_input import UNITS, InputTable, column_of_objects
from greywater.features.payment_stream import Payments
from greywater.features.payment_values import LARGEST_AMOUNT, LATEST, UNKNOWN, amounts, names_or_numbers, times
from greywater.vocab import Int64Array

__all__ = ["PaymentReader"]

AUTO = "auto"
#: Where "auto" finds a column: its name in frames, its position in arrays.
USUAL = {
    "time_column": ("event_time", 0),
    "sender_column": ("sender", 1),
    "receiver_column": ("receiver", 2),
    "amount_column": ("amount", 3),
}
TIME_UNITS = ("s", "ms", "us", "ns", "D")
MOST_DECIMALS = 8
EXACT = 2.0**53


@dataclass(frozen=True)
class PaymentReader:
    """Reads payments as the parameters of a GraphFeatures say.

    Parameters
    ----------
    time_column, sender_column, receiver_column, amount_column, id_column : str or int or None
        Names or positions; "auto" = the usual ones. No amount_column: amounts are not known. No id_column: no ids.
    time_unit : str
        Unit of times given as numbers: "s", "ms", "us", "ns" or "D".
    amount_decimals : int
        0 to 8.
    unknown_amounts : str
        "raise" or "keep".
    has_amounts : bool
        False where the input that an estimator was fitted on had none.

    Raises
    ------
    UsageError
        If a parameter cannot be used.
    """

    time_column: Any = AUTO
    sender_column: Any = AUTO
    receiver_column: Any = AUTO
    amount_column: Any = AUTO
    id_column: Any = None
    time_unit: str = "s"
    amount_decimals: int = 2
    unknown_amounts: str = "raise"
    has_amounts: bool = True

    def __post_init__(self) -> None:
        if self.time_unit not in TIME_UNITS:
            raise UsageError(
                f"time_unit = {self.time_unit!r} cannot be used", where="time_unit", mend=f"give one of {TIME_UNITS}"
            )
        decimals = self.amount_decimals
        whole = isinstance(decimals, int | np.integer) and not isinstance(decimals, bool)
        if not whole or not 0 <= decimals <= MOST_DECIMALS:
            raise UsageError(
                f"amount_decimals = {decimals!r} cannot be used",
                where="amount_decimals",
                mend=f"give a whole number from 0 to {MOST_DECIMALS}",
            )
        if self.unknown_amounts not in ("raise", "keep"):
            raise UsageError(
                f"unknown_amounts = {self.unknown_amounts!r} cannot be used",
                where="unknown_amounts",
                mend='give "raise" or "keep"',
            )

    @property
    def _may_be_unknown(self) -> bool:
        return self.unknown_amounts == "keep" or self.amount_column is None or not self.has_amounts

    def fitted(self, table: InputTable) -> PaymentReader:
        """The reader for more rows of a table like this one."""
        return replace(self, has_amounts=self._place(table, "amount_column") is not None)

    def _place(self, table: InputTable, parameter: str) -> int | None:
        wanted = getattr(self, parameter)
        if wanted == AUTO and isinstance(wanted, str) and parameter in USUAL:
            name, position = USUAL[parameter]
            if parameter == "amount_column" and table.names is None and table.width == position:
                return None
            wanted = position if table.names is None else name
            if table.names is None and table.width < len(USUAL) - 1:
                wanted = len(USUAL) - 2
        return None if wanted is None else table.place(wanted, parameter)

    def _needed(self, table: InputTable, parameter: str) -> int:
        place = self._place(table, parameter)
        if place is None:
            raise UsageError(f"{parameter} = None cannot be used", where=parameter, mend="give a name or a position")
        return place

    def read(self, table: InputTable) -> Payments:
        """The payments of a table.

        Raises
        ------
        RefusedValueError, RefusedTypeError
            If a value cannot be used; the message names its row and column.
        """
        time = times(table.column(self._needed(table, "time_column")), self.time_unit)
        sender = names_or_numbers(table.column(self._needed(table, "sender_column")), "account")
        receiver = names_or_numbers(table.column(self._needed(table, "receiver_column")), "account")
        if isinstance(sender, np.ndarray) is not isinstance(receiver, np.ndarray):
            raise RefusedTypeError(
                "senders are text and receivers whole numbers, or the other way round", mend="give both in one form"
            )
        place = self._place(table, "amount_column")
        if place is None:
            amount: Int64Array = np.full(table.rows, UNKNOWN, np.int64)
        else:
            column = table.column(place)
            amount = amounts(column, self.amount_decimals, unknown=self.unknown_amounts == "keep")
        ids = None
        if self.id_column is not None:
            ids = names_or_numbers(table.column(self._needed(table, "id_column")), "id")
        return Payments(time, sender, receiver, amount, ids)

    def one(self, row: Sequence[Any]) -> tuple[int, int | str, int | str, int, int | str | None]:
        """Time, sender, receiver, amount and id of one payment, which a row holds in this order.

        Raises
        ------
        RefusedValueError, RefusedTypeError
            As `read` does.
        """
        with_id = self.id_column is not None
        if len(row) != 4 + with_id:
            raise RefusedValueError(
                f"the row has {len(row)} values",
                where="push",
                mend=f"give (time, sender, receiver, amount{', id' if with_id else ''})",
            )
        return (
            self._time(row[0]),
            _name_or_number(row[1], "account", "sender"),
            _name_or_number(row[2], "account", "receiver"),
            self._amount(row[3]),
            _name_or_number(row[4], "id", "id") if with_id else None,
        )

    def _time(self, value: Any) -> int:
        factor, divisor = UNITS[self.time_unit]
        if type(value) is int:
            time = value * factor // divisor
            if -LATEST <= time <= LATEST:
                return time
        elif isinstance(value, float):
            scaled = value * factor / divisor
            if -LATEST <= scaled <= LATEST and -EXACT < value < EXACT:
                return round(scaled)
        return int(times(column_of_objects([value], "time"), self.time_unit)[0])

    def _amount(self, value: Any) -> int:
        if type(value) is int:
            minor: int = value * 10**self.amount_decimals
            if 0 <= minor <= LARGEST_AMOUNT:
                return minor
        elif isinstance(value, float) and value >= 0:
            exact = value * 10.0**self.amount_decimals
            if exact <= LARGEST_AMOUNT:
                return round(exact)
        elif value is None and self._may_be_unknown:
            return UNKNOWN
        column = column_of_objects([value], "amount")
        return int(amounts(column, self.amount_decimals, unknown=self._may_be_unknown)[0])


def _name_or_number(value: Any, what: str, name: str) -> int | str:
    if (type(value) is int and -(2**63) <= value < 2**63) or (type(value) is str and value):
        return value
    found = names_or_numbers(column_of_objects([value], name), what)[0]
    return str(found.as_py()) if isinstance(found, pa.Scalar) else int(found)
