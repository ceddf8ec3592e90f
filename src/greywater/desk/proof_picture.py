"""A small picture of one pattern as it was found: the ring, the chain or the columns of accounts its payments form."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from greywater.desk import wording as say
from greywater.desk.drawing import NODE_HEIGHT, NODE_WIDTH, STYLE, folded_box, party_box, svg_text
from greywater.desk.evidence import EvidenceRow
from greywater.desk.proof import Formed

__all__ = ["proof_picture"]

#: Accounts that a column names; the others are folded into "+ n more".
MOST_IN_COLUMN: Final = 8
#: Boxes in a row of a chain.
IN_ROW: Final = 5
#: Pixels between boxes to the side and, for rings and chains, up and down; rows of a column; the edge.
ACROSS, DOWN, ROW, MARGIN = 84, 66, 40, 12
#: A label's half width and height, for keeping labels apart.
HALF_LABEL, LABEL_HEIGHT = 26.0, 11.0
#: Which column an account stands in, by its part.
COLUMN_OF: Final = {
    "source": 0, "payer": 0, "middleman": 1, "hub": 1, "source and sink": 0, "sink": 2, "payee": 2, "counterparty": 2,
}  # fmt: skip

Places = dict[str, tuple[float, float]]


@dataclass
class _Line:
    """All payments of the picture from one box to another."""

    source: str
    target: str
    payments: int = 0
    minor: int = 0
    known: bool = True
    raising: bool = False


class _Way(NamedTuple):
    """Where a line begins and ends, and how far it was moved aside for its counterpart."""

    x1: float
    y1: float
    x2: float
    y2: float
    aside: tuple[float, float]


class _Layout(NamedTuple):
    """Where each box stands, and which box stands for an account that has none of its own."""

    places: Places
    folded: dict[str, str]


def proof_picture(
    pattern: str, formed: Formed, *, base_currency: str, accounts: Collection[str] = (), seeds: Collection[str] = ()
) -> str:
    """Draw one instance of a pattern.

    Parameters
    ----------
    pattern : str
        Cycles are drawn as rings, chains in rows, all else in columns from left to right.
    formed : Formed
        What is drawn.
    base_currency : str
        Currency of `base_amount`.
    accounts : collection of str
        The accounts that are the alert's entity.
    seeds : collection of str
        Confirmed launderers.

    Returns
    -------
    str
        An inline `<svg>`, the same for the same input, readable by a screen reader, light or dark. The payment that
        raised the alert is drawn in the second colour.
    """
    rows = [each.row for each in formed.payments]
    if pattern.endswith("_cycle"):
        layout = _Layout(_ring([row.sender for row in rows]), {})
    elif pattern == "chain":
        layout = _Layout(_snake([*(row.sender for row in rows), rows[-1].receiver]), {})
    else:
        layout = _columns(formed.accounts, rows)
    width = max(x for x, _ in layout.places.values()) + NODE_WIDTH / 2 + MARGIN
    height = max(y for _, y in layout.places.values()) + NODE_HEIGHT / 2 + MARGIN
    label = svg_text(formed.text)
    lines = _lines(rows, layout.folded)
    roles = dict(formed.accounts)
    parts = [
        f'<svg class="gw-flow" role="img" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" xmlns="http://www.w3.org/2000/svg" aria-label="{label}"><style>{STYLE}</style>'
        f"<title>{label}</title>"
    ]
    sideways = pattern not in ("temporal_cycle", "simple_cycle", "chain")
    ways = {(line.source, line.target): _way(line, layout.places, lines, sideways=sideways) for line in lines}
    parts += [_arrow(line, ways[line.source, line.target]) for line in lines]
    taken: list[tuple[float, float]] = []
    parts += [_label(line, ways[line.source, line.target], base_currency, taken, layout.places) for line in lines]
    for name, (x, y) in layout.places.items():
        inside = sum(box == name for box in layout.folded.values())
        if inside:
            parts.append(folded_box(x, y, inside))
        else:
            part = roles.get(name, "")
            parts.append(party_box(x, y, name, is_seed=name in seeds, is_alerted=name in accounts, part=part))
    return "".join(parts) + "</svg>"


def _ring(names: Sequence[str]) -> Places:
    """Along the upper row to the right and back along the lower one."""
    upper = (len(names) + 1) // 2 if len(names) > 2 else 2
    places = {}
    for place, name in enumerate(names):
        column = place if place < upper else len(names) - 1 - place
        shift = 0.5 if place >= upper and len(names) % 2 else 0.0
        places[name] = _at(column + shift, 0 if place < upper else DOWN)
    return places


def _snake(names: Sequence[str]) -> Places:
    """In rows, to the right and back in turn."""
    places = {}
    for place, name in enumerate(names):
        row, column = divmod(place, IN_ROW)
        places[name] = _at(column if row % 2 == 0 else IN_ROW - 1 - column, row * DOWN)
    return places


def _at(column: float, down: float) -> tuple[float, float]:
    return MARGIN + NODE_WIDTH / 2 + column * (NODE_WIDTH + ACROSS), MARGIN + NODE_HEIGHT / 2 + down


def _columns(accounts: Sequence[tuple[str, str]], rows: Sequence[EvidenceRow]) -> _Layout:
    """Sources, middlemen and sinks in columns, in the order of the accounts; those of the raising payment stay."""
    raising = {party for row in rows if row.raising for party in (row.sender, row.receiver)}
    columns: dict[int, list[str]] = {}
    for account, role in accounts:
        columns.setdefault(COLUMN_OF.get(role, 1), []).append(account)
    folded: dict[str, str] = {}
    for column, names in columns.items():
        if len(names) > MOST_IN_COLUMN:
            kept = set(sorted(names, key=lambda name: name not in raising)[: MOST_IN_COLUMN - 1])
            more = f"\x00more {column}"
            folded |= {name: more for name in names if name not in kept}
            columns[column] = [*(name for name in names if name in kept), more]
    tallest = max(len(names) for names in columns.values())
    apart = ROW if tallest > 3 else 1.6 * ROW
    order = sorted(columns)
    places: Places = {}
    for column, names in columns.items():
        top = (tallest - len(names)) * apart / 2
        for row, name in enumerate(names):
            places[name] = _at(order.index(column), top + row * apart)
    return _Layout(places, folded)


def _lines(rows: Sequence[EvidenceRow], folded: dict[str, str]) -> list[_Line]:
    """Payments summed per pair of boxes; an amount is shown only where all of them are known."""
    lines: dict[tuple[str, str], _Line] = {}
    for row in {row.seq: row for row in rows}.values():
        ends = folded.get(row.sender, row.sender), folded.get(row.receiver, row.receiver)
        line = lines.setdefault(ends, _Line(*ends))
        line.payments += 1
        line.raising |= row.raising
        line.known &= row.base_amount is not None
        line.minor += row.base_amount or 0
    return list(lines.values())


def _way(line: _Line, places: Places, lines: Sequence[_Line], *, sideways: bool) -> _Way:
    """From box edge to box edge; a line that has a counterpart the other way stands a little aside."""
    (x1, y1), (x2, y2) = places[line.source], places[line.target]
    aside = (0.0, 0.0)
    if any((other.source, other.target) == (line.target, line.source) for other in lines):
        length = max(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5, 1.0)
        aside = (-(y2 - y1) / length * 5, (x2 - x1) / length * 5)
        x1, y1, x2, y2 = x1 + aside[0], y1 + aside[1], x2 + aside[0], y2 + aside[1]
    if sideways and x1 != x2:
        side = NODE_WIDTH / 2 if x2 > x1 else -NODE_WIDTH / 2
        return _Way(x1 + side * 1.02, y1, x2 - side * 1.05, y2, aside)
    start, end = _edge(x1, y1, x2, y2, 1.0), _edge(x2, y2, x1, y1, 3.0)
    return _Way(*start, *end, aside)


def _edge(x: float, y: float, towards_x: float, towards_y: float, gap: float) -> tuple[float, float]:
    """Where the line from the middle of a box leaves it."""
    dx, dy = towards_x - x, towards_y - y
    reach = min(
        (NODE_WIDTH / 2 + gap) / abs(dx) if dx else 1e9,
        (NODE_HEIGHT / 2 + gap) / abs(dy) if dy else 1e9,
        1.0,
    )
    return x + dx * reach, y + dy * reach


def _arrow(line: _Line, way: _Way) -> str:
    x1, y1, x2, y2, _ = way
    length = max(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5, 1.0)
    ux, uy = (x2 - x1) / length, (y2 - y1) / length
    kind, point = ("e r", "a ra") if line.raising else ("e", "a")
    back_x, back_y = x2 - 7 * ux, y2 - 7 * uy
    return (
        f'<path class="{kind}" stroke-width="{2.6 if line.raising else 1.6}" '
        f'd="M{x1:.1f} {y1:.1f}L{back_x:.1f} {back_y:.1f}"/>'
        f'<path class="{point}" d="M{x2:.1f} {y2:.1f}L{back_x - 4 * uy:.1f} {back_y + 4 * ux:.1f}'
        f'L{back_x + 4 * uy:.1f} {back_y - 4 * ux:.1f}z"/>'
    )


def _label(line: _Line, way: _Way, currency: str, taken: list[tuple[float, float]], places: Places) -> str:
    """The amount beside the line, where there is no other label and no box."""
    text = say.compact_money(line.minor, currency) if line.known else "?"
    text += f" ×{line.payments}" if line.payments > 1 else ""
    x1, y1, x2, y2, (aside_x, aside_y) = way
    above = -8.0 if abs(y2 - y1) < 12 and not aside_y else 1.7 * aside_y
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    for t in (0.5, 0.68, 0.32, 0.8, 0.2):
        x, y = x1 + (x2 - x1) * t + 1.7 * aside_x, y1 + (y2 - y1) * t + above
        if _is_free(x, y, taken, places):
            break
    taken.append((x, y))
    return f'<text class="l" x="{x:.0f}" y="{y:.0f}">{svg_text(text)}</text>'


def _is_free(x: float, y: float, taken: Sequence[tuple[float, float]], places: Places) -> bool:
    if any(abs(x - there) < 2 * HALF_LABEL and abs(y - high) < LABEL_HEIGHT for there, high in taken):
        return False
    beside = (NODE_WIDTH / 2 + HALF_LABEL, (NODE_HEIGHT + LABEL_HEIGHT) / 2)
    return not any(abs(x - left) < beside[0] and abs(y - top) < beside[1] for left, top in places.values())
