"""`greywater bench synthaml`: the published benchmark of alerts, on its files or on files of its form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greywater.cli.options import Json, Project, Store
from greywater.cli.output import messages, require_writable, settings_of, show_rows, show_warnings, write_json
from greywater.cli.progress import Shown

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["synthaml"]


def synthaml(
    alerts: Annotated[
        Path, typer.Argument(metavar="ALERTS", readable=False, help="synthetic_alerts.csv: AlertID, Date, Outcome.")
    ],
    transactions: Annotated[
        Path,
        typer.Argument(
            metavar="TRANSACTIONS",
            readable=False,
            help="synthetic_transactions.csv: AlertID, Timestamp, Entry, Type, Size.",
        ),
    ],
    test_from: Annotated[
        str, typer.Option(metavar="DAY", help="First day of the test alerts, the first of a quarter.")
    ] = "2021-01-01",
    parts: Annotated[
        str, typer.Option(metavar="NAME,...", help="models, imbalance, drift, interpretability; or all.")
    ] = "models",
    models: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="decision_tree, svm, mlp, random_forest, lightgbm, logistic_regression. [default: all; in the "
            "studies all but svm and mlp]",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Seeds behind each figure.")] = 10,
    labels: Annotated[int, typer.Option(metavar="N", min=1, help="Outcomes a quarter, for drift.")] = 200,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", readable=False, help="Write a page: HTML, or Markdown if it ends in .md."),
    ] = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Run the SynthAML benchmark: 56 features, six models, trained on 2020, tested on 2021, ten seeds.

    Shows each model's ROC AUC beside the published one, and that of `greywater prioritise` on the same split. The
    parts `imbalance`, `drift` and `interpretability` are what the paper names and leaves open. Nothing is stored.

    Examples

        greywater bench synthaml synthetic_alerts.csv synthetic_transactions.csv

        greywater bench synthaml alerts.csv transactions.csv --parts all --seeds 3 --report bench.html --json bench.json

        greywater bench synthaml alerts.csv transactions.csv --parts drift --models lightgbm --labels 100
    """
    from greywater.app.alert_benchmark import PARTS, BenchmarkRequest, bench_synthaml
    from greywater.app.evaluating import write_document
    from greywater.desk.alert_benchmark_page import alert_benchmark_page
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    chosen = None if models is None else tuple(_words(models))
    request = BenchmarkRequest(
        alerts=alerts,
        transactions=transactions,
        test_from=test_from,
        parts=tuple(PARTS) if parts == "all" else tuple(_words(parts)),
        models=chosen,
        seeds=seeds,
        labels=labels,
    )
    require_writable(report, "the page")
    require_writable(None if json in (None, "-") else Path(str(json)), "the JSON")
    actor = Actor(project=settings.project)
    with Shown() as progress:
        found = bench_synthaml(actor, settings, request, progress).to_json()
    if report is not None:
        write_document(actor, settings, alert_benchmark_page(found), report)
        messages().print(f"written: {report}")
    if json is not None:
        write_json(found, json)
    if json != "-":
        _show(found)
    show_warnings(found["notes"])


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _show(found: Mapping[str, Any]) -> None:
    from greywater.desk.alert_benchmark_page import percent_of

    train, test = found["train"], found["test"]
    typer.echo(
        f"{train['alerts']:,} alerts before {found['test_from']} ({train['reported']:,} reported) to learn from, "
        f"{test['alerts']:,} from then on ({test['reported']:,} reported) to measure; {found['seeds']} seeds.\n"
    )
    rows: list[tuple[Any, ...]]
    if found["models"]:
        rows = [
            (
                each["model"],
                percent_of(each["roc_auc"]),
                "–" if each["published_percent"] is None else f"{each['published_percent']:.2f}",
            )
            for each in found["models"]
        ]
        show_rows("ROC AUC in percent, mean (standard deviation)", ("model", "here", "published"), rows)
    if found["imbalance"]:
        rows = [
            (cell["model"], f"{100 * cell['rate']:g} %", cell["remedy"], percent_of(cell["auc"]))
            for cell in found["imbalance"]
        ]
        show_rows("\nFewer reports to learn from", ("model", "rate", "remedy", "ROC AUC"), rows)
    if found["drift"]["upkeep"]:
        rows = [
            (point["model"], point["upkeep"], point["measured"], percent_of(point["auc"]))
            for point in found["drift"]["upkeep"]
        ]
        show_rows("\nUpkeep from quarter to quarter", ("model", "upkeep", "measured on", "ROC AUC"), rows)
    for each in found["interpretability"]:
        rows = [(one["column"], f"{100 * one['permutation']:.2f}") for one in each["columns"][:5]]
        show_rows(f"\nWhat {each['model']} rests on", ("column", "ROC AUC lost without it, percent points"), rows)
