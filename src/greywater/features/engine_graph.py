"""The engine's graph: payments of a block into the temporal graph, the columns of a FeatureSet out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from greywater.errors import SnapshotError
from greywater.features.feature import Feature
from greywater.features.graph import GraphPlan
from greywater.features.graph_state import Follower, GraphFootprint, GraphSnapshot, GraphState
from greywater.features.rooms import Rooms
from greywater.kernels.temporal_graph import KEEP_IN, KEEP_OUT
from greywater.vocab import Float64Array, Int64Array

__all__ = ["GraphColumns"]

#: Payments whose columns, wanted or not, lie in memory at a time: 4,096 rows of 480 columns are 16 MB.
CHUNK = 4_096
#: Blocks of at most so many payments get room of their own instead of that one.
SMALL = 256
PREFIX = "graph."

Runs = list[tuple[slice, slice]]


class GraphColumns:
    """Works out chosen columns of a graph plan for blocks of payments.

    Parameters
    ----------
    plan : GraphPlan
        The patterns.
    wanted : sequence of Feature
        The columns to hand out: features of the plan, in its order.
    threads : int
        Threads that look for patterns side by side. Changes no value.
    hold_us : int, optional
        As for `GraphState`.

    Examples
    --------
    >>> from greywater.features.graph import PatternPlan
    >>> plan = GraphPlan((PatternPlan("fan", (3_600,)),), allowed_lateness=0)
    >>> graph = GraphColumns(plan, plan.features[:1], threads=1)
    >>> bank = np.array([True, True])
    >>> columns = graph.run(np.array([0, 0]), np.array([1, 2]), np.array([0, 5]), np.array([9, 9]), bank, bank)
    >>> plan.names[0], columns[0].tolist()
    ('sender.out.degree.1h', [1, 2])
    """

    def __init__(self, plan: GraphPlan, wanted: Sequence[Feature], *, threads: int, hold_us: int | None = None) -> None:
        names = {feature.name for feature in wanted}
        self._plan = plan
        self._state = GraphState(plan, threads=threads, hold_us=hold_us)
        self._ints = _runs([feature.name in names for feature in plan.int_features])
        self._floats = _runs([feature.name in names for feature in plan.float_features])
        self._counts, self._measures = _length(self._ints), _length(self._floats)
        self._rooms = Rooms()
        self._chunk: tuple[Int64Array, Float64Array] | None = None

    def follow(self, follower: Follower) -> None:
        """Have `follower` see each part of the payments that the graph takes in."""
        self._state.follow(follower)

    def run(
        self,
        senders: np.ndarray,
        receivers: np.ndarray,
        time: Int64Array,
        amount: Int64Array,
        sender_own: np.ndarray,
        receiver_own: np.ndarray,
    ) -> list[np.ndarray]:
        """Take the next payments in and work out the wanted columns.

        Parameters
        ----------
        senders, receivers : int[n]
            Codes of the accounts.
        time : int64[n]
            Microseconds.
        amount : int64[n]
            Minor units of the base currency, -1 = not known.
        sender_own, receiver_own : bool[n]
            Whether the party is the bank's own. A payment joins the lists of those only, and has columns (else 0 and
            NaN) only where both are.

        Returns
        -------
        list of int64[n] and float64[n]
            In the order of the wanted features.
        """
        n = len(time)
        keep = _lists_joined(sender_own, receiver_own)
        skip = (keep != KEEP_OUT + KEEP_IN).astype(np.uint8)
        senders, receivers = senders.astype(np.int64), receivers.astype(np.int64)
        ints = self._rooms.columns(self._counts, n, np.int64)
        floats = self._rooms.columns(self._measures, n, np.float64)
        for begin in range(0, n, CHUNK):
            part = slice(begin, min(begin + CHUNK, n))
            counts, measures = self._state.process(
                senders[part],
                receivers[part],
                time[part],
                amount[part],
                keep[part],
                skip[part],
                into=self._room() if n > SMALL else None,
            )
            for target, source in self._ints:
                ints[target, part] = counts[source, : part.stop - begin]
            for target, source in self._floats:
                floats[target, part] = measures[source, : part.stop - begin]
        return [*ints, *floats]

    def absorb(
        self,
        senders: np.ndarray,
        receivers: np.ndarray,
        time: Int64Array,
        amount: Int64Array,
        sender_own: np.ndarray,
        receiver_own: np.ndarray,
    ) -> None:
        """Take the next payments in without working out a column. Parameters as for `run`."""
        keep = _lists_joined(sender_own, receiver_own)
        self._state.append(senders.astype(np.int64), receivers.astype(np.int64), time, amount, keep)

    def _room(self) -> tuple[Int64Array, Float64Array]:
        """Room for all columns of a chunk; columns do not begin at a power of two from each other."""
        if self._chunk is None:
            rows = CHUNK + 8
            self._chunk = (
                np.empty((len(self._plan.int_features), rows), np.int64),
                np.empty((len(self._plan.float_features), rows), np.float64),
            )
        return self._chunk

    @property
    def footprint(self) -> GraphFootprint:
        """What the graph holds at this moment."""
        return self._state.footprint

    def pack(self) -> None:
        """Give back the memory of everything that no window can see any more. Changes no value."""
        self._state.pack()

    def snapshot(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The state after the last payment: JSON values, and arrays whose names begin with `graph.`."""
        state = self._state.snapshot()
        return dict(state.meta), {f"{PREFIX}{name}": array for name, array in state.arrays.items()}

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from a snapshot.

        Raises
        ------
        SnapshotError
            If the snapshot is of another plan or has no graph.
        """
        if "graph" not in meta:
            raise SnapshotError("the snapshot holds no graph", mend="replay the ledger from its beginning")
        own = {name.removeprefix(PREFIX): array for name, array in arrays.items() if name.startswith(PREFIX)}
        self._state.restore(GraphSnapshot(meta["graph"], own))


def _lists_joined(sender_own: np.ndarray, receiver_own: np.ndarray) -> np.ndarray:
    """Which lists each payment joins, uint8[n]: those of the bank's own parties."""
    keep: np.ndarray = np.where(sender_own, KEEP_OUT, 0).astype(np.uint8)
    return keep | np.where(receiver_own, KEEP_IN, 0).astype(np.uint8)


def _runs(kept: Sequence[bool]) -> Runs:
    """Which rows go where, neighbours together: (rows wanted, rows worked out)."""
    runs: Runs = []
    target = 0
    for source, wanted in enumerate(kept):
        if not wanted:
            continue
        if runs and runs[-1][1].stop == source:
            runs[-1] = (slice(runs[-1][0].start, target + 1), slice(runs[-1][1].start, source + 1))
        else:
            runs.append((slice(target, target + 1), slice(source, source + 1)))
        target += 1
    return runs


def _length(runs: Runs) -> int:
    return int(runs[-1][0].stop) if runs else 0
