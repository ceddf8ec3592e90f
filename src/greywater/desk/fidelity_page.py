"""The page of a fidelity and privacy report: measures with their lines, curves of sizes and distances, correlations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from greywater.desk.alert_benchmark_page import STYLES, percent_of, pictures_of
from greywater.desk.document import Block, Bullets, Document, Picture, Section, Table, Text
from greywater.desk.experiment_pictures import SHARES, Axis, Line, axis_of, plot

__all__ = ["correlation_picture", "fidelity_page"]

_SECTIONS: Final = {
    "overall": "Overall",
    "within": "Within categories",
    "correlations": "Correlations",
    "usefulness": "Trained on made alerts, tested on real ones",
    "told apart": "Told apart by a classifier",
    "privacy": "Privacy",
}
_SQUARE: Final = 7


def fidelity_page(found: Mapping[str, Any]) -> Document:
    """Make the page.

    Parameters
    ----------
    found : mapping
        `Fidelity.to_json()`.
    """
    told = "; ".join(
        f"{name}: {one['alerts']:,} alerts, {one['reported']:,} reported, {one['transactions']:,} transactions"
        for name, one in found["counts"].items()
    )
    more: dict[str, list[Block]] = {
        "overall": [_sizes(found["size_curves"])],
        "within": [_cells(found["cells"])],
        "correlations": [_correlations(found["correlation_gap"])],
        "usefulness": [_models(found["models"])],
        "privacy": [_distances(found["distances"])],
    }
    sections = [Section("In short", _summary(found))]
    for key, title in _SECTIONS.items():
        measures = found["measures"][key]
        blocks = [_measures(measures), *more.get(key, [])] if measures else []
        sections.append(Section(title, blocks))
    sections.append(Section("Notes", [Bullets(found["notes"])]))
    return Document("Fidelity and privacy of made-up alerts", told, sections, STYLES)


def _summary(found: Mapping[str, Any]) -> list[Block]:
    every = [(_SECTIONS[key], one) for key, part in found["measures"].items() for one in part]
    missed = [f"{title}: {one['name']} is {_figure(one['value'])}, the line {_figure(one['line'])}"
              for title, one in every if one["fine"] is False]  # fmt: skip
    unknown = [f"{title}: {one['name']} could not be measured" for title, one in every if one["value"] is None]
    lead = "Every figure keeps its line." if not missed else f"{len(missed)} of {len(every)} figures miss their line."
    return [Text(lead, lead=True), Bullets([*missed, *unknown])]


def _measures(measures: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [one["name"], _figure(one["value"]), _figure(one["ideal"]), _figure(one["line"]), _verdict(one["fine"]),
         one["words"]]
        for one in measures
    ]  # fmt: skip
    return Table(["Measure", "Found", "Ideal", "Line", "Kept", "What it is"], rows, "", frozenset({1, 2, 3}))


def _verdict(fine: bool | None) -> str:
    return "–" if fine is None else "yes" if fine else "no"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")


def _sizes(curves: Sequence[Mapping[str, Any]]) -> Picture:
    drawn = []
    for one in curves:
        lines = [
            Line(name, _rising(one[key]), at) for at, (name, key) in enumerate((("real", "real"), ("made", "made")))
        ]
        x = axis_of([*one["real"][1:-1], *one["made"][1:-1]], "size")
        told = f"Share of the sizes at or below each size, {one['name']}, real and made"
        drawn.append((escape(one["name"]), plot(lines, x, Axis("share", 0.0, 1.0, SHARES), told)))
    return _with_keys(pictures_of(drawn), ("real", "made"))


def _rising(quantiles: Sequence[float]) -> list[tuple[float, float]]:
    steps = max(len(quantiles) - 1, 1)
    return [(value, place / steps) for place, value in enumerate(quantiles)]


def _with_keys(picture: Picture, names: Sequence[str]) -> Picture:
    keys = "".join(f'<span class="key c{place}">{escape(name)}</span>' for place, name in enumerate(names))
    if not picture.svg:
        return picture
    return Picture(f"{picture.svg}<figure><figcaption>{keys}</figcaption></figure>", picture.words)


def _cells(cells: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [f"{one['kind']} {one['entry']}, {one['outcome']}", f"{one['real']:,}", f"{one['made']:,}",
         f"{100 * one['real_share']:.2f} %", f"{100 * one['made_share']:.2f} %", _figure(one["size"]),
         _figure(one["time"]), _figure(one["line"]), _verdict(one["fine"])]
        for one in cells
    ]  # fmt: skip
    headings = ["Cell", "Real", "Made", "Share real", "Share made", "KS size", "KS time", "Line", "Kept"]
    return Table(headings, rows, "By type, entry and outcome", frozenset(range(1, 8)))


def _correlations(gap: Mapping[str, Any]) -> Picture:
    svg = correlation_picture(gap["columns"], gap["values"])
    words = "Made less real correlations, pair by pair"
    return Picture(f"<figure><h3>{words}</h3>{svg}</figure>" if svg else "", words)


def correlation_picture(columns: Sequence[str], values: Sequence[Sequence[float]]) -> str:
    """Squares of the gap between made and real correlations: the stronger the colour, the larger; hover names the pair.

    Examples
    --------
    >>> svg = correlation_picture(["a", "b"], [[0.0, 0.5], [0.5, 0.0]])
    >>> svg.count("<rect"), "a and b: 0.50" in svg
    (4, True)
    """
    if not columns:
        return ""
    side = len(columns) * _SQUARE
    parts = [
        f'<svg class="chart" role="img" viewBox="0 0 {side} {side}" style="max-width:520px" '
        'aria-label="How far the correlations of made alerts are from those of real ones, pair by pair">'
    ]
    for row, name in enumerate(columns):
        for column, other in enumerate(columns):
            value = values[row][column]
            kind = "guilty" if value > 0 else "others"
            parts.append(
                f'<rect class="area {kind}" x="{column * _SQUARE}" y="{row * _SQUARE}" width="{_SQUARE}" '
                f'height="{_SQUARE}" style="stroke:none;fill-opacity:{min(abs(value) * 2, 1):.2f}">'
                f"<title>{escape(name)} and {escape(other)}: {value:.2f}</title></rect>"
            )
    return "".join(parts) + "</svg>"


def _models(models: Sequence[Mapping[str, Any]]) -> Table:
    rows = [[one["model"], percent_of(one["train_real"]), percent_of(one["train_made"])] for one in models]
    words = "ROC AUC on real alerts in percent, mean and (standard deviation) over the seeds"
    return Table(["Model", "Trained on real", "Trained on made"], rows, words, frozenset({1, 2}))


def _distances(distances: Mapping[str, Sequence[float]]) -> Picture:
    names = {"to_train": "made to train", "to_holdout": "made to holdout", "holdout_to_train": "holdout to train"}
    lines = [Line(words, _rising(distances[key]), at) for at, (key, words) in enumerate(names.items())]
    values = [x for line in lines for x, _ in line.points]
    x = axis_of([0.0, sorted(values)[int(0.98 * (len(values) - 1))]] if values else [], "distance", pad=0)
    told = "Share of the alerts whose closest record is at or below each distance"
    svg = plot(lines, x, Axis("share", 0.0, 1.0, SHARES), told)
    shown = [line.name for line in lines if line.points]
    return _with_keys(pictures_of([("Distance to the closest record", svg)]), shown)
