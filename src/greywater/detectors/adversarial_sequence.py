"""The adversarial detector over sequences: what the last payments of both parties look like, one after the other."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from greywater.detectors.adversarial import Adversarial, AdversarialParameters, Input
from greywater.detectors.adversarial_networks import Networks, SequenceNetworks
from greywater.detectors.saved import refuse_other_columns
from greywater.detectors.sequence_input import SequenceInput
from greywater.vocab import Float64Array, Int64Array, TrainingTable

__all__ = ["AdversarialSequence"]

Float32Array = np.ndarray[Any, np.dtype[np.float32]]


class AdversarialSequence(Adversarial):
    """The pair of `Adversarial` over the last 32 payments of the sender and of the receiver (extra `[deep]` to fit it).

    Both networks are one-dimensional convolutions over the places of a sequence, the same for either party; at each
    place they see amount, time since the payment before, paid or received, whether the counterparty was new, and the
    channel (docs/sequence.md has the columns). The score is the mean over the channels of error^2, over the
    places that hold a payment. Other columns are not looked at.

    Parameters
    ----------
    parameters : AdversarialParameters, optional
        As for `Adversarial`; `hidden` is the channels of the convolutions, `scaling`, `alike` and `far` are of no use.
    seed, threads, device, threshold_by, cost_missed, cost_wasted
        As for `Adversarial`.
    """

    kind: ClassVar[str] = "adversarial_sequence"
    parameters: ClassVar[AdversarialParameters] = AdversarialParameters(
        sample_rows=65_536, hidden=32, blind_epochs=6, batch=128, rate=2e-3
    )

    _share: ClassVar[int] = 512
    _goes_far: ClassVar[bool] = False

    def past_payments(self, X: TrainingTable) -> Float64Array:
        """What each payment of either party's sequence adds to the score, float64[n, 2, length].

        The contributions of its columns, added up: [:, 0, 0] is this payment as one of the sender's, [:, 1, 3] the
        receiver's third before it.
        """
        fitted = self._known()
        refuse_other_columns(fitted.names, X.names, "past_payments")
        places = _sequence(fitted.scaling).places
        found: Float64Array = self.explain(X)[:, places].sum(axis=3)
        return found

    def _learn_input(self, names: tuple[str, ...], sample: Float64Array) -> tuple[Input, Int64Array]:
        made = SequenceInput.learn(names, sample)
        return made, np.arange(len(made.sources))

    def _read_input(self, arrays: dict[str, np.ndarray[Any, Any]], method: Any, features: int) -> Input:
        return SequenceInput.from_arrays(arrays, features)

    def _networks(self, scaling: Input, columns: int) -> Networks:
        made = _sequence(scaling)
        return SequenceNetworks(made.length, made.channels, self._parameters.hidden, self._parameters.code)

    def _weigh(self, scaling: Input, scaled: Float32Array) -> Float64Array | None:
        known = _sequence(scaling).known(scaled)
        return 1.0 / np.where(known > 0, known, 1.0)


def _sequence(scaling: Input) -> SequenceInput:
    assert isinstance(scaling, SequenceInput)
    return scaling
