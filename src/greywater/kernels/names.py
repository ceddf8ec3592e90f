"""Which code a name has: an open-addressing table over the bytes of the names, told apart by the bytes themselves."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from greywater.kernels.compile import Int, inlined, kernel
from greywater.kernels.prefetch import prefetch
from greywater.vocab import Int64Array

__all__ = ["Names", "empty_names", "encode", "find", "note_slots"]

EMPTY = -1
HASH, CODE = 0, 1
SEED = np.uint64(0x9E3779B97F4A7C15)
MULTIPLIER = np.uint64(0xC2B2AE3D27D4EB4F)
EIGHT, SHIFT = np.uint64(8), np.uint64(32)
#: Names before its own that a name's slot is asked for.
AHEAD = 12


class Names(NamedTuple):
    """slots int64[2^k, 2] hash and code (-1 = empty); ends int64[A + 1] where the name before each code ends in text;
    text uint8[B]; marked uint8[A] 1 where a name begins with the prefix; size int64[1] names known."""

    slots: Any
    ends: Any
    text: Any
    marked: Any
    size: Any


def empty_names(slots: int, names: int, text: int) -> Names:
    """A table of no names; `slots` is a power of two."""
    rows = np.zeros((slots, 2), np.int64)
    rows[:, CODE] = EMPTY
    ends = np.zeros(names + 1, np.int64)
    return Names(rows, ends, np.zeros(text, np.uint8), np.zeros(names, np.uint8), np.zeros(1, np.int64))


@inlined
def _hash_of(text: Any, begin: Int, stop: Int) -> Int:
    """A hash of the bytes [begin, stop) as int64."""
    mixed = SEED ^ np.uint64(stop - begin)
    at = begin
    while at < stop:
        word = np.uint64(0)
        last = min(at + 8, stop)
        for place in range(at, last):
            word = (word << EIGHT) | np.uint64(text[place])
        mixed = (mixed ^ word) * MULTIPLIER
        mixed = mixed ^ (mixed >> SHIFT)
        at += 8
    return np.int64(mixed)


@inlined
def _is_name(names: Names, code: Int, text: Any, begin: Int, stop: Int) -> Any:
    """Whether the name of `code` is the bytes [begin, stop)."""
    first, place, size = names.ends[code], 0, stop - begin
    if names.ends[code + 1] - first != size:
        return False
    while place < size and names.text[first + place] == text[begin + place]:
        place += 1
    return place == size


@inlined
def _add(names: Names, code: Int, text: Any, begin: Int, stop: Int, prefix: Any) -> None:
    first = names.ends[code]
    for place in range(stop - begin):
        names.text[first + place] = text[begin + place]
    names.ends[code + 1] = first + stop - begin
    marked = stop - begin >= prefix.shape[0]
    for place in range(prefix.shape[0]):
        marked = marked and text[begin + place] == prefix[place]
    names.marked[code] = 1 if marked else 0
    names.size[0] = code + 1


@inlined
def _slot_of(names: Names, hashed: Int, text: Any, begin: Int, stop: Int) -> Int:
    """The slot of the name [begin, stop), or the empty one where it belongs."""
    mask = np.int64(names.slots.shape[0] - 1)
    slot = hashed & mask
    while names.slots[slot, CODE] != EMPTY:
        if names.slots[slot, HASH] == hashed and _is_name(names, names.slots[slot, CODE], text, begin, stop):
            break
        slot = (slot + np.int64(1)) & mask
    return slot


@kernel
def find(names: Names, text: Any) -> Int:
    """The code of the name that is all of `text` uint8[m], -1 where it is not known."""
    size = np.int64(text.shape[0])
    return names.slots[_slot_of(names, _hash_of(text, np.int64(0), size), text, np.int64(0), size), CODE]


@kernel
def encode(names: Names, offsets: Any, text: Any, prefix: Any, hashes: Int64Array, codes: Any) -> None:
    """Codes of names; unknown ones get the next.

    Parameters
    ----------
    names : Names
        With room for all of these names to be new, and an empty slot left.
    offsets : int32[n + 1] or int64[n + 1]
        Where each name begins in `text`, and where the last one ends.
    text, prefix : uint8[...]
        UTF-8; what marks a name.
    hashes : int64[n]
        Scratch.
    codes : int32[n]
        Out.
    """
    n = codes.shape[0]
    mask = np.int64(names.slots.shape[0] - 1)
    for k in range(n):
        hashes[k] = _hash_of(text, np.int64(offsets[k]), np.int64(offsets[k + 1]))
    for k in range(n):
        if k + AHEAD < n:
            prefetch(names.slots, hashes[k + AHEAD] & mask, 0)
        begin, stop = np.int64(offsets[k]), np.int64(offsets[k + 1])
        slot = _slot_of(names, hashes[k], text, begin, stop)
        if names.slots[slot, CODE] == EMPTY:
            code = names.size[0]
            names.slots[slot, HASH] = hashes[k]
            names.slots[slot, CODE] = code
            _add(names, code, text, begin, stop, prefix)
        codes[k] = names.slots[slot, CODE]


@kernel
def note_slots(old: Int64Array, slots: Int64Array) -> None:
    """Move what the slots `old` hold into larger, empty ones."""
    mask = np.int64(slots.shape[0] - 1)
    for row in range(old.shape[0]):
        if old[row, CODE] != EMPTY:
            slot = old[row, HASH] & mask
            while slots[slot, CODE] != EMPTY:
                slot = (slot + np.int64(1)) & mask
            slots[slot, HASH] = old[row, HASH]
            slots[slot, CODE] = old[row, CODE]
