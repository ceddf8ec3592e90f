"""Writes down a fit while it goes on: what it was given, how it did step by step, how it ended, what it left."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from greywater.app.provenance import fit_versions
from greywater.app.wiring import Project
from greywater.detectors.saved import plain
from greywater.detectors.steps import StepTold
from greywater.errors import GreywaterError, StoreError, StoreLockedError
from greywater.stores.durable import make_folder, store_errors, write_file_durably
from greywater.stores.lock import WriterLock
from greywater.stores.run_log import ArtefactRecord, RunLog, StepRecord

__all__ = ["EXPERIMENTS", "FitLog", "open_fit_run"]

#: Folder of a project for what fits leave beside their model.
EXPERIMENTS: Final = "experiments"
#: Held while a fit goes on; the kernel drops it however the fit ends.
ALIVE: Final = "run.lock"
#: Seconds between two commits of measures, so that a run can be watched and costs nothing.
PAUSE: Final = 1.0


class FitLog:
    """What one fit leaves in the records.

    Parameters
    ----------
    project : Project
        Where.
    run_id : str
        Of a run that has begun.
    """

    def __init__(self, project: Project, run_id: str) -> None:
        self.run_id = run_id
        #: Where its files are: `<project>/experiments/RUN`.
        self.folder = project.folder / EXPERIMENTS / run_id
        #: Ended before its time, as a trial that was not worth more.
        self.stopped = False
        self._home = project.folder
        self._log = RunLog(project.records.database)
        self._waiting: list[StepRecord] = []
        self._written = time.monotonic()
        self._last: dict[str, int] = {}
        self._again: dict[str, int] = {}
        self._metrics: dict[str, float | None] = {}
        self._facts: dict[str, Any] = {}

    def step(self, step: int, measures: Mapping[str, float], series: str = "") -> bool:
        """Note what was measured after a step; always True, so that it can be told by a detector (`Stepwise`).

        A step that is not later than the one before begins the series anew, under a name of its own.
        """
        if step <= self._last.get(series, 0):
            self._again[series] = self._again.get(series, 1) + 1
        self._last[series] = step
        times = self._again.get(series, 1)
        called = series if times == 1 else f"{series} {times}".strip()
        at_us = time.time_ns() // 1000
        for name, value in measures.items():
            self._waiting.append(StepRecord(self.run_id, called, name, step, float(value), at_us))
        if time.monotonic() - self._written >= PAUSE:
            self.flush()
        return True

    def series(self, name: str) -> StepTold:
        """What a part of a detector tells its steps to."""
        return lambda step, measures: self.step(step, measures, name)

    def metric(self, name: str, value: float | None) -> None:
        """Note a final measure; what is not finite is not defined."""
        self._metrics[name] = None if value is None or not math.isfinite(value) else float(value)

    def metrics(self, measures: Mapping[str, Any], prefix: str = "") -> None:
        """Note the numbers among some measures, those inside of others by `outer.inner`."""
        for name, value in measures.items():
            if isinstance(value, Mapping):
                self.metrics(value, f"{prefix}{name}.")
            elif isinstance(value, (int, float)) and not isinstance(value, bool):
                self.metric(f"{prefix}{name}", value)

    def note(self, **facts: Any) -> None:
        """Note facts for the run's summary, in JSON types."""
        self._facts.update(plain(facts))

    def stop(self) -> None:
        """Say that the fit ended before its time: its state is then `stopped`."""
        self.stopped = True

    def artefact(self, name: str, content: bytes | str) -> Path:
        """Write a file into the run's folder, and its SHA-256 into the records.

        Raises
        ------
        StoreError
            It left a file of that name before, or the disk refuses.
        """
        octets = content.encode() if isinstance(content, str) else content
        path = self.folder / name
        make_folder(path.parent)
        write_file_durably(path, octets)
        self._log.add_artefacts([self._record(name, path, octets)])
        return path

    def keep(self, folder: Path, prefix: str = "model") -> None:
        """Note the SHA-256 of every file in a folder inside the project's, such as that of a saved model."""
        with store_errors(folder, "read what a fit left"):
            found = [
                self._record(f"{prefix}/{path.relative_to(folder).as_posix()}", path, path.read_bytes())
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            ]
        self._log.add_artefacts(found)

    def flush(self) -> None:
        """Write the measures that wait."""
        waiting, self._waiting = self._waiting, []
        self._written = time.monotonic()
        self._log.add_steps(waiting)

    def summary(self) -> dict[str, Any]:
        """What the run's record says at its end."""
        return {**self._facts, **({"metrics": dict(self._metrics)} if self._metrics else {})}

    def _record(self, name: str, path: Path, octets: bytes) -> ArtefactRecord:
        place = path.relative_to(self._home).as_posix()
        return ArtefactRecord(self.run_id, name, place, len(octets), hashlib.sha256(octets).hexdigest())


@contextmanager
def open_fit_run(
    project: Project,
    kind: str,
    parameters: Mapping[str, Any],
    *,
    versions: Mapping[str, Any] | None = None,
    parent: str | None = None,
    tags: Sequence[str] = (),
) -> Iterator[FitLog]:
    """Write down a fit as a run of its own, from its beginning to how it ended.

    Ends `done`, `stopped` (after `FitLog.stop`, or by Ctrl-C) or `failed`. Runs of the same kind whose process on this
    machine is gone are written down as failed when the next one begins.

    Parameters
    ----------
    project : Project
        Open for reading.
    kind : str
        What fits, such as `trial`: the run's command.
    parameters : mapping
        What it is given, in JSON types.
    versions : mapping, optional
        From `fit_versions`, which is asked where left out; give it where many fits share it.
    parent : str, optional
        Id of the run that it is a part of.
    tags : sequence of str
        For finding it again.

    Yields
    ------
    FitLog

    Examples
    --------
    A study's trial::

        with open_fit_run(project, "trial", {"learning_rate": 0.1}, versions=versions, parent=study) as fit:
            detector.on_step(fit.step).fit(X, y)
            fit.metric("score", best)
    """
    home = project.folder / EXPERIMENTS
    _bury(project, home, kind)
    made = fit_versions(project) if versions is None else versions
    run_id = project.records.start_run(project.actor, kind, parameters=plain(parameters), versions=made, parent=parent)
    alive = WriterLock(home / run_id, name=ALIVE)
    alive.acquire()
    log = FitLog(project, run_id)
    try:
        RunLog(project.records.database).tag(project.actor, run_id, tags)
        try:
            yield log
        except BaseException as error:
            with suppress(StoreError):  # what stopped the fit is what the person must hear
                log.flush()
                outcome = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
                project.records.finish_run(run_id, outcome, log.summary() | {"error": _said(error)})
            raise
        log.flush()
        project.records.finish_run(run_id, "stopped" if log.stopped else "done", log.summary())
    finally:
        with suppress(OSError):
            alive.path.unlink()
            log.folder.rmdir()  # only where it left nothing there
        alive.release()


def _said(error: BaseException) -> str:
    """What stopped a fit; the words of an error that is not of the tree may hold anything, and are left out."""
    name = type(error).__name__
    return f"{name}: {error.found}" if isinstance(error, GreywaterError) else name


def _bury(project: Project, home: Path, kind: str) -> None:
    """Write down as failed the runs of a kind that began here and whose process is gone."""
    unfinished = [run.id for run in project.records.runs() if run.command == kind and run.finished_at is None]
    for run_id in unfinished:
        if not (home / run_id / ALIVE).is_file():
            continue
        try:
            with WriterLock(home / run_id, name=ALIVE), suppress(StoreError):
                project.records.finish_run(run_id, "failed", {"error": "the process ended before the run did"})
            (home / run_id / ALIVE).unlink(missing_ok=True)
        except (StoreLockedError, OSError):
            continue
