"""`greywater synth alertbook`: made-up money in files that can be shared."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from greywater.cli.options import Json, Project, Store
from greywater.cli.output import require_writable, settings_of, show_rows, write_json
from greywater.cli.progress import Shown

__all__ = ["alert_book"]


class Mode(StrEnum):
    """How a book of alerts is fitted."""

    faithful = "faithful"
    hma1 = "hma1"


class Categories(StrEnum):
    """How hma1 encodes categories."""

    paper = "paper"
    library = "library"


class Marginals(StrEnum):
    """Marginals of hma1's extended table."""

    gaussian = "gaussian"
    best = "best"


class Form(StrEnum):
    """What files are written as."""

    csv = "csv"
    parquet = "parquet"


def alert_book(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the two files; made where it is missing.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[ALERTS TRANSACTIONS]", help="Two files to fit to. [default: the built-in example]"),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(metavar="ALERTS", readable=False, help="Fit to recorded payments before these alerts."),
    ] = None,
    book: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw from a book that was saved.")] = None,
    save: Annotated[Path | None, typer.Option(metavar="DIR", help="Save the book, to draw from it again.")] = None,
    mode: Annotated[Mode, typer.Option(help="How to fit: docs/alertbook.md.")] = Mode.faithful,
    categories: Annotated[
        Categories, typer.Option(help="Of hma1: as its paper says, or as its library did.")
    ] = Categories.paper,
    marginals: Annotated[
        Marginals, typer.Option(help="Of hma1: Gaussian, or the nearest of seven families.")
    ] = Marginals.gaussian,
    alerts: Annotated[int, typer.Option(metavar="N", min=1, help="Alerts to draw.")] = 20_000,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed gives the same bytes.")] = 0,
    format: Annotated[Form, typer.Option(help="What to write.")] = Form.csv,
    days: Annotated[int, typer.Option(metavar="N", min=1, help="History of an alert, with --ledger.")] = 365,
    everybody: Annotated[
        bool, typer.Option("--everybody", help="With --ledger: companies too, not private persons alone.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Threads; the bytes are the same. [default: all cores]")
    ] = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Make up alerts with outcomes and the transactions before each, in the form of SynthAML.

    They come from the built-in example, from two files of that form, from recorded payments, or from a saved book.

    Examples

        greywater synth alertbook made-up

        greywater synth alertbook made-up alerts.csv transactions.csv --alerts 5000 --seed 3 --save ./book

        greywater synth alertbook made-up --book ./book --format parquet

        greywater synth alertbook made-up --ledger alerts_2024.csv --store ./bank

        greywater synth alertbook made-up alerts.csv transactions.csv --mode hma1 --categories library
    """
    from greywater.app.alert_making import AlertMakingRequest, make_alerts
    from greywater.errors import UsageError
    from greywater.vocab import Actor

    if files and len(files) != 2:
        raise UsageError(f"{len(files)} file was given", where="ALERTS TRANSACTIONS", mend="give both, or neither")
    require_writable(None if json in (None, "-") else Path(str(json)), "the JSON")
    settings = settings_of(store, project)
    request = AlertMakingRequest(
        out, (files[0], files[1]) if files else None, ledger, book, mode.value, alerts, seed, format.value, save,
        days, not everybody, threads, categories.value, marginals.value,
    )  # fmt: skip
    with Shown() as progress:
        made = make_alerts(Actor(project=settings.project), settings, request, progress)
    if json is not None:
        write_json(made.to_json(), json)
    if json != "-":
        rows = [
            (str(made.files.alerts), f"{made.files.alert_count:,}"),
            (str(made.files.transactions), f"{made.files.transaction_count:,}"),
        ]
        show_rows(f"From {made.source}, {made.mode}", ("file", "rows"), rows)
