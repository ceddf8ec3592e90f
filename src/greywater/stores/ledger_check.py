"""What `check` reads out of the ledger's data files: dense numbers, amounts and times within range, the stated H."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import pyarrow as pa

from greywater.errors import StoreError
from greywater.stores.delta_parts import PartTable
from greywater.stores.part_reader import Part, pick_columns, read_part
from greywater.stores.ports import Finding
from greywater.vocab import BALANCES, MAX_AMOUNT, TRANSACTION_SCHEMA

__all__ = ["check_batch", "check_payments"]

COLUMNS: Final = ("seq", "event_time", "amount", "received_amount", *BALANCES)
#: 1900-01-01 and 2200-01-01 in microseconds since 1970: no payment system's clock is outside.
EARLIEST: Final = -2_208_988_800_000_000
LATEST: Final = 7_258_118_400_000_000
MEND: Final = "put the file back from a backup, or record the source files into a new store"


def check_payments(table: PartTable, parts: Iterable[Part]) -> list[Finding]:
    """Read the given data files and report what cannot be."""
    findings: list[Finding] = []
    schema = pick_columns(TRANSACTION_SCHEMA, COLUMNS, table.folder)
    for part in parts:
        where = str(table.folder / part.name)
        latest: int | None = None
        at = part.first
        try:
            stated = table.footer(part)["horizon"]
            for piece in read_part(table.folder, part, schema):
                found = check_batch(piece, at)
                if found:
                    findings.append(Finding(where, found, MEND))
                    break
                at += piece.num_rows
                most = int(np.asarray(piece["event_time"].cast(pa.int64())).max())
                latest = most if latest is None else max(latest, most)
        except StoreError as error:
            findings.append(Finding(where, error.found, MEND))
            continue
        if at == part.stop and latest is not None and latest > stated:
            findings.append(Finding(where, "a payment is later than the H that the file states", MEND))
    return findings


def check_batch(rows: pa.Table, first_seq: int) -> str:
    """What is wrong with consecutive payments, or "" where nothing is.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> row = {"seq": [4], "event_time": [datetime(2020, 1, 1, tzinfo=UTC)], "amount": [1], "received_amount": [1],
    ...     "sender_balance": [None], "receiver_balance": [-7]}
    >>> schema = pa.schema([TRANSACTION_SCHEMA.field(name) for name in row])
    >>> check_batch(pa.table(row, schema=schema), 4)
    ''
    >>> check_batch(pa.table(row, schema=schema), 3)
    'payment 3 is not where it should be (its number reads 4)'
    """
    seqs = np.asarray(rows["seq"])
    expected = np.arange(first_seq, first_seq + len(seqs))
    wrong = np.flatnonzero(seqs != expected)
    if len(wrong):
        return f"payment {expected[wrong[0]]} is not where it should be (its number reads {seqs[wrong[0]]})"
    for name in ("amount", "received_amount", *BALANCES):
        amounts = np.asarray(rows[name].fill_null(0))
        wrong = np.flatnonzero((amounts < (-MAX_AMOUNT if name in BALANCES else 0)) | (amounts > MAX_AMOUNT))
        if len(wrong):
            return f"payment {expected[wrong[0]]} has {name} {amounts[wrong[0]]}, which is out of range"
    times = np.asarray(rows["event_time"].cast(pa.int64()))
    wrong = np.flatnonzero((times < EARLIEST) | (times > LATEST))
    if len(wrong):
        return f"payment {expected[wrong[0]]} is dated {times[wrong[0]]} microseconds since 1970, which is out of range"
    return ""
