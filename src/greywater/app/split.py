"""How scored payments are cut by time: 60 % to learn from, the next 20 % to tune on, the last 20 % to judge."""

from __future__ import annotations

from dataclasses import dataclass

from greywater.vocab import Int64Array

__all__ = ["Split", "cut_at", "split_by_time"]


@dataclass(frozen=True)
class Split:
    """Rows [0, train) learn, [train, validation) tune, [alerting, n) are alerted and judged."""

    train: int
    validation: int
    alerting: int
    rows: int


def cut_at(time_us: Int64Array, share: float) -> int:
    """The row at `share` of the count, moved back to the start of its timestamp (SEMANTICS: Evaluation).

    Examples
    --------
    >>> import numpy as np
    >>> cut_at(np.array([1, 2, 3, 3, 3, 4, 5, 6, 7, 8]), 0.4)
    2
    """
    row = int(len(time_us) * share)
    while 0 < row < len(time_us) and time_us[row - 1] == time_us[row]:
        row -= 1
    return row


def split_by_time(time_us: Int64Array, *, labelled: bool) -> Split:
    """With labels alerts are raised on the last 20 % only; without, on all that follows the first 60 %.

    Where all payments of the first part bear one timestamp there is nothing before them to learn from: then the cut
    stays where the count puts it.
    """
    n = len(time_us)
    train = cut_at(time_us, 0.6) or int(n * 0.6)
    validation = max(cut_at(time_us, 0.8), train) if labelled else train
    return Split(train=train, validation=validation, alerting=validation, rows=n)
