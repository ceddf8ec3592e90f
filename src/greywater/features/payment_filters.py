"""Which payments a request's filter lets through: by amount, by channel, by type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.features.calendar import DAY_US, compute_calendar
from greywater.features.requests import FeatureRequest
from greywater.vocab import DEFAULT_EXPONENT, Int64Array, currency_exponent

__all__ = ["PaymentFilter", "filter_of"]

#: Major units of the currency whose multiples are round amounts.
ROUND_UNITS: Final = 1_000
NIGHT_BEGINS, NIGHT_ENDS = 22, 6
#: Columns of the transaction table that each type of payment is told by.
TYPE_INPUTS: Final[dict[str, tuple[str, ...]]] = {
    "cross_bank": ("sender_bank", "receiver_bank"),
    "currency_change": ("currency", "received_currency"),
    "round": ("amount", "currency"),
    "night": (),
    "weekend": (),
}


@dataclass(frozen=True)
class PaymentFilter:
    """What a payment must be.

    Parameters
    ----------
    low, high : int or None
        Least and largest base amount, both included, in minor units; None = any amount, also an unknown one.
    channel, type : str or None
        As in a `FeatureRequest`.
    """

    low: int | None
    high: int | None
    channel: str | None
    type: str | None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns of the transaction table that it looks at, besides times and base amounts."""
        return (("channel",) if self.channel else ()) + (TYPE_INPUTS[self.type] if self.type else ())

    def passes(
        self, rows: pa.Table, time: Int64Array, base: Int64Array, timezone: str, resolution_us: int
    ) -> NDArray[np.bool_]:
        """Which payments pass.

        Parameters
        ----------
        rows : pa.Table
            With the columns `inputs`.
        time, base : int64[n]
            Microseconds; base amounts in minor units, -1 = unknown.
        timezone : str
            That nights and weekends are read in.
        resolution_us : int
            Time resolution of the source.

        Returns
        -------
        bool[n]
        """
        passing = np.ones(len(time), np.bool_)
        if self.low is not None and self.high is not None:
            passing &= (base >= self.low) & (base <= self.high)
        if self.channel is not None:
            passing &= _truth(pc.equal(rows["channel"], self.channel))
        if self.type in ("night", "weekend"):
            passing &= _at_special_time(self.type, time, timezone, resolution_us)
        elif self.type == "round":
            passing &= _is_round(rows)
        elif self.type is not None:
            left, right = (rows[name] for name in TYPE_INPUTS[self.type])
            passing &= _truth(pc.not_equal(left, right))
        return passing


def filter_of(request: FeatureRequest, base_exponent: int) -> PaymentFilter:
    """The filter of a request, amounts in minor units of a base currency with so many decimals.

    Examples
    --------
    >>> from greywater.features.requests import parse_request
    >>> filter_of(parse_request("sender.out.count.2d[amount 8500..]"), 2).low
    850000
    """
    low: int | None = None
    high: int | None = None
    if request.amount_from is not None or request.amount_to is not None:
        low, high = request.minor_range(base_exponent)
    return PaymentFilter(low, high, request.channel, request.type)


def _truth(mask: pa.ChunkedArray) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.asarray(pc.fill_null(mask, False).to_numpy(), np.bool_)
    return found


def _at_special_time(kind: str, time: Int64Array, timezone: str, resolution_us: int) -> NDArray[np.bool_]:
    days = compute_calendar(time, timezone, "", resolution_us)
    day_stamped = resolution_us >= DAY_US
    if kind == "weekend":
        weekend: NDArray[np.bool_] = days[1 if day_stamped else 2] == 1
        return weekend
    if day_stamped:
        return np.zeros(len(time), np.bool_)
    night: NDArray[np.bool_] = (days[0] >= NIGHT_BEGINS) | (days[0] < NIGHT_ENDS)
    return night


def _is_round(rows: pa.Table) -> NDArray[np.bool_]:
    units = np.full(rows.num_rows, ROUND_UNITS * 10**DEFAULT_EXPONENT, np.int64)
    for name in pc.unique(rows["currency"]).to_pylist():
        exponent = currency_exponent(name)
        if exponent != DEFAULT_EXPONENT:
            units[_truth(pc.equal(rows["currency"], name))] = ROUND_UNITS * 10**exponent
    amount = np.asarray(rows["amount"].to_numpy(), np.int64)
    multiple: NDArray[np.bool_] = amount % units == 0
    return multiple
