"""What becomes of a detector when laundering is rarer, labels fewer, or labels late: runners over any maker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from greywater.detectors.detector import Detector, Validation
from greywater.detectors.metrics import PaymentMeasures, best_f1_threshold, measure_payments
from greywater.detectors.row_choice import RowChoice
from greywater.errors import DetectorError
from greywater.vocab import Int64Array, Progress, TrainingTable

__all__ = ["DELAYS", "SHARES", "ExperimentPoint", "Labelled", "class_imbalance", "label_delay"]

#: Shares of the laundering payments kept.
SHARES: Final = (1.0, 0.5, 0.2, 0.1, 0.05)
#: Days until a label is known.
DELAYS: Final = (0, 30, 90)
DAY_US: Final = 86_400_000_000

#: Makes a fresh detector, not yet fitted.
Maker = Callable[[], Detector]


@dataclass(frozen=True)
class Labelled:
    """Payments in order of time with what the labels say of them.

    X has n rows; y int64[n] in {0, 1}; time_us int64[n] microseconds since 1970.
    """

    X: TrainingTable
    y: Int64Array
    time_us: Int64Array

    def __post_init__(self) -> None:
        if not self.X.rows == len(self.y) == len(self.time_us):
            raise DetectorError(
                f"{self.X.rows} rows, {len(self.y)} labels and {len(self.time_us)} times", mend="give one of each a row"
            )


@dataclass(frozen=True)
class ExperimentPoint:
    """One setting of an experiment and what came of it on the test slice, which is never changed.

    `setting` is the share of laundering kept or the days of delay; `rows` and `positives` are what was learned from.
    `measures` is None where nothing could be learned: `why` then says so.
    """

    setting: float
    rows: int
    positives: int
    measures: PaymentMeasures | None
    why: str = ""


def class_imbalance(
    make: Maker,
    train: Labelled,
    validation: Labelled,
    test: Labelled,
    *,
    shares: Sequence[float] = SHARES,
    others: Literal["left out", "called honest"] = "left out",
    seed: int = 7,
    progress: Progress | None = None,
) -> tuple[ExperimentPoint, ...]:
    """Fit with ever fewer laundering payments, and measure on the same test slice.

    The laundering payments kept at a smaller share are among those kept at a larger one.

    Parameters
    ----------
    make : callable
        Makes a fresh detector.
    train, validation, test : Labelled
        Slices later and later in time. Laundering is thinned in the first two, never in the test slice.
    shares : sequence of float
        In (0, 1]: how much of the laundering is kept.
    others : {"left out", "called honest"}
        What becomes of the rest: rarer laundering, or laundering that nobody has found yet.
    seed : int
        Chooses which are kept.
    progress : Progress, optional
        Advanced by settings.

    Returns
    -------
    tuple of ExperimentPoint
        In the order of the shares.
    """
    if not shares or not all(0 < share <= 1 for share in shares):
        raise DetectorError(f"the shares {tuple(shares)} are not in (0, 1]", mend="give shares such as 1, 0.5, 0.1")
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(np.flatnonzero(part.y == 1)) for part in (train, validation)]
    if progress is not None:
        progress.step("fitting with less laundering", len(shares))
    points = []
    for share in shares:
        thinned = []
        for part, order in zip((train, validation), orders, strict=True):
            hidden = order[max(1, round(share * len(order))) :]
            thinned.append(_without(part, hidden, leave_out=others == "left out"))
        points.append(_point(make, share, thinned[0], thinned[1], test))
        if progress is not None:
            progress.advance(1)
    return tuple(points)


def label_delay(
    make: Maker,
    train: Labelled,
    validation: Labelled,
    test: Labelled,
    *,
    days: Sequence[float] = DELAYS,
    progress: Progress | None = None,
) -> tuple[ExperimentPoint, ...]:
    """Fit with labels that come late, and measure on the same test slice with all of its labels.

    Laundering counts as known a stated number of days after its payment. The detector is fitted when the test slice
    begins; laundering that is not known by then is called honest, as it is on the day, in both earlier slices.

    Parameters
    ----------
    make : callable
        Makes a fresh detector.
    train, validation, test : Labelled
        Slices later and later in time.
    days : sequence of float
        Delays, at least 0.
    progress : Progress, optional
        Advanced by settings.

    Returns
    -------
    tuple of ExperimentPoint
        In the order of the delays.
    """
    if not days or not all(delay >= 0 for delay in days):
        raise DetectorError(f"the delays {tuple(days)} are not at least 0 days", mend="give days such as 0, 30, 90")
    if not len(test.time_us):
        raise DetectorError("the test slice is empty", where="test", mend="give payments later than the others")
    moment = int(test.time_us.min())
    if progress is not None:
        progress.step("fitting with late labels", len(days))
    points = []
    for delay in days:
        parts = []
        for part in (train, validation):
            known = part.time_us + int(delay * DAY_US) <= moment
            parts.append(_without(part, np.flatnonzero((part.y == 1) & ~known), leave_out=False))
        points.append(_point(make, float(delay), parts[0], parts[1], test))
        if progress is not None:
            progress.advance(1)
    return tuple(points)


def _without(part: Labelled, hidden: Int64Array, *, leave_out: bool) -> Labelled:
    """A slice without some of its laundering: the rows left out, or called honest."""
    if not len(hidden):
        return part
    if not leave_out:
        y = part.y.copy()
        y[hidden] = 0
        return Labelled(part.X, y, part.time_us)
    kept = np.setdiff1d(np.arange(len(part.y)), hidden)
    return Labelled(RowChoice(part.X, kept), part.y[kept], part.time_us[kept])


def _point(make: Maker, setting: float, train: Labelled, validation: Labelled, test: Labelled) -> ExperimentPoint:
    rows, positives = len(train.y), int(train.y.sum())
    detector = make()
    if detector.needs_labels and not 0 < positives < rows:
        return ExperimentPoint(setting, rows, positives, None, "no laundering is left to learn from")
    later = Validation(validation.X, validation.y) if len(validation.y) else None
    detector.fit(train.X, train.y, train.time_us, validation=later)
    threshold = float("inf")
    if len(validation.y) and validation.y.any():
        threshold = best_f1_threshold(validation.y, detector.score(validation.X))
    measures = measure_payments(test.y, detector.score(test.X), threshold)
    return ExperimentPoint(setting, rows, positives, measures)
