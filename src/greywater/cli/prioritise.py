"""`greywater prioritise`: ranks the alerts of another monitoring system."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greywater.cli.options import (
    Accounts,
    AllowJump,
    BaseCurrency,
    Format,
    Fx,
    Json,
    Mapping,
    Parties,
    Project,
    Store,
    Wait,
)  # fmt: skip
from greywater.cli.output import require_writable, settings_of, show_rows, show_warnings, write_json
from greywater.cli.progress import Shown

if TYPE_CHECKING:
    from greywater.app.alert_model import Measured
    from greywater.app.prioritise import PrioritiseOutcome
    from greywater.desk.hibernation import RecallEstimate

__all__ = ["prioritise"]

#: Alerts shown at the end; all of them are in the CSV and the JSON.
SHOWN = 20


class First(StrEnum):
    """What comes first in the queue."""

    value = "value"
    score = "score"


def prioritise(
    alerts: Annotated[
        Path,
        typer.Argument(metavar="ALERTS", readable=False, help="Alerts of another system: id, customer, date, rule."),
    ],
    payments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PAYMENTS...",
            help="Payments of their customers, recorded first; those that the store holds where left out. Or one file "
            "of SynthAML's form.",
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(metavar="OUTCOMES", readable=False, help="What became of earlier alerts: reported or dismissed."),
    ] = None,
    earlier: Annotated[
        Path | None,
        typer.Option(
            metavar="RANKED.json", readable=False, help="JSON of an earlier ranking: say what its hibernation kept."
        ),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="N|Nh[/day]", help="Alerts or hours that can be worked. [default: all]")
    ] = None,
    by: Annotated[First, typer.Option(help="First what is worth most per hour, or what is likeliest.")] = First.value,
    recall_floor: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Share of the reported alerts kept awake. [default: 0.99]")
    ] = None,
    format: Format = None,
    mapping: Mapping = None,
    accounts: Accounts = None,
    parties: Parties = None,
    fx: Fx = None,
    base_currency: BaseCurrency = None,
    allow_jump: AllowJump = False,
    store: Store = None,
    project: Project = None,
    wait: Wait = 0.0,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", readable=False, help="Write the ranked alerts as CSV.")
    ] = None,
    json: Json = None,
) -> None:
    """Rank the alerts that another monitoring system raised.

    Learns from the alerts whose outcome is known which ones get reported, measures that on the latest of them, and
    ranks those that have no outcome yet, each with its reasons. Alerts too unlikely to be reported sleep, but for a
    sample. Without outcomes the order is a mean of ranks, and says so.

    Examples

        greywater prioritise alerts.csv payments.parquet --history outcomes.csv --csv ranked.csv

        greywater prioritise alerts.csv --store ./bank --budget 7h/day --json ranked.json
    """
    from greywater.app.ingest import IngestRequest
    from greywater.app.prioritise import PrioritiseRequest, write_csv
    from greywater.app.prioritise import prioritise as rank
    from greywater.desk.budget import Budget
    from greywater.vocab import Actor

    settings = settings_of(store, project, base_currency).with_(recall_floor=recall_floor)
    request = PrioritiseRequest(
        alerts=alerts,
        payments=IngestRequest(
            paths=tuple(payments or ()), format=format, mapping=mapping, fx=fx, accounts=accounts, parties=parties,
            allow_jump=allow_jump, wait=wait,
        ),
        history=history,
        budget=None if budget is None else Budget.parse(budget),
        order="value" if by is First.value else "score",
        earlier=earlier,
    )  # fmt: skip
    require_writable(csv, "the ranked alerts")
    require_writable(None if json in (None, "-") else Path(str(json)), "the JSON")
    actor = Actor(project=settings.project)
    with Shown() as progress:
        outcome = rank(actor, settings, request, progress)
    if csv is not None:
        write_csv(actor, settings, outcome, csv)
    if json is not None:
        write_json(outcome.to_json(), json)
    if json != "-":
        _show(outcome)
    show_warnings(outcome.notes)


def _show(outcome: PrioritiseOutcome) -> None:
    from greywater.desk.wording import count

    looked_at = [alert for alert in outcome.alerts if alert.place in ("work", "over_budget", "sampled")]
    places = [alert.place for alert in outcome.alerts]
    typer.echo(
        f"{count(len(places), 'alert')} ranked {outcome.how}. To be worked: {places.count('work'):,}; over the budget: "
        f"{places.count('over_budget'):,}; asleep: {places.count('hibernated'):,}; of those asleep looked at: "
        f"{places.count('sampled'):,}; folded into another: {places.count('folded'):,}.\n"
    )
    rows = [
        (
            alert.rank,
            alert.alert_id,
            alert.customer,
            alert.raised,
            alert.rule,
            alert.place.replace("_", " "),
            alert.level,
            "" if alert.probability is None else f"{alert.probability:.1%}",
            "; ".join(alert.reasons[:2]),
        )
        for alert in looked_at[:SHOWN]
    ]
    headings = ("rank", "alert", "customer", "raised", "rule", "place", "level", "chance", "why")
    show_rows(f"The first {len(rows)} of {len(looked_at):,} that are awake or sampled", headings, rows)
    if outcome.measured is not None:
        typer.echo("")
        show_rows(_title(outcome.measured), ("measure", "value", "what it says"), _measures(outcome.measured))
    cut = outcome.ranking.cut
    if cut is not None:
        typer.echo(
            f"\nHibernation: the line kept {cut.kept:,} of the {cut.reported:,} reported alerts that it was drawn on "
            f"(95 % interval {cut.low:.1%} to {cut.high:.1%}) and put {cut.saved:.1%} of all of them to sleep."
        )
    if outcome.kept is not None:
        typer.echo(f"\n{_kept_words(outcome.kept)}")
    typer.echo("\nAssumed:")
    for words in outcome.ranking.words:
        typer.echo(f"- {words}")


def _kept_words(kept: RecallEstimate) -> str:
    if kept.missed is None:
        return f"The earlier ranking: none of the {kept.sampled:,} sleeping alerts drawn at random is decided yet."
    recall = "not defined" if kept.recall is None else f"{kept.recall:.1%}"
    low, high = (0.0 if share is None else share for share in (kept.recall_low, kept.recall_high))
    asleep = f"{kept.missed:,.0f} sleep (95 % interval {kept.missed_low:,.0f} to {kept.missed_high:,.0f})"
    return (
        f"The earlier ranking: {kept.hits:,} of the {kept.reviewed:,} reviewed alerts of its random sample were "
        f"reported, so about {asleep}; it kept {recall} ({low:.1%} to {high:.1%}). {kept.left_out:,} alerts chosen by "
        "uncertainty are left out of this."
    )


def _title(measured: Measured) -> str:
    return (
        f"On the {measured.alerts:,} decided alerts since {measured.measured_from} ({measured.reported:,} reported), "
        f"by a model that saw alerts up to {measured.learned_until}"
    )


def _measures(measured: Measured) -> list[tuple[str, str, str]]:
    def figure(value: float | None) -> str:
        return "not defined" if value is None else f"{value:.4f}"

    rows = [
        ("Average precision", figure(measured.average_precision), f"A random order gets {measured.base_rate:.4f}."),
        ("ROC AUC", figure(measured.roc_auc), "Chance that a reported alert ranks above a dismissed one."),
    ]
    if measured.baseline is not None:
        words = f"Average precision of {measured.baseline['column']} alone."
        rows.insert(1, ("- best single column", figure(measured.baseline["average_precision"]), words))
    for each in measured.removed:
        line = each.beforehand
        words = f"Share of the dismissed alerts below the line (95 % interval {each.low:.3f} to {each.high:.3f})."
        if line is not None and line.recall is not None and line.removed is not None:
            words += f" A line drawn beforehand kept {line.recall:.1%} and removed {line.removed:.1%}."
        rows.append((f"False alerts removed at {each.recall:.0%} recall", f"{each.removed:.4f}", words))
    return rows
