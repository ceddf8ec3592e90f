"""Measures for detectors side by side: what is right among as many payments as can be looked at."""

from __future__ import annotations

import numpy as np

from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array

__all__ = ["precision_of_highest"]

DAY_US = 86_400_000_000


def precision_of_highest(
    y: Int64Array, score: Float64Array, time_us: Int64Array, count: int, *, per_day: bool
) -> float | None:
    """Share of laundering among the payments with the highest scores; None without payments.

    Parameters
    ----------
    y : int64[n] in {0, 1}
    score : float64[n]
        Higher = more suspicious; of equal scores the earlier row is taken.
    time_us : int64[n]
        Microseconds since 1970, UTC.
    count : int
        So many payments are taken, at least 1.
    per_day : bool
        True: so many on each UTC day, or all of a day that has fewer. False: so many in all.

    Raises
    ------
    DetectorError
        Arrays of different lengths, or a count below 1.

    Examples
    --------
    >>> day = np.array([0, 0, 0, 1, 1]) * DAY_US
    >>> y, score = np.array([1, 0, 0, 0, 1]), np.array([0.9, 0.8, 0.1, 0.7, 0.2])
    >>> precision_of_highest(y, score, day, 1, per_day=True), precision_of_highest(y, score, day, 3, per_day=False)
    (0.5, 0.3333333333333333)
    """
    if count < 1 or not len(y) == len(score) == len(time_us):
        raise DetectorError(
            f"{count} of {len(y)} labels, {len(score)} scores and {len(time_us)} times cannot be taken",
            where="precision_of_highest",
            mend="give one of each a payment, and a count of at least 1",
        )
    if not len(y):
        return None
    day = np.asarray(time_us) // DAY_US if per_day else np.zeros(len(y), np.int64)
    order = np.lexsort((-np.asarray(score), day))
    ordered = day[order]
    # The place of each payment within its day.
    place = np.arange(len(order)) - np.searchsorted(ordered, ordered, "left")
    return float(np.mean(np.asarray(y)[order[place < count]]))
