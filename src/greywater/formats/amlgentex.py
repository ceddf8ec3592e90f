"""AMLGentex transaction logs; the kind of alert is in the log itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from greywater.formats.layout import Column, Layout, PartyRule, Places, TypologyByKey
from greywater.formats.tabular import Table
from greywater.formats.times import DAY_US, TimeRule

__all__ = ["FIRST_DAY", "REQUIRED", "layout"]

REQUIRED: Final = ("step", "type", "amount", "nameOrig", "nameDest", "bankOrig", "bankDest")
#: Steps are days; day 0 is this one, at midnight UTC. The source names none.
FIRST_DAY: Final = "2020-01-01"
#: What `modelType` says of a laundering payment. (The ids in `patternID` count on from the normal models, so they are
#: not those of the alert_models table.)
TYPOLOGIES: Final = {
    "1": "fan-out",
    "2": "fan-in",
    "3": "cycle",
    "4": "bipartite",
    "5": "stack",
    "6": "random",
    "7": "scatter-gather",
    "8": "gather-scatter",
}


def layout(table: Table | None, columns: Sequence[str]) -> Layout:
    """The layout of AMLGentex."""
    label = "isSAR" if "isSAR" in columns else ""
    origin = int(np.datetime64(FIRST_DAY, "us").astype(np.int64))
    return Layout(
        format="amlgentex",
        places=Places(
            event_time=Column("step"),
            sender=Column("nameOrig"),
            receiver=Column("nameDest"),
            sender_bank=Column("bankOrig"),
            receiver_bank=Column("bankDest"),
            amount=Column("amount"),
            currency=Column(constant="XXX"),
            channel=Column("type"),
            sender_balance=Column("oldbalanceOrig" if "oldbalanceOrig" in columns else ""),
            receiver_balance=Column("oldbalanceDest" if "oldbalanceDest" in columns else ""),
            label=Column(label),
        ),
        time=TimeRule("count", unit_us=DAY_US, origin_us=origin),
        party=PartyRule(external_prefixes=("-",)),
        channels={"CASH": "cash", "TRANSFER": "transfer"},
        skip_column="type",
        skip_values=frozenset({"INITALBALANCE", "INITIALBALANCE"}),
        typologies=TypologyByKey("modelType", TYPOLOGIES) if label and "modelType" in columns else None,
        base_currency="XXX",
        resolution_us=DAY_US,
        answers=("isSAR", "patternID", "modelType"),
    )
