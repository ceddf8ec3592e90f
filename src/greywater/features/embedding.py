"""Vectors of accounts by fast random projection: whom their money goes to, and whom it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from greywater.errors import RefusedValueError
from greywater.features.trust_graph import checked_links
from greywater.kernels import fastrp as kernels
from greywater.vocab import Float64Array, Int64Array

__all__ = ["AccountVectors", "Projection", "RunningVectors", "project_accounts"]

_SEEDS: Final = 2**63


@dataclass(frozen=True)
class Projection:
    """How accounts are projected.

    Parameters
    ----------
    dimensions : int
        Numbers of a vector, for each of the two sides.
    steps : tuple of float
        Length that the average over all ways of 1, 2, ... payments has in a vector; 0 leaves it out.
    sparsity : float
        One number in so many of a random row is not 0; 1 or more.
    seed : int
        Random rows are a hash of it and of an account's number.
    """

    dimensions: int = 64
    steps: tuple[float, ...] = (1.0, 1.0)
    sparsity: float = 3.0
    seed: int = 7

    def __post_init__(self) -> None:
        if self.dimensions < 1:
            raise RefusedValueError(
                f"{self.dimensions} dimensions cannot be used", where="dimensions", mend="give 1 or more: 64"
            )
        if not self.steps or not np.isfinite(self.steps).all() or min(self.steps) < 0.0 or max(self.steps) == 0.0:
            raise RefusedValueError(
                f"steps {self.steps!r} cannot be used", where="steps",
                mend="give a finite number from 0 up for ways of 1, 2, ... payments, one of them above 0",
            )  # fmt: skip
        if not (np.isfinite(self.sparsity) and self.sparsity >= 1.0):
            raise RefusedValueError(
                f"sparsity {self.sparsity!r} cannot be used", where="sparsity", mend="give 1 or more: 3"
            )
        if not 0 <= self.seed < _SEEDS:
            raise RefusedValueError(f"seed {self.seed!r} cannot be used", where="seed", mend="give 0 to 2^63 - 1")


@dataclass(frozen=True)
class AccountVectors:
    """Vectors of n accounts, each of length 1, or zero where there is nothing on that side.

    Parameters
    ----------
    out : float32[n, d]
        By whom the money of an account goes to.
    into : float32[n, d]
        By whom the money of an account comes from. In the same space as `out`: where money leaves one account for
        those from which it reaches another, `out` of the one is near to `into` of the other.
    """

    out: Any
    into: Any

    def both(self, accounts: Int64Array) -> Any:
        """The two sides of accounts int64[m] behind one another, float32[m, 2 d], of length 1 or zero."""
        there = accounts < len(self.out)
        places = np.where(there, accounts, 0)
        rows = np.concatenate([self.out[places], self.into[places]], axis=1) if len(self.out) else self._none(accounts)
        rows[~there] = 0.0
        kernels.unit_rows(rows)
        return rows

    def _none(self, accounts: Int64Array) -> Any:
        return np.zeros((len(accounts), 2 * self.out.shape[1]), np.float32)


@dataclass(frozen=True)
class _Side:
    """One list a node of neighbours, whose parts add up to 1."""

    start: Int64Array
    stop: Int64Array
    listed: Any
    share: Any
    total: Float64Array

    @classmethod
    def of(cls, owner: Any, neighbour: Any, weight: Float64Array, nodes: int) -> _Side:
        # What is read and written together lies together: the places of both come at random.
        state = np.zeros((nodes, 2), np.int64)
        place, totals = state[:, 0], state.view(np.float64)[:, 1]
        kernels.total_weights(owner, weight, place, totals)
        counts = place.copy()
        stop = np.cumsum(counts)
        start = stop - counts
        place[:] = start
        packed = np.empty((len(owner), 2), np.uint32)
        listed, share = packed[:, 0], packed.view(np.float32)[:, 1]
        kernels.list_shares(owner, neighbour, weight, totals, place, listed, share)
        return cls(start, stop, listed, share, totals.copy())

    def shared(self, threads: int, work: Callable[[int, int], None]) -> None:
        """Call work(first, last) so that every node is in one of `threads` calls, which go side by side."""
        nodes = len(self.start)
        if threads < 2 or nodes < 2 * threads:
            work(0, nodes)
            return
        aims = np.arange(1, threads) * len(self.listed) // threads
        bounds = [0, *np.searchsorted(self.stop, aims).tolist(), nodes]
        with ThreadPoolExecutor(threads, "greywater-fastrp") as pool:
            list(pool.map(lambda pair: work(*pair), pairwise(bounds)))

    def average(self, rows: Any, averages: Any, threads: int) -> None:
        """Write the averages float32[n, d] of rows over every node's neighbours."""

        def work(first: int, last: int) -> None:
            kernels.average_rows(self.start, self.stop, self.listed, self.share, rows, first, last, averages)

        self.shared(threads, work)

    def finish(self, rows: Any, kept: Any, scales: Float64Array, threads: int) -> Any:
        """The last averages and those before, brought to their lengths and added: rows float32[n, d] of length 1."""
        total = np.empty((len(self.start), rows.shape[1]), np.float32)

        def work(first: int, last: int) -> None:
            own = np.empty((1, rows.shape[1]), np.float32)
            lists = self.start, self.stop, self.listed, self.share
            kernels.finish_rows(*lists, rows, first, last, kept, scales, own, total)

        self.shared(threads, work)
        return total


def project_accounts(
    source: Any,
    target: Any,
    weight: Float64Array | None,
    nodes: int,
    projection: Projection | None = None,
    *,
    threads: int = 1,
) -> AccountVectors:
    """Project the accounts of a payment graph.

    Parameters
    ----------
    source, target : int32[m]
        Links between accounts 0 to nodes - 1. Those of an account to itself are left out.
    weight : float64[m], optional
        Finite, not negative; only their proportion among the links of one account counts. 1 where left out.
    nodes : int
        How many accounts there are.
    projection : Projection, optional
        How; the default where left out.
    threads : int
        They share the accounts; the bits are the same for any number.

    Returns
    -------
    AccountVectors

    Raises
    ------
    RefusedValueError
        The links cannot be used; the message says why.

    Notes
    -----
    Random rows R are averaged over the links that leave an account, again and again: N_k = P^k R, P the weights divided
    by their sum over the account. Each N_k is brought to length `steps[k - 1]` row by row, and they are added; the sum
    is brought to length 1. The other side is the same over the links that reach it, with the same R. Everything is
    float32, added in the order of the links (Chen, Sultan, Tian, Chen & Skiena 2019, Fast and Accurate Network
    Embeddings via Very Sparse Random Projection; the directions are ours, random rows are not weighed by degree). An
    account's random row is a hash of its number, so numbers must be given once and for ever, by first appearance.

    Examples
    --------
    >>> vectors = project_accounts([0, 1, 3], [2, 2, 4], None, 5)
    >>> round(float(vectors.out[0] @ vectors.out[1]), 6), vectors.into[0].any().item()
    (1.0, False)
    """
    projection = projection or Projection()
    rows = _random_rows(projection, nodes)
    scales = np.array(projection.steps)
    kept = np.empty((len(scales) - 1, *rows.shape), np.float32)
    sides = []
    for side in _sides(source, target, weight, nodes):
        before: Any = rows
        for averages in kept:
            side.average(before, averages, threads)
            before = averages
        sides.append(side.finish(before, kept, scales, threads))
    return AccountVectors(*sides)


def _random_rows(projection: Projection, nodes: int) -> Any:
    """Random rows int8[n, d]."""
    rows = np.empty((nodes, projection.dimensions), np.int8)
    kernels.random_rows(np.uint64(projection.seed), projection.sparsity, 0, rows)
    return rows


def _sides(source: Any, target: Any, weight: Float64Array | None, nodes: int) -> Iterator[_Side]:
    """The lists of what leaves each account, then of what reaches it."""
    source, target, weight = checked_links(source, target, weight, nodes)
    weight = weight if len(weight) else np.ones(len(source))
    others = source != target
    if not others.all():
        source, target, weight = source[others], target[others], weight[others]
    for owner, neighbour in ((source, target), (target, source)):
        yield _Side.of(owner, neighbour, weight, nodes)


class RunningVectors:
    """Vectors that payments update as they arrive, from a full solution on.

    Held are, for each account, side and step, the weighted sum of its neighbours' rows. A payment adds to the sums of
    its two parties and to no others: the first step stays what a full solution would find, later ones take the
    neighbours as they were when each payment came, until the next full solution. An account that was not there gets its
    vector from its first neighbours.

    For review and ranking between two solutions; the features of payments come from full solutions alone.

    Parameters
    ----------
    source, target, weight, nodes, projection, threads
        As of `project_accounts`.

    Examples
    --------
    >>> running = RunningVectors([0, 0, 1], [2, 3, 2], None, 4)
    >>> running.absorb([4, 4], [2, 3])
    >>> vectors = running.vectors()
    >>> len(vectors.out), round(float(vectors.out[4] @ vectors.out[0]), 6)
    (5, 1.0)
    """

    def __init__(
        self, source: Any, target: Any, weight: Float64Array | None, nodes: int, projection: Projection | None = None,
        *, threads: int = 1,
    ) -> None:  # fmt: skip
        self.projection = projection or Projection()
        self._rows = _random_rows(self.projection, nodes)
        self._sums: list[Any] = []
        self._totals: list[Float64Array] = []
        for side in _sides(source, target, weight, nodes):
            sums = np.empty((len(self.projection.steps), *self._rows.shape), np.float32)
            before: Any = self._rows
            for averages in sums:
                side.average(before, averages, threads)
                before = averages
            sums *= side.total.astype(np.float32)[:, None]
            self._sums.append(sums)
            self._totals.append(side.total)

    def __len__(self) -> int:
        return len(self._rows)

    def absorb(self, source: Any, target: Any, weight: Float64Array | None = None) -> None:
        """Take payments in, in their order.

        Parameters
        ----------
        source, target : int32[k]
            Accounts; numbers beyond those known are new ones.
        weight : float64[k], optional
            In the unit of the links there are; payments of today weigh 2 ** (days since the solution / half-life) times
            as much as those of its day where those were decayed.

        Raises
        ------
        RefusedValueError
            A weight or a number cannot be used.
        """
        ends = np.asarray(source, np.int64), np.asarray(target, np.int64)
        highest = max((int(each.max()) + 1 for each in ends if len(each)), default=0)
        self._grow(highest)
        source, target, sizes = checked_links(*ends, weight, len(self))
        others = source != target
        source, target = source[others], target[others]
        sizes = sizes[others] if len(sizes) else np.ones(len(source))
        for place, (owner, neighbour) in enumerate(((source, target), (target, source))):
            kernels.absorb_links(owner, neighbour, sizes, self._rows, self._sums[place], self._totals[place])

    def vectors(self) -> AccountVectors:
        """The vectors as of now."""
        sides = []
        for sums in self._sums:
            total = np.zeros(self._rows.shape, np.float32)
            for order, scale in enumerate(self.projection.steps):
                kernels.add_units(sums[order], scale, total)
            kernels.unit_rows(total)
            sides.append(total)
        return AccountVectors(*sides)

    def _grow(self, nodes: int) -> None:
        more = nodes - len(self)
        if more <= 0:
            return
        rows = np.empty((nodes, self.projection.dimensions), np.int8)
        rows[: len(self)] = self._rows
        kernels.random_rows(np.uint64(self.projection.seed), self.projection.sparsity, len(self), rows)
        self._rows = rows
        self._sums = [np.pad(sums, ((0, 0), (0, more), (0, 0))) for sums in self._sums]
        self._totals = [np.pad(totals, (0, more)) for totals in self._totals]
