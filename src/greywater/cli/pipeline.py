"""`greywater pipeline run|check|export`: steps of a file, run where they are not finished, given to Airflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from greywater.cli.options import Json, Project, Store
from greywater.cli.output import require_writable, show_rows, show_warnings, write_json
from greywater.cli.progress import Shown

if TYPE_CHECKING:
    from greywater.app.pipeline_file import Pipeline
    from greywater.app.pipelines import StepResult
    from greywater.config import Settings

__all__ = ["check", "export", "run"]

File = Annotated[Path, typer.Argument(metavar="FILE", readable=False, help="TOML file that declares the pipeline.")]
From = Annotated[
    str | None, typer.Option("--from", metavar="STEP", help="Run this step and all behind it again, finished or not.")
]
Only = Annotated[str | None, typer.Option("--only", metavar="STEP", help="Run this step alone, if it is not finished.")]
#: What a state is called in the table.
STATES: Final = {"done": "done", "stands": "stands", "failed": "FAILED", "run": "would run", "left out": "left out"}


def run(
    file: File, begin: From = None, only: Only = None, store: Store = None, project: Project = None, json: Json = None
) -> None:
    """Run the steps of a pipeline that are not finished with the inputs that they have now.

    Stopped or killed, the same command goes on with the step in which that happened. A step whose table, files,
    settings or payments changed runs again, and so do all behind it.

    Examples

        greywater pipeline run monthly.toml --store ./bank

        greywater pipeline run monthly.toml --from train

        greywater pipeline run monthly.toml --only backfill --json -
    """
    from greywater.app.pipelines import PipelineRequest, run_pipeline
    from greywater.vocab import Actor

    request = PipelineRequest(begin, only)
    pipeline, settings = _read(file, store, project)
    require_writable(None if json in (None, "-") else Path(str(json)), "the JSON")
    found: list[StepResult] = []
    try:
        with Shown() as progress:
            run_pipeline(Actor(project=settings.project), settings, pipeline, request, progress, found.append)
    finally:  # what was done is told, whatever stopped the rest
        if found:
            _show(f"Pipeline {pipeline.name}", pipeline, found, json)


def check(
    file: File, begin: From = None, only: Only = None, store: Store = None, project: Project = None, json: Json = None
) -> None:
    """Read a pipeline's file, and show which of its steps would run now, and why. Nothing runs.

    Examples

        greywater pipeline check monthly.toml --store ./bank

        greywater pipeline check monthly.toml --from train --json -
    """
    from greywater.app.pipelines import PipelineRequest, check_pipeline
    from greywater.vocab import Actor

    request = PipelineRequest(begin, only)
    pipeline, settings = _read(file, store, project)
    found = check_pipeline(Actor(project=settings.project), settings, pipeline, request)
    _show(f"Pipeline {pipeline.name}, as it would run now", pipeline, found, json)


def export(
    file: File,
    airflow: Annotated[
        Path, typer.Option("--airflow", metavar="OUT.py", readable=False, help="Write a DAG of Apache Airflow here.")
    ],
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Write a pipeline as a DAG of Apache Airflow: a task a step, each `greywater pipeline run FILE --only STEP`.

    When it runs and how often a failed task is given again is what [schedule] says. --store and --project become part
    of each command; passwords and rights stay with Airflow's worker.

    Examples

        greywater pipeline export monthly.toml --airflow dags/monthly.py

        greywater pipeline export monthly.toml --airflow dags/monthly.py --store /bank --project retail
    """
    from greywater.app.airflow import export_to_airflow
    from greywater.vocab import Actor

    pipeline, settings = _read(file, store, project)
    require_writable(airflow, "the DAG")
    more = [] if store is None else ["--store", str(store.absolute())]
    more += [] if project is None else ["--project", project]
    export_to_airflow(Actor(project=settings.project), settings, pipeline, airflow, more)
    if json is not None:
        write_json({"pipeline": pipeline.name, "steps": list(pipeline.steps), "airflow": str(airflow)}, json)
    if json != "-":
        typer.echo(f"{airflow}: {len(pipeline.steps)} tasks, {pipeline.schedule.cron}.")


def _read(file: Path, store: Path | None, project: str | None) -> tuple[Pipeline, Settings]:
    from greywater.app.pipeline_file import read_pipeline
    from greywater.config import Settings

    pipeline = read_pipeline(file)
    return pipeline, pipeline.settled(Settings.from_environment(), store, project)


def _show(title: str, pipeline: Pipeline, found: Sequence[StepResult], json: str | None) -> None:
    if json is not None:
        write_json({"pipeline": pipeline.name, "steps": [one.to_json() for one in found]}, json)
    if json == "-":
        return
    rows = [
        (one.step, STATES[one.state], f"{one.seconds:.1f} s" if one.run_id else "", _said(one), one.why)
        for one in found
    ]  # fmt: skip
    show_rows(title, ("step", "state", "took", "what came of it", "why"), rows)
    show_warnings([f"{one.step}: {said}" for one in found for said in one.output.get("warnings", ())])


def _said(one: StepResult) -> str:
    """What a step left, in a few words."""
    tell = _TOLD.get(one.step)
    return tell(one.output) if one.output and tell is not None else ""


def _backfilled(output: dict[str, Any]) -> str:
    return f"{output['group']}@{output['version']}: {output['rows']:,} rows, {output['present']:,} payments were there"


def _validated(output: dict[str, Any]) -> str:
    broken = sum(1 for rule in output["rules"] if rule["rows"])
    return f"{output['rows']:,} rows, {len(output['rules'])} rules, {broken} broken, {len(output['drifted'])} drifted"


def _set_made(output: dict[str, Any]) -> str:
    return f"{output['name']}@{output['version']}: {output['rows']:,} rows"


def _trained(output: dict[str, Any]) -> str:
    test = output["test"] or {}
    told = f"{output['model']}: {output['detector']['kind']}"
    return f"{told}, average precision {_figure(test.get('average_precision'))}" if test else told


def _tuned(output: dict[str, Any]) -> str:
    default = _figure(output["default_score"])
    return f"{output['trials']} trials, validation {_figure(output['score'])} (the defaults: {default})"


def _proposed(output: dict[str, Any]) -> str:
    outcome = "promoted" if output["promoted"] else "meets the policy" if output["passed"] else "does not meet it"
    return f"proposal {output['proposal']} against {output['against'] or 'no champion'}: {outcome}"


def _evaluated(output: dict[str, Any]) -> str:
    span = output["intervals"].get("average_precision") or {}
    told = f"average precision {_figure(output['average_precision'])}"
    return f"{told} ({_figure(span.get('low'))} to {_figure(span.get('high'))})" if span else told


def _figure(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


_TOLD: Final[Mapping[str, Callable[[dict[str, Any]], str]]] = MappingProxyType(
    {
        "backfill": _backfilled, "validate": _validated, "training_set": _set_made, "tune": _tuned, "train": _trained,
        "evaluate": _evaluated, "propose": _proposed,
    }
)  # fmt: skip
