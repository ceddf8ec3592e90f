"""The trained pair as plain arrays: rows are refined, compared and explained without the library that trained it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, Literal, Protocol, Self

import numpy as np

from greywater.detectors.row_shares import by_shares
from greywater.detectors.saved import MEND
from greywater.errors import DetectorError
from greywater.vocab import Float64Array

__all__ = ["SLOPE", "Chain", "Layers", "Pair", "ScoreBy", "layer_arrays", "read_layers", "widened"]

Float32Array = np.ndarray[Any, np.dtype[np.float32]]
#: Weights, biases and slope of one layer.
Widened = tuple[Float32Array, Float32Array, np.float32]
#: What of the pair makes the score.
ScoreBy = Literal["reconstruction", "features", "both", "discriminator"]
#: Of the activation where its input is negative.
SLOPE: Final = 0.1
#: Outputs of a layer are filled up with zeros to a multiple of it, or of half of it where there are no more.
WIDE: Final = 32
#: Points of the straight way from the middle of all columns to a row, along which its score is taken apart.
STEPS: Final = 32


@dataclass(frozen=True)
class Layers:
    """A chain of layers: float32[inputs, outputs] and float32[outputs] each; the last has no activation."""

    weights: tuple[Float32Array, ...]
    biases: tuple[Float32Array, ...]

    def __call__(self, rows: Float32Array, upto: int | None = None) -> Float32Array:
        """Outputs float32[n, last] of rows float32[n, first]; with `upto` those of so many layers, activated."""
        width = len(self.biases[-1 if upto is None else upto - 1])
        return np.ascontiguousarray(self.wide(rows, upto)[:, :width])

    def wide(self, rows: Float32Array, upto: int | None = None) -> Float32Array:
        """As a call, with columns of zeros behind the outputs."""
        from greywater.kernels.dense import dense

        for weight, bias, slope in self._widened[:upto]:
            out = np.empty((len(rows), len(bias)), np.float32)
            dense(rows, weight, bias, slope, out)
            rows = out
        return rows

    @cached_property
    def _widened(self) -> tuple[Widened, ...]:
        return widened(self.weights, self.biases)

    def back(self, rows: Float64Array, pull: Callable[[Float64Array], Float64Array]) -> Float64Array:
        """Gradient float64[n, first] by the inputs of what `pull` is the gradient of by the outputs."""
        held, out = [], rows
        last = len(self.weights) - 1
        for place, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            out = out @ weight.astype(np.float64) + bias
            held.append(out)
            out = out if place == last else np.where(out > 0, out, SLOPE * out)
        gradient = pull(out)
        for place in range(last, -1, -1):
            if place != last:
                gradient = np.where(held[place] > 0, gradient, SLOPE * gradient)
            gradient = gradient @ self.weights[place].T.astype(np.float64)
        return gradient

    def arrays(self, name: str) -> dict[str, np.ndarray[Any, Any]]:
        """The arrays to save, by name."""
        return layer_arrays(name, self.weights, self.biases)

    @classmethod
    def from_arrays(cls, name: str, arrays: Mapping[str, np.ndarray[Any, Any]], widths: tuple[int, ...]) -> Self:
        """Rebuild from `arrays()`; a DetectorError where they are not of these widths, or not finite."""
        return cls(*read_layers(name, arrays, tuple(pairwise(widths))))


def widened(weights: tuple[Float32Array, ...], biases: tuple[Float32Array, ...]) -> tuple[Widened, ...]:
    """The layers as the kernel is quickest: with outputs of 0 behind the last, and the slope of the activation."""
    made = []
    for place, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        behind = -len(bias) % (WIDE if len(bias) > WIDE // 2 else WIDE // 2)
        slope = np.float32(1.0 if place == len(weights) - 1 else SLOPE)
        made.append((np.pad(weight, ((0, 0), (0, behind))), np.pad(bias, (0, behind)), slope))
    return tuple(made)


def layer_arrays(
    name: str, weights: tuple[Float32Array, ...], biases: tuple[Float32Array, ...]
) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of layers to save, by name."""
    numbered = enumerate(zip(weights, biases, strict=True))
    return {
        f"{name}.{place}.{part}": array for place, pair in numbered
        for part, array in zip(("weight", "bias"), pair, strict=True)
    }  # fmt: skip


def read_layers(
    name: str, arrays: Mapping[str, np.ndarray[Any, Any]], shapes: tuple[tuple[int, int], ...]
) -> tuple[tuple[Float32Array, ...], tuple[Float32Array, ...]]:
    """Weights and biases from `layer_arrays()`; a DetectorError where they are not of these shapes, or not finite."""
    weights: list[Float32Array] = []
    biases: list[Float32Array] = []
    for place, (inputs, outputs) in enumerate(shapes):
        for part, shape, into in (("weight", (inputs, outputs), weights), ("bias", (outputs,), biases)):
            array = arrays.get(f"{name}.{place}.{part}")
            if array is None or array.shape != shape or not np.isfinite(array).all():
                raise DetectorError(f"the array {name}.{place}.{part} is missing or odd", mend=MEND)
            into.append(np.ascontiguousarray(array, np.float32))
    return tuple(weights), tuple(biases)


class Chain(Protocol):
    """Layers one after the other: dense ones, or convolutions over the places of sequences."""

    @property
    def weights(self) -> tuple[Float32Array, ...]:
        """One a layer."""
        ...

    @property
    def biases(self) -> tuple[Float32Array, ...]:
        """One a layer."""
        ...

    def __call__(self, rows: Float32Array, upto: int | None = None) -> Float32Array:
        """Outputs of rows; with `upto` those of so many layers, activated."""
        ...

    def wide(self, rows: Float32Array, upto: int | None = None) -> Float32Array:
        """As a call; there may be columns of zeros behind the outputs."""
        ...

    def back(self, rows: Float64Array, pull: Callable[[Float64Array], Float64Array]) -> Float64Array:
        """Gradient by the inputs of what `pull` is the gradient of by the outputs."""
        ...

    def arrays(self, name: str) -> dict[str, np.ndarray[Any, Any]]:
        """The arrays to save, by name."""
        ...


@dataclass(frozen=True)
class Pair:
    """A refiner, which gives rows back as good behaviour would have them, and the discriminator it learned against.

    Parameters
    ----------
    refiner : Chain
        As many outputs as inputs.
    discriminator : Chain
        One output: higher = more like an original. Its last layer but one are its features.
    """

    refiner: Chain
    discriminator: Chain

    def score(self, rows: Float32Array, by: ScoreBy, threads: int) -> Float64Array:
        """Scores float64[n] of scaled rows float32[n, columns]; higher = less like what was learned.

        "reconstruction": mean of error^2 over the columns. "features": the same over the discriminator's
        features of the row and of its reconstruction. "both": their sum. "discriminator": its
        output alone, turned round.
        """
        return by_shares(lambda low, high: self._scores(rows[low:high], by), len(rows), threads)

    def _scores(self, rows: Float32Array, by: ScoreBy) -> Float64Array:
        from greywater.kernels.dense import apart

        if by == "discriminator":
            return -self.discriminator(rows)[:, 0].astype(np.float64)
        refined = self.refiner.wide(rows)
        found = np.empty(len(rows)) if by == "reconstruction" else np.zeros(len(rows))
        if by != "features":
            apart(rows, refined, found)
        if by != "reconstruction":
            features = len(self.discriminator.weights) - 1
            further = np.empty(len(rows))
            apart(self.discriminator(rows, features), self.discriminator(refined, features), further)
            found = found + further
        return found

    def contributions(self, rows: Float32Array) -> Float64Array:
        """What each column adds to the reconstruction score, float64[n, columns], without the score of a row of zeros.

        Integrated gradients (Sundararajan, Taly & Yan 2017) along the straight way from zeros, the middle of every
        column, in 32 steps; what the steps miss is shared out by size, so that a row sums to its score less that base.
        Each row is worked out alone and has the same bits whatever is beside it.
        """
        base = float(self.score(np.zeros((1, rows.shape[1]), np.float32), "reconstruction", 1)[0])
        found = np.zeros((len(rows), rows.shape[1]))
        for place, (row, score) in enumerate(zip(rows, self.score(rows, "reconstruction", 1), strict=True)):
            found[place] = _settled(self._integrated(row.astype(np.float64)), score - base, row)
        return found

    def _integrated(self, row: Float64Array) -> Float64Array:
        if not len(row):
            return row
        way = (np.arange(STEPS) + 0.5)[:, None] / STEPS * row
        held: list[Float64Array] = []

        def pull(refined: Float64Array) -> Float64Array:
            error = way - refined
            by_error: Float64Array = 2 * error / len(row)
            held.append(by_error)
            return -by_error

        through = self.refiner.back(way, pull)
        gradient: Float64Array = (held[0] + through).mean(axis=0) * row
        return gradient


def _settled(parts: Float64Array, total: float, row: Float32Array) -> Float64Array:
    """Contributions that sum to the total: the rest is shared out by size, or by the row's own where all are 0."""
    weight = np.abs(parts) if np.abs(parts).sum() > 0 else np.abs(row).astype(np.float64)
    if weight.sum() == 0:
        return parts
    settled: Float64Array = parts + (total - parts.sum()) * weight / weight.sum()
    return settled
