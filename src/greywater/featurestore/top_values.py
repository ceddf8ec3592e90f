"""The most frequent values, with a bound on what may be missing from their counts once they are merged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from greywater.vocab import Int64Array

__all__ = ["LONGEST_TEXT", "MOST_KEPT", "TopValue", "TopValues", "shortened"]

#: So many values are kept; merged counts are exact while no more are different.
MOST_KEPT: Final = 64
#: Longer texts are named by their beginning and a hash.
LONGEST_TEXT: Final = 256


@dataclass(frozen=True)
class TopValue:
    """A value and how often it is there: at least `count`, at most `count + unsure`."""

    value: bool | int | str
    count: int
    unsure: int = 0


@dataclass(frozen=True)
class TopValues:
    """The most frequent values, most frequent first, then smallest first.

    `unseen` is the most often that a value can be there that is not listed; 0 = all values are listed.

    Examples
    --------
    >>> first = TopValues.of_texts(pa.array(["wire", "cash"]), np.array([5, 2]))
    >>> second = TopValues.of_texts(pa.array(["cash"]), np.array([4]))
    >>> [(one.value, one.count) for one in TopValues.merged([first, second]).values]
    [('cash', 6), ('wire', 5)]
    """

    values: tuple[TopValue, ...]
    unseen: int = 0

    @classmethod
    def of_wholes(cls, values: Int64Array, counts: Int64Array, *, truth: bool = False) -> TopValues:
        """Of distinct ascending int64[n] with how often each is there; `truth`: they stand for False and True."""
        chosen = _most_frequent(counts)
        kept = [(bool(value) if truth else value) for value in values[chosen].tolist()]
        return cls(_top(kept, counts[chosen].tolist()), _largest_but(counts, chosen))

    @classmethod
    def of_texts(cls, values: pa.Array, counts: NDArray[Any]) -> TopValues:
        """Of distinct strings in any order with how often each is there."""
        table = pa.table({"value": values, "count": pa.array(counts, pa.int64())})
        if len(table) > MOST_KEPT:
            keys = [("count", "descending"), ("value", "ascending")]
            first = pc.select_k_unstable(table, k=MOST_KEPT, sort_keys=keys)
            unseen = _largest_but(np.asarray(counts), np.asarray(first))
            table = table.take(first)
        else:
            table, unseen = table.sort_by([("count", "descending"), ("value", "ascending")]), 0
        kept = [shortened(text) for text in table.column("value").to_pylist()]
        return cls(_top(kept, table.column("count").to_pylist()), unseen)

    @classmethod
    def merged(cls, parts: Sequence[TopValues]) -> TopValues:
        """The most frequent values of all together; order does not matter."""
        if len(parts) == 1:
            return parts[0]
        counts: dict[bool | int | str, list[int]] = {}
        all_unseen = sum(part.unseen for part in parts)
        for part in parts:
            for one in part.values:
                found = counts.setdefault(one.value, [0, all_unseen])
                found[0] += one.count
                found[1] += one.unsure - part.unseen
        ordered = sorted(counts.items(), key=lambda item: (-item[1][0], item[0]))
        dropped = max((count + unsure for _, (count, unsure) in ordered[MOST_KEPT:]), default=0)
        kept = tuple(TopValue(value, count, unsure) for value, (count, unsure) in ordered[:MOST_KEPT])
        return cls(kept, max(dropped, all_unseen))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"values": [[one.value, one.count, one.unsure] for one in self.values], "unseen": self.unseen}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> TopValues:
        """What `as_dict` gave."""
        return cls(tuple(TopValue(*one) for one in found["values"]), found["unseen"])


def shortened(text: str) -> str:
    """The text, or of one longer than LONGEST_TEXT characters its beginning and 16 hex digits of its SHA-256."""
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[: LONGEST_TEXT - 20]}… #{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _most_frequent(counts: Int64Array) -> Int64Array:
    """Positions of the largest counts, largest first, then first position first."""
    if len(counts) <= MOST_KEPT:
        return np.argsort(-counts, kind="stable")
    least = np.partition(counts, len(counts) - MOST_KEPT)[len(counts) - MOST_KEPT]
    above = np.flatnonzero(counts > least)
    level = np.flatnonzero(counts == least)[: MOST_KEPT - len(above)]
    chosen = np.sort(np.concatenate([above, level]))
    return np.asarray(chosen[np.argsort(-counts[chosen], kind="stable")])


def _largest_but(counts: NDArray[Any], chosen: NDArray[Any]) -> int:
    others = np.ones(len(counts), np.bool_)
    others[chosen] = False
    return int(counts[others].max(initial=0))


def _top(values: Sequence[Any], counts: Sequence[int]) -> tuple[TopValue, ...]:
    return tuple(TopValue(value, count) for value, count in zip(values, counts, strict=True))
