"""How many different values there are: exact while they are few, a sketch of 2,048 registers beyond.

The sketch is HyperLogLog (Flajolet, Fusy, Gandouet, Meunier, AofA 2007) over 64-bit hashes, with linear counting where
it is nearly empty; its standard error is 1.04 / sqrt(2048) = 2.3 %.
"""

from __future__ import annotations

import base64
import hashlib
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["MOST_KEPT", "Distinct", "hashes_of_numbers", "hashes_of_texts"]

HashArray = NDArray[np.uint64]
#: Up to so many different values their hashes are kept and counts stay exact when they are merged.
MOST_KEPT: Final = 128
_index_bits: Final = 11
_registers: Final = 2**_index_bits
_alpha: Final = 0.7213 / (1 + 1.079 / _registers)
#: Texts up to so many bytes are hashed all at once, longer ones one by one.
_longest_at_once: Final = 256


@dataclass(frozen=True)
class Distinct:
    """A count of different values that can be merged.

    Parameters
    ----------
    count : int
        Exact where `exact`, else an estimate.
    exact : bool
        Counts taken of values are exact; merged ones are where no more than MOST_KEPT values are different.
    hashes : tuple of int
        The 64-bit hashes of the values while there are no more than MOST_KEPT.
    registers : bytes
        Else the 2,048 registers of the sketch.

    Examples
    --------
    >>> parts = [Distinct.of_hashes(hashes_of_numbers(np.array(values))) for values in ([1, 2, 3], [3, 4])]
    >>> Distinct.merged(parts).count
    4
    """

    count: int
    exact: bool = True
    hashes: tuple[int, ...] = ()
    registers: bytes = b""

    @classmethod
    def of_hashes(cls, hashes: HashArray) -> Distinct:
        """Of the hashes of different values, each once."""
        if len(hashes) <= MOST_KEPT:
            return cls(len(hashes), True, tuple(np.sort(hashes).tolist()))
        return cls(len(hashes), True, (), _registers_of(hashes).tobytes())

    @classmethod
    def merged(cls, parts: Sequence[Distinct]) -> Distinct:
        """The count of all values together."""
        if len(parts) == 1:
            return parts[0]
        kept = np.unique(np.array([value for part in parts for value in part.hashes], np.uint64))
        sketches = [np.frombuffer(part.registers, np.uint8) for part in parts if part.registers]
        if not sketches and len(kept) <= MOST_KEPT:
            return cls(len(kept), True, tuple(kept.tolist()))
        registers = np.maximum.reduce([_registers_of(kept), *sketches])
        estimate = max([_estimate(registers), *(part.count for part in parts if part.exact)])
        if all(part.exact for part in parts):
            estimate = min(estimate, sum(part.count for part in parts))
        return cls(estimate, False, (), registers.tobytes())

    def as_dict(self) -> dict[str, Any]:
        """For JSON; hashes and registers packed as base64."""
        packed = zlib.compress(self.registers, 9) if self.registers else np.array(self.hashes, "<u8").tobytes()
        form = "registers" if self.registers else "hashes"
        return {"count": self.count, "exact": self.exact, form: base64.b64encode(packed).decode()}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Distinct:
        """What `as_dict` gave."""
        if "registers" in found:
            return cls(found["count"], found["exact"], (), zlib.decompress(base64.b64decode(found["registers"])))
        hashes = np.frombuffer(base64.b64decode(found["hashes"]), "<u8")
        return cls(found["count"], found["exact"], tuple(hashes.tolist()))


def hashes_of_numbers(values: NDArray[Any]) -> HashArray:
    """uint64[n] of int64[n] or float64[n]: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) of the bits."""
    return _mixed(values.view(np.uint64) + np.uint64(0x9E3779B97F4A7C15))


def hashes_of_texts(values: pa.Array) -> HashArray:
    """uint64[n] of a string array without nulls: eight bytes of each at a time."""
    lengths, starts, data = _bytes_of(values)
    words = np.ndarray((max(len(data) - 7, 0),), "<u8", data, strides=(1,))
    found = _mixed(lengths.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15))
    longest = int(lengths.max(initial=0))
    rows = np.arange(len(lengths))
    for at in range(0, min(longest, _longest_at_once), 8):
        rows = rows[lengths[rows] > at]
        word = words[starts[rows] + at].astype(np.uint64)
        spare = np.maximum(at + 8 - lengths[rows], 0).astype(np.uint64) * np.uint64(8)
        word &= np.uint64(2**64 - 1) >> spare
        found[rows] = _mixed((found[rows] ^ word) * np.uint64(0x9FB21C651E98DF25) + np.uint64(at + 1))
    for row in np.flatnonzero(lengths > _longest_at_once).tolist():
        text = data[starts[row] : starts[row] + lengths[row]].tobytes()
        found[row] = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
    return found


def _bytes_of(values: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Lengths and starts of the texts, and their bytes with eight spare ones at the end."""
    values = values.cast(pa.large_string())
    offsets = np.frombuffer(values.buffers()[1], np.int64)[values.offset : values.offset + len(values) + 1]
    held = values.buffers()[2]
    data = (
        np.frombuffer(held, np.uint8)[offsets[0] : offsets[-1]]
        if held is not None and len(values)
        else np.empty(0, np.uint8)
    )
    return np.diff(offsets), offsets[:-1] - offsets[0], np.concatenate([data, np.zeros(8, np.uint8)])


def _mixed(bits: HashArray) -> HashArray:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _registers_of(hashes: HashArray) -> NDArray[np.uint8]:
    """For each value of the first 11 bits the greatest count of leading zeros, plus one, of the other 53."""
    rest = hashes & np.uint64(2**53 - 1)
    zeros = 54 - np.frexp(rest.astype(np.float64))[1]
    pair = (hashes >> np.uint64(53)).astype(np.int64) * 64 + zeros
    seen = np.bincount(pair, minlength=_registers * 64).reshape(_registers, 64) > 0
    greatest = 63 - np.argmax(seen[:, ::-1], axis=1)
    return np.where(seen.any(axis=1), greatest, 0).astype(np.uint8)


def _estimate(registers: NDArray[np.uint8]) -> int:
    raw = _alpha * _registers**2 / float(np.sum(np.ldexp(1.0, -registers.astype(np.int64))))
    empty = int(np.count_nonzero(registers == 0))
    if raw <= 2.5 * _registers and empty:
        return round(_registers * math.log(_registers / empty))
    return round(raw)
