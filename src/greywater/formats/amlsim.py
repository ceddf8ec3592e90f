"""AMLSim transactions, with typologies from the alert_transactions table beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from greywater.formats.layout import TRUE_WORDS, Column, Layout, Places, TypologyByKey
from greywater.formats.patterns import typology_name
from greywater.formats.siblings import read_sibling
from greywater.formats.tabular import Table
from greywater.formats.times import DAY_US

__all__ = ["REQUIRED", "layout"]

REQUIRED: Final = ("tran_id", "orig_acct", "bene_acct", "tx_type", "base_amt", "tran_timestamp")
CHANNELS: Final = {
    "TRANSFER": "transfer",
    "WIRE": "wire",
    "CASH": "cash",
    "CASH_IN": "cash",
    "CASH_OUT": "cash",
    "CASH-IN": "cash",
    "CASH-OUT": "cash",
    "DEPOSIT": "cash",
    "WITHDRAWAL": "cash",
    "CHECK": "cheque",
    "CHEQUE": "cheque",
    "CREDIT": "credit_card",
    "DEBIT": "debit_card",
}


def layout(table: Table | None, columns: Sequence[str]) -> Layout:
    """The layout of AMLSim; `table` names the file whose siblings are looked at, None for no siblings."""
    label = "is_sar" if "is_sar" in columns else ""
    return Layout(
        format="amlsim",
        places=Places(
            tx_id=Column("tran_id"),
            event_time=Column("tran_timestamp"),
            sender=Column("orig_acct"),
            receiver=Column("bene_acct"),
            amount=Column("base_amt"),
            currency=Column(constant="USD"),
            channel=Column("tx_type"),
            label=Column(label),
        ),
        channels=CHANNELS,
        typologies=None if table is None or not label else _sibling(table),
        base_currency="USD",
        resolution_us=DAY_US,
        answers=("is_sar", "alert_id", "alert_type", "prior_sar_count"),
    )


def _sibling(table: Table) -> TypologyByKey | None:
    alerts = read_sibling(table.path, "alert_transactions", ("tran_id", "alert_type", "is_sar"))
    if alerts is None:
        return None
    rows = zip(*(alerts.column(name).to_pylist() for name in ("tran_id", "alert_type", "is_sar")), strict=True)
    names: dict[str, str] = {}
    for tran_id, alert_type, is_sar in rows:
        if tran_id and alert_type and (is_sar or "").lower() in TRUE_WORDS:
            names.setdefault(tran_id, typology_name(alert_type))
    return TypologyByKey("tran_id", names)
