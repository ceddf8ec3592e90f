"""The first values of payments that have an id: given again when the id comes again, dropped with the payment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from greywater.errors import SnapshotError
from greywater.kernels.identities import Identities, copy_below, empty_identities, note, place_of
from greywater.vocab import Float64Array, Int64Array

__all__ = ["FirstValues"]

#: Payments a page holds, and places between the columns of a page (no power of two: the columns of one payment would
#: share a set of the processor's cache).
PAGE = 1_024
STRIDE = PAGE + 8
FIRST_SLOTS = 1 << 11
GONE = -(2**63)


class _Page:
    """The times of up to PAGE payments that arrived one after the other, and their values where there are any."""

    def __init__(self, ints: int, floats: int) -> None:
        self.times = np.full(PAGE, GONE, np.int64)
        self.latest = GONE
        self.computed = np.zeros(PAGE, np.bool_)
        self._shape = ints, floats
        self.ints = np.empty((0, STRIDE), np.int32)
        self.floats = np.empty((0, STRIDE), np.float64)

    def write_times(self, rows: slice, times: Int64Array) -> None:
        self.times[rows] = times
        self.latest = max(self.latest, int(times.max()))

    def write(self, rows: slice, ints: NDArray[Any], floats: Float64Array) -> None:
        if not self.computed.any():
            self.ints = np.zeros((self._shape[0], STRIDE), np.int32)
            self.floats = np.zeros((self._shape[1], STRIDE), np.float64)
        self.ints[:, rows], self.floats[:, rows] = ints, floats
        self.computed[rows] = True

    @property
    def nbytes(self) -> int:
        return self.times.nbytes + self.computed.nbytes + self.ints.nbytes + self.floats.nbytes


class FirstValues:
    """Ids of all payments ever taken in, times and first values of those still held.

    Parameters
    ----------
    ints, floats : int
        Numbers of int64 and float64 columns. A held payment takes 4 bytes an int column and 8 a float column; an id
        takes 32 to 64 bytes, for ever.
    """

    def __init__(self, ints: int, floats: int) -> None:
        self._shape = ints, floats
        self._ids = empty_identities(FIRST_SLOTS)
        self._pages: dict[int, _Page] = {}
        self._count = 0
        self._looked = 0

    @property
    def count(self) -> int:
        """Payments taken in so far; the place of the next one."""
        return self._count

    @property
    def id_bytes(self) -> int:
        """Bytes of the table of ids."""
        return int(self._ids.words.nbytes + self._ids.places.nbytes)

    @property
    def value_bytes(self) -> int:
        """Bytes of the pages of times and values."""
        return sum(page.nbytes for page in self._pages.values())

    def note(self, high: Int64Array, low: Int64Array) -> tuple[Int64Array, NDArray[np.bool_]]:
        """Look ids up; unknown ones get the next places.

        `write` must follow for the new ones, or `forget_new`.

        Returns
        -------
        places : int64[n]
            Of the payment that each id belongs to, in order of arrival.
        new : bool[n]
            Where the id was not known before; of several equal ids the first.
        """
        n = len(high)
        slots = len(self._ids.places)
        if 4 * (self._count + n) > 3 * slots:
            fresh = empty_identities(_slots(self._count + n))
            copy_below(self._ids, fresh, self._count)
            self._ids = fresh
        places, new = np.empty(n, np.int64), np.empty(n, np.bool_)
        note(self._ids, high, low, self._count, places, new.view(np.uint8))
        return places, new

    def place_of(self, high: Int64Array, low: Int64Array) -> int:
        """The place of the payment of one id, -1 where it is not known."""
        return int(place_of(self._ids, high[0], low[0]))

    def ids_of(self, places: Int64Array) -> dict[int, int]:
        """Ids that are numbers, by the places of their payments. Looks through all ids ever seen."""
        slots = np.flatnonzero(np.isin(self._ids.places, places))
        return dict(zip(self._ids.places[slots].tolist(), self._ids.words[slots, 0].tolist(), strict=True))

    def forget_new(self) -> None:
        """Undo the last `note`."""
        fresh = empty_identities(len(self._ids.places))
        copy_below(self._ids, fresh, self._count)
        self._ids = fresh

    def write(self, time: Int64Array, values: tuple[Int64Array, Float64Array] | None) -> None:
        """Keep the next payments: times int64[n] and, where they were computed, int64[Ci, n] and float64[Cf, n]."""
        done = 0
        while done < len(time):
            number, row = divmod(self._count, PAGE)
            page = self._pages.get(number)
            if page is None:
                page = self._pages[number] = _Page(*self._shape)
            size = min(PAGE - row, len(time) - done)
            rows, part = slice(row, row + size), slice(done, done + size)
            page.write_times(rows, time[part])
            if values is not None:
                page.write(rows, values[0][:, part], values[1][:, part])
            done += size
            self._count += size

    def times(self, places: Int64Array) -> Int64Array:
        """Event times of payments; long before all times where they were dropped."""
        found = np.full(len(places), GONE, np.int64)
        for page, where in self._by_page(places):
            found[where] = page.times[places[where] % PAGE]
        return found

    def computed(self, places: Int64Array) -> NDArray[np.bool_]:
        """Where the values of payments were worked out when they were taken in."""
        found = np.zeros(len(places), np.bool_)
        for page, where in self._by_page(places):
            found[where] = page.computed[places[where] % PAGE]
        return found

    def read(self, places: Int64Array) -> tuple[Int64Array, Float64Array]:
        """First values int64[Ci, n] and float64[Cf, n] of payments that are held and were computed."""
        ints = np.empty((self._shape[0], len(places)), np.int64)
        floats = np.empty((self._shape[1], len(places)), np.float64)
        for page, where in self._by_page(places):
            rows = places[where] % PAGE
            ints[:, where], floats[:, where] = page.ints[:, rows], page.floats[:, rows]
        return ints, floats

    def _by_page(self, places: Int64Array) -> list[tuple[_Page, Int64Array]]:
        """Each page that is still there, with the positions in `places` that lie on it."""
        numbers = places // PAGE
        return [
            (self._pages[number], np.flatnonzero(numbers == number))
            for number in np.unique(numbers).tolist()
            if number in self._pages
        ]

    def release(self, bound: int) -> None:
        """Drop the full pages of payments that all lie at or before a time. Looks once a page."""
        current = self._count // PAGE
        if current == self._looked:
            return
        self._looked = current
        gone = [number for number, page in self._pages.items() if number != current and page.latest <= bound]
        for number in gone:
            del self._pages[number]

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything held, as arrays."""
        used = np.flatnonzero(self._ids.places >= 0)
        numbers = np.array(sorted(self._pages), np.int64)
        pages = [self._pages[number] for number in numbers.tolist()]
        with_values = [page for page in pages if page.computed.any()]
        ints, floats = self._shape
        valued = len(with_values)
        return {
            "words": self._ids.words[used],
            "places": self._ids.places[used],
            "pages": numbers,
            "times": np.array([page.times for page in pages], np.int64).reshape(len(pages), PAGE),
            "computed": np.array([page.computed for page in pages], np.bool_).reshape(len(pages), PAGE),
            "ints": np.array([page.ints[:, :PAGE] for page in with_values], np.int32).reshape(valued, ints, PAGE),
            "floats": np.array([page.floats[:, :PAGE] for page in with_values], np.float64).reshape(
                valued, floats, PAGE
            ),
        }

    def load(self, arrays: Mapping[str, np.ndarray], count: int) -> None:
        """Go on from the `arrays` of another, which had taken in `count` payments."""
        known = len(arrays["places"])
        if known != count:
            raise SnapshotError(f"{known} ids for {count} payments", mend="restore a snapshot that is whole")
        fresh = empty_identities(_slots(known))
        copy_below(Identities(arrays["words"].copy(), arrays["places"].copy()), fresh, count)
        self._ids, self._count, self._pages = fresh, count, {}
        valued = 0
        for k, number in enumerate(arrays["pages"].tolist()):
            page = self._pages[number] = _Page(*self._shape)
            page.write_times(slice(0, PAGE), arrays["times"][k])
            if arrays["computed"][k].any():
                page.write(slice(0, PAGE), arrays["ints"][valued], arrays["floats"][valued])
                valued += 1
            page.computed[:] = arrays["computed"][k]


def _slots(ids: int) -> int:
    """A power of two of which so many ids fill three quarters at most."""
    return max(FIRST_SLOTS, 1 << (4 * ids // 3).bit_length())
