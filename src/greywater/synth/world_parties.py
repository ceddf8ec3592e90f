"""Writes whose the accounts of a large made-up world are, in AMLworld's, AMLSim's and our own form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.synth.economy import BANK, COUNTRIES, KINDS, PERSON, Population
from greywater.synth.ledgerfile import time_text, write_pieces
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
#: Accounts whose rows are made at a time.
_AT_A_TIME: Final = 1 << 19


def write_parties(folder: Path, form: Form, plan: WorldPlan, population: Population) -> dict[str, Path]:
    """Write the accounts and customers of a form; the accounts in order of their numbers.

    Returns
    -------
    dict of str to Path
        accounts, and of our own form parties.
    """
    accounts = folder / (f"{plan.name}_accounts.csv" if form == "amlworld" else "accounts.csv")
    columns: Callable[[Population, Int64Array], dict[str, Any]] = _amlsim_accounts
    if form == "amlworld":
        columns = _amlworld_accounts
    elif form == "own":
        columns = partial(_own_accounts, plan)
    order = np.argsort(population.number, kind="stable")
    write_pieces(accounts, (columns(population, some) for some in _slices(order)))
    if form != "own":
        return {"accounts": accounts}
    order = np.argsort(population.entity_number, kind="stable")
    country = _countries(population)
    write_pieces(folder / "parties.csv", (_own_parties(population, country, some) for some in _slices(order)))
    return {"accounts": accounts, "parties": folder / "parties.csv"}


def _slices(order: Int64Array) -> Iterator[Int64Array]:
    """Places, so many at a time that their rows are small beside the population."""
    for first in range(0, len(order), _AT_A_TIME):
        yield order[first : first + _AT_A_TIME]


def _amlworld_accounts(population: Population, some: Int64Array) -> dict[str, Any]:
    bank, entity = population.bank[some], population.entity[some]
    return {
        "Bank Name": _numbered(COUNTRIES, population.bank_country[bank], bank, " Bank #"),
        "Bank ID": pa.array(population.bank_id[bank]),
        "Account Number": number_texts(population.number[some]),
        "Entity ID": number_texts(population.entity_number[entity]),
        "Entity Name": _numbered(KINDS, population.entity_kind[entity], entity, " #"),
    }


def _amlsim_accounts(population: Population, some: Int64Array) -> dict[str, Any]:
    entity = population.entity[some]
    return {
        "acct_id": pa.array(population.number[some]),
        "dsply_nm": pc.binary_join_element_wise("C", pa.array(entity).cast(pa.string()), "_"),
        "type": pa.array(np.where(population.kind[some] == PERSON, "I", "O")),
        "acct_rptng_crncy": pa.array(np.full(len(some), "USD")),
        "bank_id": pa.array(population.bank_id[population.bank[some]]),
    }


def _own_accounts(plan: WorldPlan, population: Population, some: Int64Array) -> dict[str, Any]:
    age = stream(plan.seed, "ages of accounts").integers(1, _OLDEST, len(population), dtype=np.int16)[some]
    return {
        "account": number_texts(population.number[some]),
        "customer": number_texts(population.entity_number[population.entity[some]]),
        "bank": pa.array(population.bank_id[population.bank[some]]),
        "opened": time_text(plan.start - np.arange(_OLDEST) * DAY_SECONDS).take(pa.array(age)),
    }


def _own_parties(population: Population, country: NDArray[np.int8], some: Int64Array) -> dict[str, Any]:
    kind = population.entity_kind[some]
    words = np.array(["person" if code == PERSON else ("bank" if code == BANK else "company") for code in range(5)])
    return {
        "customer": number_texts(population.entity_number[some]),
        "name": _numbered(KINDS, kind, some, " #"),
        "kind": pa.array(words[kind]),
        "country": pa.array(np.array(_CODES)[country[some]]),
    }


def _countries(population: Population) -> NDArray[np.int8]:
    """Of each customer the country of the bank of its first account."""
    country = np.zeros(len(population.entity_kind), np.int8)
    country[population.entity[::-1]] = population.bank_country[population.bank[::-1]]
    return country


def _numbered(words: tuple[str, ...], which: NDArray[np.int8], place: NDArray[Any], between: str) -> pa.Array:
    """A word and a number, as the published worlds name banks and customers."""
    word = pa.array(words).take(pa.array(which))
    return pc.binary_join_element_wise(word, pa.array(place + 1).cast(pa.string()), between)
