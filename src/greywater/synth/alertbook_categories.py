"""Categories as Gaussian noise in brackets of 0 to 1, and back: as the paper has it and as its library did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from greywater.vocab import Float64Array, Int64Array

__all__ = ["Brackets", "brackets_of"]

#: A bracket is so many standard deviations wide.
_WIDTH: Final = 6.0


@dataclass(frozen=True)
class Brackets:
    """The commonest category has the first bracket, as wide as its share; one that never occurs has none.

    Parameters
    ----------
    order : int64[k]
        Codes of the categories, commonest first.
    edge : float64[k + 1]
        Where the brackets begin and end; the first is 0, the last 1.
    """

    order: Int64Array
    edge: Float64Array

    @property
    def mean(self) -> Float64Array:
        """Middle of each bracket: (a + b) / 2. The paper prints (b - a) / 2, which would lie outside it."""
        middle: Float64Array = (self.edge[:-1] + self.edge[1:]) / 2
        return middle

    @property
    def spread(self) -> Float64Array:
        """A sixth of each bracket: (b - a) / 6."""
        sixth: Float64Array = np.diff(self.edge) / _WIDTH
        return sixth

    def encode(self, codes: NDArray[np.integer], random: np.random.Generator, *, truncated: bool) -> Float64Array:
        """Gaussian values of categories; truncated ones stay in their bracket.

        Examples
        --------
        >>> brackets = brackets_of(np.array([1, 1, 1, 0]), 2)
        >>> values = brackets.encode(np.array([1, 0]), np.random.default_rng(1), truncated=True)
        >>> bool(0 <= values[0] <= 0.75 <= values[1] <= 1)
        True
        """
        noise = random.standard_normal(len(codes))
        if truncated:
            out = np.flatnonzero(np.abs(noise) > _WIDTH / 2)
            while len(out):
                noise[out] = random.standard_normal(len(out))
                out = out[np.abs(noise[out]) > _WIDTH / 2]
        place = np.zeros(int(self.order.max()) + 1, np.int64)
        place[self.order] = np.arange(len(self.order))
        at = place[codes]
        noise *= self.spread[at]
        noise += self.mean[at]
        return noise

    def decode(self, values: Float64Array, *, nearest: bool) -> Int64Array:
        """Categories of values: of the bracket a value lies in, the outer ones reaching on; or, taken modulo 1, of the
        nearest mean.

        Examples
        --------
        >>> brackets = brackets_of(np.array([1, 1, 1, 0]), 2)
        >>> brackets.decode(np.array([-0.1, 0.7, 0.8]), nearest=False).tolist()
        [1, 1, 0]
        >>> brackets.decode(np.array([-0.1, 0.7, 0.8]), nearest=True).tolist()
        [0, 0, 0]
        """
        mean = self.mean
        limits = (mean[:-1] + mean[1:]) / 2 if nearest else self.edge[1:-1]
        held = np.mod(values, 1.0) if nearest else values
        codes: Int64Array = self.order[np.searchsorted(limits, held, side="right")]
        return codes


def brackets_of(codes: NDArray[np.integer], categories: int) -> Brackets:
    """Brackets of codes 0 ... categories - 1, by how often each occurs; of equals the smaller code first.

    Examples
    --------
    >>> brackets_of(np.array([2, 0, 2, 2]), 3)
    Brackets(order=array([2, 0]), edge=array([0.  , 0.75, 1.  ]))
    """
    count = np.bincount(codes, minlength=categories)
    order = np.argsort(-count, kind="stable")
    order = order[count[order] > 0]
    edge = np.concatenate([[0.0], np.cumsum(count[order]) / count.sum()])
    edge[-1] = 1.0
    return Brackets(order.astype(np.int64), edge)
