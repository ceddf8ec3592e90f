"""`greywater synth report`: how near made-up alerts are to real ones, and whether they give anyone away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greywater.cli.options import Json, Project, Store
from greywater.cli.output import messages, require_writable, settings_of, show_rows, show_warnings, write_json
from greywater.cli.progress import Shown

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["report"]


def report(
    real_alerts: Annotated[
        Path, typer.Argument(metavar="REAL_ALERTS", readable=False, help="Alerts the generator was fitted on.")
    ],
    real_transactions: Annotated[
        Path, typer.Argument(metavar="REAL_TRANSACTIONS", readable=False, help="Their transactions.")
    ],
    made_alerts: Annotated[Path, typer.Argument(metavar="MADE_ALERTS", readable=False, help="Alerts that it made.")],
    made_transactions: Annotated[
        Path, typer.Argument(metavar="MADE_TRANSACTIONS", readable=False, help="Their transactions.")
    ],
    holdout: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="ALERTS TRANSACTIONS", readable=False, help="Real alerts that the generator never saw."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", readable=False, help="Write the report: HTML, or Markdown if it ends in .md."),
    ] = None,
    models: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Models that say how useful the alerts are. [default: six]")
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Seeds behind each of their figures.")] = 3,
    test_from: Annotated[
        str, typer.Option(metavar="DAY", help="Without a holdout: first day of the real alerts tested on.")
    ] = "2021-01-01",
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Hold made-up alerts of SynthAML's form against real ones.

    Distributions overall and within type, entry and outcome, correlations, cardinality, models trained on made alerts
    and tested on real ones, a classifier that tells them apart, distance to the closest record, copied rows and
    extremes; each with the line that it should keep. Nothing is stored.

    Examples

        greywater synth report alerts.csv transactions.csv made/alerts.csv made/transactions.csv --html report.html

        greywater synth report a.csv t.csv made_a.csv made_t.csv --holdout later_a.csv later_t.csv --json report.json
    """
    from greywater.app.evaluating import write_document
    from greywater.app.fidelity import FidelityRequest, measure_fidelity
    from greywater.desk.fidelity_page import fidelity_page
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    asked: dict[str, Any] = {"seeds": seeds, "test_from": test_from, "holdout": holdout}
    if models is not None:
        asked["models"] = tuple(word.strip() for word in models.split(",") if word.strip())
    request = FidelityRequest((real_alerts, real_transactions), (made_alerts, made_transactions), **asked)
    require_writable(html, "the report")
    require_writable(None if json in (None, "-") else Path(str(json)), "the JSON")
    actor = Actor(project=settings.project)
    with Shown() as progress:
        found = measure_fidelity(actor, settings, request, progress).to_json()
    if html is not None:
        write_document(actor, settings, fidelity_page(found), html)
        messages().print(f"written: {html}")
    if json is not None:
        write_json(found, json)
    if json != "-":
        _show(found)
    show_warnings(found["notes"])


def _show(found: Mapping[str, Any]) -> None:
    def figure(value: float | None) -> str:
        return "–" if value is None else f"{value:.4f}"

    rows = [
        (part, one["name"], figure(one["value"]), figure(one["ideal"]), figure(one["line"]),
         {None: "–", True: "yes", False: "NO"}[one["fine"]])
        for part, measures in found["measures"].items()
        for one in measures
    ]  # fmt: skip
    title = "Every figure keeps its line" if found["fine"] else "Some figures miss their line"
    show_rows(title, ("part", "measure", "found", "ideal", "line", "kept"), rows)
