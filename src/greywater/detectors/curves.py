"""The curves that are drawn, thinned: precision against recall, alerts saved against recall, time to alert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from greywater.vocab import Float64Array, Int64Array

__all__ = ["alerts_saved_curve", "precision_recall_curve", "waiting_curve"]


def precision_recall_curve(y: Int64Array, score: Float64Array, points: int = 200) -> tuple[tuple[float, float], ...]:
    """(recall, precision) at up to `points` thresholds, from the highest score down; empty without a positive.

    Examples
    --------
    >>> import numpy as np
    >>> precision_recall_curve(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.2, 0.7]))
    ((0.5, 1.0), (1.0, 1.0), (1.0, 0.6666666666666666), (1.0, 0.5))
    """
    caught, flagged, positives = _counts(y, score)
    if not positives:
        return ()
    recall, precision = caught / positives, caught / flagged
    if len(recall) > points:
        # Even steps of recall: the curve is read along that axis.
        chosen = np.unique(np.searchsorted(recall, np.linspace(recall[0], 1.0, points)))
        recall, precision = recall[chosen], precision[chosen]
    return tuple((float(r), float(p)) for r, p in zip(recall, precision, strict=True))


def alerts_saved_curve(y: Int64Array, score: Float64Array, points: int = 200) -> tuple[tuple[float, float], ...]:
    """(recall, share of the rows that need not be looked at for it), recall rising; empty without a positive.

    For each recall that can be reached the fewest rows from the highest score down that reach it.

    Examples
    --------
    >>> import numpy as np
    >>> alerts_saved_curve(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.2, 0.7]))
    ((0.5, 0.75), (1.0, 0.5))
    """
    caught, flagged, positives = _counts(y, score)
    if not positives:
        return ()
    first = np.unique(caught, return_index=True)[1]
    first = first[caught[first] > 0]
    recall, saved = caught[first] / positives, 1 - flagged[first] / len(y)
    if len(recall) > points:
        chosen = np.unique(np.searchsorted(recall, np.linspace(recall[0], 1.0, points)))
        recall, saved = recall[chosen], saved[chosen]
    return tuple((float(r), float(s)) for r, s in zip(recall, saved, strict=True))


def waiting_curve(first_dirty: Mapping[str, int], alerts: Sequence[tuple[str, int]]) -> tuple[tuple[float, float], ...]:
    """(days since the first dirty payment, share of the launderers alerted by then), days rising.

    Parameters are those of `greywater.detectors.metrics.time_to_alert`; empty without a launderer that was alerted.

    Examples
    --------
    >>> day = 86_400_000_000
    >>> waiting_curve({"a": 0, "b": 0, "c": 0}, [("a", day), ("b", 3 * day), ("b", 9 * day)])
    ((1.0, 0.3333333333333333), (3.0, 0.6666666666666666))
    """
    waits: dict[str, int] = {}
    for account, time in alerts:
        begun = first_dirty.get(account)
        if begun is not None and time >= begun:
            waits[account] = min(time - begun, waits.get(account, time - begun))
    days = np.sort(np.array(list(waits.values()), np.float64)) / 86_400e6
    values = np.unique(days)
    last = np.searchsorted(days, values, side="right")
    return tuple((float(day), float(number) / len(first_dirty)) for day, number in zip(values, last, strict=True))


def _counts(y: Int64Array, score: Float64Array) -> tuple[Int64Array, Int64Array, int]:
    """Laundering rows and all rows at or above each distinct score, from the highest down; all laundering rows."""
    positives = int(np.sum(y))
    order = np.argsort(-score, kind="stable")
    values = score[order]
    last = np.flatnonzero(np.append(np.diff(values) != 0, np.ones(min(len(values), 1), np.bool_)))
    return np.cumsum(y[order], dtype=np.int64)[last], last + 1, positives
