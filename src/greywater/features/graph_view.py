"""What a payment that a live graph holds saw when it came: read from the graph's own lists, without a search kernel."""

from __future__ import annotations

import numpy as np

from greywater.errors import EngineError
from greywater.features.graph_state import GraphState
from greywater.features.payment_view import Account, SeenPayment
from greywater.features.windows import window_label
from greywater.kernels.temporal_graph import AMOUNT, BASE, END, IN, OTHER, OUT, SEQ, TIME
from greywater.kernels.vertices import find

__all__ = ["GraphView"]

MICROSECOND = 1_000_000
OUT_HEAD, IN_HEAD = 4 * OUT, 4 * IN


class GraphView:
    """Payment i of a live graph and what it saw in one window, however many payments came after it.

    Parameters
    ----------
    state : GraphState
        The graph. It may go on taking payments in, but not while this view is in use.
    number : int
        Payment i: how many payments the graph had taken in before it.
    look_back : int
        Seconds.

    Raises
    ------
    EngineError
        If i is not held (any more), or a payment that i saw may have been dropped since.

    Notes
    -----
    i sees payments later than max(t_i - w, H(i) - hold); the graph drops what is not later than H(now) - hold. So all
    that i saw is there where t_i - w is not before H(now) - hold, and then that is also where its window begins; or
    where nothing since has moved the horizon.
    """

    def __init__(self, state: GraphState, number: int, look_back: int) -> None:
        self._graph, self._table, self._base = state.adjacency
        self._before = number - self._base
        places = self._places_of(number, state)
        self._this = self._seen(places)
        self._alone = len(places) < 2
        self._bound = self._window_begins(state, look_back)

    @property
    def this(self) -> SeenPayment:
        """Payment i."""
        return self._this

    @property
    def is_alone(self) -> bool:
        """True where i is in no pattern: only one of its parties' lists has it, the other one is outside the bank."""
        return self._alone

    def into(self, account: Account, most: int) -> list[SeenPayment]:
        """The first `most` visible payments into an account, in canonical order."""
        return self._listed(int(account), IN_HEAD, most)

    def out_of(self, account: Account, most: int) -> list[SeenPayment]:
        """The first `most` visible payments out of an account, in canonical order."""
        return self._listed(int(account), OUT_HEAD, most)

    def _listed(self, account: int, head: int, most: int) -> list[SeenPayment]:
        graph = self._graph
        vertex = int(find(self._table, account))
        if vertex < 0:
            return []
        base, end = int(graph.heads[vertex, head + BASE]), int(graph.heads[vertex, head + END])
        times = graph.entries[base:end, TIME]
        first = base + int(np.searchsorted(times, self._bound, "right"))
        last = base + int(np.searchsorted(times, self._this.time_us, "right"))
        places = np.arange(first, last)
        places = places[graph.links[first:last, SEQ] < self._before][::-1][:most]
        others = self._table.names[graph.links[places, OTHER]].tolist()
        columns = (graph.links[places, SEQ], graph.entries[places, TIME], graph.entries[places, AMOUNT])
        return [
            SeenPayment(
                seq + self._base,
                time,
                account if head == OUT_HEAD else other,
                other if head == OUT_HEAD else account,
                None if amount < 0 else amount,
            )
            for seq, time, amount, other in zip(*(column.tolist() for column in columns), others, strict=True)
        ]

    def _places_of(self, number: int, state: GraphState) -> dict[int, tuple[int, int]]:
        """By head, the place of payment i in the arena and the vertex whose list has it."""
        taken = int(self._graph.top[0])
        same = np.flatnonzero(self._graph.links[:taken, SEQ] == self._before)
        found = {head: (int(place), vertex) for place in same for head, vertex in self._owners(int(place))}
        dropped = state.horizon - state.plan.hold_us
        if not found or self._graph.entries[next(iter(found.values()))[0], TIME] <= dropped:
            raise EngineError(
                f"payment {number} is not held by the graph",
                where=f"{state.next_number} payments taken in",
                mend="ask soon after the payment; a payment to oneself is in no pattern",
            )
        return found

    def _owners(self, place: int) -> list[tuple[int, int]]:
        """Heads and vertices of the list that has a place of the arena; none where it was left by a list that moved."""
        used = int(self._table.counts[0])
        heads = self._graph.heads[:used]
        return [
            (head, int(vertex))
            for head in (OUT_HEAD, IN_HEAD)
            for vertex in np.flatnonzero((heads[:, head + BASE] <= place) & (place < heads[:, head + END]))
        ]

    def _seen(self, places: dict[int, tuple[int, int]]) -> SeenPayment:
        head, (place, vertex) = next(iter(places.items()))
        names, graph = self._table.names, self._graph
        owner, other = int(names[vertex]), int(names[graph.links[place, OTHER]])
        amount = int(graph.entries[place, AMOUNT])
        return SeenPayment(
            self._before + self._base,
            int(graph.entries[place, TIME]),
            owner if head == OUT_HEAD else other,
            other if head == OUT_HEAD else owner,
            None if amount < 0 else amount,
        )

    def _window_begins(self, state: GraphState, look_back: int) -> int:
        """The moment after which a payment is visible to i."""
        begins = self._this.time_us - look_back * MICROSECOND
        dropped = state.horizon - state.plan.hold_us
        if begins >= dropped:
            return begins
        if self._horizon_stood(state.horizon):
            return dropped
        raise EngineError(
            f"payments that payment {self._this.number} saw in {window_label(look_back)} may have been dropped since",
            where=f"{(state.horizon - self._this.time_us) / MICROSECOND:g} s behind the latest payment",
            mend="ask sooner after the payment, set a longer allowed_lateness, or ask the ledger",
        )

    def _horizon_stood(self, horizon: int) -> bool:
        """Had the latest event time been reached when i came? A payment to oneself, held nowhere, does not tell."""
        taken = int(self._graph.top[0])
        latest = self._graph.entries[:taken, TIME] == horizon
        reached = np.flatnonzero(latest & (self._graph.links[:taken, SEQ] <= self._before))
        return any(self._owners(int(place)) for place in reached[:64])
