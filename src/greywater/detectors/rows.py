"""From columns in pieces to row-major matrices in pieces, in the order a learner asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import numpy as np
import pyarrow as pa

from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array, TrainingTable

__all__ = ["RowReader", "drawn_evenly", "matrices", "matrix", "sample_negatives"]

#: Rows copied from columns to rows at a time; a tile of 250 columns stays in the cache.
TILE: int = 256

#: Rows from which reading ahead is worth a thread.
AHEAD_FROM: int = 20_000


def matrix(batch: pa.RecordBatch | pa.Table) -> Float64Array:
    """Columns as one C-ordered float64[rows, columns]; int64 counts become floats.

    Examples
    --------
    >>> matrix(pa.table({"a": [1, 2], "b": [0.5, float("nan")]})).tolist()
    [[1.0, 0.5], [2.0, nan]]
    """
    columns = (
        [batch.column(index).to_numpy(zero_copy_only=False) for index in range(batch.num_columns)]
        if isinstance(batch, pa.RecordBatch)
        else [column.to_numpy() for column in batch.columns]
    )
    rows = batch.num_rows
    result = np.empty((rows, len(columns)))
    tile = np.empty((len(columns), TILE))
    for start in range(0, rows, TILE):
        stop = min(start + TILE, rows)
        for index, column in enumerate(columns):
            tile[index, : stop - start] = column[start:stop]
        result[start:stop] = tile[:, : stop - start].T
    return result


def matrices(X: TrainingTable) -> Iterator[tuple[int, Float64Array]]:
    """(position of its first row, matrix) of each batch of the table, in order.

    In a larger table the next batch is read in a thread while the caller works on this one: two are in memory.
    """
    if X.rows <= AHEAD_FROM:
        yield from _matrices(X)
        return
    source = _matrices(X)
    with ThreadPoolExecutor(1, "greywater-rows") as pool:
        pending = pool.submit(next, source, None)
        while (held := pending.result()) is not None:
            pending = pool.submit(next, source, None)
            yield held


def _matrices(X: TrainingTable) -> Iterator[tuple[int, Float64Array]]:
    position = 0
    for batch in X.batches():
        yield position, matrix(batch)
        position += batch.num_rows


class RowReader:
    """Chosen rows of a table as matrices, read forward with one decoded batch at a time.

    Parameters
    ----------
    X : TrainingTable
    rows : int64[k]
        Strictly increasing positions; row i of the reader is row rows[i] of the table.

    Examples
    --------
    >>> from greywater.stores.blocks import TableRows
    >>> reader = RowReader(TableRows(pa.table({"a": [1.0, 2.0, 3.0]})), np.array([0, 2]))
    >>> len(reader), reader.read(0, 2).ravel().tolist()
    (2, [1.0, 3.0])
    """

    def __init__(self, X: TrainingTable, rows: Int64Array) -> None:
        self._table = X
        self._rows = np.asarray(rows, np.int64)
        self._held: Float64Array = np.empty((0, len(X.names)))
        self._restart()

    def __len__(self) -> int:
        return len(self._rows)

    def hold(self) -> Self:
        """Read all chosen rows now and keep them, so that going back costs nothing."""
        self._held = self.read(0, len(self))
        self._low, self._high = 0, len(self)
        return self

    def read(self, start: int, stop: int) -> Float64Array:
        """Rows [start, stop) of the chosen ones, float64[stop - start, columns]. Going back starts over."""
        if start < self._low:
            self._restart()
        while self._high <= start < stop:
            self._advance()
        if stop <= self._high:
            return self._held[start - self._low : stop - self._low]
        found = np.empty((stop - start, len(self._table.names)))
        place = start
        while place < stop:
            while place >= self._high:
                self._advance()
            upto = min(stop, self._high)
            found[place - start : upto - start] = self._held[place - self._low : upto - self._low]
            place = upto
        return found

    def _restart(self) -> None:
        self._batches = self._table.batches()
        self._position = 0
        self._low = self._high = 0
        self._held = np.empty((0, len(self._table.names)))

    def _advance(self) -> None:
        batch = next(self._batches)
        end = self._position + batch.num_rows
        self._low = self._high
        self._high = int(np.searchsorted(self._rows, end))
        wanted = self._rows[self._low : self._high] - self._position
        self._position = end
        if len(wanted):
            self._held = matrix(batch if len(wanted) == batch.num_rows else batch.take(pa.array(wanted)))


def sample_negatives(y: Int64Array, most: int, seed: int) -> tuple[Int64Array, float]:
    """All positives and at most `most` negatives: increasing positions, and how many negatives each kept one is for.

    Negatives are drawn evenly along the slice (one at random from each equal stretch), so that no month is left out.

    Examples
    --------
    >>> rows, stands_for = sample_negatives(np.array([0, 0, 1, 0, 0]), 2, seed=1)
    >>> len(rows), 2 in rows, stands_for
    (3, True, 2.0)
    """
    positives, negatives = np.flatnonzero(y == 1), np.flatnonzero(y != 1)
    if len(negatives) <= most:
        return np.arange(len(y)), 1.0
    edges = np.linspace(0, len(negatives), most + 1).astype(np.int64)
    drawn = edges[:-1] + (np.random.default_rng(seed).random(most) * np.diff(edges)).astype(np.int64)
    return np.sort(np.concatenate([positives, negatives[drawn]])), len(negatives) / most


def drawn_evenly(count: int, most: int, seed: int, weight: Float64Array | None = None) -> Int64Array:
    """Positions of at most `most` of `count` rows, one at random from each equal stretch; never one of weight 0.

    Raises
    ------
    DetectorError
        The weights are not one finite number >= 0 a row, or all are 0.

    Examples
    --------
    >>> drawn_evenly(4, 10, seed=1, weight=np.array([1.0, 0.0, 1.0, 1.0])).tolist()
    [0, 2, 3]
    """
    allowed = np.arange(count)
    if weight is not None:
        given = np.asarray(weight, np.float64)
        if given.shape != (count,) or not bool((np.isfinite(given) & (given >= 0)).all()) or not given.any():
            raise DetectorError(
                "weights must be one finite number >= 0 a row, not all 0", where="weight", mend="mend or leave out"
            )
        allowed = np.flatnonzero(given > 0)
    if len(allowed) <= most:
        return allowed
    edges = np.linspace(0, len(allowed), most + 1).astype(np.int64)
    return allowed[edges[:-1] + (np.random.default_rng(seed).random(most) * np.diff(edges)).astype(np.int64)]
