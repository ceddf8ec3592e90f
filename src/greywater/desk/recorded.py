"""Payments as recorded, in columns that are read once and asked about for many alerts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.desk.sentences import Payment
from greywater.errors import UsageError
from greywater.vocab import Float64Array, Int64Array

__all__ = ["EvidenceRow", "Recorded"]

Int32Array = NDArray[np.int32]


@dataclass(frozen=True)
class EvidenceRow:
    """One payment of the evidence, as recorded.

    Amounts are in minor units; `time_us` is microseconds since 1970 (UTC); `score` is None where the
    payment was not scored; `raising` marks the payment that raised the alert.
    """

    tx_id: str
    seq: int
    time_us: int
    sender: str
    receiver: str
    amount: int
    currency: str
    base_amount: int | None
    channel: str
    score: float | None
    raising: bool = False


class Recorded:
    """Recorded payments by their place in a table: arrays to choose by, and each as a row of evidence.

    Parameters
    ----------
    payments : pyarrow.Table
        In any order, each once, with tx_id, seq, event_time, sender, receiver, amount, currency, base_amount, channel
        and, where there are scores, score (float64, null or NaN = none); received_amount and received_currency where
        they differ from what was paid.

    Attributes
    ----------
    seq, time_us : int64[n]
    sender, receiver : int32[n]
        Places in `accounts`.
    accounts : list of str
    base_amount : float64[n]
        0 where it is not known.
    score : float64[n]
        NaN where there is none.
    """

    def __init__(self, payments: pa.Table) -> None:
        self._payments = payments
        self.seq = _integers(payments["seq"])
        self.time_us = _integers(payments["event_time"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()))
        self.accounts, (self.sender, self.receiver) = _coded(payments["sender"], payments["receiver"])
        self.base_amount = _floats(payments["base_amount"].fill_null(0))
        scored = "score" in payments.column_names
        self.score = _floats(payments["score"]) if scored else np.full(len(self.seq), np.nan)
        self._held: dict[int, EvidenceRow] = {}

    def __len__(self) -> int:
        return len(self.seq)

    def places(self, seqs: Int64Array) -> Int64Array:
        """Where the payments with these seq stand, int64[k].

        Raises
        ------
        UsageError
            One of them is not there.
        """
        order, ordered = self._by_seq
        found = np.minimum(np.searchsorted(ordered, seqs), max(len(ordered) - 1, 0))
        missing = ordered[found] != seqs if len(ordered) else np.ones(len(seqs), np.bool_)
        if missing.any():
            raise UsageError(
                f"payment {np.asarray(seqs)[missing][0]} is not among the entity's payments",
                where="evidence",
                mend="give them all",
            )
        return order[found]

    def place(self, seq: int) -> int:
        """Where one payment stands; a UsageError where it does not."""
        return int(self.places(np.array([seq], np.int64))[0])

    def evidence(self, place: int, *, raising: bool = False) -> EvidenceRow:
        """One payment as a row of evidence."""
        if raising:
            return self._evidence(place, raising=True)
        row = self._held.get(place)
        if row is None:
            row = self._held[place] = self._evidence(place, raising=False)
        return row

    def payment(self, place: int) -> Payment:
        """One payment as the one that raises an alert."""
        row, payments = self.evidence(place), self._payments
        there = payments.column_names
        received = payments["received_amount"][place].as_py() if "received_amount" in there else row.amount
        currency = payments["received_currency"][place].as_py() if "received_currency" in there else row.currency
        return Payment(
            tx_id=row.tx_id, seq=row.seq, time_us=row.time_us, sender=row.sender, receiver=row.receiver,
            amount=row.amount, currency=row.currency, received_amount=received, received_currency=currency,
            channel=row.channel, base_amount=row.base_amount,
        )  # fmt: skip

    def tx_ids(self, places: Int64Array) -> tuple[str, ...]:
        """The ids of payments."""
        return tuple(self._ids.take(pa.array(places)).to_pylist())

    @cached_property
    def code_of(self) -> dict[str, int]:
        """Places in `accounts` by name."""
        return {name: code for code, name in enumerate(self.accounts)}

    def _evidence(self, place: int, *, raising: bool) -> EvidenceRow:
        score = float(self.score[place])
        (currencies, (currency,)), (channels, (channel,)) = self._words
        return EvidenceRow(
            tx_id=self._ids[place].as_py(), seq=int(self.seq[place]), time_us=int(self.time_us[place]),
            sender=self.accounts[self.sender[place]], receiver=self.accounts[self.receiver[place]],
            amount=int(self._amounts[0][place]), currency=currencies[currency[place]],
            base_amount=int(self._amounts[1][place]) if self._known[place] else None,
            channel=channels[channel[place]], score=score if score == score else None, raising=raising,
        )  # fmt: skip

    @cached_property
    def _by_seq(self) -> tuple[Int64Array, Int64Array]:
        order = np.argsort(self.seq, kind="stable")
        return order, self.seq[order]

    @cached_property
    def _ids(self) -> pa.Array:
        return _whole(self._payments["tx_id"])

    @cached_property
    def _words(self) -> tuple[tuple[list[str], list[Int32Array]], tuple[list[str], list[Int32Array]]]:
        return _coded(self._payments["currency"]), _coded(self._payments["channel"])

    @cached_property
    def _amounts(self) -> tuple[Int64Array, Int64Array]:
        return _integers(self._payments["amount"]), _integers(self._payments["base_amount"].fill_null(0))

    @cached_property
    def _known(self) -> np.ndarray:
        return np.asarray(self._payments["base_amount"].is_valid().to_numpy(), np.bool_)


def _coded(*columns: pa.ChunkedArray) -> tuple[list[str], list[Int32Array]]:
    """The texts of columns of one length, each once, and the codes of each column."""
    chunks = [chunk for column in columns for chunk in column.chunks]
    coded = _whole(pa.chunked_array(chunks, type=columns[0].type)).dictionary_encode()
    codes = np.asarray(coded.indices.to_numpy(zero_copy_only=False), np.int32)
    return coded.dictionary.to_pylist(), np.split(codes, len(columns))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _integers(column: pa.ChunkedArray) -> Int64Array:
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _floats(column: pa.ChunkedArray) -> Float64Array:
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(), dtype=np.float64)
