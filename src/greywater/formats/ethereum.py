"""Ethereum edge lists: from, to, amount in ether, timestamp."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from greywater.formats.layout import Column, Layout, Places
from greywater.formats.tabular import Table
from greywater.formats.times import SECOND_US, TimeRule

__all__ = ["SPELLINGS", "layout"]

#: Columns and the names they go by.
SPELLINGS: Final = {
    "from": ("from", "from_address"),
    "to": ("to", "to_address"),
    "amount": ("amount", "value"),
    "timestamp": ("timestamp", "block_timestamp"),
}


def layout(table: Table | None, columns: Sequence[str]) -> Layout:
    """The layout of an edge list.

    Amounts are in ether and kept to 8 digits (finer ones are rounded and counted); times are seconds since 1970 or
    ISO 8601. A transaction hash is the reference, not the id: one transaction can move ether several times.
    """
    lower = {name.lower(): name for name in columns}

    def column(*names: str) -> Column:
        return Column(next((lower[name] for name in names if name in lower), ""))

    return Layout(
        format="ethereum",
        places=Places(
            event_time=column(*SPELLINGS["timestamp"]),
            sender=column(*SPELLINGS["from"]),
            receiver=column(*SPELLINGS["to"]),
            amount=column(*SPELLINGS["amount"]),
            currency=Column(constant="ETH"),
            channel=Column(constant="crypto"),
            reference=column("hash", "tx_hash", "transaction_hash"),
            label=column("label"),
        ),
        time=TimeRule("iso_or_count", unit_us=SECOND_US),
        base_currency="ETH",
        resolution_us=SECOND_US,
        answers=("label",),
    )
