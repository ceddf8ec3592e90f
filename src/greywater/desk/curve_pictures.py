"""The pictures of an evaluation as inline SVG: reliability, alerts saved, time to alert, months, groups."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from greywater.desk import wording as say
from greywater.desk.charts import Curve

__all__ = ["alerts_saved_picture", "group_picture", "period_picture", "reliability_picture", "waiting_picture"]

LEFT: Final = 48
TOP: Final = 26
WIDTH: Final = 360
HEIGHT: Final = 200
#: The reliability plot begins here: laundering is about one payment in a thousand.
LEAST: Final = 1e-4
_SHARES: Final = tuple((step / 4, f"{step * 25} %") for step in range(5))
_DECADES: Final = ((0.0, "0.01 %"), (0.25, "0.1 %"), (0.5, "1 %"), (0.75, "10 %"), (1.0, "100 %"))

Tick = tuple[float, str]


def reliability_picture(bins: Sequence[Mapping[str, Any]]) -> str:
    """Draw what was said against what came, on logarithmic axes; whiskers are Wilson's 95 % intervals.

    Parameters
    ----------
    bins : sequence of mappings
        `rows`, `mean_probability`, `share_positive`, and optionally `low` and `high`, as in `metrics.calibration.bins`;
        empty bins are left out. Shares below 0.01 % stand on the axis.
    """
    shown = [each for each in bins if each["rows"] and each["mean_probability"] is not None]
    if not shown:
        return ""
    parts = [_frame("said", "came", "Reliability: the share that laundered against the probability that was said",
                    _DECADES, _DECADES)]  # fmt: skip
    parts.append(f'<path class="base" d="M{LEFT} {TOP + HEIGHT}L{LEFT + WIDTH} {TOP}"/>')
    for each in shown:
        said, came = float(each["mean_probability"]), float(each["share_positive"] or 0)
        x, y = _x(_log(said)), _y(_log(came))
        if each.get("low") is not None and each.get("high") is not None:
            parts.append(_whisker(x, _y(_log(float(each["low"]))), _y(_log(float(each["high"])))))
        told = f"said {_percent(said)}, came {_percent(came)}, {each['rows']:,} payments"
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{told}</title></circle>')
    keys = [("dot", "payments of one range of probability"), ("base", "as it should be")]
    return _figure(parts, keys, "Reliability, logarithmic axes.")


def alerts_saved_picture(curve: Curve, floors: Sequence[Mapping[str, Any]] = ()) -> str:
    """Draw the share of parties that need not be looked at against the recall that is kept.

    Parameters
    ----------
    curve : sequence of (recall, saved)
        From `alerts_saved_curve`.
    floors : sequence of mappings
        `floor` and `saved`, marked on the curve.
    """
    if not curve:
        return ""
    parts = [_frame("recall kept", "saved", "Parties that need not be looked at, against the recall that is kept",
                    _SHARES, _SHARES)]  # fmt: skip
    steps: list[tuple[float, float]] = [(0.0, curve[0][1])]
    for recall, saved in curve:
        steps += [(steps[-1][0], saved), (recall, saved)]
    parts.append(_line(steps))
    for each in floors:
        x, y = _x(float(each["floor"])), _y(float(each["saved"]))
        told = f"{float(each['floor']):.0%} of the launderers: {float(each['saved']):.1%} need no look"
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4.5"><title>{told}</title></circle>')
    keys = [("line", "detector")] + ([("dot", "stated recalls")] if floors else [])
    return _figure(parts, keys, "Looks saved.")


def waiting_picture(curve: Curve) -> str:
    """Draw how many launderers had been alerted so many days after their first dirty payment.

    Parameters
    ----------
    curve : sequence of (days, share)
        From `waiting_curve`.
    """
    if not curve:
        return ""
    most = _nice(max(curve[-1][0], 1.0))
    ticks = tuple((step / 4, f"{most * step / 4:g}") for step in range(5))
    told = "Launderers alerted, against the days since their first dirty payment"
    parts = [_frame("days since the first dirty payment", "alerted", told, ticks, _SHARES)]
    steps: list[tuple[float, float]] = [(0.0, 0.0)]
    for days, share in curve:
        steps += [(days / most, steps[-1][1]), (days / most, share)]
    parts.append(_line([*steps, (1.0, steps[-1][1])]))
    return _figure(parts, [("line", "share of the launderers of the slice")], "Time to alert.")


def period_picture(periods: Sequence[Mapping[str, Any]], key: str, name: str) -> str:
    """Draw a measure month by month or quarter by quarter, with its intervals; drawn from two periods on.

    Parameters
    ----------
    periods : sequence of mappings
        `name`, `<key>` and optionally `<key>_interval` as (low, high) or None.
    key, name : str
        Of the measure, in the mappings and on the axis.
    """
    known = [(place, each) for place, each in enumerate(periods) if each.get(key) is not None]
    if len(periods) < 2 or not known:
        return ""
    step = 1 / len(periods)
    every = -(-len(periods) // 6)
    ticks = tuple(((place + 0.5) * step, str(each["name"])) for place, each in enumerate(periods) if not place % every)
    parts = [_frame("", name, f"{name} by period", ticks, _SHARES)]
    parts.append(_line([((place + 0.5) * step, float(each[key])) for place, each in known], kind="base"))
    for place, each in known:
        x, y = _x((place + 0.5) * step), _y(float(each[key]))
        interval = each.get(f"{key}_interval")
        if interval is not None and interval[0] is not None:
            parts.append(_whisker(x, _y(float(interval[0])), _y(float(interval[1]))))
        told = escape(f"{each['name']}: {float(each[key]):.3f}", quote=True)
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{told}</title></circle>')
    return _figure(parts, [("dot", f"{name}, with its 95 % interval")], "")


def group_picture(groups: Sequence[Mapping[str, Any]], key: str, name: str) -> str:
    """Draw a rate of each group as a dot with its interval on a line of its own.

    Parameters
    ----------
    groups : sequence of mappings
        `name`, `<key>` and `<key>_interval` as (low, high); at most twenty are drawn.
    key, name : str
        Of the rate, in the mappings and on the axis.
    """
    shown = [each for each in groups if each.get(key) is not None][:20]
    if not shown:
        return ""
    ends = [float(each[f"{key}_interval"][1] or each[key]) for each in shown]
    most = min(_nice(max(max(ends), 1e-6)), 1.0)
    row, left = 24, 150
    height = row * len(shown)
    box = f"0 0 {left + WIDTH - 70} {height + 42}"
    parts = [f'<svg class="chart" role="img" viewBox="{box}" aria-label="{escape(name, quote=True)} by group">']
    span = WIDTH - 110
    for step in range(5):
        x = left + span * step / 4
        parts.append(f'<path class="grid" d="M{x:.1f} 4v{height}"/>')
        parts.append(f'<text x="{x:.1f}" y="{height + 20}" text-anchor="middle">{_percent(most * step / 4)}</text>')
    for place, each in enumerate(shown):
        y, rate = 4 + row * (place + 0.5), float(each[key])
        x = left + span * min(rate / most, 1)
        low, high = (left + span * min(float(edge or 0) / most, 1) for edge in each[f"{key}_interval"])
        label = escape(say.plain(str(each["name"]) or "not known", 22), quote=True)
        parts.append(f'<text x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        parts.append(f'<path class="whisker" d="M{low:.1f} {y:.1f}H{high:.1f}"/>')
        told = f"{label}: {_percent(rate)}"
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{told}</title></circle>')
    return _figure(parts, [("dot", f"{name}, with its 95 % interval")], "")


def _frame(x_name: str, y_name: str, told: str, x_ticks: Sequence[Tick], y_ticks: Sequence[Tick]) -> str:
    """The opening tag with its axes; positions of ticks are shares of the axis."""
    parts = [
        f'<svg class="chart" role="img" viewBox="0 0 {LEFT + WIDTH + 24} {TOP + HEIGHT + 40}" '
        f'aria-label="{escape(told, quote=True)}">'
    ]
    for at, text in y_ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {_y(at):.1f}h{WIDTH}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{_y(at) + 4:.1f}" text-anchor="end">{text}</text>')
    for at, text in x_ticks:
        parts.append(f'<text x="{_x(at):.1f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{escape(text)}</text>')
    parts.append(f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 33}" text-anchor="middle">{escape(x_name)}</text>')
    parts.append(f'<text x="{LEFT}" y="{TOP - 12}">{escape(y_name)}</text>')
    return "".join(parts)


def _figure(parts: Sequence[str], keys: Sequence[tuple[str, str]], told: str) -> str:
    legend = "".join(f'<span class="key {kind}">{escape(name)}</span>' for kind, name in keys)
    return f"<figure>{''.join(parts)}</svg><figcaption>{legend}{escape(told)}</figcaption></figure>"


def _line(points: Sequence[tuple[float, float]], kind: str = "line") -> str:
    path = "L".join(f"{_x(x):.1f} {_y(y):.1f}" for x, y in points)
    return f'<path class="{kind}" d="M{path}"/>'


def _whisker(x: float, low: float, high: float) -> str:
    return f'<path class="whisker" d="M{x:.1f} {low:.1f}V{high:.1f}"/>'


def _x(share: float) -> float:
    return LEFT + WIDTH * min(max(share, 0.0), 1.0)


def _y(share: float) -> float:
    return TOP + HEIGHT * (1 - min(max(share, 0.0), 1.0))


def _log(share: float) -> float:
    """Place of a share on the logarithmic axis from 0.01 % to 100 %."""
    return 1 + math.log10(max(share, LEAST)) / 4


def _nice(value: float) -> float:
    """The least of 1, 2, 2.5, 5 times a power of ten that is not below.

    Examples
    --------
    >>> _nice(37), _nice(0.031)
    (50.0, 0.05)
    """
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 2.5, 5) if value <= step * power * (1 + 1e-9)), 10 * power)


def _percent(share: float) -> str:
    """A share in percent, with as many digits as it needs.

    Examples
    --------
    >>> _percent(0.25), _percent(0.0123), _percent(0.00012)
    ('25 %', '1.2 %', '0.012 %')
    """
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"
