"""The 128-bit hash that names an entity for ever: SipHash-2-4-128 over the typed words of its keys.

The message of a key tuple is a row of 64-bit little-endian words, key after key. A string key is the word
`(bytes << 8) | 0x73` and its UTF-8 padded with zeros to whole words; an int64 key is the word `0x69` and its value.
So no two tuples have the same message, whatever they hold. The hash is SipHash-2-4 with 128 bits of output (Aumasson
and Bernstein, 2012) under the 16 bytes `greywater entity`; its first eight bytes, little-endian, are key_high and the
last eight key_low, both as int64. This definition never changes: files on disk are sorted by it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from greywater.kernels.compile import Word, kernel

__all__ = ["STATE_WORDS", "absorb_int64", "absorb_text", "begin", "finish"]

#: Words of state a row: the four of SipHash, and how many words were absorbed.
STATE_WORDS = 5
SECRET = b"greywater entity"

_first = int.from_bytes(SECRET[:8], "little")
_second = int.from_bytes(SECRET[8:], "little")
V0 = np.uint64(_first ^ 0x736F6D6570736575)
V1 = np.uint64(_second ^ 0x646F72616E646F6D ^ 0xEE)
V2 = np.uint64(_first ^ 0x6C7967656E657261)
V3 = np.uint64(_second ^ 0x7465646279746573)
TEXT_TAG = np.uint64(0x73)
INT64_TAG = np.uint64(0x69)
ONE = np.uint64(1)
EIGHT = np.uint64(8)
TO_TOP = np.uint64(56)
FIRST_END = np.uint64(0xEE)
SECOND_END = np.uint64(0xDD)
R13, R16, R17, R21, R32 = np.uint64(13), np.uint64(16), np.uint64(17), np.uint64(21), np.uint64(32)
L13, L16, L17, L21 = np.uint64(51), np.uint64(48), np.uint64(47), np.uint64(43)


@kernel
def _round(v0: Word, v1: Word, v2: Word, v3: Word) -> Any:
    """One SipHash round."""
    v0 = v0 + v1
    v1 = ((v1 << R13) | (v1 >> L13)) ^ v0
    v0 = (v0 << R32) | (v0 >> R32)
    v2 = v2 + v3
    v3 = ((v3 << R16) | (v3 >> L16)) ^ v2
    v0 = v0 + v3
    v3 = ((v3 << R21) | (v3 >> L21)) ^ v0
    v2 = v2 + v1
    v1 = ((v1 << R17) | (v1 >> L17)) ^ v2
    v2 = (v2 << R32) | (v2 >> R32)
    return v0, v1, v2, v3


@kernel
def _absorb(word: Word, v0: Word, v1: Word, v2: Word, v3: Word) -> Any:
    """Take one word of the message in."""
    v3 = v3 ^ word
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ word, v1, v2, v3


@kernel
def begin(state: Any) -> None:
    """Set the state uint64[n, 5] of n rows to that of an empty message."""
    for row in range(state.shape[0]):
        state[row, 0] = V0
        state[row, 1] = V1
        state[row, 2] = V2
        state[row, 3] = V3
        state[row, 4] = np.uint64(0)


@kernel
def absorb_int64(state: Any, values: Any) -> None:
    """Append an int64 key to the message of each row; `values` uint64[n] holds its bits."""
    for row in range(state.shape[0]):
        v0, v1, v2, v3 = _absorb(INT64_TAG, state[row, 0], state[row, 1], state[row, 2], state[row, 3])
        v0, v1, v2, v3 = _absorb(values[row], v0, v1, v2, v3)
        state[row, 0], state[row, 1], state[row, 2], state[row, 3] = v0, v1, v2, v3
        state[row, 4] += np.uint64(2)


@kernel
def absorb_text(state: Any, offsets: Any, text: Any) -> None:
    """Append a string key to the message of each row.

    Parameters
    ----------
    state : uint64[n, 5]
    offsets : int32[n + 1] or int64[n + 1]
        Where each string begins in `text`, and where the last one ends.
    text : uint8[m]
        UTF-8.
    """
    for row in range(state.shape[0]):
        at, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        head = (np.uint64(stop - at) << EIGHT) | TEXT_TAG
        v0, v1, v2, v3 = _absorb(head, state[row, 0], state[row, 1], state[row, 2], state[row, 3])
        words = ONE
        while at < stop:
            word = np.uint64(0)
            last = min(at + 8, stop) - 1
            for place in range(last, at - 1, -1):
                word = (word << EIGHT) | np.uint64(text[place])
            v0, v1, v2, v3 = _absorb(word, v0, v1, v2, v3)
            words += ONE
            at += 8
        state[row, 0], state[row, 1], state[row, 2], state[row, 3] = v0, v1, v2, v3
        state[row, 4] += words


@kernel
def finish(state: Any, high: Any, low: Any) -> None:
    """Write the hash of each row's message to high and low, both uint64[n]."""
    for row in range(state.shape[0]):
        length = state[row, 4] * EIGHT
        v0, v1, v2, v3 = _absorb(length << TO_TOP, state[row, 0], state[row, 1], state[row, 2], state[row, 3])
        v2 = v2 ^ FIRST_END
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        high[row] = v0 ^ v1 ^ v2 ^ v3
        v1 = v1 ^ SECOND_END
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        low[row] = v0 ^ v1 ^ v2 ^ v3
