"""Leading digits of the amounts that a party sent, against Benford's law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from greywater.features.feature import Feature
from greywater.features.ledger_order import int64
from greywater.features.sent_payments import DAY_US, Role, SentPayments, SentWindows, Window
from greywater.vocab import Float64Array, Int64Array

__all__ = ["LEADING_DIGIT_FEATURES", "LeadingDigitJoin"]

#: Payments below which nothing is said.
LEAST_PAYMENTS: Final = 50
DAYS: Final = 90
_roles: Final[tuple[Role, Role]] = ("sender", "receiver")
_powers: Final = 10 ** np.arange(19, dtype=np.int64)
_expected: Final = tuple(math.log10(1 + 1 / digit) for digit in range(1, 10))

#: The columns of a LeadingDigitJoin, in order.
LEADING_DIGIT_FEATURES: Final = tuple(
    Feature(
        name=f"{role}.out.benford_chi_square.{DAYS}d",
        entity=role,
        dtype="float64",
        unit="chi-square",
        description=f"{role}: leading digits of the amounts sent in {DAYS}d against Benford's law",
        family="leading_digits",
        typologies=("structuring", "layering"),
        parameters={"role": role, "direction": "out", "statistic": "benford_chi_square", "window": DAYS * 86_400},
    )
    for role in _roles
)


class LeadingDigitJoin:
    """Chi-square of first digits: the sum of (seen - expected)^2 / expected over 1 to 9, expected = n log10(1 + 1/d).

    Over the amounts that a party sent to others, as they were paid, in the window `90d` of the engine: whole UTC days,
    and today's visible payments, this one included. Amounts of zero have no leading digit. Not defined (NaN) below
    50 payments, and for parties outside the bank. Above 15.5 chance alone comes once in twenty (8 degrees of freedom).
    Counts are whole numbers, and one formula is applied to them: one by one, in any cut, or restored from `arrays` the
    bits are the same.

    Parameters
    ----------
    allowed_lateness : int
        Seconds that a payment may come late, as in the settings.

    Notes
    -----
    F. Benford, "The law of anomalous numbers", 1938; M. Nigrini, "Benford's Law", 2012.

    Examples
    --------
    >>> n = 60
    >>> rows = pa.record_batch({"seq": range(n), "event_time": pa.array(range(n), pa.timestamp("us", tz="UTC")),
    ...                         "sender": ["a"] * n, "receiver": ["b"] * n, "amount": [9_500] * n})
    >>> sender, receiver = LeadingDigitJoin().columns(rows)
    >>> sender[48].as_py(), round(sender[49].as_py()), receiver[59].as_py()
    (nan, 1043, nan)
    """

    #: Columns of the transaction table that it reads.
    reads: Final = ("seq", "event_time", "sender", "receiver", "amount")

    def __init__(self, *, allowed_lateness: int = 7 * 86_400) -> None:
        self._sent = SentPayments(Window(DAYS * DAY_US, by_day=True, lateness_us=allowed_lateness * 1_000_000))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(feature.name for feature in LEADING_DIGIT_FEATURES)

    def columns(self, payments: pa.RecordBatch) -> list[pa.Array]:
        """The columns of the next payments (`reads`), float64[n] each.

        Raises
        ------
        EngineError
            A payment is missing, repeated or out of order.
        """
        amount = int64(payments.column("amount"))
        seen = self._sent.take(payments, leading_digits(amount), amount > 0)
        return [pa.array(_chi_square(seen, role)) for role in _roles]

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything carried from payment to payment; `load` goes on from there."""
        return self._sent.arrays()

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from the `arrays` of another."""
        self._sent.load(arrays)


def leading_digits(amount: Int64Array) -> Int64Array:
    """The first digit of whole numbers, 0 of those that have none, int64[n].

    Examples
    --------
    >>> leading_digits(np.array([0, 7, 10, 9_999_999])).tolist()
    [0, 7, 1, 9]
    """
    power = _powers[np.maximum(np.searchsorted(_powers, amount, side="right") - 1, 0)]
    return np.where(amount > 0, amount // power, 0)


def _chi_square(seen: SentWindows, role: Role) -> Float64Array:
    counts = [seen.sums(role, (seen.value == digit).astype(np.int64)) for digit in range(1, 10)]
    payments: Int64Array = np.asarray(sum(counts), np.int64)
    known = np.flatnonzero(payments >= LEAST_PAYMENTS)
    # One term after the other, so that no size of a block changes the order of the sum.
    total = np.zeros(len(known))
    for count, share in zip(counts, _expected, strict=True):
        expected = payments[known] * share
        difference = count[known] - expected
        total += difference * difference / expected
    found = np.full(len(payments), np.nan)
    found[known] = total
    return found
