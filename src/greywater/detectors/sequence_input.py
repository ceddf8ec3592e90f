"""The last payments of both parties of a payment as a network takes them: places, and a few channels at each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from greywater.detectors.forest import signed_log
from greywater.detectors.saved import MEND
from greywater.errors import DetectorError
from greywater.vocab import Float64Array, Int64Array

__all__ = ["ROLES", "SequenceInput"]

Float32Array = np.ndarray[Any, np.dtype[np.float32]]
ROLES: Final = ("sender", "receiver")
#: Channels before those that say by which channel of payment: there is a payment, amount, gap, paid, new counterparty.
PLAIN: Final = 5
#: A channel of payment that fewer of the sample's payments have is no channel of its own.
LEAST_SHARE: Final = 0.01
#: Standard deviations at which amounts and gaps are cut.
FARTHEST: Final = 6.0
WHAT: Final = ("amount", "gap", "kind")


@dataclass(frozen=True)
class SequenceInput:
    """Rows float64[n, features] to float32[n, 2 * length * channels], in the order role, place, channel.

    Channels of a place: 1 where there is a payment, its amount and the gap before it (logarithms, standardised over the
    sample's places, 0 where not known), 1 paid or -1 received, 1 a new counterparty, then one for each channel of
    payment that at least one in a hundred of the sample's has. All are 0 where there is no payment.

    Parameters
    ----------
    places : int64[2, length, 3]
        Positions of amount, gap and kind among the features.
    middle, spread : float64[2]
        Of the logarithms of amounts and gaps.
    kinds : int64[k]
        Channels of payment that have one of their own.
    """

    places: Int64Array
    middle: Float64Array
    spread: Float64Array
    kinds: Int64Array

    method: Any = "sequence"

    @property
    def width(self) -> int:
        """Values of a row."""
        return len(self.sources)

    @property
    def channels(self) -> int:
        """Channels of a place."""
        return PLAIN + len(self.kinds)

    @property
    def length(self) -> int:
        """Places of a sequence."""
        return int(self.places.shape[1])

    @property
    def sources(self) -> Int64Array:
        """The feature that each value stems from, int64[2 * length * channels]."""
        amount, gap, kind = (self.places[:, :, part, None] for part in range(3))
        others = np.repeat(kind, self.channels - 3, axis=2)
        return np.concatenate([kind, amount, gap, others], axis=2).reshape(-1)

    @classmethod
    def learn(cls, names: tuple[str, ...], sample: Float64Array) -> Self:
        """Find the columns `<role>.sequence.<place>.amount|gap|kind`, and take the scale from sample rows.

        Raises
        ------
        DetectorError
            The columns are not there.
        """
        position = {name: place for place, name in enumerate(names)}
        length = 0
        while f"sender.sequence.{length}.amount" in position:
            length += 1
        wanted = [
            [[f"{role}.sequence.{place}.{what}" for what in WHAT] for place in range(length)] for role in ROLES
        ]  # fmt: skip
        missing = [name for role in wanted for place in role for name in place if name not in position]
        if length < 8 or length % 8 or missing:
            raise DetectorError(
                "the columns of both parties' last payments are not there",
                where=missing[0] if missing else "sender.sequence.0.amount",
                mend="work them out: set the detector to adversarial_sequence, or the setting sequence to true",
            )
        places = np.array([[[position[name] for name in place] for place in role] for role in wanted], np.int64)
        given = sample[:, places]
        there = given[..., 2] >= 0
        middle, spread = np.zeros(2), np.ones(2)
        for part in range(2):
            known = signed_log(given[..., part][there])
            known = known[~np.isnan(known)]
            if len(known):
                middle[part], spread[part] = known.mean(), max(float(known.std()), 1e-9)
        counts = np.bincount((given[..., 2][there] // 4).astype(np.int64), minlength=1)
        kinds = np.flatnonzero(counts >= max(1.0, LEAST_SHARE * counts.sum()))
        return cls(places, middle, spread, kinds if len(kinds) > 1 else np.empty(0, np.int64))

    def __call__(self, rows: Float64Array) -> Float32Array:
        """The values that a network takes; none depends on another row."""
        given = rows[:, self.places]
        kind = given[..., 2]
        there = kind >= 0
        whole = np.where(there, kind, 0).astype(np.int64)
        out = np.zeros((*kind.shape, self.channels), np.float32)
        out[..., 0] = there
        for part in range(2):
            scaled = (signed_log(given[..., part]) - self.middle[part]) / self.spread[part]
            out[..., 1 + part] = np.where(there, np.clip(np.nan_to_num(scaled, nan=0.0), -FARTHEST, FARTHEST), 0.0)
        out[..., 3] = np.where(there, np.where(whole & 2, 1.0, -1.0), 0.0)
        out[..., 4] = there & (whole & 1 == 1)
        for place, channel in enumerate(self.kinds):
            out[..., PLAIN + place] = there & (whole // 4 == channel)
        return out.reshape(len(rows), 2 * self.length * self.channels)

    def fill(self, rows: Float64Array, scaled: Float32Array) -> None:
        """Write the values into `scaled`."""
        scaled[:] = self(rows)

    def picked(self, columns: Int64Array) -> Self:
        """Itself: a network takes all the values."""
        return self

    def known(self, scaled: Float32Array) -> Float64Array:
        """The share of the places that hold a payment, float64[n], of rows that `__call__` made."""
        there: Float64Array = scaled[:, :: self.channels].astype(np.float64).mean(axis=1)
        return there

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """The arrays to save."""
        names = ("places", "middle", "spread", "kinds")
        return {f"sequence.{name}": getattr(self, name) for name in names}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray[Any, Any]], features: int) -> Self:
        """Rebuild from `arrays()`; a DetectorError where they fit no columns."""
        try:
            places, kinds = (np.asarray(arrays[f"sequence.{name}"], np.int64) for name in ("places", "kinds"))
            middle, spread = (np.asarray(arrays[f"sequence.{name}"], np.float64) for name in ("middle", "spread"))
        except (KeyError, ValueError) as error:
            raise DetectorError(f"an array of the sequences is missing or odd: {error}", mend=MEND) from error
        sound = places.ndim == 3 and places.shape[0] == 2 and places.shape[2] == 3 and places.shape[1] % 8 == 0
        sound = sound and places.size > 0 and bool(((places >= 0) & (places < features)).all())
        sound = sound and middle.shape == spread.shape == (2,) and kinds.ndim == 1
        if not sound or not np.isfinite([*middle, *spread]).all() or (spread <= 0).any():
            raise DetectorError("the arrays of the sequences fit no columns", mend=MEND)
        return cls(places, middle, spread, kinds)
