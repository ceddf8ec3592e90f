"""The use case that tunes a detector: features once, trials in processes of their own, the best kept in the project."""

from __future__ import annotations

import json
import multiprocessing
import os
import secrets
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from greywater.app.audit import audited
from greywater.app.ingest import Silent
from greywater.app.joining import project_features
from greywater.app.part_makers import PartContext, detector_of
from greywater.app.provenance import fit_settings, fit_versions
from greywater.app.replaying import FeatureRows, replay_project
from greywater.app.trial_slices import facts_of, keep_slices, refuse_unlabelled
from greywater.app.trial_worker import TrialTask, make_trials
from greywater.app.tuned import Tuned, checked_name, write_tuned
from greywater.app.wiring import Project, open_project
from greywater.app.workplace import open_workplace
from greywater.config import Settings
from greywater.detectors.saved import plain
from greywater.detectors.search_space import SearchSpace, Value
from greywater.detectors.tunable import default_parameters, search_space_of
from greywater.detectors.tuning import StudyPlan, Tally, TrialRecord, Tuning
from greywater.detectors.tuning_methods import make_pruner, make_sampler
from greywater.detectors.tuning_storage import try_database
from greywater.errors import DetectorError, UsageError
from greywater.stores.durable import store_errors
from greywater.vocab import Actor, Progress

__all__ = ["StudyFound", "TuneRequest", "tune"]

#: Folder of a project, with one folder a study that is not shared.
STUDIES: Final = "studies"
#: Seconds between two looks at how far the workers are, and between two notes of what was spent.
LOOK: Final = 0.2
NOTE: Final = 5.0


@dataclass(frozen=True)
class TuneRequest:
    """What to tune, how, and for how long.

    Parameters
    ----------
    name : str, optional
        Of the study; that of the detector where left out. One that is there goes on.
    trials : int, optional
        Trials of the whole study; 40 where there is no other budget.
    minutes : float, optional
        Of this session.
    money, per_hour : float, optional
        What the study may cost, and what an hour of this machine does; other sessions' hours count at their own price.
    sampler, pruner : str
        By name (greywater.detectors.tuning_methods).
    workers : int, optional
        Processes; one a GPU where left out and there are several, else one.
    shared : str, optional
        `postgresql://USER@HOST:PORT/DATABASE`: several machines, each with the same project, work on one study.
    space : Path, optional
        JSON file of a search space of one's own.
    heartbeat : float
        Seconds between two signs of life in a shared study; one without three of them is taken for dead.
    """

    name: str | None = None
    trials: int | None = None
    minutes: float | None = None
    money: float | None = None
    per_hour: float | None = None
    sampler: str = "tpe"
    pruner: str = "asha"
    workers: int | None = None
    shared: str | None = None
    space: Path | None = None
    heartbeat: float = 30.0

    def __post_init__(self) -> None:
        for name in ("trials", "minutes", "money", "per_hour", "workers", "heartbeat"):
            given = getattr(self, name)
            if given is not None and not 0 < given < float("inf"):
                raise UsageError(
                    f"{given} cannot be used", where=f"--{name.replace('_', '-')}", mend="give a number above 0"
                )
        if (self.money is None) != (self.per_hour is None):
            raise UsageError(
                "a budget of money needs a price", where="--money, --per-hour", mend="give both, in one currency"
            )

    @property
    def most_trials(self) -> int | None:
        """Trials of the study; None where time or money alone ends it."""
        timed = self.minutes is not None or self.money is not None
        return self.trials if self.trials is not None or timed else 40


@dataclass(frozen=True)
class StudyFound:
    """What a study has found so far.

    `seconds` are of this session; `spent` is what all sessions cost, by their prices, None where there is none.
    """

    tuned: Tuned
    kept: Path
    trials: tuple[TrialRecord, ...]
    tally: Tally
    workers: int
    seconds: float
    spent: float | None

    def to_json(self) -> dict[str, Any]:
        """The result of `greywater tune --json`; docs/cli.md describes it."""
        found: dict[str, Any] = plain(
            {
                **self.tuned.to_json(),
                "tally": asdict(self.tally),
                "workers": self.workers,
                "seconds": self.seconds,
                "spent": self.spent,
                "runs": [asdict(record) for record in self.trials],
            }
        )
        return found


def tune(actor: Actor, settings: Settings, request: TuneRequest, progress: Progress | None = None) -> StudyFound:
    """Tune the detector that the settings name, on the first 60 % of the payments, judged on the next 20 %.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `train`.
    settings : Settings
        Store, project, features, detector, seed.
    request : TuneRequest
    progress : Progress, optional

    Raises
    ------
    AccessDeniedError
        The actor may not.
    UsageError
        There is no such sampler or pruner, or the budget makes no sense.
    EmptyInputError
        There are no labels to judge by.
    DetectorError
        The study was made on other data, or no trial was completed.
    """
    told = progress or Silent()
    space = _space(settings.detector, request.space)
    name = checked_name(request.name or settings.detector)
    with (
        audited(settings, actor, "train", f"study {name}") as detail,
        open_project(settings, actor) as project,
        open_workplace(
            project, "tune", parameters=_parameters(settings, request, name), versions=fit_versions(project)
        ) as place,
    ):
        refuse_unlabelled(project)
        _refuse_methods(request, space)
        made = replay_project(project, project_features(project), place.folder, told)
        split = keep_slices(made, place.folder)
        plan = StudyPlan(
            name,
            request.shared or project.folder / STUDIES / name,
            space,
            sampler=request.sampler,
            pruner=request.pruner,
            trials=request.most_trials,
            seed=settings.seed,
            first=_defaults(settings, space, made),
            facts=facts_of(made, split, project.ledger.next_seq),
            heartbeat=request.heartbeat,
        )
        session = _Session(plan, settings, request, place.folder, place.run_id, told)
        found = session.run(project, fit_versions(project))
        place.summary.update(study=name, trials=found.tally.ended, best=found.tuned.score)
        detail.update(study=name, trials=found.tally.ended)
    return found


class _Session:
    """Workers on one study, watched until the budget is spent."""

    def __init__(
        self, plan: StudyPlan, settings: Settings, request: TuneRequest, folder: Path, run_id: str, progress: Progress
    ) -> None:
        self._plan, self._request, self._folder, self._progress = plan, request, folder, progress
        self._devices = _devices() if settings.detector.startswith("adversarial") else []
        self._workers = request.workers or max(1, len(self._devices))
        self._settings = settings.with_(threads=max(1, settings.worker_threads // self._workers))
        self._run_id = run_id
        self._session = f"{run_id}-{secrets.token_hex(3)}"
        self._begun = time.monotonic()
        self._noted = -NOTE
        self._spent = 0.0
        # Opened before any worker: tables are made once, and what cannot be opened is said at once.
        self._tuning = Tuning(plan, self._session)

    def run(self, project: Project, versions: Mapping[str, Any]) -> StudyFound:
        """Start the workers, wait, and keep the best."""
        context = multiprocessing.get_context("spawn")
        stop, failures = context.Event(), context.SimpleQueue()
        tasks = [self._task(number, project.actor, versions) for number in range(self._workers)]
        # Ended with this process; what they had under way is given again when the study goes on.
        workers = {
            task.worker: context.Process(target=make_trials, args=(task, stop, failures), daemon=True) for task in tasks
        }
        for worker in workers.values():
            worker.start()
        try:
            self._watch(workers, stop)
        finally:
            for worker in workers.values():
                if worker.is_alive():
                    worker.terminate()
                worker.join()
        self._note_cost()
        tally = self._tuning.tally()
        complete = self._plan.trials is None or tally.ended >= self._plan.trials or stop.is_set()
        if not complete or not tally.complete:
            _refuse_unfinished(self._tuning, [] if failures.empty() else [failures.get()], workers)
        return self._found(project, tally)

    def _task(self, number: int, actor: Actor, versions: Mapping[str, Any]) -> TrialTask:
        environment = {}
        if len(self._devices) > 1:
            environment["CUDA_VISIBLE_DEVICES"] = self._devices[number % len(self._devices)]
        # Workers that draw alike would try the same; on other machines they have the same numbers.
        elsewhere = secrets.randbelow(1_000_000) if self._request.shared is not None else 0
        plan = replace(self._plan, seed=self._plan.seed + number + elsewhere)
        return TrialTask(
            plan, self._settings, self._folder, f"{self._session}-{number}", os.getpid(), actor, self._run_id,
            versions, environment,
        )  # fmt: skip

    def _watch(self, workers: dict[str, Any], stop: Any) -> None:
        """Until no worker lives; those that were killed leave their trial to the others."""
        seen, dead = self._tuning.tally().ended, set[str]()
        self._progress.step(f"tuning {self._plan.space.detector}", self._plan.trials)
        self._progress.advance(seen)
        while any(worker.is_alive() for worker in workers.values()):
            next(worker for worker in workers.values() if worker.is_alive()).join(LOOK)
            if not stop.is_set() and not self._affordable():
                stop.set()
            for name, worker in workers.items():
                if worker.exitcode not in (None, 0) and name not in dead:
                    dead.add(name)
                    self._tuning.release(name)
                    self._progress.say("a worker ended before its time; its trial is given again")
            now = self._tuning.tally().ended
            self._progress.advance(now - seen)
            seen = now

    def _affordable(self) -> bool:
        """Whether there is time and money left; what this session cost is noted every few seconds."""
        gone = time.monotonic() - self._begun
        if self._request.minutes is not None and gone >= 60 * self._request.minutes:
            return False
        if self._request.money is not None and gone - self._noted >= NOTE:
            self._note_cost()
        return self._request.money is None or self._spent < self._request.money

    def _note_cost(self) -> None:
        if self._request.per_hour is None:
            return
        self._noted = time.monotonic() - self._begun
        self._tuning.note(f"cost {self._session}", self._noted / 3_600 * self._request.per_hour)
        self._spent = sum(float(cost) for name, cost in self._tuning.notes().items() if name.startswith("cost "))

    def _found(self, project: Project, tally: Tally) -> StudyFound:
        best, records = self._tuning.best(), tuple(self._tuning.trials())
        defaults = [each for each in records if each.state == "complete" and each.parameters == self._plan.first]
        tuned = Tuned(
            self._plan.name,
            self._plan.space.detector,
            best.parameters,
            float(best.score or 0.0),
            defaults[0].score if defaults else None,
            best.number,
            tally.ended,
            self._plan.space,
            dict(self._plan.facts),
        )
        seconds = time.monotonic() - self._begun
        spent = self._spent if self._request.per_hour is not None else None
        kept = write_tuned(project.folder, tuned)
        return StudyFound(tuned, kept, records, tally, self._workers, seconds, spent)


def _refuse_unfinished(tuning: Tuning, failures: list[str], workers: dict[str, Any]) -> None:
    killed = any((worker.exitcode or 0) < 0 for worker in workers.values())
    why = failures[0] if failures else "every worker was killed" if killed else ""
    if not why:
        tuning.best()  # says that nothing was completed, and why
    raise DetectorError(
        f"the study {tuning.plan.name!r} was not finished: {why}",
        where="tuning",
        mend="mend what is said; the same command goes on where it stopped",
    )


def _refuse_methods(request: TuneRequest, space: SearchSpace) -> None:
    """Say what cannot be used before features are worked out, which may take an hour."""
    make_sampler(request.sampler, space, 0)
    make_pruner(request.pruner, space.first_rung)
    if request.shared is not None:
        try_database(request.shared)


def _space(detector: str, path: Path | None) -> SearchSpace:
    if path is None:
        return search_space_of(detector)
    with store_errors(path, "read the search space"):
        content = path.read_bytes()
    try:
        space = SearchSpace.from_json(json.loads(content.decode("utf-8")))
    except ValueError as error:
        raise UsageError(f"this is no JSON: {error}", where=str(path), mend="see docs/tuning.md") from error
    if space.detector != detector:
        raise UsageError(
            f"the space is of {space.detector!r}, and {detector!r} is tuned", where=str(path), mend="give its own space"
        )
    return space


def _defaults(settings: Settings, space: SearchSpace, made: FeatureRows) -> dict[str, Value]:
    """The defaults of what is tuned, where the space holds them all; a space of other names is refused here."""
    known = default_parameters(settings.detector)
    context = PartContext(settings, made.blocks.names)
    detector_of(context, {name: known[name] for name in space.dimensions if name in known})
    unknown = [name for name in space.dimensions if name not in known]
    if unknown:
        raise UsageError(
            f"{settings.detector} has no parameter {unknown[0]!r}",
            where="--space",
            mend=f"there are {', '.join(known)}",
        )
    first = {name: known[name] for name in space.dimensions}
    return first if all(space.holds(name, value) for name, value in first.items()) else {}


def _parameters(settings: Settings, request: TuneRequest, name: str) -> dict[str, Any]:
    """What is written with the run; a password in a URL is not."""
    asked: Mapping[str, Any] = {one.name: getattr(request, one.name) for one in fields(request)}
    shared = None if request.shared is None else request.shared.rpartition("@")[2]
    space = None if request.space is None else str(request.space)
    return {**fit_settings(settings), **asked, "name": name, "shared": shared, "space": space}


def _devices() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [each.strip() for each in named.split(",") if each.strip()]
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [str(place) for place, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]
