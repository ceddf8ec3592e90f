"""`greywater tune`: many trials of a detector, in processes or on machines of their own, the best kept."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from greywater.cli.options import Json, Project, Store
from greywater.cli.output import require_writable, settings_of, show_rows, write_json
from greywater.cli.progress import Shown

__all__ = ["tune"]

#: Trials shown at the end.
SHOWN = 5


def tune(
    detector: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="boosted, adversarial, hybrid, isolation... [default: the setting]"),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Trials of the study in all. [default: 40]")
    ] = None,
    minutes: Annotated[float | None, typer.Option(metavar="M", min=0, help="Begin no trial after so long.")] = None,
    money: Annotated[
        float | None, typer.Option(metavar="SUM", min=0, help="What the study may cost, with --per-hour.")
    ] = None,
    per_hour: Annotated[
        float | None, typer.Option(metavar="PRICE", min=0, help="What an hour of this machine costs.")
    ] = None,
    sampler: Annotated[
        str, typer.Option(metavar="NAME", help="What proposes: tpe, random, cmaes, gp, qmc, nsgaii, grid...")
    ] = "tpe",
    pruner: Annotated[
        str, typer.Option(metavar="NAME", help="What ends hopeless trials: asha, hyperband, median... or none.")
    ] = "asha",
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Processes. [default: one a GPU, else 1]")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="STUDY", help="A study of that name goes on. [default: the detector]")
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(metavar="URL", help="postgresql://USER@HOST/DATABASE: a study that several machines share."),
    ] = None,
    space: Annotated[
        Path | None, typer.Option(metavar="FILE", readable=False, help="JSON file of a search space of your own.")
    ] = None,
    heartbeat: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="Between two signs of life in a shared study.")
    ] = 30.0,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Tune a detector, and keep the parameters that did best on later payments.

    Trials learn from the first 60 % of the payments and are judged on the next 20 %; the last 20 % are not looked at.
    The same command goes on with a study that was stopped or killed. `greywater train --tuned STUDY` uses what it
    found.

    Examples

        greywater tune --detector boosted --trials 40 --workers 2 --store ./bank

        greywater tune --detector adversarial --minutes 30 --name nightly

        greywater tune --detector boosted --study postgresql://tuner@db.bank/studies --money 5 --per-hour 1.2
    """
    from greywater.app.tuning import TuneRequest
    from greywater.app.tuning import tune as search
    from greywater.vocab import Actor

    settings = settings_of(store, project).with_(detector=detector)
    require_writable(None if json in (None, "-") else Path(str(json)), "the JSON")
    request = TuneRequest(
        name, trials, minutes, money, per_hour, sampler, pruner, workers, study, space, heartbeat
    )  # fmt: skip
    with Shown() as progress:
        found = search(Actor(project=settings.project), settings, request, progress)
    if json is not None:
        write_json(found.to_json(), json)
    if json == "-":
        return
    _show(found)


def _show(found: Any) -> None:
    tuned, tally = found.tuned, found.tally
    best = sorted((each for each in found.trials if each.state == "complete"), key=lambda each: -each.score)[:SHOWN]
    rows = [(each.number, f"{each.score:.4f}", each.steps, f"{each.seconds:.1f}", _words(each)) for each in best]
    title = f"Study {tuned.study}: {tally.ended} trials, {tally.pruned} of them ended early, {tally.failed} failed"
    show_rows(title, ("trial", "average precision", "steps", "CPU seconds", "parameters"), rows)
    for why, many in Counter(each.error for each in found.trials if each.state == "failed").items():
        typer.echo(f"{many} failed: {why}")
    default = "" if tuned.default_score is None else f" (the defaults: {tuned.default_score:.4f})"
    typer.echo(f"Best on the validation slice: {tuned.score:.4f}{default}, kept in {found.kept}.")
    if found.spent is not None:
        typer.echo(f"Spent on the study: {found.spent:.2f}.")
    typer.echo(f"Use it: greywater train --tuned {tuned.study}")


def _words(trial: Any) -> str:
    return " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in trial.parameters.items()
    )
