"""Addresses, telephones, devices that customers have in common, as known at the payment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.features.feature import Feature
from greywater.features.seen_records import UNKNOWN, Entities, LatestSeen, integers, microseconds
from greywater.vocab import Int64Array

__all__ = ["CONTACTS", "SHARED_ATTRIBUTE_FEATURES", "SharedAttributeJoin"]

#: Attributes that two customers who have nothing to do with each other do not share.
CONTACTS: Final = ("address", "telephone", "phone", "mobile", "email", "device", "device_id", "ip_address")
#: Customers counted at most: more than so many share a post office, not a household.
MOST_CUSTOMERS: Final = 100
#: Holders of a value looked at together, and payments looked at together.
HOLDERS: Final = 128
ROWS: Final = 4_096
_roles: Final[tuple[Literal["sender", "receiver"], ...]] = ("sender", "receiver")

#: The columns of a SharedAttributeJoin, in order.
SHARED_ATTRIBUTE_FEATURES: Final = (
    Feature(
        name="pair.shared_attributes",
        entity="pair",
        dtype="int64",
        unit="attributes",
        description="addresses, telephones, devices that both parties have, where they are different customers",
        family="shared_attributes",
        typologies=("mule", "funnel"),
        parameters={"statistic": "shared_attributes"},
    ),
    *(
        Feature(
            name=f"{role}.sharing_customers",
            entity=role,
            dtype="int64",
            unit="customers",
            description=f"{role}: other customers that have an address, a telephone, a device in common with it",
            family="shared_attributes",
            typologies=("mule", "funnel"),
            parameters={"role": role, "statistic": "sharing_customers"},
        )
        for role in _roles
    ),
)


@dataclass(frozen=True)
class _Parties:
    """One party of each payment: numbers of its account and its customer (-1 = not known), seq and time; int64[n]."""

    account: Int64Array
    customer: Int64Array
    seq: Int64Array
    time: Int64Array

    def take(self, rows: Int64Array) -> _Parties:
        return _Parties(self.account[rows], self.customer[rows], self.seq[rows], self.time[rows])


class _Holders:
    """Who ever held each value: of value v the entities in `entity[start[v] : start[v + 1]]`, each once."""

    def __init__(self, entity: Int64Array, value: Int64Array) -> None:
        inside = (entity >= 0) & (value >= 0)
        step = int(entity.max(initial=0)) + 1
        held = np.unique(value[inside] * step + entity[inside])
        self.entity = held % step
        self.start = np.searchsorted(held // step, np.arange(int(value.max(initial=-1)) + 2))

    def some(self, value: Int64Array, begin: int) -> tuple[Int64Array, Int64Array]:
        """Of each value's holders those from `begin` on, HOLDERS at most: positions in `value`, and entities."""
        known = (value >= 0) & (value < len(self.start) - 1)
        safe = np.where(known, value, 0) if len(self.start) > 1 else np.zeros(len(value), np.int64)
        first = self.start[safe] + begin
        last = self.start[np.minimum(safe + 1, len(self.start) - 1)]
        length = np.where(known, np.clip(last - first, 0, HOLDERS), 0)
        at = np.repeat(np.arange(len(value)), length)
        shift = np.repeat(first - (np.cumsum(length) - length), length)
        return at, self.entity[np.arange(len(at)) + shift]


class _Contact:
    """The recorded values of one attribute."""

    def __init__(self, records: pa.Table, accounts: Entities, customers: Entities) -> None:
        since, after = microseconds(records["known_since"]), integers(records["after_seq"])
        # one value more: what place -1 holds is what is not known
        self.value = np.append(_codes(records), UNKNOWN)
        account, customer = accounts.number(records["account"]), customers.number(records["customer"])
        self._of_account, self._of_customer = LatestSeen(account, since, after), LatestSeen(customer, since, after)
        self.holders = {
            "account": _Holders(account, self.value[:-1]),
            "customer": _Holders(customer, self.value[:-1]),
        }

    def of(self, parties: _Parties) -> Int64Array:
        """The value of each party: the latest of its account or its customer."""
        first = self._of_account.find(parties.account, parties.seq, parties.time)
        second = self._of_customer.find(parties.customer, parties.seq, parties.time)
        later = self._of_account.rank_of(second) > self._of_account.rank_of(first)
        return self.value[np.where(later, second, first)]

    def held(self, level: str, entity: Int64Array, seq: Int64Array, time: Int64Array) -> Int64Array:
        """The value of an account or a customer by its own records alone."""
        latest = self._of_account if level == "account" else self._of_customer
        return self.value[latest.find(entity, seq, time)]


def _codes(records: pa.Table) -> Int64Array:
    """A number for each different value: the code of a text; telephones may be numbers."""
    codes = integers(records["code"].fill_null(UNKNOWN))
    if "number" in records.column_names and records["code"].null_count == len(codes):
        number = records["number"].cast(pa.float64()).to_numpy()
        codes = np.where(np.isnan(number), UNKNOWN, np.unique(number, return_inverse=True)[1]).astype(np.int64)
    return codes


class SharedAttributeJoin:
    """What customers have in common by the attributes recorded of them and of their accounts.

    Payment i sees a value iff after_seq < seq_i and known_since <= t_i, and of those it sees of somebody the latest
    counts (SEMANTICS: Other records). An account whose customer is not known stands for a customer of its own. Between
    accounts of one customer nothing is shared. A customer shares a value by what is recorded of it or of one of
    its accounts; customers are counted once each, and 100 stands for 100 and more. Nothing is carried from payment to
    payment: one by one, in one batch, or after a restart the values are the same.

    Parameters
    ----------
    names : sequence of str
        Attributes that count, of text or numbers: `CONTACTS` as far as they are recorded.
    records : pa.Table
        In commit order: account or customer (string), name, code (int64), perhaps number (float64), known_since,
        after_seq.
    accounts : pa.Table, optional
        In commit order: account, customer, known_since (null = always), after_seq.

    Examples
    --------
    >>> moment = pa.timestamp("us", tz="UTC")
    >>> records = pa.table({"account": ["A", "B"], "customer": pa.nulls(2, pa.string()), "name": ["device"] * 2,
    ...     "code": [0, 0], "known_since": pa.array([0, 10], moment), "after_seq": [-1, -1]})
    >>> batch = pa.record_batch({"seq": [0, 1], "event_time": pa.array([5, 10], moment),
    ...                          "sender": ["A", "A"], "receiver": ["B", "C"]})
    >>> join = SharedAttributeJoin(["device"], records)
    >>> [column.to_pylist() for column in join.columns(batch)]
    [[0, 0], [0, 1], [0, 0]]
    """

    #: Columns of the transaction table that it reads.
    reads: Final = ("seq", "event_time", "sender", "receiver")

    def __init__(self, names: Sequence[str], records: pa.Table, accounts: pa.Table | None = None) -> None:
        self._accounts, self._customers = Entities(), Entities()
        self._owner: tuple[LatestSeen, Int64Array] | None = None
        if accounts is not None and accounts.num_rows:
            since, after = microseconds(accounts["known_since"]), integers(accounts["after_seq"])
            owned = LatestSeen(self._accounts.number(accounts["account"]), since, after)
            self._owner = owned, np.append(self._customers.number(accounts["customer"]), UNKNOWN)
        of = [records.filter(pc.equal(records["name"], name)) if records.num_rows else records for name in names]
        self._contacts = [_Contact(rows, self._accounts, self._customers) for rows in of]
        self._step = 2 * (len(self._accounts) + len(self._customers)) + 2

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(feature.name for feature in SHARED_ATTRIBUTE_FEATURES)

    def columns(self, payments: pa.RecordBatch) -> list[pa.Array]:
        """The columns of a block of payments (`reads`), int64[n] each."""
        seq, time = integers(payments.column("seq")), microseconds(payments.column("event_time"))
        sender, receiver = (self._parties(payments.column(role), seq, time) for role in _roles)
        here, there = ([contact.of(party) for contact in self._contacts] for party in (sender, receiver))
        alike = np.zeros(len(seq), np.int64)
        for first, second in zip(here, there, strict=True):
            alike += (first == second) & (first != UNKNOWN)
        same = (sender.customer == receiver.customer) & (sender.customer != UNKNOWN)
        same |= pc.equal(*(payments.column(role) for role in _roles)).to_numpy(zero_copy_only=False)
        found = [np.where(same, 0, alike)]
        for party, values in ((sender, here), (receiver, there)):
            told = np.zeros(len(seq), np.bool_)
            for value in values:
                told |= value != UNKNOWN
            known = np.flatnonzero(told)
            counts = np.zeros(len(seq), np.int64)
            for begin in range(0, len(known), ROWS):
                rows = known[begin : begin + ROWS]
                counts[rows] = self._sharing(party.take(rows), [value[rows] for value in values])
            found.append(counts)
        return [pa.array(column) for column in found]

    def _parties(self, accounts: pa.Array, seq: Int64Array, time: Int64Array) -> _Parties:
        account = self._accounts.find(accounts)
        return _Parties(account, self._customer_of(account, seq, time), seq, time)

    def _customer_of(self, account: Int64Array, seq: Int64Array, time: Int64Array) -> Int64Array:
        if self._owner is None:
            return np.full(len(account), UNKNOWN, np.int64)
        owned, customer = self._owner
        return customer[owned.find(account, seq, time)]

    def _who(self, account: Int64Array, customer: Int64Array) -> Int64Array:
        """A number for each customer, and for each account that stands for one."""
        return np.where(customer != UNKNOWN, 2 * customer, 2 * account + 1)

    def _sharing(self, parties: _Parties, values: list[Int64Array]) -> Int64Array:
        """Other customers that hold one of the values of each party."""
        own = self._who(parties.account, parties.customer)
        counts, met = np.zeros(len(own), np.int64), np.zeros(0, np.int64)
        more, begin = np.ones(len(own), np.bool_), 0
        while more.any():
            left = np.zeros(len(own), np.bool_)
            for contact, value in zip(self._contacts, values, strict=True):
                for level, holders in contact.holders.items():
                    going = np.flatnonzero(more & (counts < MOST_CUSTOMERS))
                    at, entity = holders.some(value[going], begin)
                    left[going[np.bincount(at, minlength=len(going)) == HOLDERS]] = True
                    new = self._met(contact, level, going[at], entity, value[going[at]], parties, own)
                    if len(new):
                        met = np.unique(np.concatenate([met, new]))
                        counts = np.bincount(met // self._step, minlength=len(own))
            more, begin = left & (counts < MOST_CUSTOMERS), begin + HOLDERS
        return np.minimum(counts, MOST_CUSTOMERS)

    def _met(
        self,
        contact: _Contact,
        level: str,
        row: Int64Array,
        entity: Int64Array,
        value: Int64Array,
        parties: _Parties,
        own: Int64Array,
    ) -> Int64Array:
        """Which of these holders hold the value as of the payment: row * step + customer, int64[m]."""
        seq, time = parties.seq[row], parties.time[row]
        holds = np.flatnonzero(contact.held(level, entity, seq, time) == value)
        row, entity, seq, time = row[holds], entity[holds], seq[holds], time[holds]
        if level == "account":
            who = self._who(entity, self._customer_of(entity, seq, time))
        else:
            who = 2 * entity
        others = who != own[row]
        found: Int64Array = row[others] * self._step + who[others]
        return found
