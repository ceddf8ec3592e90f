"""`greywater train` and `greywater score`: fit a detector and keep it; score payments with one that was kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from greywater.cli.options import Deep, Json, Project, Store
from greywater.cli.output import require_writable, settings_of, show_rows, write_json
from greywater.cli.progress import Shown

__all__ = ["score", "train"]

#: Payments shown at the end of `score`.
SHOWN = 10


def train(
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="hybrid, boosted, isolation, pca, knn... [default: the setting `detector`]",
        ),
    ] = None,
    deep: Deep = False,
    whole: Annotated[bool, typer.Option("--whole", help="Learn from everything; measure nothing.")] = False,
    tuned: Annotated[
        str | None, typer.Option(metavar="STUDY", help="Use the detector and parameters that a study found best.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="To find the fit by later; may be given several times.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="DIR", readable=False, help="Write its steps as TensorBoard's event files.")
    ] = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Fit a detector on the recorded payments and keep it.

    Learns from the first 60 % of the payments, is tuned on the next 20 % and measured on the last 20 %; with --whole
    it learns from the first three quarters, is tuned on the rest, and nothing is left to measure it on.

    Examples

        greywater train --store ./bank

        greywater train --detector boosted --whole --json -

        greywater train --tuned boosted
    """
    from greywater.app.training import TrainRequest
    from greywater.app.training import train as fit
    from greywater.vocab import Actor

    settings = settings_of(store, project).with_(detector=detector, deep=deep or None)
    require_writable(None if json in (None, "-") else Path(str(json)), "the JSON")
    actor = Actor(project=settings.project)
    with Shown() as progress:
        trained = fit(actor, settings, TrainRequest(whole, tuple(tag or ()), tuned), progress)
    if tensorboard is not None:
        from greywater.app.tensorboard_export import export_tensorboard

        export_tensorboard(actor, settings, tensorboard, [trained.model])
    if json is not None:
        write_json(trained.to_json(), json)
    if json == "-":
        return
    typer.echo(f"{trained.model}: {trained.fitted.name}: {trained.fitted.why}.")
    scores = trained.fitted.detector.card.get("scores", ())
    if scores:
        rows = [(each["name"], f"{each['weight']:.3f}", _figure(each["average_precision"])) for each in scores]
        show_rows("What it is made of", ("score", "weight", "average precision alone"), rows)
    if trained.test is not None:
        at = trained.test.at_threshold
        typer.echo(
            f"On the last 20 %: average precision {_figure(trained.test.average_precision)}, "
            f"precision {_figure(at.precision)} and recall {_figure(at.recall)} at the threshold."
        )


def score(
    model: Annotated[
        str | None, typer.Option(metavar="ID", help="A model that was kept. [default: the champion, else the newest]")
    ] = None,
    last: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Only the last N scored payments. [default: all]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", readable=False, help="Write every score: .csv or .parquet.")
    ] = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Score the recorded payments with a model that was kept. Nothing is alerted.

    Examples

        greywater score --last 1000 --store ./bank

        greywater score --model 20240229T120000-00000000 --out scores.parquet
    """
    from greywater.app.scoring import ScoreRequest
    from greywater.app.scoring import score as ask
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    require_writable(out, "the scores")
    require_writable(None if json in (None, "-") else Path(str(json)), "the JSON")
    with Shown() as progress:
        scored = ask(Actor(project=settings.project), settings, ScoreRequest(model, last, out), progress)
    if json is not None:
        write_json(scored.to_json(), json)
    if json == "-":
        return
    rows = [
        (row["tx_id"], f"{row['score']:.4g}", f"{row['probability']:.1%}", _marks(row["flagged"], row["mandatory"]))
        for row in scored.highest(SHOWN).to_pylist()
    ]
    title = f"The first {len(rows)} of {scored.table.num_rows:,} payments, by model {scored.model} ({scored.kind})"
    show_rows(title, ("payment", "score", "chance", ""), rows)
    typer.echo(f"Scored by {scored.model}: {scored.why}.")
    for shadow in scored.shadows:
        did = f"flags {shadow.flagged:,} payments, {shadow.flagged_by_both:,} of them with it"
        typer.echo(f"Shadow {shadow.model}: {'not scored: ' + shadow.why if shadow.why else did}.")


def _figure(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4g}"


def _marks(flagged: bool, mandatory: bool) -> str:
    return "mandatory" if mandatory else "flagged" if flagged else ""
