"""What the published method does after drawing: sizes corrected to given moments, blurred, clipped, standardised."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from greywater.synth.alertbook_blocks import BLOCK, AlertBlock, in_order
from greywater.synth.alertbook_hma import GROUPS, HmaBook
from greywater.synth.alertbook_tables import CELLS
from greywater.synth.streams import stream
from greywater.vocab import Float64Array

__all__ = ["Correction", "correction_of", "draw_hma1"]

#: Sizes are multiplied by a uniform factor between these.
_BLUR: Final = (0.98, 1.02)
#: Moments are those of the first so many blocks: of all alerts where no more than 20,480 are drawn.
_BLOCKS: Final = 80


@dataclass(frozen=True)
class Correction:
    """How sizes are corrected, the same for all blocks.

    Parameters
    ----------
    factor, shift : float64[16]
        First the variance, then the mean of each group: size * factor + shift.
    mean, spread : float
        Of all sizes after that, to standardise them.
    """

    factor: Float64Array
    shift: Float64Array
    mean: float = 0.0
    spread: float = 1.0


def draw_hma1(book: HmaBook, seed: int, alerts: int, threads: int) -> Iterator[AlertBlock]:
    """Draw alerts and correct them: once to learn the moments of what is drawn, and once to hand it out.

    Parameters
    ----------
    book : HmaBook
        The parameters.
    seed, alerts : int
        Seed of the random numbers, and how many alerts.
    threads : int
        Blocks drawn at the same time.
    """
    correction = correction_of(book, seed, min(-(-alerts // BLOCK), _BLOCKS), threads)
    return in_order(partial(_block, book, correction, seed), alerts, threads)


def _block(book: HmaBook, correction: Correction, seed: int, number: int) -> AlertBlock:
    raw = book.raw(seed, number)
    size = corrected(book, correction, seed, number, raw.size, book.groups(seed, number, raw))
    size -= correction.mean
    size /= correction.spread
    return book.block(seed, number, raw, size)


def corrected(
    book: HmaBook, correction: Correction, seed: int, number: int, size: Float64Array, group: NDArray[np.int8]
) -> Float64Array:
    """Sizes of one block corrected, blurred and clipped, not yet standardised."""
    found = size * correction.factor[group]
    found += correction.shift[group]
    found *= stream(seed, "alertbook", "blur", number).uniform(*_BLUR, len(found))
    cell = group % CELLS
    clipped: Float64Array = np.clip(found, book.clip[cell, 0], book.clip[cell, 1])
    return clipped


def correction_of(book: HmaBook, seed: int, blocks: int, threads: int) -> Correction:
    """Learn the correction from the first blocks; sums are taken block by block, in order."""
    with ThreadPoolExecutor(threads, thread_name_prefix="alertbook") as pool:
        drawn = list(pool.map(partial(_sizes, book, seed), range(blocks)))
        count = sum(np.bincount(group, minlength=GROUPS) for _, group in drawn)
        total = sum(np.bincount(group, size, minlength=GROUPS) for size, group in drawn)
        mean = total / np.maximum(count, 1)
        square = sum(np.bincount(group, (size - mean[group]) ** 2, minlength=GROUPS) for size, group in drawn)
        spread = np.sqrt(square / np.maximum(count, 1))
        known = ~np.isnan(book.mean) & (spread > 0)
        factor = np.where(known, book.spread / np.where(known, spread, 1.0), 1.0)
        shift = np.where(known, book.mean - mean * factor, 0.0)
        first = Correction(factor, shift)
        sums = list(pool.map(lambda number: _sums(book, first, seed, number, *drawn[number]), range(blocks)))
    rows = sum(one[0] for one in sums)
    whole = sum(one[1] for one in sums) / rows
    variance = sum(one[2] + one[0] * (one[1] / one[0] - whole) ** 2 for one in sums) / rows
    return Correction(factor, shift, whole, float(np.sqrt(variance)) or 1.0)


def _sizes(book: HmaBook, seed: int, number: int) -> tuple[Float64Array, NDArray[np.int8]]:
    raw = book.raw(seed, number)
    return raw.size, book.groups(seed, number, raw)


def _sums(
    book: HmaBook, correction: Correction, seed: int, number: int, size: Float64Array, group: NDArray[np.int8]
) -> tuple[int, float, float]:
    """Rows, sum, and sum of squares around the block's mean, of the corrected sizes of a block."""
    found = corrected(book, correction, seed, number, size, group)
    return len(found), float(found.sum()), float(((found - found.mean()) ** 2).sum())
