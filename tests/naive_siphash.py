"""SipHash-2-4-128 as its authors write it, in Python's integers: the slow twin of both compiled forms."""

from __future__ import annotations

from collections.abc import Iterable

MASK = 2**64 - 1


def siphash128(words: Iterable[int], key: bytes) -> tuple[int, int]:
    """Both halves of the hash of a message whose last word holds its length in the highest byte."""

    def turn(value: int, bits: int) -> int:
        return ((value << bits) | (value >> (64 - bits))) & MASK

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK
            v[1] = turn(v[1], 13) ^ v[0]
            v[0] = turn(v[0], 32)
            v[2] = (v[2] + v[3]) & MASK
            v[3] = turn(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK
            v[3] = turn(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK
            v[1] = turn(v[1], 17) ^ v[2]
            v[2] = turn(v[2], 32)

    first, second = (int.from_bytes(key[at : at + 8], "little") for at in (0, 8))
    v = [0x736F6D6570736575 ^ first, 0x646F72616E646F6D ^ second ^ 0xEE]
    v += [0x6C7967656E657261 ^ first, 0x7465646279746573 ^ second]
    for word in words:
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    found = []
    for end, place in ((0xEE, 2), (0xDD, 1)):
        v[place] ^= end
        rounds(4)
        found.append(v[0] ^ v[1] ^ v[2] ^ v[3])
    return found[0], found[1]
