"""How many entries of the graph are still in sight, told from when they came in, without looking at them."""

from __future__ import annotations

from collections import deque

__all__ = ["EntryAges"]

#: Payments between two notes.
EVERY = 1_024


class EntryAges:
    """Counts the entries that came in after a moment, to within some blocks of payments.

    A late payment counts as old as the ones it came with: the answer is what an arena may need, not what a value
    depends on.

    Parameters
    ----------
    since_start : bool
        False: the graph held entries of unknown age already.

    Examples
    --------
    >>> ages = EntryAges(since_start=True)
    >>> for horizon in range(3):
    ...     ages.note(horizon, EVERY, 2 * EVERY)
    >>> ages.later_than(0), ages.later_than(5)
    (4096, 0)
    >>> EntryAges(since_start=False).later_than(0) is None
    True
    """

    def __init__(self, *, since_start: bool) -> None:
        self._marks: deque[tuple[int, int]] = deque()
        self._entries = self._gone = self._waiting = 0
        self._known = since_start

    def note(self, horizon: int, payments: int, entries: int) -> None:
        """So many payments came in, with so many entries, the latest event time so far being `horizon`."""
        self._entries += entries
        self._waiting += payments
        if self._waiting >= EVERY:
            self._marks.append((horizon, self._entries))
            self._waiting = 0

    def later_than(self, bound: int) -> int | None:
        """Entries that came in when the latest event time was past `bound`; None where that is not known yet."""
        while self._marks and self._marks[0][0] <= bound:
            self._gone = self._marks.popleft()[1]
            self._known = True
        return self._entries - self._gone if self._known else None
