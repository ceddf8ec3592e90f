"""`greywater run`: record, score, rank, and show the worst first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greywater.cli.options import (
    Accounts,
    AllowJump,
    Attributes,
    BaseCurrency,
    Deep,
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
from greywater.cli.output import messages, require_writable, settings_of, show_rows, show_warnings, write_json
from greywater.cli.progress import Shown

if TYPE_CHECKING:
    from greywater.app.run import RunOutcome

__all__ = ["run"]

#: Alerts shown at the end; all of them are in the report and the JSON.
SHOWN = 10


def run(
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
    budget: Annotated[
        str, typer.Option(metavar="N/day|N", help="Alerts the team can look at: a day, or in all.")
    ] = "20/day",
    allow_protected: Annotated[
        bool, typer.Option("--allow-protected", help="Let protected attributes into the model.")
    ] = False,
    deep: Deep = False,
    store: Store = None,
    project: Project = None,
    wait: Wait = 0.0,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", readable=False, help="Write the report: one HTML file that needs no network."),
    ] = None,
    json: Json = None,
) -> None:
    """Record payments, score them, and rank who is worth an investigator's hour.

    With labels, a hybrid of boosted trees, an isolation forest, rules and Anti-TrustRank learns from the first 60 % of
    the payments, is tuned on the next 20 %, and the last 20 % is alerted and measured. Without labels the forest learns
    what is usual from the first 60 %, and the rules are asked beside it; so is Anti-TrustRank where seeds are known.
    Without PATH the payments that the store holds already are scored.

    Examples

        greywater run transactions.parquet

        greywater run payments.csv --labels labels.csv --budget 20/day --report report.html

        greywater run transactions.parquet --deep

        greywater run export.csv --mapping bank.toml --store ./bank --json result.json
    """
    from greywater.app.ingest import IngestRequest
    from greywater.app.results import run_in_json, run_report
    from greywater.app.run import RunRequest
    from greywater.app.run import run as do_the_job
    from greywater.desk.budget import Budget
    from greywater.vocab import Actor

    settings = settings_of(store, project, base_currency)
    settings = settings.with_(allow_protected=allow_protected or None, deep=deep or None)
    request = RunRequest(
        IngestRequest(
            paths=tuple(paths or ()), format=format, mapping=mapping, order=order.value, fx=fx, labels=labels,
            accounts=accounts, parties=parties, relationships=relationships, seeds=seeds, attributes=attributes,
            protected=tuple(protected or ()), query=query, high_water=high_water, allow_jump=allow_jump, wait=wait,
        ),
        budget=Budget.parse(budget),
    )  # fmt: skip
    require_writable(report, "the report")
    require_writable(None if json in (None, "-") else Path(str(json)), "the JSON")
    with Shown() as progress:
        outcome = do_the_job(Actor(project=settings.project), settings, request, progress)
    if report is not None:
        from greywater.app.export import write_report

        write_report(Actor(project=settings.project), settings, run_report(outcome), report)
    if json is not None:
        write_json(run_in_json(outcome), json)
    if json != "-":
        _show(outcome)
    show_warnings(outcome.warnings)
    if report is not None:
        messages().print(f"report: {report}")


def _show(outcome: RunOutcome) -> None:
    counts, split = outcome.ingested.counts, outcome.split
    typer.echo(
        f"{counts.read:,} rows read: {counts.recorded:,} recorded, {counts.duplicate:,} known already, "
        f"{counts.rejected:,} rejected, {counts.skipped:,} skipped. {split.rows:,} payments scored."
    )
    typer.echo(f"Judged by {outcome.fitted.name}: {outcome.fitted.why}.\n")
    rows = [
        (
            alert.rank,
            alert.entity,
            f"{alert.probability:.1%}",
            f"{alert.raised_at:%Y-%m-%d}",
            _reasons(alert.reasons),
            alert.id,
        )
        for alert in outcome.alerts[:SHOWN]
    ]
    show_rows(
        f"The first {len(rows)} of {len(outcome.alerts):,} alerts ({outcome.request.budget.words})",
        ("rank", "who", "chance" if outcome.truth is not None else "unusual", "raised", "why", "alert"),
        rows,
    )
    if outcome.verdict is not None:
        typer.echo("")
        show_rows("On the last 20 % by time", ("measure", "value", "what it says"), _measures(outcome.verdict.metrics))
    typer.echo(
        f"\n{sum(outcome.timings.values()):.1f} s, {outcome.peak_rss_mb:,.0f} MB at most; "
        f"{outcome.footprint.held:,} payments held at {outcome.footprint.bytes_per_held_payment:.0f} bytes each, "
        f"{outcome.footprint.lifetime_bytes / 1e6:,.0f} MB of records kept for ever."
    )


def _reasons(reasons: Any) -> str:
    return "; ".join(reason.text for reason in reasons[:3])


def _measures(metrics: dict[str, Any]) -> list[tuple[str, str, str]]:
    from greywater.desk.measures import MEASURES

    rows = [
        (
            measure.name,
            "not defined" if metrics.get(measure.key) is None else f"{metrics[measure.key]:.4g}",
            measure.words,
        )
        for measure in MEASURES
        if measure.key in metrics
    ]
    best = metrics["single_column_baseline"]["by_average_precision"]
    if best is not None:
        rows.insert(
            1,
            (
                "- best single column",
                f"{best['average_precision']:.4g}",
                f"Average precision of {best['column']} alone.",
            ),
        )
    for name, recall in (metrics["recall_by_typology"] or {}).items():
        rows.append((f"Recall of {name}", f"{recall:.3f}", "Share of its parties that got an alert."))
    return rows
