"""Hands fits to MLflow (extra `[mlflow]`): parameters, measures by step, tags and files, a run a fit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from greywater.app.audit import audited
from greywater.app.experiment_book import Choice, Experiment, show_experiments
from greywater.config import Settings
from greywater.errors import ExtraMissingError, StoreError
from greywater.vocab import Actor

__all__ = ["MLFLOW_RUN_TAG", "export_mlflow"]

#: MLflow tag that holds the id of our run: what is there already is not written twice.
MLFLOW_RUN_TAG: Final = "greywater.run"
STATES: Final = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED", "running": "RUNNING"}
#: What MLflow takes in one call, and in one value.
MOST_METRICS: Final = 1000
MOST_PARAMETERS: Final = 100
LONGEST: Final = 5000


def export_mlflow(
    actor: Actor,
    settings: Settings,
    uri: str,
    runs: Sequence[str] = (),
    choice: Choice | None = None,
    *,
    experiment: str = "",
) -> dict[str, str]:
    """Write fits into an MLflow tracking store, each once.

    Parameters
    ----------
    actor : Actor
        Must be allowed to `read_records` and to `export`.
    settings : Settings
        Store and project.
    uri : str
        As MLflow has it: `sqlite:///FILE`, `file:FOLDER`, `https://...`. Beside a SQLite file the files of runs go to
        `mlartifacts`.
    runs : sequence of str
        Ids or beginnings of ids; those of `choice` where left out. Runs that go on are left out.
    choice : Choice, optional
    experiment : str
        MLflow's experiment; `greywater/PROJECT` where empty.

    Returns
    -------
    dict
        Our id -> MLflow's.

    Raises
    ------
    AccessDeniedError
        The actor may not.
    ExtraMissingError
        MLflow is not installed.
    StoreError
        MLflow refuses; its own words are among ours.
    """
    with audited(settings, actor, "export", "mlflow") as detail:
        found = show_experiments(actor, settings, runs, choice).experiments
        ended = [one for one in reversed(found) if one.state != "running"]
        detail["runs"] = len(ended)
        client, refused = _client(uri)
        try:
            place = _experiment(client, uri, experiment or f"greywater/{settings.project}")
            known: dict[str, str] = {}
            for one in ended:
                known[one.run.id] = _written(client, place, one) or _write(
                    client, place, one, settings.project_folder, known
                )
        except refused as error:
            raise StoreError(
                f"MLflow refuses: {str(error).partition(chr(10))[0]}", where="--mlflow", mend="check the tracking URI"
            ) from error
    return known


def _client(uri: str) -> tuple[Any, type[Exception]]:
    """A client, which sends nothing to anybody but the store that is named."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    if uri.startswith("file:") or "://" not in uri:  # MLflow asks those who want files to say so
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    try:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise ExtraMissingError("MLflow is not installed", mend="pip install 'greywater[mlflow]'") from None
    try:
        return MlflowClient(tracking_uri=uri), MlflowException
    except MlflowException as error:
        raise StoreError(
            f"MLflow cannot be reached: {str(error).partition(chr(10))[0]}", where="--mlflow", mend="check the URI"
        ) from error


def _experiment(client: Any, uri: str, name: str) -> str:
    held = client.get_experiment_by_name(name)
    if held is not None:
        return str(held.experiment_id)
    beside = None
    if uri.startswith("sqlite:///"):
        beside = (Path(uri.removeprefix("sqlite:///")).absolute().parent / "mlartifacts").as_uri()
    return str(client.create_experiment(name, artifact_location=beside))


def _written(client: Any, place: str, one: Experiment) -> str | None:
    """MLflow's id of a run that is there whole; one that was cut off is taken away."""
    for held in client.search_runs([place], f"tags.`{MLFLOW_RUN_TAG}` = '{one.run.id}'"):
        if held.info.status == STATES[one.state]:
            return str(held.info.run_id)
        client.delete_run(held.info.run_id)
    return None


def _write(client: Any, place: str, one: Experiment, folder: Path, known: dict[str, str]) -> str:
    from mlflow.entities import Metric, Param, RunTag

    began = int(one.run.started_at.timestamp() * 1000)
    ended = began if one.run.finished_at is None else int(one.run.finished_at.timestamp() * 1000)
    tags = {MLFLOW_RUN_TAG: one.run.id, "greywater.kind": one.run.command, "greywater.principal": one.run.principal}
    tags |= {f"tag.{tag}": "yes" for tag in one.tags}
    tags |= {f"origin.{name}": str(value)[:LONGEST] for name, value in one.origin.items()}
    if one.run.parent in known:
        tags["mlflow.parentRunId"] = known[one.run.parent]
    made = client.create_run(place, start_time=began, run_name=one.run.id).info.run_id
    values = [
        Metric(f"{step.series}/{step.name}".strip("/").replace(":", " "), step.value, step.at_us // 1000, step.step)
        for step in one.steps
        if step.value is not None
    ]
    values += [Metric(name, value, ended, 0) for name, value in one.metrics.items() if value is not None]
    given = [Param(name, str(value)[:LONGEST]) for name, value in one.parameters.items()]
    for start in range(0, len(values), MOST_METRICS):
        client.log_batch(made, metrics=values[start : start + MOST_METRICS])
    for start in range(0, len(given), MOST_PARAMETERS):
        client.log_batch(made, params=given[start : start + MOST_PARAMETERS])
    client.log_batch(made, tags=[RunTag(name, value) for name, value in tags.items()])
    for file in one.files:
        if file.name not in one.damaged:
            inner = str(Path(file.name).parent)
            client.log_artifact(made, str(folder / file.path), None if inner == "." else inner)
    client.set_terminated(made, STATES[one.state], ended)
    return str(made)
