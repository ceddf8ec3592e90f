"""Networks that pyod trains, as peers of the adversarial detector: learned by PyTorch, asked from plain arrays."""

from __future__ import annotations

import io
import os
import random
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from greywater.detectors.network import Layer, Network
from greywater.detectors.outlier import Arrays, OutlierDetector, OutlierModel, OutlierParameters, arrays_of_shapes
from greywater.errors import DetectorError, ExtraMissingError
from greywater.vocab import Float64Array, Progress

__all__ = [
    "Alad", "AnoGan", "AutoEncoder", "DeepSvdd", "NetworkDetector", "NetworkParameters", "QueriedNetworkParameters",
    "RivalNetworkParameters", "SoGaal",
]  # fmt: skip


@cache
def load_pyod(file: str, name: str) -> Any:
    """A class of pyod, imported when it is first needed.

    Raises
    ------
    ExtraMissingError
        It or PyTorch is not installed.
    """
    try:
        import_module("torch")
        return getattr(import_module(f"pyod.models.{file}"), name)
    except ImportError as error:
        raise ExtraMissingError(
            f"{getattr(error, 'name', None) or 'pyod'} is not installed", mend="pip install 'greywater[outliers,deep]'"
        ) from error


@dataclass(frozen=True)
class NetworkParameters(OutlierParameters):
    """What a network is told beside OutlierParameters.

    Parameters
    ----------
    epochs : int
        Rounds over the sample; of ALAD, batches in hundreds.
    batch_rows : int
        Payments a step.
    learning_rate : float
        Step size.
    layer, code : int
        Units of the hidden layer, and of the narrowest.
    """

    epochs: int = 10
    batch_rows: int = 256
    learning_rate: float = 1e-3
    layer: int = 64
    code: int = 16

    def checks(self) -> dict[str, bool]:
        """Whether each parameter can be used."""
        sizes = ("epochs", "layer", "code")
        return {
            **super().checks(),
            **{name: getattr(self, name) >= 1 for name in sizes},
            "batch_rows": self.batch_rows >= 2,
            "learning_rate": 0 < self.learning_rate < 1,
        }


@dataclass(frozen=True)
class RivalNetworkParameters(NetworkParameters):
    """The same, for a generator and a discriminator that are trained against each other.

    The sample is smaller, as pyod shuffles the whole of it before each batch.
    """

    sample_rows: int = 8_192
    epochs: int = 5


@dataclass(frozen=True)
class QueriedNetworkParameters(NetworkParameters):
    """The same, for AnoGAN: pyod looks for each payment of the sample anew, one by one, so the sample is small."""

    sample_rows: int = 512
    epochs: int = 40
    batch_rows: int = 64


class NetworkDetector(OutlierDetector[NetworkParameters]):
    """What the networks share: seeds, one thread, and nothing left changed behind them.

    PyTorch, NumPy and Python's own generator are seeded for the fit and put back where they were.
    """

    parameters_type: ClassVar[type[OutlierParameters]] = NetworkParameters

    def _learn(self, rows: Float64Array, progress: Progress | None) -> OutlierModel:
        load_pyod("auto_encoder", "AutoEncoder")
        try:
            with _seeded(self._seed), redirect_stdout(io.StringIO()):
                return self._train(rows)
        except ValueError as error:
            raise DetectorError(
                f"pyod could not train {self.called}: {error}", where="fit", mend="try another seed, or more payments"
            ) from error

    @abstractmethod
    def _train(self, rows: Float64Array) -> OutlierModel:
        """Train on scaled rows, and read the network out."""

    def _batch(self, rows: Float64Array) -> int:
        return min(self._parameters.batch_rows, len(rows))


@dataclass(frozen=True)
class _Reconstruction:
    network: Network

    def score(self, rows: Float64Array) -> Float64Array:
        return np.asarray(self.parts(rows).sum(axis=1))

    def parts(self, rows: Float64Array) -> Float64Array:
        left = rows - self.network(rows)
        return np.asarray(left * left / rows.shape[1])

    def arrays(self) -> Arrays:
        return self.network.arrays("network")


class AutoEncoder(NetworkDetector):
    """What a network that goes through a narrow layer does not bring back (Hawkins et al. 2002).

    The score is the mean squared error of reconstruction; each column's contribution is its squared error.
    """

    kind: ClassVar[str] = "autoencoder"
    called: ClassVar[str] = "autoencoder (pyod)"

    def _train(self, rows: Float64Array) -> OutlierModel:
        chosen = self._parameters
        model = load_pyod("auto_encoder", "AutoEncoder")(
            preprocessing=False, lr=chosen.learning_rate, epoch_num=chosen.epochs, batch_size=self._batch(rows),
            hidden_neuron_list=[chosen.layer, chosen.code], dropout_rate=0.0, device="cpu", random_state=self._seed,
            verbose=0,
        ).fit(rows).model  # fmt: skip
        blocks = [*model.encoder, *model.decoder]
        return _Reconstruction(Network.of_modules([module for block in blocks for module in _unpacked(block)]))

    @classmethod
    def _read(cls, arrays: Arrays, width: int) -> OutlierModel:
        network = Network.read(arrays, "network", width)
        if network.outputs != width:
            raise ValueError("the network does not give back what it takes")
        return _Reconstruction(network)


@dataclass(frozen=True)
class _Sphere:
    network: Network
    centre: Float64Array

    def score(self, rows: Float64Array) -> Float64Array:
        away = self.network(rows) - self.centre
        return np.asarray((away * away).sum(axis=1))

    def parts(self, rows: Float64Array) -> None:
        return

    def arrays(self) -> Arrays:
        return {**self.network.arrays("network"), "centre": self.centre}


class DeepSvdd(NetworkDetector):
    """How far a network maps a payment from where it maps the usual ones (Ruff et al. 2018, Deep SVDD)."""

    kind: ClassVar[str] = "deepsvdd"
    called: ClassVar[str] = "Deep SVDD (pyod)"

    def _train(self, rows: Float64Array) -> OutlierModel:
        chosen = self._parameters
        made = load_pyod("deep_svdd", "DeepSVDD")(
            rows.shape[1], hidden_neurons=[chosen.layer, chosen.code], epochs=chosen.epochs,
            batch_size=self._batch(rows), dropout_rate=0.0, preprocessing=False, verbose=0, random_state=self._seed,
            learning_rate=chosen.learning_rate,
        ).fit(rows)  # fmt: skip
        return _Sphere(Network.of_modules(list(made.model_.model)), np.asarray(made.c_.numpy(), np.float64))

    @classmethod
    def _read(cls, arrays: Arrays, width: int) -> OutlierModel:
        network = Network.read(arrays, "network", width)
        return _Sphere(network, arrays_of_shapes(arrays, centre=(network.outputs,))["centre"])


@dataclass(frozen=True)
class _Cycle:
    encoder: Network
    decoder: Network
    judge: Network

    def score(self, rows: Float64Array) -> Float64Array:
        features = Network(self.judge.layers[:-1])
        same = features(np.hstack([rows, rows]))
        other = features(np.hstack([rows, self.decoder(self.encoder(rows))]))
        return np.asarray(np.abs(same - other).sum(axis=1) / same.shape[1])

    def parts(self, rows: Float64Array) -> None:
        return

    def arrays(self) -> Arrays:
        named = {"encoder": self.encoder, "decoder": self.decoder, "judge": self.judge}
        return {key: array for name, network in named.items() for key, array in network.arrays(name).items()}


class Alad(NetworkDetector):
    """How well a discriminator tells a payment from its reconstruction (Zenati et al. 2018, ALAD).

    The score is the paper's: the mean distance between what the discriminator's last hidden layer makes of the two.
    pyod trains the networks; its own score takes the difference after a sigmoid instead, and leaves dropout on, so that
    one payment gets another score at every call.
    """

    kind: ClassVar[str] = "alad"
    called: ClassVar[str] = "ALAD (pyod)"
    parameters_type: ClassVar[type[OutlierParameters]] = RivalNetworkParameters

    def _train(self, rows: Float64Array) -> OutlierModel:
        chosen = self._parameters
        made = load_pyod("alad", "ALAD")(
            dropout_rate=0.0, latent_dim=chosen.code, enc_layers=[chosen.layer], dec_layers=[chosen.layer],
            activation_hidden_disc="relu",
            disc_xx_layers=[chosen.layer], disc_zz_layers=[chosen.layer], disc_xz_layers=[chosen.layer],
            learning_rate_gen=chosen.learning_rate, learning_rate_disc=chosen.learning_rate, add_recon_loss=True,
            epochs=100 * chosen.epochs, batch_size=self._batch(rows), device="cpu",
        ).fit(rows)  # fmt: skip
        judge = Network.of_modules(list(made.disc_xx)).linear_end
        return _Cycle(Network.of_modules(list(made.enc)), Network.of_modules(list(made.dec)), judge)

    @classmethod
    def _read(cls, arrays: Arrays, width: int) -> OutlierModel:
        encoder = Network.read(arrays, "encoder", width)
        decoder = Network.read(arrays, "decoder", encoder.outputs)
        judge = Network.read(arrays, "judge", 2 * width)
        if decoder.outputs != width or judge.outputs != 1 or len(judge.layers) < 2:
            raise ValueError("the networks do not fit one another")
        return _Cycle(encoder, decoder, judge)


@dataclass(frozen=True)
class _Doubt:
    judge: Network

    def score(self, rows: Float64Array) -> Float64Array:
        return np.asarray(-self.judge(rows)[:, 0])

    def parts(self, rows: Float64Array) -> None:
        return

    def arrays(self) -> Arrays:
        return self.judge.arrays("judge")


class SoGaal(NetworkDetector):
    """How little a discriminator takes a payment for a real one (Liu et al. 2019, SO-GAAL).

    Minus the logarithm of the odds. pyod's own score is the chance that the payment is real, which is the other way
    round. Its generator makes no negative numbers, so that it is given the scaled columns drawn into [0, 1].
    """

    kind: ClassVar[str] = "so_gaal"
    called: ClassVar[str] = "SO-GAAL (pyod)"
    parameters_type: ClassVar[type[OutlierParameters]] = RivalNetworkParameters
    #: Scaled columns are divided by it, and 0 comes to one half.
    reach: ClassVar[float] = 10.0

    def _train(self, rows: Float64Array) -> OutlierModel:
        chosen = self._parameters
        made = load_pyod("so_gaal", "SO_GAAL")(stop_epochs=chosen.epochs, lr_d=0.01, lr_g=chosen.learning_rate / 10)
        judge = made.fit(rows / self.reach + 0.5).discriminator
        first, last = Network.of_modules([judge.layer1, judge.layer2]).layers
        drawn = Layer(first.weight / self.reach, first.bias + 0.5 * first.weight.sum(axis=0), "relu")
        return _Doubt(Network((drawn, last)))

    @classmethod
    def _read(cls, arrays: Arrays, width: int) -> OutlierModel:
        judge = Network.read(arrays, "judge", width)
        if judge.outputs != 1:
            raise ValueError("the network gives more than one answer")
        return _Doubt(judge)


@dataclass(frozen=True)
class _Away:
    judge: Network
    made: Float64Array

    def score(self, rows: Float64Array) -> Float64Array:
        away = np.abs(rows - self.made).sum(axis=1) / rows.shape[1]
        believed = self.judge(self.made[None, :])[0, 0]
        return np.asarray(away + np.abs(self.judge(rows)[:, 0] - believed))

    def parts(self, rows: Float64Array) -> None:
        return

    def arrays(self) -> Arrays:
        return {**self.judge.arrays("judge"), "made": self.made}


class AnoGan(NetworkDetector):
    """How far a payment is from what a generator makes, and how differently a discriminator takes them (AnoGAN).

    Schlegl et al. (2017) look for the nearest thing that the generator makes, for each payment. pyod looks while it is
    fitted and leaves one point behind, which all payments are compared with: the score here is pyod's.
    """

    kind: ClassVar[str] = "anogan"
    called: ClassVar[str] = "AnoGAN (pyod)"
    parameters_type: ClassVar[type[OutlierParameters]] = QueriedNetworkParameters

    def _train(self, rows: Float64Array) -> OutlierModel:
        chosen = self._parameters
        made = load_pyod("anogan", "AnoGAN")(
            dropout_rate=0.0, latent_dim_G=chosen.code, G_layers=[chosen.layer], D_layers=[chosen.layer],
            epochs=chosen.epochs, learning_rate=chosen.learning_rate, epochs_query=5, batch_size=self._batch(rows),
            device="cpu",
        ).fit(rows)  # fmt: skip
        start = made.query_model.z_gamma_layer.state_dict()["bias"].numpy()[None, :].astype(np.float64)
        point = Network.of_modules(list(made.generator.model))(start)[0]
        return _Away(Network.of_modules(list(made.discriminator.model)), point)

    @classmethod
    def _read(cls, arrays: Arrays, width: int) -> OutlierModel:
        judge = Network.read(arrays, "judge", width)
        if judge.outputs != 1:
            raise ValueError("the network gives more than one answer")
        return _Away(judge, arrays_of_shapes(arrays, made=(width,))["made"])


def _unpacked(block: Any) -> list[Any]:
    """The modules of a block of pyod's autoencoder in the order in which it asks them."""
    if type(block).__name__ != "LinearBlock":
        return [block]
    normalised = [block.linear, block.bn] if block.batch_norm else [block.linear]
    return [*normalised, block.activation] if block.has_act else normalised


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    import torch

    kept = random.getstate(), np.random.get_state(), torch.get_num_threads(), os.environ.get("PYTHONHASHSEED")
    try:
        with torch.random.fork_rng(devices=[]):
            random.seed(seed)
            np.random.set_state(np.random.RandomState(seed % 2**32).get_state())
            torch.manual_seed(seed)
            torch.set_num_threads(1)
            yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        torch.set_num_threads(kept[2])
        if kept[3] is None:
            os.environ.pop("PYTHONHASHSEED", None)
        else:
            os.environ["PYTHONHASHSEED"] = kept[3]
