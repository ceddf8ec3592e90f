"""Who is ranked in the tables of bench_seeds, at which moments, from which seeds, and what of the payments is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from greywater.detectors.isolation import Isolation
from greywater.detectors.metrics import average_precision
from hybrid_sets import Scored, Sides
from seed_rankings import Spread, Way

__all__ = ["DAY_US", "Contest", "Moment", "by_accounts", "launderers", "moments"]

DAY_US = 86_400_000_000
FORESTS = 5


@dataclass(frozen=True)
class Moment:
    """When accounts are ranked: whose laundering may be known, rows [0, known), and which payments, rows [0, paid).

    `daily`: at the end of each day, over the payments up to then; an account has its highest score of the days on which
    it pays or is paid.
    """

    words: str
    known: int
    paid: int
    daily: bool = False


def moments(scored: Scored) -> tuple[Moment, ...]:
    """The moments of the tables, around the start and the end of the last 20 %."""
    begin, rows = scored.split.validation, scored.split.rows
    return (
        Moment("known and paid up to the start", begin, begin),
        Moment("known at the start, paid up to each day", begin, rows, daily=True),
        Moment("known at the start, paid up to the end", begin, rows),
        Moment("known and paid up to the end", rows, rows),
    )


def paid(sides: Sides, rows: slice) -> Sides:
    """Some of the payments, among the same accounts."""
    return replace(sides, sender=sides.sender[rows], receiver=sides.receiver[rows], amount=sides.amount[rows])


def launderers(scored: Scored, rows: slice) -> np.ndarray:
    """Accounts that send or receive laundering in some rows, int64[k], increasing."""
    dirty = np.flatnonzero(scored.y[rows] == 1) + (rows.start or 0)
    return np.unique(np.append(scored.sides.sender[dirty], scored.sides.receiver[dirty]))


class Contest:
    """The accounts that are active in the last 20 %, which of them launder there, and draws of seeds."""

    def __init__(self, scored: Scored) -> None:
        self.scored, self.last = scored, slice(scored.split.validation, scored.split.rows)
        self.guilty = launderers(scored, self.last)
        self.truth = np.isin(np.arange(scored.sides.accounts), self.guilty).astype(np.int64)
        self.active = np.unique(np.append(scored.sides.sender[self.last], scored.sides.receiver[self.last]))
        self._spreads: dict[tuple[Way, int], Spread] = {}
        self._forests: dict[int, np.ndarray] = {}

    def seeds(self, moment: Moment, share: float, draw: int) -> np.ndarray:
        """The launderers that draw number `draw` knows, int64[k]."""
        pool = launderers(self.scored, slice(0, moment.known))
        return np.random.default_rng(draw).choice(pool, max(1, round(share * len(pool))), replace=False)

    def others(self, seeds: np.ndarray) -> np.ndarray:
        """The accounts that are ranked."""
        return np.setdiff1d(self.active, seeds)

    def newcomers(self) -> np.ndarray:
        """Accounts that are active in the last 20 % and did not launder before."""
        return np.setdiff1d(self.active, launderers(self.scored, slice(0, self.last.start)))

    def spread(self, way: Way, rows: int) -> Spread:
        """Suspicion over the payments of rows [0, rows)."""
        key = way, rows
        if key not in self._spreads:
            within = slice(0, rows)
            self._spreads[key] = Spread(way, paid(self.scored.sides, within), self.scored.time_us[within])
        return self._spreads[key]

    def forest(self, draw: int) -> np.ndarray:
        """Score of each payment of the last 20 % by a forest grown on all before, one of `FORESTS`."""
        seed = draw % FORESTS
        if seed not in self._forests:
            grown = Isolation(seed=seed).fit(self.scored.blocks.slice(0, self.last.start))
            self._forests[seed] = grown.score(self.scored.blocks.slice(self.last.start))
        return self._forests[seed]

    def daily(self, way: Way, draws: Sequence[np.ndarray]) -> list[np.ndarray]:
        """For each draw the scores of a `daily` moment, float64[accounts]."""
        sides, day = self.scored.sides, self.scored.time_us // DAY_US
        best = [np.full(sides.accounts, -np.inf) for _ in draws]
        for stop in np.append(np.flatnonzero(np.diff(day)) + 1, len(day)):
            if stop <= self.last.start:
                continue
            within = slice(0, int(stop))
            today = slice(int(np.searchsorted(day, day[stop - 1])), int(stop))
            there = np.unique(np.append(sides.sender[today], sides.receiver[today]))
            spread = Spread(way, paid(sides, within), self.scored.time_us[within])
            for place, seeds in enumerate(draws):
                best[place][there] = np.maximum(best[place][there], spread.score(seeds)[there])
        return best

    def of_payments(self, score: np.ndarray, seeds: np.ndarray) -> float:
        """Average precision over the payments of the last 20 % that no seed takes part in."""
        sides = paid(self.scored.sides, self.last)
        kept = ~(np.isin(sides.sender, seeds) | np.isin(sides.receiver, seeds))
        return average_precision(self.scored.y[self.last][kept], score[kept]) or 0.0


def by_accounts(contest: Contest, score: np.ndarray) -> np.ndarray:
    """A payment of the last 20 % has the scores of both parties, added."""
    sides = paid(contest.scored.sides, contest.last)
    return np.asarray(score[sides.sender] + score[sides.receiver])
