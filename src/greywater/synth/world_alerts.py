"""Writes the alerts of a large made-up world as AMLSim does: which payments belong to which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from greywater.synth.economy import AMOUNT_UNITS, USD_RATES, Population
from greywater.synth.ledgerfile import decimal_text, time_text, write_table
from greywater.synth.planned import TYPOLOGIES, Planned
from greywater.synth.presets import DAY_SECONDS
from greywater.synth.weaving import alert_numbers
from greywater.synth.world_files import AMLSIM_TYPES
from greywater.vocab import Int64Array

__all__ = ["write_alert_transactions"]


def write_alert_transactions(path: Path, population: Population, planned: Planned, rows: Int64Array) -> None:
    """Write AMLSim's alert_transactions.csv: laundering attempts, and look-alikes as alerts that are none.

    Parameters
    ----------
    path : Path
        Where to.
    population : Population
        Whose accounts.
    planned : Planned
        What was planned.
    rows : int64[planned]
        Rows of these in the payments file, from 0.

    Raises
    ------
    StoreAccessError, StoreFullError
        The file cannot be written.
    """
    alert = alert_numbers(planned)
    some = np.flatnonzero(alert >= 0)
    some = some[np.argsort(rows[some], kind="stable")]
    write_table(path, _columns(population, planned.take(some), alert[some], rows[some]))


def _columns(population: Population, planned: Planned, alert: Int64Array, rows: Int64Array) -> dict[str, Any]:
    dollars = planned.paid / (AMOUNT_UNITS.astype(np.float64) * USD_RATES)[planned.paid_currency]
    cents = np.maximum(np.floor(dollars * 100.0 + 0.5), 1).astype(np.int64)
    types = np.array([*(name.replace("-", "_") for name in TYPOLOGIES), "other"])
    return {
        "alert_id": pa.array(alert),
        "alert_type": pa.array(types[planned.typology]),
        "is_sar": pa.array(np.where(planned.laundering, "True", "False")),
        "tran_id": pa.array(rows + 1),
        "orig_acct": pa.array(population.number[planned.sender]),
        "bene_acct": pa.array(population.number[planned.receiver]),
        "tx_type": pa.array(np.array(AMLSIM_TYPES)[planned.format]),
        "base_amt": decimal_text(cents),
        "tran_timestamp": time_text(planned.time // DAY_SECONDS * DAY_SECONDS),
    }
