"""The payments that prove an alert: the one that raised it and those its reasons speak of, none later."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.desk.reasons import Reason
from greywater.desk.sentences import Payment
from greywater.errors import UsageError
from greywater.vocab import Float64Array, Int64Array

__all__ = [
    "MOST_EVIDENCE",
    "MOST_FORMED",
    "EvidenceRow",
    "choose_evidence",
    "evidence_rows",
    "payment_at",
    "spoken_of",
]

MOST_EVIDENCE: Final = 25
#: Of these, payments that formed a pattern.
MOST_FORMED: Final = 15
DAY: Final = 86_400
_SECOND: Final = 1_000_000
#: Looked back over where no reason names a window.
_FALLBACK: Final = 30 * DAY

BoolArray = NDArray[np.bool_]


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


@dataclass(frozen=True)
class _Columns:
    """The columns that choosing needs, as arrays; base_amount is 0 where it is not known."""

    seq: Int64Array
    time_us: Int64Array
    sender: pa.ChunkedArray
    receiver: pa.ChunkedArray
    base_amount: Float64Array
    score: Float64Array

    @classmethod
    def of(cls, payments: pa.Table) -> _Columns:
        score = payments.column("score") if "score" in payments.column_names else pa.nulls(len(payments), pa.float64())
        return cls(
            seq=_integers(payments.column("seq")),
            time_us=_integers(payments.column("event_time").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())),
            sender=payments.column("sender"),
            receiver=payments.column("receiver"),
            base_amount=np.nan_to_num(_floats(payments.column("base_amount"))),
            score=_floats(score),
        )

    def parties(self, row: int) -> tuple[str, str]:
        """Sender and receiver of one payment."""
        return self.sender[row].as_py(), self.receiver[row].as_py()

    def sent_by(self, party: str) -> BoolArray:
        """Which payments a party sent."""
        return np.asarray(pc.equal(self.sender, party).to_numpy(), dtype=bool)

    def received_by(self, party: str) -> BoolArray:
        """Which payments a party received."""
        return np.asarray(pc.equal(self.receiver, party).to_numpy(), dtype=bool)


def choose_evidence(
    payments: pa.Table,
    raising_seq: int,
    reasons: Iterable[Reason],
    *,
    formed: Sequence[int] = (),
    limit: int = MOST_EVIDENCE,
) -> tuple[EvidenceRow, ...]:
    """Choose the evidence of one alert.

    First the payment that raised it. Then those with which it formed a pattern, in the order given. Then the payments
    that a reason speaks of: inside its window
    `(t - w, t]` (or its whole UTC days), of the party on its side of the raising payment, in its
    direction; a reason about the pair speaks of the earlier payments between the two. They are ordered by score
    (unscored last), then by amount in the base currency, then by the later seq. Where no reason names a window, the
    last 30 days of both sides of the raising payment stand in. Payments recorded after the raising one are
    never chosen.

    Parameters
    ----------
    payments : pyarrow.Table
        Payments of the entity and, for reasons about the other party, of that party, in any order, each once,
        with tx_id, seq, event_time, sender, receiver, amount, currency, base_amount, channel and, where there
        are scores, score (float64, null or NaN = none).
    raising_seq : int
        The payment that raised the alert; one of `payments`.
    reasons : iterable of Reason
        What the alert says.
    formed : sequence of int
        Seqs of the payments that formed a pattern with the raising one, the most telling first, all among `payments`;
        at most MOST_FORMED are taken.
    limit : int
        Most rows.

    Returns
    -------
    tuple of EvidenceRow
        The raising payment, then best first.

    Raises
    ------
    UsageError
        The raising payment, or one of `formed`, is not among `payments`.
    """
    columns = _Columns.of(payments)
    raising = _row_of(columns.seq, raising_seq)
    earlier = (columns.seq < raising_seq) & (columns.time_us <= columns.time_us[raising])
    named = np.zeros(len(columns.seq), dtype=bool)
    for reason in reasons:
        named |= _spoken_of(columns, raising, reason)
    # What was recorded later may not decide whether a reason names anything.
    if not (named & (columns.seq <= raising_seq)).any():
        named = _of_both_sides(columns, raising) & _inside(columns, raising, _FALLBACK, whole_days=False)
    chosen = np.flatnonzero(named & earlier)
    score = np.where(np.isnan(columns.score), -np.inf, columns.score)[chosen]
    order = np.lexsort((-columns.seq[chosen], -columns.base_amount[chosen], -score))
    with_it = [_row_of(columns.seq, seq) for seq in dict.fromkeys(formed) if seq != raising_seq][:MOST_FORMED]
    rows = list(dict.fromkeys([raising, *with_it, *chosen[order].tolist()]))[: max(limit, 1)]
    return tuple(_evidence(row, number == 0) for number, row in enumerate(_records(payments, rows)))


def evidence_rows(payments: pa.Table, raising_seq: int) -> dict[int, EvidenceRow]:
    """Read payments as rows of evidence, by seq; `payments` as for `choose_evidence`."""
    rows = _records(payments, list(range(len(payments))))
    return {row["seq"]: _evidence(row, row["seq"] == raising_seq) for row in rows}


def spoken_of(payments: pa.Table, raising_seq: int, reasons: Iterable[Reason]) -> list[tuple[str, ...]]:
    """Ids of the payments that each reason speaks of, latest recorded first; the raising one where it names no window.

    Parameters
    ----------
    payments : pyarrow.Table
        As for `choose_evidence`.
    raising_seq : int
        The payment that raised the alert; one of `payments`.
    reasons : iterable of Reason
    """
    columns = _Columns.of(payments)
    raising = _row_of(columns.seq, raising_seq)
    earlier = columns.seq <= raising_seq
    ids = payments.column("tx_id")
    found = []
    for reason in reasons:
        rows = np.flatnonzero(_spoken_of(columns, raising, reason) & earlier)
        rows = rows[np.argsort(-columns.seq[rows], kind="stable")] if len(rows) else np.array([raising])
        found.append(tuple(ids.take(pa.array(rows)).to_pylist()))
    return found


def payment_at(payments: pa.Table, seq: int) -> Payment:
    """Read one payment of a table of recorded payments.

    Raises
    ------
    UsageError
        It is not there.
    """
    (row,) = _records(payments, [_row_of(_integers(payments.column("seq")), seq)])
    return Payment(
        tx_id=row["tx_id"], seq=row["seq"], time_us=_time_us(row), sender=row["sender"], receiver=row["receiver"],
        amount=row["amount"], currency=row["currency"], received_amount=row.get("received_amount", row["amount"]),
        received_currency=row.get("received_currency", row["currency"]), channel=row["channel"],
        base_amount=row["base_amount"],
    )  # fmt: skip


def _spoken_of(columns: _Columns, raising: int, reason: Reason) -> BoolArray:
    """Which payments a reason is about, whenever they were recorded."""
    sender, receiver = columns.parties(raising)
    if reason.theme == "pair":
        there = columns.sent_by(sender) & columns.received_by(receiver)
        return there | (columns.sent_by(receiver) & columns.received_by(sender))
    if reason.window is None or reason.role is None:
        return np.zeros(len(columns.seq), dtype=bool)
    party = sender if reason.role == "sender" else receiver
    inside = _inside(columns, raising, reason.window, whole_days=reason.whole_days)
    sent, received = columns.sent_by(party), columns.received_by(party)
    of_party = {"out": sent & ~received, "in": received & ~sent, "self": sent & received}.get(reason.direction)
    if of_party is None:
        of_party = sent | received
    return inside & of_party


def _inside(columns: _Columns, raising: int, window: int, *, whole_days: bool) -> BoolArray:
    """The window of the raising payment, looking back over event time."""
    now = int(columns.time_us[raising])
    if whole_days:
        first_day = now // (DAY * _SECOND) - window // DAY + 1
        return np.asarray(columns.time_us >= first_day * DAY * _SECOND, dtype=bool)
    return np.asarray(columns.time_us > now - window * _SECOND, dtype=bool)


def _of_both_sides(columns: _Columns, raising: int) -> BoolArray:
    sender, receiver = columns.parties(raising)
    return (
        columns.sent_by(sender)
        | columns.sent_by(receiver)
        | columns.received_by(sender)
        | columns.received_by(receiver)
    )


def _row_of(seqs: Int64Array, seq: int) -> int:
    rows = np.flatnonzero(seqs == seq)
    if not len(rows):
        raise UsageError(f"payment {seq} is not among the entity's payments", where="evidence", mend="give them all")
    return int(rows[0])


def _evidence(row: dict[str, Any], raising: bool) -> EvidenceRow:
    score = row.get("score")
    return EvidenceRow(
        tx_id=row["tx_id"], seq=row["seq"], time_us=_time_us(row), sender=row["sender"], receiver=row["receiver"],
        amount=row["amount"], currency=row["currency"], base_amount=row["base_amount"], channel=row["channel"],
        score=None if score is None or score != score else float(score), raising=raising,
    )  # fmt: skip


def _records(payments: pa.Table, rows: list[int]) -> list[dict[str, Any]]:
    taken = payments.take(pa.array(rows, pa.int64()))
    position = taken.schema.get_field_index("event_time")
    times = taken.column("event_time").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    records: list[dict[str, Any]] = taken.set_column(position, "event_time", times).to_pylist()
    return records


def _time_us(row: dict[str, Any]) -> int:
    return int(row["event_time"])


def _integers(column: pa.ChunkedArray) -> Int64Array:
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _floats(column: pa.ChunkedArray | pa.Array) -> Float64Array:
    filled = column.cast(pa.float64(), safe=False)
    return np.asarray(
        filled.to_numpy(zero_copy_only=False) if isinstance(filled, pa.Array) else filled.to_numpy(), float
    )
