"""`greywater seeds import|list`: confirmed launderers, from past reports or closed alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from greywater.cli.options import Json, Project, Store, Wait
from greywater.cli.output import settings_of, show_rows, show_warnings, write_json

__all__ = ["imported", "listed"]


def imported(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Past reports (or with --alerts closed alerts): CSV.")],
    alerts: Annotated[
        bool, typer.Option("--alerts", help="FILE lists alerts and outcomes; parties of reported ones are taken.")
    ] = False,
    store: Store = None,
    project: Project = None,
    wait: Wait = 0.0,
    json: Json = None,
) -> None:
    """Record confirmed launderers.

    Examples

        greywater seeds import reports.csv --store ./bank

        greywater seeds import closed.csv --alerts
    """
    from greywater.app.seeds import import_seeds
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    outcome = import_seeds(Actor(project=settings.project), settings, path, alerts=alerts, wait=wait)
    if json is not None:
        told = {"seeds": 0 if outcome.known else outcome.rows, "rejected": outcome.rejected}
        told |= {"undated": outcome.undated, "unmatched": outcome.unmatched, "known": outcome.known}
        write_json(told, json)
    if outcome.rejected and not outcome.known:
        show_warnings([f"{outcome.rejected:,} rows of {outcome.name} were set aside with their reasons"])
    if outcome.undated and not outcome.known:
        show_warnings([f"{outcome.undated:,} seeds have no date: they are known from the latest payment on"])
    if outcome.unmatched and not outcome.known:
        show_warnings([f"{outcome.unmatched:,} seeds name nobody that the project knows: look for slips of the pen"])
    if json != "-":
        said = "was recorded before; nothing was added" if outcome.known else f"{outcome.rows:,} confirmed launderers"
        typer.echo(f"{outcome.name}: {said}")


def listed(store: Store = None, project: Project = None, json: Json = None) -> None:
    """List confirmed launderers.

    Examples

        greywater seeds list --store ./bank
    """
    from greywater.app.seeds import list_seeds
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    rows = list_seeds(Actor(project=settings.project), settings)
    since = [row.known_since.isoformat() if row.known_since else None for row in rows]
    if json is not None:
        told = [
            {"account": row.account, "customer": row.customer, "reason": row.reason, "known_since": moment}
            for row, moment in zip(rows, since, strict=True)
        ]
        write_json(told, json)
    if json != "-":
        cells = [
            (row.account or "", row.customer or "", row.reason or "", moment or "")
            for row, moment in zip(rows, since, strict=True)
        ]
        show_rows(f"{len(rows):,} confirmed launderers", ("account", "customer", "reason", "known since"), cells)
