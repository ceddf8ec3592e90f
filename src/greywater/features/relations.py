"""How the customers behind a payment are related, to each other and to confirmed launderers, as known at its moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.features.feature import Feature
from greywater.vocab import Int64Array

__all__ = ["ALWAYS", "FOREVER", "RELATION_FEATURES", "AccountFact", "PairFact", "RelationJoin", "Seen"]

#: Moments that every payment lies after, and before.
ALWAYS: Final = int(np.iinfo(np.int64).min)
FOREVER: Final = int(np.iinfo(np.int64).max)
_apart: Final = "\x1f"


def _feature(role: str, statistic: str, description: str) -> Feature:
    return Feature(
        name=f"{role}.{statistic}",
        entity="sender" if role == "sender" else "receiver" if role == "receiver" else "pair",
        dtype="int64",
        unit="flag" if role == "pair" else "customers",
        description=description,
        family="relation",
        typologies=("exposure",) if role != "pair" else (),
        parameters={"role": role, "statistic": statistic},
    )


#: The columns of a RelationJoin, in order.
RELATION_FEATURES: Final = (
    *(
        _feature(role, statistic, f"{role}: {words}")
        for statistic, words in (
            ("related_launderers", "confirmed launderers that its customer names as related persons"),
            ("related_by_launderers", "confirmed launderers that name its customer as related person"),
        )
        for role in ("sender", "receiver")
    ),
    _feature("pair", "related", "1 where the customers behind sender and receiver are related"),
)


@dataclass(frozen=True)
class Seen:
    """Which payments see a fact.

    Payment i sees it iff after < seq_i, since <= t_i < until, and it sees none of the (since, after) that end it.
    """

    since: int
    after: int
    until: int = FOREVER
    ends: tuple[tuple[int, int], ...] = ()

    def both(self, other: Seen) -> Seen:
        """When two facts hold together."""
        return Seen(
            max(self.since, other.since),
            max(self.after, other.after),
            min(self.until, other.until),
            self.ends + other.ends,
        )

    def by(self, seq: Int64Array, time_us: Int64Array) -> np.ndarray:
        """bool[n]: which payments see it."""
        found = (self.after < seq) & (self.since <= time_us) & (time_us < self.until)
        for since, after in self.ends:
            found &= ~((after < seq) & (since <= time_us))
        return np.asarray(found)


@dataclass(frozen=True)
class AccountFact:
    """The customer of `account` is related to the launderer; `named` where it names the launderer, else it is named."""

    account: str
    launderer: str
    named: bool
    seen: Seen


@dataclass(frozen=True)
class PairFact:
    """The customers of two accounts are related, whoever names whom."""

    first: str
    second: str
    seen: Seen


class RelationJoin:
    """Relations joined to payments as of their moment (SEMANTICS: Other records).

    Nothing is carried from payment to payment: one by one, in one batch, or after a restart the values are the same.

    Parameters
    ----------
    accounts : iterable of AccountFact
    pairs : iterable of PairFact

    Examples
    --------
    >>> join = RelationJoin([AccountFact("a", "Boss", True, Seen(since=10, after=-1))], [])
    >>> moments = pa.array([5, 10], pa.timestamp("us", tz="UTC"))
    >>> batch = pa.record_batch({"seq": [0, 1], "event_time": moments, "sender": ["a", "a"], "receiver": ["b", "c"]})
    >>> [column.to_pylist() for column in join.columns(batch)]
    [[0, 1], [0, 0], [0, 0], [0, 0], [0, 0]]
    """

    #: Columns of the transaction table that it reads.
    reads: Final = ("seq", "event_time", "sender", "receiver")

    def __init__(self, accounts: Iterable[AccountFact], pairs: Iterable[PairFact]) -> None:
        self._launderers: dict[bool, dict[str, dict[str, list[Seen]]]] = {
            named: defaultdict(lambda: defaultdict(list)) for named in (True, False)
        }
        for fact in accounts:
            self._launderers[fact.named][fact.account][fact.launderer].append(fact.seen)
        self._pairs: dict[str, list[Seen]] = defaultdict(list)
        for pair in pairs:
            for first, second in ((pair.first, pair.second), (pair.second, pair.first)):
                self._pairs[first + _apart + second].append(pair.seen)
        self._known = {named: pa.array(list(held), pa.string()) for named, held in self._launderers.items()}
        self._known_pairs = pa.array(list(self._pairs), pa.string())
        self._members = pa.array(sorted({name.partition(_apart)[0] for name in self._pairs}), pa.string())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(feature.name for feature in RELATION_FEATURES)

    def columns(self, payments: pa.RecordBatch) -> list[pa.Array]:
        """The columns of a block of payments (seq, event_time, sender, receiver), int64[n] each."""
        seq = np.asarray(payments.column("seq").to_numpy(), np.int64)
        time = np.asarray(payments.column("event_time").cast(pa.int64()).to_numpy(), np.int64)
        sender, receiver = (payments.column(role).cast(pa.string()) for role in ("sender", "receiver"))
        found = [self._count(named, party, seq, time) for named in (True, False) for party in (sender, receiver)]
        return [pa.array(column) for column in (*found, self._related(sender, receiver, seq, time))]

    def _count(self, named: bool, party: pa.Array, seq: Int64Array, time: Int64Array) -> Int64Array:
        """Different launderers that each payment sees."""
        counts = np.zeros(len(seq), np.int64)
        for account, rows in _rows_of(party, self._known[named]):
            for facts in self._launderers[named][account].values():
                counts[rows] += _any(facts, seq[rows], time[rows])
        return counts

    def _related(self, sender: pa.Array, receiver: pa.Array, seq: Int64Array, time: Int64Array) -> Int64Array:
        related = np.zeros(len(seq), np.int64)
        if not len(self._known_pairs):
            return related
        inside = pc.and_(pc.is_in(sender, self._members), pc.is_in(receiver, self._members))
        rows = np.flatnonzero(inside.to_numpy(zero_copy_only=False))
        if len(rows):
            chosen = pa.array(rows)
            keys = pc.binary_join_element_wise(sender.take(chosen), receiver.take(chosen), _apart)
            for key, places in _rows_of(keys, self._known_pairs):
                related[rows[places]] = _any(self._pairs[key], seq[rows[places]], time[rows[places]])
        return related


def _rows_of(column: pa.Array, known: pa.Array) -> Iterable[tuple[str, Int64Array]]:
    """The rows of each known value that the column has."""
    if not len(known):
        return
    places = pc.index_in(column, known)
    rows = np.flatnonzero(places.is_valid().to_numpy(zero_copy_only=False))
    if not len(rows):
        return
    codes = places.take(pa.array(rows)).to_numpy(zero_copy_only=False).astype(np.int64)
    order = np.argsort(codes, kind="stable")
    edges = np.flatnonzero(np.diff(codes[order], prepend=-1))
    for begin, end in zip(edges, [*edges[1:], len(order)], strict=True):
        yield known[int(codes[order[begin]])].as_py(), rows[order[begin:end]].astype(np.int64)


def _any(facts: Sequence[Seen], seq: Int64Array, time: Int64Array) -> np.ndarray:
    found = np.zeros(len(seq), np.bool_)
    for fact in facts:
        found |= fact.by(seq, time)
    return found
