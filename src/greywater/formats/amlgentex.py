"""AMLGentex transaction logs, with typologies from the alert_models table beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from greywater.formats.layout import Column, Layout, PartyRule, Places, TypologyByKey
from greywater.formats.patterns import typology_name
from greywater.formats.siblings import read_sibling
from greywater.formats.tabular import Table
from greywater.formats.times import DAY_US, TimeRule

__all__ = ["FIRST_DAY", "REQUIRED", "layout"]

REQUIRED: Final = ("step", "type", "amount", "nameOrig", "nameDest", "bankOrig", "bankDest")
#: Steps are days; day 0 is this one, at midnight UTC. The source names none.
FIRST_DAY: Final = "2020-01-01"


def layout(table: Table | None, columns: Sequence[str]) -> Layout:
    """The layout of AMLGentex; `table` names the file whose siblings are looked at, None for no siblings."""
    label = "isSAR" if "isSAR" in columns else ""
    known = table is not None and label and "patternID" in columns
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
            label=Column(label),
        ),
        time=TimeRule("count", unit_us=DAY_US, origin_us=origin),
        party=PartyRule(external_prefixes=("-",)),
        channels={"CASH": "cash", "TRANSFER": "transfer"},
        skip_column="type",
        skip_values=frozenset({"INITALBALANCE", "INITIALBALANCE"}),
        typologies=_sibling(table) if table is not None and known else None,
        base_currency="XXX",
        resolution_us=DAY_US,
        answers=("isSAR", "patternID", "modelType"),
    )


def _sibling(table: Table) -> TypologyByKey | None:
    models = read_sibling(table.path, "alert_models", ("modelID", "type"))
    if models is None:
        return None
    pairs = zip(models.column("modelID").to_pylist(), models.column("type").to_pylist(), strict=True)
    return TypologyByKey("patternID", {model: typology_name(kind) for model, kind in pairs if model and kind})
