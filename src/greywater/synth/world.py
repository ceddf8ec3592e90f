"""A made-up, labelled world of payments with laundering in it, for demos and tests."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.errors import StoreAccessError, UsageError
from greywater.synth.attempts import Attempt, gangs, plant_attempts, plant_lookalikes
from greywater.synth.commerce import PURPOSES, Flows, everyday_payments
from greywater.synth.ledgerfile import decimal_text, time_text, write_json, write_table
from greywater.synth.people import (
    BANKS,
    PERSON,
    Population,
    Tie,
    make_population,
    make_ties,
    tie_together,
    within_whole,
)
from greywater.synth.streams import stream
from greywater.vocab import Int64Array, Progress

__all__ = ["WORLD_START", "WorldSummary", "make_world"]

DAY: Final = 86_400
#: First midnight of every world: Monday, 1 January 2024, UTC, in seconds since 1970.
WORLD_START: Final = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
#: One payment in this many is laundering.
ONE_DIRTY_IN: Final = 650
_FOREIGN: Final = {"EUR": 10_800, "GBP": 12_600}
_BASE: Final = "USD"


@dataclass(frozen=True)
class WorldSummary:
    """What was made, and where.

    Parameters
    ----------
    folder : Path
        Where the files are.
    files : dict of str to Path
        payments, labels, accounts, parties, relationships, seeds, attempts, and rates where there are any.
    accounts, customers, payments, dirty : int
        Counts; `dirty` of the payments are laundering.
    attempts : dict of str to int
        Laundering attempts by shape.
    lookalikes, relationships, seeds : int
        Counts of everyday groups with a laundering shape, of relations, and of confirmed launderers.
    start, end : datetime
        The world lasts from start (inclusive) to end (exclusive).
    """

    folder: Path
    files: dict[str, Path]
    accounts: int
    customers: int
    payments: int
    dirty: int
    attempts: dict[str, int]
    lookalikes: int
    relationships: int
    seeds: int
    start: datetime
    end: datetime


@dataclass(frozen=True)
class _World:
    """All payments in their final order, with the attempt (-1 none) and the everyday group (-1 none) of each."""

    flows: Flows
    attempt: Int64Array
    lookalike: Int64Array
    tx_id: pa.Array = field(repr=False)


@dataclass(frozen=True)
class _Cast:
    """Everyone and everything but the payments."""

    seed: int
    days: int
    population: Population
    groups: list[list[int]]
    attempts: list[Attempt]
    lookalikes: list[Attempt]
    ties: list[Tie]


def make_world(
    folder: Path,
    *,
    accounts: int = 4_000,
    payments: int = 200_000,
    days: int = 120,
    seed: int = 7,
    progress: Progress | None = None,
    payments_as: Literal["csv", "parquet"] = "csv",
    foreign_share: float = 0.0,
) -> WorldSummary:
    """Make the world and write its files.

    The same arguments give the same bytes. About one payment in 650 is laundering, in small worlds more, since
    each of the eight shapes occurs at least once.

    Parameters
    ----------
    folder : Path
        Made where it does not exist; files of the same names are replaced.
    accounts, payments, days : int
        Size of the world. Exactly so many accounts and payments.
    seed : int
        Another seed, another world.
    progress : Progress, optional
        Told of the steps.
    payments_as : {"csv", "parquet"}
        Form of the payments file; all others are CSV (attempts: JSON).
    foreign_share : float
        Share of the accounts that pay in EUR or GBP. Above 0, `rates.csv` (to USD) is written too.

    Returns
    -------
    WorldSummary
        Counts and paths.

    Raises
    ------
    UsageError
        The world would be too small to live in.
    StoreAccessError, StoreFullError
        A file cannot be written.
    """
    size = {"accounts": accounts, "payments": payments, "days": days, "seed": seed, "foreign_share": foreign_share}
    _check(accounts, payments, days, foreign_share)
    if progress is not None:
        progress.step("making up a world of payments", 4)
    population = make_population(seed, accounts, WORLD_START, days)
    wanted = payments / ONE_DIRTY_IN
    groups = gangs(seed, population, max(2, min(8, round(wanted / 50))))
    attempts = plant_attempts(seed, population, groups, WORLD_START, days, round(wanted))
    lookalikes = plant_lookalikes(seed, population, WORLD_START, days, round(wanted))
    _advance(progress)
    world = _assemble(seed, population, attempts, lookalikes, days, payments)
    cast = _Cast(seed, days, population, groups, attempts, lookalikes, _all_ties(seed, population, groups))
    _advance(progress)
    return _write(Path(folder), payments_as, cast, world, size, progress)


def _advance(progress: Progress | None) -> None:
    if progress is not None:
        progress.advance(1)


def _check(accounts: int, payments: int, days: int, foreign_share: float) -> None:
    for name, value, least in (("accounts", accounts, 300), ("payments", payments, 1_000), ("days", days, 14)):
        if value < least:
            raise UsageError(f"a world needs at least {least} {name}, not {value}", where=name, mend=f"give {least}")
    if not 0.0 <= foreign_share <= 1.0:
        raise UsageError(f"{foreign_share} is no share", where="foreign_share", mend="give a number from 0 to 1")


def _write(
    folder: Path, payments_as: str, cast: _Cast, world: _World, size: dict[str, Any], progress: Progress | None
) -> WorldSummary:
    """All files, and what to say of them."""
    seed, population = cast.seed, cast.population
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        mend = "choose a folder that you may write to"
        raise StoreAccessError(f"no folder can be made: {error.strerror}", where=str(folder), mend=mend) from None
    currency, rates = _currencies(seed, population, size["foreign_share"], cast.days)
    seeds = _seed_columns(seed, population, cast.groups, cast.attempts, cast.days)
    files = {"payments": folder / f"payments.{payments_as}"}
    write_table(files["payments"], _payment_columns(seed, population, world, currency))
    _advance(progress)
    tables = {
        "labels": _label_columns(seed, world, cast.attempts),
        "accounts": _account_columns(population),
        "parties": _party_columns(population),
        "relationships": _tie_columns(population, cast.ties),
        "seeds": seeds,
    }
    for name, columns in tables.items() if rates is None else (tables | {"rates": rates}).items():
        files[name] = folder / f"{name}.csv"
        write_table(files[name], columns)
    files["attempts"] = folder / "attempts.json"
    write_json(files["attempts"], _truth(cast, world, size))
    _advance(progress)
    return WorldSummary(
        folder=folder,
        files=files,
        accounts=len(population.owner),
        customers=len(population.trade),
        payments=len(world.flows),
        dirty=int((world.attempt >= 0).sum()),
        attempts=dict(sorted(Counter(attempt.shape for attempt in cast.attempts).items())),
        lookalikes=len(cast.lookalikes),
        relationships=len(cast.ties),
        seeds=len(seeds["reason"]),
        start=datetime.fromtimestamp(WORLD_START, UTC),
        end=datetime.fromtimestamp(WORLD_START + cast.days * DAY, UTC),
    )


def _assemble(
    seed: int, population: Population, attempts: list[Attempt], lookalikes: list[Attempt], days: int, payments: int
) -> _World:
    """Everything together, in order of time; among equal times chance decides."""
    planted = [entry.flows(population) for entry in attempts + lookalikes]
    everyday = everyday_payments(seed, population, WORLD_START, days, payments - sum(map(len, planted)))
    flows = Flows.joined([everyday, *planted])
    nothing = np.full(len(everyday), -1, dtype=np.int64)
    own = [np.full(len(part), number, dtype=np.int64) for number, part in enumerate(planted)]
    group = np.concatenate([nothing, *own])
    order = np.lexsort((stream(seed, "order of equals").random(len(flows)), flows.time))
    group = group[order]
    digits = max(8, len(str(len(flows))))
    return _World(
        flows.take(order),
        attempt=np.where(group < len(attempts), group, -1),
        lookalike=np.where(group >= len(attempts), group - len(attempts), -1),
        tx_id=pa.array([f"T{number:0{digits}d}" for number in range(1, len(flows) + 1)]),
    )


def _all_ties(seed: int, population: Population, groups: list[list[int]]) -> list[Tie]:
    ties = make_ties(seed, population, WORLD_START)
    rng = stream(seed, "ties of gangs")
    for group in groups:
        ties += tie_together(rng, population, group, WORLD_START)
    chosen = stream(seed, "which shares stand").permutation(len(ties)).tolist()
    kept = within_whole([ties[place] for place in chosen])
    ids = population.customer_ids
    return sorted(kept, key=lambda tie: (ids[tie.source], ids[tie.target], tie.kind, tie.valid_from))


def _currencies(
    seed: int, population: Population, foreign_share: float, days: int
) -> tuple[NDArray[np.str_], dict[str, Any] | None]:
    """The currency each account pays in, and the columns of the rates file."""
    rng = stream(seed, "currencies")
    foreign = rng.random(len(population.owner)) < foreign_share
    currency = np.where(foreign, rng.choice(np.array(list(_FOREIGN)), len(foreign), p=[0.7, 0.3]), _BASE)
    if foreign_share == 0.0:
        return currency, None
    dates = np.datetime_as_string(np.arange(days) + np.datetime64("2024-01-01"), unit="D")
    columns: dict[str, list[str]] = {"date": [], "currency": [], "rate": []}
    for code in _FOREIGN:
        columns["date"] += dates.tolist()
        columns["currency"] += [code] * days
        columns["rate"] += [f"{value // 10_000}.{value % 10_000:04d}" for value in _daily(seed, code, days).tolist()]
    return currency, columns


def _daily(seed: int, code: str, days: int) -> Int64Array:
    """Ten-thousandths of a dollar a unit, a walk of small whole steps."""
    steps = stream(seed, "rates", code).integers(-40, 41, days)
    return np.maximum(_FOREIGN[code] + np.cumsum(steps), 5_000).astype(np.int64)


def _payment_columns(seed: int, population: Population, world: _World, currency: NDArray[np.str_]) -> dict[str, Any]:
    flows, rng = world.flows, stream(seed, "looks")
    amount, paid_in = flows.amount.copy(), currency[flows.sender]
    day = (flows.time - WORLD_START) // DAY
    for code in _FOREIGN:
        chosen = paid_in == code
        if chosen.any():
            rate = _daily(seed, code, int(day.max()) + 1)[day[chosen]]
            amount[chosen] = np.maximum(amount[chosen] * 10_000 // rate, 1)
    channel = np.empty(len(flows), dtype=object)
    reference = np.empty(len(flows), dtype=object)
    for place, purpose in enumerate(PURPOSES):
        rows = np.flatnonzero(flows.purpose == place)
        names, shares = zip(*purpose.channels, strict=True)
        channel[rows] = rng.choice(np.array(names, dtype=object), len(rows), p=shares)
        texts = rng.choice(np.array(purpose.references, dtype=object), len(rows))
        numbers = rng.integers(1_000, 100_000, len(rows))
        filled = zip(texts.tolist(), numbers.tolist(), strict=True)
        reference[rows] = [text.replace("#", str(number)) or None for text, number in filled]
    banks = np.array(BANKS)
    return {
        "tx_id": world.tx_id,
        "event_time": time_text(flows.time),
        "sender": population.account_ids[flows.sender],
        "receiver": population.account_ids[flows.receiver],
        "amount": decimal_text(amount),
        "currency": paid_in,
        "sender_bank": banks[population.bank[flows.sender]],
        "receiver_bank": banks[population.bank[flows.receiver]],
        "channel": pa.array(channel, pa.string()),
        "reference": pa.array(reference, pa.string()),
    }


def _label_columns(seed: int, world: _World, attempts: list[Attempt]) -> dict[str, Any]:
    """Every payment; the date it became known only for laundering (days to weeks later)."""
    dirty = world.attempt >= 0
    delay = stream(seed, "when it came out").lognormal(np.log(12), 0.6, len(dirty)) * DAY
    known = np.where(dirty, world.flows.time + np.clip(delay, DAY, 60 * DAY).astype(np.int64), -1)
    shapes = np.array([*(attempt.shape for attempt in attempts), ""])[world.attempt]
    return {
        "tx_id": world.tx_id,
        "label": pa.array(dirty.astype(np.int8)),
        "typology": pa.array(shapes, mask=~dirty),
        "known_since": time_text(known, missing=-1),
    }


def _account_columns(population: Population) -> dict[str, Any]:
    order = np.argsort(population.account_ids)
    return {
        "account": population.account_ids[order],
        "customer": population.customer_ids[population.owner[order]],
        "bank": np.array(BANKS)[population.bank[order]],
        "opened": time_text(population.opened[order]),
    }


def _party_columns(population: Population) -> dict[str, Any]:
    order = np.argsort(population.customer_ids)
    return {
        "customer": population.customer_ids[order],
        "name": population.names[order],
        "kind": np.where(population.trade[order] == PERSON, "person", "company"),
        "country": population.countries[order],
    }


def _tie_columns(population: Population, ties: list[Tie]) -> dict[str, Any]:
    valid_to = np.array([tie.valid_to * DAY if tie.valid_to >= 0 else -1 for tie in ties], dtype=np.int64)
    return {
        "from_customer": population.customer_ids[[tie.source for tie in ties]],
        "to_customer": population.customer_ids[[tie.target for tie in ties]],
        "kind": [tie.kind for tie in ties],
        "share": pa.array([None if np.isnan(tie.share) else f"{tie.share:.2f}" for tie in ties], pa.string()),
        "valid_from": time_text(np.array([tie.valid_from * DAY for tie in ties], dtype=np.int64)),
        "valid_to": time_text(valid_to, missing=-1),
    }


def _seed_columns(
    seed: int, population: Population, groups: list[list[int]], attempts: list[Attempt], days: int
) -> dict[str, Any]:
    """One or two confirmed launderers of every other gang, some weeks after their first attempt."""
    rng = stream(seed, "confirmed launderers")
    found: list[tuple[int, int, bool, str]] = []
    reasons = ("convicted", "suspicious activity report filed", "named in an investigation")
    for gang in range(0, len(groups), 2):
        for attempt in [attempt for attempt in attempts if attempt.gang == gang][:2]:
            members = [account for account in attempt.accounts if account in groups[gang]]
            ended = max(leg.time for leg in attempt.legs)
            latest = WORLD_START + days * DAY - DAY
            if members and ended < latest:
                known = min(ended + int(rng.integers(5, 21)) * DAY, latest)
                reason = reasons[int(rng.integers(len(reasons)))]
                found.append((known, int(rng.choice(members)), bool(rng.random() < 0.3), reason))
    unique = {member: entry for entry in sorted(found, reverse=True) for member in (entry[1],)}
    chosen = sorted(unique.values())
    return {
        "account": pa.array(
            [None if whole else population.account_ids[one] for _, one, whole, _ in chosen], pa.string()
        ),
        "customer": pa.array(
            [population.customer_ids[population.owner[one]] if whole else None for _, one, whole, _ in chosen],
            pa.string(),
        ),
        "reason": pa.array([reason for *_, reason in chosen], pa.string()),
        "known_since": time_text(np.array([known for known, *_ in chosen], dtype=np.int64)),
    }


def _truth(cast: _Cast, world: _World, size: dict[str, Any]) -> dict[str, Any]:
    """What attempts.json says."""
    ids = cast.population.customer_ids
    return {
        "world": size,
        "gangs": [{"gang": number, "customers": ids[group].tolist()} for number, group in enumerate(cast.groups)],
        "attempts": _described(cast.population, world, cast.attempts, world.attempt),
        "lookalikes": _described(cast.population, world, cast.lookalikes, world.lookalike),
    }


def _described(
    population: Population, world: _World, entries: list[Attempt], number_of: Int64Array
) -> list[dict[str, Any]]:
    rows: dict[int, list[int]] = {entry.number: [] for entry in entries}
    for row in np.flatnonzero(number_of >= 0).tolist():
        rows[int(number_of[row])].append(row)
    times = time_text(world.flows.time)
    described = []
    for entry in entries:
        places = rows[entry.number]
        gang = {"gang": entry.gang} if entry.gang >= 0 else {}
        described.append(
            {
                "id": entry.number,
                "name": entry.name,
                "shape": entry.shape,
                **gang,
                "start": times[places[0]].as_py(),
                "end": times[places[-1]].as_py(),
                "accounts": population.account_ids[list(entry.accounts)].tolist(),
                "payments": [world.tx_id[place].as_py() for place in places],
            }
        )
    return described
