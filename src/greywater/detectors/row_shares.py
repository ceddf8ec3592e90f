"""Scores of many rows, worked out share by share on several threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from greywater.vocab import Float64Array

__all__ = ["SHARE", "by_shares"]

#: Rows a thread takes at a time.
SHARE: Final = 2_048


def by_shares(score: Callable[[int, int], Float64Array], rows: int, threads: int, share: int = SHARE) -> Float64Array:
    """Scores float64[rows] of `score(low, high)`, float64[high - low], whose values depend on no other row.

    `share`: rows a thread takes at a time; what is worked out of them on the way had better stay in the cache.

    Examples
    --------
    >>> by_shares(lambda low, high: np.arange(low, high) * 2.0, 3, threads=2).tolist()
    [0.0, 2.0, 4.0]
    """
    if rows <= share:
        return score(0, rows)
    scores = np.empty(rows)

    def fill(low: int) -> None:
        scores[low : low + share] = score(low, min(low + share, rows))

    if threads == 1:
        for low in range(0, rows, share):
            fill(low)
        return scores
    with ThreadPoolExecutor(threads, "greywater-scores") as pool:
        for done in [pool.submit(fill, low) for low in range(0, rows, share)]:
            done.result()
    return scores
