"""What a customer did up to the moment of an alert: the windows of its accounts, paces, shares of channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import RefusedValueError
from greywater.features.account_windows import WindowReader
from greywater.features.feature import Feature
from greywater.features.windows import WindowPlan
from greywater.vocab import CHANNELS, Float64Array, Int64Array

__all__ = ["ALERT_COLUMNS", "AlertWindows", "PartyPayments", "gather_payments"]

#: Columns of the transaction table that are read.
ALERT_COLUMNS: Final = ("seq", "event_time", "sender", "receiver", "base_amount", "channel")

DAY_US: Final = 86_400_000_000
DIRECTIONS: Final = ("out", "in")
#: Look-back of the shares of channels, in days.
CHANNEL_DAYS: Final = 30


@dataclass(frozen=True)
class PartyPayments:
    """The payments of some parties, party after party, by (event time, seq).

    A payment between two of the parties is there twice; one between two accounts of the same party is left out.

    Parameters
    ----------
    begins : int64[parties + 1]
        Where each party's payments begin.
    time_us, amount : int64[n]
        Event time; base amount in minor units, -1 = no rate.
    incoming : int64[n] in {0, 1}
        1 = received.
    counterparty : int64[n]
        Any number of the other account.
    new : int64[n] in {0, 1}
        1 = the first ever between the party and that account, in this direction.
    channel : int64[n]
        Position in CHANNELS.
    """

    begins: Int64Array
    time_us: Int64Array
    amount: Int64Array
    incoming: Int64Array
    counterparty: Int64Array
    new: Int64Array
    channel: Int64Array


def gather_payments(payments: pa.Table, party_of: Mapping[str, int], parties: int) -> PartyPayments:
    """Sort payments by the parties that take part in them.

    Parameters
    ----------
    payments : pa.Table
        ALERT_COLUMNS, in seq order: all payments ever of the parties' accounts.
    party_of : mapping of account to int
        Which party an account belongs to, 0 ... parties - 1. Accounts that are not there belong to none.
    parties : int
        How many there are.

    Raises
    ------
    RefusedValueError
        The payments are not in seq order.
    """
    seq = np.asarray(payments["seq"].to_numpy(), np.int64)
    if len(seq) and not bool((np.diff(seq) > 0).all()):
        raise RefusedValueError("payments are not in ledger order", where="seq", mend="sort them by seq, each once")
    time = np.asarray(payments["event_time"].cast(pa.int64()).to_numpy(), np.int64)
    amount = np.asarray(pc.fill_null(payments["base_amount"], -1).to_numpy(), np.int64)
    codes, names = _encode([payments["sender"], payments["receiver"]])
    owner = np.array([party_of.get(name, -1) for name in names], np.int64)
    sides = [owner[code] if len(names) else code for code in codes]
    channel = np.asarray(pc.fill_null(pc.index_in(payments["channel"], pa.array(CHANNELS)), 0).to_numpy(), np.int64)
    rows, party, incoming, other = [], [], [], []
    for way in (0, 1):
        mine = np.flatnonzero((sides[way] >= 0) & (sides[0] != sides[1]))
        rows.append(mine)
        party.append(sides[way][mine])
        incoming.append(np.full(len(mine), way, np.int64))
        other.append(codes[1 - way][mine])
    row, owned, way_in, partner = (np.concatenate(part) for part in (rows, party, incoming, other))
    order = np.lexsort((row, time[row], owned))
    row, owned, way_in, partner = row[order], owned[order], way_in[order], partner[order]
    return PartyPayments(
        begins=np.searchsorted(owned, np.arange(parties + 1)).astype(np.int64),
        time_us=time[row],
        amount=amount[row],
        incoming=way_in,
        counterparty=partner,
        new=_first_ever(owned, partner, way_in, row),
        channel=channel[row],
    )


def _encode(columns: Sequence[pa.ChunkedArray]) -> tuple[list[Int64Array], list[str]]:
    whole = pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())
    encoded = whole.combine_chunks().dictionary_encode() if len(whole) else None
    if encoded is None:
        return [np.empty(0, np.int64) for _ in columns], []
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int64)
    ends = np.cumsum([len(column) for column in columns])
    return [np.asarray(part, np.int64) for part in np.split(codes, ends[:-1])], encoded.dictionary.to_pylist()


def _first_ever(party: Int64Array, partner: Int64Array, incoming: Int64Array, seq: Int64Array) -> Int64Array:
    """1 at the payment of least seq of each (party, account, direction)."""
    new = np.zeros(len(party), np.int64)
    order = np.lexsort((seq, incoming, partner, party))
    key = np.stack([party[order], partner[order], incoming[order]])
    first = np.ones(len(order), np.bool_)
    first[1:] = (key[:, 1:] != key[:, :-1]).any(axis=0)
    new[order[first]] = 1
    return new


class AlertWindows:
    """Features of parties at moments: those of `WindowReader`, and what follows from them.

    Parameters
    ----------
    plan : WindowPlan
        The windows.
    channels : sequence of int
        Channels (positions in CHANNELS) whose shares are worked out.
    """

    def __init__(self, plan: WindowPlan, channels: Sequence[int] = ()) -> None:
        self.plan = plan
        self._reader = WindowReader(plan)
        self._channels = tuple(sorted(set(channels)))

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """What is worked out, in the order of the columns."""
        windows = list(zip(self.plan.labels, self.plan.seconds, strict=True))
        longest = self.plan.labels[-1]
        own: list[Feature] = []
        for label, seconds in windows:
            own.append(
                _feature(f"passed_on.{label}", "ratio", f"share of money passed on in the last {label}", seconds)
            )
        for direction, verb in zip(DIRECTIONS, ("sent", "received"), strict=True):
            for label, seconds in windows[:-1]:
                words = f"daily total {verb} in the last {label} against that of the last {longest}"
                own.append(_feature(f"{direction}.pace.{label}", "ratio", words, seconds))
            words = f"time since the last payment {verb}"
            own.append(_feature(f"{direction}.since_last", "seconds", words, None))
            for channel in self._channels:
                words = f"share of the money {verb} in the last {CHANNEL_DAYS}d that was {CHANNELS[channel]}"
                name = f"{direction}.share.{CHANNELS[channel]}.{CHANNEL_DAYS}d"
                own.append(_feature(name, "ratio", words, CHANNEL_DAYS * 86_400))
        return (*self._reader.features, *own)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(feature.name for feature in self.features)

    def at(self, payments: PartyPayments, party: Int64Array, moment_us: Int64Array) -> Float64Array:
        """The features of parties at moments.

        A payment counts from its event time on; what comes later than the moment is not looked at.

        Parameters
        ----------
        payments : PartyPayments
        party : int64[n]
            Numbers of parties.
        moment_us : int64[n]
            Moments, microseconds since 1970.

        Returns
        -------
        float64[n, features]
            NaN = not defined.
        """
        found = np.empty((len(party), len(self.features)))
        base = len(self._reader.names)
        for row, (number, moment) in enumerate(zip(party.tolist(), moment_us.tolist(), strict=True)):
            begin, end = int(payments.begins[number]), int(payments.begins[number + 1])
            stop = begin + int(np.searchsorted(payments.time_us[begin:end], moment, side="right"))
            held = moment - self.plan.hold_us
            start = begin + int(np.searchsorted(payments.time_us[begin:end], held, side="right"))
            values, _ = self._reader.values_at(_tail(payments, start, stop), moment)
            found[row, :base] = values
            found[row, base:] = self._derived(found[row, :base], payments, begin, stop, moment)
        return found

    @cached_property
    def _sums(self) -> dict[str, Int64Array]:
        place = {name: number for number, name in enumerate(self._reader.names)}
        return {d: np.array([place[f"{d}.sum.{label}"] for label in self.plan.labels], np.int64) for d in DIRECTIONS}

    def _derived(
        self, values: Float64Array, payments: PartyPayments, begin: int, stop: int, moment: int
    ) -> list[float]:
        sums = {direction: values[self._sums[direction]] for direction in DIRECTIONS}
        sent, received = sums["out"], sums["in"]
        larger = np.maximum(sent, received)
        derived: list[float] = np.divide(
            np.minimum(sent, received), larger, out=np.full(len(larger), np.nan), where=larger > 0
        ).tolist()
        days = np.array(self.plan.seconds) / 86_400
        for way, direction in enumerate(DIRECTIONS):
            a_day = sums[direction] / days
            usual = float(a_day[-1])
            derived += (a_day[:-1] / usual).tolist() if usual > 0 else [np.nan] * (len(days) - 1)
            mine = np.flatnonzero(payments.incoming[begin:stop] == way) + begin
            derived.append((moment - int(payments.time_us[mine[-1]])) / 1e6 if len(mine) else np.nan)
            derived += self._shares(payments, mine, moment)
        return derived

    def _shares(self, payments: PartyPayments, mine: Int64Array, moment: int) -> list[float]:
        recent = mine[payments.time_us[mine] > moment - CHANNEL_DAYS * DAY_US]
        amount = np.maximum(payments.amount[recent], 0)
        whole = int(amount.sum())
        of_each = [int(amount[payments.channel[recent] == channel].sum()) for channel in self._channels]
        return [part / whole if whole else np.nan for part in of_each]


def _tail(payments: PartyPayments, start: int, stop: int) -> Int64Array:
    """Payments [start, stop) as a record holds them (kernels/account_windows.py)."""
    rows = [np.flatnonzero(payments.incoming[start:stop] == way) + start for way in (0, 1)]
    entries = []
    for mine in rows:
        entry = np.empty((len(mine), 3), np.int64)
        entry[:, 0], entry[:, 1] = payments.time_us[mine], payments.amount[mine]
        partner = payments.counterparty[mine]
        last = np.zeros(len(mine), np.int64)
        last[len(mine) - 1 - np.unique(partner[::-1], return_index=True)[1]] = 1
        entry[:, 2] = 4 * partner + 2 * last + payments.new[mine]
        entries.append(entry.ravel())
    return np.concatenate([np.array([len(mine) for mine in rows], np.int64), *entries])


def _feature(name: str, unit: str, words: str, seconds: int | None) -> Feature:
    parameters = {} if seconds is None else {"window": seconds}
    return Feature(name, "sender", "float64", unit, words, "window", parameters=parameters)
