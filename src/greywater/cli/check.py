"""`greywater check`: verifies a store and says what is wrong and how to mend it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from greywater.cli.output import messages, settings_of, write_json
from greywater.cli.progress import Shown
from greywater.errors import StoreDamagedError

__all__ = ["check"]


def check(
    store: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the store. [default: ./greywater-store]")
    ] = None,
    project: Annotated[
        str | None, typer.Option(metavar="NAME", help="Project in the store. [default: default]")
    ] = None,
    wait: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Wait for a writer so long.")] = 0.0,
    json: Annotated[
        str | None,
        typer.Option("--json", metavar="-|FILE", help="Write the result as JSON to standard output or FILE."),
    ] = None,
) -> None:
    """Verify the files, the order and the counts of a store.

    Reads every file again and compares it with its SHA-256, and verifies that the payments are numbered without
    gaps, that the counts agree and that every alert says what it said when it was raised. Nothing is changed.
    Exits with 4 where something is wrong.

    Examples

        greywater check

        greywater check --store ./bank --project cards --json -
    """
    from greywater.app.check import check as verify
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    with Shown() as progress:
        result = verify(Actor(project=settings.project), settings, progress, wait=wait)
    if json is not None:
        write_json({**asdict(result), "ok": not result.findings}, json)
    console = messages()
    for finding in result.findings:
        console.print(f"found:     {finding.found}", markup=False)
        console.print(f"  where:   {finding.where}", markup=False)
        console.print(f"  to mend: {finding.mend}", markup=False)
    if result.findings:
        raise typer.Exit(StoreDamagedError.exit_code)
    if json != "-":
        typer.echo(
            f"{settings.store}, project {settings.project}: {result.payments:,} payments of {result.files:,} files, "
            f"{result.alerts:,} alerts. Nothing is wrong."
        )
