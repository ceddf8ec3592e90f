"""A small network as plain arrays: read out of a trained one, asked without the library that trained it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from greywater.vocab import Float64Array

__all__ = ["Layer", "Network"]

#: What may follow a layer's sums, in the order of their codes in saved arrays.
ACTIVATIONS: Final = ("linear", "relu", "tanh", "sigmoid")


@dataclass(frozen=True)
class Layer:
    """rows @ weight + bias, then the activation; weight float64[in, out], bias float64[out]."""

    weight: Float64Array
    bias: Float64Array
    activation: str = "linear"

    def __call__(self, rows: Float64Array) -> Float64Array:
        """Outputs float64[n, out] of inputs float64[n, in]."""
        sums = rows @ self.weight + self.bias
        if self.activation == "relu":
            return np.asarray(np.maximum(sums, 0.0))
        if self.activation == "tanh":
            return np.asarray(np.tanh(sums))
        if self.activation == "sigmoid":
            # exp of minus the size never overflows.
            small = np.exp(-np.abs(sums))
            return np.asarray(np.where(sums >= 0, 1.0, small) / (1.0 + small))
        return np.asarray(sums)


@dataclass(frozen=True)
class Network:
    """Layers one after another.

    Examples
    --------
    >>> Network((Layer(np.array([[2.0]]), np.array([-1.0]), "relu"),))(np.array([[3.0], [0.0]])).tolist()
    [[5.0], [0.0]]
    """

    layers: tuple[Layer, ...]

    def __call__(self, rows: Float64Array) -> Float64Array:
        """Outputs float64[n, out] of inputs float64[n, in]."""
        for layer in self.layers:
            rows = layer(rows)
        return rows

    @property
    def linear_end(self) -> Network:
        """The same without the last activation: sums, where a sigmoid would run into 0 or 1."""
        *first, last = self.layers
        return Network((*first, Layer(last.weight, last.bias)))

    @classmethod
    def of_modules(cls, modules: Sequence[Any]) -> Self:
        """Read out of PyTorch modules in order, as they are when they are asked and not trained.

        Linear layers and their activations are taken over, dropouts left out, and a batch normalisation is multiplied
        into the linear layer before it.
        """
        layers: list[Layer] = []
        for module in modules:
            name = type(module).__name__
            if name == "Linear":
                held = _arrays(module)
                weight = held["weight"].T
                bias = held.get("bias", np.zeros(weight.shape[1]))
                layers.append(Layer(np.ascontiguousarray(weight), bias))
            elif name == "BatchNorm1d":
                held = _arrays(module)
                scale = held["weight"] / np.sqrt(held["running_var"] + module.eps)
                bias = (layers[-1].bias - held["running_mean"]) * scale + held["bias"]
                layers[-1] = Layer(layers[-1].weight * scale, bias)
            elif name.lower() in ACTIVATIONS:
                layers[-1] = Layer(layers[-1].weight, layers[-1].bias, name.lower())
            elif name != "Dropout":
                raise ValueError(f"a network with {name} cannot be read")
        return cls(tuple(layers))

    def arrays(self, name: str) -> dict[str, np.ndarray[Any, Any]]:
        """The arrays to save, under the network's name."""
        found: dict[str, np.ndarray[Any, Any]] = {
            f"{name}.activations": np.array([ACTIVATIONS.index(layer.activation) for layer in self.layers], np.int64)
        }
        for place, layer in enumerate(self.layers):
            found |= {f"{name}.{place}.weight": layer.weight, f"{name}.{place}.bias": layer.bias}
        return found

    @classmethod
    def read(cls, arrays: Mapping[str, np.ndarray[Any, Any]], name: str, inputs: int) -> Self:
        """The network of `arrays(name)`; a KeyError or ValueError where they are none over so many inputs."""
        layers = []
        for place, code in enumerate(arrays[f"{name}.activations"]):
            weight = np.ascontiguousarray(arrays[f"{name}.{place}.weight"], np.float64)
            bias = np.ascontiguousarray(arrays[f"{name}.{place}.bias"], np.float64)
            sound = weight.ndim == 2 and weight.shape == (inputs, len(bias)) and bias.ndim == 1 and len(bias) > 0
            if not sound or not bool(np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise ValueError(f"layer {place} of {name} is not what was learned")
            if not 0 <= code < len(ACTIVATIONS):
                raise ValueError(f"layer {place} of {name} has no known activation")
            layers.append(Layer(weight, bias, ACTIVATIONS[int(code)]))
            inputs = len(bias)
        if not layers:
            raise ValueError(f"{name} has no layer")
        return cls(tuple(layers))

    @property
    def outputs(self) -> int:
        """Columns that come out."""
        return len(self.layers[-1].bias)


def _arrays(module: Any) -> dict[str, Float64Array]:
    return {name: np.asarray(each.numpy(), np.float64) for name, each in module.state_dict().items()}
