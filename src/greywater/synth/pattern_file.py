"""The Patterns file of a large world: its typed laundering, attempt by attempt, in the published form."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from greywater.formats.patterns import Attempt, pattern_lines
from greywater.synth.economy import AMOUNT_UNITS, CURRENCIES, FORMATS, Population
from greywater.synth.laundering import Laundering
from greywater.synth.ledgerfile import until_whole

__all__ = ["pattern_attempts", "write_pattern_file"]


def pattern_attempts(laundering: Laundering, population: Population) -> Iterator[Attempt]:
    """The attempts with their typed payments, the fields as the published files write them.

    Parameters
    ----------
    laundering : Laundering
        What was planned.
    population : Population
        Who takes part.

    Yields
    ------
    Attempt
        In order of number; payments in the order in which they were planned.
    """
    planned = laundering.payments
    typed = np.flatnonzero(planned.typology >= 0)
    typed = typed[np.argsort(planned.attempt[typed], kind="stable")]
    bounds = np.searchsorted(planned.attempt[typed], np.arange(len(laundering.attempts) + 1))
    for attempt in laundering.attempts:
        rows = typed[bounds[attempt.number] : bounds[attempt.number + 1]].tolist()
        payments = tuple(_fields(laundering, population, row) for row in rows)
        yield Attempt(attempt.typology, attempt.remark, payments)


def _fields(laundering: Laundering, population: Population, row: int) -> tuple[str, ...]:
    planned = laundering.payments
    sender, receiver = int(planned.sender[row]), int(planned.receiver[row])
    return (
        datetime.fromtimestamp(int(planned.time[row]), UTC).strftime("%Y/%m/%d %H:%M"),
        *_account(population, sender),
        *_account(population, receiver),
        *_money(int(planned.received[row]), int(planned.received_currency[row])),
        *_money(int(planned.paid[row]), int(planned.paid_currency[row])),
        FORMATS[int(planned.format[row])],
        "1",
    )


def _account(population: Population, place: int) -> tuple[str, str]:
    """Bank and account as in the payments file, where some banks have two zeros before their number."""
    bank = int(population.bank_id[population.bank[place]])
    return f"{'00' if bank % 7 < 3 else '0'}{bank}", f"{int(population.number[place]):09X}"


def _money(units: int, currency: int) -> tuple[str, str]:
    digits = len(str(int(AMOUNT_UNITS[currency]))) - 1
    whole, rest = divmod(units, 10**digits)
    return f"{whole}.{rest:0{digits}d}", CURRENCIES[currency]


def write_pattern_file(path: Path, laundering: Laundering, population: Population) -> None:
    """Write the Patterns file.

    Raises
    ------
    StoreAccessError, StoreFullError
        The file cannot be written.
    """
    with until_whole(path) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(pattern_lines(pattern_attempts(laundering, population)))
