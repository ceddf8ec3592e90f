"""Makes a large made-up world of payments and streams it to files: millions of payments in flat memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from greywater.errors import StoreAccessError, UsageError
from greywater.synth.economy import FORMATS, Population, make_population
from greywater.synth.everyday import Everyday, plan_everyday
from greywater.synth.planned import Planned
from greywater.synth.presets import WorldPlan
from greywater.synth.weaving import Piece, pieces, sort_planned, woven
from greywater.synth.world_alerts import write_alert_transactions
from greywater.synth.world_files import FORMS, Form, Kind, PaymentsFile, payments_file, payments_path
from greywater.synth.world_parties import write_parties
from greywater.vocab import Int64Array, Progress

__all__ = ["CHUNK_ROWS", "LargeWorld", "make_large_world"]

#: Payments made at a time by each thread.
CHUNK_ROWS: Final = 131_072


@dataclass(frozen=True)
class LargeWorld:
    """What was made, and where.

    Parameters
    ----------
    plan : WorldPlan
        How large it was to be.
    population : Population
        Everyone.
    planned : Planned
        Laundering and look-alikes, in order of time.
    rows : int64[planned]
        Which row of the payments file, from 0, each of these is.
    payments : int
        Payments written, planned ones included.
    folder : Path
        Where the files are.
    files : dict of str to Path
        payments, accounts, of our own form parties, and of AMLSim's alert_transactions.
    """

    plan: WorldPlan
    population: Population
    planned: Planned
    rows: Int64Array
    payments: int
    folder: Path
    files: dict[str, Path]


def make_large_world(
    folder: Path | str,
    plan: WorldPlan,
    *,
    population: Population | None = None,
    planned: Planned | None = None,
    form: Form = "amlworld",
    payments_as: Kind = "csv",
    threads: int = 2,
    chunk_rows: int = CHUNK_ROWS,
    progress: Progress | None = None,
) -> LargeWorld:
    """Make a world and write its payments, accounts and customers.

    Every payment is drawn from random numbers counted by what it is, so that the same plan gives the same rows, and
    as CSV the same bytes, whatever `threads` and `chunk_rows` are.

    Parameters
    ----------
    folder : Path or str
        Made where it does not exist; files of the same names are replaced.
    plan : WorldPlan
        How large; see `world_plan`.
    population : Population, optional
        That of the plan, if it was made before.
    planned : Planned, optional
        Laundering and look-alikes to weave in; none are made up here.
    form : {"amlworld", "amlsim", "own"}
        Whose columns, words and file names.
    payments_as : {"csv", "parquet"}
        Form of the payments file; all others are CSV.
    threads : int
        Threads that make payments.
    chunk_rows : int
        Payments that each makes at a time.
    progress : Progress, optional
        Told of every chunk.

    Returns
    -------
    LargeWorld
        Counts, places and paths.

    Raises
    ------
    UsageError
        No such form, no thread, or more planned payments than the world has.
    StoreAccessError, StoreFullError
        A file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from greywater.synth.presets import world_plan
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     world = make_large_world(folder, world_plan("hi-small", payments=2_000))
    ...     lines = world.files["payments"].read_text().splitlines()
    >>> len(lines) - 1, lines[0].split(",")[0]
    (2000, 'Timestamp')
    """
    folder = Path(folder)
    _check(plan, planned, form, payments_as, threads, chunk_rows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        mend = "choose a folder that you may write to"
        raise StoreAccessError(f"no folder can be made: {error.strerror}", where=str(folder), mend=mend) from None
    if progress is not None:
        progress.step("making up banks, customers and accounts")
    population = make_population(plan) if population is None else population
    planned, planned_us = sort_planned(plan.seed, Planned.none() if planned is None else planned)
    everyday = plan_everyday(plan, population, np.bincount(planned.format, minlength=len(FORMATS)))
    files = write_parties(folder, form, plan, population)
    files["payments"] = payments_path(folder, plan, form, payments_as)
    if progress is not None:
        progress.step("making up payments", plan.payments)
    rows = np.full(len(planned), -1, np.int64)
    with payments_file(files["payments"], form, payments_as, plan, population) as file:
        for piece, encoded, places in _made(everyday, planned, planned_us, file, threads, chunk_rows):
            file.write(encoded)
            rows[slice(*piece.planned)] = places
            if progress is not None:
                progress.advance(len(piece))
    if form == "amlsim":
        files["alert_transactions"] = folder / "alert_transactions.csv"
        write_alert_transactions(files["alert_transactions"], population, planned, rows)
    return LargeWorld(plan, population, planned, rows, plan.payments, folder, files)


def _check(
    plan: WorldPlan, planned: Planned | None, form: str, payments_as: str, threads: int, chunk_rows: int
) -> None:
    if form not in FORMS:
        raise UsageError(f"no form is called {form}", where="form", mend=f"choose one of {', '.join(FORMS)}")
    if payments_as not in ("csv", "parquet"):
        raise UsageError(f"payments cannot be written as {payments_as}", where="payments_as", mend="csv or parquet")
    for name, value in (("threads", threads), ("chunk_rows", chunk_rows)):
        if value < 1:
            raise UsageError(f"at least one is needed, not {value}", where=name, mend="give 1 or more")
    if planned is not None and len(planned) > plan.payments // 2:
        found = f"{len(planned)} payments are planned of {plan.payments} in all, which leaves no everyday life"
        raise UsageError(found, where="planned", mend="plan fewer, or ask for more payments")


def _made(
    everyday: Everyday, planned: Planned, planned_us: Int64Array, file: PaymentsFile, threads: int, chunk_rows: int
) -> Iterator[tuple[Piece, Any, Int64Array]]:
    """Encoded chunks in their order; while one is written the threads make the next ones, and no more than these."""

    def make(piece: Piece) -> tuple[Piece, Any, Int64Array]:
        chunk = woven(everyday, planned, planned_us, piece)
        return piece, file.encode(chunk), chunk.planned_rows

    waiting: deque[Future[tuple[Piece, Any, Int64Array]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="payments") as pool:
        try:
            for piece in pieces(everyday, planned_us, chunk_rows):
                waiting.append(pool.submit(make, piece))
                if len(waiting) > threads + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
