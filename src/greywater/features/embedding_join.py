"""Distances between the parties of a payment, and to known launderers, by where money goes and comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa

from greywater.features.dictionary import AccountDictionary
from greywater.features.embedding import AccountVectors, Projection, project_accounts
from greywater.features.exposure import KnownLaunderers
from greywater.features.feature import Feature
from greywater.features.ledger_days import DAY_US, KnownMoments, day_stretches, party_codes
from greywater.features.link_history import LinkHistory
from greywater.kernels.fastrp import cosine_distances, nearest_distances
from greywater.vocab import Float64Array, Int64Array

__all__ = ["EMBEDDING_FEATURES", "EmbeddingJoin"]

_roles: Final[tuple[Literal["sender", "receiver"], ...]] = ("sender", "receiver")
#: Name, which side of the sender and which of the receiver, and what the two are.
_PAIRS: Final = (
    ("payees", "out", "out", "whom the sender pays and whom the receiver pays"),
    ("payers", "into", "into", "who pays the sender and who pays the receiver"),
    ("onward", "out", "into", "whom the sender pays and who pays the receiver"),
    ("back", "into", "out", "who pays the sender and whom the receiver pays"),
)

#: The columns of an EmbeddingJoin, in order.
EMBEDDING_FEATURES: Final = (
    *(
        Feature(
            name=f"embedding.{name}",
            entity="pair",
            dtype="float64",
            unit="cosine distance",
            description=f"how far apart {words} lie in the graph of payments of the days before",
            family="embedding",
            typologies=("scatter-gather", "cycle"),
            parameters={"statistic": name},
        )
        for name, _, _, words in _PAIRS
    ),
    *(
        Feature(
            name=f"{role}.embedding_{which}",
            entity=role,
            dtype="float64",
            unit="cosine distance",
            description=f"{role}: how far from {words}, by whom it pays and who pays it on the days before",
            family="embedding",
            typologies=("exposure",),
            parameters={"role": role, "statistic": f"embedding_{which}"},
        )
        for role in _roles
        for which, words in (("nearest", "the nearest known launderer"), ("mean", "the mean of known launderers"))
    ),
)


@dataclass(frozen=True)
class _Snapshot:
    """The vectors of a day, of what lies before payment `first` of the ledger; rows of launderers by the day asked."""

    day: int
    first: int
    vectors: AccountVectors
    launderers: dict[int, Any] = field(default_factory=dict)


class EmbeddingJoin:
    """Cosine distances in fast random projections, solved anew as each UTC day begins.

    When the first payment of a later day than any before it comes, the graph is made of all payments before it in the
    ledger, whose event times then lie before that day. A payment weighs half as much every `half_life` days. Every
    payment that is recorded until the next such day, also one that is late, is answered from that solution. Launderers
    are those that the day's first payment would see at the beginning of the day; for a payment that is late, at the
    beginning of its own day. So no payment sees what it may not, and the values do not depend on the pieces in which
    payments come.

    An account without payments on a side has no vector there, and a distance without a vector is NaN: an account that
    is new today has none. Parties outside the bank have none either and lend none. A known launderer lies at distance
    0 from the nearest one, itself, where it has a vector.

    Parameters
    ----------
    known : KnownLaunderers
        Everything the records say.
    projection : Projection, optional
        How vectors are made.
    half_life : float or None
        Days; None = old payments weigh as much as new ones.
    threads : int
        They share the accounts; the bits are the same for any number.

    Examples
    --------
    >>> day = 86_400_000_000
    >>> join = EmbeddingJoin(KnownLaunderers.of([("a", -2, 0, -1, True)]))
    >>> moments = pa.array([5, 6, day + 5, day + 6], pa.timestamp("us", tz="UTC"))
    >>> payments = pa.record_batch({"seq": [0, 1, 2, 3], "event_time": moments, "base_amount": [9, 9, 9, 9],
    ...                             "sender": ["a", "b", "a", "b"], "receiver": ["c", "c", "b", "new"]})
    >>> found = dict(zip(join.names, join.columns(payments), strict=True))
    >>> found["embedding.payees"].to_pylist(), found["receiver.embedding_nearest"].to_pylist()
    ([nan, nan, 0.0, nan], [nan, nan, 0.0, nan])
    """

    #: Columns of the transaction table that it reads.
    reads: Final = ("seq", "event_time", "sender", "receiver", "base_amount")

    def __init__(
        self,
        known: KnownLaunderers,
        projection: Projection | None = None,
        *,
        half_life: float | None = 30.0,
        threads: int = 1,
    ) -> None:
        self._known = KnownMoments.of(known)
        self._projection = projection or Projection()
        self._threads = threads
        self._names = AccountDictionary()
        self._links = LinkHistory(half_life)
        self._day: int | None = None
        self._snapshot: _Snapshot | None = None
        #: Entries and accounts that the solution knows.
        self._covered = 0, 0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(feature.name for feature in EMBEDDING_FEATURES)

    def columns(self, payments: pa.RecordBatch) -> list[pa.Array]:
        """The columns of the next payments (`reads`), float64[n] each."""
        time = np.asarray(payments.column("event_time").cast(pa.int64()).to_numpy(), np.int64)
        seq = np.asarray(payments.column("seq").to_numpy(), np.int64)
        amount = np.asarray(payments.column("base_amount").fill_null(0).to_numpy(), np.int64)
        before = len(self._names)
        sender, receiver = party_codes(self._names, payments)
        seen = np.maximum.accumulate(np.maximum(np.maximum(sender, receiver) + 1, before))
        inside = ~(self._names.external[sender] | self._names.external[receiver])
        day = time // DAY_US
        found = np.full((len(EMBEDDING_FEATURES), len(seq)), np.nan)
        for begin, end, first in day_stretches(day, self._day):
            if first:
                self._covered = len(self._links), int(seen[begin - 1]) if begin else before
                self._solve(int(day[begin]), int(seq[begin]))
            piece = slice(begin, end)
            self._look_up(day[piece], sender[piece], receiver[piece], found[:, piece])
            mine = np.flatnonzero(inside[piece]) + begin
            self._links.append(sender[mine], receiver[mine], day[mine], amount[mine])
        return [pa.array(column) for column in found]

    def _solve(self, day: int, first: int) -> None:
        """Vectors as of the beginning of a day that payment `first` is the first of."""
        self._day = day
        entries, accounts = self._covered
        links = self._links.weighed(day, upto=entries)
        vectors = project_accounts(
            links.source, links.target, links.weight, accounts, self._projection, threads=self._threads
        )
        self._snapshot = _Snapshot(day, first, vectors)

    def _look_up(self, day: Int64Array, sender: Int64Array, receiver: Int64Array, out: Float64Array) -> None:
        snapshot = self._snapshot
        assert snapshot is not None
        sides = {"out": snapshot.vectors.out, "into": snapshot.vectors.into}
        row = np.empty(len(day))
        for place, (_, one, two, _) in enumerate(_PAIRS):
            cosine_distances(sides[one], sides[two], sender, receiver, row)
            out[place] = row
        seen = np.minimum(day, snapshot.day)
        for moment in np.unique(seen).tolist():
            mine = np.flatnonzero(seen == moment)
            accounts, places = np.unique(np.concatenate([sender[mine], receiver[mine]]), return_inverse=True)
            nearest, mean = self._to_launderers(snapshot, moment, accounts)
            for role, parties in enumerate(places.reshape(2, -1)):
                out[len(_PAIRS) + 2 * role, mine] = nearest[parties]
                out[len(_PAIRS) + 2 * role + 1, mine] = mean[parties]

    def _to_launderers(self, snapshot: _Snapshot, day: int, accounts: Int64Array) -> tuple[Float64Array, Float64Array]:
        """Distances of accounts int64[m] to the nearest and to the mean of the launderers seen on a day."""
        if day not in snapshot.launderers:
            snapshot.launderers[day] = self._launderers(snapshot, day)
        known = snapshot.launderers[day]
        nearest, mean = np.full(len(accounts), np.nan), np.full(len(accounts), np.nan)
        if known.shape[1]:
            rows = snapshot.vectors.both(accounts)
            nearest_distances(rows, known, np.empty(known.shape[1], np.float32), nearest)
            middle = known.sum(axis=1, dtype=np.float64)
            size = float(np.sqrt((middle * middle).sum()))
            if size > 0.0:
                centre = (middle / size).astype(np.float32).reshape(-1, 1)
                nearest_distances(rows, centre, np.empty(1, np.float32), mean)
        return nearest, mean

    def _launderers(self, snapshot: _Snapshot, day: int) -> Any:
        """Vectors of the launderers that the snapshot's first payment would see at the beginning of a day, by column.

        In order of their numbers, float32[2 d, L]; without those that have none.
        """
        codes = [self._names.code(name) for name in self._known.at(day * DAY_US, snapshot.first)]
        accounts = np.array(sorted(code for code in codes if code is not None), np.int64)
        rows = snapshot.vectors.both(accounts)
        return np.ascontiguousarray(rows[rows.any(axis=1)].T)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything carried from payment to payment; `load` goes on from there."""
        snapshot = self._snapshot
        running = [] if snapshot is None else [snapshot.day, snapshot.first, *self._covered]
        names = {f"names_{name}": array for name, array in self._names.arrays().items()}
        return names | self._links.arrays() | {"running": np.array(running, np.int64)}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from the `arrays` of another; the vectors are solved again, to the same bits."""
        self._names = AccountDictionary.from_arrays(
            {name.removeprefix("names_"): array for name, array in arrays.items() if name.startswith("names_")}
        )
        self._links.load(arrays)
        self._day = self._snapshot = None
        if len(arrays["running"]):
            day, first, entries, accounts = arrays["running"].tolist()
            self._covered = entries, accounts
            self._solve(day, first)
