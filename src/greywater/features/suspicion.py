"""Anti-TrustRank as of each payment: the suspicion that had reached its parties by the last refresh before it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from greywater.features.dictionary import AccountDictionary
from greywater.features.exposure import KnownLaunderers
from greywater.features.feature import Feature
from greywater.features.trust_scores import trust_vectors
from greywater.vocab import Float64Array, Int64Array

__all__ = ["SUSPICION_FEATURES", "SuspicionJoin"]

DAY_US: Final = 86_400_000_000
#: Parties' codes are int32, so a pair fits one number.
_SHIFT: Final = 32
#: A new day refreshes the scores where since the last time so many payments came for each link, or days passed.
NEW_PER_LINK: Final = 0.25
MOST_DAYS: Final = 7

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
class _Known:
    """Rows about known launderers, those of one account and source together and in order of time."""

    account: pa.Array
    since: Int64Array
    after: Int64Array
    launderer: np.ndarray
    group: Int64Array

    @classmethod
    def of(cls, known: KnownLaunderers) -> _Known:
        codes = known.account.dictionary_encode()
        account = codes.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        order = np.lexsort((np.arange(len(known)), known.known_since_us, known.source, account))
        new = np.ones(len(order), np.bool_)
        if len(order):
            new[1:] = (np.diff(account[order]) != 0) | (np.diff(known.source[order]) != 0)
        return cls(
            known.account.take(pa.array(order)),
            known.known_since_us[order],
            known.after_seq[order],
            known.launderer[order],
            np.cumsum(new),
        )

    def at(self, moment: int, seq: int) -> list[str]:
        """The known launderers that payment `seq` would see at a moment, each once."""
        seen = np.flatnonzero((self.since <= moment) & (self.after < seq))
        last = seen[np.append(np.diff(self.group[seen]) != 0, True)] if len(seen) else seen
        found: list[str] = self.account.take(pa.array(last[self.launderer[last]])).unique().to_pylist()
        return found


@dataclass(frozen=True)
class _Vector:
    """Scores as of a day's beginning, by account; `strangers` are seeds that had made no payment by then."""

    day: int
    score: Float64Array
    strangers: tuple[str, ...]


class SuspicionJoin:
    """Anti-TrustRank over the accounts joined by payments, refreshed at the beginning of UTC days.

    When the first payment of a later day than any before it comes, and since the last refresh a quarter as many
    payments came as there are links, or seven days passed, the scores are refreshed: the graph is made of all payments
    before it in the ledger, whose event times then lie before that day; the seeds are the launderers it would see at
    the day's beginning. So a refresh costs each payment no more than a few links, and a bank that makes as many
    payments in a day has it every day. Payments see the vector of the last refresh up to their own day, NaN where that
    is no longer kept: none sees what it may not, and the values do not depend on the pieces in which payments come.

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

    #: Columns of the transaction table that it reads.
    reads: Final = ("seq", "event_time", "sender", "receiver", "base_amount")

    def __init__(self, known: KnownLaunderers, *, beta: float = 0.85, keep_days: int = 7, tol: float = 1e-6) -> None:
        self._known = _Known.of(known)
        self._beta = beta
        self._tol = tol
        self._names = AccountDictionary()
        self._keys = np.zeros(0, np.int64)
        self._amounts = np.zeros(0, np.int64)
        self._pending: list[tuple[Int64Array, Int64Array]] = []
        self._new = 0
        #: The latest day that a payment came of.
        self._day: int | None = None
        self._codes: dict[str, int] = {}
        self._seen = 0
        self._vectors: deque[_Vector] = deque()
        self._keep_days = keep_days

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(feature.name for feature in SUSPICION_FEATURES)

    def columns(self, payments: pa.RecordBatch) -> list[pa.Array]:
        """The columns of the next payments (seq, event_time, base_amount, sender, receiver), float64[n] each."""
        time = np.asarray(payments.column("event_time").cast(pa.int64()).to_numpy(), np.int64)
        seq = np.asarray(payments.column("seq").to_numpy(), np.int64)
        amount = np.asarray(payments.column("base_amount").fill_null(0).to_numpy(), np.int64)
        sender, receiver = self._parties(payments)
        inside = ~(self._names.external[sender] | self._names.external[receiver])
        day = time // DAY_US
        found = np.zeros((2, len(seq)))
        for begin, end, first in self._stretches(day):
            if first:
                self._begin(int(day[begin]), int(seq[begin]))
            piece = slice(begin, end)
            self._look_up(day[piece], sender[piece], found[0, piece])
            self._look_up(day[piece], receiver[piece], found[1, piece])
            mine = inside[piece]
            self._pending.append(((sender[piece] << _SHIFT | receiver[piece])[mine], amount[piece][mine]))
            self._new += int(mine.sum())
            self._seen = max(self._seen, int(sender[piece].max()) + 1, int(receiver[piece].max()) + 1)
        return [pa.array(column) for column in found]

    def _parties(self, payments: pa.RecordBatch) -> tuple[Int64Array, Int64Array]:
        """Numbers of senders and receivers, in order of first appearance whatever the pieces."""
        both = [payments.column(role).cast(pa.string()) for role in ("sender", "receiver")]
        places = np.arange(2 * payments.num_rows).reshape(2, -1).T.ravel()
        codes = self._names.encode(pa.concat_arrays(both).take(pa.array(places))).astype(np.int64)
        return codes[::2], codes[1::2]

    def _stretches(self, day: Int64Array) -> list[tuple[int, int, bool]]:
        """Rows [begin, end) that share a running day, and whether that day is new."""
        if not len(day):
            return []
        before = day[0] - 1 if self._day is None else self._day
        running = np.maximum(np.maximum.accumulate(day), before)
        new = np.diff(running, prepend=before) > 0
        edges = np.flatnonzero(new)
        starts = [0, *(int(edge) for edge in edges if edge)]
        return [(begin, end, bool(new[begin])) for begin, end in zip(starts, [*starts[1:], len(day)], strict=True)]

    def _begin(self, day: int, seq: int) -> None:
        """A later day has come with payment `seq`."""
        self._day = day
        stale = not self._vectors or day - self._vectors[-1].day >= MOST_DAYS
        if stale or self._new >= NEW_PER_LINK * len(self._keys):
            self._refresh(day, seq)

    def _refresh(self, day: int, seq: int) -> None:
        """Take in what came before the day, and score everyone."""
        self._absorb()
        known = self._known.at(day * DAY_US, seq)
        places = np.array([self._code(name) for name in known], np.int64)
        inside = (places >= 0) & (places < self._seen)
        strangers = tuple(name for name, there in zip(known, inside.tolist(), strict=True) if not there)
        self._vectors.append(_Vector(day, self._scores(np.sort(places[inside])), strangers))
        while len(self._vectors) > 1 and self._vectors[1].day <= day - self._keep_days:
            self._vectors.popleft()

    def _code(self, name: str) -> int:
        """Number of an account, -1 where it was never met."""
        code = self._codes.get(name)
        if code is None:
            found = self._names.code(name)
            if found is None:
                return -1
            code = self._codes[name] = found
        return code

    def _absorb(self) -> None:
        if not self._pending:
            return
        keys, places = np.unique(np.concatenate([part[0] for part in self._pending]), return_inverse=True)
        sums = np.zeros(len(keys), np.int64)
        np.add.at(sums, places, np.concatenate([part[1] for part in self._pending]))
        self._pending.clear()
        self._new = 0
        at = np.searchsorted(self._keys, keys)
        there = at < len(self._keys)
        there[there] = self._keys[at[there]] == keys[there]
        self._amounts[at[there]] += sums[there]
        self._keys = np.insert(self._keys, at[~there], keys[~there])
        self._amounts = np.insert(self._amounts, at[~there], sums[~there])

    def _scores(self, seeds: Int64Array) -> Float64Array:
        """What reaches each account, float64[accounts]; 0 where nothing can."""
        nodes = self._seen
        found = np.zeros(nodes)
        if not len(seeds):
            return found
        source, target = (self._keys >> _SHIFT).astype(np.int32), (self._keys & 0xFFFF_FFFF).astype(np.int32)
        weight = np.maximum(self._amounts, 0).astype(np.float64)
        share = np.zeros(nodes)
        share[seeds] = 1.0
        for vector in trust_vectors(source, target, weight, nodes, beta=self._beta, direction="both"):
            vector.inflow[:] = vector.graph.internal(share)
            vector.solve(self._tol)
            found += vector.graph.external(np.where(vector.reached(), vector.score, 0.0))
        found[seeds] -= 1.0
        return found

    def _look_up(self, day: Int64Array, party: Int64Array, out: Float64Array) -> None:
        which = np.searchsorted([kept.day for kept in self._vectors], day, side="right") - 1
        out[which < 0] = np.nan
        for place, kept in enumerate(self._vectors):
            mine = np.flatnonzero((which == place) & (party < len(kept.score)))
            out[mine] = kept.score[party[mine]]
            if kept.strangers:
                strange = [code for code in map(self._code, kept.strangers) if code >= 0]
                out[(which == place) & np.isin(party, strange)] = 1.0
