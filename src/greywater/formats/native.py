"""Greywater's own table of payments: the columns of the ledger in words, amounts in major units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from greywater.formats.layout import Column, Layout, Places
from greywater.formats.tabular import Table

__all__ = ["OPTIONAL", "REQUIRED", "layout"]

REQUIRED: Final = ("event_time", "sender", "receiver", "amount", "currency")
OPTIONAL: Final = (
    "tx_id",
    "sender_bank",
    "receiver_bank",
    "received_amount",
    "received_currency",
    "channel",
    "reference",
    "sender_balance",
    "receiver_balance",
    "label",
    "typology",
)


def layout(table: Table | None, columns: Sequence[str]) -> Layout:
    """The layout of a native file; a column that is left out is not read."""
    places = {name: Column(name) for name in (*REQUIRED, *OPTIONAL) if name in columns}
    return Layout(format="native", places=Places(**places), answers=("label", "typology"))
