"""The validation report of a kept run, for model risk and audit: what was tested, and found, and not tested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from greywater.desk.charts import precision_recall
from greywater.desk.curve_pictures import alerts_saved_picture, reliability_picture, waiting_picture
from greywater.desk.document import Block, Bullets, Document, Picture, Section, Table, Text
from greywater.desk.model_card import (
    fairness_blocks,
    figure,
    interval_words,
    measure_table,
    period_blocks,
    version_table,
)
from greywater.desk.wording import duration

__all__ = ["validation_report"]


def validation_report(found: Mapping[str, Any]) -> Document:
    """Make the report of an evaluation.

    Parameters
    ----------
    found : mapping
        `Evaluation.to_json()`.

    Returns
    -------
    Document
        Without labels it says what could not be tested.
    """
    labelled = found["metrics"] is not None
    sections = [
        Section("In short", _summary(found)),
        Section("How it was judged", [_how(found)]),
        Section("Ranking and threshold", _ranking(found) if labelled else []),
        Section("The queue", _queue(found) if labelled else []),
        Section("Probabilities", _calibration(found) if labelled else []),
        Section("Against one column alone", _baseline(found) if labelled else []),
        Section("Over time", period_blocks(found)),
        Section("Groups", fairness_blocks(found)),
        Section("Fewer and later labels", _experiments(found)),
        Section("Detectors side by side", _detectors(found)),
        Section("What was not tested", [Bullets(_untested(found))]),
        Section("Versions", [version_table(found)]),
    ]
    title = f"Validation report: {(found['detector'] or {}).get('name', 'detector')}"
    told = (
        f"{found.get('title') or ''}. Run {found['run']}, judged on {found['evaluated_at'][:16].replace('T', ' ')} UTC."
    )
    return Document(title, told, sections)


def _summary(found: Mapping[str, Any]) -> list[Block]:
    metrics = found["metrics"]
    if metrics is None:
        return [Text("The project holds no labels: the alerts could not be compared with the truth.", lead=True)]
    intervals = found["intervals"]

    def said(key: str) -> str:
        interval = interval_words(intervals.get(key), key)
        return figure(metrics.get(key), key) + (f" ({interval})" if interval else "")

    items = [
        f"Average precision {said('average_precision')}; a random order gets "
        f"{figure(metrics['laundering_payments'] / max(metrics['payments'], 1), 'precision')}.",
        f"Of {metrics['alerts']:,} alerts ({found['budget']}), {said('precision_at_budget')} were right.",
        f"Of {metrics['laundering_parties']:,} laundering parties, {said('recall_at_budget')} were alerted.",
    ]
    worse = [each["name"] for parts in found["periods"].values() for each in parts if each["worse"]]
    items.append(f"Performance fell in {', '.join(worse)}." if worse else "No period is clearly worse than the first.")
    unfair = [each["attribute"] for each in found["fairness"] if each["keeps_four_fifths"] is False]
    if unfair:
        items.append(f"The four-fifths rule is broken for {', '.join(unfair)}.")
    then = (found.get("metrics_at_run") or {}).get("average_precision")
    if then is not None and metrics["average_precision"] is not None and then != metrics["average_precision"]:
        items.append(f"By the labels known when it was run, average precision was {figure(then, 'f1')}.")
    return [Bullets(items)]


def _how(found: Mapping[str, Any]) -> Block:
    split = found["split"] or {}
    return Bullets(
        [
            f"{split.get('rows', 0):,} payments in order of time: the first {split.get('train', 0):,} to learn from, "
            f"the last {split.get('rows', 0) - split.get('alerting', 0):,} to judge.",
            "Measures of payments and of accounts; never accuracy, which is useless at one in a thousand.",
            f"Intervals are at 95 %: whole parties drawn again {found['resamples']:,} times (percentiles), since the "
            "payments of one party are no independent trials; plain shares have Wilson's.",
            "Labels are those known when this was written; what nobody has looked into counts as honest.",
        ]
    )


def _ranking(found: Mapping[str, Any]) -> list[Block]:
    metrics = found["metrics"]
    point = None
    if metrics["recall"] is not None and metrics["precision"] is not None:
        point = (float(metrics["recall"]), float(metrics["precision"]))
    curve = [(float(recall), float(precision)) for recall, precision in found["curves"]["precision_recall"]]
    confusion = metrics["confusion"]
    missed, wasted = found["costs"] or (None, None)
    rows = [
        ["laundering", f"{confusion['true_positive']:,}", f"{confusion['false_negative']:,}"],
        ["honest", f"{confusion['false_positive']:,}", f"{confusion['true_negative']:,}"],
    ]
    told = f"At the threshold {figure(found['threshold'], 'threshold')}"
    if missed is not None:
        told += f"; expected cost counts {missed:g} for a missed payment and {wasted:g} for a wasted one, a payment"
    return [
        measure_table(found),
        Picture(precision_recall(curve, point=point) if curve else "", "Precision against recall."),
        Table(["Payments", "Flagged", "Not flagged"], rows, told + ".", frozenset({1, 2})),
    ]


def _queue(found: Mapping[str, Any]) -> list[Block]:
    metrics, intervals = found["metrics"], found["intervals"]
    saved = [
        [
            f"{100 * each['floor']:g} %",
            f"{each['alerts']:,}",
            figure(each["saved"], "alerts_saved"),
            interval_words(intervals.get(f"alerts_saved_{each['floor']:.2f}"), "alerts_saved"),
        ]
        for each in metrics["alerts_saved"]
    ]
    blocks: list[Block] = [
        Table(["Recall kept", "Parties looked at", "Saved", "95 % interval"], saved,
              "Parties ranked by their best payment: how many need no look.", frozenset({1, 2, 3})),
        Picture(alerts_saved_picture(_points(found, "alerts_saved"), metrics["alerts_saved"]),
                "Parties that need not be looked at, against the recall that is kept."),
    ]  # fmt: skip
    recall = metrics["recall_by_typology"] or {}
    rows = [[name.replace("_", " "), figure(value, "recall")] for name, value in recall.items()]
    blocks.append(Table(["Typology", "Parties alerted"], rows, numeric=frozenset({1})))
    waited = metrics["time_to_alert"]
    if waited["alerted"]:
        times = {"half": waited["median_seconds"], "nine in ten": waited["p90_seconds"]}
        told = ", ".join(f"{share} within {duration(seconds)}" for share, seconds in times.items())
        found_of = f"{waited['alerted']:,} of {waited['accounts']:,} launderers were alerted"
        blocks.append(Text(f"{found_of}: {told} of the first dirty payment."))
    blocks.append(Picture(waiting_picture(_points(found, "waiting")), "Launderers alerted, against the days waited."))
    return blocks


def _calibration(found: Mapping[str, Any]) -> list[Block]:
    rows = [
        [
            f"{100 * each['low_edge']:g} to {100 * each['high_edge']:g} %",
            f"{each['rows']:,}",
            figure(each["mean_probability"], "recall"),
            figure(each["share_positive"], "recall"),
            interval_words(each, "recall"),
        ]
        for each in found["reliability"]
        if each["rows"]
    ]
    headings = ["Probability", "Payments", "Said on average", "Came", "95 % interval"]
    return [
        Table(headings, rows, "What was said, and what came.", frozenset({1, 2, 3, 4})),
        Picture(reliability_picture(found["reliability"]), "Reliability on logarithmic axes."),
    ]


def _baseline(found: Mapping[str, Any]) -> list[Block]:
    best = ((found.get("metrics_at_run") or {}).get("single_column_baseline") or {}).get("by_average_precision")
    if best is None:
        return [Text("The run was made without labels: no column was measured alone.")]
    ours = (found.get("metrics_at_run") or {}).get("average_precision")
    return [
        Text(
            f"The best single column ({best['column']}, {best['direction']} values first) reached an average precision "
            f"of {figure(best['average_precision'], 'f1')} on these payments when it was run; the detector reached "
            f"{figure(ours, 'f1')}. Where one column comes near, the data may give the answer away."
        )
    ]


def _experiments(found: Mapping[str, Any]) -> list[Block]:
    """What came of fewer and later labels, where that was tried."""
    told = {
        "rarer": ("Share of the laundering kept", "The rest left out: laundering is rarer."),
        "unfound": ("Share of the laundering found", "The rest called honest: nobody has found it yet."),
        "late": ("Days until a label is known", "Fitted when the judged payments begin, by the labels known then."),
    }
    blocks: list[Block] = []
    for name, points in (found.get("experiments") or {}).items():
        heading, caption = told[name]
        rows = [
            [
                f"{point['setting']:g}",
                f"{point['positives']:,}",
                figure((point["measures"] or {}).get("average_precision"), "f1"),
                figure((point["measures"] or {}).get("roc_auc"), "f1"),
            ]
            for point in points
        ]
        headings = [heading, "Laundering learned from", "Average precision", "ROC AUC"]
        blocks.append(Table(headings, rows, caption, frozenset({1, 2, 3})))
    return blocks


def _detectors(found: Mapping[str, Any]) -> list[Block]:
    """Other detectors fitted on the same payments, where that was tried."""
    told = found.get("detectors")
    if not told:
        return []
    rows = [
        [
            each["name"],
            figure((each["measures"] or {}).get("average_precision"), "f1"),
            figure((each["measures"] or {}).get("roc_auc"), "f1"),
            figure(each["precision_at_budget"], "f1"),
            each["why"],
        ]
        for each in told["contenders"]
    ]
    caption = (
        "Fitted on the first 60 % of the payments, tuned on the next 20 %, measured on the last 20 %; the last figure "
        f"is the share of laundering among the payments with the highest scores, at {told['budget']}."
    )
    headings = ["Detector", "Average precision", "ROC AUC", "Right at the budget", "What it learned from"]
    return [Table(headings, rows, caption, frozenset({1, 2, 3}))]


def _untested(found: Mapping[str, Any]) -> list[str]:
    said = [
        "Laundering of a kind that no label names: what was never found cannot be counted as missed.",
        "Other data than this project's; other budgets than the one named above.",
    ]
    if found["metrics"] is None:
        said.insert(0, "Everything that needs labels: precision, recall, cost, probabilities, time to alert.")
    if not found["fairness"]:
        said.append("Fairness: no protected attribute is recorded.")
    if all(len(parts) < 2 for parts in found["periods"].values()):
        said.append("Drift: the judged payments lie within one month.")
    return said


def _points(found: Mapping[str, Any], name: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in found["curves"][name]]
