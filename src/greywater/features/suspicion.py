"""Anti-TrustRank as of each payment: the suspicion that had reached its parties by the last refresh before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa

from greywater.features.day_snapshots import DaySnapshots
from greywater.features.exposure import KnownLaunderers
from greywater.features.feature import Feature
from greywater.features.ledger_days import DAY_US, KnownMoments
from greywater.features.trust_scores import trust_vectors
from greywater.vocab import Float64Array, Int64Array

__all__ = ["SUSPICION_FEATURES", "SuspicionJoin"]

SUSPICION_FEATURES: Final = tuple(
    Feature(
        name=f"{role}.suspicion",
        entity="sender" if role == "sender" else "receiver",
        dtype="float64",
        unit="ratio",
        description=f"{role}: Anti-TrustRank from launderers known at the last refresh; a known one has 1 of itself",
        family="suspicion",
        typologies=("exposure",),
        parameters={"role": role, "statistic": "suspicion"},
    )
    for role in ("sender", "receiver")
)


@dataclass(frozen=True)
class _Vector:
    """Scores as of a day's beginning, by account; `strangers` are seeds that had made no payment by then."""

    day: int
    score: Float64Array
    strangers: tuple[str, ...]


class SuspicionJoin(DaySnapshots[_Vector]):
    """Anti-TrustRank over the accounts joined by payments, refreshed at the beginning of UTC days.

    A snapshot (`DaySnapshots`) is the scores of everyone; the seeds are the launderers that the first payment of the
    day would see at its beginning. So a refresh costs each payment no more than a few links, and a bank that makes as
    many payments in a day has it every day.

    Links are weighed by the money they carried (nothing where no rate to the base currency was known), suspicion flows
    along them and against them, and both are added. Each seed weighs 1 and the sum is not divided by their number, so
    that values of different days can be compared. Parties outside the bank are left out: what two customers have in
    common with everyone's utility company is nothing.

    Parameters
    ----------
    known : KnownLaunderers
        Everything the records say.
    beta : float
        Part of a score that is passed on.
    keep_days : int
        Days of lateness up to which earlier vectors are kept.
    tol : float
        As in `AntiTrustRank`; 1e-6 of the whole is far below what orders anyone.

    Examples
    --------
    >>> day = 86_400_000_000
    >>> join = SuspicionJoin(KnownLaunderers.of([("a", -2, 0, -1, True)]))
    >>> moments = pa.array([5, day + 5, day + 6], pa.timestamp("us", tz="UTC"))
    >>> payments = pa.record_batch({"seq": [0, 1, 2], "event_time": moments, "base_amount": [9, 9, 9],
    ...                             "sender": ["a", "b", "x"], "receiver": ["b", "c", "y"]})
    >>> sender, receiver = join.columns(payments)
    >>> sender.to_pylist(), receiver.to_pylist()
    ([1.0, 0.85, 0.0], [0.0, 0.0, 0.0])
    """

    features: ClassVar = SUSPICION_FEATURES
    #: Columns of the transaction table that it reads.
    reads: Final = ("seq", "event_time", "sender", "receiver", "base_amount")

    def __init__(self, known: KnownLaunderers, *, beta: float = 0.85, keep_days: int = 7, tol: float = 1e-6) -> None:
        super().__init__(keep_days)
        self._known = KnownMoments.of(known)
        self._beta = beta
        self._tol = tol
        self._codes: dict[str, int] = {}

    def _weights(self, payments: pa.RecordBatch) -> Int64Array:
        return np.asarray(payments.column("base_amount").fill_null(0).to_numpy(), np.int64)

    def _snapshot(self, day: int, seq: int) -> _Vector:
        """Score everyone."""
        known = self._known.at(day * DAY_US, seq)
        places = np.array([self._code(name) for name in known], np.int64)
        inside = (places >= 0) & (places < self._seen)
        strangers = tuple(name for name, there in zip(known, inside.tolist(), strict=True) if not there)
        return _Vector(day, self._scores(np.sort(places[inside])), strangers)

    def _code(self, name: str) -> int:
        """Number of an account, -1 where it was never met."""
        code = self._codes.get(name)
        if code is None:
            found = self._names.code(name)
            if found is None:
                return -1
            code = self._codes[name] = found
        return code

    def _scores(self, seeds: Int64Array) -> Float64Array:
        """What reaches each account, float64[accounts]; 0 where nothing can."""
        nodes = self._seen
        found = np.zeros(nodes)
        if not len(seeds):
            return found
        share = np.zeros(nodes)
        share[seeds] = 1.0
        for vector in trust_vectors(*self._links(), nodes, beta=self._beta, direction="both"):
            vector.inflow[:] = vector.graph.internal(share)
            vector.solve(self._tol)
            found += vector.graph.external(np.where(vector.reached(), vector.score, 0.0))
        found[seeds] -= 1.0
        return found

    def _answer(self, kept: _Vector, sender: Int64Array, receiver: Int64Array) -> tuple[Float64Array, ...]:
        strange = [code for code in map(self._code, kept.strangers) if code >= 0]
        answers = []
        for party in (sender, receiver):
            found = np.zeros(len(party))
            there = party < len(kept.score)
            found[there] = kept.score[party[there]]
            found[np.isin(party, strange)] = 1.0
            answers.append(found)
        return tuple(answers)
