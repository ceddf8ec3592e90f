"""The report of a run: one self-contained HTML page, for screen, keyboard and paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import Any, Final

from greywater.desk import wording as say
from greywater.desk.alerts import Alert
from greywater.desk.charts import Curve, alerts_per_day, precision_recall
from greywater.desk.curve_pictures import alerts_saved_picture, reliability_picture, waiting_picture
from greywater.desk.measures import measure_rows
from greywater.desk.ranking import Ranking
from greywater.desk.report_cases import cases_table
from greywater.desk.report_queue import LONGEST_WORD, TOLD_IN_FULL, queue
from greywater.vocab import Counts

__all__ = ["Baseline", "FileRead", "RejectedReason", "RunReport", "Slice", "render"]


@dataclass(frozen=True)
class FileRead:
    """A file of payments that was read: its name, format, rows and SHA-256 (may be empty)."""

    name: str
    format: str
    rows: int
    sha256: str = ""


@dataclass(frozen=True)
class RejectedReason:
    """Rows set aside for one reason, and one of them as an example (file, row, column, what was found)."""

    reason: str
    count: int
    example: str = ""


@dataclass(frozen=True)
class Slice:
    """A part of the scored payments, by time. `positives` is None without labels; times in microseconds since 1970."""

    name: str
    payments: int
    positives: int | None
    start_us: int
    stop_us: int


@dataclass(frozen=True)
class Baseline:
    """What the best single column reaches on the same payments: same keys as `metrics`."""

    column: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    curve: Curve = ()


@dataclass(frozen=True)
class RunReport:
    """Everything the page shows; plain types only.

    Parameters
    ----------
    title : str
        For example the name of the first file.
    made_at : datetime
        When, with a time zone.
    counts : Counts
        What became of the rows.
    detector : str
        Which detector judged, in a few words: "boosted trees (LightGBM)".
    why : str
        Why this one, in one sentence.
    budget : str
        In words: "20 alerts a day".
    alerts : sequence of Alert
        By rank. The first hundred are told in full.
    cases : Ranking, optional
        What the alerts ask of the desk: repeats folded, networks tied.
    files, rejected, slices : sequences
        What was read, what was set aside, how the payments were cut.
    first_us, last_us : int, optional
        Event times of the first and the last payment, microseconds since 1970.
    parties : str
        How many accounts and customers, in words.
    base_currency : str
        Currency of `base_amount` and of the windows; `XXX` or empty = none.
    metrics : mapping, optional
        As in `--json`; None without labels.
    baseline : Baseline, optional
        The best single column.
    curve : sequence of (recall, precision)
        Of the detector.
    reliability : sequence of mappings
        Bins of what was said and what came, as in `metrics.calibration.bins` of `--json`.
    saved : sequence of (recall, share saved)
        Of the parties of the measured slice.
    floors : sequence of mappings
        Stated recalls on that curve, as in `metrics.alerts_saved`.
    waiting : sequence of (days, share alerted)
        From the first dirty payment of a launderer to its alert.
    outcomes : mapping of alert id to bool, optional
        What the labels say of each alert.
    timings : mapping of str to float
        Seconds per step, in order.
    peak_rss_mb : float, optional
        Largest memory held.
    versions : mapping of str to str
        Of the program, the data, the features, the model, the libraries.
    notes : sequence of str
        Sentences a reader must know (rates used, windows left out, columns that leak).
    """

    title: str
    made_at: datetime
    counts: Counts
    detector: str
    why: str
    budget: str
    alerts: Sequence[Alert] = ()
    cases: Ranking | None = None
    files: Sequence[FileRead] = ()
    rejected: Sequence[RejectedReason] = ()
    slices: Sequence[Slice] = ()
    first_us: int | None = None
    last_us: int | None = None
    parties: str = ""
    base_currency: str = ""
    metrics: Mapping[str, Any] | None = None
    baseline: Baseline | None = None
    curve: Curve = ()
    reliability: Sequence[Mapping[str, Any]] = ()
    saved: Curve = ()
    floors: Sequence[Mapping[str, Any]] = ()
    waiting: Curve = ()
    outcomes: Mapping[str, bool] | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    peak_rss_mb: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


_SHORTCUTS: Final = (
    ("j", "next alert"),
    ("k", "previous alert"),
    ("Enter", "open or close"),
    ("o", "open or close all"),
    ("/", "filter the queue"),
    ("?", "these keys"),
)


def render(report: RunReport) -> str:
    """Make the page.

    Parameters
    ----------
    report : RunReport
        What is to be shown.

    Returns
    -------
    str
        HTML with its style and script inline; it asks the network for nothing and reads well without script.
    """
    assets = files("greywater.desk") / "assets"
    style = (assets / "report.css").read_text("utf-8")
    script = (assets / "report.js").read_text("utf-8")
    sections = [
        ("queue", "The queue", _queue_section(report)),
        ("cases", "As cases", cases_table(report.cases, report.alerts, report.base_currency)),
        ("judged", "How it was judged", _judged(report)),
        ("measures", "How good it is", _measures(report)),
        ("read", "What was read", _read(report)),
        ("cost", "Time, memory, versions", _cost(report)),
    ]
    shown = [(key, name, body) for key, name, body in sections if body]
    links = "".join(f'<a href="#{key}">{name}</a>' for key, name, _ in shown)
    body = "".join(f'<section id="{key}"><h2>{name}</h2>{inner}</section>' for key, name, inner in shown)
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
    keys = "".join(f"<dt><kbd>{key}</kbd></dt><dd>{words}</dd>" for key, words in _SHORTCUTS)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Greywater: {_text(report.title)}</title><style>{style}</style></head><body>"
        f'<a class="skip" href="#queue">To the queue</a>{_head(report)}<nav aria-label="Sections">{links}'
        '<button type="button" id="keys-button" hidden>Keys <kbd>?</kbd></button></nav>'
        f"<main>{body}</main><footer>Made by Greywater. An alert is a reason to look, not a finding of guilt.</footer>"
        f'<dialog id="keys" aria-label="Keys"><h2>Keys</h2><dl>{keys}</dl>'
        '<form method="dialog"><button>Close</button></form></dialog>'
        f"<script>{script}</script></body></html>"
    )


def _text(value: object) -> str:
    return escape(say.plain(str(value), LONGEST_WORD), quote=True)


def _head(report: RunReport) -> str:
    span = ""
    if report.first_us is not None and report.last_us is not None:
        span = f"{say.day_words(report.first_us)} to {say.day_words(report.last_us)}"
    told = ", ".join(part for part in (f"{report.counts.recorded + report.counts.duplicate:,} payments", span) if part)
    tiles = [("Alerts", f"{len(report.alerts):,}", report.budget)]
    tiles += _tiles_of_measures(report)
    tiles.append(("Payments read", f"{report.counts.read:,}", _fate(report.counts)))
    if report.timings:
        memory = f"{report.peak_rss_mb:,.0f} MB at most" if report.peak_rss_mb is not None else ""
        tiles.append(("Took", _seconds(sum(report.timings.values())), memory))
    cells = "".join(
        f'<div class="tile"><dt>{_text(name)}</dt><dd><b>{_text(value)}</b><span>{_text(note)}</span></dd></div>'
        for name, value, note in tiles
    )
    return (
        f'<header><p class="brand">Greywater</p><h1>{_text(report.title)}</h1>'
        f'<p class="sub">{_text(told)}. Report of {report.made_at:%Y-%m-%d %H:%M %Z}.</p>'
        f'<dl class="tiles">{cells}</dl></header>'
    )


def _tiles_of_measures(report: RunReport) -> list[tuple[str, str, str]]:
    """The two or three figures a reader looks for first."""
    metrics, base = report.metrics or {}, report.baseline.metrics if report.baseline else {}
    tiles = []
    for key, name in (
        ("average_precision", "Average precision"),
        ("precision_at_budget", "Alerts that were right"),
        ("recall_at_budget", "Launderers alerted"),
    ):
        value = metrics.get(key)
        if value is not None:
            other = base.get(key)
            note = f"best single column: {_figure(other, key)}" if other is not None else ""
            tiles.append((name, _figure(value, key), note))
    return tiles


def _fate(counts: Counts) -> str:
    parts = [
        f"{number:,} {word}"
        for number, word in ((counts.duplicate, "known"), (counts.rejected, "set aside"), (counts.skipped, "skipped"))
        if number
    ]
    return ", ".join(parts) or "all recorded"


def _queue_section(report: RunReport) -> str:
    if not report.alerts:
        return '<p class="lead">No alert was raised: there was no scored payment of a party inside the bank.</p>'
    days = Counter(alert.raised_at.date() for alert in report.alerts)
    lead = f"{len(report.alerts):,} alerts, worst first; the budget is {report.budget}."
    if len(report.alerts) > TOLD_IN_FULL:
        lead += f" The first {TOLD_IN_FULL} are told in full, the rest in a table below them."
    return (
        f'<p class="lead">{_text(lead)}</p>{alerts_per_day(days)}'
        f"{queue(report.alerts, report.base_currency, report.outcomes)}"
    )


def _judged(report: RunReport) -> str:
    parts = [f'<p class="lead"><b>{_text(report.detector)}</b>. {_text(report.why)}</p>']
    if report.slices:
        labelled = any(part.positives is not None for part in report.slices)
        head = '<tr><th scope="col">Slice<th scope="col">From<th scope="col">To<th scope="col" class="n">Payments'
        head += '<th scope="col" class="n">Laundering' if labelled else ""
        rows = ""
        for part in report.slices:
            rows += (
                f'<tr><th scope="row">{_text(part.name)}<td class="d">{say.moment_words(part.start_us)}'
                f'<td class="d">{say.moment_words(part.stop_us)}<td class="n">{part.payments:,}'
            )
            if labelled:
                rows += f'<td class="n">{"" if part.positives is None else f"{part.positives:,}"}'
        parts.append(_table(head, rows, "Cut by time: nothing later ever helps to judge something earlier."))
    parts += [f'<p class="note">{_text(note)}</p>' for note in report.notes]
    return "".join(parts)


def _measures(report: RunReport) -> str:
    if report.metrics is None:
        return (
            '<p class="lead">There are no labels, so nothing can be said about how many of these alerts are right. '
            "Record what investigators decide, and the next run is measured.</p>"
        )
    base = report.baseline
    head = '<tr><th scope="col">Measure<th scope="col" class="n">Value'
    head += f'<th scope="col" class="n">Best single column<br><code>{_text(base.column)}</code>' if base else ""
    rows = ""
    for measure, value, other in measure_rows(report.metrics, base.metrics if base else None):
        says = f"<small>{_text(measure.words)}</small>" if measure.words else ""
        rows += f'<tr><th scope="row">{_text(measure.name)}{says}<td class="n">{_figure(value, measure.key)}'
        rows += f'<td class="n">{_figure(other, measure.key)}' if base else ""
    recall, precision = report.metrics.get("recall"), report.metrics.get("precision")
    point = (float(recall), float(precision)) if recall is not None and precision is not None else None
    parts = ['<p class="lead">Measured on the last slice, which the detector never saw.</p>', _table(head, rows)]
    charts = [reliability_picture(report.reliability), alerts_saved_picture(report.saved, report.floors)]
    charts.append(waiting_picture(report.waiting))
    if report.curve:
        curve, name = (base.curve, base.column) if base else ((), "")
        charts.insert(0, precision_recall(report.curve, baseline=curve, baseline_name=name, point=point))
    parts.append(f'<div class="charts">{"".join(charts)}</div>' if any(charts) else "")
    parts += [_confusion(report.metrics.get("confusion")), _typologies(report.metrics.get("recall_by_typology"))]
    return "".join(parts)


def _confusion(confusion: Mapping[str, int] | None) -> str:
    if not confusion:
        return ""
    names = {
        "tp": ("Caught", "laundering payments above the threshold"),
        "fp": ("Wasted", "normal payments above it"),
        "fn": ("Missed", "laundering payments below it"),
        "tn": ("Left alone", "normal payments below it"),
    }
    short = {"true_positive": "tp", "false_positive": "fp", "false_negative": "fn", "true_negative": "tn"}
    confusion = {short.get(key, key): number for key, number in confusion.items()}
    cells = "".join(
        f'<div class="tile"><dt>{names.get(key, (key, ""))[0]}</dt><dd><b>{number:,}</b>'
        f"<span>{names.get(key, (key, ''))[1]}</span></dd></div>"
        for key, number in confusion.items()
        if key in names
    )
    return f'<h3>At the threshold</h3><dl class="tiles">{cells}</dl>'


def _typologies(recall: Mapping[str, float | None] | None) -> str:
    if not recall:
        return ""
    rows = ""
    for name, value in recall.items():
        shape, figure = _text(name.replace("_", "-")), _figure(value, "recall")
        rows += f'<tr><th scope="row">{shape}<td class="n">{figure}<td class="bar">'
        rows += "" if value is None else f'<i style="width:{100 * min(max(value, 0), 1):.0f}%"></i>'
    head = '<tr><th scope="col">Shape<th scope="col" class="n">Alerted<th scope="col"><span class="hide">Share</span>'
    told = "Share of the parties of each shape that got an alert."
    return f"<h3>By laundering shape</h3>{_table(head, rows, told, slim=True)}"


def _read(report: RunReport) -> str:
    counts = report.counts
    parts = []
    if report.files:
        head = '<tr><th scope="col">File<th scope="col">Format<th scope="col" class="n">Rows<th scope="col">SHA-256'
        rows = "".join(
            f'<tr><th scope="row">{_text(file.name)}<td>{_text(file.format)}<td class="n">{file.rows:,}'
            f"<td><code>{_text(file.sha256[:16])}{'…' if len(file.sha256) > 16 else ''}</code>"
            for file in report.files
        )
        parts.append(_table(head, rows))
    told = [
        ("read", counts.read),
        ("recorded", counts.recorded),
        ("known already", counts.duplicate),
        ("set aside", counts.rejected),
        ("no payments, skipped", counts.skipped),
        ("rounded to the currency's digits", counts.rounded),
        ("without an exchange rate", counts.without_rate),
    ]
    shown = [(word, number) for place, (word, number) in enumerate(told) if number or place < 2]
    cells = "".join(f'<tr><th scope="row">{word}<td class="n">{number:,}' for word, number in shown)
    parts.append(_table('<tr><th scope="col">Rows<th scope="col" class="n">Number', cells, report.parties, slim=True))
    if report.rejected:
        head = '<tr><th scope="col">Set aside because<th scope="col" class="n">Rows<th scope="col">For example'
        rows = "".join(
            f'<tr><th scope="row">{_text(entry.reason)}<td class="n">{entry.count:,}'
            f'<td class="words">{_text(entry.example)}'
            for entry in report.rejected
        )
        parts.append(_table(head, rows))
    return "".join(parts)


def _cost(report: RunReport) -> str:
    parts = []
    if report.timings:
        most = max(report.timings.values()) or 1.0
        rows = "".join(
            f'<tr><th scope="row">{_text(name)}<td class="n">{_seconds(seconds)}'
            f'<td class="bar"><i style="width:{100 * seconds / most:.0f}%"></i>'
            for name, seconds in report.timings.items()
        )
        memory = "" if report.peak_rss_mb is None else f"Largest memory held: {report.peak_rss_mb:,.0f} MB."
        head = '<tr><th scope="col">Step<th scope="col" class="n">Time<th scope="col"><span class="hide">Share</span>'
        parts.append(_table(head, rows, memory, slim=True))
    if report.versions:
        rows = "".join(
            f'<tr><th scope="row">{_text(name)}<td><code>{_text(version)}</code>'
            for name, version in report.versions.items()
        )
        parts.append(_table('<tr><th scope="col">What<th scope="col">Version', rows, slim=True))
    return "".join(parts)


def _table(head: str, rows: str, caption: str = "", *, slim: bool = False) -> str:
    told = f"<caption>{_text(caption)}</caption>" if caption else ""
    kind = "wide slim" if slim else "wide"
    return f'<div class="{kind}" tabindex="0"><table>{told}<thead>{head}<tbody>{rows}</table></div>'


def _figure(value: float | None, key: str) -> str:
    """A measure: shares as percentages, areas with three digits."""
    if value is None:
        return "–"
    if key in ("average_precision", "roc_auc", "f1", "f2"):
        return f"{value:.3f}"
    if key in ("precision", "recall", "precision_at_budget", "recall_at_budget"):
        return f"{value:.1%}"
    return say.number(value)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else (f"{seconds:.0f} s" if seconds < 600 else say.duration(seconds))
