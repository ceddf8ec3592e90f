"""The report's own charts as inline SVG: precision against recall, and alerts per day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from html import escape
from typing import Final

__all__ = ["Curve", "alerts_per_day", "precision_recall"]

#: (recall, precision) points, recall not falling.
Curve = Sequence[tuple[float, float]]

_MOST_POINTS: Final = 240
_MOST_BARS: Final = 240


def precision_recall(
    curve: Curve, *, baseline: Curve = (), baseline_name: str = "", point: tuple[float, float] | None = None
) -> str:
    """Draw precision against recall.

    Parameters
    ----------
    curve : sequence of (recall, precision)
        Of the detector, recall not falling; thinned to a few hundred points.
    baseline : sequence of (recall, precision)
        Of the best single column, dashed.
    baseline_name : str
        Its name.
    point : (recall, precision), optional
        At the threshold.
    """
    left, top, width, height = 44, 24, 360, 200
    parts = [
        f'<svg class="chart" role="img" viewBox="0 0 {left + width + 14} {top + height + 40}" '
        f'aria-label="Precision against recall of the detector{" and of the best single column" if baseline else ""}">'
    ]
    for step in range(5):
        share = step / 4
        y, x = top + height * (1 - share), left + width * share
        parts.append(f'<path class="grid" d="M{left} {y:.1f}h{width}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
        parts.append(f'<text x="{x:.1f}" y="{top + height + 16}" text-anchor="middle">{share:.0%}</text>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 33}" text-anchor="middle">recall</text>')
    parts.append(f'<text x="{left}" y="{top - 12}">precision</text>')

    def place(recall: float, precision: float) -> tuple[float, float]:
        return left + width * min(max(recall, 0), 1), top + height * (1 - min(max(precision, 0), 1))

    for points, kind in ((baseline, "base"), (curve, "line")):
        if points:
            path = "L".join("{:.1f} {:.1f}".format(*place(*point)) for point in _thinned(points))
            parts.append(f'<path class="{kind}" d="M{path}"/>')
    if point is not None:
        x, y = place(*point)
        parts.append(
            f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4.5"><title>at the threshold: recall {point[0]:.1%}, '
            f"precision {point[1]:.1%}</title></circle>"
        )
    legend = '<figcaption><span class="key line">detector</span>'
    legend += f'<span class="key base">best single column, {escape(baseline_name)}</span>' if baseline else ""
    legend += '<span class="key dot">at the threshold</span>' if point is not None else ""
    return f"<figure>{''.join(parts)}</svg>{legend}</figcaption></figure>"


def _thinned(points: Curve) -> list[tuple[float, float]]:
    """At most a few hundred of the points, the first and the last among them, evenly over the recall."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    kept, last = [points[0]], points[0]
    step = 1 / _MOST_POINTS
    for point in points[1:-1]:
        if point[0] - last[0] >= step or abs(point[1] - last[1]) >= 0.05:
            kept.append(point)
            last = point
    kept = kept[:: max(1, -(-len(kept) // (2 * _MOST_POINTS)))]
    return [*kept, points[-1]]


def alerts_per_day(counts: Mapping[date, int]) -> str:
    """Draw how many alerts were raised on each day, from the first to the last; days without any are gaps.

    Longer spans are drawn in steps of several days.
    """
    if not counts:
        return ""
    first, last = min(counts), max(counts)
    span = (last - first).days + 1
    step = -(-span // _MOST_BARS)
    bars = [0] * -(-span // step)
    for day, number in counts.items():
        bars[(day - first).days // step] += number
    most, height, slot = max(bars), 100, 1000 / len(bars)
    per = "day" if step == 1 else f"{step} days"
    told = f"alerts raised per {per}, {first} to {last}, at most {most:,}"
    parts = [
        f'<svg class="chart strip" role="img" viewBox="0 0 1000 {height}" preserveAspectRatio="none" '
        f'aria-label="{told}">'
    ]
    for index, number in enumerate(bars):
        if number:
            tall = height * number / most
            day = first + timedelta(days=index * step)
            parts.append(
                f'<rect class="bar" x="{index * slot:.1f}" y="{height - tall:.1f}" '
                f'width="{max(slot * 0.86, 0.8):.1f}" height="{tall:.1f}"><title>{day}: {number:,}</title></rect>'
            )
    return f"<figure>{''.join(parts)}</svg><figcaption>{told}</figcaption></figure>"
