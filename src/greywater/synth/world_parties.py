"""Writes whose the accounts of a large made-up world are, in AMLworld's, AMLSim's and our own form."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from greywater.synth.economy import BANK, COUNTRIES, KINDS, PERSON, Population
from greywater.synth.ledgerfile import time_text, write_table
from greywater.synth.presets import DAY_SECONDS, WorldPlan
from greywater.synth.streams import stream
from greywater.synth.world_files import Form, number_texts
from greywater.vocab import Int64Array

__all__ = ["write_parties"]

_CODES: Final = (
    "PT", "CA", "GB", "DE", "FR", "IT", "ES", "CH", "JP", "CN", "IN", "AU", "BR", "MX", "IL", "RU", "SA", "NL", "IE",
    "US",
)  # fmt: skip
#: Accounts were opened up to so many days before the world begins.
_OLDEST: Final = 3_650


def write_parties(folder: Path, form: Form, plan: WorldPlan, population: Population) -> dict[str, Path]:
    """Write the accounts and customers of a form; the accounts in order of their numbers.

    Returns
    -------
    dict of str to Path
        accounts, and of our own form parties.
    """
    order = np.argsort(population.number, kind="stable")
    if form == "amlworld":
        path = folder / f"{plan.name}_accounts.csv"
        write_table(path, _amlworld_accounts(population, order))
        return {"accounts": path}
    if form == "amlsim":
        write_table(folder / "accounts.csv", _amlsim_accounts(population, order))
        return {"accounts": folder / "accounts.csv"}
    write_table(folder / "accounts.csv", _own_accounts(plan, population, order))
    write_table(folder / "parties.csv", _own_parties(population))
    return {"accounts": folder / "accounts.csv", "parties": folder / "parties.csv"}


def _amlworld_accounts(population: Population, order: Int64Array) -> dict[str, Any]:
    bank, entity = population.bank[order], population.entity[order]
    names = _bank_names(population)
    return {
        "Bank Name": names.take(pa.array(bank)),
        "Bank ID": pa.array(population.bank_id[bank]),
        "Account Number": number_texts(population.number[order]),
        "Entity ID": number_texts(population.entity_number[entity]),
        "Entity Name": _entity_names(population).take(pa.array(entity)),
    }


def _amlsim_accounts(population: Population, order: Int64Array) -> dict[str, Any]:
    entity = population.entity[order]
    person = population.kind[order] == PERSON
    return {
        "acct_id": pa.array(population.number[order]),
        "dsply_nm": pc.binary_join_element_wise("C", pa.array(entity).cast(pa.string()), "_"),
        "type": pa.array(np.where(person, "I", "O")),
        "acct_rptng_crncy": pa.array(np.full(len(order), "USD")),
        "bank_id": pa.array(population.bank_id[population.bank[order]]),
    }


def _own_accounts(plan: WorldPlan, population: Population, order: Int64Array) -> dict[str, Any]:
    age = stream(plan.seed, "ages of accounts").integers(1, _OLDEST, len(population))
    return {
        "account": number_texts(population.number[order]),
        "customer": number_texts(population.entity_number[population.entity[order]]),
        "bank": pa.array(population.bank_id[population.bank[order]]),
        "opened": time_text(plan.start - age[order] * DAY_SECONDS),
    }


def _own_parties(population: Population) -> dict[str, Any]:
    order = np.argsort(population.entity_number, kind="stable")
    kind = population.entity_kind[order]
    words = np.array(["person" if code == PERSON else ("bank" if code == BANK else "company") for code in range(5)])
    return {
        "customer": number_texts(population.entity_number[order]),
        "name": _entity_names(population).take(pa.array(order)),
        "kind": pa.array(words[kind]),
        "country": pa.array(np.array(_CODES)[_countries(population)[order]]),
    }


def _countries(population: Population) -> Int64Array:
    """Of each customer the country of the bank of its first account."""
    first = np.zeros(len(population.entity_kind), np.int64)
    first[population.entity[::-1]] = np.arange(len(population) - 1, -1, -1)
    return population.bank_country[population.bank[first]].astype(np.int64)


def _bank_names(population: Population) -> pa.Array:
    country = pa.array(np.array(COUNTRIES)[population.bank_country])
    number = pa.array(np.arange(1, len(population.bank_id) + 1)).cast(pa.string())
    return pc.binary_join_element_wise(country, number, " Bank #")


def _entity_names(population: Population) -> pa.Array:
    """Kind and number, as the published worlds name customers."""
    kind = pa.array(np.array(KINDS)[population.entity_kind])
    number = pa.array(np.arange(1, len(population.entity_kind) + 1)).cast(pa.string())
    return pc.binary_join_element_wise(kind, number, " #")
