"""Records of accounts and customers: numbers for who they are of, and the latest that a payment sees."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from greywater.vocab import Int64Array

__all__ = ["UNKNOWN", "Entities", "LatestSeen", "integers", "microseconds"]

UNKNOWN: Final = -1
_NEVER_DATED: Final = np.iinfo(np.int64).min


class Entities:
    """Numbers for names, in order of first appearance."""

    def __init__(self) -> None:
        self._numbers: dict[str | None, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, names: pa.ChunkedArray) -> Int64Array:
        """The number of each name, given where it is new; -1 for null."""
        for name in names.unique().to_pylist():
            if name is not None:
                self._numbers.setdefault(name, len(self._numbers))
        return self.find(names)

    def find(self, names: pa.Array | pa.ChunkedArray) -> Int64Array:
        """The number of each name, -1 where it has none."""
        whole = names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names
        coded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
        different = coded.dictionary.to_pylist()
        numbers = np.array([*(self._numbers.get(name, UNKNOWN) for name in different), UNKNOWN], np.int64)
        return numbers[integers(coded.indices.fill_null(len(different)))]


class LatestSeen:
    """Finds, for an entity and a payment, the latest record that the payment sees.

    entity, since, after int64[n] in commit order; records of no entity (-1) are found by nobody.
    """

    def __init__(self, entity: Int64Array, since: Int64Array, after: Int64Array) -> None:
        self._moments = np.unique(since)
        self._step = len(self._moments) + 1
        key = entity * self._step + np.searchsorted(self._moments, since, side="right")
        order = np.lexsort((np.arange(len(key)), key))
        order = order[entity[order] >= 0]
        self._row = order.astype(np.int64)
        self._key = key[order]
        self._after = after[order]
        by_time = np.lexsort((np.arange(len(since)), since))
        self._rank = np.empty(len(since), np.int64)
        self._rank[by_time] = np.arange(len(since))

    def find(self, entity: Int64Array, seq: Int64Array, time: Int64Array) -> Int64Array:
        """Row of the record each payment sees, -1 where there is none; int64[m] each."""
        answer = np.full(len(entity), UNKNOWN, np.int64)
        going = np.flatnonzero(entity >= 0)
        if not len(self._key) or not len(going):
            return answer
        least = entity * self._step
        place = np.searchsorted(self._key, least + np.searchsorted(self._moments, time, side="right"), side="right") - 1
        while len(going):
            at = place[going]
            inside = at >= 0
            inside[inside] = self._key[at[inside]] >= least[going[inside]]
            going, at = going[inside], at[inside]
            seen = self._after[at] < seq[going]
            answer[going[seen]] = self._row[at[seen]]
            going = going[~seen]
            place[going] -= 1
        return answer

    def rank_of(self, row: Int64Array) -> Int64Array:
        """Place of records in the order (known_since, commit order); -1 for -1."""
        if not len(self._rank):
            return row
        return np.where(row >= 0, self._rank[row], UNKNOWN)


def microseconds(column: pa.Array | pa.ChunkedArray) -> Int64Array:
    """Since 1970; before all time where null."""
    return integers(column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).fill_null(_NEVER_DATED))


def integers(column: pa.Array | pa.ChunkedArray) -> Int64Array:
    """A column without nulls as int64[n]."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return np.asarray(whole.to_numpy(zero_copy_only=False), np.int64)
