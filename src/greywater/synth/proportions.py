"""How much laundering of which typology the published worlds hold, and how a world of any size is dealt out by that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from greywater.synth.presets import WorldPlan
from greywater.synth.streams import stream
from greywater.vocab import Int64Array

__all__ = ["HI_SMALL", "LI_SMALL", "Proportions", "TypologyShare", "deal_sizes", "proportions_of"]

#: Typologies whose payments come in pairs: in by one account, out by the same.
_IN_PAIRS: Final = frozenset({"scatter-gather", "stack"})


@dataclass(frozen=True)
class TypologyShare:
    """One typology of a published world.

    Parameters
    ----------
    typology : str
        Its name in labels.
    attempts, payments : int
        How many attempts the published file holds, and how many payments they have together.
    least, most : int
        Fewest and most payments of one attempt.
    small : float
        Share of the attempts that have next to the fewest payments; the others are spread evenly.
    days : float
        Longest duration of one layer.
    """

    typology: str
    attempts: int
    payments: int
    least: int
    most: int
    small: float
    days: float


@dataclass(frozen=True)
class Proportions:
    """The laundering of one world.

    Parameters
    ----------
    payments, laundering : int
        All payments, and those that are laundering.
    typologies : tuple of TypologyShare
        The typed ones; the rest of the laundering belongs to no shape.
    """

    payments: int
    laundering: int
    typologies: tuple[TypologyShare, ...]

    @property
    def typed(self) -> int:
        """Laundering payments that belong to an attempt of one of the shapes."""
        return sum(share.payments for share in self.typologies)

    def scaled(self, payments: int, *, laundering: int | None = None) -> Proportions:
        """The same proportions in a world of another size.

        Parameters
        ----------
        payments : int
            All payments of the world.
        laundering : int, optional
            So many of them are laundering; without it as published.

        Returns
        -------
        Proportions
            Every typology keeps at least one attempt.

        Examples
        --------
        >>> half = HI_SMALL.scaled(HI_SMALL.payments // 2)
        >>> half.laundering, half.typologies[0].attempts, half.typologies[0].payments
        (2588, 24, 171)
        """
        wanted = self.laundering * payments / self.payments if laundering is None else laundering
        factor = wanted / self.laundering
        shares = []
        for share in self.typologies:
            attempts = max(1, round(share.attempts * factor))
            mean = share.payments / share.attempts
            most, least = attempts * share.most, attempts * share.least
            total = min(most, max(least, round(share.payments * factor), round(attempts * mean)))
            shares.append(replace(share, attempts=attempts, payments=total))
        typed = sum(share.payments for share in shares)
        return Proportions(payments, max(round(wanted), typed), tuple(shares))


_SHAPES: Final = (
    TypologyShare("fan-out", 48, 342, 1, 16, 0.40, 4.0),
    TypologyShare("fan-in", 40, 318, 1, 16, 0.30, 4.0),
    TypologyShare("gather-scatter", 51, 716, 2, 30, 0.25, 4.0),
    TypologyShare("scatter-gather", 44, 626, 2, 32, 0.30, 4.0),
    TypologyShare("cycle", 54, 287, 2, 12, 0.40, 4.0),
    TypologyShare("random", 41, 191, 1, 11, 0.45, 4.0),
    TypologyShare("bipartite", 49, 263, 1, 15, 0.40, 2.0),
    TypologyShare("stack", 43, 466, 2, 30, 0.35, 4.0),
)
_OF_LI_SMALL: Final = ((19, 149), (12, 73), (12, 150), (13, 182), (12, 83), (15, 77), (16, 129), (18, 180))

#: 370 attempts with 3,209 of the 5,177 laundering payments.
HI_SMALL: Final = Proportions(5_078_345, 5_177, _SHAPES)
#: 117 attempts with 1,023 of the 3,565 laundering payments.
LI_SMALL: Final = Proportions(
    6_924_049,
    3_565,
    tuple(
        replace(share, attempts=attempts, payments=payments)
        for share, (attempts, payments) in zip(_SHAPES, _OF_LI_SMALL, strict=True)
    ),
)


def proportions_of(plan: WorldPlan) -> Proportions:
    """The laundering of a planned world, in the published proportions of its kind.

    Examples
    --------
    >>> from greywater.synth.presets import world_plan
    >>> sum(share.attempts for share in proportions_of(world_plan("hi-small")).typologies)
    370
    """
    published = LI_SMALL if plan.name == "LI-Small" else HI_SMALL
    return published.scaled(plan.payments, laundering=plan.laundering)


def deal_sizes(seed: int, share: TypologyShare) -> Int64Array:
    """How many payments each attempt of one typology has.

    Parameters
    ----------
    seed : int
        Seed of the world.
    share : TypologyShare
        The typology, with the attempts and payments wanted.

    Returns
    -------
    int64[attempts]
        They add up to `share.payments`, less one where payments come in pairs and their number is odd.

    Examples
    --------
    >>> sizes = deal_sizes(7, HI_SMALL.typologies[0])
    >>> len(sizes), int(sizes.sum()), int(sizes.min()) >= 1, int(sizes.max()) <= 16
    (48, 342, True, True)
    """
    step = 2 if share.typology in _IN_PAIRS else 1
    least, most = share.least // step, share.most // step
    rng = stream(seed, "sizes of attempts", share.typology)
    few = rng.random(share.attempts) < share.small
    near = rng.integers(least, least + 2, share.attempts)
    spread = rng.integers(least + 1, most + 1, share.attempts)
    sizes = np.clip(np.where(few, near, spread), least, most).astype(np.int64)
    wanted = int(np.clip(share.payments // step, least * share.attempts, most * share.attempts))
    while sizes.sum() != wanted:
        short = wanted - int(sizes.sum())
        movable = np.flatnonzero(sizes < most if short > 0 else sizes > least)
        chosen = rng.permutation(movable)[: abs(short)]
        sizes[chosen] += 1 if short > 0 else -1
    return sizes * step
