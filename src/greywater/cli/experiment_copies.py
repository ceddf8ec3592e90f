"""`greywater experiments export` and `repeat`: fits handed to other programs, and made again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from greywater.cli.experiments import Detector, Kind, Last, Lowest, PartOf, Sort, State, Tags, Where, choice_of
from greywater.cli.options import Json, Project, Store
from greywater.cli.output import messages, require_writable, settings_of, write_json
from greywater.cli.progress import Shown

__all__ = ["export", "repeat"]


def export(
    run: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN...]", help="Ids, beginnings of ids, or `last`. [default: all chosen below]"),
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option(metavar="DIR", readable=False, help="Write event files there, a folder a run."),
    ] = None,
    mlflow: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Write into this MLflow store: sqlite:///FILE, file:DIR, https://..."),
    ] = None,
    experiment: Annotated[
        str, typer.Option(metavar="NAME", help="MLflow's experiment. [default: greywater/PROJECT]")
    ] = "",
    kind: Kind = None,
    state: State = None,
    detector: Detector = None,
    part_of: PartOf = None,
    tag: Tags = None,
    where: Where = None,
    sort: Sort = None,
    lowest: Lowest = False,
    last: Last = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Hand fits to TensorBoard or MLflow.

    Examples

        greywater experiments export last --tensorboard ./events

        greywater experiments export --mlflow sqlite:///mlflow.db --kind train
    """
    from greywater.errors import UsageError
    from greywater.vocab import Actor

    if tensorboard is None and mlflow is None:
        raise UsageError(
            "it is not said where to",
            where="greywater experiments export",
            mend="give --tensorboard DIR or --mlflow URI",
        )
    settings = settings_of(store, project)
    actor = Actor(project=settings.project)
    choice = choice_of(kind, state, detector, part_of, tag, where, sort, lowest, last)
    told: dict[str, Any] = {}
    if tensorboard is not None:
        from greywater.app.tensorboard_export import export_tensorboard

        written = export_tensorboard(actor, settings, tensorboard, run or (), choice)
        told["tensorboard"] = [str(path) for path in written]
        messages().print(f"written: {len(written)} event files; to see them: tensorboard --logdir {tensorboard}")
    if mlflow is not None:
        from greywater.app.mlflow_export import export_mlflow

        told["mlflow"] = export_mlflow(actor, settings, mlflow, run or (), choice, experiment=experiment)
        messages().print(f"written: {len(told['mlflow'])} runs in MLflow")
    if json is not None:
        write_json(told, json)


def repeat(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id, the beginning of one, or `last`.")],
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Fit although data, features or code are not as they were.")
    ] = False,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Fit again as a run says, on the data of then, and compare the model file by file.

    Examples

        greywater experiments repeat last

        greywater experiments repeat 20240229T120000-00000000 --anyway --json -
    """
    from greywater.app.repeating import repeat as again
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    require_writable(None if json in (None, "-") else Path(str(json)), "the JSON")
    with Shown() as progress:
        found = again(Actor(project=settings.project), settings, run, anyway=anyway, progress=progress)
    if json is not None:
        write_json(found.to_json(), json)
    if json == "-":
        return
    if found.changed:
        typer.echo(f"Not as it was: {', '.join(found.changed)}.")
    if found.same:
        typer.echo(f"{found.trained.model}: the same model as {found.original}, every file bit for bit.")
    else:
        typer.echo(f"{found.trained.model}: not the model of {found.original}: {', '.join(found.differing)} differ.")
