"""`greywater evaluate` and `greywater explain`: how good a run was, and why a payment scored as it did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greywater.cli.options import Json, Project, Store
from greywater.cli.output import messages, require_writable, settings_of, show_rows, write_json
from greywater.cli.progress import Shown

if TYPE_CHECKING:
    from greywater.app.evaluating import Evaluation
    from greywater.app.explaining import Explanation

__all__ = ["evaluate", "explain"]

_EXPERIMENTS = {
    "rarer": "Laundering kept (the rest left out)",
    "unfound": "Laundering found (the rest called honest)",
    "late": "Labels known so many days late",
}
_FILE = "HTML, or Markdown where the name ends in .md."


def evaluate(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Id of a run. [default: the last one]")] = None,
    last: Annotated[bool, typer.Option("--last", help="The last run; the same as naming none.")] = False,
    resamples: Annotated[int, typer.Option(metavar="N", min=1, help="Resamples behind each interval.")] = 200,
    card: Annotated[
        Path | None, typer.Option(metavar="FILE", readable=False, help=f"Write the model card: {_FILE}")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", readable=False, help=f"Write the validation report: {_FILE}")
    ] = None,
    experiments: Annotated[
        bool,
        typer.Option("--experiments", help="Fit again with fewer and later labels; takes as long as several runs."),
    ] = False,
    detectors: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="Fit these too and show them side by side, such as pca,knn,isolation."),
    ] = None,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Judge a run by the labels known now, with intervals.

    Takes the scores and alerts that the run left and the labels that the project holds today, and says how good they
    were: by payment and by party, month by month, group by group of protected attributes.

    Examples

        greywater evaluate --last

        greywater evaluate --last --card card.html --report validation.md --json evaluation.json

        greywater evaluate --last --detectors isolation,pca,knn,ecod
    """
    from greywater.app.evaluating import EvaluateRequest, write_document
    from greywater.app.evaluating import evaluate as judge
    from greywater.desk.model_card import model_card
    from greywater.desk.validation_report import validation_report
    from greywater.errors import UsageError
    from greywater.vocab import Actor

    if run is not None and last:
        raise UsageError("a run is named, and --last too", where="greywater evaluate", mend="give one of them")
    settings = settings_of(store, project)
    require_writable(card, "the model card")
    require_writable(report, "the validation report")
    actor = Actor(project=settings.project)
    with Shown() as progress:
        found = judge(actor, settings, EvaluateRequest(run, resamples), progress)
        told = found.to_json()
        if experiments:
            from greywater.app.experimenting import experiment

            told["experiments"] = experiment(actor, settings, progress).to_json()
        if detectors is not None:
            from greywater.app.comparing import compare_detectors

            names = [name.strip() for name in detectors.split(",") if name.strip()]
            told["detectors"] = compare_detectors(actor, settings, names, progress).to_json()
    for path, make in ((card, model_card), (report, validation_report)):
        if path is not None:
            write_document(actor, settings, make(told), path)
            messages().print(f"written: {path}")
    if json is not None:
        write_json(told, json)
    if json != "-":
        _show_evaluation(found, told)


def explain(
    id: Annotated[str, typer.Argument(metavar="ALERT|TX_ID", help="Id of an alert, or of a recorded payment.")],
    run: Annotated[
        str | None, typer.Option(metavar="RUN", help="By the model of this run. [default: the alert's, or the last]")
    ] = None,
    by_calls: Annotated[
        bool,
        typer.Option("--by-calls", help="Contributions by score calls alone (Kernel SHAP), whatever the detector."),
    ] = False,
    store: Store = None,
    project: Project = None,
    json: Json = None,
) -> None:
    """Explain an alert or a payment, and what would have changed it.

    Shows what pushed the score, the reasons in words with the payments they speak of, how the peers do, the smallest
    change that would have kept it below the line, and the evidence. A payment that raised no alert is worked out anew
    from the first payment on, which takes as long as the features of a run.

    Examples

        greywater explain c9bef7c451b504ab

        greywater explain T1048576 --store ./bank --json -
    """
    from greywater.app.explaining import ExplainRequest
    from greywater.app.explaining import explain as look
    from greywater.vocab import Actor

    settings = settings_of(store, project)
    with Shown() as progress:
        found = look(Actor(project=settings.project), settings, ExplainRequest(id, run, by_calls), progress)
    if json is not None:
        write_json(found.to_json(), json)
    if json != "-":
        _show_explanation(found)


def _show_evaluation(found: Evaluation, told: dict[str, Any]) -> None:
    from greywater.desk.model_card import measure_table
    from greywater.desk.wording import plain

    detector = (told["detector"] or {}).get("name", "a detector")
    typer.echo(plain(f"Run {found.run_id}: {detector}, {told['budget']}."))
    if found.verdict is None:
        typer.echo("The project holds no labels, so nothing can be said about how many of its alerts are right.")
    else:
        table = measure_table(told)
        typer.echo("")
        show_rows("By the labels known now", [name.lower() for name in table.headings], table.rows)
        saved = [
            (f"{100 * each['floor']:g} %", each["alerts"], f"{each['saved']:.1%}")
            for each in told["metrics"]["alerts_saved"]
        ]
        show_rows("Parties that need no look", ("recall kept", "looked at", "saved"), saved)
        for length, parts in told["periods"].items():
            rows = [
                (each["name"], each["rows"], each["positives"], _share(each["average_precision"]),
                 _share(each["at"]["recall"]), "worse" if each["worse"] else "")
                for each in parts
            ]  # fmt: skip
            show_rows(f"By {length}", (length, "payments", "laundering", "average precision", "recall", "drift"), rows)
    for name, points in told.get("experiments", {}).items():
        tried = [
            (f"{point['setting']:g}", point["positives"], point["rows"],
             point["why"] or _share(point["measures"]["average_precision"]))
            for point in points
        ]  # fmt: skip
        headings = ("days" if name == "late" else "share", "laundering", "learned from", "average precision")
        show_rows(_EXPERIMENTS[name], headings, tried)
    if "detectors" in told:
        _show_detectors(told["detectors"])
    for each in told["fairness"]:
        rows = [
            (group["name"] or "not known", group["members"], group["alerted"], _share(group["alert_rate"]),
             _share(group["false_alert_rate"]), _share(group["recall"]))
            for group in each["groups"]
        ]  # fmt: skip
        verdict = {True: "keeps", False: "breaks", None: "too few to judge:"}[each["keeps_four_fifths"]]
        title = f"By {each['attribute']}: {verdict} the four-fifths rule"
        show_rows(title, ("group", "parties", "alerted", "alert rate", "false alerts", "recall"), rows)


def _show_detectors(told: dict[str, Any]) -> None:
    """Detectors side by side, the best first; below them what could not be fitted."""
    from greywater.desk.wording import plain

    def precision(each: dict[str, Any]) -> float:
        return float((each["measures"] or {}).get("average_precision") or 0.0)

    rows = [
        (each["detector"], _share(each["measures"]["average_precision"]), _share(each["measures"]["roc_auc"]),
         _share(each["precision_at_budget"]), f"{each['seconds']:.1f}")
        for each in sorted(told["contenders"], key=precision, reverse=True)
        if each["measures"] is not None
    ]  # fmt: skip
    headings = ("detector", "average precision", "ROC AUC", f"right of {told['budget']}", "seconds")
    show_rows("Detectors side by side, on the last 20 % of the payments", headings, rows)
    for each in told["contenders"]:
        if each["measures"] is None:
            typer.echo(plain(f"{each['detector']}: {each['why']}"))


def _show_explanation(found: Explanation) -> None:
    from greywater.desk import wording as say

    payment = found.payment
    money = say.money(payment.amount, payment.currency)
    what = f"{payment.tx_id}: {money} from {payment.sender} to {payment.receiver}, {say.moment_words(payment.time_us)}"
    typer.echo(say.plain(what))
    typer.echo(say.plain(f"{found.kind} of {found.entity}, by run {found.run_id}: score {found.score:.4g}, chance "
                         f"{found.probability:.1%}."))  # fmt: skip
    typer.echo("\nWhy")
    for place, reason in enumerate(found.reasons, 1):
        typer.echo(say.plain(f"{place}. {reason.cited}"))
    for title, told in (("Rules", found.rules), ("Confirmed launderers", found.seeds)):
        if told:
            typer.echo(f"\n{title}")
            for each in told:
                typer.echo(say.plain(f"- {each.text}"))
    changed = found.counterfactual
    typer.echo("\nWhat would have changed it")
    if changed is None:
        typer.echo(found.line_words)
    else:
        head = "below the line" if changed.found else "not below the line, but nearer to it"
        typer.echo(f"{head} ({found.line_words}; {changed.line:.4g}), with a score of {changed.after:.4g}:")
        for text in changed.text or ("no column that an account's holder acts on would do it",):
            typer.echo(say.plain(f"- {text}"))
    rows = [
        (found.descriptions.get(name, name), name, say.number(value), f"{push:+.3f}")
        for name, value, push in found.contributions
    ]
    how = "the detector's own" if found.method == "own" else "by score calls"
    typer.echo("")
    show_rows(f"What pushed the score from {found.base:.3f} ({how})", ("what", "column", "value", "push"), rows)
    shown = [
        (say.moment_words(row.time_us), row.sender, row.receiver, say.money(row.amount, row.currency), row.tx_id)
        for row in found.evidence
    ]
    show_rows("Evidence", ("when (UTC)", "from", "to", "amount", "payment"), shown)
    for proof in found.patterns:
        typer.echo(say.plain(f"{proof.text}."))
    typer.echo(say.plain("Versions: " + ", ".join(f"{name} {version}" for name, version in found.versions.items())))


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
