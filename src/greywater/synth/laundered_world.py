"""A large world with laundering in it: as published, or in hard mode, with all its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from greywater.errors import UsageError
from greywater.synth.case_tables import (
    alert_columns,
    label_columns,
    outcome_columns,
    rate_columns,
    seed_columns,
    truth_columns,
    world_truth,
)
from greywater.synth.disguise import EverydayLooks, PublishedLooks
from greywater.synth.economy import make_population
from greywater.synth.everyday_sample import sample_everyday
from greywater.synth.hard_mode import HardMode
from greywater.synth.large_world import CHUNK_ROWS, LargeWorld, make_large_world
from greywater.synth.laundering import Laundering, plan_laundering
from greywater.synth.ledgerfile import write_json, write_table
from greywater.synth.lookalikes import LookAlikes, plan_lookalikes
from greywater.synth.monitoring import Watched, watch
from greywater.synth.pattern_file import write_pattern_file
from greywater.synth.planned import Planned
from greywater.synth.presets import WorldPlan
from greywater.synth.proportions import proportions_of
from greywater.synth.weaving import sort_planned
from greywater.synth.world_files import Form, Kind
from greywater.synth.world_ties import tie_columns, tie_customers
from greywater.vocab import Int64Array, Progress

__all__ = ["LaunderedWorld", "make_laundered_world"]


@dataclass(frozen=True)
class LaunderedWorld:
    """What was made, and where.

    Parameters
    ----------
    world : LargeWorld
        Payments, accounts and customers.
    laundering : Laundering
        Every attempt and laundering payment.
    lookalikes : LookAlikes
        Everyday groups that look like laundering; none as published.
    watched : Watched or None
        Alerts, labels and seeds of hard mode.
    rows : int64[n]
        Which row of the payments file, from 0, each laundering payment is, behind them those of the groups.
    files : dict of str to Path
        All files: payments, accounts, patterns (AMLworld's form), and in our own form parties, labels, truth, attempts,
        rates, in hard mode relationships, seeds, alerts and outcomes too.
    """

    world: LargeWorld
    laundering: Laundering
    lookalikes: LookAlikes
    watched: Watched | None
    rows: Int64Array
    files: dict[str, Path]


def make_laundered_world(
    folder: Path | str,
    plan: WorldPlan,
    *,
    hard: HardMode | None = None,
    form: Form = "own",
    payments_as: Kind = "csv",
    threads: int = 2,
    chunk_rows: int = CHUNK_ROWS,
    progress: Progress | None = None,
) -> LaunderedWorld:
    """Make a world with laundering and write its files.

    Parameters
    ----------
    folder : Path or str
        Made where it does not exist; files of the same names are replaced.
    plan : WorldPlan
        How large; see `world_plan`.
    hard : HardMode, optional
        The knobs of hard mode; without it laundering is as published.
    form, payments_as, threads, chunk_rows, progress
        As in `make_large_world`.

    Returns
    -------
    LaunderedWorld
        The same plan and knobs give the same bytes, whatever `threads` and `chunk_rows` are.

    Raises
    ------
    UsageError
        A word or number that means nothing.
    StoreAccessError, StoreFullError
        A file cannot be written.
    """
    if progress is not None:
        progress.step("making up banks, customers, accounts and those who launder")
    population = make_population(plan)
    lookalikes = LookAlikes(Planned.none(), [])
    watched = None
    if hard is not None and hard.disguised:
        looks: PublishedLooks | EverydayLooks = EverydayLooks(population, sample_everyday(plan, population))
    else:
        looks = PublishedLooks(population)
    laundering = plan_laundering(plan, population, looks, proportions_of(plan), hard)
    if hard is not None:
        everyday = (
            looks if isinstance(looks, EverydayLooks) else EverydayLooks(population, sample_everyday(plan, population))
        )
        wanted = round(hard.lookalikes * len(laundering.payments))
        if wanted > plan.payments // 2:
            found = f"{wanted:,} payments of look-alikes leave no everyday life among {plan.payments:,}"
            raise UsageError(found, where="lookalikes", mend="turn it down, or ask for more payments")
        lookalikes = plan_lookalikes(plan, population, everyday, wanted)
        watched = watch(plan, population, everyday, laundering, lookalikes, hard)
    planned = Planned.joined([laundering.payments, lookalikes.payments, laundering.cover])
    world = make_large_world(
        folder, plan, population=population, planned=planned, form=form, payments_as=payments_as, threads=threads,
        chunk_rows=chunk_rows, progress=progress,
    )  # fmt: skip
    rows = _rows(plan, planned, world)[: len(laundering.payments) + len(lookalikes.payments)]
    made = LaunderedWorld(world, laundering, lookalikes, watched, rows, dict(world.files))
    _write(made, form)
    return made


def _rows(plan: WorldPlan, planned: Planned, world: LargeWorld) -> Int64Array:
    """Rows of the payments file in the order in which the payments were planned."""
    numbered = Planned(**{**vars(planned), "attempt": np.arange(len(planned))})
    order = sort_planned(plan.seed, numbered)[0].attempt
    rows = np.empty(len(planned), np.int64)
    rows[order] = world.rows
    return rows


def _write(made: LaunderedWorld, form: Form) -> None:
    """The files beside payments, accounts and customers."""
    world, folder = made.world, made.world.folder
    if form == "amlworld":
        made.files["patterns"] = folder / f"{world.plan.name}_Patterns.txt"
        write_pattern_file(made.files["patterns"], made.laundering, world.population)
    if form != "own":
        return
    tables: dict[str, dict[str, Any] | dict[str, pa.Array]] = {
        "truth": truth_columns(world.plan, made.laundering, made.lookalikes, made.rows),
        "labels": label_columns(world.plan, made.laundering, made.rows, made.watched),
        "rates": rate_columns(world.plan),
    }
    if made.watched is not None:
        ties = tie_customers(world.plan, world.population, made.laundering, made.lookalikes)
        tables["relationships"] = tie_columns(world.population, ties)
        tables["seeds"] = seed_columns(world.population, made.watched.seeds)
        tables["alerts"] = alert_columns(world.population, made.watched.alerts)
        tables["outcomes"] = outcome_columns(made.watched.alerts)
    for name, columns in tables.items():
        made.files[name] = folder / f"{name}.csv"
        write_table(made.files[name], columns)
    made.files["attempts"] = folder / "attempts.json"
    write_json(made.files["attempts"], world_truth(world, made.laundering, made.lookalikes))
