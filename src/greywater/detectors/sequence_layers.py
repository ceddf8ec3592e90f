"""One-dimensional convolutions over the places of a sequence, as plain arrays that need no library to be run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.lib.stride_tricks import as_strided

from greywater.detectors.refiner import SLOPE, Widened, layer_arrays, read_layers, widened
from greywater.vocab import Float64Array

__all__ = ["JUDGE", "SequenceLayers", "Step", "layer_shapes", "refiner_steps"]

Float32Array = np.ndarray[Any, np.dtype[np.float32]]
#: What a layer does with places: "windows" of four at every second place become one place; "flat", all become one;
#: "parties", of both; a number: each becomes so many.
Step = Literal["windows", "flat", "parties"] | int
#: Layers of a discriminator.
JUDGE: Final[tuple[Step, ...]] = ("windows", "windows", "windows", "flat", "parties")
#: Sequences beside each other in a row: the sender's and the receiver's.
PARTIES: Final = 2


def refiner_steps(length: int) -> tuple[Step, ...]:
    """Layers of a refiner over sequences of that length, a multiple of 8: to a narrow code and back."""
    return ("windows", "windows", "windows", "flat", length // 8, 2, 2, 2)


def layer_shapes(
    steps: tuple[Step, ...], length: int, channels: int, hidden: int, code: int
) -> tuple[tuple[int, int], ...]:
    """Inputs and outputs of each layer.

    Examples
    --------
    >>> layer_shapes(refiner_steps(32), 32, 5, 24, 16)
    ((20, 24), (96, 24), (96, 24), (96, 16), (16, 96), (24, 48), (24, 48), (24, 10))
    """
    inner = length // 8 * hidden
    if steps == JUDGE:
        return ((4 * channels, hidden), (4 * hidden, hidden), (4 * hidden, hidden), (inner, hidden), (2 * hidden, 1))
    return (
        (4 * channels, hidden), (4 * hidden, hidden), (4 * hidden, hidden), (inner, code), (code, inner),
        (hidden, 2 * hidden), (hidden, 2 * hidden), (hidden, 2 * channels),
    )  # fmt: skip


@dataclass(frozen=True)
class SequenceLayers:
    """A chain of layers over rows of two sequences; the last has no activation.

    Parameters
    ----------
    steps : tuple of Step
        `refiner_steps` or JUDGE.
    channels : int
        Of each place.
    weights, biases : tuple of float32 arrays
        [inputs, outputs] and [outputs] of each layer; inputs of a window are in the order place, channel.
    """

    steps: tuple[Step, ...]
    channels: int
    weights: tuple[Float32Array, ...]
    biases: tuple[Float32Array, ...]

    def __call__(self, rows: Float32Array, upto: int | None = None) -> Float32Array:
        """Outputs float32[n, last] of rows float32[n, 2 * length * channels]; with `upto` those of so many layers."""
        from greywater.kernels.dense import dense

        places = rows.reshape(PARTIES * len(rows), -1, self.channels)
        for step, (weight, bias, slope), narrow in zip(self.steps[:upto], self._widened, self.biases, strict=False):
            given = _gathered(places, step)
            out = np.empty((given.shape[0] * given.shape[1], len(bias)), np.float32)
            dense(np.ascontiguousarray(given).reshape(len(out), -1), weight, bias, slope, out)
            places = _spread(out[:, : len(narrow)].reshape(given.shape[0], given.shape[1], -1), step)
        return places.reshape(len(rows), -1)

    @cached_property
    def _widened(self) -> tuple[Widened, ...]:
        return widened(self.weights, self.biases)

    wide = __call__

    def back(self, rows: Float64Array, pull: Callable[[Float64Array], Float64Array]) -> Float64Array:
        """Gradient by the inputs, float64[n, inputs], of what `pull` is the gradient of by the outputs."""
        last, places = len(self.weights) - 1, rows.reshape(PARTIES * len(rows), -1, self.channels)
        shapes: list[tuple[int, ...]] = []
        held: list[Float64Array] = []
        for number, (step, weight, bias) in enumerate(zip(self.steps, self.weights, self.biases, strict=True)):
            given = _gathered(places, step)
            out: Float64Array = given @ weight.astype(np.float64) + bias
            shapes.append(places.shape)
            held.append(out)
            places = _spread(out if number == last else np.where(out > 0, out, SLOPE * out), step)
        gradient: np.ndarray[Any, Any] = pull(places.reshape(len(rows), -1)).reshape(places.shape)
        for number in range(last, -1, -1):
            gradient = gradient.reshape(held[number].shape)
            if number != last:
                gradient = np.where(held[number] > 0, gradient, SLOPE * gradient)
            gradient = gradient @ self.weights[number].T.astype(np.float64)
            gradient = _returned(gradient, self.steps[number], shapes[number])
        return gradient.reshape(len(rows), -1)

    def arrays(self, name: str) -> dict[str, np.ndarray[Any, Any]]:
        """The arrays to save, by name."""
        return layer_arrays(name, self.weights, self.biases)

    @classmethod
    def from_arrays(
        cls, name: str, arrays: Mapping[str, np.ndarray[Any, Any]], steps: tuple[Step, ...],
        shapes: tuple[tuple[int, int], ...],
    ) -> Self:  # fmt: skip
        """Rebuild from `arrays()`; a DetectorError where they are not of these shapes, or not finite."""
        return cls(steps, shapes[0][0] // 4, *read_layers(name, arrays, shapes))


def _gathered(places: np.ndarray[Any, Any], step: Step) -> np.ndarray[Any, Any]:
    """What a layer takes in: [m, places, inputs]."""
    if step == "windows":
        count, length, channels = places.shape
        padded = np.zeros((count, length + 2, channels), places.dtype)
        padded[:, 1:-1] = places
        each, item = padded.strides[0], padded.itemsize
        # Four places after each other are one piece of memory, and the next window begins two places on.
        return as_strided(
            padded, (count, length // 2, 4 * channels), (each, 2 * channels * item, item), writeable=False
        )
    if step == "flat":
        return places.reshape(len(places), 1, -1)
    if step == "parties":
        return places.reshape(len(places) // PARTIES, 1, -1)
    return places


def _spread(out: np.ndarray[Any, Any], step: Step) -> np.ndarray[Any, Any]:
    """What a layer gives out: with a number each place becomes so many."""
    return out.reshape(len(out), out.shape[1] * step, -1) if isinstance(step, int) else out


def _returned(gradient: Float64Array, step: Step, shape: tuple[int, ...]) -> Float64Array:
    """The gradient by what `_gathered` took, [m, places, channels]."""
    if step != "windows":
        return gradient.reshape(shape)
    padded = np.zeros((shape[0], shape[1] + 2, shape[2]))
    for shift in range(4):
        padded[:, shift : shift + shape[1] : 2] += gradient[:, :, shift * shape[2] : (shift + 1) * shape[2]]
    return padded[:, 1:-1]
