"""How far what a party sent of late lies from what its peers sent, as known at the payment."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from greywater.features.feature import Feature
from greywater.features.ledger_order import int64
from greywater.features.sent_payments import DAY_US, Role, SentPayments, SentWindows, Window
from greywater.vocab import Int64Array

__all__ = ["PEER_FEATURES", "PeerJoin", "SegmentsAt", "exact_totals"]

#: Segments of accounts as of payments: (seq int64[n], event time int64[n], accounts) -> codes int64[n], -1 = not known.
SegmentsAt = Callable[[Int64Array, Int64Array, pa.Array], Int64Array]

#: Peers below which nothing is said.
LEAST_PEERS: Final = 10
DAYS: Final = 30
_roles: Final[tuple[Role, Role]] = ("sender", "receiver")
_half: Final = 32

#: The columns of a PeerJoin, in order.
PEER_FEATURES: Final = tuple(
    Feature(
        name=f"{role}.out.peer_zscore.{DAYS}d",
        entity=role,
        dtype="float64",
        unit="standard deviations",
        description=f"{role}: what it sent in {DAYS}d against what its peers had sent when they last paid",
        family="peer_deviation",
        typologies=("layering", "mule"),
        parameters={"role": role, "direction": "out", "statistic": "peer_zscore", "window": DAYS * 86_400},
    )
    for role in _roles
)


class PeerJoin:
    """Standard deviations between a party's total of 30 days and the mean of its peers'.

    The total is what a party sent to others within `(t - 30 d, t]`, this payment included, in the base currency. Peers
    are the other accounts that were of its segment when they last sent a payment before this one; each counts once,
    with its total at that payment. Mean and standard deviation (ddof = 1) are over them. Not defined (NaN) where the
    party's segment is not known, below 10 peers, where all peers are alike, and for parties outside the bank.

    Whatever a payment shows later, or a segment that is recorded later, changes nothing that was said before. Totals,
    their sum and the sum of their squares are whole numbers of any size: one by one, in any cut, or restored from
    `arrays` the bits are the same.

    Parameters
    ----------
    segments : callable
        Says of which segment accounts are as of payments; `AttributeJoin.values` of the attribute does.
    allowed_lateness : int
        Seconds that a payment may come late, as in the settings.

    Examples
    --------
    >>> n = 12
    >>> rows = pa.record_batch({"seq": range(n), "event_time": pa.array(range(n), pa.timestamp("us", tz="UTC")),
    ...                         "sender": [f"a{k}" for k in range(n)], "receiver": ["b"] * n,
    ...                         "base_amount": [100, 300] * 5 + [200, 600]})
    >>> join = PeerJoin(lambda seq, time_us, accounts: np.zeros(len(accounts), np.int64))
    >>> [round(value, 2) for value in join.columns(rows)[0].to_pylist()[9:]]
    [nan, 0.0, 4.0]
    """

    #: Columns of the transaction table that it reads.
    reads: Final = ("seq", "event_time", "sender", "receiver", "base_amount")

    def __init__(self, segments: SegmentsAt, *, allowed_lateness: int = 7 * 86_400) -> None:
        self._segments = segments
        self._sent = SentPayments(Window(DAYS * DAY_US, lateness_us=allowed_lateness * 1_000_000))
        self._last: dict[int, tuple[int, int]] = {}
        self._groups: dict[int, list[int]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(feature.name for feature in PEER_FEATURES)

    def columns(self, payments: pa.RecordBatch) -> list[pa.Array]:
        """The columns of the next payments (`reads`), float64[n] each.

        Raises
        ------
        EngineError
            A payment is missing, repeated or out of order.
        """
        base = payments.column("base_amount")
        known = base.is_valid().to_numpy(zero_copy_only=False)
        seen = self._sent.take(payments, int64(base.fill_null(0)), known)
        seq = int64(payments.column("seq"))
        time = int64(payments.column("event_time").cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()))
        totals = {role: exact_totals(seen, role) for role in _roles}
        codes = {role: seen.codes[role].tolist() for role in _roles}
        group = {
            role: np.where(seen.own[role], self._segments(seq, time, payments.column(role)), -1).tolist()
            for role in _roles
        }
        pays = (known & seen.own["sender"] & (seen.codes["sender"] != seen.codes["receiver"])).tolist()
        found: dict[str, list[float]] = {role: [] for role in _roles}
        for row, sends in enumerate(pays):
            for role in _roles:
                found[role].append(self._deviation(codes[role][row], group[role][row], totals[role][row]))
            if sends:
                self._keep(codes["sender"][row], group["sender"][row], totals["sender"][row])
        return [pa.array(found[role], pa.float64()) for role in _roles]

    def _deviation(self, account: int, group: int, total: int) -> float:
        """Of an account with this total among the peers that are known now."""
        if group not in self._groups:
            return math.nan
        peers, together, squares = self._groups[group]
        own = self._last.get(account)
        if own is not None and own[0] == group:
            peers, together, squares = peers - 1, together - own[1], squares - own[1] * own[1]
        spread = peers * squares - together * together
        if peers < LEAST_PEERS or not spread:
            return math.nan
        return (total * peers - together) / peers / math.sqrt(spread / (peers * (peers - 1)))

    def _keep(self, account: int, group: int, total: int) -> None:
        """From the next payment on the account counts with this total in this group, and in no other."""
        before = self._last.pop(account, None)
        if before is not None:
            held = self._groups[before[0]]
            held[0], held[1], held[2] = held[0] - 1, held[1] - before[1], held[2] - before[1] * before[1]
        if group < 0:
            return
        held = self._groups.setdefault(group, [0, 0, 0])
        held[0], held[1], held[2] = held[0] + 1, held[1] + total, held[2] + total * total
        self._last[account] = group, total

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything carried from payment to payment; `load` goes on from there."""
        accounts = sorted(self._last)
        held = [self._last[account] for account in accounts]
        return {
            **self._sent.arrays(),
            "peer": np.array(accounts, np.int64),
            "segment": np.array([group for group, _ in held], np.int64),
            "high": np.array([total >> _half for _, total in held], np.int64),
            "low": np.array([total & (1 << _half) - 1 for _, total in held], np.int64),
        }

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from the `arrays` of another."""
        self._sent.load(arrays)
        self._last, self._groups = {}, {}
        columns = (arrays[name].tolist() for name in ("peer", "segment", "high", "low"))
        for account, group, high, low in zip(*columns, strict=True):
            self._keep(account, group, (high << _half) + low)


def exact_totals(seen: SentWindows, role: Role) -> list[int]:
    """Exact sums, of any size, of what each payment sees: in two halves, each of which fits."""
    high, low = seen.sums(role, seen.value >> _half), seen.sums(role, seen.value & (1 << _half) - 1)
    return [(upper << _half) + lower for upper, lower in zip(high.tolist(), low.tolist(), strict=True)]
