"""AMLworld transactions ("IBM Transactions for Anti Money Laundering"), with typologies from their Patterns file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from greywater.formats.layout import Column, Layout, PartyRule, Places
from greywater.formats.patterns import Attempt, read_patterns
from greywater.formats.payments import assemble
from greywater.formats.tabular import RawChunk, Table
from greywater.formats.times import SECOND_US

__all__ = ["CURRENCIES", "REQUIRED", "PatternTypologies", "layout"]

REQUIRED: Final = (
    "Timestamp",
    "From Bank",
    "Account",
    "To Bank",
    "Account.1",
    "Amount Received",
    "Receiving Currency",
    "Amount Paid",
    "Payment Currency",
    "Payment Format",
)
LABEL: Final = "Is Laundering"
CURRENCIES: Final = {
    "US Dollar": "USD",
    "Euro": "EUR",
    "Yuan": "CNY",
    "Bitcoin": "BTC",
    "Shekel": "ILS",
    "Ruble": "RUB",
    "Rupee": "INR",
    "Yen": "JPY",
    "Mexican Peso": "MXN",
    "UK Pound": "GBP",
    "Swiss Franc": "CHF",
    "Canadian Dollar": "CAD",
    "Australian Dollar": "AUD",
    "Brazil Real": "BRL",
    "Saudi Riyal": "SAR",
}
CHANNELS: Final = {
    "Cheque": "cheque",
    "Credit Card": "credit_card",
    "ACH": "ach",
    "Cash": "cash",
    "Reinvestment": "reinvestment",
    "Wire": "wire",
    "Bitcoin": "crypto",
}
#: What tells a payment of a Patterns file from all others.
KEY: Final = (
    "event_time",
    "sender",
    "receiver",
    "amount",
    "currency",
    "received_amount",
    "received_currency",
    "channel",
)


class PatternTypologies:
    """Typologies of payments that equal one of a Patterns file in all fields."""

    column = ""

    def __init__(self, names: dict[tuple[object, ...], str]) -> None:
        self._names = names

    @classmethod
    def of(cls, attempts: Sequence[Attempt]) -> PatternTypologies:
        """From attempts; a payment of two attempts has the typology of the first."""
        rows = [(attempt.typology, payment) for attempt in attempts for payment in attempt.payments]
        if not rows:
            return cls({})
        columns = zip(*(payment for _, payment in rows), strict=True)
        names = (*REQUIRED, LABEL)
        raw = RawChunk(
            np.arange(1, len(rows) + 1), dict(zip(names, (pa.array(values) for values in columns), strict=True))
        )
        payments = assemble(layout(None, names), raw, "patterns").chunk.payments
        found: dict[tuple[object, ...], str] = {}
        for number, key in zip(payments.column("row").to_pylist(), _keys(payments), strict=True):
            found.setdefault(key, rows[number - 1][0])
        return cls(found)

    def find(self, payments: pa.Table, keys: Sequence[str | None]) -> list[str | None]:
        """The typology of each payment, None where it is in no attempt."""
        return [self._names.get(key) for key in _keys(payments)]


def layout(table: Table | None, columns: Sequence[str]) -> Layout:
    """The layout of AMLworld; `table` names the file whose siblings are looked at, None for no siblings."""
    label = LABEL if LABEL in columns else ""
    return Layout(
        format="amlworld",
        places=Places(
            event_time=Column("Timestamp"),
            sender=Column("Account"),
            receiver=Column("Account.1"),
            sender_bank=Column("From Bank"),
            receiver_bank=Column("To Bank"),
            amount=Column("Amount Paid"),
            currency=Column("Payment Currency"),
            received_amount=Column("Amount Received"),
            received_currency=Column("Receiving Currency"),
            channel=Column("Payment Format"),
            label=Column(label),
        ),
        party=PartyRule(bank_qualified=True, strip_bank_zeros=True),
        currencies=CURRENCIES,
        channels=CHANNELS,
        typologies=None if table is None or not label else _sibling(table.path),
        base_currency="USD",
        resolution_us=60 * SECOND_US,
        answers=(LABEL,),
    )


def _sibling(path: Path) -> PatternTypologies | None:
    """Typologies of the Patterns file of the same set; of all Patterns files where none has the set's name."""
    files = sorted(near for near in path.parent.iterdir() if near.name.endswith(("_Patterns.txt", "_Patterns.txt.gz")))
    prefix = path.name.split("_Trans")[0] if "_Trans" in path.name else ""
    own = [file for file in files if prefix and file.name.split("_Patterns")[0] == prefix]
    if prefix and not own:
        return None
    attempts = [attempt for file in own or files for attempt in read_patterns(file)]
    return PatternTypologies.of(attempts) if attempts else None


def _keys(payments: pa.Table) -> list[tuple[object, ...]]:
    columns = [
        payments.column(name).cast(pa.int64()) if name == "event_time" else payments.column(name) for name in KEY
    ]
    return list(zip(*(column.to_pylist() for column in columns), strict=True))
