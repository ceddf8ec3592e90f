"""Trusted communities as of each payment: whether it leaves the circle that its sender dealt with before that day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa

from greywater.features.day_snapshots import DaySnapshots
from greywater.features.feature import Feature
from greywater.features.trust_community import LEAST_TRUST, Communities
from greywater.vocab import Float64Array, Int64Array

__all__ = ["COMMUNITY_FEATURES", "CommunityJoin"]

COMMUNITY_FEATURES: Final = (
    Feature(
        name="pair.community_trust",
        entity="pair",
        dtype="float64",
        unit="ratio",
        description="TrustRank of the receiver with the sender as the only trusted one, over dealings before that day",
        family="community",
        typologies=("new_payee",),
        parameters={"statistic": "trust"},
    ),
    Feature(
        name="pair.outside_community",
        entity="pair",
        dtype="int64",
        unit="flag",
        description="1 where the receiver lies outside the sender's own community as of that day, -1 = not known",
        family="community",
        typologies=("new_payee",),
        parameters={"statistic": "outside", "least": LEAST_TRUST},
    ),
)


@dataclass(frozen=True)
class _Circles:
    """The communities of a graph as of a day's beginning."""

    day: int
    nodes: int
    communities: Communities


class CommunityJoin(DaySnapshots[_Circles]):
    """Trust of the receiver to the sender, and whether it is too little to belong to its community.

    Links are payments between two accounts, weighed by their number and taken both ways. Who had not dealt with anybody
    by then is outside every community but its own. Not known for payments with a party outside the bank.

    Parameters
    ----------
    beta, least : float
        As in `trusted_community`.
    keep_days : int
        As in `DaySnapshots`.

    Examples
    --------
    >>> day = 86_400_000_000
    >>> moments = pa.array([5, 6, day + 5, day + 6, day + 7], pa.timestamp("us", tz="UTC"))
    >>> payments = pa.record_batch({"seq": [0, 1, 2, 3, 4], "event_time": moments,
    ...                             "sender": ["a", "b", "a", "a", "x"], "receiver": ["b", "c", "c", "z", "a"]})
    >>> trust, outside = CommunityJoin().columns(payments)
    >>> outside.to_pylist(), [round(value, 2) for value in trust.to_pylist()]
    ([1, 1, 0, 1, 1], [0.0, 0.0, 0.19, 0.0, 0.0])
    """

    features: ClassVar = COMMUNITY_FEATURES
    #: Columns of the transaction table that it reads.
    reads: Final = ("seq", "event_time", "sender", "receiver")

    def __init__(self, *, beta: float = 0.85, least: float = LEAST_TRUST, keep_days: int = 7) -> None:
        super().__init__(keep_days)
        self._beta, self._least = beta, least

    def _weights(self, payments: pa.RecordBatch) -> Int64Array:
        return np.ones(payments.num_rows, np.int64)

    def _snapshot(self, day: int, seq: int) -> _Circles:
        made = Communities.of(*self._links(), self._seen, beta=self._beta, least=self._least)
        return _Circles(day, self._seen, made)

    def _answer(self, kept: _Circles, sender: Int64Array, receiver: Int64Array) -> tuple[Float64Array, ...]:
        trust = np.zeros(len(sender))
        trust[sender == receiver] = self._least
        met = np.flatnonzero((sender < kept.nodes) & (receiver < kept.nodes))
        trust[met] = kept.communities.trust(sender[met], receiver[met])
        trust[self._names.external[sender] | self._names.external[receiver]] = np.nan
        return trust, np.where(np.isnan(trust), np.nan, trust < self._least)
