"""Feature columns on disk as float32, of which any may be chosen: a TrainingTable for the benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

__all__ = ["Matrix"]

PIECE = 32_768


@dataclass(frozen=True)
class Matrix:
    """Rows [begin, end) of named columns.

    `names` of the columns, `parts` arrays float32[columns of the part, rows], mapped from disk or in memory, that
    follow each other in the order of the names.
    """

    names: tuple[str, ...]
    parts: tuple[np.ndarray, ...]
    begin: int
    end: int

    @classmethod
    def of(cls, columns: dict[str, np.ndarray]) -> Matrix:
        """Columns in memory."""
        stacked = np.array(list(columns.values()), np.float32).reshape(len(columns), -1)
        return cls(tuple(columns), (stacked,), 0, stacked.shape[1])

    @classmethod
    def mapped(cls, path: Path, names: Sequence[str]) -> Matrix:
        """Columns that lie in an .npy file."""
        part = np.load(path, mmap_mode="r")
        if len(part) != len(names):
            raise ValueError(f"{path} has {len(part)} columns, not {len(names)}")
        return cls(tuple(names), (part,), 0, part.shape[1])

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.end - self.begin

    def beside(self, other: Matrix) -> Matrix:
        """The columns of both; the rows must be the same payments."""
        if (self.begin, self.end) != (other.begin, other.end):
            raise ValueError(f"{self.rows} rows do not fit {other.rows}")
        return Matrix(self.names + other.names, self.parts + other.parts, self.begin, self.end)

    def chosen(self, names: Sequence[str]) -> Matrix:
        """Some of the columns, in the order named."""
        column = {name: (part, place) for (part, place), name in zip(self._places(), self.names, strict=True)}
        rows = tuple(self.parts[part][place][None, :] for part, place in (column[name] for name in names))
        return Matrix(tuple(names), rows, self.begin, self.end)

    def slice(self, begin: int, end: int) -> Matrix:
        """Rows [begin, end) of these."""
        if not 0 <= begin <= end <= self.rows:
            raise ValueError(f"rows [{begin}, {end}) of {self.rows}")
        return Matrix(self.names, self.parts, self.begin + begin, self.begin + end)

    def batches(self, start: int = 0, stop: int | None = None) -> Iterator[pa.RecordBatch]:
        """Rows [start, stop) in order, some ten thousand at a time."""
        last = self.end if stop is None else self.begin + stop
        for begin in range(self.begin + start, last, PIECE):
            yield self._batch(slice(begin, min(begin + PIECE, last)))

    def take(self, rows: np.ndarray) -> pa.Table:
        """The named rows (increasing positions)."""
        return pa.Table.from_batches([self._batch(np.asarray(rows) + self.begin)])

    def _places(self) -> Iterator[tuple[int, int]]:
        for part, columns in enumerate(self.parts):
            for place in range(len(columns)):
                yield part, place

    def _batch(self, rows: slice | np.ndarray) -> pa.RecordBatch:
        columns = [pa.array(np.ascontiguousarray(column)) for part in self.parts for column in part[:, rows]]
        return pa.RecordBatch.from_arrays(columns, names=list(self.names))
