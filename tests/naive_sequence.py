"""Slow twin of the sequences: the last payments of both parties of each payment, from the list of all of them."""

from __future__ import annotations

from collections.abc import Sequence

from greywater.vocab import CHANNELS
from tests.naive import DAY_US, NAN, Paid, is_external

LENGTH = 32


def naive_sequences(payments: Sequence[Paid], lateness_us: int = 7 * DAY_US) -> list[list[float]]:
    """The columns of each payment, those of the sender before those of the receiver."""
    return [
        [value for party in (this.sender, this.receiver) for value in _sequence(payments[: i + 1], party, lateness_us)]
        for i, this in enumerate(payments)
    ]


def _sequence(payments: Sequence[Paid], party: str, lateness_us: int) -> list[float]:
    """Of the last payment."""
    this, values = len(payments) - 1, []
    if is_external(party):
        return [NAN, NAN, -1] * LENGTH
    horizon = max(p.time for p in payments)
    own = [j for j, p in enumerate(payments) if p.sender != p.receiver and party in (p.sender, p.receiver)]
    seen = [
        j
        for j in own[-LENGTH:]
        if j == this or horizon - 365 * DAY_US - lateness_us < payments[j].time <= payments[this].time
    ]
    for place, j in enumerate(reversed(seen)):
        p, earlier = payments[j], seen[: len(seen) - 1 - place]
        pair = (p.sender, p.receiver)
        first = all((q.sender, q.receiver) != pair for q in payments[:j])
        channel = CHANNELS.index(p.channel) if p.channel in CHANNELS else len(CHANNELS)
        gap = max(p.time - payments[earlier[-1]].time, 0) / 1e6 if earlier else NAN
        values += [NAN if p.base is None else float(p.base), gap, 4 * channel + 2 * (p.sender == party) + first]
    return values + [NAN, NAN, -1] * (LENGTH - len(seen))
