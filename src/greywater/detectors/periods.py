"""Whether a detector keeps what it promised: its measures month by month or quarter by quarter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import numpy as np

from greywater.detectors.bootstrap import Interval, PartyBootstrap, wilson
from greywater.detectors.metrics import AtThreshold, at_threshold, average_precision, roc_auc
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array

__all__ = ["PeriodMeasures", "measure_periods", "period_of"]

Length = Literal["month", "quarter"]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class PeriodMeasures:
    """The measures of the payments of one month or quarter (UTC).

    `precision` and `recall` in `at` have Wilson's intervals beside them; `average_precision_interval` draws whole
    parties again where they were given. `worse` is True where the interval of the average precision lies wholly below
    the first measured period's value: performance has drifted, not wobbled.
    """

    name: str
    rows: int
    positives: int
    average_precision: float | None
    average_precision_interval: Interval
    roc_auc: float | None
    at: AtThreshold
    precision_interval: Interval
    recall_interval: Interval
    mean_score: float
    worse: bool = False


def period_of(time_us: int, length: Length = "month") -> str:
    """The month or quarter (UTC) of a moment in microseconds since 1970.

    Examples
    --------
    >>> period_of(1_709_208_000_000_000), period_of(1_709_208_000_000_000, "quarter")
    ('2024-02', '2024-Q1')
    """
    day = _EPOCH + timedelta(microseconds=int(time_us))
    return f"{day:%Y-%m}" if length == "month" else f"{day:%Y}-Q{(day.month + 2) // 3}"


def measure_periods(
    y: Int64Array,
    score: Float64Array,
    time_us: Int64Array,
    threshold: float,
    *,
    length: Length = "month",
    parties: tuple[Int64Array, ...] = (),
    resamples: int = 100,
    seed: int = 7,
) -> tuple[PeriodMeasures, ...]:
    """Measure each month or quarter by itself, at one threshold.

    Parameters
    ----------
    y : int64[n] in {0, 1}
    score : float64[n], higher = more suspicious
    time_us : int64[n]
        Event times, microseconds since 1970, in any order.
    threshold : float
        Flags are `score >= threshold`.
    length : {"month", "quarter"}
    parties : arrays of int64[n]
        As for `PartyBootstrap`; without them the average precision has no interval.
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    tuple of PeriodMeasures
        Periods that hold a payment, in order of time.

    Examples
    --------
    >>> january, february = 1_704_067_200_000_000, 1_706_745_600_000_000
    >>> time = np.array([january, january, february])
    >>> found = measure_periods(np.array([1, 0, 1]), np.array([0.9, 0.1, 0.2]), time, 0.5)
    >>> [(each.name, each.positives, each.at.recall) for each in found]
    [('2024-01', 1, 1.0), ('2024-02', 1, 0.0)]
    """
    if length not in ("month", "quarter"):
        raise DetectorError(f"there is no period {length!r}", mend='give "month" or "quarter"')
    truth, value, times = np.asarray(y, np.int64), np.asarray(score, np.float64), np.asarray(time_us, np.int64)
    if truth.shape != value.shape or truth.shape != times.shape:
        raise DetectorError("labels, scores and times differ in length", mend="give one of each a payment")
    # A day has one month: naming days, not payments, is quick.
    days, day = np.unique(times // 86_400_000_000, return_inverse=True)
    names = np.array([period_of(int(each) * 86_400_000_000, length) for each in days])
    found: list[PeriodMeasures] = []
    first: float | None = None
    for name in dict.fromkeys(names.tolist()):
        rows = np.flatnonzero((names == name)[day])
        measured = _measure(
            name, truth[rows], value[rows], threshold, [each[rows] for each in parties], resamples, seed
        )
        high = measured.average_precision_interval.high
        if first is None:
            first = measured.average_precision
        elif high is not None and high < first:
            measured = PeriodMeasures(**(vars(measured) | {"worse": True}))
        found.append(measured)
    return tuple(found)


def _measure(
    name: str,
    y: Int64Array,
    score: Float64Array,
    threshold: float,
    parties: list[Int64Array],
    resamples: int,
    seed: int,
) -> PeriodMeasures:
    at = at_threshold(y, score, threshold)
    confusion = at.confusion
    interval = Interval(None, None)
    if parties and y.any():
        drawn = PartyBootstrap(y, score, parties, resamples=resamples, seed=seed)
        interval = drawn.payments(threshold)["average_precision"]
    caught = confusion.true_positive
    return PeriodMeasures(
        name=name,
        rows=len(y),
        positives=int(y.sum()),
        average_precision=average_precision(y, score),
        average_precision_interval=interval,
        roc_auc=roc_auc(y, score),
        at=at,
        precision_interval=wilson(caught, caught + confusion.false_positive),
        recall_interval=wilson(caught, caught + confusion.false_negative),
        mean_score=float(score.mean()),
    )
