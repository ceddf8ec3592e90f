"""`greywater ingest`: words into a request, a result into a table or JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from greywater.cli.options import (
    Accounts,
    AllowJump,
    Attributes,
    BaseCurrency,
    Format,
    Fx,
    HighWater,
    Json,
    Labels,
    Mapping,
    Order,
    Ordering,
    Parties,
    Paths,
    Project,
    Protected,
    Query,
    Relationships,
    Seeds,
    Store,
    Wait,
)  # fmt: skip
from greywater.cli.output import require_writable, settings_of, show_rows, show_warnings, write_json
from greywater.cli.progress import Shown

if TYPE_CHECKING:
    from greywater.app.ingest import IngestResult
    from greywater.config import Settings

__all__ = ["Order", "ingest", "result_in_json"]


def ingest(
    paths: Paths = None,
    format: Format = None,
    mapping: Mapping = None,
    labels: Labels = None,
    accounts: Accounts = None,
    parties: Parties = None,
    relationships: Relationships = None,
    seeds: Seeds = None,
    attributes: Attributes = None,
    protected: Protected = None,
    query: Query = None,
    high_water: HighWater = None,
    fx: Fx = None,
    base_currency: BaseCurrency = None,
    order: Ordering = Order.time,
    allow_jump: AllowJump = False,
    store: Store = None,
    project: Project = None,
    wait: Wait = 0.0,
    json: Json = None,
) -> None:
    """Record payments and what is known beside them, once, in order.

    Files recorded before are skipped, rows recorded before are counted as duplicates, rows that cannot be
    read are set aside with their reason. Stopped at any moment, the same command goes on where it stopped.

    Examples

        greywater ingest january.csv february.csv

        greywater ingest payments.parquet --labels labels.csv --store ./bank

        greywater ingest export.csv --mapping bank.toml --fx rates.csv --json -

        greywater ingest sql:env:BANK_DB --query "SELECT * FROM payments" --high-water booking_id
    """
    from greywater.app.ingest import IngestRequest
    from greywater.app.ingest import ingest as record
    from greywater.vocab import Actor

    settings = settings_of(store, project, base_currency)
    request = IngestRequest(
        paths=tuple(paths or ()),
        format=format,
        mapping=mapping,
        order=order.value,
        fx=fx,
        labels=labels,
        accounts=accounts,
        parties=parties,
        relationships=relationships,
        seeds=seeds,
        attributes=attributes,
        protected=tuple(protected or ()),
        query=query,
        high_water=high_water,
        allow_jump=allow_jump,
        wait=wait,
    )
    require_writable(None if json in (None, "-") else Path(str(json)), "the JSON")
    with Shown() as progress:
        result = record(Actor(project=settings.project), settings, request, progress)
    if json is not None:
        write_json(result_in_json(result, settings), json)
    if json != "-":
        _show(result, settings)
    show_warnings(result.warnings)
    if result.counts.read and result.counts.rejected == result.counts.read:
        show_warnings(["no row could be recorded; see the table `rejected` of the store for the reason of each"])
        raise typer.Exit(3)


def result_in_json(result: IngestResult, settings: Settings) -> dict[str, Any]:
    """The result in JSON types, as docs/cli.md describes it."""
    return {
        "store": str(settings.store),
        "project": settings.project,
        "counts": asdict(result.counts),
        "files": [asdict(file) for file in result.files],
        "records": [asdict(records) for records in result.records],
        "first_seq": result.first_seq,
        "next_seq": result.next_seq,
        "resolution_us": result.resolution_us,
        "base_currency": result.base_currency,
        "rates": result.rates_name,
        "has_labels": result.has_labels,
        "rejections": [asdict(rejection) for rejection in result.rejections],
        "resumed": result.resumed,
        "warnings": list(result.warnings),
        "mended": list(result.mended),
    }


def _show(result: IngestResult, settings: Settings) -> None:
    columns = ("read", "recorded", "duplicate", "rejected", "skipped")
    rows: list[tuple[Any, ...]] = [
        (file.name, file.format, *(getattr(file.counts, name) for name in columns)) for file in result.files
    ]
    if len(rows) > 1:
        rows.append(("all", "", *(getattr(result.counts, name) for name in columns)))
    if rows:
        show_rows("Payments", ("file", "format", *columns), rows)
    if result.records:
        sides = [(each.name, each.table, 0 if each.known else each.rows, each.rejected) for each in result.records]
        show_rows("Other records", ("file", "table", "recorded", "rejected"), sides)
    if result.rejections:
        reasons = [
            (each.count, each.reason, f"{each.file}, row {each.row}, {each.column}", each.message)
            for each in result.rejections
        ]
        show_rows("Rejected rows", ("rows", "reason", "first", "what to do"), reasons)
    typer.echo(
        f"{settings.store} holds {result.next_seq:,} payments of project {settings.project}, "
        f"counted in {result.base_currency or 'no currency yet'}."
    )
