"""CRC-32C: the values of RFC 3720, a bit-by-bit twin, and frames found again or refused."""

from __future__ import annotations

import crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greywater.kernels.crc32c import FRAME_BYTES, TABLES, crc32c_of, find_records, frame_records


def of(octets: bytes) -> int:
    return int(crc32c_of(np.frombuffer(octets, np.uint8), 0, len(octets), TABLES))


def slow(octets: bytes) -> int:
    """Bit by bit, as the polynomial division is defined."""
    crc = 0xFFFFFFFF
    for byte in octets:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_the_values_of_the_standard(octets: bytes, expected: int) -> None:
    assert of(octets) == slow(octets) == crc32c.crc32c(octets) == expected


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=70))
def test_any_bytes_have_the_check_of_the_twin_and_of_the_peer(octets: bytes) -> None:
    assert of(octets) == slow(octets) == crc32c.crc32c(octets)


def framed(records: list[bytes]) -> np.ndarray:
    octets = np.frombuffer(b"".join(records), np.uint8)
    bounds = np.concatenate([[0], np.cumsum([len(record) for record in records])]).astype(np.int64)
    out = np.empty(len(octets) + FRAME_BYTES * len(records), np.uint8)
    assert frame_records(octets, bounds, TABLES, out) == len(out)
    return out


def found(octets: np.ndarray, room: int = 9) -> tuple[list[bytes], int, int]:
    starts, stops, outcome = np.empty(room, np.int64), np.empty(room, np.int64), np.zeros(3, np.int64)
    find_records(octets, len(octets), TABLES, starts, stops, outcome)
    count, used, fault = outcome.tolist()
    records = [octets[a:b].tobytes() for a, b in zip(starts[:count], stops[:count], strict=True)]
    return records, used, fault


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=6), st.data())
def test_records_are_found_again_and_a_flipped_bit_is_seen(records: list[bytes], data: st.DataObject) -> None:
    octets = framed(records)
    assert found(octets) == (records, len(octets), 0)
    few = found(octets, room=2)
    assert (few[0], few[2]) == (records[:2], 0)
    cut = data.draw(st.integers(0, len(octets)))
    whole, used, fault = found(octets[:cut])
    assert (whole, fault) == (records[: len(whole)], 0)
    assert cut - used < FRAME_BYTES + 30
    if len(octets):
        damaged = octets.copy()
        damaged[data.draw(st.integers(0, len(octets) - 1))] ^= np.uint8(1 << data.draw(st.integers(0, 7)))
        assert found(damaged)[2] in (1, 2)
