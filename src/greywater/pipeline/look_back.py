"""Reads from the ledger what payments saw when they came, so that evidence can be looked for at any later time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import UsageError
from greywater.features.dictionary import AccountDictionary
from greywater.features.evidence import Evidence
from greywater.features.graph import GraphPlan, PatternPlan
from greywater.features.graph_evidence import DEFAULT_LIMIT, DEFAULT_VISITS, find_evidence
from greywater.features.payment_view import PaymentIndex
from greywater.stores.ports import Ledger
from greywater.vocab import Int64Array

__all__ = ["Past", "find_payment", "read_past"]

MICROSECOND = 1_000_000
BATCH_ROWS = 131_072


@dataclass(frozen=True)
class _Moment:
    """When a payment came: its event time, and the greatest event time up to it."""

    time_us: int
    horizon_us: int


class Past:
    """The payments that some payments see, found by account; 40 bytes each and the accounts' names.

    Made by `read_past`.
    """

    def __init__(
        self, plan: GraphPlan, moments: dict[int, _Moment], index: PaymentIndex, accounts: Sequence[str]
    ) -> None:
        self._plan = plan
        self._moments = moments
        self._index = index
        self._accounts = accounts

    def __len__(self) -> int:
        return len(self._index)

    def evidence(
        self, seq: int, part: PatternPlan, *, limit: int = DEFAULT_LIMIT, visits: int = DEFAULT_VISITS
    ) -> Evidence:
        """The payments that form a pattern of one of the payments it was read for.

        Parameters
        ----------
        seq : int
            The payment.
        part : PatternPlan
            From `greywater.features.graph_evidence.part_of`.
        limit, visits : int
            As for `find_evidence`.

        Returns
        -------
        Evidence
            With the accounts' names; ids of payments are left open.
        """
        moment = self._moments[seq]
        bound = max(moment.time_us - part.look_back * MICROSECOND, moment.horizon_us - self._plan.hold_us)
        found = find_evidence(self._index.view(seq, bound), part, limit=limit, visits=visits)
        return found.named(lambda code: self._accounts[int(code)], lambda number: None)


def find_payment(ledger: Ledger, tx_id: str) -> int:
    """The seq of a payment, by its id.

    Raises
    ------
    UsageError
        The ledger does not hold it.
    """
    for batch in ledger.scan(["seq", "tx_id"], batch_rows=BATCH_ROWS):
        place = pc.index(batch.column("tx_id"), pa.scalar(tx_id, batch.column("tx_id").type)).as_py()
        if place >= 0:
            return int(batch.column("seq")[place].as_py())
    raise UsageError(
        f"no payment {tx_id!r} is recorded", where="TX_ID", mend="give the id of a payment as it was recorded"
    )


def read_past(ledger: Ledger, seqs: Int64Array, plan: GraphPlan, look_back: int) -> Past:
    """Read what some payments see.

    Two passes: event times up to the last of the payments, for the horizon at each; then, from the first batch that
    holds a payment late enough, the payments of the stretch of time that they look back over.

    Parameters
    ----------
    ledger : Ledger
        The payments.
    seqs : int64[k]
        The payments whose evidence will be asked for.
    plan : GraphPlan
        The features' plan: for how long payments are held follows from it.
    look_back : int
        Seconds the longest pattern asked for looks back, as `PatternPlan.look_back`.

    Returns
    -------
    Past
        In memory: the payments within `look_back` before the first of the payments and up to the last one.

    Raises
    ------
    UsageError
        A payment is not in the ledger.
    """
    wanted = np.unique(seqs)
    if not len(wanted) or wanted[0] < 0 or wanted[-1] >= ledger.next_seq:
        raise UsageError(
            f"the ledger holds payments 0 to {ledger.next_seq - 1}", where="seq", mend="ask for payments that it holds"
        )
    moments, latest = _moments(ledger, wanted)
    bounds = [
        max(moment.time_us - look_back * MICROSECOND, moment.horizon_us - plan.hold_us) for moment in moments.values()
    ]
    bound, until = min(bounds), max(moment.time_us for moment in moments.values())
    # A payment that came too late to see anything may be outside the stretch itself.
    first = next((place for place, time in enumerate(latest) if time > bound), len(latest))
    start = min(first * BATCH_ROWS, int(wanted[0]))
    accounts = AccountDictionary()
    parts = list(_stretch(ledger, start, wanted, (bound, until), accounts))
    number, time, sender, receiver, amount = (np.concatenate(column) for column in zip(*parts, strict=True))
    index = PaymentIndex(number, time, sender, receiver, amount, accounts.external)
    return Past(plan, moments, index, accounts.names)


def _moments(ledger: Ledger, wanted: Int64Array) -> tuple[dict[int, _Moment], list[int]]:
    """When each payment came, and the latest event time of each batch of the ledger."""
    moments: dict[int, _Moment] = {}
    latest: list[int] = []
    horizon, begin = None, 0
    for batch in ledger.scan(["event_time"], stop=int(wanted[-1]) + 1, batch_rows=BATCH_ROWS):
        time = _microseconds(batch)
        running = np.maximum.accumulate(time)
        if horizon is not None:
            running = np.maximum(running, horizon)
        horizon = running[-1]
        latest.append(int(time.max()))
        here = wanted[(wanted >= begin) & (wanted < begin + len(time))]
        moments |= {int(seq): _Moment(int(time[seq - begin]), int(running[seq - begin])) for seq in here}
        begin += len(time)
    return moments, latest


def _stretch(
    ledger: Ledger, start: int, wanted: Int64Array, times: tuple[int, int], accounts: AccountDictionary
) -> Iterator[tuple[Int64Array, Int64Array, np.ndarray, np.ndarray, Int64Array]]:
    """Number, time, sender, receiver and amount of the payments asked for and of those with a time in (begin, end]."""
    columns = ["seq", "event_time", "sender", "receiver", "base_amount"]
    for batch in ledger.scan(columns, start=start, stop=int(wanted[-1]) + 1, batch_rows=BATCH_ROWS):
        seq, time = _integers(batch.column("seq")), _microseconds(batch)
        inside = ((time > times[0]) & (time <= times[1])) | np.isin(seq, wanted)
        rows = batch if inside.all() else batch.filter(pa.array(inside))
        amount = pc.fill_null(rows.column("base_amount"), -1)
        yield (
            seq[inside],
            time[inside],
            accounts.encode(rows.column("sender")),
            accounts.encode(rows.column("receiver")),
            _integers(amount),
        )


def _microseconds(batch: pa.RecordBatch) -> Int64Array:
    return _integers(batch.column("event_time").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()))


def _integers(column: pa.Array) -> Int64Array:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.int64)
