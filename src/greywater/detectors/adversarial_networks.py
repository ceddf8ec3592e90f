"""The networks of a pair before and after training: how they are built, and their layers as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from greywater.detectors.refiner import SLOPE, Layers, Pair
from greywater.detectors.sequence_layers import JUDGE, PARTIES, SequenceLayers, Step, layer_shapes, refiner_steps

__all__ = ["DenseNetworks", "Networks", "SequenceNetworks"]


class Networks(Protocol):
    """Builds the two networks of a pair, and reads them out. The last part of each takes features to its outputs."""

    def refiner(self, torch: Any) -> Any:
        """A torch.nn.Sequential from rows [n, columns] to rows of the same width."""
        ...

    def discriminator(self, torch: Any) -> Any:
        """A torch.nn.Sequential with spectral norm from rows to [n, 1]; its parts before the last give features."""
        ...

    def pair(self, refiner: Any, discriminator: Any) -> Pair:
        """What was trained."""
        ...

    def from_arrays(self, place: int, arrays: dict[str, np.ndarray[Any, Any]]) -> Pair:
        """The pair that was saved under that number; a DetectorError where arrays are missing or odd."""
        ...


@dataclass(frozen=True)
class DenseNetworks:
    """Each layer takes everything that the one before it gives: columns, hidden, code, hidden, columns."""

    columns: int
    hidden: int
    code: int

    @property
    def _refiner(self) -> tuple[int, ...]:
        return self.columns, self.hidden, self.code, self.hidden, self.columns

    @property
    def _discriminator(self) -> tuple[int, ...]:
        return self.columns, self.hidden, self.hidden // 2, 1

    def refiner(self, torch: Any) -> Any:
        """See `Networks`."""
        return _dense(torch, self._refiner, spectral=False)

    def discriminator(self, torch: Any) -> Any:
        """See `Networks`."""
        return _dense(torch, self._discriminator, spectral=True)

    def pair(self, refiner: Any, discriminator: Any) -> Pair:
        """See `Networks`."""
        return Pair(Layers(*_linear(refiner)), Layers(*_linear(discriminator)))

    def from_arrays(self, place: int, arrays: dict[str, np.ndarray[Any, Any]]) -> Pair:
        """See `Networks`."""
        return Pair(
            Layers.from_arrays(f"{place}.refiner", arrays, self._refiner),
            Layers.from_arrays(f"{place}.discriminator", arrays, self._discriminator),
        )

    def nothing(self) -> Pair:
        """A pair that gives everything back as zeros."""

        def zeros(widths: tuple[int, ...]) -> Layers:
            ends = list(pairwise(widths))
            return Layers(
                tuple(np.zeros(each, np.float32) for each in ends), tuple(np.zeros(b, np.float32) for _, b in ends)
            )

        return Pair(zeros(self._refiner), zeros(self._discriminator))


@dataclass(frozen=True)
class SequenceNetworks:
    """Convolutions over the places of both parties' sequences, the same for either party."""

    length: int
    channels: int
    hidden: int
    code: int

    def _shapes(self, steps: tuple[Step, ...]) -> tuple[tuple[int, int], ...]:
        return layer_shapes(steps, self.length, self.channels, self.hidden, self.code)

    def refiner(self, torch: Any) -> Any:
        """See `Networks`."""
        steps = refiner_steps(self.length)
        return _convolutions(torch, steps, self._shapes(steps), self.channels, spectral=False)

    def discriminator(self, torch: Any) -> Any:
        """See `Networks`."""
        return _convolutions(torch, JUDGE, self._shapes(JUDGE), self.channels, spectral=True)

    def pair(self, refiner: Any, discriminator: Any) -> Pair:
        """See `Networks`."""
        return Pair(
            SequenceLayers(refiner_steps(self.length), self.channels, *_linear(refiner)),
            SequenceLayers(JUDGE, self.channels, *_linear(discriminator)),
        )

    def from_arrays(self, place: int, arrays: dict[str, np.ndarray[Any, Any]]) -> Pair:
        """See `Networks`."""
        steps = refiner_steps(self.length)
        return Pair(
            SequenceLayers.from_arrays(f"{place}.refiner", arrays, steps, self._shapes(steps)),
            SequenceLayers.from_arrays(f"{place}.discriminator", arrays, JUDGE, self._shapes(JUDGE)),
        )


def _layer(torch: Any, inputs: int, outputs: int, spectral: bool) -> Any:
    layer = torch.nn.Linear(inputs, outputs)
    return torch.nn.utils.parametrizations.spectral_norm(layer) if spectral else layer


def _dense(torch: Any, widths: tuple[int, ...], *, spectral: bool) -> Any:
    parts: list[Any] = []
    for place, (inputs, outputs) in enumerate(pairwise(widths)):
        parts.append(_layer(torch, inputs, outputs, spectral))
        if place < len(widths) - 2:
            parts.append(torch.nn.LeakyReLU(SLOPE))
    return torch.nn.Sequential(*parts)


def _convolutions(
    torch: Any, steps: tuple[Step, ...], shapes: tuple[tuple[int, int], ...], channels: int, *, spectral: bool
) -> Any:
    """Each part as `SequenceLayers` runs it; parts hand on [m, places, channels], the last one rows."""

    class Places(torch.nn.Module):  # type: ignore[misc]
        """What comes in, place by place; or, at the end, row by row."""

        def __init__(self, inward: bool) -> None:
            super().__init__()
            self._inward = inward

        def forward(self, given: Any) -> Any:
            if self._inward:
                return given.reshape(PARTIES * len(given), -1, channels)
            return given.reshape(len(given) // PARTIES, -1)

    class Layer(torch.nn.Module):  # type: ignore[misc]
        """One layer over places."""

        def __init__(self, step: Step, inputs: int, outputs: int) -> None:
            super().__init__()
            self._step = step
            self._linear = _layer(torch, inputs, outputs, spectral)

        def forward(self, places: Any) -> Any:
            step = self._step
            if step == "windows":
                padded = torch.nn.functional.pad(places, (0, 0, 1, 1))
                width = places.shape[1]
                places = torch.cat([padded[:, shift : shift + width : 2] for shift in range(4)], dim=2)
            elif step == "flat":
                places = places.reshape(len(places), 1, -1)
            out = self._linear(places)
            return out.reshape(len(out), out.shape[1] * step, -1) if isinstance(step, int) else out

    parts: list[Any] = [Places(inward=True)]
    for number, (step, (inputs, outputs)) in enumerate(zip(steps, shapes, strict=True)):
        if step == "parties":
            parts += [Places(inward=False), _layer(torch, inputs, outputs, spectral)]
            return torch.nn.Sequential(*parts)
        parts.append(Layer(step, inputs, outputs))
        if number < len(steps) - 1:
            parts.append(torch.nn.LeakyReLU(SLOPE))
    return torch.nn.Sequential(*parts, Places(inward=False))


def _linear(network: Any) -> tuple[tuple[np.ndarray[Any, Any], ...], tuple[np.ndarray[Any, Any], ...]]:
    """Weights float32[inputs, outputs] and biases float32[outputs] of the linear layers, in order."""
    linear = [part for part in network.eval().modules() if hasattr(part, "in_features")]
    weights = tuple(np.ascontiguousarray(part.weight.detach().cpu().numpy().T) for part in linear)
    biases = tuple(part.bias.detach().cpu().numpy().copy() for part in linear)
    network.train()
    return weights, biases
