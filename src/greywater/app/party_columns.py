"""Balances, leading digits, peers, shared attributes: their columns as far as a project's records carry them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

import numpy as np
import pyarrow as pa

from greywater.app.attributes import open_attributes
from greywater.app.wiring import Project
from greywater.features.balances import BalanceJoin
from greywater.features.leading_digits import LeadingDigitJoin
from greywater.features.peer_deviation import PeerJoin
from greywater.features.shared_attributes import CONTACTS, SharedAttributeJoin
from greywater.stores.ports import Ledger, Tables
from greywater.vocab import BALANCES, Int64Array

__all__ = ["open_balances", "open_leading_digits", "open_peers", "open_shared_attributes", "party_columns"]

#: The text attribute that names an account's or a customer's segment.
SEGMENT: Final = "segment"

PartyJoin = BalanceJoin | LeadingDigitJoin | PeerJoin | SharedAttributeJoin


def party_columns(project: Project, wanted: Collection[str] | None = None) -> dict[str, PartyJoin]:
    """Those that the project's records carry, by name.

    Parameters
    ----------
    project : Project
        Open for reading.
    wanted : collection of str, optional
        Leave the others shut.
    """
    lateness = project.settings.allowed_lateness
    openers: dict[str, Callable[[], PartyJoin | None]] = {
        "balances": lambda: open_balances(project.ledger),
        "leading_digits": lambda: open_leading_digits(lateness),
        "peer_deviation": lambda: open_peers(project.tables, lateness),
        "shared_attributes": lambda: open_shared_attributes(project.tables),
    }
    found = {name: opened() for name, opened in openers.items() if wanted is None or name in wanted}
    return {name: join for name, join in found.items() if join is not None}


def open_balances(ledger: Ledger) -> BalanceJoin | None:
    """Balances; None where no payment has one."""
    known = any(column.null_count < len(column) for batch in ledger.scan(BALANCES) for column in batch.columns)
    return BalanceJoin() if known else None


def open_leading_digits(allowed_lateness: int) -> LeadingDigitJoin:
    """Leading digits, fresh; all that they need is payments."""
    return LeadingDigitJoin(allowed_lateness=allowed_lateness)


def open_peers(tables: Tables, allowed_lateness: int) -> PeerJoin | None:
    """Peers, fresh; None where no segments are recorded. A protected attribute never says who is a peer."""
    attributes = open_attributes(tables, "open", only={SEGMENT})
    if attributes is None or attributes.attributes[0].kind != "text":
        return None

    def segments(seq: Int64Array, time_us: Int64Array, accounts: pa.Array) -> Int64Array:
        return np.asarray(attributes.values(SEGMENT, seq, time_us, accounts), np.int64)

    return PeerJoin(segments, allowed_lateness=allowed_lateness)


def open_shared_attributes(tables: Tables) -> SharedAttributeJoin | None:
    """Shared attributes; None where no address, telephone or device is recorded that a model may use."""
    attributes = open_attributes(tables, "open", only=CONTACTS)
    names = [] if attributes is None else [each.name for each in attributes.attributes if each.kind != "flag"]
    records = tables.read("attributes")
    if not names or records is None:
        return None
    accounts = tables.read("accounts", ["account", "customer", "known_since", "after_seq"])
    return SharedAttributeJoin(names, records, accounts)
