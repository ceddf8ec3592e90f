"""The edges of lineage: what was made from what, added once and never taken away, followed both ways."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import sqlalchemy as sa

from greywater.errors import StoreError
from greywater.stores.feature_record_rows import EDGES, Edge, Node
from greywater.stores.record_database import RecordDatabase
from greywater.stores.record_rows import now_us

__all__ = ["FeatureEdges"]

#: Names asked for in one query; SQLite takes at most 32,766 values.
_AT_ONCE: Final = 4_000


class FeatureEdges:
    """Who comes from whom. No thing comes from itself, however far around.

    Examples
    --------
    >>> with RecordDatabase.open("sqlite::memory:") as database:
    ...     edges = FeatureEdges(database)
    ...     edges.add([Edge(Node("source", "a.csv"), Node("commit", "sums@1#0"))])
    ...     edges.reach(Node("commit", "sums@1#0"), "up", 100)
    1
    [Edge(source=Node(kind='source', name='a.csv'), target=Node(kind='commit', name='sums@1#0'), how='')]
    """

    def __init__(self, database: RecordDatabase) -> None:
        self._database = database

    def add(self, edges: Iterable[Edge]) -> int:
        """Add edges in one commit; those that are there already are left as they are. Returns how many are new.

        Raises
        ------
        StoreError
            Something would come from itself; nothing was added.
        """
        moment = now_us()
        rows: list[dict[str, Any]] = [
            {
                "source_kind": edge.source.kind, "source": edge.source.name, "target_kind": edge.target.kind,
                "target": edge.target.name, "how": edge.how, "at_us": moment,
            }
            for edge in edges
        ]  # fmt: skip
        if not rows:
            return 0
        with self._database.transaction(writes=True) as connection:
            added = self._database.insert_new(EDGES, rows, connection)
            self._refuse_circles(connection, sorted({Node(row["target_kind"], row["target"]) for row in rows}))
        return added

    def _refuse_circles(self, connection: sa.Connection, targets: Sequence[Node]) -> None:
        """A circle through a new edge leads from its target back to it: only targets that are sources too can."""
        inner = []
        for start in range(0, len(targets), _AT_ONCE // 2):
            some = targets[start : start + _AT_ONCE // 2]
            pair = sa.tuple_(EDGES.c.source_kind, EDGES.c.source)
            chosen = sa.select(EDGES.c.source_kind, EDGES.c.source).where(pair.in_([(n.kind, n.name) for n in some]))
            inner += [Node(*row) for row in connection.execute(chosen.distinct())]
        for node in inner:
            reached = _reached(node, "down")
            back = sa.select(EDGES.c.target).where(
                sa.tuple_(EDGES.c.source_kind, EDGES.c.source).in_(sa.select(reached.c.kind, reached.c.name)),
                EDGES.c.target_kind == node.kind,
                EDGES.c.target == node.name,
            )
            if connection.execute(back.limit(1)).first() is not None:
                raise StoreError(
                    f"{node.kind} {node.name!r} would come from itself",
                    where="lineage",
                    mend="name what was made anew by a name of its own (a commit, a version, a fingerprint)",
                )

    def reach(self, node: Node, way: Literal["up", "down"], most: int) -> list[Edge]:
        """All edges on the ways up to where a node comes from, or down to what was made from it.

        At most `most` edges, sorted by their two ends.
        """
        reached = _reached(node, way)
        ends = (EDGES.c.target_kind, EDGES.c.target) if way == "up" else (EDGES.c.source_kind, EDGES.c.source)
        chosen = (
            sa.select(EDGES)
            .where(sa.tuple_(*ends).in_(sa.select(reached.c.kind, reached.c.name)))
            .order_by(EDGES.c.source_kind, EDGES.c.source, EDGES.c.target_kind, EDGES.c.target)
            .limit(most)
        )
        with self._database.transaction() as connection:
            rows = connection.execute(chosen).mappings().all()
        return [
            Edge(Node(row["source_kind"], row["source"]), Node(row["target_kind"], row["target"]), row["how"])
            for row in rows
        ]


def _reached(node: Node, way: Literal["up", "down"]) -> sa.CTE:
    """The node itself and all that can be reached from it one way."""
    text = EDGES.c.source.type
    kind, name = sa.literal(node.kind, text).label("kind"), sa.literal(node.name, text).label("name")
    reached = sa.select(kind, name).cte("reached", recursive=True)
    if way == "up":
        step = sa.select(EDGES.c.source_kind, EDGES.c.source).join(
            reached, (EDGES.c.target_kind == reached.c.kind) & (EDGES.c.target == reached.c.name)
        )
    else:
        step = sa.select(EDGES.c.target_kind, EDGES.c.target).join(
            reached, (EDGES.c.source_kind == reached.c.kind) & (EDGES.c.source == reached.c.name)
        )
    return reached.union(step)
