"""The last payments of both parties of a payment, one after the other: how much, how long after the one before, how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.features.dictionary import AccountDictionary
from greywater.features.feature import Feature
from greywater.features.ledger_order import times_in_order
from greywater.features.pair_book import PairBook
from greywater.features.rooms import Rooms
from greywater.kernels.sequence import LENGTH, Rings, empty_rings, read_sequences
from greywater.vocab import CHANNELS

__all__ = ["SEQUENCE_FEATURES", "SEQUENCE_KINDS", "SEQUENCE_LENGTH", "SequenceJoin", "sequence_columns"]

Role = Literal["sender", "receiver"]

#: Payments of a sequence, that of the row itself among them.
SEQUENCE_LENGTH: Final = LENGTH
#: Kinds run from 0 to one less, and -1 where there is no payment: channels of the list, and one for any other.
SEQUENCE_KINDS: Final = 4 * (len(CHANNELS) + 1)
#: A payment dated so long before the latest one, and the allowed lateness, is not seen any more.
LOOK_BACK_US: Final = 365 * 86_400_000_000
_NEVER: Final = -(2**62)
_roles: Final[tuple[Role, Role]] = ("sender", "receiver")


def sequence_columns(role: Role) -> tuple[tuple[str, str, str], ...]:
    """Names of a party's columns by place, 0 = the payment itself: amount, gap and kind.

    Examples
    --------
    >>> sequence_columns("sender")[1]
    ('sender.sequence.1.amount', 'sender.sequence.1.gap', 'sender.sequence.1.kind')
    """
    names = [f"{role}.sequence.{place}" for place in range(SEQUENCE_LENGTH)]
    return tuple((f"{name}.amount", f"{name}.gap", f"{name}.kind") for name in names)


def _features(role: Role, place: int, names: tuple[str, str, str]) -> tuple[Feature, ...]:
    of = "this payment" if place == 0 else f"number {place} of its payments before this one"
    said: tuple[tuple[Literal["float64", "int64"], str, str], ...] = (
        ("float64", "minor units", f"{role}: amount of {of}, in the base currency"),
        ("float64", "seconds", f"{role}: from the payment before to {of}"),
        ("int64", "code", f"{role}: channel, direction and newness of the counterparty of {of}, -1 = there is none"),
    )
    return tuple(
        Feature(
            name=name,
            entity=role,
            dtype=dtype,
            unit=unit,
            description=description,
            family="sequence",
            parameters={"role": role, "statistic": name.rpartition(".")[2], "place": place},
        )
        for name, (dtype, unit, description) in zip(names, said, strict=True)
    )


#: The columns of a SequenceJoin, in order.
SEQUENCE_FEATURES: Final = tuple(
    feature
    for role in _roles
    for place, names in enumerate(sequence_columns(role))
    for feature in _features(role, place, names)
)


class SequenceJoin:
    """Amount, gap and kind of the last 32 payments that each party sent to others or received from others.

    The 32 are the last that were recorded, this one included; those of them that the payment does not see (dated after
    it, or 365 days and the allowed lateness before the latest one) are left out, and the rest close up. A gap is the
    time since the payment at the next place, 0 where that one is dated later. A kind is
    `4 * channel + 2 * paid + new`: the place in the list of channels (one after the last where it is not among them),
    1 where the party paid, 1 where it was the first payment ever recorded from its sender to its receiver. Payments to
    oneself are in no sequence, not even in their own; parties outside the bank have none.

    Only values of payments are carried, no sums: one by one, in any cut, or restored from `arrays` the bits are the
    same.

    Parameters
    ----------
    allowed_lateness : int
        Seconds that a payment may come late, as in the settings.

    Examples
    --------
    >>> moments = pa.array([0, 5_000_000, 7_000_000], pa.timestamp("us", tz="UTC"))
    >>> rows = pa.record_batch({"seq": [0, 1, 2], "event_time": moments, "sender": ["a", "b", "a"],
    ...                         "receiver": ["b", "a", "b"], "base_amount": [100, 90, 80], "channel": ["cash"] * 3})
    >>> join = SequenceJoin()
    >>> last = {name: column[2].as_py() for name, column in zip(join.names, join.columns(rows), strict=True)}
    >>> [[last[name] for name in names] for names in sequence_columns("sender")[:4]]
    [[80.0, 2.0, 10], [90.0, 5.0, 9], [100.0, nan, 11], [nan, nan, -1]]
    """

    #: Columns of the transaction table that it reads.
    reads: Final = ("seq", "event_time", "sender", "receiver", "base_amount", "channel")

    def __init__(self, *, allowed_lateness: int = 7 * 86_400) -> None:
        self._look_back = LOOK_BACK_US + allowed_lateness * 1_000_000
        self._names = AccountDictionary()
        self._pairs = PairBook()
        self._rings = empty_rings(1024, 256)
        self._rooms = Rooms()
        self._next_seq = 0
        self._horizon = _NEVER

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(feature.name for feature in SEQUENCE_FEATURES)

    def columns(self, payments: pa.RecordBatch) -> list[pa.Array]:
        """The columns of the next payments (`reads`), n rows each.

        Raises
        ------
        EngineError
            A payment is missing, repeated or out of order.
        """
        n, rows = payments.num_rows, pa.table(payments)
        time, horizon = times_in_order(rows, self.reads, self._next_seq, self._horizon)
        sender, receiver = (self._names.encode(rows.column(role)) for role in _roles)
        accounts = len(self._names)
        _, new = self._pairs.meet(sender, receiver, np.ones(n, np.bool_), time, accounts=accounts)
        self._reserve(2 * n, accounts)
        channel = pc.fill_null(pc.index_in(payments.column("channel"), pa.array(CHANNELS)), len(CHANNELS))
        kind = 4 * channel.to_numpy(zero_copy_only=False).astype(np.int64) + new
        amount = pc.cast(payments.column("base_amount"), pa.float64(), safe=False)
        outside = self._names.external
        payer, payee = (np.where(outside[each], np.int32(-1), each) for each in (sender, receiver))
        # One Arrow array for all columns of a type: one for each would cost a single payment more than the work itself.
        # Columns do not begin at a power of two from each other (features/rooms.py).
        stride = (n + 7) // 8 * 8 + 8
        floats = self._rooms.columns(1, 4 * SEQUENCE_LENGTH * stride, np.float64)[0]
        kinds = self._rooms.columns(1, 2 * SEQUENCE_LENGTH * stride, np.int64)[0]
        read_sequences(
            self._rings, payer, payee, time, horizon - self._look_back,
            np.array(amount.to_numpy(zero_copy_only=False), np.float64), kind, sender != receiver,
            floats.reshape(2, 2 * SEQUENCE_LENGTH, stride), kinds.reshape(2, SEQUENCE_LENGTH, stride),
        )  # fmt: skip
        if n:
            self._next_seq, self._horizon = self._next_seq + n, int(horizon[-1])
        values, codings = pa.array(floats), pa.array(kinds)
        return [
            column.slice(begin * stride, n)
            for place in range(2 * SEQUENCE_LENGTH)
            for column, begin in ((values, 2 * place), (values, 2 * place + 1), (codings, place))
        ]

    def _reserve(self, rings: int, accounts: int) -> None:
        """Room for so many more rings, and for all accounts."""
        held = self._rings
        wanted, room = int(held.size[0]) + rings, len(held.written)
        if accounts > len(held.place):
            more = max(accounts, len(held.place) * 3 // 2) - len(held.place)
            held = held._replace(place=np.concatenate([held.place, np.full(more, -1, np.int32)]))
        if wanted > room:
            fresh = empty_rings(0, max(wanted, room * 3 // 2) - room)
            held = held._replace(
                written=np.concatenate([held.written, fresh.written]),
                time=np.concatenate([held.time, fresh.time]),
                amount=np.concatenate([held.amount, fresh.amount]),
                kind=np.concatenate([held.kind, fresh.kind]),
            )
        self._rings = held

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything carried from payment to payment; `load` goes on from there."""
        accounts, used = len(self._names), int(self._rings.size[0])
        held = {
            **{f"accounts.{name}": array for name, array in self._names.arrays().items()},
            **{f"pairs.{name}": array for name, array in self._pairs.arrays(accounts).items()},
            "place": self._rings.place[:accounts],
            **{name: getattr(self._rings, name)[:used] for name in ("written", "time", "amount", "kind")},
        }
        at = np.array([self._next_seq, self._horizon], np.int64)
        return {name: array.copy() for name, array in held.items()} | {"at": at}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from the `arrays` of another."""

        def below(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

        self._names = AccountDictionary.from_arrays(below("accounts."))
        self._pairs = PairBook()
        self._pairs.load(below("pairs."))
        held = {name: arrays[name].copy() for name in ("place", "written", "time", "amount", "kind")}
        self._rings = Rings(**held, size=np.array([len(held["written"])], np.int64))
        self._next_seq, self._horizon = (int(number) for number in arrays["at"])
