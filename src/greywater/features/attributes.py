"""What was known of the parties of a payment beside their payments: attributes joined as of its moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.errors import UsageError
from greywater.features.feature import Feature
from greywater.features.seen_records import UNKNOWN, Entities, LatestSeen, integers, microseconds
from greywater.vocab import Float64Array, Int64Array

__all__ = ["Attribute", "AttributeJoin", "attribute_features"]

_ROLES: Final = ("sender", "receiver")
_UNITS: Final = {"number": "", "text": "code", "flag": "flag"}


@dataclass(frozen=True)
class Attribute:
    """One attribute: its name, its kind ("number", "text" or "flag"), and for a text what each code means."""

    name: str
    kind: str
    words: tuple[str, ...] = ()


def attribute_features(
    kinds: Sequence[tuple[str, str]], words: Mapping[str, tuple[str, ...]] | None = None
) -> tuple[Feature, ...]:
    """The features of some attributes: sender's first, then the receiver's.

    Parameters
    ----------
    kinds : sequence of (name, kind)
        In order of the columns.
    words : mapping of str to tuple of str, optional
        What the codes of text attributes mean.

    Examples
    --------
    >>> [feature.name for feature in attribute_features([("segment", "text")])]
    ['sender.attribute.segment', 'receiver.attribute.segment']
    """
    return tuple(
        Feature(
            name=f"{role}.attribute.{name}",
            entity="sender" if role == "sender" else "receiver",
            dtype="float64" if kind == "number" else "int64",
            unit=_UNITS[kind],
            description=f"{role}: {name.replace('_', ' ')} as known at the payment",
            family="attribute",
            parameters={"role": role, "attribute": name, "kind": kind, "words": (words or {}).get(name, ())},
        )
        for role in _ROLES
        for name, kind in kinds
    )


class AttributeJoin:
    """Attributes of accounts and customers, joined to payments as of their moment.

    Payment i sees a value iff after_seq < seq_i and known_since <= t_i; of those it sees of an account and of the
    customer behind it, the latest by (known_since, commit order) counts. Whose an account is follows the same rule.
    Nothing is carried from payment to payment: one by one, in one batch, or after a restart the values are the same
    (SEMANTICS: Other records).

    Parameters
    ----------
    attributes : sequence of Attribute
        The columns, in order.
    records : pa.Table
        In commit order: account or customer (string), name, number (float64), code (int64), known_since, after_seq.
    accounts : pa.Table, optional
        In commit order: account, customer, known_since (null = always), after_seq.

    Examples
    --------
    >>> moment = pa.timestamp("us", tz="UTC")
    >>> records = pa.table({"account": ["A", "A"], "customer": pa.nulls(2, pa.string()), "name": ["score"] * 2,
    ...     "number": [600.0, 650.0], "code": pa.nulls(2, pa.int64()),
    ...     "known_since": pa.array([10, 20], moment), "after_seq": [-1, 1]})
    >>> join = AttributeJoin([Attribute("score", "number")], records)
    >>> parties = pa.array(["A", "A", "A"])
    >>> join.values("score", np.array([0, 1, 2]), np.array([5, 20, 20]), parties).tolist()
    [nan, 600.0, 650.0]
    """

    #: Columns of the transaction table that it reads.
    reads: Final = ("seq", "event_time", "sender", "receiver")

    def __init__(self, attributes: Sequence[Attribute], records: pa.Table, accounts: pa.Table | None = None) -> None:
        self.attributes = tuple(attributes)
        self._by_name = {attribute.name: attribute for attribute in self.attributes}
        owners = Entities()
        holders = Entities()
        self._account_of, self._customer_of = holders, owners
        self._owner: tuple[LatestSeen, Int64Array] | None = None
        if accounts is not None and accounts.num_rows:
            times = microseconds(accounts["known_since"])
            as_of = LatestSeen(holders.number(accounts["account"]), times, integers(accounts["after_seq"]))
            self._owner = as_of, owners.number(accounts["customer"])
        name = records["name"].combine_chunks()
        self._values: dict[str, Float64Array | Int64Array] = {}
        self._found: dict[str, tuple[LatestSeen, LatestSeen]] = {}
        for attribute in self.attributes:
            rows = records.filter(pc.equal(name, attribute.name)) if records.num_rows else records
            since, after = microseconds(rows["known_since"]), integers(rows["after_seq"])
            # one value more: what place -1 holds is what is not known
            if attribute.kind == "number":
                numbers = np.asarray(rows["number"].to_numpy(), np.float64)
                self._values[attribute.name] = np.append(numbers, np.nan)
            else:
                self._values[attribute.name] = np.append(integers(rows["code"].fill_null(UNKNOWN)), UNKNOWN)
            self._found[attribute.name] = (
                LatestSeen(holders.number(rows["account"]), since, after),
                LatestSeen(owners.number(rows["customer"]), since, after),
            )

    @property
    def kinds(self) -> tuple[tuple[str, str], ...]:
        """Name and kind of each attribute, in order."""
        return tuple((attribute.name, attribute.kind) for attribute in self.attributes)

    @property
    def words(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What the codes of each text attribute mean."""
        return tuple((attribute.name, attribute.words) for attribute in self.attributes if attribute.words)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(feature.name for feature in attribute_features(self.kinds))

    def columns(self, payments: pa.RecordBatch) -> list[pa.Array]:
        """The columns of a block of payments.

        Parameters
        ----------
        payments : pa.RecordBatch
            seq, event_time, sender and receiver; n rows in any order.

        Returns
        -------
        list of pa.Array
            One a name, n rows: float64 for numbers (NaN = not known), int64 for codes and flags (-1 = not known).
        """
        seq, time = integers(payments.column("seq")), microseconds(payments.column("event_time"))
        found = []
        for role in _ROLES:
            who = self._parties(seq, time, payments.column(role))
            found += [pa.array(self._join(name, seq, time, who)) for name in self._by_name]
        return found

    def values(self, name: str, seq: Int64Array, time_us: Int64Array, accounts: pa.Array) -> Float64Array | Int64Array:
        """One attribute of some accounts, each as of a payment: also the key of a peer group.

        Parameters
        ----------
        name : str
            Of the attribute.
        seq, time_us : int64[n]
            The payments' numbers and event times.
        accounts : pa.Array
            string[n].

        Returns
        -------
        float64[n] or int64[n]
            As in `columns`.

        Raises
        ------
        UsageError
            There is no such attribute.
        """
        if name not in self._by_name:
            raise UsageError(
                f"no attribute {name!r} is recorded",
                where="attributes",
                mend=f"name one of {', '.join(self._by_name) or 'none'}",
            )
        return self._join(name, seq, time_us, self._parties(seq, time_us, accounts))

    def _parties(self, seq: Int64Array, time: Int64Array, accounts: pa.Array) -> tuple[Int64Array, Int64Array]:
        """Numbers of the accounts, and of the customers they belong to as of each payment."""
        account = self._account_of.find(accounts)
        customer = np.full(len(account), UNKNOWN, np.int64)
        if self._owner is not None:
            as_of, owner = self._owner
            row = as_of.find(account, seq, time)
            customer = np.where(row >= 0, owner[row], UNKNOWN)
        return account, customer

    def _join(
        self, name: str, seq: Int64Array, time: Int64Array, who: tuple[Int64Array, Int64Array]
    ) -> Float64Array | Int64Array:
        of_account, of_customer = self._found[name]
        value = self._values[name]
        first = of_account.find(who[0], seq, time)
        second = of_customer.find(who[1], seq, time)
        row = np.where(of_account.rank_of(second) > of_account.rank_of(first), second, first)
        return value[row]
