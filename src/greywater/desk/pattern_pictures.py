"""Pictures of the graph patterns as SVG: accounts, payments with their times and amounts, and what is told of one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from html import escape
from math import hypot
from pathlib import Path
from typing import Final, NamedTuple

from greywater.desk import wording as say
from greywater.desk.pattern_examples import EXAMPLES, Account, Example, Payment, Told

__all__ = ["NAMES", "main", "pattern_picture"]

#: Names of the pictures: a pattern's own, and a variant's.
NAMES: Final = tuple(EXAMPLES)
#: Pixels: the picture's width, its edge, an account's circle, a line of text.
WIDTH, MARGIN, RADIUS, LINE = 760, 16, 19, 20
HEADING: Final = 44
#: From the rule below the drawing to the first line of values, less one line.
LEGEND: Final = 28
#: Pixels a letter of a label takes at most in common fonts, and half the height of a label.
LETTER, HALF_LABEL = 7.0, 9.0
#: An arrow's point: length and half its width.
POINT, HALF_POINT = 10.0, 5.0

#: Paper of its own: readable wherever it is shown. Orange and blue-grey differ for every eye, and so do their widths.
_STYLE: Final = (
    ".gw-pattern{max-width:100%;height:auto;font:12px system-ui,sans-serif}"
    ".gw-pattern .paper{fill:#fff;stroke:#cbd2d9}.gw-pattern .mask{fill:#fff}"
    ".gw-pattern text{fill:#1f2933}.gw-pattern .head{font-size:15px;font-weight:600}"
    ".gw-pattern .mid{text-anchor:middle;dominant-baseline:central}"
    ".gw-pattern .name{font-size:14px;font-weight:600}.gw-pattern .part{font-size:11px;fill:#52606d}"
    ".gw-pattern .column{font-family:ui-monospace,monospace}.gw-pattern .value{font-weight:600}"
    ".gw-pattern circle{fill:#f5f7fa;stroke:#52606d;stroke-width:1.2}.gw-pattern .end{stroke:#b3541e;stroke-width:2.8}"
    ".gw-pattern .e,.gw-pattern .t,.gw-pattern .n{fill:none;stroke:#5b7f95;stroke-width:1.8}"
    ".gw-pattern .a{fill:#5b7f95}.gw-pattern .t{stroke:#b3541e;stroke-width:3.6}.gw-pattern .ta{fill:#b3541e}"
    ".gw-pattern .n{stroke:#7b8794;stroke-width:1.4;stroke-dasharray:5 4}.gw-pattern .na{fill:#7b8794}"
    ".gw-pattern .tl{font-weight:600}.gw-pattern .nl{font-style:italic;fill:#52606d}"
    ".gw-pattern .rule{stroke:#cbd2d9;stroke-width:1;fill:none}"
    "@media (prefers-color-scheme:dark){"
    ".gw-pattern .paper{fill:#12181f;stroke:#3e4c59}.gw-pattern .mask{fill:#12181f}"
    ".gw-pattern text{fill:#e4e7eb}.gw-pattern .part,.gw-pattern .nl{fill:#a7b3be}"
    ".gw-pattern circle{fill:#1f2933;stroke:#9aa5b1}.gw-pattern .end{stroke:#f0975a}"
    ".gw-pattern .e{stroke:#8fb3c9}.gw-pattern .a{fill:#8fb3c9}"
    ".gw-pattern .t{stroke:#f0975a}.gw-pattern .ta{fill:#f0975a}"
    ".gw-pattern .n{stroke:#8793a0}.gw-pattern .na{fill:#8793a0}.gw-pattern .rule{stroke:#3e4c59}}"
)


class _Kind(NamedTuple):
    """Classes of a payment's line, its point and its label."""

    line: str
    point: str
    label: str


COUNTED, THIS, NOT_COUNTED = _Kind("e", "a", "l"), _Kind("t", "ta", "tl"), _Kind("n", "na", "nl")


class _Curve(NamedTuple):
    """A quadratic curve: from (x1, y1) towards (cx, cy) to (x2, y2)."""

    x1: float
    y1: float
    cx: float
    cy: float
    x2: float
    y2: float

    def at(self, t: float) -> tuple[float, float]:
        """The point at t, 0 at the start to 1 at the end."""
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        return a * self.x1 + b * self.cx + c * self.x2, a * self.y1 + b * self.cy + c * self.y2


def pattern_picture(name: str) -> str:
    """Draw the worked example of a pattern.

    Parameters
    ----------
    name : str
        One of NAMES.

    Returns
    -------
    str
        A whole `<svg>` file, the same every time: title and description for those who hear it, text as text, light
        or dark as the viewer is. The payment that is told is thick and orange; what the pattern leaves out is dashed.

    Examples
    --------
    >>> pattern_picture("chain").startswith('<svg xmlns="http://www.w3.org/2000/svg" class="gw-pattern"')
    True
    """
    example = EXAMPLES[name]
    floor = HEADING + example.height
    height = floor + LEGEND + LINE * len(example.told) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="gw-pattern" role="img" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" aria-labelledby="{name}-title {name}-desc">',
        f'<title id="{name}-title">{escape(example.title)}</title>',
        f'<desc id="{name}-desc">{escape(_described(example))}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        f'<text class="head" x="{MARGIN}" y="{MARGIN + 13}">{escape(example.title)}</text>',
    ]
    parts += _graph(example) if example.accounts else _line_of_time(example)
    parts.append(f'<path class="rule" d="M{MARGIN} {floor}H{WIDTH - MARGIN}"/>')
    parts += _legend(example, floor + LINE)
    parts += [_told(told, floor + LEGEND + LINE * (row + 1)) for row, told in enumerate(example.told)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _described(example: Example) -> str:
    last = example.payments[-1]
    values = "; ".join(f"{told.column} is {_number(told.value)}" for told in example.told)
    return f"{example.description} The payment from {last.sender} to {last.receiver} at {last.at} is told: {values}."


def _graph(example: Example) -> list[str]:
    """Circles, and arrows between them; labels above all lines."""
    place = {account.name: account for account in example.accounts}
    last = example.payments[-1]
    curves = [_curve(payment, place) for payment in example.payments]
    kinds = [_kind(payment, example) for payment in example.payments]
    lines = [_arrow(curve, kind) for curve, kind in zip(curves, kinds, strict=True)]
    circles = [_circle(account, account.name in (last.sender, last.receiver)) for account in example.accounts]
    labels = [
        _label(*curve.at(payment.label), _words(payment), kind)
        for payment, curve, kind in zip(example.payments, curves, kinds, strict=True)
    ]
    return lines + circles + labels


def _kind(payment: Payment, example: Example) -> _Kind:
    if payment is example.payments[-1]:
        return THIS
    return COUNTED if payment.counted else NOT_COUNTED


def _curve(payment: Payment, place: dict[str, Account]) -> _Curve:
    """From circle to circle, bent to the right of its direction by `bend` pixels."""
    source, target = place[payment.sender], place[payment.receiver]
    x1, y1, x2, y2 = source.x, source.y + HEADING, target.x, target.y + HEADING
    far = hypot(x2 - x1, y2 - y1)
    cx = (x1 + x2) / 2 - 2 * payment.bend * (y2 - y1) / far
    cy = (y1 + y2) / 2 + 2 * payment.bend * (x2 - x1) / far
    out, back = hypot(cx - x1, cy - y1), hypot(cx - x2, cy - y2)
    leave, reach = RADIUS / out, (RADIUS + 3) / back
    return _Curve(
        x1 + leave * (cx - x1), y1 + leave * (cy - y1), cx, cy, x2 + reach * (cx - x2), y2 + reach * (cy - y2)
    )


def _arrow(curve: _Curve, kind: _Kind) -> str:
    """The line up to the point, and the point."""
    far = hypot(curve.x2 - curve.cx, curve.y2 - curve.cy)
    dx, dy = (curve.x2 - curve.cx) / far, (curve.y2 - curve.cy) / far
    bx, by = curve.x2 - POINT * dx, curve.y2 - POINT * dy
    left, right = (bx - HALF_POINT * dy, by + HALF_POINT * dx), (bx + HALF_POINT * dy, by - HALF_POINT * dx)
    return (
        f'<path class="{kind.line}" d="M{curve.x1:.1f} {curve.y1:.1f}'
        f'Q{curve.cx:.1f} {curve.cy:.1f} {bx:.1f} {by:.1f}"/>'
        f'<path class="{kind.point}" d="M{curve.x2:.1f} {curve.y2:.1f}L{left[0]:.1f} {left[1]:.1f} '
        f'{right[0]:.1f} {right[1]:.1f}z"/>'
    )


def _circle(account: Account, told: bool) -> str:
    x, y = account.x, account.y + HEADING
    text = f'<circle class="{"end" if told else "on"}" cx="{x}" cy="{y}" r="{RADIUS}"/>'
    text += f'<text class="mid name" x="{x}" y="{y}">{escape(account.name)}</text>'
    if account.part:
        beside = y - RADIUS - 9 if account.side == "above" else y + RADIUS + 10
        text += f'<text class="mid part" x="{x}" y="{beside}">{escape(account.part)}</text>'
    return text


def _label(x: float, y: float, words: str, kind: _Kind) -> str:
    """Words on a line, on a piece of paper that hides it there."""
    half = LETTER * len(words) / 2 + 2
    return (
        f'<rect class="mask" x="{x - half:.1f}" y="{y - HALF_LABEL:.1f}" width="{2 * half:.1f}" '
        f'height="{2 * HALF_LABEL:.0f}" rx="4"/>'
        f'<text class="mid {kind.label}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'
    )


def _words(payment: Payment) -> str:
    """Time and amount."""
    return f"{payment.at} · {_amount(payment)}"


def _amount(payment: Payment) -> str:
    return "?" if payment.amount is None else say.compact_money(payment.amount, "USD")


def _line_of_time(example: Example) -> list[str]:
    """Payments as stems on a line, as high as their amounts, the gaps between them written below."""
    payments = example.payments
    first, last = payments[0].minutes, payments[-1].minutes
    most = max(payment.amount or 0 for payment in payments)
    base, left, right = HEADING + example.height - 62, MARGIN + 60, WIDTH - MARGIN - 70
    parts = [f'<path class="rule" d="M{MARGIN} {base}H{WIDTH - MARGIN}"/>']
    places = [left + (right - left) * (payment.minutes - first) / (last - first) for payment in payments]
    for x, payment in zip(places, payments, strict=True):
        kind = _kind(payment, example)
        tall = 34 + 90 * (payment.amount or 0) / most
        top = base - tall
        dash = ' stroke-dasharray="2 4"' if payment.amount is None else ""
        parts.append(f'<path class="{kind.line}"{dash} d="M{x:.1f} {base}V{top + RADIUS / 2:.1f}"/>')
        ring = "end" if kind is THIS else "on"
        parts.append(f'<circle class="{ring}" cx="{x:.1f}" cy="{top:.1f}" r="{RADIUS / 2:.1f}"/>')
        parts.append(_label(x, top - 21, f"{_amount(payment)} to {payment.receiver}", kind))
        parts.append(f'<text class="mid {kind.label}" x="{x:.1f}" y="{base + 14}">{payment.at}</text>')
    for before, after, x1, x2 in zip(payments, payments[1:], places, places[1:], strict=False):
        gap = say.duration(60 * (after.minutes - before.minutes)).replace("minutes", "min")
        y = base + 32
        parts.append(f'<path class="e" d="M{x1 + 4:.1f} {y - 4}v8m0 -4H{x2 - 4:.1f}m0 -4v8"/>')
        parts.append(f'<text class="mid part" x="{(x1 + x2) / 2:.1f}" y="{y + 14}">gap {gap}</text>')
    return parts


def _legend(example: Example, y: int) -> list[str]:
    """A stroke of each kind that the picture has, with its meaning."""
    entries = [(THIS, "payment i, which is told"), (COUNTED, "counted")]
    if example.dashed:
        entries.append((NOT_COUNTED, f"not counted: {example.dashed}"))
    parts, x = [], float(MARGIN)
    for kind, words in entries:
        parts.append(
            f'<path class="{kind.line}" d="M{x:.0f} {y - 4}h26"/><text x="{x + 34:.0f}" y="{y}">{escape(words)}</text>'
        )
        x += 34 + LETTER * len(words) + 22
    return parts


def _told(told: Told, y: int) -> str:
    return (
        f'<text y="{y}"><tspan class="column" x="{MARGIN}">{escape(told.column)}</tspan>'
        f'<tspan class="value" x="{MARGIN + 270}">{_number(told.value)}</tspan>'
        f'<tspan x="{MARGIN + 340}">{escape(told.words)}</tspan></text>'
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:.4g}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write every picture to a folder: `python -m greywater.desk.pattern_pictures docs/patterns`."""
    parser = argparse.ArgumentParser(prog="python -m greywater.desk.pattern_pictures", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="where NAME.svg of each picture is written")
    folder: Path = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (folder / f"{name}.svg").write_text(pattern_picture(name), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
