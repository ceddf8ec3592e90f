"""The use cases of pipelines: run one, go on where it stopped, and say what would run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from greywater.access.policy import require
from greywater.app.audit import audited
from greywater.app.ingest import Silent
from greywater.app.pipeline_file import Pipeline, file_digests
from greywater.app.pipeline_records import (
    StepInputs,
    StepRecord,
    begin_step,
    data_state,
    end_abandoned,
    end_step,
    steps_done,
)
from greywater.app.pipeline_steps import WORK, StepPlace, refuse_unfit
from greywater.app.pipeline_tables import EvaluateTable
from greywater.app.wiring import open_project
from greywater.config import Settings
from greywater.detectors.saved import plain
from greywater.errors import GreywaterError, StoreError, StoreLockedError, UsageError
from greywater.stores.lock import WriterLock
from greywater.vocab import Actor, Progress

__all__ = ["PipelineRequest", "StepResult", "check_pipeline", "run_pipeline"]

#: Folder of a project with the locks of its pipelines and what they leave.
PIPELINES: Final = "pipelines"
Decision = Literal["run", "stands", "left out"]


@dataclass(frozen=True)
class PipelineRequest:
    """From which step on everything runs again, or the only step that may run; None = go on where it stopped."""

    begin: str | None = None
    only: str | None = None

    def __post_init__(self) -> None:
        if self.begin is not None and self.only is not None:
            raise UsageError("--from and --only are both given", where="greywater pipeline", mend="give one of them")


@dataclass(frozen=True)
class StepResult:
    """What became of a step, or would.

    Parameters
    ----------
    step : str
    state : {"done", "stands", "failed", "run", "left out"}
        `stands`: it finished earlier with the same inputs; `run`: it would run now.
    why : str
        Why it runs or does not.
    run_id : str
        Of its record; "" where there is none.
    seconds : float
    output : dict
        In JSON types.
    """

    step: str
    state: Literal["done", "stands", "failed", "run", "left out"]
    why: str
    run_id: str = ""
    seconds: float = 0.0
    output: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As `steps` in `greywater pipeline run --json`."""
        return {
            "step": self.step, "state": self.state, "why": self.why, "run": self.run_id or None,
            "seconds": round(self.seconds, 3), "output": self.output,
        }  # fmt: skip


def run_pipeline(
    actor: Actor,
    settings: Settings,
    pipeline: Pipeline,
    request: PipelineRequest | None = None,
    progress: Progress | None = None,
    told: Callable[[StepResult], None] | None = None,
) -> tuple[StepResult, ...]:
    """Run the steps of a pipeline that are not finished with the inputs that they have now.

    Each step leaves a record of what it rested on. A step whose last finished record rests on the same (its table in
    the file, the files it reads, settings, payments and other records, code, and the record of the step before) stands;
    the first that does not runs, and all behind it. So a pipeline that was stopped or killed goes on with the step in
    which that happened.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `run`, and to do what every step needs.
    settings : Settings
        As `Pipeline.settled` gives them.
    pipeline : Pipeline
    request : PipelineRequest, optional
    progress : Progress, optional
    told : callable, optional
        Told of each step when it is over, the failed one too.

    Returns
    -------
    tuple of StepResult
        One a step, in order.

    Raises
    ------
    AccessDeniedError
        The actor may not do what a step needs; nothing has run.
    StoreLockedError
        The pipeline runs already; the message names who runs it.
    UsageError
        A table does not fit the project, or a step before the one asked for has not finished.
    GreywaterError
        Whatever stopped a step, with the step's name in its place.
    """
    walk = _Walk(actor, settings, pipeline, request or PipelineRequest(), progress or Silent())
    with audited(settings, actor, "run", f"pipeline {pipeline.name}") as detail:
        _require_all(actor, settings, pipeline)
        with open_project(settings, actor) as project:
            refuse_unfit(project, pipeline, settings)
        with _alone(settings, pipeline):
            with open_project(settings, actor) as project:
                end_abandoned(project.records, pipeline.name)
            found = []
            for step in pipeline.steps:
                result = walk.go(step, told or _nobody)
                detail[step] = result.state
                found.append(result)
    return tuple(found)


def check_pipeline(
    actor: Actor, settings: Settings, pipeline: Pipeline, request: PipelineRequest | None = None
) -> tuple[StepResult, ...]:
    """Say which steps would run now, and why; nothing runs and nothing is written but the audit.

    Parameters and errors as of `run_pipeline`; the actor must be allowed to `read_records`.
    """
    walk = _Walk(actor, settings, pipeline, request or PipelineRequest(), Silent())
    with audited(settings, actor, "read_records", f"pipeline {pipeline.name}"):
        with open_project(settings, actor) as project:
            refuse_unfit(project, pipeline, settings)
        return tuple(walk.look(step) for step in pipeline.steps)


def _require_all(actor: Actor, settings: Settings, pipeline: Pipeline) -> None:
    for step, table in pipeline.steps.items():
        for action in WORK[step].actions:
            require(actor, action)
        if isinstance(table, EvaluateTable) and (table.card or table.report):
            require(actor, "export")
        if step == "propose" and settings.promotion_automatic:
            require(actor, "promote_models")


@contextmanager
def _alone(settings: Settings, pipeline: Pipeline) -> Iterator[None]:
    """One run of a pipeline at a time in a project; a killed one frees the way by itself."""
    lock = WriterLock(settings.project_folder / PIPELINES, name=f"{pipeline.name}.lock")
    try:
        lock.acquire()
    except StoreLockedError as error:
        first = error.found.removesuffix(" is writing here")
        raise StoreLockedError(
            f"the pipeline {pipeline.name!r} runs already: {first}", where=error.where, mend=error.mend
        ) from None
    try:
        yield
    finally:
        lock.release()


class _Walk:
    """One walk along the steps of a pipeline, to run them or to say which would run."""

    def __init__(
        self, actor: Actor, settings: Settings, pipeline: Pipeline, request: PipelineRequest, progress: Progress
    ) -> None:
        self._actor, self._settings, self._pipeline = actor, settings, pipeline
        self._progress = progress
        self._names = list(pipeline.steps)
        self._begin = None if request.begin is None else pipeline.step(request.begin, "--from")
        self._only = None if request.only is None else pipeline.step(request.only, "--only")
        self._again = False  # whether a step ran, so that all behind it do
        self._before = ""
        self._outputs: dict[str, dict[str, Any]] = {}

    def look(self, step: str) -> StepResult:
        """What would become of a step."""
        decision, why, last, _ = self._decide(step)
        if decision == "run":
            self._again = True
            return StepResult(step, "run", why)
        if decision == "stands" and last is not None:
            self._keep(step, last)
            return StepResult(step, "stands", why, last.id, last.seconds, last.output)
        return StepResult(step, "left out", why)

    def go(self, step: str, told: Callable[[StepResult], None]) -> StepResult:
        """Run a step, unless it stands."""
        decision, why, last, inputs = self._decide(step)
        if decision == "run":
            result = self._run(step, why, inputs, told)
            self._again = True
            self._before = result.run_id
            self._outputs[step] = result.output
        elif decision == "stands" and last is not None:
            self._keep(step, last)
            result = StepResult(step, "stands", why, last.id, last.seconds, last.output)
        else:
            result = StepResult(step, "left out", why)
        told(result)
        return result

    def _keep(self, step: str, last: StepRecord) -> None:
        self._before = last.id
        self._outputs[step] = last.output

    def _decide(self, step: str) -> tuple[Decision, str, StepRecord | None, StepInputs]:
        table, place = self._pipeline.steps[step], self._names.index(step)
        with open_project(self._settings, self._actor) as project:
            last = steps_done(project.records, self._pipeline.name).get(step)
            data = data_state(project)
        files = file_digests(self._pipeline, table)
        inputs = StepInputs.of(step, table.parameters(), files, self._settings, data, self._before)
        if self._only is not None and place > self._names.index(self._only):
            return "left out", f"only {self._only} is asked for", last, inputs
        earlier = self._only is not None and place < self._names.index(self._only)
        why = self._why(step, last, inputs, whatever_data=earlier)
        if earlier or (self._begin is not None and place < self._names.index(self._begin)):
            if why:
                self._refuse(step, why)
            return "stands", _finished(last), last, inputs
        if self._again:
            return "run", "a step before it runs", last, inputs
        if self._begin is not None:
            return "run", f"asked for from {self._begin} on", last, inputs
        return ("run", why, last, inputs) if why else ("stands", _finished(last), last, inputs)

    def _why(self, step: str, last: StepRecord | None, inputs: StepInputs, *, whatever_data: bool) -> str:
        """Why a step cannot stand as it was; "" = it can."""
        if last is None:
            return "it has not finished yet"
        # On its own a step takes what an earlier one left, though payments may have come since.
        was = {**last.inputs, "data": dict(inputs.data)} if whatever_data else last.inputs
        changed = inputs.differs(was)
        if changed:
            return changed
        return "" if WORK[step].stands(self._settings, last.output) else "what it made is no longer there"

    def _refuse(self, step: str, why: str) -> None:
        asked = self._begin or self._only
        raise UsageError(
            f"{asked} cannot run alone: {step} does not stand: {why}",
            where="--from" if self._begin else "--only",
            mend=f"give --from {step}, or neither: then everything runs that must",
        )

    def _run(self, step: str, why: str, inputs: StepInputs, told: Callable[[StepResult], None]) -> StepResult:
        number, count = self._names.index(step) + 1, len(self._names)
        self._progress.say(f"step {number} of {count}: {step} ({why})")
        with open_project(self._settings, self._actor) as project:
            run_id = begin_step(project.records, self._actor, self._pipeline.name, inputs)
        place = StepPlace(
            self._actor, self._settings, self._pipeline, dict(self._outputs), inputs.fingerprint, self._progress
        )
        try:
            output: dict[str, Any] = plain(WORK[step].run(place, self._pipeline.steps[step]))
        except BaseException as error:
            said = _said(error)
            with suppress(StoreError):  # what stopped the step is what the person must hear
                self._end(run_id, "failed", {"error": said})
            told(StepResult(step, "failed", said, run_id))
            if isinstance(error, GreywaterError):
                raise _placed(error, step) from error
            raise
        record = self._end(run_id, "done", {"output": output})
        return StepResult(step, "done", why, run_id, record, output)

    def _end(self, run_id: str, outcome: str, summary: dict[str, Any]) -> float:
        with open_project(self._settings, self._actor) as project:
            end_step(project.records, run_id, outcome, summary)
            one = project.records.run(run_id)
        return 0.0 if one.finished_at is None else (one.finished_at - one.started_at).total_seconds()


def _said(error: BaseException) -> str:
    if isinstance(error, GreywaterError):
        return error.found
    return "stopped on request" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"


def _placed(error: GreywaterError, step: str) -> GreywaterError:
    """The same error, with the step in its place."""
    return type(error)(error.found, where=f"step {step}{f', {error.where}' if error.where else ''}", mend=error.mend)


def _finished(last: StepRecord | None) -> str:
    when = None if last is None else last.finished_at
    return "" if when is None else f"finished {when:%Y-%m-%d %H:%M} with the same inputs"


def _nobody(result: StepResult) -> None:
    """Who is told where nobody asked."""
