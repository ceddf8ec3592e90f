"""Where a run keeps its feature rows while it goes on, and what becomes of those of runs that were killed."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from greywater.app.experiment_log import FitLog
from greywater.app.wiring import Project
from greywater.errors import StoreError, StoreLockedError
from greywater.stores.durable import store_errors
from greywater.stores.lock import WriterLock

__all__ = ["Workplace", "open_workplace"]

#: Held for as long as a run works in its folder; the kernel drops it however the run ends.
RUN_LOCK: Final = "run.lock"
#: Held while a run begins, so that none takes the folder of another, just made, for a leftover.
BEGIN_LOCK: Final = "runs.lock"
#: Seconds to wait for runs that begin at the same moment: they may be removing gigabytes.
PATIENCE: Final = 60.0

log = logging.getLogger("greywater.run")


class Workplace:
    """The folder of one run; what `summary` and `fit` hold at the end is written with the run's record.

    Parameters
    ----------
    run_id : str
    folder : Path
    fit : FitLog
        For a run that fits: takes its steps, measures and files.
    """

    def __init__(self, run_id: str, folder: Path, fit: FitLog) -> None:
        self.run_id = run_id
        self.folder = folder
        self.fit = fit
        self.summary: dict[str, Any] = {}

    def told(self) -> dict[str, Any]:
        """What the run's record says at its end."""
        return {**self.fit.summary(), **self.summary}


@contextmanager
def open_workplace(
    project: Project, command: str, *, parameters: Mapping[str, Any], versions: Mapping[str, Any]
) -> Iterator[Workplace]:
    """Write that a run begins, give it a folder, and at the end remove the folder and write how it ended.

    Runs that are over without having said so (killed, or the machine went down) are written down as failed, and
    their folders are removed. A run that is alive holds a lock in its folder and is left alone, so several
    may go on at once.

    Parameters
    ----------
    project : Project
        Where.
    command : str
        What runs.
    parameters, versions : mapping
        Written with the run's record.

    Yields
    ------
    Workplace

    Raises
    ------
    StoreError
        The project's folder cannot be written.
    """
    features = project.folder / "features"
    with WriterLock(project.folder, wait_seconds=PATIENCE, name=BEGIN_LOCK):
        _clear(project, features, command)
        run_id = project.records.start_run(project.actor, command, parameters=parameters, versions=versions)
        alive = WriterLock(features / run_id, name=RUN_LOCK)
        alive.acquire()
    place = Workplace(run_id, features / run_id, FitLog(project, run_id))
    try:
        try:
            yield place
        except BaseException as error:
            with suppress(StoreError):  # what stopped the run is what the person must hear
                place.fit.flush()
                outcome = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
                project.records.finish_run(run_id, outcome, place.told() | {"error": type(error).__name__})
            raise
        place.fit.flush()
        project.records.finish_run(run_id, "done", place.told())
    finally:
        shutil.rmtree(place.folder, ignore_errors=True)
        alive.release()


def _clear(project: Project, features: Path, command: str) -> None:
    """Remove the folders of runs that are not alive, and write these down as failed."""
    unfinished = {run.id for run in project.records.runs() if run.command == command and run.finished_at is None}
    with store_errors(features, "look for what a killed run left"):
        folders = [path for path in features.iterdir() if path.is_dir()] if features.is_dir() else []
    for folder in folders:
        try:
            with WriterLock(folder, name=RUN_LOCK):
                shutil.rmtree(folder, ignore_errors=True)
        except StoreLockedError:
            unfinished.discard(folder.name)
    for run_id in sorted(unfinished):
        log.info("run ended without a word", extra={"run": run_id})
        with suppress(StoreError):  # it may have ended well since the records were read
            project.records.finish_run(run_id, "failed", {"error": "the process ended before the run did"})
