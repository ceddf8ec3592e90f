"""Keyed 128-bit fingerprints of whole columns: SipHash-2-4 over Arrow strings and integers, in array steps."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from greywater.vocab import BALANCES

__all__ = ["CONTENT_COLUMNS", "UInt64Array", "content_fingerprints", "id_fingerprints", "siphash128"]

UInt64Array = NDArray[np.uint64]

#: What makes a payment the payment it is (SEMANTICS: Identity): all that the source said of it.
CONTENT_COLUMNS: Final = (
    "event_time",
    "sender",
    "receiver",
    "sender_bank",
    "receiver_bank",
    "amount",
    "currency",
    "received_amount",
    "received_currency",
    "channel",
    "reference",
    *BALANCES,
)
NUMBERS: Final = ("event_time", "amount", "received_amount")

BLOCK: Final = 16_384  # rows per step, so that the state stays in the processor's cache
LONGEST: Final = 64  # words; longer texts go through BLAKE2b one by one


def siphash128(texts: pa.Array, key: bytes) -> UInt64Array:
    """SipHash-2-4 with 128-bit output of each text.

    Parameters
    ----------
    texts : pa.StringArray
        n texts; a null counts as its own value, different from "" and from every text.
    key : bytes
        16 secret bytes. With a key nobody knows, nobody can make two texts meet; by chance two of 10^9 do with a
        probability below 10^-20.

    Returns
    -------
    uint64[n, 2]
        Texts of up to 511 bytes have the reference's value; longer ones a keyed BLAKE2b-128.

    Notes
    -----
    J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012, and its 128-bit variant.

    Examples
    --------
    >>> siphash128(pa.array([""]), bytes(range(16))).astype("<u8").tobytes().hex()
    'a3817f04ba25a8e66df67214c7550293'
    """
    count = len(texts)
    out = np.empty((count, 2), np.uint64)
    if count == 0:
        return out
    starts, lengths, octets = _layout(texts)
    words = lengths // 8 + 1
    loads = np.ndarray((len(octets) - 7,), np.dtype("<u8"), buffer=octets.data, strides=(1,))
    low, high = int(words.min()), int(words.max())
    for size in range(low, min(high, LONGEST) + 1):
        rows = None if low == high else np.flatnonzero(words == size)
        if rows is not None and len(rows) == 0:
            continue
        _hash_equal_words(loads, starts, lengths, rows, size, key, out)
    if high > LONGEST:
        for row in np.flatnonzero(words > LONGEST).tolist():
            text = octets[starts[row] : starts[row] + lengths[row]].tobytes()
            digest = hashlib.blake2b(text, digest_size=16, key=key).digest()
            out[row] = np.frombuffer(digest, "<u8")
    if texts.null_count:
        nulls = np.asarray(texts.is_null())
        out[nulls] = np.frombuffer(hashlib.blake2b(b"null", digest_size=16, key=key).digest(), "<u8")
    return out


def id_fingerprints(tx_ids: pa.Array | pa.ChunkedArray, key: bytes) -> UInt64Array:
    """Fingerprints uint64[n, 2] of transaction ids."""
    return siphash128(_whole(tx_ids), _column_key(key, "tx_id"))


def content_fingerprints(payments: pa.Table, key: bytes) -> UInt64Array:
    """Fingerprints uint64[n, 2] of all that the source said of each payment (CONTENT_COLUMNS).

    Each column is hashed under a key of its own and the results are added by exclusive or, so two payments that
    differ anywhere meet with a probability of 2^-128. A balance that is not known adds nothing, so that payments
    without balances keep the fingerprints that earlier versions gave them.
    """
    columns = [np.asarray(_whole(payments[name]).view(pa.int64())) for name in NUMBERS]
    total = _hash_numbers(columns, _column_key(key, "numbers"))
    for name in BALANCES:
        known = _whole(payments[name])
        rows = np.flatnonzero(known.is_valid().to_numpy(zero_copy_only=False))
        if len(rows):
            total[rows] ^= _hash_numbers([np.asarray(known.drop_null())], _column_key(key, name))
    for name in CONTENT_COLUMNS:
        if name in NUMBERS or name in BALANCES:
            continue
        coded = _whole(payments[name]).dictionary_encode(null_encoding="encode")
        hashes = siphash128(coded.dictionary, _column_key(key, name))
        codes = np.asarray(coded.indices)
        if len(hashes) == 1:
            total ^= hashes[0]
        elif len(hashes):
            total ^= np.take(hashes, codes, axis=0)
    return total


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return (
            column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays([*column.chunks, pa.array([], column.type)])
        )
    return column


def _column_key(key: bytes, name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=16, key=key).digest()


def _layout(texts: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """Where each text starts, how long it is, and the bytes, with eight more at the end to read past it."""
    if texts.type != pa.string():
        texts = texts.cast(pa.string())
    _, offset_buffer, data_buffer = texts.buffers()
    if offset_buffer is None:
        offsets = np.zeros(len(texts) + 1, np.int64)
    else:
        offsets = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    octets = np.zeros(last - first + 16, np.uint8)
    if data_buffer is not None and last > first:
        octets[: last - first] = np.frombuffer(data_buffer, np.uint8)[first:last]
    offsets -= first
    lengths = np.diff(offsets)
    if texts.null_count:
        lengths[np.asarray(texts.is_null())] = 0
    return offsets[:-1], lengths, octets


def _hash_equal_words(
    loads: UInt64Array,
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    rows: NDArray[np.int64] | None,
    size: int,
    key: bytes,
    out: UInt64Array,
) -> None:
    """Hash texts that all fill the same number of words; the last word holds the length and what is left over."""
    if rows is not None:
        starts, lengths = starts[rows], lengths[rows]
    for begin in range(0, len(starts), BLOCK):
        place, length = starts[begin : begin + BLOCK], lengths[begin : begin + BLOCK]
        state = _State(len(place), key)
        for word in range(size - 1):
            state.take_in(loads[place + 8 * word])
        left = (length % 8 * 8).astype(np.uint64)
        tail = loads[place + 8 * (size - 1)] & ((np.uint64(1) << left) - np.uint64(1))
        state.take_in(tail | (length.astype(np.uint64) << np.uint64(56)))
        target = slice(begin, begin + BLOCK) if rows is None else rows[begin : begin + BLOCK]
        out[target] = state.finish()


def _hash_numbers(columns: list[NDArray[np.int64]], key: bytes) -> UInt64Array:
    """SipHash of the concatenated little-endian words of a row's whole numbers."""
    count = len(columns[0])
    out = np.empty((count, 2), np.uint64)
    end = np.uint64((8 * len(columns) & 0xFF) << 56)
    for begin in range(0, count, BLOCK):
        parts = [np.ascontiguousarray(column[begin : begin + BLOCK]).view(np.uint64) for column in columns]
        state = _State(len(parts[0]), key)
        for part in parts:
            state.take_in(part)
        state.take_in(np.full(len(parts[0]), end))
        out[begin : begin + BLOCK] = state.finish()
    return out


class _State:
    """The four words of SipHash for many texts at once."""

    def __init__(self, count: int, key: bytes) -> None:
        first, second = np.frombuffer(key, "<u8")
        self.v0 = np.full(count, first ^ np.uint64(0x736F6D6570736575))
        self.v1 = np.full(count, second ^ np.uint64(0x646F72616E646F6D) ^ np.uint64(0xEE))
        self.v2 = np.full(count, first ^ np.uint64(0x6C7967656E657261))
        self.v3 = np.full(count, second ^ np.uint64(0x7465646279746573))
        self.spare = np.empty(count, np.uint64)

    def take_in(self, word: UInt64Array) -> None:
        self.v3 ^= word
        self._rounds(2)
        self.v0 ^= word

    def finish(self) -> UInt64Array:
        out = np.empty((len(self.v0), 2), np.uint64)
        self.v2 ^= np.uint64(0xEE)
        self._rounds(4)
        out[:, 0] = self.v0 ^ self.v1 ^ self.v2 ^ self.v3
        self.v1 ^= np.uint64(0xDD)
        self._rounds(4)
        out[:, 1] = self.v0 ^ self.v1 ^ self.v2 ^ self.v3
        return out

    def _turn(self, value: UInt64Array, bits: int) -> None:
        np.left_shift(value, np.uint64(bits), out=self.spare)
        np.right_shift(value, np.uint64(64 - bits), out=value)
        np.bitwise_or(value, self.spare, out=value)

    def _rounds(self, count: int) -> None:
        v0, v1, v2, v3, turn = self.v0, self.v1, self.v2, self.v3, self._turn
        for _ in range(count):
            v0 += v1
            turn(v1, 13)
            v1 ^= v0
            turn(v0, 32)
            v2 += v3
            turn(v3, 16)
            v3 ^= v2
            v0 += v3
            turn(v3, 21)
            v3 ^= v0
            v2 += v1
            turn(v1, 17)
            v1 ^= v2
            turn(v2, 32)
