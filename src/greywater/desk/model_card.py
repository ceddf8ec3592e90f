"""The model card of a kept run: what the model is, for what, learned from what, how good, how fair, its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from greywater.desk.curve_pictures import group_picture, period_picture, reliability_picture
from greywater.desk.document import Block, Bullets, Document, Picture, Section, Table, Text
from greywater.desk.measures import MEASURES

__all__ = [
    "fairness_blocks",
    "figure",
    "interval_words",
    "measure_table",
    "model_card",
    "period_blocks",
    "version_table",
]

#: Measures with intervals, in the order in which they are shown, beside those of the desk.
_NAMES: Final = {measure.key: measure.name for measure in MEASURES} | {
    "partial_roc_auc": "Partial ROC AUC (false positives up to 1 %)",
    "false_positive_rate": "False-positive rate",
    "laundering_parties": "Laundering parties",
    "laundering_payments": "Laundering payments",
    "payments": "Payments",
    "alerts": "Alerts",
}
_PERCENT: Final = frozenset({"precision", "recall", "precision_at_budget", "recall_at_budget", "false_positive_rate"})
_WHOLE: Final = frozenset({"payments", "laundering_payments", "laundering_parties", "alerts"})
_USES: Final = (
    "Meant for: ranking recorded payments and their parties, so that investigators look at the worst first.",
    "Not meant for: refusing payments, closing accounts or reporting a person without an investigator's decision; "
    "judging creditworthiness; any use on data of another kind than it learned from.",
    "An alert is a reason to look, not a finding of guilt.",
)


def model_card(found: Mapping[str, Any]) -> Document:
    """Make the card of the model that a run fitted.

    Parameters
    ----------
    found : mapping
        `Evaluation.to_json()`.

    Returns
    -------
    Document
    """
    detector, features = found["detector"] or {}, found["features"] or {}
    card = detector.get("card") or {}
    sections = [
        Section("What it is", [Text(f"{detector.get('name', 'A detector')}: {detector.get('why', '')}.", lead=True)]),
        Section("What it is for", [Bullets(_USES)]),
        Section("What it learned from", [_learned(found, card)]),
        Section("What it is given", _given(features, card)),
        Section("How it was set", [_parameters(card.get("parameters"))]),
        Section("How good it is", _how_good(found)),
        Section("Whether it lasts", period_blocks(found)),
        Section("Whether it is fair", fairness_blocks(found)),
        Section("Limits", [Bullets([*card.get("limits", ()), *card.get("notes", ())])]),
        Section("Versions", [version_table(found)]),
    ]
    return Document(f"Model card: {detector.get('kind', 'detector')}", _under(found), sections)


def measure_table(found: Mapping[str, Any], *, caption: str = "") -> Table:
    """The single-figure measures with their intervals, and what they were when the run was made."""
    metrics, then, intervals = found["metrics"] or {}, found.get("metrics_at_run") or {}, found["intervals"]
    keys = [key for key in (*_NAMES, *sorted(intervals)) if key in metrics or key in intervals]
    rows = []
    for key in dict.fromkeys(keys):
        if key.startswith("alerts_saved_") or key == "threshold":
            continue
        value = metrics.get(key)
        if value is None and key == "false_positive_rate":
            confusion = metrics.get("confusion") or {}
            negatives = confusion.get("false_positive", 0) + confusion.get("true_negative", 0)
            value = confusion["false_positive"] / negatives if negatives else None
        rows.append(
            [
                _NAMES.get(key, key.replace("_", " ")),
                figure(value, key),
                interval_words(intervals.get(key), key),
                figure(then.get(key), key),
            ]
        )
    headings = ["Measure", "Value", "95 % interval", "When it was run"]
    return Table(headings, rows, caption, frozenset({1, 2, 3}))


def period_blocks(found: Mapping[str, Any]) -> list[Block]:
    """Months and quarters as tables and pictures; nothing where there is one period only."""
    blocks: list[Block] = []
    for length, parts in found["periods"].items():
        if not parts:
            continue
        rows = [
            [
                each["name"],
                f"{each['rows']:,}",
                f"{each['positives']:,}",
                figure(each["average_precision"], "average_precision"),
                interval_words(each["average_precision_interval"], "average_precision"),
                figure(each["at"]["recall"], "recall"),
                figure(each["at"]["precision"], "precision"),
                "worse" if each["worse"] else "",
            ]
            for each in parts
        ]
        headings = [length.capitalize(), "Payments", "Laundering", "Average precision", "95 % interval", "Recall",
                    "Precision", "Drift"]  # fmt: skip
        told = f"By {length}. Worse: the whole interval lies below the first {length}'s value."
        blocks.append(Table(headings, rows, told, frozenset(range(1, 7))))
        if length == "month":
            shown = [
                {"name": each["name"], "ap": each["average_precision"],
                 "ap_interval": _ends(each["average_precision_interval"])}
                for each in parts
            ]  # fmt: skip
            blocks.append(Picture(period_picture(shown, "ap", "Average precision"), "Average precision by month."))
    return blocks


def fairness_blocks(found: Mapping[str, Any]) -> list[Block]:
    """One table, picture and verdict a protected attribute; a sentence where there is none."""
    if not found["fairness"]:
        return [Text("No protected attribute is recorded, so groups could not be compared.")]
    blocks: list[Block] = []
    for each in found["fairness"]:
        rows = [
            [
                group["name"] or "not known",
                f"{group['members']:,}",
                f"{group['alerted']:,}",
                figure(group["alert_rate"], "recall"),
                interval_words(group["alert_rate_interval"], "recall"),
                figure(group["false_alert_rate"], "recall"),
                interval_words(group["false_alert_rate_interval"], "recall"),
                figure(group["recall"], "recall"),
            ]
            for group in each["groups"]
        ]
        headings = [each["attribute"].replace("_", " ").capitalize(), "Members", "Alerted", "Alert rate",
                    "95 % interval", "False alerts", "95 % interval", "Recall"]  # fmt: skip
        blocks.append(Table(headings, rows, "Parties; false alerts are over those that did not launder.",
                            frozenset(range(1, 8))))  # fmt: skip
        blocks.append(Text(_verdict(each)))
        key = "false_alert_rate" if each["false_alert_ratio"] is not None else "alert_rate"
        name = "False alerts" if key == "false_alert_rate" else "Alerts"
        shown = [
            {"name": group["name"], key: group[key], f"{key}_interval": _ends(group[f"{key}_interval"])}
            for group in each["groups"]
        ]
        blocks.append(Picture(group_picture(shown, key, name), f"{name} by {each['attribute']}."))
    return blocks


def version_table(found: Mapping[str, Any]) -> Table:
    """Versions of program, data, features and model."""
    return Table(["What", "Version"], [[name, str(version)] for name, version in (found["versions"] or {}).items()])


def figure(value: float | None, key: str) -> str:
    """A measure in figures, None as a dash.

    Examples
    --------
    >>> figure(0.1234, "recall"), figure(0.1234, "f1"), figure(None, "f1"), figure(12345, "payments")
    ('12.3 %', '0.123', '–', '12,345')
    """
    if value is None:
        return "–"
    if key in _WHOLE:
        return f"{value:,.0f}"
    if key in _PERCENT or key.startswith("alerts_saved"):
        return f"{100 * value:.1f} %" if value >= 0.001 or not value else f"{100 * value:.2g} %"
    return f"{value:.3f}" if abs(value) >= 0.001 or not value else f"{value:.2g}"


def interval_words(interval: Mapping[str, Any] | None, key: str) -> str:
    """An interval in figures.

    Examples
    --------
    >>> interval_words({"low": 0.1, "high": 0.25}, "recall"), interval_words(None, "recall")
    ('10.0 % to 25.0 %', '')
    """
    if interval is None or interval["low"] is None:
        return ""
    return f"{figure(interval['low'], key)} to {figure(interval['high'], key)}"


def _under(found: Mapping[str, Any]) -> str:
    return (
        f"{found.get('title') or ''}. Run {found['run']}, judged on {found['evaluated_at'][:16].replace('T', ' ')} UTC."
    )


def _learned(found: Mapping[str, Any], card: Mapping[str, Any]) -> Block:
    split = found["split"] or {}
    time = card.get("time") or [None, None]
    rows = [
        ["Payments scored", f"{split.get('rows', 0):,}"],
        ["Learned from (earliest)", f"{split.get('train', 0):,}"],
        ["Tuned and calibrated on", f"{split.get('validation', 0) - split.get('train', 0):,}"],
        ["Alerted and judged (latest)", f"{split.get('rows', 0) - split.get('alerting', 0):,}"],
    ]
    if card.get("positives") is not None:
        rows.append(["Laundering payments among those it learned from", f"{card['positives']:,}"])
    if time[0] is not None:
        rows.append(["First and last payment it learned from", f"{_day(time[0])} to {_day(time[1])}"])
    return Table(["Data", "Number"], rows, "Cut by time: nothing later ever helps to judge something earlier.",
                 frozenset({1}))  # fmt: skip


def _given(features: Mapping[str, Any], card: Mapping[str, Any]) -> list[Block]:
    told = f"{features.get('columns', 0):,} columns: {features.get('name')}, fingerprint {features.get('fingerprint')}."
    used = card.get("most_used") or []
    rows = [[each["feature"], f"{100 * each['share_of_gain']:.1f} %"] for each in used]
    return [
        Text(f"{told} Each value is what was known when the payment was recorded."),
        Table(["Used most", "Share of the gain"], rows, numeric=frozenset({1})),
    ]


def _parameters(parameters: Mapping[str, Any] | None) -> Block:
    return Table(["Parameter", "Value"], [[name, str(value)] for name, value in (parameters or {}).items()])


def _how_good(found: Mapping[str, Any]) -> list[Block]:
    if found["metrics"] is None:
        return [Text("There are no labels, so nothing can be said about how many of its alerts are right.")]
    calibration = found["metrics"]["calibration"]
    brier = f"Brier score {figure(calibration['brier'], 'f1')}; always saying the base rate: "
    picture = reliability_picture(found["reliability"])
    return [
        Text("Measured on the last slice, which the model never saw, by the labels known now."),
        measure_table(found, caption=f"Intervals: whole parties drawn again, {found['resamples']:,} times."),
        Picture(picture, "Reliability: the share that laundered against the probability that was said."),
        Text(f"{brier}{figure(calibration['brier_of_base_rate'], 'f1')}."),
    ]


def _verdict(fairness: Mapping[str, Any]) -> str:
    kept = fairness["keeps_four_fifths"]
    if kept is None:
        return "Too few members in too few groups: nothing can be compared."
    false_ratio = fairness["false_alert_ratio"]
    over, ratio = ("false alerts", false_ratio) if false_ratio is not None else ("alerts", fairness["alert_ratio"])
    says = "keeps" if kept else "breaks"
    told = f"The lowest over the highest rate of {over} is {ratio:.2f}: it {says} the four-fifths rule (0.80)."
    gap = fairness["recall_gap"]
    return told + (f" Recall differs by {100 * gap:.1f} points." if gap is not None else "")


def _ends(interval: Mapping[str, Any]) -> Sequence[float | None]:
    return interval["low"], interval["high"]


def _day(time_us: int) -> str:
    from greywater.desk.wording import day_words

    return day_words(time_us)
