"""The precision-recall curve, thinned for drawing."""

from __future__ import annotations

import numpy as np

from greywater.vocab import Float64Array, Int64Array

__all__ = ["precision_recall_curve"]


def precision_recall_curve(y: Int64Array, score: Float64Array, points: int = 200) -> tuple[tuple[float, float], ...]:
    """(recall, precision) at up to `points` thresholds, from the highest score down; empty without a positive.

    Examples
    --------
    >>> import numpy as np
    >>> precision_recall_curve(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.2, 0.7]))
    ((0.5, 1.0), (1.0, 1.0), (1.0, 0.6666666666666666), (1.0, 0.5))
    """
    positives = int(np.sum(y))
    if not positives:
        return ()
    order = np.argsort(-score, kind="stable")
    values = score[order]
    last = np.flatnonzero(np.append(np.diff(values) != 0, True))
    caught = np.cumsum(y[order])[last]
    recall, precision = caught / positives, caught / (last + 1)
    if len(last) > points:
        # Even steps of recall: the curve is read along that axis.
        chosen = np.unique(np.searchsorted(recall, np.linspace(recall[0], 1.0, points)))
        recall, precision = recall[chosen], precision[chosen]
    return tuple((float(r), float(p)) for r, p in zip(recall, precision, strict=True))
