"""Five named risk levels: what a probability, or a place in the queue, is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from greywater.errors import UsageError
from greywater.vocab import Float64Array

__all__ = ["LEVELS", "PROBABILITY_CUTS", "RANK_CUTS", "LevelCuts", "RiskLevel"]


@dataclass(frozen=True)
class RiskLevel:
    """One of the five levels: its number (5 = worst), its name, and what it asks of the desk."""

    number: int
    name: str
    words: str


#: Worst first.
LEVELS: Final = (
    RiskLevel(5, "critical", "look today; more likely reported than not"),
    RiskLevel(4, "high", "look this week"),
    RiskLevel(3, "medium", "look when the higher ones are done"),
    RiskLevel(2, "low", "look if hours are left"),
    RiskLevel(1, "minimal", "rarely reported"),
)

#: Lowest probability of critical, high, medium and low.
PROBABILITY_CUTS: Final = (0.5, 0.2, 0.05, 0.01)

#: Share of the queue up to which critical, high, medium and low reach, counted from its top.
RANK_CUTS: Final = (0.01, 0.05, 0.2, 0.5)


@dataclass(frozen=True)
class LevelCuts:
    """Where one level ends and the next begins.

    Parameters
    ----------
    by : {"probability", "rank"}
        "probability": a level from the cut on, cuts falling. "rank": a level for the first share of the queue, cuts
        rising; for where no outcome is known and a probability would be made up.
    cuts : tuple of four float
        Of critical, high, medium and low; the rest is minimal.

    Raises
    ------
    UsageError
        Not four cuts in (0, 1), strictly falling (probability) or rising (rank).

    Examples
    --------
    >>> [level.name for level in LevelCuts().of([0.5, 0.4999, 0.05, 0.0])]
    ['critical', 'high', 'medium', 'minimal']
    >>> [level.name for level in LevelCuts.by_rank().of(range(10))].count("low")
    3
    """

    by: Literal["probability", "rank"] = "probability"
    cuts: tuple[float, float, float, float] = PROBABILITY_CUTS

    def __post_init__(self) -> None:
        given = np.array(self.cuts, np.float64)
        steps = np.diff(given) if self.by == "rank" else -np.diff(given)
        if len(given) != 4 or not bool(((given > 0) & (given < 1)).all() and (steps > 0).all()):
            way = "rising shares of the queue" if self.by == "rank" else "falling probabilities"
            raise UsageError(
                f"{self.cuts} are no cuts between five levels", where="levels", mend=f"give four {way} between 0 and 1"
            )

    @classmethod
    def by_rank(cls) -> LevelCuts:
        """The cuts used where no outcome is known."""
        return cls("rank", RANK_CUTS)

    def of(self, values: Sequence[float] | Float64Array | range) -> list[RiskLevel]:
        """The level of each alert.

        Parameters
        ----------
        values : n values
            Probabilities in [0, 1]; or, by rank, places from 0 (worst) in a queue of these n.
        """
        given = np.asarray(list(values), np.float64)
        cuts = np.array(self.cuts)
        if self.by == "probability":
            place = (given[:, None] < cuts[None, :]).sum(axis=1)
        else:
            # The first always counts as critical, however short the queue.
            place = (given[:, None] >= np.maximum(cuts * len(given), 1.0)[None, :]).sum(axis=1)
        return [LEVELS[int(one)] for one in place]

    def words(self) -> tuple[str, ...]:
        """Each level and its cut, a sentence each, worst first."""
        said = []
        for level, cut in zip(LEVELS, (*self.cuts, None), strict=True):
            if cut is None:
                said.append(f"{level.name}: all others")
            elif self.by == "probability":
                said.append(f"{level.name}: a probability of {cut:.0%} or more")
            else:
                said.append(f"{level.name}: the first {cut:.0%} of the queue")
        return tuple(said)
