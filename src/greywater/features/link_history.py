"""What each account paid each other one, payment by payment, so that any day can weigh it by how old it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from greywater.errors import RefusedValueError
from greywater.features.pair_book import PairBook
from greywater.kernels.fastrp import decayed_weights
from greywater.vocab import Float64Array, Int64Array

__all__ = ["LinkHistory", "WeighedLinks"]

#: Half-lives after which a payment weighs nothing: 2 ** -32 of what it did.
HALF_LIVES: Final = 32
#: Days before 1970 and after that fit an int32.
_MOST: Final = 2**31 - 1


@dataclass(frozen=True)
class WeighedLinks:
    """Links of a day that weigh something, in order of first appearance: source, target int32[m], weight float64[m]."""

    source: Any
    target: Any
    weight: Float64Array


class LinkHistory:
    """Payments in ledger order as entries of links.

    Amounts are whole numbers and are weighed anew each time, in ledger order: so nothing that was rounded is carried
    from day to day, and a history that was restored weighs the same bits. Entries are held for ever, 16 bytes each.

    Parameters
    ----------
    half_life : float or None
        Days after which a payment weighs half; None = it never weighs less.

    Examples
    --------
    >>> history = LinkHistory(half_life=1.0)
    >>> history.append(np.array([0, 0]), np.array([1, 1]), np.array([3, 4]), np.array([10, 10]))
    >>> history.weighed(5, upto=2).weight.tolist()
    [7.5]
    """

    def __init__(self, half_life: float | None) -> None:
        if half_life is not None and not (np.isfinite(half_life) and half_life > 0.0):
            raise RefusedValueError(
                f"a half-life of {half_life!r} days cannot be used", where="half_life", mend="give more than 0, or None"
            )
        self.half_life = half_life
        self._book = PairBook()
        self._ends: list[Any] = []
        self._entries: list[tuple[Any, Any, Int64Array]] = []
        self._length = 0

    def __len__(self) -> int:
        """Entries ever appended."""
        return self._length

    def append(self, source: Int64Array, target: Int64Array, day: Int64Array, amount: Int64Array) -> None:
        """Take payments in, int64[n] each: accounts, UTC day and what it weighs. To oneself is no link."""
        accounts = max(int(source.max()), int(target.max())) + 1 if len(source) else 0
        codes = source.astype(np.int32), target.astype(np.int32)
        link, new = self._book.meet(*codes, np.zeros(len(source), np.bool_), day, accounts=accounts)
        first = new > 0
        self._ends.append(np.stack([codes[0][first], codes[1][first]]))
        others = link >= 0
        self._entries.append((link[others], day[others].astype(np.int32), amount[others]))
        self._length += int(others.sum())

    def weighed(self, now: int, *, upto: int) -> WeighedLinks:
        """What the first `upto` entries weigh on day `now`, which is later than each of theirs."""
        link, day, amount = self._joined()
        source, target = self._ends[0]
        weight = np.zeros(len(source))
        decayed_weights(link[:upto], day[:upto], amount[:upto], self._decay(now, day[:upto]), now, weight)
        kept = np.flatnonzero(weight)
        return WeighedLinks(source[kept], target[kept], weight[kept])

    def _decay(self, now: int, day: Any) -> Float64Array:
        """What is left after 0, 1, 2... days; as far as it says anything."""
        oldest = now - int(day.min()) + 1 if len(day) else 1
        if self.half_life is None:
            return np.ones(oldest)
        length = min(oldest, int(HALF_LIVES * self.half_life) + 1)
        return np.array([2.0 ** (-age / self.half_life) for age in range(length)])

    def _joined(self) -> tuple[Any, Any, Int64Array]:
        """All entries as three arrays, which take the place of the pieces."""
        if len(self._entries) != 1:
            none = np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64)
            parts = zip(*(self._entries or [none]), strict=True)
            link, day, amount = (np.concatenate(part) for part in parts)
            self._entries = [(link, day, amount)]
        if len(self._ends) != 1:
            self._ends = [np.concatenate([np.zeros((2, 0), np.int32), *self._ends], axis=1)]
        return self._entries[0]

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything held, as arrays."""
        link, day, amount = self._joined()
        return {"link": link, "day": day, "amount": amount, "ends": self._ends[0]}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take in what `arrays` gave."""
        source, target = (np.ascontiguousarray(each) for each in arrays["ends"])
        self._book = PairBook()
        accounts = int(arrays["ends"].max(initial=-1)) + 1
        none = np.zeros(len(source), np.bool_)
        self._book.meet(source, target, none, np.zeros(len(source), np.int64), accounts=accounts)
        self._ends = [np.stack([source, target])]
        self._entries = [(arrays["link"].copy(), arrays["day"].copy(), arrays["amount"].copy())]
        self._length = len(arrays["link"])
