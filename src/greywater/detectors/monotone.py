"""Which way a column may push: the features of which more can only mean more suspicion, declared by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from greywater.vocab import Int64Array

__all__ = ["DIRECTIONS", "Direction", "monotone_signs"]


@dataclass(frozen=True)
class Direction:
    """A family of columns and the way it may push.

    Parameters
    ----------
    pattern : str
        Regular expression that the whole name of a column must match.
    sign : {1, -1}
        1: more of it never lowers the score; -1: more of it never raises it.
    why : str
        The reason from the field, for docs/boosted.md.
    """

    pattern: str
    sign: int
    why: str


#: Declared where the domain leaves no doubt about the direction, all else equal; everything else is free.
DIRECTIONS: Final = (
    Direction(
        r"(sender|receiver)\.(out|in)\.(new_counterparties|fan_new)\..+",
        1,
        "launderers keep paying and being paid by accounts they never dealt with before",
    ),
    Direction(r"(scatter_gather|temporal_cycle|simple_cycle)\..*(pairs|largest|size_\w+|length_\w+)\..+", 1,
              "a payment that completes more shapes of layering is not less suspicious for it"),
    Direction(r"bipartite\.blocks\..+", 1, "blocks of payers who share payees are layers of a stack"),
    Direction(r"(sender|receiver)\.(out|in)\.exposed_(accounts|count|sum|share|flow)(_\d)?\..+", 1,
              "money from or to known launderers is guilt by association"),
    Direction(r"(sender|receiver)\.(out|in)\.exposed_(distance\..+|since_last)", -1,
              "guilt by association falls with distance and with time"),
    Direction(r"(sender|receiver|payment)\.(known_launderer|is_launderer|related_launderers|anti_trustrank)(\..+)?", 1,
              "a confirmed launderer, or one related to it, is never less suspicious for it"),
)  # fmt: skip

_COMPILED: Final = tuple((re.compile(each.pattern), each.sign) for each in DIRECTIONS)


def monotone_signs(names: Sequence[str]) -> Int64Array:
    """The way each column may push, int64[columns] in {-1, 0, 1}; the first declaration that matches counts.

    Examples
    --------
    >>> monotone_signs(["payment.amount", "sender.out.new_counterparties.7d"]).tolist()
    [0, 1]
    """
    signs = np.zeros(len(names), np.int64)
    for place, name in enumerate(names):
        for pattern, sign in _COMPILED:
            if pattern.fullmatch(name):
                signs[place] = sign
                break
    return signs
