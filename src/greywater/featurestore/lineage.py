"""Where a thing comes from and what was made of it: source file, group commit, training set, model, alert."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from greywater.errors import UsageError

if TYPE_CHECKING:
    from greywater.stores.feature_record_rows import Edge, Node
    from greywater.stores.feature_records import FeatureRecords

__all__ = ["KINDS", "Graph", "Lineage", "commit_name", "version_name"]

#: Kinds of things, in the order in which money data becomes an alert.
KINDS: Final = ("source", "commit", "view", "training_set", "model", "alert")

#: Sizes of the picture, in pixels: a column, a row, a box, letters of a name.
_COLUMN, _ROW, _WIDTH, _HEIGHT, _LETTERS = 190, 34, 160, 24, 24


def commit_name(group: str, version: int, number: int) -> str:
    """The name of a commit of a group in the graph.

    Examples
    --------
    >>> commit_name("credit", 2, 17)
    'credit@2#17'
    """
    return f"{group}@{version}#{number}"


def version_name(name: str, version: int) -> str:
    """The name of a version of a view or a training set in the graph.

    Examples
    --------
    >>> version_name("risk", 1)
    'risk@1'
    """
    return f"{name}@{version}"


@dataclass(frozen=True)
class Graph:
    """A piece of the graph around one node.

    Parameters
    ----------
    start : Node
        What was asked about.
    edges : tuple of Edge
        Sorted by source and target.
    truncated : bool
        There are more edges than were asked for.
    """

    start: Node
    edges: tuple[Edge, ...]
    truncated: bool = False

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, by kind in the order of KINDS, then by name; the start is always among them."""
        found = {self.start, *(edge.source for edge in self.edges), *(edge.target for edge in self.edges)}
        return tuple(sorted(found, key=lambda node: (KINDS.index(node.kind), node.name)))

    def of_kind(self, kind: str) -> tuple[str, ...]:
        """Names of the nodes of a kind, sorted."""
        return tuple(node.name for node in self.nodes if node.kind == kind)

    def to_dict(self) -> dict[str, Any]:
        """In JSON types: `start`, `nodes` and `edges` (positions in `nodes`), `truncated`."""
        places = {node: place for place, node in enumerate(self.nodes)}
        return {
            "start": places[self.start],
            "nodes": [{"kind": node.kind, "name": node.name} for node in self.nodes],
            "edges": [
                {"source": places[edge.source], "target": places[edge.target], "how": edge.how} for edge in self.edges
            ],
            "truncated": self.truncated,
        }

    def to_json(self) -> str:
        """The same as text; the same graph gives the same text."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def to_svg(self) -> str:
        """A picture: a column a kind, an arrow an edge; names are cut, the whole name is in the title of a box."""
        columns = [kind for kind in KINDS if self.of_kind(kind)]
        places: dict[Node, tuple[int, int]] = {}
        for column, kind in enumerate(columns):
            for row, name in enumerate(self.of_kind(kind)):
                places[type(self.start)(kind, name)] = (10 + column * _COLUMN, 34 + row * _ROW)
        width = 10 + len(columns) * _COLUMN
        height = 44 + _ROW * max(len(self.of_kind(kind)) for kind in columns)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            'font-family="sans-serif" font-size="11" role="img"><title>lineage of '
            f"{html.escape(self.start.kind)} {html.escape(self.start.name)}</title>"
        ]
        for column, kind in enumerate(columns):
            parts.append(f'<text x="{10 + column * _COLUMN}" y="20" fill="#555">{kind.replace("_", " ")}</text>')
        for edge in self.edges:
            (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
            middle = _HEIGHT // 2
            parts.append(
                f'<path d="M{x1 + _WIDTH} {y1 + middle} L{x2} {y2 + middle}" stroke="#888" fill="none">'
                f"<title>{html.escape(edge.how)}</title></path>"
            )
        for node, (x, y) in places.items():
            fill = "#ffe9c7" if node == self.start else "#eef3f8"
            cut = node.name if len(node.name) <= _LETTERS else node.name[: _LETTERS - 3] + "..."
            parts.append(
                f'<g><title>{html.escape(node.name)}</title><rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" '
                f'rx="3" fill="{fill}" stroke="#888"/><text x="{x + 6}" y="{y + 16}">{html.escape(cut)}</text></g>'
            )
        return "".join([*parts, "</svg>"])


class Lineage:
    """The graph of what was made from what.

    Edges are added once and stay. Names are of the caller's choosing and unique within a kind: a source file's name
    and SHA-256, `commit_name`, `version_name`, a model's name and fingerprint, an alert's id.

    Parameters
    ----------
    records : FeatureRecords

    Examples
    --------
    >>> from greywater.stores.feature_records import FeatureRecords
    >>> with FeatureRecords.open("sqlite::memory:") as records:
    ...     lineage = Lineage(records)
    ...     lineage.add("source", "payments.csv", "commit", commit_name("sums", 1, 0))
    ...     lineage.add("commit", "sums@1#0", "training_set", "autumn@1", how="as of commit 0")
    ...     lineage.add_all([("training_set", "autumn@1", "model", "boosted-7"), ("model", "boosted-7", "alert", "a1")])
    ...     lineage.upstream("alert", "a1").of_kind("source"), lineage.downstream("commit", "sums@1#0").of_kind("alert")
    True
    True
    2
    (('payments.csv',), ('a1',))
    """

    def __init__(self, records: FeatureRecords) -> None:
        self._edges = records.edges

    def add(self, source_kind: str, source: str, target_kind: str, target: str, *, how: str = "") -> bool:
        """Add one edge: the target was made from the source. False where it is known already.

        Raises
        ------
        UsageError
            A kind is not one of KINDS, or a name is empty.
        StoreError
            Something would come from itself.
        """
        return self.add_all([(source_kind, source, target_kind, target)], how=how) == 1

    def add_all(self, edges: Iterable[tuple[str, str, str, str]], *, how: str = "") -> int:
        """Add edges (source kind, source, target kind, target) in one commit, all or none; returns how many are new."""
        from greywater.stores.feature_record_rows import Edge

        return self._edges.add(
            [Edge(_node(kind, name), _node(target_kind, target), how) for kind, name, target_kind, target in edges]
        )

    def upstream(self, kind: str, name: str, *, most: int = 10_000) -> Graph:
        """All that a thing comes from, however far back; at most `most` edges."""
        return self._around(kind, name, "up", most)

    def downstream(self, kind: str, name: str, *, most: int = 10_000) -> Graph:
        """All that was made from a thing, however far on; at most `most` edges."""
        return self._around(kind, name, "down", most)

    def _around(self, kind: str, name: str, way: Literal["up", "down"], most: int) -> Graph:
        start = _node(kind, name)
        found = self._edges.reach(start, way, most + 1)
        return Graph(start, tuple(found[:most]), len(found) > most)


def _node(kind: str, name: str) -> Node:
    from greywater.stores.feature_record_rows import Node

    if kind not in KINDS:
        raise UsageError(f"no kind {kind!r} in the lineage", mend=f"give one of {', '.join(KINDS)}")
    if not name:
        raise UsageError(f"a {kind} without a name", where="lineage", mend="give its name")
    return Node(kind, name)
