"""A small picture of where the money came from and where it went: evidence payments as layered SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from greywater.desk import wording as say
from greywater.desk.drawing import (
    NODE_HEIGHT,
    NODE_WIDTH,
    STYLE,
    TOOLTIP,
    folded_box,
    party_box,
    short_name,
    svg_text,
)
from greywater.desk.evidence import EvidenceRow

__all__ = ["MOST_NEIGHBOURS", "picture"]

#: Parties a column names; the others are folded into "+ n more".
MOST_NEIGHBOURS: Final = 8
_LAYERS: Final = (-2, -1, 0, 1, 2)
_ROW, _GAP, _MARGIN = 34, 92, 10
#: A picture that would be larger names fewer parties.
_MOST_BYTES: Final = 12_000


@dataclass
class _Edge:
    """All evidence payments from one node to another."""

    source: str
    target: str
    payments: int = 0
    known: float = 0.0
    currency: str = ""
    raising: bool = False


@dataclass
class _Node:
    """A party on the picture, or several folded into one."""

    name: str
    layer: int
    x: float = 0.0
    y: float = 0.0
    folded: set[str] = field(default_factory=set)


def picture(
    evidence: Sequence[EvidenceRow],
    *,
    entity: str,
    accounts: Collection[str],
    base_currency: str,
    seeds: Collection[str] = (),
) -> str:
    """Draw the evidence of one alert: senders on the left, the entity in the middle, receivers on the right.

    Parameters
    ----------
    evidence : sequence of EvidenceRow
        At most a few dozen payments.
    entity : str
        Account or customer that is alerted; drawn as one party in the middle.
    accounts : collection of str
        The accounts that are the entity (for an account: itself).
    base_currency : str
        Currency of `base_amount`.
    seeds : collection of str
        Confirmed launderers among the accounts; marked with a diamond.

    Returns
    -------
    str
        An inline `<svg>` of at most 12 kB, the same for the same input, readable by a screen reader,
        light or dark. A line is as wide as its amount is large; labels give the amount and how many payments.
    """
    mine = set(accounts) | {entity}
    edges = _edges(evidence, mine, entity, base_currency)
    layer = _layers(edges, entity)
    label = f"Money flow around {short_name(entity, TOOLTIP)}: {_told(evidence, mine, base_currency)}"
    text = ""
    for most in (MOST_NEIGHBOURS, 5, 3, 2, 1):
        text = _draw(edges, layer, entity, mine, seeds, label, most)
        if len(text.encode()) <= _MOST_BYTES:
            break
    return text


def _draw(
    edges: list[_Edge],
    layer: dict[str, int],
    entity: str,
    mine: set[str],
    seeds: Collection[str],
    label: str,
    most: int,
) -> str:
    """Write the SVG with at most `most` named parties in a column."""
    nodes, drawn = _fold(edges, layer, entity, most)
    _place(nodes, drawn, entity)
    columns = sorted({node.layer for node in nodes.values()})
    width = len(columns) * NODE_WIDTH + (len(columns) - 1) * _GAP + 2 * _MARGIN
    height = max(node.y for node in nodes.values()) + NODE_HEIGHT / 2 + _MARGIN + 2
    largest = max((edge.known for edge in drawn), default=0.0)
    parts = [
        f'<svg class="gw-flow" role="img" viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}" '
        f'xmlns="http://www.w3.org/2000/svg" aria-label="{svg_text(label)}"><style>{STYLE}</style>'
        f"<title>{svg_text(label)}</title>"
    ]
    parts += [_line(edge, nodes, largest) for edge in drawn]
    lines = Counter(end for edge in drawn for end in (edge.source, edge.target))
    taken: list[tuple[float, float]] = []
    parts += [_label(edge, nodes, lines, taken) for edge in drawn]
    parts += [_box(node, entity, mine, seeds) for node in nodes.values()]
    return "".join(parts) + "</svg>"


def _edges(evidence: Sequence[EvidenceRow], mine: set[str], entity: str, base_currency: str) -> list[_Edge]:
    """Payments summed per ordered pair, largest first; the entity's accounts are one."""
    no_base = all(row.base_amount is None for row in evidence)
    one_currency = len({row.currency for row in evidence}) == 1
    edges: dict[tuple[str, str], _Edge] = {}
    for row in evidence:
        source = entity if row.sender in mine else row.sender
        target = entity if row.receiver in mine else row.receiver
        edge = edges.setdefault((source, target), _Edge(source, target, currency=base_currency))
        edge.payments += 1
        edge.raising |= row.raising
        if row.base_amount is not None:
            edge.known += row.base_amount
        elif no_base and one_currency:
            edge.known += row.amount
            edge.currency = row.currency
    return sorted(edges.values(), key=lambda edge: (-edge.known, edge.source, edge.target))


def _layers(edges: list[_Edge], entity: str) -> dict[str, int]:
    """Column of each party: money flows to the right where it can."""
    layer = {entity: 0}
    balance: dict[str, float] = {}
    for edge in edges:
        if edge.source == edge.target:
            continue
        if edge.target == entity:
            balance[edge.source] = balance.get(edge.source, 0.0) + edge.known + edge.payments * 1e-9
        if edge.source == entity:
            balance[edge.target] = balance.get(edge.target, 0.0) - edge.known - edge.payments * 1e-9
    for party, net in balance.items():
        layer[party] = -1 if net > 0 else 1
    waiting = [edge for edge in edges if edge.source not in layer or edge.target not in layer]
    while waiting:
        left = []
        for edge in waiting:
            if edge.source in layer and edge.target in layer:
                continue
            if edge.source in layer:
                layer[edge.target] = min(layer[edge.source] + 1, _LAYERS[-1])
            elif edge.target in layer:
                layer[edge.source] = max(layer[edge.target] - 1, _LAYERS[0])
            else:
                left.append(edge)
        if len(left) == len(waiting):
            layer[left[0].source] = -1
        waiting = left
    return layer


def _fold(edges: list[_Edge], layer: dict[str, int], entity: str, most: int) -> tuple[dict[str, _Node], list[_Edge]]:
    """Keep the largest parties of each column; the others become one node, and their lines one line."""
    moved: dict[str, float] = {}
    for edge in edges:
        for party in (edge.source, edge.target):
            moved[party] = moved.get(party, 0.0) + edge.known
    raising = {party for edge in edges if edge.raising for party in (edge.source, edge.target)}
    nodes = {entity: _Node(entity, 0)}
    stands_for = {entity: entity}
    for column in _LAYERS:
        parties = [party for party, place in layer.items() if place == column and party != entity]
        parties.sort(key=lambda party: (party not in raising, -moved[party], party))
        parties = sorted(parties[:most], key=lambda party: (-moved[party], party)) + parties[most:]
        for rank, party in enumerate(parties):
            name = party if rank < most else f"\x00more {column}"
            node = nodes.setdefault(name, _Node(name, column))
            stands_for[party] = name
            if name != party:
                node.folded.add(party)
    merged: dict[tuple[str, str], _Edge] = {}
    for edge in edges:
        ends = (stands_for[edge.source], stands_for[edge.target])
        drawn = merged.setdefault(ends, _Edge(*ends, currency=edge.currency))
        drawn.payments += edge.payments
        drawn.known += edge.known
        drawn.raising |= edge.raising
    return nodes, list(merged.values())


def _place(nodes: dict[str, _Node], edges: list[_Edge], entity: str) -> None:
    """Give each node its place; outer columns follow the order of the inner ones to avoid crossings."""
    columns: dict[int, list[_Node]] = {}
    for node in nodes.values():
        columns.setdefault(node.layer, []).append(node)
    middle = [node for node in columns[0] if node.name != entity]
    half = len(middle) // 2
    columns[0] = [*middle[:half], nodes[entity], *middle[half:]]
    tallest = max(len(column) for column in columns.values())
    loops = any(edge.source == edge.target for edge in edges)
    top = _MARGIN + NODE_HEIGHT / 2 + (14 if loops else 0)
    present = sorted(columns)
    for layer in sorted(columns, key=abs):
        column = columns[layer]
        if abs(layer) == 2:
            column.sort(key=lambda node: _mean_height(node, nodes, edges, layer))
        start = top + (tallest - len(column)) * _ROW / 2
        for row, node in enumerate(column):
            node.x = _MARGIN + NODE_WIDTH / 2 + present.index(layer) * (NODE_WIDTH + _GAP)
            node.y = start + row * _ROW


def _mean_height(node: _Node, nodes: dict[str, _Node], edges: list[_Edge], layer: int) -> float:
    heights = [
        nodes[other].y
        for edge in edges
        for one, other in ((edge.source, edge.target), (edge.target, edge.source))
        if one == node.name and abs(nodes[other].layer) < abs(layer)
    ]
    return sum(heights) / len(heights) if heights else 1e9


def _ends(edge: _Edge, nodes: dict[str, _Node]) -> tuple[float, float, float, float, float, float]:
    """Start, end, and how far the control points stand out (positive: to the right) of a line."""
    source, target = nodes[edge.source], nodes[edge.target]
    half = NODE_WIDTH / 2
    if source is target:
        return source.x - 12, source.y - NODE_HEIGHT / 2, source.x + 12, source.y - NODE_HEIGHT / 2, 0, 0
    if source.layer < target.layer:
        reach = (target.x - source.x - NODE_WIDTH) * 0.55
        return source.x + half, source.y - 3, target.x - half - 6, target.y - 3, reach, -reach
    if source.layer > target.layer:
        reach = (source.x - target.x - NODE_WIDTH) * 0.55
        return source.x - half, source.y + 6, target.x + half + 6, target.y + 6, -reach, reach
    return source.x + half, source.y, target.x + half + 6, target.y, 44, 44


def _line(edge: _Edge, nodes: dict[str, _Node], largest: float) -> str:
    x1, y1, x2, y2, out, back = _ends(edge, nodes)
    width = 1.2 + (5.0 * (edge.known / largest) ** 0.5 if largest > 0 else 0.8)
    kind, arrow = ("e r", "a ra") if edge.raising else ("e", "a")
    if edge.source == edge.target:
        return f'<path class="{kind}" stroke-width="1.5" d="M{x1:.0f} {y1:.0f}c0 -16 24 -16 24 0"/>'
    point = 6 if x2 < nodes[edge.target].x else -6
    size = min(4 + width / 3, 6)
    return (
        f'<path class="{kind}" stroke-width="{width:.1f}" '
        f'd="M{x1:.0f} {y1:.0f}C{x1 + out:.0f} {y1:.0f} {x2 + back:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"/>'
        f'<path class="{arrow}" d="M{x2 + point:.0f} {y2:.0f}l{-point} {-size:.1f}v{2 * size:.1f}z"/>'
    )


def _label(edge: _Edge, nodes: dict[str, _Node], lines: Mapping[str, int], taken: list[tuple[float, float]]) -> str:
    """The amount, close to the end where fewer lines meet, below a label that is there already."""
    x1, y1, x2, y2, out, back = _ends(edge, nodes)
    text = say.compact_money(edge.known, edge.currency) if edge.known else ""
    text += f" ×{edge.payments}" if edge.payments > 1 else ""
    if not text.strip():
        return ""
    if edge.source == edge.target:
        return f'<text class="l" x="{x1 + 12:.0f}" y="{y1 - 15:.0f}">{svg_text(text.strip())}</text>'
    crowd = lines[edge.source] - lines[edge.target]
    outer = abs(nodes[edge.source].layer) > abs(nodes[edge.target].layer)
    t = 0.27 if crowd < 0 or (crowd == 0 and outer) else 0.73
    x = (1 - t) ** 3 * x1 + 3 * (1 - t) ** 2 * t * (x1 + out) + 3 * (1 - t) * t**2 * (x2 + back) + t**3 * x2
    y = (1 - t) ** 3 * y1 + 3 * (1 - t) ** 2 * t * y1 + 3 * (1 - t) * t**2 * y2 + t**3 * y2
    y -= 7
    while any(abs(x - there) < 46 and abs(y - high) < 11 for there, high in taken):
        y += 11
    taken.append((x, y))
    return f'<text class="l" x="{x:.0f}" y="{y:.0f}">{svg_text(text.strip())}</text>'


def _box(node: _Node, entity: str, mine: set[str], seeds: Collection[str]) -> str:
    if node.folded:
        return folded_box(node.x, node.y, len(node.folded))
    is_seed = node.name in seeds or (node.name == entity and not mine.isdisjoint(seeds))
    return party_box(node.x, node.y, node.name, is_seed=is_seed, is_alerted=node.name == entity)


def _told(evidence: Iterable[EvidenceRow], mine: set[str], base_currency: str) -> str:
    """What the picture shows, for those who hear it."""
    rows = list(evidence)
    came = [row for row in rows if row.receiver in mine and row.sender not in mine]
    went = [row for row in rows if row.sender in mine and row.receiver not in mine]
    parts = []
    for word, side, parties in (
        ("in from", came, {row.sender for row in came}),
        ("out to", went, {row.receiver for row in went}),
    ):
        total = sum(row.base_amount for row in side if row.base_amount is not None)
        amount = f", {say.money(total, base_currency)}" if total else ""
        many = "party" if len(parties) == 1 else "parties"
        parts.append(f"{say.count(len(side), 'payment')} {word} {len(parties)} {many}{amount}")
    return "; ".join(parts)
