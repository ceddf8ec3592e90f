"""Times a graph feature engine over consecutive payments; used by both contestants, each in its own environment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["ColumnFile", "Timing", "load_stream", "timed"]

NO_BUDGET = float("inf")


@dataclass(frozen=True)
class Timing:
    """What consecutive calls took: rows done, seconds inside the calls, and microseconds a call.

    `cpu_seconds` is what the process computed, `stolen` the share of the machine's time that the host gave to others.
    """

    rows: int
    seconds: float
    cpu_seconds: float
    stolen: float
    calls: int
    p50_us: float
    p99_us: float
    max_us: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds

    @property
    def cpu_rate(self) -> float:
        """Rows a second of CPU time."""
        return self.rows / self.cpu_seconds

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, the rates among them."""
        return {**asdict(self), "rate": self.rate, "cpu_rate": self.cpu_rate}


def stolen_seconds() -> float:
    """Seconds that the host of a virtual machine gave to others while it had work, over all cores; 0 where unknown."""
    counts = Path("/proc/stat")
    if not counts.is_file():
        return 0.0
    return int(counts.read_text().split("\n", 1)[0].split()[8]) / os.sysconf("SC_CLK_TCK")


def timed(call: Callable[[int, int], Any], begin: int, end: int, chunk: int, budget_s: float = NO_BUDGET) -> Timing:
    """Call `call(first, last)` on rows [begin, end) chunk by chunk, until done or the budget is spent.

    Parameters
    ----------
    call : callable of two row numbers
        Its result is thrown away.
    chunk : int
        Rows a call.
    budget_s : float
        Seconds after which no further call is begun; one call is always made.
    """
    if end <= begin or chunk < 1:
        raise ValueError(f"rows [{begin}, {end}) in chunks of {chunk}: there is nothing to time")
    clock, spent, position = time.perf_counter, [], begin
    started, computed, stolen = clock(), time.process_time(), stolen_seconds()
    while position < end:
        upto = min(position + chunk, end)
        before = clock()
        call(position, upto)
        after = clock()
        spent.append(after - before)
        position = upto
        if after - started > budget_s:
            break
    cpu_seconds = time.process_time() - computed
    stolen = (stolen_seconds() - stolen) / ((clock() - started) * (os.cpu_count() or 1))
    micros = np.array(spent) * 1e6
    return Timing(
        rows=position - begin,
        seconds=float(sum(spent)),
        cpu_seconds=cpu_seconds,
        stolen=stolen,
        calls=len(spent),
        p50_us=float(np.median(micros)),
        p99_us=float(np.quantile(micros, 0.99, method="higher")),
        max_us=float(micros.max()),
    )


class ColumnFile:
    """Writes blocks of rows into an .npy file of columns, [columns, rows], without holding more than a block.

    Parameters
    ----------
    path : str
    rows : int
        Rows in all.
    dtype : numpy dtype
    """

    def __init__(self, path: str, rows: int, dtype: type[np.floating[Any]]) -> None:
        self._path, self._rows, self._dtype = path, rows, dtype
        self._file: np.memmap[Any, Any] | None = None

    def write(self, first: int, block: np.ndarray) -> None:
        """Put a block [n, columns] at its place, row `first` and what follows."""
        if self._file is None:
            shape = (block.shape[1], self._rows)
            self._file = np.lib.format.open_memmap(self._path, "w+", self._dtype, shape)
        self._file[:, first : first + len(block)] = block.T


def load_stream(folder: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """time (microseconds), sender, receiver, amount (minor units) of a stream that a contest saved; int64[n] each."""
    time_us, sender, receiver, amount = (
        np.load(f"{folder}/{name}.npy") for name in ("time", "sender", "receiver", "amount")
    )
    return time_us, sender, receiver, amount
