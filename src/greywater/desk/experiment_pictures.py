"""Curves of fits laid over each other, and how scores are spread: inline SVG, or files that stand alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

__all__ = [
    "COLOURS",
    "Axis",
    "Line",
    "axis_of",
    "plot",
    "precision_recall_svg",
    "score_lines",
    "score_svg",
    "share_axis",
]

#: How many lines can be told apart; later ones are drawn pale.
COLOURS: Final = 8
LEFT: Final = 52
TOP: Final = 26
WIDTH: Final = 380
HEIGHT: Final = 200
#: Points of a line that are drawn.
MOST_POINTS: Final = 400

#: For a file of its own: the page has these in assets/experiments.css.
_STYLE: Final = (
    "svg{background:#fff;font:11px system-ui,sans-serif}text{fill:#55626a}.grid{stroke:#dedbd2;fill:none}"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round}.c0{stroke:#2f6b85}"
    ".area{stroke-width:1.6;fill-opacity:.18}.others{stroke:#55626a;fill:#55626a}.guilty{stroke:#a8461a;fill:#a8461a}"
)


@dataclass(frozen=True)
class Axis:
    """What an axis is called, where it begins and ends, and its ticks as (value, words)."""

    name: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Line:
    """A line of points (x, y), x not falling.

    `colour` None = pale; `area` names a kind of payments, what lies under the line is then filled in its colour.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: int | None
    area: str = ""


SHARES: Final = tuple((step / 4, f"{step * 25} %") for step in range(5))


def axis_of(values: Sequence[float], name: str, *, whole: bool = False, pad: float = 0.04) -> Axis:
    """An axis around values, with about five ticks at round numbers.

    Examples
    --------
    >>> axis_of([0.0, 10.0], "step", whole=True, pad=0).ticks
    ((0.0, '0'), (2.0, '2'), (4.0, '4'), (6.0, '6'), (8.0, '8'), (10.0, '10'))
    """
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high <= low:
        room = abs(low) * 0.1 or 0.5
        low, high = low - room, high + room
    low, high = low - pad * (high - low), high + pad * (high - low)
    power = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = next(size * power for size in (1, 2, 5, 10) if (high - low) / (size * power) <= 6)
    if whole:
        step = max(step, 1.0)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return Axis(name, low, high, tuple((at * step, f"{at * step:,.{digits}f}") for at in range(first, last + 1)))


def share_axis(name: str, most: float) -> Axis:
    """An axis of shares from 0 to a little above the most, in percent.

    Examples
    --------
    >>> [words for _, words in share_axis("precision", 0.04).ticks]
    ['0 %', '1 %', '2 %', '3 %', '4 %']
    """
    if most > 0.8:
        return Axis(name, 0.0, 1.0, SHARES)
    top = most * 1.05 or 1.0
    ticks = axis_of([0.0, top], name, pad=0).ticks
    return Axis(name, 0.0, top, tuple((value, f"{100 * value:.3g} %") for value, _ in ticks))


def plot(lines: Sequence[Line], x: Axis, y: Axis, told: str) -> str:
    """Draw lines over each other, the pale ones below.

    Parameters
    ----------
    lines : sequence of Line
        Points that are not finite are left out.
    x, y : Axis
    told : str
        What it shows, for those who hear it.

    Returns
    -------
    str
        An SVG element; empty without a point.
    """
    drawn = [(line, _points(line)) for line in lines]
    if not any(points for _, points in drawn):
        return ""
    parts = [
        f'<svg class="chart" role="img" viewBox="0 0 {LEFT + WIDTH + 16} {TOP + HEIGHT + 40}" '
        f'aria-label="{escape(told, quote=True)}">'
    ]
    for value, words in y.ticks:
        at = TOP + HEIGHT * (1 - _share(value, y))
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}h{WIDTH}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{escape(words)}</text>')
    for value, words in x.ticks:
        at = LEFT + WIDTH * _share(value, x)
        parts.append(f'<text x="{at:.1f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{escape(words)}</text>')
    middle = LEFT + WIDTH / 2
    parts.append(f'<text x="{middle}" y="{TOP + HEIGHT + 33}" text-anchor="middle">{escape(x.name)}</text>')
    parts.append(f'<text x="{LEFT}" y="{TOP - 12}">{escape(y.name)}</text>')
    for line, points in sorted(drawn, key=lambda each: each[0].colour is not None):
        if points:
            parts.append(_drawn(line, points, x, y))
    return "".join(parts) + "</svg>"


def score_lines(scores: Mapping[str, Any]) -> tuple[list[Line], Axis, Axis]:
    """The spread of scores as two stepped areas, with their axes.

    Parameters
    ----------
    scores : mapping
        `edges`, `others`, `laundering`, as in `greywater.app.fit_notes.score_histogram`.
    """
    edges = [float(edge) for edge in scores["edges"]]
    lines = []
    for key, name, kind in (("others", "other payments", "others"), ("laundering", "laundering", "guilty")):
        shares = [float(share) for share in scores[key]]
        if shares:
            points = [(edges[0], 0.0)]
            for place, share in enumerate(shares):
                points += [(edges[place], share), (edges[place + 1], share)]
            lines.append(Line(name, [*points, (edges[-1], 0.0)], 0, area=kind))
    most = max((share for line in lines for _, share in line.points), default=1.0)
    return lines, axis_of(edges, "score", pad=0), share_axis("share of the payments", most)


def precision_recall_svg(curve: Sequence[tuple[float, float]]) -> str:
    """Precision against recall as a file of its own."""
    x, y = Axis("recall", 0.0, 1.0, SHARES), share_axis("precision", max((y for _, y in curve), default=1.0))
    return _alone(plot([Line("", curve, 0)], x, y, "Precision against recall"))


def score_svg(scores: Mapping[str, Any]) -> str:
    """The spread of scores as a file of its own."""
    lines, x, y = score_lines(scores)
    return _alone(plot(lines, x, y, "How the scores of laundering and of other payments are spread"))


def _alone(svg: str) -> str:
    opening = '<svg xmlns="http://www.w3.org/2000/svg" width="896" '
    return svg.replace("<svg ", opening, 1).replace(">", f"><style>{_STYLE}</style>", 1)


def _points(line: Line) -> list[tuple[float, float]]:
    known = [(x, y) for x, y in line.points if math.isfinite(x) and math.isfinite(y)]
    step = -(-len(known) // MOST_POINTS) if known and not line.area else 1
    return known[::step] if step == 1 or known[-1] in known[::step][-1:] else [*known[::step], known[-1]]


def _drawn(line: Line, points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> str:
    places = [(LEFT + WIDTH * _share(a, x), TOP + HEIGHT * (1 - _share(b, y))) for a, b in points]
    kind = line.area or ("pale" if line.colour is None else f"c{line.colour % COLOURS}")
    title = f"<title>{escape(line.name)}</title>" if line.name else ""
    if len(places) == 1:
        return f'<circle class="mark {kind}" cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3">{title}</circle>'
    path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
    return f'<path class="{"area" if line.area else "line"} {kind}" d="{path}">{title}</path>'


def _share(value: float, axis: Axis) -> float:
    return min(max((value - axis.low) / (axis.high - axis.low), 0.0), 1.0)
