"""The options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Accounts", "AllowJump", "Attributes", "BaseCurrency", "Deep", "Format", "Fx", "HighWater", "Json", "Labels",
    "Mapping", "Order", "Ordering", "Parties", "Paths", "Project", "Protected", "Query", "Relationships", "Seeds",
    "Store", "Wait",
]  # fmt: skip


class Order(StrEnum):
    """Which order payments of one command are recorded in."""

    time = "time"
    file = "file"


# readable=False: our own errors say what is wrong with a file and how to mend it.
Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH...",
        help="Payments: files (.csv, .csv.gz, .parquet), folders of them, file://, s3:// and hdfs:// URLs, "
        "sql:URL with --query, delta:FOLDER.",
    ),
]
Query = Annotated[str | None, typer.Option("--query", metavar="SQL", help="The SELECT that a sql:URL answers.")]
HighWater = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN", help="Column of the query that only grows; later runs take only what lies beyond it."
    ),
]
Format = Annotated[
    str | None, typer.Option("--format", metavar="NAME", help="Known format; told by the header where left out.")
]
Mapping = Annotated[
    Path | None, typer.Option(metavar="FILE", readable=False, help="TOML file that says what the columns mean.")
]
Labels = Annotated[Path | None, typer.Option(metavar="FILE", readable=False, help="Labels of payments or accounts.")]
Accounts = Annotated[Path | None, typer.Option(metavar="FILE", readable=False, help="Accounts and their customers.")]
Parties = Annotated[Path | None, typer.Option(metavar="FILE", readable=False, help="Customers.")]
Relationships = Annotated[
    Path | None, typer.Option(metavar="FILE", readable=False, help="Who owns, directs or is related to whom.")
]
Seeds = Annotated[Path | None, typer.Option(metavar="FILE", readable=False, help="Confirmed launderers.")]
Attributes = Annotated[
    Path | None,
    typer.Option(metavar="FILE", readable=False, help="Credit score, risk class, flags... of customers or accounts."),
]
Protected = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Attribute for fairness reports only; may be given several times."),
]
Fx = Annotated[
    Path | None,
    typer.Option(metavar="FILE", readable=False, help="Dated rates to the base currency: date, currency, rate."),
]
BaseCurrency = Annotated[
    str | None, typer.Option(metavar="CODE", help="Currency to count in; settled at the first ingest.")
]
Ordering = Annotated[Order, typer.Option(help="Record by time (then file, then row), or as the files stand.")]
AllowJump = Annotated[
    bool, typer.Option("--allow-jump", help="Accept payments dated more than a year after all others.")
]
Store = Annotated[
    Path | None, typer.Option(metavar="DIR", readable=False, help="Folder of the store. [default: ./greywater-store]")
]
Project = Annotated[str | None, typer.Option(metavar="NAME", help="Project in the store. [default: default]")]
Deep = Annotated[
    bool, typer.Option("--deep", help="Make the adversarial anomaly detector a part of the hybrid; takes minutes.")
]
Wait = Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Wait for another writer so long.")]
Json = Annotated[
    str | None,
    typer.Option("--json", metavar="-|FILE", help="Write the result as JSON to standard output or FILE."),
]
