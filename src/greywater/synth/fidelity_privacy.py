"""Whether made-up alerts give real ones away: distance to the closest record, copied rows, copied extremes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from greywater.synth.alertbook_tables import CELLS, AlertTables
from greywater.synth.fidelity import seconds_before
from greywater.vocab import Float64Array, Int64Array

__all__ = ["ClosestRecord", "closest", "closest_record", "copied_extremes", "copied_rows"]

#: Rows whose distances are held at a time.
PIECE: Final = 256
#: Extremes looked at on either side of each type and entry.
EXTREMES: Final = 10
_SAME: Final = 1e-9


@dataclass(frozen=True)
class ClosestRecord:
    """Distances from made alerts to the closest real ones.

    Parameters
    ----------
    to_train : float64[n]
        To the alerts that the generator was fitted on.
    to_holdout : float64[n]
        To as many alerts that it never saw; empty without a holdout.
    holdout_to_train : float64[m]
        From those to the former: what real alerts that were not copied look like.
    """

    to_train: Float64Array
    to_holdout: Float64Array
    holdout_to_train: Float64Array

    @property
    def share_closer(self) -> float | None:
        """Share of the made alerts that lie closer to the train alerts, equal distances counting half; ideal 0.50."""
        if not len(self.to_holdout):
            return None
        nearer = (self.to_train < self.to_holdout).mean() + (self.to_train == self.to_holdout).mean() / 2
        return float(nearer)

    @property
    def share_copied(self) -> float:
        """Share of the made alerts that are a train alert."""
        return float((self.to_train <= _SAME).mean()) if len(self.to_train) else 0.0


def closest(rows: Float64Array, others: Float64Array) -> Float64Array:
    """Euclidean distance from each row to the nearest of the others, float64[n]; 0 for an equal row.

    Examples
    --------
    >>> closest(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 0.0], [0.0, 1.0]])).round(3).tolist()
    [0.0, 4.243]
    """
    found = np.empty(len(rows))
    square = np.einsum("ij,ij->i", others, others)
    for begin in range(0, len(rows), PIECE):
        piece = rows[begin : begin + PIECE]
        # Less the row's own square, which is the same for all: the order is what is asked for.
        nearest = np.argmin(square[None, :] - 2.0 * (piece @ others.T), axis=1)
        found[begin : begin + PIECE] = np.sqrt(((piece - others[nearest]) ** 2).sum(axis=1))
    return found


def closest_record(train: Float64Array, made: Float64Array, holdout: Float64Array | None, seed: int) -> ClosestRecord:
    """Distances to the closest record, in columns standardised on the train alerts.

    Of the larger of train and holdout as many are drawn as the smaller has: more records are closer by their number
    alone.

    Parameters
    ----------
    train, made, holdout : float64[., columns]
        Alerts by their features.
    seed : int
        Of the draw.
    """
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    own, asked = (train - mean) / spread, (made - mean) / spread
    if holdout is None or not len(holdout):
        return ClosestRecord(closest(asked, own), np.empty(0), np.empty(0))
    other = (holdout - mean) / spread
    draw = np.random.default_rng(seed)
    count = min(len(own), len(other))
    own, other = (side[np.sort(draw.permutation(len(side))[:count])] for side in (own, other))
    return ClosestRecord(closest(asked, own), closest(asked, other), closest(other, own))


def copied_rows(real: AlertTables, made: AlertTables) -> float | None:
    """Share of the made transactions that agree with a real one in type, entry, size and second before the alert."""
    if not len(made.size):
        return None
    return float(np.isin(_keys(made), _keys(real)).mean())


def copied_extremes(real: AlertTables, made: AlertTables, count: int = EXTREMES) -> tuple[int, int]:
    """How many extreme sizes of the real transactions are among the made ones, and how many there are.

    Of each type and entry the `count` largest and smallest sizes that occur once: what occurs often is a round amount
    or a clip, and gives nobody away.
    """
    seen = looked = 0
    for number in range(CELLS):
        value, times = np.unique(real.size[real.cell == number], return_counts=True)
        once = value[times == 1]
        chosen = once if len(once) <= 2 * count else np.concatenate([once[:count], once[-count:]])
        others = np.sort(made.size[made.cell == number])
        looked += len(chosen)
        if len(others) and len(chosen):
            at = np.searchsorted(others, chosen)
            near = [np.abs(others[np.clip(at - back, 0, len(others) - 1)] - chosen) for back in (0, 1)]
            seen += int((np.minimum(*near) <= _SAME).sum())
    return seen, looked


def _keys(side: AlertTables) -> Int64Array:
    """A number a row, the same for rows that agree (a 64-bit hash: others agree once in 10^5 runs of this size)."""
    with np.errstate(over="ignore"):
        key = side.size.view(np.int64) * np.int64(-7046029254386353131)
        key = (key ^ (key >> np.int64(29))) + seconds_before(side) * np.int64(-4658895280553007687)
        key = (key ^ (key >> np.int64(32))) * np.int64(-7723592293110705685) + side.cell
    return np.asarray(key, np.int64)
