"""One process that makes trials of a study: started by the use case, told what to do by files and names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from greywater.app.experiment_log import open_fit_run
from greywater.app.part_makers import PartContext, detector_of
from greywater.app.provenance import fit_settings
from greywater.app.trial_slices import TrialSlices, read_slices
from greywater.app.wiring import Project, open_project
from greywater.config import Settings
from greywater.detectors.metrics import average_precision
from greywater.detectors.search_space import Value
from greywater.detectors.steps import StepTold, Stepwise
from greywater.detectors.tuning import Evaluate, StudyPlan, TrialEndedError, Tuning
from greywater.errors import DetectorError, GreywaterError
from greywater.vocab import Actor

__all__ = ["TrialTask", "judge", "make_trials", "written_down"]


@dataclass(frozen=True)
class TrialTask:
    """What one worker is to do.

    Parameters
    ----------
    plan : StudyPlan
    settings : Settings
        Among them the detector, the seed and the threads of this worker.
    folder : Path
        Holds the slices.
    worker : str
        Its name.
    parent : int
        Process that started it; it ends when that one does.
    actor : Actor
        For whom the trials are written down, as parts of the run `run`, with `versions`.
    environment : mapping
        Variables it sets before anything looks at them: the GPU that is its own.
    """

    plan: StudyPlan
    settings: Settings
    folder: Path
    worker: str
    parent: int
    actor: Actor
    run: str
    versions: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)


def make_trials(task: TrialTask, stop: Any, failures: Any) -> None:
    """Make trials until the budget is spent or `stop` (an event) is set; what stopped it goes into `failures`.

    The target of a spawned process.
    """
    os.environ.update(task.environment)
    try:
        evaluate = judge(task.settings, read_slices(task.folder))
        with open_project(task.settings, task.actor) as project:
            Tuning(task.plan, task.worker).work(
                written_down(evaluate, project, task),
                going=lambda: not stop.is_set(),
                alive=lambda: os.getppid() == task.parent,
            )
    except KeyboardInterrupt:
        raise SystemExit(1) from None
    except GreywaterError as error:
        failures.put(str(error))
        raise SystemExit(1) from None
    except Exception as error:
        failures.put(f"{type(error).__name__}: {error}")
        raise


def written_down(evaluate: Evaluate, project: Project, task: TrialTask) -> Evaluate:
    """The same, with each trial a run of its own in the records."""

    def recorded(parameters: Mapping[str, Value], told: StepTold) -> float:
        given = {**fit_settings(task.settings), "tuned": {"study": task.plan.name, "parameters": dict(parameters)}}
        ended: TrialEndedError | None = None
        with open_fit_run(
            project, "trial", given, versions=task.versions, parent=task.run, tags=(f"study {task.plan.name}",)
        ) as fit:

            def both(step: int, measures: Mapping[str, float]) -> bool:
                return fit.step(step, measures) and told(step, measures)

            try:
                found = evaluate(parameters, both)
                fit.metric("validation.average_precision", found)
            except TrialEndedError as error:
                ended = error
                fit.stop()
        if ended is not None:
            raise ended
        return found

    return recorded


def judge(settings: Settings, slices: TrialSlices) -> Evaluate:
    """What a trial is: the detector of the settings with some parameters, fitted, and its average precision later on.

    Parameters
    ----------
    settings : Settings
    slices : TrialSlices

    Returns
    -------
    callable
    """
    context = PartContext(settings, slices.X.names, slices.words)

    def evaluate(parameters: Mapping[str, Value], told: StepTold) -> float:
        detector = detector_of(context, parameters)
        if isinstance(detector, Stepwise):
            detector.on_step(told)
        detector.fit(slices.X, slices.y, slices.time_us, validation=slices.validation)
        found = average_precision(slices.validation.y, detector.score(slices.validation.X))
        if found is None:
            raise DetectorError("average precision is not defined without laundering", where="validation slice")
        return found

    return evaluate
