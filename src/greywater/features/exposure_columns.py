"""The engine's exposure: what it holds of known launderers, and the columns of an ExposurePlan out of the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from greywater.errors import EngineError, SnapshotError
from greywater.features.exposure import ExposurePlan, KnownLaunderers
from greywater.features.feature import Feature
from greywater.features.rooms import Rooms
from greywater.kernels.exposure import Search, empty_search, exposure
from greywater.kernels.exposure_reach import empty_room
from greywater.kernels.known import ACCOUNT, AFTER, FACTS, GUILTY, SINCE, SOURCE, Known, empty_near
from greywater.kernels.temporal_graph import Arrivals, Graph
from greywater.kernels.vertices import VertexTable
from greywater.vocab import Int64Array

__all__ = ["ExposureColumns"]

PREFIX = "exposure."
#: Stamps that may be used up before the marks are wiped, well inside int32.
STAMPS = 2**30
#: Room for so many accounts more than there are, at least.
SPARE = 1_024


class ExposureColumns:
    """Follows a graph and works out exposure for the payments it takes in.

    Parameters
    ----------
    plan : ExposurePlan
        What to look for.
    wanted : sequence of Feature, optional
        The columns to hand out: features of the plan, in its order; None = all.

    Notes
    -----
    `begin` says which payments come and `take` is called by the graph with each part of them, as it is taken in;
    `columns` hands out what was found. Values do not depend on the parts.
    """

    def __init__(self, plan: ExposurePlan, wanted: Sequence[Feature] | None = None) -> None:
        self._plan = plan
        names = {feature.name for feature in (plan.features if wanted is None else wanted)}
        self._given = [feature.name in names for feature in plan.features]
        self._windows = plan.windows_us
        self._facts: Int64Array = np.zeros((0, FACTS), np.int64)
        self._order: Int64Array = np.zeros(0, np.int64)
        self._first: Int64Array = np.full(0, -1, np.int64)
        self._near = empty_near(0)
        self._outside = np.zeros(0, np.uint8)
        self._applied = np.zeros(1, np.int64)
        self._search: Search = empty_search(0)
        self._reach = empty_room(0)
        self._told = False
        self._taken = 0
        self._next_seq = 0
        self._rooms = Rooms()
        self._wanted = np.zeros(0, np.uint8)
        self._row = 0
        self._ints, self._floats = self._room(0)

    def know(self, codes: np.ndarray, known: KnownLaunderers, next_seq: int) -> None:
        """Take the place of all that was said before about who is a known launderer.

        Parameters
        ----------
        codes : int[n]
            Of the accounts of `known`.
        known : KnownLaunderers
            All there is to know, rows recorded after later payments among it.
        next_seq : int
            The payment that comes next.

        Raises
        ------
        EngineError
            It differs in what payments already taken in have seen.
        """
        n = len(known)
        facts = np.empty((n, FACTS), np.int64)
        facts[:, ACCOUNT], facts[:, SOURCE] = codes, known.source
        facts[:, SINCE], facts[:, AFTER] = known.known_since_us, known.after_seq
        facts[:, GUILTY] = known.launderer
        facts = facts[np.lexsort((np.arange(n), facts[:, SINCE], facts[:, SOURCE], facts[:, ACCOUNT]))]
        if self._taken and not np.array_equal(_seen(facts, next_seq), _seen(self._facts, next_seq)):
            raise EngineError(
                "other launderers are known than the payments before saw",
                where=f"next seq {next_seq}",
                mend="say all that is known each time; what is recorded now is known from the next payment on",
            )
        self._set(facts)

    def begin(self, first_seq: int, wanted: np.ndarray, external: np.ndarray, *, columns: bool = True) -> None:
        """Say which payments come next.

        Parameters
        ----------
        first_seq : int
            Place in the ledger of the first.
        wanted : bool[n]
            Which of them have columns; those of the others mean nothing.
        external : bool[accounts]
            Accounts outside the bank.
        columns : bool
            False: no columns are wanted, whatever `wanted` says.

        Raises
        ------
        EngineError
            Nobody said who is known.
        """
        if not self._told:
            raise EngineError(
                "nothing was said about known launderers",
                where=f"next seq {first_seq}",
                mend="call know() first, with KnownLaunderers.nobody() where nobody is known",
            )
        self._reserve(external)
        n = len(wanted)
        self._wanted = wanted.astype(np.uint8) if columns else np.zeros(n, np.uint8)
        self._ints, self._floats = self._room(n if columns else 0)
        self._next_seq, self._row = first_seq, 0

    def take(self, graph: Graph, table: VertexTable, arrivals: Arrivals, begin: int, end: int) -> None:
        """Payments that the graph has just taken in, in order."""
        if self._search.stamp[0] > STAMPS:
            self._search.marks.fill(0)
            self._search.stamp[0] = 0
        known = Known(self._near, self._facts, self._first, self._order, self._applied, self._outside)
        exposure(
            graph, table, arrivals, begin, end, self._next_seq, known, self._windows, self._plan.cap, self._plan.hops,
            self._wanted, self._row, self._search, self._reach, self._ints, self._floats,
        )  # fmt: skip
        self._next_seq += end - begin
        self._row += end - begin
        self._taken += end - begin

    def columns(self) -> list[np.ndarray]:
        """The wanted features of the payments of the last `begin`: int64[n] and float64[n] each."""
        return [column for column, given in zip([*self._ints, *self._floats], self._given, strict=True) if given]

    @property
    def lifetime_bytes(self) -> int:
        """Bytes kept for ever, per account."""
        kept = (self._near, self._first, self._facts, self._search.marks, *self._reach)
        return sum(array.nbytes for array in kept)

    def snapshot(self, accounts: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The state after the last payment: JSON values, and arrays whose names begin with `exposure.`."""
        meta = {"told": self._told, "taken": self._taken}
        return meta, {f"{PREFIX}near": self._near[:accounts], f"{PREFIX}facts": self._facts}

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from a snapshot.

        Raises
        ------
        SnapshotError
            It holds no exposure.
        """
        if "exposure" not in meta:
            raise SnapshotError("the snapshot holds no exposure", mend="replay the ledger from its beginning")
        self._near = np.array(arrays[f"{PREFIX}near"], np.int64, order="C")
        accounts = len(self._near)
        self._outside = np.zeros(accounts, np.uint8)
        self._make_room(accounts)
        self._set(np.array(arrays[f"{PREFIX}facts"], np.int64, order="C"))
        self._told, self._taken = bool(meta["exposure"]["told"]), int(meta["exposure"]["taken"])

    def _set(self, facts: Int64Array) -> None:
        """What is known from now on; accounts that are marked already are passed over when it is applied again."""
        self._facts, self._told = facts, True
        guilty = np.flatnonzero(facts[:, GUILTY] == 1)
        self._order = guilty[np.argsort(facts[guilty, AFTER], kind="stable")]
        self._applied[0] = 0
        accounts, rows = np.unique(facts[:, ACCOUNT], return_index=True)
        self._first = np.full(max(len(self._near), int(accounts.max(initial=-1)) + 1), -1, np.int64)
        self._first[accounts] = rows

    def _reserve(self, external: np.ndarray) -> None:
        """Room for all accounts met so far."""
        accounts = len(external)
        if accounts > len(self._near):
            held, size = len(self._near), accounts + max(accounts // 2, SPARE)
            near = empty_near(size)
            near[:held] = self._near
            self._near, self._outside = near, np.zeros(size, np.uint8)
            self._make_room(size)
        if len(self._first) < len(self._near):
            more = np.full(len(self._near) - len(self._first), -1, np.int64)
            self._first = np.concatenate([self._first, more])
        self._outside[:accounts] = external

    def _make_room(self, accounts: int) -> None:
        """Room for searches among so many accounts."""
        self._search = empty_search(accounts)
        self._reach = empty_room(accounts if self._plan.hops > 1 else 0)

    def _room(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        ints = self._rooms.columns(len(self._plan.int_features), n, np.int64)
        return ints, self._rooms.columns(len(self._plan.float_features), n, np.float64)


def _seen(facts: Int64Array, next_seq: int) -> Int64Array:
    """The facts that a payment before `next_seq` may have seen."""
    seen: Int64Array = facts[facts[:, AFTER] < next_seq - 1]
    return seen
