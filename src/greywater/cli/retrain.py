"""`greywater retrain` and `greywater models propose`: measured against the champion, and proposed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greywater.cli.options import Json, Project, Store
from greywater.cli.output import require_writable, settings_of, write_json
from greywater.cli.progress import Shown

if TYPE_CHECKING:
    from greywater.stores.model_rows import ProposalRecord

__all__ = ["propose", "retrain"]


def retrain(
    dispositions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", readable=False, help="Closed alerts: recorded first as labels and seeds."),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(metavar="NAME", help="As of greywater train. [default: the setting `detector`]")
    ] = None,
    as_known: Annotated[
        bool, typer.Option("--as-known", help="Learn only from labels known when the held-out payments begin.")
    ] = False,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Fit a detector anew on all but the latest payments, measure it against the champion, and propose it.

    The champion and the new model are measured on the same held-out payments with the same labels. Nothing is promoted:
    accept the proposal with greywater models promote, or decline it with greywater models decline.

    Examples

        greywater retrain --store ./bank

        greywater retrain --dispositions closed-march.csv --json -
    """
    from greywater.app.retraining import RetrainRequest
    from greywater.app.retraining import retrain as fit
    from greywater.vocab import Actor

    settings = settings_of(store, project).with_(detector=detector)
    require_writable(None if json in (None, "-") else Path(str(json)), "the JSON")
    with Shown() as progress:
        done = fit(Actor(project=settings.project), settings, RetrainRequest(dispositions, as_known), progress)
    if json is not None:
        write_json(done.to_json(), json)
    if json == "-":
        return
    if done.dispositions is not None:
        told = done.dispositions
        typer.echo(
            f"{told.reported:,} alerts reported, {told.dismissed:,} dismissed: "
            + ("recorded before." if told.known else f"{told.labels:,} labels, {told.seeds:,} confirmed launderers.")
        )
    learned = done.fitted.detector.card["learned"]
    typer.echo(f"{done.model}: {done.fitted.name}: {done.fitted.why}.")
    typer.echo(
        f"Learned from {learned['from'][:10]} to {learned['to'][:10]}, tuned to {learned['tuned']['to'][:10]}; "
        f"{done.proposal.evidence['held_out']}."
    )
    if learned["labels_known_later"]:
        typer.echo(
            f"note: {learned['labels_known_later']:,} payments that it learned from as laundering were labelled only "
            "during the held-out time; --as-known leaves such labels out"
        )
    _told(done.proposal, done.promoted)


def propose(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name.")],
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Measure a model against the champion, and propose to promote it.

    Examples

        greywater models propose vendor-7
    """
    from greywater.app.models import proposal_json
    from greywater.app.promotion import propose_model
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    with Shown() as progress:
        done = propose_model(Actor(project=settings.project), settings, model, progress)
    if json is not None:
        write_json(proposal_json(done.proposal) | {"promoted": done.promoted}, json)
    if json != "-":
        _told(done.proposal, done.promoted)


def _told(proposal: ProposalRecord, promoted: bool) -> None:
    meets = "meets the policy" if proposal.passed else "does not meet the policy"
    typer.echo(f"Proposal {proposal.id} to promote {proposal.model} {meets}: {proposal.why}.")
    if promoted:
        typer.echo(f"{proposal.model} is the champion: policy says so. Back: greywater models restore")
    else:
        typer.echo(
            f"Accept: greywater models promote {proposal.model} --proposal {proposal.id}; "
            f"decline: greywater models decline {proposal.id} --why TEXT"
        )
