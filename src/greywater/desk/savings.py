"""How many false alerts need not be looked at for a stated recall, with intervals, and by a line drawn beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from greywater.errors import UsageError
from greywater.vocab import Float64Array, Int64Array

__all__ = ["FLOORS", "LineBeforehand", "Removal", "false_alerts_removed"]

#: Recalls at which it is reported.
FLOORS = (0.90, 0.95, 0.99)


@dataclass(frozen=True)
class LineBeforehand:
    """What the line that kept the recall on the slice before does on this one.

    `recall` and `removed` are what it turned out to keep and to remove here; None without an alert of that outcome.
    """

    threshold: float
    recall: float | None
    removed: float | None


@dataclass(frozen=True)
class Removal:
    """False alerts removed at one recall.

    Parameters
    ----------
    recall : float
        Asked for.
    kept : float
        Kept at the threshold: at least that.
    threshold : float
        Highest score from which on the recall is kept.
    removed : float
        Share of the dismissed alerts below it.
    low, high : float
        Bootstrap percentile interval of `removed`, whole parties drawn.
    beforehand : LineBeforehand or None
        The threshold above is chosen on the alerts it is measured on; this one was not.
    """

    recall: float
    kept: float
    threshold: float
    removed: float
    low: float
    high: float
    beforehand: LineBeforehand | None

    def to_json(self) -> dict[str, Any]:
        """The removal in JSON types."""
        return asdict(self)


def false_alerts_removed(
    y: Int64Array,
    score: Float64Array,
    party: Int64Array | None = None,
    *,
    floors: Sequence[float] = FLOORS,
    before: tuple[Int64Array, Float64Array] | None = None,
    draws: int = 1_000,
    confidence: float = 0.95,
    seed: int = 7,
) -> tuple[Removal, ...]:
    """Measure how many dismissed alerts lie below the line that keeps a recall of the reported ones.

    Parameters
    ----------
    y : int64[n] in {0, 1}
        1 = reported.
    score : float64[n]
        Of alerts that the model did not learn from.
    party : int64[n], optional
        Whom each is about; alerts of one party are drawn together, as they are no independent evidence.
    floors : sequence of float
        Recalls.
    before : (int64[m], float64[m]), optional
        Outcomes and scores of an earlier slice, to draw the line beforehand.
    draws : int
        Of the bootstrap; 0 = no interval is drawn.
    confidence : float
        Of the interval.
    seed : int

    Returns
    -------
    tuple of Removal
        One a recall; empty where either outcome is missing.

    Raises
    ------
    UsageError
        Lengths that do not fit, or a recall outside (0, 1].

    Examples
    --------
    >>> found = false_alerts_removed(np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.8, 0.7, 0.2, 0.1]), floors=[0.9])
    >>> round(found[0].removed, 3), found[0].threshold
    (0.667, 0.7)
    """
    truth, value = np.asarray(y, np.int64), np.asarray(score, np.float64)
    whom = np.arange(len(truth)) if party is None else np.asarray(party, np.int64)
    if not len(truth) == len(value) == len(whom):
        raise UsageError("outcomes, scores and parties are not equally many", where="false_alerts_removed")
    if any(not 0 < floor <= 1 for floor in floors):
        raise UsageError(f"a recall of {floors} cannot be kept", where="floors", mend="give shares in (0, 1]")
    if not len(truth) or not 0 < int(truth.sum()) < len(truth):
        return ()
    curve = _Curve(truth, value)
    whole = [curve.at(np.ones(len(truth)), floor) for floor in floors]
    drawn = _drawn(curve, whom, floors, draws, seed)
    tail = 100 * (1 - confidence) / 2
    found = []
    for place, floor in enumerate(floors):
        removed, row = whole[place]
        low, high = np.percentile(drawn[:, place], [tail, 100 - tail]) if len(drawn) else (removed, removed)
        threshold = float(curve.value[row])
        kept = float(np.mean(value[truth == 1] >= threshold))
        line = None if before is None else _beforehand(before, floor, truth, value)
        found.append(Removal(float(floor), kept, threshold, removed, float(low), float(high), line))
    return tuple(found)


class _Curve:
    """Alerts from the highest score down, ends of equal scores marked."""

    def __init__(self, y: Int64Array, score: Float64Array) -> None:
        self.order = np.argsort(-score, kind="stable")
        self.reported = y[self.order].astype(np.float64)
        ordered = score[self.order]
        self.ends = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
        self.value = ordered[self.ends]

    def at(self, weight: Float64Array, floor: float) -> tuple[float, int]:
        """Share of the dismissed alerts removed, and the row of the line, where each alert counts `weight` times."""
        mass = weight[self.order]
        caught = np.cumsum(mass * self.reported)[self.ends]
        wasted = np.cumsum(mass * (1 - self.reported))[self.ends]
        row = int(np.searchsorted(caught, floor * caught[-1] - 1e-9, side="left"))
        return float(1 - wasted[row] / wasted[-1]), row


def _drawn(curve: _Curve, party: Int64Array, floors: Sequence[float], draws: int, seed: int) -> Float64Array:
    """`removed` of each bootstrap draw that holds both outcomes, float64[draws, floors]."""
    random = np.random.default_rng(seed)
    code = np.unique(party, return_inverse=True)[1].ravel()
    parties = int(code.max()) + 1
    rows = []
    for _ in range(draws):
        times = np.bincount(random.integers(0, parties, parties), minlength=parties)
        weight = times[code].astype(np.float64)
        reported = float((weight[curve.order] * curve.reported).sum())
        if 0 < reported < weight.sum():
            rows.append([curve.at(weight, floor)[0] for floor in floors])
    return np.array(rows, np.float64).reshape(len(rows), len(floors))


def _beforehand(
    before: tuple[Int64Array, Float64Array], floor: float, y: Int64Array, score: Float64Array
) -> LineBeforehand | None:
    truth, value = np.asarray(before[0]), np.asarray(before[1], np.float64)
    if not int(truth.sum()):
        return None
    reported = np.sort(value[truth == 1])[::-1]
    threshold = float(reported[max(int(np.ceil(floor * len(reported) - 1e-9)), 1) - 1])
    shares = [np.mean(score[y == each] >= threshold) if (y == each).any() else None for each in (1, 0)]
    recall, kept = (None if share is None else float(share) for share in shares)
    return LineBeforehand(threshold, recall, None if kept is None else 1 - kept)
