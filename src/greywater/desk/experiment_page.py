"""The page of experiments: fits side by side, their curves over each other, what differs between them marked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any, Final

from greywater.desk import wording as say
from greywater.desk.experiment_pictures import COLOURS, SHARES, Axis, Line, axis_of, plot, score_lines, share_axis
from greywater.desk.model_card import figure

__all__ = ["experiment_page", "value_words"]

#: Measures that the table of runs shows first, where a run has them; others follow by name.
_FIRST: Final = (
    "average_precision", "roc_auc", "precision", "recall", "f1", "precision_at_budget", "recall_at_budget", "score",
    "validation.average_precision",
)  # fmt: skip
MOST_MEASURES: Final = 5
#: Less is better.
_LESS: Final = ("loss", "cost", "brier", "error")
LONGEST: Final = 80
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

Row = tuple[str, Sequence[Any], bool]


def experiment_page(found: Mapping[str, Any], *, title: str = "Experiments", subtitle: str = "") -> str:
    """Draw fits side by side as one HTML page that needs no network and no script, light or dark.

    Parameters
    ----------
    found : mapping
        `Comparison.to_json(whole=True)`: `runs`, and `metrics`, `parameters`, `origin` as rows of `name`, `values` and
        `differs`. The first eight runs have a colour each, later ones are drawn pale.
    title, subtitle : str
        At its head.
    """
    runs = found["runs"]
    sections = [
        ("Runs", _runs(runs)),
        ("Step by step", _steps(runs)),
        ("Precision against recall", _precision_recall(runs)),
        ("How the scores are spread", _scores(runs)),
        ("What they were given", _side_by_side(runs, found["parameters"], "parameters")),
        ("Where they come from", _side_by_side(runs, found["origin"], "facts")),
        ("Measures", _side_by_side(runs, found["metrics"], "measures")),
        ("Files", _files(runs)),
    ]
    shown = [(name, body) for name, body in sections if body]
    links = "".join(f'<a href="#s{place}">{_text(name)}</a>' for place, (name, _) in enumerate(shown))
    body = "".join(
        f'<section id="s{place}"><h2>{_text(name)}</h2>{body}</section>' for place, (name, body) in enumerate(shown)
    )
    styles = "".join(_asset(name) for name in ("report.css", "experiments.css"))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Greywater: {_text(title)}</title><style>{styles}</style></head><body>"
        f'<header><p class="brand">Greywater</p><h1>{_text(title)}</h1><p class="sub">{_text(subtitle)}</p></header>'
        f'<nav aria-label="Sections">{links}</nav><main>{body}</main><footer>Made by Greywater.</footer></body></html>'
    )


def value_words(value: Any) -> str:
    """A parameter, measure or fact in few words.

    Examples
    --------
    >>> value_words(None), value_words(0.30000000000000004), value_words([3600, 21600]), value_words(True)
    ('–', '0.3', '3600, 21600', 'yes')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if value else "0"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(value_words, value)) or "none"
    return json.dumps(value) if isinstance(value, Mapping) else str(value)


def _runs(runs: Sequence[Mapping[str, Any]]) -> str:
    if not runs:
        return "<p>No fit has been written down that fits the choice.</p>"
    names = _shown_measures(runs)
    heads = "".join(f'<th scope="col" class="n">{_text(name.replace("_", " "))}' for name in names)
    best = {name: _best([run["metrics"].get(name) for run in runs], name) for name in names}
    rows = ""
    for place, run in enumerate(runs):
        cells = "".join(_measure(run["metrics"].get(name), name, best[name]) for name in names)
        tags = "".join(f'<span class="tag">{_text(tag)}</span>' for tag in run["tags"])
        took = "–" if run["seconds"] is None else _duration(run["seconds"])
        error = f" <small>{_text(run['error'])}</small>" if run.get("error") else ""
        rows += (
            f'<tr><th scope="row" class="id"><i class="swatch {_colour(place)}"></i>{_text(run["run"])}'
            f'<td class="d">{_text(run["started_at"][:16].replace("T", " "))}<td>{_text(run["kind"])}'
            f'<td>{_text(run["detector"])}<td class="state {_text(run["state"])}">{_text(run["state"])}{error}'
            f'{cells}<td class="n">{took}<td>{tags}'
        )
    note = (
        f'<p class="note">The first {COLOURS} have a colour each; the others are drawn pale.</p>'
        if len(runs) > COLOURS
        else ""
    )
    return (
        '<div class="wide" tabindex="0"><table><thead><tr><th scope="col">Run<th scope="col">Began (UTC)'
        f'<th scope="col">What<th scope="col">Detector<th scope="col">State{heads}<th scope="col" class="n">Took'
        f'<th scope="col">Tags<tbody>{rows}</table></div>{note}'
    )


def _steps(runs: Sequence[Mapping[str, Any]]) -> str:
    """One picture a part and measure, the runs over each other."""
    pictures: dict[tuple[str, str], list[Line]] = {}
    for place, run in enumerate(runs):
        for one in run["series"]:
            points = [(float(x), float(y)) for x, y in zip(one["steps"], one["values"], strict=True) if y is not None]
            line = Line(run["run"], points, _hue(place))
            pictures.setdefault((one["series"], one["name"]), []).append(line)
    drawn = []
    for (series, name), lines in sorted(pictures.items(), key=lambda each: (each[0][1] != "score", each[0])):
        values = [y for line in lines for _, y in line.points]
        steps = [x for line in lines for x, _ in line.points]
        svg = plot(lines, axis_of(steps, "step", whole=True, pad=0), axis_of(values, name), f"{name} by step: {series}")
        if svg:
            called = f"{series}: {name}" if series else name
            drawn.append(f"<figure><h3>{_text(called)}</h3>{svg}</figure>")
    return f'<div class="charts">{"".join(drawn)}</div>{_legend(runs, "series")}' if drawn else ""


def _precision_recall(runs: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        Line(run["run"], [(float(x), float(y)) for x, y in run["curves"].get("precision_recall") or ()], _hue(place))
        for place, run in enumerate(runs)
    ]
    top = max((y for line in lines for _, y in line.points), default=1.0)
    x, y = Axis("recall", 0.0, 1.0, SHARES), share_axis("precision", top)
    svg = plot(lines, x, y, "Precision against recall on payments that the fits had not seen")
    if not svg:
        return ""
    told = '<p class="note">On the last slice, which the fits had not seen.</p>'
    return f"{told}<figure>{svg}</figure>{_legend(runs, 'curves')}"


def _scores(runs: Sequence[Mapping[str, Any]]) -> str:
    """A picture a run, of those that have a colour."""
    drawn = []
    for place, run in enumerate(runs[:COLOURS]):
        scores = run["curves"].get("scores")
        if scores:
            lines, x, y = score_lines(scores)
            svg = plot(lines, x, y, f"How the scores of run {run['run']} are spread")
            mark = f'<i class="swatch {_colour(place)}"></i>'
            drawn.append(f'<figure><h3 class="id">{mark}{_text(run["run"])}</h3>{svg}</figure>')
    if not drawn:
        return ""
    keys = '<span class="key others">other payments</span><span class="key guilty">laundering</span>'
    return f'<div class="charts">{"".join(drawn)}</div><figure><figcaption>{keys}</figcaption></figure>'


def _side_by_side(runs: Sequence[Mapping[str, Any]], given: Iterable[Mapping[str, Any]], what: str) -> str:
    """What differs, marked; what is the same folded away."""
    rows: list[Row] = [(row["name"], row["values"][:COLOURS], bool(row["differs"])) for row in given]
    if not rows:
        return ""
    head = "".join(
        f'<th scope="col"><i class="swatch {_colour(place)}"></i>{_text(_short(run["run"]))}'
        for place, run in enumerate(runs[:COLOURS])
    )
    own = [row for row in rows if row[2] and len(runs) > 2 and sum(value is not None for value in row[1]) == 1]
    differing, same = [row for row in rows if row[2] and row not in own], [row for row in rows if not row[2]]
    parts = []
    if differing:
        parts.append(_table(head, differing))
    elif len(runs) > 1 and not own:
        parts.append("<p>They do not differ.</p>")
    if own:
        words = f"{_counted(len(own), what)} that only one run has"
        parts.append(f'<details class="same"><summary>{words}</summary>{_table(head, own)}</details>')
    if same:
        words = _counted(len(same), what) + (" in which they do not differ" if len(runs) > 1 else "")
        opened = " open" if len(runs) == 1 and what != "parameters" else ""
        one = "".join(f'<th scope="col">{"every run" if len(runs) > 1 else "value"}')
        table = _table(one, [(name, values[:1], False) for name, values, _ in same])
        parts.append(f'<details class="same"{opened}><summary>{words}</summary>{table}</details>')
    return "".join(parts)


def _table(head: str, rows: Sequence[Row]) -> str:
    body = ""
    for name, values, differs in rows:
        cells = ""
        for value in values:
            odd = differs and _usual(values) not in (None, value)
            cells += f"<td{' class=other' if odd else ''}>{_text(value_words(value))}"
        body += f'<tr{" class=differs" if differs else ""}><th scope="row">{_text(name)}{cells}'
    return (
        f'<div class="wide" tabindex="0"><table class="side"><thead><tr><th scope="col"><span class="hide">Name</span>'
        f"{head}<tbody>{body}</table></div>"
    )


def _counted(number: int, what: str) -> str:
    return f"1 {what.removesuffix('s')}" if number == 1 else f"{number} {what}"


def _usual(values: Sequence[Any]) -> Any:
    """What more than half of the runs have, where there is such a value."""
    return next((value for value in values if 2 * sum(value == other for other in values) > len(values)), None)


def _files(runs: Sequence[Mapping[str, Any]]) -> str:
    rows = ""
    for place, run in enumerate(runs[:COLOURS]):
        for file in run["files"]:
            damaged = ' <b class="other">not what was written</b>' if file["name"] in run["damaged"] else ""
            rows += (
                f'<tr><th scope="row" class="id"><i class="swatch {_colour(place)}"></i>{_text(_short(run["run"]))}'
                f'<td>{_text(file["name"])}{damaged}<td class="n">{file["bytes"]:,}<td class="id">{file["sha256"]}'
            )
    if not rows:
        return ""
    head = '<th scope="col">Run<th scope="col">File<th scope="col" class="n">Bytes<th scope="col">SHA-256'
    table = f'<div class="wide" tabindex="0"><table><thead><tr>{head}<tbody>{rows}</table></div>'
    return f'<details class="same"><summary>{_counted(rows.count("<tr>"), "files")}</summary>{table}</details>'


def _legend(runs: Sequence[Mapping[str, Any]], having: str) -> str:
    keys = [
        f'<span class="key {_colour(place)}">{_text(run["run"])}</span>'
        for place, run in enumerate(runs[:COLOURS])
        if run[having]
    ]
    if len(runs) > COLOURS:
        keys.append(f'<span class="key pale">{len(runs) - COLOURS} others</span>')
    return f"<figure><figcaption>{''.join(keys)}</figcaption></figure>"


def _shown_measures(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    known = {name for run in runs for name, value in run["metrics"].items() if value is not None}
    first = [name for name in _FIRST if name in known]
    return [*first, *sorted(known - set(first))][:MOST_MEASURES]


def _best(values: Sequence[float | None], name: str) -> float | None:
    known = [value for value in values if value is not None]
    if len(set(known)) < 2:
        return None
    return min(known) if any(word in name for word in _LESS) else max(known)


def _measure(value: float | None, name: str, best: float | None) -> str:
    kind = "n best" if best is not None and value == best else "n"
    return f'<td class="{kind}">{_text(figure(value, name))}'


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _hue(place: int) -> int | None:
    return place if place < COLOURS else None


def _colour(place: int) -> str:
    return f"c{place}" if place < COLOURS else "pale"


def _short(run: str) -> str:
    """The end of an id, which tells runs apart."""
    return run.rpartition("-")[2] or run


def _asset(name: str) -> str:
    return files("greywater.desk").joinpath(f"assets/{name}").read_text(encoding="utf-8")


def _text(words: str) -> str:
    return escape(say.plain(words, LONGEST), quote=True)
