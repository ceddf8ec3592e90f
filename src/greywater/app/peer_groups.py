"""Learns what is usual in each segment from the slice a run learned from, and says of which segment an account is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from greywater.app.attributes import open_attributes
from greywater.app.parties import Parties
from greywater.app.truth import Scored
from greywater.desk.peers import PeerGroups
from greywater.features.attributes import AttributeJoin
from greywater.stores.blocks import FeatureBlocks
from greywater.stores.ports import Tables
from greywater.vocab import Float64Array, Int64Array

__all__ = ["PeerReader", "Segments", "learn_peers", "typical_rows"]

#: The text attribute that names an account's or customer's segment, where it is recorded.
SEGMENT: Final = "segment"
#: Only the last payments of the slice are looked at: what is usual now, in about ten pieces on disk.
RECENT: Final = 163_840
#: Parties of each role whose last payment is taken.
MOST_PARTIES: Final = 2_000
#: Typical rows kept for counterfactuals and contributions by calls.
TYPICAL: Final = 64


@dataclass(frozen=True)
class Segments:
    """Of which segment an account is as of a payment: the attribute `segment`, else the kind of the customer."""

    join: AttributeJoin | None = None
    words: tuple[str, ...] = ()
    kinds: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, tables: Tables, parties: Parties) -> Segments:
        """Read what the project knows; protected attributes are never peers' marks."""
        join = open_attributes(tables, "open", only={SEGMENT})
        if join is not None and join.attributes[0].kind == "text":
            return cls(join, join.attributes[0].words)
        table = tables.read("parties", ["customer", "kind"])
        if table is None or parties.customer_of is None:
            return cls()
        kind_of = dict(zip(table["customer"].to_pylist(), table["kind"].to_pylist(), strict=True))
        kinds = {account: kind_of.get(customer) or "" for account, customer in parties.customer_of.items()}
        return cls(kinds=kinds)

    def at(self, seq: Int64Array, time_us: Int64Array, accounts: Sequence[str]) -> list[str]:
        """The segment of each account as of a payment; "" = none is known."""
        if self.join is None:
            return [self.kinds.get(account, "") for account in accounts]
        codes = self.join.values(SEGMENT, seq, time_us, pa.array(list(accounts), pa.string())).astype(np.int64)
        return [self.words[code] if 0 <= code < len(self.words) else "" for code in codes.tolist()]


@dataclass(frozen=True)
class PeerReader:
    """The peer groups of a run, and the segments of the accounts that are compared with them."""

    groups: PeerGroups
    segments: Segments

    def segments_of(
        self, seq: int, time_us: int, sender: str, receiver: str
    ) -> dict[Literal["sender", "receiver"], str]:
        """Of both parties of a payment."""
        first, second = self.segments.at(
            np.array([seq, seq], np.int64), np.array([time_us, time_us], np.int64), [sender, receiver]
        )
        return {"sender": first, "receiver": second}


def learn_peers(learned: FeatureBlocks, scored: Scored, segments: Segments) -> tuple[PeerGroups, pa.Table | None]:
    """Quantiles by role and segment from the last payment of each party, and some of these rows as typical ones.

    Parameters
    ----------
    learned : FeatureBlocks
        The slice that was learned from: the first rows of `scored`.
    scored : Scored
        All scored payments.
    segments : Segments

    Returns
    -------
    PeerGroups
    pa.Table or None
        At most TYPICAL feature rows; None where the slice is empty.
    """
    begin = max(learned.rows - RECENT, 0)
    places = {
        "sender": begin + _last_of_each(scored.sender[begin : learned.rows]),
        "receiver": begin + _last_of_each(scored.receiver[begin : learned.rows]),
    }
    rows = np.unique(np.concatenate(list(places.values())))
    if not len(rows):
        return PeerGroups.of(learned.names, {}), None
    table = learned.take(rows)
    values = np.column_stack([np.asarray(column.to_numpy(), np.float64) for column in table.columns])
    by_role: dict[Literal["sender", "receiver"], tuple[Float64Array, Sequence[str]]] = {}
    for role, codes in (("sender", scored.sender), ("receiver", scored.receiver)):
        mine = places[role]
        accounts = [scored.accounts[code] for code in codes[mine].tolist()]
        told = segments.at(scored.seq[mine], scored.time_us[mine], accounts)
        by_role["sender" if role == "sender" else "receiver"] = values[np.searchsorted(rows, mine)], told
    return PeerGroups.of(learned.names, by_role), typical_rows(table)


def typical_rows(table: pa.Table, most: int = TYPICAL) -> pa.Table:
    """At most so many rows, evenly along a table."""
    if table.num_rows <= most:
        return table
    return table.take(pa.array(np.linspace(0, table.num_rows - 1, most).round().astype(np.int64)))


def _last_of_each(codes: np.ndarray) -> Int64Array:
    """Positions, increasing, of the last row of each code; at most MOST_PARTIES, evenly among them."""
    last = np.sort(len(codes) - 1 - np.unique(codes[::-1], return_index=True)[1]).astype(np.int64)
    if len(last) <= MOST_PARTIES:
        return last
    return last[np.linspace(0, len(last) - 1, MOST_PARTIES).round().astype(np.int64)]
